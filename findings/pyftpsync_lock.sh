#!/usr/bin/env bash
# pyftpsync writes a lock file that keeps nobody out, and removes that of another.
#
# Guess, written down before: a second pyftpsync that finds .pyftpsync-lock.json in the directory waits or
#   gives up, and the lock is there until the last one has ended.
# Versions: pyftpsync 4.1.0, pyftpdlib 2.2.0 (as server).
# Seen, of two that are connected to one directory:
#   first: lock there; second: no error, lock there
#   the content of the lock is now the second's; it names nobody (lock_holder: null)
#   first closed: lock gone, while the second one is still at work
#   second closed: raises error_perm (550 No such file or directory.)
#   The file is for the clock (its MDTM tells how far the server's is off), but its name says lock.
# Who meets it: two jobs of pyftpsync on one directory, each sure to be alone; and whoever builds upon the
#   file: its absence does not say that nobody is at work. The second job ends with an error although
#   all went well.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export HOME=$work

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpsync==4.1.0 pyftpdlib==2.2.0 \
    'setuptools==79.0.1' 2>/dev/null
venv/bin/python --version

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
import json, os, sys
from ftpsync.ftp_target import FTPTarget
LOCK = 'files/.pyftpsync-lock.json'

def target():
    made = FTPTarget('/', '127.0.0.1', port=int(sys.argv[1]), username='user', password='pw',
                     extra_opts={'verbose': 0})
    try:
        made.open()
    except Exception as error:
        seen.append(f'open: {type(error).__name__}')
    return made

def close(made):
    try:
        made.close()
    except Exception as error:
        return f'{type(error).__name__} {str(error)[:3]}'
    return 'no error'

def content():
    with open(LOCK) as lock:
        return json.load(lock)

seen = []
first = target()
before = content()
seen.append(f'first: lock {os.path.exists(LOCK)}, holder {before["lock_holder"]}')
second = target()
seen.append(f'second: lock {os.path.exists(LOCK)}, new content {content() != before}')
seen.append(f'first closed: {close(first)}, lock {os.path.exists(LOCK)}')
seen.append(f'second closed: {close(second)}')
print(*seen, sep='\n')
sys.exit(seen != ['first: lock True, holder None', 'second: lock True, new content True',
                  'first closed: no error, lock False', 'second closed: error_perm 550'])
PYTHON
mkdir files
exec 3< <(exec venv/bin/python server.py 2>log)
pid=$!
read -r -t 20 port <&3
timeout 60 venv/bin/python -W ignore client.py "$port" 2>errors || { echo 'This has changed.'; exit 1; }
echo 'As described.'
