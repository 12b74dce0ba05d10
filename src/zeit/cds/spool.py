"""The local side: a `gocept.filestore` with `tmp/`, `new/` and `cur/`.

Beside these three, a spool has `.cds/` for what a run needs itself: the file that is locked while
a run is active, and `filing/`, which a file passes on its way from `new/` to `cur/`.  `parked/`
appears when something was put there.  All of them must lie on one file system: every step is a
rename, and after each rename the directories are synchronised, so that it survives a loss of power.
"""

import contextlib
import errno
import io
import os
import pathlib
import stat
import tempfile

import gocept.filestore.filestore
import zope.interface

from zeit.cds import entries, files, incoming, indoubt, names
from zeit.cds.aborted import Aborted
from zeit.cds.batch import Batch
from zeit.cds.errors import NameRefused, SpoolError
from zeit.cds.filing import FILING, PRIVATE, Filing
from zeit.cds.interfaces import ISpool, IUsable
from zeit.cds.journal import Journal
from zeit.cds.parking import Parking
from zeit.cds.runlock import RunLock
from zeit.cds.spoolstatus import SpoolStatus, by_name
from zeit.cds.text import printable
from zeit.cds.unpublished import Unpublished
from zeit.cds.wake import announce


OUTBOX = os.path.join(PRIVATE, 'outbox')
UNPUBLISHED = os.path.join(PRIVATE, 'unpublished')

_RIGHTS = (
    'Check owner and mode. The user of the runs needs rwx on tmp, new, cur and .cds; if the CMS is '
    'another user, let them share a group: chgrp, then chmod 2770.'
)


@zope.interface.implementer(ISpool, IUsable)
class Spool:
    """See `ISpool`.  `path` is the directory, which must exist when a run begins."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.journal = None
        self.unpublished = Unpublished(self._in(UNPUBLISHED), like=self.path)
        self._aborted = Aborted()
        self._filing = Filing(self.path)
        self._parking = Parking(self.path, drafts=FILING)
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
                self._check()
                self.journal = stack.enter_context(Journal(self._in(PRIVATE)))
                stack.callback(self._forget_journal)
                self._filing.put_back(digests=self.journal.digests, park=self._park)
                self._aborted.remove()
                indoubt.settle(self, self._in(OUTBOX), new=self._in('new'), park=self._park)
            yield self

    @property
    def _is_pristine(self):
        """True if nothing was ever written or sent by us here."""
        return files.is_directory(self.path) and not os.path.lexists(self._in(PRIVATE))

    @contextlib.contextmanager
    def _rehearsal(self):
        """Look at a spool that has no `.cds`, and make none: it has nothing to remember."""
        self.require_usable()
        with tempfile.TemporaryDirectory() as directory, Journal(directory) as self.journal:
            try:
                yield
            finally:
                self._forget_journal()

    def _forget_journal(self):
        self.journal = None

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
            raise SpoolError(
                f'There is no spool at {printable(str(self.path))}',
                hint='Create the directory; tmp, new and cur inside it are created for you.',
            )

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
            # What is missing will be made.
            self._check_directories([self._in()] * (there != needed) + there)

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

    def _check(self):
        """Find out before anything is sent whether it could be filed."""
        self._check_directories(map(self._in, (*self._sections, PRIVATE, FILING)))
        # A read-only or full file system shows only when something is written.
        os.unlink(files.draft(self._in('cur'), io.BytesIO(b'probe'), name='.probe'))

    # What waits

    def pending(self, *, order='arrival'):
        """See `ISpool`."""
        if self._is_pristine and not os.path.lexists(self._in('new')):
            return [], []
        with self._translated():
            found, ignored = entries.scan(self._in('new'))
        found.sort(key=entries.by_name if order == 'name' else entries.by_arrival)
        return found, ignored

    def open(self, entry):
        """See `ISpool`."""
        return files.Source(self._in('new', entry.name))

    # What becomes of it

    def done(self, entry, source):
        """See `ISpool`."""
        with self._translated():
            return self._filing.file(entry.name, source)

    def filed(self, name, *, sha256):
        """See `ISpool`."""
        with self._translated():
            return self._filing.find(name, sha256=sha256)

    def park(self, entry, reason):
        """See `ISpool`."""
        with self._translated():
            try:
                private = self._filing.take(entry.name)
            except FileNotFoundError:
                return False
            if entries.entry(entry.name, os.lstat(private)).version != entry.version:
                self._filing.give_back(entry.name)
                return False
            self._park(private, entry.name, reason)
            files.sync_directories(self._in('new'))
            return True

    def _park(self, path, name, reason):
        self.journal.parked(name=name, reason=reason)
        self._parking.add(path, name, reason)

    def retry(self, name):
        """See `ISpool`."""
        with self._translated():
            self._parking.bring_back(name)
            self.journal.retried(name=name)

    # What comes in

    def receive(self, name, *, temporary):
        """See `ISpool`."""
        names.check(name)
        return incoming.Incoming(self.path, temporary=temporary)

    def recover(self, name, *, temporary, size, sha256):
        """See `ISpool`."""
        found = incoming.left(self.path, temporary)
        try:
            if found is not None and (
                found != (size, sha256) or not incoming.move(self.path, temporary, name)
            ):
                return False
        except NameRefused:
            return False  # which is said when it is fetched again
        # Also what was moved already: the run that did it may have been killed before this.
        self.sync_arrivals()
        return True

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
                    os.unlink(self._in('tmp', name))

    def put(self, name, data):
        """See `ISpool`."""
        names.check_new(name)
        content = files.readable(data, name=name)
        self._aborted.remove()
        with self._translated():
            self._make_directories(*self._sections)
            draft = files.draft(self._in('tmp'), content)
            try:
                os.replace(draft, self._in('new', name))
            except OSError:
                os.unlink(draft)
                raise
            files.sync_directories(self._in('new'), self._in('tmp'))
        announce(self, names=[name])

    def batch(self):
        """See `ISpool`."""
        self._aborted.remove()
        with self._translated():
            self._make_directories(*self._sections)
            return Batch.begin(
                self._in(OUTBOX),
                like=self.path,
                new=self._in('new'),
                filing=self._in(FILING),
                translated=self._translated,
                left=self._aborted.add,
            )

    # Looking only

    def status(self):
        """See `ISpool`."""
        with self._translated():
            self._require()
            # What a first run will create is as good as empty.
            there = [os.path.lexists(self._in(section)) for section in ('new', 'cur')]
            waiting, ignored = by_name(*self.pending()) if there[0] else ([], [])
            delivered, newest = files.newest(self._in('cur')) if there[1] else (0, None)
            return SpoolStatus(
                path=self.path,
                waiting=waiting,
                ignored=ignored,
                hidden=entries.hidden(self._in('new')) if there[0] else [],
                delivered=delivered,
                last_delivered=newest,
                parked=self._parking.content(),
                unpublished=self.unpublished.content(),
                in_doubt=indoubt.left(self._in(OUTBOX)),
                active=RunLock(self._in(PRIVATE, 'lock'), like=self.path).holder(),
            )
