"""What an import sends before its turn, and what if the server does not stand that."""

import unittest
from unittest import mock

from zeit.cds.ftp import data
from zeit.cds.ftp.stream import Stream
from zeit.cds.testing import faults
from zeit.cds.tests.importing import ImportOptions, ImportScenario
from zeit.cds.tests.scenario import SHORT, trust


#: Which EPSV is the first one that is sent along with another command: before it come a listing,
#: another one with the guard, the lock, reading it, looking again, what there is, the first file.
ALONG = 7


class Ahead(ImportScenario):
    def prepare(self):
        super().prepare()
        trust(self.spool, self.server)

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

    def test_after_the_last_file_there_is_a_port_to_read_the_lock(self):
        self.assert_run(0, 'a b', self.run_import('a', 'b'))
        self.assertEqual(['RETR b', 'SIZE b EPSV MDTM b', 'DELE b'], self.packets_of('b')[:3])

    def test_no_command_while_a_transfer_runs(self):
        self.run_import('a', 'b', 'c')
        self.assertNotIn('early', {kind for _, kind, _ in self.server.dialogue})

    def test_a_port_that_grew_old_is_not_used(self):
        with mock.patch.object(data, 'PORT_AGE', 0):
            self.assert_run(0, 'a b', self.run_import('a', 'b'))
        self.assertEqual(['DELE a', '(connects)', 'EPSV'], self.packets_of('a')[2:5])


class HealingTests(Ahead, unittest.TestCase):
    """All files are imported in this run."""

    def healed(self, *rules, **options):
        for verb, action, when in rules:
            self.fault(verb, action, times=1, **when)
        report = self.run_import('a', 'b', 'c', **options)
        self.assertEqual((0, ['a', 'b', 'c']), (report.exit_code, sorted(report.delivered)))
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


class LookTests(Ahead, unittest.TestCase):
    """A listing that tells names only: what is there is asked about, several files at a time."""

    def setUp(self):
        super().setUp()
        self.without_mlsd()

    def without_mlsd(self):
        self.fault('MLSD', faults.Reply('500 Unknown command.'))

    def looks(self):
        """Return the packets that ask about more than one file."""
        return [packet for packet in self.packets if packet.count('MDTM') > 1]

    def asked(self, verb):
        return [command.split()[1] for command in self.server.commands(verb)]

    def test_one_packet_for_many(self):
        self.server.make_directory('/cds/d')
        self.plant('e.tmp')
        self.assert_run(0, 'a b c', self.run_import('a', 'b', 'c'))
        words = ' '.join(f'SIZE {name} MDTM {name}' for name in 'abcd')
        self.assertEqual([words], self.looks())
        self.assertNotIn('RETR d', self.downloads())
        self.assertNotIn('e.tmp', self.asked('SIZE'))
        # Nothing is asked before it is fetched, and nothing more behind it.
        self.assertEqual(
            ['RETR b', 'SIZE b EPSV MDTM b', 'DELE b', '(connects)'], self.packets_of('b')
        )

    def test_packets_of_a_size_that_fits(self):
        names = [f'{"x" * 200}{number}' for number in range(8)]
        self.assert_run(0, ' '.join(names), self.run_import(*names))
        self.assertEqual(3, sum(packet.startswith('SIZE x') for packet in self.looks()))
        for packet in self.looks():
            self.assertLess(len(packet), 1460)

    def test_not_more_than_are_taken(self):
        self.run_import('a', 'b', 'c', options=ImportOptions(max_files=2))
        self.assertEqual(['SIZE a MDTM a SIZE b MDTM b'], self.looks())

    def test_names_that_must_not_be_sent(self):
        self.fault('NLST', faults.Alter(extra=b'../x\r\nb\x01c\r\n'))
        self.assert_run(1, 'a b', self.run_import('a', 'b'))
        self.assertFalse([name for name in self.asked('SIZE') if '/' in name or '\x01' in name])

    def test_the_sizes_bound_a_run(self):
        self.offer('a', 'b', 'c')
        options = ImportOptions(max_bytes=len(self.offered['a']) + 1)
        self.assert_run(0, 'a', self.run_import(options=options))

    def test_without_sizes_a_run_ends_with_the_file_that_exceeds_them(self):
        self.offer('a', 'b', 'c')
        self.fault('SIZE', faults.Cut(), path='/cds/b', times=1)
        options = ImportOptions(max_bytes=1)
        self.assert_run(0, 'a', self.run_import(options=options))

    def test_what_is_too_young_is_not_fetched(self):
        self.offer('a', 'b')
        self.plant('c')
        options = ImportOptions(min_age=60)
        self.assert_run(0, 'a b', self.run_import(options=options))
        self.assertNotIn('RETR c', self.downloads())

    def test_a_dry_run(self):
        self.server.make_directory('/cds/c')
        report = self.run_import('a', 'b', options=ImportOptions(dry_run=True))
        self.assertEqual(['a', 'b'], [r.name for r in report.results if r.status == 'planned'])

    def test_a_server_that_stands_one_command_only(self):
        for verb, action in (
            ('SIZE', faults.Cut()),
            ('MDTM', faults.Cut('executed')),
            ('SIZE', faults.Lie('421 Closing.')),
            ('MDTM', faults.Lie('421 Closing.')),
            ('MDTM', faults.Reply('')),
        ):
            with self.subTest(verb, action=action):
                self.prepare()
                self.without_mlsd()
                self.fault(verb, action, path='/cds/b', times=1)
                self.assert_run(0, 'a b c', self.run_import('a', 'b', 'c', **SHORT))
                self.assertTrue(self.given_up('together'), self.log)
                self.assertEqual({}, self.remote)

    def test_answers_that_say_nothing(self):
        """What cannot be told together is asked for each file, and decided there."""
        for verb in ('SIZE', 'MDTM'):
            with self.subTest(verb):
                self.prepare()
                self.without_mlsd()
                self.fault(verb, faults.Reply('451 Not now.'), path='/cds/b', times=1)
                self.assert_run(0, 'a b c', self.run_import('a', 'b', 'c'))

    def test_no_sizes_at_all(self):
        self.fault('SIZE', faults.Reply('502 Not implemented.'))
        self.assert_run(0, 'a b', self.run_import('a', 'b', size_check=False))
