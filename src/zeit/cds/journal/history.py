"""What has happened to files, for good: a file for each month, that is only ever added to.

    .cds/history/2026-11.jsonl      November 2026, by UTC: JSON objects, one on each line

`docs/history.txt` has the kinds and their fields.  Nothing here is needed to deliver: what is open
is in the journal.  Several processes may add lines at once; reading needs neither a lock nor the
right to write.  Half a line, from a write that was cut off, is ended by the next one who writes.
"""

import collections
import contextlib
import datetime
import heapq
import json
import logging
import os
import re
import stat

from zeit.cds.journal import append_log, line_format
from zeit.cds.journal.search import Search
from zeit.cds.system import files


log = logging.getLogger(__name__)

#: The version of what a line says.
VERSION = 1

#: How many bytes are read at once; a line is shorter by far.  The last line is in the last `TAIL`.
BLOCK = 1024 * 1024
TAIL = 4096

_MONTH = re.compile(r'([0-9]{4}-[0-9]{2})\.jsonl')

#: How a line begins, and how long the time is that follows.
_AT, _TIME = b'{"at": "', 29


class History:
    """The history in `directory`, which is made when it is needed, beside `like`, with its mode.

    All methods raise `SpoolError`.
    """

    def __init__(self, directory, *, like):
        self._directory = os.fspath(directory)
        self._like = like

    def __repr__(self):
        return f'<History {self._directory!r}>'

    def _translated(self):
        return translated(self._directory)

    def add(self, *entries, lazily=False):
        """Add `entries` (dictionaries with a 'kind'); they are on the disk on return.

        `lazily`: they survive a kill, and a loss of power when later ones do.
        """
        moment = append_log.now()
        data = b''.join(_line(moment, entry) for entry in entries)
        with self._translated(), contextlib.closing(self._opened(moment)) as descriptor:
            file = descriptor.fileno()
            size = os.fstat(file).st_size
            # It is somebody else's, perhaps, who writes at this moment: then a line is empty.
            if size and os.pread(file, 1, size - 1) != b'\n':
                data = b'\n' + data
            line_format.append(file, data, durable=not lazily)

    def sync(self, month):
        """Make what is there of a month survive a loss of power."""
        with self._translated():
            with files.open_regular(self._path(month)) as file:
                os.fsync(file.fileno())
            files.sync_directories(self._directory)

    def _path(self, month):
        return os.path.join(self._directory, f'{month}.jsonl')

    def begin(self):
        """Let this month have its file, before anything happens that must be in there.

        On a disk that gets full meanwhile there is room in it for some lines then.
        """
        moment = append_log.now()
        with self._translated():
            with contextlib.closing(self._opened(moment)) as descriptor:
                if os.fstat(descriptor.fileno()).st_nlink > 1:
                    self._part(self._path(f'{moment:%Y-%m}'))
            files.remove_drafts(self._directory)

    def expired(self, *, keep):
        """Return all months but the last one and `keep` before it; with 0 none of them.

        A clock tells no age: it may be wrong for a moment.  What it calls the future does not
        count, so that this month stays whatever another clock has left.
        """
        present = f'{append_log.now():%Y-%m}'
        months = [month for month in self.months() if month <= present]
        return months[: -keep - 1] if keep else []

    def remove(self, months):
        """Remove the files of these months."""
        with self._translated():
            for month in months:
                log.debug('Receipts of %s are removed', month)
                files.remove(self._path(month))

    def _part(self, path):
        """Let `path` be a file of its own, which it shares with a copy of the spool, by a link."""
        with files.open_regular(path) as file:
            draft = files.draft(self._directory, file, mode=os.stat(self._like).st_mode & 0o666)
        os.replace(draft, path)
        files.sync_directories(self._directory)

    def _opened(self, moment):
        path = self._path(f'{moment:%Y-%m}')
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW
        with contextlib.suppress(FileNotFoundError):
            return self._with_month(files.open_regular_descriptor(path, flags), moment)
        files.make_directory(self._directory, like=self._like)
        with contextlib.suppress(FileExistsError):
            mode = os.stat(self._like).st_mode & 0o666
            files.make_exclusively(path, mode=mode, content=self._first(moment))
        files.sync_directories(self._directory)
        return self._with_month(files.open_regular_descriptor(path, flags), moment)

    def _with_month(self, descriptor, moment):
        """Return `descriptor`, of a file that begins as a month does, also if it was emptied."""
        try:
            if not os.fstat(descriptor.fileno()).st_size:
                line_format.append(descriptor.fileno(), self._first(moment))
        except BaseException:
            descriptor.close()
            raise
        return descriptor

    def _first(self, moment):
        return _line(moment, {'kind': 'month', 'before': (self.months() or [''])[-1]})

    def months(self):
        """Return the months of which there is a file, 'YYYY-MM', sorted."""
        return [*self.sizes()]

    def sizes(self):
        """Return how many bytes there are of each month: a dictionary, sorted.

        A file that is empty has lost its first line, and all others: it counts as not there.
        """
        with self._translated(), contextlib.suppress(FileNotFoundError):
            with os.scandir(self._directory) as entries:
                found = [(_MONTH.fullmatch(each.name), _size(each)) for each in entries]
            return dict(sorted((match[1], size) for match, size in found if match and size))
        return {}

    def find(self, *, above=0, enough=bool, **wanted):
        """Yield the entries that a `Search` for what is `wanted` finds, the newest first.

        What was written long before `since`, or after `until`, is not parsed, and whole months of
        that are not even read.  `above`: nor is what was written when there was no number of a
        version above that.  `enough()` is called again and again, and ends it if it returns true.
        """
        search = Search(**wanted)
        for path, _, block in self.searched(search, above=above, enough=enough):
            yield from search.entries(block, path)

    def searched(self, search, *, above=0, enough=bool):
        """Yield what a `Search` may find something in, the newest first; the others as in `find`.

        These are the path of a file, where a block of lines begins in it, and the block (bytes).
        """
        for month in reversed(self.months()):
            if month < search.since[:7]:
                return
            if search.until and month > search.until[:7]:
                continue
            path = self._path(month)
            for start, block in self._blocks(path):
                if enough():
                    return
                number = line_format.largest_in([block]) if above else None
                if number is not None and number <= above:
                    break
                if search.until and _written_at(block, block.find(_AT)) > search.until:
                    continue
                yield path, start, block
                # Where the disk has a hole nothing tells it.
                if '' < _written_at(block, block.rfind(_AT)) < search.since:
                    return

    def _blocks(self, path, *, size=None):
        """Yield the lines of a file as `line_format.blocks` does, the last ones first."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._translated())
            stack.enter_context(contextlib.suppress(FileNotFoundError))
            file = stack.enter_context(files.open_regular(path, buffering=0))
            # What is not ended may be on its way.
            end = files.end_of_lines(file.fileno())
            yield from line_format.blocks(file.fileno(), end=end, size=size or BLOCK)

    def verify(self):
        """Return (months, number of lines, what is damaged).

        The last is a dictionary: a list of lines for people, by the month.
        """
        months, lines, damaged = self.months(), 0, {}
        for month in months:
            found = damaged[month] = []
            with self._translated(), files.open_regular(self._path(month)) as file:
                lines += sum(1 for _, entry in line_format.verified(file, found) if entry)
        return months, lines, damaged

    def sequence(self, *, latest=False):
        """Return the largest number of a version, 0 without any, as the end of each month tells.

        `latest`: as the end of the last month does that tells one.
        """
        largest = 0
        for month in reversed(self.months()):
            blocks = (self._blocks(self._path(month), size=size) for size in (TAIL, BLOCK))
            found = line_format.largest_in(next(each, (0, b''))[1] for each in blocks)
            largest = max(largest, found or 0)
            if largest and latest:
                break
        return largest


class Matches:
    """What `wanted` finds in a `history`, the oldest first; it is not all in the memory at once.

    The history is read when this is made, and what was found once more each time that somebody
    iterates over it.  `kinds` is how many there are of each kind, a `collections.Counter`.
    """

    def __init__(self, history, **wanted):
        self._search = Search(**wanted)
        self._places = []
        self.kinds = collections.Counter()
        for path, start, block in history.searched(self._search):
            kinds = [str(entry.get('kind')) for entry in self._search.entries(block, path)]
            self.kinds.update(kinds)
            if kinds:
                self._places.append((path, start, len(block)))

    def __repr__(self):
        return f'<Matches: {self.kinds.total()} of {self._search!r}>'

    def __iter__(self):
        for path, start, size in reversed(self._places):
            block = b''
            with translated(path), contextlib.suppress(FileNotFoundError):
                with files.open_regular(path, buffering=0) as file:
                    block = os.pread(file.fileno(), size, start)
            yield from reversed([*self._search.entries(block)])


class Histories:
    """Several `histories`, read as one."""

    def __init__(self, histories):
        self._histories = histories

    def __repr__(self):
        return f'<Histories {self._histories!r}>'

    def find(self, **wanted):
        """Yield what `History.find` does, of all of them; what two have in common twice."""
        found = [each.find(**wanted) for each in self._histories]
        yield from heapq.merge(*found, key=lambda entry: str(entry.get('at')), reverse=True)


def translated(path):
    """Return a context manager that makes a `SpoolError` of an OSError about the history."""
    hint = 'Check owner and mode of .cds and of what is in it.'
    return files.translated('The history {} cannot be used', path, hint=hint)


def _line(moment, entry):
    at = moment.isoformat(timespec='milliseconds')
    return f'{json.dumps({"at": at, "v": VERSION, **entry})}\n'.encode('ascii')


def _size(entry):
    """Return how large this `os.DirEntry` is, 0 if it has gone; what is no file is not empty."""
    with contextlib.suppress(FileNotFoundError):
        found = entry.stat(follow_symlinks=False)
        return found.st_size if stat.S_ISREG(found.st_mode) else max(1, found.st_size)
    return 0


def ago(seconds):
    """Return the time that was this many seconds ago, as `History.find` takes it.

    Before the first year there is none: then it is the beginning of that.
    """
    try:
        moment = append_log.now() - datetime.timedelta(seconds=seconds)
    except OverflowError:
        moment = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    return moment.isoformat(timespec='milliseconds')


def moment(text):
    """Return the time (a datetime) that is written as `text`, None if it is damaged."""
    try:
        return datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _written_at(block, at):
    """Return when the line that begins `at` this place of `block` was written (str); '' for -1."""
    return block[at + len(_AT) :][:_TIME].decode('ascii', 'replace') if at >= 0 else ''
