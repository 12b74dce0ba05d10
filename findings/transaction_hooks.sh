#!/usr/bin/env bash
# transaction's hooks: they outlive a rollback, miss a failure, and keep a process from ending.
#
# Guesses, written down before:
#   1. a hook that was added behind a savepoint is gone after the rollback to it;
#   2. an after-commit hook is called with False whenever commit() fails;
#   3. SystemExit in an after-commit hook (a handler of SIGTERM calls sys.exit) ends the process: what
#      the package logs instead of raising is an Exception, not each BaseException.
# Version: transaction 5.1.
# Seen:
#   1. hook behind a savepoint, rolled back: called with True
#   2. a before-commit hook fails: not called; a data manager's vote fails: called with False
#   3. SystemExit in the hook: commit() returns, the program goes on, the log has 1 error
# Who meets it: whoever sends mail, wakes a worker or starts a delivery from an after-commit hook:
#   1. it is done for work that was taken back; 2. what the hook was to clean up stays; 3. the stop by
#   systemd or a supervisor that arrives during the hook is lost, and SIGKILL follows.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check transaction==5.1 2>/dev/null
venv/bin/python --version

cat >look.py <<'PYTHON'
import logging, os, signal, sys
import transaction
errors = []
handler = logging.Handler(logging.ERROR)
handler.emit = errors.append
logging.getLogger().addHandler(handler)
called = []

class Manager:
    transaction_manager = transaction.manager
    def __init__(self, vote=None):
        self.vote = vote
    def sortKey(self):
        return 'manager'
    def savepoint(self):
        return self
    def nothing(self, *arguments):
        pass
    rollback = abort = tpc_begin = commit = tpc_finish = tpc_abort = nothing
    def tpc_vote(self, transaction):
        if self.vote:
            raise self.vote

def run(vote=None):
    called.clear()
    current = transaction.begin()
    current.join(Manager(vote))
    return current

current = run()
savepoint = current.savepoint()
current.addAfterCommitHook(called.append)
savepoint.rollback()
current.commit()
seen = [f'savepoint {called}']

def fail():
    raise ValueError('before commit')
for reason in ('hook', 'vote'):
    current = run(ValueError('vote') if reason == 'vote' else None)
    current.addAfterCommitHook(called.append)
    if reason == 'hook':
        current.addBeforeCommitHook(fail)
    try:
        current.commit()
        seen.append('no error')
    except ValueError:
        seen.append(f'{reason} fails {called}')
    transaction.abort()

signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
current = run()
current.addAfterCommitHook(lambda status: os.kill(os.getpid(), signal.SIGTERM))
errors.clear()
current.commit()
seen.append(f'still there, {len(errors)} error logged')
print(*seen, sep='\n')
sys.exit(seen != ['savepoint [True]', 'hook fails []', 'vote fails [False]',
                  'still there, 1 error logged'])
PYTHON
venv/bin/python look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
