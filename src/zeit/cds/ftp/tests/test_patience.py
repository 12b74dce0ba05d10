"""Servers that answer late, elsewhere, or not at all: no time-out is waited for."""

import io
import itertools
import socket
import time
import unittest
from unittest import mock

from zeit.cds.errors import (
    ConnectionLost,
    DataConnectionRefused,
    PermanentError,
    ReplyLost,
    ServerFull,
    TemporaryError,
)
from zeit.cds.ftp.files import Following
from zeit.cds.ftp.stream import Stream
from zeit.cds.testing import faults
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.tls import TLS
from zeit.cds.tests.importing import ImportScenario
from zeit.cds.tests.scenario import SHORT, Scenario, target


#: Seconds: less than any time-out, and enough for a machine that has others to work for.
STALL = 15


def opened(case, **options):
    """Return a session."""
    session = target(case.server, **{**dict.fromkeys(SHORT, 20), **options}).open()
    case.addCleanup(session.close)
    return session


class Late(Scenario):
    """`given_up`: what the log says of it."""

    given_up = ''

    def test_no_time_out(self):
        """And what was found out is known to the next run."""
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        self.assertIn(self.given_up, self.log)
        self.assertLess(self.took, STALL)
        self.assert_run(0, 'd e', self.export('d', 'e'))
        self.assertNotIn(self.given_up, self.log)
        self.assertEqual(2, self.server.connected)

    def test_two_connections(self):
        report = self.export('a', 'b', 'c', 'd', connections=2)
        self.assertEqual((0, [*'abcd']), (report.exit_code, sorted(report.delivered)))
        self.assertLess(self.took, STALL)


class HeldTests(Late, unittest.TestCase):
    """Nothing is answered between a port and the data connection to it."""

    arguments = {'holds': True}
    given_up = 'Nothing is answered between a port and its data connection'

    def test_a_lone_command(self):
        """A port was asked for along with the command before it."""
        session = opened(self)
        session.names()  # with what comes first on a connection: once
        session.make_directory('d')
        session.modified('a')
        self.assertFalse(session._capabilities.together)
        self.assertEqual({'d'}, session.names())
        self.assertEqual(1, self.server.connected)

    def test_a_port_that_grew_old(self):
        with mock.patch('zeit.cds.ftp.data.PORT_AGE', 0):
            session = opened(self)
            session.names()
            session.make_directory('d')
            started = time.monotonic()
            self.assertEqual({'d'}, session.names())
            self.assertLess(time.monotonic() - started, STALL)


class SingleTests(Late, unittest.TestCase):
    """Of a packet only the first command is executed."""

    arguments = {'single': True}
    given_up = 'Of several commands in a packet one is answered'

    def test_active_mode(self):
        session = opened(self, passive=False)
        session.enter()
        self.assertEqual(['CWD /cds'], self.server.commands('CWD'))


class SlowTests(Scenario, unittest.TestCase):
    """Who answers late, and in order, loses nothing by it."""

    def setUp(self):
        super().setUp()
        # Byte by byte: of several answers one is there before the others.
        self.enterContext(mock.patch('zeit.cds.ftp.stream.REPLY', 1))
        self.enterContext(mock.patch('zeit.cds.ftp.stream.READY', -10))

    def test_all_goes_on_as_usual(self):
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        self.assertNotIn('Given up', self.log)
        self.assertIn('PWD', self.server.commands())
        self.assertEqual(1, self.server.connected)

    def test_nothing_comes_between_rnfr_and_rnto(self):
        """ProFTPD 1.3.8 refuses that, and from then on whatever is not RNTO."""
        self.assert_run(0, 'a b', self.export('a', 'b'))
        commands = [command.split()[0] for command in self.server.commands()]
        behind = {later for command, later in itertools.pairwise(commands) if command == 'RNFR'}
        self.assertEqual({'RNTO'}, behind)

    def test_a_refused_question(self):
        self.fault('PWD', faults.Reply('550 No.'))
        self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
        self.assertEqual(1, self.server.connected)

    def test_by_accident_now_and_then(self):
        """In between comes one that does not wait for the data connection."""
        session = opened(self)
        session.names()
        soon = mock.patch.object(Stream, 'comes_soon', side_effect=[False, True, True, False, True])
        with soon as asked:
            session.make_directory('d')
            session.modified('a')
            session.names()
            session.make_directory('e')
            session.modified('a')
            session.modified('a')
        self.assertEqual((5, True), (asked.call_count, session._capabilities.together))


class Content(io.BytesIO):
    """What an upload takes."""

    number = 0

    def __init__(self, data):
        super().__init__(data)
        self.size = len(data)


class Timed(Scenario):
    """No test takes as long as a time-out."""

    def setUp(self):
        super().setUp()
        started = time.monotonic()
        self.addCleanup(lambda: self.assertLess(time.monotonic() - started, STALL))
        self.session = opened(self)
        self.session.names()


class RefusedTests(Timed, unittest.TestCase):
    """A refusal behind 150 is heard; nothing happens on the data connection."""

    def refusing(self, text):
        """Return what refuses at once, and what does that a little later."""
        return (faults.Abandon(text),), (faults.Abandon(text), faults.Delay(seconds=0.1))

    def test_a_download(self):
        self.server.put('/cds/a', b'content')
        for actions in self.refusing('550 No such file.'):
            for early in False, True:
                with self.subTest(actions, early=early):
                    self.session = opened(self)
                    if early:
                        self.session.names()
                    self.fault('RETR', *actions, times=1)
                    with self.assertRaisesRegex(PermanentError, 'No such file'):
                        self.session.connection.download('a', io.BytesIO())

    def test_a_listing(self):
        for actions in self.refusing('451 Disk.'):
            with self.subTest(actions), self.assertRaisesRegex(TemporaryError, 'Disk'):
                self.fault('MLSD', *actions, times=1)
                self.session.names()

    def test_an_upload_that_nobody_reads(self):
        for actions in self.refusing('552 Full.'):
            with self.subTest(actions), self.assertRaisesRegex(ServerFull, 'Full'):
                self.fault('STOR', *actions, times=1)
                self.session.stor('a', Content(bytes(5_000_000)))

    def test_the_end_of_the_control_connection_ends_no_upload(self):
        """A NAT may have forgotten it; the size decides when all was sent."""

        class Cutting(Content):
            def readinto(source, buffer):
                if source.tell() > 1_000_000:
                    self.session.connection.control.stream._sock.shutdown(socket.SHUT_RD)
                return super().readinto(buffer)

        with self.assertRaises(ReplyLost) as caught:
            self.session.stor('a', Cutting(bytes(5_000_000)))
        self.assertEqual(5_000_000, caught.exception.sent)

    def test_a_final_reply_that_comes_before_the_data(self):
        self.server.put('/cds/a', b'content')
        self.fault('RETR', faults.ReplyEarly())
        self.assertEqual(b'content', self.session.read('a'))


class NothingTests(Timed, unittest.TestCase):
    """Of what is empty some servers say nothing."""

    def test_no_final_reply_to_an_upload(self):
        self.fault('STOR', faults.ReplyLate(), faults.Silence('executed'), times=1)
        with self.assertRaises(ReplyLost):
            self.session.stor('a', Content(b''), following=Following(rename='a'))
        self.session.compare('a', 0)
        self.assertTrue(self.session._capabilities.prompt)

    def test_a_lock_that_is_never_sent(self):
        self.session.close()
        self.plant('write', b'')
        self.fault('RETR', faults.Silence())
        self.assert_run(75, '', self.export('a'))


class ImportTests(ImportScenario, unittest.TestCase):
    def test_an_empty_file_that_is_never_sent(self):
        self.fault('RETR', faults.Silence(), path='*empty*')
        with mock.patch('zeit.cds.tests.importing.content', lambda name: b''):
            self.assert_run(0, 'empty', self.run_import('empty', **SHORT))


class HintTests(Timed, unittest.TestCase):
    def test_no_firewall_prevents_a_connection_that_was_made(self):
        self.fault('STOR', faults.Lie('425 TLS handshake failed.'))
        with self.assertRaises(DataConnectionRefused) as caught:
            self.session.stor('b', Content(b'content'))
        self.assertNotIn('Check that a firewall', caught.exception.hint)

    def test_one_may_prevent_one_that_was_not(self):
        self.fault('EPSV PASV', faults.DataPort('refused'))
        with self.assertRaises(DataConnectionRefused) as caught:
            opened(self).names()
        self.assertIn('Check that a firewall', caught.exception.hint)


class HandshakeTests(Timed, unittest.TestCase):
    """A server that shakes hands before it begins the transfer."""

    def setUp(self):
        certificates = self.enterContext(Certificates())
        self.arguments = {'tls': TLS(certificate=certificates.server)}
        self.options = {'tls': 'explicit', 'ca_file': str(certificates.ca_file)}
        super().setUp()
        self.fault('STOR RETR MLSD', faults.ShakeFirst())

    def test_all_transfers(self):
        for early in False, True:
            with self.subTest(early=early):
                session = opened(self, **self.options)
                session._capabilities.early = early
                session.store('a', b'content')
                self.assertEqual((b'content', {'a'}), (session.read('a'), session.names()))


class MessageTests(Scenario, unittest.TestCase):
    def test_it_says_how_long_was_waited(self):
        session = opened(self)
        session.names()
        self.fault('EPSV', faults.Reply(''))
        with (
            mock.patch('zeit.cds.ftp.pipelining.PIPELINED', 0.1),
            self.assertLogs('zeit.cds', 'DEBUG') as logs,
            self.assertRaises(ConnectionLost),
        ):
            session.make_directory('d')
        self.assertIn('No answer within 0.1 s while waiting for the answer to EPSV', str(logs))
