"""A killed exporter with several connections: up to four files are on their way when it dies."""

import unittest

from zeit.cds.system.loop import Loop
from zeit.cds.tests.sampling import every
from zeit.cds.tests.scenario import target
from zeit.cds.tests.test_kill import KillTests


#: Where one of the connections lets others go on.
SWITCHES = [(Loop, '_switch')]


class SeveralTests(KillTests):
    names = tuple(f'{letter}.xml' for letter in 'abcdefgh')

    def target(self):
        return target(self.server, temporary=not self.direct, connections=4)


class SampleTests(SeveralTests, unittest.TestCase):
    stride = 41

    def test_killed_by_the_server(self):
        self.commands('lost', 'executed', after=self.converge)

    def test_killed_before_a_local_step(self):
        self.steps('before', after=self.converge)

    def test_killed_before_a_switch(self):
        self.everywhere(self.kill_itself(SWITCHES, moment='before'), after=self.converge)


class DirectSampleTests(SampleTests):
    level = 2
    direct = True


class AllTests(SeveralTests, unittest.TestCase):
    level = 2
    stride = every(6)

    def test_killed_before_a_command_is_executed(self):
        for after in (self.converge, self.correct, self.empty):
            self.commands('lost', after=after)

    def test_killed_when_a_command_is_executed(self):
        for after in (self.converge, self.correct, self.empty):
            self.commands('late', 'executed', after=after)

    def test_killed_between_local_steps(self):
        for after in (self.converge, self.correct, self.empty):
            self.steps('before', 'after', after=after)

    def test_killed_at_a_switch(self):
        for moment in 'before', 'after':
            kill = self.kill_itself(SWITCHES, moment=moment)
            for after in (self.converge, self.correct, self.empty):
                self.everywhere(kill, after=after)


class AllDirectTests(AllTests):
    direct = True


class AllOccupiedTests(AllTests):
    """The server does not overwrite, and has files of these names already."""

    stride = every(9)
    occupied = ('a.xml', 'c.xml')
