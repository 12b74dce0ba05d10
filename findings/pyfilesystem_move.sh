#!/usr/bin/env bash
# PyFilesystem2's move on an FTP server is no rename: it fetches the file and sends it again.
#
# Guess, written down before: `FTPFS.move` within one server is RNFR and RNTO, as rename(2) on a disk, so
#   that a file has its name whole or not at all, and only one of two movers gets it.
# Versions: fs 2.4.16 (PyFilesystem2), pyftpdlib 2.2.0 (as server); fsspec 2026.9.0 for comparison.
# Seen, the commands that change or transfer something:
#   fs move: STOR /final, RETR /name.part, DELE /name.part
#   fsspec mv: RNFR /name.part, RNTO /final
#   STOR comes first: while the file is on its way, in both directions, the target's name shows a part.
# Who meets it: whoever uploads under another name and calls `move` to be safe from half files: it is
#   the move that shows them. And a lock that is taken by moving a file is taken by two. Use the
#   `ftp` attribute of the file system: `filesystem.ftp.rename(...)`.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check fs==2.4.16 fsspec==2026.9.0 pyftpdlib==2.2.0 \
    'setuptools==79.0.1' 2>/dev/null
venv/bin/python --version

cat >server.py <<'PYTHON'
import logging, sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
logging.disable()
class Handler(FTPHandler):
    authorizer = DummyAuthorizer()
    def pre_process_command(self, line, command, argument):
        if command in ('STOR', 'RETR', 'DELE', 'RNFR', 'RNTO'):
            print(command, argument, file=sys.stderr, flush=True)
        super().pre_process_command(line, command, argument)
Handler.authorizer.add_user('user', 'pw', 'files', perm='elradfmw')
server = FTPServer(('127.0.0.1', 0), Handler)
print(server.address[1], flush=True)
server.serve_forever()
PYTHON
cat >client.py <<'PYTHON'
import sys
name, port = sys.argv[1], int(sys.argv[2])
if name == 'fs':
    import fs.ftpfs
    filesystem = fs.ftpfs.FTPFS('127.0.0.1', 'user', 'pw', port=port)
    filesystem.move('/name.part', '/final', overwrite=True)
    filesystem.close()
else:
    import fsspec
    fsspec.filesystem('ftp', host='127.0.0.1', port=port, username='user', password='pw').mv(
        '/name.part', '/final')
PYTHON
mkdir files
seen=
for name in fs fsspec; do
    rm -f files/*
    echo content >files/name.part
    exec 3< <(exec venv/bin/python server.py 2>log)
    pid=$!
    read -r -t 20 port <&3
    timeout 60 venv/bin/python -W ignore client.py $name "$port"
    kill "$pid" 2>/dev/null || true
    line="$name: $(paste -sd, log), $(cat files/final)"
    echo "$line"
    seen+="$line;"
done
wanted='fs: STOR /final,RETR /name.part,DELE /name.part, content;'
[ "$seen" = "${wanted}fsspec: RNFR /name.part,RNTO /final, content;" ] ||
    { echo 'This has changed.'; exit 1; }
echo 'As described.'
