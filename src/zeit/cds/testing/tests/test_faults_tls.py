"""The fault server over TLS, and what it does wrong with it; with a client that is not ours."""

import contextlib
import ftplib
import io
import socket
import ssl
import unittest

from zeit.cds.testing import faults
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.tests.test_servers_tls import Client, connect
from zeit.cds.testing.tls import TLS


TIMEOUT = 0.3


class Case(unittest.TestCase):
    layer = QUIET
    implicit = False
    arguments = {}

    def setUp(self):
        self.certificates = self.enterContext(Certificates())
        self.context = self.certificates.client_context()
        tls = TLS(certificate=self.certificates.server, implicit=self.implicit)
        self.server = self.enterContext(
            faults.FaultServer(directories=['/cds'], tls=tls, **self.arguments)
        )
        self.server.user, self.server.password = self.server.login

    def connect(self):
        client = connect(self.server, self.context, implicit=self.implicit)
        self.addCleanup(client.close)
        return client

    def store(self, client, data=b'data', *, name='a'):
        return client.storbinary(f'STOR {name}', io.BytesIO(data))


class ExplicitTests(Case):
    def test_up_and_down(self):
        client = self.connect()
        for size in (0, 1, 16384, 101_701, 3_000_000):
            data = bytes(range(256)) * (size // 256 + 1)
            self.store(client, data[:size], name=str(size))
            received = io.BytesIO()
            client.retrbinary(f'RETR {size}', received.write)
            self.assertEqual(data[:size], self.server.files[f'/{size}'])
            self.assertEqual(data[:size], received.getvalue())
        self.assertEqual({True}, set(client.reused))
        self.assertEqual(['0', '1', '101701', '16384', '3000000', 'cds'], sorted(client.nlst()))
        client.quit()
        self.server.wait_closed()
        self.assertEqual(['AUTH TLS'] if not self.implicit else [], self.server.in_clear)

    def test_what_is_in_clear_is_recorded(self):
        client = ftplib.FTP(timeout=30)
        self.addCleanup(client.close)
        client.connect(self.server.host, self.server.port)
        client.login('test', 'testpw')
        self.store(client)
        self.assertEqual({'USER test', 'PASS ***', 'data'} - set(self.server.in_clear), set())

    def test_a_client_that_goes_leaves_nothing(self):
        for go in (lambda c: c.close(), lambda c: c.sock.unwrap().close()):
            client = self.connect()
            with contextlib.suppress(OSError):
                go(client)
            client.close()
            self.server.wait_closed()

    def test_an_upload_without_close_notify_is_a_part_only(self):
        client = self.connect()
        data = client.transfercmd('STOR a')
        data.sendall(b'half')
        data.close()
        with self.assertRaisesRegex(ftplib.error_temp, '^426'):
            client.voidresp()

    def test_no_protection(self):
        self.server.fault('PROT', faults.Reply('534 No.'))
        with self.assertRaisesRegex(ftplib.error_perm, '^534'):
            self.connect()

    def test_data_that_does_not_resume(self):
        self.server.fault('STOR', faults.RequireResumption())
        client = self.connect()
        self.store(client)
        client.resume = False
        with self.assertRaisesRegex((ftplib.error_perm, OSError), '^522|EOF|Broken pipe|reset'):
            self.store(client)

    def test_a_data_handshake_that_stalls(self):
        self.server.fault('STOR', faults.StallHandshake())
        client = self.connect()
        client.timeout = TIMEOUT
        with self.assertRaises(TimeoutError):
            self.store(client)
        client.close()
        self.server.wait_closed()

    def test_the_server_ends_without_close_notify(self):
        for kind in ('no goodbye', 'never', 'reset'):
            with self.subTest(kind):
                rule = self.server.fault('STOR', faults.EndData(kind))
                client = self.connect()
                with contextlib.closing(client.transfercmd('STOR a')) as data:
                    data.sendall(b'all')
                    data.settimeout(TIMEOUT)
                    with self.assertRaises((ssl.SSLError, TimeoutError, ConnectionError)):
                        data.unwrap()
                self.assertEqual('226', client.voidresp()[:3])
                self.assertEqual(b'all', self.server.files['/a'])
                client.close()
                self.server.remove_fault(rule)
                self.server.wait_closed()


class ImplicitTests(ExplicitTests):
    implicit = True
    test_what_is_in_clear_is_recorded = None

    def test_a_handshake_that_stalls(self):
        self.server.fault(faults.GREETING, faults.StallHandshake())
        with socket.create_connection((self.server.host, self.server.port), TIMEOUT) as sock:
            with self.assertRaises(TimeoutError):
                self.context.wrap_socket(sock, server_hostname='localhost')
        self.server.wait_closed()


class BeginningTests(Case):
    def begin(self, timeout=30):
        client = Client(context=self.context)
        client.timeout = timeout
        self.addCleanup(client.close)
        client.connect(self.server.host, self.server.port)
        return client

    def test_no_auth(self):
        self.server.fault('AUTH', faults.Reply('500 What?'))
        with self.assertRaisesRegex(ftplib.error_perm, '^500'):
            self.begin().auth()

    def test_text_behind_the_reply_to_auth(self):
        self.server.fault('AUTH', faults.Extra('230 You are in.'))
        with contextlib.closing(
            socket.create_connection((self.server.host, self.server.port), 30)
        ) as sock:
            sock.recv(100)
            sock.sendall(b'AUTH TLS\r\n')
            self.assertEqual(b'234 Begin TLS.\r\n230 You are in.\r\n', sock.recv(100))

    def test_commands_before_the_handshake_are_not_executed(self):
        with contextlib.closing(
            socket.create_connection((self.server.host, self.server.port), 30)
        ) as sock:
            sock.recv(100)
            sock.sendall(b'AUTH TLS\r\nNOOP\r\n')
            sock.recv(100)
            tls = self.context.wrap_socket(sock, server_hostname='localhost')
            tls.sendall(b'SYST\r\n')
            self.assertEqual(b'215', tls.recv(100)[:3])
            tls.close()
        self.assertEqual(['AUTH TLS', 'SYST'], self.server.commands())

    def test_a_handshake_that_stalls(self):
        self.server.fault('AUTH', faults.StallHandshake())
        client = self.begin(timeout=TIMEOUT)
        with self.assertRaises(TimeoutError):
            client.auth()
        client.close()
        self.server.wait_closed()

    def test_a_client_that_speaks_no_tls(self):
        with socket.create_connection((self.server.host, self.server.port), 30) as sock:
            sock.recv(100)
            sock.sendall(b'AUTH TLS\r\n')
            sock.recv(100)
            sock.sendall(b'USER test\r\n' * 3)
        self.server.wait_closed()


class WithoutTicketsTests(Case):
    arguments = {'tickets': 0}

    def test_nothing_is_resumed(self):
        client = self.connect()
        self.store(client)
        self.assertEqual([False], client.reused)


class UnknownTests(unittest.TestCase):
    layer = QUIET

    def test_a_server_without_tls(self):
        with faults.FaultServer() as server, contextlib.closing(Client()) as client:
            client.connect(server.host, server.port)
            with self.assertRaisesRegex(ftplib.error_perm, '^502'):
                client.auth()
