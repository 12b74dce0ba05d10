"""The order of what comes into a spool: numbers that only grow, told by no clock.

    .cds/sequence       one JSON object on each line, only appended to:
        number          of this version; larger than those of all versions that came before it
        name, version   which file, and which version of it (see `zeit.cds.entries`)
        left            true when it waits no more: its receipt, or what is beside a parked file,
                        has the number from here on
        last            the largest number so far, where this line has a smaller one

Who puts a file, votes, or brings one back takes a number and gives the file its name under one
lock, so that of two files of one name the one that remains has the larger number.  What appears by
a rename of somebody else gets its number when it is first seen: by a run, or by who puts another.
The lock is held for moments, and nobody waits for it without an end.
"""

import contextlib
import errno
import fcntl
import functools
import io
import json
import os
import stat
import time

from zeit.cds import files
from zeit.cds.errors import SpoolBusy
from zeit.cds.forks import open_descriptor
from zeit.cds.text import printable


#: Nobody waits longer than this for the lock, in seconds; it is looked at so often.
PATIENCE = 2
INTERVAL = 0.005

#: The last line is looked for in so many bytes at the end first; a name takes 1,530 at most.
TAIL = 4096

#: So many bytes are read in a third of a millisecond: the lines of some 80 versions.
SHORT = 8 * 1024


class Sequence:
    """The sequence in the file `path`, whose permissions follow the directory `like`.

    `drafts` is the directory for unfinished files, which a run empties.  `floor` returns a number
    that the first one of a new file is to be larger than.  `clock` tells monotonic seconds, `wait`
    waits for some; both are for tests.
    """

    def __init__(
        self, path, *, like, drafts, floor=lambda: 0, clock=time.monotonic, wait=time.sleep
    ):
        self._path = os.fspath(path)
        self._like = like
        self._drafts = drafts
        self._floor = floor
        self._clock = clock
        self._wait = wait

    def __repr__(self):
        return f'<Sequence {self._path!r}>'

    def read(self, *, durable=False):
        """Return the numbers by (name, version): a dict.  It only looks, and needs no lock.

        With `durable` what it returns survives a loss of power.  Raises OSError.
        """
        return _numbers(self._content(durable=durable))

    def lines(self):
        """Return how many lines there are.  Raises OSError."""
        return self._content().count(b'\n')

    def _content(self, *, durable=False):
        try:
            descriptor = files.open_regular_descriptor(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return b''
        with contextlib.closing(descriptor):
            if durable:
                os.fsync(descriptor.fileno())
            with open(descriptor.fileno(), 'rb', buffering=0, closefd=False) as file:
                return file.read()

    @contextlib.contextmanager
    def locked(self, *, insist=False):
        """Return a context manager: inside it this is the only one that gives `Numbers`.

        If somebody else holds the lock for `PATIENCE` seconds, being stopped, it raises
        `SpoolBusy`; or, with `insist`, a new file takes the place of the one that is held.  Then,
        or if it must not be written, the directory has to be writable.  Raises OSError.
        """
        numbers = Numbers(
            self._path,
            self._open(self._clock() + PATIENCE, insist=insist),
            drafts=self._drafts,
            floor=self._floor,
        )
        try:
            yield numbers
        finally:
            numbers.close()

    def _open(self, end, *, insist):
        """Return the open and locked file."""
        while True:
            try:
                descriptor = self._create()
            except PermissionError:
                return self._take_over()
            with contextlib.ExitStack() as undo:
                undo.callback(descriptor.close)
                while not _is_locked(descriptor):
                    if self._clock() < end:
                        self._wait(INTERVAL)
                    elif insist:
                        return self._take_over()
                    else:
                        raise SpoolBusy(
                            f'Another process holds {printable(self._path)} for more than '
                            f'{PATIENCE} seconds',
                            hint='It should be a moment: "fuser -v" on that file tells which.',
                        )
                if self._is_current(descriptor):
                    undo.pop_all()
                    return descriptor

    def _create(self):
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        try:
            descriptor = files.open_regular_descriptor(self._path, flags)
        except FileNotFoundError:
            found = os.stat(self._like)
            # One that the user of the runs could not write into would keep them from running.
            if found.st_uid != os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise
            files.make_directory(os.path.dirname(self._path), like=self._like)
            descriptor = files.open_regular_descriptor(self._path, flags)
        with contextlib.ExitStack() as undo:
            undo.callback(descriptor.close)
            found = os.fstat(descriptor.fileno())
            if not found.st_size and found.st_uid == os.geteuid():
                os.fchmod(descriptor.fileno(), self._mode)
                files.sync_directories(os.path.dirname(self._path))
            undo.pop_all()
        return descriptor

    @property
    def _mode(self):
        return stat.S_IMODE(os.stat(self._like).st_mode) & 0o666

    def _take_over(self):
        """Put a new file with the same content in the place of this one; return it, locked."""
        try:
            data = self._content()
        except PermissionError:
            data = b''
        last = max([self._floor(), *map(_last, _entries(data))])
        whole = data[: data.rfind(b'\n') + 1]
        return _begin(self._path, whole, last=last, mode=self._mode, drafts=self._drafts)

    def _is_current(self, descriptor):
        """Return whether it was not replaced while we waited for it."""
        try:
            return os.path.samestat(os.fstat(descriptor.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return False


class Numbers:
    """The open and locked file of a `Sequence`.  All methods raise OSError."""

    def __init__(self, path, descriptor, *, drafts, floor):
        self._path = path
        self._drafts = drafts
        self._descriptor = descriptor
        self._floor = floor

    def __repr__(self):
        return f'<Numbers in {self._path!r}>'

    def close(self):
        """Give the lock back; may be called again."""
        self._descriptor.close()

    def sync(self):
        """Make all numbers survive a loss of power."""
        os.fsync(self._descriptor.fileno())

    @functools.cached_property
    def last(self):
        """The largest number so far."""
        size = os.fstat(self._descriptor.fileno()).st_size
        for start in (max(0, size - TAIL), 0):
            data = os.pread(self._descriptor.fileno(), size - start, start)
            whole = data[: data.rfind(b'\n') + 1]
            for line in reversed(whole.splitlines()):
                entry = _entry(line)
                if entry is not None:
                    if len(whole) < len(data):  # half a line, of a write that was cut off
                        os.ftruncate(self._descriptor.fileno(), start + len(whole))
                    return _last(entry)
        os.ftruncate(self._descriptor.fileno(), 0)
        return self._floor()

    @property
    def is_short(self):
        """True if reading all of it takes no time that somebody who puts a file would notice."""
        return os.fstat(self._descriptor.fileno()).st_size <= SHORT

    def known(self):
        """Return the numbers by (name, version): a dict."""
        return _numbers(self._content())

    def newest(self):
        """Return the largest number of each name, also of what does not wait any more: a dict."""
        found = {}
        for entry in _entries(self._content()):
            name = entry.get('name')
            found[name] = max(entry['number'], found.get(name, 0))
        return found

    def _content(self):
        size = os.fstat(self._descriptor.fileno()).st_size
        return os.pread(self._descriptor.fileno(), size, 0)

    def note(self, name, version, *, number=None):
        """Give a version the next number, or the `number` that it had; return it."""
        last = self.last
        if number is None:
            number = last + 1
        self._append([_line(number, name, version, last=last)])
        self.last = max(last, number)
        return number

    def see(self, entries):
        """Give those of `entries` that have none a number, in the order of their arrival.

        Returns what `known` does then; what is new in it survives a loss of power.
        """
        known = self.known()
        unknown = [each for each in entries if (each.name, each.version) not in known]
        for each in sorted(unknown, key=lambda each: (each.arrived, each.name)):
            known[each.name, each.version] = self.note(each.name, each.version)
        if unknown:
            self.sync()
        return known

    def leave(self, versions):
        """Forget the numbers of `versions`, an iterable of (number, name, version): they left."""
        last = self.last
        self._append([_line(*each, last=last, left=True) for each in versions])

    def reach(self, number):
        """Let the next number be larger than `number`."""
        if number > self.last:
            self._append([_line(number)])
            self.last = number

    def _append(self, lines):
        size = os.fstat(self._descriptor.fileno()).st_size
        data = b''.join(lines)
        try:
            while data:
                data = data[os.write(self._descriptor.fileno(), data) :]
        except BaseException:
            os.ftruncate(self._descriptor.fileno(), size)
            raise

    def begin(self, kept=(), *, names=()):
        """Go on in a new file that has these only: ((name, version), number) each.

        Of each of `names` it has the largest number, too, for `newest`.
        """
        mode = stat.S_IMODE(os.fstat(self._descriptor.fileno()).st_mode)
        last, newest = self.last, self.newest()
        lines = [_line(newest.get(name, 0), name, last=last, left=True) for name in names]
        lines += [_line(number, *key, last=last) for key, number in kept]
        new = _begin(self._path, b''.join(lines), last=last, mode=mode, drafts=self._drafts)
        self._descriptor.close()
        self._descriptor = new


def _begin(path, data, *, last, mode, drafts):
    """Put a new file with the lines `data` at `path`; return it, open and locked before that."""
    draft = files.draft(drafts, io.BytesIO(data + _line(last)))
    with contextlib.ExitStack() as undo:
        undo.callback(os.unlink, draft)
        descriptor = open_descriptor(draft, os.O_RDWR | os.O_APPEND)
        undo.callback(descriptor.close)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(descriptor.fileno(), mode)
        os.rename(draft, path)
        undo.pop_all()
    files.sync_directories(os.path.dirname(path))
    return descriptor


def _is_locked(descriptor):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True


def _line(number, name=None, version=(), *, last=0, left=False):
    entry = {'number': number}
    if name is not None:
        entry |= {'name': name, 'version': list(version)}
    if left:
        entry['left'] = True
    if last > number:
        entry['last'] = last
    return f'{json.dumps(entry)}\n'.encode('ascii')


def _entries(data):
    """Yield the entries in the lines of `data`; damaged ones are left out."""
    whole = data[: data.rfind(b'\n') + 1]
    return filter(None, map(_entry, whole.splitlines()))


def _entry(line):
    try:
        entry = json.loads(line)
        numbers = entry['number'], entry.get('last', 0)
        return entry if all(type(number) is int for number in numbers) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _last(entry):
    return entry.get('last', entry['number'])


def _numbers(data):
    found = {}
    for entry in _entries(data):
        with contextlib.suppress(KeyError, TypeError):
            key = entry['name'], tuple(entry['version'])
            if entry.get('left'):
                found.pop(key, None)
            else:
                found[key] = entry['number']
    return found
