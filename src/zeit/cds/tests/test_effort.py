"""When a connection is busy, and when it waits."""

import threading
import time
import unittest

from zeit.cds.effort import BUSY, SPAN, Effort


class EffortTests(unittest.TestCase):
    def setUp(self):
        self.now = self.worked = 0
        self.effort = Effort(clock=lambda: self.now, worked=lambda: self.worked)

    def live(self, seconds, *, share):
        self.now += seconds
        self.worked += seconds * share

    def test_the_first_answer_is_about_everything_before(self):
        self.live(SPAN / 10, share=BUSY * 0.9)
        self.assertTrue(self.effort.waits())

    def test_work(self):
        self.live(SPAN / 10, share=BUSY * 1.1)
        self.assertFalse(self.effort.waits())

    def test_a_hiccup_is_not_noticed(self):
        self.live(SPAN, share=1)
        self.assertFalse(self.effort.waits())
        self.live(SPAN / 2, share=0)
        self.assertFalse(self.effort.waits())
        self.live(SPAN, share=1)
        self.assertFalse(self.effort.waits())

    def test_a_change_is_noticed_soon_however_long_it_was_otherwise(self):
        self.live(3600, share=1)
        self.assertFalse(self.effort.waits())
        self.live(2 * SPAN, share=0)
        self.assertTrue(self.effort.waits())

    def test_what_other_threads_do_does_not_count(self):
        def work():
            while time.thread_time() < 0.05:
                pass

        effort = Effort()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertTrue(effort.waits())
