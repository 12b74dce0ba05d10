#!/usr/bin/env bash
# How many replies ABOR brings depends on the server, and with pyftpdlib on whether a byte has arrived.
#
# Guess, written down before: ABOR during an upload brings two replies on every server, 426 for STOR and
#   226 for ABOR (RFC 959), whatever has been transferred so far.
# Versions: pyftpdlib 2.2.0; pure-ftpd 1.0.50-2.1+b2 (Debian 12), which needs root.
# Seen, the replies to ABOR up to that of the NOOP behind it:
#   pyftpdlib, no byte sent: 225 (one reply, none for STOR)
#   pyftpdlib, bytes stored: 426 226
#   pure-ftpd, no byte sent: 426 451
#   pure-ftpd, bytes stored: 426 451 (the second of several lines)
#   NOOP during an upload is `500 Unknown command` for pure-ftpd, which knows it a moment later.
#   (vsftpd 3.0.3 answers nothing until the client closes the data connection, and then 226, as if
#   all were well, and 225.)
# Who meets it: a client that stops an upload and goes on with the connection: it waits for a reply that
#   does not come, or takes the second one for that of its next command. Keep-alives by NOOP are
#   counted wrongly for the same reason. Close the connection instead.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
[ "$(id -u)" = 0 ] || { echo 'This needs root.'; exit 1; }

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 2>/dev/null
apt-get download -qq -o APT::Sandbox::User=root pure-ftpd=1.0.50-2.1+b2
dpkg -x pure-ftpd_*.deb root
dpkg-deb -f pure-ftpd_*.deb Package Version
mkdir files
chown 65534 files
echo "user:$(openssl passwd -6 pw):65534:65534::$work/files/./::::::::::::" >users
root/usr/bin/pure-pw mkdb users.pdb -f users
cat >server.py <<'PYTHON'
import logging, sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
logging.disable()
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user('user', 'pw', 'files', perm='elradfmw')
FTPServer(('127.0.0.1', int(sys.argv[1])), FTPHandler).serve_forever()
PYTHON
cat >client.py <<'PYTHON'
import ftplib, os, sys, time
def login():
    client = ftplib.FTP()
    for _ in range(200):
        try:
            client.connect('127.0.0.1', int(sys.argv[1]), timeout=20)
            break
        except OSError:
            time.sleep(0.05)
    client.login('user', 'pw')
    client.sendcmd('TYPE I')
    return client
def replies(name, size):
    client = login()
    data = client.transfercmd(f'STOR {name}')
    data.sendall(bytes(size))
    for _ in range(400):
        if os.path.exists(f'files/{name}') and os.path.getsize(f'files/{name}') == size:
            break
        time.sleep(0.05)
    client.putcmd('ABOR')
    found = [client.getmultiline()[:3]]
    if found == ['426']:
        found.append(client.getmultiline()[:3])
    client.putcmd('NOOP')
    assert client.getmultiline()[:3] == '200'
    client.close()
    return ' '.join(found)
client = login()
data = client.transfercmd('STOR noop')
client.putcmd('NOOP')
print(f'none: {replies("none", 0)}, some: {replies("some", 65536)},',
      f'NOOP: {client.getmultiline()[:3]}')
PYTHON
seen=
for server in pyftpdlib pure-ftpd; do
    port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
    if [ $server = pyftpdlib ]; then
        venv/bin/python server.py "$port" >/dev/null 2>&1 &
    else
        root/usr/sbin/pure-ftpd --bind "127.0.0.1,$port" --ipv4only --login "puredb:$work/users.pdb" \
            --chrooteveryone --noanonymous --dontresolve --minuid 1 --syslogfacility none \
            --pidfile "$work/pid" >/dev/null 2>&1 &
    fi
    pid=$!
    line="$server: $(timeout 60 python3 client.py "$port")"
    kill "$pid" 2>/dev/null || true
    rm -f files/*
    echo "$line"
    seen+="$line;"
done
wanted='pyftpdlib: none: 225, some: 426 226, NOOP: 200;'
wanted+='pure-ftpd: none: 426 451, some: 426 451, NOOP: 500;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
