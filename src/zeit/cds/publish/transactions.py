"""The scope of calls of the application where it has transactions of the package `transaction`."""

import contextlib
import logging

import transaction
import zope.interface
from transaction._transaction import NoRollbackSavepoint, Status
from transaction.interfaces import NoTransaction

from zeit.cds.interfaces import IScope


log = logging.getLogger(__name__)


@zope.interface.implementer(IScope)
class TransactionScope:
    """See `IScope`: the transaction of the thread, and a savepoint in it.

    To add a site, a connection or a principal, derive a class, and let `own` be

        with connection_and_site(), super().own():
            yield
    """

    def __repr__(self):
        return f'<{type(self).__name__}>'

    @contextlib.contextmanager
    def own(self):
        """See `IScope`.  It ends what transaction the thread may have still."""
        transaction.begin()
        try:
            yield
            transaction.commit()
        except BaseException:
            transaction.abort()
            raise

    @contextlib.contextmanager
    def part(self):
        """See `IScope`.  Of a transaction that is ended already nothing is undone."""
        savepoint, was_begun = None, is_begun()
        with contextlib.suppress(NoTransaction):  # in explicit mode
            if transaction.get().status in (Status.ACTIVE, Status.DOOMED):
                savepoint = transaction.savepoint(optimistic=True)
        try:
            yield
        except Exception:
            if savepoint is not None and savepoint.valid:
                _roll_back(savepoint)
            raise
        finally:
            if not was_begun and is_begun() and not transaction.get()._resources:
                transaction.abort()  # nobody has one, and nobody would end it

    def is_open(self):
        """See `IScope`."""
        return is_begun()

    def at_commit(self, key, call):
        """See `IScope`."""
        current = transaction.get()
        try:
            calls = current.data(self)
        except KeyError:
            calls = {}
            current.set_data(self, calls)
            current.addBeforeCommitHook(_call, (calls,))
            current.addAfterCommitHook(lambda committed: _call(calls) if committed else None)
        calls[key] = call


def _call(calls):
    for call in filter(None, calls.values()):
        call()


def is_begun(manager=transaction.manager):
    """Return whether there is a transaction: to ask for it begins one."""
    # That of the threads has one for each thread.
    return getattr(manager, 'manager', manager)._txn is not None


def _roll_back(savepoint):
    # A data manager without savepoints, such as that of z3c.celery 1.8, lets the rollback of all
    # others fail, and with it the transaction.
    savepoint._savepoints[:] = [
        each for each in savepoint._savepoints if not isinstance(each, NoRollbackSavepoint)
    ]
    try:
        savepoint.rollback()
    except Exception:  # noqa: BLE001 what has failed before is what counts
        log.exception('The transaction cannot go on.')
