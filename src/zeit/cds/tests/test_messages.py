"""What errors say: the words that tell an operator what to do."""

import errno
import unittest

from zeit.cds.errors import ConnectionLost, PermanentError, RemoteProtocolError
from zeit.cds.ftp import protocol
from zeit.cds.ftp.oserrors import from_os
from zeit.cds.testing.layers import QUIET


class Messages(unittest.TestCase):
    layer = QUIET

    def test_silence_has_other_reasons_once_there_is_a_connection(self):
        connecting = from_os(TimeoutError(), doing='connecting', timeout=1)
        self.assertIn('Check host and port', connecting.hint)
        for error in (TimeoutError(), TimeoutError(errno.ETIMEDOUT, 'Connection timed out')):
            later = from_os(error, doing='waiting', timeout=1, cls=ConnectionLost)
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

    def test_not_where_a_hint_says_it_better(self):
        error = self.error(b'530 No.', 'PASS', 'secret', hint='Check the password.')
        self.assertEqual('530 No.', error.message)
        self.assertEqual('530 No. Check the password.', error.advice)

    def test_what_is_waited_for(self):
        self.assertEqual('the greeting', protocol.Command('greeting').awaited)
        self.assertEqual('the answer to DELE a', protocol.Command('DELE', 'a').awaited)
        with self.assertRaisesRegex(RemoteProtocolError, '^The server began with 331 Password'):
            protocol.ControlChannel().receive(b'331 Password?\r\n')

    def test_never_with_a_password(self):
        self.assertEqual('530 No. (PASS ***)', self.error(b'530 No.', 'PASS', 'secret').message)
