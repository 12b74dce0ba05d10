#!/usr/bin/env bash
# fsspec uploads in many STORs: ProFTPD as shipped refuses the second one, what is there stays.
#
# Guess, written down before: `put_file` of fsspec's FTPFileSystem is one STOR, as storbinary of the
#   ftplib below it; it works with every server which takes a file.
# Versions: fsspec 2026.9.0, proftpd-core 1.3.8+dfsg-4+deb12u5 (Debian 12).
# Seen: `put_file` sends each 64 KiB by a STOR of its own behind `REST offset`, `open(..., "wb")` each
#   write() of 64 KiB or more; a last STOR brings the rest, even if that is nothing. ProFTPD's
#   default is AllowStoreRestart off: 451 Append/Restart not permitted. So:
#     put_file, 65535 bytes: ok, 65535 on the server
#     put_file, 65536 bytes: error_temp, 65536 on the server
#     put_file, 65537 bytes: error_temp, 65536 on the server
#     open, 200000 bytes: error_temp, 200000 on the server
#   A part stays under the final name; and what came in whole counts as failed.
# Who meets it: the receiver takes the first 64 KiB for the file; the sender who tries again does so
#   for ever. With servers that allow it others see the file grow in steps, each of them a whole
#   upload with 226. (`rclone serve ftp` 1.75.2 refuses as well: 450.)
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
venv/bin/pip install -q --disable-pip-version-check fsspec==2026.9.0 2>/dev/null

uid=$(id -u)
[ "$uid" != 0 ] || uid=65534
mkdir files
chown "$uid" files
echo "user:$(openssl passwd -6 pw):$uid:$uid::$work/files:/bin/sh" >users
chmod 600 users
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >proftpd.conf <<CONF
ServerType standalone
DefaultAddress 127.0.0.1
SocketBindTight on
Port $port
UseIPv6 off
User $(id -nu "$uid")
Group $(id -ng "$uid")
PidFile $work/pid
ScoreboardFile none
ControlsEngine off
DelayEngine off
WtmpLog off
TransferLog none
SystemLog $work/system.log
AuthOrder mod_auth_file.c
AuthUserFile $work/users
RequireValidShell off
UseFtpUsers off
AllowOverwrite on
CONF
root/usr/sbin/proftpd --nodaemon --config "$work/proftpd.conf" >/dev/null 2>&1 &
pid=$!

cat >client.py <<'PYTHON'
import ftplib, os, sys, time
import fsspec
port = int(sys.argv[1])
for _ in range(200):
    try:
        ftplib.FTP().connect('127.0.0.1', port)
        break
    except OSError:
        time.sleep(0.05)
def attempt(name, size):
    client = fsspec.filesystem('ftp', host='127.0.0.1', port=port, username='user', password='pw',
                               skip_instance_cache=True)
    with open('source', 'wb') as source:
        source.write(bytes(size))
    path = f'{os.getcwd()}/files/{name}{size}'
    result = 'ok'
    try:
        if name == 'put_file':
            client.put_file('source', path)
        else:
            with client.open(path, 'wb') as target:
                target.write(bytes(size))
    except Exception as error:
        result = type(error).__name__
        print(f'    {error}')
    there = os.path.getsize(path)
    return f'{name}, {size} bytes: {result}, {there} on the server'
seen = [attempt('put_file', 65535), attempt('put_file', 65536), attempt('put_file', 65537),
        attempt('open', 200000)]
print(*seen, sep='\n')
sys.exit(seen != [
    'put_file, 65535 bytes: ok, 65535 on the server',
    'put_file, 65536 bytes: error_temp, 65536 on the server',
    'put_file, 65537 bytes: error_temp, 65536 on the server',
    'open, 200000 bytes: error_temp, 200000 on the server',
])
PYTHON
timeout 60 venv/bin/python client.py "$port" || { echo 'This has changed.'; exit 1; }
echo 'As described.'
