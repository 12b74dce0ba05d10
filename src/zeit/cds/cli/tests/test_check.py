"""The command `check`: its table, JSON, exit codes."""

import contextlib
import os
import unittest.mock

import zope.component.testing

from zeit.cds.check.finding import CAN, CANNOT, FAILED, OK, RESULTS, UNKNOWN, WARNING, Finding
from zeit.cds.cli import selection
from zeit.cds.cli.checks import Result, as_text
from zeit.cds.cli.tests.test_command_line import CommandLine, ServerCase
from zeit.cds.cli.tests.test_configuration import ZCML
from zeit.cds.cli.tests.test_json import documented, strict
from zeit.cds.spool.spool import Spool


class LocalTests(CommandLine):
    def test_a_spool(self):
        outcome = self.call('check', '--spool', self.path)
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertRegex(outcome.out, r'\ASpool .*\n  ok       directories  ')
        self.assertEqual('All is well.', outcome.out.splitlines()[-1])
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))

    def test_what_is_wrong(self):
        outcome = self.call('check', '--spool', self.folder / 'none')
        self.assertEqual((78, ''), (outcome.code, outcome.err))
        self.assertIn('failed   directories', outcome.out)
        quiet = self.call('-q', 'check', '--spool', self.folder / 'none')
        self.assert_line(quiet, 78, 'directories: There is no spool at')
        self.assertEqual('', self.call('-q', 'check', '--spool', self.path).err)

    def test_wrong_use(self):
        for arguments, pattern in (
            (['check'], 'No spool given: give --zcml'),
            (['check', '--remote', '--spool', self.path], '--remote with --spool needs a URL'),
            (['check', '--zcml', 'x', '--spool', self.path], '--spool cannot be combined'),
            (['check', '--bogus'], 'No such option'),
        ):
            with self.subTest(arguments):
                self.assert_line(self.call(*arguments), 64, pattern)


class RemoteTests(ServerCase):
    def check(self, *arguments, url=None):
        return self.call('check', '--remote', '--spool', self.path, *arguments, url or self.url)

    def test_a_server(self):
        outcome = self.check()
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertLessEqual(max(map(len, outcome.out.splitlines())), 80)
        self.assertRegex(outcome.out, '  can      guard locks')
        self.assertEqual([], os.listdir(self.server.root))

    def test_json(self):
        (found,) = strict(self.check('--json').out)
        self.assertEqual((1, 'exporter', 0), (found['version'], found['kind'], found['exit_code']))
        known = documented('check')
        named = {key for part in ('local', 'remote') for each in found[part] for key in each}
        self.assertEqual(set(), {*found, *named} - known)
        self.assertEqual(set(), {*RESULTS} - known)
        (found,) = strict(self.call('check', '--json', '--spool', self.path).out)
        self.assertEqual((None, None), (found['remote'], found['server']))

    def test_locked(self):
        (self.server.root / 'write').write_text('The partner')
        outcome = self.check()
        self.assertEqual(75, outcome.code)
        self.assertIn('The partner', outcome.out)
        self.assertIn('can      log in', outcome.out)
        self.assertEqual(['write'], os.listdir(self.server.root))

    def test_exit_codes(self):
        self.assertEqual(69, self.check(url='ftp://me@127.0.0.1:1//').code)
        self.assertEqual(78, self.check(url=f'{self.url}none').code)
        self.environ['ZEIT_CDS_PASSWORD'] = 'wrong'
        self.assertEqual(77, self.check().code)


class ZcmlTests(ServerCase):
    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        second = self.folder / 'second'
        second.mkdir()
        self.second = Spool(second)
        path = self.folder / 'cds.zcml'
        path.write_text(ZCML.format(first=self.path, second=second, server=self.server))
        self.environ['ZEIT_CDS_ZCML'] = str(path)

    def test_a_command_that_cannot_be_run(self):
        path = self.folder / 'cds.zcml'
        hook = '<exporter on_failure="/no/such" name="second"'
        path.write_text(path.read_text().replace('<exporter name="second"', hook))
        outcome = self.call('check')
        self.assertEqual(0, outcome.code)
        self.assertRegex(outcome.out, '(?s)Server second: .*warning  hooks .*on_failure')

    def test_one_that_cannot_be_reached_hides_no_other(self):
        outcome = self.call('check', '--remote')
        self.assertEqual(69, outcome.code)
        self.assertRegex(outcome.out, '(?s)Server first: .*failed   log in.*Server second: ')
        self.assertIn('can      replace', outcome.out)
        outcome = self.call('check', '--remote', 'second')
        self.assertEqual(0, outcome.code)
        self.assertNotIn('first', outcome.out)

    def test_a_failure_here_asks_no_server(self):
        with unittest.mock.patch.dict(self.environ):
            del self.environ['ZEIT_CDS_PASSWORD']
            outcome = self.call('check', '--remote', 'second')
        self.assertEqual(78, outcome.code)
        self.assertNotIn('log in', outcome.out)

    def test_an_unknown_name(self):
        self.assert_line(self.call('check', 'third'), 64, "no exporter or importer 'third'")


class TextTests(CommandLine):
    def text(self, *findings):
        checked = selection.Checked('', self.spool, None)
        return as_text([Result(checked, findings, [], None)]).splitlines()

    def test_a_table(self):
        _, *lines, _, last = self.text(
            Finding('tell sizes', CANNOT, '502 no', 'another way', 'size_check="no"'),
            Finding('x', UNKNOWN),
        )
        self.assertEqual(
            [
                '  cannot   tell sizes           502 no',
                '                                instead: another way',
                '                                setting: size_check="no"',
                '  unknown  x                    unknown',
            ],
            lines,
        )
        self.assertIn('in another way', last)
        self.assertIn('not all was found out: x', last)

    def test_the_last_line(self):
        for findings, said in (
            ([Finding('a', OK), Finding('b', CAN)], 'All is well.'),
            ([Finding('a', WARNING)], 'All is well, with 1 warning.'),
            ([Finding('a', UNKNOWN)], 'All is well, but not all was found out: a.'),
            ([Finding('a', FAILED, code=78)], '1 thing to be set right: a.'),
            ([Finding('a', UNKNOWN, code=75)], 'Not all was found out: somebody else is at work'),
        ):
            self.assertTrue(self.text(*findings)[-1].startswith(said))

    def test_nothing_is_left_open(self):
        with contextlib.suppress(SystemExit):
            self.call('check', '--spool', self.path)
        with self.spool.run():
            pass
