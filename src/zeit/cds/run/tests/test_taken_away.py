"""Uploads that somebody takes away as soon as they are there: a trigger, a scanner, a workflow."""

import datetime
import unittest
import unittest.mock

from zeit.cds.journal import append_log
from zeit.cds.testing import faults
from zeit.cds.tests.scenario import Scenario, content
from zeit.cds.values.run_options import Options


class LockTests(Scenario, unittest.TestCase):
    """Our lock is taken away, before or after it has got its name."""

    def test_no_advice_that_is_one_for_files(self):
        for verb, path in ('RNTO', '/cds/write'), ('STOR', '/cds/write.cds*'):
            for options in {}, {'temporary': False}, {'temporary': False, 'size_check': False}:
                with self.subTest(path, **options):
                    self.prepare()
                    self.fault(verb, faults.Call(self.take, moment='executed'), path=path)
                    report = self.export('a', **options)
                    self.assert_run(78, '', report)
                    self.assertNotIn('--no-temporary', report.error.advice)
                    self.assertRegex(report.error.advice, 'disappeared|removes what|shows neither')

    def take(self, event):
        event.server.delete(event.path)


class TakenAwayTests(Scenario, unittest.TestCase):
    def prepare(self):
        super().prepare()
        self.taken = []
        self.passed = 0
        self.rule = self.fault('STOR', faults.Call(self.take, moment='executed'), path='/cds/a*')
        now = append_log.now
        later = lambda: now() + datetime.timedelta(seconds=self.passed)  # noqa: E731
        self.enterContext(unittest.mock.patch('zeit.cds.journal.append_log.now', later))

    def take(self, event):
        self.taken.append(event.server.files[event.path])
        event.server.delete(event.path)

    def check(self, report, *, garbage):
        self.offered = {k: v for k, v in self.offered.items() if k != 'a'}
        super().check(report, garbage=garbage)

    def test_who_believes_the_final_reply_delivers_it_once(self):
        report = self.export('a', 'b', size_check=False, temporary=False)
        self.assert_run(0, 'a b', report)
        self.assertEqual([content('a')], self.taken)
        self.assert_run(0, '', self.export(size_check=False, temporary=False))
        self.assertEqual([content('a')], self.taken)

    def test_the_advice(self):
        """Whatever has noticed it, SIZE or RNFR."""
        for options in ({}, {'size_check': False}, {'temporary': False}):
            with self.subTest(options):
                self.prepare()
                self.assert_run(1, 'b', self.export('a', 'b', **options))
                self.assertIn('(--no-size-check --no-temporary)', self.log)
                report = self.export(size_check=False, temporary=False)
                self.assertEqual((0, ['a']), (report.exit_code, report.delivered))
                self.assertEqual(2, len(self.taken))

    def test_fewer_and_fewer_copies(self):
        self.export('a')
        for _ in range(6):
            report = self.export()
            self.assertEqual(1, report.exit_code)
            self.assertIn('--no-size-check', report.failed[0][1])
        self.assertEqual(2, len(self.taken))
        sent = []
        for minute in (0.5, 1.5, 2.5, 3.5, 6, 8, 14, 16):
            self.passed = 60 * minute
            number = len(self.taken)
            self.export()
            sent += [minute] * (len(self.taken) - number)
        self.assertEqual([1.5, 3.5, 8, 16], sent)

    def test_the_others_go_all_the_same(self):
        for names in ('ab', 'c', 'd'):
            self.assertEqual([names[-1]], self.export(*names).delivered)

    def test_a_newer_version_goes_at_once(self):
        self.export('a')
        self.export()
        self.export('a')
        self.assertEqual(3, len(self.taken))

    def test_what_was_an_accident_is_over_with_the_next_run(self):
        self.export('a')
        self.server.remove_fault(self.rule)
        self.assert_run(0, 'a', self.export())

    def test_it_is_parked_like_any_other(self):
        with unittest.mock.patch('zeit.cds.run.failures.APART', 0):
            for names in (('a', 'b'), ('c',), ('d',)):
                self.export(*names, run=Options(park_after=3))
        self.assertEqual(['a'], self.section('parked'))
        self.assertEqual(3, len(self.taken))

    def test_a_reply_that_was_lost_says_nothing(self):
        self.server.remove_fault(self.rule)
        actions = faults.Call(self.take, moment='executed'), faults.Cut(moment='executed')
        self.fault('STOR', *actions, path='/cds/a*')
        self.assertEqual([], self.export('a').delivered)
        self.assertNotIn('believe the final reply', self.log)
