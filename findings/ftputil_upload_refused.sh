#!/usr/bin/env bash
# ftputil's upload returns normally when the server has refused the file with 426, 450 or 451.
#
# Guess, written down before: `upload` raises for each final reply that is not 2yz, as ftplib below it does.
# Versions: ftputil 5.2.0; ftplib as installed.
# Seen, 300,000 bytes, and then in place of 226:
#   426, 450, 451: ftputil raises nothing, ftplib error_temp
#   452: ftputil FTPIOError, ftplib error_temp; 552: ftputil FTPIOError, ftplib error_perm
#   226: nothing, both
#   A file of ftputil that is closed drops these three codes, as a download that is not read to its end brings
#   them on. It does so for files that were written as well.
# Who meets it: who sends by ftputil: a full disk is 451 for vsftpd; a data connection that was lost is 426 or 451
#   for most servers. Compare the size afterwards, or send by the ftplib below it.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check ftputil==5.2.0 2>/dev/null
venv/bin/python --version

cat >server.py <<'PYTHON'
import socket, sys, threading

def serve(control):
    control.sendall(b'220 ready\r\n')
    for line in control.makefile(encoding='latin-1'):
        verb = line.split()[0].upper()
        reply = {'USER': '331 password', 'PASS': '230 in', 'PWD': '257 "/"', 'CWD': '250 ok',
                 'TYPE': '200 ok', 'NOOP': '200 ok', 'QUIT': '221 bye'}.get(verb, '502 no')
        if verb in ('PASV', 'EPSV'):
            data = socket.create_server(('127.0.0.1', 0))
            port = data.getsockname()[1]
            reply = f'227 ok (127,0,0,1,{port >> 8},{port & 255})'
            if verb == 'EPSV':
                reply = f'229 ok (|||{port}|)'
        elif verb == 'STOR':
            connection = data.accept()[0]
            control.sendall(b'150 go\r\n')
            connection.makefile('rb').read()
            connection.close()
            reply = sys.argv[1] + ' Final reply.'
        control.sendall(reply.encode() + b'\r\n')

listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True: # ftputil has a connection of its own for each file
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PYTHON

cat >client.py <<'PYTHON'
import ftplib, sys
import ftputil, ftputil.session
port = int(sys.argv[1])

def by_ftputil():
    factory = ftputil.session.session_factory(port=port)
    with ftputil.FTPHost('127.0.0.1', 'user', 'pw', session_factory=factory) as host:
        host.upload('article', 'article')

def by_ftplib():
    with ftplib.FTP() as ftp, open('article', 'rb') as file:
        ftp.connect('127.0.0.1', port)
        ftp.login('user', 'pw')
        ftp.storbinary('STOR article', file)

found = []
for name, upload in ('ftputil', by_ftputil), ('ftplib', by_ftplib):
    try:
        upload()
        found.append(f'{name} nothing')
    except Exception as error:
        found.append(f'{name} {type(error).__name__}')
print(*found)
PYTHON

head -c 300000 /dev/zero >article
seen=
for code in 426 450 451 452 552 226; do
    exec 3< <(exec python3 server.py $code 2>/dev/null)
    pid=$!
    read -r -t 20 port <&3
    line="$code: $(timeout 60 venv/bin/python -W ignore client.py "$port")"
    kill "$pid" 2>/dev/null || true
    echo "$line"
    seen+="$line;"
done
wanted=
for code in 426 450 451; do wanted+="$code: ftputil nothing ftplib error_temp;"; done
wanted+='452: ftputil FTPIOError ftplib error_temp;552: ftputil FTPIOError ftplib error_perm;'
wanted+='226: ftputil nothing ftplib nothing;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
