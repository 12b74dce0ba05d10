"""Two exporters, and each packet of the one is held back while the other one works."""

import contextlib
import logging
import threading
import unittest
from unittest import mock

from zeit.cds.credentials import Secret
from zeit.cds.lock.lock import Lock
from zeit.cds.lock.lock_files import HELD
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers
from zeit.cds.testing.faults import FaultServer
from zeit.cds.testing.world import SERVERS
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.relay import Relay
from zeit.cds.tests.tour import OF_NO_USE


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
    """Mixin: `server` has an empty directory /; `garbage` says what is in it beside the files."""

    #: Each of so many packets is held back.
    step = 1
    #: What there is to be known of the server before the first run; see the kind 'rights'.
    guard = True
    #: The path of a URL for the directory.
    directory = '/'
    patience = {}
    #: The exit codes of who had the lock.
    inside = (0,)

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
            directory=self.directory,
            connections=1,
            **self.patience,
        )
        if known:
            with spool.run():
                spool.journal.note('rights', target=goal.url, known=True, guard=self.guard)
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
            self.assertIn(report.exit_code, (*self.inside, 75), report)
        self.assertTrue(any(report.exit_code in self.inside for report in reports))
        self.assertEqual(set(), self.garbage())
        return packets

    def test_each_packet_held_back(self):
        contentions = 0
        for known in (True, False):
            packets = self.check(None, known=known)
            packets -= 1  # that of QUIT, which nobody waits for
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

    def garbage(self):
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


class RealServer(Contention):
    """Mixin: `server_class` is one of `zeit.cds.testing.world`."""

    level = 3
    step = 2
    # pyftpdlib loses what is sent before STOR has come, see docs/servers.txt: that is waited for,
    # and the file goes in the next run.
    patience = {'reply_timeout': 5}
    inside = (0, 1)

    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.numbers = iter(range(10_000))
        self.server = self.enterContext(self.server_class())
        self.directory = getattr(self.server, 'home', '/').replace('//', '/')
        exporter = self.exporter(self.server.port, known=False)
        self.assertEqual(0, exporter.run_once().exit_code)
        with exporter.spool.run():
            self.guard = exporter.spool.journal.row('rights', exporter.target.url)['guard']

    def check(self, at, **arguments):
        if not self.server.running:
            self.server.restart()  # see docs/servers.txt: some end by themselves
        return super().check(at, **arguments)

    def garbage(self):
        found = {path.name for path in self.server.root.iterdir()}
        return {name for name in found if not name.startswith('file-')}


for _name, _class in SERVERS.items():
    if _name not in OF_NO_USE:
        _kind = (RealServer, unittest.TestCase)
        _test = f'Test_{_name}'
        globals()[_test] = type(_test, _kind, {'server_class': _class, '__module__': __name__})
del _name, _class, _kind, _test
