"""A killed exporter over TLS: after all that changes something on the server, in short.

The long form is in `test_kill_servers`: TLS changes nothing about what is said. What it changes is
how much of a file is known to be all of it.
"""

import unittest

from zeit.cds.ftp.secure import SecureStream
from zeit.cds.testing import layers
from zeit.cds.tests.folders import contents
from zeit.cds.tests.ftps import OverTLS
from zeit.cds.tests.killing import WIRE, Killing, is_data


#: What goes over the network, and what ends the data.
TLS_WIRE = [*WIRE, (SecureStream, 'finish')]

#: The commands that change something on the server: what kills after others leave is the same.
CHANGES = (b'STOR', b'RNFR', b'RNTO', b'DELE', b'MKD', b'RMD')


def is_change(stream, data=b'', **kw):
    """Tell whether a call of `TLS_WIRE` changes something on the server."""
    lines = bytes(data[:200]).split(b'\r\n')
    return is_data(stream, data) or any(line.startswith(CHANGES) for line in lines)


class KillTests(Killing, OverTLS):
    level = 2
    number = 0
    names = ('a.xml',)  # one has all the steps

    def anew(self):
        # See `test_kill_servers`.
        self.number += 1
        self.directory = self.server.root / f'{self.number}'
        self.directory.mkdir()
        self.directory.chmod(0o777)

    def target(self):
        return self.tls_target(directory=f'/{self.number}')

    def remote(self):
        return contents(self.directory)

    def test_killed_after_each_change(self):
        self.everywhere(
            self.kill_itself(TLS_WIRE, moment='after', only=is_change), after=self.converge
        )

    def test_killed_in_the_middle_of_the_data(self):
        self.size = 600_000
        self.everywhere(self.kill_itself(WIRE, moment='half', only=is_data), after=self.converge)


class Vsftpd12Tests(KillTests, unittest.TestCase):
    layer = layers.VSFTPD_TLS12


class Vsftpd13Tests(KillTests, unittest.TestCase):
    layer = layers.VSFTPD_TLS13


class VsftpdImplicitTests(KillTests, unittest.TestCase):
    layer = layers.VSFTPD_IMPLICIT


class ProFTPD12Tests(KillTests, unittest.TestCase):
    layer = layers.PROFTPD_TLS12


class ProFTPD13Tests(KillTests, unittest.TestCase):
    layer = layers.PROFTPD_TLS13


class ProFTPDImplicitTests(KillTests, unittest.TestCase):
    layer = layers.PROFTPD_IMPLICIT


class PureFTPD12Tests(KillTests, unittest.TestCase):
    layer = layers.PUREFTPD_TLS12


class PureFTPD13Tests(KillTests, unittest.TestCase):
    layer = layers.PUREFTPD_TLS13


class PyFTP12Tests(KillTests, unittest.TestCase):
    layer = layers.PYFTPD_TLS12


class PyFTP13Tests(KillTests, unittest.TestCase):
    layer = layers.PYFTPD_TLS13


class PyFTPImplicitTests(KillTests, unittest.TestCase):
    layer = layers.PYFTPD_IMPLICIT
