"""An import that a signal interrupts, between any two lines of what keeps its promises.

The signal raises `SystemExit`, wherever the run is: while files are handed over, too, for which
several connections wait; and also in the middle of a task of one of these.  The run cleans up, all
tasks end, and nothing is lost or half done.
"""

import gc
import signal
import sys
import unittest

import greenlet

from zeit.cds.journal import append_log, history
from zeit.cds.run import arrivals, engine, importer
from zeit.cds.spool import incoming
from zeit.cds.system import loop
from zeit.cds.system.signals import ending
from zeit.cds.target import download, pool, workers
from zeit.cds.tests.killing import BUG, Process, die
from zeit.cds.tests.sampling import every
from zeit.cds.tests.scenario import target
from zeit.cds.tests.test_kill_import import ImportKillTests


#: Where it happens.
WHERE = {
    module.__file__
    for module in (
        arrivals, download, engine, history, importer, incoming, append_log, loop, pool, workers
    )
}


def interrupt(nth):
    """Let a signal come at the `nth` line (from 1) that is executed there."""
    left = nth

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename not in WHERE:
            return None
        if event == 'line':
            left -= 1
            if not left:
                sys.settrace(None)
                signal.raise_signal(signal.SIGTERM)
        return trace

    sys.settrace(trace)


def is_suspended(thing):
    """Return whether it is a greenlet that has begun, and not ended, beside this one."""
    return isinstance(thing, greenlet.greenlet) and bool(thing) and thing.parent is not None


class InterruptedTests(ImportKillTests):
    names = tuple(f'{letter}.xml' for letter in 'abcdefgh')
    connections = 4

    def target(self):
        return target(self.server, connections=self.connections)

    def interrupted(self, nth):
        """Make a run; return its exit code, that of a kill if it was interrupted and has ended."""

        def run():
            try:
                with ending():
                    interrupt(nth)
                    return self.importer().run_once().exit_code
            except SystemExit:
                gc.collect()
                if any(is_suspended(each) for each in gc.get_objects()):
                    return BUG
                die()

        return Process(run, log=self.log).run()

    def then_clean(self):
        self.assertNotIn('read', self.remote(), self.log.read_text())
        self.then_taken()

    def test_interrupted(self):
        self.everywhere(self.interrupted, after=self.then_clean)
        self.assertGreater(self.positions, 10)


class SampleTests(InterruptedTests, unittest.TestCase):
    stride = 809


class AllTests(InterruptedTests, unittest.TestCase):
    level = 2
    stride = every(21)


class OneConnectionTests(InterruptedTests, unittest.TestCase):
    level = 2
    stride = every(6)
    names = ('a.xml', 'b.xml')
    connections = 1
