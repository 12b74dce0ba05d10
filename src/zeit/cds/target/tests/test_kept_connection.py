import os
import unittest

from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.target import base_session, kept_connection
from zeit.cds.testing import faults
from zeit.cds.tests.scenario import Scenario, target


class Secret:
    """A password that somebody may change."""

    def __init__(self, text):
        self.text = text

    def reveal(self):
        return self.text

    def require_usable(self):
        pass


class KeptTests(Scenario, unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.now = 0
        self.kept = kept_connection.Kept(clock=lambda: self.now)
        self.addCleanup(lambda: self.kept.close())
        self.target = target(self.server)

    def run_once(self, name, **options):
        self.put(name)
        report = Exporter(self.spool, self.target).run_once(Options(kept=self.kept, **options))
        self.assertEqual(([], [name]), (report.errors, report.delivered))

    def logins(self):
        return len(self.server.commands('PASS'))

    def said(self):
        """Return the last command; nobody waits for the answer to QUIT."""
        self.server.wait_for('QUIT', count=self.logins())
        return self.server.commands()[-1]

    def test_the_next_run_needs_no_login(self):
        for name in 'abc':
            self.run_once(name)
        self.assertEqual(1, self.logins())
        self.assertEqual({'a', 'b', 'c'}, set(self.remote))
        self.kept.close()
        self.assertEqual('QUIT', self.said())

    def test_who_keeps_none_says_goodbye(self):
        self.run_once('a')
        self.kept.close()
        self.put('b')
        self.export()
        self.assertEqual((2, 'QUIT'), (self.logins(), self.said()))

    def test_it_may_be_switched_off(self):
        self.target = target(self.server, keep_connection=0)
        self.run_once('a')
        self.assertEqual('QUIT', self.said())

    def test_its_time_is_over(self):
        self.run_once('a')
        self.now = self.target.settings.keep_connection - 1
        self.kept.expire()
        self.assertEqual(1, self.kept.left)
        self.now += 1
        self.kept.expire()
        self.assertEqual('QUIT', self.said())
        self.run_once('b')
        self.assertEqual(2, self.logins())

    def test_the_server_ends_it(self):
        """It is no error, and says nothing about the server."""
        for action in faults.Cut(), faults.Cut(reset=True), faults.Reply('421 Timeout.'):
            with self.subTest(action):
                self.kept.close()
                self.prepare()
                self.target = target(self.server)
                self.run_once('a')
                self.fault('TYPE', action, times=1)
                self.run_once('b')
                self.assertEqual(2, self.logins())
                with self.spool.run():
                    row = self.spool.journal.row('learned', self.target.url)['known']
                self.assertEqual(({'orderly': True}, []), (row['facts'], row['once']))

    def test_the_server_does_not_answer_any_more(self):
        """As behind a NAT that has forgotten it."""
        self.run_once('a')
        self.fault('TYPE', faults.Silence(), times=1)
        with unittest.mock.patch.object(base_session, 'SOON', 0.2):
            self.run_once('b')
        self.assertEqual(2, self.logins())

    def test_what_was_said_in_between(self):
        self.run_once('a')
        connection = self.kept._connection
        connection.control.stream.close()
        self.run_once('b')
        self.assertEqual(2, self.logins())

    def test_another_password_is_used_at_once(self):
        password = Secret('testpw')
        self.target = target(self.server, password=password)
        self.run_once('a')
        password.text = 'another'
        self.put('b')
        report = Exporter(self.spool, self.target).run_once(Options(kept=self.kept))
        self.assertEqual((77, 2), (report.exit_code, self.logins()))
        self.server.wait_for('QUIT', connection=0)

    def test_other_settings_need_another_one(self):
        self.run_once('a')
        self.target = target(self.server, encoding='latin-1')
        self.run_once('b')
        self.assertEqual(2, self.logins())

    def test_a_child_has_none(self):
        self.run_once('a')
        pid = os.fork()
        if not pid:
            os._exit(self.kept.take(self.target.settings) is not None)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        self.run_once('b')
        self.assertEqual(1, self.logins())

    def test_after_a_run_that_may_have_left_something_there_is_none(self):
        self.run_once('a')
        self.fault('RNTO', faults.Reply('550 No.'), path='/cds/b')
        self.fault('DELE', faults.Reply('550 No.'), path='*.part')
        self.put('b')
        Exporter(self.spool, self.target).run_once(Options(kept=self.kept))
        self.assertIsNone(self.kept._connection)
