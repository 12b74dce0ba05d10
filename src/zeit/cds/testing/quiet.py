"""Find what a test leaves behind: threads, descriptors, warnings, exceptions nobody saw."""

import gc
import os
import sys
import threading
import time
import traceback
import unittest
import warnings
from multiprocessing import resource_tracker


# Seconds that a thread may need to end after its test; one that is about to end needs none.
THREAD_GRACE = 10


class QuietLayer:
    """A layer that makes a test an error for what it leaves behind.

    Which is: a thread; an open descriptor (of file, socket, pipe; where there is /proc); a
    ResourceWarning; an exception in `__del__` or another place where Python can only report it
    (`sys.unraisablehook`); an exception that ends a thread (`threading.excepthook`).  Warning
    filters alone would not do: zope.testrunner sets its own, and a warning raised as an error in
    `__del__` is printed and forgotten.

    A test that provokes such a thing on purpose takes it back with `take`.
    """

    __bases__ = ()

    def __init__(self, name, *, module):
        # zope.testrunner finds a layer again, in a subprocess, by these two.
        self.__name__ = name
        self.__module__ = module
        self._problems = []
        self._hooks = None
        self._filters = None
        self._threads = frozenset()
        self._descriptors = frozenset()

    def setUp(self):
        """Install the hooks."""
        # multiprocessing keeps a pipe to a process of its own, once that is needed: since Python
        # 3.14 when pyftpdlib is imported.  No test has left it open.
        resource_tracker.ensure_running()
        self._hooks = sys.unraisablehook, threading.excepthook
        sys.unraisablehook = self._unraisable
        threading.excepthook = self._thread_died
        gc.collect()

    def tearDown(self):
        """Restore the hooks; raises AssertionError for what came after the last test."""
        gc.unfreeze()
        gc.collect()
        sys.unraisablehook, threading.excepthook = self._hooks
        problems = self.take()
        if problems:
            raise AssertionError('\n'.join(problems))

    def testSetUp(self):
        """Remember what is there before the test."""
        # What exists by now is not looked at again, so a collection per test is cheap.  Anew each
        # time: zope.testrunner keeps the test cases that are over, with all their attributes.
        gc.freeze()
        self._filters = warnings.catch_warnings()
        self._filters.__enter__()
        warnings.simplefilter('error', ResourceWarning)
        self._threads = frozenset(threading.enumerate())
        self._descriptors = open_descriptors()

    def testTearDown(self):
        """Report what the test left behind as an error of this test."""
        # Before the collection, which would close what the test has forgotten and hide it.
        self._problems += self._leaked_threads()
        self._problems += [
            f'The test left open: {target}'
            for number, target in sorted(open_descriptors() - self._descriptors)
        ]
        gc.collect()
        self._filters.__exit__(None, None, None)
        problems = self.take()
        if problems:
            report(AssertionError('\n'.join(problems)))

    def accept(self, *, threads, descriptors):
        """Take these for no leak of the current test: a layer's server that it has restarted."""
        self._threads |= set(threads)
        self._descriptors |= {pair for pair in open_descriptors() if pair[0] in descriptors}

    def take(self):
        """Return the problems of the current test so far, as texts, and forget them."""
        problems, self._problems = self._problems, []
        return problems

    def _leaked_threads(self):
        deadline = time.monotonic() + THREAD_GRACE
        for thread in frozenset(threading.enumerate()) - self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
            if thread.is_alive():
                yield f'The test left a thread running: {thread!r}'

    def _unraisable(self, info):
        # Only texts are kept: the object itself would come to life again.
        lines = traceback.format_exception(info.exc_type, info.exc_value, info.exc_traceback)
        self._problems.append(f'{info.err_msg or "Exception ignored in"} {info.object!r}\n'
                              + ''.join(lines))  # fmt: skip

    def _thread_died(self, info):
        lines = traceback.format_exception(info.exc_type, info.exc_value, info.exc_traceback)
        self._problems.append(f'Exception in {info.thread!r}\n' + ''.join(lines))


def open_descriptors():
    """Return pairs (number, what it is) of this process's open files; empty without /proc."""
    found = []
    try:
        numbers = os.listdir('/proc/self/fd')
    except FileNotFoundError:
        return frozenset()
    for number in numbers:
        try:
            found.append((int(number), os.readlink(f'/proc/self/fd/{number}')))
        except FileNotFoundError:
            # The descriptor of the listing itself.
            continue
    return frozenset(found)


def report(error):
    """Add *error* to the result of the test that is just ending.

    zope.testrunner calls testTearDown of a layer from its `TestResult.stopTest(test)` and passes
    nothing; raised there, an exception ends the whole run instead of failing one test.  Hence the
    look at the callers.  Without such a caller the error is raised.
    """
    frame = sys._getframe(1)
    while frame is not None:
        result = frame.f_locals.get('self')
        if frame.f_code.co_name == 'stopTest' and isinstance(result, unittest.TestResult):
            result.addError(frame.f_locals['test'], (type(error), error, error.__traceback__))
            return
        frame = frame.f_back
    raise error
