"""What a spool remembers: a journal that is only ever appended to, and durable line by line.

It answers two questions.  *Is this ours?*  Every token is written down before anything that
carries it is made on a server; so the next run of the same spool, which holds the spool's lock and
thereby knows that no other run lives, may clean up what it finds under a token that is in here.
*How often has it failed?*  Only what is open or counted is carried on when the file has grown.
What has happened, receipts above all, is in `zeit.cds.journal.history` before it is here; so that
is written lazily: a run after a loss of power finds the receipt.

One line is one entry, a JSON object with `kind` and `at` (ISO 8601, UTC), and, where it is about a
version of a file, `sequence`, its number (see `zeit.cds.spool.sequence`).  `zeit.cds.journal.kinds`
says what an entry does to tables: it opens a row, which is the entry itself, changes or closes
others.  Most are written by a run; whoever puts a file, or publishes, adds some, too.

A file that was copied, with the spool around it, or restored, is known as one (see
`zeit.cds.journal.append_log`): its tokens are the original's, and nothing is adopted before a
person says so (see `zeit.cds.journal.copied_spool`).
"""

import contextlib
import itertools
import logging
import math
import os
import weakref
from types import MappingProxyType

import zope.interface

from zeit.cds import names
from zeit.cds.errors import SpoolError
from zeit.cds.interfaces import ILedger
from zeit.cds.journal import append_log, creation_time
from zeit.cds.journal.append_log import number_of
from zeit.cds.journal.copied_spool import KEPT, Disowned
from zeit.cds.journal.history import History, ago
from zeit.cds.journal.kinds import COUNTS, KINDS, TABLES, check, lines, told
from zeit.cds.journal.packed import Packed
from zeit.cds.system import files


log = logging.getLogger(__name__)

#: Where journal and history are, in the spool's own directory.
JOURNAL = 'journal'
HISTORY = 'history'

#: How a month is called of which some lines are gone.
PART = '{} (in part)'

#: What an earlier build had beside them.
_BEFORE = 'sequence', 'runs', 'unpublished'

#: How many of the latest tokens are still known as ours when a file has been made anew.  Older ones
#: could only be met again if a command of a long dead session arrived.
TOKENS = 200

#: How many of the latest retractions are: whoever publishes looks whether one came meanwhile.
RETRACTIONS = 50

#: How many seconds what was found out about a server is believed: servers and firewalls change.
BELIEVED = 24 * 60 * 60

#: What the row of 'damage' begins with.
_SOUND = MappingProxyType({'kind': 'damaged', 'lines': 0, 'missing': []})

#: The tables that have a row for each file that waits.
MANY = ('versions',)

#: What of a receipt is in the journal as well.
_BRIEF = 'target', 'name', 'sequence', 'size'


class Journal:
    """The journal in `directory`; a context manager.

    Only one process may be inside at a time: the spool's lock must be held.  To look needs no lock
    (`read`), nor does adding something (`visit`).  All methods that write return when the entry is
    on the disk (see `together`), and raise `SpoolError` if it does not get there.  `totals` has by
    name how much there was in all.

    `floor`, given the largest number that the file tells, returns the one that new ones are to be
    larger than; `needed`, which is called with this one, what of the table 'versions' matters
    later; `number()` the next number, where they are not given here.  Who only looks may want the
    rows of some `tables` alone.  `acknowledges`: a person knows what is damaged, and nobody is told
    any more.
    """

    def __init__(
        self,
        directory,
        *,
        limit=None,
        floor=lambda told: told,
        needed=None,
        number=None,
        tables=tuple(TABLES),
        acknowledges=False,
    ):
        self._acknowledges = acknowledges
        self._directory = directory
        self._wanted = tables
        self._needed = needed or (lambda journal: journal.find('versions'))
        # All that it knows is to go with the last one who uses it, not when garbage is collected.
        own = weakref.proxy(self)
        self.log = append_log.JSONLog(
            os.path.join(directory, JOURNAL),
            limit=limit or append_log.LIMIT,
            learn=lambda entry: own.learn(entry),
            forget=lambda: own._forget(),
            floor=floor,
            begin=lambda largest: own._begin(largest),
        )
        self.history = history(directory)
        #: Whether it was copied or restored, or nobody knows, and that is not written down yet.
        self.is_copy = False
        #: The file that came in last: its name, and when that was (ISO 8601); None without one.
        self.newest = None
        #: Whether there is anything in it.
        self.began = False
        self._number = number
        self._forget()

    def _forget(self):
        #: The rows of each table, by key, in the order of time.
        self._tables = {name: Packed() if name in MANY else {} for name in self._wanted}
        self.totals = dict.fromkeys(COUNTS, 0)
        #: What the original has left on servers, if this is a copy, or may be one.
        self._disowned = Disowned(self._directory)
        #: The largest number of each name that an entry has, but for what gives numbers.
        self._latest = {}

    def __repr__(self):
        return f'<Journal in {self.log!r}>'

    def __enter__(self):
        try:
            require_current(self._directory)
            self.log.open()
            self.renew()
            self._disowned.warn()
            damage = self.row('damage')
            if damage and self._acknowledges:
                self.note('acknowledged')
            elif damage and damage['missing']:
                advice = f'zeit-cds journal verify --acknowledge --spool {self._disowned.spool}'
                gone = ', '.join(damage['missing'])
                log.warning('Gone from .cds: %s. When you know why: %s', gone, advice)
        except BaseException:
            self.log.close()
            raise
        return self

    def __exit__(self, *exc_info):
        self.log.close()
        self._forget()

    def renew(self):
        """Replace the file where that is due, after `log.recognise`."""
        before, damage = self.row('damage'), self.damage()
        if damage != before:
            # The file that replaces the damaged one has this from the beginning.
            self.learn(damage)
        if not self.log.is_own:
            self._disown()
        elif damage != before:
            self.compact()
        elif self.log.is_full:
            self._compact_if_there_is_room()

    def together(self):
        """Return a context manager: what is written inside is durable on leaving."""
        return self.log.together()

    def _begin(self, largest):
        """Return what a new one begins with: with a history, it is not the first.

        Nor is it if versions have had numbers, which the `largest` tells: parked files still do.
        """
        return [{**_SOUND, 'missing': [JOURNAL]}] if largest or self.history.months() else []

    def damage(self):
        """Return the row of what damage there is, also found just now, or None."""
        known = self.row('damage')
        row = known or _SOUND
        there, begun = self.history.sizes(), self.row('months') or {'months': []}
        gone = [month for month in begun['months'] if month not in there]
        gone += [PART.format(month) for month, size in begun.get('sizes', {}).items()
                 if there.get(month, size) < size]  # fmt: skip
        lost = [JOURNAL] if there and not self.began else []
        lines, missing = row['lines'] + self.log.damaged, sorted({*row['missing'], *gone, *lost})
        return {**row, 'lines': lines, 'missing': missing} if known or lines or missing else None

    @property
    def is_restored(self):
        """True if it was copied or restored, until a person has acknowledged that."""
        return self.log.is_own is False or (self.row('damage') or {}).get('restored', False)

    def begin_history(self, *, keep):
        """Let the history of this month begin, and know its months; `keep`: see `expired`.

        Of each but the last it knows the size, so that it is noticed if lines of it are gone.
        """
        self.history.begin()
        expired = self.history.expired(keep=keep)
        there = {m: size for m, size in self.history.sizes().items() if m not in expired}
        row = self.row('months') or {}
        known = row.get('sizes', {})
        # The last one still grows; others do where the clock of another process is behind.
        closed = {month: min(there[month], known.get(month, math.inf)) for month in [*there][:-1]}
        if (row.get('months'), known) != ([*there], closed):
            for month in closed.keys() - known:
                self.history.sync(month)  # else a loss of power would look like damage
            self.note('months', months=[*there], sizes=closed)
        self.history.remove(expired)

    def at(self, url):
        """Return the `View` of the target `url`."""
        return View(self, url)

    # Entries

    def note(self, kind, **fields):
        """Add an entry of `kind`, one of `KINDS`, with these fields; return it."""
        return self.note_all(kind, [fields])[0]

    def note_all(self, kind, rows):
        """Add entries of `kind` by one write, with the fields of `rows`; return them, a list."""
        if self._number is not None:
            rows = [
                {**row, 'sequence': self._number()} if row.get('sequence', 0) is None else row
                for row in rows
            ]
        entries = self.log.extend(kind, rows, lazily=KINDS[kind].lazily)
        for entry in entries:
            self._know(KINDS[kind], entry)
        return entries

    def receipt(self, kind, *entries):
        """Write receipts of `kind` (dictionaries), then close here what was open."""
        self.record(kind, *({**entry, **self.told(number_of(entry))} for entry in entries))
        self._close_all(kind, entries)

    def record(self, kind, *entries, lazily=False):
        """Add entries (dictionaries) of `kind` to the history; `lazily` as in `History.add`."""
        # With that a search for newer versions than one need not read all of it.
        with self.log.locked():
            known = {'kind': kind, 'largest': self.log.largest}
        self.history.add(*({**known, **entry, **self._notice(entry)} for entry in entries),
                         lazily=lazily)  # fmt: skip

    def _notice(self, entry):
        """Return what tells that an entry is about a file that tells of a retraction, or {}."""
        known = 'notices' in self._tables and self.row('notices', number_of(entry)) is not None
        return {'notice': True} if known else {}

    def close(self, kind, entry, *, since):
        """Close what was open if its receipt was written by a run that was killed then.

        `since`: when it was opened (ISO 8601).  Returns whether it has its receipt.
        """
        # The name that it got may be another one.
        wanted = {'kind': kind, **entry, 'filed_as': None}
        number = number_of(entry)
        # These tell it for sure, whatever a clock did meanwhile.
        if 'temporary' in entry:
            about = {'temporary': entry['temporary']}
        elif number:
            about = {'name': entry['name'], 'above': number - 1}
        else:
            about = {'name': entry['name'], 'since': since}
        found = self.history.find(**about)
        found = [each for each in found if wanted.items() <= {**each, 'filed_as': None}.items()]
        if not found:
            return False
        # The killed run may not have come to make it durable.
        try:
            self.history.sync(found[0]['at'][:7])
        except SpoolError as error:
            # The next time that would say nothing: it has to be written anew.
            log.warning('A receipt is written once more: %s', error.message)
            return False
        self._close_all(kind, [entry])
        return True

    def _close_all(self, kind, entries):
        with self.together():
            for entry in entries:
                brief = {field: entry[field] for field in _BRIEF if field in entry}
                self.note(kind, **brief)

    def learn(self, entry):
        """Know an entry (a dictionary) of the journal; what is damaged is left out."""
        try:
            self.know(entry)
        except (KeyError, TypeError, ValueError):
            log.warning('An entry of the journal is damaged and left out: %s', entry)
            self.log.damaged += 1

    def know(self, entry):
        """Do the same; raises KeyError, TypeError, ValueError for what is damaged."""
        self._know(check(entry), entry)

    def _know(self, effect, entry):
        """Know an entry that is in order, as those are that were made here."""
        kind = entry['kind']
        self.began = True
        name, number = entry.get('name'), number_of(entry)
        if name is not None and self._disowned.entries:
            self._disowned.supersede(entry)
        if kind == 'totals':
            self.totals |= {count: entry.get(count, 0) for count in COUNTS}
            self.newest = entry.get('newest')
        elif kind == 'disowned':
            self._disowned.entries.append(entry)
        elif kind != 'journal':
            self._apply(effect, entry)
            if effect.opens not in MANY and name is not None:
                if number > self._latest.get(name, 0):
                    self._latest[name] = number

    def _apply(self, kind, entry):
        if kind.counts:
            self._count(kind.counts, entry)
        for table in kind.closes:
            if table in self._tables:
                self._close(table, entry)
        if kind.changes in self._tables:
            rows, key = self._tables[kind.changes], _key(kind.changes, entry)
            if key in rows:
                changed = {field: entry.get(field, value) for field, value in kind.sets.items()}
                rows[key] = {**rows[key], **changed}
        if kind.opens in self._tables:
            rows, key = self._tables[kind.opens], _key(kind.opens, entry)
            if key in rows:
                del rows[key]
            rows[key] = {**kind.sets, **entry} if kind.sets else entry

    def _close(self, table, entry):
        rows = self._tables[table]
        if not rows:
            return
        try:
            keys = [_key(table, entry)]
        except KeyError:  # it is about the file, whichever the target
            keys = [key for key, row in rows.items() if row['name'] == entry['name']]
        for key in keys:
            if key in rows:
                del rows[key]

    def _count(self, name, entry):
        self.totals[name] += 1
        if f'{name}_bytes' in self.totals:
            self.totals[f'{name}_bytes'] += entry.get('size', 0)
        if name == 'received':
            self.newest = entry['name'], entry['at']

    def find(self, table, **wanted):
        """Return the rows of `table` that have these values, in the order of time: a list."""
        rows = self._tables[table]
        if table in MANY:
            return rows.find(**wanted)
        return [row for row in rows.values() if wanted.items() <= row.items()]

    def each(self, table):
        """Yield the rows of `table`, in the order of time."""
        yield from self._tables[table].values()

    def versions(self):
        """Yield (number, name, version) of each version that waits, as is known: last one first."""
        fields = 'sequence', 'name', 'version', 'moved'
        rows = self._tables['versions'].columns(*fields, backwards=True)
        for number, name, version, moved in rows:
            if not moved:
                yield number, name, version

    def having(self, *fields):
        """Yield the rows of the versions that have one of these fields, in the order of time."""
        return self._tables['versions'].having(*fields)

    def latest(self, names):
        """Return the largest number of each of the `names` that an entry has: a dictionary."""
        found = {}
        for name in names:
            numbers = [row['sequence'] for row in self.find('versions', name=name)]
            number = max(self._latest.get(name, 0), *numbers, 0)
            if number:
                found[name] = number
        return found

    def row(self, table, *key):
        """Return the row with this key, or None."""
        return self._tables[table].get(key)

    def told(self, number):
        """Return what the application has told of the version with this number: a dictionary."""
        return told(self.row('versions', number) or {})

    def newest_delivered(self, name, *, above=0, history=None):
        """Return the receipt of the newest version of `name` that was delivered, or None.

        Its number tells which one that is, no clock; one that is not `above` may be left out.  It
        is searched for in the `history`, by default this one's.
        """
        found = (history or self.history).find(name=name, kind='delivered', above=above)
        newest = max(found, key=number_of, default=None)
        return None if newest is None else {**newest, 'sequence': number_of(newest)}

    # Several partners

    @property
    def is_shared(self):
        """True if it is that of a spool with several partners."""
        return self.log.version == append_log.SHARED

    def share(self):
        """Let it be one of a spool with several partners, which an earlier build refuses."""
        if not self.is_shared:
            self.log.version = append_log.SHARED
            self.compact()

    def forget(self, targets):
        """Forget what is open on these `targets`, URLs, and how runs ended: others know it now."""
        tables = [(table, rows) for table, rows in self._tables.items() if table not in MANY]
        rows = [(table, key, row) for table, rows in tables for key, row in rows.items()]
        found = [
            (table, key)
            for table, key, row in rows
            if row.get('target') in targets or table in ('runs', 'failed')
        ]
        for table, key in found:
            del self._tables[table][key]
        if found:
            self.compact()

    # A new file

    def compact(self):
        """Replace the file by a new one, with what is still needed only."""
        self.log.compact(self._all)

    def _compact_if_there_is_room(self):
        """Do that, or keep the file: there may be room for some lines, but not for another file."""
        try:
            self.compact()
        except SpoolError as error:
            if not isinstance(error.__cause__, OSError) or not files.is_full(error.__cause__):
                raise
            log.warning('There is no room to make the journal anew; it goes on: %s', error.message)

    def _all(self):
        totals = {'kind': 'totals', **self.totals, 'newest': self.newest}
        rows = itertools.chain.from_iterable(map(self._carried, TABLES))
        # In this order: a row supersedes what is disowned, and was counted before.
        return itertools.chain(rows, self._disowned.entries, [totals])

    def _carried(self, table):
        rows = self._needed(self) if table == 'versions' else self.find(table)
        if table == 'tokens':
            rows = [row for row in rows if row['target'] or not row['clean']]
            latest = len(rows) - TOKENS
            rows = [row for n, row in enumerate(rows) if n >= latest or not row['clean']]
        if table == 'retracted':
            rows = rows[-RETRACTIONS:]
        return rows

    # A copy

    def _disown(self):
        """Begin anew: what is open on a server is the original's until a person says otherwise."""
        disowned = self._disowned
        disowned.take(self._carried, is_own=self.log.is_own)
        kept = [row for table in KEPT for row in self.find(table)]
        kept += self.find('tokens', target='', clean=False)
        self.is_copy = True
        self._forget()
        self._disowned = disowned
        for entry in kept:
            self.learn(entry)
        if self.log.is_own is False and not disowned.entries:
            # Else a person gets to know it where he adopts that.
            self.learn({**(self.row('damage') or _SOUND), 'restored': True})
        self.compact()

    @property
    def disowned(self):
        """The targets on which the original of a copy may have left something: a sorted list."""
        return self._disowned.targets

    def adopt(self, *, forget=False):
        """Take what is `disowned` for our own, or `forget` it."""
        entries, self._disowned.entries = self._disowned.entries, []
        for entry in () if forget else entries:
            self.learn(entry['entry'])
        self.compact()

    # Tokens

    def new_token(self, target):
        """Return a token that is written down as ours on `target` (str, which one)."""
        token = names.new_token()
        self.note('token', token=token, target=target)
        return token

    def open_tokens(self, target):
        """Return the tokens, in the order of time, that may have left something on `target`."""
        return [row['token'] for row in self.find('tokens', target=target, clean=False)]


@zope.interface.implementer(ILedger)
class View:
    """What a `journal` knows of one target, `url`; see `ILedger`."""

    def __init__(self, journal, url):
        self.journal = journal
        self.url = url

    def __repr__(self):
        return f'<View of {self.url} in {self.journal!r}>'

    def together(self):
        """See `ILedger`."""
        return self.journal.together()

    def note(self, kind, name, **fields):
        """See `ILedger`."""
        self.journal.note(kind, target=self.url, name=name, **fields)

    def receipt(self, kind, *entries):
        """See `Journal.receipt`."""
        self.journal.receipt(kind, *({'target': self.url, **entry} for entry in entries))

    def close(self, kind, entry, *, since):
        """See `Journal.close`."""
        return self.journal.close(kind, {'target': self.url, **entry}, since=since)

    def learned(self):
        """Return what a run has found out about the server, as long as it is believed, else {}."""
        row = self.journal.row('learned', self.url)
        return row['known'] if row and ago(BELIEVED) <= row['at'] <= ago(0) else {}

    def rows(self, table):
        """Return the rows of `table` by the names of the files, in the order of time."""
        return {row['name']: row for row in self.journal.find(table, target=self.url)}

    def row(self, table, name):
        """Return the row of the file `name`, or None."""
        return self.journal.row(table, self.url, name)


def _key(table, entry):
    return tuple(map(entry.__getitem__, TABLES[table]))


def history(private):
    """Return the `History` of the spool whose own directory is `private`."""
    return History(os.path.join(private, HISTORY), like=private)


def require_current(private):
    """Raise `SpoolError` if what is in `private` is of a build that had more than one journal."""
    paths = [os.path.join(private, name) for name in _BEFORE]
    there = [path for path in paths if os.path.lexists(path)]
    if os.path.isfile(journal := os.path.join(private, JOURNAL)):
        there.append(journal)
    if there:
        raise append_log.of_another_build(*there)


def latest(private, *, before):
    """Return the largest number that was given `before` then (ISO 8601), as far as is known."""
    found = append_log.entries(os.path.join(private, JOURNAL))
    there = (each for each in found if each and str(each.get('at', 'x')) <= before)
    return max(map(number_of, there), default=0)


@contextlib.contextmanager
def visit(private, *, floor, number=None, about=None, busy=None):
    """Return a context manager: a locked `Journal` for a process that is not in a run.

    It knows what is written `about` something, a dictionary for `zeit.cds.journal.kinds.lines`, by
    default nothing; and what is added to it.  `floor` and `number` as in `Journal`, `busy` as in
    its log.  Raises `SpoolError`, `SpoolBusy`.
    """
    require_current(private)
    found = Journal(private, floor=floor, number=number)
    found.log.busy = busy
    with contextlib.closing(found.log):
        if about is not None:
            found.log.look(lines(**about))
        with found.log.locked():
            yield found


def read(private, *, tables=tuple(TABLES), having=None, **about):
    """Return a `Journal` that knows what is written in `private` now; it cannot be written.

    Only rows of these `tables`, and only what is written `about` something, see
    `zeit.cds.journal.kinds.lines`, or in lines `having` a pattern.  It needs neither a lock nor the
    right to write.  Raises `SpoolError`.
    """
    require_current(private)
    found, path = Journal(private, tables=tables), os.path.join(private, JOURNAL)
    for entry in append_log.entries(path, having=having or lines(**about)):
        if entry is None:
            found.log.damaged += 1
            continue
        if entry.get('kind') == 'journal':
            written = os.path.join(path, append_log.NAME), path
            found.log.is_own = creation_time.is_own(entry, *written)
            found.is_copy = not found.log.is_own
        found.learn(entry)
    return found


def versions(private):
    """Yield (number, name, version) of what got a number, as far as the journal has it still.

    The last one first.  It is faster than `read`, and takes little memory, as it does not tell what
    has become of it.  Raises `SpoolError`.
    """
    require_current(private)
    path = os.path.join(private, JOURNAL)
    for entry in append_log.latest_entries(path, having=lines(kinds=['put', 'seen'])):
        match entry:  # what is damaged is left out
            case {'sequence': int(number), 'name': str(name), 'version': [int(), int(), int()]}:
                yield number, name, (*entry['version'],)
