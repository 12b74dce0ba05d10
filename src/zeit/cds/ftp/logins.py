"""How often a run may log in: servers, and firewalls before them, count that.

Many take ten connections within half a minute or a minute from one address, and then none for a
while.  Whoever is turned away while his lock is there cannot remove it.
"""

import collections
import errno
import threading
import time

from zeit.cds.errors import TooManyLogins


#: Within so many seconds connections that broke are replaced only as long as there were not more
#: logins than this, or `SPARE` more than connections work at once.
WINDOW = 60
MOST = 8
SPARE = 4


class Logins:
    """The logins of a session and its siblings; `connections` work at once at most.

    `clock` tells monotonic seconds.
    """

    def __init__(self, *, connections=1, clock=time.monotonic):
        self._most = max(MOST, connections + SPARE)
        self._clock = clock
        self._times = collections.deque()
        self._mutex = threading.Lock()

    def __repr__(self):
        return f'<Logins, {len(self._times)} of {self._most}>'

    def add(self):
        """Take note of one."""
        with self._mutex:
            self._times.append(self._clock())

    def spare(self):
        """Raise `TooManyLogins` if there is none to spare: the last ones are for the lock."""
        with self._mutex:
            while self._times and self._times[0] <= self._clock() - WINDOW:
                self._times.popleft()
            number = len(self._times)
        if number >= self._most:
            raise TooManyLogins(
                errno.ECONNABORTED,
                f'The connection broke again, after {number} logins within {WINDOW} s',
                hint='So that the server does not turn us away before the lock is removed, the run '
                'ends; the next one goes on.',
            )
