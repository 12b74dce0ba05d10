"""Servers that do not know SIZE: listings tell sizes, or nothing does, and names decide."""

import signal
import tempfile
import unittest
from unittest import mock

from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.testing import faults
from zeit.cds.tests.importing import ImportScenario
from zeit.cds.tests.killing import Process
from zeit.cds.tests.scenario import Scenario, content, target


UNKNOWN = faults.Reply('502 Not implemented.')


def keep(event):
    """Be a server that does not rename onto a file, as aioftp does not."""
    if event.verb == 'RNTO' and event.moment == 'before' and event.path in event.server.files:
        event.server.fault('RNTO', faults.Reply('550 It is there.'), times=1)


class NoSizes(Scenario):
    OPTIONS = {}
    UNKNOWN = 'SIZE MDTM'

    def hook(self, event):
        keep(event)

    def prepare(self):
        super().prepare()
        self.fault(self.UNKNOWN, UNKNOWN)

    def export(self, *names, **options):
        return super().export(*names, **{**self.OPTIONS, **options})

    def test_files_are_sent_and_sent_again(self):
        self.assert_run(0, 'a b', self.export('a', 'b'))
        self.offered['a'] = content('a')[::-1]
        self.spool.put('a', self.offered['a'])
        (self.path / 'cur' / 'a').unlink()
        self.assert_run(0, 'a', self.export())
        self.assertEqual({'a': content('a')[::-1], 'b': content('b')}, self.remote)
        self.assertEqual(2, self.server.connected, 'no connection was given up')

    def test_killed_at_any_moment(self):
        for verb, path in (
            ('STOR', '/cds/write.*'),
            ('RNTO', '/cds/write'),
            ('STOR', '/cds/a*'),
            ('RNTO', '/cds/a.*.aside'),
            ('RNTO', '/cds/a'),
            ('DELE', '/cds/a*.aside'),
            ('DELE', '/cds/write'),
        ):
            with self.subTest(verb=verb, path=path):
                self.prepare()
                self.server.put('/cds/a', b'older')
                self.put('a')
                self.kill(verb, path)
                self.assertEqual(0, self.export().exit_code, self.log)
                self.assertEqual({'a': content('a')}, self.remote)
                connected = self.server.connected
                self.assert_run(0, '', self.export())
                self.assertEqual(connected, self.server.connected, 'it is remembered')

    def kill(self, verb, path):
        def kill(event):
            process.kill()

        log = self.enterContext(tempfile.NamedTemporaryFile()).name
        rule = self.fault(verb, faults.Call(kill, moment='executed'), path=path, times=1)
        # The rule that comes first is the one that applies.
        goal = target(self.server, **self.OPTIONS)
        process = Process(lambda: Exporter(self.spool, goal).run_once().exit_code, log=log)
        self.assertEqual(-signal.SIGKILL, process.run())
        self.server.wait_closed()
        self.server.remove_fault(rule)

    def test_a_reply_that_is_lost(self):
        """The new version has its name: that is proven, not done once more."""
        for verb, path in (('RNTO', '/cds/a.*.aside'), ('RNTO', '/cds/a'), ('STOR', '/cds/a*')):
            with self.subTest(verb=verb, path=path):
                self.prepare()
                self.server.put('/cds/a', b'older')
                self.fault(verb, faults.Cut('executed'), path=path, times=1)
                code = self.export('a').exit_code
                self.assertEqual(0, code or self.export().exit_code, self.log)
                self.assertEqual({'a': content('a')}, self.remote)


class FactsTests(NoSizes, unittest.TestCase):
    """MLSD tells them: nothing has to be set."""

    def test_a_size_that_differs(self):
        self.fault('STOR', faults.Alter(keep=10), path='*.part')
        self.assert_run(1, '', self.export('a'))
        self.assertIn('10 bytes', self.log)

    def test_a_server_that_denies_it(self):
        """550, as of a file that is not there."""
        self.server.clear_faults()
        self.fault('SIZE', faults.Reply('550 Permission denied.'))
        self.assert_run(0, 'a b', self.export('a', 'b'))


class NamesTests(NoSizes, unittest.TestCase):
    """Nothing tells them."""

    OPTIONS = {'size_check': False}
    UNKNOWN = 'SIZE MDTM MLSD'


class DeniedTests(Scenario, unittest.TestCase):
    def test_it_is_not_said_that_the_file_is_not_there(self):
        self.fault('SIZE MLSD', faults.Reply('550 Permission denied.'))
        report = self.export('a')
        self.assert_run(78, '', report)
        (error,) = report.errors
        self.assertIn('does not tell the size', error.message)
        self.assertIn('550 Permission denied.', error.message)

    def test_a_dry_run_promises_nothing(self):
        self.fault('SIZE MLSD', UNKNOWN)
        dry = Options(dry_run=True)
        self.assert_run(78, '', self.export('a', run=dry))
        self.assertNotIn('Would upload', self.log)
        self.assertEqual(0, self.export(run=dry, size_check=False).exit_code)
        self.prepare()
        self.fault('SIZE', UNKNOWN)
        self.assertEqual(0, self.export('a', run=dry).exit_code)

    def test_what_the_server_says_of_a_new_name_is_told(self):
        self.fault('SIZE MLSD', UNKNOWN)
        self.fault('RNTO', faults.Reply('553 Not this one.'), path='/cds/a')
        report = self.export('a', size_check=False)
        self.assert_run(1, '', report)
        self.assertIn('553 Not this one.', dict(report.failed)['a'])


class EndingTests(Scenario, unittest.TestCase):
    def hook(self, event):
        if event.verb == 'DELE' and event.moment == 'before':
            if event.path not in event.server.files:
                event.server.fault('DELE', faults.Cut(), path=event.path, times=1)

    def test_a_server_that_ends_the_connection_when_there_is_nothing_to_delete(self):
        """What a killed run may have left is not there: it is looked for, not tried for ever."""
        goal = target(self.server)
        with self.spool.run():
            self.spool.journal.new_token(goal.url)
        self.assert_run(0, '', self.export())
        connected = self.server.connected
        self.assert_run(0, '', self.export())
        self.assertEqual(connected, self.server.connected)


class PortTests(Scenario, unittest.TestCase):
    def test_a_connection_that_is_lost_before_the_lock_is_sent(self):
        """zope.server resets some at PASV, when it comes too soon: nothing was begun then."""
        alone = mock.patch('zeit.cds.ftp.capabilities.Capabilities.together', False)
        for nth in range(12):
            with self.subTest(nth), alone:
                self.prepare()
                self.fault('EPSV', faults.Cut(reset=True), nth=nth, times=1)
                self.assert_run(0, 'a', self.export('a'))


class ImportTests(ImportScenario, unittest.TestCase):
    def prepare(self):
        super().prepare()
        self.fault('SIZE MDTM', UNKNOWN)

    def test_files_are_imported_by_one_download_each(self):
        self.assert_run(0, 'a b', self.run_import('a', 'b'))
        self.assert_imported('a', 'b')
        self.assertEqual(1, self.server.connected)
        self.assertEqual(1, self.downloads().count('RETR a'))

    def test_a_download_that_is_cut_fails(self):
        self.fault('RETR', faults.Alter(keep=10), path='/cds/a')
        self.assert_run(1, 'b', self.run_import('a', 'b'))

    def test_a_file_that_grows_during_its_download_is_not_lost(self):
        more = content('a') + b'more'

        def grow(event):
            self.offered['a'] = more
            event.server.put('/cds/a', more)

        self.fault('RETR', faults.Call(grow, moment='executed'), path='/cds/a', times=1)
        self.run_import('a')
        self.assertEqual({'a': more}, {**self.remote, **self.section('new')})
