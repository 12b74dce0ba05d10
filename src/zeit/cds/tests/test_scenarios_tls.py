"""Section D of the scenarios: what servers, and those in between, do wrong with TLS.

Sizes, resumption and ends on real servers are in `test_tls_transfers`.
"""

import threading
import unittest
from unittest import mock

from zeit.cds import errors
from zeit.cds.ftp import secure, stream
from zeit.cds.ftp.secure import SecureStream
from zeit.cds.ftp.transfer_start import Start
from zeit.cds.target.tests.test_learned import Remembering
from zeit.cds.testing import faults
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.servers import ProFTPDServer, VsftpdServer
from zeit.cds.testing.tls import TLS
from zeit.cds.tests import ftps
from zeit.cds.tests.relay import Relay
from zeit.cds.tests.scenario import PATIENCE, SHORT, Scenario


#: The types of TLS records (RFC 8446 section 5.1) that are no application data.
NO_DATA = {20, 21, 22}


def records(data):
    """Return the types of the TLS records in these bytes."""
    types = []
    while data:
        types.append(data[0])
        data = data[5 + int.from_bytes(data[3:5], 'big') :]
    return types


class TLSScenario(Scenario):
    """A scenario over TLS; the server shows the certificate of that name in `Certificates`."""

    mode = 'explicit'
    certificate = 'server'
    server_options = {}
    client_ca = False

    def setUp(self):
        self.certificates = self.enterContext(Certificates())
        super().setUp()

    def prepare(self, certificate=None, *, mode=None):
        self.certificate = certificate or self.certificate
        self.mode = mode or self.mode
        super().prepare()

    @property
    def arguments(self):
        tls = TLS(
            certificate=getattr(self.certificates, self.certificate),
            implicit=self.mode == 'implicit',
            client_ca_file=self.certificates.ca_file if self.client_ca else None,
        )
        return {'tls': tls, **self.server_options}

    def export(self, *names, **options):
        options = {'tls': self.mode, 'ca_file': str(self.certificates.ca_file)} | options
        return super().export(*names, **options)

    def assert_said(self, text, report):
        """The run ended by an error with these words."""
        said = [f'{error.message} {error.hint}' for error in report.errors]
        self.assertTrue([each for each in said if text in each], said)

    def assert_no_login(self):
        """The server has heard neither user nor password, encrypted or not."""
        self.assertEqual([], self.server.commands('USER', 'PASS'))
        self.assertLessEqual(set(self.server.in_clear), {'AUTH TLS', 'QUIT'})

    def assert_nothing_in_clear(self):
        self.assertLessEqual(set(self.server.in_clear), {'AUTH TLS'})


class ResumptionTests(TLSScenario, unittest.TestCase):
    def test_40_six_uploads_where_each_must_resume(self):
        self.fault('STOR RETR MLSD NLST', faults.RequireResumption())
        self.assert_run(0, 'a b c d e f', self.export(*'abcdef'))
        self.assertEqual(1, self.server.connected)
        self.assert_nothing_in_clear()


class WithoutTicketsTests(TLSScenario, unittest.TestCase):
    server_options = {'tickets': 0}

    def test_40_a_server_that_has_nothing_to_resume(self):
        self.assert_run(0, 'a b', self.export('a', 'b'))

    def test_40_and_demands_it_all_the_same(self):
        self.fault('STOR RETR MLSD NLST', faults.RequireResumption())
        report = self.export('a', 'b')
        self.assertEqual([], report.delivered)
        self.assertIn('522', self.log)
        self.heal()


class EndTests(TLSScenario, unittest.TestCase):
    def test_43_a_server_that_never_says_goodbye(self):
        self.assertLessEqual(secure.GOODBYE, 2)
        for kind in ('no goodbye', 'never'):
            with self.subTest(kind):
                self.prepare()
                self.fault('STOR', faults.EndData(kind), path='*.part')
                with mock.patch.object(secure, 'GOODBYE', 0.2):
                    self.assert_run(0, 'a', self.export('a'))
                self.assertLess(self.took, PATIENCE)

    def test_43_and_has_swallowed_the_end_of_the_file(self):
        self.fault(
            'STOR', faults.EndData('no goodbye'), faults.Alter(keep=5), path='*.part', times=9
        )
        report = self.export('a')
        self.assertEqual([], report.delivered)
        self.heal()

    def test_43_a_reset_in_place_of_the_end(self):
        self.fault('STOR', faults.EndData('reset'), path='*.part')
        self.assert_run(0, 'a', self.export('a'))

    def test_43_downloads_and_listings(self):
        self.fault('RETR MLSD NLST', faults.EndData('no goodbye'))
        self.assert_run(0, 'a', self.export('a'))

    def test_44_a_server_that_demands_close_notify(self):
        # As this one does: it answers 426 without.
        self.assert_run(0, 'a', self.export('a'))
        self.assertEqual([], [e for e in self.server.dialogue if e.text.startswith('426')])

    def test_a_connection_cut_in_the_middle(self):
        for reset in (True, False):
            with self.subTest(reset):
                self.prepare()
                self.fault('STOR', faults.CutData(after=100, reset=reset), path='*.part', times=1)
                self.export('a')
                self.heal()


class UnreadyTests(Remembering, TLSScenario, unittest.TestCase):
    """As ftp-srv: when it answers AUTH, it does not take a handshake yet."""

    def test_it_costs_one_connection_and_is_remembered(self):
        self.fault('AUTH', faults.Unready(PATIENCE), connection=0)
        self.fault('AUTH', faults.Unready(0.05))
        with mock.patch.object(stream, 'READY', 0.3):
            self.assert_run(0, 'a', self.export('a'))
            self.assertEqual({'eager': False}, self.facts())
            self.assertEqual(['AUTH', 'AUTH'], self.asked('AUTH'))
            self.assert_run(0, 'b', self.export('b'))
        self.assertEqual(['AUTH'], self.asked('AUTH'))
        self.assertNotIn('PASS ***', self.server.in_clear)

    def test_what_never_speaks_TLS_is_asked_twice(self):
        self.fault('AUTH', faults.Unready(PATIENCE))
        self.assert_run(69, '', self.export('a'))
        self.assertEqual(['AUTH', 'AUTH'], self.asked('AUTH'))


class RefusedTests(TLSScenario, unittest.TestCase):
    #: What the log says, by certificate.
    reasons = {
        'self_signed': 'self-signed certificate',
        'expired': 'certificate has expired',
        'wrong_name': "IP address mismatch, certificate is not valid for '127.0.0.1'",
    }

    def test_45_refused_before_the_password_is_sent(self):
        for name, reason in self.reasons.items():
            for mode in ('explicit', 'implicit'):
                with self.subTest(name, mode=mode):
                    self.prepare(name, mode=mode)
                    report = self.export('a')
                    self.assert_run(69, '', report)
                    self.assert_no_login()
                    self.assert_said(reason, report)

    def test_45_on_the_wire(self):
        """In TLS 1.2, where one can see from outside what is data and what is not."""
        for name in self.reasons:
            with self.subTest(name):
                self.prepare(name)
                with Relay((self.server.host, self.server.port)) as relay:
                    self.export('a', port=relay.port, tls_maximum='1.2')
                clear, _, encrypted = bytes(relay.heard).partition(b'\r\n')
                self.assertEqual(b'AUTH TLS', clear)
                self.assertLessEqual(set(records(encrypted)), NO_DATA)

    def test_45_an_unknown_authority(self):
        report = self.export('a', ca_file=str(self.certificates.other_ca_file))
        self.assert_run(69, '', report)
        self.assert_no_login()
        self.assert_said('--ca-file', report)

    def test_45_the_system_does_not_know_it_either(self):
        self.assert_run(69, '', self.export('a', ca_file=None))
        self.assert_no_login()

    def test_45_accepted_with_the_file(self):
        self.prepare('self_signed')
        own = self.certificates.self_signed.certificate
        self.assert_run(0, 'a', self.export('a', ca_file=str(own)))
        self.assert_nothing_in_clear()

    def test_45_accepted_by_a_switch_that_is_loud(self):
        for name in self.reasons:
            with self.subTest(name):
                self.prepare(name)
                self.assert_run(0, 'a', self.export('a', ca_file=None, tls_verify=False))
                loud = [r for r in self.records if r.levelname == 'WARNING']
                self.assertIn('NOT VERIFIED', loud[0].getMessage())


class WithoutTLSTests(Scenario, unittest.TestCase):
    """TLS is wanted, and the server has none."""

    def assert_refused(self):
        self.assert_run(69, '', self.export('a', tls='explicit'))
        self.assertEqual([], self.server.commands('USER', 'PASS', 'STOR'))
        self.assertNotIn('data', self.server.in_clear)

    def test_46_a_server_that_does_not_know_it(self):
        self.assert_refused()

    def test_46_replies_that_are_no_yes(self):
        for reply in ('500 What?', '504 No.', '534 No.', '431 Not now.', '421 Bye.', '334 More?',
                      '530 Log in first.'):  # fmt: skip
            with self.subTest(reply):
                self.prepare()
                self.fault('AUTH', faults.Reply(reply))
                self.assert_refused()

    def test_46_a_yes_that_is_a_lie(self):
        self.fault('AUTH', faults.Reply('234 Begin.'), faults.Silence('executed'))
        self.assert_run(69, '', self.export('a', tls='explicit', **SHORT))
        self.assertEqual([], self.server.commands('USER', 'PASS', 'STOR'))

    def test_46_the_cut_of_somebody_in_between(self):
        for moment in ('before', 'executed', 'replied'):
            with self.subTest(moment):
                self.prepare()
                self.fault('AUTH', faults.Cut(moment))
                self.assert_refused()


class InjectionTests(TLSScenario, unittest.TestCase):
    def assert_refused(self, *actions):
        self.prepare()
        self.fault('AUTH', *actions)
        self.assert_run(69, '', self.export('a', **SHORT))
        self.assert_no_login()

    def test_47_replies_behind_the_one_to_auth(self):
        for text in ('230 You are in.', '220 Hello.', '331 Password?', b'230'):
            with self.subTest(text):
                self.assert_refused(faults.Extra(text))

    def test_47_in_front_of_it(self):
        self.assert_refused(faults.Extra('220 Hello.', first=True))

    def test_47_a_moment_later(self):
        self.assert_refused(faults.Extra('230 You are in.'), faults.Chop(15, pause=0.05))


class ProtectionTests(TLSScenario, unittest.TestCase):
    def test_48_no_encryption_of_data(self):
        for reply in ('534 No.', '536 No.', '504 No.', '500 What?', '431 Not now.', '421 Bye.'):
            with self.subTest(reply):
                self.prepare()
                self.fault('PROT', faults.Reply(reply))
                self.assert_run(69, '', self.export('a'))
                self.assertEqual([], self.server.commands('STOR', 'EPSV', 'PASV', 'MKD'))
                self.assert_no_login()

    def test_48_a_server_that_only_says_so(self):
        """It expects clear text: our handshake is no file, and nothing of the file is sent."""
        self.fault('PROT', faults.Reply('200 As you like.'))
        report = self.export('a', **SHORT)
        self.assertEqual([], report.delivered)
        self.assertFalse([data for data in self.server.files.values() if b'This is a' in data])


class ImplicitTests(TLSScenario, unittest.TestCase):
    mode = 'implicit'

    def test_49_tls_from_the_first_byte(self):
        self.assert_run(0, 'a b', self.export('a', 'b'))
        self.assertEqual([], self.server.in_clear)
        self.assertEqual([], self.server.commands('AUTH'))

    def test_49_a_server_that_speaks_in_clear(self):
        self.enterContext(plain := faults.FaultServer())
        self.assert_run(69, '', self.export('a', port=plain.port, **SHORT))
        self.assertEqual([], plain.commands('USER', 'PASS'))


class ClientCertificateTests(TLSScenario, unittest.TestCase):
    client_ca = True

    def test_49_it_is_shown(self):
        own = self.certificates.client
        for options in (
            {'certificate': str(own.both)},
            {'certificate': str(own.certificate), 'key': str(own.key)},
        ):
            self.prepare()
            self.assert_run(0, 'a', self.export('a', **options))

    def test_49_it_is_missing(self):
        for maximum in ('1.2', '1.3'):
            with self.subTest(maximum):
                self.prepare()
                report = self.export('a', tls_maximum=maximum)
                self.assert_run(69, '', report)
                self.assert_said('certificate', report)

    def test_49_on_real_servers(self):
        certificate = str(self.certificates.client.both)
        for factory in (VsftpdServer, ProFTPDServer, PyFTPServer):
            with self.subTest(factory), factory(tls=self.arguments['tls']) as server:
                options = {'ca_file': self.certificates.ca_file, 'certificate': certificate}
                session = ftps.target(server, **options).open()
                try:
                    session.store('a', b'a')
                    session.store('b', b'b')
                    self.assertEqual(2, session.connection.protection.resumed)
                finally:
                    session.close()


class StallTests(TLSScenario, unittest.TestCase):
    def test_a_connection_is_reset_if_something_may_still_be_changed(self):
        self.fault('RNTO', faults.Silence(), path='/cds/a', times=1)
        with Relay((self.server.host, self.server.port)) as relay:
            self.assert_run(0, 'a', self.export('a', port=relay.port, **SHORT))
        self.assertEqual('RST', relay.ends[0][0])

    def test_50_the_handshake_of_a_data_connection(self):
        self.fault('STOR', faults.StallHandshake(), path='*.part', times=1)
        self.export('a', **SHORT)
        self.assertIn('beginning TLS', self.log)
        self.heal()

    def test_50_each_time(self):
        self.fault('STOR', faults.StallHandshake(), path='*.part')
        report = self.export('a', **SHORT)
        self.assertEqual([], report.delivered)
        self.heal()

    def test_50_that_of_the_control_connection(self):
        for mode, verb in {'explicit': 'AUTH', 'implicit': faults.GREETING}.items():
            with self.subTest(mode):
                self.prepare(mode=mode)
                self.fault(verb, faults.StallHandshake())
                self.assert_run(69, '', self.export('a', **SHORT))
                self.assert_no_login()
                self.assertEqual(1, self.server.connected)


class RefusedTransferTests(TLSScenario, unittest.TestCase):
    """The reply to STOR comes when the handshake has begun."""

    def refused(self, text):
        self.prepare()
        asked, begun = threading.Event(), threading.Event()
        late = faults.Call(lambda event: begun.wait(5))
        self.fault('STOR', late, faults.Reply(text), path='/cds/b*', times=1)
        ask, wait = Start.ask, SecureStream._wait

        def note(start):
            if start._command[1].startswith('b.'):
                asked.set()
            ask(start)

        def begin(stream, *args, **options):
            if asked.is_set():
                begun.set()
            wait(stream, *args, **options)

        with (
            mock.patch.object(Start, 'ask', note),
            mock.patch.object(SecureStream, '_wait', begin),
        ):
            return self.export('a', 'b', 'c')

    def test_nothing_more_is_waited_for(self):
        for text in '425 No data connection.', '426 Aborted.', '421 Closing.':
            with self.subTest(text):
                self.assert_run(0, 'a b c', self.refused(text))
                self.assertIn(f'Not yet delivered: b: {text}', self.log)
                self.assertLess(self.took, PATIENCE)

    def test_the_reply_is_the_reason(self):
        for text in '451 Disk.', '553 Not that one.':
            with self.subTest(text):
                report = self.refused(text)
                self.assert_run(1, 'a c', report)
                self.assertIn(text, report.results[1].reason)


class RealServerTests(unittest.TestCase):
    """The certificates that must be refused, shown by servers of partners."""

    layer = QUIET

    def test_45_refused_before_the_password_is_sent(self):
        certificates = self.enterContext(Certificates())
        for factory in (VsftpdServer, ProFTPDServer):
            for name in ('self_signed', 'expired', 'wrong_name'):
                tls = TLS(certificate=getattr(certificates, name), maximum='1.2')
                with self.subTest(factory, name=name), factory(tls=tls) as server:
                    with Relay((server.host, server.port)) as relay:
                        target = ftps.target(server, ca_file=certificates.ca_file, port=relay.port)
                        with self.assertRaises(errors.CertificateRefused):
                            target.open()
                    clear, _, encrypted = bytes(relay.heard).partition(b'\r\n')
                    self.assertEqual(b'AUTH TLS', clear)
                    self.assertLessEqual(set(records(encrypted)), NO_DATA)
