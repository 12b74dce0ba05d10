"""One file that the spool does not let go: it is in the way of no other."""

import contextlib
import errno
import os
import pathlib
import subprocess
import unittest
import unittest.mock

from zeit.cds.tests.test_filing import FilingTests


@contextlib.contextmanager
def kept(name, number=errno.EPERM):
    """Let the file `name` stay in `new/`, which shows only when it is moved, as with NFS."""
    real = os.rename

    def rename(old, new):
        if pathlib.Path(old).parts[-2:] == ('new', name) and not os.path.isdir(new):
            raise OSError(number, os.strerror(number), old, None, new)
        real(old, new)

    with unittest.mock.patch('os.rename', rename):
        yield


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

    def test_nor_if_it_was_sent_unread(self):
        self.put('a')
        with kept('a'), unittest.mock.patch('zeit.cds.source.Source.sha256', ''):
            self.export()
        self.calls.clear()
        report = self.export()
        self.assertEqual((0, ['a'], []), (report.exit_code, report.delivered, self.uploads()))

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


@unittest.skipUnless(os.geteuid() == 0, 'only root may do that')
class ImmutableTests(FilingTests):
    """chattr(1) tells the kernel that nobody may rename a file."""

    def test_what_cannot_be_filed_is_not_sent(self):
        for flag in 'ia':
            with self.subTest(flag=flag):
                self.setUp()
                for name in 'a', 'b', 'c':
                    self.spool.put(name, name.encode())
                kept = self.path / 'new' / 'b'
                if subprocess.run(['chattr', f'+{flag}', kept], capture_output=True).returncode:
                    self.skipTest('this file system does not know chattr')
                self.addCleanup(subprocess.run, ['chattr', f'-{flag}', kept], check=True)
                for delivered in ['a', 'c'], []:
                    report = self.export()
                    self.assertEqual((1, delivered), (report.exit_code, report.delivered))
                    self.assertEqual({'a', 'c'}, self.target.files.keys())
                    self.assertIn('Not delivered: b: The file cannot be moved out', self.log)
                self.assertEqual(['b'], os.listdir(self.path / 'new'))


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
