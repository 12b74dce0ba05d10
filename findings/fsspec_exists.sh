#!/usr/bin/env bash
# fsspec says that a file does not exist when the server only says "not now".
#
# Guess, written down before: `exists` of fsspec's FTPFileSystem raises an error when the server
#   answers the listing with 421, 426 or 450; False is for 550.
# Versions: fsspec 2026.9.0; for comparison ftputil 5.2.0 and fs 2.4.16 (PyFilesystem2).
# Seen, for a file that is there (in the listing, and by SIZE):
#   fsspec: 450 False, 421 False, 426 False, 226 True
#   ftputil: 450 error, 421 error, 426 error, 226 True
#   fs: 450 error, 421 error, 426 error, 226 True
#   `info` and `open` raise FileNotFoundError likewise; of the reply nothing is left in its words.
# Who meets it: whoever looks for a lock file, or for what is already delivered, by `exists`: a server
#   that is busy, shuts down or breaks a listing off has neither. The lock seems free.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
    fsspec==2026.9.0 ftputil==5.2.0 fs==2.4.16 'setuptools==79.0.1' 2>/dev/null
venv/bin/python --version

cat >server.py <<'PYTHON'
import socket, sys
final = sys.argv[1]
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
control = listener.accept()[0]
control.sendall(b'220 ready\r\n')
for line in control.makefile():
    verb = line.split()[0].upper()
    reply = {'USER': '331 password', 'PASS': '230 in', 'PWD': '257 "/"', 'TYPE': '200 ok',
             'CWD': '250 ok', 'SIZE': '213 4', 'QUIT': '221 bye', 'STAT': '211 ok',
             'FEAT': '211-x\r\n MLST type*;size*;\r\n211 end'}.get(verb, '502 no')
    if verb in ('PASV', 'EPSV'):
        data = socket.create_server(('127.0.0.1', 0))
        port = data.getsockname()[1]
        reply = f'229 ok (|||{port}|)'
        if verb == 'PASV':
            reply = f'227 ok (127,0,0,1,{port >> 8},{port & 255})'
    elif verb == 'MLST':
        reply = '250-x\r\n type=file;size=4; /write\r\n250 end' if final[0] == '2' else final
    elif verb in ('MLSD', 'LIST'):
        if final[0] == '2' or final[:3] == '426':
            connection = data.accept()[0]
            control.sendall(b'150 go\r\n')
            text = {'MLSD': 'type=file;size=4; write\r\n',
                    'LIST': '-rw-r--r-- 1 user group 4 Jan 01 2026 write\r\n'}[verb]
            connection.sendall(text.encode())
            connection.close()
        reply = final
    control.sendall(reply.encode() + b'\r\n')
PYTHON
cat >client.py <<'PYTHON'
import sys
name, port = sys.argv[1], int(sys.argv[2])
try:
    if name == 'fsspec':
        import fsspec
        client = fsspec.filesystem('ftp', host='127.0.0.1', port=port, username='user', password='pw')
        print(client.exists('/write'))
    elif name == 'ftputil':
        import ftputil, ftputil.session
        factory = ftputil.session.session_factory(port=port, encoding='UTF-8')
        print(ftputil.FTPHost('127.0.0.1', 'user', 'pw', session_factory=factory).path.exists('/write'))
    else:
        import fs.ftpfs
        print(fs.ftpfs.FTPFS('127.0.0.1', 'user', 'pw', port=port).exists('/write'))
except Exception:
    print('error')
PYTHON
seen=
for name in fsspec ftputil fs; do
    line="$name:"
    for reply in '450 Busy.' '421 Closing.' '426 Aborted.' '226 Done.'; do
        exec 3< <(exec python3 server.py "$reply")
        pid=$!
        read -r -t 20 port <&3
        line+=" ${reply%% *} $(timeout 60 venv/bin/python -W ignore client.py $name "$port")"
        kill "$pid" 2>/dev/null || true
    done
    echo "$line"
    seen+="$line;"
done
errors='450 error 421 error 426 error 226 True'
[ "$seen" = "fsspec: 450 False 421 False 426 False 226 True;ftputil: $errors;fs: $errors;" ] ||
    { echo 'This has changed.'; exit 1; }
echo 'As described.'
