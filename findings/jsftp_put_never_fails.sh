#!/usr/bin/env bash
# npm's jsftp: `put` calls back without an error when the server has refused the file after its data.
#
# Guess, written down before: the callback of `put` gets an error if the final reply is 4yz or 5yz.
# Versions: jsftp 2.1.3, basic-ftp 6.2.3 for comparison (npm); node as installed (20.20).
# Seen, 300,000 bytes, and then in place of 226:
#   426, 451, 552: jsftp no error, basic-ftp an error; 226: no error, both
# Who meets it: who sends by jsftp, or by what is made of it: a full disk, a quota or a lost
#   data connection passes for success. Ask for the size afterwards (`raw('size', name, ...)`).
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-fund --no-audit --omit=optional jsftp@2.1.3 basic-ftp@6.2.3 >/dev/null 2>&1
node --version

cat >server.py <<'PYTHON'
import socket, sys
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
control = listener.accept()[0]
control.sendall(b'220 ready\r\n')
for line in control.makefile(encoding='latin-1'):
    verb = line.split()[0].upper()
    reply = {'USER': '331 password', 'PASS': '230 in', 'TYPE': '200 ok', 'QUIT': '221 bye'}.get(verb, '502 no')
    if verb == 'PASV':
        data = socket.create_server(('127.0.0.1', 0))
        port = data.getsockname()[1]
        reply = f'227 ok (127,0,0,1,{port >> 8},{port & 255})'
    elif verb == 'STOR':
        connection = data.accept()[0]
        control.sendall(b'150 go\r\n')
        connection.makefile('rb').read()
        connection.close()
        reply = sys.argv[1] + ' Final reply.'
    control.sendall(reply.encode() + b'\r\n')
PYTHON
cat >client.js <<'JS'
const fs = require('fs');
const [which, port] = process.argv.slice(2);
const say = (error) => { console.log(error ? 'an error' : 'no error'); process.exit(0); };
if (which === 'jsftp') {
  const client = new (require('jsftp'))({host: '127.0.0.1', port: +port, user: 'user', pass: 'pw'});
  client.put(fs.readFileSync('article'), 'article', say);
} else {
  const client = new (require('basic-ftp').Client)();
  client.access({host: '127.0.0.1', port: +port, user: 'user', password: 'pw'})
    .then(() => client.uploadFrom('article', 'article')).then(() => say(), say);
}
JS

head -c 300000 /dev/zero >article
seen=
for code in 426 451 552 226; do
    for client in jsftp basic-ftp; do
        exec 3< <(exec python3 server.py $code 2>/dev/null)
        pid=$!
        read -r -t 20 port <&3
        line="$code, $client: $(timeout 60 node client.js $client "$port")"
        kill "$pid" 2>/dev/null || true
        echo "$line"
        seen+="$line;"
    done
done
wanted=
for code in 426 451 552; do wanted+="$code, jsftp: no error;$code, basic-ftp: an error;"; done
wanted+='226, jsftp: no error;226, basic-ftp: no error;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
