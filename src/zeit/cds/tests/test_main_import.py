"""What buildout scripts and old deployments rely on, of the import."""

import inspect
import unittest

from zeit.cds import main
from zeit.cds.testing.layers import PYFTPD, QUIET, ServerTests
from zeit.cds.tests.importing import leave
from zeit.cds.tests.maincase import MainCase, closed_port, quiet


class SignatureTest(unittest.TestCase):
    layer = QUIET

    def test_import(self):
        self.assertEqual(inspect.signature(main.export), inspect.signature(main.import_))

    def test_called_without_arguments_the_script_explains_itself(self):
        for arguments in ((), ('spool',), ('a', 'b', 21, 'c', 'd', '/', 'log', 'one more')):
            with self.subTest(arguments), quiet() as (out, err):
                self.assertEqual(64, main.cds_import(*arguments))
                self.assertEqual('', out.getvalue())
                self.assertIn('scripts = cds-import', err.getvalue())


class ImportTest(MainCase, ServerTests, unittest.TestCase):
    layer = PYFTPD

    def lines(self, *between):
        """Return the log of a run that gets its lock."""
        server = self.server
        return [
            f'Accessed filestore {self.spool}',
            f'Connecting to CDS FTP server (host {server.host}, port {server.port}, user test)',
            'Creating lock file: read',
            'Lock file successfully created: read',
            *between,
            'Removing lock file: read',
            'Lock file successfully removed: read',
            'Disconnected from CDS FTP server',
            'Exiting with success.',
        ]

    def test_two_files_and_the_log(self):
        for name in ('b', 'a'):
            leave(self.server.root / name, b'<article/>')
        log = self.directory / 'log'
        with quiet() as (out, err):
            self.assertIsNone(self.call(main.import_, logfile=str(log)))
        self.assertEqual(['a', 'b'], self.names('new'))
        self.assertEqual(b'<article/>', (self.spool / 'new' / 'a').read_bytes())
        self.assertEqual([], list(self.server.root.iterdir()))
        self.assertEqual(
            self.lines(
                'Downloading: a',
                "Moved from 'tmp' to 'new': a",
                'File removed on server: a',
                'Downloading: b',
                "Moved from 'tmp' to 'new': b",
                'File removed on server: b',
            ),
            self.log.lines(),
        )
        self.assertEqual(('', ''), (out.getvalue(), err.getvalue()))
        self.assertIn('INFO Downloading: a', log.read_text())

    def test_nothing_there_and_the_log(self):
        self.assertEqual(0, self.call(main.cds_import))
        self.assertEqual(self.lines('No new files to import.'), self.log.lines())

    def test_a_lock(self):
        for name in ('write', 'read'):
            with self.subTest(name):
                (self.server.root / name).write_bytes(b'')
                (self.server.root / 'a').write_bytes(b'a')
                self.assertEqual(75, self.call(main.cds_import))
                self.assertEqual(
                    [
                        f"Cannot access CDS FTP server as '{name}' lockfile exists.",
                        'Exiting.',
                    ],
                    self.log.lines()[-2:],
                )
                self.assertEqual({'a', name}, {p.name for p in self.server.root.iterdir()})
                (self.server.root / name).unlink()

    def test_no_server(self):
        self.assertEqual(69, self.call(main.cds_import, port=closed_port()))
        self.assertIn('Could not connect to CDS FTP server.', self.log.lines())

    def test_a_wrong_password(self):
        self.assertEqual(77, self.call(main.cds_import, password='wrong'))

    def test_a_directory_that_is_missing(self):
        self.assertEqual(78, self.call(main.cds_import, ftp_dir='/nowhere'))

    def test_no_spool(self):
        self.assertEqual(78, self.call(main.cds_import, store_dir='/nonexistent'))
