"""What it takes to execute the documents for users, as they are written.

Their examples speak of `ftp.example.com` and of directories like `/var/spool/cds`.  A `Stage` has a
server and temporary directories that stand behind these names, so no example is changed.
"""

import contextlib
import doctest
import io
import logging
import os
import pathlib
import re
import shlex
import socket
import tempfile
import unittest
from typing import NamedTuple
from unittest import mock

import zope.component.testing

from zeit.cds.cli import main
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.tls import TLS


TOP = pathlib.Path(__file__).parents[4]

#: What the documents call the server, and its account.
HOST, PORT = 'ftp.example.com', 21
USER, PASSWORD, DIRECTORY = 'zeit', 'secret', 'in'

#: Directories of the documents, and their names on the stage.
PLACES = {'/var/spool/cds': 'spool', '/etc/zeit.cds': 'etc', '/var/log/zeit.cds': 'log'}

_AGE = re.compile(r' *\b\d+ (s|min|h|d)\b')


def find(name):
    """Return the text of a document of the checkout, None without one: an installed package.

    `name` is relative to the top.
    """
    path = TOP / name
    return path.read_text('utf-8') if path.is_file() else None


def require(test, name):
    """Return the text of a document, or skip `test` with one line."""
    text = find(name)
    if text is None:
        test.skipTest(f'{name} comes with a checkout and the sdist, not with the wheel')
    return text


# Comparing


def matches(want, got):
    """Return whether `got` is what the document shows.

    `...` stands for anything within a line, and alone on a line for any number of lines.  Nothing
    else is tolerated: unlike doctest's own, an ellipsis within a line hides no other line.
    """
    pattern = ''
    for line in want.splitlines():
        if line.strip() == '...':
            pattern += r'(?:.*\n)*?'
        else:
            pattern += '.*'.join(map(re.escape, line.split('...'))) + r'\n'
    return re.fullmatch(pattern, got and got.rstrip('\n') + '\n') is not None


class Checker(doctest.OutputChecker):
    """Compares by `matches`."""

    def check_output(self, want, got, optionflags):
        return want == got or matches(want, got)


def without_ages(text):
    """Return what `zeit-cds status` says without durations, which no document can know."""
    return _AGE.sub(' AGE', text)


# Reading


class Block(NamedTuple):
    """A literal block: the line of its beginning, counted from 1, and its text, dedented."""

    line: int
    text: str


def literal_blocks(text):
    """Return the `Block`s that follow a paragraph which ends in `::`."""
    lines, found, number = text.splitlines(), [], 0
    while number < len(lines):
        number += 1
        if not lines[number - 1].endswith('::') or lines[number - 1].startswith('..'):
            continue
        start = number
        indent = _indent(next(filter(None, lines[start:])))
        while number < len(lines) and (not lines[number] or _indent(lines[number]) >= indent):
            number += 1
        body = lines[start:number]
        block = '\n'.join(line[indent:] for line in body).strip('\n') + '\n'
        found.append(Block(start + 2, block))
    return found


def _indent(line):
    return len(line) - len(line.lstrip())


def commands(block):
    """Return the pairs (command, what it shows) of a block with `$ ` in front of commands."""
    joined = block.text.replace('\\\n', '')
    parts = re.split(r'^\$ (.*)\n', joined, flags=re.MULTILINE)
    assert parts[0] == '', f'line {block.line}: output without a command'
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return [(command, out.strip('\n')) for command, out in pairs]


# Executing


class Outcome(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def server_and_stage(stack):
    """Return the server of the documents, which offers TLS, and a `Stage` with it.

    Both end with `stack`, an `ExitStack`.
    """
    certificates = stack.enter_context(Certificates())
    server = PyFTPServer(
        user=USER,
        password=PASSWORD,
        tls=TLS(certificate=certificates.issue(HOST)),
        # Not everything in the documents is done with TLS.
        settings={'tls_control_required': False, 'tls_data_required': False},
    )
    stack.enter_context(server)
    (server.root / DIRECTORY).mkdir()
    stage = stack.enter_context(Stage(server, ca_file=certificates.ca_file))
    stage.write('etc/partner.pem', certificates.ca_file.read_text())
    return server, stage


class Stage:
    """What stands behind the names of the documents; a context manager.

    `server` is a running server with the account of the documents; whoever starts it stops it.
    `ca_file` is the only authority that the system trusts.  `folder` is a temporary directory.
    """

    def __init__(self, server, *, ca_file=os.devnull):
        self.server = server
        self.ca_file = ca_file
        self.folder = None
        self._resources = contextlib.ExitStack()
        self._resolve = socket.getaddrinfo

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            path = stack.enter_context(tempfile.TemporaryDirectory(prefix='zeit.cds-docs-'))
            self.folder = pathlib.Path(path).resolve()
            for name in PLACES.values():
                (self.folder / name).mkdir()
            self.write('etc/password', f'{PASSWORD}\n')
            environ = {
                'HOME': str(self.folder),
                'PATH': os.environ['PATH'],
                'NO_COLOR': '1',
                'SSL_CERT_FILE': str(self.ca_file),
                'SSL_CERT_DIR': str(self.folder / 'none'),
            }
            stack.enter_context(mock.patch.dict(os.environ, environ, clear=True))
            stack.enter_context(mock.patch('socket.getaddrinfo', self._getaddrinfo))
            # The host of the documents is this machine here: nothing is on its way.
            stack.enter_context(mock.patch('zeit.cds.target.target.is_loopback', return_value=True))
            usual = str(self.folder / 'etc' / 'cds.zcml')
            stack.enter_context(mock.patch('zeit.cds.cli.configuration.USUAL', usual))
            zope.component.testing.setUp()
            stack.callback(zope.component.testing.tearDown)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        return self._resources.__exit__(*exc_info)

    def _getaddrinfo(self, host, port, *args, **kw):
        if (host, port) == (HOST, PORT):
            host, port = self.server.host, self.server.port
        elif host != self.server.host:
            raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')
        return self._resolve(host, port, *args, **kw)

    def path(self, place):
        """Return what a path of the documents is here."""
        return pathlib.Path(self.local(place))

    def local(self, text):
        """Return a text of the documents with the paths as they are here."""
        for place, name in PLACES.items():
            text = text.replace(place, str(self.folder / name))
        return text

    def shown(self, text):
        """Return a text with the paths of here as the documents call them."""
        for place, name in PLACES.items():
            text = text.replace(str(self.folder / name), place)
        return text

    def write(self, name, text):
        """Write a file, for its owner only; `name` is relative to `folder`."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)

    def call(self, command, *, terminal=True):
        """Execute a command line with `zeit-cds` in this process; return an `Outcome`."""
        program, *arguments = shlex.split(self.local(command))
        assert os.path.basename(program) == 'zeit-cds', command
        out, err = (_Terminal if terminal else io.StringIO)(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main.main(arguments)
        return Outcome(code, self.shown(out.getvalue()), self.shown(err.getvalue()))


# As tests


class _Missing(unittest.TestCase):
    layer = QUIET
    name = None

    def test_document(self):
        require(self, self.name)


def suite(name, *, set_up=None):
    """Return the examples of a document as tests.

    `set_up(stack)` is called before them, `stack` (an `ExitStack`) closed behind them.
    """
    if find(name) is None:
        case = type('Missing', (_Missing,), {'name': name, '__module__': __name__})
        return unittest.defaultTestLoader.loadTestsFromTestCase(case)

    def begin(test):
        stack = test.globs['_stack'] = contextlib.ExitStack()
        stack.enter_context(_logging())
        stack.callback(_put_away, test.globs)
        if set_up is not None:
            try:
                set_up(stack)
            except BaseException:
                stack.close()
                raise

    tests = doctest.DocFileSuite(
        str(TOP / name),
        module_relative=False,
        optionflags=doctest.REPORT_NDIFF,
        checker=Checker(),
        setUp=begin,
        tearDown=lambda test: test.globs['_stack'].close(),
    )
    tests.layer = QUIET
    return tests


@contextlib.contextmanager
def _logging():
    """Let a document that is left in the middle leave logging as it was."""
    logger = logging.getLogger('zeit.cds')
    level, handlers = logger.level, logger.handlers[:]
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def _put_away(globs):
    """Do what a document does at its end, also if it was left in the middle."""
    for name, method in (('nobody', 'close'), ('server', 'stop'), ('temporary', 'cleanup')):
        if name in globs:
            getattr(globs[name], method)()
