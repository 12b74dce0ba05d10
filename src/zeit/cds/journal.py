"""What a spool remembers: a journal that is only ever appended to, and durable line by line.

It answers two questions.  *Is this ours?*  Every token is written down before anything that
carries it is made on a server; so the next run of the same spool, which holds the spool's lock and
thereby knows that no other run lives, may clean up what it finds under a token that is in here.
*How often has it failed?*  Only what is open or counted is carried on when the file has grown.
What has happened, receipts above all, is in `zeit.cds.history` before it is here; so that is
written lazily: a run after a loss of power finds the receipt.

One line is one entry, a JSON object with `kind` and `at` (ISO 8601, UTC), and, where it is about a
version of a file, `sequence`, its number (see `zeit.cds.sequence`):

    journal     the first line of a file: an id, when file and directory were made, their inodes
    disowned    ENTRY is about what the original has left, if this is a copy
    token       TOKEN is about to be used on TARGET
    clean       nothing of TOKEN is left on TARGET
    rights      the account may do on TARGET all that a lock takes, or that is not KNOWN any more
    uploaded    NAME is complete on TARGET under TEMPORARY, its size was compared; with a VERSION it
                got its name there, and could not be filed
    aside       what stood under NAME is about to be renamed to ASIDE
    exposed     a file of SIZE is about to be sent as NAME itself, where BEFORE stands; ends with
                'uploaded' or 'tidied'
    tidied      nothing stands aside any more, and no part under its own name
    delivered   NAME is complete on TARGET and filed, the history has the receipt
    abandoned   an upload of NAME whose end is not known any more, or does not matter
    missed      NAME could not be brought to TARGET, or from there, in the version VERSION: until
                it is 'found', delivered or parked, it comes behind all others
    found       that is over: it was fetched, or is gone
    failed      the server refused NAME, in the version VERSION (carried over: it WAS at that time)
    parked, retried    NAME was put away, was brought back
    totals      how much there was before this file began: see `zeit.cds.totals`; the largest
                SEQUENCE; the file that came in last, NEWEST

What imports write is in `zeit.cds.importlog`.  A file that was copied, with the spool around it, or
restored, is known as one (see `zeit.cds.jsonlog`): its tokens are the original's, and nothing is
adopted before a person says so.
"""

import datetime
import logging
import os

from zeit.cds import jsonlog, names
from zeit.cds.errors import SpoolError
from zeit.cds.history import History, number_of
from zeit.cds.importlog import ImportLog
from zeit.cds.text import printable
from zeit.cds.totals import Totals


log = logging.getLogger(__name__)

#: Where journal and history are, in the spool's own directory.
JOURNAL = 'journal'
HISTORY = 'history'

#: Refusals of a file in less than so many seconds are one: a run may come for each publication.
APART = 60

#: The pause doubles so often: to a day and a half.
LONGEST = 11

#: So many of the latest tokens are still known as ours after a file was put away.  Older ones could
#: only be met again if a command of a long dead session arrived.
TOKENS = 200


class Journal(ImportLog):
    """The journal in `directory`; a context manager.

    Only one process may be inside at a time: the spool's lock must be held.  To look needs no lock
    (`read`).  All methods that write return when the entry is on the disk (see `together`), and
    raise `SpoolError` if it does not get there.
    """

    def __init__(self, directory, *, limit=jsonlog.LIMIT):
        super().__init__()
        self._directory = directory
        self._log = jsonlog.JSONLog(os.path.join(directory, JOURNAL), limit=limit)
        self.history = history(directory)
        #: Whether it was copied or restored, or nobody knows, and that is not written down yet.
        self.is_copy = False
        #: The largest number of a version in the entries: see `zeit.cds.sequence`.
        self.sequence = 0
        self._forget()

    def _forget(self):
        super().__init__()
        #: Target by token, in the order of time, and the entries of tokens that may have left
        #: something.
        self._tokens = {}
        self._open = {}
        #: Targets whose account is known to have the rights that a lock takes.
        self._proven = set()
        #: Entries by (target, name); (version, number, time of the last one) by name.
        self._uploads = {}
        self._asides = {}
        self._exposed = {}
        self._failures = {}
        #: Entries by (target, name), in the order of time.
        self._missed = {}
        self.totals = Totals()
        #: What the original has left on servers, if this is a copy, or may be one: entries.
        self._disowned = []

    def __repr__(self):
        return f'<Journal in {self._log!r}>'

    def __enter__(self):
        try:
            require_current(self._directory)
            for entry in self._log.open():
                self.learn(entry)
            if not self._log.is_own:
                self._disown()
            elif self._log.is_full:
                self.compact()
            if self._disowned:
                self._warn()
        except BaseException:
            self._log.close()
            raise
        return self

    def __exit__(self, *exc_info):
        self._log.close()

    def compact(self):
        """Let a new file have what matters later, and no more."""
        self._log.compact(self._unfinished())

    def _has_receipt(self, wanted, *, since):
        """Return whether the history has an entry like `wanted`, not older than `since`."""
        found = self.history.find(name=wanted['name'], since=since)
        return any(wanted.items() <= entry.items() for entry in found)

    def together(self):
        """Return a context manager: what is written inside is durable on leaving."""
        return self._log.together()

    # A copy

    def _disown(self):
        """Begin anew: what is open on a server is the original's until a person says otherwise."""
        why = 'It is not known whether this spool was copied or restored'
        if self._log.is_own is False:
            why = 'This spool was copied or restored'
        if self._left():
            left = [each for each in self._claims() if each.get('target') != '']
            claims = [{'kind': 'disowned', 'why': why, 'entry': each} for each in left]
            claims += self._disowned
        else:
            claims = []
            log.warning('%s; it has left nothing on a server: %s', why, self._shown)
        self.is_copy = True
        probes = [token for token in self._open if not self._tokens[token]]
        self._forget()
        claims += [{'kind': 'token', 'token': token, 'target': ''} for token in probes]
        for each in claims:
            self.learn(each)
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

    def _learn_totals(self, entry):
        self.newest = entry.get('newest')

    def _learn_disowned(self, entry):
        entry['why'], entry['entry']['kind']
        self._disowned.append(entry)

    def _supersede(self, entry):
        """What has been done about a file since is what counts for it."""
        key = entry.get('target'), entry.get('name')
        for each in [each for each in self._disowned if _key(each['entry']) == key]:
            if each['entry']['kind'] != 'aside':
                self._disowned.remove(each)
            elif entry['kind'] == 'delivered':
                each['entry']['replaced'] = True

    # Entries

    def _note(self, kind, **fields):
        self.learn(self._log.append(kind, **fields))

    def learn(self, entry):
        """Know an entry (a dictionary) of the journal; what is damaged is left out."""
        self.totals.learn(entry)
        self.sequence = max(self.sequence, number_of(entry))
        if self._disowned and entry.get('name') is not None:
            self._supersede(entry)
        learn = getattr(self, f'_learn_{entry.get("kind")}', None)
        if learn is not None:
            try:
                learn(entry)
            except (KeyError, TypeError, ValueError):
                log.warning('An entry of the journal is damaged and left out: %s', entry)

    def _unfinished(self):
        yield {**self.totals.entry, 'sequence': self.sequence, 'newest': self.newest}
        yield from self._claims()
        yield from self._missed.values()
        yield from self._disowned
        for name, (version, number, at) in self._failures.items():
            yield {'kind': 'failed', 'was': at, 'name': name, 'version': version, 'number': number}

    def _claims(self):
        """Yield the entries about what may be on a server."""
        tokens = [token for token, target in self._tokens.items() if target][-TOKENS:]
        tokens += [token for token in self._open if token not in tokens]
        for token in tokens:
            target = self._tokens[token]
            yield {'kind': 'token', 'token': token, 'target': target, **self._open.get(token, {})}
            if token not in self._open:
                yield {'kind': 'clean', 'token': token}
        for target in sorted(self._proven):
            yield {'kind': 'rights', 'target': target, 'known': True}
        yield from self._uploads.values()
        yield from self._asides.values()
        yield from self.arrivals()
        yield from self._exposed.values()

    def _left(self):
        """Return whether something may be left on a server."""
        known = self._uploads, self._asides, self._exposed, self.arrivals(), self._disowned
        return any((*known, *(self._tokens[token] for token in self._open)))

    # Tokens

    def new_token(self, target):
        """Return a token that is written down as ours on `target` (str, which one)."""
        token = names.new_token()
        self._note('token', token=token, target=target)
        return token

    def _learn_token(self, entry):
        self._tokens[entry['token']] = entry['target']
        self._open[entry['token']] = entry

    def clean(self, token):
        """Remember that nothing of `token` is left."""
        self._note('clean', token=token)

    def _learn_clean(self, entry):
        self._open.pop(entry['token'], None)

    def tokens(self, target):
        """Return the set of tokens that were ever ours on `target`, as far as is remembered."""
        return {token for token, where in self._tokens.items() if where == target}

    def knows(self, token):
        """Return whether `token` was ever ours, on whichever target."""
        return token in self._tokens

    def open_tokens(self, target):
        """Return those of them, in the order of time, that may have left something there."""
        return [token for token in self._open if self._tokens[token] == target]

    @property
    def begun(self):
        """When the last token was taken that may have left something (ISO 8601), else ''."""
        return max((entry.get('at', '') for entry in self._open.values()), default='')

    def rights(self, target, *, known):
        """Remember whether the account may do all that a lock on `target` takes."""
        if known != self.has_rights(target):
            self._note('rights', target=target, known=known)

    def _learn_rights(self, entry):
        (self._proven.add if entry['known'] else self._proven.discard)(entry['target'])

    def has_rights(self, target):
        """Return whether that is known of it."""
        return target in self._proven

    # Deliveries

    def uploaded(self, *, sequence=0, **fields):
        """Remember that the server has all of a file; it gets its real name next.

        `fields`: `target`, `name`; `temporary` is its name until then, '' if it has none; `size` in
        bytes, `sha256` in hexadecimal digits ('' if it is not known), `reply` the server's final
        word; the `version` (list), if it has its real name already, and cannot be filed.
        `sequence` is the number of this version.
        """
        self._note('uploaded', sequence=sequence, **fields)

    def _learn_uploaded(self, entry):
        for key in ('temporary', 'size', 'sha256', 'reply'):
            entry[key]  # what cannot be compared later is damaged now
        self._uploads[entry['target'], entry['name']] = entry
        if not entry['temporary']:
            self._exposed.pop((entry['target'], entry['name']), None)

    def uploads(self, target):
        """Return the entries of uploads to `target`, by name, whose end is not known."""
        return {name: entry for (where, name), entry in self._uploads.items() if where == target}

    def digests(self, name):
        """Return the SHA-256 of each of those uploads of `name`, whichever the target: a set."""
        return {entry['sha256'] for (_, other), entry in self._uploads.items() if other == name}

    def aside(self, *, target, name, aside, replaced=False):
        """Remember that what stands under `name` on the server is renamed to `aside`.

        `replaced`: it was, and a newer file has had the name since.
        """
        self._note('aside', target=target, name=name, aside=aside, replaced=replaced)

    def _learn_aside(self, entry):
        self._asides[entry['target'], entry['name']] = entry

    def exposed(self, *, target, name, size, before):
        """Remember that `size` bytes are sent as `name` itself, where `before` stands.

        `before` is a value of `zeit.cds.exposed.Standing.look`.
        """
        self._note('exposed', target=target, name=name, size=size, before=before)

    def _learn_exposed(self, entry):
        for key in ('size', 'before'):
            entry[key]
        self._exposed[entry['target'], entry['name']] = entry

    def exposures(self, target):
        """Return the entries of files on `target`, by name, that may be parts."""
        return {name: entry for (where, name), entry in self._exposed.items() if where == target}

    def tidied(self, *, target, name):
        """Remember that nothing stands aside for `name` any more, and it is no part."""
        self._note('tidied', target=target, name=name)

    def _learn_tidied(self, entry):
        self._asides.pop((entry['target'], entry['name']), None)
        self._exposed.pop((entry['target'], entry['name']), None)

    def asides(self, target):
        """Return the entries of files on `target` that may stand aside, by name.

        'replaced' is in the entry if the file that takes its place was delivered since.
        """
        return {name: entry for (where, name), entry in self._asides.items() if where == target}

    def delivered(self, *, target, name, size, filed_as, sequence=0, since=None, **further):
        """Write the receipt of a file that is complete on `target` and filed as `filed_as`.

        `further`: its `sha256`, the `reply`.  If it was uploaded by a run that was killed, `since`
        when (ISO 8601), there may be a receipt.
        """
        about = {'target': target, 'name': name, 'sequence': sequence, 'size': size}
        receipt = {'kind': 'delivered', **about, **further}
        if since is None or not self._has_receipt(receipt, since=since):
            self.history.add({**receipt, 'filed_as': filed_as})
        self._note('delivered', lazily=True, **about)

    def _learn_delivered(self, entry):
        self._learn_abandoned(entry)
        key = entry['target'], entry['name']
        if key in self._asides:
            self._asides[key] = {**self._asides[key], 'replaced': True}
        self._failures.pop(entry['name'], None)

    def newest_delivered(self, name):
        """Return the receipt of the newest version of `name` that was delivered, or None.

        Its number tells which one that is, no clock: so all of the history is looked at.
        """
        found = self.history.find(name=name, kind='delivered')
        newest = max(found, key=number_of, default=None)
        return None if newest is None else {**newest, 'sequence': number_of(newest)}

    def abandoned(self, *, target, name):
        """Remember that an upload's end is of no interest any more."""
        self._note('abandoned', target=target, name=name)

    def _learn_abandoned(self, entry):
        self._uploads.pop((entry['target'], entry['name']), None)

    # Failures

    def missed(self, **fields):
        """Remember that `name`, in this `version` (list, None if not known), was tried in vain.

        `fields` have the `target`, too.  `taken`: it was confirmed so many times, and gone a moment
        later.  `blocks`: others were not tried because of that.
        """
        self._note('missed', **fields)

    def _learn_missed(self, entry):
        self._learn_found(entry)
        self._missed[entry['target'], entry['name']] = entry

    def found(self, *, target, name):
        """Remember that what was `missed` is no matter any more."""
        self._note('found', target=target, name=name)

    def _learn_found(self, entry):
        self._missed.pop((entry['target'], entry['name']), None)

    def misses(self, target):
        """Return the versions of what was missed last at `target`, by name, in order of time."""
        return {
            name: entry.get('version')
            for (where, name), entry in self._missed.items()
            if where == target
        }

    def blocking(self, target):
        """Return the names among the `misses` of what has kept others from being tried, a set."""
        return {
            name
            for (where, name), entry in self._missed.items()
            if where == target and entry.get('blocks')
        }

    def taken(self, *, target, name, version):
        """Return how often this `version` (list) of `name` was confirmed, and gone."""
        entry = self._missed.get((target, name), {})
        return entry.get('taken', 0) if entry.get('version') == version else 0

    def rests(self, *, target, name):
        """Return for how many seconds more what was taken away is not sent again.

        It is sent once more at once; then each time after twice as long.
        """
        entry = self._missed[target, name]
        pause = APART * 2 ** min(entry.get('taken', 0) - 2, LONGEST)
        at = datetime.datetime.fromisoformat(entry['at'])
        passed = (jsonlog.now() - at).total_seconds()
        # A clock that was set back says nothing.
        return max(0, pause - passed) if pause >= APART and passed >= 0 else 0

    def failures(self, *, name, version):
        """Return how many refusals of `name` in this `version` (list) were counted."""
        known, number, _ = self._failures.get(name, (None, 0, None))
        return number if known == list(version) else 0

    def failed(self, *, name, version, reason):
        """Count a refusal of `name` in this `version` (list); return how many there are.

        What comes within `APART` seconds counts once.
        """
        self._note('failed', name=name, version=list(version), reason=reason)
        return self._failures[name][1]

    def _learn_failed(self, entry):
        name, version = entry['name'], entry['version']
        at = entry.get('at') or entry.get('was')
        known, number, before = self._failures.get(name, (version, 0, None))
        if known != version:
            number, before = 0, None
        if _is_apart(before, at):
            number, before = number + 1, at
        self._failures[name] = (version, max(number, entry.get('number', 1)), before)

    def parked(self, *, name, reason, sequence=0):
        """Remember that a file was put away."""
        about = {'name': name, 'sequence': sequence}
        self.history.add({'kind': 'parked', **about, 'reason': reason})
        self._note('parked', lazily=True, **about)

    def retried(self, *, name, sequence=0):
        """Remember that a file was brought back: its failures do not count any more."""
        self.history.add({'kind': 'resent', 'name': name, 'sequence': sequence})
        self._note('retried', lazily=True, name=name, sequence=sequence)

    def _learn_parked(self, entry):
        self._failures.pop(entry['name'], None)
        for key in [key for key in self._missed if key[1] == entry['name']]:
            del self._missed[key]

    _learn_retried = _learn_parked


def _key(entry):
    return entry.get('target'), entry.get('name')


def _is_apart(before, at):
    """Tell whether `APART` seconds are between two times (ISO 8601), or a clock was set back."""
    if before is None or at is None:
        return True
    passed = datetime.datetime.fromisoformat(at) - datetime.datetime.fromisoformat(before)
    return not 0 <= passed.total_seconds() < APART


def history(private):
    """Return the `History` of the spool whose own directory is `private`."""
    return History(os.path.join(private, HISTORY), like=private)


def require_current(private):
    """Raise `SpoolError` if the journal in `private` is one of a build before there was a history.

    Such a build meets a directory where it has a file, and does nothing.
    """
    if os.path.isfile(os.path.join(private, JOURNAL)):
        shown = printable(os.fspath(private))
        raise SpoolError(
            f'{shown} is of an earlier build of zeit.cds, whose journal this one does not read',
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
