"""What a command imports: it begins to work at once, and has no more in memory than it needs.

Which modules these are says more than seconds do, and the same on every machine.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers


#: Calls the command, and says what was imported then.
_CODE = (
    'import sys; from zeit.cds.cli.main import main; code = main(); '
    'print(*sys.modules, file=sys.stderr); sys.exit(code)'
)

#: What takes long to import.
HEAVY = {
    'asyncio', 'concurrent', 'ctypes', 'email', 'hashlib', 'importlib.metadata', 'json', 'logging',
    'multiprocessing', 'pathlib', 'random', 'shutil', 'socket', 'ssl', 'subprocess', 'tempfile',
    'xml', 'click', 'gocept.filestore', 'zope.component', 'zope.configuration', 'zope.interface',
    'zope.proxy', 'zope.schema', 'celery', 'opentelemetry', 'prometheus_client', 'transaction',
}  # fmt: skip

#: What each run works with; `ctypes` is for statx(2), see `zeit.cds.system.libc`.
RUN = {
    'click', 'ctypes', 'json', 'logging', 'pathlib', 'zope.component', 'zope.interface',
}  # fmt: skip


class ImportsCase(unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path)

    def imported(self, *arguments):
        """Return the names of all modules that a process of its own has imported."""
        done = subprocess.run(
            [sys.executable, '-c', _CODE, *map(str, arguments)],
            env={
                'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
                'ZEIT_CDS_PASSWORD': 'testpw',
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        return {*done.stderr.splitlines()[-1].split()}

    def heavy(self, *arguments):
        return self.imported(*arguments) & HEAVY


class StartTests(ImportsCase):
    layer = layers.QUIET

    def test_version(self):
        found = self.imported('--version')
        self.assertEqual(set(), found & HEAVY)
        ours = {'cli', 'cli.main', 'cli.output', 'errors'}
        self.assertEqual(ours, {name[9:] for name in found if name.startswith('zeit.cds.')})

    def test_help(self):
        for arguments in (['--help'], ['export', '--help'], ['status', '-h']):
            with self.subTest(arguments):
                self.assertEqual({'click'}, self.heavy(*arguments) - {'shutil'})

    def test_an_export_without_files(self):
        arguments = 'export', '--spool', self.path, 'ftp://anonymous@127.0.0.1:1/in'
        for when in 'first', 'second':
            with self.subTest(when):
                found = self.imported(*arguments)
                self.assertEqual(RUN, found & HEAVY)
                for name in 'run.importer', 'target.ftp_session', 'ftp.connection', 'drivers.watch':
                    self.assertNotIn(f'zeit.cds.{name}', found)

    def test_a_look(self):
        self.spool.put('a.xml', b'x')
        for verb in 'status', 'retry', 'adopt':
            with self.subTest(verb):
                options = ['--all'] if verb == 'retry' else []
                found = self.imported(verb, *options, '--spool', self.path)
                ftp = 'zeit.cds.target.ftp_session'
                for name in 'zope.configuration', 'zope.schema', 'ssl', ftp:
                    self.assertNotIn(name, found)


class TransferTests(ImportsCase):
    layer = layers.PYFTPD

    def test_without_tls_there_is_no_openssl_for_it(self):
        server = self.layer.server
        (server.root / 'in').mkdir()
        self.spool.put('a.xml', b'x')
        url = f'ftp://test@127.0.0.1:{server.port}/in'
        found = self.imported('export', '--spool', self.path, url)
        self.assertEqual(['a.xml'], [path.name for path in (server.root / 'in').iterdir()])
        self.assertEqual({'hashlib', 'socket'}, (found & HEAVY) - RUN)

    def test_only_several_connections_need_a_loop(self):
        server = self.layer.server
        (server.root / 'in').mkdir()
        url = f'ftp://test@127.0.0.1:{server.port}/in'
        for connections in 1, 2:
            for name in 'a.xml', 'b.xml', 'c.xml':
                self.spool.put(name, b'x')
            options = f'--connections={connections}', '--spool', self.path
            found = self.imported('export', *options, url)
            self.assertEqual(connections > 1, 'greenlet' in found)
