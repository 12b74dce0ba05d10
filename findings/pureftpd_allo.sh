#!/usr/bin/env bash
# Pure-FTPd means ALLO: it says before an upload whether there is room for the file.
#
# Guess, written down before: ALLO is answered with 200 or 202 whatever the number is, as by all other
#   servers of today ("202 No storage allocation necessary").
# Versions: pure-ftpd 1.0.50-2.1+b2 (Debian 12), needs root; pyftpdlib 2.2.0 for comparison. (ProFTPD
#   1.3.8 and vsftpd 3.0.3 answer with 202 to any number, too.)
# Seen:
#   pure-ftpd: ALLO 4: 200; ALLO twice the free space of the disk: 552 Disk full; ALLO 4: 200
#   pyftpdlib: ALLO 4: 202; ALLO twice the free space of the disk: 202; ALLO 4: 202
# Who meets it: a client that sends ALLO out of politeness, and takes anything but 2yz for "not known":
#   it goes on, uploads, and finds the disk full at the end. One that reads it has the answer that
#   otherwise costs a whole upload, a 452, and what that leaves under the name.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
[ "$(id -u)" = 0 ] || { echo 'This needs root.'; exit 1; }

apt-get download -qq -o APT::Sandbox::User=root pure-ftpd=1.0.50-2.1+b2
dpkg -x pure-ftpd_*.deb root
dpkg-deb -f pure-ftpd_*.deb Package Version
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 2>/dev/null
mkdir files
echo "user:$(openssl passwd -6 pw):65534:65534::$work/files/./::::::::::::" >users
root/usr/bin/pure-pw mkdb users.pdb -f users
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
root/usr/sbin/pure-ftpd --bind "127.0.0.1,$port" --ipv4only --login "puredb:$work/users.pdb" \
    --chrooteveryone --noanonymous --dontresolve --minuid 1 --syslogfacility none \
    --pidfile "$work/pid" >/dev/null 2>&1 &
pid=$!

cat >client.py <<'PYTHON'
import ftplib, shutil, sys, threading, time
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer
import logging; logging.disable()
client = ftplib.FTP()
for _ in range(200):
    try:
        client.connect('127.0.0.1', int(sys.argv[1]), timeout=20)
        break
    except OSError:
        time.sleep(0.05)
client.login('user', 'pw')

def replies(client):
    found = []
    free = shutil.disk_usage('files').free
    for number in (4, 2 * free, 4):
        try:
            found.append(client.sendcmd(f'ALLO {number}')[:3])
        except ftplib.error_perm as error:
            found.append(str(error)[:3])
    client.quit()
    return ' '.join(found)

seen = [f'pure-ftpd: {replies(client)}']
authorizer = DummyAuthorizer()
authorizer.add_user('user', 'pw', 'files', perm='elradfmw')
handler = type('Handler', (FTPHandler,), {'authorizer': authorizer})
server = ThreadedFTPServer(('127.0.0.1', 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = ftplib.FTP()
client.connect(*server.address, timeout=20)
client.login('user', 'pw')
seen.append(f'pyftpdlib: {replies(client)}')
print(*seen, sep='\n')
sys.exit(seen != ['pure-ftpd: 200 552 200', 'pyftpdlib: 202 202 202'])
PYTHON
timeout 60 venv/bin/python client.py "$port" || { echo 'This has changed.'; exit 1; }
echo 'As described.'
