"""A killed importer, on the fault server: at every command, every byte, every local step."""

import os
import unittest

from zeit.cds.ftp.stream import Stream
from zeit.cds.tests.importkill import ImportKilling
from zeit.cds.tests.killing import LOCAL, WIRE
from zeit.cds.tests.test_kill import KillTests


class ImportKillTests(ImportKilling, KillTests):
    """The places, on the fault server."""

    def plant(self, name, data, *, modified):
        self.server.put(f'/cds/{name}', data, modified=modified)


class CommandTests(ImportKillTests, unittest.TestCase):
    """Killed by the server, at each command of an import of two files."""

    stride = 11  # more of them: level 2

    def test_killed_after_a_command_was_executed(self):
        self.commands('executed', after=self.then_taken)


class StepTests(ImportKillTests, unittest.TestCase):
    """Killed between two steps on the local disk."""

    stride = 11  # more of them: level 2

    def test_killed_before_a_local_step(self):
        self.steps('before', after=self.then_taken)

    def test_nothing_is_taken_for_granted(self):
        self.stride = 37
        for after in (self.then_cleaned, self.then_linked, self.then_fetched_away):
            with self.subTest(after.__name__):
                self.steps('before', after=after)


class AllTests(ImportKillTests):
    """All places, and all that may come after."""

    level = 2

    def test_killed_at_a_command_then_a_run(self):
        self.commands('lost', 'late', 'executed', after=self.converge)

    def test_killed_at_a_command_then_the_files_are_taken(self):
        self.commands('lost', 'late', 'executed', after=self.then_taken)

    def test_killed_at_a_command_then_the_files_are_replaced(self):
        self.commands('lost', 'late', 'executed', after=self.then_replaced)

    def test_killed_at_a_command_then_nothing_is_taken_for_granted(self):
        for after in (self.then_cleaned, self.then_linked, self.then_fetched_away):
            self.commands('lost', 'late', 'executed', after=after)

    def test_killed_at_a_local_step_then_nothing_is_taken_for_granted(self):
        for after in (self.then_cleaned, self.then_linked, self.then_fetched_away):
            self.steps('before', 'after', after=after)

    def test_killed_at_a_local_step_then_the_files_are_taken(self):
        self.steps('before', 'after', after=self.then_taken)

    def test_killed_at_a_local_step_then_the_files_are_replaced(self):
        self.steps('before', 'after', after=self.then_replaced)

    def test_killed_in_the_middle_of_a_write(self):
        for after in (self.converge, self.then_taken, self.then_replaced):
            self.everywhere(self.kill_itself([(os, 'write')], moment='half'), after=after)

    def test_killed_in_the_middle_of_what_it_sends(self):
        for moment in ('before', 'half', 'after'):
            for after in (self.converge, self.then_taken):
                self.everywhere(self.kill_itself(WIRE, moment=moment), after=after)

    def test_killed_when_something_has_come_in(self):
        for after in (self.converge, self.then_taken, self.then_replaced):
            self.everywhere(self.kill_itself([(Stream, 'receive')], moment='after'), after=after)

    def test_killed_twice(self):
        """The healing is killed as well, at each of its commands."""
        self.commands('lost', 'executed', after=self.heal_killed)

    def test_killed_twice_at_local_steps(self):
        self.steps('before', after=self.heal_killed_at_steps)

    def heal_killed_at_steps(self):
        for nth in (8, 5, 3, 2, 1):
            self.child(LOCAL, nth, moment='before').run()
            self.settled()
            self.nothing_lost()
        self.converge()


class AllOldTests(AllTests, unittest.TestCase):
    """Files that were there long before."""


class AllFreshTests(AllTests, unittest.TestCase):
    """Files of this very second: their time proves nothing."""

    before = 0


class AllLargeTests(AllTests, unittest.TestCase):
    """Files that come in several pieces."""

    size = 600_000
