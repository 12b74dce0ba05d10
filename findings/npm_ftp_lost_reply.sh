#!/usr/bin/env bash
# npm's ftp and promise-ftp never answer a transfer whose control connection ends: Node exits with 0.
#
# Guess, written down before: when the server closes the control connection in place of saying 226,
#   `put` calls back with an error (ftp), or its promise is rejected (promise-ftp).
# Versions: ftp 0.3.10, promise-ftp 1.3.5, and for comparison basic-ftp 6.2.6 (npm); node as installed.
# Seen: all bytes sent, then the end of the connection:
#   ftp: exit 0, no callback
#   promise-ftp: exit 0, neither resolved nor rejected
#   basic-ftp: exit 1, rejected
#   As nothing is left to wait for, Node ends the program in the middle of it, with success. The same
#   holds for `get` and `list`.
# Who meets it: whoever sends files by a script with one of the two: a firewall that drops the control
#   connection during a long upload makes it end early, without a word and with exit status 0; what
#   should have followed (a rename, the next file, an alarm) does not happen. Listen to 'close', or
#   set process.exitCode = 1 first and 0 at the end.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

echo '{}' >package.json
npm install --silent --no-audit --no-fund ftp@0.3.10 promise-ftp@1.3.5 basic-ftp@6.2.6
echo "node $(node --version)"

cat >server.py <<'PYTHON'
import socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
control = listener.accept()[0]
control.sendall(b'220 ready\r\n')
for line in control.makefile():
    verb = line.split()[0].upper()
    reply = {'USER': '331 password', 'PASS': '230 in', 'PWD': '257 "/"',
             'TYPE': '200 ok'}.get(verb, '502 no')
    if verb == 'PASV':
        data = socket.create_server(('127.0.0.1', 0))
        port = data.getsockname()[1]
        reply = f'227 ok (127,0,0,1,{port >> 8},{port & 255})'
    elif verb == 'STOR':
        connection = data.accept()[0]
        control.sendall(b'150 go\r\n')
        connection.makefile('rb').read()
        connection.close()
        control.shutdown(socket.SHUT_RDWR)
        break
    control.sendall(reply.encode() + b'\r\n')
PYTHON
head -c 300000 /dev/zero >big

cat >ftp.js <<'NODE'
const client = new (require('ftp'))()
client.on('ready', () => client.put('big', 'big', error => {
  console.log('callback', error)
  process.exit(error ? 1 : 0)
}))
client.connect({host: '127.0.0.1', port: +process.argv[2], user: 'user', password: 'pw'})
NODE
cat >promise-ftp.js <<'NODE'
const client = new (require('promise-ftp'))()
client.connect({host: '127.0.0.1', port: +process.argv[2], user: 'user', password: 'pw'})
  .then(() => client.put('big', 'big'))
  .then(() => { console.log('resolved') }, error => { console.log('rejected'); process.exit(1) })
NODE
cat >basic-ftp.js <<'NODE'
const client = new (require('basic-ftp')).Client()
client.access({host: '127.0.0.1', port: +process.argv[2], user: 'user', password: 'pw'})
  .then(() => client.uploadFrom('big', 'big'))
  .then(() => { console.log('resolved') }, error => { console.log('rejected'); process.exit(1) })
NODE

seen=
for name in ftp promise-ftp basic-ftp; do
    exec 3< <(exec python3 server.py)
    pid=$!
    read -r -t 20 port <&3
    status=0
    timeout 60 node $name.js "$port" >words 2>&1 || status=$?
    kill "$pid" 2>/dev/null || true
    line="$name: exit $status, words: $(head -n 1 words)"
    echo "$line"
    seen+="$line;"
done
[ "$seen" = 'ftp: exit 0, words: ;promise-ftp: exit 0, words: ;basic-ftp: exit 1, words: rejected;' ] ||
    { echo 'This has changed.'; exit 1; }
echo 'As described.'
