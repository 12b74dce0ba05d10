"""One file that the spool does not let go: it is in the way of no other."""

import contextlib
import errno
import os
import pathlib
import subprocess
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.cli.tests.test_command_line import CommandLine
from zeit.cds.spool.source import Source
from zeit.cds.spool.tests.test_filing import FilingTests
from zeit.cds.system import files
from zeit.cds.tests.driving import undigested


@contextlib.contextmanager
def kept(name, number=errno.EPERM, section='new', shows=(False,)):
    """Let the file `name` stay in the `section`, which shows only when it is moved, as with NFS.

    `shows`: whether it is renamed onto a directory when that shows.
    """

    def refusing(real):
        def rename(old, new, *args, **kw):
            if pathlib.Path(old).parts[-2:] == (section, name) and os.path.isdir(new) in shows:
                raise OSError(number, os.strerror(number), old, None, new)
            return real(old, new, *args, **kw)

        return rename

    with (
        unittest.mock.patch('os.rename', refusing(os.rename)),
        unittest.mock.patch('zeit.cds.system.files._renameat2', refusing(files._renameat2)),
    ):
        yield


def immutable(test, path, *, flag='i'):
    """Let nobody move the file `path`, root included, until the `test` ends; or skip it."""
    if subprocess.run(['chattr', f'+{flag}', path], capture_output=True).returncode:
        test.skipTest('this file system does not know chattr, or it is for root')
    test.addCleanup(subprocess.run, ['chattr', f'-{flag}', path], check=True)


class UnmovableTests(FilingTests):
    def put(self, *names):
        for name in names:
            self.spool.put(name, name.encode())

    def uploads(self):
        return [name for operation, name in self.calls if operation == 'upload']

    def test_the_others_are_filed(self):
        for number in errno.EPERM, errno.EACCES, errno.EBUSY, errno.EIO:
            with self.subTest(number=number):
                self.setUp()
                self.put('a', 'b', 'c')
                with kept('a', number):
                    report = self.export()
                self.assertEqual(1, report.exit_code)
                self.assertEqual(
                    {'a': 'failed', 'b': 'delivered', 'c': 'delivered'},
                    {each.name: each.status for each in report.results},
                )
                self.assertEqual(['a'], os.listdir(self.path / 'new'))
                self.assertIn('Not filed: a: It is on the server.', self.log)
                self.assertNotIn('Not delivered: a', self.log)

    def test_what_the_system_does_not_let_go_is_not_sent(self):
        self.put('a', 'b')
        with kept('a', shows=(True, False)):
            report = self.export()
        self.assertEqual((1, ['b'], ['b']), (report.exit_code, report.delivered, self.uploads()))
        self.assertIn('Not delivered: a: The file cannot be moved out of new/', self.log)

    def test_what_is_about_the_directory_only_is_no_reason(self):
        """A sticky spool, say, whose .cds/ belongs to somebody else."""
        self.put('a')
        with kept('a', shows=(True,)):
            report = self.export()
        self.assertEqual((0, ['a']), (report.exit_code, report.delivered))

    def test_it_is_not_sent_again(self):
        """Not even where the partner has taken it."""
        self.put('a')
        with kept('a'):
            self.export()
            for taken in False, True:
                self.calls.clear()
                if taken:
                    del self.target.files['a']
                self.put('b')
                report = self.export()
                self.assertEqual((1, ['b']), (report.exit_code, report.delivered))
                self.assertEqual(['b'], self.uploads())
        report = self.export()
        self.assertEqual((0, ['a']), (report.exit_code, report.delivered))
        self.assertEqual([], os.listdir(self.path / 'new'))

    def test_a_file_that_was_sent_unread_is_not_sent_again(self):
        self.put('a')
        with kept('a'), undigested():
            self.export()
        self.calls.clear()
        report = self.export()
        self.assertEqual((0, ['a'], []), (report.exit_code, report.delivered, self.uploads()))

    def test_what_was_sent_unread_is_not_read_by_each_run(self):
        """It is large."""
        self.put('a')
        with kept('a'), undigested():
            self.export()
        read, real = [], Source.readinto

        def readinto(source, buffer):
            read.append(repr(source))
            return real(source, buffer)

        with kept('a'), unittest.mock.patch.object(Source, 'readinto', readinto):
            report = self.export()
        self.assertEqual((1, []), (report.exit_code, [who for who in read if ' a,' in who]))
        report = self.export()
        self.assertEqual((0, ['a']), (report.exit_code, report.delivered))
        self.assertEqual(b'a', (self.path / 'cur' / 'a').read_bytes())

    def test_a_newer_version_is_sent(self):
        self.put('a')
        with kept('a'):
            self.export()
        self.spool.put('a', b'newer')
        report = self.export()
        self.assertEqual((0, {'a': b'newer'}), (report.exit_code, self.target.files))

    def test_nor_is_it_in_the_way_when_it_is_to_be_parked(self):
        self.spool.put('a', b'')
        self.put('b')
        with kept('a'):
            report = self.export(empty='park')
        self.assertEqual((1, ['b']), (report.exit_code, report.delivered))

    def test_an_error_of_all_files_ends_the_run(self):
        self.put('a', 'b')
        real = os.rename

        def rename(old, new):
            if os.path.dirname(new).endswith('filing') and self.target.files.keys() & {'a'}:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), old)
            real(old, new)

        with unittest.mock.patch('os.rename', rename):
            report = self.export()
        self.assertEqual(78, report.exit_code)
        self.assertEqual({'a'}, self.target.files.keys())


class ImmutableTests(FilingTests):
    """chattr(1) tells the kernel that nobody may rename a file."""

    def test_what_cannot_be_filed_is_not_sent(self):
        for flag in 'ia':
            with self.subTest(flag=flag):
                self.setUp()
                for name in 'a', 'b', 'c':
                    self.spool.put(name, name.encode())
                immutable(self, self.path / 'new' / 'b', flag=flag)
                for delivered in ['a', 'c'], []:
                    report = self.export()
                    self.assertEqual((1, delivered), (report.exit_code, report.delivered))
                    self.assertEqual({'a', 'c'}, self.target.files.keys())
                    self.assertIn('Not delivered: b: The file cannot be moved out', self.log)
                self.assertEqual(['b'], os.listdir(self.path / 'new'))


class LeftTests(FilingTests):
    """A killed run has taken three files out of `new/`, and one of them cannot be moved."""

    def setUp(self):
        super().setUp()
        self.filing = self.path / '.cds' / 'filing'
        with self.spool.run():
            pass
        for name in 'a', 'b', 'c':
            self.spool.put(name, name.encode())
            os.rename(self.path / 'new' / name, self.filing / name)

    def assert_the_others_are_delivered(self):
        report = self.export()
        self.assertEqual((1, ['a', 'c']), (report.exit_code, report.delivered), self.log)
        self.assertEqual({'b'}, {name for name, _ in report.failed})
        self.assertIn('Not put back: b: The file cannot be moved out of .cds/filing/', self.log)
        self.assertEqual(b'b', (self.filing / 'b').read_bytes())

    def test_the_others_are_put_back(self):
        with kept('b', section='filing'):
            self.assert_the_others_are_delivered()
        report = self.export()
        self.assertEqual((0, ['b']), (report.exit_code, report.delivered))

    def test_immutable(self):
        immutable(self, self.filing / 'b')
        self.assert_the_others_are_delivered()

    def test_a_newer_version_waits_as_it_could_not_be_filed(self):
        self.spool.put('b', b'newer')
        with kept('b', section='filing'):
            self.assert_the_others_are_delivered()
        self.assertEqual({'a', 'c'}, self.target.files.keys())
        report = self.export()
        self.assertEqual((0, b'newer'), (report.exit_code, self.target.files['b']))
        self.assertEqual([b'b'], [p.read_bytes() for p in self.path.glob('parked/b')])

    def test_nothing_takes_its_place(self):
        """Neither what is parked meanwhile, nor what is brought back."""
        self.spool.put('b', b'')
        with kept('b', section='filing'):
            self.export(empty='park')
            self.assertEqual(['b'], os.listdir(self.path / 'new'))
            os.unlink(self.path / 'new' / 'b')
            (self.path / 'parked').mkdir()
            (self.path / 'parked' / 'b').write_bytes(b'parked')
            with self.spool.run(), self.assertRaisesRegex(errors.NotMoved, 'left by a killed run'):
                self.spool.retry('b')
        self.assertEqual(b'b', (self.filing / 'b').read_bytes())

    def test_an_error_of_all_files_ends_the_run(self):
        with unittest.mock.patch(
            'zeit.cds.system.files._renameat2', side_effect=OSError(errno.EIO, 'x')
        ):
            report = self.export()
        self.assertEqual((78, {}), (report.exit_code, self.target.files))


class ParkedTests(CommandLine):
    """Of three parked files one cannot be moved."""

    def setUp(self):
        super().setUp()
        with self.spool.run():
            for name in 'a.xml', 'b.xml', 'c.xml':
                self.spool.put(name, b'older')
                (entry,) = (e for e in self.spool.pending()[0] if e.name == name)
                self.spool.park(entry, 'x')

    def assert_the_others_are_brought_back(self, *options, names=('a.xml', 'b.xml', 'c.xml')):
        outcome = self.call('retry', *options, '--spool', self.path, *names)
        self.assertEqual(1, outcome.code, outcome.err)
        self.assertIn('The file cannot be moved out of parked/', outcome.err)
        for name in 'a.xml', 'c.xml':
            self.assertIn(f'{name} is waiting in', outcome.out)
            self.assertTrue((self.path / 'new' / name).exists())
        self.assertEqual(['b.xml'], [name for name, _ in self.spool.status().parked])

    def test_a_parked_file_that_cannot_be_moved_stays(self):
        with kept('b.xml', section='parked'):
            self.assert_the_others_are_brought_back()
            self.assertFalse((self.path / 'new' / 'b.xml').exists())

    def test_so_does_a_newer_one_that_waits_in_its_place(self):
        self.spool.put('b.xml', b'newer')
        with kept('b.xml', section='parked'):
            self.assert_the_others_are_brought_back('--older')
        self.assertEqual(b'newer', (self.path / 'new' / 'b.xml').read_bytes())

    def test_an_older_file_that_waits_stays(self):
        waits, aside = self.path / 'new' / 'b.xml', self.path / 'aside'
        with self.spool.run():
            self.spool.retry('b.xml')
            self.spool.pending()
            os.rename(waits, aside)
            self.spool.put('b.xml', b'newer')
            self.spool.park(next(e for e in self.spool.pending()[0] if e.name == 'b.xml'), 'x')
            os.rename(aside, waits)
        with kept('b.xml', section='parked'):
            self.assert_the_others_are_brought_back()
        self.assertEqual(b'older', waits.read_bytes())

    def test_immutable(self):
        self.spool.put('b.xml', b'newer')
        immutable(self, self.path / 'parked' / 'b.xml')
        self.assert_the_others_are_brought_back('--older')
        self.assertEqual(b'newer', (self.path / 'new' / 'b.xml').read_bytes())


@unittest.skipUnless(os.geteuid() == 0, 'only root can become somebody else')
class StickyTests(FilingTests):
    """A sticky `new/` with a file of another user."""

    def test_what_cannot_be_filed_is_not_sent(self):
        self.spool.put('a', b'1')
        self.export()  # imports now what the other may not be allowed to read
        self.target.files.clear()
        self.path.chmod(0o777)
        for section in self.path.iterdir():
            section.chmod(0o1777 if section.name == 'new' else 0o777)
        for each in (self.path / '.cds').rglob('*'):
            each.chmod(0o777)
        for name in 'a', 'b', 'c':
            self.spool.put(name, name.encode())
            if name != 'a':
                os.chown(self.path / 'new' / name, 65534, 65534)
        child = os.fork()
        if not child:
            code = 99
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                report = self.export()
                code = report.exit_code
                self.assertEqual(['b', 'c'], sorted(self.target.files))
                self.assertEqual(['a'], os.listdir(self.path / 'new'))
                self.assertIn('It belongs to root', self.log)
            except AssertionError as error:
                print(error, flush=True)
                code = 98
            finally:
                os._exit(code)
        self.assertEqual(1, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
