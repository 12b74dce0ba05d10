"""A run that deletes what was retracted, killed at every command and every local step."""

import unittest

from zeit.cds.publish.tests import test_outbox_kill
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.scenario import Scenario
from zeit.cds.tests.test_kill import KillTests


class RetractedTests(KillTests):
    """Two files were delivered, and are retracted; of one there is a newer version since."""

    def begin(self):
        super().begin()
        self.export()
        until = self.spool.latest(new=True)
        for name in self.names:
            self.spool.retract(name, 'retracted', until=until, delete=True)
        self.put('b.xml', b'newer')

    def nothing_lost(self):
        """After a kill: what is retracted is there, or not; what is newer is not lost."""
        self.assertIn(self.remote().get('a.xml'), (None, self.offered['a.xml']))
        if 'b.xml' not in {**self.section('.cds', 'filing'), **self.section('new')}:
            self.assertEqual(self.offered['b.xml'], self.remote()['b.xml'])

    def deleted(self):
        """The next run has deleted the one, and sent the other; the third does nothing."""
        log = self.export()
        self.assertEqual({'b.xml': self.offered['b.xml']}, self.remote(), log)
        self.clean()
        found = remembered.history(self.spool.path / '.cds')
        outcomes = [(e['name'], e['outcome']) for e in found if e['kind'] == 'retraction']
        self.assertEqual([*self.names], sorted(name for name, _ in outcomes), log)
        # Killed before the receipt the next run finds that the file is gone.
        self.assertLessEqual({outcome for _, outcome in outcomes}, {'deleted', 'gone'}, log)
        self.rest()


class CommandTests(RetractedTests, unittest.TestCase):
    stride = 17  # more of them: level 2

    def test_killed_before_a_command_is_executed(self):
        self.commands('lost', after=self.deleted)

    def test_killed_after_a_command_was_executed(self):
        self.commands('executed', after=self.deleted)


class StepTests(RetractedTests, unittest.TestCase):
    stride = 17  # more of them: level 2

    def test_killed_before_a_local_step(self):
        self.steps('before', after=self.deleted)


class EveryTests(RetractedTests, unittest.TestCase):
    level = 2

    def test_at_every_command(self):
        self.commands('lost', 'executed', after=self.deleted)

    def test_at_every_local_step(self):
        self.steps('before', 'after', after=self.deleted)


class ExposedTests(EveryTests):
    """Where files are sent under their own names."""

    direct = True


class TransactionTests(test_outbox_kill.KillTests):
    """Who retracts is killed at each step: what is committed is done, all of it, and once."""

    level = 2

    def outcomes(self, *options):
        """Yield for each step whether it was committed, or voted for, and what the partner has."""
        for folder in self.kill('tell', *options, folder=f'killed{len(options)}'):
            spool, server = Spool(folder / 'spool'), MemoryTarget()
            server.write('a.xml', b'<a/>')
            committed, voted = (folder / 'application').exists(), self.prepared(folder)
            for _ in range(2):
                Exporter(spool, server).run_once()
            self.assertEqual([], spool.status().in_doubt)
            yield committed, voted, server.files

    def test_nobody_knows(self):
        done = {'b.xml': b'<canceled/>'}
        for committed, voted, files in self.outcomes():
            self.assertEqual(done if committed or voted else {'a.xml': b'<a/>'}, files)

    def test_the_application_knows(self):
        self.ask()
        done = {'b.xml': b'<canceled/>'}
        for committed, _, files in self.outcomes('', 'ask'):
            self.assertEqual(done if committed else {'a.xml': b'<a/>'}, files)


class FaultTests(Scenario, unittest.TestCase):
    """A server that does not do what it is asked to: nothing is deleted by guess."""

    def prepare(self):
        super().prepare()
        self.spool.put('a.xml', b'<a/>', content='a')
        self.run_once()
        until = self.spool.latest(new=True)
        self.spool.retract('a', 'retracted', until=until, delete=True)

    def run_once(self):
        report = self.export()
        return report.exit_code, [result.status for result in report.results], [*self.remote]

    def test_it_is_deleted(self):
        self.assertEqual((0, ['retracted'], []), self.run_once())
        self.assertEqual((0, [], []), self.run_once())

    def test_what_the_server_refuses(self):
        for verb in 'DELE', 'RETR', 'SIZE MLSD':
            for code in 450, 550, 502:
                with self.subTest(verb, code=code):
                    self.prepare()
                    self.fault(verb, faults.Reply(f'{code} No.'), path='/cds/a.xml')
                    if verb == 'SIZE MLSD':
                        self.fault('MLSD', faults.Reply(f'{code} No.'))
                    code, _, remote = self.run_once()
                    self.assertEqual(['a.xml'], remote)
                    self.assertNotEqual(0, code)
                    self.server.clear_faults()
                    self.assertEqual((0, ['retracted'], []), self.run_once())

    def test_an_answer_that_is_lost(self):
        for action in faults.Cut(), faults.Cut('executed'):
            with self.subTest(action):
                self.prepare()
                self.fault('DELE', action, path='/cds/a.xml', times=1)
                self.assertEqual(['failed'], self.run_once()[1])
                self.assertEqual((0, ['retracted'], []), self.run_once())

    def test_what_has_the_same_size(self):
        self.plant('a.xml', b'<b/>')
        self.assertEqual((0, ['retracted'], ['a.xml']), self.run_once())
        self.assertEqual({'a.xml': b'<b/>'}, self.remote)
