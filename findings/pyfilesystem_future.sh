#!/usr/bin/env bash
# PyFilesystem2 on a server without MLSD: in January the files of December are dated into the coming December.
#
# Guess, written down before: a line of LIST without a year is of the past half year; so on 1 January `Dec 31` is
#   yesterday.
# Versions: fs 2.4.16 (PyFilesystem2), ftputil 5.2.0 and aioftp 0.28.3, for comparison; libfaketime 0.9.10-2.1
#   (Debian 12) for the date.
# Seen on 1 January 2027, 00:30, of a file with the date `Dec 31 23:59`:
#   fs, getinfo: 2027-12-31 23:59; ftputil: 2026-12-31 23:59; aioftp: 2026-12-31 23:59
#   fs takes the current year whatever comes of it. The same holds until June for each file of the months after.
#   (MLSD tells the year. vsftpd, busybox, netkit and inetutils have none.)
# Who meets it: fs.copy.copy_file_if and fs.mirror with "newer": what was mirrored in December counts as older than
#   what is on the server, and is fetched at each run; in the other direction a correction is never sent, as the
#   server's old file seems to be newer.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root libfaketime=0.9.10-2.1
dpkg -x libfaketime_*.deb root
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check fs==2.4.16 setuptools==80.9.0 ftputil==5.2.0 aioftp==0.28.3 \
    2>/dev/null

cat >server.py <<'PYTHON'
import socket, threading
REPLIES = {'USER': '331 Password?', 'PASS': '230 Welcome.', 'PWD': '257 "/"', 'TYPE': '200 Done.',
           'QUIT': '221 Bye.', 'CWD': '250 Done.'}

def serve(connection):
    def say(text):
        connection.sendall(text.encode() + b'\r\n')
    say('220 Hello.')
    for line in connection.makefile('rb'):
        command = line.decode('latin-1').split()[0].upper()
        if command in ('EPSV', 'PASV'):
            passive = socket.create_server(('127.0.0.1', 0))
            port = passive.getsockname()[1]
            say(f'229 Entering (|||{port}|)' if command == 'EPSV'
                else f'227 Entering (127,0,0,1,{port >> 8},{port & 255})')
        elif command == 'LIST':
            data, _ = passive.accept()
            say('150 Here it comes.')
            data.sendall(b'-rw-r--r--   1 user     group           10 Dec 31 23:59 article\r\n')
            data.close()
            passive.close()
            say('226 Done.')
        else:
            say(REPLIES.get(command, '500 What?'))

listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PYTHON
cat >look.py <<'PYTHON'
import asyncio, datetime, sys
import aioftp, fs, ftputil, ftputil.session
port = int(sys.argv[1])
info = fs.open_fs(f'ftp://user:pw@127.0.0.1:{port}/').getinfo('/article', namespaces=['details'])
print(f'fs: {info.modified:%Y-%m-%d %H:%M}')
factory = ftputil.session.session_factory(port=port)
with ftputil.FTPHost('127.0.0.1', 'user', 'pw', session_factory=factory) as host:
    modified = datetime.datetime.fromtimestamp(host.stat('/article').st_mtime, datetime.UTC)
print(f'ftputil: {modified:%Y-%m-%d %H:%M}')

async def main():
    async with aioftp.Client.context('127.0.0.1', port, 'user', 'pw') as client:
        [(_, facts)] = await client.list('/')
    print(f"aioftp: {facts['modify']}")
asyncio.run(main())
PYTHON
exec 3< <(exec python3 server.py 2>/dev/null)
pid=$!
read -r -t 20 port <&3
library=$(find "$PWD/root" -name libfaketime.so.1)
seen=$(TZ=UTC LD_PRELOAD=$library FAKETIME='@2027-01-01 00:30:00' timeout 60 \
    venv/bin/python -W ignore look.py "$port")
echo "$seen"
wanted='fs: 2027-12-31 23:59
ftputil: 2026-12-31 23:59
aioftp: 20261231235900'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
