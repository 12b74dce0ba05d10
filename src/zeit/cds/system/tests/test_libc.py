"""A C library that does not have the functions."""

import contextlib
import ctypes
import types
import unittest
import unittest.mock

from zeit.cds.system import libc


@contextlib.contextmanager
def without_function(name, *, syscall=True):
    """Return a context manager: inside, the library has at most syscall(2)."""
    real = ctypes.CDLL(None, use_errno=True)
    made = types.SimpleNamespace(syscall=real.syscall) if syscall else types.SimpleNamespace()
    libc.function.cache_clear()
    try:
        with unittest.mock.patch('ctypes.CDLL', return_value=made):
            libc.function(name)
        yield
    finally:
        libc.function.cache_clear()


class FunctionTests(unittest.TestCase):
    def test_a_machine_that_is_not_known(self):
        known = types.SimpleNamespace(machine='pdp11')
        with unittest.mock.patch('os.uname', return_value=known), without_function('statx'):
            self.assertIsNone(libc.function('statx'))
