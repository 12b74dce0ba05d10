"""The server: slow clients, too large requests, TLS, and its end."""

import contextlib
import pathlib
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
from unittest import mock

from zeit.cds.errors import ConfigurationError
from zeit.cds.testing import layers
from zeit.cds.testing.certificates import Certificates
from zeit.cds.web import server
from zeit.cds.web.tests.serving import TIMEOUT, read, serving


#: So many requests take longer than what is waited for.
OFTEN = 1000

#: Requests that do not come to an end.
UNFINISHED = (
    b'GET / HT',
    b'GET / HTTP/1.1\r\nHost: a\r\nX: ',
    b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx',
    b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx',
)


def echo(environ, start_response):
    """Answer with method, path and body; /large with much."""
    body = environ['wsgi.input'].read()
    if environ['PATH_INFO'] == '/large':
        body = b'x' * 32_000_000
    body = f'{environ["REQUEST_METHOD"]} {environ["PATH_INFO"]} '.encode() + body
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]


class ServerTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.server = self.enterContext(serving(echo))

    def assert_answers(self):
        status, _, body = self.server.ask('POST', '/a', body=b'b')
        self.assertEqual((200, b'POST /a b'), (status, body))

    def test_one_connection_takes_several_requests(self):
        with contextlib.closing(self.server.connection()) as connection:
            for path in '/a', '/b':
                connection.request('GET', path)
                self.assertEqual(f'GET {path} '.encode(), connection.getresponse().read())

    def test_it_does_not_say_what_it_is(self):
        self.assertNotIn('Server', self.server.ask()[1])

    def test_slow_clients_hinder_nobody(self):
        with contextlib.ExitStack() as stack:
            for data in UNFINISHED:
                for _ in range(20):
                    stack.enter_context(self.server.open(data))
            self.assert_answers()

    def test_slow_clients_are_cut_off(self):
        with mock.patch.object(server, 'SLOW_SECONDS', 0.1), serving(echo) as impatient:
            for data in UNFINISHED:
                with self.subTest(data), impatient.open(data) as client:
                    self.assertEqual(b'', read(client))

    def test_idle_clients_are_cut_off(self):
        with mock.patch.object(server, 'IDLE_SECONDS', 0), serving(echo) as impatient:
            with impatient.open() as client:
                self.assertEqual(b'', read(client))

    def test_who_drips_does_not_gain_time(self):
        with mock.patch.object(server, 'SLOW_SECONDS', 0.2), serving(echo) as impatient:
            with impatient.open(b'GET / HTTP/1.1\r\n') as client:
                client.settimeout(0.02)
                with self.assertRaises(OSError) as caught:
                    for _ in range(TIMEOUT * 50):
                        client.sendall(b'X: y\r\n')
                        with contextlib.suppress(TimeoutError):
                            if not client.recv(100):
                                raise ConnectionResetError
                self.assertNotIsInstance(caught.exception, TimeoutError)

    def test_who_does_not_read_is_cut_off(self):
        with mock.patch.object(server, 'SLOW_SECONDS', 0.2), serving(echo) as impatient:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(TIMEOUT)
                client.connect((impatient.host, impatient.port))
                client.sendall(b'GET /large HTTP/1.1\r\nHost: a\r\n\r\n')
                self.assertTrue(client.recv(10))
                poll = select.poll()
                poll.register(client, select.POLLERR)
                while not _is_gone(client):
                    poll.poll(10)
                self.assertLess(len(read(client)), 32_000_000)

    def test_sizes_are_bounded(self):
        line = b'X: ' + b'y' * server.HEADER_BYTES + b'\r\n'
        for head, body, status in (
            (b'GET /' + b'x' * server.HEADER_BYTES + b' HTTP/1.1\r\n', b'', 431),
            (b'GET / HTTP/1.1\r\n' + line, b'', 431),
            (b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * server.HEADER_BYTES, b'', 431),
            (b'POST / HTTP/1.1\r\nContent-Length: %d\r\n' % (server.BODY_BYTES + 1), b'', 413),
            (b'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n',
             b'10000\r\n' + b'x' * 0x10000 + b'\r\n10\r\n', 413),
        ):  # fmt: skip
            with self.subTest(head[:60]):
                answer = self.server.raw(head + b'Host: a\r\nConnection: close\r\n\r\n' + body)
                self.assertRegex(answer, rb'^HTTP/1\.[01] %d ' % status)
        self.assert_answers()

    def test_what_is_no_request_is_refused(self):
        for data in (
            b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' * 20 + b'\r\n\r\n',
            b'GET\r\n\r\n',
            b'GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n',
            b'GET / HTTP/1.1\r\nHost: a\r\nX\x00: y\r\n\r\n',
            b'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n',
            b'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
            b'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n',
            b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
        ):
            with self.subTest(data[:60]):
                answer = self.server.raw(data)
                self.assertRegex(answer, rb'^HTTP/1\.[01] (400|501) ')
        self.assert_answers()

    def test_it_ends_when_it_has_answered(self):
        begun, goes_on, answers = threading.Event(), threading.Event(), []

        def slow(environ, start_response):
            begun.set()
            goes_on.wait(TIMEOUT)
            return echo(environ, start_response)

        with serving(slow) as ending, ending.open() as idle:
            thread = threading.Thread(target=lambda: answers.append(ending.ask()))
            thread.start()
            self.addCleanup(thread.join)
            self.assertTrue(begun.wait(TIMEOUT))
            ending.stop()
            with self.assertRaises(OSError):
                while True:
                    ending.open().close()
            self.assertEqual(b'', read(idle))
            goes_on.set()
        thread.join(TIMEOUT)
        self.assertEqual([200], [status for status, _, _ in answers])

    def test_where_it_cannot_listen(self):
        for host, port in (('127.0.0.1', self.server.port), ('192.0.2.1', 0)):
            with self.subTest(host), self.assertRaises(ConfigurationError) as caught:
                server.Server(echo, server.resolve(host, port)).__enter__()
            self.assertIn(host, str(caught.exception))
        self.assertRaises(ConfigurationError, server.resolve, 'a' * 300, 0)

    def test_what_only_this_machine_reaches(self):
        for host, expected in (
            *(('127.0.0.1', True), ('127.1.2.3', True), ('::1', True), ('localhost', True)),
            *(('0.0.0.0', False), ('::', False), ('192.0.2.1', False)),
        ):
            self.assertEqual(expected, server.is_loopback(server.resolve(host, 80)), host)


def _is_gone(client):
    """Return whether the server has closed the connection, whatever is still to be read."""
    try:
        client.send(b'x')
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


class TLSTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.certificates = self.enterContext(Certificates())
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.context = self.certificates.client_context()

    def certificate(self, pair=None):
        pair = pair or self.certificates.server
        shutil.copy(pair.certificate, self.folder / 'chain.pem')
        shutil.copy(pair.key, self.folder / 'key.pem')
        return server.Certificate(self.folder / 'chain.pem', self.folder / 'key.pem')

    def test_requests_are_encrypted(self):
        with serving(echo, certificate=self.certificate()) as encrypted:
            self.assertTrue(encrypted.url.startswith('https://'))
            for path, size in ('/a', 7), ('/large', 32_000_000 + len('GET /large ')):
                status, _, body = encrypted.ask('GET', path, context=self.context)
                self.assertEqual((200, size), (status, len(body)))
            with contextlib.closing(encrypted.connection(self.context)) as connection:
                for _ in range(3):
                    connection.request('POST', '/a', body=b'x' * 60_000)
                    self.assertEqual(60_008, len(connection.getresponse().read()))

    def test_who_does_not_speak_tls_is_cut_off_and_hinders_nobody(self):
        with serving(echo, certificate=self.certificate()) as encrypted:
            self.assertNotIn(b'HTTP', encrypted.raw(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n'))
            with encrypted.open(b'\x16\x03\x01\x02\x00\x01') as client:
                self.assertEqual(200, encrypted.ask(context=self.context)[0])
                client.setblocking(False)
                self.assertRaises(BlockingIOError, client.recv, 1)

    def test_an_unfinished_handshake_is_cut_off(self):
        with (
            mock.patch.object(server, 'IDLE_SECONDS', 0),
            serving(echo, certificate=self.certificate()) as encrypted,
            encrypted.open(b'\x16\x03\x01\x02\x00\x01') as client,
        ):
            self.assertEqual(b'', read(client))

    def test_a_new_certificate_is_taken(self):
        certificate = self.certificate()
        with (
            mock.patch.object(server, 'RENEWAL_SECONDS', 0),
            serving(echo, certificate=certificate) as encrypted,
        ):
            self.assertEqual(200, encrypted.ask(context=self.context)[0])
            with self.assertLogs('zeit.cds.web', 'ERROR') as logged:
                (self.folder / 'key.pem').write_text('')
                for _ in range(OFTEN):
                    self.assertEqual(200, encrypted.ask(context=self.context)[0])
                    if logged.records:
                        break
            self.certificate(self.certificates.wrong_name)
            with self.assertRaises(ssl.SSLCertVerificationError):
                for _ in range(OFTEN):
                    encrypted.ask(context=self.context)

    def test_what_is_no_certificate(self):
        self.certificate()
        chain, key, other = (self.folder / name for name in ('chain.pem', 'key.pem', 'other.pem'))
        shutil.copy(self.certificates.client.key, other)
        (self.folder / 'empty.pem').touch()
        locked = subprocess.run(
            [*('openssl', 'pkey', '-aes128', '-passout', 'pass:x'), '-in', key],
            capture_output=True, timeout=TIMEOUT, check=True,
        )  # fmt: skip
        (self.folder / 'locked.pem').write_bytes(locked.stdout)
        for path, its_key in (
            (self.folder / 'missing.pem', None),
            *((self.folder / 'empty.pem', None), (self.folder, None), (chain, None)),
            *((chain, other), (chain, self.folder / 'locked.pem')),
        ):
            with self.subTest(path, key=its_key), self.assertRaises(ConfigurationError) as caught:
                server.Certificate(path, its_key)
            self.assertIn(str(its_key or path), str(caught.exception))
        self.assertIn('has a passphrase', str(caught.exception))
