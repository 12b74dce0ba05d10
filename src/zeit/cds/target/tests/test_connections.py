"""Several connections at once, on the fault server: what always holds, holds with them, too."""

import os
import threading
import unittest
from unittest import mock

from zeit.cds.run.exporter import Options
from zeit.cds.target import pool, workers
from zeit.cds.target.pool import Pool
from zeit.cds.testing import faults
from zeit.cds.tests import remembered
from zeit.cds.tests.sampling import SEED, every
from zeit.cds.tests.scenario import PATIENCE, SHORT, Scenario, content, no_threads
from zeit.cds.tests.test_scenarios_sweep import FAULTS


FILES = [f'file-{number}' for number in range(10)]


class Several(Scenario):
    options = {}

    def export(self, *names, **kw):
        return super().export(*names, **{'connections': 4, **self.options, **kw})

    def assert_all(self, report, names=FILES):
        self.assertEqual((0, sorted(names)), (report.exit_code, sorted(report.delivered)), self.log)

    @property
    def stored(self):
        """The connections that files were stored over."""
        return {
            number
            for number, kind, text in self.server.dialogue
            if kind == 'command' and text.startswith('STOR file-')
        }


class NumberTests(Several, unittest.TestCase):
    def test_as_many_as_there_is_work_for(self):
        for files, connections in ((1, 1), (2, 1), (3, 2), (6, 3), (7, 4), (10, 4)):
            with self.subTest(files):
                self.prepare()
                self.assert_all(self.export(*FILES[:files]), FILES[:files])
                self.assertEqual(connections, self.server.connected)

    def test_no_two_attempts_have_the_same_number(self):
        self.export(*FILES)
        numbers = [line.rpartition('-')[2] for line in self.commands('STOR file-')]
        self.assertEqual(len(FILES), len(set(numbers)), numbers)

    def test_a_large_file_has_a_connection_of_its_own_all_the_same(self):
        self.enterContext(mock.patch.object(workers, 'LARGE', len(content(FILES[0]))))
        self.assert_all(self.export(*FILES[:3]), FILES[:3])
        self.assertEqual(3, self.server.connected)

    def test_a_large_file_alone_needs_no_other_connection(self):
        self.enterContext(mock.patch.object(workers, 'LARGE', len(content(FILES[0]))))
        self.assert_all(self.export(FILES[0]), FILES[:1])
        self.assertEqual(1, self.server.connected)

    def commands(self, start):
        return [
            text
            for _, kind, text in self.server.dialogue
            if kind == 'command' and text.startswith(start)
        ]

    def test_no_more_than_wanted(self):
        self.assert_all(self.export(*FILES, connections=2))
        self.assertEqual(2, self.server.connected)

    def test_one_after_the_other_where_order_is_strict(self):
        report = self.export(*FILES, run=Options(order='name', strict=True))
        self.assertEqual((FILES, 1), (report.delivered, self.server.connected))

    def test_a_bound_counts(self):
        report = self.export(*FILES, run=Options(order='name', max_files=4))
        self.assertEqual((FILES[:4], 2), (sorted(report.delivered), self.server.connected))

    def test_they_work_at_the_same_time(self):
        together = threading.Barrier(4)
        wait = faults.Call(lambda event: together.wait(10))
        for number in range(4):
            self.fault('STOR', wait, path=f'/cds/file-{number}*', times=1)
        self.assert_all(self.export(*FILES))
        self.assertEqual({0, 1, 2, 3}, self.stored)

    def test_deliveries_start_in_order(self):
        self.export(*FILES)
        started = [line for line in self.log.splitlines() if line.startswith('Uploading')]
        self.assertEqual([f'Uploading: {name}' for name in FILES], started)

    def test_the_lines_of_a_file_are_in_sequence(self):
        self.export(*FILES)
        lines = self.log.splitlines()
        for name in FILES:
            first, last = f'Uploading: {name}', f"Moved from 'new' to 'cur': {name}"
            self.assertEqual([first, last], [line for line in lines if line in (first, last)])

    def test_all_say_goodbye(self):
        self.export(*FILES)
        self.server.wait_for('QUIT', count=4)

    def test_each_file_has_its_receipt(self):
        self.export(*FILES)
        for name in FILES:
            self.assertEqual(1, len(list(remembered.receipts(self.path / '.cds', name))))


class RefusalTests(Several, unittest.TestCase):
    def refuse(self, verb, reply, *, among):
        """The first file ends when it is known what becomes of the other connections."""
        welcome, ended = {1, 2, 3} - set(among), threading.Semaphore(0)
        end = workers.Workers._ended

        def count(*args):
            end(*args)
            ended.release()

        def wait(event):
            for _ in among:
                self.assertTrue(ended.acquire(timeout=PATIENCE))
            for connection in welcome:
                self.server.wait_for('STOR', connection=connection)

        for connection in among:
            self.fault(verb, faults.Reply(reply), connection=connection)
        self.fault('SIZE', faults.Call(wait), path='*.part', connection=0, times=1)
        with mock.patch.object(workers.Workers, '_ended', count):
            self.assert_all(self.export(*FILES))
        self.assertEqual({0, *welcome}, self.stored)
        self.assertIn('The server refuses another connection', self.log)

    def test_too_many_connections(self):
        self.refuse(faults.GREETING, '421 Too many users.', among=(2, 3))

    def test_too_many_logins(self):
        self.refuse('PASS', '530 Too many logins.', among=(3,))

    def test_no_other_one_at_all(self):
        self.refuse(faults.GREETING, '421 Too many users.', among=(1, 2, 3))
        self.assertIn('1 connection:', self.log)

    def test_turned_away_when_it_is_in(self):
        """It is known before it has a file: that file would be one that is not delivered."""
        for verb in ('TYPE', 'CWD'):
            for action in (faults.Reply('421 Too many.'), faults.Reply('550 Not you.')):
                with self.subTest(verb, action=action):
                    self.prepare()
                    for connection in (1, 2, 3):
                        self.fault(verb, action, connection=connection)
                    self.assert_all(self.export(*FILES))
                    self.assertEqual(4, self.server.connected)
                    self.assertNotIn('Given up', self.log)

    def test_no_thread_for_the_name_of_the_server(self):
        with no_threads(f'resolve {self.server.host}'):
            report = self.export(*FILES)
        self.assert_run(69, '', report)
        self.assertEqual('The system has no more threads', report.errors[0].message)
        self.assert_all(self.export())

    def test_one_that_is_never_answered(self):
        self.assertLessEqual(pool.GRACE, 1.5)
        self.fault(faults.GREETING, faults.Silence(), connection=2)
        with mock.patch.object(pool, 'GRACE', 0.3):
            self.assert_all(self.export(*FILES))
        self.assertLess(self.took, PATIENCE)

    def test_one_that_is_lost_and_not_allowed_in_again(self):
        others = faults.Call(lambda event: self.server.wait_for('TYPE', count=4))
        its_turn = faults.Call(lambda event: self.server.wait_for('STOR', connection=1))
        for number in (0, 2, 3):
            self.fault('SIZE', its_turn, path='*.part', connection=number, times=1)
        self.fault('SIZE', others, faults.Cut(), path='*.part', connection=1, times=1)
        self.fault(faults.GREETING, faults.Reply('421 Too many.'), connection=4)
        self.assert_all(self.export(*FILES))
        self.assertIn('Over another connection', self.log)


class EndTests(Several, unittest.TestCase):
    def test_a_signal_just_before_all_are_ended(self):
        """What a `with` statement calls is protected by nothing until it has begun."""

        def interrupted(pool, *exc_info):
            raise SystemExit(143)

        with (
            mock.patch.object(Pool, '__exit__', interrupted),
            mock.patch.object(Pool, 'end', autospec=True, side_effect=Pool.end) as end,
            self.assertRaises(SystemExit),
        ):
            self.export(*FILES)
        self.assertEqual('<Pool of 0>', repr(end.call_args.args[0]))
        self.assertNotIn('write', self.remote)


class DiskTests(Several, unittest.TestCase):
    def test_a_disk_that_hangs_is_no_fault_of_the_server(self):
        """No connection is given up, however long all have waited for one."""
        hanging, hung = threading.Event(), []
        fsync = os.fsync

        def hang(descriptor):
            if 'journal' in os.readlink(f'/proc/self/fd/{descriptor}') and self.server.connected:
                hung.append(hanging.wait(3 * SHORT['reply_timeout'] if len(hung) < 3 else 0))
            return fsync(descriptor)

        with mock.patch('os.fsync', hang):
            self.assert_all(self.export(*FILES, **SHORT))
        self.assertGreaterEqual(len(hung), 3)
        self.assertEqual(4, self.server.connected, self.log)
        self.assertNotIn('Once more over a new connection', self.log)


class LossTests(Several, unittest.TestCase):
    def test_a_server_that_restarts_under_all_of_them_is_one_loss(self):
        together = threading.Barrier(4)

        def restart(event):
            if together.wait(10) == 0:
                for number in range(4):
                    event.server.fault('SIZE', faults.Cut(), connection=number, times=1)
            together.wait(10)

        for number in range(4):
            name = f'/cds/file-{number}*'
            self.fault('STOR', faults.Call(restart, moment='executed'), path=name, times=1)
        self.assert_all(self.export(*FILES))

    def test_a_file_that_is_refused_stops_no_other_one(self):
        self.fault('STOR', faults.Reply('553 No.'), path='/cds/file-3*')
        report = self.export(*FILES)
        self.assertEqual((1, 9), (report.exit_code, len(report.delivered)))
        self.heal()

    def test_a_full_server_ends_the_run(self):
        self.fault('STOR', faults.Reply('452 Full.'), path='*.part')
        report = self.export(*FILES)
        self.assertEqual((69, []), (report.exit_code, report.delivered))
        self.assertLessEqual(self.log.count('Uploading'), 4 + 3)  # four, and what is under way then
        self.heal()

    def test_the_time_of_a_run_holds_for_all(self):
        self.fault('STOR', faults.StallData(0), path='*.part')
        report = self.export(*FILES, run=Options(order='name', deadline=0.5))
        self.assertEqual((69, []), (report.exit_code, report.delivered))
        self.assertLess(self.took, PATIENCE)

    def test_silence_on_all(self):
        self.fault('SIZE', faults.Silence(), path='*.part')
        # Each connection waits again and again until the run gives up.
        report = self.export(*FILES, garbage=None, **dict.fromkeys(SHORT, 0.1))
        self.assertEqual((69, []), (report.exit_code, report.delivered))
        self.heal()

    def check(self, report, *, garbage):
        if garbage is not None:  # None: what is left is for the next run
            super().check(report, garbage=garbage)

    def test_the_lock_is_taken_over(self):
        files = [f'file-{number}' for number in range(40)]
        for connections in (1, 4):
            with self.subTest(connections):
                self.prepare()
                stolen = threading.Event()

                def steal(event, stolen=stolen):
                    event.server.put('/cds/write', b'partner')
                    stolen.set()

                self.theirs['write'] = b'partner'
                self.fault('STOR', faults.Call(steal), path='/cds/file-1*', times=1)
                wait = faults.Call(lambda event, stolen=stolen: stolen.wait(PATIENCE))
                self.fault('STOR', wait, path='/cds/file-[2-9]*')
                with mock.patch('zeit.cds.lock.lock.WATCH', 0):
                    report = self.export(*files, connections=connections)
                self.assertEqual(75, report.exit_code)
                if connections == 1:  # it is looked at when a connection is free
                    self.assertLess(len(report.delivered), 4)
                self.assertEqual(b'partner', self.remote['write'])

    def test_a_journal_that_cannot_be_written(self):
        fsync, calls = os.fsync, []

        def fail(descriptor):
            if 'journal' in os.readlink(f'/proc/self/fd/{descriptor}'):
                calls.append(descriptor)
                if len(calls) > 6:
                    raise OSError(28, 'No space left on device')
            return fsync(descriptor)

        with mock.patch('os.fsync', fail):
            report = self.export(*FILES, garbage=None)
        self.assertEqual(78, report.exit_code, self.log)
        self.heal()


class Sweep(Several):
    """One fault at many commands of a run."""

    stride = 131

    def test_a_fault_at_every_command(self):
        for offset, (name, action) in enumerate(FAULTS.items()):
            number = (offset * 11 + SEED) % self.stride
            while self.one(name, action, number):
                number += self.stride

    def one(self, name, action, number):
        self.prepare()
        with self.subTest(name, number=number):
            self.plant('file-2')
            self.fault('*', action, nth=number, times=1)
            self.export(*FILES[:6], **self.options)
            self.heal(**self.options)
        return number < len(self.server.commands())


class SweepTests(Sweep, unittest.TestCase):
    pass


class AllTests(Sweep, unittest.TestCase):
    level = 2
    stride = every(9)


class AllWithoutTemporaryTests(Sweep, unittest.TestCase):
    level = 2
    stride = every(9)
    options = {'temporary': False}
