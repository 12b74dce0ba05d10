"""What should have been put into a spool, or retracted, and was not, until it works.

One row of the journal is one content of the application.  What cannot be written, as the disk is
full or the spool is gone, is in the memory of the process until it can be.

`.cds/publishing/` has a file for each content, its name a hash of the id, while that is being put:
who holds its lock by flock(2) is the only one who does that.  A killed process leaves the file,
which stops nobody.
"""

import contextlib
import logging
import os
import time
from typing import NamedTuple

import zope.interface

from zeit.cds import digests
from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.interfaces import IFailure, IUnpublished
from zeit.cds.journal import append_log, journal
from zeit.cds.journal.history import ago
from zeit.cds.system import files
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Seconds between two looks whether somebody else still puts the same content.
INTERVAL = 0.02

#: What the journal has of a failure besides its id and number.
_FIELDS = 'reason', 'attempts', 'since', 'last', 'retracts', 'until', 'answer'


@zope.interface.implementer(IFailure)
class Failure(NamedTuple):
    """See `IFailure`."""

    unique_id: str
    reason: str
    attempts: int
    since: float
    last: float
    number: int = 0
    retracts: bool = False
    until: int | str = 0
    answer: str = ''


@zope.interface.implementer(IUnpublished)
class Unpublished:
    """See `IUnpublished`; what is written is in the journal in the directory `private`.

    `visited` returns a context manager: a `zeit.cds.journal.journal.Journal` to add something.
    """

    def __init__(self, private, *, visited):
        self._private = private
        self._visited = visited
        #: What could not be written: `Failure` by id.
        self._memory = {}

    def __repr__(self):
        return f'<Unpublished in {str(self._private)!r}>'

    @contextlib.contextmanager
    def alone(self, unique_id, *, within=0):
        """See `IUnpublished`."""
        directory = os.path.join(self._private, 'publishing')
        for each in (self._private, directory):
            files.make_directory(each, like=os.path.dirname(self._private))
        name = digests.sha256(unique_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]
        path = os.path.join(directory, name)
        end = time.monotonic() + within
        while (descriptor := _locked(path)) is None:
            if time.monotonic() >= end:
                raise SpoolBusy(
                    f'Another process is about to publish {printable(unique_id)}',
                    hint='It will be retried when that has ended.',
                )
            time.sleep(INTERVAL)
        with descriptor:
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # it may stay, see `_locked`
                    if not descriptor.closed:
                        os.unlink(path)

    def add(self, unique_id, reason, *, retracts=False, answer='', until=0):
        """See `IUnpublished`."""
        now = time.time()
        known = None
        with contextlib.suppress(SpoolError):
            known = self.find(unique_id)
        if retracts and known is not None and not known.retracts and self._is_later(known, until):
            # It was retracted before it was published, in vain, and that is what counts.
            failure = known._replace(until=until, answer=answer)
        else:
            until = until or (0 if known is None else known.until)
            if known is None or known.retracts != retracts:
                known = Failure(unique_id=unique_id, reason='', attempts=0, since=now, last=now)
            attempts, about = known.attempts + 1, {'retracts': retracts, 'answer': answer}
            failure = known._replace(
                reason=reason, attempts=attempts, last=now, until=until, **about
            )
        self._memory[unique_id] = failure
        self._write(failure)
        return failure.attempts

    def renew(self, failure):
        """See `IUnpublished`."""
        known = self.find(failure.unique_id)
        if known is None and not self._was_retracted_since(failure):
            known = failure
        if known is not None and (failure.retracts or not known.retracts):
            known = known._replace(last=time.time())
            self._memory[known.unique_id] = known
            self._write(known)

    def _was_retracted_since(self, failure):
        content, since = failure.unique_id, failure.number or self._latest_before(failure)
        remembered = journal.read(self._private, tables=['retracted'], id=[content])
        return any(row['sequence'] > since for row in remembered.find('retracted', id=content))

    def _latest_before(self, failure):
        return journal.latest(self._private, before=ago(time.time() - failure.last))

    def _write(self, failure):
        """Write it, or what another process has written of the same content since."""
        unique_id, until = failure.unique_id, failure.until
        if isinstance(until, str):
            until = journal.latest(self._private, before=until)
        with self._visited({'id': [unique_id]}) as visited:
            found, row = failure, visited.row('unpublished', unique_id)
            if row is not None:
                written = _failure(row)
                found = self._newest(failure, written)
                until = max(until, written.until)
                if not found.retracts:  # what was retracted before it is to be dealt with as well
                    found = found._replace(answer=failure.answer or written.answer)
            told = {field: getattr(found, field) for field in _FIELDS} | {'until': until}
            visited.note('unpublished', sequence=None, id=unique_id, **told)
        self._memory.pop(unique_id, None)

    def _newest(self, kept, written):
        """Return what counts: `kept` in memory, or `written` by another process; None without any.

        A publication that was tried again since it was retracted counts: what goes then is what is
        wanted by then.
        """
        if kept is None or written is None:
            return written if kept is None else kept
        if kept.retracts == written.retracts:
            return max(kept, written, key=lambda failure: failure.last)
        published, retracted = (written, kept) if kept.retracts else (kept, written)
        return published if self._is_later(published, retracted.until) else retracted

    def save(self):
        """See `IUnpublished`."""
        kept = [*self._memory.values()]
        for failure in kept:
            self._write(failure)
        return [failure.unique_id for failure in kept]

    def find(self, unique_id):
        """See `IUnpublished`."""
        kept, row = self._memory.get(unique_id), None
        with contextlib.nullcontext() if kept is None else contextlib.suppress(SpoolError):
            row = journal.read(self._private, id=[unique_id]).row('unpublished', unique_id)
        return self._newest(kept, row and _failure(row))

    def settle(self, failure):
        """See `IUnpublished`."""
        if failure is not None and self.find(failure.unique_id) == failure:
            self.forget(failure.unique_id)

    def forget(self, unique_id):
        """See `IUnpublished`."""
        kept = self._memory.pop(unique_id, None)
        if self.find(unique_id) is None:
            return kept is not None
        with self._visited() as visited:
            visited.note('published', id=unique_id)
        return True

    def retracted(self, unique_id, *, until):
        """Forget what failed before the number `until`."""
        failure = self.find(unique_id)
        if failure is not None and not self._is_later(failure, until):
            self.settle(failure)

    def _is_later(self, failure, until):
        """Return whether it has failed after the number, or the time, `until`."""
        if isinstance(until, str):
            return ago(time.time() - failure.last) >= until
        if failure is self._memory.get(failure.unique_id):
            return self._latest_before(failure) >= until
        return failure.number > until

    def content(self, remembered=None):
        """See `IUnpublished`; `remembered` is the `Journal`, if that was read already."""
        if remembered is None:
            remembered = journal.read(self._private, table='unpublished')
        rows = {row['id']: _failure(row) for row in remembered.find('unpublished')}
        found = [
            self._newest(self._memory.get(each), rows.get(each)) for each in rows | self._memory
        ]
        return sorted(found, key=lambda failure: (failure.since, failure.unique_id))


def _locked(path):
    """Return the `Descriptor` of the file `path`, made if need be, as `files.locked` does."""
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW
    with contextlib.ExitStack() as undo:
        descriptor = undo.enter_context(files.open_regular_descriptor(path, flags, 0o444))
        if os.fstat(descriptor.fileno()).st_uid == os.geteuid():
            os.fchmod(descriptor.fileno(), 0o444)  # whatever the umask
        undo.pop_all()
    return files.locked(descriptor, path)


def _failure(row):
    told = {field: row[field] for field in _FIELDS if field in row}
    return Failure(unique_id=row['id'], number=append_log.number_of(row), **told)
