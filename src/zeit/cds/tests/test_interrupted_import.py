"""An import that a signal interrupts, between any two lines of what keeps its promises.

The signal raises `SystemExit` in the thread that runs, wherever that is: while files are handed
over, too, for which other threads wait.  The run cleans up, and nothing is lost or half done.
"""

import sys
import threading
import unittest

from zeit.cds import (
    arrivals,
    crew,
    gathering,
    history,
    importer,
    incoming,
    intake,
    jsonlog,
    pool,
)
from zeit.cds.tests.killing import BUG, STRIDE, Process, die
from zeit.cds.tests.scenario import target
from zeit.cds.tests.test_kill_import import ImportKillTests


#: Where it happens.
WHERE = {
    module.__file__
    for module in (
        arrivals, crew, gathering, history, importer, incoming, intake, jsonlog, pool
    )
}


def interrupt(nth):
    """Let this thread be interrupted at the `nth` line (from 1) that it executes there."""
    left = nth

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename not in WHERE:
            return None
        if event == 'line':
            left -= 1
            if not left:
                sys.settrace(None)
                raise SystemExit(143)
        return trace

    sys.settrace(trace)


class InterruptedTests(ImportKillTests):
    names = tuple(f'{letter}.xml' for letter in 'abcdefgh')
    connections = 4

    def target(self):
        return target(self.server, connections=self.connections)

    def interrupted(self, nth):
        """Make a run; return its exit code, that of a kill if it was interrupted and has ended."""

        def run():
            interrupt(nth)
            try:
                return self.importer().run_once().exit_code
            except SystemExit:
                if threading.active_count() > 1:
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
    stride = 251


class AllTests(InterruptedTests, unittest.TestCase):
    level = 2
    stride = 7 * STRIDE


class OneConnectionTests(InterruptedTests, unittest.TestCase):
    level = 2
    stride = 2 * STRIDE
    names = ('a.xml', 'b.xml')
    connections = 1
