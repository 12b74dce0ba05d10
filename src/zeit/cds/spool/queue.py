"""What waits in a spool, in order: the names of all, and no more than that of most.

A hundred thousand files may wait.  What a run knows of a file, such as its `IEntry`, takes much
more memory than its name, and time; so that comes when it is nearly the turn of the file.
"""

import array
import bisect
import itertools
import re
import stat
from typing import NamedTuple

from zeit.cds.journal import journal
from zeit.cds.journal.kinds import SCHEDULE, told
from zeit.cds.spool import entries
from zeit.cds.spool.entries import Entry


class Queue(NamedTuple):
    """What waits.

    `names`: a list, in the order in which the files go.  `ignored`: what never goes, and why.
    `notable`: an `IEntry` of each file of which more matters before it is its turn: that has a
    priority or a time, or is of the same content as one that has, or has a name that was asked for;
    in their sequence.  Only the name, version and number of these, and what was told, is right.
    """

    names: list
    ignored: list
    notable: list

    @classmethod
    def sorted(cls, names, *others, order):
        """Return the `Queue` of `names` in sequence, in an `order` of `ISpool.pending`."""
        return cls(sorted(names) if order == 'name' else names, *others)


class Files:
    """The files in `directory`, as they are now: by name which version of the file each is.

    Only those with `wanted(name, inode)`; `ignored` are the others, as in `entries.scan`.  It takes
    little memory.  Raises OSError.
    """

    def __init__(self, directory, *, wanted=None):
        self._directory = directory
        self._places, self._versions, self._times = {}, array.array('q'), array.array('d')
        self._inodes, self.inodes = array.array('Q'), None
        self.ignored = []
        add_version, add_time = self._versions.append, self._times.append
        add_inode = self._inodes.append
        for name, status in entries.statuses(directory, wanted=wanted):
            if status is None:
                continue
            if stat.S_ISREG(status.st_mode):
                self._places[name] = len(self._times)  # a directory may show a name twice
                add_version(hash((status.st_ino, status.st_size, status.st_mtime_ns)))
                add_time(status.st_ctime)
                add_inode(status.st_ino)
            else:
                self.ignored.append(entries.why_ignored(name, status))
        self.ignored.sort()

    def __repr__(self):
        return f'<{len(self._places)} files in {self._directory!r}>'

    def in_sequence(self, versions):
        """Return (names, numbers): what has a number, by that, and then the others by arrival.

        `versions` are (number, name, version), of whichever files, no more of which are read than
        needed.  May be called once; `inodes` are those of the names then.
        """
        names, numbers, places = [], array.array('Q'), array.array('q')
        for number, name, version in versions:
            place = self._places.get(name)
            if place is None or self._versions[place] != hash((*version,)):
                continue
            del self._places[name]  # that is another string, and there may be many
            names.append(name)
            numbers.append(number)
            places.append(place)
            if not self._places:
                break
        for each in names, numbers, places:
            each.reverse()
        if any(a > b for a, b in itertools.pairwise(numbers)):
            order = sorted(range(len(numbers)), key=numbers.__getitem__)
            names = [names[at] for at in order]
            numbers, places = (
                array.array(each.typecode, (each[at] for at in order)) for each in (numbers, places)
            )
        others = sorted(self._places)
        others.sort(key=lambda name: self._times[self._places[name]])
        places.extend(self._places[name] for name in others)
        self.inodes = array.array('Q', (self._inodes[place] for place in places))
        return names + others, numbers


def merge(names, numbers, found):
    """Put the entries `found`, which have numbers, where they belong among `names`.

    What is in both is what has the larger number; one without is newer than all.
    """
    there = {*names}
    for entry in found:
        if entry.name in there:
            place = names.index(entry.name)
            if place >= len(numbers) or numbers[place] > entry.number:
                continue
            del names[place], numbers[place]
        place = bisect.bisect(numbers, entry.number)
        names.insert(place, entry.name)
        numbers.insert(place, entry.number)


def is_plain(private):
    """See `ISpool`; of the journal in `private`."""
    return not _rows(private, having=_SCHEDULED)


def notable(private, directory, names, numbers, *, fits):
    """Return the entries that a `Queue` of these `names` calls so.

    The first of them have the `numbers` by the journal in `private`; `fits(name)` tells whether a
    name is asked for, None if none is.  Raises OSError, `SpoolError`.
    """
    wanted = {*filter(fits, names)} if fits else set()
    fitting = [name for name in names[len(numbers) :] if name in wanted]
    wanted |= {row['name'] for row in _rows(private, having=_SCHEDULED)}
    rows = _rows(private, name=[*wanted])
    contents = {row['content'] for row in rows if 'content' in row}
    if contents:
        wanted |= {row['name'] for row in _rows(private, content=[*contents])}
        rows = _rows(private, name=[*wanted])
    waiting = [row for row in rows if _is_in(numbers, row['sequence']) and not row.get('moved')]
    waiting.sort(key=lambda row: row['sequence'])
    found = [_entry(row) for row in waiting]
    return found + [*filter(None, (entries.find(directory, name) for name in fitting))]


#: Of these more than the number matters.
_SCHEDULED = re.compile('|'.join(f'"{field}": ' for field in SCHEDULE).encode('ascii'))


def _rows(private, **about):
    if not all(about.values()):
        return []
    return journal.read(private, tables=['versions'], **about).find('versions')


def _is_in(numbers, number):
    place = bisect.bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number


def _entry(row):
    version = tuple(row['version'])
    return Entry(row['name'], version[1], 0, version, row['sequence'], **told(row))
