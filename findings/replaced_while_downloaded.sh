#!/usr/bin/env bash
# A download of a file that is replaced meanwhile ends early, with 226, and clients call it whole.
#
# Guess, written down before: when the file gets shorter than what the server has announced (SIZE, or the
#   number in 150), it ends the transfer by 426 or 451, or goes on with the old content.
# Versions: pyftpdlib 2.2.0 (as server); ftplib, wget and curl as installed. aioftp 0.28.3 and ProFTPD
#   1.3.8 say 226 as well, vsftpd 3.0.3 426 (of a file that is truncated on disk), Pure-FTPd 1.0.50 451.
# Seen: a file of 60,000,000 bytes is overwritten by STOR with 5 bytes once its download has begun:
#   ftplib: `226 Transfer complete.`, a part
#   wget: exit 0, a part, although it asks SIZE and writes `Length: 60000000`
#   curl: exit 18, a part ("transfer closed with ... bytes remaining to read")
# Who meets it: whoever fetches from a directory in which a sender overwrites files in place: the local
#   file is the old version's beginning. A rename of the new version onto the old one lets the
#   download go on with the old content; so upload under another name.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export HOME=$work LC_ALL=C

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 2>/dev/null
wget --version | sed -n 1p
curl --version | sed -n 1p

cat >server.py <<'PYTHON'
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
cat >client.py <<'PYTHON'
import ftplib, io, sys
def login():
    client = ftplib.FTP()
    client.connect('127.0.0.1', int(sys.argv[2]), timeout=20)
    client.login('user', 'pw')
    return client
count = 0
def take(block):
    global count
    if not count:
        login().storbinary('STOR big', io.BytesIO(b'short'))
    count += len(block)
if sys.argv[1] == 'ftplib':
    print(login().retrbinary('RETR big', take), end=' ')
else:  # what another client writes
    while block := sys.stdin.buffer.read1(1000):
        take(block)
print('whole' if count == 60_000_000 else 'part' if count > 5 else count)
PYTHON
mkdir files
exec 3< <(exec venv/bin/python server.py 2>log)
pid=$!
read -r -t 20 port <&3
url="ftp://user:pw@127.0.0.1:$port/big"
seen=
# run NAME COMMAND...
run() {
    local name=$1 line status
    shift
    truncate -s 60000000 files/big
    line=$({ timeout 60 "$@" 2>words || echo $? >status; } | timeout 60 python3 client.py pipe "$port")
    status=$(cat status 2>/dev/null || echo 0)
    echo "$name: exit $status, $line"
    seen+="$name: exit $status, $line;"
}
truncate -s 60000000 files/big
line=$(timeout 60 python3 client.py ftplib "$port")
echo "ftplib: $line"
seen+="ftplib: $line;"
run wget wget --tries=2 -O - "$url"
grep -q 'Length: 60000000' words
run curl curl -sS "$url"
[ "$seen" = 'ftplib: 226 Transfer complete. part;wget: exit 0, part;curl: exit 18, part;' ] ||
    { echo 'This has changed.'; exit 1; }
echo 'As described.'
