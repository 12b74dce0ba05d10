"""What a client says before and after TLS begins, and what it makes of servers that refuse."""

import io
import tempfile
import unittest
import unittest.mock

from zeit.cds.credentials import Secret
from zeit.cds.errors import ConnectionLost, PermanentError, RemoteProtocolError, TemporaryError
from zeit.cds.ftp import secure
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import faults, tlsactions
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.tls import TLS


class SwitchTests(unittest.TestCase):
    """A run in clear was killed, and the next one uses TLS."""

    layer = QUIET

    def test_what_it_left_is_cleaned_up(self):
        certificates = self.enterContext(Certificates())
        server = self.enterContext(faults.FaultServer(tls=TLS(certificate=certificates.server)))
        spool = Spool(self.enterContext(tempfile.TemporaryDirectory()))
        place = {'host': '127.0.0.1', 'port': server.port, 'user': 'test'}
        place['password'] = Secret('testpw')
        with spool.run():
            token = spool.journal.new_token(FTPTarget.from_options(**place).url)
        server.put('/write', f'{token} zeit.cds'.encode())
        server.put(f'/a.xml.{token}-1.part', b'part')
        spool.put('a.xml', b'content')
        target = FTPTarget.from_options(
            **place, tls='explicit', ca_file=str(certificates.ca_file), connections=1
        )
        report = Exporter(spool, target).run_once()
        self.assertEqual((0, ['a.xml']), (report.exit_code, report.delivered))
        self.assertEqual({'/a.xml': b'content'}, server.files)


class LoginTests(unittest.TestCase):
    layer = QUIET

    def setUp(self):
        super().setUp()
        self.certificates = self.enterContext(Certificates())

    def serve(self, *, tls=True, implicit=False, **kw):
        made = TLS(certificate=self.certificates.server, implicit=implicit) if tls else None
        self.server = self.enterContext(faults.FaultServer({'/a.xml': b'x' * 1000}, tls=made, **kw))
        self.target = FTPTarget.from_options(
            host=self.server.host,
            port=self.server.port,
            user='test',
            password=Secret('testpw'),
            tls='implicit' if implicit else 'explicit',
            ca_file=str(self.certificates.ca_file),
        )

    def open(self):
        session = self.target.open()
        self.addCleanup(session.close)
        return session

    def said(self):
        self.server.wait_closed()
        return self.server.commands()

    def test_what_is_said(self):
        for implicit in (False, True):
            with self.subTest(implicit=implicit):
                self.serve(implicit=implicit)
                self.open().close()
                self.assertEqual(
                    [
                        *([] if implicit else ['AUTH TLS']),
                        *('PBSZ 0', 'PROT P', 'USER test', 'PASS ***', 'QUIT'),
                    ],
                    self.said(),
                )

    def assert_refused(self, error, text, *, hint, said):
        with self.assertRaisesRegex(error, text) as caught:
            self.open()
        self.assertEqual(69, caught.exception.exit_code)
        self.assertTrue(caught.exception.while_connecting)
        self.assertIn(hint, caught.exception.hint)
        self.assertEqual(said, self.said())

    def test_a_server_without_tls(self):
        self.serve(tls=False)
        self.assert_refused(
            PermanentError, '502 No TLS', hint='neither password nor files', said=['AUTH TLS']
        )

    def test_one_that_has_no_tls_now(self):
        self.serve()
        self.server.fault('AUTH', faults.Reply('431 Not now.'))
        self.assert_refused(
            TemporaryError, '431 Not now', hint='neither password nor', said=['AUTH TLS']
        )

    def test_one_that_says_something_else_than_yes(self):
        self.serve()
        for answer in ('200 Begin.', '334 Go on.'):
            with self.subTest(answer):
                rule = self.server.fault('AUTH', faults.Reply(answer))
                with self.assertRaisesRegex(RemoteProtocolError, answer):
                    self.open()
                self.server.remove_fault(rule)
        self.assertEqual([], self.server.commands('USER'))

    def test_replies_that_somebody_has_put_behind_that_to_auth(self):
        self.serve()
        for injected in (b'230 Logged in.\r\n', b'331 ', b'230-', b'\x16\x03'):
            with self.subTest(injected):
                rule = self.server.fault('AUTH', faults.Reply(b'234 Begin.\r\n' + injected))
                with self.assertRaisesRegex(RemoteProtocolError, 'Unencrypted') as caught:
                    self.open()
                self.assertIn('Neither password', caught.exception.hint)
                self.server.remove_fault(rule)
        self.assertEqual([], self.server.commands('USER', 'PASS'))

    def test_one_that_does_not_encrypt_data(self):
        self.serve()
        for code, error in ((534, PermanentError), (536, PermanentError), (431, TemporaryError)):
            with self.subTest(code):
                rule = self.server.fault('PROT', faults.Reply(f'{code} No.'))
                with self.assertRaises(error) as caught:
                    self.open()
                self.assertEqual(69, caught.exception.exit_code)
                self.assertIn('no file was sent', caught.exception.hint)
                self.server.remove_fault(rule)
        self.assertEqual([], self.server.commands('USER', 'PASS', 'STOR', 'EPSV', 'PASV'))

    def test_one_that_wants_to_know_the_user_first(self):
        self.serve()
        for code in (503, 530):
            rule = self.server.fault('PBSZ PROT', faults.Reply(f'{code} Log in.'), times=2)
            self.open().store('b.xml', b'content')
            self.server.remove_fault(rule)
        self.server.fault('PROT', faults.Reply('530 Log in.'))
        with self.assertRaisesRegex(PermanentError, '530'):
            self.open()
        self.assertEqual(2, len(self.server.commands('STOR')))

    def test_pbsz_is_a_formality(self):
        self.serve()
        self.server.fault('PBSZ', faults.Reply('502 Not known.'))
        session = self.open()
        session.store('b.xml', b'content')
        self.assertEqual(b'content', self.server.files['/b.xml'])

    def test_a_download_that_ends_without_goodbye(self):
        self.serve()
        self.server.fault('RETR', tlsactions.EndData('no goodbye'))
        self.assertEqual(b'x' * 1000, self.open().read('a.xml'))

    def test_a_download_that_was_cut(self):
        """Nobody but its size tells."""
        self.serve()
        self.server.fault('RETR', faults.Alter(keep=10), tlsactions.EndData('no goodbye'))
        for method in (lambda session: session.fetch('a.xml', io.BytesIO()),
                       lambda session: session.read('a.xml')):  # fmt: skip
            with self.assertRaisesRegex(ConnectionLost, 'cut after 10 of 1000 bytes'):
                method(self.open())

    def test_the_end_of_a_listing(self):
        self.serve()
        self.server.fault('MLSD', tlsactions.EndData('no goodbye'))
        self.assertEqual({'a.xml'}, self.open().names())

    def test_an_upload_that_the_server_does_not_end(self):
        self.serve()
        self.server.fault('STOR', tlsactions.EndData('never'))
        with unittest.mock.patch.object(secure, 'GOODBYE', 0.1):
            self.open().store('b.xml', b'content')
        self.assertEqual(b'content', self.server.files['/b.xml'])

    def test_the_server_says_why_it_ends_a_data_connection(self):
        self.serve()
        self.server.fault('STOR', tlsactions.RequireResumption())
        session = self.open()
        session.store('b.xml', b'content')
        with (
            unittest.mock.patch.object(secure.Protection, '_session', return_value=None),
            self.assertRaisesRegex(PermanentError, '522 .*does not resume'),
        ):
            session.store('c.xml', b'content')
        self.assertEqual(b'', self.server.files['/c.xml'])
