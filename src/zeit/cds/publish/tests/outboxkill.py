"""A program that kills transactions at each of their steps: `outboxkill.py FOLDER SCENARIO`.

For each step there is a process of its own, forked from this one, which has a spool in
`FOLDER/N/spool` and kills itself by SIGKILL before its Nth use of the spool's directories; the
last one is not killed any more.  `FOLDER/N/application` exists if the application has committed.
It prints N of the last one.
"""

import itertools
import os
import pathlib
import signal
import sys

import transaction
import zope.component
import zope.interface
from transaction.interfaces import ISavepointDataManager

from zeit.cds.interfaces import ISpool, ITransactionOutcome
from zeit.cds.journal import journal
from zeit.cds.publish.outbox import Outbox
from zeit.cds.run import retract_delivered
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.delivered_files import delivered
from zeit.cds.spool.sequence import Sequence
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.values.run_options import Keep


#: What Python tells about the use of files before it happens.  Source: the audit events table of
#: its library reference.
EVENTS = {
    'open',
    'os.chmod',
    'os.listdir',
    'os.mkdir',
    'os.remove',
    'os.rename',
    'os.rmdir',
    'os.scandir',
    'os.truncate',
    'fcntl.flock',
}


@zope.interface.implementer(ISavepointDataManager)
class Application:
    """The database of an application: its commit is a file that appears."""

    def __init__(self, path, *, key='application', veto=False):
        self.transaction_manager = transaction.manager
        self.path, self.key, self.veto = path, key, veto
        transaction.get().join(self)

    def sortKey(self):  # noqa: N802 as in IDataManager
        return self.key

    def tpc_vote(self, current):
        if self.veto:
            raise transaction.interfaces.TransientError('a conflict')

    def tpc_finish(self, current):
        self.path.touch()

    def nothing(self, current):
        """Nothing is to be done."""

    abort = tpc_begin = commit = tpc_abort = nothing

    def savepoint(self):
        """Return itself: there is nothing to roll back."""
        return self

    def rollback(self):
        """Nothing is to be done."""


@zope.interface.implementer(ITransactionOutcome)
@zope.component.adapter(ISpool)
class Outcome:
    """The application's word."""

    def __init__(self, spool):
        self.path = spool.path.parent / 'application'

    def committed(self, doubt):
        return self.path.exists()


def commit(spool, application):
    outbox = Outbox(spool)
    Application(application)
    outbox.put('a.xml', b'<a/>')
    outbox.put('b.xml', b'<first/>')
    savepoint = transaction.savepoint()
    outbox.put('b.xml', b'<wrong/>')
    savepoint.rollback()
    outbox.put('b.xml', b'<b/>')
    transaction.get().note('publish a and b')
    transaction.commit()


def abort(spool, application):
    Outbox(spool).put('a.xml', b'<a/>')
    Outbox(spool).put('b.xml', b'<b/>')
    transaction.abort()


def veto(spool, application):
    """Another one says no after we have voted."""
    Application(application)
    Outbox(spool).put('a.xml', b'<a/>')
    Outbox(spool).put('b.xml', b'<b/>')
    Application(application, key='~~', veto=True)
    try:
        transaction.commit()
    except transaction.interfaces.TransientError:
        transaction.abort()


def conflict(spool, application):
    """The first attempt fails, the second one is committed."""
    vetos = iter((True, False))
    for attempt in transaction.manager.attempts(2):
        with attempt:
            Application(application)
            Outbox(spool).put('a.xml', b'<a/>')
            Outbox(spool).put('b.xml', b'<b/>')
            Application(application, key='~~', veto=next(vetos))


def run(spool, application):
    """A run of the spool, which somebody has prepared, finds what is in doubt there."""
    with spool.run():
        pass


def withdraw(spool, application):
    """Somebody withdraws a file that waits."""
    spool.put('a.xml', b'<a/>')
    spool.withdraw('a.xml', 'retracted')


def retract(spool, application):
    """What waits of a content is retracted in a transaction."""
    spool.put('a.xml', b'<a/>', content='a')
    transaction.begin()
    Application(application)
    Outbox(spool).retract('a', 'why', until=spool.latest(new=True), failed=print)
    transaction.commit()


def hold(spool, application):
    """Somebody holds a file that waits."""
    spool.hold('a.xml', 'why')


def drop(spool, application):
    """Somebody drops a file that waits."""
    spool.drop('a.xml', 'why')


def take_back(spool, application):
    """Somebody withdraws a file that was delivered."""
    receipts = delivered(journal.history(spool.path / '.cds'), name='a.xml')
    with Sequence(spool.path).visited({'name': ['a.xml']}) as visited:
        retract_delivered.take_back(visited, receipts, 'why')


def resend(spool, application):
    """Somebody sends once more what was delivered."""
    spool.resend('a.xml')


def prune(spool, application):
    """Somebody deletes what was delivered from `cur/`."""
    spool.prune(Keep(keep_bytes=0))


def put(spool):
    """Let a file wait before."""
    spool.put('a.xml', b'<a/>')


def deliver(spool):
    """Let the content have arrived before."""
    spool.put('a.xml', b'<a/>', content='a')
    Exporter(spool, MemoryTarget()).run_once()


def tell(spool, application):
    """What was delivered is retracted in a transaction, and the partner is told."""
    transaction.begin()
    Application(application)
    about = {'until': spool.latest(new=True), 'notice': ('b.xml', b'<canceled/>', '')}
    Outbox(spool).retract('a', 'why', failed=print, delete=True, **about)
    transaction.commit()


SCENARIOS = {
    each.__name__: each
    for each in (commit, abort, veto, conflict, run, withdraw, retract, tell)
    + (hold, drop, take_back, resend, prune)
}

#: What happens in front of a scenario, and is not killed.
BEFORE = dict.fromkeys(('hold', 'drop'), put)
BEFORE |= dict.fromkeys(('tell', 'take_back', 'resend', 'prune'), deliver)


def kill_before(step, path):
    """Let this process be killed before its use number `step` of what is in `path`."""
    numbers = itertools.count()

    def hook(event, arguments):
        if event not in EVENTS:
            return
        mine = event == 'fcntl.flock' or str(arguments[0]).startswith(path)
        if mine and next(numbers) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def survive(step, folder, scenario):
    """Play a scenario in a process of its own; return whether it came to its end."""
    folder = folder / str(step)
    (folder / 'spool').mkdir(parents=True, exist_ok=True)
    if scenario in BEFORE:
        BEFORE[scenario](Spool(folder / 'spool'))
    pid = os.fork()
    if not pid:
        kill_before(step, str(folder / 'spool'))
        SCENARIOS[scenario](Spool(folder / 'spool'), folder / 'application')
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(code)
    return code == 0


def main(folder, scenario, prepared='', *options):
    """Play a scenario until it comes to its end; `prepared` is the folder that each begins with."""
    import shutil

    folder = pathlib.Path(folder)
    if 'ask' in options:
        zope.component.provideAdapter(Outcome)
    for step in itertools.count():
        if prepared:
            shutil.copytree(prepared, folder / str(step))
        if survive(step, folder, scenario):
            print(step)
            return


if __name__ == '__main__':
    main(*sys.argv[1:])
