"""Nothing stands in the way of what is behind it: what has failed comes last in the next run."""

import os
import unittest

from zeit.cds import errors
from zeit.cds.exporter import Exporter, Options
from zeit.cds.spool import Spool
from zeit.cds.testing import faults, layers
from zeit.cds.testing.memory import MemoryTarget
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

    def export(self, *names, **options):
        """Put the files, run, and return (what was tried, the report)."""
        for name in names:
            self.spool.put(name, b'1')
        self.tried.clear()
        report = Exporter(self.spool, self.target).run_once(Options(**options))
        return ' '.join(self.tried), report


class OrderTests(FailureTests):
    def test_whatever_has_failed_comes_last(self):
        for error in (
            errors.PermanentError(553, '553 No.'),
            errors.TemporaryError(450, '450 Busy.'),
            errors.ServerFull(552, '552 Too large.'),
            errors.SizeMismatch('9 bytes were sent, but it has 3'),
            errors.SourceChanged('It changed'),
            errors.SourceUnreadable('Input/output error'),
            errors.DeadlinePassed('The time of this run is used up'),
        ):
            with self.subTest(error=error):
                self.bad = {'a': error}
                self.export('a')
                self.assertEqual('b c a', self.export('b', 'c')[0])
                self.assertEqual('b a', self.export('b')[0])
                self.bad = {}
                self.assertEqual('b a', self.export('b')[0])
                self.assertEqual('a b', self.export('a', 'b')[0])

    def test_of_several_the_one_that_has_waited_longest_is_the_first(self):
        self.bad = dict.fromkeys('abc', errors.TemporaryError(450, '450 Busy.'))
        self.assertEqual('a b c', self.export(*'abc')[0])
        del self.bad['b']
        self.assertEqual('d a b c', self.export('d')[0])
        self.assertEqual('e a c', self.export('e')[0])

    def test_not_with_strict(self):
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

    def test_it_is_remembered_when_the_journal_begins_anew(self):
        self.bad = {'a': errors.TemporaryError(450, '450 Busy.')}
        self.export('a')
        with self.spool.run() as spool:
            spool.journal._log.rotate(spool.journal._unfinished())
        self.assertEqual('b a', self.export('b')[0])

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
        self.bad = {'ticker': lambda: self.spool.put('ticker', b'%d' % len(self.tried))}

    def test_it_goes_behind_the_others(self):
        self.assertEqual('ticker a b ticker', self.export('ticker', 'a', 'b')[0])
        self.assertEqual(b'1', self.target.files['ticker'])

    def test_the_run_ends_and_the_next_one_follows_at_once(self):
        tried, report = self.export('ticker', deadline=0)
        self.assertEqual(('ticker ticker', 0, True), (tried, report.exit_code, report.limited))
        self.bad = {}
        tried, report = self.export()
        self.assertEqual(('ticker', False), (tried, report.limited))

    def test_it_counts_for_every_bound(self):
        self.assertEqual('ticker a', self.export('ticker', 'a', 'b', max_files=2)[0])
        self.assertEqual('b ticker', self.export(max_files=2)[0])
        self.assertEqual('ticker', self.export('a', max_bytes=1)[0])


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
            for connections in (1, 4):
                with self.subTest(action, connections=connections):
                    self.prepare()
                    self.fault('STOR', action, path='/cds/bad*')
                    bad = [f'bad{n}' for n in range(5)]
                    self.assert_all_come_through(bad=bad, runs=5, connections=connections)
