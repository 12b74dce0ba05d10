"""The contract of a target over TLS: four servers, TLS 1.2 and 1.3, explicit and implicit."""

import unittest

from zeit.cds.testing import layers
from zeit.cds.tests.contract import TargetContract
from zeit.cds.tests.ftps import OverTLS


class Contract(OverTLS, TargetContract):
    def setUp(self):
        super().setUp()
        self.target = self.tls_target()

    def contents(self):
        return {p.name: p.read_bytes() for p in self.server.root.iterdir() if p.is_file()}

    def plant(self, name, content):
        (self.server.root / name).write_bytes(content)
        (self.server.root / name).chmod(0o666)


class Vsftpd12Tests(Contract, unittest.TestCase):
    layer = layers.VSFTPD_TLS12


class Vsftpd13Tests(Contract, unittest.TestCase):
    layer = layers.VSFTPD_TLS13


class VsftpdImplicitTests(Contract, unittest.TestCase):
    layer = layers.VSFTPD_IMPLICIT
    level = 2


class ProFTPD12Tests(Contract, unittest.TestCase):
    layer = layers.PROFTPD_TLS12
    level = 2


class ProFTPD13Tests(Contract, unittest.TestCase):
    layer = layers.PROFTPD_TLS13
    level = 2


class ProFTPDImplicitTests(Contract, unittest.TestCase):
    layer = layers.PROFTPD_IMPLICIT
    level = 2


class PureFTPD12Tests(Contract, unittest.TestCase):
    layer = layers.PUREFTPD_TLS12
    level = 2


class PureFTPD13Tests(Contract, unittest.TestCase):
    layer = layers.PUREFTPD_TLS13
    level = 2


class PyFTP12Tests(Contract, unittest.TestCase):
    layer = layers.PYFTPD_TLS12
    level = 2


class PyFTP13Tests(Contract, unittest.TestCase):
    layer = layers.PYFTPD_TLS13
    level = 2


class PyFTPImplicitTests(Contract, unittest.TestCase):
    layer = layers.PYFTPD_IMPLICIT
    level = 2
