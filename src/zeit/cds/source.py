"""A file that is read, and may change meanwhile."""

import errno
import hashlib
import os
import stat

import zope.interface

from zeit.cds.errors import FileError, SourceChanged, SourceGone, SourceUnreadable
from zeit.cds.files import CHUNK
from zeit.cds.forks import not_inherited
from zeit.cds.interfaces import ISource
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
        self._digest = hashlib.sha256()
        self._version = _version(opened)
        self._changed = opened.st_ctime_ns
        self.size = opened.st_size
        self.number = 0
        #: Raises `Withdrawn`, where somebody may withdraw it.
        self.require_wanted = lambda: None

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
        self._file.close()

    def __repr__(self):
        return f'<Source {self._name}, {self.size} bytes>'

    @property
    def version(self):
        """Which version of the file this is, as in `zeit.cds.entries`."""
        return self._version[1:]

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
        return count

    def sendfile(self, descriptor, count):
        """See `ISource`; sendfile(2)."""
        position = self._file.tell()
        try:
            sent = os.sendfile(descriptor, self._file.fileno(), position, count)
        except OSError as error:
            if error.errno == errno.EIO:
                raise self._unreadable(error) from error
            raise
        self._digest = None
        self._file.seek(position + sent)
        return sent

    def leave_unread(self):
        """Count it as sent unread, as it was by an earlier run."""
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
            raise _changed()

    def unchanged(self):
        """Return whether size and time of the content are what they were when it was opened."""
        return _version(os.fstat(self._file.fileno())) == self._version

    def was_touched(self):
        """Return whether anything was done to the file since it was opened, if it was sent unread.

        What was read is compared by its digest; of what was not there is the change of the inode,
        which nobody can set back.  Renaming and unlinking are such changes, too.
        """
        return not self.sha256 and os.fstat(self._file.fileno()).st_ctime_ns != self._changed

    def require_same(self, *, touched):
        """Raise `SourceChanged` if the content is not what was read, which reads it once more.

        A store into a shared mapping changes the content, and neither size nor time.  What was sent
        unread is the same unless it was `touched`.
        """
        if touched or (self.sha256 and self._digest_again() != self.sha256):
            raise _changed()

    def _digest_again(self):
        try:
            return hashlib.file_digest(self.rewound(), 'sha256').hexdigest()
        except OSError as error:
            raise self._unreadable(error) from error

    def is_file(self, path):
        """Return whether `path` names this file, unchanged."""
        return _version(os.lstat(path)) == self._version

    def sync(self):
        """Make the file's content survive a loss of power: fsync(2)."""
        os.fsync(self._file.fileno())

    def rewound(self):
        """Return the binary file, positioned at its start."""
        self._file.seek(0)
        return self._file


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
