"""What could not be fetched comes last: in the run, and in the next one."""

import os
import time
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.lock.lock import WATCH
from zeit.cds.spool.incoming import Incoming
from zeit.cds.testing import faults
from zeit.cds.testing.actions import Disconnect
from zeit.cds.tests.importing import ImportOptions, ImportScenario
from zeit.cds.tests.scenario import SHORT, content


class LastTests(ImportScenario, unittest.TestCase):
    """Files that the server cannot send do not keep the others away."""

    BAD = tuple(f'a{number:02}' for number in range(8))
    GOOD = tuple(f'b{number:02}' for number in range(10))
    ACTIONS = (
        faults.Cut(),
        faults.CutData(5),
        faults.Reply('451 Local error.'),
        faults.Reply("425 Can't open data connection."),
        faults.Reply('550 Permission denied.'),
    )

    def test_the_others_arrive_at_once(self):
        for action in self.ACTIONS:
            for connections in (1, 4):
                with self.subTest(action, connections=connections):
                    self.prepare()
                    self.fault('RETR', action, path='/cds/a*')
                    report = self.run_import(*self.BAD, *self.GOOD, connections=connections)
                    self.assertEqual(self.GOOD, tuple(sorted(report.delivered)), self.log)
                    self.assertIn(report.exit_code, (1, 69))
                    self.heal()

    def test_they_arrive_in_the_next_runs(self):
        """Bad ones are everywhere: those that failed come behind the others from then on."""
        bad = [*self.BAD, *(name.replace('a', 'c') for name in self.BAD)]
        self.fault('RETR', faults.CutData(5), path='/cds/[ac]*')
        imported = []
        for _ in range(4):
            imported += self.run_import(*(imported and () or [*bad, *self.GOOD])).delivered
        self.assertEqual(self.GOOD, tuple(sorted(imported)), self.log)

    def test_it_says_that_it_gives_up(self):
        self.fault('RETR', faults.CutData(5), path='/cds/[ab]*')
        report = self.run_import(*self.BAD, *self.GOOD)
        self.assert_run(69, '', report)
        self.assertIn('The run gives up with 14 files untried', self.log)
        self.assertEqual(4, len(report.failed), self.log)

    def test_what_failed_fails_again(self):
        """Coming behind others, it is no less a failure."""
        self.fault('RETR', faults.CutData(5), path='/cds/a')
        for names in ('a', 'b'), ('c',):
            report = self.run_import(*names)
            self.assert_run(1, names[-1], report)
            self.assertEqual(['a'], [name for name, _ in report.failed])
        self.assertEqual(['RETR a', 'RETR b', 'RETR a', 'RETR a', 'RETR c'], self.fetched())

    def test_a_newer_version_has_not_failed(self):
        self.fault('RETR', faults.CutData(5), path='/cds/a', times=2)
        self.run_import('a')
        self.server.put('/cds/a', b'corrected', modified=time.time() - 3600)
        self.offered['a'] = b'corrected'
        self.assert_run(0, 'a b', self.run_import('b'))

    def test_a_dry_run_shows_it(self):
        self.fault('RETR', faults.CutData(5), path='/cds/a')
        self.run_import('a')
        report = self.run_import(options=ImportOptions(dry_run=True))
        self.assertEqual(['planned'], [result.status for result in report.results])

    def fetched(self):
        return [each for each in self.downloads() if 'read' not in each]

    def test_it_is_forgotten_when_it_is_fetched_or_gone(self):
        self.fault('RETR', faults.CutData(5), path='/cds/[ab]')
        self.run_import('a', 'b', 'c')
        self.assertEqual({'a', 'b'}, self.missed())
        self.server.delete('/cds/a')
        del self.offered['a']
        self.server.clear_faults()
        self.assert_run(0, 'b d', self.run_import('d'))
        self.assertEqual(set(), self.missed())

    def test_what_waits_for_its_other_attempt_when_the_run_breaks_off_has_failed(self):
        def unlock(event):
            self.time.wait(WATCH)
            self.server.delete('/cds/read')
            raise Disconnect

        self.fault('RETR', faults.Call(unlock), path='/cds/a')
        report = self.run_import('a', 'b')
        self.assertIsInstance(report.error, errors.LockVanished)
        self.assertEqual(['a'], [name for name, _ in report.failed])
        self.assertEqual({'a'}, self.missed())

    def missed(self):
        with self.spool.run():
            return {row['name'] for row in self.spool.journal.find('missed')}

    def test_it_is_remembered_when_the_journal_begins_anew(self):
        self.fault('RETR', faults.CutData(5), path='/cds/a')
        self.run_import('a')
        with self.spool.run():
            self.spool.journal.compact()
        self.assertEqual({'a'}, self.missed())

    def test_a_file_that_is_larger_than_the_disk(self):
        """It is not even begun, as far as its length is known, and the others have their room."""
        room = os.statvfs_result((4096, 4096, 1000, 100, 100, 0, 0, 0, 0, 255))
        self.offer('b', 'c')
        self.server.put('/cds/a', bytes(500_000), modified=time.time() - 3600)
        self.left['a'] = bytes(500_000)
        with unittest.mock.patch('zeit.cds.spool.incoming.os.fstatvfs', return_value=room):
            report = self.run_import()
            self.assert_run(1, 'c b', report)
            self.assertIn('No space left on device', self.log)
            self.assert_run(1, 'd', self.run_import('d'))
            self.assert_run(78, '', self.run_import())
        self.assertEqual(['RETR c', 'RETR b', 'RETR d'], self.fetched())
        del self.left['a']
        self.assertEqual(['a'], self.run_import().delivered)

    def test_a_file_that_somebody_removes_from_tmp(self):
        """Whoever cleans up there, too soon, keeps one file from coming, and it stays."""
        real, removed = Incoming.move, []

        def move(incoming, name):
            if not removed:
                removed.append(name)
                (self.path / 'tmp' / incoming.temporary).unlink()
            return real(incoming, name)

        with unittest.mock.patch.object(Incoming, 'move', move):
            report = self.run_import('a', 'b', 'c')
        self.assertEqual((1, removed), (report.exit_code, [name for name, _ in report.failed]))
        self.assertEqual(2, len(report.delivered))
        self.assertIn('removed from tmp/', report.failed[0][1])
        self.assertEqual(removed, self.run_import().delivered)

    def test_a_file_that_is_never_begun(self):
        """As a pipe: one attempt in each run, and what to look for."""
        self.fault('RETR', faults.Silence(), path='/cds/a')
        report = self.run_import('a', 'b', **SHORT)
        self.assert_run(1, 'b', report)
        self.assertEqual(['RETR a', 'RETR b'], self.fetched())
        self.assertIn('Not imported: a: The server did not begin to send it: No answer', self.log)
        self.assertRegex(report.failed[0][1], 'Check whether it is a regular file')
        self.assert_run(1, 'c', self.run_import('c', **SHORT))
        self.assertEqual(['RETR a', 'RETR c'], self.fetched()[2:])
        self.heal()

    def test_what_cannot_be_deleted_takes_turns(self):
        """However few a run takes, each is tried again."""
        self.fault('DELE', faults.Reply('550 No.'), path='/cds/[abc]')
        one = ImportOptions(max_files=1)
        self.offer('a', 'b', 'c')
        for name in 'abc':
            self.assert_run(1, name, self.run_import(options=one))
        for _ in range(5):
            self.assert_run(1, '', self.run_import(options=one))
        self.assertEqual([f'RETR {name}' for name in 'abcabcab'], self.fetched())
        # A new one still comes before all of them.
        self.assert_run(0, 'd', self.run_import('d', options=one))
        self.heal()

    def test_a_correction_behind_one_that_cannot_be_deleted_arrives(self):
        """Nothing but its content tells that it is one."""
        one = ImportOptions(max_files=1, occupied='unique')
        for verb in 'MDTM', 'MLSD', 'LIST':
            self.fault(verb, faults.Reply('502 No.'))
        self.fault('DELE', faults.Reply('550 No.'), path='/cds/a')
        refused = self.fault('DELE', faults.Reply('550 No.'), path='/cds/b')
        self.offer('a', 'b')
        imported = [self.run_import(options=one).delivered for _ in range(2)]
        self.assertEqual([['a'], ['b']], imported)
        self.server.remove_fault(refused)
        self.server.put('/cds/b', content('b')[::-1])
        self.complete.add(content('b')[::-1])
        imported = [self.run_import(options=one).delivered for _ in range(2)]
        self.assertEqual([[], ['b']], imported, self.log)
        self.assertIn(content('b')[::-1], self.section('new').values())
        self.assertEqual({'a'}, {*self.remote})
