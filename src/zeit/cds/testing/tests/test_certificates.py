"""The certificates of the tests are what they say: a TLS client takes them, or says why not."""

import pathlib
import ssl
import tempfile
import unittest

from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET


def handshake(client, server, *, host):
    """Shake hands in memory; return the certificate that the server got. Raises SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = {near, far}
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.discard(side)
            except ssl.SSLWantReadError:
                continue
    return far.getpeercert()


class CertificatesTests(unittest.TestCase):
    layer = QUIET

    def setUp(self):
        self.certificates = self.enterContext(Certificates())

    def connect(self, certificate, *, client=None, host='localhost', ca_file=None):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate.certificate, certificate.key)
        if ca_file:
            server.verify_mode = ssl.CERT_REQUIRED
            server.load_verify_locations(ca_file)
        client = client or self.certificates.client_context()
        # As `ssl.create_default_context` does from Python 3.13 on.
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        return handshake(client, server, host=host)

    def test_the_good_one_is_good_for_every_way_to_this_machine(self):
        for host in ('127.0.0.1', '::1', 'localhost'):
            self.connect(self.certificates.server, host=host)

    def test_the_others_are_refused_for_their_reason(self):
        for name, reason in {
            'expired': 'certificate has expired',
            'wrong_name': "Hostname mismatch, certificate is not valid for 'localhost'",
            'self_signed': 'self-signed certificate',
        }.items():
            with self.subTest(name), self.assertRaisesRegex(ssl.SSLError, reason):
                self.connect(getattr(self.certificates, name))

    def test_another_authority_is_none(self):
        client = ssl.create_default_context(cafile=self.certificates.other_ca_file)
        with self.assertRaisesRegex(ssl.SSLError, 'unable to get local issuer'):
            self.connect(self.certificates.server, client=client)

    def test_the_self_signed_one_is_its_own_authority(self):
        certificate = self.certificates.self_signed
        client = ssl.create_default_context(cafile=certificate.certificate)
        for host in ('127.0.0.1', '::1', 'localhost'):
            self.connect(certificate, client=client, host=host)

    def test_a_client_shows_who_it_is(self):
        client = self.certificates.client_context()
        client.load_cert_chain(self.certificates.client.both)
        seen = self.connect(
            self.certificates.server, client=client, ca_file=self.certificates.ca_file
        )
        self.assertIn((('commonName', 'test'),), seen['subject'])

    def test_keys_are_for_their_owner_and_everything_is_removed(self):
        directory = self.certificates.directory
        for path in (self.certificates.server.key, self.certificates.server.both):
            self.assertEqual(0o600, path.stat().st_mode & 0o777)
        self.certificates.close()
        self.assertFalse(directory.exists())

    def test_a_directory_of_ones_own_is_kept(self):
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        with Certificates(directory=directory) as certificates:
            path = certificates.ca_file
        self.assertEqual([path], list(directory.iterdir()))
