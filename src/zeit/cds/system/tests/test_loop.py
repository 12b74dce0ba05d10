"""Tasks that take turns: who waits, who goes on, and what ends them."""

import os
import select
import signal
import socket
import unittest
from unittest import mock

from zeit.cds.errors import Interrupted
from zeit.cds.system.loop import STALL, TURN, Loop
from zeit.cds.system.polling import LOOP, give_way, now, poll
from zeit.cds.testing import layers


#: Seconds that nothing here takes.
LONG = 60


class LoopCase(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.stalls = 0
        self.loop = self.enterContext(Loop(clock=self.clock))
        self.addCleanup(self.loop.end, 0)
        self.said = []

    def clock(self):
        """A clock that stands still but for stalls, so that no time-out passes by itself."""
        return self.stalls

    def pair(self):
        return map(self.enterContext, socket.socketpair())

    def task(self, function, *args):
        """Let a task call a function, and say what came of it."""

        def live():
            try:
                self.said.append(function(*args))
            except Interrupted as error:
                self.said.append(error)

        return self.loop.start(live)

    def reads(self, sock, *, seconds=LONG):
        """Return what comes in within so many seconds, None if nothing does."""
        return sock.recv(10) if poll([(sock, select.POLLIN)], seconds) else None

    def turns(self):
        while self.loop._tasks:
            self.loop.turn()


class TurnTests(LoopCase):
    def test_who_waits_lets_others_go_on(self):
        first, theirs = self.pair()
        self.task(self.reads, first)
        self.task(theirs.send, b'hello')
        self.turns()
        self.assertEqual([5, b'hello'], self.said)

    def test_the_main_greenlet_waits_like_a_task(self):
        ours, theirs = self.pair()
        self.task(theirs.send, b'hello')
        self.assertEqual(b'hello', self.reads(ours))
        self.assertEqual([5], self.said)

    def test_several_that_are_waited_for_at_once(self):
        ours, theirs = self.pair()
        other, _ = self.pair()
        theirs.send(b'x')
        self.task(poll, [(ours, select.POLLIN), (other, select.POLLIN)], LONG)
        self.turns()
        self.assertEqual([{ours.fileno(): select.POLLIN}], self.said)

    def test_two_that_wait_for_the_same(self):
        ours, theirs = self.pair()
        events = select.POLLIN, select.POLLOUT
        for each in events:
            self.task(poll, [(ours, each)], LONG)
        self.loop.turn(0)
        self.loop.turn(0)
        self.assertEqual([{ours.fileno(): select.POLLOUT}], self.said)
        theirs.send(b'x')
        self.turns()
        self.assertEqual({ours.fileno(): select.POLLIN}, self.said[1])

    def test_time_that_is_up(self):
        ours, _ = self.pair()
        self.task(self.reads, ours)
        self.loop.turn(0)
        self.stalls += STALL
        self.loop.turn(0)
        self.assertEqual([], self.said)
        for _ in range(int(LONG / STALL)):
            self.stalls += STALL
            self.loop.turn(0)
        self.assertEqual([None], self.said)

    def test_who_works_for_long_gives_way(self):
        def work(name):
            for n in range(4):
                self.said.append((name, n))
                self.stalls += TURN / 2
                give_way()

        self.task(work, 'a')
        self.task(work, 'b')
        self.turns()
        order = [name for name, *_ in filter(None, self.said)]
        self.assertEqual('aabbaabb', ''.join(order))

    def test_who_pauses_goes_on_when_somebody_wakes_it(self):
        task = self.task(self.loop.pause)
        self.loop.turn()
        self.loop.turn(0)
        self.assertEqual([], self.said)
        self.loop.wake(task)
        self.loop.turn()
        self.assertEqual([None], self.said)

    def test_outside_of_it_poll_waits_by_itself(self):
        self.loop.__exit__()
        ours, theirs = self.pair()
        theirs.send(b'hello')
        self.assertEqual(b'hello', self.reads(ours))
        self.assertIsNone(self.reads(ours, seconds=0))
        self.assertIsNone(LOOP.get())

    def test_a_loop_within_another_one(self):
        ours, theirs = self.pair()

        def inner():
            with Loop() as loop:
                loop.start(lambda: self.said.append(self.reads(ours)))
                while not self.said:
                    loop.turn()
            return LOOP.get()

        theirs.send(b'hello')
        self.task(inner)
        self.turns()
        self.assertEqual([b'hello', self.loop], self.said)

    def test_what_a_task_raises_is_raised_by_the_turn(self):
        self.loop.start(lambda: 1 / 0)
        self.assertRaises(ZeroDivisionError, self.loop.turn)
        self.assertEqual('<Loop of 0 tasks>', repr(self.loop))


class StallTests(LoopCase):
    """A disk hangs, and all wait for one."""

    def test_it_does_not_count(self):
        silent, _ = self.pair()
        self.task(self.reads, silent)
        self.loop.turn(0)
        self.stalls += 10 * LONG
        self.loop.turn(0)
        self.assertEqual([], self.said)
        self.assertLess(now(), 2 * STALL)

    def test_nor_where_a_task_of_the_same_turn_takes_so_long(self):
        """What was ready beside it has a second step, whose time is not up."""

        def stall():
            self.stalls += 10 * LONG

        def is_in_time(sock):
            until = now() + LONG
            self.reads(sock)
            return now() < until

        for _ in range(2):
            ours, theirs = self.pair()
            theirs.send(b'x')
            self.task(is_in_time, ours)
            self.task(stall)
        self.turns()
        self.assertEqual([None, None, True, True], self.said)


class EndTests(LoopCase):
    def test_who_does_not_end_cannot_wait_any_more(self):
        ours, _ = self.pair()

        def stubborn():
            try:
                self.reads(ours)
            finally:
                try:
                    self.loop.pause()
                finally:
                    self.said.append('finally')

        self.task(stubborn)
        self.task(self.loop.pause)
        self.task(self.reads, ours)  # not begun yet
        self.loop.turn(0)
        self.loop.end(0)
        self.assertEqual('<Loop of 0 tasks>', repr(self.loop))
        self.assertEqual(['finally'], [each for each in self.said if each == 'finally'])
        self.assertEqual(3, sum(isinstance(each, Interrupted) for each in self.said))

    def test_who_ends_in_time_is_not_broken_off(self):
        ours, theirs = self.pair()
        self.task(self.reads, ours)
        self.loop.turn(0)
        self.loop.end(LONG, each=lambda: theirs.send(b'bye'))
        self.assertEqual([b'bye'], self.said)


class SignalTests(LoopCase):
    def setUp(self):
        self.heard = []
        before = signal.signal(signal.SIGTERM, lambda number, frame: self.hear())
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        super().setUp()

    def hear(self):
        self.heard.append(self.loop.current)
        raise SystemExit(143)

    def test_in_a_task_it_waits_for_the_main_greenlet(self):
        def work():
            signal.raise_signal(signal.SIGTERM)
            return 'done'

        self.task(work)
        self.task(work)
        self.assertRaises(SystemExit, self.turns)
        self.assertEqual(['done'], self.said)
        self.turns_with_signals()
        self.assertEqual({self.loop.current}, {*self.heard})
        self.assertEqual(['done', 'done'], self.said)

    def turns_with_signals(self):
        while self.loop._tasks:
            try:
                self.loop.turn()
            except SystemExit:
                pass

    def test_in_the_main_greenlet_it_does_what_it_always_does(self):
        with self.assertRaises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
        self.assertEqual([self.loop.current], self.heard)

    def test_while_all_wait(self):
        ours, _ = self.pair()
        self.task(self.reads, ours)
        self.loop.turn(0)
        poller, self.loop._poller = self.loop._poller, mock.Mock()
        self.loop._poller.poll = lambda seconds: signal.raise_signal(signal.SIGTERM)
        self.assertRaises(SystemExit, self.loop.turn)
        self.loop._poller = poller
        self.loop.end(0)
        self.assertEqual(1, len(self.said))

    def test_the_handlers_before_are_there_again(self):
        self.loop.__exit__()
        with self.assertRaises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
        self.assertIsNot(self.loop.undisturbed, signal.getsignal(signal.SIGTERM))


class ForkTests(LoopCase):
    def test_in_a_child_nothing_goes_on(self):
        ours, theirs = self.pair()
        self.task(self.reads, ours)
        self.loop.turn(0)
        pid = os.fork()
        if not pid:
            code = 1
            try:
                for call in (
                    lambda: self.loop.turn(0),
                    lambda: self.reads(theirs, seconds=0),
                    lambda: self.loop.pause(),
                ):
                    try:
                        call()
                    except Interrupted:
                        code += 1
                self.loop.end(0)
                code += 10 * len(self.said)
            finally:
                os._exit(code)
        self.assertEqual(4, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        theirs.send(b'here')
        self.turns()
        self.assertEqual([b'here'], self.said)
