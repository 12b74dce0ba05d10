"""What one run has found out about a server, the next one knows; what is wrong is forgotten."""

import datetime
import errno
import unittest
from unittest import mock

from zeit.cds import jsonlog
from zeit.cds.errors import ConnectionLost
from zeit.cds.ftp.ways import LISTINGS, Ways
from zeit.cds.plan import ImportOptions, Options, Plan
from zeit.cds.testing import faults, layers
from zeit.cds.tests.contract import job
from zeit.cds.tests.importing import ImportScenario
from zeit.cds.tests.scenario import SHORT, Scenario, target
from zeit.cds.tests.test_contract import target as on_disk


PORTS = 'EPSV', 'PASV'
ABOUT = 'FEAT', 'SYST'


class Remembering:
    """Mixin of a scenario: what is in the journal, and what a run has said to the server."""

    def setUp(self):
        super().setUp()
        self.said = 0

    def facts(self):
        with self.spool.run():
            row = self.spool.journal.row('learned', target(self.server).url)
        return row and row['known'].get('facts', {})

    def asked(self, *verbs):
        """Return the verbs among these that were said since this was asked before."""
        commands = self.server.commands()
        new, self.said = commands[self.said :], len(commands)
        return [verb for verb in (text.split()[0] for text in new) if verb in verbs]


class ExportTests(Remembering, Scenario, unittest.TestCase):
    def no_epsv(self):
        """A run finds out that the server does not know EPSV."""
        self.fault('EPSV', faults.Reply('502 Not known.'))
        self.assert_run(0, 'a', self.export('a'))
        self.assertEqual({'epsv': False}, self.facts())
        self.asked()

    def test_of_an_ordinary_server_there_is_nothing_to_remember(self):
        self.export('a')
        self.export('b')
        self.assertEqual(([], None), (self.asked(*ABOUT), self.facts()))

    def test_the_next_run_pays_nothing_for_it(self):
        self.no_epsv()
        for name in 'bc':
            self.assert_run(0, name, self.export(name))
            self.assertEqual([*ABOUT], self.asked('EPSV', *ABOUT))
            self.assertNotIn('learned', self.journal_since())

    def journal_since(self):
        """Return the kinds of what the last run wrote."""
        entries = [*jsonlog.entries(self.path / '.cds' / 'journal')]
        last = max(n for n, entry in enumerate(entries) if entry['kind'] == 'token')
        return [entry['kind'] for entry in entries[last:]]

    def test_a_dry_run_uses_it(self):
        self.no_epsv()
        self.put('b')
        self.export(run=Options(dry_run=True))
        self.assertEqual([], self.asked('EPSV'))

    def test_a_dry_run_remembers_it(self):
        self.fault('EPSV', faults.Reply('502 Not known.'))
        self.put('a')
        self.export(run=Options(dry_run=True))
        self.assertEqual({'epsv': False}, self.facts())

    def test_it_is_not_so_any_more(self):
        for action in faults.Reply('502 Not known.'), faults.DataPort('refused'):
            with self.subTest(action):
                self.prepare()
                self.said = 0
                self.no_epsv()
                self.server.clear_faults()
                self.fault('PASV', action)
                self.assert_run(0, 'b', self.export('b'))
                self.assertEqual((1, {}), (self.asked('PASV').count('PASV'), self.facts()))
                self.assert_run(0, 'c', self.export('c'))
                self.assertEqual([], self.asked('PASV'))

    def test_nothing_comes_from_that_port_any_more(self):
        self.no_epsv()
        self.server.clear_faults()
        self.fault('MLSD', faults.StallData(), times=1)
        self.assert_run(0, 'b', self.export('b', **SHORT))
        self.assertEqual((['PASV'], {}), (self.asked('PASV'), self.facts()))

    def test_another_server(self):
        for verb, reply in ('SYST', '215 Windows_NT'), ('FEAT', '211-Now:\r\n EPSV\r\n211 End.'):
            with self.subTest(verb):
                self.prepare()
                self.said = 0
                self.no_epsv()
                self.server.clear_faults()
                self.fault(verb, faults.Reply(reply))
                self.assert_run(0, 'b', self.export('b'))
                # It was asked for in the packet with the question.
                self.assertEqual((['PASV'], {}), (self.asked('PASV'), self.facts()))

    def test_another_server_with_facts_of_its_own(self):
        self.no_epsv()
        self.server.clear_faults()
        self.fault('SYST', faults.Reply('215 Windows_NT'))
        self.fault('MLSD', faults.Reply('502 Not known.'))
        self.assert_run(0, 'b', self.export('b'))
        self.assertEqual({'listing': ['NLST', '', 'I']}, self.facts())
        self.asked()
        self.export('c')
        self.assertEqual([*ABOUT], self.asked('MLSD', 'PASV', *ABOUT))

    def test_a_server_that_does_not_say_what_it_is(self):
        self.fault('SYST FEAT', faults.Reply('502 Not known.'))
        self.no_epsv()
        self.assert_run(0, 'b', self.export('b'))
        self.assertEqual([], self.asked('EPSV'))

    def test_a_server_that_must_not_be_asked_what_it_is(self):
        for action in faults.Cut(), faults.Silence():
            with self.subTest(action):
                self.prepare()
                self.said = 0
                self.fault('EPSV', faults.Reply('502 Not known.'))
                self.fault('FEAT', action)
                self.assert_run(0, 'a', self.export('a', **SHORT))
                self.assertEqual(({'epsv': False}, ['FEAT']), (self.facts(), self.asked('FEAT')))
                self.assert_run(0, 'b', self.export('b', **SHORT))
                self.assertEqual([], self.asked('EPSV', *ABOUT))

    def test_a_server_that_says_it_in_lines_that_are_no_reply(self):
        """Whether it is one from the beginning, or from now on."""
        self.no_epsv()
        self.fault('FEAT', faults.Reply(b'211 Features\r\n PASV\r\n211 End\r\n'))
        for name in 'bcd':
            self.assert_run(0, name, self.export(name))
        self.prepare()
        self.fault('EPSV', faults.Reply('502 Not known.'))
        for name in 'ab':
            self.assert_run(0, name, self.export(name))

    def test_for_a_day(self):
        self.no_epsv()
        now = jsonlog.now()
        for passed, asked in (-1, True), (23, False), (25, True):
            with self.subTest(hours=passed):
                moment = now + datetime.timedelta(hours=passed)
                with mock.patch.object(jsonlog, 'now', lambda moment=moment: moment):
                    self.export(f'{passed}')
                    self.assertEqual(asked, 'EPSV' in self.asked('EPSV'))
                    self.assertEqual({'epsv': False}, self.facts())
        self.server.clear_faults()
        moment += datetime.timedelta(hours=25)
        with mock.patch.object(jsonlog, 'now', lambda: moment):
            self.export('last')
        self.assertEqual({}, self.facts())

    def test_a_name_of_a_later_build_is_kept(self):
        self.no_epsv()
        with self.spool.run():
            row = self.spool.journal.row('learned', target(self.server).url)
            facts = {'epsv': False, 'renames merge': True}
            known = {**row['known'], 'facts': facts}
            self.spool.journal.note('learned', target=row['target'], known=known)
        self.export('b')
        self.assertEqual(facts, self.facts())

    def test_it_survives_a_new_journal(self):
        self.no_epsv()
        with self.spool.run():
            self.spool.journal.compact()
        self.assertEqual({'epsv': False}, self.facts())


class ImportTests(Remembering, ImportScenario, unittest.TestCase):
    def test_an_import_does_the_same(self):
        self.fault('EPSV', faults.Reply('502 Not known.'))
        self.run_import('a')
        self.assertEqual({'epsv': False}, self.facts())
        self.asked()
        for options in None, ImportOptions(dry_run=True):
            self.run_import('b', options=options)
            self.assertEqual([], self.asked('EPSV'))


class WaysTests(unittest.TestCase):
    def ways(self, **facts):
        return Ways({'server': 'x', 'facts': facts})

    def test_every_way_to_list(self):
        for listing in LISTINGS:
            before = Ways()
            before.described('x')
            before.prefer(listing)
            after = Ways(before.learned)
            self.assertEqual((listing, set(LISTINGS)), (after.listings[0], {*after.listings}))

    def test_what_is_found_out_anew_is_not_in_doubt(self):
        ways = self.ways(epsv=False)
        self.assertTrue(ways.doubt('epsv'))
        self.assertFalse(ways.doubt('epsv'))

    def test_an_unknown_way_to_list(self):
        self.assertEqual(LISTINGS, self.ways(listing=['LIST', '', 'I']).listings)

    def test_a_connection_that_is_lost_once(self):
        """It may have been the network."""
        lost, known = ConnectionLost(errno.ECONNRESET, 'Lost'), {}
        for session, facts in enumerate(({}, {'together': False})):
            ways = Ways(known)
            self.assertTrue(ways.together)
            ways.give_up('together', error=lost)
            ways.described('x')
            known = ways.learned
            self.assertEqual((facts, False), (known['facts'], ways.together), session)
        self.assertFalse(Ways(known).together)

    def test_a_connection_that_is_not_lost_again(self):
        ways = Ways({'server': 'x', 'facts': {}, 'once': ['together']})
        ways.described('x')
        self.assertEqual({}, ways.learned)

    def test_what_did_not_help(self):
        ways = self.ways(together=False)
        ways.give_up('together', error=ConnectionLost(errno.ECONNRESET, 'Lost'))
        self.assertTrue(ways.together)

    def test_nothing_is_written_down_before_the_server_was_seen(self):
        ways = self.ways(epsv=False)
        ways.doubt('epsv')
        self.assertEqual({'epsv': False}, ways.learned['facts'])
        ways.described('x')
        self.assertEqual({}, ways.learned)


class OnServers:
    """Mixin: what a real server says about itself does not change, so what is learned holds."""

    def test_the_second_session(self):
        goal, learned = on_disk(self.server), {}
        for number in range(3):
            session = goal.open(learned=learned)
            session._ways.facts['a fact'] = True
            try:
                session.store(f'{number}', b'1')
                self.assertIn(f'{number}', session.names())
                plan = Plan([job(f'file {number}', b'1')])
                self.assertEqual([None], [outcome.error for outcome in session.run(plan)])
            finally:
                session.close()
            self.assertIn('a fact', session.learned['facts'])
            if learned:
                self.assertEqual(learned, session.learned)
            learned = session.learned


class PyFTPTests(OnServers, layers.ServerTests, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdTests(OnServers, layers.ServerTests, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDTests(OnServers, layers.ServerTests, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDTests(OnServers, layers.ServerTests, unittest.TestCase):
    layer = layers.PUREFTPD
