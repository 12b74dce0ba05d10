"""`zeit-cds demo`: a real export to an FTP server that lives for a moment on this machine."""

import contextlib
import importlib.util
import logging
import os
import pathlib
import shutil
import sys
import tempfile
import zlib

import click

from zeit.cds import errors
from zeit.cds.cli.console import PROGRAM
from zeit.cds.errors import ConfigurationError
from zeit.cds.system import logs
from zeit.cds.text import file_size, plural, printable


ARTICLE = """\
<?xml version="1.0" encoding="UTF-8"?>
<article xmlns="http://www.zeit.de/exports/vivi">
  <head>
    <attribute name="uuid">{{urn:uuid:{uuid}}}</attribute>
    <attribute name="ressort">Wissen</attribute>
  </head>
  <body>
    <title>{title}</title>
    <division>
      <p>{text}</p>
    </division>
  </body>
</article>
"""

_WIDTH = 78

_INTRODUCTION = """\
Articles wait in a spool; zeit.cds delivers them to an FTP server that a partner
shares. Here both are on this machine for a moment, and are removed afterwards."""

_EXPLANATION = """\
lock     The file 'write' on the server told everybody else to stay away while
         we were writing there. If it, or a file 'read', had been there before,
         we would have left at once (exit code 75) and come back later.
upload   Each file was sent under a temporary name, its size was compared, and
         only then was it renamed: the partner never sees half a file.
move     Only then was it moved from new to cur. Whatever breaks in between, it
         is still in new, and the next run sends it again."""

_NEXT = (
    ('-vv demo', 'the same with every FTP command and reply'),
    ('export --help', 'deliver a spool of your own, to a server of your own'),
    ('status --help', 'what is waiting, what was delivered, who holds the lock'),
)


def _as_called():
    """Return how this command was called: newcomers do not have it on their PATH."""
    program = os.path.basename(sys.argv[0])
    if program != PROGRAM or shutil.which(program) == os.path.abspath(sys.argv[0]):
        return PROGRAM
    return printable(sys.argv[0])


def samples():
    """Return some realistic files: a dictionary of name and bytes."""
    uuids = '347b85e0-0740-4e52-8f62-3192430b0417', '9c1f7d52-6a0e-4e0b-9d1c-5b7f0a4e2c86'
    titles = 'Warum der Himmel blau ist', 'Wie Vögel sich zurechtfinden'
    texts = 'Das Licht der Sonne wird gestreut.', 'Über das Magnetfeld, wenn es trüb ist.'
    articles = {
        f'{{urn:uuid:{uuid}}}.xml': ARTICLE.format(uuid=uuid, title=title, text=text).encode()
        for uuid, title, text in zip(uuids, titles, texts, strict=True)
    }
    return {**articles, 'himmel-blau-1600x900.png': _picture(width=1600, height=900)}


def _picture(*, width, height):
    """Return a PNG, a blue sky (source: RFC 2083)."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data).to_bytes(4, 'big')
        return len(data).to_bytes(4, 'big') + kind + data + check

    header = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + bytes([8, 2, 0, 0, 0])
    lines = (bytes([0]) + bytes([90, 140 + y * 100 // height, 235]) * width for y in range(height))
    pixels = zlib.compress(b''.join(lines), 1)
    start = b'\x89PNG\r\n\x1a\n'
    return start + chunk(b'IHDR', header) + chunk(b'IDAT', pixels) + chunk(b'IEND', b'')


def run(console):
    """Make the demonstration; return the exit code of its export.

    `console` is a `zeit.cds.cli.console.Console`.  Nothing is left behind, however it ends.  Raises
    `ConfigurationError` without pyftpdlib.
    """
    if importlib.util.find_spec('pyftpdlib') is None:
        raise ConfigurationError(
            'The demonstration needs the FTP server pyftpdlib',
            hint="Install it: pip install 'zeit.cds[demo]'",
        )
    from zeit.cds.spool.spool import Spool
    from zeit.cds.testing.pyftpd import PyFTPServer

    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix='zeit.cds-demo-'))
        )
        for name in ('spool', 'server', 'server/cds'):
            (folder / name).mkdir()
        spool = Spool(folder / 'spool')
        files = samples()
        for name, content in files.items():
            spool.put(name, content)
        server = stack.enter_context(PyFTPServer(root=folder / 'server'))
        return _Demonstration(console, spool, server).make(files)


class _Demonstration:
    """What is shown, in its order."""

    def __init__(self, console, spool, server):
        self._console = console
        self._say = console.say
        self._spool = spool
        self._server = server
        self._directory = server.root / 'cds'

    def make(self, files):
        self._say(_INTRODUCTION)
        self._sides('Before')
        report = self._export()
        self._sides('After')
        code = report.exit_code or self._compare(files)
        if code == errors.DONE:
            self._heading('What happened')
            self._say(_EXPLANATION)
            self._heading('What to try next')
            program = _as_called()
            for arguments, what in _NEXT:
                self._say(f'{program} {arguments:<13}  {what}')
        else:
            self._console.tell_report(report)
        return code

    def _heading(self, text):
        self._say()
        self._say(click.style(text, bold=True))
        self._say(click.style('-' * len(text), dim=True))

    def _sides(self, moment):
        self._heading(moment)
        self._say(f'Spool {self._spool.path}')
        self._list('new', self._spool.path / 'new')
        self._list('cur', self._spool.path / 'cur')
        server = self._server
        self._say(f'Server ftp://{server.user}@{server.host}:{server.port}/cds')
        self._list('', self._directory)

    def _list(self, label, directory):
        found = _entries(directory)
        label = f'  {label:<5}'
        if not found:
            self._say(label + click.style('empty', dim=True))
        for entry in found:
            size = f'{file_size(entry.stat().st_size):>10}'
            self._say(label + click.style(size, dim=True) + f'  {printable(entry.name)}')
            label = ' ' * len(label)

    def _export(self):
        from zeit.cds.credentials import Secret
        from zeit.cds.run.exporter import Exporter
        from zeit.cds.target.target import FTPTarget

        server = self._server
        target = FTPTarget.from_options(
            host=server.host,
            port=server.port,
            user=server.user,
            password=Secret(server.password),
            directory='/cds',
            connections=1,
        )
        self._heading('The log of the export')
        with contextlib.ExitStack() as stack:
            if self._console.verbosity < 1:
                # With -v the log is on standard error already.
                handler = _Log(self._say)
                stack.enter_context(logs.handling(handler, level=logging.INFO))
            return Exporter(self._spool, target).run_once()

    def _compare(self, files):
        """Say what has arrived, having looked at every byte; return the exit code."""
        same = [name for name, content in files.items() if self._arrived(name) == content]
        if len(same) < len(files):
            return errors.SOFTWARE
        self._say()
        everything = f'{plural(len(same), "file")} delivered; every byte compared.'
        self._say(click.style(everything, fg='green', bold=True))
        return errors.DONE

    def _arrived(self, name):
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None


class _Log(logging.Handler):
    """Shows log records as they come, on standard output."""

    def __init__(self, say):
        super().__init__()
        self._say = say

    def emit(self, record):
        style = {} if record.levelno < logging.WARNING else {'fg': 'red'}
        self._say(click.style(printable(record.getMessage(), limit=1000), **style))


def _entries(directory):
    """Return what is to be seen in a directory, by name."""
    with os.scandir(directory) as scan:
        return sorted((e for e in scan if not e.name.startswith('.')), key=lambda e: e.name)
