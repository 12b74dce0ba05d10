#!/usr/bin/env bash
# lftp's `mirror -R` deletes the file on the server before it sends the new version, also if that is refused.
#
# Guess, written down before: a correction is sent by STOR onto the old file, as `put` does, or under another name;
#   if the server refuses it, the old version is there.
# Versions: lftp 4.9.2-2+b1 (Debian 12), pyftpdlib 2.2.0 (server).
# Seen, of a file that is newer, and longer, here:
#   mirror -R: DELE article, STOR article
#   mirror -R, STOR answered by 552 (quota): exit 1, there is no article on the server any more
#   mirror -R --overwrite, 552: STOR article; exit 1, the old version is there
#   put, 552: STOR article; exit 1, the old version is there
#   set xfer:use-temp-file yes; mirror -R, 552: STOR of another name; exit 1, the old version is there
#   (The manual has `--overwrite`, "overwrite plain files without removing them first".)
# Who meets it: a partner who reads while a mirror is at work finds no article where there was one before, for as
#   long as the upload takes; and when the server is full, corrections take away what was published. Set
#   xfer:use-temp-file; `--overwrite` alone shows him half of the new one.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root lftp=4.9.2-2+b1
dpkg -x lftp_*.deb root
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 2>/dev/null
export HOME=$work
root/usr/bin/lftp --version | sed -n 1p

cat >server.py <<'PYTHON'
import logging, sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
logging.disable(logging.CRITICAL)

class Handler(FTPHandler):
    authorizer = DummyAuthorizer()
    def pre_process_command(self, line, command, argument):
        if command in ('STOR', 'DELE', 'APPE', 'RNFR', 'RNTO'):
            with open('commands', 'a') as file:
                print(command, file=file)
        super().pre_process_command(line, command, argument)
    def ftp_STOR(self, path, mode='w'):
        if sys.argv[1] == 'full':
            self.respond('552 Quota exceeded.')
        else:
            super().ftp_STOR(path, mode)

Handler.authorizer.add_user('user', 'pw', 'served', perm='elradfmwMT')
server = FTPServer(('127.0.0.1', 0), Handler)
print(server.address[1], flush=True)
server.serve_forever()
PYTHON

mkdir here served
seen=
# look HOW COMMAND: one line with the commands, the exit status and what is on the server
look() {
    local status=0
    echo 'old' >served/article
    echo 'corrected' >here/article
    touch -d '2026-01-01' served/article
    : >commands
    exec 3< <(exec venv/bin/python -W ignore server.py "$1")
    pid=$!
    read -r -t 20 port <&3
    timeout 60 root/usr/bin/lftp -c "set net:max-retries 1; open ftp://user:pw@127.0.0.1:$port; $2" \
        >/dev/null 2>&1 </dev/null || status=$?
    kill "$pid"
    line="$1, $2: $(tr '\n' ' ' <commands)exit $status, $(cat served/article 2>/dev/null || echo nothing)"
    echo "$line"
    seen+="$line;"
    rm -f served/*
}
look well 'mirror -R here /'
look full 'mirror -R here /'
look full 'mirror -R --overwrite here /'
look full 'put -O / here/article'
look full 'set xfer:use-temp-file yes; mirror -R here /'
wanted='well, mirror -R here /: DELE STOR exit 0, corrected;full, mirror -R here /: DELE STOR exit 1, nothing;'
wanted+='full, mirror -R --overwrite here /: STOR exit 1, old;full, put -O / here/article: STOR exit 1, old;'
wanted+='full, set xfer:use-temp-file yes; mirror -R here /: STOR exit 1, old;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
