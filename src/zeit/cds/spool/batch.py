"""Files that come into a spool together or not at all: those of one transaction.

    .cds/outbox/ID/     locked by flock(2) as long as the process lives whose transaction it is
        0, 1, ...       contents
        prepared        which content gets which name, and which number it has in the sequence;
                        from here on the outcome counts
        committed       the same file, renamed: the outcome is that they go into `new/`

What becomes of those whose process has died: `zeit.cds.spool.transactions_in_doubt`.
"""

import atexit
import contextlib
import errno
import fcntl
import io
import json
import logging
import os
from typing import NamedTuple

import zope.interface

from zeit.cds import names
from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.interfaces import IBatch, IInDoubt
from zeit.cds.journal.kinds import told
from zeit.cds.spool import entries, schedule
from zeit.cds.system import files
from zeit.cds.system.forks import open_descriptor
from zeit.cds.text import printable


log = logging.getLogger(__name__)

PREPARED, COMMITTED = 'prepared', 'committed'


@zope.interface.implementer(IBatch)
class Batch:
    """See `IBatch`.

    `path` is its directory, `descriptor` the locked `Descriptor` of that; `new` is where the files
    go in the end, `filing` what they pass when they leave it; `sequence` and `retract` are those of
    the spool.  `translated` returns a context manager that makes a `SpoolError` of an OSError.
    `left` is called with this batch if it was aborted and cannot be removed: it stays locked, and
    `abort` is to be called again.
    """

    def __init__(
        self,
        path,
        *,
        descriptor,
        new,
        sequence,
        filing='',
        translated=contextlib.nullcontext,
        left=lambda batch: None,
        retract=None,
    ):
        self._path = path
        self._descriptor = descriptor
        self._new = new
        self._sequence = sequence
        self._filing = filing
        self._left = left
        self._translated = translated
        self._contents = {}
        #: What the application has told of each content.
        self._told = {}
        self._retractions = ()
        self._retract = retract
        self.moved = []
        self._number = 0

    def __repr__(self):
        return f'<Batch {self._path!r}, {"open" if self._is_ours else "closed"}>'

    @property
    def _is_ours(self):
        return self._descriptor is not None and not self._descriptor.closed

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @classmethod
    def begin(cls, outbox, *, like, **options):
        """Return a new one in the directory `outbox`, with the permissions of `like`.

        `options` are those of the class.  Raises OSError.
        """
        files.make_directory(os.path.dirname(outbox), like=like)
        files.make_directory(outbox, like=like)
        while True:
            path = os.path.join(outbox, os.urandom(8).hex())
            files.make_directory(path, like=like)
            descriptor = lock(path)
            # A run may have removed it before it was locked.
            if descriptor is not None:
                return cls(path, descriptor=descriptor, **options)

    def _in(self, name):
        return os.path.join(self._path, name)

    @contextlib.contextmanager
    def _ours(self):
        if not self._is_ours:
            raise SpoolError(
                'These files belong to a transaction that has ended, or to another process',
                hint='A transaction cannot go on in a process that was forked in the middle.',
            )
        with self._translated():
            yield

    def put(self, name, data, **about):
        """See `IBatch`."""
        names.check_new(name)
        found = schedule.told(**about)
        data = files.readable(data, name=name)
        with self._ours():
            self._contents[name] = draft = self._draft(data)
            self._told[draft] = found

    def forget(self, content):
        """See `IBatch`."""
        about = told({'content': content})
        if about:
            self._contents = {
                name: draft
                for name, draft in self._contents.items()
                if not about.items() <= self._told[draft].items()
            }

    def retract(self, content, reason, *, until, delete=False, notice=None):
        """See `IBatch`."""
        if notice is not None:
            name, data, version = notice
            names.check_new(name)
            with self._ours():
                notice = name, self._draft(files.readable(data, name=name)), version
        self._retractions += ((content, reason, until, delete, notice),)

    def _draft(self, data):
        draft = str(self._number)
        self._number += 1
        files.draft(self._path, data, name=draft)
        return draft

    @property
    def names(self):
        """See `IBatch`."""
        return [*self._contents]

    @property
    def told(self):
        """See `IBatch`."""
        return {name: self._told[draft] for name, draft in self._contents.items()}

    def mark(self):
        """See `IBatch`."""
        return dict(self._contents)

    def rollback(self, mark):
        """See `IBatch`."""
        self._contents = dict(mark)

    def prepare(self, *, description='', user='', asks=False):
        """See `IBatch`."""
        with self._ours():
            if not (self._contents or self._retractions):
                return  # nothing can be in doubt
            self._check()
            self._remove_all_but([*self._contents.values(), *self._notices()])
            entry = {
                'files': self._contents,
                'told': self.told,
                'retractions': self._retractions,
                'description': description,
                'user': user,
                'asks': asks,
            }
            # Under one lock: a journal that is made anew in between would not have the numbers.
            with self._sequence(self.names) as numbers:
                entry['numbers'] = self._numbered(numbers)
                draft = files.draft(self._path, io.BytesIO(json.dumps(entry).encode('ascii')))
                os.rename(draft, self._in(PREPARED))
            files.sync_directories(self._path, os.path.dirname(self._path))

    def _numbered(self, numbers):
        """Return the number of each file; files of these names that wait get smaller ones first."""
        folders = filter(None, (self._new, self._filing))
        standing = [entries.find(folder, name) for folder in folders for name in self._contents]
        numbers.see(filter(None, standing))
        versions = [
            (name, entries.find(self._path, draft).version, self._told[draft])
            for name, draft in self._contents.items()
        ]
        found = numbers.note_all(versions)
        numbers.sync()
        return dict(zip(self._contents, found, strict=True))

    def _check(self):
        """Raise now what would keep the files from being moved later."""
        spool = os.path.dirname(self._new)
        if not os.path.isdir(self._new):
            raise SpoolError(
                f'There is no spool at {printable(spool)}, or it has no new/ any more',
                hint='What was put into it in this transaction is gone with it.',
            )
        for name in self._contents:
            if os.path.isdir(path := os.path.join(self._new, name)) and not os.path.islink(path):
                raise IsADirectoryError(errno.EISDIR, 'Is a directory', path)
        if not os.access(self._new, os.W_OK | os.X_OK):
            raise PermissionError(0, 'files cannot be moved there', self._new)
        if os.stat(self._new).st_dev != os.stat(self._path).st_dev:
            raise OSError(0, 'it is on another file system than the spool', self._new)

    def commit(self):
        """See `IBatch`."""
        if not (self._contents or self._retractions):
            self.abort()
            return
        try:
            with self._ours():
                os.rename(self._in(PREPARED), self._in(COMMITTED))
                files.sync_directories(self._path)
                self.retract_all(self._retract)
                with self._sequence(self.names) as numbers:
                    replaced, left = self._overtaken(numbers)
                    if numbers.are_ours():  # else the next run does it
                        self.move(replaced=replaced, left=left, park=_drop)
        except SpoolBusy as error:
            shown = printable(', '.join(self.names), limit=500)
            log.warning(
                'Committed, but not filed yet: %s: %s. The next run of the spool does it.',
                shown,
                error.message,
            )
        finally:
            self.close()

    def _notices(self):
        return [notice[1] for *_, notice in self._retractions if notice is not None]

    def retract_all(self, retract):
        """Call `retract`, see `ISpool.retract`, for all that was prepared."""
        for content, reason, until, delete, notice in self.read()[0].retractions:
            about = {'until': until, 'delete': delete}
            if notice is None:
                retract(content, reason, **about)
                continue
            name, draft, version = notice
            with files.open_regular(self._in(draft)) as file:
                retract(content, reason, notice=(name, file, version), **about)

    def _overtaken(self, numbers):
        """Return two sets of names: those that are replaced, and those that a run decides about.

        A file is replaced if a newer one, put after the vote, waits under its name.  A run decides
        if the newer one does not wait any more, as it may have been delivered or not; if another
        program has renamed a file to this name; or if the journal does not know the vote.
        """
        voted = self.read()[0].numbers
        known, newest = numbers.known(voted), numbers.newest(voted)
        replaced, left = set(), set()
        for name, number in voted.items():
            there = entries.find(self._new, name)
            waits = number if there is None else known.get((name, there.version))
            if waits is not None and waits > number:
                replaced.add(name)
            elif waits is None or newest.get(name) != number:
                left.add(name)
        return replaced, left

    def move(self, *, replaced=(), left=(), park=None):
        """Move the files into `new/`, as far as they are not there yet; remove the directory.

        Those whose names are in `replaced` do not go there: `park` is called with the path of the
        content and the name.  Those in `left` stay, and so does one that cannot be moved, which
        keeps none of the others; then the directory does, too.  Raises OSError.
        """
        failed = []
        self.moved = []
        for name, draft in self.read()[1].items():
            path, new = self._in(draft), os.path.join(self._new, name)
            try:
                if name in replaced:
                    park(path, name)
                elif name not in left:
                    os.rename(path, new)
                    self.moved.append(name)
            except OSError as error:
                failed.append(type(error)(error.errno, error.strerror, new))
        files.sync_directories(self._new)
        if failed:
            raise failed[0]
        if not left:
            self._remove()

    def abort(self):
        """See `IBatch`."""
        # `commit` has closed it, however it ended; the next run does the rest.
        if not self._is_ours:
            return
        with self._translated():
            try:
                with contextlib.suppress(FileNotFoundError):
                    # First: without it the transaction is not in doubt.
                    os.unlink(self._in(PREPARED))
                    files.sync_directories(self._path)
            except BaseException:
                # If it were unlocked now, a run would take it for one that may be committed.
                self._left(self)
                raise
            try:
                self._remove()
            finally:
                self.close()

    def _remove(self):
        self._remove_all_but([COMMITTED])
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._in(COMMITTED))
        os.rmdir(self._path)

    def _remove_all_but(self, kept):
        for name in sorted(set(os.listdir(self._path)) - set(kept)):
            os.unlink(self._in(name))

    def close(self):
        """Unlock the directory, whatever is in it; may be called again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            descriptor.close()

    def read(self):
        """Return what was prepared: see the function."""
        return read(self._path)


def _drop(path, name):
    os.unlink(path)


def lock(path, operation=fcntl.LOCK_EX):
    """Return the `Descriptor` of the directory `path`, locked.

    None if somebody else has it, or it is gone.  `operation` is that of flock(2).  Raises OSError.
    """
    try:
        descriptor = open_descriptor(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return files.locked(descriptor, path, operation)


@zope.interface.implementer(IInDoubt)
class InDoubt(NamedTuple):
    """See `IInDoubt`; `numbers` of its files, and what the application has `told`, are by name."""

    names: tuple
    description: str
    user: str
    since: float
    asks: bool
    committed: bool
    numbers: dict
    told: dict
    retractions: tuple = ()


def read(path):
    """Return what was prepared in the directory `path`: (`InDoubt` or None, content by name).

    Only what is there still.  Raises OSError, and ValueError for what was damaged.
    """
    for name in (COMMITTED, PREPARED):
        with contextlib.suppress(FileNotFoundError):
            with files.open_regular(os.path.join(path, name)) as file:
                since = os.fstat(file.fileno()).st_mtime
                try:
                    return _parsed(path, json.load(file), since=since, committed=name == COMMITTED)
                except (KeyError, TypeError, AttributeError) as error:
                    raise ValueError(f'{error!r} in {name}') from error
    return None, {}


def _parsed(path, entry, **about):
    contents = {
        str(name): str(draft)
        for name, draft in entry['files'].items()
        if os.path.lexists(os.path.join(path, draft))
    }
    doubt = InDoubt(
        names=tuple(contents),
        description=str(entry['description']),
        user=str(entry['user']),
        asks=bool(entry['asks']),
        numbers={name: int(entry['numbers'][name]) for name in contents},
        told={name: told(entry.get('told', {}).get(name, {})) for name in contents},
        retractions=tuple(
            (str(content), str(reason), int(until), *_answer(path, *more))
            for content, reason, until, *more in entry.get('retractions', ())
        ),
        **about,
    )
    return doubt, contents


def _answer(path, delete=False, notice=None):
    """Return whether to delete what was delivered, and (name, file in `path`, version) of a notice.

    A notice whose file is gone was put already: the file is removed last of all.
    """
    if notice is not None:
        name, draft, version = notice
        notice = (str(name), str(draft), version)
        notice = notice if os.path.lexists(os.path.join(path, str(draft))) else None
    return delete is True, notice


class Aborted:
    """The aborted `IBatch`es of one spool that cannot be removed at the moment.

    While a file system is read-only, not even an abort can be written down.  As long as this
    process locks the directory, no run takes it for a transaction in doubt.  So it is removed with
    the next use of the spool, or when the process ends.
    """

    def __init__(self):
        self._batches = []

    def __repr__(self):
        return f'<Aborted, {len(self._batches)} to be removed>'

    def add(self, batch):
        """Keep this one locked; `remove` tries again."""
        if batch not in self._batches:
            self._batches.append(batch)
            atexit.unregister(self.remove)
            atexit.register(self.remove)

    def remove(self):
        """Remove what can be removed now.  Raises nothing."""
        if not self._batches:
            return
        atexit.unregister(self.remove)
        # They are taken out first: another thread may do the same.
        batches, self._batches = self._batches, []
        for batch in batches:
            with contextlib.suppress(SpoolError):  # then it is in the list again
                batch.abort()
