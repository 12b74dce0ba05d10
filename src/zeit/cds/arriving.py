"""Waiting until something comes into a directory: by inotify(7) where it can be had, else by time.

inotify needs Linux and inotify_simple, the extra `watch`.
"""

import contextlib
import os
import select
import time


#: What comes in one after the other, within so many seconds, comes together; but nobody waits
#: longer than that for the rest.
SETTLE = 0.05
LONGEST = 0.5


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

    def __repr__(self):
        how = 'by inotify' if self._inotify is not None else 'by time'
        return f'<Arriving in {", ".join(self._paths)} {how}>'

    def __enter__(self):
        with contextlib.suppress(ImportError, OSError):
            import inotify_simple

            self._inotify = inotify_simple.INotify()
            self._watch()
        return self

    def __exit__(self, *exc_info):
        if self._inotify is not None:
            self._inotify.close()

    @property
    def notices(self):
        """True if it notices what comes; without inotify it only waits."""
        return self._inotify is not None

    def _watch(self):
        """Watch what is not watched yet, or is another directory now; return which it was."""
        from inotify_simple import flags

        watched, mask = {}, flags.MOVED_TO | flags.CLOSE_WRITE | flags.ONLYDIR
        for path in self._paths:
            with contextlib.suppress(OSError):  # not there yet, or not any more
                # The same directory has the same number.
                watched[self._inotify.add_watch(path, mask)] = path
        new = {path for number, path in watched.items() if self._watched.get(number) != path}
        self._watched = watched
        return new

    def wait(self, seconds):
        """Wait so many seconds for the next arrival; return the set of paths that got something.

        It is empty when the time is over, or there was a signal.  A directory that was not there
        before counts as one that got something.
        """
        until = time.monotonic() + seconds
        if self._inotify is None:
            self._poll(until)
            return set()
        found = self._watch()
        if not found and self._poll(until):
            found |= self._read()
            latest = time.monotonic() + LONGEST
            while (now := time.monotonic()) < latest and self._poll(min(now + SETTLE, latest)):
                found |= self._read()
        return found

    def _poll(self, until):
        """Return whether something came until then."""
        poll = select.poll()
        if self._inotify is not None:
            poll.register(self._inotify.fileno(), select.POLLIN)
        if self._alarm is not None:
            poll.register(self._alarm, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(1000 * max(0, until - time.monotonic()))}
        if self._alarm in ready:
            os.read(self._alarm, 4096)
        return self._inotify is not None and self._inotify.fileno() in ready

    def _read(self):
        events = [*self._inotify.read(timeout=0)]
        if any(event.wd < 0 for event in events):
            return {*self._paths}  # so many came that the kernel has forgotten which
        return {self._watched[event.wd] for event in events if event.wd in self._watched}
