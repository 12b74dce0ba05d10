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
import stat
import tempfile
import threading

import gocept.filestore.filestore
import zope.interface

from zeit.cds import entries, files, incoming, indoubt, journal, kinds, names, precedence
from zeit.cds.aborted import Aborted
from zeit.cds.batch import Batch
from zeit.cds.errors import FileError, NameRefused, NotMoved, SourceGone, SpoolError
from zeit.cds.filing import FILING, PRIVATE, Filing
from zeit.cds.interfaces import ISpool, IUsable
from zeit.cds.parking import PARKED, Parking
from zeit.cds.runlock import RunLock
from zeit.cds.sequence import OUTBOX, Sequence
from zeit.cds.source import Source
from zeit.cds.spoolstatus import SpoolPath, SpoolStatus, by_name
from zeit.cds.text import printable
from zeit.cds.unpublished import Unpublished
from zeit.cds.wake import announce
from zeit.cds.withdrawal import Withdrawal


log = logging.getLogger(__name__)

#: The target of a token that is on no server, but in the spool.
HERE = ''

_RIGHTS = (
    'Check owner and mode. The user of the runs needs rwx on tmp, new, cur, parked and .cds; if '
    'the CMS is another user, let them share a group: chgrp, then chmod 2770.'
)


@zope.interface.implementer(ISpool, IUsable)
class Spool:
    """See `ISpool`.  `path` is the directory, which must exist when a run begins.

    `history`: for how many months receipts are kept, 0 for ever.
    """

    def __init__(self, path, *, history=0):
        self.path = SpoolPath(path)
        self.history = history
        self.journal = self._runner = None
        self.set_aside = []
        self.unpublished = Unpublished(self._in(PRIVATE), visited=self._visited)
        self._aborted = Aborted()
        self._filing = Filing(self.path)
        self._parking = Parking(self.path, drafts=FILING)
        self._sequence = Sequence(self.path)
        self._withdrawal = Withdrawal(self.path, parking=self._parking)
        #: In a run, what was parked: (number, name, version); None outside of one.
        self._left = None
        self._sections = gocept.filestore.filestore.FileStore(str(self.path)).sub_dirs

    def __repr__(self):
        return f'<Spool {str(self.path)!r}>'

    def _in(self, *segments):
        return os.path.join(self.path, *segments)

    # A run

    @contextlib.contextmanager
    def run(self, *, rehearsal=False):
        """See `ISpool`."""
        if rehearsal and self._is_pristine:
            with self._rehearsal():
                yield self
            return
        with contextlib.ExitStack() as stack:
            with self._translated():
                self._make_directories(*self._sections, PRIVATE, FILING)
                stack.enter_context(RunLock(self._in(PRIVATE, 'lock'), like=self.path))
                self._check_directories(map(self._in, (*self._sections, PRIVATE, FILING)))
                files.remove_drafts(self._in(PRIVATE))
                self.journal = stack.enter_context(self._sequence.journal())
                self._runner = threading.get_ident()
                stack.callback(self.__dict__.update, journal=None, _runner=None)
                self.journal.begin_history(keep=self.history)
                self._remove_probes()
                self._begin_sequence()
                stack.callback(self._end_sequence)
                self.set_aside = self._filing.put_back(
                    digests=self._digests, park=self._park, alone=self._alone
                )
                self._aborted.remove()
                indoubt.settle(
                    self,
                    self._in(OUTBOX),
                    new=self._in('new'),
                    park=self._park,
                    sequence=self._numbers,
                )
                self._withdrawal.settle(self.journal)
            yield self

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
        with tempfile.TemporaryDirectory() as directory, journal.Journal(directory) as self.journal:
            try:
                yield
            finally:
                self.journal = None

    def _digests(self, name):
        """Return the SHA-256 of each upload of `name` whose end is not known: a set."""
        return {row['sha256'] for row in self.journal.find('uploads', name=name)}

    @contextlib.contextmanager
    def _translated(self):
        """Turn what the system says about our own directories into a `SpoolError`."""
        try:
            yield
        except OSError as error:
            where = printable(os.fsdecode(error.filename or self.path))
            raise SpoolError(
                f'The spool cannot be used: {where}: {error.strerror}',
                hint=files.remedy(error) or _RIGHTS,
            ) from error

    def _require(self):
        if not files.is_directory(self.path):
            hint = 'Create the directory; tmp, new and cur inside it are created for you.'
            if os.path.lexists(self.path):
                hint = 'It must be a directory: move what is there out of the way.'
            raise SpoolError(f'There is no spool at {printable(str(self.path))}', hint=hint)

    def _make_directories(self, *sections):
        self._require()
        for section in sections:
            files.make_directory(self._in(section), like=self.path)

    def require_usable(self):
        """See `IUsable`."""
        needed = [*map(self._in, (*self._sections, PRIVATE, FILING))]
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
        self.journal.clean(token)

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
            if not row.get('clean'):
                self.journal.clean(row['token'])

    # The order of what comes in

    @contextlib.contextmanager
    def _visited(self, about=None):
        """Return a context manager: a `Journal`, for who is in no run, to add something."""
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
        there = entries.standing(self._in('new'), name)
        return there is not None and there.version == version

    # What waits

    def pending(self, *, order='arrival'):
        """See `ISpool`."""
        return self._pending(self.journal if self._is_running else None, order=order)

    def _pending(self, remembered, *, order='arrival'):
        if self._is_pristine and not os.path.lexists(self._in('new')):
            return [], []
        with self._translated():
            found, ignored = entries.scan(self._in('new'))
            found = self._sequence.numbered(found, remembered)
        found.sort(key=entries.by_name if order == 'name' else entries.by_arrival)
        return found, ignored

    def _numbered(self, entry):
        return self._sequence.numbered([entry], self.journal)[0]

    def open(self, entry):
        """See `ISpool`."""
        with self._translated():
            self._filing.require_movable(entry.name)
        try:
            source = Source(self._in('new', entry.name))
        except SourceGone:
            if self._is_running:
                with self._numbers():  # whoever has withdrawn it has written that down
                    self._require_wanted(entry.name, entry.number)
            raise
        source.number = entry.number
        if source.version != entry.version:
            with self._translated():
                opened = dataclasses.replace(entry, version=source.version)
                source.number = self._numbered(opened).number
        source.require_wanted = lambda: self._require_wanted(entry.name, source.number)
        return source

    def _require_wanted(self, name, number):
        with self._translated():
            self._withdrawal.require_wanted(name, number, self.journal)

    # What becomes of it

    def done(self, entry, source):
        """See `ISpool`."""
        with self._translated():
            with self._alone(self._in('new', entry.name)):
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
        there = entries.standing(*os.path.split(path))
        version = () if there is None else there.version
        if number is None:
            with self._numbers() as numbers:
                number = numbers.known().get((name, version), 0)
        told = told or self.journal.told(number)
        receipt = {'name': name, 'sequence': number, 'reason': reason, **told}
        noted = functools.partial(self.journal.receipt, 'parked', receipt)
        stored = self._parking.add(path, name, reason, number=number, told=told, noted=noted)
        self._left.append((number, name, version))
        return stored

    def retry(self, name, *, older=False):
        """See `ISpool`."""
        with contextlib.nullcontext() if self._is_running else self.run(), self._translated():
            parked = self._parking.find(name)
            self._parking.require_name(parked)
            delivered = self.journal.newest_delivered(parked.name, above=parked.number)
            with self._numbers() as numbers:
                there = entries.standing(self._in('new'), parked.name)
                if there is not None:
                    known = numbers.see([there])
                    number = known[there.name, there.version]
                    there = dataclasses.replace(there, number=number)
                others = self._parking.versions(parked.name)
                newer = precedence.newer(parked, waits=there, delivered=delivered, others=others)
                if newer and not older:
                    raise precedence.refusal(parked, newer, spool=self.path)
                self._filing.require_movable(parked.name)
                in_its_place = self._make_room(there, parked)
                # What goes out now is the newest; who brings an older one back has decided that.
                number = None if newer else parked.number or None
                version, about = parked.entry.version, parked.told
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
        if entries.standing(*os.path.split(private)).version != there.version:
            self._filing.give_back(there.name)
            raise _taken(there.name)
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
            raise _taken(parked.name) from None
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
            with contextlib.suppress(NameRefused):  # which is said when it is fetched again
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
                if self.journal.knows(names.token_of(name)):
                    self._delete_left(self._in('tmp', name))

    def _delete_left(self, path):
        try:
            os.unlink(path)
        except OSError as error:
            # It is of no use, and in nobody's way.
            log.warning('Left behind, to be deleted: %s: %s', printable(path), error.strerror)

    def put(self, name, data, *, tell=True, content='', content_version=''):
        """See `ISpool`."""
        names.check_new(name)
        data = files.readable(data, name=name)
        told = kinds.told({'content': content, 'content_version': content_version})
        self._aborted.remove()
        with self._translated():
            self._make_directories(*self._sections)
            draft = files.draft(self._in('tmp'), data)
            try:
                self._sequence.place(draft, name, told)
            except BaseException:
                os.unlink(draft)
                raise
            files.sync_directories(self._in('new'), self._in('tmp'))
        if tell:
            announce(self, files={name: told})

    def withdraw(self, name, reason, *, until=math.inf):
        """See `ISpool`."""
        with self._visited({'name': [name]}) as visited:
            return self._withdrawal.withdraw(name, reason, visited, until=until)

    def latest(self, *, new=False, before=''):
        """See `ISpool`."""
        if before:
            return journal.latest(self._in(PRIVATE), before=before)
        if not os.path.lexists(self._in(PRIVATE)):
            return 0
        with self._visited() as visited:
            return visited.note('raised', sequence=None)['sequence'] if new else visited.log.largest

    def retract(self, content, reason, *, until):
        """See `ISpool`."""
        done = []
        if until:
            with self._visited({}) as visited:
                done = self._withdrawal.retract(content, reason, visited, until=until)
        self.unpublished.retracted(content, until=until)
        return done

    def retracted(self, content, *, since):
        """See `ISpool`."""
        return journal.was_retracted(self._in(PRIVATE), content, since=since)

    def batch(self):
        """See `ISpool`."""
        self._aborted.remove()
        with self._translated():
            self._make_directories(*self._sections)
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
            # What a first run will create is as good as empty.
            there = [os.path.lexists(self._in(section)) for section in ('new', FILING)]
            # In the order in which a file passes them: one that does so now may be seen twice, but
            # not be missed.
            waiting, ignored = by_name(*self._pending(None)) if there[0] else ([], [])
            filing = self._sequence.numbered(self._filing.content()) if there[1] else []
            seen = {(entry.name, entry.version) for entry in waiting}
            parked = self._parking.content()
            return SpoolStatus(
                path=self.path,
                waiting=waiting,
                ignored=ignored,
                hidden=entries.hidden(self._in('new')) if there[0] else [],
                parked=[(stored, about['reason']) for stored, about in parked.items()],
                parked_content={stored: kinds.told(about) for stored, about in parked.items()},
                unpublished=self.unpublished.content(),
                in_doubt=indoubt.left(self._in(OUTBOX)),
                filing=[each for each in filing if (each.name, each.version) not in seen],
                active=RunLock(self._in(PRIVATE, 'lock'), like=self.path).holder(),
            )


def _taken(name):
    return FileError(
        f'{printable(name)} cannot be brought back: its name is taken in new/',
        hint='A newer version that has just come in is delivered by the next run; then look again.',
    )
