"""A file that is read, and may change meanwhile."""

import os
import stat
import threading
import time

import zope.interface

from zeit.cds import digests
from zeit.cds.errors import FileError, SourceChanged, SourceGone, SourceUnreadable
from zeit.cds.interfaces import ISource
from zeit.cds.system.files import CHUNK
from zeit.cds.system.forks import not_inherited
from zeit.cds.text import printable


@zope.interface.implementer(ISource)
class Source:
    """See `ISource`; a regular file at `path`, opened without following a link or blocking."""

    def __init__(self, path):
        self._path = path
        try:
            self._file = not_inherited(self._open)
        except FileNotFoundError:
            raise SourceGone(f'{self._name} has disappeared from the spool') from None
        except OSError as error:
            raise self._unreadable(error) from error
        opened = os.fstat(self._file.fileno())
        self._digest = digests.sha256()
        self._version = _version(opened)
        #: Which version of the file this is, as in `zeit.cds.spool.entries`.
        self.version = self._version[1:]
        self._changed = opened.st_ctime_ns
        self.size = opened.st_size
        self.number = 0
        self.rate = self._moved = self._syncing = None
        #: Raises `Withdrawn`, where somebody may withdraw it; `anew`: whatever others have written.
        self.require_wanted = lambda anew=False: None

    def _open(self):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._path, flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SourceUnreadable(f'{self._name} is not a regular file')
        return open(descriptor, 'rb', buffering=0)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        try:
            if self._syncing is not None:
                self._syncing.join()
        finally:
            self._file.close()

    def __repr__(self):
        return f'<Source {self._name}, {self.size} bytes>'

    @property
    def _name(self):
        return printable(os.path.basename(self._path))

    def _unreadable(self, error):
        return SourceUnreadable(
            f'The file cannot be read: {error.strerror}',
            hint=f'Check owner and mode of {self._name}, and the disk.',
        )

    def readinto(self, buffer):
        """See `ISource`."""
        try:
            count = self._file.readinto(buffer)
        except OSError as error:
            raise self._unreadable(error) from error
        if self._digest is not None:
            self._digest.update(memoryview(buffer)[:count])
        if self._moved is not None:
            self._moved(count)
        return count

    def watch(self, moved, *, rate):
        """See `ISource`."""
        self._moved, self.rate = moved, rate

    def skip_digest(self):
        """See `ISource`."""
        self._digest = None

    @property
    def sha256(self):
        """See `ISource`."""
        return self._digest.hexdigest() if self._digest is not None else ''

    def digest(self):
        """See `ISource`."""
        buffer = bytearray(CHUNK)
        while self.readinto(buffer):
            pass
        return self.sha256 or self._digest_again()

    def verify(self):
        """See `ISource`."""
        if not self.unchanged() or self.was_touched():
            self.require_wanted(anew=True)  # to be taken out of new/ is such a change, too
            raise _changed()

    def unchanged(self):
        """Return whether size and time of the content are what they were when it was opened."""
        return _version(os.fstat(self._file.fileno())) == self._version

    def was_touched(self):
        """Return whether anything was done to the file since it was opened, if it has no digest.

        Otherwise what was read is compared by that; without it there is the change of the inode,
        which nobody can set back.  Renaming and unlinking are such changes, too.
        """
        return self._digest is None and os.fstat(self._file.fileno()).st_ctime_ns != self._changed

    def require_same(self, *, touched):
        """Raise `SourceChanged` if the content is not what was read, which reads it once more.

        A store into a shared mapping changes the content, and neither size nor time.  What has no
        digest is the same unless it was `touched`.
        """
        if touched or (self._digest is not None and self._digest_again() != self.sha256):
            raise _changed()

    def _digest_again(self):
        try:
            return digests.of_file(self.rewound())
        except OSError as error:
            raise self._unreadable(error) from error

    def is_file(self, path):
        """Return whether `path` names this file, unchanged."""
        return _version(os.lstat(path)) == self._version

    def begin_sync(self):
        """Begin what `sync` does, beside everything else: a disk may take long for it."""
        syncing = _Sync(self._file.fileno())
        try:
            syncing.start()
        except RuntimeError:  # no more threads: then it is done when its turn comes
            return
        self._syncing = syncing

    def sync(self):
        """Make the file's content survive a loss of power; return the seconds that it took."""
        syncing, self._syncing = self._syncing, None
        if syncing is None:
            syncing = _Sync(self._file.fileno())
            syncing.run()
        else:
            syncing.join()
        if syncing.error is not None:
            raise syncing.error
        return syncing.seconds

    def rewound(self):
        """Return the binary file, positioned at its start."""
        self._file.seek(0)
        return self._file


class _Sync:
    """Calls fsync(2): what comes of it is in `error`, None if nothing, and in `seconds`."""

    def __init__(self, descriptor):
        self.error = self.seconds = None
        self._descriptor = descriptor
        self._thread = None

    def start(self):
        """Begin it in a thread; raises RuntimeError if there are no more."""
        thread = threading.Thread(target=self.run, name='fsync', daemon=True)
        thread.start()
        self._thread = thread

    def join(self):
        """Wait until that has ended."""
        self._thread.join()

    def run(self):
        """Do it here and now."""
        began = time.monotonic()
        try:
            os.fsync(self._descriptor)
        except BaseException as error:  # noqa: BLE001 whoever waits for it raises it
            self.error = error
        self.seconds = time.monotonic() - began


def digest(path):
    """Return the SHA-256 of the file at `path`, '' if it is gone or cannot be read."""
    try:
        with Source(path) as source:
            return source.digest()
    except FileError:
        return ''


def _changed():
    return SourceChanged(
        'The file changed while it was sent',
        hint='Write files in tmp/ and rename them into new/; the next run sends it again.',
    )


def _version(found):
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
