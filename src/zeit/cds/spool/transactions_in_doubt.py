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
import functools
import logging
import os

import zope.component

from zeit.cds import scope
from zeit.cds.errors import NotMoved
from zeit.cds.interfaces import ITransactionOutcome
from zeit.cds.spool import entries
from zeit.cds.spool.batch import Batch, lock, read
from zeit.cds.system import files
from zeit.cds.text import printable, retry


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


def names(outbox):
    """Return the names of the files of all transactions that have voted, and not ended: a set."""
    return {name for doubt in _voted(outbox) for name in doubt.names}


def numbers(outbox):
    """Return the numbers of all transactions that have voted, and not ended: a list."""
    return [number for doubt in _voted(outbox) for number in doubt.numbers.values()]


def settle(spool, outbox, *, new, park, sequence):
    """Finish what was left in `outbox`, in a run of `spool`; `new`, `sequence` as in `Batch`.

    `park` is called with the path of a content, the name, and a reason, if something newer of this
    name waits already, or was delivered.  What cannot be finished stays, and the log says why: it
    must not keep others from going.  Raises OSError if `outbox` is unusable.
    """
    # The latest first: what it has put into new/ is newer for those before it.
    for path in sorted(_paths(outbox), key=_number, reverse=True):
        try:
            descriptor = lock(path)
            if descriptor is not None:
                with Batch(path, descriptor=descriptor, new=new, sequence=sequence) as batch:
                    _settle(spool, batch, park, sequence)
        except OSError as error:
            where = printable(os.fsdecode(error.filename or path))
            remedy = files.remedy(error)
            log.error(
                'A file of an unfinished transaction cannot be put into new/; each run tries '
                'again: %s: %s.%s',
                where,
                error.strerror,
                remedy and f' {remedy}',
            )
        except ValueError as error:
            log.error('Transaction left as it is: %s: %s', printable(path), printable(str(error)))


def _paths(outbox):
    with contextlib.suppress(FileNotFoundError):
        return [os.path.join(outbox, name) for name in sorted(os.listdir(outbox))]
    return []


def _voted(outbox):
    """Return the `IInDoubt` of each transaction that has voted; what is damaged is left out."""
    return [doubt for doubt in map(_read, _paths(outbox)) if doubt is not None]


def _read(path):
    try:
        return read(path)[0]
    except (OSError, ValueError):
        return None  # what is wrong is said when its turn comes


def _number(path):
    doubt = _read(path)
    return 0 if doubt is None else max(doubt.numbers.values(), default=0)


def _settle(spool, batch, park, sequence):
    doubt, _ = batch.read()
    if doubt is None:
        batch.abort()
        return
    shown = _shown([*doubt.names, *(content for content, *_ in doubt.retractions)])
    committed = True if doubt.committed else _committed(spool, doubt, shown)
    if committed:
        for content, *_ in doubt.retractions:
            log.warning('Left by an unfinished transaction, withdrawn: %s', printable(content))
        batch.retract_all(spool.retract)
        _file(spool, batch, doubt, park, sequence)
    elif committed is not None:
        log.warning('Left by a transaction that was not committed, discarded: %s', shown)
        batch.abort()


def _file(spool, batch, doubt, park, sequence):
    newest = spool.journal.newest_delivered
    found = {name: newest(name, above=doubt.numbers[name]) for name in doubt.names}
    delivered = {name: receipt for name, receipt in found.items() if receipt is not None}
    replaced = None
    try:
        with sequence(doubt.names) as numbers:
            replaced = _replaced(spool, doubt, numbers, delivered)
            batch.move(replaced=replaced, park=functools.partial(_put_away, park, doubt))
    finally:
        if replaced is not None:
            _tell(spool, doubt, replaced)


def _tell(spool, doubt, replaced):
    goes = [name for name in doubt.names if name not in replaced]
    if goes:
        log.warning('Left by an unfinished transaction, put into new/: %s', _shown(goes))
    if replaced:
        log.warning(
            'Left by an unfinished transaction, parked because there is a newer version: %s. '
            'To send it all the same: %s',
            _shown(sorted(replaced)),
            retry(spool.path, older=True),
        )


def _put_away(park, doubt, path, name):
    reason = 'Replaced by a newer version while its transaction was in doubt.'
    try:
        park(path, name, reason, number=doubt.numbers[name], told=doubt.told[name])
    except NotMoved as error:
        raise OSError(error.__cause__.errno, error.message) from error


def _shown(names):
    return printable(', '.join(names), limit=500)


def _replaced(spool, doubt, numbers, delivered):
    """Return the names under which something waits, or was delivered, that came after the vote."""
    waits = [entries.find(spool.path / 'new', name) for name in doubt.names]
    known = numbers.see(filter(None, waits))
    found = {each.name: known[each.name, each.version] for each in filter(None, waits)}
    for name, receipt in delivered.items():
        found[name] = max(found.get(name, 0), receipt['sequence'])
    return {name for name, number in found.items() if number > doubt.numbers[name]}


def _committed(spool, doubt, shown):
    """Return whether the transaction was committed, None if nobody knows at the moment."""
    application = zope.component.queryAdapter(spool, ITransactionOutcome)
    if application is None:
        if doubt.asks:
            log.warning('In doubt; the application that knows is not configured here: %s', shown)
            return None
        return True
    try:
        with scope.around():
            committed = application.committed(doubt)
    except Exception as error:  # noqa: BLE001 the application may raise anything
        log.error('In doubt; the application failed to tell: %s', shown, exc_info=error)
        return None
    if committed is None:
        log.warning('In doubt; the application does not know either: %s', shown)
    return committed
