"""The password is in nothing that anybody could come to see."""

import errno
import logging
import traceback
import unittest
import unittest.mock

from zeit.cds import main
from zeit.cds.credentials import Secret
from zeit.cds.errors import ConnectionLost
from zeit.cds.ftp.connection_options import Settings
from zeit.cds.ftp.stream import Stream
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import faults
from zeit.cds.testing.layers import PYFTPD, QUIET, ServerTests
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.tests.maincase import MainCase, closed_port


PASSWORD = 'N0t-in+any:log'


class PasswordTest(MainCase, ServerTests, unittest.TestCase):
    """The password is in nothing that anybody could come to see."""

    layer = PYFTPD

    def assert_secret(self, *texts):
        self.assertTrue(any(texts))
        for text in texts:
            self.assertNotIn(PASSWORD, text)
            self.assertNotIn(repr(PASSWORD)[1:-1], text)

    def logged(self):
        """Return all texts that the records could become, exceptions and their chains included."""
        texts = self.log.texts[:]
        for record in self.log.records:
            texts.append(repr(record.args))
            if record.exc_info:
                for error in chain(record.exc_info[1]):
                    texts += [repr(error), str(error), repr(error.args), repr(vars(error))]
                    texts += traceback.format_exception(error)
                    texts += variables(error)
        return texts

    def test_refused(self):
        self.publish('a')
        self.assertEqual(77, self.call(main.cds_export, password=PASSWORD))
        self.assert_secret(*self.logged())
        self.assertIn('> PASS ***', self.log.lines(logging.DEBUG))

    def test_accepted(self):
        self.publish('a')
        with PyFTPServer(password=PASSWORD) as self.server:
            self.assertEqual(0, self.call(main.cds_export, password=PASSWORD))
        self.assert_secret(*self.logged())

    def test_no_server(self):
        self.publish('a')
        self.call(main.export, password=PASSWORD, port=closed_port())
        self.assert_secret(*self.logged())

    def test_a_password_that_cannot_be_sent(self):
        self.publish('a')
        for password in (f'{PASSWORD}\r\nDELE a', f'{PASSWORD}\0'):
            self.call(main.export, password=password)
        self.assert_secret(*self.logged())

    def test_a_server_that_goes_away_at_the_password(self):
        self.publish('a')
        replies = faults.Reply('599 x'), faults.Reply('garbage')
        for fault in (faults.Cut(), faults.Cut(reset=True), *replies):
            with self.subTest(fault), faults.FaultServer() as self.server:
                self.server.fault('PASS', fault)
                self.call(main.export, password=PASSWORD)
        self.assert_secret(*self.logged())

    def test_a_connection_that_is_lost_while_it_is_sent(self):
        self.publish('a')

        def send(stream, data, *, activity, real=Stream.send):
            if 'PASS' in activity:
                raise ConnectionLost(errno.ECONNRESET, 'Reset')
            return real(stream, data, activity=activity)

        with unittest.mock.patch.object(Stream, 'send', send):
            self.call(main.export, password=PASSWORD)
        self.assertIn('Reset', ' '.join(self.logged()))
        self.assert_secret(*self.logged())

    def test_a_password_that_the_encoding_does_not_have(self):
        self.publish('a')
        target = FTPTarget.from_options(
            host=self.server.host, port=self.server.port, user='test', directory='/',
            encoding='ascii', password=Secret(f'{PASSWORD}ä'),
        )  # fmt: skip
        error = raised(target.open)
        self.assertIn('cannot be written in ascii', str(error))
        self.assert_secret(*variables(error))

    def test_representations(self):
        secret = Secret(PASSWORD)
        settings = Settings(host='h', password=secret)
        target = FTPTarget(settings)
        self.assert_secret(
            *(f(thing) for f in (str, repr, ascii, format) for thing in (secret, settings, target)),
            target.title,
            repr(vars(target)),
        )


class EchoTest(MainCase, unittest.TestCase):
    layer = QUIET

    def test_a_server_that_repeats_the_password(self):
        self.publish('a')
        for reply in (f'530 Login incorrect: {PASSWORD}', f"500 'PASS {PASSWORD}': not understood"):
            with self.subTest(reply), faults.FaultServer() as self.server:
                self.server.fault('PASS', faults.Reply(reply))
                self.log.texts.clear()
                self.call(main.export, password=PASSWORD, logfile=str(self.directory / 'cds.log'))
                self.assertNotIn(PASSWORD, '\n'.join(self.log.texts))
                self.assertNotIn(PASSWORD, (self.directory / 'cds.log').read_text())
                self.assertIn('PermanentError: 5', (self.directory / 'cds.log').read_text())


def raised(function):
    """Return what `function()` raises; `assertRaises` would forget the frames."""
    try:
        function()
    except Exception as error:  # noqa: BLE001 that is what it is about
        return error
    raise AssertionError(f'{function} has raised nothing')


def variables(error):
    """Return what the variables of this package are in the frames of one exception."""
    return [
        f'{frame.f_code.co_name}.{name} = {value!r}'
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if (module := frame.f_globals.get('__name__', '')).startswith('zeit.cds.')
        and not {'tests', 'testing'} & {*module.split('.')}
        for name, value in frame.f_locals.items()
    ]


def chain(error):
    """Yield an exception and all that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
