"""`.cds/unpublished/`: what should have been put into a spool and was not, until it works.

One file is one content of the application; its name is a hash of the id.  What cannot be written,
as the disk is full or the spool is gone, is in the memory of the process until it can be.

`.cds/publishing/` has a file of the same name while the content is being put: who holds its lock
by flock(2) is the only one who does that.  A killed process leaves the file, which stops nobody.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import io
import json
import logging
import os
import time

import zope.interface

from zeit.cds import files
from zeit.cds.errors import SpoolBusy
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


@zope.interface.implementer(IUnpublished)
class Unpublished:
    """See `IUnpublished`; `directory` is made when it is needed, with the permissions of `like`.

    All methods raise OSError.
    """

    def __init__(self, directory, *, like):
        self._directory = directory
        self._like = like
        #: What could not be written: `Failure` by id.
        self._memory = {}

    def __repr__(self):
        return f'<Unpublished {str(self._directory)!r}>'

    def _path(self, unique_id):
        name = hashlib.sha256(unique_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]
        return os.path.join(self._directory, name)

    @contextlib.contextmanager
    def alone(self, unique_id, *, within=0):
        """See `IUnpublished`."""
        private, name = os.path.dirname(self._directory), os.path.basename(self._path(unique_id))
        directory = os.path.join(private, 'publishing')
        for each in (private, directory):
            files.make_directory(each, like=self._like)
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

    def add(self, unique_id, reason):
        """See `IUnpublished`."""
        now = time.time()
        known = None
        with contextlib.suppress(OSError):
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
        for directory in (os.path.dirname(self._directory), self._directory):
            files.make_directory(directory, like=self._like)
        entry = {
            'id': failure.unique_id,
            'reason': failure.reason,
            'attempts': failure.attempts,
            'since': _iso(failure.since),
            'last': _iso(failure.last),
        }
        content = io.BytesIO(json.dumps(entry).encode('utf-8'))
        os.replace(files.draft(self._directory, content), self._path(failure.unique_id))
        files.sync_directories(self._directory)
        self._memory.pop(failure.unique_id, None)

    def save(self):
        """See `IUnpublished`."""
        kept = [*self._memory.values()]
        for failure in kept:
            self._write(failure)
        return [failure.unique_id for failure in kept]

    def find(self, unique_id):
        """See `IUnpublished`."""
        return self._memory.get(unique_id) or _read(self._path(unique_id))

    def settle(self, failure):
        """See `IUnpublished`."""
        if failure is not None and self.find(failure.unique_id) == failure:
            self.forget(failure.unique_id)

    def forget(self, unique_id):
        """See `IUnpublished`."""
        kept = self._memory.pop(unique_id, None)
        try:
            os.unlink(self._path(unique_id))
        except FileNotFoundError:
            return kept is not None
        files.sync_directories(self._directory)
        return True

    def content(self):
        """See `IUnpublished`."""
        present = []
        with contextlib.suppress(FileNotFoundError):
            present = os.listdir(self._directory)
        read = [_read(os.path.join(self._directory, n)) for n in present if not n.startswith('.')]
        found = {failure.unique_id: failure for failure in filter(None, read)} | self._memory
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


def _iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec='milliseconds')


def _read(path):
    """Return what a file says, or None if there is no such file, or it is damaged."""
    try:
        with files.open_regular(path, 'r', encoding='utf-8') as file:
            entry = json.load(file)
        return Failure(
            unique_id=str(entry['id']),
            reason=str(entry['reason']),
            attempts=int(entry['attempts']),
            since=datetime.datetime.fromisoformat(entry['since']).timestamp(),
            last=datetime.datetime.fromisoformat(entry.get('last', entry['since'])).timestamp(),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        log.warning('%s is damaged and left out', printable(path))
        return None
