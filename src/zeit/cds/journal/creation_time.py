"""When a file was made, by statx(2): a time that no rename, write or remount changes.

Python has no function for it.  A copy was made later than its original.
Where the system does not tell it, inodes are compared.
"""

import ctypes
import os
import struct

from zeit.cds.system import libc


_AT_EMPTY_PATH = 0x1000  # fcntl.h: the descriptor itself
_STATX_BTIME = 0x800  # linux/stat.h
_SIZE = 256  # of struct statx; its mask is at 0, the time of birth at 80


def born(file):
    """Return when `file`, a path or a descriptor, was made: nanoseconds since the epoch.

    None if system, file system or sandbox do not tell.
    """
    function = libc.function('statx')
    if function is None:
        return None
    found = ctypes.create_string_buffer(_SIZE)
    if isinstance(file, int):
        where = file, b'', _AT_EMPTY_PATH
    else:
        where = libc.AT_FDCWD, os.fsencode(file), 0
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
