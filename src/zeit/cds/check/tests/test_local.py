"""What is found out without the network."""

import datetime
import os
import pathlib
import tempfile
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.check import certificates, local
from zeit.cds.check.finding import FAILED, OK, UNKNOWN, WARNING
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.certificates import Certificates
from zeit.cds.tests.folders import in_memory
from zeit.cds.values.run_options import Options


def by_name(found):
    return {name: [each for each in found if each.name == name] for name in {e.name for e in found}}


class SpoolTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(in_memory(self))
        self.spool = Spool(self.path)

    def check(self, **options):
        return by_name(local.spool(self.spool, **options))

    def one(self, name, **options):
        (found,) = self.check(**options)[name]
        return found

    def test_a_good_one(self):
        self.spool.put('a.xml', b'x')
        found = self.check()
        self.assertEqual([*local.SPOOL], sorted(found, key=[*local.SPOOL].index))
        results = {each.result for several in found.values() for each in several}
        self.assertEqual({OK}, results, found)
        self.assertEqual(['a.xml'], os.listdir(self.path / 'new'))

    def test_one_that_is_not_there(self):
        found = local.spool(Spool(self.path / 'none'))
        self.assertEqual([('directories', FAILED, 78)], [(f.name, f.result, f.code) for f in found])

    def test_filing_is_tried(self):
        error = PermissionError(1, 'Operation not permitted', 'new/x')
        with unittest.mock.patch('zeit.cds.system.files.move', side_effect=error):
            found = self.one('filing')
        self.assertEqual((FAILED, 78), (found.result, found.code))
        self.assertIn('not permitted', found.found)

    def test_an_active_run_is_left_alone(self):
        with self.spool.run():
            found = self.one('filing')
        self.assertEqual((UNKNOWN, 0), (found.result, found.code))

    def test_a_full_disk(self):
        full = unittest.mock.Mock(f_bavail=1, f_frsize=4096, f_files=9, f_favail=9, f_flag=0)
        with unittest.mock.patch('os.statvfs', return_value=full):
            found = self.one('disk space')
        self.assertEqual((WARNING, 0), (found.result, found.code))
        self.assertIn('4.0 KiB', found.found)

    def test_a_clock_that_was_set_back(self):
        with self.spool.run():
            runs = {'runs': {}, 'seconds': 0, 'success': None, 'kinds': {}, 'locked': None}
            last = {'ended': 2_000_000_000, 'exit_code': 0, 'seconds': 1}
            self.spool.journal.note('ended', **runs, last=last)
        self.assertEqual(WARNING, self.one('clock', now=lambda: 1_999_990_000).result)
        self.assertEqual(OK, self.one('clock', now=lambda: 2_000_000_001).result)

    def test_files_that_cannot_be_read(self):
        for name in ('a.xml', 'b.xml'):
            self.spool.put(name, b'x')
        closed = unittest.mock.Mock(side_effect=lambda path, mode: 'xml' not in path)
        with unittest.mock.patch('os.access', closed):
            _, found = self.check()['rights']
        self.assertEqual((FAILED, 78), (found.result, found.code))
        self.assertRegex(found.found, r'2 files in new cannot be read: \w\.xml, -rw')

    def test_a_group_that_new_files_do_not_get(self):
        self.spool.put('a.xml', b'x')
        os.chmod(self.path / 'new', 0o770)
        self.assertIn('chmod g+s', self.check()['rights'][-1].setting)
        os.chmod(self.path / 'new', 0o2770)
        found = self.one('rights')
        self.assertIn('group ', found.found)

    def test_root_in_the_spool_of_another_user(self):
        self.spool.put('a.xml', b'x')
        there = os.stat(self.path / 'new')
        values = list(there)
        values[4] = 12345678  # st_uid
        with (
            unittest.mock.patch('os.geteuid', return_value=0),
            unittest.mock.patch('os.stat', return_value=os.stat_result(values)),
        ):
            found = [*local._rights('rights', self.spool, 0)]
        self.assertEqual([OK, WARNING], [each.result for each in found])
        self.assertIn('12345678', found[1].found)


class CertificateTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.made = self.enterContext(Certificates())
        self.now = datetime.datetime.now(datetime.UTC).timestamp()

    def about(self, path):
        (found,) = local.certificates_of('certificates', path, self.now)
        return found

    def test_names_and_end(self):
        (found, *_) = certificates.in_file(self.made.server.certificate)
        self.assertEqual(['127.0.0.1', '::1', 'localhost'], found.names)
        (own,) = certificates.in_file(self.made.self_signed.certificate)
        self.assertAlmostEqual(30, own.days(self.now), delta=0.1)
        (mail,) = certificates.in_file(self.made.client.certificate)
        self.assertEqual(['test'], mail.names)
        (authority,) = certificates.in_file(self.made.ca_file)
        self.assertIn('zeit.cds tests', authority.names)

    def test_agrees_with_the_library(self):
        from cryptography import x509

        for each in (self.made.server, self.made.expired, self.made.self_signed, self.made.client):
            data = each.certificate.read_bytes()
            wanted = x509.load_pem_x509_certificate(data)
            found = certificates.in_file(each.certificate)[0]
            moment = getattr(wanted, 'not_valid_after_utc', None) or (
                wanted.not_valid_after.replace(tzinfo=datetime.UTC)
            )
            self.assertEqual(moment, found.expires)

    def test_what_is_said(self):
        found = self.about(self.made.expired.certificate)
        self.assertEqual((FAILED, 78), (found.result, found.code))
        self.assertIn('expired 1 day ago', found.found)
        found = self.about(self.made.server.certificate)
        self.assertEqual(OK, found.result)
        self.now += 10 * 86400
        found = self.about(self.made.self_signed.certificate)
        self.assertEqual((WARNING, 0), (found.result, found.code))
        self.assertRegex(found.found, 'localhost.*good for (19|20) days')

    def test_what_is_no_certificate(self):
        with tempfile.NamedTemporaryFile('w') as file:
            self.assertEqual(UNKNOWN, self.about(file.name).result)
            file.write('-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n')
            file.flush()
            self.assertEqual(UNKNOWN, self.about(file.name).result)

    def test_cut_off_anywhere_it_is_refused_in_order(self):
        (data,) = (
            certificates.ssl.PEM_cert_to_DER_cert(each)
            for each in certificates._PEM.findall(self.made.client.certificate.read_text())[:1]
        )
        for length in range(len(data)):
            try:
                certificates.parse(data[:length])
            except ValueError:
                pass

    def test_several(self):
        both = self.made.directory / 'several.pem'
        texts = [e.certificate.read_text() for e in (self.made.server, self.made.expired)]
        both.write_text(''.join(texts))
        found = self.about(both)
        self.assertEqual((WARNING, 0), (found.result, found.code))
        self.assertIn('to expire', found.found)


class TargetTests(unittest.TestCase):
    layer = layers.QUIET

    def test_encryption(self):
        from zeit.cds.credentials import Secret
        from zeit.cds.target.target import FTPTarget

        def about(**options):
            goal = FTPTarget.from_options(user='me', password=Secret('x'), **options)
            (found,) = local._encryption('encryption', goal, 0)
            return found

        self.assertEqual(OK, about(host='127.0.0.1').result)
        self.assertIn('tls="explicit"', about(host='ftp.example.com').setting)
        self.assertEqual(OK, about(host='ftp.example.com', tls='implicit').result)
        self.assertEqual(WARNING, about(host='h', tls='explicit', tls_verify=False).result)

    def test_a_password_that_cannot_be_read(self):
        from zeit.cds.credentials import SecretFile
        from zeit.cds.target.target import FTPTarget

        goal = FTPTarget.from_options(host='h', user='me', password=SecretFile('/no'))
        (found,) = local.target(goal)
        self.assertEqual((FAILED, errors.CONFIGURATION), (found.result, found.code))
        self.assertIn('/no', found.found)

    def test_commands_that_nobody_would_be_told_by(self):
        def about(**options):
            return [(each.result, each.found) for each in local.hooks(Options(**options))]

        self.assertEqual([], about())
        self.assertEqual([], about(on_failure="sh -c 'exit 1'", on_recovery='/bin/sh'))
        ((result, found),) = about(on_failure='/no/such --secret', on_recovery='sh')
        self.assertEqual(WARNING, result)
        self.assertIn('on_failure', found)
        self.assertNotIn('secret', found)
        self.assertEqual(2, len(about(on_failure='/etc/passwd', on_recovery='/')))
        self.assertEqual([], [*local.hooks(None)])
