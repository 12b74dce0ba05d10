"""Threads that work for one other thread."""

import contextlib
import signal
import threading
import unittest
from unittest import mock

from zeit.cds.errors import Error, Interrupted
from zeit.cds.pool import DONE, ENDED, READY, Pool
from zeit.cds.testing import layers


TIMEOUT = 10


class Worker:
    """A worker that does what its jobs say: they are functions."""

    def __init__(self, pool, *, opens=lambda: None):
        self.pool = pool
        self.opens = opens
        self.did = []
        self.hurry = threading.Event()

    def open(self):
        self.opens()
        self.did.append('open')

    def work(self, job):
        return job(self)

    def hasten(self):
        self.did.append('hasten')
        self.hurry.set()

    def close(self):
        self.did.append('close')


class PoolTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.groups = []
        self.pool = Pool(together=self.together)

    @contextlib.contextmanager
    def together(self):
        self.groups.append(0)
        yield

    def hire(self, number, **kw):
        workers = [Worker(self.pool, **kw) for _ in range(number)]
        for worker in workers:
            self.pool.hire(worker)
        return workers

    def until(self, kind, number):
        """Return the events until there were so many of this kind."""
        found = []
        while sum(event.kind == kind for event in found) < number:
            found += self.pool.events(timeout=TIMEOUT)
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
        pause = threading.Event()
        while self.pool._happened.qsize() < len(workers):
            pause.wait(0.001)
        return [event.value for event in self.until(DONE, len(workers))]

    def test_a_worker_works_in_a_thread_of_its_own(self):
        with self.pool:
            (worker,) = self.hire(1)
            self.pool.give(worker, lambda worker: threading.get_ident())
            events = self.until(DONE, 1)
        self.assertEqual([READY, DONE], [event.kind for event in events])
        self.assertNotEqual(threading.get_ident(), events[-1].value)
        self.assertEqual(['open', 'hasten', 'close'], worker.did)

    def test_calls_are_executed_in_the_thread_of_the_pool_and_together(self):
        with self.pool:
            workers = self.hire(3)
            self.until(READY, 3)
            found = self.all_call(workers, threading.get_ident)
        self.assertEqual([threading.get_ident()] * 3, found)
        self.assertEqual(1, len(self.groups))

    def test_what_a_call_raises_is_raised_where_it_came_from(self):
        with self.pool:
            workers = self.hire(2)
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
            workers = self.hire(3)
            self.until(READY, 3)
            found = self.all_call(workers, lambda: 'done')
        self.assertEqual(['The disk is full.'] * 3, [str(error) for error in found])

    def test_a_worker_that_cannot_be_opened(self):
        with self.pool:
            (worker,) = self.hire(1, opens=self.fail_at_once)
            (event,) = self.until(ENDED, 1)
        self.assertEqual('No.', str(event.value))
        self.assertEqual(['close'], worker.did)

    def test_a_bug_in_a_worker_is_told(self):
        with self.pool:
            (worker,) = self.hire(1)
            self.pool.give(worker, lambda worker: 1 / 0)
            (event,) = self.until(ENDED, 1)[1:]
        self.assertIsInstance(event.value, ZeroDivisionError)
        self.assertEqual(['open', 'close'], worker.did)

    def test_a_signal_while_a_thread_ends(self):
        join = threading.Thread.join
        calls = []

        def interrupted(thread, *args):
            calls.append(thread)
            if len(calls) == 1:
                raise SystemExit(143)
            join(thread, *args)

        with (
            mock.patch('zeit.cds.pool.LOOK', 0.01),
            mock.patch('threading.Thread.join', interrupted),
            self.assertRaises(SystemExit),
        ):
            with self.pool:
                (worker,) = self.hire(1)
                self.until(READY, 1)
                self.pool.dismiss(worker)
                self.until(ENDED, 1)
        # Somebody has waited for it all the same.
        self.assertEqual(2, len(calls))

    def test_a_signal_that_does_not_end_the_wait(self):
        """The system may let another thread have it; Python's handler waits for the main one."""
        heard, late = threading.Event(), []

        def end(number, frame):
            heard.set()
            raise SystemExit(128 + number)

        def interrupted(worker):
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            late.append(not heard.wait(TIMEOUT))

        self.addCleanup(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, end))
        with self.pool, mock.patch('zeit.cds.pool.LOOK', 0.01):
            workers = self.hire(1)
            self.until(READY, 1)
            self.pool.give(workers[0], interrupted)
            with self.assertRaises(SystemExit):
                self.pool.events()
        self.assertEqual([False], late)

    def test_one_is_dismissed_and_the_other_works_on(self):
        with self.pool:
            first, second = self.hire(2)
            self.pool.dismiss(first)
            self.until(ENDED, 1)
            self.pool.give(second, lambda worker: 'done')
            self.assertEqual('done', self.until(DONE, 1)[-1].value)

    def test_all_end_when_the_pool_is_left_by_an_error(self):
        started = threading.Semaphore(0)

        def job(worker):
            started.release()
            worker.hurry.wait(TIMEOUT)
            return self.pool.call(lambda: 'still answered')

        with self.assertRaises(KeyboardInterrupt), self.pool:
            for worker in self.hire(3):
                self.pool.give(worker, job)
            for _ in range(3):
                started.acquire(timeout=TIMEOUT)
            raise KeyboardInterrupt
        self.assertEqual('<Pool of 0 threads>', repr(self.pool))

    def test_a_signal_while_calls_are_answered(self):
        interrupted = []

        @contextlib.contextmanager
        def interrupt():
            if not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            yield

        answers = []
        self.pool = Pool(together=interrupt)
        with self.assertRaises(KeyboardInterrupt), self.pool:
            (worker,) = self.hire(1)
            self.pool.give(worker, lambda worker: answers.append(self.pool.call(lambda: 1)))
            self.until(DONE, 1)
        self.assertEqual([1], answers)

    def test_a_second_signal_while_all_end(self):
        signals = [KeyboardInterrupt, KeyboardInterrupt]

        @contextlib.contextmanager
        def interrupt():
            if signals:
                raise signals.pop()
            yield

        answers = []
        self.pool = Pool(together=interrupt)
        with self.assertRaises(KeyboardInterrupt), self.pool:
            (worker,) = self.hire(1)
            self.pool.give(worker, lambda worker: answers.append(self.pool.call(lambda: 1)))
            self.until(DONE, 1)
        self.assertEqual(([], [1]), (signals, answers))

    def interrupted_call(self, together, function):
        """Let a worker call `function`; return what came of it, and how often it was called."""
        answers, calls = [], []

        def counted():
            calls.append(1)
            return function()

        def job(worker):
            try:
                answers.append(self.pool.call(counted))
            except Error as error:
                answers.append(error)

        self.pool = Pool(together=together)
        with self.assertRaises(KeyboardInterrupt), self.pool:
            (worker,) = self.hire(1)
            self.pool.give(worker, job)
            self.until(DONE, 1)
        (answer,) = answers
        return answer, len(calls)

    def test_a_signal_at_the_end_of_a_group_is_no_success_of_its_calls(self):
        """What the group does at its end, such as writing to the disk, may not have happened."""
        signals = [KeyboardInterrupt]

        @contextlib.contextmanager
        def interrupt():
            yield
            if signals:
                raise signals.pop()

        answer, calls = self.interrupted_call(interrupt, lambda: 1)
        self.assertIsInstance(answer, Interrupted)
        self.assertEqual(1, calls)

    def test_a_signal_in_a_call_is_no_success_of_it(self):
        signals = [KeyboardInterrupt]

        def interrupt():
            if signals:
                raise signals.pop()

        answer, calls = self.interrupted_call(contextlib.nullcontext, interrupt)
        self.assertIsInstance(answer, Interrupted)
        self.assertEqual(1, calls)

    def test_a_signal_while_a_thread_is_started(self):
        start = threading.Thread.start

        def before(thread):
            raise KeyboardInterrupt

        def after(thread):
            start(thread)
            raise KeyboardInterrupt

        for interrupted, closed in ((before, []), (after, ['close'])):
            with self.subTest(interrupted.__name__), mock.patch('zeit.cds.pool.LOOK', 0.1):
                worker = Worker(self.pool)
                with self.assertRaises(KeyboardInterrupt), self.pool:
                    with mock.patch.object(threading.Thread, 'start', interrupted):
                        self.pool.hire(worker)
                self.assertEqual(closed, worker.did[-1:][: len(closed)])
                self.assertEqual('<Pool of 0 threads>', repr(self.pool))
