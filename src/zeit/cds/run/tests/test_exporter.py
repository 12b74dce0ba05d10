"""One run, over a target in memory: what is delivered, filed, logged, reported, announced."""

import os
import pathlib
import shutil
import tempfile
import unittest
import unittest.mock

import zope.event

from zeit.cds import errors
from zeit.cds.names import token_of
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.run import CLEAN_UP
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemorySession, MemoryTarget


class ExporterTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path)
        self.target = MemoryTarget(hook=self.hook)
        self.faults = {}
        self.calls = []

    def hook(self, operation, name):
        self.calls.append(f'{operation} {name}'.strip())
        action = self.faults.get(self.calls[-1], self.faults.get(operation))
        if isinstance(action, list):
            action = action.pop(0) if action else None
        if isinstance(action, BaseException):
            raise action
        if action is not None:
            action()

    def export(self, **options):
        """Run; keep the log lines (without the path) in `self.log`."""
        with self.assertLogs('zeit.cds', 'INFO') as logs:
            report = Exporter(self.spool, self.target).run_once(Options(**options))
        lines = [f'{r.levelname} {r.getMessage()}' for r in logs.records]
        self.log = '\n'.join(lines).replace(str(self.path), 'PATH')
        self.records = logs.records
        return report

    def names(self, section):
        return sorted(os.listdir(self.path / section))

    def put(self, *names):
        for name in names:
            self.spool.put(name, name.encode())


class UndisturbedTests(ExporterTests):
    def test_the_log(self):
        self.put('a', 'b')
        report = self.export()
        self.assertEqual((0, ['a', 'b'], None), (report.exit_code, report.delivered, report.error))
        self.assertEqual(
            """\
INFO Accessed filestore PATH
INFO Connecting to CDS FTP server (a directory in memory)
INFO Creating lock file: write
INFO Lock file successfully created: write
INFO Uploading: a
INFO Moved from 'new' to 'cur': a
INFO Uploading: b
INFO Moved from 'new' to 'cur': b
INFO Removing lock file: write
INFO Lock file successfully removed: write
INFO Disconnected from CDS FTP server
INFO Exiting with success.""",
            self.log,
        )
        self.assertEqual(({'a': b'a', 'b': b'b'}, 1), (self.target.files, self.target.closed))

    def test_nothing_to_do_makes_no_connection(self):
        report = self.export()
        self.assertEqual((0, 0), (report.exit_code, self.target.opened))
        self.assertEqual(
            'INFO Accessed filestore PATH\n'
            'INFO No new files to export.\n'
            'INFO Exiting with success.',
            self.log,
        )

    def test_the_journal_disappears_meanwhile_which_is_no_fault_of_the_server(self):
        self.put('a')
        self.faults['store'] = lambda: shutil.rmtree(self.path / '.cds')
        report = self.export()
        self.assertEqual((errors.CONFIGURATION, []), (report.exit_code, report.delivered))
        self.assertEqual({''}, {str(each.server or '') for each in report.errors})
        self.assertNotIn('Error accessing FTP server', self.log)
        self.assertEqual(['a'], self.names('new'))

    def test_the_order(self):
        self.put('c', 'a', 'b')
        self.assertEqual(['c', 'a', 'b'], self.export().delivered)
        self.put('c', 'a', 'b')
        self.assertEqual(['a', 'b', 'c'], self.export(order='name').delivered)

    def test_a_limit(self):
        self.put('a', 'b', 'c')
        report = self.export(max_files=2)
        self.assertEqual((0, ['a', 'b']), (report.exit_code, report.delivered))
        self.assertIn('INFO The limit of this run is reached', self.log)
        self.assertEqual(['c'], self.export().delivered)

    def test_109_a_dry_run_changes_nothing(self):
        self.put('a', 'b')
        self.spool.put('empty', b'')
        before = set(self.calls)
        report = self.export(dry_run=True, empty='park')
        changing = {'store', 'rename', 'delete', 'upload', 'make_directory', 'remove_directory'}
        calls = {call.partition(' ')[::2] for call in set(self.calls) - before}
        # A name of a token that nobody has was never there.
        self.assertEqual({}, {n: c for c, n in calls if c in changing and not token_of(n)})
        self.assertIn('INFO Would upload: a\nINFO Would upload: b', self.log)
        self.assertEqual(['a', 'b', 'empty'], self.names('new'))
        self.assertEqual(0, report.exit_code)

    def test_a_dry_run_keeps_to_the_bounds(self):
        self.put('a', 'bb', 'c')
        for bounds, planned in (
            ({'max_files': 2}, ['a', 'bb']),
            ({'max_bytes': 2}, ['a']),
            ({'max_bytes': 3}, ['a', 'bb']),
        ):
            with self.subTest(bounds):
                report = self.export(dry_run=True, **bounds)
                self.assertEqual(planned, [result.name for result in report.results])
                self.assertIn('INFO The limit of this run is reached', self.log)

    def test_a_dry_run_makes_nothing_in_a_new_spool(self):
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'spool')
        path.mkdir()
        self.spool = Spool(path)
        self.assertEqual(0, self.export(dry_run=True).exit_code)
        self.assertEqual([], os.listdir(path))
        (path / 'new').mkdir()
        (path / 'new' / 'a').write_bytes(b'a')
        self.assertEqual(['a'], [result.name for result in self.export(dry_run=True).results])
        self.assertEqual(['new'], os.listdir(path))
        path.joinpath('new', 'a').unlink()
        path.joinpath('new').rmdir()
        path.rmdir()
        self.assertEqual(78, self.export(dry_run=True).exit_code)

    def test_a_dry_run_sees_a_lock(self):
        self.put('a')
        self.target.write('read', b'')
        self.assertEqual(75, self.export(dry_run=True).exit_code)


class FileTests(ExporterTests):
    def test_98_what_is_refused_does_not_stop_the_others(self):
        self.put('a', 'b', 'c')
        self.faults = {'upload b': errors.PermanentError(553, '553 Not that one.', hint='Ask.')}
        report = self.export()
        self.assertEqual((1, ['a', 'c']), (report.exit_code, report.delivered))
        self.assertEqual([('b', '553 Not that one. Ask.')], report.failed)
        self.assertIn('ERROR Not delivered: b: 553 Not that one. Ask.', self.log)
        self.assertIn('ERROR Exiting with errors: 1 file not delivered, 2 delivered.', self.log)
        self.assertEqual((['b'], ['a', 'c']), (self.names('new'), self.names('cur')))

    def test_98_strict_stops(self):
        self.put('a', 'b', 'c')
        self.faults = {'upload b': errors.PermanentError(553, '553 Not that one.')}
        report = self.export(strict=True)
        self.assertEqual((['a'], ['b', 'c']), (report.delivered, self.names('new')))
        self.assertNotIn('write', self.target.files)

    def test_57_names_that_must_not_go(self):
        self.put('a', 'b')
        for name in ('write', 'READ', 'a\nb'):
            (self.path / 'new' / name).write_bytes(b'x')
        report = self.export()
        self.assertEqual((1, {'a': b'a', 'b': b'b'}), (report.exit_code, self.target.files))
        self.assertEqual({'write', 'READ', 'a\nb'}, {name for name, _ in report.failed})
        self.assertIn(r'ERROR Not delivered: a\nb: The name contains the control', self.log)

    def test_57_only_such_names_make_no_connection(self):
        for section in ('tmp', 'new', 'cur'):
            (self.path / section).mkdir()
        (self.path / 'new' / 'write').write_bytes(b'x')
        self.assertEqual((1, 0), (self.export().exit_code, self.target.opened))

    def test_60_what_is_no_file_is_reported(self):
        self.put('a')
        (self.path / 'new' / 'd').mkdir()
        report = self.export()
        self.assertEqual((0, ['a']), (report.exit_code, report.delivered))
        self.assertIn('WARNING Not sent: d is a directory, not a regular file', self.log)

    def test_62_empty_files(self):
        self.spool.put('empty', b'')
        self.assertEqual([], self.export(empty='skip').delivered)
        self.assertIn('WARNING Not sent: empty is empty', self.log)
        self.assertEqual(['empty'], self.export(empty='send').delivered)
        self.assertIn('WARNING Empty, sent anyway: empty', self.log)
        self.spool.put('empty', b'')
        self.assertEqual(
            (1, 'empty'), (self.export(empty='park').exit_code, self.names('parked')[-1])
        )

    def test_a_file_that_exists_there_is_parked_if_so_wanted(self):
        self.put('a', 'b')
        self.target.write('a', b'theirs')
        self.target.exists = 'park'
        report = self.export()
        self.assertEqual((1, ['b']), (report.exit_code, report.delivered))
        self.assertEqual(({'a': b'theirs', 'b': b'b'}), self.target.files)
        self.assertEqual(['a'], [n for n in self.names('parked') if not n.startswith('.')])

    def test_67_what_has_vanished(self):
        self.put('a', 'b')
        self.faults = {'store': lambda: (self.path / 'new' / 'a').unlink(missing_ok=True)}
        report = self.export()
        self.assertEqual((0, ['b']), (report.exit_code, report.delivered))
        self.assertIn('INFO Disappeared from the spool: a', self.log)

    def test_65_a_correction_is_sent_in_the_same_run(self):
        self.put('a', 'b')
        self.faults = {'publish a': [lambda: self.spool.put('a', b'2')]}
        report = self.export()
        self.assertEqual(['a', 'b', 'a'], report.delivered)
        self.assertEqual({'a': b'2', 'b': b'b'}, self.target.files)
        self.assertIn('INFO A newer version came in meanwhile: a', self.log)
        contents = {(self.path / 'cur' / name).read_bytes() for name in self.names('cur')}
        self.assertEqual({b'a', b'2', b'b'}, contents)

    def test_69_a_name_that_is_in_cur_already(self):
        self.put('a')
        self.export()
        self.put('a')
        (result,) = self.export().results
        self.assertNotEqual('a', result.filed_as)
        self.assertIn(f"Moved from 'new' to 'cur': a (as {result.filed_as})", self.log)

    def test_what_cannot_be_filed_is_sent_again_and_ends_the_run(self):
        self.put('a', 'b')
        refused = errors.SpoolError('cur: Input/output error')
        with unittest.mock.patch.object(self.spool, 'done', side_effect=refused):
            report = self.export()
        self.assertEqual((78, []), (report.exit_code, report.delivered))
        self.assertEqual({'a': b'a'}, self.target.files)
        self.assertEqual(['a', 'b'], self.names('new'))
        self.assertEqual(['a', 'b'], self.export().delivered)


class RunTests(ExporterTests):
    def test_locked(self):
        self.put('a')
        self.target.write('write', b'partner')
        report = self.export()
        self.assertEqual((75, ['a']), (report.exit_code, self.names('new')))
        self.assertTrue(
            self.log.endswith(
                "WARNING Cannot access CDS FTP server as 'write' lockfile exists.\nWARNING Exiting."
            )
        )
        self.assertEqual({'write': b'partner'}, self.target.files)

    def test_no_server(self):
        self.put('a')
        self.faults = {'open': errors.FTPOSError(111, 'Connection refused', hint='Look.')}
        report = self.export()
        self.assertEqual((69, ['a']), (report.exit_code, self.names('new')))
        self.assertIn('ERROR Could not connect to CDS FTP server.\nERROR Exiting with', self.log)
        self.assertIs(report.error, self.records[-1].exc_info[1])

    def test_a_broken_connection_is_tried_again(self):
        self.put('a', 'b')
        self.faults = {'upload a': [errors.ConnectionLost(104, 'Connection reset')]}
        report = self.export()
        self.assertEqual((0, ['a', 'b']), (report.exit_code, report.delivered))
        self.assertIn(
            'INFO Not yet delivered: a: Connection reset\nINFO Uploading: a (att', self.log
        )
        self.assertEqual({'a': b'a', 'b': b'b'}, self.target.files)

    def test_13_a_full_server(self):
        """It is asked about some files only, and begins with others the next time."""
        self.put(*'abcdefgh')
        self.faults = {'upload': errors.ServerFull(452, '452 No space.', hint='Ask.')}
        for tried in 'abch', 'defg':
            report = self.export(order='name')
            self.assertEqual((69, {}), (report.exit_code, self.target.files))
            self.assertEqual([*tried], [result.name for result in report.results])
        self.faults = {}
        self.assertEqual([*'abchdefg'], self.export().delivered)

    def test_13_room_for_another_file(self):
        self.put('a', 'b')
        self.faults = {'upload a': errors.ServerFull(552, '552 That file is too large.')}
        for names in ('b', 'c', 'd'):
            self.put(*names)
            report = self.export()
            self.assertEqual((1, [*names]), (report.exit_code, report.delivered))
        self.assertEqual(69, self.export().exit_code)  # nothing says that it has room at all

    def test_the_lock_is_removed_on_every_way_out(self):
        for interruption in (KeyboardInterrupt, SystemExit, ZeroDivisionError):
            self.put('a')
            self.faults = {'upload a': interruption()}
            with self.assertRaises(interruption):
                self.export()
            self.assertEqual({}, self.target.files)
            self.assertEqual(['a'], self.names('new'))
            self.assertEqual(self.target.opened, self.target.closed)
        self.faults = {}
        self.assertEqual(['a'], self.export().delivered)

    def test_a_lock_that_stays_after_a_signal(self):
        """The signal still ends the process, which tells what is left."""
        for moment in ('upload a', 'delete write'):
            with self.subTest(moment):
                self.put('a')
                refused = [errors.PermanentError(550, '550 No.')] * 3
                self.faults = {'delete write': refused, moment: SystemExit(143)}
                if moment == 'delete write':
                    self.faults[moment] = [SystemExit(143), *refused]
                with self.assertLogs('zeit.cds', 'ERROR') as logs:
                    with self.assertRaises(SystemExit) as raised:
                        Exporter(self.spool, self.target).run_once()
                self.assertEqual(73, raised.exception.code)
                self.assertIn('the next run continues', raised.exception.__notes__[0])
                self.assertIn("'write' could not be removed: 550 No.", logs.output[-1])
                self.assertIn('write', self.target.files)
                self.faults = {}
                self.assertEqual(0, self.export().exit_code)
                self.assertNotIn('write', self.target.files)

    def test_91_a_lock_left_behind(self):
        self.put('a')
        self.faults = {'delete write': errors.PermanentError(550, '550 No.')}
        report = self.export()
        self.assertEqual((73, ['a']), (report.exit_code, report.delivered))
        self.assertIn("The lock file 'write' could not be removed: 550 No.", str(report.error))

    def test_91_both_what_went_wrong_and_the_lock_are_reported(self):
        self.put('a')
        full = errors.ServerFull(452, '452 No space.')
        self.faults = {'upload a': full, 'delete write': errors.PermanentError(550, '550 No.')}
        report = self.export()
        self.assertEqual([full, errors.LockLeftBehind], [report.errors[0], type(report.errors[1])])
        self.assertEqual(73, report.exit_code)

    def test_92_another_run_is_active(self):
        self.put('a')
        with Spool(self.path).run():
            report = self.export()
        self.assertEqual((75, 0), (report.exit_code, self.target.opened))
        self.assertIn('WARNING Another run is active on this spool', self.log)

    def test_no_spool(self):
        self.spool = Spool(self.path / 'missing')
        report = self.export()
        self.assertEqual((78, 0), (report.exit_code, self.target.opened))
        self.assertEqual('ERROR Exiting with exception:', self.log)


class WatchTests(ExporterTests):
    def test_a_lock_that_changes_hands_ends_the_run_after_the_current_file(self):
        """Over each new connection it is looked at again."""
        self.put('a', 'b')

        def steal():
            self.target.files['write'] = b'partner'
            self.session.reconnect()

        opened = self.target.open
        self.faults = {'publish a': steal}

        def open_session(**options):
            self.session = opened(**options)
            return self.session

        with unittest.mock.patch.object(self.target, 'open', open_session):
            report = self.export(order='name')
        self.assertEqual(
            (75, ['a'], ['b']), (report.exit_code, report.delivered, self.names('new'))
        )
        self.assertTrue(report.error.lost)
        self.assertEqual({'a': b'a', 'write': b'partner'}, self.target.files)


class DeadlineTests(ExporterTests):
    """The time of a run is used up."""

    def export_for(self, seconds, *, clock):
        with self.assertLogs('zeit.cds', 'INFO'):
            exporter = Exporter(self.spool, self.target, clock=clock, wait=lambda seconds: None)
            return exporter.run_once(Options(deadline=seconds, order='name'))

    def test_the_run_ends_after_the_current_file(self):
        self.put('a', 'b', 'c')
        now = [0]
        self.faults = {'publish b': lambda: now.__setitem__(0, 100)}
        report = self.export_for(100, clock=lambda: now[0])
        self.assertEqual(
            (69, ['a', 'b'], ['c']), (report.exit_code, report.delivered, self.names('new'))
        )
        self.assertIsInstance(report.error, errors.DeadlinePassed)
        self.assertNotIn('write', self.target.files)

    def bounds(self, bounds):
        def bound(session, seconds, *, ends=False):
            self.assertEqual(seconds == CLEAN_UP, ends)
            bounds.append(seconds)

        return unittest.mock.patch.object(MemorySession, 'bound', bound)

    def test_what_is_left_of_it_bounds_the_waits(self):
        bounds, times, opened = [], iter(range(0, 10_000, 5)), self.target.open

        def open_session(**options):
            bounds.append(options['within'])
            return opened(**options)

        self.put('a')
        with (
            self.bounds(bounds),
            unittest.mock.patch.object(self.target, 'open', open_session),
        ):
            self.export_for(100, clock=lambda: next(times))
        self.assertEqual([CLEAN_UP], bounds[1:])
        self.assertIn(bounds[0], range(1, 100))

    def test_0_switches_it_off(self):
        bounds = []
        self.put('a')
        with self.bounds(bounds):
            report = self.export_for(0, clock=iter(range(0, 10**9, 10**6)).__next__)
        self.assertEqual(([CLEAN_UP], 0), (bounds, report.exit_code))


class EventTests(ExporterTests):
    def setUp(self):
        super().setUp()
        self.events = []
        before = list(zope.event.subscribers)
        self.addCleanup(zope.event.subscribers.__setitem__, slice(None), before)
        zope.event.subscribers.append(self.events.append)

    def test_what_is_told(self):
        self.put('a', 'b')
        self.faults = {'upload a': errors.PermanentError(553, '553 No.')}
        report = self.export()
        *_, exported, finished = self.events  # those of put() come before
        self.assertEqual('b', exported.result.name)
        self.assertIs(report, finished.report)

    def test_115_a_subscriber_that_raises_changes_nothing(self):
        def broken(event):
            raise ZeroDivisionError

        zope.event.subscribers.insert(0, broken)
        self.put('a')
        report = self.export()
        self.assertEqual((0, ['a'], ['a']), (report.exit_code, report.delivered, self.names('cur')))
        self.assertIn('ERROR A subscriber of FileExported failed.', self.log)
