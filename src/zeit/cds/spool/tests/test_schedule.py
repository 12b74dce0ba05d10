"""Priority, embargo and expiry: what goes when, whatever clocks, kills and other programs do."""

import datetime
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
import zoneinfo

import transaction

from zeit.cds import errors
from zeit.cds.cli.tests.test_command_line import ServerCase
from zeit.cds.journal.append_log import JSONLog
from zeit.cds.monitoring import freshness, metrics
from zeit.cds.publish.outbox import Outbox
from zeit.cds.run import exporter
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool import sharing
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.remembered import history, receipts
from zeit.cds.tests.scenario import Scenario


#: Noon of a day in winter, in Hamburg and elsewhere.
NOON = datetime.datetime(2026, 12, 1, 11, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


class ScheduleCase(unittest.TestCase):
    """A spool whose clock is ours: it is noon."""

    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.now = NOON
        self.spool = self.new_spool()
        self.target = MemoryTarget()

    def new_spool(self):
        """Return the spool as another process has it."""
        return Spool(self.path, clock=lambda: self.now.timestamp())

    def export(self, **options):
        """Run; return what became of each file, by name, in the order of the run."""
        with self.assertLogs('zeit.cds', 'INFO') as logs:
            self.report = Exporter(self.new_spool(), self.target).run_once(Options(**options))
        self.log = '\n'.join(f'{r.levelname} {r.getMessage()}' for r in logs.records)
        self.assertEqual(0, self.report.exit_code, self.report.errors)
        return {result.name: result.status for result in self.report.results}

    def reason(self, name):
        return next(each.reason for each in self.report.results if each.name == name)

    def names(self, section):
        path = self.path / section
        return sorted(os.listdir(path)) if path.exists() else []


class PriorityTests(ScheduleCase):
    def test_what_is_urgent_goes_first(self):
        self.spool.put('a', b'1', priority=-1)
        self.spool.put('b', b'1')
        self.spool.put('c', b'1', priority=10)
        self.spool.put('flash-d', b'1')
        self.assertEqual(['c', 'flash-d', 'b', 'a'], [*self.export(priority='flash-*=5')])

    def test_the_order_by_name_is_kept_among_equals(self):
        for name in ('c', 'b', 'a'):
            self.spool.put(name, b'1', priority=1 if name == 'c' else 0)
        self.assertEqual(['c', 'a', 'b'], [*self.export(order='name')])

    def test_a_correction_has_its_own(self):
        self.spool.put('a', b'1', priority=10)
        self.spool.put('b', b'1')
        self.spool.put('a', b'2')
        self.assertEqual(['b', 'a'], [*self.export()])

    def test_within_the_bounds_of_a_run_it_is_the_one_that_goes(self):
        for number in range(3):
            self.spool.put(f'{number}', b'1')
        self.spool.put('urgent', b'1', priority=1)
        self.assertEqual(['urgent'], self.target_of(self.export(max_files=1)))

    def target_of(self, found):
        return [name for name, status in found.items() if status == 'delivered']

    def test_what_is_none(self):
        for priority, kind in (
            ('1', TypeError), (True, TypeError), (1.5, TypeError), (None, TypeError),
            (1001, ValueError), (-1001, ValueError),
        ):  # fmt: skip
            with self.subTest(priority), self.assertRaisesRegex(kind, 'The priority is'):
                self.spool.put('a', b'1', priority=priority)
        self.assertEqual([], self.names('new'))

    def overtake(self, *put, **options):
        """Run; what `put` has comes while the first file is sent.  Return what is delivered."""
        clock = iter(range(0, 10**6, exporter.LOOK))

        def come(operation, name):
            if operation == 'upload':
                self.target.hook = lambda operation, name: None
                for each, about in put:
                    self.new_spool().put(each, b'2', **about)

        for number in range(4):
            self.spool.put(f'{number}', b'1', content='x' if number == 2 else '')
        self.target.hook = come
        with self.assertLogs('zeit.cds', 'INFO'):
            run = Exporter(self.new_spool(), self.target, clock=lambda: next(clock))
            report = run.run_once(Options(deadline=0, **options))
        self.assertEqual(0, report.exit_code, report.errors)
        return report.delivered

    def test_what_comes_during_the_run_overtakes_what_waits(self):
        expected = ['0', 'c', 'b', '1', '2', '3']
        put = ('a', {}), ('b', {'priority': 1}), ('c', {'priority': 2}), ('d', {'priority': -1})
        self.assertEqual(expected, self.overtake(*put))
        self.assertEqual(['a', 'd'], [*self.export()])

    def test_by_its_name(self):
        self.assertEqual(['0', 'a', '1', '2', '3'], self.overtake(('a', {}), priority='a=5'))

    def test_it_overtakes_nothing_of_its_content(self):
        put = ('a', {'priority': 1, 'content': 'x'})
        self.assertEqual(['0', '2', 'a', '1', '3'], self.overtake(put))

    def test_a_correction_that_is_urgent(self):
        self.assertEqual(['0', '3', '1', '2'], self.overtake(('3', {'priority': 1})))
        self.assertEqual(b'2', self.target.files['3'])

    def test_of_what_is_sent_at_that_moment(self):
        self.assertEqual(['0', '0', '1', '2', '3'], self.overtake(('0', {'priority': 1})))
        self.assertEqual(b'2', self.target.files['0'])

    def test_what_is_urgent_and_embargoed(self):
        put = ('a', {'priority': 1, 'not_before': NOON + HOUR})
        self.assertEqual(['0', '1', '2', '3'], self.overtake(put))

    def test_parked_and_brought_back(self):
        self.spool.put('a', b'', priority=7, not_after=NOON + HOUR)
        with self.assertLogs('zeit.cds', 'INFO'):
            report = Exporter(self.spool, self.target).run_once(Options(empty='park'))
        self.assertEqual(['parked'], [each.status for each in report.results])
        self.spool.retry('a')
        (entry,), _ = self.spool.pending()
        self.assertEqual((7, (NOON + HOUR).isoformat()), (entry.priority, entry.not_after))


class SeveralConnectionsTests(Scenario, unittest.TestCase):
    """What is urgent comes while other files are on their way."""

    URGENT = 'urgent-1', 'urgent-2', 'file-59'

    def test_what_comes_during_the_run_overtakes_what_waits(self):
        succeeded = exporter._Export.succeeded

        def come(run, outcome):
            succeeded(run, outcome)
            if outcome.job.name == 'file-4':
                for name in self.URGENT:
                    self.offered[name] = b'urgent'
                    Spool(self.path).put(name, b'urgent', priority=1)

        # It looks after each file that the first connection has sent.
        self.enterContext(unittest.mock.patch.multiple(exporter, LOOK=0, PART=math.inf))
        self.enterContext(unittest.mock.patch.object(exporter._Export, 'succeeded', come))
        names = [f'file-{number}' for number in range(60)]
        report = self.export(*names, connections=4, run=Options())
        self.assertEqual(0, report.exit_code, self.log)
        self.assertEqual({*names, *self.URGENT}, {*report.delivered})
        places = [report.delivered.index(name) for name in (*self.URGENT, 'file-58')]
        self.assertEqual(places[-1], max(places), report.delivered)


class EmbargoTests(ScheduleCase):
    def test_it_waits_and_makes_no_connection_and_then_it_goes(self):
        self.spool.put('a', b'1', not_before=NOON + HOUR)
        self.assertEqual({'a': 'held'}, self.export())
        self.assertEqual(0, self.target.opened)
        self.assertIn('Embargo until 2026-12-01 ', self.reason('a'))
        self.assertIn('INFO Held, not sent: a: Embargo until 2026-12-01', self.log)
        self.assertEqual((NOON + HOUR).timestamp(), self.report.due)
        self.now += HOUR
        self.assertEqual({'a': 'delivered'}, self.export())
        self.assertIsNone(self.report.due)
        (receipt,) = receipts(self.path / '.cds', 'a')
        self.assertEqual((NOON + HOUR).isoformat(), receipt['not_before'])

    def test_others_go_and_the_first_end_is_told(self):
        self.spool.put('a', b'1', not_before=NOON + 2 * HOUR)
        self.spool.put('b', b'1', not_before=NOON + HOUR)
        self.spool.put('c', b'1')
        self.assertEqual({'a': 'held', 'b': 'held', 'c': 'delivered'}, self.export())
        self.assertEqual((NOON + HOUR).timestamp(), self.report.due)

    def test_zones(self):
        """The same moment, whichever zone it is told in, and this machine is in."""
        self.addCleanup(time.tzset)
        for zone in ('Europe/Berlin', 'America/New_York', 'Asia/Kolkata'):
            begin = (NOON + HOUR).astimezone(zoneinfo.ZoneInfo(zone))
            for here in ('UTC', 'Pacific/Auckland'):
                with (
                    self.subTest(zone, here=here),
                    unittest.mock.patch.dict('os.environ', {'TZ': here}),
                ):
                    time.tzset()
                    self.now = NOON
                    self.spool.put('a', b'1', not_before=begin)
                    self.now = NOON + HOUR - datetime.timedelta(seconds=1)
                    self.assertEqual({'a': 'held'}, self.export())
                    self.assertIn(here[-4:] if here == 'UTC' else 'NZ', self.reason('a'))
                    self.now = NOON + HOUR
                    self.assertEqual({'a': 'delivered'}, self.export())

    def test_never_and_ever(self):
        """The ends of the calendar, which are beyond it in local time."""
        never = datetime.datetime.max.replace(tzinfo=datetime.UTC)
        ever = datetime.datetime.min.replace(tzinfo=datetime.UTC)
        self.addCleanup(time.tzset)
        for zone, when in (('Europe/Berlin', never), ('America/New_York', ever)):
            with unittest.mock.patch.dict('os.environ', {'TZ': zone}):
                time.tzset()
                self.spool.put('a', b'1', not_before=when)
                self.spool.put('b', b'1', not_after=when)
                found = self.export()
                self.assertEqual(2, len(found))
                self.assertEqual('held' if when is never else 'delivered', found['a'])
                self.assertEqual(when is never, found['b'] == 'delivered')

    def test_the_hour_that_there_is_twice(self):
        """02:30 in the night when clocks are set back: `fold` tells which of both."""
        berlin = zoneinfo.ZoneInfo('Europe/Berlin')
        first = datetime.datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
        self.now = datetime.datetime(2026, 10, 25, 0, 45, tzinfo=datetime.UTC)
        self.spool.put('a', b'1', not_before=first)
        self.spool.put('b', b'1', not_before=first.replace(fold=1))
        self.assertEqual({'a': 'delivered', 'b': 'held'}, self.export())

    def test_the_clock_is_set(self):
        """What counts is the clock at each run: back, it waits again; on, it goes."""
        self.spool.put('a', b'1', not_before=NOON + HOUR)
        self.now = NOON - 24 * HOUR
        self.assertEqual({'a': 'held'}, self.export())
        self.now = NOON + 24 * HOUR
        self.assertEqual({'a': 'delivered'}, self.export())

    def test_what_is_no_time(self):
        naive = datetime.datetime(2026, 12, 1, 12)  # noqa: DTZ001
        for terms, kind, why in (
            ({'not_before': naive}, ValueError, 'not_before has no time zone'),
            ({'not_after': naive}, ValueError, 'not_after has no time zone'),
            ({'not_before': '2026-12-01T12:00+01:00'}, TypeError, 'not_before is a datetime'),
            ({'not_before': NOON.timestamp()}, TypeError, 'not_before is a datetime'),
            ({'not_before': NOON, 'not_after': NOON}, ValueError, 'never'),
            ({'not_before': datetime.datetime.max.replace(
                tzinfo=datetime.timezone(-HOUR))}, ValueError, 'out of range'),
        ):  # fmt: skip
            for put in (self.spool.put, Outbox(self.spool).put):
                with self.subTest(terms, put=put), self.assertRaisesRegex(kind, why):
                    put('a', b'1', **terms)
            transaction.abort()
        self.assertEqual([], self.names('new'))

    def test_a_correction_says_all_anew(self):
        self.spool.put('a', b'1', not_before=NOON + HOUR)
        self.spool.put('a', b'2')
        self.assertEqual({'a': 'delivered'}, self.export())

    def test_another_program_does_not_end_it(self):
        """It renames a file over the one that waits; or a backup is restored."""
        self.spool.put('a', b'1', not_before=NOON + HOUR, not_after=NOON + 2 * HOUR)
        (self.path / 'tmp' / 'a').write_bytes(b'other')
        os.rename(self.path / 'tmp' / 'a', self.path / 'new' / 'a')
        self.assertEqual({'a': 'held'}, self.export())
        os.utime(self.path / 'new' / 'a')
        self.assertEqual({'a': 'held'}, self.export())
        self.now += 3 * HOUR
        self.assertEqual({'a': 'withdrawn'}, self.export())

    def test_one_content_keeps_its_sequence(self):
        self.spool.put('a', b'1', content='x', not_before=NOON + HOUR)
        self.spool.put('b', b'1', content='x', priority=9)
        self.spool.put('c', b'1', content='y')
        self.assertEqual({'b': 'held', 'a': 'held', 'c': 'delivered'}, self.export())
        self.assertIn('the same content as a, and goes after that: Embargo', self.reason('b'))
        self.now += HOUR
        self.assertEqual(['a', 'b'], [*self.export()])

    def test_what_is_before_it_does_not_wait(self):
        self.spool.put('a', b'1', content='x')
        self.spool.put('b', b'1', content='x', not_before=NOON + HOUR)
        self.assertEqual({'b': 'held', 'a': 'delivered'}, self.export())

    def test_a_version_that_comes_during_the_run(self):
        """It takes the place of one that may go, while another file is sent, or this one."""
        for during in ('a', 'b'):
            with self.subTest(during):
                self.target = MemoryTarget()
                for name in ('a', 'b'):
                    self.spool.put(name, b'1')

                def correct(operation, name, during=during):
                    if operation == 'upload' and name.startswith(during):
                        self.target.hook = lambda operation, name: None
                        self.new_spool().put('b', b'2', not_before=NOON + HOUR)

                self.target.hook = correct
                self.export()
                self.assertNotIn(b'2', self.target.files.values())
                self.assertEqual(['b'], self.names('new'))
                self.now += HOUR
                self.assertEqual({'b': 'delivered'}, self.export())
                self.now = NOON

    def test_who_cannot_write_it_down_puts_nothing(self):
        """Without it the file would go at once."""
        self.spool.put('a', b'1')
        for failure in (OSError(28, 'No space'), errors.SpoolError('No.'), errors.SpoolBusy('No.')):
            with (
                self.subTest(failure),
                unittest.mock.patch.object(JSONLog, 'extend', side_effect=failure),
            ):
                with self.assertRaises((errors.SpoolError, errors.SpoolBusy)):
                    self.spool.put('b', b'1', not_before=NOON + HOUR)
                self.spool.put('a', b'2')  # a number can be given later
        self.assertEqual((['a'], []), (self.names('new'), self.names('tmp')))

    def test_it_is_on_the_disk_before_the_file_can_be_seen(self):
        steps = []
        sync, replace = JSONLog.sync, os.replace

        def synced(log):
            steps.append('sync')
            return sync(log)

        def replaced(old, new):
            steps.append('seen')
            return replace(old, new)

        with (
            unittest.mock.patch.object(JSONLog, 'sync', synced),
            unittest.mock.patch('os.replace', replaced),
        ):
            self.spool.put('a', b'1', not_before=NOON + HOUR)
        self.assertLess(steps.index('sync'), steps.index('seen'))

    def test_a_process_that_is_killed(self):
        """It has put the file, and no more."""
        program = (
            'import datetime, os, signal, sys;'
            'from zeit.cds.spool.spool import Spool;'
            'at = datetime.datetime.fromisoformat(sys.argv[2]);'
            "Spool(sys.argv[1]).put('a', b'1', not_before=at, tell=False);"
            'os.kill(os.getpid(), signal.SIGKILL)'
        )
        arguments = [str(self.path), (NOON + HOUR).isoformat()]
        environ = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
        done = subprocess.run(  # noqa: S603
            [sys.executable, '-c', program, *arguments], env=environ, check=False
        )
        self.assertEqual(-signal.SIGKILL, done.returncode)
        self.assertEqual({'a': 'held'}, self.export())

    def test_a_journal_that_is_made_anew(self):
        self.spool.put('a', b'1', not_before=NOON + HOUR, priority=3)
        with self.spool.run():
            self.spool.journal.compact()
        (entry,), _ = self.spool.pending()
        self.assertEqual((3, (NOON + HOUR).isoformat()), (entry.priority, entry.not_before))

    def test_in_a_transaction(self):
        outbox = Outbox(self.spool)
        outbox.put('a', b'1', not_before=NOON + HOUR, priority=2)
        outbox.put('b', b'1', priority=9)
        outbox.put('c', b'1')
        transaction.commit()
        self.assertEqual(['a', 'b', 'c'], self.names('new'))
        self.assertEqual(['held', 'delivered', 'delivered'], [*self.export().values()])
        self.assertEqual([*'abc'], [each.name for each in self.report.results])
        self.now += HOUR
        self.assertEqual({'a': 'delivered'}, self.export())

    def test_a_transaction_in_doubt(self):
        """The process ended after the vote; the next run files what was voted for."""
        batch = self.spool.batch()
        batch.put('a', b'1', not_before=NOON + HOUR)
        batch.prepare()
        batch.close()
        self.assertEqual({'a': 'held'}, self.export())
        self.now += HOUR
        self.assertEqual({'a': 'delivered'}, self.export())

    def test_hold_withdraw_and_drop(self):
        for name in ('a', 'b', 'c'):
            self.spool.put(name, b'1', not_before=NOON + HOUR)
        self.spool.hold('a', 'Legal.')
        self.assertTrue(self.spool.withdraw('b', 'Wrong.'))
        self.assertEqual('c', self.spool.drop('c', 'Not needed.'))
        self.assertEqual({'a': 'held'}, self.export())
        self.assertIn('Legal', self.reason('a'))
        self.spool.release('a')
        self.export()
        self.assertIn('Embargo', self.reason('a'))
        self.now += HOUR
        self.assertEqual({'a': 'delivered'}, self.export())
        self.assertEqual({'a': b'1'}, self.target.files)

    def test_what_is_sent_again_does_not_wait(self):
        self.spool.put('a', b'1', not_before=NOON + HOUR, priority=2)
        self.now += HOUR
        self.export()
        self.spool.resend('a')
        self.assertEqual({'a': 'delivered'}, self.export())

    def test_a_dry_run(self):
        self.spool.put('a', b'1', not_before=NOON + HOUR)
        self.spool.put('b', b'1', not_after=NOON - HOUR)
        self.assertEqual({'a': 'held', 'b': 'withdrawn'}, self.export(dry_run=True))
        self.assertEqual(['a', 'b'], self.names('new'))

    def test_what_an_earlier_run_has_delivered_is_found_out(self):
        """It was killed before it was filed; then the clock was set back."""
        self.spool.put('a', b'1', not_before=NOON + HOUR, not_after=NOON + 2 * HOUR)
        self.now += HOUR
        killed = unittest.mock.patch.object(Spool, 'done', side_effect=KeyboardInterrupt)
        with killed, self.assertRaises(KeyboardInterrupt), self.assertLogs('zeit.cds'):
            Exporter(self.new_spool(), self.target).run_once()
        uploads = self.target.files
        for now in (NOON, NOON + 3 * HOUR):
            with self.subTest(now):
                self.now = now
                self.export()
                self.assertEqual(([], ['a']), (self.names('new'), self.names('cur')))
        self.assertEqual({'a': b'1'}, uploads)


class ExpiryTests(ScheduleCase):
    def test_it_is_withdrawn_and_that_is_said(self):
        self.spool.put('a', b'1', not_after=NOON + HOUR)
        self.spool.put('b', b'1', not_after=NOON + 3 * HOUR)
        self.now += 2 * HOUR
        self.assertEqual({'a': 'withdrawn', 'b': 'delivered'}, self.export())
        self.assertIn('WARNING Withdrawn, not delivered: a: Expired: not to be delivered after 20',
                      self.log)  # fmt: skip
        self.assertEqual((['a'], []), (self.names('withdrawn'), self.names('new')))
        receipt = next(each for each in history(self.path / '.cds') if each.get('name') == 'a')
        self.assertEqual('withdrawn', receipt['kind'])
        self.assertIn('Expired', receipt['reason'])

    def test_without_a_server(self):
        self.spool.put('a', b'1', not_after=NOON - HOUR)
        self.assertEqual({'a': 'withdrawn'}, self.export())
        self.assertEqual(0, self.target.opened)

    def test_while_it_is_sent(self):
        self.spool.put('a', b'1', not_after=NOON + HOUR)
        self.spool.put('b', b'1')

        def hook(operation, name):
            if operation == 'upload':
                self.now = NOON + 2 * HOUR

        self.target.hook = hook
        self.assertEqual({'a': 'withdrawn', 'b': 'delivered'}, self.export())
        self.assertEqual({'b': b'1'}, self.target.files)
        self.export()
        self.assertEqual((['a'], []), (self.names('withdrawn'), self.names('new')))

    def test_before_its_turn_comes(self):
        self.spool.put('a', b'1')
        self.spool.put('b', b'1', not_after=NOON + HOUR)
        self.target.hook = lambda operation, name: setattr(self, 'now', NOON + 2 * HOUR)
        self.assertEqual({'a': 'delivered', 'b': 'withdrawn'}, self.export())
        self.assertEqual(({'a': b'1'}, ['b']), (self.target.files, self.names('withdrawn')))

    def test_it_holds_up_nothing_of_its_content(self):
        self.spool.put('a', b'1', content='x', not_after=NOON - HOUR)
        self.spool.put('b', b'1', content='x')
        self.assertEqual({'a': 'withdrawn', 'b': 'delivered'}, self.export())


class PartnerTests(ScheduleCase):
    """What is said of a version holds for all partners of a spool."""

    def setUp(self):
        super().setUp()
        self.targets, self.patient = {name: MemoryTarget() for name in 'AB'}, None
        for name, target in self.targets.items():
            target.url = f'memory:{name}'

    def everybody(self):
        about = {'give_up_after': self.patient}
        return [sharing.Terms(name, each.url, **about) for name, each in self.targets.items()]

    def export_to(self, name):
        (terms,) = [each for each in self.everybody() if each.name == name]
        partner = Partner(self.new_spool(), terms, everybody=self.everybody)
        report = Exporter(partner, self.targets[name]).run_once()
        self.assertEqual(0, report.exit_code, report.errors)
        return {result.name: result.status for result in report.results}

    def test_embargo_and_priority(self):
        self.spool.put('a', b'1', not_before=NOON + HOUR)
        self.spool.put('b', b'1')
        self.spool.put('c', b'1', priority=1)
        expected = ['held', 'delivered', 'delivered']
        self.assertEqual(expected, [*self.export_to('A').values()])
        self.now += HOUR
        self.assertEqual(['c', 'a', 'b'], [*self.export_to('B')])
        self.assertEqual({'a': 'delivered'}, self.export_to('A'))
        self.assertEqual([], self.names('new'))

    def test_what_has_expired_for_one_of_them(self):
        self.spool.put('a', b'1', not_after=NOON + HOUR)
        self.assertEqual({'a': 'delivered'}, self.export_to('A'))
        self.now += 2 * HOUR
        self.assertEqual({'a': 'withdrawn'}, self.export_to('B'))
        self.export_to('A')
        self.assertEqual(({'a': b'1'}, {}), tuple(each.files for each in self.targets.values()))
        self.assertEqual(([], ['a']), (self.names('new'), self.names('cur')))

    def test_an_embargo_is_no_time_that_a_partner_has_waited(self):
        self.patient = 1800
        self.spool.put('a', b'1')
        arrived = datetime.datetime.now(datetime.UTC)
        self.spool.put('a', b'2', not_before=arrived + 2 * HOUR)
        for name in 'AB':
            self.now = arrived
            self.assertEqual({'a': 'held'}, self.export_to(name))
        self.now += 2 * HOUR
        self.assertEqual({'a': 'delivered'}, self.export_to('A'))
        self.export_to('A')
        self.assertEqual(['a'], self.names('new'))
        self.now += HOUR
        self.export_to('A')  # which gives it up for the other one
        self.assertEqual(([], ['a']), (self.names('new'), self.names('cur')))
        self.assertEqual({}, self.targets['B'].files)

    def test_a_version_that_comes_during_the_run(self):
        self.spool.put('a', b'1')
        self.spool.put('b', b'1')

        def correct(operation, name):
            if operation == 'upload':
                self.targets['A'].hook = lambda operation, name: None
                self.spool.put('b', b'2', not_before=NOON + HOUR)

        self.targets['A'].hook = correct
        self.assertEqual({'a': 'delivered', 'b': 'held'}, self.export_to('A'))
        self.assertEqual({'b': 'held'}, self.export_to('A'))
        self.now += HOUR
        self.assertEqual({'b': 'delivered'}, self.export_to('A'))


class StatusTests(ScheduleCase):
    def found(self):
        return self.spool.status(), self.now.timestamp()

    def test_an_embargo_is_never_overdue(self):
        self.spool.put('a', b'1', not_before=NOON + HOUR)
        arrived = self.spool.status().waiting[0].arrived
        end = max(arrived, (NOON + HOUR).timestamp())
        for seconds, overdue in ((-1, False), (60, False), (61, True)):
            found = freshness.undelivered(self.spool.status())
            line = freshness.overdue(found, now=end + seconds, limit=60)
            self.assertEqual(overdue, bool(line), line)

    def test_metrics(self):
        self.spool.put('a', b'1')
        later = self.spool.status().waiting[0].arrived + 1000
        until = datetime.datetime.fromtimestamp(later, datetime.UTC)
        self.spool.put('a', b'1', not_before=until)
        for now, embargoed, age in ((later - 1, 1, 0), (later + 10, 0, 10)):
            families = metrics.families([('s', self.spool)], now=now)
            found = {each.name: each.samples[0][1] for each in families if each.samples}
            self.assertEqual(embargoed, found['zeit_cds_embargoed_files'])
            self.assertAlmostEqual(age, found['zeit_cds_oldest_undelivered_age_seconds'], delta=1)


class CommandTests(ServerCase):
    def test_status(self):
        now = datetime.datetime.now(datetime.UTC)
        self.spool = Spool(self.path)
        later = {'not_before': now + 3 * HOUR, 'not_after': now + 72 * HOUR}
        self.spool.put('a.xml', b'1', priority=5, **later)
        out = self.call('status', '--spool', self.path).out
        self.assertRegex(out, r'a\.xml\n +priority 5\n +embargo until 20.*, for 2 h\n'
                              r' +expires 20.*, in 2 d\n')  # fmt: skip
        (found,) = json.loads(self.call('status', '--spool', self.path, '--json').out)
        entry = next(each for each in found['waiting']['names'] if each['name'] == 'a.xml')
        self.assertEqual(5, entry['priority'])
        self.assertEqual(later['not_before'].isoformat(), entry['not_before'])
        self.assertEqual(later['not_after'].isoformat(), entry['not_after'])
        self.assertEqual(0, self.call('status', '--spool', self.path, '--max-age', '1s').code)
        said = self.call('receipt', 'a.xml', '--spool', self.path).err
        self.assertRegex(said, r'is waiting in .*, with an embargo until 20')

    def test_status_of_never(self):
        never = datetime.datetime.max.replace(tzinfo=datetime.UTC)
        self.addCleanup(time.tzset)
        with unittest.mock.patch.dict('os.environ', {'TZ': 'Europe/Berlin'}):
            time.tzset()
            Spool(self.path).put('a.xml', b'1', not_before=never)
            out = self.call('status', '--spool', self.path).out
            (run,) = json.loads(self.export('--json').out)
        self.assertIn('embargo until 9999-12-31 23:59:59 UTC', out)
        self.assertEqual('9999-12-31T23:59:59+00:00', run['due'])

    def test_what_has_expired(self):
        past = datetime.datetime.now(datetime.UTC) - HOUR
        self.spool = Spool(self.path)
        self.spool.put('a.xml', b'1', not_after=past)
        outcome = self.export()
        self.assertIn('Withdrawn, not delivered: a.xml: Expired: not to be delivered', outcome.err)
        self.assertEqual((0, ['a.xml']), (outcome.code, self.names('withdrawn')))
        self.assertRegex(self.call('log', '--spool', self.path).out, 'a.xml.*\n?.*Expired')
