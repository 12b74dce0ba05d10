"""`ISpool.put()` in a transaction: what was put is filed when it is committed, or not at all.

Needs `transaction` (the extra of that name).
"""

import contextlib
import logging
from collections.abc import Callable
from typing import NamedTuple

import transaction
import transaction.interfaces
import zope.component
import zope.interface

from zeit.cds.errors import Error
from zeit.cds.interfaces import IOutbox, ISpool, ITransactionOutcome
from zeit.cds.publish.transactions import is_begun
from zeit.cds.spool.wake import announce, wake
from zeit.cds.text import printable


log = logging.getLogger(__name__)


@zope.interface.implementer(IOutbox)
@zope.component.adapter(ISpool)
class Outbox:
    """See `IOutbox`.  `manager` is a transaction manager, by default the one of the thread."""

    def __init__(self, spool, *, manager=transaction.manager):
        self._spool = spool
        self._manager = manager

    def __repr__(self):
        return f'<Outbox of {self._spool!r}>'

    def put(self, name, data, **about):
        """See `IOutbox`."""
        self._part().put(name, data, **about)

    def retract(self, content, reason, **about):
        """See `IOutbox`."""
        if not is_begun(self._manager):
            return False
        self._part().retract(_Retraction(content, reason, **about))
        return True

    def _part(self):
        """Return what concerns this spool in the current transaction."""
        current = self._manager.get()
        try:
            joined = current.data(SpoolsDataManager)
        except KeyError:
            joined = None
        # Going back behind the savepoint before its first file has taken it out again.
        if joined is None or joined.ended:
            joined = SpoolsDataManager(self._manager)
            current.join(joined.votes)
            current.join(joined)
            current.set_data(SpoolsDataManager, joined)
        return joined.part(self._spool)


@zope.interface.implementer(
    transaction.interfaces.ISavepointDataManager, transaction.interfaces.IDataManagerSavepoint
)
class _Votes:
    """Knows whether all have voted, as the first whose `tpc_finish` is called."""

    def __init__(self, manager):
        self.transaction_manager = manager
        self.complete = False

    def __repr__(self):
        return f'<_Votes, {"complete" if self.complete else "not complete"}>'

    def sortKey(self):  # noqa: N802 as in IDataManager
        """Return what puts it before all others."""
        return ''

    def tpc_finish(self, current):
        """All have voted."""
        self.complete = True

    def nothing(self, current):
        """Nothing is to be done."""

    tpc_begin = commit = tpc_vote = tpc_abort = abort = nothing

    def savepoint(self):
        """Return an object with `rollback()`."""
        return self

    def rollback(self):
        """Nothing is to be done."""


@zope.interface.implementer(transaction.interfaces.ISavepointDataManager)
class SpoolsDataManager:
    """What one transaction puts into spools, and retracts; `votes` belongs to it.

    See `transaction.interfaces.IDataManager` for the order of calls.
    """

    def __init__(self, manager):
        self.transaction_manager = manager
        self.votes = _Votes(manager)
        self.ended = False
        self._parts = {}

    def __repr__(self):
        return f'<SpoolsDataManager of {[*self._parts]!r}>'

    def part(self, spool):
        """Return the `_Part` about `spool`."""
        return self._parts.setdefault(spool, _Part(spool))

    def savepoint(self):
        """Return an object with `rollback()`."""
        return _Savepoint(self._parts)

    def sortKey(self):  # noqa: N802 as in IDataManager
        """Return what puts us behind others: what is in doubt is in doubt for a short time."""
        return '~zeit.cds'

    def nothing(self, current):
        """Nothing is to be done."""

    tpc_begin = commit = nothing

    def tpc_vote(self, current):
        """Make sure that all of it can be done, whatever happens.  Raises `SpoolError`."""
        for part in self._parts.values():
            part.vote(current)

    def tpc_finish(self, current):
        """Do it.  Never raises: the others have committed, and what is prepared is safe.

        What is no Exception goes through where somebody is told: it may be a signal.
        """
        for part in self._parts.values():
            part.finish()
        self.ended = True
        for part in self._parts.values():
            part.tell()

    def tpc_abort(self, current):
        """Forget it, unless another one may have committed: then nobody knows."""
        if not self.votes.complete:
            self.abort(current)
        elif not self.ended:
            self.ended = True
            for part in self._parts.values():
                part.leave_in_doubt()

    def abort(self, current):
        """Forget it; may be called again, and also when all is done."""
        self.ended = True
        for part in self._parts.values():
            part.rollback((None, 0))


@zope.interface.implementer(transaction.interfaces.IDataManagerSavepoint)
class _Savepoint:
    def __init__(self, parts):
        self._parts = parts
        self._marks = {spool: part.mark() for spool, part in parts.items()}

    def rollback(self):
        """Forget what was put or retracted since."""
        for spool, part in self._parts.items():
            part.rollback(self._marks.get(spool, (None, 0)))


class _Retraction(NamedTuple):
    content: str
    reason: str
    until: int
    failed: Callable
    delete: bool = False
    notice: tuple | None = None
    unanswered: Exception | None = None

    def carry_out(self, retract):
        """Call `retract`, which is that of an `ISpool`, or of an `IBatch`."""
        about = {'until': self.until, 'delete': self.delete, 'notice': self.notice}
        retract(self.content, self.reason, **about)


class _Part:
    """What one transaction does in one spool.

    To retract never fails the transaction.  It is voted for as files are, so that a kill between
    the end of another data manager and ours loses nothing.  Where there can be no vote, it is done
    at the end all the same.
    """

    def __init__(self, spool):
        self._spool = spool
        self._retractions = []
        #: A batch with the files, and one with the retractions, which is made for the vote.
        self._files = self._votes = None
        self._is_carried_out = False

    def put(self, name, data, **about):
        """Put a file, see `IBatch`.  Raises `NameRefused`, `SpoolError`."""
        if self._files is None:
            self._files = self._spool.batch()
        self._files.put(name, data, **about)

    def retract(self, retraction):
        """Add a `_Retraction`; what was put of that content before does not come."""
        if self._files is not None:
            self._files.forget(retraction.content)
        self._retractions.append(retraction)

    def mark(self):
        """Return a mark to come back to."""
        return self._files and self._files.mark(), len(self._retractions)

    def rollback(self, mark):
        """Forget what came since the `mark` was set; with (None, 0), all of it."""
        files, number = mark
        del self._retractions[number:]
        if files is not None:
            self._files.rollback(files)
            return
        for batch in filter(None, (self._votes, self._files)):
            try:
                batch.abort()
            except Error as error:
                log.error(
                    'Aborted, but not removed yet: %s: %s This process tries again, and holds them '
                    'back as long as it lives. Should it be killed before that, they are in doubt.',
                    printable(', '.join(batch.names) or 'a retraction', limit=500),
                    printable(error.advice, limit=500),
                )
        self._files = self._votes = None

    def vote(self, current):
        """Make sure that it can be done, whatever happens.  Raises `SpoolError`."""
        application = zope.component.queryAdapter(self._spool, ITransactionOutcome)
        about = {
            'description': current.description,
            'user': current.user,
            'asks': application is not None,
        }
        if self._retractions:
            try:
                with contextlib.ExitStack() as undo:
                    batch = undo.enter_context(self._spool.batch())
                    for each in self._retractions:
                        each.carry_out(batch.retract)
                    batch.prepare(**about)
                    self._votes = batch
                    undo.pop_all()
            except Exception as error:  # noqa: BLE001 no retraction fails for that
                log.warning('A retraction cannot vote: %s', printable(str(error), limit=500))
        if self._files is not None:
            self._files.prepare(**about)

    def finish(self):
        """Do it: first what is retracted.  Raises no Exception."""
        if self._retractions:
            self._retract()
        self._is_carried_out = True  # not before: after a signal it is in doubt
        if self._files is None:
            return
        try:
            self._files.commit()
        except Exception as error:  # noqa: BLE001 whatever it is, the transaction is committed
            names = self._files.names
            left = [name for name in names if name not in self._files.moved] or names
            log.critical(
                'Committed, but not filed yet: %s: %s Each run of the spool tries again.',
                printable(', '.join(left), limit=500),
                printable(error.advice if isinstance(error, Error) else f'{error}.', limit=500),
            )
            log.debug('The reason', exc_info=error)

    def _retract(self):
        done = self._votes is not None
        if done:
            try:
                self._votes.commit()
            except Exception as error:  # noqa: BLE001 as above
                done = False
                log.error('Retracted, not carried out yet: %s', printable(str(error), limit=500))
        for each in self._retractions:
            try:
                if not done:
                    each.carry_out(self._spool.retract)
                if each.unanswered is not None:
                    raise each.unanswered
            except Exception as error:  # noqa: BLE001 it is kept, to be tried again
                each.failed(error)

    def tell(self):
        """Tell what was filed; what is to be deleted on a server is to be so soon."""
        if any(each.delete or each.notice for each in self._retractions):
            wake(self._spool)
        if self._files is not None:
            told = self._files.told
            announce(self._spool, files={name: told[name] for name in self._files.moved})

    def leave_in_doubt(self):
        """Let the next run decide what has not been done."""
        if self._is_carried_out:
            return
        names = [] if self._files is None else self._files.names
        if names or self._retractions:
            log.critical(
                'The end of a transaction has failed, and it is in doubt whether it was committed: '
                '%s. The next run of the spool decides.',
                printable(', '.join(names) or 'a retraction', limit=500),
            )
        for batch in filter(None, (self._votes, self._files)):
            batch.close()
