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
        self._joined().put(name, data, **about)

    def retract(self, content, reason, **about):
        """See `IOutbox`."""
        if not is_begun(self._manager):
            return False
        files = _joined(self._manager.get(), self._spool)
        if files is not None:
            files.forget(content)
        joined = _join(self._manager, Retractions, lambda: Retractions(self._manager))
        joined.retract(self._spool, _Retraction(content, reason, **about))
        return True

    def _joined(self):
        """Return the data manager of this spool in the current transaction."""
        phase = _join(self._manager, _Phase, lambda: _Phase(self._manager))

        def make():
            joined = SpoolDataManager(self._spool, self._manager, phase=phase)
            phase.members.append(joined)
            return joined

        return _join(self._manager, self._spool, make)


def _join(manager, key, make):
    """Return the data manager of this key in the current transaction; `make` makes a new one."""
    current = manager.get()
    joined = _joined(current, key)
    if joined is None:
        joined = make()
        try:
            current.join(joined)
        except BaseException:
            joined.abort(current)
            raise
        current.set_data(key, joined)
    return joined


def _joined(current, key):
    """Return the data manager of this key in a transaction, None without one."""
    try:
        joined = current.data(key)
    except KeyError:
        return None
    # Going back behind the savepoint before its first file has taken it out again.
    return None if joined.ended else joined


@zope.interface.implementer(transaction.interfaces.ISavepointDataManager)
class _Phase:
    """Knows whether all have voted, as the first whose `tpc_finish` is called.

    From then on an abort is no abort: another one may have committed.  `members` are the data
    managers of spools, which are all to have filed before anybody is told.
    """

    def __init__(self, manager):
        self.transaction_manager = manager
        self.members = []
        self.begun = self.ended = False

    def __repr__(self):
        return f'<_Phase, {"begun" if self.begun else "not begun"}>'

    def sortKey(self):  # noqa: N802 as in IDataManager
        """Return what puts it before all others."""
        return ''

    def tpc_finish(self, current):
        """All have voted."""
        self.begun = True

    def abort(self, current):
        """It is over, or was taken out by a savepoint."""
        self.ended = True

    def nothing(self, current):
        """Nothing is to be done."""

    tpc_begin = commit = tpc_vote = tpc_abort = nothing

    def savepoint(self):
        """Return an object with `rollback()`: nothing is to be done."""
        return _NoSavepoint()

    def finished(self):
        """One of the members has filed: the last one tells of all."""
        if all(member.ended for member in self.members):
            for member in self.members:
                member.announce()


@zope.interface.implementer(transaction.interfaces.IDataManagerSavepoint)
class _NoSavepoint:
    def rollback(self):
        """Nothing is to be done."""


@zope.interface.implementer(transaction.interfaces.ISavepointDataManager)
class SpoolDataManager:
    """What one transaction puts into one spool; `phase` is that of the transaction.

    See `transaction.interfaces.IDataManager` for the order of calls.
    """

    def __init__(self, spool, manager, *, phase=None):
        self.transaction_manager = manager
        self.ended = False
        self._phase = phase or _Phase(manager)
        self._spool = spool
        self._batch = spool.batch()

    def __repr__(self):
        return f'<SpoolDataManager of {self._spool!r}>'

    def put(self, name, data, **told):
        """Put a file into the batch, see `IBatch`.  Raises `NameRefused`, `SpoolError`."""
        self._batch.put(name, data, **told)

    def forget(self, content):
        """Take the files of a content out of the batch, see `IBatch`."""
        self._batch.forget(content)

    def savepoint(self):
        """Return an object with `rollback()`."""
        return _Savepoint(self._batch)

    def sortKey(self):  # noqa: N802 as in IDataManager
        """Return what puts us behind others: what is in doubt is in doubt for a short time."""
        return f'~zeit.cds:{self._spool.path}'

    def tpc_begin(self, current):
        """Nothing is to be done."""

    def commit(self, current):
        """Nothing is to be done."""

    def tpc_vote(self, current):
        """Make sure that the files can be filed, whatever happens.  Raises `SpoolError`."""
        application = zope.component.queryAdapter(self._spool, ITransactionOutcome)
        self._batch.prepare(
            description=current.description,
            user=current.user,
            asks=application is not None,
        )

    def tpc_finish(self, current):
        """File them.  Never raises: the others have committed, and what is prepared is safe."""
        self.ended = True
        try:
            self._batch.commit()
        except Exception as error:  # noqa: BLE001 whatever it is, the transaction is committed
            names = self._batch.names
            left = [name for name in names if name not in self._batch.moved] or names
            log.critical(
                'Committed, but not filed yet: %s: %s Each run of the spool tries again.',
                printable(', '.join(left), limit=500),
                printable(error.advice if isinstance(error, Error) else f'{error}.', limit=500),
            )
            log.debug('The reason', exc_info=error)
        self._phase.finished()

    def announce(self):
        """Tell what was filed.  What is no Exception goes through: it may be a signal."""
        told = self._batch.told
        announce(self._spool, files={name: told[name] for name in self._batch.moved})

    def tpc_abort(self, current):
        """Forget them, unless another one may have committed: then nobody knows."""
        if self._phase.begun and not self.ended and self._batch.names:
            self.ended = True
            log.critical(
                'The end of a transaction has failed, and it is in doubt whether it was committed: '
                '%s. The next run of the spool decides.',
                printable(', '.join(self._batch.names), limit=500),
            )
            self._batch.close()
        else:
            self.abort(current)

    def abort(self, current):
        """Forget them; may be called again, and also when all is done."""
        self.ended = True
        try:
            self._batch.abort()
        except Error as error:
            log.error(
                'Aborted, but not removed yet: %s: %s This process tries again, and holds them '
                'back as long as it lives. Should it be killed before that, they are in doubt.',
                printable(', '.join(self._batch.names), limit=500),
                printable(error.advice, limit=500),
            )


@zope.interface.implementer(transaction.interfaces.IDataManagerSavepoint)
class _Savepoint:
    def __init__(self, batch):
        self._batch = batch
        self._mark = batch.mark()

    def rollback(self):
        """Forget what was put since."""
        self._batch.rollback(self._mark)


class _Retraction(NamedTuple):
    content: str
    reason: str
    until: int
    failed: Callable
    delete: bool = False
    notice: tuple | None = None
    unanswered: Exception | None = None

    @property
    def about(self):
        return {'until': self.until, 'delete': self.delete, 'notice': self.notice}


@zope.interface.implementer(transaction.interfaces.ISavepointDataManager)
class Retractions:
    """What one transaction retracts, of all spools: it never fails for that.

    It is voted for as files are, so that a kill between the end of another one and ours loses
    nothing.  Where there can be no vote, it is done at the end all the same.
    """

    def __init__(self, manager):
        self.transaction_manager = manager
        self.ended = False
        self._phase = _join(manager, _Phase, lambda: _Phase(manager))
        #: (spool, `_Retraction`), and the batch of each spool that has voted.
        self._kept = []
        self._batches = {}

    def __repr__(self):
        return f'<Retractions, {len(self._kept)}>'

    def retract(self, spool, retraction):
        """Add a `_Retraction` in `spool`."""
        self._kept.append((spool, retraction))

    def savepoint(self):
        """Return an object with `rollback()`."""
        return _Mark(self._kept)

    def sortKey(self):  # noqa: N802 as in IDataManager
        """Return what puts us behind others, as `SpoolDataManager` is."""
        return '~zeit.cds'

    def nothing(self, current):
        """Nothing is to be done."""

    tpc_begin = commit = nothing

    def tpc_vote(self, current):
        """Make sure that it is done, whatever happens, as far as possible."""
        for spool in dict.fromkeys(spool for spool, _ in self._kept):
            with contextlib.ExitStack() as undo:
                try:
                    application = zope.component.queryAdapter(spool, ITransactionOutcome)
                    batch = undo.enter_context(spool.batch())
                    for _, each in self._of(spool):
                        batch.retract(each.content, each.reason, **each.about)
                    batch.prepare(
                        description=current.description,
                        user=current.user,
                        asks=application is not None,
                    )
                    self._batches[spool] = batch
                    undo.pop_all()
                except Exception as error:  # noqa: BLE001 no retraction fails for that
                    log.warning('A retraction cannot vote: %s', printable(str(error), limit=500))

    def _of(self, spool):
        return [(other, each) for other, each in self._kept if other is spool]

    def tpc_finish(self, current):
        """Do it.  Never raises: the others have committed."""
        done = []
        for spool in dict.fromkeys(spool for spool, _ in self._kept):
            batch = self._batches.get(spool)
            try:
                if batch is not None:
                    batch.commit()
                    done += self._of(spool)
                    continue
            except Exception as error:  # noqa: BLE001 whatever it is, the transaction is committed
                log.error('Retracted, not carried out yet: %s', printable(str(error), limit=500))
            for _, each in self._of(spool):
                try:
                    spool.retract(each.content, each.reason, **each.about)
                except Exception as error:  # noqa: BLE001 as above
                    each.failed(error)
                else:
                    done.append((spool, each))
        self.ended = True  # not before: a signal in one spool is no abort of the others
        _conclude(done)

    def tpc_abort(self, current):
        """Forget it, unless another one may have committed: then nobody knows."""
        if self._phase.begun and not self.ended:
            self.ended = True
            log.critical('The end of a transaction has failed, and a retraction is in doubt.')
            for batch in self._batches.values():
                batch.close()
        else:
            self.abort(current)

    def abort(self, current):
        """Forget it; may be called again, and also when all is done."""
        self.ended = True
        for batch in self._batches.values():
            try:
                batch.abort()
            except Error as error:
                log.error('Aborted, but not removed yet: %s', printable(error.advice, limit=500))


def _conclude(done):
    """Keep what has no answer yet; what is to be deleted on a server is to be so soon."""
    for _, each in done:
        if each.unanswered is not None:
            each.failed(each.unanswered)
    for spool in dict.fromkeys(spool for spool, each in done if each.delete or each.notice):
        wake(spool)


@zope.interface.implementer(transaction.interfaces.IDataManagerSavepoint)
class _Mark:
    def __init__(self, kept):
        self._kept, self._number = kept, len(kept)

    def rollback(self):
        """Forget what was added since."""
        del self._kept[self._number :]
