"""A killed exporter, on the servers of our partners: by counting what it sends.

Whether the server has executed the last command, and when, is its own affair: it may do that while
the next run is logging in.
"""

import unittest

from zeit.cds.credentials import Secret
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers
from zeit.cds.tests.folders import contents
from zeit.cds.tests.killing import Killing, is_data


class ServerKillTests(Killing, layers.ServerTests):
    level = 2
    number = 0

    def anew(self):
        # A directory of its own for each kill: what the server still does for a dead client can
        # not be taken for something that the next one did.
        self.number += 1
        self.directory = self.server.root / f'{self.number}'
        self.directory.mkdir()
        self.directory.chmod(0o777)
        for name in self.occupied:
            (self.directory / name).write_bytes(self.older)
            (self.directory / name).chmod(0o666)

    def target(self):
        return FTPTarget.from_options(
            host=self.server.host,
            port=self.server.port,
            user=self.server.user,
            password=Secret(self.server.password),
            directory=f'/{self.number}',
            temporary=not self.direct,
        )

    def remote(self):
        return contents(self.directory)

    def test_killed_before_it_sends(self):
        self.everywhere(self.kill_itself(self.wire, moment='before'), after=self.converge)

    def test_killed_after_it_has_sent(self):
        self.everywhere(self.kill_itself(self.wire, moment='after'), after=self.converge)

    def test_killed_in_the_middle_of_the_data(self):
        """Not of a command: no kill divides what goes to the kernel in one small piece.

        ProFTPD executes a command that ends with the connection, not with CRLF: `RNTO b` for
        `RNTO b.xml`.  Where a network divides one there, no client can help it.
        """
        self.size = 600_000
        for after in (self.converge, self.correct, self.empty):
            self.everywhere(self.kill_itself(self.wire, moment='half', only=is_data), after=after)

    def test_killed_then_a_correction(self):
        self.everywhere(self.kill_itself(self.wire, moment='after'), after=self.correct)

    def test_killed_then_the_files_are_taken_away(self):
        self.everywhere(self.kill_itself(self.wire, moment='after'), after=self.empty)


class VsftpdTests(ServerKillTests, unittest.TestCase):
    layer = layers.VSFTPD


class PureFTPdTests(ServerKillTests, unittest.TestCase):
    layer = layers.PUREFTPD


class ProFTPDTests(ServerKillTests, unittest.TestCase):
    layer = layers.PROFTPD


class ProFTPDOccupiedTests(ServerKillTests, unittest.TestCase):
    """It does not overwrite, and has a file of that name already."""

    layer = layers.PROFTPD
    occupied = ('a.xml',)


class DirectTests(ServerKillTests):
    """Without temporary names, over an older file of the same length."""

    direct = True
    occupied = ('a.xml',)


class VsftpdDirectTests(DirectTests, unittest.TestCase):
    layer = layers.VSFTPD


class PureFTPdDirectTests(DirectTests, unittest.TestCase):
    layer = layers.PUREFTPD
