"""The order of what comes into a spool: numbers that only grow, told by no clock.

Each version of a file has one, see `zeit.cds.entries`; larger than those of all versions that came
before it.  Who puts a file, votes, or brings one back takes a number from the journal and gives the
file its name under one lock, so that of two files of one name the one that remains has the larger
number.  What appears by a rename of somebody else gets its number when a run first sees it.  What
waits no more has it in its receipt, or beside the parked file.
"""

import contextlib
import dataclasses
import errno
import logging
import os
import stat

from zeit.cds import entries, files, indoubt, journal
from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.filing import FILING, PRIVATE
from zeit.cds.parking import Parking
from zeit.cds.text import printable


log = logging.getLogger(__name__)

OUTBOX = os.path.join(PRIVATE, 'outbox')


class Sequence:
    """The order of what comes into the spool at `path`."""

    def __init__(self, path):
        self._path = os.fspath(path)
        self._private = self._in(PRIVATE)
        self._parking = Parking(path, drafts=FILING)

    def __repr__(self):
        return f'<Sequence of {self._path!r}>'

    def _in(self, *segments):
        return os.path.join(self._path, *segments)

    def journal(self):
        """Return the `Journal` of a run."""
        return journal.Journal(self._private, floor=self._floor, needed=self._needed)

    @contextlib.contextmanager
    def visited(self, about=None):
        """Return a context manager: a `Journal`, for who is in no run, to add something.

        It knows what is written `about` something, see `zeit.cds.journal.visit`.  Raises
        `SpoolError`, `SpoolBusy`, OSError.
        """
        found = os.stat(self._path)
        if not os.path.lexists(self._private):
            # The user of the runs must be able to write into it.
            if found.st_uid != os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self._private)
            files.make_directory(self._private, like=self._path)
        with journal.visit(self._private, floor=self._floor, about=about) as visited:
            yield visited

    @contextlib.contextmanager
    def numbers(self, names=(), remembered=None):
        """Return a context manager: inside of it this is the only one that gives `Numbers`.

        `remembered` is the `Journal` of a run, which knows all; outside of one, None, it is known
        what concerns the files with these `names`.
        """
        if remembered is not None:
            with remembered.log.locked():
                yield Numbers(remembered)
        else:
            with self.visited({'name': names} if names else None) as visited:
                yield Numbers(visited)

    def place(self, draft, name, told):
        """Give a draft its name in `new/`, and a number, so that the last of several has the last.

        Who cannot write the sequence gets none: a run that sees the file gives it one.  Who was
        stopped so long that a run went on without it stands back behind what has come since.
        """
        number = None
        with contextlib.suppress(OSError, SpoolBusy, SpoolError):
            while True:
                with self.numbers([name]) as numbers:
                    if number is not None and numbers.has_newer(name, number):
                        os.unlink(draft)
                        return
                    if 'content' in told:
                        self._compare(numbers, name, told['content'])
                    version = entries.standing(*os.path.split(draft)).version
                    number = numbers.note(name, version, told=told)
                    if numbers.are_ours():
                        os.replace(draft, self._in('new', name))
                        return
        os.replace(draft, self._in('new', name))

    def _compare(self, numbers, name, content):
        """Say if what is replaced in `new/` is a file of other content, and no earlier version."""
        there = entries.standing(self._in('new'), name)
        other = there and numbers.content(there)
        if other and other != content:
            log.warning(
                'Two contents have the same name for their file, %s: that of %s, which waits, is '
                'replaced by that of %s.',
                printable(name),
                printable(other),
                printable(content),
            )

    def begin(self, remembered):
        """Let the numbers of the run with this `Journal` be above all that are known."""
        if remembered.is_copy:
            with self.numbers(remembered=remembered) as numbers:
                numbers.reach(self._floor(0))

    def _floor(self, told):
        """Return the largest number that is known; `told` is that of the journal.

        What was written last into the history tells whether an old journal has come back.
        """
        history = journal.history(self._private)
        if told and history.sequence(latest=True) <= told:
            return told
        found = [told, history.sequence(), *self._parking.numbers()]
        return max(found + indoubt.numbers(self._in(OUTBOX)))

    def _needed(self, remembered):
        """Return the rows of the versions that wait, may be put there, or lack their receipt."""
        there = entries.scan(self._in('new'))[0] + entries.scan(self._in(FILING))[0]
        waiting = {(entry.name, entry.version) for entry in there}
        voted = indoubt.names(self._in(OUTBOX))
        sent = {row.get('sequence') for row in remembered.find('uploads')}
        return [
            row
            for row in remembered.find('versions')
            if (row['name'], tuple(row['version'])) in waiting
            or row['sequence'] in sent
            # What has come since the vote is newer than what was voted for.
            or (row['name'] in voted and row['sequence'] == remembered.latest[row['name']])
        ]

    def numbered(self, found, remembered=None):
        """Return the entries `found` with their numbers, and what the application has told of them.

        Each of them gets a number in a run, of which `remembered` is the `Journal`; without it this
        only looks.
        """
        if not found:
            return []
        if remembered is not None:
            with self.numbers(remembered=remembered) as numbers:
                known = numbers.known()
                if any((entry.name, entry.version) not in known for entry in found):
                    # Once more: what was there may have been replaced until it is locked.
                    known = numbers.see(entries.scan(self._in('new'))[0])
                numbers.sync()
        else:
            remembered = journal.Journal(self._private)
            with contextlib.suppress(SpoolError):  # who only looks may have no right to see it
                remembered.look(table='versions')
            known = Numbers(remembered).known()
        numbers = [known.get((entry.name, entry.version), 0) for entry in found]
        return [
            dataclasses.replace(entry, number=number, **remembered.told(number))
            for entry, number in zip(found, numbers, strict=True)
        ]


class Numbers:
    """The numbers in a `zeit.cds.journal.Journal`, which is locked as long as they are given."""

    def __init__(self, journal):
        self._journal = journal

    def __repr__(self):
        return f'<Numbers in {self._journal!r}>'

    def known(self):
        """Return the numbers of what waits by (name, version): a dict."""
        rows = [row for row in self._journal.find('versions') if not row.get('moved')]
        return {(row['name'], tuple(row['version'])): row['sequence'] for row in rows}

    def newest(self):
        """Return the largest number of each name, as far as it is known: a dict."""
        return self._journal.latest

    def content(self, entry):
        """Return the id of the content that waits as `entry`, '' if it is not known."""
        number = self.known().get((entry.name, entry.version), 0)
        return self._journal.told(number).get('content', '')

    def note(self, name, version, *, number=None, kind='put', told=None):
        """Give a version the next number, or the `number` that it had; return it.

        `told` is what the application has told of it, see `zeit.cds.kinds.told`.
        """
        return self.note_all([(name, version, told or {})], number=number, kind=kind)[0]

    def note_all(self, versions, *, number=None, kind='put'):
        """Do that, by one write, for several (name, version, told); return their numbers."""
        rows = [
            {'sequence': number, 'name': name, 'version': [*version], **told}
            for name, version, told in versions
        ]
        return [entry['sequence'] for entry in self._journal.note_all(kind, rows)]

    def are_ours(self):
        """Return whether nobody else gives numbers, as a run has not waited for this process."""
        return self._journal.log.is_current()

    def has_newer(self, name, number):
        """Return whether something newer than `number` has, or had, this name."""
        newest = self._journal.newest_delivered(name, above=number) or {'sequence': 0}
        return max(newest['sequence'], self.newest().get(name, 0)) > number

    def see(self, entries):
        """Give those of `entries` that have none a number, in the order of their arrival.

        Returns what `known` does then; what is new in it survives a loss of power.
        """
        known = self.known()
        unknown = [each for each in entries if (each.name, each.version) not in known]
        unknown.sort(key=lambda each: (each.arrived, each.name))
        if unknown:
            versions = [(each.name, each.version, {}) for each in unknown]
            found = self.note_all(versions, kind='seen')
            known |= {each[:2]: number for each, number in zip(versions, found, strict=True)}
            self.sync()
        return known

    def sync(self):
        """Let all numbers survive a loss of power."""
        self._journal.log.sync()

    def leave(self, versions):
        """Forget these versions, (number, name): they wait no more."""
        for number, name in versions:
            self._journal.note('left', sequence=number, name=name)

    def reach(self, number):
        """Let the next number be larger than `number`."""
        if number > self._journal.log.largest:
            self._journal.note('raised', sequence=number)
