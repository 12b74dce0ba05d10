"""Numbers: counted on disk, the same for all, never going down; as Prometheus wants them."""

import contextlib
import datetime
import fcntl
import json
import logging
import os
import threading
import time
import types
import unittest
import unittest.mock

import prometheus_client
import prometheus_client.openmetrics.exposition
import prometheus_client.openmetrics.parser
import prometheus_client.parser
import zope.component

from zeit.cds import errors
from zeit.cds.cli.tests.test_command_line import CommandLine, ServerCase
from zeit.cds.errors import PermanentError
from zeit.cds.interfaces import IExporter, IImporter, ISpool, ITarget
from zeit.cds.journal.journal import Journal, read
from zeit.cds.monitoring import metrics
from zeit.cds.monitoring.freshness import overdue, undelivered
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.failures import Failures
from zeit.cds.spool import statistics, status
from zeit.cds.spool.runlock import RunLock
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.driving import DriverCase
from zeit.cds.values.report import Report
from zeit.cds.zcml.configured import ConfiguredExporter


def refuse(operation, name):
    if (operation, name) == ('upload', 'bad.xml'):
        raise PermanentError(553, '553 No.')


class NumbersCase(DriverCase, unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        logging.getLogger('zeit.cds').addHandler(null := logging.NullHandler())
        self.addCleanup(logging.getLogger('zeit.cds').removeHandler, null)

    def export(self, *names, **options):
        for name in names:
            self.spool.put(name, b'12345')
        return Exporter(self.spool, self.target, wait=lambda s: None).run_once(Options(**options))

    def values(self, spool=None):
        """Return the values of all metrics as prometheus_client understands our text."""
        found = metrics.families([('articles', spool or self.spool)], now=time.time())
        return self.parsed(metrics.as_text(found))

    def parsed(self, text):
        return {
            (
                sample.name.removeprefix('zeit_cds_'),
                *sorted(set(sample.labels.items()) - {('spool', 'articles')}),
            ): sample.value
            for family in prometheus_client.parser.text_string_to_metric_families(text)
            for sample in family.samples
        }


class TotalsTests(NumbersCase):
    def setUp(self):
        super().setUp()
        self.enterContext(unittest.mock.patch('zeit.cds.run.failures.APART', 0))

    def test_what_was_delivered_refused_and_parked(self):
        self.target.hook = refuse
        self.export('bad.xml', 'a.xml')
        self.export('b.xml', park_after=2)
        found = self.values()
        self.assertEqual(2, found['delivered_files_total',])
        self.assertEqual(10, found['delivered_bytes_total',])
        self.assertEqual(2, found['failed_files_total',])
        self.assertEqual(1, found['parkings_total',])
        self.assertEqual((0, 1), (found['waiting_files',], found['parked_files',]))
        self.assertEqual(2, found['runs_total', ('exit_code', '1')])
        self.assertEqual(1, found['last_run_exit_code',])
        self.assertEqual(0, found['last_success_timestamp_seconds',])

    def test_they_never_go_down_when_the_journal_begins_anew(self):
        private = self.folder / 'private'
        private.mkdir()
        before = {}
        for number in range(60):
            with Journal(private, limit=500) as journal:
                journal.receipt('delivered', {'target': 't', 'name': 'a', 'size': number})
                entry = types.SimpleNamespace(name='b', version=[number % 3])
                Failures(journal, url='t').count(entry, 'no')
                if number % 10 == 0:
                    journal.receipt('parked', dict(name='b', reason='no'))
            now = read(private).totals
            self.assertEqual(
                (number + 1, sum(range(number + 1)), number + 1),
                (now['delivered'], now['delivered_bytes'], now['failed']),
            )
            self.assertEqual({}, {k: v for k, v in before.items() if v > now[k]})
            before = now
        self.assertLess((private / 'journal' / 'state.jsonl').stat().st_size, 3000)


class RunsTests(NumbersCase):
    def test_how_they_ended(self):
        self.export()
        self.export('a.xml')
        self.target.files['write'] = b'the archive'
        self.export('b.xml')
        found = self.values()
        self.assertEqual(2, found['runs_total', ('exit_code', '0')])
        self.assertEqual(1, found['runs_total', ('exit_code', '75')])
        self.assertAlmostEqual(time.time(), found['last_success_timestamp_seconds',], delta=60)
        self.assertAlmostEqual(time.time(), found['locked_since_timestamp_seconds',], delta=60)
        del self.target.files['write']
        self.export()
        self.assertEqual(0, self.values()['locked_since_timestamp_seconds',])

    def known(self):
        return self.spool.status().numbers.runs

    def test_a_lock_is_known_since_it_was_met_first(self):
        self.target.files['write'] = b'the archive'
        self.export('b.xml')
        first = self.known()['locked']
        self.export()
        self.assertEqual(first, self.known()['locked'])

    def test_neither_a_rehearsal_nor_one_that_leaves_at_once_counts(self):
        self.export('a.xml', dry_run=True)
        with Spool(self.spool.path).run():
            self.assertEqual(errors.COME_BACK_LATER, self.export().exit_code)
        self.assertEqual({}, self.known())

    def test_one_that_could_not_begin_counts(self):
        self.export('a.xml')
        (self.spool.path / 'tmp').rmdir()
        (self.spool.path / 'tmp').touch()
        self.assertEqual(78, self.export().exit_code)
        self.assertEqual({'0': 1, '78': 1}, self.known()['runs'])

    def test_who_is_at_work(self):
        with self.spool.run():
            found = self.values()
        self.assertGreater(found['run_active_since_timestamp_seconds',], time.time() - 60)
        self.assertEqual(0, self.values()['run_active_since_timestamp_seconds',])

    def test_one_that_ends_while_somebody_looks_was_not_killed(self):
        self.export('a.xml')
        real, now = RunLock.owner, datetime.datetime.now(datetime.UTC)
        later = now + datetime.timedelta(seconds=60)
        with (
            self.spool.run(),
            unittest.mock.patch('zeit.cds.journal.append_log.now', return_value=later),
        ):
            self.spool.journal.new_token('memory:')
        self.assertAlmostEqual(later.timestamp(), self.spool.status().numbers.killed, delta=1)

        def owner(lock):
            with unittest.mock.patch('time.time', return_value=now.timestamp() + 120):
                statistics.ended(self.spool, Report(), seconds=1)
            return real(lock)

        with unittest.mock.patch.object(RunLock, 'owner', owner):
            self.assertIsNone(self.spool.status().numbers.killed)

    def test_one_that_could_not_begin_does_not_set_numbers_back(self):
        self.export('a.xml', 'b.xml')
        (self.spool.path / remembered.JOURNAL).unlink()
        statistics.ended(self.spool, Report(), seconds=1)
        self.spool.put('c.xml', b'')
        with self.spool.run():
            self.assertEqual([3], [entry.number for entry in self.spool.pending()[0]])

    def test_a_line_that_is_damaged_stops_nothing(self):
        state = self.spool.path / remembered.JOURNAL
        self.export()
        for number, wrong in enumerate(([], 7, None, 'x'), 1):
            with open(state, 'a') as file:
                line = {'kind': 'ended', 'at': '', 'runs': {'0': 9}, 'kinds': wrong}
                file.write(json.dumps(line) + '\n')
            self.assertEqual(0, self.export().exit_code)
            self.assertEqual({'0': 1 + number}, self.known()['runs'])

    def test_whoever_reads_or_locks_it_keeps_no_run_from_its_end(self):
        self.export()
        with (
            open(self.spool.path / remembered.JOURNAL, 'rb') as reader,
            unittest.mock.patch('zeit.cds.journal.append_log.PATIENCE', 0.02),
        ):
            fcntl.flock(reader, fcntl.LOCK_SH)
            # A thread, as a test that waits for ever says nothing.
            run = threading.Thread(target=self.export, daemon=True)
            run.start()
            run.join(30)
            self.assertFalse(run.is_alive())
        self.assertEqual({'0': 2}, self.known()['runs'])

    def test_what_a_spool_did_not_take_counts_also_if_it_cannot_be_looked_at(self):
        self.spool.unpublished.add('http://xml.zeit.de/a', 'no room')
        (self.spool.path / 'new').write_bytes(b'')
        found = self.values()
        self.assertGreaterEqual(found.pop(('oldest_undelivered_age_seconds',)), 0)
        self.assertEqual({('spool_readable',): 0, ('unpublished_contents',): 1}, found)

    def test_a_spool_that_has_vanished(self):
        statistics.ended(Spool(self.folder / 'no'), Report(), seconds=1)
        self.assertEqual({('spool_readable',): 0}, self.values(Spool(self.folder / 'no')))


class TextTests(NumbersCase):
    def test_labels_are_escaped(self):
        nasty = 'a"b\\c\nd{e="f"} \udcff ü'
        text = metrics.as_text(metrics.families([(nasty, self.spool)], now=0))
        (family,) = (
            f
            for f in prometheus_client.parser.text_string_to_metric_families(text)
            if f.name == 'zeit_cds_waiting_files'
        )
        self.assertEqual('a"b\\c\nd{e="f"} ? ü', family.samples[0].labels['spool'])

    def test_it_is_what_prometheus_client_would_write(self):
        self.export('a.xml')
        registry = prometheus_client.CollectorRegistry()
        registry.register(metrics.Collector())
        theirs = self.parsed(prometheus_client.generate_latest(registry).decode())
        ours = self.values()
        self.assertEqual(set(theirs), set(ours))
        self.assertEqual(theirs['delivered_files_total',], ours['delivered_files_total',])

    def test_it_is_openmetrics_too_which_prometheus_asks_for_by_default(self):
        self.enterContext(unittest.mock.patch('zeit.cds.run.failures.APART', 0))
        self.target.hook = refuse
        for _ in range(2):
            self.export('bad.xml', 'a.xml', park_after=1)
        self.target.files['write'] = b'the archive'
        self.export('b.xml')
        registry = prometheus_client.CollectorRegistry()
        registry.register(metrics.Collector())
        text = prometheus_client.openmetrics.exposition.generate_latest(registry).decode()
        found = {
            sample.name.removeprefix('zeit_cds_'): sample.value
            for family in prometheus_client.openmetrics.parser.text_string_to_metric_families(text)
            for sample in family.samples
        }
        self.assertEqual((2, 2), (found['parked_files'], found['parkings_total']))
        self.assertEqual({name for name, *_ in self.values()}, {*found})

    def test_a_collector_tells_of_partners(self):
        other = MemoryTarget()
        other.url = 'memory:other'
        zope.component.provideUtility(other, ITarget, name='other')
        archive = ConfiguredExporter(
            name='archive', spool='articles', target='other', options=Options()
        )
        zope.component.provideUtility(archive, IExporter, name='archive')
        self.exporter.name = 'articles'
        self.spool.put('a', b'a')
        self.assertEqual(['a'], archive.run_once().delivered)
        registry = prometheus_client.CollectorRegistry()
        registry.register(metrics.Collector())
        text = prometheus_client.generate_latest(registry).decode()
        for labels, value in (
            ('spool="articles"', 1.0),
            ('partner="articles",spool="articles"', 1.0),
            ('partner="archive",spool="archive"', 0.0),
        ):
            self.assertIn(f'zeit_cds_waiting_files{{{labels}}} {value}\n', text)

    def test_a_registry_looks_at_no_disk_before_it_is_asked(self):
        registry = prometheus_client.CollectorRegistry()
        registry.register(metrics.Collector(lambda: 1 / 0))
        with self.assertRaises(ValueError):
            registry.register(metrics.Collector())

    def test_names_and_kinds_are_as_prometheus_wants_them(self):
        for family in metrics.families([], now=0):
            self.assertRegex(family.name, r'^zeit_cds_[a-z_]+$')
            self.assertEqual(family.kind == 'counter', family.name.endswith('_total'))
            self.assertTrue(family.help.endswith('.'))


class SeriesTests(NumbersCase):
    """Which there are, whatever happens."""

    def test_all_of_them_from_the_start_and_no_more_later(self):
        before = set(self.values())
        self.assertEqual(
            {family.name.removeprefix('zeit_cds_') for family in metrics.families([], now=0)},
            {name for name, *_ in before},
        )
        self.target.files['write'] = b'somebody \xff else'
        self.export('a.xml')
        del self.target.files['write']
        self.target.hook = refuse
        self.export('bad.xml')
        statistics.ended(self.spool, Report(), seconds=1, exit_code=42)
        with self.spool.run():
            self.assertEqual(before, set(self.values()))
        self.assertEqual(1, self.values()['runs_total', ('exit_code', 'other')])

    def test_cur_is_not_looked_at(self):
        self.export('a.xml')
        with unittest.mock.patch('zeit.cds.system.files.newest', side_effect=AssertionError):
            self.assertEqual(1, self.values()['spool_readable',])


class ForeignTests(NumbersCase):
    """One that raises is left out, and the others are there."""

    def collected(self):
        registry = prometheus_client.CollectorRegistry()
        registry.register(metrics.Collector())
        return self.parsed(prometheus_client.generate_latest(registry).decode())

    def test_an_importer(self):
        for error in (errors.ConfigurationError('no spool'), ValueError('x'), OSError(5, 'x')):
            mine = unittest.mock.Mock()
            type(mine).spool = unittest.mock.PropertyMock(side_effect=error)
            zope.component.provideUtility(mine, IImporter, name='mine')
            with self.subTest(error):
                self.assertEqual(1, self.collected()['spool_readable',])

    def test_a_spool(self):
        broken = unittest.mock.Mock(path='/no')
        zope.component.provideUtility(broken, ISpool, name='mine')
        for found in (ValueError('x'), OSError(5, 'x'), errors.SpoolError('x'), [None]):
            broken.status.side_effect = found
            broken.unpublished.content.side_effect = found
            with self.subTest(found):
                values = self.collected()
                self.assertEqual(1, values['spool_readable',])
                self.assertEqual(0, values['spool_readable', ('spool', 'mine')])

    def test_a_spool_that_goes_away_between_two_looks(self):
        spool = Spool(self.folder / 'other')
        spool.path.mkdir()

        def look(path, *, real=status.look, **options):
            found = real(path, **options)
            if path.name == 'other':
                path.rmdir()
            return found

        importer = unittest.mock.Mock(spool=spool)
        zope.component.provideUtility(spool, ISpool, name='mine')
        zope.component.provideUtility(importer, IImporter, name='mine')
        with unittest.mock.patch('zeit.cds.spool.status.look', look):
            values = self.collected()
        self.assertEqual(0, values['spool_readable', ('spool', 'mine')])
        self.assertEqual(1, values['spool_readable',])


class FreshnessTests(NumbersCase):
    def test_whatever_the_reason(self):
        for name in ('waits.xml', 'parked.xml'):
            self.spool.put(name, b'')
        (self.spool.path / 'new' / 'directory').mkdir()
        self.spool.unpublished.add('http://xml.zeit.de/a', 'no adapter')
        with self.spool.run():
            entry = next(e for e in self.spool.pending()[0] if e.name == 'parked.xml')
            self.spool.park(entry, 'no')
        found = self.spool.status()
        self.assertEqual(
            ['waits.xml', 'directory', 'parked.xml', 'http://xml.zeit.de/a'],
            [each.name for each in undelivered(found)],
        )
        now = time.time()
        self.assertEqual('', overdue(undelivered(found), now=now, limit=60))
        self.assertRegex(
            overdue(undelivered(found), now=now + 7200, limit=3600),
            r'^\S+ .* for 2 h \(limit 60 min\).*; 3 more files$',
        )


class AgreementTests(ServerCase):
    """A cron job has run; a collector and a command, in two other processes, say the same of it."""

    #: What tells the time of the question.
    MOVING = ('oldest_undelivered_age_seconds',)

    def samples(self, text):
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in prometheus_client.parser.text_string_to_metric_families(text)
            for sample in family.samples
            if not sample.name.endswith(self.MOVING)
        }

    def test_a_collector_and_the_command_agree(self):
        (self.path / 'new' / 'link').symlink_to('a.xml')
        command = 'export', '--spool', self.path, self.url
        self.assertEqual(0, self.finish(self.start(*command)).code)
        (self.server.root / 'write').write_text('the archive')
        self.spool.put('c.xml', b'hello')
        self.assertEqual(75, self.finish(self.start(*command)).code)
        told = self.finish(self.start('status', '--spool', self.path, '--prometheus'))
        registry = prometheus_client.CollectorRegistry()
        registry.register(metrics.Collector(lambda: [(str(self.path), Spool(self.path))]))
        theirs = self.samples(prometheus_client.generate_latest(registry).decode())
        self.assertEqual(theirs, self.samples(told.out))
        values = {name.removeprefix('zeit_cds_'): value for (name, *_), value in theirs.items()}
        self.assertEqual((2, 1), (values['delivered_files_total'], values['waiting_files']))
        self.assertGreater(values['locked_since_timestamp_seconds'], time.time() - 60)


class CommandTests(CommandLine):
    def status(self, *arguments):
        return self.call('status', '--spool', self.path, *arguments)

    def age(self, seconds):
        """Let what waits be older: nobody can set when an inode was changed."""
        now = time.time() + seconds
        self.enterContext(unittest.mock.patch('time.time', lambda: now))

    def test_max_age(self):
        self.assertEqual(0, self.status('--max-age', '15m').code)
        self.age(1000)
        outcome = self.status('--max-age', '15m')
        self.assertEqual(2, outcome.code)
        self.assertRegex(
            outcome.err,
            r'^zeit-cds: .*/spool: a.xml has been waiting for 16 min \(.*\); 1 more file\n$',
        )
        self.assertIn('waiting    2 files', outcome.out)
        self.assertEqual(0, self.status('--max-age', '1d').code)
        self.assertEqual(2, self.status('--max-age', '90s', '--json').code)
        self.assertIn("'15' is not a time such as", self.status('--max-age', '15').err)
        self.assertEqual(0, self.status().code)

    def test_a_failure_overrides_what_is_overdue(self):
        self.age(1000)
        outcome = self.status('--max-age', '90s', '--remote', 'ftp://test@127.0.0.1:1/in')
        self.assertEqual(69, outcome.code)
        self.assertIn('a.xml has been waiting', outcome.err)
        self.assertEqual(
            78, self.call('status', '--spool', self.folder / 'no', '--max-age', '1s').code
        )

    def test_what_is_no_time(self):
        for value in ('', '-1', '15 m', '1w', 'x', '9' * 30):
            self.assert_line(self.status('--max-age', value), 64, 'is not a time such as 90s')

    def test_prometheus(self):
        outcome = self.status('--prometheus')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        families = [*prometheus_client.parser.text_string_to_metric_families(outcome.out)]
        (waiting,) = (f for f in families if f.name == 'zeit_cds_waiting_files')
        self.assertEqual(({'spool': str(self.path)}, 2.0), waiting.samples[0][1:3])

    def test_the_journal_is_read_once(self):
        for arguments in ((), ('--json',), ('--prometheus',), ('--max-age', '1d')):
            with self.subTest(arguments):
                with unittest.mock.patch('zeit.cds.journal.journal.read', wraps=read) as reading:
                    self.assertEqual(0, self.status(*arguments).code)
                self.assertEqual(1, reading.call_count)

    def test_prometheus_needs_no_prometheus_client(self):
        code = (
            'import sys; sys.modules["prometheus_client"] = None\n'
            'from zeit.cds.cli.main import main; sys.exit(main())'
        )
        process = self.start(
            'status', '--spool', self.path, '--prometheus', program=[os.sys.executable, '-c', code]
        )
        self.assertIn('zeit_cds_waiting_files{spool=', self.finish(process).out)

    def test_prometheus_of_a_spool_that_is_not_there(self):
        outcome = self.call('status', '--spool', self.folder / 'no', '--prometheus')
        self.assertEqual(78, outcome.code)
        self.assertRegex(outcome.out, r'zeit_cds_spool_readable\{spool=".*/no"\} 0\n')
        self.assertIn('There is no spool', outcome.err)

    def test_what_is_there_is_read_once(self):
        with self.spool.run():
            pass
        for option in '--json', '--prometheus', '--max-age=1d':
            seen = []
            with contextlib.ExitStack() as stack:
                for module, name in ((files, 'open_regular'), (os, 'scandir'), (os, 'listdir')):
                    real = getattr(module, name)

                    def noted(path, *arguments, real=real, seen=seen, **options):
                        seen.append(os.path.relpath(os.fspath(path), self.path))
                        return real(path, *arguments, **options)

                    stack.enter_context(unittest.mock.patch.object(module, name, noted))
                self.assertEqual(0, self.status(option).code)
            for path in remembered.JOURNAL, '.cds/lock', 'new':
                with self.subTest(option, path=path):
                    self.assertEqual(1, seen.count(path))

    def test_two_formats(self):
        self.assert_line(self.status('--json', '--prometheus'), 64, '--json cannot be')
