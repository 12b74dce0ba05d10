"""What this package logs: where it goes, for the time of one call.

A log file may be rotated by others, and one that cannot be written stops nobody.
"""

import contextlib
import errno
import logging
import os
import sys
import threading

from zeit.cds.text import printable


#: The logger of everything in this package.
PACKAGE = 'zeit.cds'

#: A line of a log file.
FORMAT = '%(asctime)s %(levelname)s %(message)s'


@contextlib.contextmanager
def log_to(path, *, level=logging.INFO, program=PACKAGE):
    """Write what this package logs also to the file `path`, as long as the context lasts.

    None: no file.  Others may put it away meanwhile: what follows goes to a new one.  If the file
    cannot be written there is a warning on standard error, which begins with `program`, and
    everything else goes on.
    """
    if path is None:
        yield
        return
    try:
        handler = LogFile(path, program=program)
    except OSError as error:
        _complain(str(path), error, program=program)
        yield
        return
    with handling(handler, level=level):
        yield


@contextlib.contextmanager
def unheard():
    """Let nothing be printed of what this package logs where no logging is set up.

    Python's handler of last resort would write warnings to standard error.  Whoever has set up
    logging gets everything as before.
    """
    logger, handler = logging.getLogger(PACKAGE), logging.NullHandler()
    with _CHANGING:
        _add(logger, handler)
    try:
        yield
    finally:
        with _CHANGING:
            _remove(logger, handler)


@contextlib.contextmanager
def handling(handler, *, level):
    """Let `handler` get what this package logs from `level` on, as long as the context lasts.

    What a thread logs that is inside another such context is that one's, and not for `handler`.
    """
    logger = logging.getLogger(PACKAGE)
    call = _Call(level)
    handler.setLevel(level)
    handler.addFilter(call)
    with _CHANGING:
        before = _calls(logger)
        call.normal = before[0].normal if before else logger.level
        _add(logger, handler)
        _set_level(logger, call.normal)
    try:
        yield handler
    finally:
        with _CHANGING:
            _remove(logger, handler)
            _set_level(logger, call.normal)
        handler.close()
        handler.removeFilter(call)


#: Held where handlers and level of the logger change together.
_CHANGING = threading.Lock()


# A thread that logs goes through the very list that the logger has. If a handler were taken out of
# that list meanwhile, the one behind it would be passed over: its line would be lost. So each
# change makes a new list.


def _add(logger, handler):
    logger.handlers = [*logger.handlers, handler]


def _remove(logger, handler):
    logger.handlers = [each for each in logger.handlers if each is not handler]


class _Call(logging.Filter):
    """What tells the records of one context from those of others: the thread it is in.

    `normal` is the level of the logger outside of all contexts.
    """

    def __init__(self, level):
        super().__init__()
        self.level = level
        self.normal = logging.NOTSET
        self._thread = threading.get_ident()

    def filter(self, record):
        """Return whether a record is of this context, or of none."""
        others = {call._thread for call in _calls(logging.getLogger(PACKAGE))}
        return record.thread == self._thread or record.thread not in others


def _calls(logger):
    filters = [each for handler in logger.handlers for each in handler.filters]
    return [each for each in filters if isinstance(each, _Call)]


def _set_level(logger, normal):
    """Let the logger have its normal level, or what the contexts want that there are."""
    levels = [call.level for call in _calls(logger)]
    if levels:
        usual = normal or logger.parent.getEffectiveLevel()
        logger.setLevel(min(*levels, usual))
    else:
        logger.setLevel(normal)


class LogFile(logging.FileHandler):
    """A file that is appended to, and opened anew when somebody has put it away.

    Rotating is the business of one program that does nothing else, such as logrotate(8): of two
    processes that rotate the same file, the second one overwrites what the first has put away.

    `WatchedFileHandler` would raise in the code that logs when the file cannot be opened anew, and
    its module takes as long to import as the rest of a run without files.
    """

    def __init__(self, path, *, program):
        super().__init__(path, encoding='utf-8', errors='replace')
        self.setFormatter(logging.Formatter(FORMAT))
        self._ended = False
        self._failing = False
        self._program = program

    def _open(self):
        # A FIFO that nobody reads, or not fast enough, must not hold anybody up.
        def opener(path, flags):
            return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)

        return open(
            self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=opener
        )

    def _was_put_away(self):
        try:
            there = os.stat(self.baseFilename)
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self.stream.fileno()))

    def emit(self, record):
        """Write a line.  Never raises for what the system says, also where it is opened anew.

        It is said once on standard error until a line can be written again: the delivery matters
        more than its log.
        """
        if self._ended:  # A thread that began to log before would open the file again.
            return
        self._error = None
        try:
            if self.stream is not None and self._was_put_away():
                stream, self.stream = self.stream, None
                stream.close()
            super().emit(record)
        except OSError as error:
            self._error = error
        if self._error is None:
            self._failing = False
        else:
            self._say_once(self._error)

    def handleError(self, record):
        """Remember what went wrong."""
        self._error = sys.exc_info()[1]

    def close(self):
        """Close the file, without an error for what was not written: that has been said."""
        self._ended = True
        try:
            super().close()
        except OSError as error:
            self._say_once(error)

    def _say_once(self, error):
        if not self._failing:
            self._failing = True
            _complain(self.baseFilename, error, program=self._program)


def _complain(path, error, *, program):
    """Warn on standard error, as `program`, that `path` cannot be written: the OSError `error`."""
    reason = getattr(error, 'strerror', None) or error
    if getattr(error, 'errno', None) == errno.ENXIO:
        reason = 'It is a FIFO or a socket, and nobody reads it'
    about = f'warning: Cannot write to the log file {printable(path)}: {reason}'
    print(f'{program}: {about}', file=sys.stderr)
