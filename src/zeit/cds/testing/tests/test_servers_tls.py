"""The test servers with TLS, each with a client that is not ours: what other tests rely on."""

import contextlib
import ftplib
import io
import socket
import ssl
import unittest

from zeit.cds.testing import layers
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET, ServerTests
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.servers import ProFTPDServer, PureFTPDServer, VsftpdServer
from zeit.cds.testing.tls import TLS


TIMEOUT = 10


class Client(ftplib.FTP_TLS):
    """Python's own client, which neither resumes sessions nor knows implicit TLS by itself."""

    resume = True

    def __init__(self, **arguments):
        super().__init__(timeout=TIMEOUT, **arguments)
        self.reused = []

    def connect_implicitly(self, host, port):
        self.host = host
        self.sock = self.context.wrap_socket(
            socket.create_connection((host, port), TIMEOUT), server_hostname=host
        )
        self.af = self.sock.family
        self.file = self.sock.makefile('r', encoding=self.encoding)
        self.welcome = self.getresp()

    def ntransfercmd(self, cmd, rest=None):
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            session = self.sock.session if self.resume else None
            connection = self.context.wrap_socket(
                connection, server_hostname=self.host, session=session
            )
            self.reused.append(connection.session_reused)
        return connection, size


def connect(server, context, *, implicit):
    """Return a client that is logged in; to be closed."""
    client = Client(context=context)
    try:
        if implicit:
            client.connect_implicitly(server.host, server.port)
        else:
            client.connect(server.host, server.port)
            client.auth()
        client.login(server.user, server.password, secure=False)
        client.prot_p()
        return client
    except BaseException:
        client.close()
        raise


class Common(ServerTests):
    resumes = True
    #: What the server says to a login without TLS.
    refused = '5'
    #: What it says where a data connection does not resume the session; None if it does not care.
    wants_resumption = None

    def connect(self):
        client = connect(
            self.server, self.layer.certificates.client_context(), implicit=self.layer.implicit
        )
        self.addCleanup(client.close)
        return client

    def test_six_files_over_resumed_sessions(self):
        client = self.connect()
        self.assertEqual(f'TLSv{self.layer.version}', client.sock.version())
        before = self.server.resumptions if hasattr(self.server, 'resumptions') else None
        for size in (0, 1, 16384, 101_701, 2, 3):
            client.storbinary(f'STOR {size}', io.BytesIO(b'x' * size))
            self.assertEqual(b'x' * size, (self.server.root / str(size)).read_bytes())
        self.assertEqual([self.resumes] * 6, client.reused)
        if before is not None:
            self.assertEqual(6, self.server.resumptions - before)
        client.quit()

    def test_no_other_version(self):
        context = self.layer.certificates.client_context()
        if self.layer.version == '1.2':
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        else:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        with self.assertRaises((ssl.SSLError, EOFError, ConnectionError)):
            connect(self.server, context, implicit=self.layer.implicit)

    def test_whether_a_data_connection_must_resume_the_session(self):
        client = self.connect()
        client.resume = False
        try:
            client.storbinary('STOR a', io.BytesIO(b'a'))
            answer = None
        except (ftplib.Error, OSError) as error:
            answer = str(error)[:3] if isinstance(error, ftplib.Error) else self.answer(client)
        self.assertEqual(self.wants_resumption, answer)

    def answer(self, client):
        try:
            return client.getresp()[:3]
        except ftplib.Error as error:
            return str(error)[:3]

    def test_without_tls_nobody_gets_in(self):
        if self.layer.implicit:
            address = (self.server.host, self.server.port)
            with socket.create_connection(address, TIMEOUT) as client:
                client.sendall(b'USER test\r\n')
                with contextlib.suppress(ConnectionError):
                    self.assertNotIn(b'331', client.recv(1024))
            return
        client = ftplib.FTP(timeout=TIMEOUT)
        self.addCleanup(client.close)
        client.connect(self.server.host, self.server.port)
        with self.assertRaises(ftplib.Error) as caught:
            client.login(self.server.user, self.server.password)
        self.assertEqual(self.refused, str(caught.exception)[:3])


class PyFTP12Tests(Common, unittest.TestCase):
    level = 2
    layer = layers.PYFTPD_TLS12
    refused = '550'


class PyFTP13Tests(PyFTP12Tests):
    level = 1
    layer = layers.PYFTPD_TLS13


class PyFTPImplicitTests(PyFTP12Tests):
    layer = layers.PYFTPD_IMPLICIT


class Vsftpd12Tests(Common, unittest.TestCase):
    level = 2
    layer = layers.VSFTPD_TLS12
    refused = '530'
    wants_resumption = '522'


class Vsftpd13Tests(Vsftpd12Tests):
    level = 1
    layer = layers.VSFTPD_TLS13


class VsftpdImplicitTests(Vsftpd12Tests):
    layer = layers.VSFTPD_IMPLICIT


class ProFTPD12Tests(Common, unittest.TestCase):
    level = 2
    layer = layers.PROFTPD_TLS12
    refused = '550'
    wants_resumption = '425'


class ProFTPD13Tests(ProFTPD12Tests):
    layer = layers.PROFTPD_TLS13


class ProFTPDImplicitTests(ProFTPD12Tests):
    layer = layers.PROFTPD_IMPLICIT


class PureFTPD12Tests(Common, unittest.TestCase):
    level = 2
    layer = layers.PUREFTPD_TLS12
    refused = '421'


class PureFTPD13Tests(PureFTPD12Tests):
    layer = layers.PUREFTPD_TLS13
    resumes = False


class ConfigurationTests(unittest.TestCase):
    """What the layers do not have."""

    layer = QUIET

    def setUp(self):
        self.certificates = self.enterContext(Certificates())

    def test_a_client_must_show_its_certificate(self):
        tls = TLS(certificate=self.certificates.server, client_ca_file=self.certificates.ca_file)
        for factory in (PyFTPServer, VsftpdServer, ProFTPDServer):
            with self.subTest(factory), factory(tls=tls) as server:
                context = self.certificates.client_context()
                with self.assertRaises((OSError, EOFError, ftplib.Error)):
                    connect(server, context, implicit=False)
                context.load_cert_chain(self.certificates.client.both)
                with contextlib.closing(connect(server, context, implicit=False)) as client:
                    client.storbinary('STOR a', io.BytesIO(b'a'))
                    self.assertEqual([True], client.reused)

    def test_what_pure_ftpd_lacks(self):
        tls = TLS(certificate=self.certificates.server, implicit=True)
        with self.assertRaisesRegex(ValueError, 'implicit'), PureFTPDServer(tls=tls):
            self.fail('It started')
