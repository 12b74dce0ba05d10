#!/usr/bin/env bash
# aioftp answers commands in another order than they were sent in.
#
# Guess, written down before: commands in one packet are answered one after the other; at worst only
#   the first one is answered.
# Versions: aioftp 0.28.3, pyftpdlib 2.2.0 beside it (as servers).
# Seen: EPSV, PWD and SYST in one packet, 20 times on connections of their own.
#   aioftp: 257 215 229, each time
#   pyftpdlib: 229 257 215, each time
#   Each command is a task of its own; EPSV has to wait for a listening socket, and the others overtake
#   it. The replies have no names in them by which a client could tell them apart.
# Who meets it: a client that sends several commands at once to save round trips, and takes the first
#   reply for that to the first command: a working directory for a port, or "250" of CWD for the 229.
#   Send one at a time to a server whose first reply does not fit.
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
import socket, sys
orders = set()
for _ in range(20):
    with socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20) as control:
        lines = control.makefile('rb')
        lines.readline()
        for command in (b'USER user\r\n', b'PASS pw\r\n'):
            control.sendall(command)
            lines.readline()
        control.sendall(b'EPSV\r\nPWD\r\nSYST\r\n')
        orders.add(' '.join(lines.readline()[:3].decode() for _ in range(3)))
print(', '.join(sorted(orders)))
PYTHON

expect() {
    rm -rf files
    mkdir files
    exec 3< <(exec venv/bin/python "$1_server.py" 2>log)
    pid=$!
    read -r -t 20 port <&3
    line=$(timeout 60 python3 client.py "$port")
    kill "$pid" 2>/dev/null || true
    echo "$1: $line"
    [ "$line" = "$2" ] || { echo 'This has changed.'; exit 1; }
}
expect aioftp '257 215 229'
expect pyftpdlib '229 257 215'
echo 'As described.'
