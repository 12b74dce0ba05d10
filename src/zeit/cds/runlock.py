"""One run on a spool at a time: a file locked by flock(2), which no kill leaves locked."""

import datetime
import errno
import fcntl
import json
import os
import socket
import stat

from zeit.cds import text
from zeit.cds.errors import SpoolBusy


class RunLock:
    """A context manager; inside it no other process is inside it with the same `path`.

    The lock's file tells who holds it since when, for people; what decides is the lock alone.
    `like` is the directory whose permissions decide who else may take the lock.

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
        return self

    def __exit__(self, *exc_info):
        descriptor, self._descriptor = self._descriptor, None
        os.ftruncate(descriptor, 0)
        # Closing is enough, and right in a forked child as well: an explicit unlock there would
        # take the lock away from the parent.
        os.close(descriptor)

    def holder(self):
        """Return who holds the lock since when, in words; '' if nobody does.

        It reads the file and looks for the process, without touching the lock: a look must never
        keep a run from starting.  A process on another host cannot be looked for and counts.
        """
        try:
            with open(self._path, 'rb') as file:
                about = json.loads(file.read(1000))
            pid, host, since = int(about['pid']), str(about['host']), about['since']
            since = text.local_time(datetime.datetime.fromisoformat(since))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return ''
        if host == socket.gethostname() and not _is_alive(pid):
            return ''
        return f'process {pid} on {text.printable(host)}, since {since}'


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True
