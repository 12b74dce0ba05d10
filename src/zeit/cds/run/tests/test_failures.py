"""Nothing stands in the way of what is behind it: what has failed comes behind the others."""

import os
import re
import unittest

from zeit.cds import errors, names
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults, layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.scenario import Scenario


class FailureTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = in_memory(self)
        self.spool = Spool(self.path)
        self.tried = []
        self.bad = {}
        self.target = MemoryTarget(hook=self.hook)

    def hook(self, operation, name):
        if operation == 'upload':
            self.tried.append(name)
            action = self.bad.get(name)
            if isinstance(action, Exception):
                raise action
            if action is not None:
                action()

    def export(self, *put, **options):
        """Put files, run, and return (what was tried, the report)."""
        for name in put:
            self.spool.put(name, b'1')
        self.tried.clear()
        report = Exporter(self.spool, self.target).run_once(Options(**options))
        return ' '.join(self.tried), report


class OrderTests(FailureTests):
    def test_whatever_has_failed_comes_behind_all_others_but_one(self):
        for error in (
            errors.PermanentError(553, '553 No.'),
            errors.TemporaryError(450, '450 Busy.'),
            errors.ConnectionLost(104, 'reset'),
            errors.SizeMismatch('9 bytes were sent, but it has 3'),
            errors.SourceUnreadable('Input/output error'),
        ):
            with self.subTest(error=error):
                self.bad = {'a': error}
                self.export('a')
                self.assertEqual('b c a d', self.export('b', 'c', 'd')[0])
                self.assertEqual('a b', self.export('b')[0])
                self.bad = {}
                self.assertEqual('b a c', self.export('b', 'c')[0])
                self.assertEqual('a b', self.export('a', 'b')[0])

    def test_what_ends_a_run_comes_last_of_all(self):
        for error in (
            errors.DeadlinePassed('The time of this run is used up'),
            errors.PermanentError(502, '502 No RNTO.', exit_code=78),
            errors.SpoolError('cur: Permission denied'),
            errors.SizeMismatch('No SIZE', exit_code=78),
            errors.ConfigurationError('Not in binary mode'),
        ):
            with self.subTest(error=error):
                self.bad = {'a': error}
                self.assertEqual('a', self.export('a')[0])
                for _ in range(3):
                    tried, report = self.export('b')
                    self.assertEqual(('b a', ['b']), (tried, report.delivered))
                self.bad = {}
                self.assertEqual(['a'], self.export()[1].delivered)

    def test_a_server_without_room_ends_each_run_that_stores_nothing(self):
        self.bad = {'a': errors.ServerFull(552, '552 Too large.')}
        codes = [self.export(*name)[1].exit_code for name in ('a', '', '', 'b', '')]
        self.assertEqual([69, 69, 69, 1, 69], codes)

    def test_so_does_what_leaves_no_time_for_others(self):
        """Each of these files takes half an hour, and is refused then."""
        now = [0]

        def refuse():
            now[0] += 1800
            raise errors.PermanentError(550, '550 Virus found.')

        def export(*put):
            for name in put:
                self.spool.put(name, b'1')
            exporter = Exporter(self.spool, self.target, clock=lambda: now[0])
            return exporter.run_once(Options(park_after=0)).delivered

        self.bad = dict.fromkeys('abc', refuse)
        export(*'abc')
        for name in 'fgh':
            found = export(name) + export()
            self.assertEqual([name], found)

    def test_a_file_after_which_the_server_is_away_goes_behind_the_others(self):
        """The server dies of a file, and takes a while until it is back."""
        self.bad = {'a': errors.ConnectionLost(104, 'reset')}
        self.export('a')
        self.bad['b'] = errors.FTPOSError(111, 'Connection refused')
        self.bad['b'].while_connecting = True
        self.assertEqual('a b', self.export('b')[0])
        del self.bad['b']
        tried, report = self.export()
        self.assertEqual(('b a', ['b']), (tried, report.delivered))

    def test_of_several_the_one_that_has_waited_longest_is_the_first(self):
        self.bad = dict.fromkeys('abc', errors.TemporaryError(450, '450 Busy.'))
        self.assertEqual('a b c', self.export(*'abc')[0])
        del self.bad['b']
        self.assertEqual('a b c d', self.export('d')[0])
        self.assertEqual('e a c f', self.export('e', 'f')[0])

    def test_with_strict_a_file_that_failed_stays_first(self):
        self.bad = {'a': errors.TemporaryError(450, '450 Busy.')}
        self.export('a')
        self.assertEqual('a', self.export('b', strict=True)[0])

    def test_a_newer_version_has_not_failed(self):
        self.bad = {'a': errors.TemporaryError(450, '450 Busy.')}
        self.export('a')
        self.spool.put('a', b'new')
        self.assertEqual('a b', self.export('b')[0])

    def test_what_is_gone_is_forgotten(self):
        self.bad = {'a': errors.TemporaryError(450, '450 Busy.')}
        self.export('a')
        os.rename(self.path / 'new' / 'a', self.path / 'tmp' / 'a')
        self.export()
        os.rename(self.path / 'tmp' / 'a', self.path / 'new' / 'a')
        self.assertEqual('a b', self.export('b', order='name')[0])

    def test_a_moment_that_is_damaged(self):
        self.bad = {'a': errors.PermanentError(553, '553 No.')}
        self.export('a', 'b')
        state = self.path / remembered.JOURNAL
        damaged = re.sub(rb'("(since|at)": ")20', rb'\1q0', state.read_bytes())
        with open(state, 'r+b') as file:
            file.write(damaged)
        tried, report = self.export('b')
        self.assertEqual(('a b', ['b']), (tried, report.delivered))

    def test_it_is_remembered_when_the_journal_begins_anew(self):
        self.bad = {'a': errors.TemporaryError(450, '450 Busy.')}
        self.export('a')
        with self.spool.run() as spool:
            spool.journal.compact()
        self.assertEqual('b a c', self.export('b', 'c')[0])

    def test_who_connects_in_vain_says_nothing_about_a_file(self):
        """Unless that file has broken the connection before."""
        away = errors.FTPOSError(111, 'Connection refused')
        away.while_connecting = True
        self.bad = {'a': away}
        self.export('a')
        self.bad = {'a': errors.ConnectionLost(104, 'reset'), 'b': away}
        self.assertEqual('a a b', self.export('b')[0])
        self.bad = {}
        self.assertEqual('b a', self.export()[0])

    def test_many_that_fail_let_the_others_through(self):
        for error in (
            errors.TemporaryError(450, '450 Busy.'),
            errors.ServerFull(552, '552 Too large.'),
            errors.ConnectionLost(104, 'reset'),
            errors.DeadlinePassed('The time of this run is used up'),
        ):
            with self.subTest(error=error):
                bad, good = [f'a{n}' for n in range(8)], [f'b{n}' for n in range(8)]
                self.bad = dict.fromkeys(bad, error)
                report = self.export(*bad, *good)[1]
                runs = 1
                while set(good) - set(self.target.files):
                    report, runs = self.export()[1], runs + 1
                self.assertLessEqual(runs, 9)
                self.assertEqual(set(), set(bad) & set(report.delivered))
                # From then on they are no reason to leave the server alone.
                if not isinstance(error, errors.DeadlinePassed):
                    self.assertEqual(1, self.export('c')[1].exit_code)
                self.bad = {}
                for _ in bad:
                    self.export()
                self.target.files.clear()


class TickerTests(FailureTests):
    """A file that is replaced while it is sent, each time."""

    def setUp(self):
        super().setUp()
        self.bad = {'ticker': self.tick}

    def tick(self):
        if len(self.tried) < 50:  # or it might have no end
            self.spool.put('ticker', b'%d' % len(self.tried))

    def test_it_goes_behind_the_others(self):
        self.assertEqual('ticker a b ticker', self.export('ticker', 'a', 'b')[0])
        self.assertEqual(b'1', self.target.files['ticker'])

    def test_the_run_ends_and_the_next_one_follows_at_once(self):
        tried, report = self.export('ticker', deadline=0)
        self.assertEqual(('ticker ticker', 0, True), (tried, report.exit_code, report.limited))
        self.bad = {}
        tried, report = self.export()
        self.assertEqual(('ticker', False), (tried, report.limited))

    def test_what_is_for_the_next_run_is_not_late_in_this_one(self):
        self.spool.put('ticker', b'1')
        exporter = Exporter(self.spool, self.target, clock=lambda: 7200 * (len(self.tried) > 1))
        report = exporter.run_once()
        self.assertEqual((0, True), (report.exit_code, report.limited), report.errors)

    def test_it_counts_for_every_bound(self):
        self.assertEqual('ticker a', self.export('ticker', 'a', 'b', max_files=2)[0])
        self.assertEqual('b ticker', self.export(max_files=2)[0])
        self.assertEqual('a', self.export('a', max_bytes=1)[0])

    def test_nor_does_it_go_first_again_in_the_next_run(self):
        def write():
            (self.path / 'new' / 'a').write_bytes(b'%d' % len(self.tried))

        def replace():
            self.spool.put('a', b'%d' % len(self.tried))

        for change in replace, write:
            for bound in {'max_files': 1}, {'max_bytes': 1}:
                with self.subTest(change=change.__name__, **bound):
                    self.bad = {'a': change}
                    for name in 'abc':
                        self.spool.put(name, b'1')
                    runs = [self.export(order='name', **bound)[0] for _ in range(4)]
                    self.assertEqual(['a', 'b', 'c', 'a'], runs)
                    # Not for longer than it is so.
                    self.bad = {}
                    self.assertEqual('a', self.export()[0])
                    self.assertEqual('a b', self.export('b', 'a', order='name')[0])


class LeftoverTests(unittest.TestCase):
    """What a killed run left, and nobody can read any more, is in nobody's way."""

    layer = layers.QUIET

    def setUp(self):
        self.path = in_memory(self)
        self.spool = Spool(self.path)

    def test_on_its_way_to_cur(self):
        """Something newer of its name waits: only its content would tell what becomes of it."""
        self.spool.put('a', b'newer')
        self.spool.put('b', b'other')
        with self.spool.run() as spool:
            upload = {'temporary': '', 'size': 1, 'sha256': '0', 'reply': '226'}
            spool.journal.at('memory:').note('placed', 'a', **upload)
        # As little to be read as a bad sector.
        os.symlink('/nowhere', self.path / '.cds' / 'filing' / 'a')
        with self.assertLogs('zeit.cds', 'ERROR') as logs:
            report = Exporter(self.spool, MemoryTarget()).run_once()
        self.assertEqual((1, ['a', 'b']), (report.exit_code, report.delivered))
        ((name, reason),) = report.failed
        self.assertEqual('a', name)
        self.assertIn('Left by a run that was killed. The file cannot be read', reason)
        self.assertIn('Parked: a: Left by a run that was killed', logs.output[0])
        self.assertTrue(os.path.islink(self.path / 'parked' / 'a'))
        self.assertEqual(0, Exporter(self.spool, MemoryTarget()).run_once().exit_code)

    def test_an_import(self):
        """The server has it still: it is fetched once more."""
        target = MemoryTarget()
        target.write('a', b'a', age=3600)
        target.write('b', b'b', age=3600)
        with self.spool.run() as spool:
            token = spool.journal.new_token(target.url)
            temporary = names.temporary('a', token=token, number=1)
            spool.journal.at(target.url).note(
                'fetched', 'a', temporary=temporary, size=1, sha256='0', inode=1, modified='',
                filed_as='a',
            )  # fmt: skip
        os.symlink('/nowhere', self.path / 'tmp' / temporary)
        with self.assertLogs('zeit.cds', 'WARNING') as logs:
            report = Importer(self.spool, target, wait=lambda seconds: None).run_once()
        self.assertEqual((0, ['a', 'b']), (report.exit_code, report.delivered))
        self.assertIn('What an earlier run has fetched is thrown away: a.cds', logs.output[0])
        self.assertEqual([], os.listdir(self.path / 'tmp'))

    def test_what_cannot_be_deleted_in_tmp(self):
        target = MemoryTarget()
        target.write('b', b'b', age=3600)
        with self.spool.run() as spool:
            token = spool.journal.new_token(target.url)
        # A directory, as unlink(2) does nothing about it.
        (self.path / 'tmp' / names.temporary('a', token=token, number=1)).mkdir()
        with self.assertLogs('zeit.cds', 'WARNING') as logs:
            report = Importer(self.spool, target, wait=lambda seconds: None).run_once()
        self.assertEqual((0, ['b']), (report.exit_code, report.delivered))
        self.assertIn('Left behind, to be deleted', logs.output[0])


class ServerTests(Scenario, unittest.TestCase):
    """The same with what servers really say, over one connection and several."""

    def assert_all_come_through(self, *, bad, runs, connections):
        good = [f'good{n}' for n in range(12)]
        self.put(*bad, *good)
        for number in range(runs):
            report = self.export(f'more{number}', connections=connections)
        self.assertEqual(sorted(bad), self.section('new'), self.log)
        self.assertEqual(1, report.exit_code)
        self.heal(connections=connections)

    def test_files_that_the_server_does_not_take(self):
        for action in (
            faults.Reply('552 Exceeds the limit for a file.'),
            faults.Lie('452 Insufficient storage.'),
            faults.Lie('450 Link to file server lost.'),
            faults.Lie('550 Virus found.'),
            faults.CutData(0),
            faults.Cut(),
        ):
            for connections in (1, 4) if isinstance(action, faults.Lie) else (1,):
                with self.subTest(action, connections=connections):
                    self.prepare()
                    self.fault('STOR', action, path='/cds/bad*')
                    bad = [f'bad{n}' for n in range(5)]
                    self.assert_all_come_through(bad=bad, runs=5, connections=connections)
