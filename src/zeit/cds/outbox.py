"""`ISpool.put()` in a transaction: what was put is filed when it is committed, or not at all.

Needs `transaction` (the extra of that name).
"""

import logging

import transaction
import transaction.interfaces
import zope.component
import zope.interface

from zeit.cds.errors import Error
from zeit.cds.interfaces import IOutbox, ISpool, ITransactionOutcome
from zeit.cds.text import printable
from zeit.cds.wake import announce


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

    def put(self, name, data):
        """See `IOutbox`."""
        self._joined().put(name, data)

    def _joined(self):
        """Return the data manager of this spool in the current transaction."""
        current = self._manager.get()
        try:
            joined = current.data(self._spool)
        except KeyError:
            joined = None
        # Going back behind the savepoint before its first file has taken it out again.
        if joined is None or joined.ended:
            joined = SpoolDataManager(self._spool, self._manager)
            try:
                current.join(joined)
            except BaseException:
                joined.abort(current)
                raise
            current.set_data(self._spool, joined)
        return joined


@zope.interface.implementer(transaction.interfaces.ISavepointDataManager)
class SpoolDataManager:
    """What one transaction puts into one spool.

    See `transaction.interfaces.IDataManager` for the order of calls.
    """

    def __init__(self, spool, manager):
        self.transaction_manager = manager
        self.ended = False
        self._spool = spool
        self._batch = spool.batch()

    def __repr__(self):
        return f'<SpoolDataManager of {self._spool!r}>'

    def put(self, name, data):
        """Put a file into the batch.  Raises `NameRefused`, `SpoolError`."""
        self._batch.put(name, data)

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
        announce(self._spool, names=self._batch.moved)

    def tpc_abort(self, current):
        """Forget them."""
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
