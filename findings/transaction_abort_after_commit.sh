#!/usr/bin/env bash
# transaction calls abort() behind tpc_finish() as soon as anybody has an after-commit hook.
#
# Guess, written down before: after a successful tpc_finish() a data manager is not called again; and
#   a hook of another package changes nothing in what mine is called for.
# Versions: transaction 5.1, repoze.sendmail 4.5 (a data manager that people have in use).
# Seen:
#   no hook: tpc_begin commit tpc_vote tpc_finish
#   after-commit hook: tpc_begin commit tpc_vote tpc_finish abort
#   after-abort hook, transaction aborted: abort abort
#   repoze.sendmail, no hook: 1 message delivered, 0 errors logged
#   repoze.sendmail, after-commit hook: 1 message delivered, 1 errors logged
#     (TransactionCommitted: Cannot commit--already  committed.)
# Who meets it: whoever writes a data manager for something else than a database: an outbox, a queue,
#   a spool. If abort() removes the file that commit() or tpc_finish() has put in place, it does so
#   in those processes only in which another package happens to use an after-commit hook. Forget in
#   tpc_finish() what abort() would undo.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check transaction==5.1 repoze.sendmail==4.5 2>/dev/null
venv/bin/python --version

cat >look.py <<'PYTHON'
import email.message, logging, os, sys
import repoze.sendmail.delivery, transaction
errors = []
handler = logging.Handler(logging.ERROR)
handler.emit = errors.append
logging.getLogger().addHandler(handler)

class Manager:
    transaction_manager = transaction.manager
    def __init__(self):
        self.calls = []
    def sortKey(self):
        return 'manager'
    def __getattr__(self, name):
        if name not in ('abort', 'tpc_begin', 'commit', 'tpc_vote', 'tpc_finish', 'tpc_abort'):
            raise AttributeError(name)
        return lambda transaction: self.calls.append(name)

def run(hook=None, abort=False):
    manager = Manager()
    current = transaction.begin()
    current.join(manager)
    if hook:
        getattr(current, hook)(lambda *status: None)
    current.abort() if abort else current.commit()
    return ' '.join(manager.calls)

def send(name, hook):
    current = transaction.begin()
    if hook:
        current.addAfterCommitHook(lambda status: None)
    message = email.message.Message()
    message['Subject'] = 'A message'
    delivery = repoze.sendmail.delivery.QueuedMailDelivery(name)
    delivery.send('from@example.com', ['to@example.com'], message)
    errors.clear()
    current.commit()
    return f'{len(os.listdir(name + "/new"))} message delivered, {len(errors)} errors logged'

seen = [
    f'no hook: {run()}',
    f'after-commit hook: {run("addAfterCommitHook")}',
    f'after-abort hook, transaction aborted: {run("addAfterAbortHook", abort=True)}',
    f'repoze.sendmail, no hook: {send("one", False)}',
    f'repoze.sendmail, after-commit hook: {send("two", True)}',
]
print(*seen, sep='\n')
sys.exit(seen != [
    'no hook: tpc_begin commit tpc_vote tpc_finish',
    'after-commit hook: tpc_begin commit tpc_vote tpc_finish abort',
    'after-abort hook, transaction aborted: abort abort',
    'repoze.sendmail, no hook: 1 message delivered, 0 errors logged',
    'repoze.sendmail, after-commit hook: 1 message delivered, 1 errors logged',
])
PYTHON
venv/bin/python look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
