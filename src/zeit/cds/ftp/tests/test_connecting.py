"""Until a run is let in: its deadline holds, and what is said when it is not let in."""

import socket
import time
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.credentials import Secret
from zeit.cds.run.exporter import Options
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import faults
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.tls import TLS
from zeit.cds.tests.scenario import Scenario


class DeadlineTests(Scenario, unittest.TestCase):
    def test_it_covers_each_wait_until_the_end_of_the_login(self):
        for verb in faults.GREETING, 'USER', 'PASS', 'TYPE':
            with self.subTest(verb):
                self.prepare()
                self.fault(verb, faults.Silence())
                report = self.export('a', run=Options(deadline=0.3), reply_timeout=30)
                self.assertLess(self.took, 8)
                self.assert_run(69, '', report)
                self.assertIsInstance(report.error, errors.DeadlinePassed)

    def test_it_covers_all_of_them_together(self):
        self.fault(f'{faults.GREETING} USER PASS', faults.Delay(seconds=0.4))
        report = self.export('a', run=Options(deadline=0.5))
        self.assertIsInstance(report.error, errors.DeadlinePassed)
        self.assertEqual([], self.server.commands('PASS'))


# Seconds; who waits so long for a greeting that does not come has waited in vain.
REPLY_TIMEOUT = 30


@unittest.mock.patch('zeit.cds.ftp.opening.SOON', 0.1)
class MessageTests(unittest.TestCase):
    """The other kind of TLS than that of the port is recognised."""

    layer = QUIET

    def setUp(self):
        super().setUp()
        self.certificate = self.enterContext(Certificates()).server

    def refused(self, *, tls, server, **options):
        """Return the error of a client with this kind of TLS, at a server of that kind."""
        made = server and TLS(certificate=self.certificate, implicit=server == 'implicit')
        server = self.enterContext(faults.FaultServer(tls=made or None, **options))
        target = FTPTarget.from_options(
            host=server.host, port=server.port, user='test', password=Secret('testpw'),
            tls=tls, reply_timeout=REPLY_TIMEOUT,
        )  # fmt: skip
        started = time.monotonic()
        with self.assertRaises(errors.ConnectionLost) as caught:
            target.open()
        self.assertLess(time.monotonic() - started, REPLY_TIMEOUT)
        server.wait_closed()
        self.assertEqual([], server.commands('USER'))
        self.assertTrue(caught.exception.while_connecting)
        return caught.exception

    def test_a_port_that_wants_tls_at_once(self):
        for tls in 'explicit', 'no':
            with self.subTest(tls):
                self.assertIn('ftps://', self.refused(tls=tls, server='implicit').hint)

    def test_a_port_that_speaks_in_clear_at_first(self):
        for server in 'explicit', '':
            with self.subTest(server):
                self.assertIn('ftpes://', self.refused(tls='implicit', server=server).hint)

    def test_a_port_that_says_nothing(self):
        listening = self.enterContext(socket.create_server(('127.0.0.1', 0)))
        number = listening.getsockname()[1]
        target = FTPTarget.from_options(host='127.0.0.1', port=number, reply_timeout=0.2)
        with (
            unittest.mock.patch('zeit.cds.ftp.opening.PROBE', 0.2),
            self.assertRaises(errors.ConnectionLost) as caught,
        ):
            target.open()
        self.assertNotIn('ftps://', caught.exception.hint)
        self.assertIn('while waiting for the greeting', str(caught.exception))

    def test_a_greeting_that_comes_late(self):
        for other in faults.Delay(seconds=0.3), faults.Silence():
            with self.subTest(other):
                server = self.enterContext(faults.FaultServer())
                server.fault(faults.GREETING, faults.Delay(seconds=0.3), connection=0)
                server.fault(faults.GREETING, other, connection=1)
                target = FTPTarget.from_options(
                    host=server.host, port=server.port, user='test', password=Secret('testpw'),
                    connect_timeout=REPLY_TIMEOUT, reply_timeout=REPLY_TIMEOUT,
                )  # fmt: skip
                started = time.monotonic()
                with unittest.mock.patch('zeit.cds.ftp.opening.PROBE', REPLY_TIMEOUT):
                    target.open().close()
                self.assertLess(time.monotonic() - started, REPLY_TIMEOUT)
                self.assertEqual([0], server.connections('USER'))

    def test_a_local_error_is_none_of_the_server(self):
        server = self.enterContext(faults.FaultServer())
        target = FTPTarget.from_options(
            host=server.host, port=server.port, user='tést', encoding='ascii'
        )
        with self.assertRaises(errors.ConfigurationError) as caught:
            target.open()
        self.assertEqual((False, ''), (caught.exception.while_connecting, caught.exception.server))
