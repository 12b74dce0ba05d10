"""A file of JSON objects, one per line, that is only appended to: durable, bounded, repairable.

Several processes may append, each holding the file's lock (flock(2)) for a moment; waiting for it
is bounded.  One process at a time may `open` the file: it reads all lines, learns what others
append, and compacts the file when it is full.

The first line has a random id, and the times at which the file and its directory were created.  A
file that was copied, or restored from a backup, was created at another time than it says: so it is
known as a copy.  Where the system does not tell that time, inodes are compared: they differ after a
copy, but also when a file system was mounted again.

Each line has the `largest` number that any line has as `sequence` so far, so whoever appends reads
only the last line.  A copy, or what was restored, goes on with the microseconds since the epoch.
"""

import contextlib
import datetime
import errno
import fcntl
import io
import itertools
import json
import logging
import os
import time

from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.journal import creation_time, file_replacement, line_format
from zeit.cds.journal.file_replacement import Replaced
from zeit.cds.journal.line_format import LARGEST, largest_in, load, numbered
from zeit.cds.system import files, lock_holder
from zeit.cds.system.forks import open_descriptor
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The version of what a line says; and of the journal of a spool with several partners, which an
#: earlier build must not take for that of its only one.
VERSION, SHARED = 3, 4

NAME = 'state.jsonl'

#: A file is full with this many bytes more than twice what it began with: a run reads all of it.
LIMIT = 64 * 1024

#: How many bytes at the end are searched for the last line first.
TAIL = 4096

#: How many lines of a new file are kept in memory one by one; the others are joined in blocks.
AT_ONCE = 1000

#: The longest wait for the lock, and the pause between two attempts, in seconds.
PATIENCE = 2
INTERVAL = 0.005

#: How often in a row the file is opened anew, at most, because another one has its name by then.
REPLACED = 1000

_FLAGS = os.O_APPEND | os.O_NOFOLLOW


class JSONLog:
    """The file `NAME` in `directory`; one that has grown by more than `limit` bytes is full.

    `learn` is called with what is in the file when it is opened, or looked at, and what others add
    later; `forget` when all of that comes anew.  `floor` returns what numbers are to be larger
    than, given the largest one that the file tells; `begin` the entries of a new file, given that.

    Methods raise `SpoolError` when the file system refuses, and `SpoolBusy`.
    """

    def __init__(
        self,
        directory,
        *,
        limit=LIMIT,
        learn=lambda entry: None,
        forget=lambda: None,
        floor=lambda told: told,
        begin=lambda largest: (),
    ):
        self._directory = os.fspath(directory)
        self._path = os.path.join(self._directory, NAME)
        self._limit = limit
        self._learn = learn
        self._forget = forget
        self._floor = floor
        self._begin = begin
        self._descriptor = None
        self._is_locked = False
        #: Whether this is the one that may have it `open`, and whether it has.
        self._is_run = self._is_open = False
        #: How long the first line is, and the file; how much behind the first line is known, None
        #: where nobody looks; which lines are, None for all; and the end of what was looked at.
        self._head = self._end = 0
        self._known = self._having = self._seen = None
        self._carried = 0
        #: What is written `together`, and whether it must be synchronised; None outside of that.
        self._group = None
        self._due = False
        #: Errno and text, once an entry could not be written.
        self._broken = None
        #: How many damaged lines were left out when it was read.
        self.damaged = 0
        #: `VERSION` or `SHARED`.
        self.version = VERSION
        self._id = os.urandom(16).hex()
        #: The `SpoolBusy` that was met before, None without one: nobody waits once more for that.
        self.busy = None
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
        time; it does not wait for the lock of a process that was stopped.
        """
        self._is_run = True
        try:
            self.look()
            with self.locked():
                self.recognise()
            self._is_open = True
        except BaseException:
            self.close()
            raise

    def recognise(self):
        """Know whether `is_own`; inside of `locked`."""
        with self._translated():
            first = self._first()
            self.is_own = creation_time.is_own(first, self._descriptor.fileno(), self._directory)
            if self.is_own:
                self._id = first.get('id', self._id)

    def look(self, having=None):
        """Learn the entries in lines `having` a pattern, see the function; it takes no lock.

        After that, `locked` reads only what was added since.
        """
        self._having, self._known = having, 0
        with self._translated():
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

        If another process keeps the lock for `PATIENCE` seconds, whoever has opened the file
        replaces it by one with the same content; for others it raises `SpoolBusy`.
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
        end = time.monotonic() + (0 if self.busy else PATIENCE)
        replaced = 0
        while not self._obtained():
            if self._descriptor is None and replaced < REPLACED:
                replaced += 1  # another file has the name by now
            elif self._descriptor is not None and time.monotonic() < end:
                time.sleep(INTERVAL)
            elif self._descriptor is not None and self._is_run:
                self._take_over()
            else:
                # Not looked for again: that reads what each process has open.
                self.busy = self.busy or lock_holder.busy(self._path, PATIENCE)
                raise SpoolBusy(self.busy.message, hint=self.busy.hint)
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
            self._replace(rename=file_replacement.over(self._descriptor))
        return obtained

    def _open(self):
        files.make_directory(self._directory, like=os.path.dirname(self._directory))
        self.largest, self._may_write = None, True
        if not self._is_open:
            self._seen = False  # what was looked at was another file
        try:
            self._descriptor = files.open_regular_descriptor(self._path, _FLAGS | os.O_RDWR)
            # A copy of the spool may share it, by a link.
            self._may_write = os.fstat(self._descriptor.fileno()).st_nlink == 1
        except FileNotFoundError:
            if self._is_open and self._known:
                raise  # somebody has removed what this run knows
            # Another process was faster, and may have removed the drafts since.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                floor = self._floor(0)
                data = self._lines(self._begin(floor), floor)
                self._make(self._about(floor), data, rename=files.rename_exclusively)
                return
            self._descriptor = files.open_regular_descriptor(self._path, _FLAGS | os.O_RDWR)
        except PermissionError:
            self._descriptor = files.open_regular_descriptor(self._path, _FLAGS)
            self._may_write = False
        try:
            first = self._first()
            self.version = _require_version(first, self._path)
            carried = first.get('carried')
            self._carried = carried if type(carried) is int else 0
            if self._is_open and self._known and self.is_own and first.get('id') != self._id:
                raise Replaced
        except BaseException:
            self.close()
            raise

    def _first(self):
        """Return the first line (a dictionary), empty if it is no good."""
        start = os.pread(self._descriptor.fileno(), TAIL, 0)
        self._head = start.find(b'\n') + 1
        first = load(start[: self._head])
        if first and first.get('kind') == 'journal':
            return first
        self._head = 0
        return {}

    def is_current(self):
        """Return whether no other file has taken the place of the one that is open."""
        return files.is_at(self._descriptor, self._path)

    def _catch_up(self):
        """Remove half a line at the end, and learn what others have added."""
        descriptor = self._descriptor.fileno()
        size = os.fstat(descriptor).st_size
        # What ends where it was known to end, ends with a line.
        if size != self._end or self.largest is None:
            self._end = files.end_of_lines(descriptor)
            if self._end < size:
                log.warning('Half a line at the end of %s is cut off', printable(self._path))
                os.ftruncate(descriptor, self._end)
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
        told, descriptor = self._told(), self._descriptor.fileno()
        was_opened = self.largest is None
        if was_opened and creation_time.is_own(self._first(), descriptor, self._directory) is False:
            # Its original may have given more numbers, but none as large as this: microseconds.
            told = max(told, time.time_ns() // 1000)
        return self._floor(told)

    def _told(self):
        descriptor, end = self._descriptor.fileno(), self._end
        last = itertools.islice(line_format.blocks(descriptor, end=end, size=TAIL), 1)
        blocks = itertools.chain(last, line_format.blocks(descriptor, end=end))
        return largest_in(block for _, block in blocks) or 0

    # Another file

    def compact(self, carried):
        """Let a new file take the place of this one, with the entries that `carried()` returns.

        They are read one by one: there may be many.
        """
        with self.locked(), self._translated():
            files.remove_drafts(self._directory)
            blocks, lines, last = [], [], []
            for row in carried():
                lines += map(_line, last)
                last = [row]
                if len(lines) >= AT_ONCE:
                    blocks.append(b''.join(lines))
                    lines = []
            blocks.append(b''.join(lines) + self._lines(last, self.largest))
            replaced = file_replacement.over(self._descriptor)
            self._make(self._about(self.largest), *blocks, rename=replaced)
            self._known = self._carried = self._end - self._head

    def _about(self, largest):
        return {'kind': 'journal', 'version': self.version, 'id': self._id, LARGEST: largest}

    def _make(self, first, *blocks, own=True, rename=os.rename):
        """Let a new file have the name, which is complete, and locked, before."""
        mode = os.stat(self._directory).st_mode & 0o666
        draft = files.draft(self._directory, io.BytesIO(), mode=mode)
        with contextlib.ExitStack() as undo:
            undo.callback(files.remove, draft)
            descriptor = open_descriptor(draft, _FLAGS | os.O_RDWR)
            undo.callback(descriptor.close)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if own:
                about = creation_time.identity(descriptor.fileno(), self._directory)
                first = {'carried': sum(map(len, blocks)), **first, **about}
            head = _line(first) if first else b''
            for block in (b''.join([head, *blocks[:1]]), *blocks[1:]):
                line_format.append(descriptor.fileno(), block, durable=False)
            os.fsync(descriptor.fileno())
            rename(draft, self._path)
            files.sync_directories(self._directory)
            undo.pop_all()
        self.close()
        self._descriptor, self._may_write = descriptor, True
        self._head, self._end = len(head), sum(map(len, (head, *blocks)))

    def _take_over(self):
        """Replace the file that a stopped process has locked.

        When that process continues, it must not rename its own draft over the new file: so all
        drafts are removed afterwards.  See `zeit.cds.journal.file_replacement`.
        """
        try:
            self._replace(rename=file_replacement.exchanging(self._descriptor))
        except Replaced as error:
            log.debug('%s: %s', printable(self._path), error)
        files.remove_drafts(self._directory)

    def _replace(self, *, rename):
        """Replace a file that cannot be written now by one with the same content."""
        first, old = self._first(), self._descriptor
        own = creation_time.is_own(first, old.fileno(), self._directory)
        end = files.end_of_lines(old.fileno())
        data = os.pread(old.fileno(), end - self._head, self._head)
        self._descriptor = self.largest = None
        with contextlib.closing(old):
            self._make(first, data, own=own is True, rename=rename)
            # What the other process has added before the file was replaced.
            left = os.fstat(old.fileno()).st_size - end
            line_format.append(self._descriptor.fileno(), os.pread(old.fileno(), left, end))

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
        with self.locked(), self._translated(), self._unless_broken():
            os.fsync(self._descriptor.fileno())

    def _add(self, entries, *, lazily):
        """Add `entries`, all or none.  Raises `SpoolError`, from then on each time.

        What could not be synchronised is not on the disk, also if the next fsync says nothing.
        """
        unnumbered = [entry for entry in entries if entry.get('sequence', 0) is None]
        with self._translated(), self.locked():
            while True:
                for number, entry in enumerate(unnumbered, self.largest + 1):
                    entry['sequence'] = number
                largest = max([self.largest, *map(number_of, entries)])
                self._append(self._lines(entries, largest), lazily=lazily)
                self.largest = largest
                if self.is_current():
                    return
                # Another process did not wait for this one any longer, and replaced the file.
                self._lock()

    @contextlib.contextmanager
    def _unless_broken(self):
        """Raise the OSError, a new one each time, that something before was not written for."""
        if self._broken is not None:
            raise OSError(*self._broken)
        try:
            yield
        except OSError as error:
            self._broken = error.errno, error.strerror
            raise

    def _lines(self, entries, largest):
        return b''.join(_line({**entry, LARGEST: largest}) for entry in entries)

    def _append(self, data, *, lazily):
        with self._unless_broken():
            line_format.append(self._descriptor.fileno(), data, durable=not lazily)
        self._end += len(data)
        if self._known is not None:
            self._known += len(data)


def translated(path):
    """Return a context manager that makes a `SpoolError` of an OSError about the file `path`."""
    about = 'Nothing is sent without the journal, and {} cannot be used'
    return files.translated(about, path, hint='Check owner and mode.')


def entries(directory, *, having=None):
    """Yield the entries of the file, oldest first: the first, and those `having` a pattern.

    None for one that is damaged.
    It reads only, and needs no lock: half a last line is somebody writing at this moment.
    Raises `SpoolError`.
    """
    with _read(directory) as (file, path):
        if file is not None:
            yield from _parse(file, path, having=having)


def latest_entries(directory, *, having):
    """Yield the entries of the lines `having` a pattern, the last one first, as `entries` does."""
    with _read(directory) as (file, path):
        if file is not None:
            yield from line_format.reverse(file.fileno(), having)


@contextlib.contextmanager
def _read(directory):
    """Return a context manager: the file, None if there is none, and its path."""
    path = os.path.join(directory, NAME)
    with translated(path), contextlib.ExitStack() as stack:
        file = None
        with contextlib.suppress(FileNotFoundError):
            file = stack.enter_context(files.open_regular(path))
        yield file, path


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
    version = first.get('version', VERSION)
    if version not in (VERSION, SHARED):
        raise of_another_build(path)
    return version


def _line(entry):
    return f'{json.dumps(entry)}\n'.encode('ascii')


def _parse(file, path, **options):
    """Yield the entries, None for one that is damaged; `options` are those of `numbered`."""
    for number, entry in numbered(file, **options):
        if not entry:  # one without any field is none, either
            entry = None
            where = 'A line' if options.get('having') else f'Line {number}'
            log.warning('%s of %s is damaged and left out', where, printable(path))
        elif entry.get('kind') == 'journal':
            _require_version(entry, path)
        else:
            entry.pop(LARGEST, None)
        yield entry
