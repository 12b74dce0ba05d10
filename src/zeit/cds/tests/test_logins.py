"""Logins are few: a refusal costs none, and one is kept for the lock where connections break."""

import io
import unittest

from zeit.cds import errors
from zeit.cds.plan import Options
from zeit.cds.testing import actions, faults
from zeit.cds.tests.scenario import Scenario, target


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
