"""The order of what comes into a spool: numbers that only grow, told by no clock.

Each version of a file (see `zeit.cds.spool.entries`) has a number, larger than those of all earlier
versions.  Whoever puts a file, votes, or brings one back takes a number from the journal and gives
the file its name under one lock: so of two files with one name the one that remains has the larger
number.  A file that another program renames into `new/` gets its number when a run first sees it.
When a file has left `new/`, its number is in its receipt, or beside the parked file.
"""

import contextlib
import errno
import logging
import os
import stat
import time

from zeit.cds.errors import SpoolBusy, SpoolError, Withdrawn
from zeit.cds.journal import append_log, journal, kinds
from zeit.cds.journal.history import moment
from zeit.cds.spool import entries, queue, schedule, sharing, transactions_in_doubt
from zeit.cds.spool.delivered_files import is_published, was_published
from zeit.cds.spool.entries import Entry
from zeit.cds.spool.filing import FILING, PRIVATE
from zeit.cds.spool.parking import Parking
from zeit.cds.spool.queue import Queue
from zeit.cds.spool.runlock import RunLock
from zeit.cds.system import files, lock_holder
from zeit.cds.text import printable


log = logging.getLogger(__name__)

OUTBOX = os.path.join(PRIVATE, 'outbox')

#: How many versions get their numbers by one write: a spool may be full of them.
AT_ONCE = 1000


class Sequence:
    """The order of what comes into the spool at `path`.

    `number()` returns the next number of a version, where numbers are given elsewhere.
    """

    def __init__(self, path, *, number=None):
        self._path = os.fspath(path)
        self._number = number
        self._private = self._in(PRIVATE)
        self._parking = Parking(path, drafts=FILING)
        #: The journal, as `_place` tells it, that stayed locked, the `SpoolBusy` about it, and when
        #: that is believed no more, by time.monotonic(2).
        self._kept = None, None, 0

    def __repr__(self):
        return f'<Sequence of {self._path!r}>'

    def _in(self, *segments):
        return os.path.join(self._path, *segments)

    def journal(self, *, acknowledges=False):
        """Return the `Journal` of a run; `acknowledges` as there."""
        about = {'floor': self._floor, 'needed': self._needed, 'number': self._number}
        return journal.Journal(self._private, acknowledges=acknowledges, **about)

    @contextlib.contextmanager
    def visited(self, about=None):
        """Return a context manager: a locked `Journal`, to add something outside of a run.

        It knows what is written `about` something, see `zeit.cds.journal.journal.visit`.  Raises
        `SpoolError`, `SpoolBusy`, OSError.
        """
        found = os.stat(self._path)
        if not os.path.lexists(self._private):
            # The user of the runs must be able to write into it; what root makes is theirs.
            others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if os.geteuid() not in (0, found.st_uid) and not others:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self._private)
            files.make_directory(self._private, like=self._path)
        with contextlib.ExitStack() as stack:
            visited = self._visit(about, stack)
            yield visited
        if visited.log.is_full and not self._has_run():
            self._renew()

    def _visit(self, about, stack):
        """Enter that `Journal` into `stack`, and return it.

        If it stayed locked before, and nothing was added since, this does not wait once more, for a
        while: later somebody else may have it, for a moment.
        """
        place, (where, busy, until) = self._place(), self._kept
        busy = busy if place == where and time.monotonic() < until else None
        about = {'about': about, 'busy': busy}
        about |= {'floor': self._floor, 'number': self._number}
        try:
            return stack.enter_context(journal.visit(self._private, **about))
        except SpoolBusy as error:
            if busy is None:
                until = time.monotonic() + lock_holder.BELIEVED
                self._kept = place, SpoolBusy(error.message, hint=error.hint), until
            raise

    def _place(self):
        """Return what identifies the journal's file, and its size; None if there is none."""
        try:
            found = os.stat(os.path.join(self._private, journal.JOURNAL, append_log.NAME))
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino, found.st_size

    def _has_run(self):
        return RunLock(self._in(PRIVATE, 'lock'), like=self._path).owner() is not None

    def _renew(self):
        """Compact the journal, which is full, outside of a run.

        A spool without any runs would have a journal that grows without end.  No run begins
        meanwhile: it needs the journal's lock, too.
        """
        remembered = self.journal()
        try:
            with contextlib.closing(remembered.log):
                remembered.log.look()
                with remembered.log.locked():
                    if remembered.log.is_full and not self._has_run():
                        remembered.log.recognise()
                        remembered.renew()
                        self.begin(remembered)
        except (OSError, SpoolBusy, SpoolError) as error:
            log.debug('The journal goes on as it is: %s', error)

    @contextlib.contextmanager
    def numbers(self, names=(), remembered=None, *, content=''):
        """Return a context manager: `Numbers`, which nobody else can give meanwhile.

        `remembered` is the `Journal` of a run.  Outside of one, None, only what concerns the files
        with these `names` is known.
        """
        if remembered is not None:
            with remembered.log.locked():
                yield Numbers(remembered)
        else:
            about = {'name': names} if names else None
            about = {**about, 'id': [content]} if names and content else about
            with self.visited(about) as visited:
                yield Numbers(visited)

    def place_notice(self, notice, content, number, draft):
        """Do what `place` does with a `notice` that a content is retracted, by this `number`.

        Not if the partner does not have it, if it was published since, or if something newer has
        the name.  Raises OSError, `SpoolBusy`, `SpoolError`.
        """
        name, _, version = notice
        told = kinds.told({'content': content, 'content_version': version})
        content = told['content']
        while True:
            with self.visited({}) as visited:
                numbers = Numbers(visited)
                newer = was_published(visited, content, above=number)
                newer = newer or not is_published(visited, content, until=number)
                if newer or numbers.has_newer(name, number):
                    os.unlink(draft)
                    return
                # First of all: without it nobody would know that it is one.
                about = {'name': name, 'sequence': number, 'content': content}
                visited.record('notice', about)
                visited.note('notice', id=content, name=name, sequence=number)
                version = entries.find(*os.path.split(draft)).version
                numbers.note(name, version, number=number, told=told)
                if numbers.are_ours():
                    os.replace(draft, self._in('new', name))
                    return

    def place(self, draft, name, told):
        """Give a draft its name in `new/`, and a number.

        If the journal cannot be written it has no number until a run sees it.  If this process was
        stopped for so long that a run went on without it, a newer file of that name wins.
        Returns the notices, rows of the journal, that the content was retracted before: a list.
        """
        number, done, content = None, False, told.get('content', '')
        # It would go at once: what has a time is not put without it.
        without = () if schedule.is_timed(told) else (OSError, SpoolBusy, SpoolError)
        with contextlib.suppress(*without):
            while True:
                with self.numbers([name], content=content) as numbers:
                    if number is not None and numbers.has_newer(name, number):
                        done = True
                        os.unlink(draft)
                        return []
                    if 'content' in told:
                        self._compare(numbers, name, told['content'])
                    version = entries.find(*os.path.split(draft)).version
                    number = numbers.note(name, version, told=told)
                    if schedule.is_timed(told):
                        numbers.sync()  # before the file can be seen
                    if numbers.are_ours():
                        os.replace(draft, self._in('new', name))
                        done = True
                        return numbers.notices(content)
        if not done:  # else only giving back the lock has failed
            os.replace(draft, self._in('new', name))
        return []

    def _compare(self, numbers, name, content):
        """Warn if the file that is replaced in `new/` is of another content."""
        there = entries.find(self._in('new'), name)
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
        parked = [about['sequence'] for about in self._parking.content().values()]
        voted = transactions_in_doubt.numbers(self._in(OUTBOX))
        return max([told, history.sequence(), *parked, *voted, *sharing.numbers(self._path)])

    def _needed(self, remembered):
        """Yield the rows of the versions that wait, may be put there, or lack their receipt."""
        # In this order: what goes from the one to the other is seen.
        places = self._in('new'), self._in(FILING)
        voted = remembered.latest(transactions_in_doubt.names(self._in(OUTBOX)))
        sent = {row.get('sequence') for row in remembered.find('uploads')}
        for row in remembered.each('versions'):
            if (
                row['sequence'] in sent
                # What has come since the vote is newer than what was voted for.
                or row['sequence'] == voted.get(row['name'])
                or any(entries.has(place, row['name'], row['version']) for place in places)
            ):
                yield row

    def queue(self, remembered, *, order, notable):
        """Return the `Queue` of what waits, see `ISpool.queue`."""
        found = queue.Files(self._in('new'))
        names, numbers = found.in_sequence(remembered.versions())
        entries_ = queue.notable(self._private, self._in('new'), names, numbers, fits=notable)
        return Queue.sorted(names, found.ignored, entries_, order=order)

    def numbered(self, found, remembered):
        """Return the entries `found` as the function does; in a run, where each gets a number."""
        if not found:
            return []
        with self.numbers(remembered=remembered) as numbers:
            known = numbers.known({entry.name for entry in found})
            if any((entry.name, entry.version) not in known for entry in found):
                # Once more: what was there may have been replaced until it is locked.
                there = entries.present(self._in('new'), [entry.name for entry in found])
                known |= numbers.see(there)
            numbers.sync()
        return numbered(found, remembered, known=known)


def numbered(found, remembered, *, timed=False, known=None):
    """Return the entries `found` with the numbers that they have in a `Journal`, 0 without one.

    And with what the application has told of them.  `timed`: their time of arrival is that of the
    number, where the change of the inode tells when somebody has linked it.  `known`: the numbers,
    as `Numbers.known` returns them, if that was asked already.
    """
    if known is None:
        known = Numbers(remembered).known({entry.name for entry in found})
    numbers = [known.get((entry.name, entry.version), 0) for entry in found]
    times = [each.arrived for each in found]
    if timed:
        at = [moment((remembered.row('versions', number) or {}).get('at')) for number in numbers]
        times = [
            since.timestamp() if since else each
            for each, since in zip(times, at, strict=True)
        ]
    return [
        # dataclasses.replace(each, ...) takes three times as long, and many may wait.
        Entry(each.name, each.size, since, each.version, number, **remembered.told(number))
        for each, number, since in zip(found, numbers, times, strict=True)
    ]


class Numbers:
    """The numbers of files, in a `zeit.cds.journal.journal.Journal`, which is locked meanwhile."""

    def __init__(self, journal):
        self._journal = journal

    def __repr__(self):
        return f'<Numbers in {self._journal!r}>'

    def known(self, names):
        """Return the numbers of what waits by these names, by (name, version): a dict."""
        return {
            (name, tuple(row['version'])): row['sequence']
            for name in names
            for row in self._journal.find('versions', name=name)
            if not row.get('moved')
        }

    def newest(self, names):
        """Return the largest number of each of these `names`, as far as it is known: a dict."""
        return self._journal.latest(names)

    def content(self, entry):
        """Return the id of the content that waits as `entry`, '' if it is not known."""
        number = self.known({entry.name}).get((entry.name, entry.version), 0)
        return self._journal.told(number).get('content', '')

    def require_wanted(self, number):
        """Return the row of the version, {} without one; raise `Withdrawn` if it was recalled."""
        row = self._journal.row('versions', number) or {}
        if row.get('recalled'):
            raise Withdrawn(row['reason'])
        return row

    def notices(self, content):
        """Return the rows of what tells that this content is retracted: a list."""
        return self._journal.find('notices', id=content) if content else []

    def note(self, name, version, *, number=None, kind='put', told=None):
        """Give a version the next number, or the `number` that it had; return it.

        `told` is what the application has told of it, see `zeit.cds.journal.kinds.told`.
        """
        return self.note_all([(name, version, told or {})], number=number, kind=kind)[0]

    def note_all(self, versions, *, number=None, kind='put'):
        """Do that, by one write, for several (name, version, told); return their numbers."""
        rows = [
            {'sequence': number, 'name': name, 'version': version, **told}
            for name, version, told in versions
        ]
        return [entry['sequence'] for entry in self._journal.note_all(kind, rows)]

    def are_ours(self):
        """Return whether the lock is still ours: a run may have gone on without this process."""
        return self._journal.log.is_current()

    def has_newer(self, name, number):
        """Return whether something newer than `number` has, or had, this name."""
        newest = self._journal.newest_delivered(name, above=number) or {'sequence': 0}
        return max(newest['sequence'], self.newest({name}).get(name, 0)) > number

    def see(self, entries):
        """Give a number to each of `entries` that has none, in the order of arrival.

        Returns what `known` does then.  New numbers survive a loss of power.  What takes the place
        of a version with an embargo, or one that expires, has that as well.
        """
        entries = [*entries]
        known = self.known({each.name for each in entries})
        unknown = [each for each in entries if (each.name, each.version) not in known]
        unknown.sort(key=lambda each: (each.arrived, each.name))
        timed = self._journal.having(*schedule.TIMES) if unknown else ()
        timed = {
            row['name']: row for row in timed if schedule.is_timed(row) and not row.get('moved')
        }
        newest = self.newest(timed) if timed else {}
        inherited = {
            name: schedule.inherited(row)
            for name, row in timed.items()
            if row['sequence'] == newest[name]
        }
        for start in range(0, len(unknown), AT_ONCE):
            versions = [
                (each.name, each.version, inherited.get(each.name, {}))
                for each in unknown[start : start + AT_ONCE]
            ]
            found = self.note_all(versions, kind='seen')
            known |= {each[:2]: number for each, number in zip(versions, found, strict=True)}
        if unknown:
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
