"""What should have been put into a spool and was not, until it works.

One row of the journal is one content of the application.  What cannot be written, as the disk is
full or the spool is gone, is in the memory of the process until it can be.

`.cds/publishing/` has a file for each content, its name a hash of the id, while that is being put:
who holds its lock by flock(2) is the only one who does that.  A killed process leaves the file,
which stops nobody.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import logging
import os
import time

import zope.interface

from zeit.cds import files, journal, jsonlog
from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.interfaces import IFailure, IUnpublished
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: While somebody else puts the same content, it is looked at so often, in seconds.
INTERVAL = 0.02


@zope.interface.implementer(IFailure)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """See `IFailure`."""

    unique_id: str
    reason: str
    attempts: int
    since: float
    last: float
    number: int = 0


@zope.interface.implementer(IUnpublished)
class Unpublished:
    """See `IUnpublished`; what is written is in the journal in the directory `private`.

    `visited` returns a context manager: a `zeit.cds.journal.Journal` to add something.
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
        name = hashlib.sha256(unique_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]
        path = os.path.join(directory, name)
        end = time.monotonic() + within
        while (descriptor := _locked(path)) is None:
            if time.monotonic() >= end:
                raise SpoolBusy(
                    f'Another process is about to publish {printable(unique_id)}',
                    hint='It is tried again when that has ended.',
                )
            time.sleep(INTERVAL)
        with descriptor:
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # it may stay, see `_locked`
                    if not descriptor.closed:
                        os.unlink(path)

    def _written(self, unique_id=None):
        """Return what is written of an id, or of all: a dictionary of `Failure`."""
        found = journal.Journal(self._private)
        found.look(**({'table': 'unpublished'} if unique_id is None else {'id': [unique_id]}))
        failures = map(_failure, found.find('unpublished'))
        return {failure.unique_id: failure for failure in failures}

    def add(self, unique_id, reason):
        """See `IUnpublished`."""
        now = time.time()
        known = None
        with contextlib.suppress(SpoolError):
            known = self.find(unique_id)
        if known is None:
            known = Failure(unique_id=unique_id, reason='', attempts=0, since=now, last=now)
        failure = dataclasses.replace(
            known, reason=reason, attempts=known.attempts + 1, last=now
        )
        self._memory[unique_id] = failure
        self._write(failure)
        return failure.attempts

    def _write(self, failure):
        with self._visited() as visited:
            visited.note(
                'unpublished',
                sequence=None,
                id=failure.unique_id,
                reason=failure.reason,
                attempts=failure.attempts,
                since=failure.since,
                last=failure.last,
            )
        self._memory.pop(failure.unique_id, None)

    def save(self):
        """See `IUnpublished`."""
        kept = [*self._memory.values()]
        for failure in kept:
            self._write(failure)
        return [failure.unique_id for failure in kept]

    def find(self, unique_id):
        """See `IUnpublished`."""
        return self._memory.get(unique_id) or self._written(unique_id).get(unique_id)

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
        """Forget what failed before the number `until`, and what is in memory."""
        self._memory.pop(unique_id, None)
        failure = self.find(unique_id)
        if failure is not None and failure.number <= until:
            self.settle(failure)

    def content(self):
        """See `IUnpublished`."""
        found = self._written() | self._memory
        return sorted(found.values(), key=lambda failure: (failure.since, failure.unique_id))


def _locked(path):
    """Return the `Descriptor` of the file `path`, locked; None if somebody else has it.

    It is removed at the end, so one that is not at `path` any more locks nobody out.
    """
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW
    with contextlib.ExitStack() as undo:
        try:
            descriptor = files.open_regular_descriptor(path, flags, 0o444)
            undo.callback(descriptor.close)
            found = os.fstat(descriptor.fileno())
            if found.st_uid == os.geteuid():
                os.fchmod(descriptor.fileno(), 0o444)  # whatever the umask
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(found, os.stat(path)):
                undo.pop_all()
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
    return None


def _failure(row):
    fields = ('reason', 'attempts', 'since', 'last')
    told = {field: row[field] for field in fields}
    return Failure(unique_id=row['id'], number=jsonlog.number_of(row), **told)
