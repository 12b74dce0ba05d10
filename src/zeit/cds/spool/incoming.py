"""A file on its way into a spool: in `tmp/` until it is complete, then in `new/`.

Nothing is overwritten on either side, and what is in `new/` was on the disk before it got there.
"""

import contextlib
import errno
import logging
import os

import zope.interface

from zeit.cds import digests
from zeit.cds.errors import FileError, NameRefused, SourceGone, SpoolError, SpoolFull
from zeit.cds.interfaces import IIncoming
from zeit.cds.spool.source import Source, digest
from zeit.cds.system import files
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How many bytes a larger file leaves free on the disk, for the journal and other files.
SPARE = 1024 * 1024

#: What a file system says of a file that is too large for it, a quota, or the process.
_TOO_LARGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: What it says of a name that it cannot have, while others are fine.
_UNSUITABLE = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


@zope.interface.implementer(IIncoming)
class Incoming:
    """See `IIncoming`.  `path` is the one of the spool, `temporary` the name in `tmp/`."""

    def __init__(self, path, *, temporary):
        self.temporary = temporary
        self.size = 0
        self._path = path
        self._digest = digests.sha256()
        self._kept = False
        self._inode = None
        with translated(self._in('tmp'), full=SpoolFull):
            self._file = files.open_new(self._in('tmp', temporary))

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if self._kept:
            self._file.close()
        else:
            self.discard()

    def __repr__(self):
        return f'<Incoming {printable(self.temporary)}, {self.size} bytes>'

    def _in(self, *segments):
        return os.path.join(self._path, *segments)

    @property
    def sha256(self):
        """See `IIncoming`."""
        return self._digest.hexdigest()

    @property
    def inode(self):
        """See `IIncoming`."""
        return self._inode

    def require_room(self, size):
        """See `IIncoming`."""
        with translated(self._in('tmp'), full=SpoolFull):
            found = os.fstatvfs(self._file.fileno())
            needed = size + (SPARE if size > SPARE else 0)
            # Some file systems tell nothing at all: 0 blocks of 0.
            if found.f_blocks and found.f_bavail * found.f_frsize < needed:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, data):
        """See `IIncoming`."""
        view = memoryview(data)
        with translated(self._in('tmp'), full=SpoolFull):
            while view:
                written = self._file.write(view)
                self._digest.update(view[:written])
                self.size += written
                view = view[written:]

    def complete(self):
        """See `IIncoming`."""
        with translated(self._in('tmp'), full=SpoolFull):
            os.fsync(self._file.fileno())
            self._inode = os.fstat(self._file.fileno()).st_ino
            self._file.close()

    def restart(self):
        """See `IIncoming`."""
        with translated(self._in('tmp')):
            self._file.seek(0)
            self._file.truncate()
        self._digest = digests.sha256()
        self.size = 0

    def keep(self):
        """See `IIncoming`."""
        self._kept = True

    def move(self, name):
        """See `IIncoming`."""
        return move(self._path, self.temporary, name)

    def discard(self):
        """See `IIncoming`."""
        self._file.close()
        with translated(self._in('tmp')), contextlib.suppress(FileNotFoundError):
            os.unlink(self._in('tmp', self.temporary))


@contextlib.contextmanager
def translated(path, *, full=SpoolError):
    """Turn what the system says about a file that comes in into an error of ours.

    It is of the class `full` if there is no room for the file.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _UNSUITABLE:
            raise NameRefused(
                f'The name is none that this file system can have: {error.strerror}',
                hint='Let the file be renamed on the server; it stays there.',
            ) from error
        kind = full if error.errno in _TOO_LARGE else SpoolError
        raise kind(
            f'The spool cannot be used: {printable(str(path))}: {error.strerror}',
            hint=f'{files.remedy(error) or "Check owner and mode."} The file stays on the server.',
        ) from error


def move(path, temporary, name):
    """Move `temporary` from `tmp/` of the spool at `path` to `new/`, as `name`.

    Returns False if there is something of that name already.  Raises `FileError` if it is not in
    `tmp/` any more, `NameRefused`, `SpoolError`.
    """
    tmp, new = (os.path.join(path, section) for section in ('tmp', 'new'))
    with translated(new):
        try:
            files.rename_exclusively(os.path.join(tmp, temporary), os.path.join(new, name))
        except FileExistsError:
            return False
        except FileNotFoundError as error:
            if os.path.lexists(os.path.join(tmp, temporary)) or not os.path.isdir(new):
                raise
            raise FileError(
                'It was removed from tmp/ before it could be moved to new/',
                hint='Whatever cleans up there must leave new files alone. The file stays on the '
                'server; the next run fetches it again.',
            ) from error
        return True


def sync(path):
    """Make what came into the spool at `path`, or was moved in it, survive a loss of power."""
    with translated(path):
        files.sync_directories(*(os.path.join(path, section) for section in ('new', 'tmp')))


def is_left(path, temporary, *, size, sha256):
    """Return whether `tmp/` has what an earlier run left there, with this very content."""
    where = os.path.join(path, 'tmp', temporary)
    try:
        with Source(where) as source:
            return source.size == size and source.digest() == sha256
    except SourceGone:
        return False
    except FileError as error:
        log.warning(
            'What an earlier run has fetched is thrown away: %s: %s',
            printable(temporary),
            printable(error.advice),
        )
        return False


def has_arrived(path, name, *, inode, sha256):
    """Return whether there is proof that a file with this content got into `new/` as `name`.

    It is there.  Or it is in `cur/`, under whatever name, where whoever works with this spool has
    moved it: the file itself, as its `inode` tells, no other one of the same content.
    """
    with translated(path):
        if digest(os.path.join(path, 'new', name)) == sha256:
            return True
        with os.scandir(os.path.join(path, 'cur')) as scan:
            return any(
                item.inode() == inode and digest(item.path) == sha256
                for item in scan
                if item.is_file(follow_symlinks=False)
            )


def discard(path, temporary):
    """Delete what is in `tmp/`, if it is there."""
    with translated(path), contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(path, 'tmp', temporary))
