"""What a spool remembers: a journal that is only ever appended to, and durable line by line.

It answers two questions.  *Is this ours?*  Every token is written down before anything that
carries it is made on a server; so the next run of the same spool, which holds the spool's lock and
thereby knows that no other run lives, may clean up what it finds under a token that is in here.
*How often has it failed?*  Only what is open or counted is carried on when the file has grown.
What has happened, receipts above all, is in `zeit.cds.history` before it is here; so that is
written lazily: a run after a loss of power finds the receipt.

One line is one entry, a JSON object with `kind` and `at` (ISO 8601, UTC), and, where it is about a
version of a file, `sequence`, its number (see `zeit.cds.sequence`).  `KINDS` says what an entry
does to `TABLES`: it opens a row, which is the entry itself, changes or closes others.

    journal     the first line of a file: an id, when file and directory were made, their inodes
    disowned    ENTRY is about what the original has left, if this is a copy
    token       TOKEN is about to be used on TARGET
    clean       nothing of TOKEN is left on TARGET
    learned     what is KNOWN of the server of TARGET (see `ISession.learned`), {} if nothing is
    rights      the account may do on TARGET all that a lock takes, or that is not KNOWN any more;
                whether there can be a GUARD, see `zeit.cds.lock`
    uploaded    NAME is complete on TARGET under TEMPORARY, its size was compared; it gets its name
    placed      NAME is complete on TARGET as NAME; with a VERSION it could not be filed
    aside       what stood under NAME is about to be renamed to ASIDE
    exposed     a file of SIZE is about to be sent as NAME itself, where BEFORE stands
    tidied      nothing stands aside any more, and no part under its own name
    delivered   NAME is complete on TARGET and filed, the history has the receipt
    abandoned   an upload of NAME whose end is not known any more, or does not matter
    missed      NAME could not be brought to TARGET, or from there, in the version VERSION: until
                it is 'found', delivered or parked, it comes behind all others.  TAKEN: it was
                confirmed so many times, and gone a moment later; BLOCKS: others were not tried;
                BUSY: it changed while it was sent, and that counts for its next version, too
    found       that is over: it was fetched, or is gone
    failed      the server refused NAME, in the version VERSION, the NUMBERth time; counted SINCE
    parked, resent      NAME was put away, was brought back
    fetched     NAME of TARGET is complete in tmp/ as TEMPORARY, whose inode is INODE, and gets the
                name FILED_AS in new/; the server's file is of MODIFIED ('' if that tells nothing)
    dropped     it does not get there; its temporary is going to be deleted
    imported    it is there for good, which the history has before it is deleted on TARGET
    compared    what is on TARGET as NAME is what was fetched; it is of MODIFIED
    removed     what was fetched as NAME is not on TARGET any more
    kept        it is there still, although the server has said that it is not
    damaged     so many LINES could not be read, and were left out: until it is 'acknowledged'
    totals      COUNTS before this file began, the largest SEQUENCE, the file that came in last

A file that was copied, with the spool around it, or restored, is known as one (see
`zeit.cds.jsonlog`): its tokens are the original's, and nothing is adopted before a person says so.
"""

import dataclasses
import logging
import os
import types

import zope.interface

from zeit.cds import jsonlog, names
from zeit.cds.errors import SpoolError
from zeit.cds.history import History, number_of
from zeit.cds.interfaces import ILedger
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Where journal and history are, in the spool's own directory.
JOURNAL = 'journal'
HISTORY = 'history'

#: So many of the latest tokens are still known as ours when a file has been made anew.  Older ones
#: could only be met again if a command of a long dead session arrived.
TOKENS = 200


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What an entry does.

    It `closes` the rows of these tables that it is about; it `opens` a row of this table, if it has
    the fields that it `needs`.  Of the row of the table `changes` it sets these fields, to the
    values here unless it has others.  `counts` is what it adds one to.

    `lazily`: it tells what has happened, and a run that does not know it finds it out, as after a
    kill just before.  So it survives a kill, and a loss of power when the next entry does that is
    written before something happens.
    """

    opens: str = ''
    needs: tuple = ()
    closes: tuple = ()
    changes: str = ''
    sets: dict = dataclasses.field(default_factory=dict)
    counts: str = ''
    lazily: bool = False


_FILE = 'target', 'name'

#: The fields that tell the rows of a table apart.
TABLES = types.MappingProxyType(
    {
        'tokens': ('token',),
        'learned': ('target',),
        'rights': ('target',),
        'uploads': _FILE,
        'asides': _FILE,
        'exposed': _FILE,
        'arrivals': _FILE,
        'missed': _FILE,
        'failed': ('name',),
        'damage': (),
    }
)

#: The tables that tell what may be left on a server.
_CLAIMS = 'uploads', 'asides', 'exposed', 'arrivals'

_UPLOAD = 'temporary', 'size', 'sha256', 'reply'
_ARRIVAL = 'temporary', 'size', 'sha256', 'modified', 'filed_as'
_OVER = Kind(closes=('failed', 'missed'), lazily=True)

KINDS = types.MappingProxyType(
    {
        'token': Kind(opens='tokens', needs=('target',)),
        'clean': Kind(changes='tokens', sets={'clean': True}, lazily=True),
        'learned': Kind(opens='learned', needs=('known',), lazily=True),
        'rights': Kind(opens='rights', needs=('known',)),
        'uploaded': Kind(opens='uploads', needs=_UPLOAD),
        'placed': Kind(opens='uploads', needs=_UPLOAD, closes=('exposed',)),
        'aside': Kind(opens='asides', needs=('aside',)),
        'exposed': Kind(opens='exposed', needs=('size', 'before')),
        'tidied': Kind(closes=('asides', 'exposed'), lazily=True),
        'delivered': Kind(
            closes=('uploads', 'failed'),
            changes='asides',
            sets={'replaced': True},
            counts='delivered',
            lazily=True,
        ),
        'abandoned': Kind(closes=('uploads',)),
        'missed': Kind(opens='missed', needs=('version',)),
        'found': Kind(closes=('missed',), lazily=True),
        'failed': Kind(opens='failed', needs=('version', 'number', 'since'), counts='failed'),
        'parked': dataclasses.replace(_OVER, counts='parked'),
        'resent': _OVER,
        'fetched': Kind(opens='arrivals', needs=_ARRIVAL),
        'dropped': Kind(closes=('arrivals',), lazily=True),
        'imported': Kind(changes='arrivals', sets={'moved': True}, counts='received', lazily=True),
        'compared': Kind(changes='arrivals', sets={'modified': ''}),
        'removed': Kind(closes=('arrivals',), lazily=True),
        'kept': Kind(opens='arrivals', needs=_ARRIVAL),
        'damaged': Kind(opens='damage', needs=('lines',)),
        'acknowledged': Kind(closes=('damage',)),
    }
)

#: What is counted, of files and of bytes.
_COUNTS = 'delivered', 'delivered_bytes', 'received', 'received_bytes', 'failed', 'parked'

#: What of a receipt is in the journal as well.
_BRIEF = 'target', 'name', 'sequence', 'size'


class Journal:
    """The journal in `directory`; a context manager.

    Only one process may be inside at a time: the spool's lock must be held.  To look needs no lock
    (`read`).  All methods that write return when the entry is on the disk (see `together`), and
    raise `SpoolError` if it does not get there.  `totals` has by name how much there was in all.
    """

    def __init__(self, directory, *, limit=jsonlog.LIMIT):
        self._directory = directory
        self._log = jsonlog.JSONLog(os.path.join(directory, JOURNAL), limit=limit)
        self.history = history(directory)
        #: Whether it was copied or restored, or nobody knows, and that is not written down yet.
        self.is_copy = False
        #: The largest number of a version in the entries: see `zeit.cds.sequence`.
        self.sequence = 0
        #: The file that came in last: its name, and when that was (ISO 8601); None without one.
        self.newest = None
        self._forget()

    def _forget(self):
        #: The rows of each table, by key, in the order of time.
        self._tables = {name: {} for name in TABLES}
        self.totals = dict.fromkeys(_COUNTS, 0)
        #: What the original has left on servers, if this is a copy, or may be one: entries.
        self._disowned = []

    def __repr__(self):
        return f'<Journal in {self._log!r}>'

    def __enter__(self):
        try:
            require_current(self._directory)
            for entry in self._log.open():
                self.learn(entry)
            if self._log.damaged:
                # What takes the place of the damaged file says so from its first moment on.
                before = self.row('damage') or {'lines': 0}
                lines = before['lines'] + self._log.damaged
                self.learn({'kind': 'damaged', 'lines': lines})
            if not self._log.is_own:
                self._disown()
            elif self._log.is_full or self._log.damaged:
                self.compact()
            if self._disowned:
                self._warn()
        except BaseException:
            self._log.close()
            raise
        return self

    def __exit__(self, *exc_info):
        self._log.close()

    def together(self):
        """Return a context manager: what is written inside is durable on leaving."""
        return self._log.together()

    def at(self, url):
        """Return the `View` of the target `url`."""
        return View(self, url)

    # Entries

    def note(self, kind, **fields):
        """Add an entry of `kind`, one of `KINDS`, with these fields."""
        self.learn(self._log.append(kind, lazily=KINDS[kind].lazily, **fields))

    def receipt(self, kind, *entries, since=None):
        """Write receipts of `kind` (dictionaries), then close here what was open.

        `since`: when that was opened (ISO 8601), if the run was killed that should have done it:
        then what has its receipt already does not get another one.
        """
        lines = [{'kind': kind, **entry} for entry in entries]
        if since is not None:
            there = [line for line in lines if self.has_receipt(line, since=since)]
            if there:
                # The killed run may have written it, and not come to make it durable.
                self.history.sync(since=since)
            lines = [line for line in lines if line not in there]
        if lines:
            self.history.add(*lines)
        with self.together():
            for entry in entries:
                brief = {field: entry[field] for field in _BRIEF if field in entry}
                self.note(kind, **brief)

    def has_receipt(self, line, *, since):
        """Return whether the history has a line like this, not older than `since`."""
        # The name that it got may be another one.
        wanted = {field: value for field, value in line.items() if field != 'filed_as'}
        found = self.history.find(name=line['name'], since=since)
        return any(wanted.items() <= entry.items() for entry in found)

    def learn(self, entry):
        """Know an entry (a dictionary) of the journal; what is damaged is left out."""
        try:
            self.know(entry)
        except (KeyError, TypeError, ValueError):
            log.warning('An entry of the journal is damaged and left out: %s', entry)
            self._log.damaged += 1

    def know(self, entry):
        """Do the same; raises KeyError, TypeError, ValueError for what is damaged."""
        self.sequence = max(self.sequence, number_of(entry))
        if self._disowned and entry.get('name') is not None:
            self._supersede(entry)
        name = entry.get('kind')
        if kind := KINDS.get(name):
            self._apply(kind, entry)
        elif name == 'totals':
            self.totals |= {count: _count(entry.get(count)) for count in _COUNTS}
            self.newest = _newest(*entry.get('newest') or ())
        elif name == 'disowned':
            entry['why'], entry['entry']['kind']
            self._disowned.append(entry)

    def _apply(self, kind, entry):
        if kind.counts:
            self._count(kind.counts, entry)
        for field in kind.needs:
            entry[field]
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
            self.totals[f'{name}_bytes'] += _count(entry.get('size'))
        if name == 'received':
            self.newest = _newest(entry['name'], entry['at'])

    def find(self, table, **wanted):
        """Return the rows of `table` that have these values, in the order of time: a list."""
        rows = self._tables[table].values()
        return [row for row in rows if wanted.items() <= row.items()]

    def row(self, table, *key):
        """Return the row with this key, or None."""
        return self._tables[table].get(key)

    def newest_delivered(self, name):
        """Return the receipt of the newest version of `name` that was delivered, or None.

        Its number tells which one that is, no clock: so all of the history is looked at.
        """
        found = self.history.find(name=name, kind='delivered')
        newest = max(found, key=number_of, default=None)
        return None if newest is None else {**newest, 'sequence': number_of(newest)}

    # A new file

    def compact(self):
        """Let a new file have what matters later, and no more."""
        rows = [row for table in TABLES for row in self._carried(table)]
        # In this order: a row supersedes what is disowned, and was counted before.
        totals = {'kind': 'totals', **self.totals, 'sequence': self.sequence, 'newest': self.newest}
        self._log.compact([*rows, *self._disowned, totals])

    def _carried(self, table):
        rows = self.find(table)
        if table == 'tokens':
            rows = [row for row in rows if row['target'] or not row.get('clean')]
            latest = len(rows) - TOKENS
            rows = [row for n, row in enumerate(rows) if n >= latest or not row.get('clean')]
        return rows

    # A copy

    def _disown(self):
        """Begin anew: what is open on a server is the original's until a person says otherwise."""
        why = 'It is not known whether this spool was copied or restored'
        if self._log.is_own is False:
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
        self.is_copy, damage = True, self.find('damage')
        self._forget()
        self._disowned = claims
        for entry in damage:
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
            if all(each['entry'].get(field) == entry.get(field) for field in _FILE):
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

    def rights(self, target, *, known, guard=True):
        """Remember whether the account may do all that a lock on `target` takes, with a guard."""
        if (known, guard) != (self.has_rights(target), self.guards(target)):
            self.note('rights', target=target, known=known, guard=guard)

    def has_rights(self, target):
        """Return whether that is known of it."""
        row = self.row('rights', target)
        return row is not None and row['known'] and 'guard' in row

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

    def receipt(self, kind, *entries, since=None):
        """See `Journal.receipt`."""
        entries = ({'target': self.url, **entry} for entry in entries)
        self.journal.receipt(kind, *entries, since=since)

    def rows(self, table):
        """Return the rows of `table` by the names of the files, in the order of time."""
        return {row['name']: row for row in self.journal.find(table, target=self.url)}

    def row(self, table, name):
        """Return the row of the file `name`, or None."""
        return self.journal.row(table, self.url, name)


def _key(table, entry):
    return tuple(entry[field] for field in TABLES[table])


def _newest(name=None, at=None):
    return (name, at) if isinstance(name, str) and isinstance(at, str) else None


def _count(value):
    return value if isinstance(value, int) and value >= 0 else 0


def history(private):
    """Return the `History` of the spool whose own directory is `private`."""
    return History(os.path.join(private, HISTORY), like=private)


def require_current(private):
    """Raise `SpoolError` if the journal in `private` is one of a build before there was a history.

    Such a build meets a directory where it has a file, and does nothing.
    """
    path = os.path.join(private, JOURNAL)
    if os.path.isfile(path):
        shown = printable(path)
        raise SpoolError(
            f'{shown} is of an earlier build of zeit.cds, and not read by this one',
            hint='Let that build run once more, so that nothing of it is left on a server; then: '
            f'mv {shown} {shown}-before',
        )


def read(private):
    """Return a `Journal` that knows what is written in `private` now; it cannot be written.

    It needs neither a lock nor the right to write.  Raises OSError, `SpoolError`.
    """
    require_current(private)
    found, path = Journal(private), os.path.join(private, JOURNAL)
    for entry in jsonlog.entries(path):
        if entry.get('kind') == 'journal':
            found.is_copy = not jsonlog.is_own(entry, os.path.join(path, jsonlog.NAME), path)
        found.learn(entry)
    return found
