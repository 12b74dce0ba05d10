"""What waits in a directory: which files will be sent, and what never will."""

import dataclasses
import errno
import math
import os
import stat

import zope.interface

from zeit.cds import names
from zeit.cds.interfaces import IEntry
from zeit.cds.spool import schedule


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
    priority: int = dataclasses.field(default=0, compare=False)
    not_before: str = dataclasses.field(default='', compare=False)
    not_after: str = dataclasses.field(default='', compare=False)

    @property
    def waits_since(self):
        """See `IEntry`."""
        return max(self.arrived, schedule.seconds(self.not_before) or 0)


def scan(directory):
    """Return what is in `directory`: (list of `IEntry`, ignored, hidden).

    `ignored` is a sorted list of (name, reason); `hidden` one of names that begin with a dot, but
    for the probes of `ISpool.require_filing`.  Only the inodes are looked at.  Raises OSError.
    """
    found, ignored, hidden = [], [], []
    for name, status in statuses(directory):
        if status is None:
            hidden += [] if names.is_probe(name) else [name]
        elif stat.S_ISREG(status.st_mode):
            found.append(entry(name, status))
        else:
            ignored.append(why_ignored(name, status))
    return found, sorted(ignored), sorted(hidden)


def statuses(directory, *, wanted=None):
    """Yield name and `os.stat_result` of what is in `directory`, None for what is hidden.

    Given `wanted(name, inode)`, only of that for which it is true: of others less is read.
    """
    with os.scandir(directory) as items:
        for item in items:
            name = item.name
            if names.is_hidden(name):
                yield name, None
            elif wanted is None or wanted(name, item.inode()):
                try:
                    status = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # taken away since the directory was read
                yield name, status


def why_ignored(name, status):
    """Return name and reason of what is no regular file, and so never sent."""
    return name, f'is {_kind(status.st_mode)}, not a regular file'


def entry(name, found):
    """Return the `IEntry` of a file with the `os.stat_result` `found`."""
    version = found.st_ino, found.st_size, found.st_mtime_ns
    return Entry(name, found.st_size, found.st_ctime, version)


def find(directory, name):
    """Return the `IEntry` of the regular file `name` in `directory`, None if there is none.

    Raises OSError.
    """
    found = _status(directory, name)
    return None if found is None else entry(name, found)


def is_there(directory, name):
    """Return whether there is a regular file `name` in `directory`.  Raises OSError."""
    return _status(directory, name) is not None


def _status(directory, name):
    try:
        found = os.lstat(f'{directory}/{name}')
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def has(directory, name, version):
    """Return whether that `version` of the file `name` is in `directory`.  Raises OSError."""
    found = find(directory, name)
    return found is not None and found.version == tuple(version)


def present(directory, names):
    """Return the `IEntry` of each of the `names` that is a regular file in `directory`, a list."""
    return [*filter(None, (find(directory, name) for name in names))]


def newest(*found):
    """Return the newest entry of each name, a dictionary: what has no number is newer than all."""
    newest = {}
    for each in found:
        known = newest.setdefault(each.name, each)
        if (each.number or math.inf) > (known.number or math.inf):
            newest[each.name] = each
    return newest


def by_arrival(entry):
    """The key to sort entries by: the number, then the time of arrival, then the name.

    Entries without a number, which no run has seen yet, come last.
    """
    return entry.number or math.inf, entry.arrived, entry.name


def by_name(entry):
    """The key to sort entries by name."""
    return entry.name


def _kind(mode):
    return next((words for test, words in _KINDS if test(mode)), 'a device')
