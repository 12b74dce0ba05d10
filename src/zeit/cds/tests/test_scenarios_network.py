"""Servers that are slow, silent, or not there: connecting, logging in, waiting for answers."""

import itertools
import socket
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.ftp import connection, listings
from zeit.cds.network import connecting
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults
from zeit.cds.testing.ftpdata import Port
from zeit.cds.tests.relay import Relay
from zeit.cds.tests.sampling import some
from zeit.cds.tests.scenario import SHORT, Drip, Scenario, target
from zeit.cds.values.run_options import Options


class ControlTests(Scenario, unittest.TestCase):
    def test_a_connection_is_reset_if_something_may_still_be_changed(self):
        """What the system has not yet sent is not sent any more."""
        for verb, path, end in (
            ('SIZE', '*.part', 'FIN'),
            ('STOR', '*.part', 'RST'),
            ('RNTO', '/cds/a', 'RST'),
        ):
            with self.subTest(verb):
                self.prepare()
                self.fault(verb, faults.Silence(), path=path, times=1)
                with Relay((self.server.host, self.server.port)) as relay:
                    self.assert_run(0, 'a', self.export('a', port=relay.port, **SHORT))
                self.assertEqual(end, relay.ends[0][0])
                self.assertEqual(2, len(relay.ends))

    def test_25_connecting_that_never_ends(self):
        port = Port('127.0.0.1', kind='black hole')
        self.addCleanup(port.close)
        dial = unittest.mock.patch.object(connecting, 'dial', wraps=connecting.dial)
        with dial as attempts:
            self.assert_run(69, '', self.export('a', 'b', 'c', **SHORT, port=port.number))
        self.assertEqual(1, attempts.call_count)
        self.assertIn('Could not connect', self.log)

    def test_26_a_silent_greeting(self):
        self.fault(faults.GREETING, faults.Silence())
        self.assert_run(69, '', self.export('a', 'b', **SHORT))
        self.assertEqual(2, self.server.connected, 'the second one asks whether TLS is waited for')
        self.heal()

    def test_26_greetings_that_turn_away(self):
        for reply in ('421 Too many.', '530 Go away.', '450 Later.', 'HTTP/1.1 400 Bad Request',
                      '', '331 Password?', b'\xff\xfe\0\r\n', b'999 x\r\n'):  # fmt: skip
            with self.subTest(reply):
                self.prepare()
                self.fault(faults.GREETING, faults.Reply(reply))
                self.assert_run(69, '', self.export('a', **({} if reply else SHORT)))
                self.assertIn('Could not connect', self.log)
                self.heal()

    def test_26_ready_in_a_moment(self):
        self.fault(faults.GREETING, faults.Lie('120 Ready in 1 minute.\n220 Ready.'))
        self.assert_run(0, 'a', self.export('a'))

    def test_26_ready_in_a_minute_that_never_ends(self):
        for action in (faults.Silence('executed'), faults.Cut('replied')):
            self.prepare()
            self.fault(faults.GREETING, faults.Lie('120 Ready in 1 minute.'), action)
            self.assert_run(69, '', self.export('a', **SHORT))

    def test_a_server_that_sends_bytes_but_never_a_reply(self):
        with Drip(b'220-Welcome to this server.\r\n') as drip:
            report = self.export('a', **SHORT, port=drip.number)
        self.assert_run(69, '', report)
        self.assertRegex(report.error.message, 'reply did not end .*, waiting for the greeting')

    def test_a_server_that_sends_a_flood(self):
        self.fault(faults.GREETING, faults.Reply(b'220-x\r\n' * 100_000))
        report = self.export('a')
        self.assert_run(69, '', report)
        self.assertRegex(report.error.advice, 'a reply of more than .* bytes.*host and port')

    def test_a_deadline_that_passes_before_the_login(self):
        self.fault(faults.GREETING, faults.Silence())
        report = self.export('a', run=Options(deadline=0.2))
        self.assert_run(69, '', report)
        self.assertIn('used up, waiting for the greeting', report.error.message)

    def test_preliminary_replies_without_end(self):
        more = faults.Lie(b'150 More to come.\r\n' * 10_000)
        for verb in (faults.GREETING, 'MLSD', 'STOR'):
            with self.subTest(verb):
                self.prepare()
                self.fault(verb, more, faults.Chop(19, pause=0.02))
                # As after no reply at all, the size decides about what was sent.
                delivered = ['a'] if verb == 'STOR' else []
                self.assertEqual(delivered, self.export('a', **SHORT).delivered)
                self.heal()

    def test_a_preliminary_reply_then_silence(self):
        for verb in ('MLSD', 'STOR'):
            with self.subTest(verb):
                self.prepare()
                self.fault(verb, faults.Reply('150 Here it comes.'))
                self.assert_run(69, '', self.export('a', **SHORT))
                self.heal()

    def test_two_commands_in_a_packet_and_a_reply_more_that_comes_late(self):
        """As zope.server answers: the one too many would be taken for that to the next command."""
        many = faults.Reply('500 Internal error.'), faults.Extra('550 write: No such file.')
        self.fault('EPSV', *many, nth=3, times=1)
        self.fault('SIZE', faults.ReplyLate(), path='/cds/read', times=1)
        self.assert_run(0, 'a', self.export('a'))

    def test_login_replies(self):
        for verb, reply, code in (
            ('USER', '331 Again.', 77),
            ('PASS', '331 Again.', 77),
            ('PASS', '332 Account?', 77),
            ('PASS', '530 No.', 77),
            ('USER', '530 No.', 77),
            ('PASS', '530 Sorry, the maximum number of clients (3) are already connected.', 69),
            ('USER', '530 Too many users.', 69),
            ('PASS', '421 Too many.', 69),
            ('PASS', '430 Later.', 69),
            ('PASS', '150 Wait.', 69),
            ('PASS', '226 Done.', 69),
            ('USER', '220 Hello.', 69),
            ('TYPE', '500 What?', 78),
            ('TYPE', '331 Password?', 78),
            ('CWD', '550 No.', 78),
            ('CWD', '226 Done.', 69),
        ):
            with self.subTest(verb=verb, reply=reply):
                self.prepare()
                self.fault(verb, faults.Reply(reply))
                self.assert_run(code, '', self.export('a'))
                self.assertLessEqual(len(self.server.commands('PASS')), 2)
                self.heal()

    def test_the_end_is_told_in_the_words_of_the_server(self):
        for verb, when in (('TYPE', {}), ('CWD', {}), ('SIZE', {'path': '*write'})):
            with self.subTest(verb=verb):
                self.prepare()
                self.fault(verb, faults.Reply('421 Too many users.'), **when)
                report = self.export('a')
                self.assert_run(69, '', report)
                self.assertIn('421 Too many users.', report.errors[0].message)

    def test_one_reply_too_many_is_never_our_own_mistake(self):
        verbs = 'USER PASS TYPE CWD EPSV MLSD STOR SIZE RNFR RNTO RETR DELE'.split()
        for verb, reply in some(itertools.product(verbs, ('250 x', '331 x', 'garbage')), 4):
            with self.subTest(verb=verb, reply=reply):
                self.prepare()
                self.fault(verb, faults.Extra(reply), times=1)
                self.assertIn(self.export('a').exit_code, (0, 69))
                self.heal()

    def test_no_password_is_needed(self):
        self.fault('USER', faults.Reply('230 Come in.'))
        self.fault('TYPE', faults.Reply('530 Please log in.'))
        self.export('a')
        self.assertEqual([], self.server.commands('PASS'))

    def test_33_the_server_ends_the_session_after_each_file(self):
        done = Spool.done

        def wait(*args, **kw):
            # Else the next command may be on its way before the end has come.
            self.server.wait_closed()
            return done(*args, **kw)

        for end in (faults.Cut('replied'), faults.Cut('replied', reset=True),
                    faults.Extra('421 Enough.')):  # fmt: skip
            with self.subTest(end), unittest.mock.patch.object(Spool, 'done', wait):
                self.prepare()
                self.fault('RNTO', end, path='*[abc]')
                self.assert_run(0, 'a b c', self.export('a', 'b', 'c'))
                self.assertEqual([0, 0, 0, 1, 2, 3], self.server.connections('RNTO', 'DELE'))

    def test_34_no_more_logins_after_two_files(self):
        self.fault('RNTO', faults.Cut('replied'), path='*[abc]')
        self.fault(faults.GREETING, faults.Reply('421 Too many connections.'), nth=2, times=1)
        self.assert_run(69, 'a b', self.export('a', 'b', 'c'))
        self.assertEqual(['c'], self.section('new'))
        self.heal()

    def test_35_a_name_that_cannot_be_resolved(self):
        failure = socket.gaierror(socket.EAI_NONAME, 'Name or service not known')
        with unittest.mock.patch('socket.getaddrinfo', side_effect=failure):
            self.assert_run(69, '', self.export('a'))
        self.assertIn('The name cannot be resolved', str(self.records[-1].exc_info[1]))

    def test_35_names_that_no_resolver_takes(self):
        for host in ('a' * 70, 'a..b', 'nul\0nul', ''):
            with self.subTest(host), self.assertRaises(errors.ConfigurationError):
                self.export('a', host=host)

    def test_35_the_second_address_works(self):
        dead = Port('127.0.0.1', kind='refused')
        self.addCleanup(dead.close)
        resolve = socket.getaddrinfo

        def two_addresses(host, port, *args, **kw):
            ports = (dead.number, port) if host == 'cds.example' else (port,)
            return [found for each in ports for found in resolve('127.0.0.1', each, *args, **kw)]

        with unittest.mock.patch('socket.getaddrinfo', two_addresses):
            self.assert_run(0, 'a', self.export('a', host='cds.example'))

    def test_36_the_answer_to_quit_is_not_waited_for(self):
        self.fault('QUIT', faults.Silence())
        with unittest.mock.patch.object(connection, 'QUIT_TIMEOUT', None):
            self.assert_run(0, 'a', self.export('a'))
        self.server.wait_for('QUIT')

    def test_36_quit_is_never_answered_before_another_login(self):
        self.assertLessEqual(connection.QUIT_TIMEOUT, 2)
        self.fault('QUIT', faults.Silence())
        session = target(self.server).open()
        self.addCleanup(session.close)
        with unittest.mock.patch.object(connection, 'QUIT_TIMEOUT', 0.2):
            session.reconnect()
        self.assertEqual(set(), session.names())


class ListingTests(Scenario, unittest.TestCase):
    def names(self, **options):
        session = target(self.server, **SHORT, **options).open()
        try:
            return session.names()
        finally:
            session.close()

    def test_mlsd_is_not_known(self):
        for reply in ('500 What?', '502 No.'):
            with self.subTest(reply):
                self.prepare()
                self.fault('MLSD', faults.Reply(reply))
                self.assert_run(0, 'a', self.export('a'))
                self.assertEqual(1, len(self.server.commands('MLSD')))
                self.plant('read')
                self.assert_run(75, '', self.export('b'))

    def test_a_refused_listing_of_a_directory_is_an_empty_one(self):
        for reply in ('450 No files found.', '550 No files found.'):
            for verb in ('MLSD', 'NLST'):
                with self.subTest(reply, verb=verb):
                    self.prepare()
                    if verb == 'NLST':
                        self.fault('MLSD', faults.Reply('500 What?'))
                    self.fault(verb, faults.Reply(reply), times=6)  # five ways to list, and a run's
                    self.assertEqual(set(), self.names())
                    self.assert_run(0, 'a', self.export('a'))

    def test_a_refused_data_connection_is_no_empty_directory(self):
        self.server.put('/cds/a', b'1')
        self.fault('EPSV', faults.Reply('500 What?'))
        self.fault('PASV', faults.Reply('550 Not for you.'))
        with self.assertRaises(errors.PermanentError):
            self.names()
        session = target(self.server).open()
        self.addCleanup(session.close)
        with self.assertRaises(errors.PermanentError):
            session.read('a')

    def test_a_cut_listing_hides_no_lock(self):
        self.fault('MLSD', faults.Alter(keep=0))
        self.plant('write', b'partner')
        self.assert_run(75, '', self.export('a'))

    def test_a_listing_without_end(self):
        self.fault('MLSD', faults.Alter(extra=b'type=file; x\r\n' * 100_000))
        with unittest.mock.patch.object(listings, 'MAX_LISTING', 500_000):
            with self.assertRaisesRegex(errors.ListingTooLong, 'no end'):
                self.names()

    def test_a_listing_that_never_gets_on(self):
        with Drip(b'type=file; name\r\n') as drip:
            self.fault('EPSV PASV', faults.Announce('127.0.0.1', port=drip.number))
            self.fault('MLSD', faults.Reply('150 Here it comes.'))
            self.assert_run(69, '', self.export('a', **SHORT))
