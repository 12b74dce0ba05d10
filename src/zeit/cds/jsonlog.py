"""A file of JSON objects, one on each line, that is only appended to: durable, bounded, repairable.

Several processes may add to it, each under the file's lock (flock(2)), which it has for a moment;
nobody waits for that without an end.  One of them at a time may `open` it: it reads all of it, is
told what others have added since, and makes the file anew when it is full.

The first line has a random id, and tells when the file and its directory were made.  A file that
was copied, or restored from a backup, was made at another time than it says, and is known as a copy
by that.  Where the system does not tell such a time, inodes are compared: other ones may be those
of a copy, or of a file system that was mounted again.

Each line tells the `largest` number that one has as `sequence` so far: who adds one reads no more.
"""

import contextlib
import datetime
import errno
import fcntl
import io
import json
import logging
import os
import time

from zeit.cds import birth, files
from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.forks import open_descriptor
from zeit.cds.jsonlines import load, numbered
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The version of what a line says.
VERSION = 3

NAME = 'state.jsonl'

#: A file with so many bytes more than twice what it began with is `full`: a run reads all of it.
LIMIT = 64 * 1024

#: What each line tells.
LARGEST = 'largest'

#: The last line is looked for in so many bytes at the end first.
TAIL = 4096

#: Nobody waits longer than this for the lock, in seconds; it is looked at so often.
PATIENCE = 2
INTERVAL = 0.005

_FLAGS = os.O_APPEND | os.O_NOFOLLOW


class JSONLog:
    """The file `name` in `directory`; one that has grown by more than `limit` bytes is full.

    `learn` is called with what is in the file when it is opened, or looked at, and what others add
    later; `forget` when all of that comes anew.  `floor` returns what numbers are to be larger
    than, given the largest one that the file tells; `begin` the entries of a new file.

    Methods raise `SpoolError` when the file system refuses, and `SpoolBusy`.
    """

    def __init__(
        self,
        directory,
        *,
        name=NAME,
        limit=LIMIT,
        learn=lambda entry: None,
        forget=lambda: None,
        floor=lambda told: told,
        begin=lambda: (),
    ):
        self._directory = os.fspath(directory)
        self._path = os.path.join(self._directory, name)
        self._limit = limit
        self._learn = learn
        self._forget = forget
        self._floor = floor
        self._begin = begin
        self._descriptor = None
        self._is_locked = False
        #: Whether this is the one that has it `open`.
        self._is_run = False
        #: How long the first line is, and the file; so much behind the first line is known, None
        #: for who does not look; which lines are, None for all; and the end of what was looked at.
        self._head = self._end = 0
        self._known = self._having = self._seen = None
        self._carried = 0
        #: What is written `together`, and whether it must be synchronised; None outside of that.
        self._group = None
        self._due = False
        self._broken = None
        #: How many damaged lines were left out when it was read.
        self.damaged = 0
        self._id = os.urandom(16).hex()
        #: True for the very file that was written here, False for a copy, None where nothing tells.
        self.is_own = True
        #: The largest number so far: inside of `locked`.
        self.largest = None

    def __repr__(self):
        return f'<JSONLog {self._path!r}, {self._end} bytes>'

    @property
    def is_full(self):
        """True when it is time to `compact` it."""
        return self._end > self._limit + 2 * self._carried

    def open(self):
        """Open the file, or begin a new one, and learn its entries (dictionaries), one by one.

        Half a line at the end, from a write that was cut off, is removed.  One that is not our own,
        see `is_own`, must be replaced: `compact` does that.  Only one process may do this at a
        time: a lock that somebody who was stopped keeps is none for it.
        """
        self._is_run = True
        try:
            self.look()
            with self.locked(), self._translated():
                first = self._first()
                self.is_own = is_own(first, self._descriptor.fileno(), self._directory)
                carried = first.get('carried')
                self._carried = carried if type(carried) is int else 0
                if self.is_own:
                    self._id = first.get('id', self._id)
        except BaseException:
            self.close()
            raise

    def look(self, having=None):
        """Learn the entries in lines `having` a pattern, see the function; it takes no lock.

        Who is `locked` then has to read no more than what was added since.
        """
        self._having, self._known = having, 0
        with self._translated():
            files.make_directory(self._directory, like=os.path.dirname(self._directory))
            if self._descriptor is None:
                self._open()
            self._end = files.end_of_lines(self._descriptor.fileno())
            self._read_on()
            self._seen = self._tail()

    def close(self):
        """Close the file; may be called again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            descriptor.close()

    def _translated(self):
        return translated(self._path)

    # The lock

    @contextlib.contextmanager
    def locked(self):
        """Return a context manager: inside of it nobody else adds anything.

        Raises `SpoolBusy` if another process keeps the lock for `PATIENCE` seconds; who has opened
        the file lets another one with the same content take its place then.
        """
        if self._is_locked:
            yield
            return
        try:
            with self._translated():
                self._lock()
            self._is_locked = True
            yield
        finally:
            self._is_locked = False
            if self._descriptor is not None and not self._descriptor.closed:
                # Closing is not enough where a child has a copy that nobody could close.
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _lock(self):
        files.make_directory(self._directory, like=os.path.dirname(self._directory))
        end = time.monotonic() + PATIENCE
        while not self._obtained():
            if time.monotonic() < end:
                time.sleep(INTERVAL)
            elif self._is_run and self._descriptor is not None:
                files.remove_drafts(self._directory)  # who was stopped must not go on with one
                self._replace()
            else:
                raise SpoolBusy(
                    f'Another process holds {printable(self._path)} for more than {PATIENCE} '
                    'seconds',
                    hint='It should be a moment: "fuser -v" on that file tells which.',
                )
        self._catch_up()

    def _obtained(self):
        """Return whether the file that has the name is open, and locked."""
        if self._descriptor is None:
            self._open()
        if self._descriptor.closed:  # in a child that was forked
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            obtained = True
        except (BlockingIOError, PermissionError):
            obtained = False
        if not self.is_current():
            self.close()
            return False
        if obtained and not self._may_write:
            self._replace()
        return obtained

    def _open(self):
        self.largest, self._may_write = None, True
        if not self._is_run:
            self._seen = False  # what was looked at was another file
        try:
            self._descriptor = files.open_regular_descriptor(self._path, _FLAGS | os.O_RDWR)
            # A copy of the spool may share it, by a link.
            self._may_write = os.fstat(self._descriptor.fileno()).st_nlink == 1
        except FileNotFoundError:
            if self._is_run and self._known:
                raise  # somebody has removed what this run knows
            with contextlib.suppress(FileExistsError):
                floor = self._floor(0)
                data = self._lines(self._begin(), floor)
                self._make(self._about(floor), data, exclusively=True)
                return
            self._descriptor = files.open_regular_descriptor(self._path, _FLAGS | os.O_RDWR)
        except PermissionError:
            self._descriptor = files.open_regular_descriptor(self._path, _FLAGS)
            self._may_write = False
        try:
            first = self._first()
            _require_version(first, self._path)
            if self._is_run and self._known and self.is_own and first.get('id') != self._id:
                raise OSError(errno.ESTALE, 'Another one was put in its place')
        except BaseException:
            self.close()
            raise

    def _first(self):
        """Return the first line (a dictionary), empty if it is no good."""
        start = os.pread(self._descriptor.fileno(), TAIL, 0)
        self._head = start.find(b'\n') + 1
        first = load(start[: self._head])
        if isinstance(first, dict) and first.get('kind') == 'journal':
            return first
        self._head = 0
        return {}

    def is_current(self):
        """Return whether no other file has taken the place of the one that is open."""
        try:
            return os.path.samestat(os.stat(self._descriptor.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _catch_up(self):
        """Remove half a line at the end, and learn what others have added."""
        descriptor, before = self._descriptor.fileno(), self._end
        self._end = files.end_of_lines(descriptor)
        if self._end < os.fstat(descriptor).st_size:
            log.warning('Half a line at the end of %s is cut off', printable(self._path))
            os.ftruncate(descriptor, self._end)
        if self._end != before or self.largest is None:
            self.largest = self._largest()
        if self._known is None:
            return
        seen, self._seen = self._seen, None
        if seen is not None and seen != self._tail():
            # Another file has the name, or what failed to be written was cut off.
            self._known = self.damaged = 0
            self._forget()
        if self._head + self._known != self._end:
            self._read_on()

    def _tail(self):
        """Return the end (bytes) of what is known."""
        end = self._head + self._known
        start = max(0, end - TAIL)
        return os.pread(self._descriptor.fileno(), end - start, start)

    def _read_on(self):
        with files.open_regular(self._path) as file:
            file.seek(self._known and self._head + self._known)
            for entry in _parse(file, self._path, having=self._having, end=self._end):
                if entry is None:
                    self.damaged += 1
                else:
                    self._learn(entry)
        self._known = self._end - self._head

    def _largest(self):
        """Return the largest number so far: the last line tells it, if it is not an old one."""
        return self._floor(self._told())

    def _told(self):
        for start in (max(0, self._end - TAIL), 0):
            data = os.pread(self._descriptor.fileno(), self._end - start, start)
            for line in reversed(data.split(b'\n')):
                entry = load(line)
                if isinstance(entry, dict) and type(entry.get(LARGEST)) is int:
                    return entry[LARGEST]
        return 0

    # Another file

    def compact(self, carried):
        """Let a new file take the place of this one, with what `carried()` returns: entries."""
        with self.locked(), self._translated():
            files.remove_drafts(self._directory)
            rows = carried()
            data = b''.join(map(_line, rows[:-1])) + self._lines(rows[-1:], self.largest)
            self._make(self._about(self.largest), data)
            self._known = self._carried = self._end - self._head

    def _about(self, largest):
        return {'kind': 'journal', 'version': VERSION, 'id': self._id, LARGEST: largest}

    def _make(self, first, data=b'', *, own=True, exclusively=False):
        """Let a new file have the name, which is complete, and locked, before."""
        mode = os.stat(self._directory).st_mode & 0o666
        draft = files.draft(self._directory, io.BytesIO(), mode=mode)
        with contextlib.ExitStack() as undo:
            undo.callback(files.remove, draft)
            descriptor = open_descriptor(draft, _FLAGS | os.O_RDWR)
            undo.callback(descriptor.close)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if own:
                about = _identity(descriptor.fileno(), self._directory)
                first = {'carried': len(data), **first, **about}
            head = _line(first) if first else b''
            _write(descriptor.fileno(), head + data)
            os.fsync(descriptor.fileno())
            (files.rename_exclusively if exclusively else os.rename)(draft, self._path)
            files.sync_directories(self._directory)
            undo.pop_all()
        self.close()
        self._descriptor, self._may_write = descriptor, True
        self._head, self._end = len(head), len(head + data)

    def _replace(self):
        """Let a file with the same content take the place of one that cannot be written now."""
        first, old = self._first(), self._descriptor
        own = is_own(first, old.fileno(), self._directory)
        end = files.end_of_lines(old.fileno())
        data = os.pread(old.fileno(), end - self._head, self._head)
        self._descriptor = self.largest = None
        with contextlib.closing(old):
            self._make(first, data, own=own is True)
            # What was added until nobody could add anything to it any more.
            left = os.fstat(old.fileno()).st_size - end
            _write(self._descriptor.fileno(), os.pread(old.fileno(), left, end))
            os.fsync(self._descriptor.fileno())

    # What is added

    @contextlib.contextmanager
    def together(self):
        """What is added inside is durable on leaving: one write, and one fsync, for all of it."""
        if self._group is not None:
            yield
            return
        self._group = []
        try:
            yield
        finally:
            added, self._group = self._group, None
            due, self._due = self._due, False
            if added:
                self._add(added, lazily=not due)

    def append(self, kind, *, lazily=False, **fields):
        """Add an entry, see `extend`; return it."""
        return self.extend(kind, [fields], lazily=lazily)[0]

    def extend(self, kind, rows, *, lazily=False):
        """Add entries of `kind` with the fields of `rows` (dictionaries); return them, a list.

        They are durable on return, except in `together`.  `lazily`: they survive a kill, and a loss
        of power when the next one does.  Those with a `sequence` of None get the next numbers, at
        once.
        """
        about = {'kind': kind, 'at': now().isoformat(timespec='milliseconds')}
        entries = [{**about, **row} for row in rows]
        if self._group is None or any(entry.get('sequence', 0) is None for entry in entries):
            self._add(entries, lazily=lazily)
        else:
            self._group += entries
            self._due = self._due or not lazily
        return entries

    def sync(self):
        """Let what was added lazily survive a loss of power."""
        with self.locked(), self._translated():
            if self._broken is not None:
                raise self._broken
            try:
                os.fsync(self._descriptor.fileno())
            except OSError as error:
                self._broken = error
                raise

    def _add(self, entries, *, lazily):
        """Add `entries`, all or none.  Raises `SpoolError`, from then on each time.

        What could not be synchronised is not on the disk, also if the next fsync says nothing.
        """
        if self._broken is not None:
            raise _unusable(self._path, self._broken)
        unnumbered = [entry for entry in entries if entry.get('sequence', 0) is None]
        with self.locked():
            while True:
                for number, entry in enumerate(unnumbered, self.largest + 1):
                    entry['sequence'] = number
                largest = max([self.largest, *map(number_of, entries)])
                self._append(self._lines(entries, largest), lazily=lazily)
                self.largest = largest
                with self._translated():
                    if self.is_current():
                        return
                    # Who would not wait for this process any longer has replaced the file.
                    self._lock()

    def _lines(self, entries, largest):
        return b''.join(_line({**entry, LARGEST: largest}) for entry in entries)

    def _append(self, data, *, lazily):
        try:
            _write(self._descriptor.fileno(), data)
            if not lazily:
                os.fsync(self._descriptor.fileno())
        except BaseException as error:
            # Also for a signal: what was interrupted was not added.
            with contextlib.suppress(OSError):  # else the next one cuts it off
                os.ftruncate(self._descriptor.fileno(), self._end)
            if not isinstance(error, OSError):
                raise
            self._broken = error
            raise _unusable(self._path, error) from error
        self._end += len(data)
        if self._known is not None:
            self._known += len(data)


@contextlib.contextmanager
def translated(path):
    """Return a context manager that makes a `SpoolError` of an OSError about the file `path`."""
    try:
        yield
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path, error):
    return SpoolError(
        f'The journal {printable(path)} cannot be used: {error.strerror}',
        hint=f'Without it nothing is sent. {files.remedy(error) or "Check owner and mode."}',
    )


def _write(descriptor, data):
    while data:
        data = data[os.write(descriptor, data) :]


def entries(directory, *, name=NAME, having=None):
    """Yield the entries of the file `name`, oldest first: the first, and those `having` a pattern.

    None for one that is damaged.
    It reads only, and needs no lock: half a last line is somebody writing at this moment.
    Raises `SpoolError`.
    """
    path = os.path.join(os.fspath(directory), name)
    with translated(path), contextlib.suppress(FileNotFoundError):
        with files.open_regular(path) as file:
            yield from _parse(file, path, having=having)


def number_of(entry):
    """Return the number of the version that an entry is about, 0 if it has none."""
    number = entry.get('sequence')
    return number if type(number) is int else 0


def now():
    """Return the time of what is added now: an aware datetime, UTC."""
    return datetime.datetime.now(datetime.UTC)


def of_another_build(*paths):
    """Return the `SpoolError` that says of the files at `paths` who has made them."""
    shown = [*map(printable, paths)]
    moves = '; '.join(f'mv {path} {path}-before' for path in shown)
    return SpoolError(
        f'{shown[0]} is of another build of zeit.cds, and not read by this one',
        hint='End what still runs that build, when nothing of it is left on a server, nor '
        f'unpublished; then: {moves}',
    )


def _require_version(first, path):
    if first.get('version', VERSION) != VERSION:
        raise of_another_build(path)


def is_own(first, *files):
    """Return whether the entry `first` was written into the first of `files`, in the second.

    These are the file, by its path or descriptor, and its directory.  Returns True or False, and
    None if nothing tells.  Raises OSError.
    """
    current, born = _identity(*files), first.get('born')
    if not isinstance(born, list) or len(born) != len(files):
        born = [None] * len(files)
    pairs = [*zip(born, current['born'], strict=True)]
    if None in pairs[0]:
        return True if first.get('inodes') == current['inodes'] else None
    return all(before == after for before, after in pairs if None not in (before, after))


def _identity(*files):
    return {
        'born': [*map(birth.born, files)],
        'inodes': [os.stat(file).st_ino for file in files],
    }


def _line(entry):
    return f'{json.dumps(entry)}\n'.encode('ascii')


def _parse(file, path, **options):
    """Yield the entries, None for one that is damaged; `options` are those of `numbered`."""
    for number, entry in numbered(file, **options):
        if entry is None:
            where = 'A line' if options.get('having') else f'Line {number}'
            log.warning('%s of %s is damaged and left out', where, printable(path))
        elif entry.get('kind') == 'journal':
            _require_version(entry, path)
        else:
            entry.pop(LARGEST, None)
        yield entry
