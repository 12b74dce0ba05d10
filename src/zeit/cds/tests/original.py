"""What the document of 2009 needs in order to run today; the document itself stays as it is.

It is a doctest in Python 2 over a pyftpdlib of its time.  Here its examples are translated while
they are run, and the modules that are gone are put in their places as long as it runs.  What it
expects is not touched: of what was got, only the module in front of our exceptions' names is
removed, which Python 2 did not print.

Beyond the doctest, the log is compared line by line: see `originallog`.
"""

import contextlib
import doctest
import errno
import io
import itertools
import logging
import pathlib
import re
import shutil
import socket
import sys
import tempfile
import traceback
import types
from typing import NamedTuple

from zeit.cds.tests import originallog


VARIABLE = 'ZEIT_CDS_ORIGINAL_README'
BESIDE = pathlib.Path('shared', 'original', 'README.txt')

#: The document's ports: its server's, and one where it expects nobody.
SERVED, UNSERVED = 2001, 2002

#: What the package of 2009 ran it with.
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Seconds for the server's thread, which looks around once in a second.
STOP_TIMEOUT = 10


class Unusable(Exception):
    """The document cannot be found, or cannot be run here."""


def find(environ):
    """Return the document's path (`pathlib.Path`).  Raises `Unusable` if there is none."""
    given = environ.get(VARIABLE)
    path = pathlib.Path(given) if given else pathlib.Path(__file__).parents[5] / BESIDE
    if path.is_file():
        return path
    if given:
        raise Unusable(f'The original document is not there: {VARIABLE}={path}')
    raise Unusable(
        'This compares with the README.txt of the package of 2009 to 2015, which is not part of '
        f'this one; who has it sets {VARIABLE}=/path/to/README.txt'
    )


# The ports


@contextlib.contextmanager
def reserved_ports():
    """Hold the document's ports; yield a socket that listens on `SERVED`.

    On one address of localhost the server listens.  All others, and the other port, are taken as
    well, but refuse connections: so nobody else can answer there.  Raises `Unusable` if somebody
    does already.
    """
    listener = None
    with contextlib.ExitStack() as stack:
        for (family, *_, address), port in itertools.product(_localhost(), (SERVED, UNSERVED)):
            sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            # What earlier runs left in TIME_WAIT does not count; who listens does, all the same.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((address[0], port))
                if listener is None and port == SERVED:
                    sock.listen()
                    listener = sock
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    continue  # a name for IPv6 on a machine without
                raise Unusable(
                    f'Port {port} of {address[0]} is taken by another program; the original '
                    f'document needs {SERVED} for its server and nobody on {UNSERVED}: '
                    f'{error.strerror}'
                ) from error
        if listener is None:
            raise Unusable('localhost has no address of this machine')
        yield listener


def _localhost():
    return socket.getaddrinfo('localhost', None, type=socket.SOCK_STREAM)


# The modules


class FTPServerModule(types.ModuleType):
    """`pyftpdlib.ftpserver` of 2009, made of today's pyftpdlib and an event loop of its own.

    `listener` is what `FTPServer` serves, whatever interfaces the document asks for: an account
    with a known password is nothing for the network.  `errors` are tracebacks of the server.
    """

    def __init__(self, listener):
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler
        from pyftpdlib.ioloop import IOLoop

        super().__init__('pyftpdlib.ftpserver')
        module = self

        class Handler(FTPHandler):
            # Nobody guesses passwords here, and the document would wait for it.
            auth_failed_timeout = 0

            def log(self, msg, logfun=None):
                module.log(msg)

            def logline(self, msg, logfun=None):
                module.logline(msg)

            def logerror(self, msg):
                module.errors.append(msg)

            def log_exception(self, instance):
                module.errors.append(traceback.format_exc())

        self.listener = listener
        self.loop = IOLoop()
        self.errors = []
        self.log = self.logline = print
        self.DummyAuthorizer = DummyAuthorizer
        self.FTPHandler = Handler

    def FTPServer(self, address, handler):
        """Return a server; `address` must have the port of the listener."""
        from pyftpdlib.servers import FTPServer

        if address[1] != self.listener.getsockname()[1]:
            raise Unusable(f'A server on port {address[1]} was not expected')
        return FTPServer(self.listener, handler, ioloop=self.loop)

    @property
    def _tasks(self):
        return self.loop.sched._tasks

    def _scheduler(self):
        self.loop.sched.poll()


@contextlib.contextmanager
def old_modules(ftpserver):
    """Let the document import what it knows, as long as the context lasts."""
    string_io = types.ModuleType('StringIO')
    string_io.StringIO = io.StringIO
    asyncore = types.ModuleType('asyncore')
    asyncore.socket_map = ftpserver.loop.socket_map
    # There is but one map.
    asyncore.poll = lambda timeout, map: ftpserver.loop.poll(timeout)
    modules = {'StringIO': string_io, 'asyncore': asyncore, 'pyftpdlib.ftpserver': ftpserver}
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
        sys.modules.update(before)


# The document


_PRINT = re.compile(r'^(\s*)print (.+)$', re.MULTILINE)
# In Python 2 it returned None.
_WRITE = re.compile(r'^(\w+\.write\(.*\))$', re.MULTILINE)


def translated(source):
    """Return an example's source in today's Python."""
    return _WRITE.sub(r'_ = \1', _PRINT.sub(r'\1print(\2)', source))


class _Checker(doctest.OutputChecker):
    def check_output(self, want, got, optionflags):
        return super().check_output(want, originallog.normalised(got), optionflags)


class _Runner(doctest.DocTestRunner):
    """Runs the document; `blocks` are its looks into the log."""

    def __init__(self, records):
        super().__init__(checker=_Checker(), verbose=False, optionflags=FLAGS)
        self.blocks = []
        self._records = records

    def _look(self, test, example, got):
        if example.source.strip() == 'dumplog()':
            line = test.lineno + example.lineno + 1
            block = originallog.Block(line, example.want, got, tuple(self._records))
            self.blocks.append(block)
            self._records.clear()

    def report_success(self, out, test, example, got):
        self._look(test, example, got)

    def report_failure(self, out, test, example, got):
        super().report_failure(out, test, example, got)
        self._look(test, example, got)


class Outcome(NamedTuple):
    """What came of it: numbers of examples, doctest's report, looks into the log, tracebacks."""

    attempted: int
    failed: int
    report: str
    blocks: list
    server_errors: list

    @property
    def problems(self):
        """Everything that is wrong, as a list of texts."""
        report = [self.report] if self.failed else []
        found = [text for block in self.blocks for text in block.differences()]
        return [*report, *found, *self.server_errors]


def run(text, *, name):
    """Run `text`, the document or one like it, and return the `Outcome`.

    However it ends: its server, thread, logging and temporary directories end as well.  Raises
    `Unusable` if its ports are taken.
    """
    report = io.StringIO()
    globs = {'__name__': '__main__'}
    test = doctest.DocTestParser().get_doctest(text, globs, name, name, 0)
    for example in test.examples:
        example.source = translated(example.source)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(reserved_ports())
        ftpserver = FTPServerModule(listener)
        stack.callback(ftpserver.loop.close)
        stack.enter_context(_temporary_directory())
        recorder = stack.enter_context(_logging())
        stack.enter_context(old_modules(ftpserver))
        stack.callback(_stop, test.globs)
        runner = _Runner(recorder.records)
        failed, attempted = runner.run(test, out=report.write, clear_globs=False)
    return Outcome(attempted, failed, report.getvalue(), runner.blocks, ftpserver.errors)


def _stop(globs):
    globs['stop_serving'] = True
    thread = globs.get('thread')
    if thread is not None and thread.ident is not None:
        thread.join(STOP_TIMEOUT)
        if thread.is_alive():
            raise RuntimeError('The server of the original document does not stop')


@contextlib.contextmanager
def _temporary_directory():
    """Let everything temporary be in one directory, which is removed."""
    before = tempfile.tempdir
    path = tempfile.mkdtemp(prefix='zeit.cds-original-')
    tempfile.tempdir = path
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(path)


@contextlib.contextmanager
def _logging():
    """Record what is logged; restore the root logger afterwards."""
    root, recorder = logging.getLogger(), originallog.Recorder()
    handlers, level = root.handlers[:], root.level
    root.addHandler(recorder)
    try:
        yield recorder
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
