"""A limit for the network, with real servers: all connections share it, and nothing else waits."""

import os
import tempfile
import time
import unittest
from unittest import mock

from zeit.cds.ftp.stream import Stream
from zeit.cds.run.exporter import Exporter
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.system.tests.test_throttle import Clock, densest
from zeit.cds.system.throttle import Throttle
from zeit.cds.testing import faults, layers
from zeit.cds.tests.ftps import OverTLS
from zeit.cds.tests.importing import ImportScenario
from zeit.cds.tests.scenario import PATIENCE, Scenario
from zeit.cds.tests.scenario import target as scenario_target
from zeit.cds.tests.test_contract import target
from zeit.cds.values.bandwidth import Bandwidth
from zeit.cds.values.run_options import ImportOptions


RATE = 1024 * 1024

#: Twice what goes in a second, so that several connections work side by side.
FILES = {f'file-{number}.xml': os.urandom(RATE // 4) for number in range(8)}


class Limited:
    """Mixin: the clock is ours, and what goes at each moment is recorded."""

    def setUp(self):
        super().setUp()
        self.spool = Spool(self.enterContext(tempfile.TemporaryDirectory()))
        self.clock = Clock()
        self.marks = []

    def goal(self, **options):
        goal = self.limited_target(connections=4, bandwidth='1M', **options)
        goal.throttle = Throttle(Bandwidth('1M'), clock=self.clock, wait=self.wait)
        return goal

    def wait(self, seconds):
        # Others, whose turn was before, have waited until then.
        self.clock.now = max(self.clock.now, self.clock.now + seconds)

    def recorded(self, method, length):
        """Let a method of streams record what it moves, but for replies."""
        original = getattr(Stream, method)

        def move(stream, *args, **kw):
            moved = original(stream, *args, **kw)
            count = length(moved, *args)
            if count and not kw.get('reply'):
                self.marks.append((self.clock.now, count))
            return moved

        return mock.patch.object(Stream, method, move)

    def assert_limited(self):
        size = sum(map(len, FILES.values()))
        moved = sum(count for _, count in self.marks if count > 200)
        self.assertGreaterEqual(moved, size * 0.95)
        took = self.marks[-1][0] - self.marks[0][0]
        self.assertAlmostEqual(size / RATE, took, delta=0.2)
        self.assertLess(densest(self.marks, 1), RATE * 1.2)
        self.assertLess(densest(self.marks, 0.5), RATE * 0.7)

    def test_uploads(self):
        for name, data in FILES.items():
            self.spool.put(name, data)
        with self.recorded('send', lambda moved, data: len(data)):
            report = Exporter(self.spool, self.goal()).run_once()
        self.assertEqual((0, {*FILES}), (report.exit_code, {*report.delivered}), report.errors)
        for name, data in FILES.items():
            self.assertEqual(data, (self.server.root / name).read_bytes())
        self.assert_limited()

    def test_downloads(self):
        for name, data in FILES.items():
            path = self.server.root / name
            path.write_bytes(data)
            path.chmod(0o666)
            os.utime(path, (1_000_000_000, 1_000_000_000))
        with self.recorded('receive', len):
            report = Importer(self.spool, self.goal()).run_once(ImportOptions())
        self.assertEqual((0, {*FILES}), (report.exit_code, {*report.delivered}), report.errors)
        for name, data in FILES.items():
            self.assertEqual(data, (self.spool.path / 'new' / name).read_bytes())
        self.assert_limited()


class Plain(Limited, layers.ServerTests):
    def limited_target(self, **options):
        return target(self.server, **options)


class PyFTPTests(Plain, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdTests(Plain, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDTests(Plain, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDTests(Plain, unittest.TestCase):
    layer = layers.PUREFTPD


class Vsftpd13Tests(Limited, OverTLS, unittest.TestCase):
    layer = layers.VSFTPD_TLS13

    def limited_target(self, **options):
        return self.tls_target(**options)


class ClockTests(Scenario, unittest.TestCase):
    """With the clock of this machine: it is never faster, however slow the machine is."""

    def put(self, *names):
        for name in names:
            self.offered[name] = os.urandom(150_000)
            self.spool.put(name, self.offered[name])

    def test_four_connections(self):
        marks = []
        write = Stream._write

        def record(stream, data):
            count = write(stream, data)
            marks.append((time.monotonic(), count))
            return count

        with mock.patch.object(Stream, '_write', record):
            report = self.export(*'abcd', bandwidth='600K', connections=4)
        self.assertEqual((0, [*'abcd']), (report.exit_code, sorted(report.delivered)), self.log)
        self.assertGreater(marks[-1][0] - marks[0][0], 600_000 / (600 * 1024) * 0.85)
        self.assertLess(densest(marks, 0.5), 600 * 1024 * 0.8)

    def test_no_time_out_comes_from_it(self):
        """The file takes longer than the time-out, and each 256 KiB of it as well."""
        self.assert_run(0, 'a', self.export('a', bandwidth='150K', data_timeout=0.5))
        self.assertGreater(self.took, 0.75)

    def test_a_refusal_is_heard_while_nothing_goes(self):
        """The server neither reads on nor closes; the network takes all that goes."""
        self.fault('STOR', faults.Abandon('552 Quota exceeded.'), path='*.part')
        report = self.export('a', bandwidth='1K')  # 150 seconds
        self.assertLess(self.took, PATIENCE)
        self.assertIn('552 Quota exceeded', str(report.error))

    def test_the_lock_waits_for_nothing(self):
        def refuse(throttle, count):
            raise AssertionError(count)

        with mock.patch.object(Throttle, 'spend', refuse):
            self.assert_run(0, '', self.export(bandwidth='10K'))
            session = scenario_target(self.server, bandwidth='10K').open()
            self.addCleanup(session.close)
            session.store('write', b'x' * 100)
            self.assertEqual(b'x' * 100, session.read('write'))
            self.assertIn('write', session.names())
            session.delete('write')


class DownloadTests(ImportScenario, unittest.TestCase):
    def test_no_time_out_comes_from_it(self):
        self.server.put('/cds/a', os.urandom(150_000))
        goal = scenario_target(self.server, bandwidth='150K', data_timeout=0.5)
        report = Importer(self.spool, goal, wait=self.time.wait, clock=self.time.clock).run_once()
        self.assertEqual((0, ['a']), (report.exit_code, report.delivered), report.errors)
