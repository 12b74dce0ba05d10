"""Workers that take turns, for one main greenlet."""

import contextlib
import signal
import unittest
from unittest import mock

import greenlet

from zeit.cds.errors import Error, Interrupted
from zeit.cds.system.polling import poll
from zeit.cds.target import pool
from zeit.cds.target.pool import DONE, ENDED, READY, Pool
from zeit.cds.testing import layers


#: Seconds that nothing here takes.
LONG = 60


class Worker:
    """A worker that does what its jobs say: they are functions."""

    def __init__(self, pool, *, opens=lambda: None):
        self.pool = pool
        self.opens = opens
        self.did = []

    def open(self):
        self.opens()
        self.did.append('open')

    def work(self, job):
        return job(self)

    def close(self):
        self.did.append('close')

    def wait(self):
        """Let others go on."""
        poll((), 0)


class PoolTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.groups = []
        self.pool = Pool(together=self.together)

    @contextlib.contextmanager
    def together(self):
        self.groups.append(0)
        yield

    def started(self, number, **kw):
        workers = [Worker(self.pool, **kw) for _ in range(number)]
        for worker in workers:
            self.pool.start(worker)
        return workers

    def until(self, kind, number):
        """Return the events until there were so many of this kind."""
        found = []
        while sum(event.kind == kind for event in found) < number:
            found += self.pool.events()
        return found

    def all_call(self, workers, function):
        """Let all workers call `function` at the same time; return what came of it."""

        def job(worker):
            try:
                return self.pool.call(function)
            except RuntimeError as error:
                return error

        for worker in workers:
            self.pool.give(worker, job)
        return [event.value for event in self.until(DONE, len(workers))]

    def test_a_worker_works_in_a_greenlet_of_its_own(self):
        with self.pool:
            (worker,) = self.started(1)
            self.pool.give(worker, lambda worker: greenlet.getcurrent())
            events = self.until(DONE, 1)
        self.assertEqual([READY, DONE], [event.kind for event in events])
        self.assertNotEqual(greenlet.getcurrent(), events[-1].value)
        self.assertEqual(['open', 'close'], worker.did)

    def test_calls_are_executed_in_the_main_greenlet_and_together(self):
        with self.pool:
            workers = self.started(3)
            self.until(READY, 3)
            found = self.all_call(workers, greenlet.getcurrent)
        self.assertEqual([greenlet.getcurrent()] * 3, found)
        self.assertEqual(1, len(self.groups))

    def test_a_call_waits_for_others_that_come_while_it_would_be_answered(self):
        """Where that takes long: a disk on which an fsync does."""
        now = 0

        @contextlib.contextmanager
        def slow():
            nonlocal now
            yield
            now += LONG
            self.groups.append(0)

        def late(worker):
            for _ in range(5):
                worker.wait()
            return self.pool.call(lambda: 'late')

        self.pool = Pool(together=slow, clock=lambda: now)
        with self.pool:
            first, second = self.started(2)
            self.until(READY, 2)
            self.all_call([first], lambda: 'none comes')
            self.pool.give(second, late)
            self.assertEqual(['early', 'late'], self.all_call([first], lambda: 'early'))
        self.assertEqual(2, len(self.groups))

    def test_what_a_call_raises_is_raised_where_it_came_from(self):
        with self.pool:
            workers = self.started(2)
            self.until(READY, 2)
            found = self.all_call(workers, self.fail_at_once)
        self.assertEqual(['No.', 'No.'], [str(error) for error in found])

    def fail_at_once(self):
        raise RuntimeError('No.')

    def test_what_ends_a_group_is_raised_by_all_of_it(self):
        @contextlib.contextmanager
        def full():
            yield
            raise RuntimeError('The disk is full.')

        self.pool = Pool(together=full)
        with self.pool:
            workers = self.started(3)
            self.until(READY, 3)
            found = self.all_call(workers, lambda: 'done')
        self.assertEqual(['The disk is full.'] * 3, [str(error) for error in found])

    def test_a_worker_that_cannot_be_opened(self):
        with self.pool:
            (worker,) = self.started(1, opens=self.fail_at_once)
            (event,) = self.until(ENDED, 1)
        self.assertEqual('No.', str(event.value))
        self.assertEqual(['close'], worker.did)

    def test_a_bug_in_a_worker_is_told(self):
        with self.pool:
            (worker,) = self.started(1)
            self.pool.give(worker, lambda worker: 1 / 0)
            event = self.until(ENDED, 1)[-1]
        self.assertIsInstance(event.value, ZeroDivisionError)
        self.assertEqual(['open', 'close'], worker.did)

    def test_one_is_finished_and_the_other_works_on(self):
        with self.pool:
            first, second = self.started(2)
            self.pool.finish(first)
            self.until(ENDED, 1)
            self.pool.give(second, lambda worker: 'done')
            self.assertEqual('done', self.until(DONE, 1)[-1].value)

    def test_all_end_when_the_pool_is_left_by_an_error(self):
        answers, ending = [], []

        def job(worker):
            while not ending:
                worker.wait()
            answers.append(self.pool.call(lambda: 'still answered'))

        with self.assertRaises(KeyboardInterrupt), self.pool:
            for worker in self.started(3):
                self.pool.give(worker, job)
            self.until(READY, 3)
            ending.append(True)
            raise KeyboardInterrupt
        self.assertEqual(['still answered'] * 3, answers)
        self.assertEqual('<Pool of 0>', repr(self.pool))

    def test_who_does_not_end_in_time_is_broken_off_and_its_last_words_are_told(self):
        tidied = []

        def job(worker):
            try:
                poll((), LONG)
            finally:
                tidied.append(worker)

        with mock.patch.object(pool, 'GRACE', 0), self.pool:
            (worker,) = self.started(1)
            self.pool.give(worker, job)
            self.until(READY, 1)
            (event,) = self.pool.end()
        self.assertEqual(([worker], worker, ENDED), (tidied, event.worker, event.kind))
        self.assertIsInstance(event.value, Interrupted)
        self.assertEqual('close', worker.did[-1])

    def test_what_broke_off_a_group_is_no_success_of_its_calls(self):
        """What the group does at its end, such as writing to the disk, may not have happened."""
        answers, signals = [], [KeyboardInterrupt]

        @contextlib.contextmanager
        def interrupt():
            yield
            if signals:
                raise signals.pop()

        def job(worker):
            try:
                self.pool.call(lambda: answers.append('once'))
            except Error as error:
                answers.append(type(error))

        self.pool = Pool(together=interrupt)
        with self.assertRaises(KeyboardInterrupt), self.pool:
            (worker,) = self.started(1)
            self.pool.give(worker, job)
            self.until(DONE, 1)
        self.assertEqual(['once', Interrupted], answers)

    def test_a_signal_waits_for_the_end_of_a_group(self):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        answers = []

        def job(worker):
            self.pool.call(lambda: signal.raise_signal(signal.SIGINT))
            answers.append('done')

        with self.assertRaises(KeyboardInterrupt), self.pool:
            (worker,) = self.started(1)
            self.pool.give(worker, job)
            self.until(DONE, 1)
        self.assertEqual((['done'], 1), (answers, len(self.groups)))

    def test_a_second_signal_while_all_end_comes_behind_that(self):
        ending = []

        def job(worker):
            while not ending:
                worker.wait()
            signal.raise_signal(signal.SIGINT)
            worker.wait()
            worker.did.append('all of it')

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        with self.assertRaises(KeyboardInterrupt), self.pool:
            (worker,) = self.started(1)
            self.pool.give(worker, job)
            self.until(READY, 1)
            ending.append(True)
        self.assertEqual(['open', 'all of it', 'close'], worker.did)
