"""One run on a spool at a time: a file locked by flock(2), which no kill leaves locked."""

import contextlib
import datetime
import errno
import fcntl
import json
import logging
import os
import stat
import struct
from typing import NamedTuple

from zeit.cds import text
from zeit.cds.errors import SpoolBusy
from zeit.cds.system import files


log = logging.getLogger(__name__)


#: `struct flock` of fcntl(2): kind, whence, start, length, process.
_FLOCK = 'hhqqi0q'

#: Where an open file description lock is: nothing is there.  One of flock(2) cannot be asked for.
_PLACE = 1 << 40


class Owner(NamedTuple):
    """Who holds a lock: a process on a host, since when (aware datetime)."""

    pid: int
    host: str
    since: datetime.datetime

    @property
    def shown(self):
        """The same in words."""
        since = text.local_time(self.since)
        return f'process {self.pid} on {text.printable(self.host)}, since {since}'


class RunLock:
    """A context manager; inside it no other process is inside it with the same `path`.

    The lock's file tells who holds it since when, for people; what decides is the lock alone.
    `like` is the directory whose permissions decide who else may take the lock.

    A child process that is forked inside it does not hold the lock, see `zeit.cds.system.forks`.

    Entering raises `SpoolBusy` if it is held, for longer than `patience` seconds, and OSError if
    the file cannot be used.  Leaving frees it, whatever happens to the file.
    """

    def __init__(self, path, *, like, patience=0):
        self._path = path
        self._like = like
        self._patience = patience
        self._descriptor = None

    def __repr__(self):
        return f'<RunLock {self._path!r}, {"free" if self._descriptor is None else "ours"}>'

    def __enter__(self):
        descriptor = self._open()
        try:
            if not files.lock_within(descriptor, self._patience):
                raise SpoolBusy(
                    f'Another run is active on this spool: {self.holder() or "just starting"}',
                    hint='It takes what waits. For anything else, try again when it has ended.',
                )
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
            about = {'pid': os.getpid(), 'host': os.uname().nodename, 'since': now}
            about['asked'] = _mark(descriptor, fcntl.F_WRLCK)
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
                _mark(descriptor, fcntl.F_UNLCK)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            finally:
                descriptor.close()

    def holder(self):
        """Return who holds the lock since when, in words; '' if nobody does; see `owner`."""
        owner = self.owner()
        return '' if owner is None else owner.shown

    def owner(self):
        """Return the `Owner` of the lock, None if nobody holds it.

        It reads the file and asks for a lock beside the one that decides, without touching that: a
        look must never keep a run from starting.  Where there are no such locks it looks for the
        process.  What is on another host cannot be looked for and counts.
        """
        try:
            with files.open_regular(self._path) as file:
                about = json.loads(file.read(1000))
                marked = _is_marked(file) if about.get('asked') else None
            pid, host, since = int(about['pid']), str(about['host']), about['since']
            owner = Owner(pid=pid, host=host, since=datetime.datetime.fromisoformat(since))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        if host != os.uname().nodename:
            return owner
        # Another process may have its number by now: in a container it is the first one each time.
        return owner if (_is_alive(pid) if marked is None else marked) else None


def _mark(descriptor, kind):
    """Set or remove a lock that can be asked for; return False where there are none."""
    try:
        wanted = struct.pack(_FLOCK, kind, os.SEEK_SET, _PLACE, 1, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except (AttributeError, OSError) as error:
        log.debug('No lock that can be asked for: %s', error)
        return False
    return True


def _is_marked(file):
    """Return whether somebody has set one, None where that cannot be known."""
    try:
        wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _PLACE, 1, 0)
        found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, wanted)
    except (AttributeError, OSError) as error:
        log.debug('It cannot be asked for a lock: %s', error)
        return None
    return struct.unpack(_FLOCK, found)[0] != fcntl.F_UNLCK


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True
