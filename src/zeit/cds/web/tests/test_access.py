"""Who is let in, and how often a wrong password may be given."""

import base64
import unittest

from zeit.cds.credentials import Secret, SecretFile
from zeit.cds.errors import ConfigurationError
from zeit.cds.testing import layers
from zeit.cds.web import access


def header(user, password, scheme='Basic'):
    return Secret(f'{scheme} {base64.b64encode(f"{user}:{password}".encode()).decode()}')


class GateTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.now = 1000
        self.gate = access.Gate(Secret('göheim:1'), clock=lambda: self.now)

    def guess(self, address='192.0.2.1', given=None):
        with self.assertLogs('zeit.cds.web', 'WARNING') as logged:
            with self.assertRaises(access.Unauthorized):
                self.gate.admit(given or header('me', 'wrong'), address)
        self.assertIn(address, logged.output[0])
        self.assertNotIn('wrong', logged.output[0])

    def test_the_right_password(self):
        self.assertEqual('me', self.gate.admit(header('me', 'göheim:1'), '192.0.2.1'))
        self.assertEqual('', self.gate.admit(header('', 'göheim:1', 'bASIC'), '192.0.2.1'))
        name = self.gate.admit(header('a\nb\x1b' + 'x' * 1000, 'göheim:1'), '192.0.2.1')
        self.assertTrue(name.isprintable())
        self.assertLess(len(name), 150)

    def test_what_is_none(self):
        self.assertRaises(access.Unauthorized, self.gate.admit, None, '192.0.2.1')
        for number, given in enumerate((
            *(header('me', each) for each in ('', 'göheim:', 'göheim:1 ', 'göheim:1\n')),
            *(Secret(each) for each in ('', 'Basic', 'Basic \xff', 'Basic bWU=', 'Basic b')),
            header('me', 'göheim:1', 'Bearer'),
            Secret('Basic /////w=='),
        )):  # fmt: skip
            self.guess(f'192.0.2.{number}', given)

    def test_guesses_are_counted_for_each_address(self):
        for _ in range(access.GUESSES):
            self.guess()
        with self.assertRaises(access.TooManyGuesses) as caught:
            self.gate.admit(header('me', 'göheim:1'), '192.0.2.1')
        self.assertEqual(access.WINDOW_SECONDS, caught.exception.seconds)
        self.assertEqual('me', self.gate.admit(header('me', 'göheim:1'), '192.0.2.2'))
        self.now += access.WINDOW_SECONDS
        self.assertEqual('me', self.gate.admit(header('me', 'göheim:1'), '192.0.2.1'))

    def test_a_network_is_one_place(self):
        for number in range(access.GUESSES):
            self.guess(f'2001:db8::{number:x}')
        with self.assertRaises(access.TooManyGuesses):
            self.gate.admit(header('me', 'göheim:1'), '2001:db8::ffff')
        self.assertEqual('me', self.gate.admit(header('me', 'göheim:1'), '2001:db8:1::1'))

    def test_many_places_together(self):
        for number in range(access.GUESSES_OF_ALL):
            self.guess(f'192.0.2.{number}')
        with self.assertRaises(access.TooManyGuesses):
            self.gate.admit(header('me', 'göheim:1'), '198.51.100.1')
        self.now += access.WINDOW_SECONDS
        self.assertEqual('me', self.gate.admit(header('me', 'göheim:1'), '198.51.100.1'))

    def test_a_password_that_cannot_be_read_is_nobodys_fault(self):
        gate = access.Gate(SecretFile('/no/such/file'))
        with self.assertRaises(ConfigurationError) as caught:
            gate.admit(header('me', 'geheim'), '192.0.2.1')
        seen, frame = '', caught.exception.__traceback__
        while frame is not None:
            seen += repr(frame.tb_frame.f_locals)
            frame = frame.tb_next
        self.assertNotIn('geheim', seen)
