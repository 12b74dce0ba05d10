"""The local side: a `gocept.filestore` with `tmp/`, `new/` and `cur/`.

Beside these three, a spool has `.cds/` for what a run needs itself: the file that is locked while
a run is active, and `filing/`, which a file passes on its way from `new/` to `cur/`.  `parked/`
appears when something was put there.  All of them must lie on one file system: every step is a
rename, and after each rename the directories are synchronised, so that it survives a loss of power.
"""

import contextlib
import dataclasses
import errno
import functools
import logging
import math
import os
import pathlib
import stat
import threading
import time

import zope.interface

from zeit.cds import names
from zeit.cds.errors import FileError, NotMoved, SourceGone, SpoolError, Withdrawn
from zeit.cds.interfaces import ISpool, IUsable
from zeit.cds.journal import journal
from zeit.cds.journal.failed_publications import Unpublished
from zeit.cds.journal.history import Histories
from zeit.cds.spool import (
    entries,
    holds,
    incoming,
    newer_version,
    queue,
    schedule,
    sharing,
    transactions_in_doubt,
)
from zeit.cds.spool.batch import Aborted, Batch
from zeit.cds.spool.filing import FILING, PRIVATE, SECTIONS, Filing
from zeit.cds.spool.parking import PARKED, Parking
from zeit.cds.spool.queue import Queue
from zeit.cds.spool.runlock import RunLock
from zeit.cds.spool.sequence import OUTBOX, Sequence, numbered
from zeit.cds.spool.shared_looks import SharedLooks
from zeit.cds.spool.source import Source
from zeit.cds.spool.wake import announce
from zeit.cds.spool.withdrawal import Withdrawal
from zeit.cds.system import files
from zeit.cds.text import printable
from zeit.cds.values.run_options import Keep


log = logging.getLogger(__name__)

#: An fsync of at least this many seconds is slow: the next one goes on while the file is sent.
SLOWLY = 0.002

#: A draft in `tmp/` that nobody has written to for this many seconds was left by a killed process.
_WRITING = 24 * 3600

#: The target of a token that is on no server, but in the spool.
HERE = ''

_RIGHTS = (
    'Check owner and mode. The user of the runs needs rwx on tmp, new, cur, parked and .cds; if '
    'the CMS is another user, let them share a group: chgrp, then chmod 2770.'
)


class SpoolPath(type(pathlib.Path())):
    """The directory of a spool.  A security proxy shows where it is, and no more."""

    @property
    def __Security_checker__(self):  # noqa: N802 the name of zope.security
        from zope.security.checker import NamesChecker

        return NamesChecker(['__str__', 'name'], 'zeit.cds.ViewStatus')


def translated(path):
    """Return a context manager that makes a `SpoolError` of what the system says about a spool."""
    return files.translated('The spool cannot be used: {}', path, hint=_RIGHTS)


@zope.interface.implementer(ISpool, IUsable)
class Spool:
    """See `ISpool`.  `path` is the directory, which must exist when a run begins.

    `history`: for how many months receipts are kept, 0 for ever; `keep` and `keep_bytes`: what
    stays in `cur/`, see `zeit.cds.values.run_options.Keep`.  `clock` tells seconds since the epoch.
    """

    #: How long a run waits for the one before, in seconds.
    _patience = 0

    def __init__(self, path, *, history=0, keep=None, keep_bytes=None, clock=time.time):
        self.path = SpoolPath(path)
        self.history = history
        self.clock = clock
        self._new = self._in('new')
        self.keep = Keep(keep=keep, keep_bytes=keep_bytes)
        self.journal = self._runner = None
        self.set_aside = []
        #: Those of its partners, if it has several.
        self.looks = SharedLooks()
        self.unpublished = Unpublished(self._in(PRIVATE), visited=self._visited)
        self._aborted = Aborted()
        self._filing = Filing(self.path)
        self._parking = Parking(self.path, drafts=FILING)
        self._sequence = Sequence(self.path)
        self._withdrawal = Withdrawal(self.path, parking=self._parking)
        #: In a run, what was parked: (number, name, version); None outside of one.
        self._left = None
        self._syncs_slowly = False

    def __repr__(self):
        return f'<Spool {str(self.path)!r}>'

    def _in(self, *segments):
        return os.path.join(self.path, *segments)

    @property
    def arrivals(self):
        """See `ISpool`."""
        return self._new

    #: See `ISpool`.
    own_arrivals = None

    def filed_at(self, stored):
        """See `ISpool`."""
        return self._in('cur', stored)

    def _partners(self):
        """Return what each partner has taken, a `Spool` of its own; none where all is for one."""
        with self._translated():
            return [*map(Spool, self._folders())]

    # A run

    @contextlib.contextmanager
    def run(self, *, rehearsal=False, acknowledges=False):
        """See `ISpool`."""
        if rehearsal and self._is_pristine:
            with self._rehearsal():
                yield self
            return
        with contextlib.ExitStack() as stack:
            with self._translated():
                self._make_directories(*SECTIONS, PRIVATE, FILING)
                about = {'like': self.path, 'patience': self._patience}
                stack.enter_context(RunLock(self._in(PRIVATE, 'lock'), **about))
                self._check_directories(map(self._in, (*SECTIONS, PRIVATE, FILING)))
                files.remove_drafts(self._in(PRIVATE))
                self.remove_drafts()
                self.journal = stack.enter_context(
                    self._sequence.journal(acknowledges=acknowledges)
                )
                self._runner = threading.get_ident()
                self._syncs_slowly = False
                stack.callback(self.__dict__.update, journal=None, _runner=None)
                self.journal.begin_history(keep=self.history)
                self._remove_probes()
                self._begin_sequence()
                stack.callback(self._end_sequence)
                if sharing.is_shared(self.path):
                    sharing.Sharing(self.path).forget_filed()
                self.set_aside = self._filing.put_back(
                    digests=self._digests, park=self._park, alone=self._alone
                )
                self._aborted.remove()
                transactions_in_doubt.settle(
                    self,
                    self._in(OUTBOX),
                    new=self._in('new'),
                    park=self._park,
                    sequence=self._numbers,
                )
                self._withdrawal.settle(self.journal)
            yield self

    def remove_drafts(self):
        """Remove what killed processes have left in `tmp/`.  Raises OSError."""
        with contextlib.suppress(FileNotFoundError):  # nobody has put anything there
            files.remove_drafts(self._in('tmp'), before=time.time() - _WRITING)

    @property
    def _is_running(self):
        """True in a run of this thread."""
        return self._runner == threading.get_ident()

    @property
    def _is_pristine(self):
        """True if no run has ever been here."""
        with self._translated():
            return files.is_directory(self.path) and not os.path.lexists(self._in(PRIVATE, 'lock'))

    @contextlib.contextmanager
    def _rehearsal(self):
        """Look at a spool that has no `.cds`, and make none: it has nothing to remember."""
        self.require_usable()
        import tempfile

        with tempfile.TemporaryDirectory() as directory, journal.Journal(directory) as self.journal:
            for row in journal.read(self._in(PRIVATE), tables=['held']).find('held'):
                self.journal.learn(row)
            try:
                yield
            finally:
                self.journal = None

    def _digests(self, name):
        """Return the SHA-256 of each upload of `name` whose end is not known: a set."""
        return {row['sha256'] for row in self.journal.find('uploads', name=name)}

    @property
    def _has_private(self):
        with self._translated():
            try:
                os.lstat(self._in(PRIVATE))  # whatever it is: what is no directory is an error
                return True
            except FileNotFoundError:
                return False

    def _translated(self):
        return translated(self.path)

    def _require(self):
        if not files.is_directory(self.path):
            hint = (
                'The path is wrong, or a disk is not mounted. For a new spool create the '
                'directory; tmp, new and cur inside it are created for you.'
            )
            if os.path.lexists(self.path):
                hint = 'It must be a directory: move what is there out of the way.'
            raise SpoolError(f'There is no spool at {printable(str(self.path))}', hint=hint)

    def _make_directories(self, *sections):
        self._require()
        for section in sections:
            files.make_directory(self._in(section), like=self.path)

    def require_usable(self):
        """See `IUsable`."""
        needed = [*map(self._in, (*SECTIONS, PRIVATE, FILING))]
        with self._translated():
            self._require()
            there = [*filter(os.path.lexists, needed)]
            parked = [*filter(os.path.lexists, [self._in(PARKED)])]
            # What is missing will be made.
            self._check_directories([self._in()] * (there != needed) + there + parked)

    def _check_directories(self, directories):
        device = os.stat(self.path).st_dev
        for directory in directories:
            found = os.stat(directory)
            if not stat.S_ISDIR(found.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, 'Not a directory', directory)
            if found.st_dev != device:
                raise SpoolError(
                    f'{printable(directory)} is on another file system than the spool',
                    hint='Files are moved by renaming, which needs one file system for all.',
                )
            if os.statvfs(directory).f_flag & os.ST_RDONLY:
                raise OSError(errno.EROFS, 'Read-only file system', directory)
            if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                mode = f'{found.st_mode & 0o7777:o}'
                raise PermissionError(0, f'rwx is needed, its mode is {mode}', directory)

    def require_filing(self):
        """See `ISpool`."""
        token = self.journal.new_token(HERE)
        with self._translated():
            self._filing.try_out(names.probe(token=token))
        self.journal.note('clean', token=token)

    @contextlib.contextmanager
    def _alone(self, path):
        """Turn an OSError that concerns the file `path`, and no other, into `NotMoved`."""
        try:
            yield
        except OSError as error:
            # Where it is full the probe may be short enough.
            if isinstance(error, (FileNotFoundError, FileExistsError)) or files.is_full(error):
                raise
            try:
                self.require_filing()
            except SpoolError:
                raise error from None
            raise self._filing.not_moved(path, error) from error

    def _remove_probes(self):
        for row in self.journal.find('tokens', target=HERE)[-1:]:
            # Also what was removed already: that may not have survived a loss of power.
            self._filing.remove(names.probe(token=row['token']))
            if not row['clean']:
                self.journal.note('clean', token=row['token'])

    # The order of what comes in

    @contextlib.contextmanager
    def _visited(self, about=None):
        """Return a context manager: a `Journal` to which something is added outside of a run."""
        with self._translated(), self._sequence.visited(about) as visited:
            yield visited

    def _numbers(self, names=()):
        """Return a context manager, for a run: inside of it nobody else gives `Numbers`."""
        return self._sequence.numbers(names, self.journal)

    def _begin_sequence(self):
        self._sequence.begin(self.journal)
        self._left = []

    def _end_sequence(self):
        """Forget the numbers of what waits no more: if it comes back, it gets another one."""
        with contextlib.suppress(OSError, SpoolError):  # the next run does it
            self._withdrawal.settle(self.journal)
        left, self._left = self._left, None
        with contextlib.suppress(OSError, SpoolError), self._numbers() as numbers:
            numbers.leave(each[:2] for each in left if not self._stands(*each[1:]))

    def _stands(self, name, version):
        there = entries.find(self._in('new'), name)
        return there is not None and there.version == version

    # What waits

    def pending(self, *, order='arrival'):
        """See `ISpool`."""
        if self._is_pristine and not os.path.lexists(self._in('new')):
            return [], []
        with self._translated():
            found, ignored, _ = entries.scan(self._in('new'))
            if self._is_running:
                found = self._sequence.numbered(found, self.journal)
            elif found:
                found = numbered(found, self._looked_at())
        return self._sorted(found, order), ignored

    def queue(self, *, order='arrival', notable=None):
        """See `ISpool`."""
        if self._is_pristine and not os.path.lexists(self._in('new')):
            return Queue([], [], [])
        with self._translated():
            remembered = self.journal if self._is_running else self._looked_at()
            return self._sequence.queue(remembered, order=order, notable=notable)

    def entries(self, names):
        """See `ISpool`."""
        with self._translated():
            found = entries.present(self._in('new'), names)
            if self._is_running:
                return self._sequence.numbered(found, self.journal)
            return numbered(found, self._looked_at()) if found else []

    def is_plain(self):
        """See `ISpool`."""
        return queue.is_plain(self._in(PRIVATE))

    def missing(self, name):
        """See `ISpool`."""
        with self._translated(), self._numbers():
            recalled = self.journal.find('versions', name=name, recalled=True)
        if recalled:
            return Withdrawn(recalled[-1]['reason'])
        return SourceGone(f'{printable(name)} has disappeared from the spool')

    def _sorted(self, found, order):
        found.sort(key=entries.by_name if order == 'name' else entries.by_arrival)
        return found

    def _looked_at(self):
        try:
            return journal.read(self._in(PRIVATE), table='versions')
        except SpoolError:  # whoever only looks may have no right to see it
            return journal.Journal(self._in(PRIVATE))

    def _numbered(self, entry):
        return self._sequence.numbered([entry], self.journal)[0]

    def open(self, entry):
        """See `ISpool`."""
        with self._translated():
            self._filing.require_movable(entry.name)
        try:
            source = Source(f'{self._new}/{entry.name}')
        except SourceGone:
            if self._is_running:
                self._require_wanted(entry.name, entry.number, anew=True)
            raise
        source.number = entry.number
        if source.version != entry.version:
            with self._translated():
                opened = dataclasses.replace(entry, version=source.version)
                source.number = self._numbered(opened).number
        source.require_wanted = functools.partial(self._require_wanted, entry.name, source.number)
        if self._is_running and self._syncs_slowly and not self._is_durable(source):
            source.begin_sync()  # it is ready when the file is sent
        return source

    def _is_durable(self, source):
        """What was put is on the disk; whoever else wrote a file may not have seen to that."""
        row = self.journal.row('versions', source.number)
        return row is not None and row['kind'] == 'put'

    def _require_wanted(self, name, number, *, anew=False):
        """Raise what has become of a version; `anew`: whoever has withdrawn it wrote that down."""
        if anew:
            with self._translated(), self._numbers():
                self._require_wanted(name, number)
            return
        with self._translated():
            row = self._withdrawal.require_wanted(name, number, self.journal)
            schedule.require_not_over(row.get('not_after', ''), now=self.clock())
            holds.require_free(self.journal, name)

    def look(self, name):
        """See `ISpool`."""
        return Source(self._in('new', name))

    def untimely(self, entries_):
        """See `ISpool`."""
        if not any(each.not_before or each.not_after for each in entries_):
            return {}
        return schedule.untimely(sorted(entries_, key=entries.by_arrival), now=self.clock())

    def require_timely(self, number):
        """See `ISpool`."""
        row = self.journal.row('versions', number) or {}
        schedule.require_not_over(row.get('not_after', ''), now=self.clock())
        schedule.require_begun(row.get('not_before', ''), now=self.clock())

    # What becomes of it

    def done(self, entry, source):
        """See `ISpool`."""
        with self._translated():
            if not self._is_durable(source):
                seconds = source.sync()  # before its inode is to be written
                self._syncs_slowly = seconds >= SLOWLY
            with self._alone(f'{self._new}/{entry.name}'):
                filed, newer = self._filing.file(entry.name, source)
            return filed, newer and self._numbered(newer)

    def sync(self):
        """See `ISpool`."""
        with self._translated():
            self._filing.sync()

    def filed(self, name, *, sha256, version=None):
        """See `ISpool`."""
        with self._translated():
            return self._filing.find(name, sha256=sha256, version=version)

    def park(self, entry, reason):
        """See `ISpool`."""
        with self._translated():
            try:
                with self._alone(self._in('new', entry.name)):
                    private = self._filing.take(entry.name)
            except FileNotFoundError:
                return ''
            if entries.entry(entry.name, os.lstat(private)).version != entry.version:
                self._filing.give_back(entry.name)
                return ''
            stored = self._park_taken(private, entry, reason)
            files.sync_directories(self._in('new'))
            return stored

    def _park_taken(self, private, entry, reason):
        try:
            return self._park(private, entry.name, reason, number=entry.number)
        except BaseException:
            self._filing.give_back(entry.name)
            raise

    def _park(self, path, name, reason, *, number=None, told=None):
        there = entries.find(*os.path.split(path))
        version = () if there is None else there.version
        if number is None:
            with self._numbers() as numbers:
                number = numbers.known({name}).get((name, version), 0)
        told = told or self.journal.told(number)
        receipt = {'name': name, 'sequence': number, 'reason': reason, **told}
        noted = functools.partial(self.journal.receipt, 'parked', receipt)
        stored = self._parking.add(path, name, reason, number=number, told=told, noted=noted)
        self._left.append((number, name, version))
        return stored

    def retry(self, name, *, older=False):
        """See `ISpool`."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._translated())
            shared = sharing.Sharing(self.path) if sharing.is_shared(self.path) else None
            if shared:
                stack.enter_context(shared.lock.held())
            if not self._is_running:
                stack.enter_context(self.run())
            parked = self._parking.find(name)
            self._parking.require_name(parked)
            about = {'above': parked.number, 'history': shared and self.history_of_all()}
            delivered = self.journal.newest_delivered(parked.name, **about)
            with self._numbers() as numbers:
                there = entries.find(self._in('new'), parked.name)
                if there is not None:
                    known = numbers.see([there])
                    number = known[there.name, there.version]
                    there = dataclasses.replace(there, number=number)
                others = self._parking.versions(parked.name)
                others = [each for each in others if not each.given_up]
                newer = newer_version.newer(parked, waits=there, delivered=delivered, others=others)
                if newer and not older:
                    raise newer_version.refusal(parked, newer, spool=self.path)
                self._filing.require_movable(parked.name)
                in_its_place = self._make_room(there, parked)
                # What goes out now is the newest: whoever brings back an older one has decided so.
                number = None if newer else parked.number or None
                version, about = parked.entry.version, parked.told
                if shared and number:
                    shared.skip_given(self._in(PARKED, parked.stored), parked.name, number)
                number = numbers.note(parked.name, version, number=number, told=about)
                numbers.sync()
                self._bring_back(parked, in_its_place)
            self.journal.receipt('resent', {'name': parked.name, 'sequence': number})
            return parked.name

    def _make_room(self, there, parked):
        """Take what waits, the entry `there`, out of the way of a file that is brought back.

        Returns its name in `parked/` if it is newer.
        """
        if there is None:
            return ''
        try:
            with self._alone(self._in('new', there.name)):
                private = self._filing.take(there.name)
        except FileNotFoundError:
            return ''
        if entries.find(*os.path.split(private)).version != there.version:
            self._filing.give_back(there.name)
            raise newer_version.taken(there.name)
        if there.number > parked.number:
            reason = 'An older version was brought back in its place.'
            return self._park_taken(private, there, reason)
        return ''

    def _bring_back(self, parked, in_its_place):
        try:
            with self._alone(self._in(PARKED, parked.stored)):
                self._parking.bring_back(parked)
        except FileExistsError:
            self._filing.give_back(parked.name)
            raise newer_version.taken(parked.name) from None
        except NotMoved:
            self._filing.give_back(parked.name)
            if in_its_place:
                self._parking.bring_back(self._parking.find(in_its_place))
            raise
        # The older one that waited in its place.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._in(FILING, parked.name))

    # What comes in

    def receive(self, name, *, temporary):
        """See `ISpool`."""
        names.check(name)
        return incoming.Incoming(self.path, temporary=temporary)

    def recover(self, name, *, temporary, size, sha256, inode=None):
        """See `ISpool`."""
        arrived = False
        if incoming.is_left(self.path, temporary, size=size, sha256=sha256):
            with contextlib.suppress(FileError):  # which is said when it is fetched again
                arrived = incoming.move(self.path, temporary, name)
        arrived = arrived or incoming.has_arrived(self.path, name, inode=inode, sha256=sha256)
        if arrived:
            # Also what was moved already: the run that did it may have been killed before this.
            self.sync_arrivals()
            # It is still there, too, where moving it took a link.
            incoming.discard(self.path, temporary)
        return arrived

    def sync_arrivals(self):
        """See `ISpool`."""
        incoming.sync(self.path)

    def has(self, name):
        """See `ISpool`."""
        return os.path.lexists(self._in('new', name))

    def sweep(self):
        """See `ISpool`."""
        with self._translated():
            for name in os.listdir(self._in('tmp')):
                if self.journal.row('tokens', names.token_of(name)):
                    self._delete_left(self._in('tmp', name))

    def _delete_left(self, path):
        try:
            os.unlink(path)
        except OSError as error:
            # It is of no use, and in nobody's way.
            log.warning('Left behind, to be deleted: %s: %s', printable(path), error.strerror)

    def put(self, name, data, *, tell=True, **about):
        """See `ISpool`."""
        told = schedule.told(**about)
        notices = self._put(name, data, lambda draft: self._sequence.place(draft, name, told))
        self._withdrawal.supersede(notices, visited=self._visited)
        if tell:
            announce(self, files={name: told})

    def _put(self, name, data, place):
        names.check_new(name)
        data = files.readable(data, name=name)
        self._aborted.remove()
        with self._translated():
            self._make_directories(*SECTIONS)
            draft = files.draft(self._in('tmp'), data)
            try:
                return place(draft)
            except BaseException:
                os.unlink(draft)
                raise
            finally:
                files.sync_directories(self._in('new'), self._in('tmp'))

    def withdraw(self, name, reason, *, until=math.inf):
        """See `ISpool`."""
        with self._visited({'name': [name]}) as visited:
            done = self._withdrawal.withdraw(name, reason, visited, until=until)
        # Behind that nobody takes it any more.
        found = [each.withdraw(name, reason, until=until) for each in self._partners()]
        self._forget_withdrawn(found and (done or any(found)))
        return done or any(found)

    def _forget_withdrawn(self, done):
        """Let what was withdrawn for all be so once, if something was."""
        if done:
            with self._translated():
                sharing.Sharing(self.path).forget_withdrawn()

    def drop(self, name, reason):
        """See `ISpool`."""
        with self._translated():
            self._make_directories(*SECTIONS)
            with self._visited({}) as visited:
                stored = self._withdrawal.drop(name, reason, visited)
        found = [each.drop(name, reason) for each in self._partners()]
        return stored or next(filter(None, found), '')

    def resend(self, name):
        """See `ISpool`."""
        from zeit.cds.spool.resending import Resending  # no run needs it

        resending = Resending(self.path, parking=self._parking, filed_at=self.filed_at)
        with self._translated():
            self._require_one_partner(name)
            self._make_directories(*SECTIONS)
            delivered = resending.find(name, self.history_of_all(), now=self.clock())
            draft = resending.draft(delivered)
            try:
                self._resend(resending, delivered, draft)
            except BaseException:
                os.unlink(draft)
                raise
            files.sync_directories(self._in('new'), self._in('tmp'))
        announce(self, files={name: delivered.told})

    def _require_one_partner(self, name):
        if known := sharing.known(self.path):
            raise FileError(
                f'{printable(name)} is not sent again: its spool has several partners',
                hint=f'Name those who are to get it, by --to: {printable(", ".join(known))}.',
            )

    def history_of_all(self):
        """Return the receipts of whoever was sent something: a `History`, or what is like one."""
        private = self._in(PRIVATE)
        found = [journal.history(os.path.join(each, PRIVATE)) for each in self._folders()]
        own = journal.history(private)
        return Histories([own, *found]) if found else own

    def _folders(self):
        return sharing.folders(self.path)

    def _resend(self, resending, delivered, draft):
        about = {'name': [delivered.name], 'id': [delivered.told.get('content', '')]}
        done = False
        while not done:
            with self._visited(about) as visited:
                done = resending.place(delivered, draft, visited)

    def prune(self, keep=None, *, dry_run=False):
        """See `ISpool`."""
        from zeit.cds.spool import pruning

        with self._translated():
            self._require()
            return pruning.prune(
                self._in('cur'),
                keep or self.keep,
                history=self.history_of_all(),
                visited=None if dry_run else functools.partial(self._visited, {}),
                others=[os.path.join(each, PRIVATE) for each in self._folders()],
            )

    def hold(self, name, reason):
        """See `ISpool`."""
        self._require()
        with self._visited({'name': [name]}) as visited:
            is_under_way = holds.hold(visited, name, reason)
        return any([is_under_way, *(each.hold(name, reason) for each in self._partners())])

    def release(self, name):
        """See `ISpool`."""
        self._require()
        if not self._has_private:
            return False
        with self._visited({'name': [name]}) as visited:
            is_released = holds.release(visited, name)
        return any([is_released, *(each.release(name) for each in self._partners())])

    def latest(self, *, new=False, before=''):
        """See `ISpool`."""
        if before:
            return journal.latest(self._in(PRIVATE), before=before)
        if not self._has_private:
            return 0
        with self._visited() as visited:
            return visited.note('raised', sequence=None)['sequence'] if new else visited.log.largest

    def retract(self, content, reason, *, until, delete=False, notice=None):
        """See `ISpool`."""
        done, about, partners = [], {'until': until, 'delete': delete}, self._partners()
        if until:
            with self._visited({}) as visited:
                # What was delivered is a partner's business, where there are several.
                mine = about | ({'delete': False} if partners else {})
                done = self._withdrawal.retract(content, reason, visited, **mine)
        if notice is not None and partners:
            name, data, version = notice
            notice = name, files.readable(data, name=name).read(), version
        for partner in partners:
            done += partner.retract(content, reason, notice=notice, **about)
        self._forget_withdrawn(partners and done)
        if notice is not None and not partners:
            place = functools.partial(self._sequence.place_notice, notice, content, until)
            self._put(*notice[:2], place)
        self.unpublished.retracted(content, until=until)
        return done

    def retracted(self, content, *, since):
        """See `ISpool`."""
        return self._withdrawal.was_retracted(content, since=since)

    def batch(self):
        """See `ISpool`."""
        self._aborted.remove()
        with self._translated():
            self._make_directories(*SECTIONS)
            return Batch.begin(
                self._in(OUTBOX),
                like=self.path,
                new=self._in('new'),
                sequence=self._sequence.numbers,
                filing=self._in(FILING),
                translated=self._translated,
                left=self._aborted.add,
                retract=self.retract,
            )

    def adopt(self, *, forget=False):
        """See `ISpool`."""
        with self.run():
            targets = self.journal.disowned
            self.journal.adopt(forget=forget)
            return targets

    # Looking only

    def status(self):
        """See `ISpool`."""
        with self._translated():
            self._require()
            from zeit.cds.spool import status

            return status.look(
                self.path,
                filing=self._filing,
                parking=self._parking,
                unpublished=self.unpublished,
            )
