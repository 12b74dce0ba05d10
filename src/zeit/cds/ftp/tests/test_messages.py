"""What errors say: the words that tell an operator what to do."""

import errno
import unittest

from zeit.cds.errors import (
    ConfigurationError,
    ConnectionLost,
    NotProven,
    PermanentError,
    RemoteProtocolError,
)
from zeit.cds.ftp import protocol, reply_errors
from zeit.cds.network.oserrors import from_os
from zeit.cds.testing.layers import QUIET


class Messages(unittest.TestCase):
    layer = QUIET

    def test_silence_has_other_reasons_once_there_is_a_connection(self):
        connecting = from_os(TimeoutError(), activity='connecting', timeout=1)
        self.assertIn('Check host and port', connecting.hint)
        for error in (TimeoutError(), TimeoutError(errno.ETIMEDOUT, 'Connection timed out')):
            later = from_os(error, activity='waiting', timeout=1, cls=ConnectionLost)
            self.assertNotIn('Check host', later.hint)
            self.assertIn('longer time-outs', later.hint)

    def error(self, reply, verb, argument='', **details):
        channel = protocol.ControlChannel(encoding='utf-8')
        channel.receive(b'220 Hello.\r\n')
        channel.send(verb, argument)
        (answer,) = channel.receive(reply + b'\r\n')
        return answer.error(**details)

    def test_a_refusal_names_the_command(self):
        error = self.error(b'550 No.', 'DELE', 'write')
        self.assertIsInstance(error, PermanentError)
        self.assertEqual('550 No.', str(error))
        self.assertEqual('550 No. (DELE write)', error.message)
        self.assertEqual('550 No. (DELE write)', error.advice)

    def test_a_refusal_with_a_hint_does_not_name_the_command(self):
        error = self.error(b'530 No.', 'PASS', 'secret', hint='Check the password.')
        self.assertEqual('530 No.', error.message)
        self.assertEqual('530 No. Check the password.', error.advice)

    def test_what_is_waited_for(self):
        self.assertEqual('the greeting', reply_errors.Command('greeting').awaited)
        self.assertEqual('the answer to DELE a', reply_errors.Command('DELE', 'a').awaited)
        [greeting] = protocol.ControlChannel().receive(b'331 Password?\r\n')
        with self.assertRaisesRegex(NotProven, '^The server began with 331 Password'):
            greeting.check()

    def test_a_password_that_the_server_repeats_out_of_turn_is_not_shown(self):
        """Neither as a line that is no reply, nor as a reply too many, nor as an answer to TYPE."""
        for before, said in (
            (b'', b'PASS secret\r\n'),
            (b'230 In.\r\n', b'530 PASS secret?\r\n'),
            (b'', b'150 PASS secret\r\n'),
        ):
            with self.subTest(said):
                channel = protocol.ControlChannel()
                channel.receive(b'220 Hello.\r\n')
                channel.send('PASS', 'secret')
                channel.receive(before)
                with self.assertRaises(RemoteProtocolError) as caught:
                    channel.receive(said)
                self.assertIn('***', str(caught.exception))
                self.assertNotIn('secret', str(caught.exception))

    def test_a_word_that_happens_to_be_the_password_is_left(self):
        """A password that is a plain word: what is blanked out would tell it."""
        for password, reply in (
            ('incorrect', '530 Login incorrect.'),
            ('server', '530 This server is full.'),
            ('in', '530 Not logged in.'),
            ('5', '530 You have 15 attempts.'),
        ):
            with self.subTest(password):
                error = self.error(reply.encode(), 'PASS', password)
                self.assertEqual(reply, str(error))
        channel = protocol.ControlChannel()
        channel.receive(b'220 Hello.\r\n')
        channel.send('PASS', 'server')
        with self.assertRaisesRegex(RemoteProtocolError, '^The server sent .*: HTTP'):
            channel.receive(b'HTTP/1.0 400\r\n')

    def test_a_password_that_the_reply_repeats_is_blanked_out(self):
        for reply in (
            'PASS {} is not known.', 'pass {}', "'{}' is wrong", 'Wrong: {}', 'password=<{}>', '{}'
        ):  # fmt: skip
            for password in 'secret', 'se.cret', 's3cret', '.secret', 'secr\u00e9t':
                with self.subTest(reply, password=password):
                    text = f'530 {reply.format(password)}'
                    error = self.error(text.encode(), 'PASS', password)
                    self.assertIn('***', str(error))
                    self.assertNotIn(password, str(error))

    def test_a_password_that_cannot_be_encoded_is_not_shown(self):
        channel = protocol.ControlChannel(encoding='latin-1')
        channel.receive(b'220 Hello.\r\n')
        with self.assertRaises(ConfigurationError) as caught:
            channel.send('PASS', 'secret \u20ac')
        error = caught.exception
        self.assertEqual('What comes behind PASS cannot be written in latin-1', error.message)
        self.assertIsNone(error.__context__)  # which would have the whole line

    def test_a_refused_password_is_not_shown(self):
        self.assertEqual('530 No. (PASS ***)', self.error(b'530 No.', 'PASS', 'secret').message)
