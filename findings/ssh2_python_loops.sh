#!/usr/bin/env bash
# ssh2-python: an error in the middle of a file, or of a directory, ends the loop as its end does.
#
# Guess, written down before: `for size, data in handle` and `for ... in handle.readdir()` raise when the
#   server answers READ or READDIR with SSH_FX_FAILURE, as `write` and `open` do.
# Versions: ssh2-python 1.2.0.post1 (libssh2), psftp 0.78-2+deb12u2 (Debian 12); paramiko 5.1.0 for
#   comparison; asyncssh 2.24.1 (server).
# Seen, of 300,000 bytes those behind 100,000 and of 500 names those behind 150 cannot be read:
#   ssh2-python: no exception; 90000 bytes, or less; 126 names (the first packet of names)
#   psftp: `ls` prints `Reading directory dir: failure` in front of 126 names, and the exit status is 0
#   paramiko: OSError for the file and for the directory
#   When all can be read: 300000 bytes and 500 names for each of them.
#   After the loop the last `size` is a number of bytes as ever; nothing else is left of the error.
#   (`sftp_get` of parallel-ssh 2.16.0, which loops so, returns without an error.)
# Who meets it: who looks for a lock or for what is already there: the rest of the names does not exist for
#   him; and who deletes the remote file behind such a loop. Compare with the size that `fstat` tells; for
#   directories there is no such remedy: ask by `stat` for the one name that matters.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root putty-tools=0.78-2+deb12u2
dpkg -x putty-tools_*.deb root
export HOME=$work
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.1 paramiko==5.1.0 \
    ssh2-python==1.2.0.post1 2>/dev/null
ssh-keygen -q -t ed25519 -N '' -f id
mkdir -p files/dir
head -c 300000 /dev/zero >files/big
(cd files/dir && touch $(seq 1001 1500))

cat >server.py <<'PYTHON'
import asyncio, sys
import asyncssh
readable = sys.argv[1] == 'readable'

class Files(asyncssh.SFTPServer):
    def __init__(self, channel):
        super().__init__(channel, chroot=b'files')
    def read(self, file_obj, offset, size):
        if not readable and offset + size > 100_000:
            raise asyncssh.SFTPFailure('input/output error')
        return super().read(file_obj, offset, size)
    async def scandir(self, path):
        number = 0
        async for name in super().scandir(path):
            if not readable and number == 150:
                raise asyncssh.SFTPFailure('input/output error')
            number += 1
            yield name

class Server(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True
    def validate_password(self, username, password):
        return True

async def main():
    server = await asyncssh.create_server(
        Server, '127.0.0.1', 0, server_host_keys=['id'], sftp_factory=Files, kbdint_auth=False)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()
asyncio.run(main())
PYTHON

cat >client.py <<'PYTHON'
import socket, sys
which, what, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    if which == 'ssh2-python':
        from ssh2.session import Session
        from ssh2.sftp import LIBSSH2_FXF_READ
        session = Session()
        session.handshake(socket.create_connection(('127.0.0.1', port)))
        session.userauth_password('user', 'pw')
        sftp = session.sftp_init()
        if what == 'file':
            with sftp.open('/big', LIBSSH2_FXF_READ, 0) as handle:
                length = sum(len(data) for size, data in handle)
                print('a part' if 0 < length < 100_000 else length)
        else:
            with sftp.opendir('/dir') as handle:
                print(sum(name.isdigit() for size, name, attributes in handle.readdir()))
    else:
        import paramiko
        transport = paramiko.Transport(('127.0.0.1', port))
        transport.connect(username='user', password='pw')
        sftp = paramiko.SFTPClient.from_transport(transport)
        print(len(sftp.open('/big').read() if what == 'file' else sftp.listdir('/dir')))
        transport.close()
except Exception as error:
    print(type(error).__name__)
PYTHON

echo 'ls dir' >batch
seen=
for readable in broken readable; do
    exec 3< <(exec venv/bin/python server.py $readable 2>log)
    pid=$!
    read -r -t 20 port <&3
    for what in file dir; do
        for client in ssh2-python paramiko; do
            line="$readable $what, $client: $(venv/bin/python -W ignore client.py $client $what "$port" 2>/dev/null)"
            echo "$line"
            seen+="$line;"
        done
    done
    status=0
    root/usr/bin/psftp -batch -pw pw -hostkey "$(ssh-keygen -lf id.pub | cut -d' ' -f2)" -P "$port" -b batch \
        user@127.0.0.1 >words 2>&1 || status=$?
    line="$readable dir, psftp: exit $status, $(grep -c ' 1[0-9][0-9][0-9]$' words) names"
    [ $readable = readable ] || grep -q 'Reading directory dir: failure' words
    echo "$line"
    seen+="$line;"
    kill "$pid"
done
wanted='broken file, ssh2-python: a part;broken file, paramiko: OSError;'
wanted+='broken dir, ssh2-python: 126;broken dir, paramiko: OSError;broken dir, psftp: exit 0, 126 names;'
wanted+='readable file, ssh2-python: 300000;readable file, paramiko: 300000;'
wanted+='readable dir, ssh2-python: 500;readable dir, paramiko: 500;readable dir, psftp: exit 0, 500 names;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
