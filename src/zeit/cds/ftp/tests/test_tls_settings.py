"""TLS as it is wanted: values, contexts, targets, and the warning without it."""

import contextlib
import errno
import logging
import os
import pathlib
import ssl
import tempfile
import unittest
import unittest.mock

from zeit.cds.errors import ConfigurationError
from zeit.cds.ftp.connection_options import Settings
from zeit.cds.ftp.tls import TLS
from zeit.cds.target.target import FTPTarget, is_loopback
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET


class ValueTests(unittest.TestCase):
    layer = QUIET

    def test_what_makes_no_sense(self):
        for values, text in (
            ({'mode': 'yes'}, 'no, explicit, implicit'),
            ({'minimum': '1.1'}, "'1.1'"),
            ({'maximum': ''}, "''"),
            ({'minimum': '1.3', 'maximum': '1.2'}, 'below'),
            ({'key': 'key.pem'}, 'without its certificate'),
        ):
            with self.assertRaisesRegex(ConfigurationError, text):
                TLS(**values)

    def test_truth(self):
        self.assertEqual([False, True, True], [bool(TLS(mode=m)) for m in
                                               ('no', 'explicit', 'implicit')])  # fmt: skip

    def test_the_usual_port(self):
        for values, port in (
            ({}, 21),
            ({'tls': TLS(mode='explicit')}, 21),
            ({'tls': TLS(mode='implicit')}, 990),
            ({'tls': TLS(mode='implicit'), 'port': 2121}, 2121),
        ):
            self.assertEqual(port, Settings(host='h', **values).port)


class TargetTests(unittest.TestCase):
    layer = QUIET

    def target(self, **options):
        return FTPTarget.from_options(host='ftp.example.com', user='me', **options)

    def test_options(self):
        target = self.target(
            tls='explicit', tls_verify=False, tls_minimum='1.3', tls_curve='any', ca_file='ca',
            certificate='c', key='k',
        )  # fmt: skip
        self.assertEqual(
            TLS(
                mode='explicit', verify=False, minimum='1.3', curve='any', ca_file='ca',
                certificate='c', key='k',
            ),
            target.settings.tls,
        )  # fmt: skip

    def test_a_directory_is_the_same_with_and_without_tls(self):
        urls = {self.target(port=21, tls=mode).url for mode in ('no', 'explicit', 'implicit')}
        self.assertEqual({'ftp://me@ftp.example.com:21/'}, urls)

    def test_its_title_tells(self):
        self.assertEqual('host ftp.example.com, port 21, user me', self.target().title)
        self.assertEqual(
            'host ftp.example.com, port 990, user me, implicit TLS',
            self.target(tls='implicit').title,
        )

    def warnings(self, host, tls, **kw):
        target = FTPTarget.from_options(host=host, tls=tls)
        with self.assertLogs('zeit.cds.target.target', 'DEBUG') as caught:
            target.warn_of_clear_text(**kw)
            logging.getLogger('zeit.cds.target.target').info('end')
        return [(record.levelname, record.getMessage()) for record in caught.records[:-1]]

    def test_a_warning_without_tls(self):
        ((level, text),) = self.warnings('ftp.example.com', 'no')
        self.assertEqual('WARNING', level)
        self.assertRegex(text, 'password .* can be read on the way to ftp.example.com')
        self.assertEqual([], self.warnings('ftp.example.com', 'explicit'))
        self.assertEqual([], self.warnings('127.0.0.1', 'no'))
        self.assertEqual('DEBUG', self.warnings('10.0.0.1', 'no', level=logging.DEBUG)[0][0])

    def test_what_is_this_machine(self):
        for host in ('127.0.0.1', '127.1.2.3', '::1', 'localhost', 'LOCALHOST.'):
            self.assertTrue(is_loopback(host), host)
        for host in ('10.0.0.1', '::2', 'localhost.example.com', 'h', '127.0.0.1.example.com', ''):
            self.assertFalse(is_loopback(host), host)


class ContextTests(unittest.TestCase):
    layer = QUIET

    def setUp(self):
        super().setUp()
        self.certificates = self.enterContext(Certificates())

    def context(self, **values):
        return TLS(mode='explicit', ca_file=self.certificates.ca_file, **values).context()

    def test_what_it_is_by_default(self):
        context = TLS(mode='explicit').context()
        self.assertTrue(context.check_hostname)
        self.assertEqual(ssl.CERT_REQUIRED, context.verify_mode)
        self.assertEqual(ssl.TLSVersion.TLSv1_2, context.minimum_version)
        self.assertEqual(ssl.TLSVersion.TLSv1_3, context.maximum_version)
        self.assertFalse(context.options & ssl.OP_IGNORE_UNEXPECTED_EOF)

    def test_a_file_of_authorities_takes_the_place_of_the_systems(self):
        (found,) = self.context().get_ca_certs()
        self.assertIn((('organizationName', 'zeit.cds tests'),), found['subject'])

    def test_without_verification_there_is_a_warning_each_time(self):
        for _ in range(2):
            with self.assertLogs('zeit.cds', 'WARNING') as caught:
                TLS(mode='explicit', verify=False).require_usable()
            self.assertIn('THE SERVER IS NOT VERIFIED', caught.output[0])
        context = self.context(verify=False)
        self.assertEqual((False, ssl.CERT_NONE), (context.check_hostname, context.verify_mode))

    def test_versions(self):
        context = self.context(minimum='1.3', maximum='1.3')
        self.assertEqual(ssl.TLSVersion.TLSv1_3, context.minimum_version)

    def test_files_that_cannot_be_used(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        garbage, missing = folder / 'garbage', folder / 'missing'
        garbage.write_text('-----BEGIN')
        one, other = self.certificates.server, self.certificates.client
        locked = self.encrypted(folder / 'locked.pem')
        for values, text in (
            ({'ca_file': missing}, 'authorities .*missing cannot be read: No such file'),
            ({'ca_file': garbage}, 'authorities .*garbage cannot be used'),
            ({'ca_file': folder}, 'authorities'),
            ({'certificate': missing}, 'certificate .*missing cannot be read'),
            ({'certificate': one.certificate}, 'certificate .*server.pem cannot be used'),
            ({'certificate': one.certificate, 'key': other.key}, 'server.pem cannot be used'),
            ({'certificate': one.certificate, 'key': locked}, 'server.pem cannot be used'),
        ):
            with self.subTest(text), self.assertRaisesRegex(ConfigurationError, text):
                TLS(
                    **({'mode': 'explicit', 'ca_file': self.certificates.ca_file} | values)
                ).context()

    def test_a_key_of_another_user_is_named(self):
        client = self.certificates.client

        def opened(path, *arguments, real=os.open):
            if os.fspath(path) == os.fspath(client.key):
                raise PermissionError(errno.EACCES, 'Permission denied', path)
            return real(path, *arguments)

        with (
            unittest.mock.patch('os.open', opened),
            self.assertRaisesRegex(ConfigurationError, 'client-key.pem cannot be read: Permission'),
        ):
            self.context(certificate=client.certificate, key=client.key)

    def encrypted(self, path):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(self.certificates.server.key.read_bytes(), None)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b'secret'),
            )
        )
        return path

    def test_a_certificate_with_its_key(self):
        client = self.certificates.client
        self.context(certificate=client.certificate, key=client.key)
        self.context(certificate=client.both)

    def test_curves(self):
        for curve in ('any', 'prime256v1', 'secp384r1'):
            self.context(curve=curve)
        for curve in ('x', 'P-256\n', ''):
            with contextlib.nullcontext(), self.assertRaisesRegex(ConfigurationError, 'curve'):
                self.context(curve=curve)
