"""Servers that answer late, or not at all, what was sent along: no time-out is waited for."""

import unittest
from unittest import mock

from zeit.cds.errors import ConnectionLost
from zeit.cds.ftp.stream import Stream
from zeit.cds.testing import faults
from zeit.cds.tests.scenario import Scenario, target


#: Seconds: less than any time-out.
STALL = 2


def opened(case, **options):
    """Return a session."""
    session = target(case.server, **options).open()
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
        self.assertFalse(session._ways.together)
        self.assertEqual({'d'}, session.names())
        self.assertEqual(1, self.server.connected)


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
        self.assertEqual((5, True), (asked.call_count, session._ways.together))


class MessageTests(Scenario, unittest.TestCase):
    def test_it_says_how_long_was_waited(self):
        session = opened(self)
        session.names()
        self.fault('EPSV', faults.Reply(''))
        with (
            mock.patch('zeit.cds.ftp.along.ALONG', 0.1),
            self.assertLogs('zeit.cds', 'DEBUG') as logs,
            self.assertRaises(ConnectionLost),
        ):
            session.make_directory('d')
        self.assertIn('No answer within 0.1 s while waiting for the answer to EPSV', str(logs))
