"""The log file: it rotates, and one that cannot be written stops nobody."""

import logging
import logging.handlers
import sys

from zeit.cds.text import printable


FORMAT = '%(asctime)s %(levelname)s %(message)s'

KEPT = 5


class LogFile(logging.handlers.TimedRotatingFileHandler):
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
            complain(self.baseFilename, error, program=self._program)


def complain(path, error, *, program):
    """Warn on standard error, as `program`, that `path` cannot be written: the OSError `error`."""
    reason = getattr(error, 'strerror', None) or error
    about = f'warning: Cannot write to the log file {printable(path)}: {reason}'
    print(f'{program}: {about}', file=sys.stderr)
