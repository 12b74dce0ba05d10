"""What a spool remembers: a journal that is only ever appended to, and durable line by line.

It answers two questions.  *Is this ours?*  Every token is written down before anything that
carries it is made on a server; so the next run of the same spool, which holds the spool's lock and
thereby knows that no other run lives, may clean up what it finds under a token that is in here.
*How often has it failed?*  Only what is open or counted is carried on when the file has grown.
What has happened, receipts above all, is in `zeit.cds.history` before it is here; so that is
written lazily: a run after a loss of power finds the receipt.

One line is one entry, a JSON object with `kind` and `at` (ISO 8601, UTC), and, where it is about a
version of a file, `sequence`, its number (see `zeit.cds.sequence`).  `zeit.cds.kinds` says what an
entry does to tables: it opens a row, which is the entry itself, changes or closes others.  Most
are written by a run; who puts a file, or publishes, adds some, too.

A file that was copied, with the spool around it, or restored, is known as one (see
`zeit.cds.jsonlog`): its tokens are the original's, and nothing is adopted before a person says so.
"""

import contextlib
import logging
import os

import zope.interface

from zeit.cds import files, jsonlog, names
from zeit.cds.errors import SpoolError
from zeit.cds.history import History
from zeit.cds.interfaces import ILedger
from zeit.cds.jsonlog import number_of
from zeit.cds.kinds import COUNTS, FILE, KINDS, TABLES, check, lines, told
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Where journal and history are, in the spool's own directory.
JOURNAL = 'journal'
HISTORY = 'history'

#: What an earlier build had beside them.
_BEFORE = 'sequence', 'runs', 'unpublished'

#: So many of the latest tokens are still known as ours when a file has been made anew.  Older ones
#: could only be met again if a command of a long dead session arrived.
TOKENS = 200

#: The tables that tell what may be left on a server.
_CLAIMS = 'uploads', 'asides', 'exposed', 'arrivals'

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
    later.
    """

    def __init__(self, directory, *, limit=jsonlog.LIMIT, floor=lambda told: told, needed=None):
        self._directory = directory
        self._needed = needed or (lambda journal: journal.find('versions'))
        self.log = jsonlog.JSONLog(
            os.path.join(directory, JOURNAL),
            limit=limit,
            learn=self.learn,
            forget=self._forget,
            floor=floor,
            begin=self._begin,
        )
        self.history = history(directory)
        #: Whether it was copied or restored, or nobody knows, and that is not written down yet.
        self.is_copy = False
        #: The file that came in last: its name, and when that was (ISO 8601); None without one.
        self.newest = None
        #: Whether there is anything in it.
        self.began = False
        self._forget()

    def _forget(self):
        #: The rows of each table, by key, in the order of time.
        self._tables = {name: {} for name in TABLES}
        self.totals = dict.fromkeys(COUNTS, 0)
        #: What the original has left on servers, if this is a copy, or may be one: entries.
        self._disowned = []
        #: The largest number of each name that an entry has.
        self.latest = {}

    def __repr__(self):
        return f'<Journal in {self.log!r}>'

    def __enter__(self):
        try:
            require_current(self._directory)
            self.log.open()
            before, damage = self.row('damage'), self.damage()
            if damage != before:
                # What takes the place of the damaged file says so from its first moment on.
                self.learn(damage)
            if not self.log.is_own:
                self._disown()
            elif damage != before:
                self.compact()
            elif self.log.is_full:
                self._compact_if_there_is_room()
            if self._disowned:
                self._warn()
            if damage and damage['missing']:
                advice = f'zeit-cds journal verify --acknowledge --spool {self._shown}'
                gone = ', '.join(damage['missing'])
                log.warning('Gone from .cds: %s. When you know why: %s', gone, advice)
        except BaseException:
            self.log.close()
            raise
        return self

    def __exit__(self, *exc_info):
        self.log.close()

    def together(self):
        """Return a context manager: what is written inside is durable on leaving."""
        return self.log.together()

    def look(self, **about):
        """Know what is written now `about` this, see `zeit.cds.kinds.lines`; it needs no lock."""
        require_current(self._directory)
        path = os.path.join(self._directory, JOURNAL)
        for entry in jsonlog.entries(path, having=lines(**about)):
            if entry is None:
                self.log.damaged += 1
                continue
            if entry.get('kind') == 'journal':
                self.is_copy = not jsonlog.is_own(entry, os.path.join(path, jsonlog.NAME), path)
            self.learn(entry)

    def _begin(self):
        """Return what a new one begins with: with a history, it is not the first."""
        lost = {'kind': 'damaged', 'lines': 0, 'missing': [JOURNAL]}
        return [lost] if self.history.months() else []

    def damage(self):
        """Return the row of what damage there is, also found just now, or None."""
        row = self.row('damage') or {'kind': 'damaged', 'lines': 0, 'missing': []}
        there, known = self.history.months(), self.row('months') or {'months': []}
        gone = [month for month in known['months'] if month not in there]
        lost = [JOURNAL] if there and not self.began else []
        lines, missing = row['lines'] + self.log.damaged, sorted({*row['missing'], *gone, *lost})
        return {**row, 'lines': lines, 'missing': missing} if lines or missing else None

    def begin_history(self, *, keep):
        """Let the history of this month begin, and know its months; `keep`: see `expired`."""
        self.history.begin()
        expired = self.history.expired(keep=keep)
        months = [month for month in self.history.months() if month not in expired]
        if (self.row('months') or {}).get('months') != months:
            self.note('months', months=months)
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
        entries = self.log.extend(kind, rows, lazily=KINDS[kind].lazily)
        for entry in entries:
            self.learn(entry)
        return entries

    def receipt(self, kind, *entries):
        """Write receipts of `kind` (dictionaries), then close here what was open."""
        # With that a search for newer versions than one need not read all of it.
        with self.log.locked():
            known = {'largest': self.log.largest}
        self.history.add(
            *({'kind': kind, **entry, **self.told(number_of(entry)), **known} for entry in entries)
        )
        self._close_all(kind, entries)

    def had_receipt(self, kind, entry, *, since):
        """Close what was open if its receipt was written by a run that was killed then.

        `since`: when it was opened (ISO 8601).  Returns whether it has its receipt.
        """
        # The name that it got may be another one.
        wanted = {'kind': kind, **entry, 'filed_as': None}
        number = number_of(entry)
        # A number tells it for sure, whatever a clock did meanwhile.
        bound = {'above': number - 1} if number else {'since': since}
        found = self.history.find(name=entry['name'], **bound)
        found = [each for each in found if wanted.items() <= {**each, 'filed_as': None}.items()]
        if not found:
            return False
        # The killed run may not have come to make it durable.
        try:
            self.history.sync(found[0])
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
        effect, kind = check(entry), entry['kind']
        self.began = True
        name, number = entry.get('name'), number_of(entry)
        if self._disowned and name is not None:
            self._supersede(entry)
        if kind == 'totals':
            self.totals |= {count: entry.get(count, 0) for count in COUNTS}
            self.newest = entry.get('newest')
        elif kind == 'disowned':
            self._disowned.append(entry)
        elif kind != 'journal':
            self._apply(effect, entry)
            if name is not None and number > self.latest.get(name, 0):
                self.latest[name] = number

    def _apply(self, kind, entry):
        if kind.counts:
            self._count(kind.counts, entry)
        for table in kind.closes:
            self._close(table, entry)
        if kind.changes:
            rows, key = self._tables[kind.changes], _key(kind.changes, entry)
            if key in rows:
                changed = {field: entry.get(field, value) for field, value in kind.sets.items()}
                rows[key] = {**rows[key], **changed}
        if kind.opens:
            rows, key = self._tables[kind.opens], _key(kind.opens, entry)
            rows.pop(key, None)
            rows[key] = entry

    def _close(self, table, entry):
        rows = self._tables[table]
        if all(field in entry for field in TABLES[table]):
            rows.pop(_key(table, entry), None)
        else:  # it is about the file, whichever the target
            for key in [key for key, row in rows.items() if row['name'] == entry['name']]:
                del rows[key]

    def _count(self, name, entry):
        self.totals[name] += 1
        if f'{name}_bytes' in self.totals:
            self.totals[f'{name}_bytes'] += entry.get('size', 0)
        if name == 'received':
            self.newest = entry['name'], entry['at']

    def find(self, table, **wanted):
        """Return the rows of `table` that have these values, in the order of time: a list."""
        rows = self._tables[table].values()
        return [row for row in rows if wanted.items() <= row.items()]

    def row(self, table, *key):
        """Return the row with this key, or None."""
        return self._tables[table].get(key)

    def told(self, number):
        """Return what the application has told of the version with this number: a dictionary."""
        return told(self.row('versions', number) or {})

    def newest_delivered(self, name, *, above=0):
        """Return the receipt of the newest version of `name` that was delivered, or None.

        Its number tells which one that is, no clock; one that is not `above` may be left out.
        """
        found = self.history.find(name=name, kind='delivered', above=above)
        newest = max(found, key=number_of, default=None)
        return None if newest is None else {**newest, 'sequence': number_of(newest)}

    # A new file

    def compact(self):
        """Let a new file have what matters later, and no more."""
        self.log.compact(self._all)

    def _compact_if_there_is_room(self):
        """Do that, or go on with the file: some lines more may fit where another file does not."""
        try:
            self.compact()
        except SpoolError as error:
            if not isinstance(error.__cause__, OSError) or not files.is_full(error.__cause__):
                raise
            log.warning('There is no room to make the journal anew; it goes on: %s', error.message)

    def _all(self):
        rows = [row for table in TABLES for row in self._carried(table)]
        # In this order: a row supersedes what is disowned, and was counted before.
        totals = {'kind': 'totals', **self.totals, 'newest': self.newest}
        return [*rows, *self._disowned, totals]

    def _carried(self, table):
        rows = self._needed(self) if table == 'versions' else self.find(table)
        if table == 'tokens':
            rows = [row for row in rows if row['target'] or not row.get('clean')]
            latest = len(rows) - TOKENS
            rows = [row for n, row in enumerate(rows) if n >= latest or not row.get('clean')]
        return rows

    # A copy

    def _disown(self):
        """Begin anew: what is open on a server is the original's until a person says otherwise."""
        why = 'It is not known whether this spool was copied or restored'
        if self.log.is_own is False:
            why = 'This spool was copied or restored'
        probes = self.open_tokens('')
        claims = []
        open_tokens = any(row['target'] for row in self.find('tokens') if not row.get('clean'))
        if open_tokens or self._disowned or any(self._tables[table] for table in _CLAIMS):
            left = [row for name in ('tokens', 'rights', *_CLAIMS) for row in self._carried(name)]
            left = [row for row in left if row['target']]
            claims = [{'kind': 'disowned', 'why': why, 'entry': row} for row in left]
            claims += self._disowned
        else:
            log.warning('%s; it has left nothing on a server: %s', why, self._shown)
        self.is_copy = True
        tables = 'damage', 'months', 'unpublished', 'runs'
        kept = [row for table in tables for row in self.find(table)]
        self._forget()
        self._disowned = claims
        for entry in kept:
            self.learn(entry)
        for token in probes:
            self.learn({'kind': 'token', 'token': token, 'target': ''})
        self.compact()

    @property
    def _shown(self):
        return printable(os.path.dirname(os.path.abspath(self._directory)))

    def _warn(self):
        log.warning(
            '%s: what it left on %s is not taken for its own. If no other copy runs: '
            'zeit-cds adopt --spool %s. If another copy runs, call '
            '"zeit-cds adopt --forget --spool %s" once, and the warning stops.',
            printable(self._disowned[0]['why']),
            printable(', '.join(self.disowned)),
            self._shown,
            self._shown,
        )

    @property
    def disowned(self):
        """The targets on which the original of a copy may have left something: a sorted list."""
        found = (entry['entry'] for entry in self._disowned)
        return sorted({entry['target'] for entry in found if 'target' in entry})

    def adopt(self, *, forget=False):
        """Take what is `disowned` for our own, or `forget` it."""
        disowned, self._disowned = self._disowned, []
        for entry in () if forget else disowned:
            self.learn(entry['entry'])
        self.compact()

    def _supersede(self, entry):
        """What has been done about a file since is what counts for it."""
        for each in [*self._disowned]:
            if all(each['entry'].get(field) == entry.get(field) for field in FILE):
                if each['entry']['kind'] != 'aside':
                    self._disowned.remove(each)
                elif entry['kind'] == 'delivered':
                    each['entry']['replaced'] = True

    # Tokens

    def new_token(self, target):
        """Return a token that is written down as ours on `target` (str, which one)."""
        token = names.new_token()
        self.note('token', token=token, target=target)
        return token

    def clean(self, token):
        """Remember that nothing of `token` is left."""
        self.note('clean', token=token)

    def tokens(self):
        """Return the set of tokens that were ever ours, as far as is remembered."""
        return {row['token'] for row in self.find('tokens')}

    def knows(self, token):
        """Return whether `token` was ever ours, on whichever target."""
        return self.row('tokens', token) is not None

    def where(self, token):
        """Return on which target a `token` of ours was used."""
        return self.row('tokens', token)['target']

    def open_tokens(self, target):
        """Return the tokens, in the order of time, that may have left something on `target`."""
        rows = self.find('tokens', target=target)
        return [row['token'] for row in rows if not row.get('clean')]

    @property
    def begun(self):
        """When the last token was taken that may have left something (ISO 8601), else ''."""
        rows = self.find('tokens')
        return max((row.get('at', '') for row in rows if not row.get('clean')), default='')

    def rights(self, target, *, known, guard=True, why=''):
        """Remember whether the account may do all that a lock on `target` takes, with a guard.

        `why` is what was refused.
        """
        row = self.row('rights', target) or {}
        if (known, guard) != (row.get('known'), row.get('guard')):
            self.note('rights', target=target, known=known, guard=guard, why=why)

    def has_rights(self, target):
        """Return whether that is known of it."""
        row = self.row('rights', target)
        return row is not None and row['known'] and 'guard' in row

    def refused(self, target):
        """Return what of it was refused to the last run, '' for nothing."""
        row = self.row('rights', target) or {}
        return '' if row.get('known') else row.get('why', '')

    def guards(self, target):
        """Return whether there can be a guard on `target`, as far as is known."""
        row = self.row('rights', target)
        return row is None or row.get('guard', True)


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

    def had_receipt(self, kind, entry, *, since):
        """See `Journal.had_receipt`."""
        return self.journal.had_receipt(kind, {'target': self.url, **entry}, since=since)

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
        raise jsonlog.of_another_build(*there)


def latest(private, *, before):
    """Return the largest number that was given `before` then (ISO 8601), as far as is known."""
    found = jsonlog.entries(os.path.join(private, JOURNAL))
    there = (each for each in found if each and str(each.get('at', 'x')) <= before)
    return max(map(number_of, there), default=0)


def was_retracted(private, content, *, since):
    """Return whether the content with this id was retracted after the number `since`."""
    having = lines(kinds=['retracted'])
    found = jsonlog.entries(os.path.join(private, JOURNAL), having=having)
    return any(
        each and each.get('id') == content and number_of(each) > since for each in found
    )


@contextlib.contextmanager
def visit(private, *, floor, about=None):
    """Return a context manager: a `Journal`, for who is in no run, and alone for this moment.

    It knows what is written `about` something, a dictionary for `zeit.cds.kinds.lines`, by default
    nothing; and what is added to it.  `floor` as in `Journal`.  Raises `SpoolError`, `SpoolBusy`.
    """
    require_current(private)
    found = Journal(private, floor=floor)
    with contextlib.closing(found.log):
        if about is not None:
            found.log.look(lines(**about))
        with found.log.locked():
            yield found


def read(private):
    """Return a `Journal` that knows what is written in `private` now; it cannot be written.

    It needs neither a lock nor the right to write.  Raises `SpoolError`.
    """
    found = Journal(private)
    found.look()
    return found
