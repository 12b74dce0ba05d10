"""When a file was made, by statx(2): a time that no rename, write or remount changes.

Python has no function for it.  A copy was made later than its original.
Where the system does not tell it, inodes are compared.
"""

import ctypes
import functools
import os
import platform
import struct


_AT_FDCWD = -100  # fcntl.h: relative paths are relative to the working directory
_AT_EMPTY_PATH = 0x1000  # fcntl.h: the descriptor itself
_STATX_BTIME = 0x800  # linux/stat.h
_SIZE = 256  # of struct statx; its mask is at 0, the time of birth at 80

#: The numbers of the system call, for a C library without the function (musl before 1.2.5).
_NUMBERS = {
    'x86_64': 332,
    'i686': 383,
    'armv7l': 397,
    'ppc64le': 383,
    's390x': 379,
    **dict.fromkeys(('aarch64', 'riscv64', 'loongarch64'), 291),
}


def born(file):
    """Return when `file`, a path or a descriptor, was made: nanoseconds since the epoch, or None.

    None: system, file system or sandbox do not tell.
    """
    function = _statx()
    if function is None:
        return None
    found = ctypes.create_string_buffer(_SIZE)
    if isinstance(file, int):
        where = file, b'', _AT_EMPTY_PATH
    else:
        where = _AT_FDCWD, os.fsencode(file), 0
    if function(*where, _STATX_BTIME, found) != 0:
        return None
    (mask,) = struct.unpack_from('=I', found, 0)
    seconds, nanoseconds = struct.unpack_from('=qI', found, 80)
    # Some file systems have the field, and put nothing into it.
    return (seconds * 10**9 + nanoseconds or None) if mask & _STATX_BTIME else None


def is_own(first, *files):
    """Return whether the entry `first` was written into the first of `files`, in the second.

    These are the file, by its path or descriptor, and its directory.  Returns True or False, and
    None if nothing tells.  Raises OSError.
    """
    current, told = identity(*files), first.get('born')
    if not isinstance(told, list) or len(told) != len(files):
        told = [None] * len(files)
    pairs = [*zip(told, current['born'], strict=True)]
    if None in pairs[0]:
        return True if first.get('inodes') == current['inodes'] else None
    return all(before == after for before, after in pairs if None not in (before, after))


def identity(*files):
    """Return what tells these files from copies: a dictionary.  Raises OSError."""
    return {
        'born': [*map(born, files)],
        'inodes': [os.stat(file).st_ino for file in files],
    }


@functools.cache
def _statx():
    """Return statx(2), None if there is none."""
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, 'statx', None)
    if function is not None:
        return function
    number = _NUMBERS.get(platform.machine())
    if number is None or platform.system() != 'Linux' or not hasattr(library, 'syscall'):
        return None
    return functools.partial(library.syscall, ctypes.c_long(number))
