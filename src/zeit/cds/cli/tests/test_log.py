"""`zeit-cds log`: what has happened, for people and for programs; and receipts by a pattern."""

import csv
import datetime
import io
import json
import unittest.mock

from zeit.cds.cli.events import FIELDS
from zeit.cds.cli.tests.test_cli_runs import ZcmlCase
from zeit.cds.cli.tests.test_command_line import CommandLine, ServerCase
from zeit.cds.cli.tests.test_json import strict
from zeit.cds.journal import journal


class LogCase(CommandLine):
    def setUp(self):
        super().setUp()
        self.history = journal.history(self.path / '.cds')
        (self.path / '.cds').mkdir(exist_ok=True)

    def log(self, *arguments, **options):
        return self.call('log', '--spool', self.path, *arguments, **options)

    def add(self, kind, name, *, days=0, **more):
        """Add a line that was written so many days ago."""
        now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
        with unittest.mock.patch('zeit.cds.journal.append_log.now', return_value=now):
            self.history.add({'kind': kind, 'name': name, 'sequence': 1, **more})

    def names(self, *arguments):
        return [each['name'] for each in json.loads(self.log('--json', *arguments).out)]


class LogTests(LogCase):
    def test_what_is_wanted(self):
        self.add('delivered', 'old.xml', days=40, content='http://xml.zeit.de/old')
        self.add('parked', 'b.xml', days=3, reason='550 No.')
        self.add('retraction', 'c.xml', days=2, outcome='deleted')
        self.add('delivered', 'a[1].xml', days=1, size=5)
        self.add('month', 'no event')
        everything = ['a[1].xml', 'c.xml', 'b.xml', 'old.xml']
        for arguments, expected in (
            ([], everything),
            (['--since', '60h'], everything[:2]),
            (['--until', '36h'], everything[1:]),
            (['--since', '50d', '--until', '36h'], everything[1:]),
            (['--since', '2000-01-01', '--until', '2000-02-01T12:00'], []),
            (['--failed'], ['b.xml']),
            (['--name', '*.xml'], everything),
            (['--name', 'o*'], ['old.xml']),
            (['--name', 'a[1].xml'], ['a[1].xml']),
            (['--name', '[bc].xml'], ['c.xml', 'b.xml']),
            (['--name', 'b.xm'], []),
            (['--id', 'http://xml.zeit.de/old'], ['old.xml']),
            (['--id', 'http://xml.zeit.de/old', '--name', 'x*'], []),
        ):
            with self.subTest(arguments):
                self.assertEqual(expected, self.names(*arguments))

    def test_a_retraction_that_has_failed(self):
        self.add('retraction', 'c.xml', outcome='changed')
        self.assertEqual(['c.xml'], self.names('--failed'))
        said = ' '.join(self.log().out.split())
        self.assertIn('something else of its name, which stays', said)

    def test_text(self):
        self.add('delivered', 'a.xml\x1b', size=2048)
        self.add('ended', None, exit_code=69, files=0, failed=2, reason='No route\nto host')
        outcome = self.log()
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        time = r'20\d\d-\d\d-\d\d \d\d:\d\d:\d\d'
        self.assertRegex(
            outcome.out,
            rf'\A{time}  run        0 files delivered, 2 failed, exit code 69\n'
            rf' {{21}}No route\\nto host\n'
            rf'{time}  delivered  a.xml\\x1b \(2.0 KiB\)\n\Z',
        )

    def test_csv(self):
        self.add('delivered', 'a,"\n\udcff.xml', size=2, target='ftp://h/')
        header, row = csv.reader(io.StringIO(self.log('--csv').out))
        self.assertEqual([*FIELDS], header)
        found = dict(zip(header, row, strict=True))
        self.assertEqual('a,"\\n\\xff.xml', found['name'])
        self.assertEqual(('delivered', '2', 'ftp://h/', ''),
                         (found['event'], found['size'], found['server'], found['reason']))

    def test_json_without_an_event(self):
        self.assertEqual([], strict(self.log('--json').out))

    def test_wrong_usage(self):
        self.assert_line(self.log('--json', '--csv'), 64, '--json cannot be combined with --csv')
        for moment in ('x', '999999d', '0001-01-01T00:00+14:00', '9999-12-31T23:59-12:00'):
            with self.subTest(moment):
                self.assert_line(self.log('--since', moment), 64, 'is not a time such as 90s')
        self.assert_line(self.log('articles'), 64, 'Names of spools need --zcml')
        self.assert_line(self.call('log'), 64, 'No spool given')

    def test_somebody_who_does_not_read_on(self):
        """head(1): it ends at once, and does not read all of the history for nobody."""
        for _ in range(3):
            self.add('delivered', 'a.xml')
        reads = []
        with unittest.mock.patch('zeit.cds.cli.events._TOGETHER', 1):
            with unittest.mock.patch('zeit.cds.cli.console.Console.say', return_value=False) as say:
                say.side_effect = reads.append
                self.assertEqual(0, self.log().code)
        self.assertEqual(1, len(reads))

    def test_it_reads_no_more_than_it_must(self):
        for days in (0, 40, 80):
            self.add('delivered', 'a.xml', days=days)
        with unittest.mock.patch.object(self.history.__class__, '_blocks', autospec=True) as blocks:
            blocks.return_value = ()
            self.log('--since', '50d', '--until', '32d')
        self.assertLessEqual(len(blocks.mock_calls), 2)


class ReceiptsByPattern(LogCase):
    def test_pattern(self):
        for name in ('a.xml', 'b.xml', 'ab.xml'):
            self.add('delivered', name, size=1)
        self.add('delivered', 'a-old.xml', size=1, days=9)
        found = self.call('receipt', '--spool', self.path, 'a*', '--since', '2d')
        self.assertEqual((0, ''), (found.code, found.err))
        self.assertTrue(found.out.startswith('a*: delivered 2 times\n'), found.out)
        self.assertIn('    file     ab.xml\n', found.out)
        self.assertNotIn('old', found.out)


class RunTests(ServerCase):
    def test_a_run(self):
        self.export()
        found = json.loads(self.call('log', '--spool', self.path, '--json').out)
        self.assertEqual(['ended', 'delivered', 'delivered'], [each['event'] for each in found])
        self.assertEqual((0, 2), (found[0]['exit_code'], found[0]['files']))
        self.assertEqual(self.url.removesuffix('/'), found[1]['server'])


class SeveralSpools(ZcmlCase):
    def test_in_the_order_of_time(self):
        self.call('--zcml', self.file, 'export', 'articles')
        self.call('--zcml', self.file, 'export', 'articles')
        found = self.call('--zcml', self.file, 'log')
        self.assertIn('delivered  articles: a.xml (5 B)\n', found.out)
        times = [line[:19] for line in found.out.splitlines() if line.startswith('2')]
        self.assertEqual(sorted(times, reverse=True), times)


class NoticeTests(ServerCase):
    """A file that tells of a retraction is no article, for whoever reads receipts."""

    def test_a_notice(self):
        content = 'http://xml.zeit.de/c'
        self.spool.put('c.xml', b'c', content=content)
        out = self.export()
        self.assertEqual((0, ''), (out.code, out.err))
        until = self.spool.latest(new=True)
        self.spool.retract(content, 'x', until=until, notice=('n.xml', b'<canceled/>', ''))
        self.export()
        about = '--spool', self.path, '--id', content
        found = json.loads(self.call('receipt', '--json', *about).out)
        self.assertEqual([('c.xml', False), ('n.xml', True)],
                         [(each['name'], each['notice']) for each in found])
        told = self.call('receipt', *about).out
        self.assertEqual(1, told.count('notice   It tells the partner that this content is retr'))
        self.assertIn('n.xml (11 B), the notice of a retraction\n', self.call('log', *about).out)

    def test_one_that_is_superseded(self):
        content = 'http://xml.zeit.de/c'
        self.spool.put('c.xml', b'c', content=content)
        out = self.export()
        self.assertEqual((0, ''), (out.code, out.err))
        until = self.spool.latest(new=True)
        self.spool.retract(content, 'x', until=until, notice=('n.xml', b'<canceled/>', ''))
        self.spool.put('c.xml', b'd', content=content)
        (found,) = json.loads(self.call('receipt', '--json', '--spool', self.path, 'n.xml').out)
        self.assertTrue(found['withdrawn'] and found['notice'])
