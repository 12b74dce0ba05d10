"""An import from a server that tells neither sizes nor times: only the files themselves tell."""

import unittest

from zeit.cds.testing import faults
from zeit.cds.tests.importing import ImportScenario, take
from zeit.cds.tests.scenario import content


class Blind(ImportScenario):
    LISTINGS = 'MLSD LIST'  # what tells neither

    def prepare(self):
        super().prepare()
        self.fault('SIZE MDTM', faults.Reply('502 Not implemented.'))
        self.fault(self.LISTINGS, faults.Reply('502 Not implemented.'))

    def run_import(self, *names, **kw):
        return super().run_import(*names, size_check=False, **kw)

    def test_it_comes_in_and_is_gone(self):
        for connections in (1, 4):
            with self.subTest(connections=connections):
                self.prepare()
                self.assert_run(0, 'a b', self.run_import('a', 'b', connections=connections))
                self.assert_imported('a', 'b')
                self.assertEqual({}, self.remote)
                self.assert_run(0, '', self.run_import())

    def test_the_same_bytes_once_more_are_another_file(self):
        for _ in range(3):
            self.assert_run(0, 'a', self.run_import('a'))
            self.assertEqual({'a': content('a')}, self.section('new'))
            take(self.path, 'a')
            (self.path / 'cur' / 'a').unlink()
            del self.offered['a']

    def test_what_grows_while_it_is_fetched(self):
        more = content('a') + b'more'

        def grow(event):
            self.offered['a'] = more
            event.server.put('/cds/a', more)

        self.offer('a')
        rule = self.fault('RETR', faults.Call(grow, moment='executed'), path='/cds/a', times=1)
        self.run_import()
        self.assertEqual({'a': more}, {**self.remote, **self.section('new')})
        self.server.remove_fault(rule)
        self.run_import()
        self.assertEqual({'a': more}, self.section('new'))

    def test_a_server_that_only_says_that_it_deletes(self):
        rule = self.fault('DELE', faults.Reply('250 Deleted.'), path='/cds/a')
        report = self.run_import('a')
        self.assertEqual(['delivered', 'kept'], [result.status for result in report.results])
        self.server.remove_fault(rule)
        self.assert_run(0, '', self.run_import())
        self.assertEqual({}, self.remote)

    def test_dele_refused(self):
        rule = self.fault('DELE', faults.Reply('550 Permission denied.'), path='/cds/a')
        report = self.run_import('a')
        self.assertEqual(['delivered', 'kept'], [result.status for result in report.results])
        self.server.remove_fault(rule)
        self.assert_run(0, '', self.run_import())
        self.assertEqual({}, self.remote)

    def test_refused_but_deleted(self):
        def delete(event):
            event.server.delete('/cds/a')

        self.fault('DELE', faults.Call(delete), faults.Reply('550 No.'), path='/cds/a')
        self.assert_run(0, 'a', self.run_import('a'))


class BlindTests(Blind, unittest.TestCase):
    def test_what_grows_while_the_run_waits(self):
        more, passed = content('a') + b'more', self.time.wait

        def wait(seconds):
            passed(seconds)
            self.offered['a'] = more
            self.server.put('/cds/a', more)

        self.time.wait = wait
        self.assert_run(0, 'b', self.run_import('a', 'b'))
        self.assertEqual({'a': more}, self.remote)
        self.time.wait = passed
        self.assert_run(0, 'a', self.run_import())
        self.assertEqual(more, self.section('new')['a'])


class ListedTests(Blind, unittest.TestCase):
    """Listings tell both."""

    LISTINGS = 'STAT'
