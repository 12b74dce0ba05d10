"""A partner's subdirectory is none of the files, however little the server tells about it."""

import unittest

from zeit.cds.run.importer import ImportOptions
from zeit.cds.testing import faults
from zeit.cds.tests.importing import ImportScenario
from zeit.cds.tests.scenario import SHORT


class DirectoryTests(ImportScenario, unittest.TestCase):
    def prepare(self):
        super().prepare()
        self.fault('MLSD', faults.Reply('502 Not implemented.'))
        self.server.put('/cds/sub/inner', b'theirs')
        self.left['sub/inner'] = b'theirs'

    def assert_passed_over(self, **options):
        """It is asked once whether it is a directory, in each run, and that is all."""
        for _ in range(2):
            before = len(self.server.commands('CWD'))
            self.offer('a.xml')
            self.assert_run(0, 'a.xml', self.run_import(**options))
            self.assertNotIn('sub', '\n'.join(self.lines))
            self.assertEqual(1, self.server.commands('CWD')[before:].count('CWD sub'))
            self.assertNotIn('RETR sub', self.server.commands())
            (self.path / 'new' / 'a.xml').rename(self.path / 'cur' / 'a.xml')
        self.offered.clear()

    def test_size_is_refused(self):
        self.assert_passed_over()

    def test_size_is_refused_and_each_name_is_asked_for_alone(self):
        self.fault('MDTM', faults.Reply(''), path='/cds/sub', times=1)
        self.assert_run(0, '', self.run_import(**SHORT))
        self.assert_passed_over()

    def test_size_is_told(self):
        """It would begin to send it, and nothing would come."""
        for path in '/cds', '/cds/sub':
            self.fault('SIZE', faults.Reply('213 4096'), path=path)
        self.fault('RETR', faults.Reply('150 Here it comes.'), path='/cds/sub')
        self.assert_passed_over()

    def test_size_is_told_of_this_one_only(self):
        self.fault('SIZE', faults.Reply('213 4096'), path='/cds/sub')
        self.fault('RETR', faults.Reply('551 Cannot read a directory.'), path='/cds/sub')
        for number in 1, 2:
            self.assert_run(0, '', self.run_import())
            self.assertEqual(number, self.server.commands('CWD').count('CWD sub'))

    def test_nothing_tells_sizes(self):
        self.fault('SIZE MDTM', faults.Reply('502 Not implemented.'))
        self.assert_run(0, 'a.xml', self.run_import('a.xml', size_check=False))
        self.assertIn('CWD sub', self.server.commands('CWD'))

    def test_a_file_that_is_not_sent_has_failed(self):
        for path in '/cds', '/cds/sub':
            self.fault('SIZE', faults.Reply('213 4096'), path=path)
        self.fault('RETR', faults.Reply('551 No.'), path='/cds/a.xml')
        self.assert_run(1, 'b.xml', self.run_import('a.xml', 'b.xml'))

    def test_a_dry_run(self):
        self.offer('a.xml', 'b.xml')
        rule = self.fault('SIZE', faults.Reply('450 In use.'), path='/cds/a.xml')
        report = self.run_import(options=ImportOptions(dry_run=True))
        self.assertEqual(
            [('a.xml', 'failed'), ('b.xml', 'planned')],
            sorted((result.name, result.status) for result in report.results),
        )
        self.assertEqual(1, report.exit_code)
        self.server.remove_fault(rule)
        for path in '/cds', '/cds/sub':
            self.fault('SIZE', faults.Reply('213 4096'), path=path)
        report = self.run_import(options=ImportOptions(dry_run=True))
        self.assertEqual({'planned'}, {result.status for result in report.results})
        self.assertEqual(2, len(report.results))


class EmptyTests(ImportScenario, unittest.TestCase):
    """Of an empty file some servers say 213 without a number."""

    def prepare(self):
        super().prepare()
        self.fault('MLSD', faults.Reply('502 Not implemented.'))

    def empty(self, name):
        self.offered[name] = b''
        self.server.put(f'/cds/{name}', b'', modified=0)
        self.fault('SIZE', faults.Lie('213 File status'), path=f'/cds/{name}')

    def test_an_empty_file_is_imported(self):
        self.empty('a.xml')
        self.assert_run(0, 'a.xml b.xml', self.run_import('b.xml'))
        self.assert_imported('a.xml', 'b.xml')

    def test_one_that_is_said_to_be_empty_and_is_not(self):
        """As rclone says it of what has no length before it is read: it is not deleted unread."""
        for reply in '213 0', '213 0 Bytes':
            rule = self.fault('SIZE', faults.Lie(reply), path='/cds/a.xml')
            self.assert_run(1, '', self.run_import('a.xml'))
            self.server.remove_fault(rule)

    def test_one_that_is_not_empty_does_not(self):
        self.empty('a.xml')
        self.offer('a.xml')
        self.assert_run(1, 'b.xml', self.run_import('b.xml'))
