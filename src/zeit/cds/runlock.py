"""One run on a spool at a time: a file locked by flock(2), which no kill leaves locked."""

import datetime
import errno
import fcntl
import functools
import json
import os
import socket
import stat
import weakref
from typing import NamedTuple

from zeit.cds import text
from zeit.cds.errors import SpoolBusy


class Owner(NamedTuple):
    """Who holds a lock: a process on a host, since when (aware datetime)."""

    pid: int
    host: str
    since: datetime.datetime


class RunLock:
    """A context manager; inside it no other process is inside it with the same `path`.

    The lock's file tells who holds it since when, for people; what decides is the lock alone.
    `like` is the directory whose permissions decide who else may take the lock.

    A child process that is forked inside it does not hold the lock: its copy of the descriptor is
    closed, or the lock would last as long as the child.

    Entering raises `SpoolBusy`, without waiting, if it is held, and OSError if the file cannot be
    used.
    """

    def __init__(self, path, *, like):
        self._path = path
        self._like = like
        self._descriptor = None

    def __repr__(self):
        return f'<RunLock {self._path!r}, {"free" if self._descriptor is None else "ours"}>'

    def __enter__(self):
        # Whoever may write in the directory may take the lock: the file's mode follows it.
        mode = stat.S_IMODE(os.stat(self._like).st_mode) & 0o666
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                os.fchmod(descriptor, mode)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SpoolBusy(
                    f'Another run is active on this spool: {self.holder() or "just starting"}',
                    hint='It delivers what is there; there is nothing to be done.',
                ) from None
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
            about = {'pid': os.getpid(), 'host': socket.gethostname(), 'since': now}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(about).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        forget_in_children(self)
        return self

    def __exit__(self, *exc_info):
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)
        _held().discard(self)

    def forget(self):
        """Close this process's copy of a lock that its parent holds.

        Closing does not unlock while the parent has the file open; unlocking (flock(2), LOCK_UN)
        would, and emptying the file would hide who holds it.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def holder(self):
        """Return who holds the lock since when, in words; '' if nobody does; see `owner`."""
        owner = self.owner()
        if owner is None:
            return ''
        since = text.local_time(owner.since)
        return f'process {owner.pid} on {text.printable(owner.host)}, since {since}'

    def owner(self):
        """Return the `Owner` of the lock, None if nobody holds it.

        It reads the file and looks for the process, without touching the lock: a look must never
        keep a run from starting.  A process on another host cannot be looked for and counts.
        """
        try:
            with open(self._path, 'rb') as file:
                about = json.loads(file.read(1000))
            pid, host, since = int(about['pid']), str(about['host']), about['since']
            owner = Owner(pid=pid, host=host, since=datetime.datetime.fromisoformat(since))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return None if host == socket.gethostname() and not _is_alive(pid) else owner


def forget_in_children(held):
    """Call `held.forget()` in every child process that is forked while `held` exists."""
    _held().add(held)


@functools.cache
def _held():
    """Return the set of what a forked child must forget: it is locked in its parent.

    The child is told by a function that is registered once, with the first lock of a process.
    """
    locks = weakref.WeakSet()

    def forget_all():
        for lock in [*locks]:
            lock.forget()

    os.register_at_fork(after_in_child=forget_all)
    return locks


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True
