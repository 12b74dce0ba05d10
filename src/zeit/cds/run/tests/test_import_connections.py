"""Imports over several connections: as safe as over one."""

import threading
import unittest
from unittest import mock

from zeit.cds.testing import faults
from zeit.cds.tests.importing import ImportOptions, ImportScenario, take
from zeit.cds.tests.scenario import target
from zeit.cds.tests.test_kill_import import ImportKillTests


NAMES = [f'{number:02}.xml' for number in range(24)]


class ConnectionTests(ImportScenario, unittest.TestCase):
    def assert_all(self, report, *, code=0):
        self.assertEqual((code, NAMES), (report.exit_code, sorted(report.delivered)), self.log)
        self.assertEqual(set(NAMES), set(self.section('new')))
        self.assertEqual({}, self.remote)
        for name in NAMES:
            self.assertEqual(1, len(self.receipts(name)))

    def test_several_work_at_once(self):
        together = threading.Barrier(4)
        wait = faults.Call(lambda event: together.wait(10))
        for connection in range(4):
            self.fault('RETR', wait, path='*.xml', connection=connection, times=1)
        self.assert_all(self.run_import(*NAMES, connections=4))
        used = set(self.server.connections('RETR'))
        self.assertEqual(4, len(used), used)
        self.assertEqual(1, self.lines.count('Creating lock file: read'))

    def test_the_lines_of_each_file_are_in_their_order(self):
        self.run_import(*NAMES, connections=4)
        for name in NAMES:
            own = [line for line in self.lines if line.endswith(f': {name}')]
            self.assertEqual(
                [
                    f'Downloading: {name}',
                    f"Moved from 'tmp' to 'new': {name}",
                    f'File removed on server: {name}',
                ],
                own,
            )

    def test_one_is_enough_if_wanted(self):
        self.assert_all(self.run_import(*NAMES, connections=1))
        self.assertEqual(1, len(set(self.server.connections('RETR', 'QUIT'))))

    def test_the_server_refuses_more(self):
        self.fault(faults.GREETING, faults.Reply('421 Too many users.'), nth=1)
        self.assert_all(self.run_import(*NAMES, connections=4))

    def test_connections_break(self):
        cut = faults.CutData(5, control=True)
        for name in NAMES[1::5]:
            self.fault('RETR', cut, path=f'*/{name}', times=1)
        self.assert_all(self.run_import(*NAMES, connections=4))

    def test_answers_to_dele_are_lost(self):
        for moment in ('before', 'executed'):
            with self.subTest(moment):
                self.prepare()
                self.fault('DELE', faults.Cut(moment=moment), path='*/0[3-5].xml', times=2)
                self.assert_all(self.run_import(*NAMES, connections=4))

    def test_dele_refused(self):
        self.fault('DELE', faults.Reply('550 No.'), path='*/*.xml')
        report = self.run_import(*NAMES, connections=4)
        self.assertEqual((1, NAMES), (report.exit_code, sorted(report.delivered)))
        self.assertEqual(len(NAMES), len(report.failed))
        self.server.clear_faults()
        take(self.path, *NAMES)
        self.assert_run(0, '', self.run_import(connections=4))
        self.assertEqual({}, self.remote)

    def test_a_limit(self):
        options = ImportOptions(max_files=10)
        report = self.run_import(*NAMES, connections=4, options=options)
        self.assertEqual((0, 10), (report.exit_code, len(report.delivered)))
        self.heal(connections=4)

    def test_nlst_and_directories_do_not_count(self):
        self.fault('MLSD', faults.Reply('500 Unknown command.'))
        for number in range(6):
            self.server.make_directory(f'/cds/{number}-directory')
        options = ImportOptions(max_files=5)
        report = self.run_import(*NAMES, connections=4, options=options)
        self.assertEqual((0, 5), (report.exit_code, len(report.delivered)), self.log)

    def test_names_that_are_taken(self):
        self.run_import(*NAMES, connections=4)
        first = self.section('new')
        for name in NAMES:
            self.offered[f'{name}.newer'] = b'newer ' + name.encode()
            self.server.put(f'/cds/{name}', b'newer ' + name.encode())
        with mock.patch.object(self, 'check'):
            report = self.run_import(connections=4)
            self.assertEqual((0, []), (report.exit_code, report.delivered))
            self.assertEqual(first, self.section('new'))
            options = ImportOptions(occupied='unique')
            report = self.run_import(connections=4, options=options)
        self.assertEqual((0, NAMES), (report.exit_code, sorted(report.delivered)))
        self.assertEqual(2 * len(NAMES), len(self.section('new')))
        self.assertEqual({}, self.remote)

    def test_the_journal_cannot_be_written(self):
        """Nothing leaves tmp/ that the journal does not know."""
        from zeit.cds.errors import SpoolError
        from zeit.cds.journal.journal import View

        broken = mock.Mock(side_effect=SpoolError('The disk is full'))
        with mock.patch.object(View, 'note', broken), mock.patch.object(self, 'check'):
            report = self.run_import(*NAMES, connections=4)
        self.assertEqual((78, []), (report.exit_code, report.delivered))
        self.assertEqual({}, self.section('new'))
        self.assertEqual(set(NAMES), set(self.remote))
        self.heal(connections=4)


class SeveralKillTests(ImportKillTests):
    """Killed while several connections are at work."""

    names = tuple(NAMES[:8])

    def target(self):
        return target(self.server, connections=4)


class SeveralTests(SeveralKillTests, unittest.TestCase):
    level = 2

    def test_killed_at_a_command_then_a_run(self):
        self.commands('lost', 'executed', after=self.converge)

    def test_killed_at_a_command_then_the_files_are_taken(self):
        self.commands('late', after=self.then_taken)

    def test_killed_at_a_local_step_then_the_files_are_taken(self):
        self.steps('before', 'after', after=self.then_taken)
