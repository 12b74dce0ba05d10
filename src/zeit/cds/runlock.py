"""One run on a spool at a time: a file locked by flock(2), which no kill leaves locked."""

import contextlib
import datetime
import errno
import fcntl
import json
import logging
import os
import socket
import stat
from typing import NamedTuple

from zeit.cds import files, text
from zeit.cds.errors import SpoolBusy


log = logging.getLogger(__name__)


class Owner(NamedTuple):
    """Who holds a lock: a process on a host, since when (aware datetime)."""

    pid: int
    host: str
    since: datetime.datetime


class RunLock:
    """A context manager; inside it no other process is inside it with the same `path`.

    The lock's file tells who holds it since when, for people; what decides is the lock alone.
    `like` is the directory whose permissions decide who else may take the lock.

    A child process that is forked inside it does not hold the lock, see `zeit.cds.forks`.

    Entering raises `SpoolBusy`, without waiting, if it is held, and OSError if the file cannot be
    used.  Leaving frees it, whatever happens to the file.
    """

    def __init__(self, path, *, like):
        self._path = path
        self._like = like
        self._descriptor = None

    def __repr__(self):
        return f'<RunLock {self._path!r}, {"free" if self._descriptor is None else "ours"}>'

    def __enter__(self):
        descriptor = self._open()
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SpoolBusy(
                    f'Another run is active on this spool: {self.holder() or "just starting"}',
                    hint='It delivers what is there; there is nothing to be done.',
                ) from None
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
            about = {'pid': os.getpid(), 'host': socket.gethostname(), 'since': now}
            os.ftruncate(descriptor.fileno(), 0)
            os.pwrite(descriptor.fileno(), json.dumps(about).encode(), 0)
        except BaseException:
            descriptor.close()
            raise
        self._descriptor = descriptor
        return self

    def _open(self):
        """Return the open file; it is made if there is none, complete with its mode.

        Whoever may write in the directory may take the lock: the file's mode follows it.  One that
        was made first, and got its mode later, would belong to one user alone after a kill.
        """
        mode = stat.S_IMODE(os.stat(self._like).st_mode) & 0o666
        while True:
            try:
                descriptor = files.open_regular_descriptor(self._path, os.O_RDWR)
            except FileNotFoundError:
                # Or somebody else's is there by now, who has removed ours, perhaps.
                with contextlib.suppress(FileExistsError, FileNotFoundError):
                    files.make_exclusively(self._path, mode=mode)
                continue
            try:
                if os.fstat(descriptor.fileno()).st_uid == os.geteuid():
                    os.fchmod(descriptor.fileno(), mode)
                return descriptor
            except BaseException:
                descriptor.close()
                raise

    def __exit__(self, *exc_info):
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or descriptor.closed:
            return  # in a child the file says who holds it still
        try:
            os.ftruncate(descriptor.fileno(), 0)
        except OSError as error:
            # What was done is done; the next run says what is wrong with the disk.
            log.warning('%s cannot be emptied: %s', text.printable(str(self._path)), error.strerror)
        finally:
            # Closing is not enough where a child has a copy that nobody could close.
            try:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            finally:
                descriptor.close()

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
            with files.open_regular(self._path) as file:
                about = json.loads(file.read(1000))
            pid, host, since = int(about['pid']), str(about['host']), about['since']
            owner = Owner(pid=pid, host=host, since=datetime.datetime.fromisoformat(since))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return None if host == socket.gethostname() and not _is_alive(pid) else owner


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True
