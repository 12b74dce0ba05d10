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
import io
import logging
import os

import zope.interface

from zeit.cds.errors import FileError, SourceGone, SpoolBusy, Withdrawn
from zeit.cds.interfaces import IPartner
from zeit.cds.journal import journal
from zeit.cds.journal.kinds import SCHEDULE, TOLD, told
from zeit.cds.spool import entries, giving_up, holds, newer_version, queue, schedule, sharing
from zeit.cds.spool.common_spool import CommonSpool, Offered
from zeit.cds.spool.filing import PRIVATE, SECTIONS, Filing
from zeit.cds.spool.joining import Joining
from zeit.cds.spool.parking import PARKED
from zeit.cds.spool.queue import Queue
from zeit.cds.spool.sequence import AT_ONCE, Sequence, numbered
from zeit.cds.spool.shared_looks import Demand
from zeit.cds.spool.sharing import RESENT, SKIPPED
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.withdrawal import WITHDRAWN
from zeit.cds.system import files
from zeit.cds.text import printable


log = logging.getLogger(__name__)


@zope.interface.implementer(IPartner)
class Partner(Spool):
    """See `IPartner`.  `shared` is the `Spool`, `terms` are those of this partner.

    `everybody()` returns the `Terms` of all partners of the spool, this one among them: those who
    are not known there yet, are from then on.
    """

    def __init__(self, shared, terms, *, everybody=None):
        self.shared = shared
        self.terms = terms
        self._joining = Joining(shared, everybody=everybody or (lambda: [terms]))
        self._common = CommonSpool(shared)
        self._sharing = self._common.sharing
        folder = self._sharing.folder(terms.name)
        super().__init__(folder, history=shared.history, clock=shared.clock)
        self.keep = shared.keep
        self._folder = os.fspath(self.path)
        self._filing = Filing(self.path, keep=self._keep)
        self._sequence = Sequence(self.path, number=self._common.new_number)
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

    @property
    def own_arrivals(self):
        """See `ISpool`."""
        return self._folder

    def _tell_watch(self):
        """Let whoever watches `own_arrivals` see that a file was brought back.

        It is not `new/`, where what a run takes appears.
        """
        with contextlib.suppress(OSError):  # then the next run comes by itself
            os.replace(files.draft(self._folder, io.BytesIO()), self._in(RESENT))

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

    def _keep(self, path, name):
        return self._sharing.keep(path, self._folder, name)

    def _partners(self):
        return []

    def _shared(self, *segments):
        return os.path.join(self.shared.path, *segments)

    def _require_one_partner(self, name):
        """It is one."""

    # Who is a partner

    @property
    def _has_joined(self):
        with self._translated():
            return self._joining.has_joined(self.name)

    def without_exporter(self):
        """See `IPartner`."""
        with self._translated():
            return self._joining.without_exporter()

    # A run

    @property
    def _is_pristine(self):
        return not self._has_joined

    @contextlib.contextmanager
    def run(self, *, rehearsal=False, acknowledges=False):
        """See `ISpool`."""
        with contextlib.ExitStack() as stack:
            if not rehearsal:
                stack.enter_context(self.shared.looks.coming(self))
                with self._translated():
                    self.shared._require()
                    self._joining.join(self.name)
            stack.enter_context(super().run(rehearsal=rehearsal, acknowledges=acknowledges))
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
                    self._common.remove_drafts()
                    self._sharing.tidy(self._folder)
                    for each in self._sharing.former():
                        folder = self._sharing.folder(each)
                        self._sharing.settle(folder, leaving=self._leave)
        except SpoolBusy as error:
            log.warning('It is in new/ until a later run: %s', error.message)

    def _leave(self, inodes):
        self._common.leave(inodes, self._sent)

    def _give_up(self):
        """Let what has waited too long for a partner, this or another one, wait no more for it."""
        partners = [
            self if name == self.name else Partner(self.shared, terms)
            for name, terms in self._sharing.partners().items()
            if terms.give_up_after is not None
        ]
        if not partners:
            return
        with self._translated():
            demands = [each._demand() for each in partners]
            found = self._common.look(demands)
        for partner, demand in zip(partners, demands, strict=True):
            try:
                with self._translated():
                    moment = self.clock() - partner.terms.give_up_after
                    partner._skip_older(moment, found.of(demand)[0])
            except SpoolBusy as error:
                log.warning('It waits for %s still: %s', printable(partner.name), error.message)

    def _skip_older(self, moment, names):
        """Let this partner not get what waits for it since before `moment`, of these `names`."""
        reason = 'It has waited too long for this partner (give_up_after).'
        self._give_up_taken(moment, reason)
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

    def _late(self, found, moment):
        return giving_up.late(found, moment, self._in(PRIVATE), self._shared(PRIVATE))

    def _since_put(self, found):
        return giving_up.since_put(found, self._shared(PRIVATE))

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
                self._common.settle_doubts()
                self._supersede()
            demand = self._demand()
            found = self.shared.looks.ask(self, demand, self._common.look)
            names, numbers = found.of(demand)
            if self._is_running and found.unwanted:
                with contextlib.suppress(SpoolBusy):  # the next run does it
                    self._sharing.settle_unwanted(found.unwanted)
            about = self._shared(PRIVATE), self._shared('new'), names, numbers
            more = queue.notable(*about, fits=notable)
            if own.names:
                queue.merge(names, numbers, super().entries(own.names))
            more = sorted(entries.newest(*own.notable, *more).values(), key=entries.by_arrival)
            return Queue.sorted(names, sorted({*own.ignored, *found.ignored}), more, order=order)

    def _demand(self):
        return Demand(self._had(), self.terms.test())

    def _had(self):
        """Return the inodes of what this partner has taken, or does not get, a set."""
        places = [*map(self._in, ('new', 'cur', PARKED, WITHDRAWN, SKIPPED))]
        if not self._is_running and self.name not in self._joining.recipients():
            places.append(self._shared('new'))  # who comes later gets nothing that waits
        return sharing.inodes(*places)

    def _look(self):
        """Return what is in `new/` of the spool for this partner, and what never goes."""
        found, ignored = self._common.scan()
        return self._offered(found), ignored

    def _offered(self, found):
        """Return those of the entries `found` in `new/` of the spool that are for this partner.

        In a run each gets a number.
        """
        had, wants = self._had() if found else set(), self.terms.test()
        found = [each for each in found if each.version[0] not in had]
        found = [each for each in found if wants is None or wants(each.name)]
        return self._common.offered(found, anew=self._is_running)

    def _find(self, name):
        """Return what waits in the spool as `name` for this partner, or None."""
        return next(iter(self._offered(entries.present(self._shared('new'), [name]))), None)

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
            self._require_not_withdrawn(entry, numbers)
            draft = self._in('tmp', f'.draft-{os.urandom(8).hex()}')
            try:
                self._common.link(entry.name, draft)
            except FileNotFoundError:
                what = f'{printable(entry.name)} has disappeared from the spool'
                raise self._common.recalled(entry.name, entry.number) or SourceGone(what) from None
            try:
                found = entries.entry(entry.name, os.lstat(draft))
                if found.version != entry.version:
                    entry = self._common.opened(found)
                    self._require_not_withdrawn(entry, numbers)
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

    def _require_not_withdrawn(self, entry, numbers):
        numbers.require_wanted(entry.number)
        if self._is_skipped(entry):
            raise Withdrawn('It was withdrawn for this partner.')

    def missing(self, name):
        """See `ISpool`."""
        found = super().missing(name)
        with self._translated():
            return found if isinstance(found, Withdrawn) else self._common.recalled(name) or found

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
            newer = self._common.opened(there)
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
            done = self._common.skip(self._folder, entry.name, entry.version[0])
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
            self._joining.join(self.name)
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
        self._tell_watch()
        return name

    def resend(self, name):
        """See `ISpool`: this partner gets what was delivered to it, or to another one."""
        with self._translated():
            self._joining.join(self.name)
            waits = self._find(name) is not None
        if waits:
            raise FileError(
                f'{printable(name)} is not sent again: it waits already',
                hint='The next run sends what waits.',
            )
        super().resend(name)
        self._tell_watch()

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
            others = self._joining.recipients()
            alone = self._sharing.waiting_alone(self._folder, found.waiting, others)
            return dataclasses.replace(found, alone=alone)


def _told(entry):
    return told({field: getattr(entry, field) for field in (*TOLD, *SCHEDULE)})
