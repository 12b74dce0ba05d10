"""What is sent before its turn, and what becomes of it when the server does not stand that."""

import contextlib
import re
import unittest
from unittest import mock

from zeit.cds.ftp import capabilities, data
from zeit.cds.ftp.stream import Stream
from zeit.cds.testing import faults
from zeit.cds.tests.scenario import SHORT, Scenario, content, target


#: Which EPSV is the first one that is sent along with another command: before it come a listing,
#: another one with the guard, the lock, reading it, looking again, and the first file.
PIPELINED = 4


class Ahead(Scenario):
    """`prompt` are the files whose data connection the server ends first, before it replies."""

    options = {}
    prompt = ''

    def export(self, *names, **kw):
        """Also keep what was sent, packet by packet, in `packets`."""
        if self.prompt:
            for path in ('/cds/[{}].*.part', '/cds/[{}]'):
                self.fault('STOR', faults.ReplyLate(), path=path.format(self.prompt))
        self.packets = []
        send = Stream.send

        def record(stream, data, **kw):
            self.packets.append(bytes(data).decode('utf-8', 'replace').replace('\r\n', ' ').strip())
            return send(stream, data, **kw)

        with mock.patch.object(Stream, 'send', record):
            return super().export(*names, **self.options, **kw)

    def packets_of(self, name):
        """Return the verbs of the packets of a file, its content as '...'."""
        found = []
        for packet in self.packets:
            if packet == content(name).decode().strip():
                found.append('...')
            elif f' {name}' in packet:
                words = packet.split()
                found.append(' '.join(word for word in words if word.isupper() and len(word) < 5))
        return found

    @property
    def given_up(self):
        """The capabilities that are done without."""
        return re.findall('Given up for this session: ([a-z]+)', self.log)


class OrderTests(Ahead, unittest.TestCase):
    def test_three_packets_of_commands_for_a_file(self):
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        self.assertEqual(['STOR', '...', 'SIZE EPSV RNFR', 'RNTO'], self.packets_of('b'))
        self.assertNotIn('Given up', self.log)

    def test_what_has_nothing_to_send_ends_when_the_server_has_begun(self):
        for name in 'bd':
            self.offered[name] = b''
            self.spool.put(name, b'')
        self.fault('STOR', faults.Overlook())
        self.assert_run(0, 'a b c d', self.export('a', 'c'))
        self.assertEqual([], self.given_up)

    def test_after_the_last_file_there_is_a_port_to_read_the_lock(self):
        self.assert_run(0, 'a b', self.export('a', 'b'))
        self.assertEqual(['STOR', '...', 'SIZE EPSV RNFR', 'RNTO'], self.packets_of('b'))
        self.assertEqual('RETR write', self.packets[self.packets.index('RNTO b') + 1])

    def test_the_port_of_a_transfer_goes_along_with_the_command_before_it(self):
        self.assert_run(0, 'a', self.export('a'))
        self.assertNotIn('EPSV', self.packets)

    def test_what_each_connection_begins_with_is_one_packet(self):
        both = faults.Call(lambda event: self.server.wait_for('CWD', count=2))
        self.fault('STOR', both, path='/cds/a.*', times=1)
        self.export('a', 'b', 'c', connections=2)
        self.assertEqual(1, self.packets.count('FEAT EPSV SYST TYPE I CWD /cds'), self.packets)
        self.assertEqual(1, self.packets.count('TYPE I EPSV CWD /cds'), self.packets)

    def test_making_a_lock_takes_few_packets(self):
        self.export('a')
        made = self.packets[self.packets.index('FEAT EPSV SYST TYPE I CWD /cds') + 1 :]
        found = [re.sub(r'cds[0-9a-f]{16}', 'T', packet) for packet in made]
        self.assertEqual(
            [
                'MLSD',
                'SIZE write EPSV SIZE read',
                'MKD write.T.d',
                'MKD write.T.d/T',
                'STOR write.T',
            ],
            found[:5],
        )
        self.assertRegex(found[5], '^T zeit.cds, host')
        self.assertEqual(
            [
                'SIZE write.T EPSV RNFR write.T.d',
                'RNTO write.guard',
                'MLSD',
                'SIZE write EPSV SIZE read RNFR write.T',
                'RNTO write',
                'SIZE write SIZE read',
                'RMD write.guard/T',
                'RMD write.guard',
            ],
            found[6:14],
        )

    def test_the_first_lock_finds_out_what_shares_a_packet(self):
        with self.spool.run():
            self.spool.journal.note('rights', target=target(self.server).url, known=False)
        self.export('a')
        made = self.packets[self.packets.index('FEAT EPSV SYST TYPE I CWD /cds') + 1 :]
        found = [re.sub(r'cds[0-9a-f]{16}', 'T', packet) for packet in made]
        self.assertEqual(
            [
                'MLSD',
                'MKD write.T.d EPSV RMD write.T.d',
                'STOR write.T',
                'SIZE write.T EPSV',
                'RETR write.T',
                'MKD write.T.d.probe EPSV MKD write.T.d MKD write.T.d/T RNFR write.T.d.probe',
                'RNTO write.T.d',
                'RMD write.T.d.probe DELE write.T',
                'STOR write.T',
                'SIZE write.T EPSV RNFR write.T.d',
            ],
            [packet for packet in found if 'zeit.cds, host' not in packet][:10],
        )

    def test_where_packets_are_executed_in_order_it_takes_fewer(self):
        self.export('a')
        self.export('b')
        made = self.packets[self.packets.index('FEAT EPSV SYST TYPE I CWD /cds') + 1 :]
        found = [re.sub(r'cds[0-9a-f]{16}', 'T', packet) for packet in made]
        self.assertEqual(
            [
                'MLSD',
                'MKD write.T.d EPSV MKD write.T.d/T',
                'STOR write.T',
            ],
            found[:3],
        )
        self.assertRegex(found[3], '^T zeit.cds, host')
        self.assertEqual(
            [
                'SIZE write.T EPSV RNFR write.T.d',
                'RNTO write.guard',
                'MLSD',
                'SIZE write EPSV SIZE read RNFR write.T',
                'RNTO write SIZE write SIZE read RMD write.guard/T RMD write.guard',
                'STOR b.T-1.part',
            ],
            found[4:10],
        )
        # Nobody waits for the answer to QUIT, which may not be there yet.
        self.assertEqual('DELE write SIZE write', [each for each in found if each != 'QUIT'][-1])

    def test_no_port_is_asked_for_in_vain(self):
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        asked = sum(packet.count('EPSV') for packet in self.packets)
        transfers = [p for p in self.packets if p.split()[0] in ('STOR', 'RETR', 'MLSD')]
        self.assertEqual(len(transfers), asked, self.packets)

    def test_no_command_while_a_transfer_runs(self):
        self.export('a', 'b', 'c')
        self.assertNotIn('early', {kind for _, kind, _ in self.server.dialogue})

    def test_a_port_that_grew_old_is_not_used(self):
        with mock.patch.object(data, 'PORT_AGE', 0):
            self.assert_run(0, 'a b', self.export('a', 'b'))
        self.assertIn('EPSV', self.packets[self.packets.index('RNTO a') :])

    def test_the_next_data_connection_is_made_while_the_server_renames(self):
        beside = Stream.beside

        def record(stream, port, **kw):
            self.packets.append('(connects)')
            return beside(stream, port, **kw)

        with mock.patch.object(Stream, 'beside', record):
            self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        at = self.packets.index('RNTO b')
        self.assertEqual('(connects)', self.packets[at + 1])
        self.assertRegex(self.packets[at + 2], '^STOR c')


class PromptOrderTests(OrderTests):
    prompt = 'abc'

    def test_the_size_is_asked_for_before_the_final_reply(self):
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        self.assertEqual(3, len([kind for _, kind, _ in self.server.dialogue if kind == 'prompt']))
        self.assertNotIn('Given up', self.log)

    def test_not_for_the_files_of_the_lock(self):
        self.assert_run(0, 'a', self.export('a'))
        self.assertEqual(1, len([packet for packet in self.packets if 'SIZE write.' in packet]))


class WithoutTemporaryTests(Ahead, unittest.TestCase):
    options = {'temporary': False}

    def test_two_packets_of_commands_for_a_file(self):
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        self.assertEqual(['STOR', '...', 'SIZE EPSV'], self.packets_of('b'))


class PromptWithoutTemporaryTests(WithoutTemporaryTests):
    prompt = 'ab'  # there is no question about the last one


class RefusalTests(Ahead, unittest.TestCase):
    """The other files are delivered, and the next run delivers the rest."""

    def refused(self, verb, *actions, path='/cds/b*', **when):
        self.fault(verb, *actions, path=path, **when)
        report = self.export('a', 'b', 'c')
        self.assert_run(1, 'a c', report)
        self.assertNotIn('RNTO b', self.server.commands('RNTO'))
        self.heal()
        return report

    def test_stor_after_its_data_was_sent(self):
        report = self.refused('STOR', faults.Reply('553 Not that one.'))
        self.assertIn('553 Not that one.', report.results[1].reason)

    def test_stor_of_a_file_that_does_not_fit_into_what_is_sent_early(self):
        with mock.patch('zeit.cds.ftp.transfers.EARLY', 100):
            report = self.refused('STOR', faults.Reply('553 Not that one.'))
        self.assertIn('553 Not that one.', report.results[1].reason)

    def test_size_while_rnfr_is_on_its_way(self):
        self.refused('SIZE', faults.Reply('550 No.'), times=1)

    def test_another_size_is_never_renamed(self):
        self.refused('SIZE', faults.Reply('213 7'), times=1)

    def test_rnto_while_the_next_data_connection_is_made(self):
        self.fault('RNTO', faults.Reply('550 No.'), path='/cds/b*')
        self.assert_run(1, 'a c', self.export('a', 'b', 'c'))

    def test_rnfr_while_size_is_right(self):
        report = self.refused('RNFR', faults.Reply('550 No renaming.'))
        self.assertIn('550 No renaming.', report.results[1].reason)


class HealingTests(Ahead, unittest.TestCase):
    """All files are delivered in this run, after `feature` was given up."""

    feature = 'together'
    afterwards = ['STOR', '...', 'SIZE', 'RNFR', 'RNTO']

    def healed(self, *rules, **options):
        for verb, action, when in rules:
            self.fault(verb, action, times=1, **when)
            if self.prompt:  # only until it is given up
                self.prompt = 'ab' if when.get('path', '').startswith('/cds/b') else 'a'
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c', **options))

    def test_rnfr_that_is_refused_only_in_company(self):
        self.healed(('RNFR', faults.Reply('503 Not now.'), {'path': '/cds/b*'}))
        self.assertEqual([self.feature], self.given_up)
        self.assertEqual(self.afterwards, self.packets_of('c'))

    def test_a_port_that_is_refused_only_in_company(self):
        self.healed(('EPSV', faults.Reply('503 Not now.'), {'nth': PIPELINED}))
        self.assertEqual([self.feature], self.given_up)

    def test_a_command_that_was_thrown_away(self):
        for verb, nth in (('RNFR', 2), ('EPSV', PIPELINED)):
            with self.subTest(verb):
                self.prepare()
                self.healed((verb, faults.Reply(''), {'nth': nth}), **SHORT)
                self.assertEqual([self.feature], self.given_up)

    def test_stor_that_wants_the_data_connection_first(self):
        self.healed(('STOR', faults.Reply("425 Can't open data connection."), {'path': '/cds/b*'}))
        self.assertIn('early', self.given_up)
        self.assertIn('Not yet delivered: b', self.log)

    def test_a_port_that_nobody_serves(self):
        self.healed(('EPSV', faults.DataPort('refused'), {'nth': PIPELINED}))

    def test_ports_that_are_only_reached_when_asked_for_alone(self):
        """A firewall may look for the port at the begin of a packet only."""
        self.prompt = ''  # nothing is asked before its time then
        self.fault('EPSV', faults.DataPort('refused'))
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        self.assertEqual(['epsv', 'together'], self.given_up)

    def test_421_and_the_end_between_two_answers(self):
        for verb, when in (
            ('SIZE', {'path': '/cds/a*'}),
            ('RNFR', {'path': '/cds/a*'}),
            ('RNTO', {'path': '/cds/a'}),
            ('EPSV', {'nth': PIPELINED}),
        ):
            for action in (
                faults.Lie('421 Closing.'),
                faults.Cut('executed'),
                faults.Cut('replied'),
                faults.Cut('replied', reset=True),
            ):
                with self.subTest(verb, action=action):
                    self.prepare()
                    self.healed((verb, action, when))

    def test_each_file_gets_its_name_once(self):
        self.healed(('EPSV', faults.Cut(), {'nth': PIPELINED}))
        names = [command.split()[1] for command in self.server.commands('RNTO')]
        self.assertEqual(['a', 'b', 'c'], [name for name in names if len(name) == 1])


class PromptHealingTests(HealingTests):
    """The same before the final reply."""

    prompt = 'ab'
    feature = 'prompt'
    afterwards = ['STOR', '...', 'SIZE EPSV RNFR', 'RNTO']

    def test_a_size_that_is_refused_or_another_one_before_its_time(self):
        for text in ('503 Not now.', '550 No such file.', '213 0', '421 Not now.'):
            with self.subTest(text):
                self.prepare()
                self.healed(('SIZE', faults.Reply(text), {'path': '/cds/b*'}))
                self.assertEqual(['prompt'], self.given_up)
                self.assertEqual([0, 0, 1, 1, 1], self.server.connections('SIZE')[-5:])

    def test_a_final_reply_that_is_none(self):
        """Nothing is renamed over the connection on which RNFR was sent too soon."""
        self.prompt = ''  # once only: the second attempt waits for the reply
        for text, code, delivered, given_up in (
            ('426 Aborted.', 0, 'a b c', ['prompt']),
            ('421 Closing.', 0, 'a b c', ['prompt']),
            ('451 Disk.', 1, 'a c', []),
        ):
            with self.subTest(text):
                self.prepare()
                late = (faults.ReplyLate(), faults.Lie(text))
                self.fault('STOR', *late, path='/cds/b*.part', times=1)
                self.assert_run(code, delivered, self.export('a', 'b', 'c'))
                self.assertEqual(given_up, self.given_up)
                self.assertNotIn('RNTO b', self.server.commands(connection=0))
                self.heal()

    def test_a_final_reply_that_never_comes(self):
        late = (faults.ReplyLate(), faults.Silence('executed'))
        self.fault('STOR', *late, path='/cds/b*.part', times=1)
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c', **SHORT))
        self.assertEqual(['prompt'], self.given_up)
        self.assertNotIn('RNTO b', self.server.commands(connection=0))


class LossTests(Ahead, unittest.TestCase):
    def test_what_was_sent_early_counts_as_begun(self):
        """STOR was sent, nothing was heard: there may be a part, which is removed."""
        self.fault('STOR', faults.Cut(), path='/cds/b*', times=1)
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        self.assertEqual(1, sum('.part' in name for name in self.server.commands('DELE')))

    def test_a_lost_reply_is_no_confirmation_of_a_start(self):
        """An old file of the same size is not taken for the new one."""
        self.options = {'temporary': False}
        self.plant('b', b'x' * len(content('b')))
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(capabilities.Capabilities, 'together', False))
            self.fault('STOR', faults.Cut(), path='/cds/b', times=1)
            self.assert_run(1, 'a c', self.export('a', 'b', 'c'))
        self.assertEqual(self.theirs['b'], self.remote['b'])
        self.heal()
        self.assertEqual(content('b'), self.remote['b'])
