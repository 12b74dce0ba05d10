"""A killed importer, on the servers of our partners: by counting what it sends and gets.

Whether the server has executed the last command, and when, is its own affair: it may do that while
the next run is logging in.  So no partner puts a newer file into the place of one here, which a
DELE that comes late would hit: as long as the dead importer's lock is there, partners do not.
"""

import os
import unittest

from zeit.cds.credentials import Secret
from zeit.cds.ftp.stream import Stream
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers
from zeit.cds.tests.folders import contents
from zeit.cds.tests.importkill import ImportKilling
from zeit.cds.tests.killing import LOCAL, WIRE


class ServerImportKillTests(ImportKilling, layers.ServerTests):
    level = 2
    number = 0

    def anew(self):
        # See `test_kill_servers`.
        self.number += 1
        self.directory = self.server.root / f'{self.number}'
        self.directory.mkdir()
        self.directory.chmod(0o777)

    def plant(self, name, data, *, modified):
        path = self.directory / name
        path.write_bytes(data)
        path.chmod(0o666)
        os.utime(path, (modified, modified))

    def target(self):
        return FTPTarget.from_options(
            host=self.server.host,
            port=self.server.port,
            user=self.server.user,
            password=Secret(self.server.password),
            directory=f'/{self.number}',
        )

    def remote(self):
        return contents(self.directory)

    def test_killed_before_it_sends(self):
        self.everywhere(self.kill_itself(WIRE, moment='before'), after=self.converge)

    def test_killed_after_it_has_sent(self):
        self.everywhere(self.kill_itself(WIRE, moment='after'), after=self.converge)

    def test_killed_before_it_sends_then_the_files_are_taken(self):
        self.everywhere(self.kill_itself(WIRE, moment='before'), after=self.then_taken)

    def test_killed_after_it_has_sent_then_the_files_are_taken(self):
        self.everywhere(self.kill_itself(WIRE, moment='after'), after=self.then_taken)

    def test_killed_when_something_has_come_in(self):
        self.size = 600_000
        seams = [(Stream, 'receive')]
        self.everywhere(self.kill_itself(seams, moment='after'), after=self.then_taken)

    def test_killed_at_a_local_step(self):
        self.everywhere(self.kill_itself(LOCAL, moment='after'), after=self.then_taken)


class FreshTests(ServerImportKillTests):
    """Files of this very second: their time proves nothing, the content decides."""

    before = 0


class VsftpdTests(ServerImportKillTests, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDTests(ServerImportKillTests, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPdTests(ServerImportKillTests, unittest.TestCase):
    layer = layers.PUREFTPD


class VsftpdFreshTests(FreshTests, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDFreshTests(FreshTests, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPdFreshTests(FreshTests, unittest.TestCase):
    layer = layers.PUREFTPD
