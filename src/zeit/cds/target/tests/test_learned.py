"""What one run has found out about a server, the next one knows; what is wrong is forgotten."""

import datetime
import errno
import unittest
from unittest import mock

from zeit.cds.cli import selection, unlock
from zeit.cds.errors import ConnectionLost, PermanentError
from zeit.cds.ftp import transfers
from zeit.cds.ftp.capabilities import LISTINGS, Capabilities
from zeit.cds.journal import append_log
from zeit.cds.target.upload import upload_files
from zeit.cds.testing import faults, layers
from zeit.cds.testing.memory import NoLedger
from zeit.cds.tests.contract import job
from zeit.cds.tests.importing import ImportScenario
from zeit.cds.tests.scenario import PATIENCE, SHORT, Scenario, target
from zeit.cds.tests.test_contract import target as on_disk
from zeit.cds.values.plan import Plan
from zeit.cds.values.run_options import ImportOptions, Options


PORTS = 'EPSV', 'PASV'
ABOUT = 'FEAT', 'SYST'


class Remembering:
    """Mixin of a scenario: what is in the journal, and what a run has said to the server."""

    def setUp(self):
        super().setUp()
        self.said = 0

    def facts(self):
        """Return what is remembered, but for what is said of every good server."""
        with self.spool.run():
            row = self.spool.journal.row('learned', target(self.server).url)
        facts = row['known'].get('facts', {}) if row else {}
        self.orderly = facts.pop('orderly', None)
        return facts

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

    def test_of_an_ordinary_server_there_is_only_that_it_is_one(self):
        self.export('a')
        self.export('b')
        self.assertEqual(([*ABOUT] * 2, {}), (self.asked(*ABOUT), self.facts()))
        self.assertTrue(self.orderly)

    def test_the_next_run_pays_nothing_for_it(self):
        self.no_epsv()
        for name in 'bc':
            self.assert_run(0, name, self.export(name))
            self.assertEqual([*ABOUT], self.asked('EPSV', *ABOUT))
            self.assertNotIn('learned', self.journal_since())

    def journal_since(self):
        """Return the kinds of what the last run wrote."""
        entries = [*append_log.entries(self.path / '.cds' / 'journal')]
        last = max(n for n, entry in enumerate(entries) if entry['kind'] == 'token')
        return [entry['kind'] for entry in entries[last:]]

    def test_who_unlocks_uses_it(self):
        self.no_epsv()
        console, chosen = mock.Mock(), selection.SelectedServer(target(self.server), [self.spool])
        self.assertEqual(0, unlock.run(console, chosen, sure=True))
        self.assertNotIn('EPSV', self.asked(*PORTS))

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
        for verb, reply in ('SYST', '215 Windows_NT'), ('FEAT', '211-Now:\r\n MLST\r\n211 End.'):
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
        now = append_log.now()
        for passed, asked in (-1, True), (23, False), (25, True):
            with self.subTest(hours=passed):
                moment = now + datetime.timedelta(hours=passed)
                with mock.patch.object(append_log, 'now', lambda moment=moment: moment):
                    self.export(f'{passed}')
                    self.assertEqual(asked, 'EPSV' in self.asked('EPSV'))
                    self.assertEqual({'epsv': False}, self.facts())
        self.server.clear_faults()
        moment += datetime.timedelta(hours=25)
        with mock.patch.object(append_log, 'now', lambda: moment):
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

    def test_a_server_that_throws_away_what_comes_early(self):
        """It is sent again in the same run: pyftpdlib, where STOR comes behind its data."""
        over_tls = faults.Alter(keep=0), faults.Lie(''), faults.ReplyLate()
        for actions in (faults.Forget(10),), over_tls:
            with self.subTest(actions=actions):
                self.prepare()
                self.fault('STOR', *actions, path='/cds/*.part', times=1)
                self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
                self.assertLess(self.took, PATIENCE)
                facts = self.facts()
                self.assertIs(False, facts.pop('early'))
                self.assertLessEqual({*facts}, {'prompt'})
                self.assert_run(0, 'd e', self.export('d', 'e'))
                self.assertIs(False, self.facts()['early'])

    def test_a_long_file_was_not_thrown_away(self):
        """The server is slow to say why it has reset the data connection."""
        slow = faults.Delay(seconds=2 * transfers.THROWN_AWAY)
        self.fault('STOR', faults.CutData(200_000), slow, path='/cds/*.part', times=1)
        self.enterContext(mock.patch.object(transfers, 'BUFFERED', 100_000))
        self.offered['a'] = b'x' * 5_000_000
        self.spool.put('a', self.offered['a'])
        self.export()
        self.assertNotIn('early', self.facts())
        self.assertIn(' 426 ', self.log)

    def test_it_throws_away_the_lock(self):
        self.assert_run(0, 'a', self.export('a'))
        self.fault('STOR', faults.Forget(10), path='/cds/write.*', times=1)
        self.assert_run(0, 'b', self.export('b'))
        self.assertEqual({'early': False}, self.facts())


class OrderlyTests(Remembering, Scenario, unittest.TestCase):
    """What is sent in one packet where a run has proved that it is executed in order."""

    def setUp(self):
        super().setUp()
        self.assert_run(0, 'a', self.export('a'))
        self.asked()

    def test_no_password_before_the_user_is_accepted(self):
        self.fault('USER', faults.Reply('530 TLS is required.'))
        self.assert_run(77, '', self.export('b'))
        self.assertEqual(['USER'], self.asked('USER', 'PASS', 'CWD'))

    def test_a_password_that_is_refused_says_nothing_about_the_rest(self):
        self.fault('PASS', faults.Reply('530 Login incorrect.'))
        self.fault('EPSV', faults.Reply('530 Log in first.'))
        self.assert_run(77, '', self.export('b'))
        self.assertEqual(({}, True), (self.facts(), self.orderly))
        self.server.clear_faults()
        with self.spool.run():
            known = self.spool.journal.row('learned', target(self.server).url)['known']
        session = target(self.server).open(learned=known)
        self.addCleanup(session.close)
        session.reconnect()
        self.fault('PASS', faults.Reply('530 Login incorrect.'))
        self.fault('EPSV', faults.Reply('530 Log in first.'))
        with self.assertRaises(PermanentError):
            session.names()
        self.assertTrue(session._capabilities.epsv)
        self.server.clear_faults()

    def test_a_packet_that_breaks_the_connection_is_sent_step_by_step_at_once(self):
        self.fault('TYPE', faults.Cut(), times=1)
        self.assert_run(0, 'b', self.export('b'))
        self.assertEqual(['PASS', 'PASS'], self.asked('PASS'))
        self.facts()
        self.assertTrue(self.orderly)  # it was proved anew

    def test_a_packet_that_is_not_answered_is_given_up_for_a_day(self):
        self.fault('MKD', faults.Silence(), path='/cds/*.d/*', times=1)
        self.assertNotEqual(0, self.export('b', **SHORT).exit_code)
        self.facts()
        self.assertFalse(self.orderly)
        self.assert_run(0, 'b c', self.export('c'))
        self.facts()
        self.assertFalse(self.orderly)


class TrialTests(Scenario, unittest.TestCase):
    """What nobody looks at shows in one packet whether it is executed in order."""

    def open(self):
        session = target(self.server).open()
        self.addCleanup(session.close)
        return session

    def performed(self, session, *commands, **options):
        """Return whether each of the commands was refused."""
        return [each is not None for each in session.perform(*commands, **options)]

    def test_from_then_on_a_refusal_is_not_the_last(self):
        session, refused = self.open(), ('RMD', 'none')
        self.assertEqual([True], self.performed(session, refused, ('MKD', 'a')))
        tried = self.performed(session, ('MKD', 'b'), ('RMD', 'b'), trial=True)
        self.assertEqual(([False, False], True), (tried, session.orderly))
        self.assertEqual([True, False], self.performed(session, refused, ('MKD', 'c')))
        self.assertEqual({'/cds', '/cds/c'}, {*self.server.directories})

    def test_nothing_is_known_where_one_is_refused(self):
        session = self.open()
        self.fault('RMD', faults.Reply('550 No.'))
        tried = self.performed(session, ('MKD', 'b'), ('RMD', 'b'), trial=True)
        self.assertEqual(([False, True], False), (tried, session.orderly))

    def test_a_packet_that_is_lost_is_not_tried_again(self):
        session = self.open()
        self.fault('RMD', faults.Cut(), times=1)
        commands = ('MKD', 'b'), ('RMD', 'b')
        with self.assertRaises(ConnectionLost):
            session.perform(*commands, trial=True)
        self.fault('MKD', faults.Reply('550 No.'))
        self.assertEqual([True], self.performed(session, *commands, trial=True))


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
    def capabilities(self, **facts):
        return Capabilities({'server': 'x', 'facts': facts})

    def test_every_way_to_list(self):
        for listing in LISTINGS:
            before = Capabilities()
            before.identify('x')
            before.prefer(listing)
            after = Capabilities(before.learned)
            self.assertEqual((listing, set(LISTINGS)), (after.listings[0], {*after.listings}))

    def test_what_is_found_out_anew_is_not_in_doubt(self):
        capabilities = self.capabilities(epsv=False)
        self.assertTrue(capabilities.doubt('epsv'))
        self.assertFalse(capabilities.doubt('epsv'))

    def test_an_unknown_way_to_list(self):
        self.assertEqual(LISTINGS, self.capabilities(listing=['LIST', '', 'I']).listings)

    def test_a_connection_that_is_lost_once(self):
        """It may have been the network."""
        lost, known = ConnectionLost(errno.ECONNRESET, 'Lost'), {}
        for session, facts in enumerate(({}, {'together': False})):
            capabilities = Capabilities(known)
            self.assertTrue(capabilities.together)
            capabilities.do_without('together', error=lost)
            capabilities.identify('x')
            known = capabilities.learned
            self.assertEqual((facts, False), (known['facts'], capabilities.together), session)
        self.assertFalse(Capabilities(known).together)

    def test_a_connection_that_is_not_lost_again(self):
        capabilities = Capabilities({'server': 'x', 'facts': {}, 'once': ['together']})
        capabilities.identify('x')
        self.assertEqual({}, capabilities.learned)

    def test_what_did_not_help(self):
        capabilities = self.capabilities(together=False)
        capabilities.do_without('together', error=ConnectionLost(errno.ECONNRESET, 'Lost'))
        self.assertTrue(capabilities.together)

    def test_nothing_is_written_down_before_the_server_was_seen(self):
        capabilities = self.capabilities(epsv=False)
        capabilities.doubt('epsv')
        self.assertEqual({'epsv': False}, capabilities.learned['facts'])
        capabilities.identify('x')
        self.assertEqual({}, capabilities.learned)


class OnServers:
    """Mixin: what a real server says about itself does not change, so what is learned holds."""

    def test_the_second_session(self):
        goal, learned = on_disk(self.server), {}
        for number in range(3):
            session = goal.open(learned=learned)
            session._capabilities.facts['a fact'] = True
            try:
                session.store(f'{number}', b'1')
                self.assertIn(f'{number}', session.names())
                plan = Plan([job(f'file {number}', b'1')])
                outcomes = upload_files(session, plan, ledger=NoLedger())
                self.assertEqual([None], [outcome.error for outcome in outcomes])
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
