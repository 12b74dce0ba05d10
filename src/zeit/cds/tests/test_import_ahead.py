"""What an import sends before its turn, and what becomes of it if the server does not stand that."""

import unittest
from unittest import mock

from zeit.cds.ftp import passive
from zeit.cds.ftp.stream import Stream
from zeit.cds.testing import faults
from zeit.cds.tests.importing import ImportScenario
from zeit.cds.tests.scenario import SHORT


#: Which EPSV is the first one that is sent along with another command: before it come a listing,
#: another one with the guard, the lock, reading it, looking again, what there is, the first file.
ALONG = 7


class Ahead(ImportScenario):
    def run_import(self, *names, **kw):
        """Also keep what was sent, packet by packet, and the data connections, in `packets`."""
        self.packets = []
        send, beside = Stream.send, Stream.beside

        def record(stream, data, **kw):
            self.packets.append(bytes(data).decode('utf-8', 'replace').replace('\r\n', ' ').strip())
            return send(stream, data, **kw)

        def connect(stream, port, **kw):
            self.packets.append('(connects)')
            return beside(stream, port, **kw)

        with (
            mock.patch.object(Stream, 'send', record),
            mock.patch.object(Stream, 'beside', connect),
        ):
            return super().run_import(*names, **kw)

    def packets_of(self, name):
        """Return the packets from the one that fetches `name` to the next one that fetches."""
        begin = self.packets.index(f'RETR {name}')
        end = next(
            (n for n in range(begin + 1, len(self.packets)) if self.packets[n][:4] == 'RETR'),
            len(self.packets),
        )
        return self.packets[begin:end]

    def given_up(self, way):
        return f'Given up for this session: {way}' in self.log


class OrderTests(Ahead, unittest.TestCase):
    def test_three_packets_for_a_file(self):
        """The next data connection is made while the server deletes what was fetched."""
        self.assert_run(0, 'a b c', self.run_import('a', 'b', 'c'))
        self.assertEqual(
            ['RETR b', 'SIZE b EPSV MDTM b', 'DELE b', '(connects)'], self.packets_of('b')
        )
        self.assertNotIn('Given up', self.log)

    def test_no_port_is_asked_for_after_the_last_file(self):
        self.assert_run(0, 'a b', self.run_import('a', 'b'))
        self.assertEqual(['RETR b', 'SIZE b MDTM b', 'DELE b'], self.packets_of('b')[:3])

    def test_no_command_while_a_transfer_runs(self):
        self.run_import('a', 'b', 'c')
        self.assertNotIn('early', {kind for _, kind, _ in self.server.dialogue})

    def test_a_port_that_grew_old_is_not_used(self):
        with mock.patch.object(passive, 'PORT_AGE', 0):
            self.assert_run(0, 'a b', self.run_import('a', 'b'))
        self.assertEqual(['DELE a', '(connects)', 'EPSV'], self.packets_of('a')[2:5])


class HealingTests(Ahead, unittest.TestCase):
    """All files are imported in this run."""

    def healed(self, *rules, **options):
        for verb, action, when in rules:
            self.fault(verb, action, times=1, **when)
        self.assert_run(0, 'a b c', self.run_import('a', 'b', 'c', **options))
        self.assert_imported('a', 'b', 'c')
        self.assertEqual({}, self.remote)

    def test_a_port_that_is_refused_only_in_company(self):
        self.healed(('EPSV', faults.Reply('503 Not now.'), {'nth': ALONG}))
        self.assertTrue(self.given_up('together'))
        self.assertFalse(self.given_up('epsv'))

    def test_commands_that_were_thrown_away(self):
        for verb, when in (('MDTM', {'path': '/cds/a'}), ('EPSV', {'nth': ALONG})):
            with self.subTest(verb):
                self.prepare()
                self.healed((verb, faults.Reply(''), when), **SHORT)
                self.assertTrue(self.given_up('together'))

    def test_a_port_that_nobody_serves(self):
        self.healed(('EPSV', faults.DataPort('refused'), {'nth': ALONG}))

    def test_retr_that_wants_the_data_connection_first(self):
        self.healed(('RETR', faults.Reply("425 Can't open data connection."), {'path': '/cds/b'}))

    def test_421_and_the_end_between_two_answers(self):
        for verb, when in (
            ('SIZE', {'path': '/cds/a'}),
            ('MDTM', {'path': '/cds/a'}),
            ('DELE', {'path': '/cds/a'}),
            ('EPSV', {'nth': ALONG}),
        ):
            for action in (
                faults.Lie('421 Closing.'),
                faults.Cut('executed'),
                faults.Cut('replied'),
                faults.Cut('replied', reset=True),
            ):
                with self.subTest(verb, action=action):
                    self.prepare()
                    self.fault(verb, action, times=1, **when)
                    report = self.run_import('a', 'b', 'c')
                    self.assertEqual(
                        (0, {'a', 'b', 'c'}), (report.exit_code, set(report.delivered)), self.log
                    )
                    self.assert_imported('a', 'b', 'c')
                    self.assertEqual({}, self.remote)

    def test_dele_refused_while_the_next_data_connection_is_made(self):
        self.fault('DELE', faults.Reply('550 No.'), path='/cds/b')
        self.assert_run(1, 'a b c', self.run_import('a', 'b', 'c'))
        self.heal()
