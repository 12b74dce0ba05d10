#!/usr/bin/env bash
# Two uploads of one name at once leave a file with bytes that nobody has sent; both get 226.
#
# Guess, written down before: the later upload wins, or the file is a mixture of the bytes of both.
# Versions: pyftpdlib 2.2.0, aioftp 0.28.3 (as servers). ProFTPD 1.3.8 (AllowOverwrite on) and Pure-FTPd
#   1.0.50 do the same; vsftpd 3.0.3 lets the second one wait instead.
# Seen: A sends 1,000,000 times `A`; B then sends 10 times `B` whole; A sends 1,000,000 times `A` more.
#   pyftpdlib: 226 226, 2000000 bytes: 10 B, 999990 NUL, 1000000 A
#   aioftp: 226 226, 2000000 bytes: 10 B, 999990 NUL, 1000000 A
#   STOR truncates the file below the first upload, which goes on at its offset: a hole. The size is
#   that of A's file, so A's comparison of sizes is content as well.
# Who meets it: two exporters, or one that was started again while the server still had the old
#   connection, with a fixed temporary name (`name.part`, `name.tmp`): what is renamed into place has the
#   right size and is half zeros. Give each attempt a name of its own.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 aioftp==0.28.3 2>/dev/null
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
cat >client.py <<'PYTHON'
import ftplib, itertools, os, sys, time
port = int(sys.argv[1])
def login():
    client = ftplib.FTP()
    client.connect('127.0.0.1', port, timeout=20)
    client.login('user', 'pw')
    client.sendcmd('TYPE I')
    return client
first, second = login(), login()
one = first.transfercmd('STOR name.part')
one.sendall(b'A' * 1_000_000)
for _ in range(400):
    if os.path.exists('files/name.part') and os.path.getsize('files/name.part') >= 1_000_000:
        break
    time.sleep(0.05)
two = second.transfercmd('STOR name.part')
two.sendall(b'B' * 10)
two.close()
replies = [second.voidresp()[:3]]
one.sendall(b'A' * 1_000_000)
one.close()
replies.append(first.voidresp()[:3])
with open('files/name.part', 'rb') as stored:
    content = stored.read()
parts = [f'{len(list(group))} {chr(byte) if byte else "NUL"}'
         for byte, group in itertools.groupby(content)]
print(' '.join(replies) + f', {len(content)} bytes: ' + ', '.join(parts))
PYTHON

for server in pyftpdlib aioftp; do
    rm -rf files
    mkdir files
    exec 3< <(exec venv/bin/python ${server}_server.py 2>log)
    pid=$!
    read -r -t 20 port <&3
    line=$(timeout 60 python3 client.py "$port")
    kill "$pid" 2>/dev/null || true
    echo "$server: $line"
    [ "$line" = '226 226, 2000000 bytes: 10 B, 999990 NUL, 1000000 A' ] ||
        { echo 'This has changed.'; exit 1; }
done
echo 'As described.'
