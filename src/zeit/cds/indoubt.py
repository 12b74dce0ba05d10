"""What dead processes have left of their transactions, and what becomes of it.

A `Batch` whose directory nobody holds has lost its process.  Before `prepared` its transaction
cannot have been committed: it is removed.  After `committed` its files go on into `new/`.  In
between it is *in doubt*: the transaction may have been committed in the databases that took part,
or not, and nothing here can tell.  An adapter to `ITransactionOutcome` is asked, or else the files
go: rather once too often than never.

No process number and no clock decides, only who holds the lock.
"""

import contextlib
import fcntl
import logging
import os

import zope.component

from zeit.cds.batch import Batch, lock, read
from zeit.cds.interfaces import ITransactionOutcome
from zeit.cds.text import printable


log = logging.getLogger(__name__)


def left(outbox):
    """Return what was left in the directory `outbox` and is prepared: a list of `IInDoubt`.

    It only looks.  Should a run look at the same moment, that leaves it to the next one.
    Raises OSError.
    """
    found = []
    for path in _paths(outbox):
        descriptor = lock(path, fcntl.LOCK_SH)
        if descriptor is not None:
            try:
                found.append(read(path)[0])
            except ValueError as error:
                log.warning('%s is damaged: %s', printable(path), printable(str(error)))
            finally:
                os.close(descriptor)
    return sorted(filter(None, found), key=lambda doubt: doubt.since)


def settle(spool, outbox, *, new, superseded):
    """Finish what was left in `outbox`, in a run of `spool`; `new` and `superseded` as in `Batch`.

    What cannot be finished stays, and the log says why: it must not keep others from going.
    Raises OSError if `outbox` is unusable.
    """
    for path in _paths(outbox):
        try:
            descriptor = lock(path)
            if descriptor is not None:
                with Batch(path, descriptor=descriptor, new=new) as batch:
                    _settle(spool, batch, superseded)
        except (OSError, ValueError) as error:
            log.error('It stays as it is: %s: %s', printable(path), printable(str(error)))


def _paths(outbox):
    with contextlib.suppress(FileNotFoundError):
        return [os.path.join(outbox, name) for name in sorted(os.listdir(outbox))]
    return []


def _settle(spool, batch, superseded):
    doubt, _ = batch.read()
    if doubt is None:
        batch.abort()
        return
    shown = printable(', '.join(doubt.names), limit=500)
    committed = True if doubt.committed else _committed(spool, doubt, shown)
    if committed:
        log.warning('The process that put it has died; it goes now: %s', shown)
        batch.move(superseded=superseded)
    elif committed is not None:
        log.warning('The process that put it has died; it was not committed: %s', shown)
        batch.abort()


def _committed(spool, doubt, shown):
    """Return whether the transaction was committed, None if nobody knows at the moment."""
    application = zope.component.queryAdapter(spool, ITransactionOutcome)
    if application is None:
        if doubt.asks:
            log.warning('In doubt, and the application that knows is not here: %s', shown)
            return None
        return True
    try:
        committed = application.committed(doubt)
    except Exception as error:  # noqa: BLE001 the application may raise anything
        log.error('In doubt, and the application fails to tell: %s', shown, exc_info=error)
        return None
    if committed is None:
        log.warning('In doubt, and the application does not know either: %s', shown)
    return committed
