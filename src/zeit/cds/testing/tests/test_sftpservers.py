"""The SFTP servers themselves, with a plain client: what other tests rely on."""

import asyncio
import os
import unittest
import unittest.mock

import asyncssh

from zeit.cds.testing import layers
from zeit.cds.testing.sftpservers import InternalSFTPServer, OpenSSHServer


NAME = '{urn:uuid:347b85e0-0740-4e52-8f62-3192430b0417}.xml'


class Common(layers.ServerTests):
    level = 2

    def ask(self, question, **options):
        """Return what `question(sftp)` does, over a session by the account's key."""
        server = self.server
        login = {
            'username': server.user,
            'client_keys': [str(server.client_key)],
            'known_hosts': str(server.known_hosts),
            'config': None,
            'agent_path': None,
            **options,
        }

        async def session():
            async with (
                asyncssh.connect(server.host, server.port, **login) as connection,
                connection.start_sftp_client() as sftp,
            ):
                await sftp.chdir(server.directory)
                return await question(sftp)

        return asyncio.run(asyncio.wait_for(session(), 30))

    def test_root_is_the_directory_on_disk(self):
        async def put(sftp):
            async with sftp.open(NAME, 'wb', encoding=None) as file:
                await file.write(b'<article/>')
            return {*await sftp.listdir('.')} - {'.', '..'}

        self.assertEqual({NAME}, self.ask(put))
        self.assertEqual(b'<article/>', (self.server.root / NAME).read_bytes())

    def test_files_of_the_test_can_be_read_renamed_and_deleted(self):
        (self.server.root / 'local').write_bytes(b'local')

        async def change(sftp):
            async with sftp.open('local', 'rb', encoding=None) as file:
                found = await file.read()
            await sftp.rename('local', 'moved')
            await sftp.remove('moved')
            return found

        self.assertEqual(b'local', self.ask(change))
        self.assertEqual([], os.listdir(self.server.root))

    def test_the_password_is_the_only_one(self):
        if not self.server.password:
            self.skipTest('Only root can have an account made for it: run the tests as root')

        async def look(sftp):
            return True

        self.assertTrue(self.ask(look, client_keys=[], password=self.server.password))
        with self.assertRaises(asyncssh.PermissionDenied):
            self.ask(look, client_keys=[], password='wrong')

    def test_another_key_is_refused(self):
        with self.assertRaises(asyncssh.PermissionDenied):
            self.ask(None, client_keys=[asyncssh.generate_private_key('ssh-ed25519')])

    def test_it_has_the_key_that_it_says(self):
        self.assertRegex(self.server.host_key, '^ssh-ed25519 ')
        with self.assertRaises(asyncssh.HostKeyNotVerifiable):
            self.ask(None, known_hosts=([], [], []))

    def test_after_a_restart_it_is_the_same_one(self):
        before = self.server.port, self.server.host_key

        async def count(sftp):
            return len({*await sftp.listdir('.')} - {'.', '..'})

        (self.server.root / 'a').write_bytes(b'')
        self.server.restart()
        self.assertEqual(before, (self.server.port, self.server.host_key))
        self.assertEqual(1, self.ask(count))

    def test_it_runs_as_somebody_who_is_not_root(self):
        async def put(sftp):
            await sftp.mkdir('made')

        self.ask(put)
        self.assertEqual(self.owner(), (self.server.root / 'made').stat().st_uid)

    def owner(self):
        return os.geteuid()


class Daemons(Common):
    def owner(self):
        return self.server.root.stat().st_uid

    def test_it_is_another_user(self):
        if os.geteuid() == 0:
            self.assertNotEqual(0, self.owner())


class OpenSSHTests(Daemons, unittest.TestCase):
    layer = layers.OPENSSH
    level = 1


class InternalSFTPTests(Daemons, unittest.TestCase):
    layer = layers.INTERNAL_SFTP

    def test_it_is_in_a_chroot(self):
        async def look(sftp):
            return {*await sftp.listdir('/')} - {'.', '..'}

        self.assertEqual({'files'}, self.ask(look))


class ProFTPDTests(Daemons, unittest.TestCase):
    layer = layers.PROFTPD_SFTP


class AsyncSSHTests(Common, unittest.TestCase):
    layer = layers.ASYNCSSH


class ParamikoTests(Common, unittest.TestCase):
    layer = layers.PARAMIKO


class RcloneTests(Common, unittest.TestCase):
    layer = layers.RCLONE_SFTP


class WithoutRootTests(unittest.TestCase):
    layer = layers.QUIET

    def test_only_what_needs_root_says_so(self):
        with unittest.mock.patch('os.geteuid', return_value=12345):
            with self.assertRaisesRegex(unittest.SkipTest, 'needs root'):
                InternalSFTPServer.find()
            self.assertTrue(OpenSSHServer.find())
