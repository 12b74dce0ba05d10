"""One fault at every single command of a run: nothing is lost or partial, nothing stays."""

import os
import unittest

from zeit.cds.testing import faults
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

#: All of them take a minute; so it is every so many-th command, another one for each fault.
STRIDE = int(os.environ.get('ZEIT_CDS_SWEEP_STRIDE', '97'))


class Sweep(Scenario):
    options = {}

    def test_39_a_fault_at_every_command(self):
        for offset, (name, action) in enumerate(FAULTS.items()):
            number = offset * 11 % min(STRIDE, 41)
            while self.one(name, action, number):
                number += STRIDE
            self.assertGreater(number, 20)

    def one(self, name, action, number):
        """Run with the fault at this command; return whether there was such a command."""
        self.prepare()
        with self.subTest(name, number=number):
            self.plant('b')
            self.fault('*', action, nth=number, times=1)
            self.export('a', 'b', **self.options)
            self.heal(**self.options)
        return number < len(self.server.commands())


class SweepTests(Sweep, unittest.TestCase):
    pass


class WithoutTemporaryTests(Sweep, unittest.TestCase):
    level = 2
    options = {'temporary': False}


class WithoutOverwritingTests(Sweep, unittest.TestCase):
    """As ProFTPD does it: RNTO onto a file that exists is refused."""

    level = 2

    def hook(self, event):
        if event.verb == 'RNTO' and event.moment == 'before' and event.path in event.server.files:
            event.server.fault('RNTO', faults.Reply('550 Rename: File exists.'), times=1)
