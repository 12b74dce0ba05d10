"""What waits in a directory: which files will be sent, and what never will."""

import dataclasses
import math
import os
import stat

import zope.interface

from zeit.cds import names
from zeit.cds.interfaces import IEntry


#: How each sort of thing that is never sent is called in a message.
_KINDS = (
    (stat.S_ISDIR, 'a directory'),
    (stat.S_ISLNK, 'a symbolic link'),
    (stat.S_ISFIFO, 'a FIFO'),
    (stat.S_ISSOCK, 'a socket'),
)


@zope.interface.implementer(IEntry)
@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """See `IEntry`."""

    name: str
    size: int
    arrived: float
    version: tuple = ()
    number: int = dataclasses.field(default=0, compare=False)
    content: str = dataclasses.field(default='', compare=False)
    content_version: str = dataclasses.field(default='', compare=False)


def scan(directory):
    """Return what is in `directory`: (list of `IEntry`, sorted list of (name, reason) that stays).

    Only the inodes are looked at; dot files are left out.  Raises OSError.
    """
    found, ignored = [], []
    with os.scandir(directory) as items:
        for item in items:
            if names.is_hidden(item.name):
                continue
            try:
                status = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # taken away since the directory was read
            if stat.S_ISREG(status.st_mode):
                found.append(entry(item.name, status))
            else:
                ignored.append((item.name, f'is {_kind(status.st_mode)}, not a regular file'))
    return found, sorted(ignored)


def hidden(directory):
    """Return what `scan` leaves out of `directory`: a sorted list of names.  Raises OSError.

    Without our probes, see `ISpool.require_filing`, which are there for a moment.
    """
    found = filter(names.is_hidden, os.listdir(directory))
    return sorted(name for name in found if not names.is_probe(name))


def entry(name, found):
    """Return the `IEntry` of a file with the `os.stat_result` `found`."""
    version = found.st_ino, found.st_size, found.st_mtime_ns
    return Entry(name, found.st_size, found.st_ctime, version)


def standing(directory, name):
    """Return the `IEntry` of the regular file `name` in `directory`, None if there is none.

    Raises OSError.
    """
    try:
        found = os.lstat(os.path.join(directory, name))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return entry(name, found) if stat.S_ISREG(found.st_mode) else None


def by_arrival(entry):
    """The key to sort entries by: what came first, and of the same moment by name.

    The number tells, not the time; what has none yet, as no run has seen it, comes last.
    """
    return entry.number or math.inf, entry.arrived, entry.name


def by_name(entry):
    """The key to sort entries by name."""
    return entry.name


def _kind(mode):
    return next((words for test, words in _KINDS if test(mode)), 'a device')
