#!/usr/bin/env bash
# A log line raises in the program when the log file cannot be opened again after its rotation.
#
# Guess, written down before: logging never raises in the code that logs; what fails in a handler goes
#   to Handler.handleError, which writes to stderr at most.
# Versions: logging of the Python that runs this (3.11.7 and 3.11.2 tried), no further package.
# Seen, with WatchedFileHandler, the handler that is made for logrotate:
#   write fails (the disk is full): the line is lost, nothing is raised
#   rotated, the new file belongs to root (logrotate: create 0600 root root): PermissionError
#   the directory is gone (a mount that is not there): FileNotFoundError
#   the directory is there again: the next line is written
#   Each line raises in `log.info(...)` itself, also with logging.raiseExceptions = False.
# Who meets it: a service that runs as a user of its own, with a logrotate file that creates the log
#   as root: from midnight on, whatever it does ends at its first log line, and the error is about a
#   log file. If it deletes or files something and logs before, the one is done and the other not.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
python3 --version

cat >look.py <<'PYTHON'
import logging, logging.handlers, os, sys
logging.raiseExceptions = False
os.mkdir('logs')
if os.geteuid() == 0:
    os.chown('logs', 65534, 65534)
    os.seteuid(65534)
os.mkdir('logs/service')
os.chdir('logs/service')
handler = logging.handlers.WatchedFileHandler('service.log')
log = logging.getLogger('service')
log.addHandler(handler)
log.setLevel(logging.INFO)

def line():
    try:
        log.info('a line')
    except Exception as error:
        return type(error).__name__
    return 'nothing raised'

seen = [f'first: {line()}']
full = logging.StreamHandler(open('/dev/full', 'w', buffering=1))
log.addHandler(full)
seen.append(f'disk full: {line()}')
log.removeHandler(full)
os.rename('service.log', 'service.log.1')
os.close(os.open('service.log', os.O_CREAT | os.O_WRONLY, 0o400))
seen.append(f'rotated, not ours: {line()}')
os.unlink('service.log')
seen.append(f'rotated, none there: {line()}')
os.rename('../service', '../moved')
seen.append(f'no directory: {line()}')
os.mkdir('../service')
seen.append(f'directory again: {line()}, {os.path.getsize("../service/service.log")} bytes')
print(*seen, sep='\n')
sys.exit(seen != [
    'first: nothing raised', 'disk full: nothing raised', 'rotated, not ours: PermissionError',
    'rotated, none there: nothing raised', 'no directory: FileNotFoundError',
    'directory again: nothing raised, 7 bytes'])
PYTHON
python3 look.py 2>stderr || { cat stderr; echo 'This has changed.'; exit 1; }
echo 'As described.'
