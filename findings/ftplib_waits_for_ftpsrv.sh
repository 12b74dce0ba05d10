#!/usr/bin/env bash
# Python's ftplib and npm's ftp-srv wait for each other: no transfer over TLS ever begins.
#
# Guess, written down before: both follow RFC 4217, so what curl can upload, ftplib.FTP_TLS can.
# Versions: ftp-srv 4.6.3 (npm); Python, curl and node as installed (seen with Python 3.11).
# Seen: ftplib: 425 No connection established, after 5 s; curl: done.
#   RFC 4217 section 7 leaves open what comes first, 150 or the handshake of the data connection.
#   ftplib begins the handshake when 150 has come, and ftp-srv says 150 when it has shaken hands.
#   A client has to begin it as soon as the data connection is made, without waiting for 150; with
#   vsftpd, ProFTPD, Pure-FTPd and pyftpdlib both ways work. (Now and then the handshake of the login
#   itself fails, with either client: ftp-srv answers AUTH before it is ready. It is tried again here.)
# Who meets it: whoever uploads, downloads or lists by Python's standard library at a partner's ftp-srv:
#   login and single commands work, each transfer fails after five seconds, and looks like a firewall.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

echo '{}' >package.json
npm install --silent --no-audit --no-fund ftp-srv@4.6.3
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 \
    -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem 2>/dev/null
python3 --version
curl --version | head -n 1
mkdir root
echo content >file

cat >server.js <<'NODE'
const fs = require('fs')
const { FtpSrv } = require('ftp-srv')
const port = process.argv[2]
const quiet = require('bunyan').createLogger({ name: 'quiet', level: 100 })
const tls = { cert: fs.readFileSync('cert.pem'), key: fs.readFileSync('key.pem') }
const server = new FtpSrv({ url: 'ftp://127.0.0.1:' + port, pasv_url: '127.0.0.1', tls, log: quiet })
server.on('login', (given, resolve) => resolve({ root: 'root' }))
server.on('client-error', () => {})
server.listen().then(() => console.log('ready'))
NODE
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
exec 3< <(exec node server.js "$port" 2>server.log)
pid=$!
read -r -t 30 _ <&3

cat >client.py <<'PYTHON'
import ftplib, ssl, sys
for _ in range(50):
    ftp = ftplib.FTP_TLS(context=ssl.create_default_context(cafile='cert.pem'))
    ftp.connect('127.0.0.1', int(sys.argv[1]), timeout=30)
    try:
        ftp.login('user', 'password')
        break
    except ssl.SSLError:
        pass  # the server was not ready for the handshake
ftp.prot_p()
with open('file', 'rb') as file:
    try:
        print(ftp.storbinary('STOR by-ftplib', file))
    except ftplib.error_temp as error:
        print(error)
PYTHON
said=$(timeout 60 python3 client.py "$port")
echo "ftplib: $said"
for _ in {1..50}; do
    status=0
    timeout 60 curl -sS --ssl-reqd --cacert cert.pem -T file \
        "ftp://user:password@127.0.0.1:$port/by-curl" || status=$?
    [ $status = 35 ] || break # the same
done
echo "curl: exit $status, stored: $(ls root | tr '\n' ' ')"
[[ $said == '425 No connection established' && $status = 0 ]] && cmp -s file root/by-curl ||
    { echo 'This has changed.'; exit 1; }
echo 'As described.'
