"""Files that come into a spool together or not at all: those of one transaction.

    .cds/outbox/ID/     locked by flock(2) as long as the process lives whose transaction it is
        0, 1, ...       contents
        prepared        which content gets which name; from here on the outcome counts
        committed       the same file, renamed: the outcome is that they go into `new/`

What becomes of those whose process has died is the subject of `indoubt`.
"""

import contextlib
import dataclasses
import fcntl
import io
import json
import os
import secrets

import zope.interface

from zeit.cds import files, names
from zeit.cds.errors import SpoolError
from zeit.cds.interfaces import IBatch, IInDoubt
from zeit.cds.runlock import forget_in_children


PREPARED, COMMITTED = 'prepared', 'committed'


@zope.interface.implementer(IInDoubt)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """See `IInDoubt`."""

    names: tuple
    description: str
    user: str
    since: float
    asks: bool
    committed: bool


@zope.interface.implementer(IBatch)
class Batch:
    """See `IBatch`.

    `path` is its directory, `descriptor` the open directory, locked; `new` is where files go in
    the end.  `translated` returns a context manager that makes a `SpoolError` of an OSError.
    """

    def __init__(self, path, *, descriptor, new, translated=contextlib.nullcontext):
        self._path = path
        self._descriptor = descriptor
        self._new = new
        self._translated = translated
        self._contents = {}
        self._number = 0
        forget_in_children(self)

    def __repr__(self):
        return f'<Batch {self._path!r}, {"closed" if self._descriptor is None else "open"}>'

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
            path = os.path.join(outbox, secrets.token_hex(8))
            files.make_directory(path, like=like)
            descriptor = lock(path)
            # A run may have come before us, and have taken it for one that was left.
            if descriptor is not None:
                return cls(path, descriptor=descriptor, **options)

    def _in(self, name):
        return os.path.join(self._path, name)

    @contextlib.contextmanager
    def _ours(self):
        if self._descriptor is None:
            raise SpoolError(
                'These files belong to a transaction that has ended, or to another process',
                hint='A transaction cannot go on in a process that was forked in the middle.',
            )
        with self._translated():
            yield

    def put(self, name, data):
        """See `IBatch`."""
        names.check_new(name)
        content = files.readable(data, name=name)
        with self._ours():
            draft = str(self._number)
            self._number += 1
            files.draft(self._path, content, name=draft)
            self._contents[name] = draft

    @property
    def names(self):
        """See `IBatch`."""
        return [*self._contents]

    def mark(self):
        """See `IBatch`."""
        return dict(self._contents)

    def rollback(self, mark):
        """See `IBatch`."""
        self._contents = dict(mark)

    def prepare(self, *, description='', user='', asks=False):
        """See `IBatch`."""
        with self._ours():
            if not self._contents:
                return  # nothing can be in doubt
            self._check()
            self._remove_all_but(self._contents.values())
            entry = {
                'files': self._contents,
                'description': description,
                'user': user,
                'asks': asks,
            }
            draft = files.draft(self._path, io.BytesIO(json.dumps(entry).encode('ascii')))
            os.rename(draft, self._in(PREPARED))
            files.sync_directories(self._path, os.path.dirname(self._path))

    def _check(self):
        """Find out now what must not happen later."""
        if not os.access(self._new, os.W_OK | os.X_OK):
            raise PermissionError(0, 'files cannot be moved there', self._new)
        if os.stat(self._new).st_dev != os.stat(self._path).st_dev:
            raise OSError(0, 'it is on another file system than the spool', self._new)

    def commit(self):
        """See `IBatch`."""
        if not self._contents:
            self.abort()
            return
        try:
            with self._ours():
                os.rename(self._in(PREPARED), self._in(COMMITTED))
                files.sync_directories(self._path)
                self.move()
        finally:
            self.close()

    def move(self, *, superseded=None):
        """Move the files into `new/`, as far as they are not there yet; remove the directory.

        `superseded`, where it is given, is called with the path of the content and the name, if
        something newer of this name waits in `new/` already.  Raises OSError.
        """
        doubt, contents = self.read()
        for name, draft in contents.items():
            path, new = self._in(draft), os.path.join(self._new, name)
            if not os.path.exists(path):
                continue
            if superseded is not None and _is_newer(new, than=doubt.since):
                superseded(path, name)
            else:
                os.rename(path, new)
        files.sync_directories(self._new)
        self._remove()

    def abort(self):
        """See `IBatch`."""
        try:
            # `commit` has let go of it, however it ended: what is left is for the next run.
            if self._descriptor is not None:
                with self._translated():
                    with contextlib.suppress(FileNotFoundError):
                        # First of all: without it nobody is in doubt.
                        os.unlink(self._in(PREPARED))
                        files.sync_directories(self._path)
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
            os.close(descriptor)

    def forget(self):
        """Close the copy of the descriptor in a forked process; that does not unlock."""
        self.close()

    def read(self):
        """Return what was prepared: (`InDoubt` or None, dictionary of name and content).

        Raises OSError, and ValueError for what was damaged.
        """
        return read(self._path)


def lock(path, operation=fcntl.LOCK_EX):
    """Return the open directory `path`, locked, or None if somebody else has it, or it is gone.

    `operation` is that of flock(2).  Raises OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                undo.pop_all()
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
    return None


def read(path):
    """Return what was prepared in the directory `path`; see `Batch.read`."""
    for name in (COMMITTED, PREPARED):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(path, name), 'rb') as file:
            try:
                entry = json.load(file)
                contents = {str(name): str(draft) for name, draft in entry['files'].items()}
                doubt = InDoubt(
                    names=tuple(contents),
                    description=str(entry['description']),
                    user=str(entry['user']),
                    since=os.fstat(file.fileno()).st_mtime,
                    asks=bool(entry['asks']),
                    committed=name == COMMITTED,
                )
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f'{error!r} in {name}') from error
            return doubt, contents
    return None, {}


def _is_newer(path, *, than):
    """Return whether there is a file at `path` that did not come there before the moment `than`.

    A file system counts in milliseconds: of the same one, what waits is left alone.
    """
    try:
        return os.lstat(path).st_ctime >= than
    except FileNotFoundError:
        return False
