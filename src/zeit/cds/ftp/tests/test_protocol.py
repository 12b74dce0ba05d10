import unittest

from zeit.cds import errors
from zeit.cds.ftp import reply_errors
from zeit.cds.ftp.protocol import ControlChannel


class ControlChannelTests(unittest.TestCase):
    def setUp(self):
        self.channel = ControlChannel()
        self.channel.receive(b'220 Hello\r\n')

    def verdict(self, verb, reply):
        self.channel.send(verb, 'x')
        (answer,) = self.channel.receive(reply + b' text\r\n')
        return answer.verdict

    def test_the_first_digit_decides(self):
        expected = {
            'DELE': ('BROKEN', 'DONE', 'UNPROVEN', 'RETRY', 'REFUSED'),
            'STOR': ('WAIT', 'DONE', 'UNPROVEN', 'RETRY', 'REFUSED'),
            'RNFR': ('BROKEN', 'UNPROVEN', 'MORE', 'RETRY', 'REFUSED'),
            'TYPE': ('BROKEN', 'DONE', 'UNPROVEN', 'RETRY', 'REFUSED'),
        }
        for verb, verdicts in expected.items():
            for code, wanted in zip(
                (b'150', b'250', b'350', b'450', b'550'), verdicts, strict=True
            ):
                self.setUp()
                try:
                    got = self.verdict(verb, code)
                except errors.RemoteProtocolError:
                    got = 'BROKEN'
                self.assertEqual((verb, code, wanted), (verb, code, got))
                self.assertEqual(wanted == 'BROKEN', self.channel.broken)

    def codes(self, verb):
        """Return the codes that are success to a command."""
        codes = []
        for code in range(200, 400):
            self.setUp()
            if verb == 'RNTO':
                self.verdict('RNFR', b'350')
            if self.verdict(verb, str(code).encode()) in ('DONE', 'MORE'):
                codes.append(code)
        return codes

    def test_success_is_what_is_the_command_s_own(self):
        for verb, codes in (
            *((verb, [200, 250]) for verb in ('DELE', 'RNTO', 'RMD', 'CWD', 'CDUP', 'TYPE')),
            *((verb, [200, 226, 250]) for verb in ('STOR', 'RETR', 'NLST', 'MLSD')),
            ('MKD', [200, 250, 257]),
            ('RNFR', [350]),
            ('SIZE', [213]),
            ('MDTM', [213]),
            ('EPSV', [227, 229]),
            ('PASV', [227]),
            ('USER', [200, 230, 232, 250, 331, 332, 336]),
            ('PASS', [200, 202, 230, 232, 250, 331, 332]),
            ('AUTH', [234]),
        ):
            with self.subTest(verb):
                self.assertEqual(codes, self.codes(verb))

    def test_what_is_another_command_s_says_nothing(self):
        self.channel.send('DELE', 'a')
        self.channel.send('EPSV')
        (answer,) = self.channel.receive(b'229 (|||7|)\r\n')
        with self.assertRaises(errors.NotProven):
            answer.check()
        self.assertEqual({('DELE', 'a')}, self.channel.unproven)
        self.assertEqual([('EPSV', '')], list(self.channel.waiting))

    def test_superfluous_refuses_what_is_optional(self):
        for verb, wanted in (('EPSV', 'REFUSED'), ('TYPE', 'REFUSED'), ('DELE', 'UNPROVEN')):
            self.setUp()
            self.assertEqual(wanted, self.verdict(verb, b'202'))

    def test_402_is_said_for_502(self):
        for verb in 'MKD', 'SIZE', 'STOR', 'RNFR':
            self.setUp()
            self.assertEqual('REFUSED', self.verdict(verb, b'402'))

    def test_preliminary_replies_may_come_more_than_once(self):
        self.channel.send('STOR', 'a')
        answers = self.channel.receive(b'150 x\r\n150 y\r\n226 z\r\n')
        self.assertEqual(['WAIT', 'WAIT', 'DONE'], [answer.verdict for answer in answers])
        self.assertFalse(self.channel.waiting)

    def test_replies_belong_to_commands_in_order(self):
        self.channel.send('TYPE', 'I')
        self.channel.send('CWD', '/')
        answers = self.channel.receive(b'200 x\r\n550 y\r\n')
        self.assertEqual(
            [('TYPE', 'DONE'), ('CWD', 'REFUSED')],
            [(answer.command.verb, answer.verdict) for answer in answers],
        )

    def test_rnfr_may_come_with_the_command_before_it(self):
        self.channel.send('SIZE', 'a')
        self.channel.send('RNFR', 'a')
        answers = self.channel.receive(b'213 5\r\n')
        self.assertEqual('', self.channel.renaming)
        with self.assertRaises(errors.LocalProtocolError):
            self.channel.send('RNTO', 'b')
        answers += self.channel.receive(b'350 x\r\n')
        self.assertEqual(['DONE', 'MORE'], [answer.verdict for answer in answers])
        self.assertEqual('a', self.channel.renaming)
        self.channel.send('RNTO', 'b')
        self.channel.send('EPSV')
        answers = self.channel.receive(b'250 x\r\n229 (|||7|)\r\n')
        self.assertEqual(['RNTO', 'EPSV'], [answer.command.verb for answer in answers])

    def test_rnfr_does_not_count_with_a_command_behind_it(self):
        self.channel.send('RNFR', 'a')
        self.channel.send('NOOP')
        self.channel.receive(b'350 x\r\n200 y\r\n')
        with self.assertRaises(errors.LocalProtocolError):
            self.channel.send('RNTO', 'b')

    def test_an_answer_without_a_question(self):
        with self.assertRaises(errors.RemoteProtocolError):
            self.channel.receive(b'226 late\r\n')
        self.assertTrue(self.channel.broken)

    def test_a_second_final_reply_does_not_make_the_first_untrue(self):
        self.channel.send('STOR', 'a')
        answers = self.channel.receive(b'226 x\r\n226 again\r\n')
        self.assertEqual(['DONE'], [answer.verdict for answer in answers])
        self.assertTrue(self.channel.broken)

    def test_421_ends_the_channel_at_any_time(self):
        for verb in ('STOR', 'DELE', None):
            self.setUp()
            if verb:
                self.channel.send(verb, 'x')
            (answer,) = self.channel.receive(b'421 Timeout.\r\n')
            self.assertIsInstance(answer.error(), errors.ServiceClosing)
            self.assertTrue(self.channel.broken)

    def test_the_end_of_a_data_connection_is_that_of_one_transfer(self):
        self.channel.send('STOR', 'a')
        self.channel.data_ended()
        self.channel.send('SIZE', 'a')
        self.channel.receive(b'150 x\r\n226 y\r\n213 1\r\n')
        self.channel.send('STOR', 'b')
        with self.assertRaises(errors.LocalProtocolError):
            self.channel.send('SIZE', 'b')

    def test_a_transfer_behind_one_that_has_ended_runs(self):
        self.channel.send('STOR', 'a')
        self.channel.data_ended()
        self.channel.send('STOR', 'b')
        with self.assertRaises(errors.LocalProtocolError):
            self.channel.send('SIZE', 'b')
        self.channel.receive(b'226 a\r\n')
        with self.assertRaises(errors.LocalProtocolError):
            self.channel.send('SIZE', 'b')

    def test_nothing_is_sent_while_a_transfer_runs(self):
        self.channel.send('STOR', 'a')
        with self.assertRaises(errors.LocalProtocolError):
            self.channel.send('NOOP')

    def test_nothing_is_sent_on_a_broken_channel(self):
        self.channel.receive(b'421 x\r\n')
        with self.assertRaises(errors.LocalProtocolError):
            self.channel.send('NOOP')

    def test_rnto_needs_its_own_accepted_rnfr(self):
        def refused():
            with self.assertRaises(errors.LocalProtocolError):
                self.channel.send('RNTO', 'b')

        refused()
        self.channel.send('RNFR', 'a')
        refused()
        self.channel.receive(b'350 x\r\n')
        self.channel.send('NOOP')
        self.channel.receive(b'200 x\r\n')
        refused()
        self.assertEqual('REFUSED', self.verdict('RNFR', b'550'))
        refused()
        self.assertEqual('MORE', self.verdict('RNFR', b'350'))
        self.assertEqual('DONE', self.verdict('RNTO', b'250'))
        refused()

    def test_the_errors_of_answers(self):
        for code, cls in (
            (b'550', errors.PermanentError),
            (b'450', errors.TemporaryError),
            (b'452', errors.ServerFull),
            (b'552', errors.ServerFull),
        ):
            self.channel.send('STOR', 'a')
            (answer,) = self.channel.receive(code + b' Why\r\n')
            error = answer.error(hint='Ask.')
            self.assertIs(cls, type(error))
            self.assertEqual((int(code), f'{code.decode()} Why'), (error.code, error.message))
            self.assertEqual(['Ask.'], error.__notes__)

    def test_success_is_no_error(self):
        self.channel.send('STOR', 'a')
        (answer,) = self.channel.receive(b'226 x\r\n')
        self.assertIsNone(answer.error())

    def test_a_password_is_not_shown(self):
        command = reply_errors.Command('PASS', 'secret')
        self.assertEqual(('PASS ***', '<Command PASS ***>'), (command.shown, repr(command)))
