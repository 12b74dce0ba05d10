"""One of several partners of a spool: a spool of its own, which takes its files from that.

What is to be sent is in `new/` of the spool, once, whoever is to get it.  When its turn comes, the
partner takes it: it gets a second name, in the partner's own `new/`, and goes the way of all files
from there.  So the queue, failures, what is parked, receipts and tokens of each partner are its own
in the way in which a spool has them, and so is the lock that keeps a second run out.

What all partners have in common is the business of `zeit.cds.spool.sharing`.  Numbers of versions
are those of the spool.
"""

import contextlib
import dataclasses
import errno
import itertools
import logging
import os

import zope.interface

from zeit.cds.errors import FileError, NotMoved, SourceGone, SpoolBusy, Withdrawn
from zeit.cds.interfaces import IPartner
from zeit.cds.journal import journal
from zeit.cds.journal.history import Histories, moment
from zeit.cds.journal.kinds import SCHEDULE, TOLD, told
from zeit.cds.spool import entries, holds, newer_version, queue, schedule, sharing
from zeit.cds.spool.entries import Entry
from zeit.cds.spool.filing import FILING, PRIVATE, SECTIONS, Filing
from zeit.cds.spool.parking import PARKED
from zeit.cds.spool.queue import Queue
from zeit.cds.spool.sequence import AT_ONCE, OUTBOX, Numbers, Sequence, numbered
from zeit.cds.spool.sharing import PARTNERS, SKIPPED, Sharing
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.withdrawal import WITHDRAWN
from zeit.cds.system import files
from zeit.cds.text import from_timestamp, printable


log = logging.getLogger(__name__)

#: Seconds that a new partner waits until another one has looked what there is; and that each run
#: does, which may go on without.
PATIENCE, BRIEFLY = 300, 2

#: The tables of what is open between a spool and a target.
_OPEN = (
    *('tokens', 'learned', 'rights', 'uploads', 'asides', 'exposed', 'missed', 'removals'),
    *('failed', 'erasures', 'notices', 'runs'),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Offered(Entry):
    """An `IEntry` of what waits in the spool, to be taken; `is_durable`: it was put so."""

    is_durable: bool = dataclasses.field(default=False, compare=False)


_FIELDS = [field.name for field in dataclasses.fields(Entry)]


class _Whole(Spool):
    """The spool that the partners share, for what one of them does for all of them."""

    def __init__(self, spool, *, patience):
        super().__init__(spool.path, history=spool.history, clock=spool._clock)
        self._patience = patience

    @contextlib.contextmanager
    def _visited(self, about=None):
        """See there: whoever is stopped, and holds the journal, does not keep the others."""
        with contextlib.ExitStack() as stack:
            try:
                visited = stack.enter_context(super()._visited(about))
            except SpoolBusy:
                with self.run():
                    pass  # which takes the journal over
                visited = stack.enter_context(super()._visited(about))
            yield visited


class _PartnerFiling(Filing):
    """Files what a partner was given."""

    def __init__(self, path, *, shared):
        super().__init__(path)
        self._shared = shared

    def _keep(self, path, name):
        return self._shared.keep(path, self._path, name)


class _PartnerSequence(Sequence):
    """Has numbers of the whole spool: `number()` returns the next one."""

    def __init__(self, path, *, number):
        super().__init__(path)
        self._number = number

    def journal(self, **options):
        """See there."""
        found = super().journal(**options)
        found.number = self._number
        return found

    @contextlib.contextmanager
    def visited(self, about=None):
        """See there."""
        with super().visited(about) as visited:
            visited.number = self._number
            yield visited


@zope.interface.implementer(IPartner)
class Partner(Spool):
    """See `IPartner`.  `shared` is the `Spool`, `terms` are those of this partner.

    `everybody()` returns the `Terms` of all partners of the spool, this one among them: those who
    are not known there yet, are from then on.
    """

    def __init__(self, shared, terms, *, everybody=None):
        self.shared = shared
        self.terms = terms
        self._everybody = everybody or (lambda: [terms])
        self._sharing = Sharing(shared.path)
        folder = self._sharing.folder(terms.name)
        super().__init__(folder, history=shared.history, clock=shared._clock)
        self.keep = shared.keep
        self._folder = os.fspath(self.path)
        self._filing = _PartnerFiling(self.path, shared=self._sharing)
        self._sequence = _PartnerSequence(self.path, number=self._number)
        self._whole = _Whole(shared, patience=BRIEFLY)
        #: What was withdrawn in this run: the reasons by name.
        self._withdrawn = {}
        #: What was given in this run, and may be still in `new/` of the spool.
        self._given = []
        #: The number and name of what was given since, by inode.
        self._sent = {}

    def __repr__(self):
        return f'<Partner {self.name!r} of {self.shared!r}>'

    @property
    def name(self):
        """See `IPartner`."""
        return self.terms.name

    @property
    def arrivals(self):
        """See `ISpool`."""
        return self.shared.arrivals

    def filed_at(self, stored):
        """See `ISpool`: with this partner until all have it, then in the spool."""
        places = [self._in('cur'), self._shared('cur')]
        places += [os.path.join(each, 'cur') for each in sharing.folders(self.shared.path)]
        paths = [os.path.join(each, stored) for each in places]
        return next(filter(os.path.lexists, paths), paths[1])

    def _folders(self):
        """Return where receipts are of what was sent to others."""
        return [
            os.fspath(self.shared.path),
            *(each for each in sharing.folders(self.shared.path) if each != self._folder),
        ]

    def _partners(self):
        return []

    def _shared(self, *segments):
        return os.path.join(self.shared.path, *segments)

    def _number(self):
        """Return a new number, which survives a loss of power."""
        with self._whole._visited() as visited:
            number = visited.note('raised', sequence=None)['sequence']
            visited.log.sync()
            return number

    def _require_one_partner(self, name):
        """It is one."""

    # Who is a partner

    @property
    def _has_joined(self):
        with self._translated():
            return self.name in self._sharing.partners()

    def without_exporter(self):
        """Return the names of partners for whom files wait, and who have no exporter, sorted."""
        with self._translated():
            known = self._sharing.partners()
        return sorted({*known} - {each.name for each in self._everybody()})

    def _join(self):
        """Let all partners be known; those who come later get nothing that waits already."""
        everybody = {each.name: each for each in self._everybody()}
        if everybody.items() <= self._sharing.partners().items():
            return
        for each in PRIVATE, PARTNERS:
            files.make_directory(self._shared(each), like=self.shared.path)
        is_known = everybody.get(self.name) == self._sharing.partners().get(self.name)
        try:
            with self._sharing.locked(patience=BRIEFLY if is_known else PATIENCE):
                # Several come at once, and one of them was the first.
                if not everybody.items() <= self._sharing.partners().items():
                    patience = BRIEFLY if is_known else PATIENCE
                    with _Whole(self.shared, patience=patience).run() as whole:
                        self._admit(everybody, whole.journal)
        except SpoolBusy as error:
            if not is_known:
                raise
            log.warning('Others come in a later run: %s', error.message)

    def _admit(self, everybody, remembered):
        known = self._sharing.partners()
        new = [each for name, each in everybody.items() if name not in known]
        # From here on an earlier build sends nothing.
        remembered.share()
        before = [each for each in new if not known and _was_served(remembered, each)]
        if not known and not before and remembered.row('runs'):
            log.warning(
                'Nobody can tell which of these got the files of %s until now; each gets what '
                'waits: %s',
                printable(str(self.shared.path)),
                printable(', '.join(everybody)),
            )
            before = new
        is_first = not known and not remembered.row('runs')
        for each in new:
            folder = self._sharing.folder(each.name)
            files.make_directory(folder, like=self.shared.path)
            files.make_directory(os.path.join(folder, PRIVATE), like=self.shared.path)
            if each in before:
                self._hand_over(remembered, folder, each.url)
            elif not is_first:
                self._skip_all(folder)
            self._withdraw_taken(folder)
            self._tell_holds(remembered, folder)
        self._sharing.register({**known, **everybody})
        remembered.forget({each.url for each in before})

    def _hand_over(self, remembered, folder, url):
        """Let a partner know what its spool knew, until there were several."""
        with Sequence(folder).journal() as own:
            rows = [row for table in _OPEN for row in remembered.find(table)]
            with own.together():
                for row in rows:
                    if row.get('target', url) == url:
                        own.note_all(row['kind'], [row])
        # Behind the journal: where a history is without one, it was lost.
        private = os.path.join(folder, PRIVATE)
        files.make_directory(os.path.join(private, journal.HISTORY), like=folder)
        for month in remembered.history.months():
            path = os.path.join(journal.HISTORY, f'{month}.jsonl')
            with contextlib.suppress(FileExistsError):
                sharing.link(self._shared(PRIVATE, path), os.path.join(private, path))

    def _tell_holds(self, remembered, folder):
        """Let what is held for all be held for a partner, and what has been released since not."""
        rows = remembered.find('held')
        before = journal.read(os.path.join(folder, PRIVATE), table='held').find('held')
        if rows or before:
            released = {row['name'] for row in before} - {row['name'] for row in rows}
            with Sequence(folder).visited() as visited:
                visited.note_all('released', [{'name': name} for name in sorted(released)])
                visited.note_all('held', rows)

    def _withdraw_taken(self, folder):
        """What one had taken who comes back was replaced meanwhile, or is not for it any more."""
        for name, _ in sharing.scan(os.path.join(folder, 'new')):
            Spool(folder).withdraw(name, 'This partner had been removed.')

    def _skip_all(self, folder):
        for name, inode in sharing.scan(self._shared('new')):
            self._let_go(folder, name, inode)

    # A run

    @property
    def _is_pristine(self):
        return not self._has_joined

    @contextlib.contextmanager
    def run(self, *, rehearsal=False, acknowledges=False):
        """See `ISpool`."""
        if not rehearsal:
            with self._translated():
                self.shared._require()
                self._join()
        with super().run(rehearsal=rehearsal, acknowledges=acknowledges):
            if not rehearsal:
                self._give_up()
                self._settle()
            try:
                yield self
                if self._withdrawn:
                    self._settle([])
            finally:
                self._given = []
                self._sent = {}
                self._withdrawn = {}

    def _settle(self, given=None):
        """Let what all have go to `cur/`; what has to wait for that goes in a later run."""
        try:
            with self._translated():
                self._sharing.settle(self._folder, given, leaving=self._leave)
                if not given:
                    self._sharing.settle_skipped(leaving=self._leave)
                if given is None:
                    # Runs of the spool, which do that, are few where there are partners.
                    self._whole.remove_drafts()
                    self._sharing.tidy(self._folder)
                    for each in self._sharing.former():
                        folder = self._sharing.folder(each)
                        self._sharing.settle(folder, leaving=self._leave)
        except SpoolBusy as error:
            log.warning('It is in new/ until a later run: %s', error.message)

    def _leave(self, inodes):
        """Let what has these inodes get another number if somebody moves it back to `new/`."""
        about = {each: self._sent.pop(each) for each in inodes if each in self._sent}
        searched = inodes - about.keys()
        for number, name, version in journal.versions(self._shared(PRIVATE)) if searched else ():
            if version[0] in searched:
                about.setdefault(version[0], (number, name))
        rows = [{'sequence': number, 'name': name} for number, name in about.values()]
        with self._whole._visited() as visited:
            visited.note_all('left', rows)

    def _give_up(self):
        """Let what has waited too long for a partner, this or another one, wait no more for it."""
        for name, terms in self._sharing.partners().items():
            if terms.give_up_after is not None:
                partner = self if name == self.name else Partner(self.shared, terms)
                try:
                    with self._translated():
                        partner._skip_older(self._clock() - terms.give_up_after)
                except SpoolBusy as error:
                    log.warning('It waits for %s still: %s', printable(name), error.message)

    def _skip_older(self, moment):
        reason = 'It has waited too long for this partner (give_up_after).'
        self._give_up_taken(moment, reason)
        names = self._in_sequence()[0]
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            found = self._offered(entries.present(self._shared('new'), some))
            found = [each for each in found if each.number]
            late = self._late(found, moment)
            for each in late:
                self._skip(each, reason, although_held=False)
            # Each takes milliseconds, and this may be the run of another one: the next run goes on.
            if late or (found and min(each.arrived for each in found) >= moment):
                return  # what comes behind came later

    def _give_up_taken(self, moment, reason):
        names = [name for name, _ in sharing.scan(self._in('new'))]
        if names:
            remembered = journal.read(self._in(PRIVATE), tables=['versions'], name=names)
            found = entries.present(self._in('new'), names)
            found = self._since_put(numbered(found, remembered, timed=True))
            for each in self._late(found, moment):
                self.withdraw(each.name, reason, until=each.number)

    def _late(self, found, before):
        """Return those of the entries `found` that have waited since `before`, and were not held.

        What a person holds does not wait for the partner; when it is released that begins anew.
        """
        late = [each for each in found if each.number and each.waits_since < before]
        if not late:
            return []
        remembered = journal.read(self._in(PRIVATE), tables=['held'])
        since = from_timestamp(before).isoformat(timespec='milliseconds')
        own = journal.history(self._in(PRIVATE)), journal.history(self._shared(PRIVATE))
        rows = [*Histories(own).find(kind='released', since=since), *remembered.find('held')]
        names = {row.get('name') for row in rows}
        return [] if holds.ALL in names else [each for each in late if each.name not in names]

    def _since_put(self, found):
        """Return the entries `found`, which it has taken, with the times when they came in."""
        names = [each.name for each in found]
        about = {'tables': ['versions'], 'name': names}
        remembered = journal.read(self._shared(PRIVATE), **about) if names else None
        rows = [remembered.row('versions', each.number) or {} for each in found]
        times = [moment(row.get('at')) for row in rows]
        return [
            each if at is None else dataclasses.replace(each, arrived=at.timestamp())
            for each, at in zip(found, times, strict=True)
        ]

    def require_usable(self):
        """See `IUsable`."""
        self.shared.require_usable()
        if files.is_directory(self.path):
            super().require_usable()

    # What waits

    def pending(self, *, order='arrival'):
        """See `ISpool`."""
        own, ignored = super().pending(order=order)
        with self._translated():
            offered, more = self._look()
        found = entries.newest(*own, *offered)
        return self._sorted([*found.values()], order), sorted({*ignored, *more})

    def queue(self, *, order='arrival', notable=None):
        """See `ISpool`."""
        own = super().queue(notable=notable)
        with self._translated():
            if self._is_running:
                if self._is_unsettled():
                    self._settle_doubts()
                self._supersede()
            names, numbers, ignored, unwanted = self._in_sequence()
            if self._is_running and unwanted:
                with contextlib.suppress(SpoolBusy):  # the next run does it
                    self._sharing.settle_unwanted(unwanted)
            about = self._shared(PRIVATE), self._shared('new'), names, numbers
            more = queue.notable(*about, fits=notable)
            if own.names:
                queue.merge(names, numbers, super().entries(own.names))
            more = sorted(entries.newest(*own.notable, *more).values(), key=entries.by_arrival)
            return Queue.sorted(names, sorted({*own.ignored, *ignored}), more, order=order)

    def _in_sequence(self):
        """Return (names, numbers, ignored, names of others) of what waits in the spool.

        See `zeit.cds.spool.queue.Files`.
        """
        had, unwanted, wants = self._had(), [], self.terms.test()

        def wanted(name, inode):
            if inode in had:
                return False
            if wants is not None and not wants(name):
                unwanted.append(name)
                return False
            return True

        found = queue.Files(self._shared('new'), wanted=wanted)
        versions = journal.versions(self._shared(PRIVATE))
        return *found.in_sequence(versions), found.ignored, unwanted

    def _had(self):
        """Return the inodes of what this partner has taken, or does not get, a set."""
        return sharing.inodes(*map(self._in, ('new', 'cur', PARKED, WITHDRAWN, SKIPPED)))

    def is_plain(self):
        """See `ISpool`."""
        return super().is_plain() and self.shared.is_plain()

    def entries(self, names):
        """See `ISpool`."""
        own = super().entries(names)
        with self._translated():
            offered = self._offered(entries.present(self._shared('new'), names))
        found = entries.newest(*own, *offered)
        return [found[name] for name in names if name in found]

    def _look(self):
        """Return what is in `new/` of the spool for this partner, and what never goes."""
        found, ignored = self._scan()
        return self._offered(found), ignored

    def _offered(self, found):
        """Return those of the entries `found` in `new/` of the spool that are for this partner.

        In a run each gets a number.
        """
        had, wants = self._had() if found else set(), self.terms.test()
        found = [each for each in found if each.version[0] not in had]
        found = [each for each in found if wants is None or wants(each.name)]
        if not found:
            return []
        names = [each.name for each in found]
        remembered = journal.read(self._shared(PRIVATE), tables=['versions'], name=names)
        offered = _known(found, remembered)
        if self._is_running and not all(each.number for each in offered):
            with self._whole._visited({'name': names}) as visited:
                # What was there may have been replaced until it is locked.
                Numbers(visited).see(entries.present(self._shared('new'), names))
                offered = _known(found, visited)
        return offered

    def _find(self, name):
        """Return what waits in the spool as `name` for this partner, or None."""
        return next(iter(self._offered(entries.present(self._shared('new'), [name]))), None)

    def _scan(self):
        try:
            return entries.scan(self._shared('new'))[:2]
        except FileNotFoundError:
            return [], []

    def _is_unsettled(self):
        """Return whether something is to be put in order before anybody looks."""
        found = (sharing.scan(self._shared(each)) for each in (OUTBOX, FILING))
        return any(True for _ in itertools.chain(*found))

    def _settle_doubts(self):
        try:
            with self._whole.run():
                pass  # what is in doubt may remain so
        except SpoolBusy as error:
            log.warning('What is in doubt remains so until a later run: %s', error.message)

    def _supersede(self):
        """Withdraw what tells that a content was retracted, if it is published again."""
        notices = self.journal.find('notices')
        if not notices:
            return
        about = {'content': [row['id'] for row in notices]}
        remembered = journal.read(self._shared(PRIVATE), tables=['versions'], **about)
        names = [row['name'] for row in remembered.find('versions')]
        contents = {}
        for each in self._offered(entries.present(self._shared('new'), names)):
            contents[each.content] = max(each.number, contents.get(each.content, 0))
        notices = [row for row in notices if contents.get(row['id'], 0) > row['sequence']]
        self._withdrawal.supersede(notices, visited=lambda about: self._numbers_of_run())

    @contextlib.contextmanager
    def _numbers_of_run(self):
        with self.journal.log.locked():
            yield self.journal

    def open(self, entry):
        """See `ISpool`."""
        if entry.name in self._withdrawn:
            raise Withdrawn(self._withdrawn[entry.name])
        if isinstance(entry, Offered):
            with self._translated():
                own = entries.find(self._in('new'), entry.name)
                if own is None or own.version != entry.version:
                    entry = self._take(entry)
        return super().open(entry)

    def look(self, name):
        """See `ISpool`."""
        own = entries.find(self._in('new'), name)
        return super().look(name) if own else self.shared.look(name)

    def _take(self, entry):
        """Let a file that waits in the spool wait here, too; return its entry, perhaps a newer one.

        Under the lock of the journal: whoever withdraws it takes it out of the spool first.
        """
        with self._numbers() as numbers:
            numbers.require_wanted(entry.number)
            if self._is_skipped(entry):
                raise Withdrawn('It was withdrawn for this partner.')
            draft = self._in('tmp', f'.draft-{os.urandom(8).hex()}')
            try:
                try:
                    sharing.link(self._shared('new', entry.name), draft)
                except NotMoved:
                    self._adopt(entry.name)
                    sharing.link(self._shared('new', entry.name), draft)
            except FileNotFoundError:
                what = f'{printable(entry.name)} has disappeared from the spool'
                raise self._recalled(entry.name, entry.number) or SourceGone(what) from None
            try:
                found = entries.entry(entry.name, os.lstat(draft))
                if found.version != entry.version:
                    entry = self._numbered_in_spool(found)
                kind = 'put' if entry.is_durable else 'seen'
                about = _told(entry)
                numbers.note(
                    entry.name, entry.version, number=entry.number, kind=kind, told=about
                )
                if schedule.is_timed(about):
                    numbers.sync()  # as where it is put
                os.replace(draft, self._in('new', entry.name))
            except BaseException:
                files.remove(draft)
                raise
        return entry

    def _recalled(self, name, number=None):
        """Return the `Withdrawn` of what was withdrawn for all, or None."""
        remembered = journal.read(self._shared(PRIVATE), tables=['versions'], name=[name])
        rows = remembered.find('versions', name=name, recalled=True)
        rows = [row for row in rows if number in (None, row['sequence'])]
        return Withdrawn(rows[-1]['reason']) if rows else None

    def missing(self, name):
        """See `ISpool`."""
        found = super().missing(name)
        with self._translated():
            return found if isinstance(found, Withdrawn) else self._recalled(name) or found

    def _adopt(self, name):
        """Let a file that waits in the spool be ours: a copy takes its place; return its inode.

        For one that Linux lets nobody else link who may not write it (fs.protected_hardlinks).  It
        is the same version, with the same number and times.  Raises FileNotFoundError, `NotMoved`.
        """
        new = self._shared('new', name)
        with self._whole._visited({'name': [name]}) as visited, files.open_regular(new) as file:
            before = entries.entry(name, os.fstat(file.fileno()))
            number = Numbers(visited).see([before])[name, before.version]
            mode = os.fstat(file.fileno()).st_mode & 0o777
            draft = files.draft(self._shared('tmp'), file, mode=mode)
            try:
                os.utime(draft, ns=(before.version[2],) * 2)
                copied = entries.entry(name, os.lstat(draft))
                row = visited.row('versions', number)
                visited.note_all(row['kind'], [{**row, 'version': copied.version}])
                visited.log.sync()
                if not files.exchange(draft, new):
                    raise NotMoved(
                        f'{printable(name)} may not be linked, and not be replaced by a copy here',
                        hint='Let the CMS have the umask 007, or run both as one user.',
                    )
                if os.lstat(draft).st_ino != before.version[0]:
                    # Somebody has put another one there at this very moment.
                    files.exchange(draft, new)
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), new)
            finally:
                os.unlink(draft)
            files.sync_directories(self._shared('new'), self._shared('tmp'))
            return copied.version[0]

    def _let_go(self, folder, name, inode):
        """Let the partner in `folder` not get a file that waits; return whether that is so."""
        try:
            return self._sharing.skip(folder, name, inode)
        except NotMoved:
            return self._sharing.skip(folder, name, self._adopt(name))

    def _numbered_in_spool(self, found):
        with self._whole._visited({'name': [found.name]}) as visited:
            Numbers(visited).see([found])
            return _known([found], visited)[0]

    # What becomes of it

    def done(self, entry, source):
        """See `ISpool`."""
        filed, newer = super().done(entry, source)
        if filed:
            self._given.append((entry.name, filed))
            self._sent[source.version[0]] = source.number, entry.name
        return filed, newer or self._newer(entry.name, source)

    def _newer(self, name, source):
        """Return the entry of a version that came into the spool since, or None."""
        with self._translated():
            there = entries.find(self._shared('new'), name)
            if there is None or there.version == source.version:
                return None
            newer = self._numbered_in_spool(there)
        if newer.number <= source.number:
            return None
        self._withdrawn.pop(newer.name, None)
        return newer

    def sync(self):
        """See `ISpool`."""
        super().sync()
        given, self._given = self._given, []
        if given:
            self._settle(given)
            self._sent.clear()  # there may be many

    def filed(self, name, *, sha256, version=None):
        """See `ISpool`."""
        found = super().filed(name, sha256=sha256, version=version)
        return found or self.shared.filed(name, sha256=sha256, version=version)

    # What a person, or the application, does

    def withdraw(self, name, reason, *, until=float('inf')):
        """See `ISpool`: this partner does not get it."""
        if not self._has_joined:
            return False
        done = super().withdraw(name, reason, until=until)
        with self._translated():
            found = self._find(name)
            if found is None or found.number > until:
                return done
            done = self._skip(found, reason)
            if done and self._is_running:
                self._withdrawn[name] = reason
            return done

    def _skip(self, entry, reason, *, although_held=True):
        """Let this partner not get what waits in the spool; return whether it waits no more."""
        with self._visited({'name': [entry.name, holds.ALL]}) as visited:
            if self._is_skipped(entry):
                return True  # another run was the first
            if not although_held and holds.held(visited, entry.name):
                return False
            if self._is_taken(entry):
                return False  # by a run of this partner, at this very moment
            about = {'name': entry.name, 'sequence': entry.number, 'size': entry.size}
            visited.record('withdrawn', {**about, 'reason': reason, **_told(entry)})
            done = self._let_go(self._folder, entry.name, entry.version[0])
        log.info('Withdrawn for %s: %s: %s', *map(printable, (self.name, entry.name, reason)))
        return done

    def _is_skipped(self, entry):
        return self._is_in(entry, SKIPPED)

    def _is_taken(self, entry):
        return any(self._is_in(entry, each) for each in ('new', 'cur'))

    def _is_in(self, entry, section):
        found = entries.find(self._in(section), entry.name)
        return found is not None and found.version[0] == entry.version[0]

    def drop(self, name, reason):
        """See `ISpool`: this partner does not get it."""
        with self._translated():
            self._join()
            with contextlib.suppress(SourceGone):
                found = self._find(name)
                if found is not None and found.number:
                    self._make_directories(*SECTIONS)
                    self._take(found)
        stored = super().drop(name, reason)
        if stored:
            with self._translated():
                inode = entries.find(self._in(PARKED), stored)
                if inode is not None:
                    self._sharing.skip(self._folder, name, inode.version[0])
        return stored

    def retry(self, name, *, older=False):
        """See `ISpool`."""
        if not older:
            with self._translated():
                parked = self._parking.find(name)
                there = self._find(parked.name)
            newer = there and newer_version.newer(parked, waits=there)
            if newer:
                raise newer_version.refusal(parked, newer, spool=self.path)
        name = super().retry(name, older=older)
        with self._translated():
            there = entries.find(self._in('new'), name)
            if there is not None:
                self._sharing.unskip(self._folder, name, there.version[0])
        return name

    def resend(self, name):
        """See `ISpool`: this partner gets what was delivered to it, or to another one."""
        with self._translated():
            self._join()
            waits = self._find(name) is not None
        if waits:
            raise FileError(
                f'{printable(name)} is not sent again: it waits already',
                hint='The next run sends what waits.',
            )
        super().resend(name)

    def prune(self, keep=None, *, dry_run=False):
        """See `ISpool`: what is delivered is in the spool, and deleted there."""
        return []

    # Looking only

    def status(self):
        """See `ISpool`."""
        with self._translated():
            self.shared._require()
            from zeit.cds.spool import status

            found = status.look(
                self.path,
                filing=self._filing,
                parking=self._parking,
                unpublished=self.unpublished,
                timed=True,
            )
            found = dataclasses.replace(found, waiting=self._since_put(found.waiting))
            offered, more = self._look()
            found = status.of_partner(
                found, offered, more, partner=self.name, shared=self.shared.path
            )
            alone = self._sharing.waiting_alone(self._folder, found.waiting)
            return dataclasses.replace(found, alone=alone)


def _known(found, remembered):
    """Return these entries with their numbers, as far as they have one, as `Offered`."""
    return [
        Offered(
            *(getattr(each, field) for field in _FIELDS),
            is_durable=(remembered.row('versions', each.number) or {}).get('kind') == 'put',
        )
        for each in numbered(found, remembered, timed=True)
    ]


def _told(entry):
    return told({field: getattr(entry, field) for field in (*TOLD, *SCHEDULE)})


def _was_served(remembered, terms):
    """Return whether what a spool knows of its runs, a `Journal`, is about this partner."""
    runs = remembered.row('runs') or {}
    last = runs.get('kinds', {}).get('delivered', {}).get('target')
    if last == terms.url or remembered.find('tokens', target=terms.url):
        return True
    return next(remembered.history.find(target=terms.url, kind='delivered'), None) is not None
