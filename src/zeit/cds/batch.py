"""Files that come into a spool together or not at all: those of one transaction.

    .cds/outbox/ID/     locked by flock(2) as long as the process lives whose transaction it is
        0, 1, ...       contents
        prepared        which content gets which name, and which number it has in the sequence;
                        from here on the outcome counts
        committed       the same file, renamed: the outcome is that they go into `new/`

What becomes of those whose process has died is the subject of `indoubt`.
"""

import contextlib
import errno
import fcntl
import io
import json
import logging
import os

import zope.interface

from zeit.cds import entries, files, names
from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.forks import open_descriptor
from zeit.cds.interfaces import IBatch
from zeit.cds.kinds import told
from zeit.cds.text import printable
from zeit.cds.voted import COMMITTED, PREPARED, read


log = logging.getLogger(__name__)


@zope.interface.implementer(IBatch)
class Batch:
    """See `IBatch`.

    `path` is its directory, `descriptor` the `Descriptor` of it, locked; `new` is where files go in
    the end, `filing` what they pass when they leave it, `sequence` that of the spool, and so is
    `retract`.  `translated` returns a context manager that makes a `SpoolError` of an OSError.
    `left` is called with this
    batch if it was aborted and cannot be removed: it stays locked, and `abort` is to be called
    again.
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
            # A run may have come before us, and have taken it for one that was left.
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

    def put(self, name, data, *, content='', content_version=''):
        """See `IBatch`."""
        names.check_new(name)
        data = files.readable(data, name=name)
        with self._ours():
            draft = str(self._number)
            self._number += 1
            files.draft(self._path, data, name=draft)
            self._contents[name] = draft
            self._told[draft] = told({'content': content, 'content_version': content_version})

    def retract(self, content, reason, *, until):
        """See `IBatch`."""
        self._retractions += ((content, reason, until),)

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
            self._remove_all_but(self._contents.values())
            entry = {
                'files': self._contents,
                'numbers': self._numbered(),
                'told': self.told,
                'retractions': self._retractions,
                'description': description,
                'user': user,
                'asks': asks,
            }
            draft = files.draft(self._path, io.BytesIO(json.dumps(entry).encode('ascii')))
            os.rename(draft, self._in(PREPARED))
            files.sync_directories(self._path, os.path.dirname(self._path))

    def _numbered(self):
        """Return the number of each file.  What has its name now, and waits, gets a smaller one."""
        with self._sequence(self.names) as numbers:
            folders = filter(None, (self._new, self._filing))
            standing = [
                entries.standing(folder, name) for folder in folders for name in self._contents
            ]
            numbers.see(filter(None, standing))
            drafts = self._contents.items()
            versions = [
                (name, entries.standing(self._path, draft).version, self._told[draft])
                for name, draft in drafts
            ]
            found = numbers.note_all(versions)
            numbers.sync()
        return dict(zip(self._contents, found, strict=True))

    def _check(self):
        """Find out now what must not happen later."""
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
                for content, reason, until in self._retractions:
                    self._retract(content, reason, until=until)
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

    def _overtaken(self, numbers):
        """Return the names under which something newer waits, and those of which a run knows more.

        Whoever put that came after the vote.  What does not wait, or came by a rename of somebody
        else, may have been delivered, or not: nothing is dropped for it.  Neither is where the
        sequence knows nothing of the vote: it was lost.
        """
        known, newest = numbers.known(), numbers.newest()
        replaced, left = set(), set()
        for name, number in self.read()[0].numbers.items():
            there = entries.standing(self._new, name)
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
        # `commit` has let go of it, however it ended: what is left is for the next run.
        if not self._is_ours:
            return
        with self._translated():
            try:
                with contextlib.suppress(FileNotFoundError):
                    # First of all: without it nobody is in doubt.
                    os.unlink(self._in(PREPARED))
                    files.sync_directories(self._path)
            except BaseException:
                # Whoever got the lock now would take it for one that may have been committed.
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
        """Let go of the directory, whatever is in it; may be called again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            descriptor.close()

    def read(self):
        """Return what was prepared: see `zeit.cds.voted.read`."""
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
    with contextlib.ExitStack() as undo:
        undo.callback(descriptor.close)
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor.fileno()), os.stat(path)):
                undo.pop_all()
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
    return None
