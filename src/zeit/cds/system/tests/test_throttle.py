"""No second has more than its share, and nobody waits longer than that takes."""

import itertools
import threading
import unittest

from zeit.cds.system.throttle import PIECE, SHORTEST, Throttle
from zeit.cds.testing import layers
from zeit.cds.values.bandwidth import Bandwidth


RATE = 100 * 1024

#: As much at once as nobody asks for.
MOST = 1 << 30


class Clock:
    """A clock that goes on when somebody waits; `late`: he is woken so many seconds too late."""

    def __init__(self):
        self.now = 1000
        self.late = 0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds + self.late


def densest(marks, seconds):
    """Return the most bytes of `marks`, (moment, bytes), in any stretch of so many seconds."""
    found = first = total = 0
    for moment, count in marks:
        total += count
        while marks[first][0] <= moment - seconds:
            total -= marks[first][1]
            first += 1
        found = max(found, total)
    return found


class ThrottleTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.clock = Clock()
        self.hour = 12, 0
        self.marks = []

    def throttle(self, text='100K'):
        return Throttle(
            Bandwidth(text), clock=self.clock, wait=self.clock.wait, hour=lambda: self.hour
        )

    def move(self, throttle, size):
        """Move so many bytes; return how many seconds that took."""
        began = self.clock.now
        while size:
            count = min(size, throttle.piece(MOST))
            throttle.spend(count)
            self.marks.append((self.clock.now, count))
            size -= count
        return self.clock.now - began

    def test_a_large_file_takes_its_time(self):
        self.assertAlmostEqual(10, self.move(self.throttle(), 10 * RATE), delta=0.1)

    def test_no_second_has_more_than_its_share(self):
        throttle = self.throttle()
        for late in (0, 0.01, 0.3, 0):
            self.clock.late = late
            self.move(throttle, 3 * RATE)
            self.clock.now += 100  # what was not used is lost
        for seconds in (0.2, 0.5, 1, 2):
            self.assertLess(densest(self.marks, seconds), (seconds + 0.15) * RATE)

    def test_who_is_woken_too_late_loses_nothing(self):
        self.clock.late = 0.02
        self.assertAlmostEqual(10, self.move(self.throttle(), 10 * RATE), delta=0.2)

    def test_a_small_file_does_not_wait(self):
        throttle = self.throttle()
        for _ in range(20):
            self.assertEqual(0, self.move(throttle, int(RATE * PIECE)))
            self.clock.now += PIECE

    def test_among_large_ones_it_waits_for_a_piece_of_each(self):
        throttle = self.throttle()
        for _ in range(3):
            throttle.spend(throttle.piece(MOST))
        self.assertLessEqual(self.move(throttle, 100), 3 * PIECE + SHORTEST)

    def test_a_fast_network_is_no_rain_of_short_waits(self):
        waits = []
        throttle = Throttle(Bandwidth('1G'), clock=self.clock, wait=waits.append)
        for _ in range(1000):
            throttle.spend(64 * 1024)  # 61 us each
            if waits:
                self.clock.now += waits[-1]
                self.assertGreaterEqual(waits.pop(), SHORTEST)

    def test_the_hours_change_on_the_way(self):
        """Also where the hour is set back, or its zone is another one: the present one counts."""
        throttle = self.throttle('100K 08:00-20:00')
        self.assertAlmostEqual(2, self.move(throttle, 2 * RATE), delta=0.2)
        self.hour = 20, 0
        self.clock.now += 1
        self.assertEqual((None, MOST), (throttle.rate, throttle.piece(MOST)))
        self.assertEqual(0, self.move(throttle, 20 * RATE))
        self.hour = 19, 59
        self.clock.now += 1
        self.assertAlmostEqual(2, self.move(throttle, 2 * RATE), delta=0.2)

    def test_at_a_rate_of_almost_nothing_something_goes(self):
        self.assertEqual(1, self.throttle('0.01K').piece(MOST))

    def test_threads_share_it(self):
        """Each has its turn: none goes twice in place of another one."""
        turns = []
        throttle = Throttle(Bandwidth('100K'), clock=lambda: 0, wait=turns.append)

        def spend():
            for _ in range(500):
                throttle.spend(1024)

        threads = [threading.Thread(target=spend) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        turns.sort()
        steps = {round(after - before, 6) for before, after in itertools.pairwise(turns)}
        self.assertEqual({0.01}, steps)
        self.assertAlmostEqual(2000 / 100, turns[-1], delta=0.1)
