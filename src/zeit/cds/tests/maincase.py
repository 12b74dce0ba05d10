"""What the tests of `zeit.cds.main` share: a spool, a log that is looked at, a call."""

import contextlib
import io
import logging
import pathlib
import socket
import tempfile


class Records(logging.Handler):
    """What the package logs: records, and the text of each with its traceback."""

    def __init__(self):
        super().__init__()
        self.records = []
        self.texts = []

    def emit(self, record):
        self.records.append(record)
        self.texts.append(self.format(record))

    def lines(self, level=logging.INFO):
        """Return the messages of at least this level."""
        return [r.getMessage() for r in self.records if r.levelno >= level]


class MainCase:
    """A spool in `spool`, a function to fill it, and `log`, everything that is logged."""

    def setUp(self):
        super().setUp()
        # What the scripts say there is for people, and for the tests that look at it.
        self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = self.directory / 'spool'
        self.spool.mkdir()
        for section in ('tmp', 'new', 'cur'):
            (self.spool / section).mkdir()
        self.log = Records()
        logger = logging.getLogger('zeit.cds')
        before = logger.level, logger.handlers[:]
        logger.addHandler(self.log)
        logger.setLevel(logging.DEBUG)
        self.addCleanup(logger.removeHandler, self.log)
        self.addCleanup(logger.setLevel, before[0])

    def publish(self, *names, content=b'<article/>'):
        for name in names:
            (self.spool / 'new' / name).write_bytes(content)

    def names(self, section):
        return sorted(entry.name for entry in (self.spool / section).iterdir())

    def call(self, function, **changes):
        """Call `export` or one like it for `self.server`; return what it returns."""
        server = self.server
        values = {
            'store_dir': str(self.spool),
            'hostname': server.host,
            'port': server.port,
            'user': 'test',
            'password': 'testpw',
            'ftp_dir': '/',
        }
        values.update(changes)
        return function(*values.values())


@contextlib.contextmanager
def quiet():
    """Redirect both outputs; yield (standard output, standard error) as `io.StringIO`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def closed_port():
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.create_server(('127.0.0.1', 0)) as sock:
        return sock.getsockname()[1]
