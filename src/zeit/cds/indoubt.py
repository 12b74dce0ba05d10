"""What dead processes have left of their transactions, and what becomes of it.

A `Batch` whose directory nobody holds has lost its process.  Before `prepared` its transaction
cannot have been committed: it is removed.  After `committed` its files go on into `new/`.  In
between it is *in doubt*: the transaction may have been committed in the databases that took part,
or not, and nothing here can tell.  An adapter to `ITransactionOutcome` is asked, or else the files
go: rather once too often than never.

No process number and no clock decides, only who holds the lock.
"""

import contextlib
import datetime
import fcntl
import functools
import logging
import os

import zope.component

from zeit.cds import files, journal
from zeit.cds.batch import Batch, lock
from zeit.cds.filing import PRIVATE
from zeit.cds.interfaces import ITransactionOutcome
from zeit.cds.text import printable, retry
from zeit.cds.voted import read, version


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
                descriptor.close()
    return sorted(filter(None, found), key=lambda doubt: doubt.since)


def settle(spool, outbox, *, new, park):
    """Finish what was left in `outbox`, in a run of `spool`; `new` as in `Batch`.

    `park` is called with the path of a content, the name, and a reason, if something newer of this
    name waits already, or was delivered.  What cannot be finished stays, and the log says why: it
    must not keep others from going.  Raises OSError if `outbox` is unusable.
    """
    # The latest first: what it has put into new/ is newer for those before it.
    for path in sorted(_paths(outbox), key=_voted, reverse=True):
        try:
            descriptor = lock(path)
            if descriptor is not None:
                with Batch(path, descriptor=descriptor, new=new) as batch:
                    _settle(spool, batch, park)
        except OSError as error:
            where = printable(os.fsdecode(error.filename or path))
            remedy = files.remedy(error)
            log.error(
                'A transaction has left a file that cannot be filed, and is tried again by each '
                'run: %s: %s.%s',
                where,
                error.strerror,
                remedy and f' {remedy}',
            )
        except ValueError as error:
            log.error('It stays as it is: %s: %s', printable(path), printable(str(error)))


def _paths(outbox):
    with contextlib.suppress(FileNotFoundError):
        return [os.path.join(outbox, name) for name in sorted(os.listdir(outbox))]
    return []


def _voted(path):
    try:
        doubt, _ = read(path)
    except (OSError, ValueError):
        return 0  # what is wrong is said when its turn comes
    return 0 if doubt is None else doubt.since


def _settle(spool, batch, park):
    doubt, _ = batch.read()
    if doubt is None:
        batch.abort()
        return
    shown = _shown(doubt.names)
    committed = True if doubt.committed else _committed(spool, doubt, shown)
    if committed:
        replaced = _replaced(spool, doubt)
        goes = [name for name in doubt.names if name not in replaced]
        if goes:
            log.warning('Left by a transaction, it goes now: %s', _shown(goes))
        if replaced:
            log.warning(
                'Left by a transaction, and replaced by a newer version meanwhile, it is parked: '
                '%s. To send it all the same: %s',
                _shown(sorted(replaced)),
                retry(spool.path),
            )
        batch.move(replaced=replaced, park=functools.partial(_put_away, park))
    elif committed is not None:
        log.warning('Left by a transaction that was not committed, it never goes: %s', shown)
        batch.abort()


def _put_away(park, path, name):
    park(path, name, 'Replaced by a newer version while its transaction was in doubt.')


def _shown(names):
    return printable(', '.join(names), limit=500)


def _replaced(spool, doubt):
    """Return the names under which something waits, or was delivered, that came after the vote."""
    delivered = _delivered(spool, since=doubt.since)
    return {name for name in doubt.names if _is_replaced(spool, doubt, name, delivered)}


def _is_replaced(spool, doubt, name, delivered):
    older = (None, *doubt.before.get(name, ()))
    if version(spool.path / 'new' / name) not in older:
        return True
    # What waited when it voted may have been delivered since: that is no newer one.  Of what is
    # not in cur/ any more nobody knows; then an old version must not go over a new one.
    return any(
        version(spool.path / 'cur' / filed) not in older[1:] for filed in delivered.get(name, ())
    )


def _delivered(spool, *, since):
    """Return the names in `cur/`, by name, of what was delivered since a moment (seconds)."""
    found = {}
    for receipt in journal.receipts(spool.path / PRIVATE):
        if receipt['kind'] == 'delivered' and _time(receipt) >= since:
            found.setdefault(receipt.get('name'), []).append(receipt.get('filed_as') or '')
    return found


def _time(receipt):
    try:
        return datetime.datetime.fromisoformat(receipt['at']).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0  # damaged


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
