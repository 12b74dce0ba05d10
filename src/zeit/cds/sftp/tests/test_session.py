"""What is particular to a session over SFTP, on OpenSSH."""

import io
import os
import subprocess
import sys
import unittest
from unittest import mock

from zeit.cds import errors, names
from zeit.cds.credentials import Secret
from zeit.cds.run.exporter import Exporter
from zeit.cds.sftp import ssh
from zeit.cds.sftp.directory import base_path
from zeit.cds.spool.spool import Spool
from zeit.cds.target.kept_connection import Kept
from zeit.cds.target.upload import upload_files
from zeit.cds.testing import layers
from zeit.cds.testing.memory import NoLedger
from zeit.cds.tests.contract import job
from zeit.cds.tests.folders import contents, in_memory
from zeit.cds.tests.test_contract_sftp import target
from zeit.cds.values.plan import Plan
from zeit.cds.values.run_options import Options


class SessionCase(layers.ServerTests, unittest.TestCase):
    layer = layers.OPENSSH

    def setUp(self):
        super().setUp()
        self.target = target(self.server)
        self.logins = self.enterContext(mock.patch.object(ssh, 'log_in', wraps=ssh.log_in))

    def open(self, **options):
        session = self.target.open(within=60, **options)
        self.addCleanup(session.close)
        return session

    def deliver(self, session, *jobs):
        plan, outcomes = Plan(jobs), []
        for outcome in upload_files(session, plan, ledger=NoLedger()):
            plan.settle(outcome)
            outcomes.append(outcome)
        return outcomes

    def break_connection(self, session):
        """Let it be as after a reset of the network."""
        session.connection._login.connection.abort()


class ConnectionTests(SessionCase):
    def test_several_files_are_on_their_way_over_one_connection(self):
        jobs = [job(f'{number}.xml', os.urandom(100_000)) for number in range(12)]
        outcomes = self.deliver(self.open(), *jobs)
        self.assertEqual([None] * 12, [outcome.error for outcome in outcomes])
        self.assertEqual(12, len(contents(self.server.root)))
        self.assertEqual(1, self.logins.call_count)

    def test_a_connection_that_broke_is_replaced(self):
        session = self.open()
        session.store('a', b'1')
        self.break_connection(session)
        self.assertEqual(b'1', session.read('a'))
        self.assertEqual((2, 2), (session.connections, self.logins.call_count))

    def test_garbage_is_deleted_over_the_next_connection(self):
        session = self.open()
        session.store('part', b'1')
        session.garbage.append('part')
        session.reconnect()
        session.enter()
        self.assertEqual({}, contents(self.server.root))
        self.assertEqual([], session.garbage)

    def test_a_directory_that_is_not_there_ends_the_run(self):
        self.target = target(self.server, directory=f'{self.server.directory}/missing')
        with self.assertRaises(errors.ConfigurationError) as caught:
            self.open()
        self.assertIn('No such file', caught.exception.message)

    def test_nothing_listens(self):
        self.target = target(self.server, port=1, host_key=(f'SHA256:{"A" * 43}',))
        with self.assertRaises(errors.FTPOSError) as caught:
            self.open()
        self.assertEqual(69, caught.exception.exit_code)
        self.assertTrue(caught.exception.while_connecting)

    def test_the_time_of_a_run_holds_for_each_wait(self):
        session = self.open()
        session.bound(0.001)
        with self.assertRaises(errors.DeadlinePassed):
            while True:
                session.names()
        session.bound(60, ends=True)
        self.assertEqual(set(), session.names())
        self.assertEqual(1, self.logins.call_count)


class KeptTests(SessionCase):
    def setUp(self):
        super().setUp()
        self.spool = Spool(in_memory(self))
        self.kept = Kept()
        self.addCleanup(self.kept.close)

    def run_once(self, name):
        self.spool.put(name, b'1')
        report = Exporter(self.spool, self.target).run_once(Options(kept=self.kept))
        self.assertEqual(([], [name]), (report.errors, report.delivered))

    def test_the_next_run_needs_no_login(self):
        for name in 'abc':
            self.run_once(name)
        self.assertEqual(1, self.logins.call_count)
        self.assertEqual({'a', 'b', 'c'}, {*contents(self.server.root)})

    def test_one_that_broke_meanwhile_is_replaced(self):
        self.run_once('a')
        self.kept._connection.connection._login.connection.abort()
        self.run_once('b')
        self.assertEqual(2, self.logins.call_count)


class NamesOfLocksTests(SessionCase):
    """They are never given to anything where something has them."""

    def test_by_renaming(self):
        session = self.open()
        for name in (*names.LOCKS, 'a.xml'):
            session.store(name, b'theirs')
            session.store('ours', b'ours')
            if name == 'a.xml':
                session.rename('ours', name)
                self.assertEqual(b'ours', session.read(name))
                continue
            with self.assertRaises(errors.PermanentError):
                session.rename('ours', name)
            (refusal,) = session.perform(('RNTO', 'ours', name))
            self.assertIsInstance(refusal, errors.PermanentError)
            self.assertEqual(b'theirs', session.read(name))

    def test_by_making(self):
        session = self.open()
        session.store('write', b'theirs')
        with self.assertRaises(errors.PermanentError):
            session.store('write', b'ours')
        self.assertEqual(b'theirs', session.read('write'))
        session.store('a.xml', b'old')
        session.store('a.xml', b'new')
        self.assertEqual(b'new', session.read('a.xml'))


class FileTests(SessionCase):
    def test_what_confirms_an_upload(self):
        (outcome,) = self.deliver(self.open(), job('a.xml', b'12345'))
        self.assertEqual('closed, on its disk, 5 bytes', outcome.reply)

    def test_names_that_are_none_are_not_asked_for(self):
        session = self.open()
        for name in ('', '.', '..', '../x', '/etc/passwd', 'a/../b', 'a\0b'):
            with self.subTest(name), self.assertRaises(errors.NameRefused):
                session.size(name)

    def test_links_are_followed_and_other_things_are_no_files(self):
        root, session = self.server.root, self.open()
        (root / 'file').write_bytes(b'123')
        (root / 'link').symlink_to('file')
        (root / 'nowhere').symlink_to('missing')
        (root / 'directory').mkdir()
        os.mkfifo(root / 'pipe')
        self.assertEqual({'file': 3, 'link': 3}, {n: s for n, (s, _) in session.files().items()})
        self.assertEqual(3, session.size('link'))
        self.assertTrue(session.exists('nowhere'))
        self.assertIsInstance(session.sizes('nowhere')[0], errors.ServerError)
        self.assertEqual(
            (True, False), (session.is_directory('directory'), session.is_directory('pipe'))
        )

    def test_a_file_that_grows_and_one_that_is_empty(self):
        session = self.open()
        for size in (0, 1, 32768, 32769, 3_000_000):
            content = os.urandom(size)
            session.store('a', content)
            file = io.BytesIO()
            self.assertEqual(size, session.fetch('a', file))
            self.assertEqual(content, file.getvalue())
            self.assertEqual(content[:100], session.read('a', limit=100))

    def test_what_was_asked_for_ahead_holds_until_something_is_changed(self):
        session = self.open()
        for name, sizes in (('a.xml', [None, None]), ('write', [1, None]), ('read', [1, 1])):
            self.assertNotIn(name, session.names())
            session.store(name, b'1')
            self.assertEqual(sizes, session.sizes('write', 'read'))
            self.assertIn(name, session.names())
            self.assertEqual(sizes, session.sizes('write', 'read'))

    def test_the_look_under_the_guard_is_one_after_it_was_made(self):
        session = self.open()
        for name in ('a', 'write.guard'):
            session.make_directory(name)
        self.assertIsNotNone(session.perform(('RNTO', 'missing', 'write.guard'))[0])
        session.remove_directory('write.guard')
        session.names()
        self.assertIsNone(session.perform(('RNTO', 'a', 'write.guard'))[0])
        sent = session.connection.sent
        self.assertEqual({'write.guard'}, session.names())
        self.assertEqual(6, session.connection.sent - sent)  # READDIR, LSTAT, CLOSE: no OPENDIR

    def test_what_is_not_there_is_none(self):
        session = self.open()
        self.assertIsNone(session.read('a'))
        self.assertIsNone(session.fetch('a', io.BytesIO()))
        self.assertEqual((None, None), session.look('a'))

    def test_a_file_that_may_not_be_read_is_an_error(self):
        session = self.open()
        session.store('a', b'1')
        (self.server.root / 'a').chmod(0)
        with self.assertRaises(errors.PermanentError):
            session.read('a')

    def test_room(self):
        self.assertGreater(self.open().space().free, 0)


class DirectoryTests(unittest.TestCase):
    layer = layers.QUIET

    def test_the_path(self):
        for directory, path in (
            ('/', b'/'),
            ('/in//./x/', b'/in/x'),
            ('~', b''),
            ('~/in', b'in'),
            ('/~/in/', b'in'),
            ('/M\xe4rz', b'/M\xc3\xa4rz'),
        ):
            with self.subTest(directory):
                settings = mock.Mock(directory=directory, encoding='utf-8')
                self.assertEqual(path, base_path(settings))


class ImportTests(SessionCase):
    def test_a_run_over_ftp_imports_nothing_of_it(self):
        code = (
            'import sys, zeit.cds.cli.main, zeit.cds.zcml.handlers, zeit.cds.target.ftp_session;'
            'print(*[name for name in sys.modules if name.startswith(("asyncio", "asyncssh"))])'
        )
        done = subprocess.run(
            [sys.executable, '-c', code],
            env={'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual('', done.stdout.strip())

    def test_without_asyncssh_it_is_said_what_to_install(self):
        with mock.patch.dict(sys.modules):
            for name in [*sys.modules]:
                if name.startswith('zeit.cds.sftp.') and 'tests' not in name:
                    del sys.modules[name]
            sys.modules['asyncssh'] = None
            with self.assertRaises(errors.ConfigurationError) as caught:
                target(self.server, password=Secret('x')).open()
        self.assertIn('zeit.cds[sftp]', caught.exception.advice)
