#!/usr/bin/env bash
# pyftpdlib answers what comes behind a wrong password first, and the password seconds later.
#
# Guess, written down before: replies come in the order of the commands, also of a login that fails; if a
#   server delays that reply, against who guesses passwords, whatever comes behind it waits.
# Versions: pyftpdlib 2.2.0; for comparison Twisted 26.10.0.
# Seen, for USER user, then PASS wrong, TYPE I and SYST in one packet:
#   pyftpdlib: 530 Log in with USER and PASS first. | 215 UNIX Type: L8 | 530 Authentication failed.
#   Twisted: 530 Sorry, Authentication failed. | 530 Please login with USER and PASS. (twice)
#   With the right password both answer in order.  A later success cannot be taken for that of the
#   password either: 215 comes where the reply to TYPE is due.
# Who meets it: clients that send PASS together with what comes next, to save round trips: the reason
#   that they show for the refused login is that of another command, and in a log "Authentication failed"
#   is missing. With each wrong password only, so it shows when somebody has changed it.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 Twisted==26.10.0 2>/dev/null
mkdir files

cat >pyftpdlib_server.py <<'PYTHON'
import logging
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
logging.disable()
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user('user', 'pw', 'files')
server = FTPServer(('127.0.0.1', 0), FTPHandler)
print(server.address[1], flush=True)
server.serve_forever()
PYTHON
cat >twisted_server.py <<'PYTHON'
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet import reactor
from twisted.protocols.ftp import FTPFactory, FTPRealm
checker = InMemoryUsernamePasswordDatabaseDontUse()
checker.addUser('user', 'pw')
port = reactor.listenTCP(0, FTPFactory(Portal(FTPRealm('files'), [checker])), interface='127.0.0.1')
print(port.getHost().port, flush=True)
reactor.run()
PYTHON
cat >client.py <<'PYTHON'
import socket, sys
port, password = int(sys.argv[1]), sys.argv[2]
with socket.create_connection(('127.0.0.1', port), timeout=20) as sock, sock.makefile('rb') as replies:
    def reply():
        while not (line := replies.readline())[3:4] == b' ':
            assert line, 'the connection has ended'
        return line.decode().strip()
    reply()
    sock.sendall(b'USER user\r\n')
    reply()
    sock.sendall(f'PASS {password}\r\nTYPE I\r\nSYST\r\n'.encode())
    print(' | '.join(reply()[:3] for _ in range(3)))
PYTHON

seen=
for server in pyftpdlib twisted; do
    exec 3< <(exec venv/bin/python ${server}_server.py 2>log)
    pid=$!
    read -r -t 20 port <&3
    for password in pw wrong; do
        line="$server, $password: $(timeout 60 venv/bin/python client.py "$port" "$password")"
        echo "$line"
        seen+="$line;"
    done
    kill "$pid" 2>/dev/null || true
done
wanted='pyftpdlib, pw: 230 | 200 | 215;pyftpdlib, wrong: 530 | 215 | 530;'
wanted+='twisted, pw: 230 | 200 | 215;twisted, wrong: 530 | 530 | 530;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
