"""Waiting until something comes into a directory: by inotify(7) where it can be had, else by time.

inotify needs Linux and inotify_simple, the extra `watch`.
"""

import errno
import logging
import os
import select
import stat
import time
import types

from zeit.cds import names
from zeit.cds.system.forks import not_inherited
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: What comes in one after the other, within so many seconds, comes together; but nobody waits
#: longer than that for the rest.
SETTLE = 0.05
LONGEST = 0.5

#: After so many seconds it is seen that a directory is another one now.
ANEW = 1

#: The limits of inotify(7) by the error that reaching them is, whose text tells nobody.
_LIMITS = types.MappingProxyType(
    {
        errno.EMFILE: 'fs.inotify.max_user_instances',
        errno.ENOSPC: 'fs.inotify.max_user_watches',
    }
)


class Arriving:
    """What comes into the directories `paths`; a context manager.

    `wait` returns for a signal, too, if `alarm` is the end of a pipe that signal.set_wakeup_fd(2)
    writes to.
    """

    def __init__(self, paths, *, alarm=None):
        self._paths = [os.fspath(path) for path in paths]
        self._alarm = alarm
        self._inotify = None
        self._watched = {}
        self._told = {}
        #: Why it only waits and notices nothing; '' if it does.
        self.obstacle = ''

    def __repr__(self):
        how = 'by inotify' if self._inotify is not None else 'by time'
        return f'<Arriving in {", ".join(self._paths)} {how}>'

    def __enter__(self):
        try:
            import inotify_simple

            self._inotify = not_inherited(inotify_simple.INotify)
        except ImportError:
            self.obstacle = 'inotify_simple is missing'
        except OSError as error:
            self.obstacle = _why(error)
        else:
            self._watch()
        return self

    def __exit__(self, *exc_info):
        if self._inotify is not None:
            self._inotify.close()

    def _watch(self):
        """Watch what is not watched yet, or is another directory now; return which it was."""
        from inotify_simple import flags

        watched, mask = {}, flags.MOVED_TO | flags.CLOSE_WRITE | flags.CREATE | flags.ONLYDIR
        for path in self._paths:
            try:
                # The same directory has the same number.
                watched[self._inotify.add_watch(path, mask)] = path
                self._told.pop(path, None)
            except (FileNotFoundError, NotADirectoryError):
                pass  # not there yet, or not any more
            except OSError as error:
                self._tell(path, error)
        new = {path for number, path in watched.items() if self._watched.get(number) != path}
        self._watched = watched
        return new

    def _tell(self, path, error):
        if self._told.get(path) != error.errno:
            self._told[path] = error.errno
            log.warning('%s is checked at intervals only: %s', printable(path), _why(error))

    def wait(self, seconds):
        """Wait so many seconds for the next arrival; return the set of paths that got something.

        It is empty when the time is over, or there was a signal.  A directory that was not there
        before counts as one that got something: whether it is another one is looked at each second,
        as one that is moved away with what it lies in says nothing of it.
        """
        until = time.monotonic() + seconds
        if self._inotify is None:
            self._poll(until)
            return set()
        while not (found := self._watch()):
            now = time.monotonic()
            ready = self._poll(min(until, now + ANEW))
            if ready & {self._inotify.fileno()}:
                found = self._settled()
            if found or self._alarm in ready or time.monotonic() >= until:
                break
        return found

    def _settled(self):
        found = self._read()
        latest = time.monotonic() + LONGEST
        while (now := time.monotonic()) < latest and self._poll(min(now + SETTLE, latest)) - {
            self._alarm
        }:
            found |= self._read()
        return found

    def _poll(self, until):
        """Return the descriptors at which something came until then."""
        poll = select.poll()
        if self._inotify is not None:
            poll.register(self._inotify.fileno(), select.POLLIN)
        if self._alarm is not None:
            poll.register(self._alarm, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(1000 * max(0, until - time.monotonic()))}
        if self._alarm in ready:
            os.read(self._alarm, 4096)
        return ready

    def _read(self):
        events = [*self._inotify.read(timeout=0)]
        if any(event.wd < 0 for event in events):
            return {*self._paths}  # so many came that the kernel has forgotten which
        return {
            self._watched[event.wd]
            for event in events
            if event.wd in self._watched and self._is_there(event)
        }

    def _is_there(self, event):
        """Return whether an event is about a file that is complete."""
        from inotify_simple import flags

        if names.is_hidden(os.fsdecode(event.name)):
            return False
        if not event.mask & flags.CREATE:
            return True
        return _is_linked(os.path.join(self._watched[event.wd], os.fsdecode(event.name)))


def _why(error):
    limit = _LIMITS.get(error.errno)
    return f'inotify: {error.strerror}{f" (see {limit})" if limit else ""}'


def _is_linked(path):
    """Return whether the file that was just made at `path` is a link to one that was there.

    Such a one is complete.  One that is made there may be written yet, and will be noticed when it
    is closed: writing sets both times to the same, linking only that of the inode.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return False  # gone already, or it cannot be known
    linked = found.st_nlink > 1 or found.st_ctime_ns != found.st_mtime_ns
    return stat.S_ISREG(found.st_mode) and linked
