"""Logins are few: a refusal costs none, and one is kept for the lock where connections break."""

import io
import unittest

from zeit.cds import errors
from zeit.cds.testing import actions, faults
from zeit.cds.tests.scenario import Scenario, target
from zeit.cds.values.run_options import Options


class InStepTests(Scenario, unittest.TestCase):
    """A refusal that leaves nothing over keeps its connection."""

    def test_each_command(self):
        for verb, path in ('STOR', '*.part'), ('RNFR', '*.part'), ('RNTO', '/cds/odd*'):
            for code in 450, 553:
                with self.subTest(verb, code=code):
                    self.prepare()
                    path = path if verb == 'RNTO' else '*odd*'
                    self.fault(verb, faults.Reply(f'{code} Odd.'), path=path)
                    report = self.export('fine1', 'fine2', 'odd1', 'odd2', 'odd3')
                    self.assert_run(1, 'fine1 fine2', report)
                    self.assertEqual(1, self.server.connected)

    def test_a_size_that_is_not_told_of_a_file_that_may_be_renamed(self):
        for code in 450, 500, 550:
            with self.subTest(code):
                self.prepare()
                self.fault('SIZE', faults.Reply(f'{code} Odd.'), path='*odd*.part')
                report = self.export('fine1', 'odd1', 'odd2', 'odd3', 'odd4', 'pine')
                self.assert_run(1, 'fine1 pine', report)
                self.assertEqual(1, self.server.connected)

    def test_a_wrong_size_keeps_the_connection(self):
        self.fault('SIZE', faults.Reply('213 5'), path='*odd*.part')
        self.assert_run(1, 'fine1 pine', self.export('fine1', 'odd1', 'odd2', 'odd3', 'pine'))
        self.assertEqual(1, self.server.connected)

    def test_whatever_a_server_makes_of_the_name_that_the_file_has(self):
        for verb, reply, connected in (
            ('RNTO', '550 It is there.', 1),
            ('RNTO', '250 Done.\n550 Really.', 2),
            ('PWD', '250 Done.', 2),  # as if there had been another answer to RNTO
        ):
            with self.subTest(verb, reply=reply):
                self.prepare()
                self.fault('SIZE', faults.Reply('550 Odd.'), path='*odd*.part')
                self.fault(verb, faults.Reply(reply), path='*odd*.part' if verb == 'RNTO' else '*')
                self.assert_run(1, 'fine pine', self.export('fine', 'odd', 'pine'))
                self.assertEqual(connected, self.server.connected)

    def test_no_data_connection_costs_one_login(self):
        """Over another control connection there may be one; more of them do not help."""
        names = [f'{n}{kind}' for n in range(9) for kind in ('fine', 'odd')]
        for number in 1, 4:
            with self.subTest(number):
                self.prepare()
                self.fault('STOR', faults.Reply('425 No data connection.'), path='*odd*')
                report = self.export(*names, connections=number)
                if number == 1 or report.exit_code == 1:
                    self.assertEqual((1, names[::2]), (report.exit_code, sorted(report.delivered)))
                else:  # four in a row, as it may happen with several: the server is not there
                    self.assertEqual(69, report.exit_code)
                self.assertLessEqual(self.server.connected, 1 + number)

    def test_no_data_connection_and_something_is_left_over(self):
        names = [f'{n}{kind}' for n in range(5) for kind in ('fine', 'odd')]
        for refusal, noop in (
            ('425 No data connection.\n226 Done.', '200 I am here.'),
            ('425 No data connection.', '226 Done.'),
        ):
            with self.subTest(refusal, noop=noop):
                self.prepare()
                self.fault('STOR', faults.Reply(refusal), path='*odd*')
                self.fault('NOOP', faults.Reply(noop))
                self.assert_run(1, ' '.join(names[::2]), self.export(*names))
                self.assertGreater(self.server.connected, 5)

    def test_no_data_connection_for_downloads(self):
        for verb in 'RETR', 'MLSD':
            with self.subTest(verb):
                self.prepare()
                self.server.put('/cds/a', b'content')
                self.fault(verb, faults.Reply('425 No data connection.'))
                session = target(self.server).open()
                self.addCleanup(session.close)
                for _ in range(3):
                    with self.assertRaises(errors.DataConnectionRefused):
                        session.fetch('a', io.BytesIO()) if verb == 'RETR' else session.names()
                self.assertEqual(2, self.server.connected)

    def test_refused_behind_the_start(self):
        self.fault('STOR', faults.Lie('553 Odd.'), path='*odd*')
        self.assert_run(1, 'fine', self.export('fine', 'odd1', 'odd2'))
        self.assertEqual(3, self.server.connected)

    def test_one_that_is_answered_twice(self):
        self.fault('STOR', faults.Reply('553 Odd.\n451 Really.'), path='*odd*')
        self.assert_run(1, 'fine1 fine2', self.export('fine1', 'fine2', 'odd1', 'odd2'))

    def test_a_download(self):
        self.server.put('/cds/a', b'content')
        self.fault('RETR', faults.Reply('550 No.'))
        session = target(self.server).open()
        self.addCleanup(session.close)
        for _ in range(3):
            with self.assertRaises(errors.PermanentError):
                session.fetch('a', io.BytesIO())
        self.assertEqual(1, self.server.connected)


class TurnedAway(actions.Action):
    """Let nobody in who has come ten times."""

    def __init__(self):
        object.__setattr__(self, 'number', 0)

    def before(self, session, event):
        object.__setattr__(self, 'number', self.number + 1)
        if self.number > 10:
            raise actions.Disconnect(reset=True)


class BannedTests(Scenario, unittest.TestCase):
    """The server lets nobody in any more who comes too often; the lock is removed before."""

    def test_files_that_break_the_connection(self):
        for number in 1, 4:
            with self.subTest(number):
                self.prepare()
                self.fault(faults.GREETING, TurnedAway())
                self.fault('STOR', faults.CutData(3), path='*odd*')
                names = [f'{kind}{n}' for n in range(12) for kind in ('fine', 'odd')]
                run = Options(order='arrival')
                report = self.export(*names, run=run, connections=number)
                self.assertEqual(69, report.exit_code)
                self.assertTrue(report.delivered)

    def test_sessions_that_the_server_ends(self):
        """That is in order: it is no failure that repeats itself."""
        names = [f'a{n:02}' for n in range(12)]
        self.fault('RNTO', faults.Cut('replied'), path='/cds/a*')
        report = self.export(*names)
        self.assertEqual(names, report.delivered)
