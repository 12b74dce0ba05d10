"""A line on a terminal that shows how far a run is."""

import collections
import contextlib
import os
import threading
import time

import zope.interface

from zeit.cds.interfaces import IProgress
from zeit.cds.text import file_size


#: Seconds between two drawings; a run that is done before the first one shows nothing.
REDRAW_SECONDS = 0.2

#: The rate is that of the last seconds, not of a beginning long ago.
RATE_SECONDS = 10

#: The time left is by the rate of this part of the run, if that is longer.
RECENT = 1 / 2

#: Columns of the bar itself.
MIN_COLUMNS, MAX_COLUMNS = 10, 40

#: Columns of a terminal that does not know how many it has.
USUAL = 80

#: Back to the first column, and erase to the end of the line (ECMA-48: CR, EL).
_ERASE = '\r\x1b[K'

#: Terminals that cannot erase.
_DUMB = ('', 'dumb', 'unknown')


def bar_for(stream):
    """Return a `Bar` if `stream` is a terminal that can show one, else None."""
    try:
        if stream.isatty() and os.environ.get('TERM', '') not in _DUMB:
            return Bar(stream)
    except ValueError:
        pass  # it is closed
    return None


@zope.interface.implementer(IProgress)
class Bar:
    """See `IProgress`; a context manager that draws all the while, and leaves an empty line.

    It has a thread of its own, so that a run that hangs is not shown as one that goes on.

    `stream` is a text file for a terminal, `clock` tells monotonic seconds, `width` the columns of
    the terminal.  Plain ASCII without colours: it is the same for every terminal and reader.
    """

    def __init__(self, stream, *, clock=time.monotonic, width=None):
        self._stream = stream
        self._clock = clock
        self._width = width or (lambda: os.get_terminal_size(stream.fileno()).columns)
        self._lock = threading.RLock()
        self._files = self._size = self._files_done = self._size_done = 0
        self._sized = True
        self._positions = {}
        self._past = collections.deque()
        self._began = None
        self._cost = FileCost()
        self._shown = False
        self._ended = threading.Event()
        self._thread = None

    def __repr__(self):
        return f'<Bar {self._files_done}/{self._files}>'

    def __enter__(self):
        self._thread = threading.Thread(target=self._keep_drawing, name='bar', daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._ended.set()
        self._thread.join()
        with self._lock:
            self._erase()

    def _keep_drawing(self):
        while not self._ended.wait(REDRAW_SECONDS):
            self.draw()

    def expected(self, *, files, size):
        """See `IProgress`."""
        with self._lock:
            self._files += files
            self._size += size or 0
            self._sized = self._sized and size is not None
            self._note()

    def sent(self, name, position):
        """See `IProgress`."""
        with self._lock:
            self._positions[name] = position

    def settled(self, name, *, size):
        """See `IProgress`."""
        with self._lock:
            self._positions.pop(name, None)
            self._files_done += 1
            self._size_done += size
            self._cost.learn(self._clock(), self._files_done, self._bytes())

    @contextlib.contextmanager
    def hidden(self):
        """Let something else be written, with the line out of the way meanwhile."""
        with self._lock:
            shown = self._shown
            self._erase()
            yield
            if shown:
                self.draw()

    def _bytes(self):
        return self._size_done + sum(self._positions.values())

    def _note(self):
        now = self._clock()
        self._began = now if self._began is None else self._began
        self._past.append((now, self._bytes(), self._files_done))
        self._cost.learn(now, self._files_done, self._bytes())
        since = now - max(RATE_SECONDS, (now - self._began) * RECENT)
        while len(self._past) > 2 and self._past[1][0] <= since:
            self._past.popleft()

    def _work(self, size, files):
        """Return how much is done when so many bytes and files are, in bytes."""
        return (size if self._sized else 0) + files * self._cost.bytes()

    def draw(self):
        """Show how far it is now; before anything is expected, nothing."""
        with self._lock:
            if not self._files:
                return
            self._note()
            with contextlib.suppress(OSError):
                # One column is left free: some terminals go on to the next line when one is full.
                self._write(_ERASE + self._line((self._width() or USUAL) - 1))
                self._shown = True

    def _erase(self):
        if self._shown:
            with contextlib.suppress(OSError):
                self._write(_ERASE)
            self._shown = False

    def _write(self, text):
        self._stream.write(text)
        self._stream.flush()

    def _line(self, width):
        """Return as much as fits: the number of files first, the bar itself last."""
        parts = [f'{self._files_done}/{self._files} files']
        left, rate = self._speed()
        # In the order in which they are given up where there is no room.
        for text in (
            file_size(self._bytes()) + (f' of {file_size(self._size)}' if self._sized else ''),
            '' if left is None else f'{_duration(left)} left',
            '' if rate is None else f'{file_size(round(rate))}/s',
        ):
            if text and len('  '.join([*parts, text])) <= width:
                parts.append(text)
        line = '  '.join(parts)
        room = min(width - len(line) - 2, MAX_COLUMNS + 2)
        if room >= MIN_COLUMNS + 2:
            return f'{self._bar(room - 2)}  {line}'
        return line[: max(width, 0)]

    def _bar(self, length):
        total = self._work(self._size, self._files)
        done = self._work(self._bytes(), self._files_done)
        full = min(length, int(length * done / total)) if total else length
        return f'[{"#" * full}{"." * (length - full)}]'

    def _speed(self):
        """Return (seconds left, bytes per second), None for what is not known yet."""
        now, size_now, files_now = self._past[-1]
        since, size, files = self._past[0]
        elapsed, work_now = now - since, self._work(size_now, files_now)
        done = work_now - self._work(size, files)
        if elapsed < REDRAW_SECONDS or (done <= 0 and size_now <= size):
            return None, None
        whole = self._work(self._size, self._files)
        left = max(whole - work_now, 0) * elapsed / done if done > 0 else None
        recent, size, _ = next(each for each in self._past if each[0] > now - RATE_SECONDS)
        rate = max(size_now - size, 0) / (now - recent) if recent < now else 0
        return left, rate


class FileCost:
    """What a file costs besides its bytes, some round trips, in bytes that take as long.

    It is found out from parts of the run, in each of which a file has ended, unless it is a large
    one: the sums of squares and products for the method of least squares.
    """

    #: As long as nothing is known.
    USUAL = 64 * 1024

    #: However slow the server is.
    MOST = 16 * 1024 * 1024

    #: Seconds of a part, without and with the end of a file.
    LONG, SHORT = 2, 0.2

    def __init__(self):
        self._last = None
        self._sums = [0] * 5

    def __repr__(self):
        return f'<FileCost {self.bytes():.0f} bytes>'

    def learn(self, now, files, size):
        """So many files, and bytes of files, are through at that moment."""
        if self._last is None:
            self._last = now, files, size
            return
        seconds, more, bytes_ = now - self._last[0], files - self._last[1], size - self._last[2]
        if seconds < (self.SHORT if more else self.LONG):
            return
        self._last = now, files, size
        products = more**2, more * bytes_, bytes_**2, more * seconds, bytes_ * seconds
        self._sums = [before + each for before, each in zip(self._sums, products, strict=True)]

    def bytes(self):
        """Return the bytes."""
        ff, fb, bb, ft, bt = self._sums
        determinant = ff * bb - fb * fb
        if determinant <= ff * bb / 1000:
            return self.USUAL  # nothing is known; or all files have one size, so that all fits
        a_file, a_byte = ft * bb - bt * fb, bt * ff - ft * fb
        if a_byte <= 0:
            return self.MOST
        return min(max(a_file / a_byte, 0), self.MOST)


def _duration(seconds):
    """Return a number of seconds as `m:ss` or `h:mm:ss`, rounded up: who waits is not let down."""
    minutes, seconds = divmod(int(seconds) + 1, 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'
