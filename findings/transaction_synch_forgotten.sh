#!/usr/bin/env bash
# transaction: a synchronizer that nobody else keeps is never called, and registering it says nothing.
#
# Guess, written down before: registerSynch keeps what it is given until unregisterSynch, as addAfterCommitHook keeps its
#   hook, and as the interface reads (ITransactionManager does not say that the reference is weak).
# Version: transaction 5.1.
# Seen, registered, and then a transaction is committed:
#   manager.registerSynch(Synchronizer()): not called
#   the same, with the object in a global name: called
#   addAfterCommitHook(lambda ...): called
# Who meets it: whoever flushes, delivers or cleans up at the end of each transaction by a synchronizer that a setup
#   function or a handler of ZCML makes: it works in a test, which has it in a variable, and not in the application.
#   Keep it in a name of the module.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check transaction==5.1 2>/dev/null

cat >look.py <<'PYTHON'
import gc, sys
import transaction
from transaction.interfaces import ITransactionManager
called = []

class Synchronizer:
    def __init__(self, name):
        self.name = name
    def newTransaction(self, transaction):
        pass
    def beforeCompletion(self, transaction):
        called.append(self.name)
    afterCompletion = newTransaction

transaction.manager.registerSynch(Synchronizer('made and passed on'))
kept = Synchronizer('kept')
transaction.manager.registerSynch(kept)
transaction.get().addAfterCommitHook(lambda success: called.append('hook'))
gc.collect()
transaction.commit()
print('called:', *called, sep='\n  ')
told = 'weak' in ITransactionManager['registerSynch'].__doc__.lower()
print('registerSynch tells of a weak reference:', told)
sys.exit(called != ['kept', 'hook'] or told)
PYTHON
venv/bin/python look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
