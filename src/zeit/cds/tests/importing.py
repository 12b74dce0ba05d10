"""What the tests of imports have in common: a server with a partner's files, a spool, a run."""

import contextlib
import logging
import os
import time

from zeit.cds import errors
from zeit.cds.names import _OURS
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.faults import FaultServer
from zeit.cds.tests import remembered
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.scenario import LONGEST, content, target


class Skipping:
    """A clock, and a way to wait that takes no time.  `waited` is how long, in seconds."""

    def __init__(self):
        self.waited = 0

    def clock(self):
        return time.monotonic() + self.waited

    def wait(self, seconds):
        self.waited += seconds


class ImportScenario:
    """Mixin for a TestCase: `server`, `spool`, and `run_import`, which checks what always holds.

    `left` has what is on the server and not to be taken.
    """

    layer = layers.QUIET
    server = None

    def setUp(self):
        self.prepare()

    def prepare(self):
        """Start anew: an empty spool, an empty server without faults."""
        if self.server is not None:
            self.server.stop()
        self.server = self.enterContext(FaultServer(directories=['/cds']))
        self.fault = self.server.fault
        self.path = in_memory(self) / 'spool'
        self.path.mkdir()
        self.spool = Spool(self.path)
        self.time = Skipping()
        self.offered = {}
        self.left = {}
        self.complete = set()  # whatever was offered at any time

    def offer(self, *names):
        """Let a partner have put files into the directory, an hour ago."""
        for name in names:
            self.offered[name] = content(name)
            self.server.put(f'/cds/{name}', self.offered[name], modified=time.time() - 3600)

    def plant(self, name, data=b'left'):
        """Put something on the server that is not to be taken."""
        self.left[name] = data
        self.server.put(f'/cds/{name}', data)

    @property
    def remote(self):
        """The files in the server's directory, by name."""
        return {path.removeprefix('/cds/'): data for path, data in self.server.files.items()}

    def section(self, name):
        path = self.path / name
        return {e.name: e.read_bytes() for e in path.iterdir()} if path.exists() else {}

    def run_import(self, *names, options=None, **kw):
        """Let the partner put files there, run, check what always holds; return the report."""
        self.offer(*names)
        started = time.monotonic()
        with self.assertLogs('zeit.cds', 'DEBUG') as logs:
            goal = target(self.server, **kw)
            importer = Importer(self.spool, goal, clock=self.time.clock, wait=self.time.wait)
            report = importer.run_once(options)
        self.assertLess(time.monotonic() - started, LONGEST)
        self.records = logs.records
        self.lines = [r.getMessage() for r in logs.records if r.levelno >= logging.INFO]
        self.log = '\n'.join(record.getMessage() for record in logs.records)
        self.server.wait_closed()
        self.check(report)
        return report

    def check(self, report):
        remote = self.remote
        self.complete.update(self.offered.values(), self.left.values())
        here = [*self.section('cur').values(), *self.section('new').values()]
        for name, data in self.offered.items():
            self.assertTrue(data in here or remote.get(name) == data, f'{name} is lost\n{self.log}')
        for data in here:
            self.assertIn(data, self.complete, 'something partial')
        for name, data in self.left.items():
            self.assertEqual(data, remote.get(name), f'{name} was not to be taken')
        self.assertEqual({}, self.section('tmp'), self.log)
        ours = {n for n in remote if n == 'read' or _OURS.fullmatch(n)} - set(self.left)
        self.assertEqual(set(), ours, self.log)
        for record in self.records:
            for line in logging.Formatter().format(record).splitlines():
                self.assertTrue(line.isprintable() and len(line) < 1500, repr(line))
        for error in report.errors:
            self.assertNotEqual(errors.SOFTWARE, error.exit_code, repr(error))

    def assert_run(self, code, imported, report):
        """Compare the exit code, and the imported names (one word each, separated by spaces)."""
        self.assertEqual((code, imported.split()), (report.exit_code, report.delivered), self.log)

    def assert_imported(self, *names):
        """These are in `new/`, complete, and gone from the server."""
        self.assertEqual({name: self.offered[name] for name in names}, self.section('new'))
        self.assertEqual(set(), set(names) & set(self.remote))

    def receipts(self, name):
        return list(remembered.receipts(self.path / '.cds', name))

    def downloads(self):
        return self.server.commands('RETR')

    def heal(self, **kw):
        """Without faults the next run imports the rest, and one more has nothing to do."""
        self.server.clear_faults()
        self.assertEqual(0, self.run_import(**kw).exit_code, self.log)
        self.assertEqual(self.left, self.remote)
        number = len(self.section('new'))
        self.assert_run(0, '', self.run_import(**kw))
        self.assertEqual(number, len(self.section('new')))
        self.complete.update(self.offered.values(), self.left.values())
        here = [*self.section('new').values(), *self.section('cur').values()]
        self.assertEqual(sorted(self.offered.values()), sorted(here), 'exactly once')


def leave(path, data):
    """Do what a partner has done an hour ago: leave a file."""
    path.write_bytes(data)
    path.chmod(0o666)
    moment = time.time() - 3600
    os.utime(path, (moment, moment))


def take(path, *names):
    """Do what zeit.cms does: take files out of `new/`."""
    for name in names:
        os.rename(path / 'new' / name, path / 'cur' / name)


@contextlib.contextmanager
def read_only(path):
    """Let a directory be not writable."""
    mode = path.stat().st_mode
    path.chmod(0o555)
    try:
        yield
    finally:
        path.chmod(mode)


__all__ = ['ImportOptions', 'ImportScenario', 'read_only', 'take']
