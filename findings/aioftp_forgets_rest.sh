#!/usr/bin/env bash
# aioftp's server forgets REST at the next PASV: a resumed upload replaces the file by its end, with 226.
#
# Guess, written down before: between REST and STOR there may be EPSV or PASV, since a client has to send
#   one of them somewhere; a server that does not want that says so.
# Versions: aioftp 0.28.3 (as server), npm's ftp 0.3.10 as a client that sends REST first; for comparison
#   pyftpdlib 2.2.0 and ftplib as installed, which sends REST behind PASV.
# Seen, on the server the first 6 bytes of `0123456789`, resumed at 6:
#   aioftp, npm ftp: 350, 226, the file is `6789`
#   aioftp, ftplib: 350, 226, the file is `0123456789`
#   pyftpdlib, npm ftp: 350, 226, the file is `0123456789`
#   pyftpdlib, ftplib: 350, 226, the file is `0123456789`
#   The 350 was said; nothing takes it back. (RFC 959 wants the transfer right behind REST, so aioftp is
#   in its right; the other servers that we know are not so strict. What servers do with an offset behind the end of the
#   file differs as well: pyftpdlib 554, vsftpd a hole of NULs, Pure-FTPd appends; all but one with 226.)
# Who meets it: whoever resumes uploads by npm's ftp or promise-ftp (`restart`, then `put`): the part
#   that had arrived is destroyed, and both sides report success. Compare SIZE afterwards.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 aioftp==0.28.3 2>/dev/null
echo '{}' >package.json
npm install --silent --no-audit --no-fund ftp@0.3.10
venv/bin/python --version

cat >pyftpdlib_server.py <<'PYTHON'
import logging
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
logging.disable()
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user('user', 'pw', 'files', perm='elradfmw')
server = FTPServer(('127.0.0.1', 0), FTPHandler)
print(server.address[1], flush=True)
server.serve_forever()
PYTHON
cat >aioftp_server.py <<'PYTHON'
import asyncio, aioftp
async def main():
    server = aioftp.Server([aioftp.User('user', 'pw', base_path='files')])
    await server.start('127.0.0.1', 0)
    print(server.server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
PYTHON
cat >npm_ftp.js <<'NODE'
const client = new (require('ftp'))()
const done = error => { console.log(error ? error.message : 'ok'); process.exit() }
client.on('ready', () => client.restart(6, error => error ? done(error) :
  client.put(Buffer.from('6789'), 'name', done)))
client.connect({host: '127.0.0.1', port: +process.argv[2], user: 'user', password: 'pw'})
NODE
cat >ftplib_client.py <<'PYTHON'
import ftplib, io, sys
client = ftplib.FTP()
client.connect('127.0.0.1', int(sys.argv[1]), timeout=20)
client.login('user', 'pw')
client.storbinary('STOR name', io.BytesIO(b'6789'), rest=6)
print('ok')
PYTHON

seen=
for server in aioftp pyftpdlib; do
    mkdir -p files
    exec 3< <(exec venv/bin/python ${server}_server.py 2>log)
    pid=$!
    read -r -t 20 port <&3
    for client in 'node npm_ftp.js' 'python3 ftplib_client.py'; do
        printf 012345 >files/name
        # shellcheck disable=SC2086  # two words
        line="$server, ${client#* }: $(timeout 60 $client "$port"), $(cat files/name)"
        echo "$line"
        seen+="$line;"
    done
    kill "$pid" 2>/dev/null || true
done
wanted='aioftp, npm_ftp.js: ok, 6789;aioftp, ftplib_client.py: ok, 0123456789;'
wanted+='pyftpdlib, npm_ftp.js: ok, 0123456789;pyftpdlib, ftplib_client.py: ok, 0123456789;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
