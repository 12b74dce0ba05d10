"""Log files: one that rotates, for the time of one call."""

import contextlib
import logging
import logging.handlers
import sys

from zeit.cds.text import printable


FORMAT = '%(asctime)s %(levelname)s %(message)s'

#: The logger of everything in this package.
PACKAGE = 'zeit.cds'

KEPT = 5


class _LogFile(logging.handlers.TimedRotatingFileHandler):
    """A file that begins anew each Monday; one that cannot be written stops nobody."""

    def __init__(self, path, *, program):
        # The day of the week, not an interval: a cron job's handler never lives for a week.
        super().__init__(path, when='W0', backupCount=KEPT, encoding='utf-8', errors='replace')
        self.setFormatter(logging.Formatter(FORMAT))
        self._complained = False
        self._program = program

    def handleError(self, record):
        """Say it once on standard error: the delivery matters more than its log."""
        self._complain(sys.exc_info()[1])

    def close(self):
        """Close the file, without an error for what was not written: that has been said."""
        try:
            super().close()
        except OSError as error:
            self._complain(error)

    def _complain(self, error):
        if not self._complained:
            self._complained = True
            _complain(self.baseFilename, error, program=self._program)


def _complain(path, error, *, program):
    reason = getattr(error, 'strerror', None) or error
    about = f'warning: Cannot write to the log file {printable(path)}: {reason}'
    print(f'{program}: {about}', file=sys.stderr)


@contextlib.contextmanager
def log_to(path, *, level=logging.INFO, program=PACKAGE):
    """Write what this package logs also to the file `path`, as long as the context lasts.

    None: no file.  It rotates weekly, 5 old ones are kept.  If the file cannot be written there is
    a warning on standard error, which begins with `program`, and everything else goes on.
    """
    if path is None:
        yield
        return
    try:
        handler = _LogFile(path, program=program)
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
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def handling(handler, *, level):
    """Let `handler` get what this package logs from `level` on, as long as the context lasts."""
    logger = logging.getLogger(PACKAGE)
    before = logger.level
    handler.setLevel(level)
    logger.addHandler(handler)
    logger.setLevel(min(level, logger.getEffectiveLevel()))
    try:
        yield handler
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
        handler.close()
