"""Two exporters, and each packet of the one is held back while the other one works."""

import contextlib
import logging
import threading
import unittest
from unittest import mock

from zeit.cds.exporter import Exporter
from zeit.cds.lock import Lock
from zeit.cds.lockfiles import HELD
from zeit.cds.settings import Secret
from zeit.cds.spool import Spool
from zeit.cds.target import FTPTarget
from zeit.cds.testing import layers
from zeit.cds.testing.faults import FaultServer
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.relay import Relay


INSIDE = 'inside'

# Seconds until a run that does not end is a failure.
PATIENCE = 60


class Diary:
    """Who held the lock: a list of (token, whether it begins), in the order of time.

    `inside()` is called by each one that has it.
    """

    def __init__(self):
        self.entries = []
        self.inside = bool

    @contextlib.contextmanager
    def recording(self):
        """Inside it every lock is in the diary."""
        create, release = Lock.create, Lock.release

        def noted_create(lock):
            create(lock)
            self.entries.append((lock._token, True))
            self.inside()

        def noted_release(lock):
            if lock._state == HELD and (lock._token, True) in self.entries:
                self.entries.append((lock._token, False))
            return release(lock)

        with mock.patch.object(Lock, 'create', noted_create):
            with mock.patch.object(Lock, 'release', noted_release):
                yield


class Contention:
    """Mixin: `server` has an empty directory /; `litter` says what is in it beside the files."""

    #: Each of so many packets is held back.
    step = 1
    #: What there is to be known of the server before the first run.
    guard = True

    def exporter(self, port, *, known):
        """Return an exporter with a file to send, to the server at the port.

        `known`: an earlier run has found out what there is to be known of the server.
        """
        spool = Spool(in_memory(self))
        goal = FTPTarget.from_options(
            host=self.server.host,
            port=port,
            user=self.server.user,
            password=Secret(self.server.password),
            connections=1,
        )
        if known:
            with spool.run():
                spool.journal.rights(goal.url, known=True, guard=self.guard)
        spool.put(f'file-{next(self.numbers)}', b'content')
        return Exporter(spool, goal, wait=lambda seconds: None)

    def run_beside(self, diary, at, *, known, other):
        """Hold back the packet `at` of one, until another one has ended, or is at `other`.

        `other`: at this packet, INSIDE the lock, or (None) only at its end.  It goes on when the
        first one has the lock, or has ended.  Return the reports, and the packets of the first.
        """
        there = self.server.host, self.server.port
        reports, held, ended = {}, threading.Event(), threading.Event()

        def second():
            reports[2] = self.exporter(behind.port, known=known).run_once()
            held.set()

        def pause():
            thread.start()
            self.assertTrue(held.wait(PATIENCE))

        def stop():
            held.set()
            self.assertTrue(ended.wait(PATIENCE))

        def inside():
            if threading.current_thread() is not thread:
                ended.set()
                if thread.ident is not None:
                    thread.join(PATIENCE)
            elif other == INSIDE:
                stop()

        thread, diary.inside = threading.Thread(target=second), inside
        with Relay(there, hold=at, pause=pause) as before:
            with Relay(there, hold=other, pause=stop) as behind:
                reports[1] = self.exporter(before.port, known=known).run_once()
                ended.set()
                if thread.ident is not None:
                    thread.join(PATIENCE)
        return [*reports.values()], before.packets

    def check(self, at, *, known, other=None):
        diary = Diary()
        with diary.recording():
            reports, packets = self.run_beside(diary, at, known=known, other=other)
        holder = None
        for token, begins in diary.entries:
            self.assertEqual(None if begins else token, holder, diary.entries)
            holder = token if begins else None
        for report in reports:
            self.assertIn(report.exit_code, (0, 75), report.errors)
        self.assertIn(0, [report.exit_code for report in reports])
        self.assertEqual(set(), self.litter())
        return packets

    def test_each_packet_held_back(self):
        contentions = 0
        for known in (True, False):
            packets = self.check(None, known=known)
            for at in range(0, packets, self.step):
                for other in (None, INSIDE, *range(packets % self.step, packets, 5 * self.step)):
                    with self.subTest(known=known, at=at, other=other):
                        self.check(at, known=known, other=other)
                        contentions += 1
        self.assertGreaterEqual(contentions, 100 // self.step)


class FaultTests(Contention):
    layer = layers.QUIET
    options = {}

    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.numbers = iter(range(10_000))
        self.server = self.enterContext(FaultServer(**self.options))
        self.server.user, self.server.password = self.server.login

    def litter(self):
        """Return what is on the server beside the files."""
        found = {*self.server.files, *self.server.directories}
        return {name for name in found if not name.startswith('/file-')}


class MergingTests(FaultTests, unittest.TestCase):
    """A server that renames a directory onto one that is not empty."""

    options = {'merges': True}
    guard = False
    step = 8


class AllMergingTests(MergingTests):
    level = 2
    step = 1


class PosixTests(FaultTests, unittest.TestCase):
    level = 2
