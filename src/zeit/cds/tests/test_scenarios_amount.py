"""Scenarios of much: many files, a large one, days without a server, a clock that jumps."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

from zeit.cds import errors, text
from zeit.cds.credentials import Secret
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget


#: Seconds that the one who waits for a process waits.
TIMEOUT = 600

#: Exports, and tells by how many KiB the peak of its memory grew, and how many files it had open.
MEASURED = """
import logging, os, resource, sys
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.credentials import Secret
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import FTPTarget
spool, port, warm = Spool(sys.argv[1]), sys.argv[2], sys.argv[3]
target = FTPTarget.from_options(
    host='127.0.0.1', port=int(port), user='test', password=Secret('testpw'))
opened = []
target.open = lambda real=target.open, **kw: opened.append(real(**kw)) or opened[-1]
exporter = Exporter(spool, target)
logging.disable()
exporter.run_once(Options(order='name', max_files=int(warm)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
descriptors = len(os.listdir('/proc/self/fd'))
report = exporter.run_once(Options(order='name'))
assert report.exit_code == 0, report
assert len(os.listdir('/proc/self/fd')) == descriptors
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(report.delivered), after - before, opened[-1].connections)
"""


class AmountTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path)
        with self.spool.run():
            pass

    def fill(self, number):
        """Make so many files in `new/`, as a publisher who synchronises nothing."""
        for n in range(number):
            (self.path / 'new' / f'{n:06}.xml').write_bytes(b'%d' % n)


class MemoryTests(AmountTests):
    def setUp(self):
        super().setUp()
        self.target = MemoryTarget()

    def export(self, **options):
        with self.assertLogs('zeit.cds', 'INFO') as logs:
            report = Exporter(self.spool, self.target).run_once(Options(**options))
        self.log = '\n'.join(record.getMessage() for record in logs.records)
        return report

    def test_100_after_days_without_a_server_the_queue_is_drained_in_its_order(self):
        names = [f'{n * 7 % 50:02}.xml' for n in range(50)]
        for name in names:
            self.spool.put(name, b'1')
        down = errors.FTPOSError(111, 'Connection refused')
        with unittest.mock.patch.object(self.target, 'open', side_effect=down):
            for _ in range(10):
                self.assertEqual(69, self.export(max_files=20).exit_code)
        self.assertEqual([], self.spool.status().parked)
        drained = []
        for expected in (20, 20, 10):
            report = self.export(max_files=20)
            self.assertEqual((0, expected), (report.exit_code, len(report.delivered)))
            drained += report.delivered
        self.assertEqual(names, drained)

    def test_99_a_correction_comes_after_its_original_and_the_other_files(self):
        self.spool.put('b', b'1')
        self.spool.put('a', b'1')

        def correct(operation, name):
            if (operation, name) == ('publish', 'b'):
                self.target.hook = lambda operation, name: None
                self.spool.put('b', b'2')

        self.target.hook = correct
        self.assertEqual(['b', 'a', 'b'], self.export().delivered)
        self.assertEqual({'a': b'1', 'b': b'2'}, self.target.files)

    def test_102_a_clock_that_jumps_back(self):
        """No decision asks the clock on the wall, so a run in the past or future is like any."""
        now = time.time()
        for jump in (-3600, 3600, -10 * 365 * 86400):
            with self.subTest(jump=jump):
                token = self.orphan()
                self.spool.put('a', b'1')
                os.utime(self.path / 'new' / 'a', (now - jump, now - jump))
                with unittest.mock.patch('time.time', lambda jump=jump: now + jump):
                    report = self.export()
                    (self.path / 'new' / 'waits').touch()
                    (waits,) = self.spool.status().waiting
                    self.assertNotIn('-', text.age(time.time() - waits.arrived))
                self.assertEqual((0, ['a']), (report.exit_code, report.delivered), token)
                self.assertEqual({'a': b'1'}, self.target.files)
                (self.path / 'new' / 'waits').unlink()

    def orphan(self):
        with self.spool.run():
            token = self.spool.journal.new_token(self.target.url)
        self.target.write('write', f'{token} zeit.cds, since 1970-01-01'.encode())
        return token


class ServerTests(layers.ServerTests, AmountTests):
    layer = layers.PYFTPD
    level = 2

    def measure(self, *, warm):
        """Export in a process of its own; return (files, KiB, connections)."""
        run = subprocess.run(
            [sys.executable, '-c', MEASURED, self.path, str(self.server.port), str(warm)],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        self.assertEqual(0, run.returncode, run.stderr)
        return map(int, run.stdout.split())

    def test_37_ten_thousand_small_files_over_one_connection(self):
        self.fill(10_000)
        files, growth, connections = self.measure(warm=1000)
        self.assertEqual((9000, 1), (files, connections))
        self.assertLess(growth, 9000, 'KiB: a kilobyte for each file is too much')
        self.assertEqual(10_000, len(os.listdir(self.server.root)))

    def test_38_a_large_file_in_constant_memory(self):
        self.fill(1)
        with open(self.path / 'new' / 'large', 'wb') as file:
            file.truncate(3 * 1024**3)
        files, growth, _ = self.measure(warm=1)
        self.assertEqual(1, files)
        self.assertLess(growth, 4096, 'KiB')
        self.assertEqual(3 * 1024**3, (self.server.root / 'large').stat().st_size)

    def test_70_a_hundred_thousand_files_wait(self):
        self.fill(100_000)
        target = FTPTarget.from_options(
            host=self.server.host, port=self.server.port, user='test', password=Secret('testpw')
        )
        report = Exporter(self.spool, target).run_once(Options(max_files=3, order='name'))
        # Over several connections; how long it takes is a row of the bench.
        self.assertEqual(['000000.xml', '000001.xml', '000002.xml'], sorted(report.delivered))
        self.assertEqual(99_997, len(os.listdir(self.path / 'new')))
