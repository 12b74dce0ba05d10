#!/usr/bin/env bash
# PyFilesystem2 and Net::FTP hand out a part when the server has said 426.
#
# Guess, written down before: 426 behind the data is an error of PyFilesystem2's `download`, and of a
#   file read to its end; Net::FTP's `ls` returns undef or an empty list.
# Versions: fs 2.4.16 (PyFilesystem2), Net::FTP (libnet) of the installed Perl (3.14); ftplib and aioftp
#   0.28.3 raise.
# Seen, 100,000 of 300,000 bytes, or two of three names, and then `426 Aborted.`:
#   fs download: no error, 100000 bytes; fs open and read: no error, 100000 bytes
#   ftplib: error_temp; aioftp: StatusCodeError
#   Net::FTP ls: 2 names, as if there were no more; `ok` and `code` know of 426. (`get` returns undef.)
# Who meets it: whoever looks for a lock file or for new files by `ls`: the rest of the directory is not
#   there; and whoever deletes the remote file behind `download`. Test `$ftp->ok`; compare sizes.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check fs==2.4.16 aioftp==0.28.3 \
    'setuptools==79.0.1' 2>/dev/null
venv/bin/python --version
perl -MNet::FTP -e 'print "Net::FTP $Net::FTP::VERSION\n"'

cat >server.py <<'PYTHON'
import socket, threading
def session(control):
    control.sendall(b'220 ready\r\n')
    for line in control.makefile(encoding='latin-1'):
        verb = line.split()[0].upper()
        reply = {'USER': '331 password', 'PASS': '230 in', 'PWD': '257 "/"', 'TYPE': '200 ok',
                 'CWD': '250 ok', 'OPTS': '200 ok', 'SIZE': '213 300000', 'REST': '350 ok',
                 'QUIT': '221 bye',
                 'MLST': '250-x\r\n type=file;size=300000; /big\r\n250 end',
                 'FEAT': '211-x\r\n MLST type*;size*;\r\n211 end'}.get(verb, '502 no')
        if verb in ('PASV', 'EPSV'):
            data = socket.create_server(('127.0.0.1', 0))
            port = data.getsockname()[1]
            reply = f'229 ok (|||{port}|)'
            if verb == 'PASV':
                reply = f'227 ok (127,0,0,1,{port >> 8},{port & 255})'
        elif verb in ('RETR', 'NLST'):
            connection = data.accept()[0]
            control.sendall(b'150 go\r\n')
            connection.sendall(bytes(100_000) if verb == 'RETR' else b'one\r\ntwo\r\n')
            connection.close()
            reply = '426 Aborted.'
        control.sendall(reply.encode() + b'\r\n')
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=session, args=(listener.accept()[0],), daemon=True).start()
PYTHON
cat >client.py <<'PYTHON'
import asyncio, ftplib, io, sys
import aioftp, fs.ftpfs
name, port = sys.argv[1], int(sys.argv[2])
target = io.BytesIO()
async def with_aioftp():
    async with aioftp.Client.context('127.0.0.1', port, 'user', 'pw') as client:
        await client.download('/big', 'got', write_into=True)
def transfer():
    if name == 'aioftp':
        asyncio.run(with_aioftp())
    elif name == 'ftplib':
        client = ftplib.FTP()
        client.connect('127.0.0.1', port, timeout=20)
        client.login('user', 'pw')
        client.retrbinary('RETR big', target.write)
    else:
        client = fs.ftpfs.FTPFS('127.0.0.1', 'user', 'pw', port=port)
        if name == 'download':
            client.download('/big', target)
        else:
            with client.open('/big', 'rb') as source:
                target.write(source.read())
try:
    transfer()
    print('no error,', len(target.getvalue()))
except Exception as error:
    print(type(error).__name__)
PYTHON
cat >ls.pl <<'PERL'
use Net::FTP;
my $ftp = Net::FTP->new('127.0.0.1', Port => $ARGV[0], Passive => 1, Timeout => 20) or die;
$ftp->login('user', 'pw');
my @names = $ftp->ls();
print "@names, code ", $ftp->code, "\n";
PERL
seen=
run() {
    exec 3< <(exec python3 server.py 2>log)
    pid=$!
    read -r -t 20 port <&3
    line="${*: -1}: $(timeout 60 "$@" "$port" 2>errors)"
    kill "$pid" 2>/dev/null || true
    echo "$line"
    seen+="$line;"
}
for name in download open ftplib aioftp; do run venv/bin/python -W ignore client.py $name; done
run perl ls.pl
wanted='download: no error, 100000;open: no error, 100000;ftplib: error_temp;aioftp: StatusCodeError;'
[ "$seen" = "${wanted}ls.pl: one two, code 426;" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
