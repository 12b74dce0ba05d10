#!/usr/bin/env bash
# A refused RNFR leaves the one before it in force: the next RNTO renames another file.
#
# Guess, written down before: RNTO behind an RNFR that got 550 is answered with 503, whatever was before;
#   and a new RNFR takes the place of the old one, whether it succeeds or not.
# Versions: pyftpdlib 2.2.0, aioftp 0.28.3, proftpd-core 1.3.8+dfsg-4+deb12u5 (as servers). Pure-FTPd
#   1.0.50 does it as well; vsftpd 3.0.3 says 503.
# Seen, with a file `one` and none named `two`: RNFR one, RNFR two, RNTO taken
#   pyftpdlib: 350 550 250, the file is now `taken`
#   aioftp: 350 550 250, the file is now `taken`
#   ProFTPD: 350 501 250, the file is now `taken` (501 Bad sequence of commands, also to RNFR of a file
#     that is there: a pending RNFR cannot be taken back, but by a RNTO)
# Who meets it: a client that sends its commands ahead (pipelining), and one which skips a file between
#   RNFR and RNTO, e.g. after a time-out, and goes on with the next on the same connection: it gets 250
#   for a file that was never renamed, and another one has vanished under its name.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get download -qq -o APT::Sandbox::User=root proftpd-core=1.3.8+dfsg-4+deb12u5
dpkg -x proftpd-core_*.deb root
root/usr/sbin/proftpd --version
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 aioftp==0.28.3 2>/dev/null

uid=$(id -u)
[ "$uid" != 0 ] || uid=65534
mkdir files
chown "$uid" files
echo "user:$(openssl passwd -6 pw):$uid:$uid::$work/files:/bin/sh" >users
chmod 600 users
free_port() { python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])'; }
cat >pyftpdlib_server.py <<'PYTHON'
import logging, sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
logging.disable()
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user('user', 'pw', 'files', perm='elradfmw')
FTPServer(('127.0.0.1', int(sys.argv[1])), FTPHandler).serve_forever()
PYTHON
cat >aioftp_server.py <<'PYTHON'
import asyncio, sys, aioftp
async def main():
    server = aioftp.Server([aioftp.User('user', 'pw', base_path='files')])
    await server.start('127.0.0.1', int(sys.argv[1]))
    await asyncio.Event().wait()
asyncio.run(main())
PYTHON
cat >client.py <<'PYTHON'
import ftplib, os, pathlib, sys, time
client = ftplib.FTP()
for _ in range(200):
    try:
        client.connect('127.0.0.1', int(sys.argv[1]), timeout=20)
        break
    except OSError:
        time.sleep(0.05)
for name in os.listdir('files'):
    os.unlink(f'files/{name}')
pathlib.Path('files/one').touch()
client.login('user', 'pw')
root = sys.argv[2]
for command in (f'RNFR {root}one', f'RNFR {root}two', f'RNTO {root}taken'):
    client.putcmd(command)
    print(client.getmultiline()[:3], end=' ')
print(*os.listdir('files'))
PYTHON
seen=
for server in pyftpdlib aioftp ProFTPD; do
    port=$(free_port)
    root=/
    if [ $server = ProFTPD ]; then
        root=$work/files/
        printf '%s\n' 'ServerType standalone' 'DefaultAddress 127.0.0.1' 'SocketBindTight on' \
            "Port $port" 'UseIPv6 off' "User $(id -nu "$uid")" "Group $(id -ng "$uid")" \
            "PidFile $work/pid" 'ScoreboardFile none' 'ControlsEngine off' 'DelayEngine off' \
            'WtmpLog off' 'TransferLog none' "SystemLog $work/system.log" \
            'AuthOrder mod_auth_file.c' "AuthUserFile $work/users" 'RequireValidShell off' \
            'UseFtpUsers off' >proftpd.conf
        root/usr/sbin/proftpd --nodaemon --config "$work/proftpd.conf" >/dev/null 2>&1 &
    else
        venv/bin/python ${server}_server.py "$port" >/dev/null 2>&1 &
    fi
    pid=$!
    line="$server: $(timeout 60 python3 client.py "$port" "$root")"
    kill "$pid" 2>/dev/null || true
    echo "$line"
    seen+="$line;"
done
wanted='pyftpdlib: 350 550 250 taken;aioftp: 350 550 250 taken;ProFTPD: 350 501 250 taken;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
