"""Who the server is, and who we are: against OpenSSH, and a server that tells what it was asked."""

import asyncio
import logging
import os
import pathlib
import select
import socket
import subprocess
import tempfile
import threading
import traceback
import types
import unittest
import unittest.mock

import asyncssh

from zeit.cds import errors
from zeit.cds.credentials import Secret, SecretFile
from zeit.cds.sftp.connection_options import Hop
from zeit.cds.sftp.target import SFTPTarget
from zeit.cds.testing import layers
from zeit.cds.testing.sftpservers import OpenSSHServer


PASSWORD = 'Geheim-4711'

#: Seconds until something that does not come is missed.
TIMEOUT = 60


class Account(asyncssh.SSHServer):
    """A server that knows one password, and notes what it is asked, in `seen`."""

    def __init__(self, *, ways, seen):
        self._ways = ways
        self._seen = seen

    def connection_made(self, conn):
        self._seen.append('connection')

    def begin_auth(self, username):
        self._seen.append(f'user {username}')
        return True

    def password_auth_supported(self):
        return 'password' in self._ways

    def validate_password(self, username, password):
        self._seen.append('password')
        return password == PASSWORD

    def kbdint_auth_supported(self):
        return 'keyboard-interactive' in self._ways

    def get_kbdint_challenge(self, username, lang, submethods):
        if 'code' in self._ways:
            return 'Login', '', 'en', [('Password:', False), ('Code:', True)]
        return 'Login', '', 'en', [('Password:', False)]

    def validate_kbdint_response(self, username, responses):
        self._seen.append('response')
        return list(responses) == [PASSWORD]


class AccountServer:
    """Runs servers with an `Account` in a thread; a context manager."""

    def __init__(self, *ways, bits=None):
        kind, options = ('ssh-rsa', {'key_size': bits}) if bits else ('ssh-ed25519', {})
        self.key = asyncssh.generate_private_key(kind, **options)
        self.seen = []
        self._ways = ways
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.folder = tempfile.TemporaryDirectory()

    def __enter__(self):
        self._thread.start()
        self._server = self._run(
            asyncssh.listen(
                '127.0.0.1',
                0,
                server_host_keys=[self.key],
                server_factory=lambda: Account(ways=self._ways, seen=self.seen),
                sftp_factory=lambda channel: asyncssh.SFTPServer(
                    channel, chroot=self.folder.name.encode()
                ),
            )
        )
        self.port = self._server.get_port()
        return self

    def __exit__(self, *exc_info):
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.folder.cleanup()

    async def _end(self):
        self._server.close()
        await self._server.wait_closed()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, awaitable):
        async def awaited():
            return await awaitable

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(10)

    @property
    def known_host(self):
        return f'[127.0.0.1]:{self.port} {self.key.export_public_key().decode()}'


class LoginCase(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix='a folder '))
        self.folder = pathlib.Path(folder)

    def serve(self, *ways, **options):
        return self.enterContext(AccountServer(*ways, **options))

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def target(self, server, **options):
        options = {
            'host': '127.0.0.1',
            'port': server.port,
            'user': 'zeit',
            'directory': '/',
            'password': Secret(PASSWORD),
            **options,
        }
        if not {'known_hosts', 'host_key'} & {*options}:
            options['known_hosts'] = self.write('known', server.known_host)
        return SFTPTarget.from_options(**options)

    def assert_logs_in(self, target):
        session = target.open(within=30)
        self.addCleanup(session.close)
        session.store('a', b'1')
        self.assertEqual(b'1', session.read('a'))
        session.delete('a')

    def refused(self, target, kind, *words, code=69):
        with self.assertRaises(kind) as caught:
            target.open(within=30)
        error = caught.exception
        self.assertEqual(code, error.exit_code)
        for word in words:
            self.assertIn(word, error.advice)
        self.assert_tells_no_secret(error)
        return error

    def assert_tells_no_secret(self, error):
        """Nothing that a service for errors collects has the password in it."""
        seen = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if frame.f_code.co_filename == __file__:
                    continue
                self.assertNotIn(PASSWORD, repr(frame.f_locals), frame)
            error = error.__cause__ or error.__context__


class PacketTests(LoginCase):
    def test_none_is_there_to_be_ignored(self):
        """AsyncSSH would send one before each: twice the packets, and a tenth of a large file."""
        kinds = []
        server = self.serve('password')
        with unittest.mock.patch.object(
            asyncssh.SSHServerConnection,
            'log_received_packet',
            lambda connection, kind, *args: kinds.append(kind),
        ):
            self.assert_logs_in(self.target(server))
        self.assertIn(asyncssh.constants.MSG_SERVICE_REQUEST, kinds)
        self.assertNotIn(asyncssh.constants.MSG_IGNORE, kinds)


class HostKeyTests(LoginCase):
    def test_one_that_is_not_known_is_refused_before_anything_is_said(self):
        server = self.serve('password')
        target = self.target(server, known_hosts=self.write('known', ''))
        fingerprint = server.key.get_fingerprint()
        self.refused(target, errors.HostKeyRefused, fingerprint, 'ssh-keyscan', 'not known')
        self.assertEqual(['connection'], server.seen)

    def test_one_that_is_another_is_refused_before_anything_is_said(self):
        server = self.serve('password')
        known = asyncssh.generate_private_key('ssh-ed25519')
        line = server.known_host.split()[0] + ' ' + known.export_public_key().decode()
        target = self.target(server, known_hosts=self.write('known', line))
        self.refused(
            target,
            errors.HostKeyRefused,
            server.key.get_fingerprint(),
            known.get_fingerprint(),
            'in between',
        )
        self.assertEqual(['connection'], server.seen)

    def test_one_of_another_kind_is_shown_as_well(self):
        server = self.serve('password')
        known = asyncssh.generate_private_key('ecdsa-sha2-nistp256')
        line = server.known_host.split()[0] + ' ' + known.export_public_key().decode()
        target = self.target(server, known_hosts=self.write('known', line))
        self.refused(target, errors.HostKeyRefused, server.key.get_fingerprint())

    def test_a_fingerprint_is_enough(self):
        server = self.serve('password')
        wrong = asyncssh.generate_private_key('ssh-ed25519').get_fingerprint()
        self.assert_logs_in(self.target(server, host_key=(wrong, server.key.get_fingerprint())))

    def test_another_fingerprint_is_not(self):
        server = self.serve('password')
        wrong = asyncssh.generate_private_key('ssh-ed25519').get_fingerprint()
        target = self.target(server, host_key=(wrong,))
        self.refused(target, errors.HostKeyRefused, server.key.get_fingerprint(), wrong)
        self.assertEqual(['connection'], server.seen)

    def test_a_revoked_one_is_refused(self):
        server = self.serve('password')
        text = f'{server.known_host}\n@revoked {server.known_host}\n'
        target = self.target(server, known_hosts=self.write('known', text))
        self.refused(target, errors.HostKeyRefused, 'revoked')

    def test_a_short_one_is_refused_also_where_it_is_known(self):
        server = self.serve('password', bits=1024)
        target = self.target(server)
        self.refused(target, errors.HostKeyRefused, '1024 bits')
        self.assertEqual(['connection'], server.seen)

    def test_a_new_one_is_trusted_where_that_is_asked_for_loudly_and_once(self):
        server = self.serve('password')
        path = self.write('known', 'other.example.com ssh-ed25519 AAAA')
        self.write('known', '# no end of the line')
        target = self.target(server, known_hosts=path, accept_new_host_key=True)
        with self.assertLogs('zeit.cds', logging.WARNING) as logs:
            self.assert_logs_in(target)
        self.assertIn(server.key.get_fingerprint(), logs.output[0])
        with self.assertNoLogs('zeit.cds', logging.WARNING):
            self.assert_logs_in(self.target(server, known_hosts=path))
        other = self.serve('password')
        changed = pathlib.Path(path).read_text().replace(str(server.port), str(other.port))
        pathlib.Path(path).write_text(changed)
        self.refused(
            self.target(other, known_hosts=path, accept_new_host_key=True), errors.HostKeyRefused
        )

    def test_a_file_that_cannot_be_read_is_said_before_anything_is_sent(self):
        server = self.enterContext(socket.create_server(('127.0.0.1', 0)))
        port = server.getsockname()[1]
        missing = str(self.folder / 'missing')
        target = self.target(types.SimpleNamespace(port=port), known_hosts=missing)
        self.refused(target, errors.ConfigurationError, 'No such file', code=78)
        with server.accept()[0] as connection:
            self.assertEqual(b'', connection.recv(100))


class PasswordTests(LoginCase):
    def test_password(self):
        server = self.serve('password')
        self.assert_logs_in(self.target(server))
        self.assertIn('password', server.seen)

    def test_keyboard_interactive(self):
        server = self.serve('keyboard-interactive')
        self.assert_logs_in(self.target(server))
        self.assertIn('response', server.seen)

    def test_other_questions_are_not_answered(self):
        server = self.serve('keyboard-interactive', 'code')
        self.refused(self.target(server), errors.PermanentError, 'keyboard-interactive', code=77)
        self.assertNotIn('response', server.seen)

    def test_a_wrong_one_is_refused(self):
        server = self.serve('password', 'keyboard-interactive')
        target = self.target(server, password=Secret('wrong'))
        error = self.refused(target, errors.PermanentError, 'zeit', code=77)
        self.assertTrue(error.while_connecting)

    def test_one_that_cannot_be_read_is_said(self):
        server = self.serve('password')
        target = self.target(server, password=SecretFile(self.folder / 'missing'))
        self.refused(target, errors.ConfigurationError, 'missing', code=78)


@unittest.skipUnless(os.geteuid() == 0, 'The account of the server has a password for root only')
class OpenSSHTests(LoginCase):
    """Each way to log in that a server on Linux has."""

    def setUp(self):
        super().setUp()
        layers.OPENSSH.factory.find()
        self.authority = asyncssh.generate_private_key('ssh-ed25519')
        path = self.write('authority', self.authority.export_public_key().decode())
        self.server = self.enterContext(OpenSSHServer(extra=[f'TrustedUserCAKeys "{path}"']))

    def target(self, server, **options):
        return SFTPTarget.from_options(
            **{
                'host': server.host,
                'port': server.port,
                'user': server.user,
                'directory': server.directory,
                'known_hosts': str(server.known_hosts),
                **options,
            }
        )

    def make_key(self, kind, *, passphrase=None, known=True, **options):
        """Return the path of a new key; `known`: the account has it."""
        key = asyncssh.generate_private_key(kind, **options)
        path = self.folder / kind
        # One round of what makes it slow to try passphrases: to read it takes milliseconds.
        key.write_private_key(
            str(path), passphrase=passphrase, rounds=1, ignore_few_rounds=True
        )
        path.chmod(0o600)
        if known:
            public = pathlib.Path(f'{self.server.client_key}.pub')
            public.write_text(public.read_text() + key.export_public_key().decode())
        return str(path), key

    def test_keys(self):
        for kind in 'ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa':
            with self.subTest(kind):
                path, _ = self.make_key(kind)
                self.assert_logs_in(self.target(self.server, ssh_key=path))

    def test_a_key_with_a_passphrase(self):
        path, _ = self.make_key('ssh-ed25519', passphrase=PASSWORD)
        secret = SecretFile(self.write('passphrase', f'{PASSWORD}\n'))
        self.assert_logs_in(self.target(self.server, ssh_key=path, passphrase=secret))
        for wrong in None, Secret('wrong'):
            target = self.target(self.server, ssh_key=path, passphrase=wrong)
            self.refused(target, errors.ConfigurationError, 'passphrase_file', code=78)

    def test_a_short_key_is_refused(self):
        path, _ = self.make_key('ssh-rsa', key_size=1024)
        target = self.target(self.server, ssh_key=path)
        self.refused(target, errors.ConfigurationError, '1024 bits', code=78)

    def test_a_key_that_the_server_does_not_know(self):
        path, _ = self.make_key('ssh-ed25519', known=False)
        target = self.target(self.server, ssh_key=path)
        self.refused(target, errors.PermanentError, 'publickey', code=77)

    def test_a_certificate(self):
        path, key = self.make_key('ssh-ed25519', known=False)
        certificate = self.authority.generate_user_certificate(
            key, 'zeit', principals=[self.server.user]
        )
        certificate.write_certificate(f'{path}-cert.pub')
        self.assert_logs_in(
            self.target(self.server, ssh_key=path, ssh_certificate=f'{path}-cert.pub')
        )

    def test_a_certificate_of_another_key(self):
        path, _ = self.make_key('ssh-ed25519', known=False)
        certificate = self.authority.generate_user_certificate(
            asyncssh.generate_private_key('ssh-ed25519'), 'zeit', principals=[self.server.user]
        )
        certificate.write_certificate(f'{path}-cert.pub')
        target = self.target(self.server, ssh_key=path, ssh_certificate=f'{path}-cert.pub')
        self.refused(target, errors.ConfigurationError, '-cert.pub', 'another key', code=78)

    def test_an_agent(self):
        programs = OpenSSHServer.find().parents[1] / 'bin'
        path, _ = self.make_key('ssh-ed25519')
        sock = tempfile.mktemp(prefix='agent')
        agent = subprocess.Popen(
            [programs / 'ssh-agent', '-D', '-a', sock], stdout=subprocess.PIPE
        )
        self.addCleanup(agent.stdout.close)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.terminate)
        # It says so when it listens.
        self.assertTrue(select.select([agent.stdout], [], [], TIMEOUT)[0])
        self.assertIn(sock.encode(), agent.stdout.readline())
        with unittest.mock.patch.dict(os.environ, SSH_AUTH_SOCK=sock):
            subprocess.run([programs / 'ssh-add', '-q', path], check=True)
            self.assert_logs_in(self.target(self.server, ssh_agent=True))
        with unittest.mock.patch.dict(os.environ):
            os.environ.pop('SSH_AUTH_SOCK', None)
            target = self.target(self.server, ssh_agent=True)
            self.refused(target, errors.ConfigurationError, 'SSH_AUTH_SOCK', code=78)
        for wrong in (str(self.folder / 'gone'), __file__, 'x' * 200):
            with unittest.mock.patch.dict(os.environ, SSH_AUTH_SOCK=wrong):
                target = self.target(self.server, ssh_agent=True, password=None)
                self.refused(target, errors.ConfigurationError, 'ssh-agent', code=78)

    def test_a_password(self):
        self.assert_logs_in(self.target(self.server, password=Secret(self.server.password)))

    def test_by_way_of_another_host(self):
        """Here it is the same one, twice."""
        server = self.server
        hop = Hop.read(f'{server.user}@{server.host}:{server.port}')
        target = self.target(server, ssh_key=str(server.client_key), proxy_jump=(hop, hop))
        self.assert_logs_in(target)

    def test_a_host_on_the_way_that_does_not_connect(self):
        """It may do so later: a run that goes on over a new connection tries again."""
        server = self.server
        hop = Hop.read(f'{server.user}@{server.host}:{server.port}')
        with socket.socket() as nobody:
            nobody.bind(('127.0.0.1', 0))
            port = nobody.getsockname()[1]
            target = self.target(
                server, port=port, ssh_key=str(server.client_key), proxy_jump=(hop,)
            )
            error = self.refused(target, errors.FTPOSError, str(port), 'on the way')
        self.assertTrue(error.transient)
        self.assertNotIn('subsystem', error.advice)

    def test_a_host_on_the_way_must_be_known_and_gets_no_password(self):
        jump = self.serve('password')
        hop = Hop.read(f'zeit@127.0.0.1:{jump.port}')
        options = {'password': Secret(PASSWORD), 'proxy_jump': (hop,)}
        error = self.refused(self.target(self.server, **options), errors.HostKeyRefused)
        self.assertNotIn('host_key', error.advice)  # that is the server's
        self.assertEqual(['connection'], jump.seen)
        known = self.write('both', jump.known_host)
        target = self.target(self.server, known_hosts=known, **options)
        self.refused(target, errors.PermanentError, code=77)
        self.assertNotIn('password', jump.seen)
