"""One fault at every single command of a run: nothing is lost or partial, nothing stays."""

import unittest

from zeit.cds.testing import faults
from zeit.cds.tests.sampling import SEED, every
from zeit.cds.tests.scenario import Scenario


FAULTS = {
    'cut': faults.Cut(),
    'cut when executed': faults.Cut('executed'),
    'reset when executed': faults.Cut('executed', reset=True),
    'cut when replied': faults.Cut('replied'),
    '421 when executed': faults.Lie('421 Closing.'),
    '450': faults.Reply('450 Not now.'),
    '451 when executed': faults.Lie('451 Failure.'),
    '550': faults.Reply('550 No.'),
    '502': faults.Reply('502 Not here.'),
    '452': faults.Reply('452 Full.'),
    '226': faults.Reply('226 Done.'),
    '226 when executed': faults.Lie('226 Done.'),
    '150': faults.Reply('150 Wait.'),
    '331': faults.Reply('331 More?'),
    'garbage': faults.Lie('What?'),
    'one reply too many': faults.Extra('250 More.'),
    'twice': faults.Twice(),
}


class Sweep(Scenario):
    options = {}

    #: How many commands there were before the run with the fault.
    before = 0

    #: All commands take a minute; so it is every so many-th one, another one for each fault.
    stride = 97

    def test_39_a_fault_at_every_command(self):
        for offset, (name, action) in enumerate(FAULTS.items()):
            number = (offset * 11 + SEED) % min(self.stride, 41)
            while self.one(name, action, number):
                number += self.stride
            self.assertGreater(number, 20)

    def one(self, name, action, number):
        """Run with the fault at this command; return whether there was such a command."""
        self.prepare()
        with self.subTest(name, number=number):
            self.plant('b')
            self.fault('*', action, nth=number, times=1)
            self.export('a', 'b', **self.options)
            self.heal(**self.options)
        return number < len(self.server.commands()) - self.before


class SweepTests(Sweep, unittest.TestCase):
    pass


class InPacketsTests(Sweep, unittest.TestCase):
    """An earlier run has proved that packets are executed in order."""

    def prepare(self):
        super().prepare()
        self.assert_run(0, 'first', self.export('first', **self.options))
        self.before = len(self.server.commands())


class EveryPacketTests(InPacketsTests):
    level = 2
    stride = every(7)


class WithoutTemporaryTests(Sweep, unittest.TestCase):
    level = 2
    stride = every(27)
    options = {'temporary': False}


class WithoutOverwritingTests(Sweep, unittest.TestCase):
    """As ProFTPD does it: RNTO onto a file that exists is refused."""

    level = 2
    stride = every(27)

    def hook(self, event):
        if event.verb == 'RNTO' and event.moment == 'before' and event.path in event.server.files:
            event.server.fault('RNTO', faults.Reply('550 Rename: File exists.'), times=1)
