"""What has happened to files, for good: a file for each month, that is only ever added to.

    .cds/history/2026-11.jsonl      November 2026, by UTC: JSON objects, one on each line

`docs/history.txt` has the kinds and their fields.  Nothing here is needed to deliver: what is open
is in the journal.  Whoever may write adds, several at once as well; a look needs no lock, and no
right to write.  Half a line, from a write that was cut off, is ended by who writes next.
"""

import contextlib
import datetime
import errno
import json
import logging
import os
import re

from zeit.cds import files, jsonlines, jsonlog
from zeit.cds.errors import SpoolError
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The version of what a line says.
VERSION = 1

#: So many bytes are read at once; a line is shorter by far.  The last one is in so many.
BLOCK = 1024 * 1024
TAIL = 4096

#: What is longer is no line.
LONGEST = 1024 * 1024

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

    @contextlib.contextmanager
    def _translated(self):
        try:
            yield
        except OSError as error:
            where = printable(os.fsdecode(error.filename or self._directory))
            raise SpoolError(
                f'The history {where} cannot be used: {error.strerror}',
                hint=files.remedy(error) or 'Check owner and mode of .cds and of what is in it.',
            ) from error

    def add(self, *entries, lazily=False):
        """Add `entries` (dictionaries with a 'kind'); they are on the disk on return.

        `lazily`: they survive a kill, and a loss of power when later ones do.
        """
        moment = jsonlog.now()
        data = b''.join(_line(moment, entry) for entry in entries)
        path = self._path(f'{moment:%Y-%m}')
        with self._translated(), contextlib.closing(self._opened(moment)) as descriptor:
            file = descriptor.fileno()
            size, written = os.fstat(file).st_size, 0
            # It is somebody else's, perhaps, who writes at this moment: then a line is empty.
            if size and os.pread(file, 1, size - 1) != b'\n':
                data = b'\n' + data
            try:
                # One call: what others add at this moment comes before all of it, or behind.
                written = os.write(file, data)
                if written < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
                if not lazily:
                    os.fsync(file)
            except OSError:
                # What is not on the disk must not be found: nobody would write it again.
                with contextlib.suppress(OSError):
                    if os.fstat(file).st_size == size + written:
                        os.ftruncate(file, size)
                raise

    def sync(self, entry):
        """Make an `entry` that was found survive a loss of power."""
        with self._translated():
            with files.open_regular(self._path(entry['at'][:7])) as file:
                os.fsync(file.fileno())
            files.sync_directories(self._directory)

    def _path(self, month):
        return os.path.join(self._directory, f'{month}.jsonl')

    def begin(self):
        """Let this month have its file, before anything happens that must be in there.

        On a disk that gets full meanwhile there is room in it for some lines then.
        """
        moment = jsonlog.now()
        with self._translated():
            with contextlib.closing(self._opened(moment)) as descriptor:
                if os.fstat(descriptor.fileno()).st_nlink > 1:
                    self._part(self._path(f'{moment:%Y-%m}'))
            files.remove_drafts(self._directory)

    def expired(self, *, keep):
        """Return all months but so many, the last one not counted; 0: none.

        A clock tells no age: it may be wrong for a moment.
        """
        return self.months()[: -keep - 1] if keep else []

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
            return files.open_regular_descriptor(path, flags)
        files.make_directory(self._directory, like=self._like)
        first = _line(moment, {'kind': 'month', 'before': (self.months() or [''])[-1]})
        with contextlib.suppress(FileExistsError):
            mode = os.stat(self._like).st_mode & 0o666
            files.make_exclusively(path, mode=mode, content=first)
        files.sync_directories(self._directory)
        return files.open_regular_descriptor(path, flags)

    def months(self):
        """Return the months of which there is a file, 'YYYY-MM', sorted."""
        present = []
        with self._translated(), contextlib.suppress(FileNotFoundError):
            present = os.listdir(self._directory)
        return sorted(found[1] for found in map(_MONTH.fullmatch, present) if found)

    def find(self, *, since='', above=0, **wanted):
        """Yield the entries that have the values `wanted`, the newest first.

        The first of `wanted` is what is searched for: only lines with that are parsed.  `since`
        is a time (ISO 8601, UTC): what was written long before is not even read.  `above`: nor is
        what was written when there was no number of a version above that.
        """
        (key, value), *_ = wanted.items()
        needle = f'{json.dumps(key)}: {json.dumps(value)}'.encode('ascii')
        for month in reversed(self.months()):
            if month < since[:7]:
                return
            path = self._path(month)
            for block in self._blocks(path):
                if above and any(number <= above for number in _largest(block)):
                    break
                for line in _lines(block, needle):
                    entry = _parsed(line, path)
                    if str(entry.get('at')) >= since and wanted.items() <= entry.items():
                        yield entry
                if since and _written(block) < since:
                    return

    def _blocks(self, path, *, size=None):
        """Yield the lines of a file in blocks (bytes), the last ones first."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._translated())
            stack.enter_context(contextlib.suppress(FileNotFoundError))
            file = stack.enter_context(files.open_regular(path, buffering=0))
            # What is not ended may be on its way.
            end, rest = files.end_of_lines(file.fileno()), b''
            while end:
                start = max(0, end - (size or BLOCK))
                data = os.pread(file.fileno(), end - start, start) + rest
                cut = (data.find(b'\n') + 1 or len(data)) if start else 0
                # A hole, perhaps, is read once, and not kept.
                rest, end = data[:cut] if cut < LONGEST else b'', start
                yield data[cut:]

    def verify(self):
        """Return (months, number of lines, what is damaged), the last being a list for people."""
        months, lines, damaged = self.months(), 0, []
        for month in months:
            with self._translated(), files.open_regular(self._path(month)) as file:
                lines += sum(1 for _ in jsonlines.verified(file, damaged))
        return months, lines, damaged

    def sequence(self, *, latest=False):
        """Return the largest number of a version, 0 without any, as the end of each month tells.

        `latest`: as the end of the last month does that tells one.
        """
        largest = 0
        for month in reversed(self.months()):
            for size in (TAIL, BLOCK):
                block = next(self._blocks(self._path(month), size=size), b'')
                if found := _largest(block):
                    break
            largest = max([largest, *found])
            if largest and latest:
                break
        return largest


def _line(moment, entry):
    at = moment.isoformat(timespec='milliseconds')
    return f'{json.dumps({"at": at, "v": VERSION, **entry})}\n'.encode('ascii')


def ago(seconds):
    """Return the time that was so many seconds ago, as `History.find` takes it."""
    moment = jsonlog.now() - datetime.timedelta(seconds=seconds)
    return moment.isoformat(timespec='milliseconds')


def _lines(block, needle):
    """Yield the lines of `block` (bytes) that have `needle`, the last one first."""
    at = len(block)
    while (at := block.rfind(needle, 0, at)) >= 0:
        start = block.rfind(b'\n', 0, at) + 1
        end = block.find(b'\n', at)
        yield block[start : len(block) if end < 0 else end]
        at = start


def _written(block):
    """Return when the last line of `block` was written that tells it (str), else ''."""
    at = block.rfind(_AT)
    return block[at + len(_AT) :][:_TIME].decode('ascii', 'replace') if at >= 0 else ''


def _largest(block):
    """Return the largest number so far, as the last line of `block` that has it tells: a list."""
    line = next(_lines(block, b'"largest": '), b'{}')
    number = _parsed(line, '').get('largest')
    return [number] if type(number) is int else []


def _parsed(line, path):
    entry = jsonlines.load(line)
    if isinstance(entry, dict):
        return entry
    log.warning('A line of %s is damaged and left out: %s', printable(path), printable(repr(line)))
    return {}
