"""A killed exporter, on the fault server: at every command, every byte, every local step."""

import os
import signal
import tempfile
import unittest

from zeit.cds import names
from zeit.cds.lock.lock_files import EVERYTHING, LockFiles
from zeit.cds.run.exporter import Exporter
from zeit.cds.testing import faults, layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.killing import LOCAL, MOVES, Killer, Killing, Process
from zeit.cds.tests.scenario import Scenario, target


class KillTests(Killing):
    layer = layers.QUIET
    factory = faults.FaultServer
    options = {}

    def setUp(self):
        super().setUp()
        self.killer = Killer()
        self.server = self.enterContext(self.factory(hook=self.hook, **self.options))

    def hook(self, event):
        self.killer(event)
        if not self.occupied or event.verb != 'RNTO' or event.moment != 'before':
            return
        if event.path in event.server.files:  # a server that does not overwrite
            event.server.fault('RNTO', faults.Reply('550 File exists.'), times=1)

    def anew(self):
        self.killer.process = None
        self.server.clear_faults()
        for path in self.server.files:
            self.server.delete(path)
        for path in reversed(self.server.directories):
            self.server.remove_directory(path)
        self.server.make_directory('/cds')
        for name in self.occupied:
            self.server.put(f'/cds/{name}', self.older)

    def target(self):
        return target(self.server, temporary=not self.direct)

    def remote(self):
        found = {**self.server.files, **dict.fromkeys(self.server.directories)}
        return {p.removeprefix('/cds/'): data for p, data in found.items() if p != '/cds'}

    def settled(self):
        self.server.wait_closed()
        self.killer.process = None
        self.server.clear_faults()

    def kill_by_server(self, *, moment):
        def kill(nth):
            process = self.child()
            self.killer.aim(process, nth, moment=moment)
            return process.run()

        return kill

    def commands(self, *moments, after):
        for moment in moments:
            with self.subTest(moment=moment):
                self.everywhere(self.kill_by_server(moment=moment), after=after)

    def steps(self, *moments, after):
        for moment in moments:
            with self.subTest(moment=moment):
                self.everywhere(self.kill_itself(LOCAL, moment=moment), after=after)

    def heal_killed(self):
        for nth in (12, 9, 6, 3):
            process = self.child()
            self.killer.aim(process, nth, moment='executed')
            process.run()
            self.settled()
            self.nothing_lost()
        self.converge()


class CommandTests(KillTests, unittest.TestCase):
    """Killed by the server, at each command of a run."""

    stride = 11  # more of them: level 2

    def test_killed_before_a_command_is_executed(self):
        self.commands('lost', after=self.converge)

    def test_killed_after_a_command_was_executed(self):
        self.commands('executed', after=self.converge)


class StepTests(KillTests, unittest.TestCase):
    """Killed between two steps on the local disk."""

    stride = 11  # more of them: level 2

    def test_killed_before_a_local_step(self):
        self.steps('before', after=self.converge)


class FoundTests(unittest.TestCase):
    """What the tests above and below have found, one by one."""

    layer = layers.QUIET

    def test_killed_between_the_two_removals_that_give_back_the_guard(self):
        """With nothing to export, nobody looked for a guard that was empty already."""
        directory = MemoryTarget()
        directory.directories['write.guard'] = set()
        LockFiles(directory.open(), token=names.new_token(), left=EVERYTHING).release()
        self.assertEqual({}, directory.directories)

    def test_a_guard_of_somebody_else_is_not_removed_with_ours(self):
        directory = MemoryTarget()
        directory.directories['write.guard'] = {names.new_token()}
        LockFiles(directory.open(), token=names.new_token(), left=EVERYTHING).release()
        self.assertEqual(['write.guard'], list(directory.directories))


class DirectTests(Scenario, unittest.TestCase):
    """Without temporary names: what is under the real name is ours to delete as long as it is part.

    Both were found by the kills below.
    """

    def test_the_part_of_an_earlier_attempt_is_not_mistaken_for_the_file(self):
        """What could not be deleted at once was deleted at the end, complete by then."""
        for reply in ('450 Busy.', '550 No.'):
            with self.subTest(reply):
                self.prepare()
                self.fault('STOR', faults.CutData(5), path='/cds/a', times=1)
                self.fault('DELE', faults.Reply(reply), path='/cds/a', times=1)
                self.assert_run(0, 'a b', self.export('a', 'b', temporary=False))
                self.heal(temporary=False)

    def test_a_part_is_removed_before_the_lock(self):
        def kill(event):
            self.process.kill()

        self.put('a')
        self.fault('STOR', faults.Alter(keep=5), faults.Call(kill, moment='executed'),
                   path='/cds/a', times=1)  # fmt: skip
        goal = target(self.server, temporary=False)
        log = self.enterContext(tempfile.NamedTemporaryFile()).name
        self.process = Process(lambda: Exporter(self.spool, goal).run_once().exit_code, log=log)
        self.assertEqual(-signal.SIGKILL, self.process.run())
        self.server.wait_closed()
        self.assertEqual({'a', 'write'}, set(self.remote))
        (self.path / 'new' / 'a').unlink()
        del self.offered['a']
        self.assert_run(0, '', self.export(temporary=False))
        self.assertEqual({}, self.remote)
        deleted = self.server.commands('DELE')
        self.assertLess(deleted.index('DELE a'), deleted.index('DELE write'))


class AllTests(KillTests):
    """All places, and all that may come after."""

    level = 2

    def test_killed_at_a_command_then_a_run(self):
        self.commands('lost', 'late', 'executed', after=self.converge)

    def test_killed_at_a_command_then_a_correction(self):
        self.commands('lost', 'late', 'executed', after=self.correct)

    def test_killed_at_a_command_then_the_files_are_taken_away(self):
        self.commands('lost', 'late', 'executed', after=self.empty)

    def test_killed_at_a_local_step_then_a_run(self):
        self.steps('before', 'after', after=self.converge)

    def test_killed_at_a_local_step_then_a_correction(self):
        self.steps('before', 'after', after=self.correct)

    def test_killed_on_its_way_to_cur_then_a_correction(self):
        """One place for each file, which a stride may miss."""
        kill = self.kill_itself(MOVES, moment='before')
        self.everywhere(kill, after=self.correct, stride=1)
        self.assertEqual(len(self.names), self.replaced)

    def test_killed_at_a_local_step_then_the_files_are_taken_away(self):
        self.steps('before', 'after', after=self.empty)

    def test_killed_in_the_middle_of_a_write(self):
        seams = [(os, 'write')]
        for after in (self.converge, self.correct, self.empty):
            self.everywhere(self.kill_itself(seams, moment='half'), after=after)

    def test_killed_in_the_middle_of_what_it_sends(self):
        for moment in ('before', 'half', 'after'):
            for after in (self.converge, self.correct, self.empty):
                self.everywhere(self.kill_itself(self.wire, moment=moment), after=after)

    def test_killed_twice(self):
        """The healing is killed as well, at each of its commands."""
        self.commands('lost', 'executed', after=self.heal_killed)


class AllPlainTests(AllTests, unittest.TestCase):
    """A server that overwrites."""


class AllOccupiedTests(AllTests, unittest.TestCase):
    """A server that does not, and has a file of that name already."""

    occupied = ('a.xml',)


class AllDirectTests(AllTests, unittest.TestCase):
    """Without temporary names: a part is there only under the lock."""

    direct = True
    size = 600_000


class AllDirectOccupiedTests(AllDirectTests):
    """And with an older file of the same length under that name, which is not ours to delete."""

    occupied = ('a.xml',)


class DirectLengthTests(KillTests):
    """An older file of another length; it shows where what waited has been taken away."""

    level = 2
    direct = True
    size = 600_000

    def test_killed_at_a_command_then_the_files_are_taken_away(self):
        self.commands('lost', 'late', 'executed', after=self.empty)

    def test_killed_in_the_middle_of_what_it_sends(self):
        for moment in ('before', 'half', 'after'):
            self.everywhere(self.kill_itself(self.wire, moment=moment), after=self.empty)


class DirectShorterTests(DirectLengthTests, unittest.TestCase):
    """A shorter one."""

    occupied = ('a.xml', 'b.xml')
    older_size = 300_000


class DirectLongerTests(DirectLengthTests, unittest.TestCase):
    """A longer one."""

    occupied = ('b.xml',)
    older_size = 900_000


class AllLargeTests(AllTests, unittest.TestCase):
    """Files that are sent in several pieces."""

    size = 600_000
