"""One look for all who ask, so that many browsers are no load for a disk, nor slow down a run."""

import threading
import time

from zeit.cds.browser.messages import _
from zeit.cds.errors import UNAVAILABLE, Error


#: How long, in seconds, all who ask get the same: at least, and at most; in between `SHARE` times
#: what a look takes, so that looking takes 2 % of a core.
MIN_SECONDS, MAX_SECONDS, SHARE = 2, 30, 50

#: While somebody looks, others get what has not been fresh for this many seconds, at most.
OLD_SECONDS = 20

#: How many seconds to wait for somebody who looks, where nothing is known from before.
WAIT_SECONDS = 5


class Slow(Error):
    """Somebody looks already, and for long."""

    exit_code = UNAVAILABLE
    transient = True


class Looks:
    """Calls `look` when somebody asks and nothing is known that is fresh; `share` as `SHARE`."""

    def __init__(self, look, *, share=None, clock=time.monotonic):
        self._look = look
        self._share = share
        self._clock = clock
        self._lock = threading.Lock()
        #: Held for a moment only: to keep what was found, and to forget it.
        self._keeping = threading.Lock()
        #: Until when it is fresh, and what the last look has found; None without one.
        self._known = None
        self._changes = 0

    def __repr__(self):
        return f'<{type(self).__name__} {self._look!r}>'

    def get(self):
        """Return what a look has found: the very same to all who ask until the next one.

        Raises `Slow`, and what the look raises.
        """
        known = self._known
        if known is not None and self._clock() < known[0]:
            return known[1]
        # Where somebody looks already, what was so before is better than to wait: a slow disk would
        # keep all threads of a web server.
        usable = known is not None and self._clock() < known[0] + OLD_SECONDS
        if not self._lock.acquire(timeout=0 if usable else WAIT_SECONDS):
            if usable:
                return known[1]
            raise Slow(_('The spools are slow'), hint=_('Ask again later.'))
        try:
            latest = self._known
            if latest is not None and latest is not known:
                return latest[1]  # somebody else has looked meanwhile
            began, changes = self._clock(), self._changes
            found, now = self._look(), self._clock()
            share = SHARE if self._share is None else self._share
            fresh = now + min(MAX_SECONDS, max(MIN_SECONDS, share * (now - began)))
            with self._keeping:
                # Else something was done meanwhile, and may be missing.
                if changes == self._changes:
                    self._known = fresh, found
            return found
        finally:
            self._lock.release()

    def forget(self):
        """Let the next one who asks see what has just been done."""
        with self._keeping:
            self._changes += 1
            self._known = None
