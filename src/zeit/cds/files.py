"""Files that survive: reading one that may change, moving without overwriting, writing for good.

Nothing here knows what a spool is.
"""

import contextlib
import ctypes
import datetime
import errno
import functools
import hashlib
import io
import itertools
import os
import secrets
import shutil
import stat

import zope.interface

from zeit.cds import names
from zeit.cds.errors import FileError, SourceChanged, SourceGone, SourceUnreadable
from zeit.cds.interfaces import ISource
from zeit.cds.text import printable


CHUNK = 256 * 1024

_FULL = (errno.ENOSPC, errno.EDQUOT)

_REMEDIES = {
    errno.EROFS: 'It is mounted read-only: "dmesg" may tell why; then mount -o remount,rw.',
    errno.EISDIR: 'A file is to have its name: move the directory out of the way.',
    errno.ENOENT: 'It was removed, or is a link that leads nowhere: "ls -l" shows it.',
    errno.ENOTDIR: 'It must be a directory: move what is there out of the way.',
}

_AT_FDCWD = -100  # fcntl.h: relative paths are relative to the working directory
_RENAME_NOREPLACE = 1  # linux/fs.h


@zope.interface.implementer(ISource)
class Source:
    """See `ISource`; a regular file at `path`, opened without following a link or blocking."""

    def __init__(self, path):
        self._path = path
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise SourceGone(f'{self._name} has disappeared from the spool') from None
        except OSError as error:
            raise self._unreadable(error) from error
        opened = os.fstat(descriptor)
        if not stat.S_ISREG(opened.st_mode):
            os.close(descriptor)
            raise SourceUnreadable(f'{self._name} is not a regular file')
        self._file = open(descriptor, 'rb', buffering=0)
        self._digest = hashlib.sha256()
        self._version = _version(opened)
        self.size = opened.st_size
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._file.close()

    @property
    def version(self):
        """Which version of the file this is, as in `zeit.cds.entries`."""
        return self._version[1:]

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

    @property
    def sha256(self):
        """See `ISource`."""
        return self._digest.hexdigest() if self._digest is not None else ''

    def digest(self):
        """Read to the end; return the SHA-256 of the whole file, in hexadecimal digits."""
        buffer = bytearray(CHUNK)
        while self.readinto(buffer):
            pass
        return self.sha256

    def verify(self):
        """See `ISource`."""
        if not self.unchanged():
            raise SourceChanged(
                'The file changed while it was sent',
                hint='Write files in tmp/ and rename them into new/; the next run sends it again.',
            )

    def unchanged(self):
        """Return whether the file's content is what it was when it was opened."""
        return _version(os.fstat(self._file.fileno())) == self._version

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


def remedy(error):
    """Return what to do about an OSError that has nothing to do with owner and mode, else ''."""
    if error.errno in _FULL:
        return 'Make room there: "df -h" and "df -i" tell how much is left.'
    return _REMEDIES.get(error.errno, '')


def _version(found):
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def sync_directories(*paths):
    """Make what was created, renamed or removed in these directories survive a loss of power.

    Source: fsync(2), on the entry in the directory that contains a file.
    """
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_directory(path):
    """Tell whether there is a directory.  Raises OSError where that cannot be known.

    `pathlib` has kept that to itself since Python 3.14.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def make_directory(path, *, like):
    """Create a directory, if it is missing, with the permissions of the directory `like`."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    os.chmod(path, stat.S_IMODE(os.stat(like).st_mode))
    sync_directories(os.path.dirname(path))


def rename_exclusively(old, new):
    """Rename, and raise `FileExistsError` if there is something at `new`."""
    if _renameat2(old, new):
        return
    os.link(old, new, follow_symlinks=False)
    os.unlink(old)


def _renameat2(old, new):
    """Rename by renameat2(2); return False where system or file system cannot do it."""
    function = _libc_renameat2()
    if function is None:
        return False
    result = function(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE)
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number), os.fspath(old), None, os.fspath(new))


@functools.cache
def _libc_renameat2():
    return getattr(ctypes.CDLL(None, use_errno=True), 'renameat2', None)


def move(path, directory, name):
    """Move the file `path` into `directory` as `name`, or as a unique name if that is taken.

    Returns the name that it got.  Nothing is overwritten; durable on return.
    """
    for candidate in candidates(name):
        try:
            rename_exclusively(path, os.path.join(directory, candidate))
        except FileExistsError:
            continue
        sync_directories(directory, os.path.dirname(path))
        return candidate


def candidates(name):
    """Yield `name`, then names made of it and the time, without end."""
    yield name
    now = datetime.datetime.now(datetime.UTC).strftime('%Y%m%dT%H%M%SZ')
    yield names.with_suffix(name, f'.{now}', limit=names.NAME_MAX)
    for number in itertools.count(2):
        yield names.with_suffix(name, f'.{now}-{number}', limit=names.NAME_MAX)


def readable(data, *, name):
    """Return `data`, what is put as `name`, as a binary file.  Raises TypeError if it is none."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return io.BytesIO(data)
    if isinstance(data, io.TextIOBase) or not callable(getattr(data, 'read', None)):
        raise TypeError(
            f'The content of {printable(repr(name))} has to be bytes or a binary file, '
            f'and is {type(data).__name__}'
        )
    return data


def draft(directory, content, *, name=None):
    """Write the binary file `content` to a new file in `directory`, durable; return its path.

    The file gets a name of its own, `.draft-...`; a `name` that is given is overwritten.  Nothing
    is left behind when that fails.
    """
    path = os.path.join(directory, name or f'.draft-{secrets.token_hex(8)}')
    with contextlib.ExitStack() as undo:
        with open(path, 'wb' if name else 'xb') as file:
            undo.callback(os.unlink, path)
            shutil.copyfileobj(content, file, CHUNK)
            file.flush()
            os.fsync(file.fileno())
        undo.pop_all()
    return path


def newest(directory):
    """Return (number of files, (name, change of the inode) of the newest one or None).

    Dot files do not count.  Times in seconds since the epoch.
    """
    number, found = 0, None
    with os.scandir(directory) as scan:
        for item in scan:
            if item.name.startswith('.'):
                continue
            number += 1
            with contextlib.suppress(FileNotFoundError):
                changed = item.stat(follow_symlinks=False).st_ctime
                if found is None or changed > found[1]:
                    found = (item.name, changed)
    return number, found
