"""Who holds a lock, as proc(5) tells."""

import fcntl
import os
import tempfile
import unittest
import unittest.mock

from zeit.cds.system import lock_holder
from zeit.cds.testing import layers


class LockHolderTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'lock')
        self.file = self.enterContext(open(self.path, 'wb'))

    def test_who_has_locked_it(self):
        fcntl.flock(self.file, fcntl.LOCK_EX)
        found = lock_holder.busy(self.path, 2)
        self.assertIn(f'Process {os.getpid()} has held {self.path}', found.message)

    def test_who_has_only_opened_it(self):
        found = lock_holder.busy(self.path, 2)
        self.assertIn('Another process has held', found.message)

    def test_only_what_is_locked_is_looked_at(self):
        """A look at a file on a server that is away would not return."""
        looked, real = [], os.stat

        def stat(path, **options):
            looked.append(os.fspath(path))
            return real(path, **options)

        with open(self.path, 'rb') as other, unittest.mock.patch('os.stat', stat):
            fcntl.flock(other, fcntl.LOCK_EX)
            lock_holder.busy(self.path, 2)
            locked, opened = (f'/proc/{os.getpid()}/fd/{f.fileno()}' for f in (other, self.file))
        self.assertIn(locked, looked)
        self.assertNotIn(opened, looked)
