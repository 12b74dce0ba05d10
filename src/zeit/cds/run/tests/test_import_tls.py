"""An import over TLS, over several connections."""

import tempfile
import unittest

from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests.ftps import OverTLS
from zeit.cds.tests.importing import leave


class TLSImportTests(OverTLS):
    def test_twenty_files(self):
        files = {f'{n:02}.xml': b'x' * 4096 * n for n in range(20)}
        for name, data in files.items():
            leave(self.server.root / name, data)
        spool = Spool(self.enterContext(tempfile.TemporaryDirectory()))
        report = Importer(spool, self.tls_target()).run_once()
        self.assertEqual((0, []), (report.exit_code, report.failed), report.errors)
        self.assertEqual(files, {p.name: p.read_bytes() for p in (spool.path / 'new').iterdir()})
        self.assertEqual([], [*self.server.root.iterdir()])


class PyFTPTests(TLSImportTests, unittest.TestCase):
    layer = layers.PYFTPD_TLS13


class VsftpdTests(TLSImportTests, unittest.TestCase):
    layer = layers.VSFTPD_TLS13


class ProFTPDTests(TLSImportTests, unittest.TestCase):
    layer = layers.PROFTPD_TLS13


class PureFTPDTests(TLSImportTests, unittest.TestCase):
    layer = layers.PUREFTPD_TLS13
