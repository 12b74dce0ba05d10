"""A killed exporter with several connections: up to four files are on their way when it dies."""

import functools
import unittest

from zeit.cds.tests.killing import STRIDE
from zeit.cds.tests.scenario import Waiting, target
from zeit.cds.tests.test_kill import KillTests


class SeveralTests(KillTests):
    names = tuple(f'{letter}.xml' for letter in 'abcdefgh')

    def target(self):
        return target(self.server, temporary=not self.direct, connections=4)


class LaterTests(SeveralTests, unittest.TestCase):
    """The run begins with one connection, and goes on with several."""

    stride = 11

    def target(self):
        late = functools.partial(Waiting, after=2)
        return target(self.server, temporary=not self.direct, connections=4, new_effort=late)

    def test_killed_by_the_server(self):
        self.commands('late', after=self.converge)


class DirectLaterTests(LaterTests):
    direct = True


class SampleTests(SeveralTests, unittest.TestCase):
    stride = 23

    def test_killed_by_the_server(self):
        self.commands('lost', 'executed', after=self.converge)

    def test_killed_before_a_local_step(self):
        self.steps('before', after=self.converge)


class DirectSampleTests(SampleTests):
    level = 2
    direct = True


class AllTests(SeveralTests, unittest.TestCase):
    level = 2
    stride = 2 * STRIDE

    def test_killed_before_a_command_is_executed(self):
        for after in (self.converge, self.correct, self.empty):
            self.commands('lost', after=after)

    def test_killed_when_a_command_is_executed(self):
        for after in (self.converge, self.correct, self.empty):
            self.commands('late', 'executed', after=after)

    def test_killed_between_local_steps(self):
        for after in (self.converge, self.correct, self.empty):
            self.steps('before', 'after', after=after)


class AllDirectTests(AllTests):
    direct = True


class AllOccupiedTests(AllTests):
    """The server does not overwrite, and has files of these names already."""

    stride = 3 * STRIDE
    occupied = ('a.xml', 'c.xml')
