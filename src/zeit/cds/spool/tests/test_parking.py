"""What the server refuses again and again is put away, with the reason; nothing else is."""

import contextlib
import datetime
import functools
import json
import os
import unittest
import unittest.mock

import zope.component
import zope.component.testing

from zeit.cds import errors
from zeit.cds.cli.console import summary
from zeit.cds.interfaces import ISpool, ITransactionOutcome
from zeit.cds.journal import journal
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.folders import in_memory
from zeit.cds.values import plan
from zeit.cds.values.run_options import Options as Defaults


REFUSED = errors.PermanentError(553, '553 Not that one.')


class ParkingTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = in_memory(self)
        # Here runs are not apart.
        self.enterContext(unittest.mock.patch('zeit.cds.run.failures.APART', 0))
        self.spool = Spool(self.path)
        self.faults = {}
        self.target = MemoryTarget(hook=self.hook)

    def hook(self, operation, name):
        action = self.faults.get(f'{operation} {name}', self.faults.get(operation))
        if isinstance(action, BaseException):
            raise action
        if action is not None:
            action()

    def export(self, **options):
        with self.assertLogs('zeit.cds', 'INFO') as logs:
            exporter = Exporter(self.spool, self.target, wait=lambda seconds: None)
            report = exporter.run_once(Options(**options))
        self.log = '\n'.join(record.getMessage() for record in logs.records)
        return report

    def section(self, name):
        with contextlib.suppress(FileNotFoundError):
            return sorted(n for n in os.listdir(self.path / name) if not n.startswith('.'))
        return []

    def runs(self, number, fine=True, **options):
        """Run so often; return after which of the runs something is parked.

        `fine`: something else comes through in each of them.
        """
        found = []
        for run in range(1, number + 1):
            if fine:
                self.spool.put('fine', b'fine')
            self.export(**options)
            found += [run] if self.section('parked') else []
        return found

    def statuses(self, report):
        return [(result.name, result.status) for result in report.results]


class CountTests(ParkingTests):
    def setUp(self):
        super().setUp()
        self.faults = {'upload a': REFUSED}

    def test_98_after_five_runs_with_the_reason_beside_it(self):
        self.assertEqual(5, Defaults().park_after)
        self.spool.put('a', b'poison')
        for number in range(1, 5):
            self.spool.put(f'b{number}', b'fine')
            report = self.export()
            self.assertEqual((1, [f'b{number}']), (report.exit_code, report.delivered))
            self.assertEqual([], self.section('parked'))
        self.spool.put('b5', b'fine')
        report = self.export()
        self.assertEqual(1, report.exit_code)
        self.assertEqual([('b5', 'delivered'), ('a', 'parked')], self.statuses(report))
        self.assertIn(
            'Parked: a: Refused in 5 runs, most recently: 553 Not that one. '
            f'"zeit-cds retry --spool {self.spool.path} a" brings it back.\n',
            self.log,
        )
        # Each file is counted once.
        self.assertIn('Exiting with errors: 1 file not delivered, 1 delivered.', self.log)
        self.assertEqual('1 file delivered (4 B), 0 failed, 1 parked', summary(report))
        self.assertNotIn('Not delivered: a', self.log)
        self.assertEqual(([], ['a']), (self.section('new'), self.section('parked')))
        self.assertEqual(b'poison', (self.path / 'parked' / 'a').read_bytes())
        ((name, reason),) = self.spool.status().parked
        self.assertEqual('a', name)
        self.assertEqual('Refused in 5 runs, most recently: 553 Not that one.', reason)
        self.assertEqual(0, self.export().exit_code)

    def test_the_number_is_an_option(self):
        self.spool.put('a', b'1')
        self.assertEqual([2, 3], self.runs(3, park_after=2))

    def test_park_after_0_parks_nothing(self):
        self.spool.put('a', b'1')
        self.assertEqual([], self.runs(8, park_after=0))

    def test_a_long_name_has_its_reason_beside_it_too(self):
        name = 'a' * 255
        self.spool.put(name, b'')
        self.export(empty='park')
        self.assertEqual([(name, 'The file is empty.')], self.spool.status().parked)

    def test_the_reason_is_no_file(self):
        """However long the name is: it is not shown, nor brought back, nor sent."""
        for length in (1, 100, 135, 136, 137, 143, 200, *range(245, 256)):
            with self.subTest(length):
                name = 'n' * length
                self.spool.put(name, b'content')
                with self.spool.run():
                    (entry,) = self.spool.pending()[0]
                    self.assertTrue(self.spool.park(entry, 'The reason'))
                    self.assertEqual([(name, 'The reason')], self.spool.status().parked)
                    for parked, _ in self.spool.status().parked:
                        self.spool.retry(parked)
                self.assertEqual([name], os.listdir(self.path / 'new'))
                self.assertEqual([], os.listdir(self.path / 'parked'))
                os.unlink(self.path / 'new' / name)

    def test_a_dry_run_does_not_count(self):
        (self.path / 'new').mkdir()
        (self.path / 'new' / 'write').write_bytes(b'1')
        self.assertEqual([], self.runs(8, dry_run=True))
        self.assertEqual([5], self.runs(5))

    def test_a_correction_starts_anew(self):
        self.spool.put('a', b'1')
        self.assertEqual([], self.runs(4))
        self.spool.put('a', b'2')
        self.assertEqual([5], self.runs(5))

    def test_a_change_in_place_starts_anew(self):
        self.spool.put('a', b'1')
        self.assertEqual([], self.runs(4))
        os.utime(self.path / 'new' / 'a', ns=(0, 12345))
        # In the first run it is the last one: nothing tells whose fault it is.
        self.assertEqual([6], self.runs(6))

    def test_a_delivery_ends_the_count(self):
        self.spool.put('a', b'1')
        self.assertEqual([], self.runs(4))
        fault, self.faults = self.faults, {}
        self.assertEqual(['a'], self.export().delivered)
        self.faults = fault
        os.rename(self.path / 'cur' / 'a', self.path / 'new' / 'a')  # the very same version
        # In the first run it is the last one: nothing tells whose fault it is.
        self.assertEqual([6], self.runs(6))

    def test_each_file_counts_for_itself(self):
        self.spool.put('a', b'1')
        self.runs(3)
        self.faults['upload b'] = REFUSED
        self.spool.put('b', b'2')
        self.assertEqual([2, 3, 4], self.runs(4))
        self.assertEqual((['b'], ['a']), (self.section('new'), self.section('parked')))

    def test_the_last_file_of_a_run_counts_from_the_next_run_on(self):
        """In the first one nothing is stored behind it that would tell."""
        self.spool.put('a', b'1')
        for number in range(6):
            self.assertEqual([], self.section('parked'))
            self.spool.put(f'0{number}', b'fine')
            report = self.export(order='name')
        self.assertEqual([('05', 'delivered'), ('a', 'parked')], self.statuses(report))

    def test_a_run_that_stores_nothing_counts_nothing(self):
        for error in (
            REFUSED,
            errors.PermanentError(550, '550 There is not enough space on the disk.'),
            errors.TemporaryError(450, '450 Busy.'),
            errors.ServerFull(552, '552 Quota.'),
            errors.SizeMismatch('9 bytes were sent, but it has 3'),
            errors.ConnectionLost(104, 'reset'),
        ):
            for strict in False, True:
                self.faults = {'upload': error}
                for name in 'abc':
                    self.spool.put(name, b'1')
                self.assertEqual([], self.runs(3, fine=False, park_after=1, strict=strict))
                self.faults = {}
                self.assertEqual([*'abc'], sorted(self.export(park_after=1).delivered))

    def test_a_server_that_refuses_many_in_a_row_may_be_full(self):
        """Each partner takes away makes room for one more; who waits is not parked for that."""
        names = [f'{number:02}' for number in range(12)]
        for name in names:
            self.spool.put(name, b'1')
        for _ in names:
            room = iter(['one'])
            self.faults = {'upload': lambda room=room: self.full(room)}
            self.assertEqual(1, len(self.export().delivered), self.log)
        self.assertEqual((names, []), (sorted(self.target.files), self.section('parked')))

    def test_nor_if_a_new_one_comes_in_for_each(self):
        for error in (
            errors.PermanentError(550, '550 No space left on device.'),
            errors.ServerFull(552, '552 Quota.'),
            errors.TemporaryError(451, '451 Local error.'),
        ):
            for number in 1, 2, 5:
                with self.subTest(number, error=error):
                    self.faults = {}
                    for n in range(number):
                        self.spool.put(f'a{n}', b'1')
                    for run in range(12):
                        self.spool.put(f'b{run:02}', b'1')
                        room = iter(['one'])
                        self.faults = {'upload': functools.partial(self.full, room, error)}
                        self.assertEqual(1, len(self.export().delivered), self.log)
                    self.assertEqual([], self.section('parked'))
                    self.faults = {}
                    self.assertEqual(number, len(self.export().delivered))

    def full(self, room, error=None):
        if next(room, None) is None:
            raise error or errors.PermanentError(550, '550 Write failed.')

    def test_whatever_is_said_counts_where_another_file_is_stored_after_it(self):
        for error in (
            errors.PermanentError(553, '553 Not that one.'),
            errors.TemporaryError(450, '450 Busy.'),
            errors.ServerFull(552, '552 Too large.'),
            errors.ServerFull(452, '452 Too large.'),
            errors.SizeMismatch('9 bytes were sent, but it has 3'),
            errors.ConnectionLost(104, 'reset'),
            errors.RemoteProtocolError('Nonsense'),
        ):
            for number in 1, 4:
                with self.subTest(number, error=error):
                    bad = [f'a{n}' for n in range(number)]
                    self.faults = {f'upload {name}': error for name in bad}
                    for name in bad:
                        self.spool.put(name, b'1')
                    self.runs(12, park_after=2)
                    self.assertEqual((bad, []), (self.section('parked'), self.section('new')))
                    for name in bad:
                        with self.spool.run():
                            self.spool.retry(name)
                    self.faults = {}
                    self.export()

    def test_strict_waits_for_a_person(self):
        """What would be parked there would let others overtake it."""
        self.spool.put('a', b'1')
        self.spool.put('b', b'2')
        for _ in range(7):
            self.assertEqual([('a', 'failed')], self.statuses(self.export(strict=True)))
        self.faults = {}
        self.assertEqual([*'ab'], self.export(strict=True).delivered)

    def test_names_that_must_not_go(self):
        (self.path / 'new').mkdir()
        for name in ('write', 'a\nb'):
            (self.path / 'new' / name).write_bytes(b'1')
        self.assertEqual([5], self.runs(5, fine=False))
        self.assertEqual(['a\nb', 'write'], self.section('parked'))
        self.assertEqual(0, self.target.opened)
        reasons = dict(self.spool.status().parked)
        self.assertIn('is the one of a lock file', reasons['write'])

    def test_what_the_server_stores_wrongly(self):
        """Only if other files come through: else it is the server's disk that is full."""
        self.faults = {'upload b': errors.SizeMismatch('9 bytes were sent, but it has 3')}
        self.spool.put('b', b'1')
        self.assertEqual([], self.runs(7, fine=False))
        for number in range(5):
            self.assertEqual([], self.section('parked'))
            self.spool.put(f'a{number}', b'fine')
            self.export(order='name')
        self.assertEqual(['b'], self.section('parked'))


class NoFaultOfTheFileTests(ParkingTests):
    """What may happen in any number of runs without a file being parked for it."""

    ERRORS = (
        errors.ConnectionLost(104, 'Connection reset by peer'),
        errors.DataConnectionRefused(111, 'Connection refused'),
        errors.ServiceClosing(0, '421 Service not available.'),
        errors.ReplyLost(sent=1, cause=errors.ConnectionLost(104, 'reset')),
        errors.RemoteProtocolError('Nonsense'),
        errors.FTPOSError(113, 'No route to host'),
        errors.ServerFull(452, '452 No space.'),
        errors.ServerFull(552, '552 Quota exceeded.'),
        errors.DeadlinePassed('The time of this run is used up'),
    )

    def test_on_the_way_to_the_server(self):
        for error in self.ERRORS:
            for where in ('open', 'store', 'upload a', 'publish a'):
                with self.subTest(error=error, where=where):
                    self.faults = {where: error}
                    self.spool.put('a', b'1')
                    self.assertEqual([], self.runs(3, fine=False, park_after=2))

    def test_what_the_server_cannot_do_for_now(self):
        """451: vsftpd, ProFTPD and Pure-FTPd say so of a full disk."""
        self.faults = {'upload': errors.TemporaryError(451, '451 Failure writing to local file.')}
        for name in 'abcdefgh':
            self.spool.put(name, b'1')
        self.assertEqual([], self.runs(7))

    def test_somebody_elses_lock(self):
        self.spool.put('a', b'1')
        self.target.write('write', b'partner')
        self.assertEqual([], self.runs(7))

    def test_what_the_lock_is_refused(self):
        self.spool.put('a', b'1')
        self.target.hook = self.refuse_all_but_looking
        self.assertEqual([], self.runs(7))

    def refuse_all_but_looking(self, operation, name):
        if operation in ('make_directory', 'store'):
            raise errors.PermanentError(550, '550 Permission denied.')

    def test_a_local_file_that_cannot_be_read(self):
        self.spool.put('a', b'1')
        for error in (
            errors.SourceUnreadable('Permission denied'),
            errors.SourceChanged('It changed'),
            errors.SourceGone('It has disappeared'),
        ):
            with unittest.mock.patch.object(self.spool, 'open', side_effect=error):
                self.assertEqual([], self.runs(7))
        self.assertEqual(['a', 'fine'], self.export().delivered)

    def test_a_spool_that_cannot_file(self):
        self.spool.put('a', b'1')
        refused = errors.SpoolError('cur: Input/output error')
        with unittest.mock.patch.object(self.spool, 'done', side_effect=refused):
            self.assertEqual([], self.runs(7))

    def test_the_losses_of_one_run_are_many_attempts_and_no_count(self):
        self.assertGreater(plan.ATTEMPTS, 1)
        self.spool.put('a', b'1')
        self.faults = {'upload a': errors.ConnectionLost(104, 'reset')}
        self.runs(7, fine=False)
        self.faults = {'upload a': REFUSED}
        self.assertEqual([5], self.runs(5))


class UnusableTests(ParkingTests):
    """What is to be parked and cannot be stays where it was, and in nobody's way."""

    def setUp(self):
        super().setUp()
        self.spool.put('fine', b'fine')
        self.export()
        self.parked = self.path / 'parked'

    def assert_others_go(self, name, exit_code=errors.CONFIGURATION, **options):
        for _ in range(2):
            self.spool.put('fine', b'fine')
            report = self.export(**options)
            self.assertEqual((exit_code, ['fine']), (report.exit_code, report.delivered))
            ((failed, reason),) = report.failed
            self.assertEqual(name, failed)
            self.assertRegex(reason, '^It cannot be parked: parked.*(out of the way|nowhere)')
            self.assertEqual([name], self.section('new'))
            self.assertEqual([], os.listdir(self.path / '.cds' / 'filing'))
        os.unlink(self.path / 'new' / name)
        self.assertEqual([], [*journal.history(self.path / '.cds').find(kind='parked')])

    def test_others_go_whatever_a_file_is_to_be_parked_for(self):
        self.parked.write_bytes(b'notes')
        for name, options in ('empty', {'empty': 'park'}), ('write', {'park_after': 1}):
            (self.path / 'new' / name).write_bytes(b'')
            self.assert_others_go(name, **options)
        for fault in errors.TargetExists('There is one.'), REFUSED:
            self.faults = {'upload a': fault}
            self.spool.put('a', b'a')
            self.assert_others_go('a', park_after=1)

    def test_others_go_whatever_is_wrong_with_the_folder(self):
        for make, exit_code in (
            (self.parked.touch, errors.CONFIGURATION),
            (functools.partial(self.parked.symlink_to, 'nowhere'), errors.CONFIGURATION),
            (functools.partial(os.makedirs, self.parked / '.a.parked'), errors.FILES_FAILED),
        ):
            make()
            self.spool.put('a', b'')
            self.assert_others_go('a', exit_code, empty='park')
            if exit_code == errors.CONFIGURATION:
                # Also with nothing to park, or to do.
                self.assertEqual(exit_code, self.export().exit_code)
                with self.assertRaises(errors.SpoolError):
                    self.spool.require_usable()
                self.parked.unlink()

    def test_what_killed_runs_have_left(self):
        with self.spool.batch() as batch:
            batch.put('b', b'older')
            batch.put('c', b'<c/>')
            batch.prepare()
        (self.path / '.cds' / 'filing' / 'a').write_bytes(b'older')
        self.spool.put('a', b'newer')
        self.spool.put('b', b'newer')
        self.parked.touch()
        report = self.export()
        self.assertEqual(errors.CONFIGURATION, report.exit_code)
        self.assertEqual([b'newer', b'<c/>'], [self.target.files.get(name) for name in 'bc'])
        self.assertRegex(self.log, 'b: It cannot be parked: parked/')
        self.assertRegex(self.log, 'Not put back: a: .* cannot be parked: parked/')
        self.parked.unlink()
        self.export()
        self.export()
        self.assertEqual([b'older', b'older'], sorted(self.parked_contents()))
        self.assertEqual(b'newer', self.target.files['a'])

    def parked_contents(self):
        return [(self.parked / name).read_bytes() for name in self.section('parked')]

    def test_one_that_is_in_the_way_of_what_is_brought_back(self):
        self.faults = {'upload a': REFUSED}
        self.spool.put('a', b'1')
        self.runs(5)
        self.spool.put('a', b'2')
        with unittest.mock.patch.object(files, 'candidates', lambda name: iter(['a.later'])):
            (self.parked / '.a.later.parked').mkdir()
            with self.spool.run(), self.assertRaises(errors.NotMoved):
                self.spool.retry('a', older=True)
        self.assertEqual((['a'], ['a']), (self.section('new'), self.section('parked')))
        self.assertEqual([], os.listdir(self.path / '.cds' / 'filing'))


class WhichVersionTests(ParkingTests):
    """What is parked is the version that was refused, and no other."""

    def setUp(self):
        super().setUp()
        self.spool.put('a', b'refused')
        self.faults = {'upload a': REFUSED}
        self.runs(4)

    def with_each_moment(self):
        """Yield patches of what happens between the refusal and the move, one by one."""
        real = Spool.park
        for change in (
            lambda: self.spool.put('a', b'corrected'),
            lambda: os.unlink(self.path / 'new' / 'a'),
        ):

            def park(spool, entry, reason, *, change=change):
                change()
                return real(spool, entry, reason)

            yield unittest.mock.patch.object(Spool, 'park', park)

    def test_a_correction_in_the_last_moment_is_sent(self):
        corrected, _ = self.with_each_moment()
        self.spool.put('fine', b'fine')
        with corrected:
            report = self.export()
        self.assertEqual([('fine', 'delivered'), ('a', 'failed')], self.statuses(report))
        self.assertEqual((['a'], []), (self.section('new'), self.section('parked')))
        self.faults = {}
        self.assertEqual(['a'], self.export().delivered)
        self.assertEqual({'a': b'corrected', 'fine': b'fine'}, self.target.files)

    def test_a_correction_while_it_is_moved(self):
        real, once = os.rename, [True]

        def rename(old, new, **kw):
            real(old, new, **kw)
            if os.fspath(new).endswith('/filing/a') and once:
                once.clear()
                self.spool.put('a', b'corrected')

        self.spool.put('fine', b'fine')
        with unittest.mock.patch('os.rename', rename):
            self.export()
        self.assertEqual(b'refused', (self.path / 'parked' / 'a').read_bytes())
        self.assertEqual(b'corrected', (self.path / 'new' / 'a').read_bytes())

    def test_67_what_has_vanished_meanwhile(self):
        _, vanished = self.with_each_moment()
        self.spool.put('fine', b'fine')
        with vanished:
            report = self.export()
        self.assertEqual(1, report.exit_code)
        self.assertEqual([('fine', 'delivered'), ('a', 'failed')], self.statuses(report))
        self.assertEqual([], self.section('parked'))

    def test_killed_while_it_is_parked(self):
        """It is in new/ or in parked/ afterwards, whatever came last."""

        class Killed(BaseException):
            pass

        for call in ('rename', 'fsync', 'replace'):
            for nth in range(12):
                seen, real = [], getattr(os, call)

                def killed(*args, seen=seen, real=real, nth=nth, **kw):
                    seen.append(args)
                    if len(seen) > nth:
                        raise Killed
                    return real(*args, **kw)

                (entry,) = self.spool.pending()[0]
                with contextlib.suppress(Killed), unittest.mock.patch.object(os, call, killed):
                    with self.spool.run():
                        self.spool.park(entry, 'The reason')
                with self.spool.run():
                    where = self.section('new') + self.section('parked')
                    self.assertEqual(['a'], where, (call, nth))
                    if self.section('parked'):
                        self.spool.retry('a')


class RetryTests(ParkingTests):
    def setUp(self):
        super().setUp()
        self.spool.put('a', b'1')
        self.faults = {'upload a': REFUSED}
        self.runs(5)
        self.assertEqual(['a'], self.section('parked'))

    def retry(self, name='a'):
        with self.spool.run():
            self.spool.retry(name)

    def test_it_is_sent_as_if_nothing_had_been(self):
        self.retry()
        self.assertEqual((['a'], []), (self.section('new'), self.section('parked')))
        self.assertEqual([], os.listdir(self.path / 'parked'))
        self.faults = {}
        self.assertEqual(['a'], self.export().delivered)

    def test_counting_starts_again(self):
        self.retry()
        self.assertEqual([5], self.runs(5))

    def test_what_is_not_parked(self):
        with self.assertRaisesRegex(errors.FileError, 'b is not parked'):
            self.retry('b')

    def test_a_newer_version_waits(self):
        self.spool.put('a', b'2')
        with self.assertRaisesRegex(errors.FileError, 'a newer a waits'):
            self.retry()
        self.assertEqual(b'2', (self.path / 'new' / 'a').read_bytes())
        self.assertEqual(b'1', (self.path / 'parked' / 'a').read_bytes())

    def deliver(self, content):
        faults, self.faults = self.faults, {}
        self.spool.put('a', content)
        self.export()
        self.faults = faults

    def content(self, section):
        return sorted((self.path / section / name).read_bytes() for name in self.section(section))

    def assert_refused(self, name, *words):
        with self.assertRaises(errors.FileError) as caught:
            self.retry(name)
        for each in ('number 1, 1 byte, 20', f'retry --older --spool {self.path} {name}', *words):
            self.assertIn(each, caught.exception.advice)

    def retry_older(self, name):
        with self.spool.run():
            self.assertEqual('a', self.spool.retry(name, older=True))

    def test_not_over_a_newer_delivery(self):
        self.deliver(b'22')
        self.assert_refused('a', 'a newer a was delivered (number 7, 2 bytes, 20')
        self.assertEqual(([], [b'1']), (self.section('new'), self.content('parked')))

    def test_a_retry_over_a_newer_delivery_is_refused_whatever_the_clock_said(self):
        with unittest.mock.patch('zeit.cds.journal.append_log.datetime') as clock:
            then = datetime.datetime(2001, 2, 3, tzinfo=datetime.UTC)
            clock.datetime.now.return_value = then
            self.deliver(b'22')
        self.assert_refused('a', 'a newer a was delivered')

    def test_over_an_older_delivery(self):
        self.deliver(b'2')
        self.retry_older('a')
        self.runs(5)
        self.assertEqual([b'1'], self.content('parked'))
        self.retry()
        self.assertEqual([b'1'], self.content('new'))

    def test_not_over_a_newer_one_that_waits_also_by_a_rename(self):
        (self.path / 'new' / 'a').write_bytes(b'22')
        os.utime(self.path / 'new' / 'a', (1, 1))
        self.assert_refused('a', 'a newer a waits in new/ already (number 7, 2 bytes, 1970-01-01')
        self.assertEqual(([b'22'], [b'1']), (self.content('new'), self.content('parked')))

    def test_over_an_older_one_that_waits(self):
        """A vote that is known late: what was put after it is parked by then."""
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        with self.spool.batch() as batch:
            batch.put('a', b'2')
            batch.prepare(asks=True)
        self.spool.put('a', b'3')
        self.runs(5)
        zope.component.provideAdapter(
            lambda spool: unittest.mock.Mock(committed=lambda doubt: True),
            (ISpool,),
            ITransactionOutcome,
        )
        self.export()
        self.assertEqual(([b'2'], [b'1', b'3']), (self.content('new'), self.content('parked')))
        self.retry(self.section('parked')[1])
        self.assertEqual(([b'3'], [b'1']), (self.content('new'), self.content('parked')))
        self.assertEqual([], self.section('.cds/filing'))

    def test_two_versions_go_out_under_the_one_name_that_they_have(self):
        self.spool.put('a', b'2')
        self.runs(5)
        older, newer = self.section('parked')
        self.assert_refused(older, f'a newer a is parked as {newer} (number 7')
        self.retry(newer)
        self.assertEqual((['a'], [b'2']), (self.section('new'), self.content('new')))
        self.assert_refused(older, 'a newer a waits in new/ already (number 7')
        self.faults = {}
        self.export()
        self.assertEqual(b'2', self.target.files['a'])
        self.retry_older(older)
        self.export()
        self.assertEqual(b'1', self.target.files['a'])
        self.assertEqual([], os.listdir(self.path / 'parked'))

    def test_two_versions_of_a_name_without_room_for_a_time(self):
        name = 'n' * 250
        self.faults = {f'publish {name}': REFUSED}
        for content in (b'1', b'2'):
            self.spool.put(name, content)
            self.runs(5)
        contents = {
            stored: (self.path / 'parked' / stored).read_bytes()
            for stored, _ in self.spool.status().parked
        }
        self.assertEqual([b'1', b'1', b'2'], sorted(contents.values()))
        (newer,) = (stored for stored, content in contents.items() if content == b'2')
        with self.spool.run():
            with self.assertRaisesRegex(errors.FileError, 'is parked as'):
                self.spool.retry(name)
            self.assertEqual(name, self.spool.retry(newer))

    def test_the_older_one_all_the_same_where_a_newer_one_waits(self):
        self.spool.put('a', b'2')
        self.retry_older('a')
        self.assertEqual(([b'1'], [b'2']), (self.content('new'), self.content('parked')))
        self.faults = {}
        self.export()
        # What was brought back was the newest by then.
        (stored,) = self.section('parked')
        with self.assertRaisesRegex(errors.FileError, 'a newer a was delivered'):
            self.retry(stored)

    def test_one_of_which_nothing_is_known(self):
        """A person put it there, or an earlier build did."""
        (self.path / 'parked' / 'b').write_bytes(b'1')
        self.retry('b')
        self.deliver(b'2')
        (self.path / 'parked' / '.a.parked').unlink()
        with self.assertRaisesRegex(errors.FileError, 'without a number'):
            self.retry()

    def test_the_true_name_leads_nowhere_else(self):
        for name in ('../a', '/tmp/a', '.a', '', 5, None, 'a\0'):
            for about in ({'name': name, 'sequence': 1, 'reason': 'x'}, [], name):
                (self.path / 'parked' / '.a.parked').write_text(json.dumps(about))
                if name == 'a\0':
                    continue
                self.assertEqual([('a', '')], self.spool.status().parked)
        self.retry()
        self.assertEqual(['a'], self.section('new'))

    def park_another(self):
        """Park a second version; return its name in `parked/`."""
        self.spool.put('a', b'2')
        self.runs(5)
        (stored,) = set(self.section('parked')) - {'a'}
        return stored

    def test_what_is_said_brings_back_the_version_that_it_is_about(self):
        stored = self.park_another()
        self.assertIn(f'"zeit-cds retry --spool {self.spool.path} {stored}" brings', self.log)
        self.assert_refused('a', f'the newer one: zeit-cds retry --spool {self.path} {stored}.')
        self.retry(stored)
        self.assertEqual([b'2'], self.content('new'))

    def test_a_name_that_may_not_be_the_true_one_is_not_guessed(self):
        stored = self.park_another()
        for beside in '', '{"name": "a"':
            with self.subTest(beside):
                self.path.joinpath('parked', f'.{stored}.parked').write_text(beside)
                with self.assertRaisesRegex(errors.FileError, 'true name') as caught:
                    self.retry(stored)
                self.assertEqual((['a', stored], []), (self.section('parked'), self.section('new')))
        self.assertIn(f'mv -n {self.path}/parked/{stored} ', caught.exception.hint)
        os.rename(self.path / 'parked' / stored, self.path / 'parked' / 'b')
        self.retry('b')
        self.assertEqual(['b'], self.section('new'))

    def test_one_refusal_may_be_enough(self):
        self.spool.put('a', b'2')
        self.assertEqual([1], self.runs(1, park_after=1)[:1])
        reasons = [reason for _, reason in self.spool.status().parked]
        self.assertIn('Refused in 1 run: 553 Not that one.', reasons)

    def test_killed_while_it_is_brought_back(self):
        """It is in new/ or in parked/ afterwards, and what waits is never lost."""

        class Killed(BaseException):
            pass

        for call in ('rename', 'fsync', 'unlink', 'write'):
            for nth in range(25):
                with self.subTest(call, nth=nth):
                    for section in ('new', 'parked', 'cur'):
                        for name in os.listdir(self.path / section):
                            os.unlink(self.path / section / name)
                    self.spool.put('a', b'older')
                    with self.spool.run():
                        self.spool.park(self.spool.pending()[0][0], 'x')
                    self.spool.put('a', b'newer')
                    seen, real = [], getattr(os, call)

                    def killed(*args, seen=seen, real=real, nth=nth, **kw):
                        seen.append(args)
                        if len(seen) > nth:
                            raise Killed
                        return real(*args, **kw)

                    with contextlib.suppress(Killed), unittest.mock.patch.object(os, call, killed):
                        with self.spool.run():
                            self.spool.retry('a', older=True)
                    with self.spool.run():
                        pass
                    there = self.content('new') + self.content('parked')
                    self.assertEqual([b'newer', b'older'], sorted(there))

    def test_a_second_one_of_the_same_name_does_not_hide_the_first(self):
        self.spool.put('a', b'2')
        self.runs(5)
        contents = {(self.path / 'parked' / name).read_bytes() for name in self.section('parked')}
        self.assertEqual({b'1', b'2'}, contents)
        self.assertEqual(2, len([reason for _, reason in self.spool.status().parked if reason]))
