"""Two exporters, and each packet of the one is held back while the other one works."""

import contextlib
import logging
import socket
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

# Seconds until a run that does not end is a failure: what waits for it meanwhile, waits as long.
PATIENCE = 60

#: What a run knows of the server from earlier ones: tables of the journal.
KNOWLEDGE = 'rights', 'learned'


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
    #: The path of a URL for the directory.
    directory = '/'
    #: How often the server has ended by itself.
    ended = 0
    rows = ()

    def prepare(self):
        """Find out what a first run gets to know of `server`."""
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.numbers = iter(range(10_000))
        exporter = self.exporter(self.server.port)
        self.assertEqual(0, exporter.run_once().exit_code)
        with exporter.spool.run():
            rows = [exporter.spool.journal.row(kind, exporter.target.url) for kind in KNOWLEDGE]
        self.rows = [row for row in rows if row is not None]

    def exporter(self, port, *, known=0):
        """Return an exporter with a file to send, to the server at the port.

        `known`: so many rows of what there is to be known of the server are so already.
        """
        spool, goal = Spool(in_memory(self)), self.target(port)
        with spool.run():
            for row in self.rows[:known]:
                spool.journal.note(**{**row, 'target': goal.url})
        spool.put(f'file-{next(self.numbers)}', b'content')
        return Exporter(spool, goal, wait=lambda seconds: None)

    def target(self, port):
        """Return the target behind the port."""
        return FTPTarget.from_options(
            host=self.server.host,
            port=port,
            user=self.server.user,
            password=Secret(self.server.password),
            directory=self.directory,
            connections=1,
        )

    def run_beside(self, diary, at, *, known, other):
        """Hold back the packet `at` of one, until another one has ended, or is at `other`.

        `other`: at this packet, INSIDE the lock, or (None) only at its end.  It goes on when the
        first one has the lock, or has ended.  Return the reports, and the packets of the first.
        """
        there = self.server.host, self.server.port
        reports, held, ended = {}, threading.Event(), threading.Event()
        gate, over = threading.Lock(), threading.Event()

        def second():
            reports[2] = self.exporter(behind.port, known=known).run_once()
            held.set()

        def pause():
            with gate:
                if over.is_set():
                    return  # nobody has waited for this packet
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
                with gate:
                    over.set()
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
        self.judge(reports)
        return packets

    def judge(self, reports):
        """One has delivered, and nothing stays."""
        for report in reports:
            self.assertIn(report.exit_code, (0, 75), report)
        self.assertTrue(any(report.exit_code == 0 for report in reports))
        self.assertEqual(set(), self.garbage())

    def test_each_packet_held_back(self):
        contentions = 0
        for known in range(len(self.rows) + 1):
            packets = self.check(None, known=known)
            packets -= 1  # that of QUIT, which nobody waits for
            for at in range(0, packets, self.step):
                for other in (None, INSIDE, *range(packets % self.step, packets, 5 * self.step)):
                    with self.subTest(known=known, at=at, other=other):
                        self.check(at, known=known, other=other)
                        contentions += 1
        self.assertGreaterEqual(contentions - self.ended, 100 // self.step)


class FaultTests(Contention):
    layer = layers.QUIET
    options = {}

    def setUp(self):
        self.server = self.enterContext(FaultServer(**self.options))
        self.prepare()

    def garbage(self):
        """Return what is on the server beside the files."""
        found = {*self.server.files, *self.server.directories}
        return {name for name in found if not name.startswith('/file-')}


class MergingTests(FaultTests, unittest.TestCase):
    """A server that renames a directory onto one that is not empty."""

    options = {'merges': True}
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

    def setUp(self):
        self.server = self.enterContext(self.server_class())
        self.directory = getattr(self.server, 'home', '/').replace('//', '/')
        self.prepare()

    def check(self, at, **arguments):
        if self.garbage():
            self.server.clear()
        if not self.is_there():
            self.server.restart()
        return super().check(at, **arguments)

    def is_there(self):
        """Return whether the server has not ended by itself: see docs/servers.txt."""
        try:
            socket.create_connection((self.server.host, self.server.port), PATIENCE).close()
        except ConnectionRefusedError:
            return False
        return True

    def judge(self, reports):
        """See `Contention`; of a server that has ended, nothing more is expected."""
        if self.is_there():
            super().judge(reports)
        else:
            self.ended += 1

    def garbage(self):
        found = {path.name for path in self.server.root.iterdir()}
        return {name for name in found if not name.startswith('file-')}


for _name, _class in SERVERS.items():
    if _name not in OF_NO_USE:
        _kind = (RealServer, unittest.TestCase)
        _test = f'Test_{_name}'
        globals()[_test] = type(_test, _kind, {'server_class': _class, '__module__': __name__})
del _name, _class, _kind, _test
