"""The log file: others may rotate it, and one that cannot be written stops nobody."""

import errno
import logging
import logging.handlers
import os
import sys

from zeit.cds.text import printable


FORMAT = '%(asctime)s %(levelname)s %(message)s'


class LogFile(logging.handlers.WatchedFileHandler):
    """A file that is appended to, and opened anew when somebody has put it away.

    Rotating is the business of one program that does nothing else, such as logrotate(8): of two
    processes that rotate the same file, the second one overwrites what the first has put away.
    """

    def __init__(self, path, *, program):
        super().__init__(path, encoding='utf-8', errors='replace')
        self.setFormatter(logging.Formatter(FORMAT))
        self._failing = False
        self._program = program

    def _open(self):
        # A FIFO that nobody reads, or not fast enough, must not hold anybody up.
        def opener(path, flags):
            return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)

        return open(
            self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=opener
        )

    def emit(self, record):
        """Write a line.  Never raises for what the system says, also where it is opened anew.

        It is said once on standard error until a line can be written again: the delivery matters
        more than its log.
        """
        self._error = None
        try:
            super().emit(record)
        except OSError as error:
            self._error = error
        if self._error is None:
            self._failing = False
        else:
            self._complain(self._error)

    def handleError(self, record):
        """Remember what went wrong."""
        self._error = sys.exc_info()[1]

    def close(self):
        """Close the file, without an error for what was not written: that has been said."""
        try:
            super().close()
        except OSError as error:
            self._complain(error)

    def _complain(self, error):
        if not self._failing:
            self._failing = True
            complain(self.baseFilename, error, program=self._program)


def complain(path, error, *, program):
    """Warn on standard error, as `program`, that `path` cannot be written: the OSError `error`."""
    reason = getattr(error, 'strerror', None) or error
    if getattr(error, 'errno', None) == errno.ENXIO:
        reason = 'It is a FIFO or a socket, and nobody reads it'
    about = f'warning: Cannot write to the log file {printable(path)}: {reason}'
    print(f'{program}: {about}', file=sys.stderr)
