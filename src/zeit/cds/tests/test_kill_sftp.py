"""A killed exporter, and a killed importer, over SFTP.

On the scripted server, at each request; on real servers, at each packet that it sends.
"""

import os
import posixpath
import unittest

from zeit.cds.testing import layers
from zeit.cds.testing.sftpfaults import EXTENSIONS, SFTPFaultServer
from zeit.cds.tests.folders import contents
from zeit.cds.tests.importkill import ImportKilling
from zeit.cds.tests.killing import Killing
from zeit.cds.tests.oversftp import REQUESTS, SSH_WIRE, scripted_target, target
from zeit.cds.tests.sampling import every
from zeit.cds.tests.test_kill import KillTests


class ScriptedKillTests(KillTests):
    """On the scripted server."""

    factory = SFTPFaultServer
    wire = SSH_WIRE

    def hook(self, event):
        self.killer(event)

    def target(self):
        return scripted_target(self.server, temporary=not self.direct)


class RequestTests(ScriptedKillTests, unittest.TestCase):
    """Killed by the server, at requests of a run."""

    stride = every(41)  # more of them: level 2

    def test_killed_at_a_request(self):
        self.commands('lost', 'executed', after=self.converge)


class AllTests(ScriptedKillTests):
    """All places, and what may come after."""

    level = 2
    stride = every(17)

    def test_killed_at_a_request_then_a_run(self):
        self.commands('lost', 'late', 'executed', after=self.converge)

    def test_killed_at_a_request_then_a_correction(self):
        self.commands('lost', 'late', 'executed', after=self.correct)

    def test_killed_at_a_request_then_the_files_are_taken_away(self):
        self.commands('lost', 'late', 'executed', after=self.empty)

    def test_killed_in_the_middle_of_what_it_sends(self):
        self.everywhere(self.kill_itself(self.wire, moment='half'), after=self.converge)


class AllPlainTests(AllTests, unittest.TestCase):
    """A server that replaces by posix-rename."""

    def test_killed_twice(self):
        """The healing is killed as well, at each of its requests."""
        self.commands('executed', after=self.heal_killed)


class AllOccupiedTests(AllTests, unittest.TestCase):
    """A server that replaces nothing, and has a file of that name already."""

    occupied = ('a.xml',)
    options = {'extensions': tuple(each for each in EXTENSIONS if each != 'posix-rename')}


class AllDirectTests(AllTests, unittest.TestCase):
    """Without temporary names, over an older file; in several pieces."""

    direct = True
    size = 600_000
    occupied = ('a.xml',)


class AllMergingTests(AllTests, unittest.TestCase):
    """As rclone: directories are merged, exclusive creation is none, files are replaced."""

    options = {'merges': True, 'exclusive': False, 'replaces': True}
    stride = every(25)


class ScriptedImportKillTests(ImportKilling, ScriptedKillTests):
    level = 2
    stride = every(17)

    def plant(self, name, data, *, modified):
        self.server.put(f'/cds/{name}', data, modified=modified)

    def test_killed_at_a_request_then_a_run(self):
        self.commands('lost', 'late', 'executed', after=self.converge)

    def test_killed_at_a_request_then_the_files_are_taken(self):
        self.commands('lost', 'late', 'executed', after=self.then_taken)

    def test_killed_at_a_request_then_the_files_are_replaced(self):
        self.commands('lost', 'late', 'executed', after=self.then_replaced)


class ScriptedImportTests(ScriptedImportKillTests, unittest.TestCase):
    """Files that were there long before."""


class ScriptedFreshImportTests(ScriptedImportKillTests, unittest.TestCase):
    """Files of this very second: their time proves nothing."""

    before = 0


class OnDisk(layers.ServerTests):
    level = 2
    stride = every(17)
    number = 0
    direct = False

    def anew(self):
        # See `test_kill_servers`.
        self.number += 1
        self.directory = self.server.root / f'{self.number}'
        self.directory.mkdir()
        self.directory.chmod(0o777)

    def target(self):
        directory = posixpath.join(self.server.directory, f'{self.number}')
        return target(self.server, directory=directory, temporary=not self.direct)

    def remote(self):
        return contents(self.directory)


class ServerKillTests(OnDisk, Killing):
    def test_killed_after_it_has_sent(self):
        self.everywhere(self.kill_itself(SSH_WIRE, moment='after'), after=self.converge)

    def test_killed_then_a_correction(self):
        self.everywhere(self.kill_itself(REQUESTS, moment='after'), after=self.correct)

    def test_killed_then_the_files_are_taken_away(self):
        self.everywhere(self.kill_itself(REQUESTS, moment='after'), after=self.empty)

    def test_killed_in_the_middle_of_what_it_sends(self):
        self.size = 600_000
        self.everywhere(self.kill_itself(SSH_WIRE, moment='half'), after=self.converge)


class OpenSSHTests(ServerKillTests, unittest.TestCase):
    layer = layers.OPENSSH


class ProFTPDTests(ServerKillTests, unittest.TestCase):
    layer = layers.PROFTPD_SFTP


class ServerImportKillTests(OnDisk, ImportKilling):
    def plant(self, name, data, *, modified):
        path = self.directory / name
        path.write_bytes(data)
        path.chmod(0o666)
        os.utime(path, (modified, modified))

    def test_killed_after_it_has_asked(self):
        self.everywhere(self.kill_itself(REQUESTS, moment='after'), after=self.converge)

    def test_killed_after_it_has_asked_then_the_files_are_taken(self):
        self.everywhere(self.kill_itself(REQUESTS, moment='after'), after=self.then_taken)


class OpenSSHImportTests(ServerImportKillTests, unittest.TestCase):
    layer = layers.OPENSSH


class ProFTPDImportTests(ServerImportKillTests, unittest.TestCase):
    layer = layers.PROFTPD_SFTP
