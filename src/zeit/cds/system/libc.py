"""Functions of the C library that Python does not have.

musl has no renameat2(2), and before 1.2.5 no statx(2); there they are called by their number.
Source: the tables of Linux, arch/*/**/syscall*.tbl and asm-generic/unistd.h.
"""

import ctypes
import functools
import os
import sys


_X86_64 = {'renameat2': 316, 'statx': 332}
_I386 = {'renameat2': 353, 'statx': 383}
_ARM = {'renameat2': 382, 'statx': 397}
_GENERIC = {'renameat2': 276, 'statx': 291}

#: The numbers by machine and size of a pointer: a process of 32 bits has those of its own.
_NUMBERS = {
    ('x86_64', 64): _X86_64,
    **dict.fromkeys([(name, 32) for name in ('x86_64', 'i386', 'i486', 'i586', 'i686')], _I386),
    **dict.fromkeys([(name, 32) for name in ('aarch64', 'armv6l', 'armv7l', 'armv8l')], _ARM),
    **dict.fromkeys([(name, 64) for name in ('aarch64', 'riscv64', 'loongarch64')], _GENERIC),
    ('ppc64le', 64): {'renameat2': 357, 'statx': 383},
    ('s390x', 64): {'renameat2': 347, 'statx': 379},
}

AT_FDCWD = -100  # fcntl.h: relative paths are relative to the working directory


@functools.cache
def function(name):
    """Return the function `name`, one of these two, None if there is none; see `ctypes`."""
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, name):
        return getattr(library, name)
    machine = os.uname().machine, 64 if sys.maxsize > 1 << 32 else 32
    number = _NUMBERS.get(machine, {}).get(name)
    if number is None or sys.platform != 'linux' or not hasattr(library, 'syscall'):
        return None
    return functools.partial(library.syscall, ctypes.c_long(number))


def error():
    """Return the number of the error of the last call that has failed, see errno(3)."""
    return ctypes.get_errno()
