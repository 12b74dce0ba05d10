"""Names that a server does not keep as they are: nothing is filed that got another one."""

import unittest

from zeit.cds.names import new_token
from zeit.cds.target.name_probe import kinds
from zeit.cds.testing import faults
from zeit.cds.testing.profiles import PROFILES
from zeit.cds.tests.importing import ImportScenario
from zeit.cds.tests.scenario import Scenario, target


class KindTests(unittest.TestCase):
    def test_what_every_server_keeps_is_of_no_kind(self):
        for name in 'a', 'article-1.xml', '{urn_uuid-1}.xml', 'A.B', '_x-y_', '1.2.3', '-a-':
            with self.subTest(name):
                self.assertEqual(set(), kinds(name))

    def test_kinds(self):
        for name, expected in (
            ('a b', {' '}),
            (' a', {' ', ' ...'}),
            ('a ', {' ', '... '}),
            ('a.', {'....'}),
            ('~a', {'~', '~...'}),
            ('a"b\u00e4', {'"', '\u00e4'}),
            ('e\u0301x', {'e\u0301'}),
            (' ', {' ', ' ...', '... '}),
        ):
            with self.subTest(name):
                self.assertEqual(expected, kinds(name))


def without(*characters):
    """Return a function that leaves out of a name what a server drops."""
    return lambda name: ''.join(c for c in name if c not in characters)


def trailing(name):
    """Do what Pure-FTPd does with a blank at the end of a name."""
    return name[:-1] + '_' if name.endswith(' ') else name


class SpellingTests(Scenario, unittest.TestCase):
    def on(self, **arguments):
        """Begin anew on a server with these arguments."""
        self.arguments = arguments
        self.prepare()

    def trials(self):
        """Return the names of our own that were tried since this was asked before."""
        stored = [text.removeprefix('STOR ') for text in self.server.commands('STOR')]
        new, self.seen = stored[self.seen :], len(stored)
        return [name for name in new if not name.startswith('write') and 'x' in name[:3]]

    def prepare(self):
        super().prepare()
        self.seen = 0

    def test_names_that_are_kept_cost_something_once(self):
        names = 'plain.xml', 'a b', 'Gr\u00fc\u00dfe \u2013 1.xml', '"q"', ' lead', 'trail ', 'dot.'
        report = self.export(*names)
        self.assertEqual(([], 0), (report.errors, report.exit_code))
        self.assertEqual(len(names), len(report.delivered))
        self.assertEqual(4, len(self.trials()))  # one, and so many kinds of ends
        self.assert_run(0, 'q"q', self.export('q"q'))
        self.assertEqual([], self.trials())
        self.assert_run(0, 'q#', self.export('q#'))
        self.assertEqual(2, len(self.trials()))

    def test_plain_names_cost_nothing(self):
        self.export('a')
        listings = len(self.server.commands('MLSD'))
        self.export('{b}-1_2.xml')
        self.assertEqual(([], 2 * listings), (self.trials(), len(self.server.commands('MLSD'))))

    def test_who_would_get_another_name_is_refused_and_the_others_go(self):
        for wrong, arguments in (
            (' lead', {'stored_as': str.lstrip}),
            ('trail ', {'stored_as': str.strip}),
            ('trail ', {'stored_as': trailing}),
            ('q"q', {'stored_as': without('"')}),
            ('\u00e4.xml', {'stored_as': lambda name: name.encode('ascii', 'ignore').decode()}),
            ('\u00e4.xml', {'stored_as': lambda name: name.encode().decode('latin-1')}),
            ('\u00e4.xml', {'listed_as': lambda name: name.encode('ascii', 'replace').decode()}),
        ):
            with self.subTest(wrong, **arguments):
                self.on(**arguments)
                self.assert_run(1, 'fine#12', self.export(wrong, 'fine#12'))
                self.assertIn(wrong, self.section('new'))
                self.assertIn('would give it another name: of ', self.log)
                self.assertEqual({'fine#12'}, set(self.remote))

    def test_two_articles_do_not_become_one(self):
        self.on(stored_as=without(' '))
        self.export(' a', 'a')
        self.assertEqual(({'a'}, ['a']), (set(self.remote), self.section('cur')))
        self.assertEqual(self.offered['a'], self.remote['a'])

    def test_a_character_that_the_server_refuses_is_found_among_others(self):
        self.fault('STOR', faults.Reply('553 No such name.'), path='*[*]*')
        self.assert_run(1, 'a# b(d)', self.export('a*', 'a#', 'b(d)'))
        self.assertIn('553 No such name.', self.log)
        self.assertEqual(['a*'], self.section('new'))

    def test_where_a_name_with_blanks_cannot_be_deleted_none_is_made(self):
        self.on(answers=PROFILES['thinftp'].answers)
        for names in ('a b', ' lead', 'trail ', 'q#'), ():
            report = self.export(*names)
            self.assertEqual((1, 3), (report.exit_code, len(self.section('new'))), self.log)
            self.assertIn('501 Syntax error', self.log)
        self.assertEqual({'q#'}, set(self.remote))

    def test_501_to_each_question_for_a_size_says_nothing(self):
        self.fault('SIZE', faults.Reply('501 What?'))
        self.assertEqual(['a b'], self.export('a b').delivered)

    def test_what_could_not_be_deleted_is_not_made_once_more(self):
        self.on(stored_as=without('"'))
        self.fault('DELE', faults.Reply('550 Not this one.'), path='/cds/x*')
        for names in ('a"', '"b'), ('c"',), ('d',):
            report = self.export(*names, garbage=1)
        self.assertEqual((['d'], 3), (report.delivered, len(self.section('new'))), self.log)
        self.assertIn('did not delete', self.log)

    def test_a_connection_that_is_lost_by_it(self):
        self.fault('STOR', faults.Cut(), path='*[*]*')
        self.assert_run(1, 'a#', self.export('a*', 'a#'))

    def test_many_characters_at_once(self):
        self.assertEqual(0, self.export(*map(chr, range(0x4E00, 0x4E00 + 200))).exit_code)
        self.assertLess(len(self.trials()), 12)

    def test_many_that_are_all_dropped(self):
        self.on(stored_as=lambda name: name.encode('ascii', 'ignore').decode())
        report = self.export('a', *(f'{chr(c)}.xml' for c in range(0x4E00, 0x4E00 + 200)))
        self.assertEqual((['a'], 1), (report.delivered, report.exit_code))
        self.assertLess(len(self.trials()), 120)

    def test_it_is_tried_again_as_long_as_it_waits(self):
        self.on(stored_as=without('"'))
        self.export('q"q')
        self.server.stored_as = str
        self.assert_run(0, 'q"q', self.export())

    def test_what_is_left_of_a_trial_is_removed_by_the_next_run(self):
        token = new_token()
        with self.spool.run():
            url = target(self.server).url
            self.spool.journal.note('token', token=token, target=url)
        for name in f'"x.{token}-1.part', f' x.{token}-2.part ', f'x.{token}-3.part.':
            self.server.put(f'/cds/{name}', b'x')
        self.assert_run(0, '', self.export())
        self.assertEqual({}, self.remote)


class ImportTests(ImportScenario, unittest.TestCase):
    def test_a_name_that_is_listed_and_not_known_is_reported(self):
        for refused in ('', 'MLSD'):
            with self.subTest(refused):
                self.prepare()
                self.server.listed_as = lambda name: name.encode('ascii', 'replace').decode()
                if refused:
                    self.fault(refused, faults.Reply('502 Not here.'))
                self.plant('\u00e4.xml')
                report = self.run_import('b.xml')
                statuses = {result.name: result.status for result in report.results}
                self.assertEqual(({'?.xml': 'failed', 'b.xml': 'delivered'}, 1),
                                 (statuses, report.exit_code))  # fmt: skip
                reasons = [result.reason for result in report.results]
                self.assertIn('lists other names than it takes', ''.join(reasons))
