"""Files that come quickly share their fsyncs, and none is open when the lock is released."""

import errno
import itertools
import os
import signal
import threading
import unittest
from unittest import mock

from zeit.cds import errors
from zeit.cds.run import exporter
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.group_commit import FILES, LAG, Group
from zeit.cds.spool import source
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.folders import in_memory


class GroupTests(unittest.TestCase):
    def setUp(self):
        self.now, self.written = 0, []
        self.group = Group(self.written.append, clock=lambda: self.now)

    def add(self, *entries, after=0, **options):
        for entry in entries:
            self.now += after
            self.group.add(entry, **options)

    def test_the_first_one_does_not_wait(self):
        self.add(1)
        self.assertEqual([[1]], self.written)

    def test_what_comes_quickly_does(self):
        self.add(1, 2, 3)
        self.assertEqual([[1]], self.written)
        self.group.flush()
        self.group.flush()
        self.assertEqual([[1], [2, 3]], self.written)

    def test_a_group_has_a_largest_number(self):
        self.add(*range(FILES + 2))
        self.assertEqual([1, FILES], [len(each) for each in self.written])

    def test_a_group_waits_for_a_bounded_time(self):
        self.add(*range(5), after=LAG * 0.6)
        self.assertEqual([[0], [1, 2, 3]], self.written)

    def test_what_comes_slowly_does_not_wait(self):
        self.add(*range(3), after=LAG * 1.1)
        self.assertEqual([[0], [1], [2]], self.written)

    def test_nothing_behind_what_is_alone(self):
        self.add(1, 2)
        self.add(3, alone=True)
        self.assertEqual([[1], [2, 3]], self.written)

    def test_what_could_not_be_written_is_not_tried_again(self):
        def fail(entries):
            raise OSError

        group = Group(fail, clock=lambda: self.now)
        with self.assertRaises(OSError):
            group.add(1)
        group.flush()


class ExportTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.spool = Spool(in_memory(self))
        self.target = MemoryTarget(hook=self.hook)
        self.now, self.faults, self.open = 0, {}, None

    def hook(self, operation, name):
        call = f'{operation} {name}'
        if call == 'delete write':
            self.open = self.uploads()
        if fault := self.faults.get(call):
            fault()

    def uploads(self):
        return sorted(row['name'] for row in self.spool.journal.find('uploads'))

    def receipts(self):
        return [each['name'] for each in remembered.receipts(self.spool.path / '.cds')]

    def export(self, *names, **options):
        for name in names:
            self.spool.put(name, f'This is {name}.'.encode())
        with self.assertLogs('zeit.cds') as logs:
            run = Exporter(self.spool, self.target, clock=lambda: self.now)
            self.report = run.run_once(Options(order='name', **options))
        self.log = [record.getMessage() for record in logs.records]
        return self.report

    def test_nothing_is_open_before_the_lock_is_released(self):
        seen = []
        self.faults['upload d'] = lambda: seen.extend(self.uploads())
        self.assertEqual(0, self.export(*'abcd').exit_code)
        self.assertEqual((['b', 'c'], []), (seen, self.open))
        self.assertEqual([*'abcd'], self.receipts())

    def test_what_has_no_digest_waits_for_no_other_file(self):
        """After a kill nobody could tell that it is what was delivered."""
        opened, seen = Spool.open, []

        def open_without(spool, entry):
            source = opened(spool, entry)
            source.skip_digest()
            return source

        self.faults['upload d'] = lambda: seen.extend(self.uploads())
        with mock.patch.object(Spool, 'open', open_without):
            self.assertEqual(0, self.export(*'abcd').exit_code)
        self.assertEqual([], seen)
        self.assertEqual([*'abcd'], self.receipts())

    def test_the_log_is_in_the_order_of_the_files(self):
        self.export(*'abc')
        about = [line for line in self.log if line.startswith(('Uploading', 'Moved'))]
        pairs = [(f'Uploading: {name}', f"Moved from 'new' to 'cur': {name}") for name in 'abc']
        self.assertEqual([line for pair in pairs for line in pair], about)

    def test_behind_an_error_nothing_is_open(self):
        refused, lost = errors.PermanentError(550, 'No.'), errors.ConnectionLost(104, 'Lost')
        for error in refused, lost, errors.FileError('It is gone.'):
            with self.subTest(error):
                self.setUp()
                seen = []
                self.faults['upload d'] = mock.Mock(side_effect=error)
                self.faults['upload e'] = lambda seen=seen: seen.extend(self.uploads())
                self.export(*'abcde')
                self.assertEqual([*'abce'], self.report.delivered)
                self.assertEqual(([], []), (seen, self.open))

    def test_a_lock_that_is_lost(self):
        def steal():
            self.target.files['write'] = b'partner'
            self.now += 1000  # it is looked at now and then

        self.faults['publish c'] = steal
        self.export(*'abcd')
        self.assertEqual(([*'abc'], 75), (self.report.delivered, self.report.exit_code))
        self.assertEqual(([*'abc'], []), (self.receipts(), self.left()))

    def left(self):
        with self.spool.run():
            return self.uploads()

    def test_a_signal(self):
        def end(number, frame):
            raise SystemExit(143)

        before = signal.signal(signal.SIGTERM, end)
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        self.faults['upload d'] = lambda: os.kill(os.getpid(), signal.SIGTERM)
        with self.assertRaises(SystemExit):
            self.export(*'abcde')
        self.assertEqual(([*'abc'], []), (self.receipts(), self.left()))

    def test_a_large_file_is_not_waited_for(self):
        seen = []
        self.faults['upload d'] = lambda: seen.extend(self.uploads())
        with mock.patch.object(exporter, 'LARGE', 9):
            self.export(*'abcd')
        self.assertEqual([], seen)

    def test_a_history_that_cannot_be_written(self):
        real = os.write

        def write(descriptor, data):
            if b'"delivered"' in data and b'"name": "b"' in data:
                raise OSError(5, 'Input/output error')
            return real(descriptor, data)

        with mock.patch.object(os, 'write', write):
            self.export(*'abc')
        self.assertIn('Input/output error', f'{self.report.error}')
        self.assertEqual(['a'], self.receipts())
        self.assertEqual(['b', 'c'], self.left())
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual(([*'abc'], []), (sorted(self.receipts()), self.left()))

    def synchronised(self, fsync):
        """Export a and b, renamed into new/ by another program; `fsync(name)` is called for each.

        Each takes long.
        """
        real, seconds = os.fsync, itertools.count()

        def slow(descriptor):
            path = os.readlink(f'/proc/self/fd/{descriptor}')
            if '/new/' in path:
                fsync(os.path.basename(path))
            real(descriptor)

        with self.spool.run():
            for name in 'a', 'b':
                (self.spool.path / 'tmp' / name).write_bytes(b'1')
                os.rename(self.spool.path / 'tmp' / name, self.spool.path / 'new' / name)
        clock = mock.Mock(monotonic=lambda: next(seconds))
        with mock.patch.object(os, 'fsync', slow), mock.patch.object(source, 'time', clock):
            return self.export()

    def test_where_an_fsync_takes_long_a_file_is_sent_meanwhile(self):
        began, sent = threading.Event(), threading.Event()

        def fsync(name):
            if name == 'b':
                began.set()
                self.assertTrue(sent.wait(30))

        def publish():
            self.assertTrue(began.wait(30))
            sent.set()

        self.faults['publish b'] = publish
        self.assertEqual([*'ab'], self.synchronised(fsync).delivered)

    def test_what_an_fsync_says_beside_a_file_is_heard(self):
        def fsync(name):
            if name == 'b':
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.assertEqual(['a'], self.synchronised(fsync).delivered)
        self.assertIn('Input/output error', f'{self.report.error}')
        self.assertEqual(['b'], os.listdir(self.spool.path / 'new'))

    def test_fsyncs(self):
        """That of 'uploaded' is each file's own, the others are shared."""
        self.export('first')
        counts, calls, real = [], [], os.fsync
        for number in 1, 1 + FILES, 1 + 2 * FILES:
            for n in range(number):
                self.spool.put(f'{number}-{n}', b'1')
            calls.clear()
            with mock.patch.object(os, 'fsync', lambda each: (calls.append(each), real(each))):
                self.assertEqual(number, len(self.export().delivered))
            counts.append(len(calls))
        alone, *others = counts
        self.assertEqual([alone + n * (FILES + 4) for n in (1, 2)], others)
