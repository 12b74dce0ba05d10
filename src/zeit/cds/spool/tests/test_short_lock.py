"""A lock that is held for a moment, or for longer."""

import contextlib
import fcntl
import os
import tempfile
import time
import unittest
import unittest.mock

from zeit.cds.errors import SpoolBusy
from zeit.cds.spool import short_lock
from zeit.cds.spool.short_lock import ShortLock
from zeit.cds.system import lock_holder
from zeit.cds.testing import layers


class ShortLockTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = self.enterContext(tempfile.TemporaryDirectory())
        self.lock = ShortLock(self.path)

    @contextlib.contextmanager
    def locked(self):
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def meet(self):
        """Find it locked; return what is said."""
        with self.assertRaises(SpoolBusy) as caught, self.lock.held_briefly():
            self.fail('It was locked')
        return caught.exception

    def test_who_has_it_is_waited_for_and_looked_for_once(self):
        """Not for each of many files."""
        slept = []
        with (
            unittest.mock.patch.object(short_lock, 'BRIEFLY', 0.02),
            unittest.mock.patch('time.sleep', slept.append),
            unittest.mock.patch.object(lock_holder, '_find', return_value=os.getpid()) as find,
        ):
            for times in (1, 2):
                with self.locked():
                    first = self.meet()
                    self.assertTrue(slept)
                    slept.clear()
                    again = self.meet()
                self.assertEqual(([], times), (slept, find.call_count))
                self.assertEqual((first.message, first.hint), (again.message, again.hint))
                self.assertIsNot(first, again)
                with self.lock.held_briefly():
                    pass  # once it was free, it is another one who has it

    def test_later_somebody_else_may_have_it_for_a_moment(self):
        with self.locked(), unittest.mock.patch.object(short_lock, 'BRIEFLY', 0.02):
            self.meet()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.locked())
            later = time.monotonic() + 60
            self.enterContext(unittest.mock.patch('time.monotonic', return_value=later))
            self.enterContext(unittest.mock.patch('time.sleep', lambda seconds: stack.close()))
            with self.lock.held_briefly():
                pass

    def test_what_can_go_on_without_it(self):
        with self.locked(), unittest.mock.patch.object(short_lock, 'BRIEFLY', 0):
            with self.lock.held_if_possible():
                pass
