"""What `zeit-cds status` says about a spool that is filled by an importer."""

import json
import re
import time
import unittest
from unittest import mock

import prometheus_client
import prometheus_client.parser
import zope.component.testing

from zeit.cds.cli import main
from zeit.cds.journal import journal
from zeit.cds.monitoring import metrics
from zeit.cds.monitoring.freshness import overdue, unfinished
from zeit.cds.run.exporter import Exporter
from zeit.cds.run.importer import Importer
from zeit.cds.spool import statistics
from zeit.cds.testing import faults
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.importing import ImportScenario, take
from zeit.cds.tests.maincase import quiet
from zeit.cds.tests.scenario import target


class StatusCase(ImportScenario, unittest.TestCase):
    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        self.later = 0
        now = time.time
        self.enterContext(mock.patch('time.time', lambda: now() + self.later))

    def status(self, *options):
        with quiet() as (out, err):
            self.code = main.main(['status', '--spool', str(self.path), *options])
        self.err = err.getvalue()
        return out.getvalue()

    def said(self):
        """Return what is said, without the path and with blanks made one."""
        said = re.sub(r'\b[1-9] s\b', '0 s', self.status())  # a stalled machine
        return [re.sub(' +', ' ', line.strip()) for line in said.splitlines()[1:]]

    def by_zcml(self, *directives):
        """Return options that name a ZCML file with the spool, a target and these directives."""
        path = self.path.parent / 'cds.zcml'
        path.write_text(f"""
            <configure xmlns:cds="http://namespaces.zeit.de/cds">
              <cds:spool name="letters" path="{self.path}" />
              <cds:target name="agency" host="{self.server.host}" port="{self.server.port}"
                  user="test" password="testpw" directory="/cds" />
              <cds:target name="archive" host="{self.server.host}" port="{self.server.port}"
                  user="test" password="testpw" directory="/archive" />
              {''.join(directives)}
            </configure>
        """)
        return '--zcml', str(path)

    importer = '<cds:importer name="in" spool="letters" target="agency" />'
    exporter = '<cds:exporter name="out" spool="letters" target="archive" />'

    def status_by_zcml(self, *directives, options=()):
        zope.component.testing.tearDown()
        zope.component.testing.setUp()
        with quiet() as (out, err):
            self.code = main.main([*self.by_zcml(*directives), 'status', *options])
        self.err = err.getvalue()
        return out.getvalue()

    def found(self, *options):
        return json.loads(self.status('--json', *options))[0]

    def keep(self, name):
        """Let the server refuse to delete a file."""
        self.fault('DELE', faults.Reply('550 Permission denied.'), path=f'*/{name}')


class TextTests(StatusCase):
    def test_files_that_wait_for_the_cms(self):
        self.run_import('a.xml', 'b.xml')
        self.later = 300
        self.assertEqual(
            [
                'waiting 2 files for the CMS, 1.5 KiB, the oldest for 5 min:',
                '5 min 750 B a.xml',
                '5 min 750 B b.xml',
                'imported 2 files, latest 5 min ago:',
                'b.xml',
                'taken nothing in cur',
                'last run 5 min ago, successful',
                'run none active',
            ],
            self.said(),
        )
        self.assertNotIn('deliver', self.status())

    def test_files_that_were_taken(self):
        self.run_import('a.xml', 'b.xml')
        take(self.path, 'a.xml', 'b.xml')
        found = self.said()
        self.assertEqual('waiting nothing', found[0])
        self.assertIn('imported 2 files, latest 0 s ago:', found)
        self.assertIn('taken 2 files in cur, latest 0 s ago:', found)

    def test_files_that_are_still_on_the_server(self):
        self.keep('a.xml')
        self.run_import('a.xml', 'b.xml')
        self.later = 300
        found = self.said()
        at = found.index('undeleted 1 file, imported but still on the server:')
        self.assertEqual('a.xml for 5 min', found[at + 1])
        at = found.index('last run 5 min ago, exit code 1')
        self.assertEqual(f'server: {target(self.server).url}', found[at + 1])
        self.assertEqual('reason: 1 file not imported', found[at + 2])
        self.assertEqual('last success: none yet', found[at + 3])
        self.server.clear_faults()
        self.later = 0
        self.run_import()
        self.assertNotIn('undeleted', self.status())
        self.assertIn('last run 0 s ago, successful', self.said())

    def test_many_that_are_still_on_the_server(self):
        self.keep('*.xml')
        self.run_import(*(f'{number:02}.xml' for number in range(14)))
        self.assertIn('and 4 more', self.said())

    def test_a_lock(self):
        self.run_import()
        self.plant('write')
        self.run_import()
        self.later = 600
        found = self.said()
        at = found.index("last run 10 min ago, server locked by 'write', first seen 10 min ago")
        self.assertEqual('last success: 10 min ago', found[at + 2])

    def test_no_server(self):
        self.run_import(port=1)
        self.assertIn('last run 0 s ago, exit code 69', self.said())
        self.assertIn('imported nothing yet', self.said())

    def test_what_is_in_new_and_no_file(self):
        self.run_import()
        (self.path / 'new' / 'directory').mkdir()
        self.assertIn('ignored 1 in new, no files:', self.said())

    def test_names_are_made_harmless(self):
        self.keep('a*b')
        self.run_import('a\u202eb')
        self.assertNotIn('\u202e', self.status())
        self.assertIn('a\\u202eb', self.status())

    def test_nothing_is_changed(self):
        self.run_import('a.xml')
        before = {p: p.stat().st_mtime_ns for p in self.path.rglob('*')}
        self.status()
        self.assertEqual(before, {p: p.stat().st_mtime_ns for p in self.path.rglob('*')})

    def test_when_the_journal_has_just_begun_anew(self):
        self.keep('a.xml')
        self.run_import('a.xml', 'b.xml')
        with journal.Journal(self.path / '.cds') as remembers:
            remembers.compact()
        found = self.said()
        self.assertIn('imported 2 files, latest 0 s ago:', found)
        self.assertIn('undeleted 1 file, imported but still on the server:', found)

    def test_what_is_damaged_in_the_journal_is_left_out(self):
        self.keep('a.xml')
        self.run_import('a.xml')
        with open(self.path / remembered.JOURNAL, 'a') as file:
            for fields in ({}, {'name': 'x'}, {'name': 'x', 'at': 'noon'}, {'name': 'x', 'at': 1}):
                for kind in ('received', 'fetched', 'compared', 'removed'):
                    print(json.dumps({'kind': kind, **fields}), file=file)
        self.assertIn('a.xml', self.said())
        self.assertIn('undeleted 1 file, imported but still on the server:', self.said())


class RoleTests(StatusCase):
    """What a spool is for is known from ZCML, or from what has happened."""

    def test_before_the_first_run(self):
        found = self.status_by_zcml(self.importer)
        self.assertIn('imported   nothing yet', found)
        self.assertIn('last run   none yet', found)
        self.assertNotIn('delivered', found)
        self.assertIn('delivered  nothing in cur', self.status_by_zcml(self.exporter))
        self.assertIn('delivered  nothing in cur', self.status_by_zcml())
        self.assertNotIn('imported', self.status())

    def test_what_is_imported_is_exported(self):
        self.run_import('a.xml')
        for options in ((self.importer, self.exporter), ()):
            with self.subTest(options):
                with self.assertLogs('zeit.cds'):
                    Exporter(self.spool, MemoryTarget()).run_once()
                found = self.status_by_zcml(*options)
                self.assertIn('waiting    nothing', found)
                self.assertIn('imported   1 file', found)
                self.assertIn('delivered  1 file in cur', found)

    def test_zcml_goes_before_what_has_happened(self):
        self.run_import('a.xml')
        found = self.status_by_zcml(self.exporter)
        self.assertNotIn('imported', found)
        self.assertIn('waiting    1 file, ', found)

    def test_who_reaches_the_server(self):
        remote = ('--remote', '--json')
        for directive, expected in ((self.importer, (None, 'in')), (self.exporter, ('out', None))):
            (found,) = json.loads(self.status_by_zcml(directive, options=remote))
            (server,) = found['servers']
            self.assertEqual(expected, (server['exporter'], server['importer']))


class JSONTests(StatusCase):
    def test_an_import(self):
        self.keep('a.xml')
        self.run_import('a.xml', 'b.xml')
        take(self.path, 'a.xml')
        found = self.found()
        self.assertIsNone(found['delivered'])
        self.assertEqual((1, 'a.xml'), (found['taken']['files'], found['taken']['newest']['name']))
        self.assertEqual(['b.xml'], [each['name'] for each in found['waiting']['names']])
        imported = found['imported']
        self.assertEqual((2, 'b.xml'), (imported['files'], imported['newest']['name']))
        self.assertEqual(['a.xml'], [each['name'] for each in imported['undeleted']])
        self.assertEqual(1, imported['last_run']['exit_code'])
        self.assertIsNone(imported['last_success'])
        for text in (
            imported['newest']['received'],
            imported['undeleted'][0]['since'],
            imported['last_run']['ended'],
        ):
            self.assertRegex(text, r'T\d\d:\d\d:\d\d\+00:00$')
        self.server.clear_faults()
        self.run_import()
        self.assertIsNotNone(self.found()['imported']['last_success'])

    def test_an_export(self):
        found = self.found()
        nothing = dict.fromkeys(('newest', 'last_run', 'last_success'))
        self.assertEqual({'files': 0, **nothing}, found['delivered'])
        self.assertEqual((None, None), (found['taken'], found['imported']))

    def test_nothing_yet(self):
        (found,) = json.loads(self.status_by_zcml(self.importer, options=['--json']))
        nothing = dict.fromkeys(('newest', 'last_run', 'last_success'))
        self.assertEqual({'files': 0, 'undeleted': [], 'failed': [], **nothing}, found['imported'])


class MaxAgeTests(StatusCase):
    def late(self, limit='15m'):
        """Return the line that is said, '' for none."""
        self.status('--max-age', limit)
        self.assertEqual(2 if self.err else 0, self.code)
        return self.err.rstrip().removeprefix(f'zeit-cds: {self.path}: ')

    def test_files_that_nobody_takes(self):
        self.run_import('a.xml', 'b.xml')
        self.assertEqual('', self.late())
        self.later = 1000
        self.assertEqual(
            'a.xml has been waiting for the CMS for 16 min (limit 15 min); 1 more file; '
            'no successful import in 16 min',
            self.late(),
        )
        self.run_import()
        self.assertRegex(self.late(), r'^a\.xml has been waiting for the CMS .*; 1 more file$')
        take(self.path, 'a.xml', 'b.xml')
        self.assertEqual('', self.late())

    def test_runs_that_do_not_happen(self):
        self.run_import()
        self.assertEqual('', self.late())
        self.later = 1000
        self.assertEqual('no successful import in 16 min (limit 15 min)', self.late())

    def test_runs_that_fail(self):
        """The server is locked, away, or has a name that is none."""
        self.run_import()
        self.later = 1000
        self.run_import(port=1)
        self.assertIn('no successful import in 16 min', self.late())
        self.run_import()
        self.assertEqual('', self.late())
        self.later = 2000
        self.plant('write')
        self.run_import()
        self.assertIn('no successful import in 16 min', self.late())

    def test_none_has_succeeded_yet(self):
        self.run_import(port=1)
        self.assertEqual('', self.late())
        self.later = 1000
        self.assertIn('no successful import in 16 min', self.late())

    def test_none_has_happened_yet(self):
        self.later = 1000
        self.assertEqual('', self.late())
        self.status_by_zcml(self.importer, options=['--max-age', '15m'])
        self.assertEqual(2, self.code)
        self.assertIn('zeit-cds: letters: no successful import in 16 min', self.err)
        self.status_by_zcml(self.importer, options=['--max-age', '20m'])
        self.assertEqual((0, ''), (self.code, self.err))

    def test_a_file_that_is_still_on_the_server(self):
        self.run_import()
        self.keep('a.xml')
        self.run_import('a.xml')
        take(self.path, 'a.xml')
        self.later = 1000
        self.assertRegex(self.late(), '^no successful import in .*; 1 file overdue$')
        self.assertIn(
            'a.xml was imported, but has been left on the server for 16 min',
            self.status_line_about_the_newest(),
        )

    def status_line_about_the_newest(self):
        waiting = unfinished(self.spool.status(), imports=True, exports=False)
        return overdue([each for each in waiting if each.name], now=time.time(), limit=900)

    def test_a_long_run_that_goes_on(self):
        """What it has brought so far counts while it is active, and not any more when it failed."""
        self.run_import()
        path = self.path / remembered.JOURNAL
        *_, known = (json.loads(line) for line in path.read_text().splitlines())
        known['kinds']['imported']['success'] -= 1000
        with open(path, 'a') as file:
            file.write(json.dumps(known) + '\n')
        seen = []
        for name in ('a', 'b'):
            look = faults.Call(lambda event: seen.append(self.late()))
            self.fault('RETR', look, path=f'*/{name}.xml')
        self.keep('b.xml')
        self.run_import('a.xml', 'b.xml')
        self.assertEqual('no successful import in 16 min (limit 15 min)', seen[0])
        self.assertEqual('', seen[1])
        self.assertIn('no successful import in 16 min', self.late())

    def test_a_directory_in_new_is_nothing_to_us(self):
        self.run_import()
        (self.path / 'new' / 'directory').mkdir()
        self.later = 1000
        self.assertIn('no successful import', self.late())
        self.assertNotIn(';', self.late())


class MetricsTests(StatusCase):
    def values(self, text):
        return {
            sample.name.removeprefix('zeit_cds_'): sample.value
            for family in prometheus_client.parser.text_string_to_metric_families(text)
            for sample in family.samples
            if 'exit_code' not in sample.labels
        }

    def test_an_import(self):
        self.keep('a.xml')
        self.run_import('a.xml', 'b.xml')
        self.later = 1000
        found = self.values(self.status('--prometheus'))
        self.assertEqual((2, 1), (found['waiting_files'], found['undeleted_files']))
        self.assertEqual(2, found['received_files_total'])
        self.assertAlmostEqual(
            time.time() - 1000, found['last_received_timestamp_seconds'], delta=300
        )
        self.assertAlmostEqual(1000, found['oldest_undelivered_age_seconds'], delta=5)

    def test_no_run_succeeds(self):
        self.run_import()
        self.assertLess(
            self.values(self.status('--prometheus'))['oldest_undelivered_age_seconds'], 5
        )
        self.later = 1000
        found = self.values(self.status('--prometheus'))
        self.assertAlmostEqual(1000, found['oldest_undelivered_age_seconds'], delta=5)

    def test_before_the_first_run(self):
        self.later = 1000
        text = self.status_by_zcml(self.importer, options=['--prometheus'])
        found = self.values(text)
        self.assertAlmostEqual(1000, found['oldest_undelivered_age_seconds'], delta=5)
        self.assertEqual(0, found['undeleted_files'])
        self.assertEqual(0, found['last_received_timestamp_seconds'])
        registry = prometheus_client.CollectorRegistry()
        registry.register(metrics.Collector())
        again = self.values(prometheus_client.generate_latest(registry).decode())
        self.assertAlmostEqual(1000, again['oldest_undelivered_age_seconds'], delta=5)
        # Without ZCML it is any spool.
        self.assertEqual(
            0, self.values(self.status('--prometheus'))['oldest_undelivered_age_seconds']
        )

    def test_an_export(self):
        found = self.values(self.status('--prometheus'))
        self.assertEqual(0, found['undeleted_files'])


class MemoryTests(StatusCase):
    def test_a_run_of_somebody_else(self):
        """A report without a word for what was done is one of an export."""

        class Report:
            errors, error, exit_code = (), None, 0
            delivered = failed = ()

        statistics.ended(self.spool, Report(), seconds=1)
        with self.spool.run():
            pass
        statistics.ended(self.spool, Report(), seconds=1)
        numbers = self.spool.status().numbers
        self.assertEqual((False, True), (numbers.imports, numbers.exports))

    def test_runs_of_both_kinds(self):
        with self.assertLogs('zeit.cds'):
            Exporter(self.spool, MemoryTarget()).run_once()
            Importer(self.spool, target(self.server, port=1)).run_once()
        numbers = self.spool.status().numbers
        self.assertEqual((True, True), (numbers.imports, numbers.exports))
        self.assertIsNone(numbers.last_import['success'])
        self.assertIsNotNone(numbers.runs['success'])
