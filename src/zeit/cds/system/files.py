"""Files that survive: moved without overwriting, written for good.

Nothing here knows what is in a spool.
"""

import contextlib
import errno
import fcntl
import io
import itertools
import logging
import math
import os
import re
import select
import stat
import time

from zeit.cds import names
from zeit.cds.errors import SpoolError
from zeit.cds.system.forks import Descriptor, not_inherited, open_descriptor
from zeit.cds.text import from_timestamp, printable


log = logging.getLogger(__name__)

CHUNK = 256 * 1024

#: Seconds between two attempts to get a lock.
INTERVAL = 0.005

#: How the names end that `candidates` makes.
_TIME = re.compile(r'\.[0-9]{8}T[0-9]{6}Z(-[0-9]+)?\Z')

#: How the names of unfinished files begin.
_DRAFT = '.draft-'

_FULL = (errno.ENOSPC, errno.EDQUOT)

_REMEDIES = {
    errno.EROFS: 'It is mounted read-only: "dmesg" may tell why; then mount -o remount,rw.',
    errno.EISDIR: 'A file needs this name: move the directory out of the way.',
    errno.EXDEV: 'It is another file system, or another mount of the same one, as volumes of a '
    'container are: mount the whole spool as one.',
    errno.EOPNOTSUPP: 'This file system can neither rename without overwriting nor link: put the '
    'spool on ext4 or XFS, for instance.',
    errno.ENOENT: 'It was removed, or is a link that leads nowhere: "ls -l" shows it.',
    errno.ENOTDIR: 'It must be a directory: move what is there out of the way.',
}

#: What a file may be that is no regular one.
_KINDS = (stat.S_ISFIFO, 'a FIFO'), (stat.S_ISSOCK, 'a socket')

_RENAME_NOREPLACE = 1  # linux/fs.h
_RENAME_EXCHANGE = 2


class LinkRefused(PermissionError):
    """A file cannot be moved without overwriting: that takes a link here, see link(2)."""


def is_full(error):
    """Return whether an OSError says that there is no room left."""
    return error.errno in _FULL


def remedy(error):
    """Return what to do about an OSError that has nothing to do with owner and mode, else ''."""
    if isinstance(error, LinkRefused):
        return (
            'To move it takes a link on this file system, and links to files of another user are '
            'forbidden unless one may read and write them (fs.protected_hardlinks): let the CMS '
            'write its files for a common group (umask 002), or run as its user.'
        )
    if isinstance(error, NotRegular):
        return 'Move it out of the way.'
    if is_full(error):
        return 'Make room there: "df -h" and "df -i" tell how much is left.'
    return _REMEDIES.get(error.errno, '')


class translated:  # noqa: N801 it is used like a function, and nearly all calls come through it
    """A context manager that makes a `SpoolError` of an OSError.

    What it says begins with `about`, which has {} for the file: that of the error, or else `path`.
    `hint` is what to do where there is no `remedy`.
    """

    def __init__(self, about, path, *, hint):
        self._about = about
        self._path = path
        self._hint = hint

    def __enter__(self):
        pass

    def __exit__(self, kind, error, traceback):
        if isinstance(error, OSError):
            # Of a descriptor an error has the number.
            path = self._path if isinstance(error.filename, int | None) else error.filename
            where = printable(os.fsdecode(path))
            raise SpoolError(
                f'{self._about.format(where)}: {error.strerror}',
                hint=remedy(error) or self._hint,
            ) from error


class NotRegular(OSError):
    """What must be a regular file is something else: to open it could last for ever."""


def open_regular(path, mode='rb', **options):
    """Return what open() returns for `path`, which must be a regular file.

    What is a FIFO, say, does not make it wait.  Raises OSError, `NotRegular`.
    """
    return open(path, mode, opener=_opened, **options)


def open_regular_descriptor(path, flags, mode=0o600):
    """Return a `Descriptor` of a regular file, see open(2), that no child has.

    Raises as `open_regular` does.
    """
    return not_inherited(lambda: Descriptor(_opened(path, flags, mode)))


def _opened(path, flags, mode=0o666):
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    try:
        _check(os.fstat(descriptor), path)
        if flags & os.O_CREAT:
            _give(descriptor, os.path.dirname(path) or '.')
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_new(path):
    """Return the new file `path`, open to write, binary and not buffered, that no child has.

    Raises FileExistsError, OSError.
    """
    return not_inherited(open, path, 'xb', buffering=0, opener=_opened)


def _give(descriptor, like):
    """Let what root has just made belong to whom the directory `like` belongs.

    One run as root must not keep those of the spool's user out for ever.
    """
    if os.geteuid():
        return
    found, owner = os.fstat(descriptor), os.stat(like)
    # What has another name may be somewhere else, too, where it is to remain root's.
    alone = found.st_nlink == 1 or stat.S_ISDIR(found.st_mode)
    if found.st_uid == 0 and owner.st_uid and alone:
        try:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        except PermissionError as error:  # root of a container, say, that has not all rights
            log.debug('It remains of root: %s: %s', printable(str(like)), error.strerror)


def _opened_at_once(path, flags):
    return os.open(path, flags | os.O_NONBLOCK)


def require_regular(path):
    """Raise what `open_regular` raises: for what somebody else opens, by its name."""
    _check(os.stat(path), path)


def first_line(path, *, within):
    """Return the first line (bytes, without its end) of a file or a pipe, and its mode.

    It is opened once only: whoever waits for a reader of a FIFO writes then, for nobody else.
    `within`: so many seconds it may take.  Raises OSError, TimeoutError.
    """
    end, found = time.monotonic() + within, b''
    with open(path, 'rb', buffering=0, opener=_opened_at_once) as file:
        ready = select.poll()
        ready.register(file, select.POLLIN)
        while b'\n' not in found and len(found) < CHUNK:
            if not ready.poll(max(0, end - time.monotonic()) * 1000):
                del found  # it may be half a password
                raise TimeoutError(errno.ETIMEDOUT, f'Nothing came within {within} s', path)
            if chunk := file.read(1):
                found += chunk
            elif chunk == b'':
                break
        mode = os.fstat(file.fileno()).st_mode
    return found.partition(b'\n')[0].rstrip(b'\r'), mode


def _check(found, path):
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(found.st_mode):
        kind = next((words for test, words in _KINDS if test(found.st_mode)), 'a device')
        raise NotRegular(errno.EINVAL, f'It is {kind}, not a regular file', os.fspath(path))


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
    """Create a directory, if it is missing, with the permissions of the directory `like`.

    It has them from its first moment on: one that got them later would be of one user after a kill.
    """
    if os.path.lexists(path):
        return
    made = os.path.join(os.path.dirname(path), f'{_DRAFT}{os.urandom(8).hex()}')
    os.mkdir(made)
    try:
        with open_descriptor(made, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) as descriptor:
            _give(descriptor.fileno(), like)
        os.chmod(made, stat.S_IMODE(os.stat(like).st_mode))
        os.rename(made, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):  # a run that has begun meanwhile removes it
            os.rmdir(made)
        # Somebody else's is there by now, and in use: rename(2) replaces an empty one.
        if not (isinstance(error, OSError) and os.path.lexists(path)):
            raise
    sync_directories(os.path.dirname(path))


def rename_exclusively(old, new):
    """Rename, and raise `FileExistsError` if there is something at `new`."""
    if _renameat2(old, new):
        return
    try:
        os.link(old, new, follow_symlinks=False)
    except PermissionError as error:
        raise LinkRefused(error.errno, error.strerror, error.filename) from error
    os.unlink(old)


def exchange(one, other):
    """Let two files have each other's name; return False where system or file system cannot."""
    return _renameat2(one, other, _RENAME_EXCHANGE)


def _renameat2(old, new, flags=_RENAME_NOREPLACE):
    """Rename by renameat2(2); return False where system or file system cannot do it."""
    from zeit.cds.system import libc  # many who read files need no ctypes

    function = libc.function('renameat2')
    if function is None:
        return False
    names = os.fsencode(old), os.fsencode(new)
    if function(libc.AT_FDCWD, names[0], libc.AT_FDCWD, names[1], flags) == 0:
        return True
    number = libc.error()
    if number in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number), os.fspath(old), None, os.fspath(new))


def move(path, directory, name):
    """Move the file `path` into `directory` as `name`, or as a unique name if that is taken.

    Returns the name that it got.  Nothing is overwritten.
    """
    for candidate in candidates(name):
        with contextlib.suppress(FileExistsError):
            rename_exclusively(path, os.path.join(directory, candidate))
            return candidate


def locked(descriptor, path, operation=fcntl.LOCK_EX):
    """Return the `Descriptor`, locked by flock(2); None, and it is closed, if somebody else has it.

    Or if it is not what is at `path` any more.  Raises OSError.
    """
    with contextlib.ExitStack() as undo:
        undo.callback(descriptor.close)
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        if is_at(descriptor, path):
            undo.pop_all()
            return descriptor
    return None


def lock_within(descriptor, seconds):
    """Lock a `Descriptor` by flock(2); return False if somebody else has it all that time."""
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        time.sleep(INTERVAL)


def is_at(descriptor, path):
    """Return whether the `Descriptor` is of the file at `path`.  Raises OSError."""
    try:
        return os.path.samestat(os.stat(descriptor.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def candidates(name, *, at=None):
    """Yield `name`, then names made of it and the time, without end.

    `at`: that time, in seconds since the epoch; now, if it is None.
    """
    yield name
    at = time.time() if at is None else max(at, 0)
    now = from_timestamp(at).strftime('%Y%m%dT%H%M%SZ')
    yield names.with_suffix(name, f'.{now}', limit=names.NAME_MAX)
    for number in itertools.count(2):
        yield names.with_suffix(name, f'.{now}-{number}', limit=names.NAME_MAX)


def has_time(name):
    """Return whether `name` may be one that `candidates` has made of another one."""
    return bool(_TIME.search(name))


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


def draft(directory, content, *, name=None, mode=None):
    """Write the binary file `content` to a new file in `directory`, durable; return its path.

    The file gets the `name`, or one of its own, `.draft-...`, and the permissions `mode`, or those
    of any file.  Nothing is left behind when that fails.
    """
    path = os.path.join(directory, name or f'{_DRAFT}{os.urandom(8).hex()}')
    with contextlib.ExitStack() as undo:
        with open_new(path) as file:
            undo.callback(os.unlink, path)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            _copy(content, file)
            os.fsync(file.fileno())
        undo.pop_all()
    return path


def _copy(content, file):
    """Copy one binary file to another one, which is not buffered."""
    while chunk := content.read(CHUNK):
        view = memoryview(chunk)
        while view:
            view = view[file.write(view) :]


def remove_drafts(directory, *, before=math.inf):
    """Remove what those who were killed have left in `directory` of what `draft` makes.

    Only what nobody has changed since `before` (seconds since the epoch), where others write.  That
    is not what its time of modification says, which may be the one of a file that it is about.
    """
    with os.scandir(directory) as items:
        left = [item for item in items if item.name.startswith(_DRAFT)]
    for item in left:
        with contextlib.suppress(FileNotFoundError):  # finished, or given up
            if item.stat(follow_symlinks=False).st_ctime < before:
                remove(item.path)


def remove(path):
    """Remove what is of no use, if it is there; what another user has made and keeps may stay."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        os.rmdir(path)
    except PermissionError as error:
        log.debug('It stays: %s: %s', printable(path), error.strerror)


def make_exclusively(path, *, mode, content=b''):
    """Make the file `path`, which has permissions and content from its first moment on.

    Raises FileExistsError if it is there, and OSError.
    """
    made = draft(os.path.dirname(path), io.BytesIO(content), mode=mode)
    try:
        rename_exclusively(made, path)
    except BaseException:
        remove(made)
        raise


def end_of_lines(descriptor):
    """Return how long the file is without half a line at its end, in bytes.  Raises OSError."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - CHUNK)
        found = os.pread(descriptor, end - start, start).rfind(b'\n')
        if found >= 0:
            return start + found + 1
        end = start
    return 0


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
