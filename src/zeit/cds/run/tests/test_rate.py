"""A file that is on its way when the time of a run is used up."""

import time
import types
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.run.exporter import Exporter
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults, layers
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.scenario import target
from zeit.cds.values.progress import Rate
from zeit.cds.values.run_options import ImportOptions, Options


#: The figure itself is for `RateTests`: here it hangs on how many bytes the system hands over
#: at a time, which nobody can tell beforehand.
NEEDED = r'At this rate it needs deadline="[0-9]+" \(--deadline [0-9]+\)'


class RateTests(unittest.TestCase):
    def setUp(self):
        self.now = 0

    def rate(self, *, size=1000, deadline=100):
        return Rate('a', size=size, clock=lambda: self.now, deadline=deadline)

    def move(self, rate, *marks):
        for self.now, position in marks:
            rate.moved(position)

    def test_it_ends_in_time(self):
        rate = self.rate()
        self.move(rate, (0, 50), (90, 500), (95, 525), (100, 550))
        self.assertEqual(5, rate.present())
        rate.require(90)
        self.now = 190
        rate.require(90)  # asked once

    def test_a_transfer_that_does_not_end_in_time_is_ended(self):
        rate = self.rate(size=100_000)
        self.move(rate, (0, 50), (90, 500), (95, 525), (100, 550))
        with self.assertRaises(errors.DeadlinePassed) as raised:
            rate.require(100)
        self.assertIn('550 of 100000 bytes', raised.exception.message)
        # All of it at 5 bytes in a second, in whole minutes.
        self.assertIn('deadline="20040" (--deadline 20040)', raised.exception.hint)

    def test_a_short_deadline_is_told_in_seconds(self):
        rate = self.rate(size=200, deadline=10)
        self.move(rate, (0, 5), (5, 30), (10, 55))
        with self.assertRaises(errors.DeadlinePassed) as raised:
            rate.require(10)
        self.assertIn('--deadline 40', raised.exception.hint)

    def test_the_present_counts(self):
        """It was fast, and stands still; or the other way round."""
        rate = self.rate(size=1100)
        self.move(rate, (0, 10), (1, 800), (2, 899), (10, 900))
        self.assertGreater(rate.present(), 80)
        self.now = 100
        self.assertLess(rate.present(), 1)
        self.now = 10_000
        with self.assertRaisesRegex(errors.DeadlinePassed, '900 of 1100'):
            rate.require(100)
        rate = self.rate()
        self.move(rate, (150, 1), (190, 2), (195, 450), (200, 900))
        rate.require(1.5)

    def test_a_slow_line_takes_long_for_each_piece(self):
        rate = self.rate()
        self.move(rate, (0, 200), (40, 400), (80, 600))
        for self.now in (80, 90, 100, 119):
            self.assertEqual(5, rate.present())

    def test_it_went_slower_in_the_end(self):
        rate = self.rate()
        self.move(rate, (0, 0), (90, 500), (95, 525), (100, 550))
        rate.require(100)
        self.move(rate, (150, 551), (200, 600))
        # 3 bytes in a second, all the time.
        self.assertIn('--deadline 360', rate.passed().hint)
        self.move(rate, (210, 0), (220, 10))
        self.assertIn('--deadline 1020', rate.passed().hint)

    def test_one_piece_tells_nothing(self):
        rate = self.rate()
        self.move(rate, (0, 200))
        self.now = 100
        with self.assertRaisesRegex(errors.DeadlinePassed, 'used up$'):
            rate.require(100)
        self.assertNotIn('=', rate.passed().hint)

    def test_all_of_it_is_through(self):
        rate = self.rate()
        self.move(rate, (1, 1000))
        self.now = 100
        rate.require(100)

    def test_nobody_knows_how_much_is_to_come(self):
        rate = self.rate(size=None)
        self.move(rate, (100, 500))
        with self.assertRaisesRegex(errors.DeadlinePassed, 'used up$'):
            rate.require(100)

    def test_an_upload_that_begins_again_counts_from_there(self):
        rate = self.rate()
        self.move(rate, (50, 900), (90, 0), (95, 25), (100, 50))
        self.assertEqual(5, rate.present())

    def test_it_remembers_little(self):
        for deadline in (0, 10):
            rate = self.rate(size=10**9, deadline=deadline)
            self.move(rate, *((n / 100, n) for n in range(100_000)))
            self.assertLess(len(rate._marks), 20)


class RunTests(unittest.TestCase):
    """The clock moves with the bytes: `pace` seconds for each."""

    layer = layers.QUIET
    SIZE = 2_000_000

    def setUp(self):
        self.server = self.enterContext(faults.FaultServer(directories=['/cds']))
        self.spool = Spool(in_memory(self))
        self.now = self.start = time.monotonic()
        clock = types.SimpleNamespace(monotonic=self.clock)
        self.enterContext(unittest.mock.patch('zeit.cds.network.deadline.time', clock))
        self.pace = 0
        #: Seconds that pass with each look at the clock.
        self.step = 0
        #: The last 40 percent of a file take so many times as long.
        self.slower = 1

    def clock(self):
        self.now += self.step
        return self.now

    # As an `IProgress`

    def expected(self, *, files, size):
        pass

    def settled(self, name, *, size):
        pass

    def sent(self, name, position):
        late = max(0, position - self.SIZE * 0.6)
        took = (position + (self.slower - 1) * late) * self.pace
        self.now = max(self.now, self.start + took)

    def export(self, *names, connections=1, **options):
        for name in names:
            self.spool.put(name, bytes(self.SIZE))
        goal = target(self.server, connections=connections)
        exporter = Exporter(self.spool, goal, clock=self.clock, wait=lambda seconds: None)
        self.start = self.now
        return exporter.run_once(Options(deadline=100, progress=self, order='name', **options))

    def import_(self, *names):
        for name in names:
            self.server.put(f'/cds/{name}', bytes(self.SIZE), modified=time.time() - 3600)
        importer = Importer(
            self.spool, target(self.server), clock=self.clock, wait=lambda seconds: None
        )
        self.start = self.now
        return importer.run_once(ImportOptions(deadline=100, progress=self))

    def test_it_ends_if_that_takes_no_longer_than_one_more_deadline(self):
        self.pace = 180 / self.SIZE
        for connections in (1, 2):
            report = self.export('a', connections=connections)
            self.assertEqual((0, ['a']), (report.exit_code, report.delivered), report)

    def test_then_the_others_wait_for_the_next_run(self):
        self.pace = 180 / self.SIZE
        report = self.export('a', 'b')
        self.assertEqual((69, ['a']), (report.exit_code, report.delivered))
        self.assertEqual({'/cds/a'}, {*self.server.files})

    def test_else_it_says_which_deadline_it_needs_and_comes_last(self):
        self.pace = 250 / self.SIZE
        report = self.export('a', 'b')
        self.assertEqual((69, []), (report.exit_code, report.delivered))
        ((name, reason),) = report.failed
        self.assertEqual('a', name)
        for text in reason, report.error.hint:
            self.assertRegex(text, NEEDED)
        self.assertEqual({}, self.server.files)
        self.pace = 0
        self.assertEqual(['b', 'a'], self.export().delivered)

    def test_so_it_does_of_one_that_goes_slower_in_the_end(self):
        self.pace, self.slower = 190 / self.SIZE, 9
        report = self.export('a')
        self.assertEqual((69, []), (report.exit_code, report.delivered))
        for text in report.failed[0][1], report.error.hint:
            self.assertRegex(text, NEEDED)
        report = self.import_('b')
        self.assertEqual((69, []), (report.exit_code, report.delivered))
        self.assertRegex(report.error.hint, NEEDED)

    def test_what_is_read_back_has_a_rate_of_its_own(self):
        """All of it is sent: that does not tell how long it takes to compare it."""
        self.server.fault('RNTO', faults.Lie('226 Whatever.'), path='/cds/a*')
        self.server.fault('RETR', faults.Call(self.hurry), faults.StallData(5), path='/cds/a')
        self.server.fault('USER', faults.Call(self.rest))
        report = self.export('a')
        self.assertEqual((69, []), (report.exit_code, report.delivered), report)
        self.assertLess(self.now - self.start, 200)
        self.server.clear_faults()
        self.assertEqual(['a'], self.export().delivered)

    def hurry(self, event):
        """The deadline is near, and time passes whenever somebody looks at the clock."""
        self.now, self.step = self.start + 95, 3

    def rest(self, event):
        self.step = 0

    def test_imports(self):
        self.pace = 180 / self.SIZE
        report = self.import_('a')
        self.assertEqual((0, ['a']), (report.exit_code, report.delivered), report)
        self.assertEqual({}, self.server.files)
        self.pace = 250 / self.SIZE
        report = self.import_('b')
        self.assertEqual((69, []), (report.exit_code, report.delivered), report)
        self.assertRegex(report.error.hint, NEEDED)
        self.assertEqual({'/cds/b'}, {*self.server.files})
        self.pace = 0
        self.assertEqual(['c', 'b'], self.import_('c').delivered)
