"""An import from the servers of our partners: what they say differs, what arrives does not."""

import os
import tempfile
import unittest

from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests.test_contract import target


class ServerImportTests(layers.ServerTests):
    FILES = {
        'a.xml': b'',
        '{urn:uuid:347b85e0-0740-4e52-8f62-3192430b0417}.xml': b'<letter/>',
        ' a space ': b'1',
        '[a]*?.xml': b'\r\n',
        'ä€.xml': b'x' * 600_000,
    }

    def setUp(self):
        super().setUp()
        self.spool = Spool(self.enterContext(tempfile.TemporaryDirectory()))

    def plant(self, name, data):
        path = os.path.join(os.fsencode(self.server.root), name)
        with open(path, 'wb') as file:
            file.write(data)
        os.chmod(path, 0o666)
        os.utime(path, (1_000_000_000, 1_000_000_000))

    def run_import(self, **options):
        goal = target(self.server, directory='/')
        return Importer(self.spool, goal).run_once(ImportOptions(**options))

    def new(self):
        return {p.name: p.read_bytes() for p in (self.spool.path / 'new').iterdir()}

    def test_files_of_all_sorts(self):
        for name, data in self.FILES.items():
            self.plant(os.fsencode(name), data)
        (self.server.root / 'directory').mkdir()
        (self.server.root / '.hidden').write_bytes(b'')
        report = self.run_import()
        self.assertEqual((0, []), (report.exit_code, report.failed), report.errors)
        self.assertEqual(self.FILES, self.new())
        left = {p.name for p in self.server.root.iterdir()}
        self.assertEqual({'directory', '.hidden'}, left)
        self.assertEqual((0, []), (self.run_import().exit_code, report.failed))
        (self.server.root / 'directory').rmdir()
        (self.server.root / '.hidden').unlink()

    def test_an_empty_directory(self):
        report = self.run_import()
        self.assertEqual((0, [], []), (report.exit_code, report.results, report.errors))

    def test_names_that_are_no_names(self):
        hostile = [b'con\x01trol', b'latin-1 \xe4', b'tab\tname']
        for name in hostile:
            self.plant(name, b'1')
        self.plant(b'good.xml', b'2')
        report = self.run_import()
        self.assertEqual((1, ['good.xml']), (report.exit_code, report.delivered))
        self.assertEqual({'good.xml': b'2'}, self.new())
        self.assertEqual(len(hostile), len(os.listdir(self.server.root)))


class PyFTPTests(ServerImportTests, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdTests(ServerImportTests, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDTests(ServerImportTests, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDTests(ServerImportTests, unittest.TestCase):
    layer = layers.PUREFTPD
