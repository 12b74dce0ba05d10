"""asyncio goes on while somebody waits, whoever that is, and nobody else notices."""

import asyncio
import contextlib
import os
import signal
import time
import unittest

from zeit.cds.network.deadline import Deadline
from zeit.cds.sftp.event_loop import LOOKS, EventLoop
from zeit.cds.system.loop import Loop
from zeit.cds.system.polling import poll
from zeit.cds.testing import layers


#: Seconds that nothing here takes.
LONG = 60


def sockets():
    """Return the sockets that this process has open, as the system calls them."""
    found = []
    for name in os.listdir('/proc/self/fd'):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f'/proc/self/fd/{name}'))
    return [each for each in found if each.startswith('socket:')]


class EventLoopCase(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.events = EventLoop()
        self.addCleanup(self.events.end)

    def run_it(self, awaitable, *, seconds=LONG):
        return self.events.run(awaitable, seconds=seconds, deadline=Deadline())


class AloneTests(EventLoopCase):
    def test_what_is_awaited_comes(self):
        async def answer():
            await asyncio.sleep(0.001)
            return 42

        self.assertEqual(42, self.run_it(answer()))

    def test_what_it_raises_is_raised(self):
        async def fail():
            raise KeyError('x')

        with self.assertRaises(KeyError):
            self.run_it(fail())

    def test_what_takes_too_long_is_cancelled_and_releases_what_it_has(self):
        said = []

        async def hang():
            try:
                await asyncio.sleep(LONG)
            finally:
                said.append('released')

        with self.assertRaises(TimeoutError):
            self.run_it(hang(), seconds=0.01)
        self.assertEqual(['released'], said)

    def test_in_a_coroutine_of_the_application(self):
        """That waits meanwhile, as for everything that is no coroutine, and goes on afterwards."""

        async def answer():
            await asyncio.sleep(0.001)
            return asyncio.get_running_loop()

        async def application():
            before = asyncio.get_running_loop(), asyncio.current_task()
            found = self.run_it(answer())
            self.assertIsNot(before[0], found)
            self.assertEqual(before, (asyncio.get_running_loop(), asyncio.current_task()))
            await asyncio.sleep(0)
            return 'went on'

        self.assertEqual('went on', asyncio.run(application()))

    def test_a_signal_does_not_come_in_the_middle_of_a_piece_of_work(self):
        said = []

        class Signal(BaseException):
            pass

        def handle(number, frame):
            raise Signal

        before = signal.signal(signal.SIGTERM, handle)
        self.addCleanup(signal.signal, signal.SIGTERM, before)

        async def work():
            os.kill(os.getpid(), signal.SIGTERM)
            said.append('was not broken off')
            await asyncio.sleep(LONG)

        with self.assertRaises(Signal):
            self.run_it(work())
        self.assertEqual(['was not broken off'], said)

    def test_a_child_has_none_of_its_descriptors(self):
        self.assertTrue(sockets())
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, ' '.join(sockets()).encode())
            os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        with open(reading, 'rb') as pipe:
            self.assertEqual(b'', pipe.read())


class TogetherTests(EventLoopCase):
    def setUp(self):
        super().setUp()
        self.loop = self.enterContext(Loop())
        self.addCleanup(self.loop.end, 0)
        self.said = []

    def task(self, name, awaitable):
        def live():
            try:
                self.said.append((name, self.run_it(awaitable)))
            except Exception as error:  # noqa: BLE001 it is what came of it
                self.said.append((name, type(error).__name__))

        return self.loop.start(live)

    def turn_until(self, count):
        while len(self.said) < count:
            self.loop.turn(1)

    def test_whoever_leads_ends_first_and_the_others_go_on(self):
        gate = asyncio.Event()

        async def first():
            await asyncio.sleep(0.001)
            return 1

        async def second():
            await gate.wait()
            return 2

        async def third():
            while not self.said:
                await asyncio.sleep(0.001)
            gate.set()
            return 3

        for name, made in zip('abc', (first, second, third), strict=True):
            self.task(name, made())
        self.turn_until(3)
        self.assertEqual({('a', 1), ('b', 2), ('c', 3)}, {*self.said})
        self.assertEqual('a', self.said[0][0])

    def test_whoever_leads_goes_on_at_once_when_another_one_has_done_it(self):
        """That one may not have waited for asyncio at all, as for a port that refuses."""
        done, began = [], time.monotonic()

        def waits():
            self.events.wait(lambda: done, seconds=LONG, deadline=Deadline())
            self.said.append('went on')

        def does():
            poll((), 0.01)
            done.append(True)
            self.events.progress()

        for each in waits, does:
            self.loop.start(each)
        self.turn_until(1)
        self.assertLess(time.monotonic() - began, LONG / 2)

    def test_whoever_would_lead_next_may_have_come_to_its_end_at_the_same_time(self):
        both, began = asyncio.Event(), time.monotonic()

        async def third():
            await asyncio.sleep(0.01)
            both.set()
            await asyncio.sleep(0.01)
            return 3

        for name, awaitable in (('a', both.wait()), ('b', both.wait()), ('c', third())):
            self.task(name, awaitable)
        self.turn_until(3)
        self.assertEqual(['a', 'b', 'c'], [name for name, _ in self.said])
        self.assertLess(time.monotonic() - began, LOOKS / 2)

    def test_the_main_greenlet_may_wait_as_well(self):
        gate = asyncio.Event()

        async def slow():
            await gate.wait()
            return 'slow'

        async def fast():
            await asyncio.sleep(0.001)
            return 'fast'

        async def open_gate():
            gate.set()

        self.task('task', slow())
        self.loop.turn(0)
        self.assertEqual('fast', self.run_it(fast()))
        self.assertEqual([], self.said)
        self.run_it(open_gate())
        self.turn_until(1)
        self.assertEqual([('task', 'slow')], self.said)

    def test_meanwhile_no_loop_runs_for_others(self):
        async def hang():
            await asyncio.sleep(0.01)

        def look():
            try:
                asyncio.get_running_loop()
                self.said.append('one runs')
            except RuntimeError:
                self.said.append('none runs')
            self.said.append(asyncio.run(asyncio.sleep(0, 'another may run')))

        self.task('task', hang())
        self.loop.turn(0)
        self.loop.start(look)
        self.turn_until(3)
        self.assertEqual(['none runs', 'another may run'], self.said[:2])

    def test_what_is_left_until_all_wait_is_done_once_for_all(self):
        gate, wanted, done = asyncio.Event(), [], []

        def do():
            done.append([*wanted])
            gate.set()

        def ask():
            wanted.append(1)
            self.events.before_wait(do)
            self.said.append(self.run_it(gate.wait()))

        for _ in range(3):
            self.loop.start(ask)
        self.turn_until(3)
        self.assertEqual([[1, 1, 1]], done)

    def test_what_is_under_way_at_the_end_of_the_run_ends(self):
        async def hang():
            await asyncio.sleep(LONG)

        for name in 'ab':
            self.task(name, hang())
        self.loop.turn(0)
        self.loop.end(0)
        self.assertEqual({('a', 'Interrupted'), ('b', 'Interrupted')}, {*self.said})
