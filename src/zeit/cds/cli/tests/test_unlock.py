"""`zeit-cds unlock`: who holds a lock, and what a person may remove."""

import contextlib
import io
import os
import unittest
import unittest.mock

from zeit.cds import errors, names
from zeit.cds.cli import unlock
from zeit.cds.cli.console import Console
from zeit.cds.cli.tests.test_cli_runs import ZcmlCase
from zeit.cds.cli.tests.test_command_line import ServerCase
from zeit.cds.credentials import Secret
from zeit.cds.errors import UsageError
from zeit.cds.journal.journal import Journal
from zeit.cds.lock import unlocking
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import faults, layers
from zeit.cds.tests import remembered


TOKEN = 'cds0123456789abcdef'
FOREIGN = b'cdsfedcba9876543210 zeit.cds, host elsewhere, pid 4711\n'


class _Keyboard(io.StringIO):
    def isatty(self):
        return True


class Command(ServerCase):
    """With a real server."""

    def unlock(self, *arguments, answer=None, spool=True):
        with contextlib.ExitStack() as stack:
            if answer is not None:
                stack.enter_context(unittest.mock.patch('sys.stdin', _Keyboard(answer)))
            spool = ('--spool', self.path) if spool else ()
            return self.call('unlock', *spool, *arguments, self.url, terminal=answer is not None)

    def there(self):
        return sorted(os.listdir(self.server.root))

    def lock(self, name='write', content=FOREIGN):
        (self.server.root / name).write_bytes(content)
        (self.server.root / name).chmod(0o666)

    def directory(self, *names):
        path = self.server.root
        for name in names:
            path /= name
            path.mkdir()
            path.chmod(0o777)

    def test_nothing(self):
        outcome = self.unlock()
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertRegex(outcome.out, r'\AServer host .*\n  not locked\n\Z')

    def test_errors_name_the_server(self):
        missing = ('--password-file', self.folder / 'missing')
        outcome = self.call('unlock', *missing, self.url)
        self.assertEqual(78, outcome.code)
        self.assertRegex(outcome.err, rf'host .*, port {self.server.port}, user test.*missing')
        self.lock()
        refused = errors.PermanentError(550, '550 No.')
        with unittest.mock.patch.object(unlocking.Remover, 'remove', side_effect=refused):
            outcome = self.unlock('--yes')
        self.assertRegex(outcome.err, rf'port {self.server.port}, user test\): 550 No')

    def test_a_lock_that_is_announced_and_never_made(self):
        name = f'write.{TOKEN}.next'
        self.lock(name)
        outcome = self.unlock('--yes')
        self.assertEqual(0, outcome.code)
        self.assertIn(f"'{name}' removed.", outcome.out)
        self.assertEqual([], self.there())

    def test_a_program_must_be_sure(self):
        self.lock()
        outcome = self.unlock()
        self.assertEqual(64, outcome.code)
        self.assertRegex(outcome.out, r"  'write': it says: cdsfed.* pid 4711 \(since 20.*\)\n")
        self.assertIn(f'    not made by a run of spool {self.path}\n', outcome.out)
        self.assertRegex(outcome.err, "^zeit-cds: 'write' was not removed: .* pass --yes.\n")
        self.assertEqual(['write'], self.there())
        outcome = self.unlock('--yes')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertIn("'write' removed.\n", outcome.out)
        self.assertEqual([], self.there())

    def test_a_person_is_asked(self):
        self.lock()
        self.lock('read', b'me\x1b[31m')
        outcome = self.unlock(answer='\ny\n')
        self.assertEqual((75, ''), (outcome.code, outcome.err))
        self.assertIn(r"'read': it says: me\x1b[31m (since", outcome.out)
        self.assertRegex(outcome.out, r"Remove 'write'\? .*\[y/N\] 'write' was not removed.\n")
        self.assertRegex(outcome.out, r"Remove 'read'\? .*\[y/N\] 'read' removed.\n")
        self.assertEqual(['write'], self.there())
        self.assertEqual(75, self.unlock(answer='').code)
        self.assertEqual(['write'], self.there())

    def test_without_a_spool(self):
        self.lock(content=b'')
        outcome = self.unlock('--yes', spool=False)
        self.assertRegex(outcome.out, r"'write': it is empty \(since .*\)\n'write' removed")
        self.assertEqual([], self.there())

    def test_a_directory(self):
        self.directory('write')
        self.assertEqual(0, self.unlock('--yes').code)
        self.directory('read', 'x')
        outcome = self.unlock('--yes')
        self.assertEqual(73, outcome.code)
        self.assertIn("'read': a directory that contains: x", outcome.out)
        self.assertRegex(outcome.err, "'read' could not be removed: 550")
        self.assertEqual(['read'], self.there())

    def test_a_guard(self):
        self.directory(names.GUARD, TOKEN)
        outcome = self.unlock('--yes')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertIn(f"'write.guard': a directory that contains: {TOKEN}", outcome.out)
        self.assertEqual([], self.there())

    def test_an_unlocking_that_was_killed(self):
        self.lock(f'write.{TOKEN}.broken')
        with self.assertRaises(errors.NameRefused):
            names.check(f'write.{TOKEN}.broken')
        self.assertEqual(0, self.unlock('--yes').code)
        self.assertEqual([], self.there())

    def own(self):
        with self.spool.run():
            return self.spool.journal.new_token(self.url.removesuffix('/'))

    def test_its_own_is_left_to_the_next_run(self):
        token = self.own()
        self.lock(content=f'{token} zeit.cds, host here'.encode())
        self.directory(names.GUARD, token)
        outcome = self.unlock()
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        said = f'made by a run of {self.path}, which is over; the next run removes it\n'
        self.assertEqual(2, outcome.out.count(said))
        self.assertEqual(['write', 'write.guard'], self.there())
        self.assertEqual(0, self.export().code)
        self.assertEqual(['a.xml', 'b.xml'], self.there())

    def test_its_own_is_removed_by_who_is_sure(self):
        token = self.own()
        self.lock(content=f'{token} zeit.cds, host here'.encode())
        self.directory(names.GUARD, token)
        outcome = self.unlock('--yes')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertIn("'write' removed.", outcome.out)
        self.assertEqual([], self.there())
        self.assertEqual(0, self.export().code)
        self.assertEqual(['a.xml', 'b.xml'], self.there())

    def test_its_own_while_a_run_is_active(self):
        self.lock(content=self.own().encode())
        with self.spool.run():
            outcome = self.unlock('--yes')
            self.assertEqual(75, outcome.code)
            self.assertIn('which is active (process', outcome.out)
        self.assertEqual(['write'], self.there())

    def test_after_the_journal_was_put_away(self):
        token = self.own()
        with Journal(self.path / '.cds') as journal:
            journal.compact()
        self.assertEqual({token}, unlock.own_tokens(self.spool))

    def test_a_copied_spool_has_no_lock(self):
        self.lock(content=self.own().encode())
        journal = self.path / remembered.JOURNAL
        copy = journal.read_bytes()
        journal.with_name('copy').write_bytes(copy)
        journal.with_name('copy').rename(journal)
        self.assertIn(f'not made by a run of spool {self.path}', self.unlock().out)

    def test_wrong_usage(self):
        self.assert_line(self.call('unlock'), 64, 'No server given')
        self.environ['ZEIT_CDS_PASSWORD'] = 'wrong'
        self.assert_line(self.unlock(), 77, '530 ')


class VsftpdCommand(Command):
    layer = layers.VSFTPD
    level = 2


class ProFTPDCommand(Command):
    layer = layers.PROFTPD
    level = 2


class PureFTPdCommand(Command):
    layer = layers.PUREFTPD
    level = 2


class ByZcml(ZcmlCase):
    def test_which_spool(self):
        (self.server.root / 'write').write_bytes(FOREIGN)
        outcome = self.call('--zcml', self.file, 'unlock', 'articles', '--yes')
        self.assertEqual(0, outcome.code, outcome.err)
        self.assertIn(f'    not made by a run of spool {self.path}\n', outcome.out)
        self.assertEqual([], os.listdir(self.server.root))

    def test_errors_name_exporter_and_server(self):
        text = self.file.read_text()
        self.file.write_text(text.replace(f'port="{self.server.port}"', 'port="1"'))
        outcome = self.call('--zcml', self.file, 'unlock', 'articles')
        self.assertEqual(69, outcome.code)
        self.assertRegex(outcome.err, r'\Azeit-cds: articles: .*host .*, port 1, user test')


class Blind(unittest.TestCase):
    """Whether there is a lock cannot be told: that is what is said."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.server = self.enterContext(faults.FaultServer())
        self.target = FTPTarget.from_options(
            host=self.server.host, port=self.server.port, user='test', password=Secret('testpw')
        )

    def unlock(self):
        lines = []
        console = unittest.mock.Mock(say=lines.append)
        server = unittest.mock.Mock(target=self.target, spools=[])
        try:
            return unlock.run(console, server, sure=True), lines
        finally:
            self.server.wait_closed()
            self.assertEqual({}, {n: c for n, c in self.server.files.items() if n != '/write'})

    def test_a_server_that_lists(self):
        self.assertEqual((0, '  not locked'), (self.unlock()[0], self.unlock()[1][1]))

    def test_a_server_that_does_not_rename(self):
        """It is said that somebody may have made a new lock at the last moment."""
        self.server.put('/write', FOREIGN)
        self.server.fault('RNFR', faults.Reply('502 Not implemented.'))
        code, lines = self.unlock()
        self.assertEqual(0, code)
        self.assertIn('cannot rename it', lines[-1])
        self.assertEqual({}, self.server.files)

    def test_nothing_is_shown(self):
        for listing in faults.Reply('550 No.'), faults.Alter(keep=0):
            for there in False, True:
                with self.subTest(listing=listing, there=there):
                    self.setUp()
                    self.server.fault('MLSD NLST', listing)
                    if there:
                        self.server.put('/write', FOREIGN)
                    busy = faults.Reply('550 In use.')
                    self.server.fault('SIZE RETR MDTM', busy, path='/write')
                    with self.assertRaises(errors.ConfigurationError) as caught:
                        self.unlock()
                    self.assertEqual(78, caught.exception.exit_code)
                    self.assertEqual(there, '/write' in self.server.files)

    def test_nothing_can_be_made(self):
        for reply, code in ('553 No.', 78), ('452 Full.', 69):
            with self.subTest(reply):
                self.setUp()
                self.server.fault('STOR', faults.Reply(reply))
                with self.assertRaisesRegex(errors.ConfigurationError, reply) as caught:
                    self.unlock()
                self.assertEqual(code, caught.exception.exit_code)

    def test_what_cannot_be_deleted_is_left_to_nobody(self):
        """The next run does not know it."""
        self.server.fault('DELE', faults.Reply('550 No.'))
        session = self.target.open()
        self.addCleanup(session.close)
        with self.assertRaises(errors.ConfigurationError) as caught:
            unlocking._locks_beside_ours(session)
        self.assertIn('by hand', caught.exception.hint)
        (left,) = self.server.files
        self.server.delete(left)


class ConsoleTest(unittest.TestCase):
    layer = layers.QUIET

    def test_nobody_to_ask(self):
        with (
            unittest.mock.patch('sys.stdin', _Keyboard()),
            unittest.mock.patch('sys.stdout', io.StringIO()),
        ):
            with self.assertRaisesRegex(UsageError, r'kept: there is no terminal to ask on'):
                Console().confirms('Remove it?', otherwise='It was kept')
