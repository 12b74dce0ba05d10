"""The contract of a target over SFTP, on each server."""

import unittest

from zeit.cds.sftp.target import SFTPTarget
from zeit.cds.testing import layers
from zeit.cds.testing.profiles import Answers, Profile
from zeit.cds.tests.contract import TargetContract


def target(server, **options):
    """Return a target for the account of an `SSHServer`, logged in by its key."""
    return SFTPTarget.from_options(
        **{
            'host': server.host,
            'port': server.port,
            'user': server.user,
            'directory': server.directory,
            'known_hosts': str(server.known_hosts),
            'ssh_key': str(server.client_key),
            **options,
        }
    )


class OnDisk(layers.ServerTests, TargetContract):
    """A server whose directory is on this machine's disk."""

    confirms = 'closed'

    def setUp(self):
        super().setUp()
        self.target = target(self.server)

    def contents(self):
        return {
            path.name: path.read_bytes() for path in self.server.root.iterdir() if path.is_file()
        }

    def plant(self, name, content):
        (self.server.root / name).write_bytes(content)


class OpenSSHTests(OnDisk, unittest.TestCase):
    layer = layers.OPENSSH


class InternalSFTPTests(OnDisk, unittest.TestCase):
    layer = layers.INTERNAL_SFTP
    level = 2


class ProFTPDTests(OnDisk, unittest.TestCase):
    layer = layers.PROFTPD_SFTP


class AsyncSSHTests(OnDisk, unittest.TestCase):
    layer = layers.ASYNCSSH


class ParamikoTests(OnDisk, unittest.TestCase):
    layer = layers.PARAMIKO
    level = 2


class RcloneTests(OnDisk, unittest.TestCase):
    layer = layers.RCLONE_SFTP
    level = 2
    profile = Profile('rclone', Answers(existing=257), {'merges': True})

    #: rclone 1.75.2 merges them, so no guard is made there; and now and then it ended itself.
    test_of_two_directories_that_get_one_name_one_wins = None
