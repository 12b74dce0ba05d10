"""Whether a file on a server is being written: as far as anybody can know that from outside.

A partner who sends a file without a lock, and under its real name, cannot be told from one who has
sent it, but by time: what has not changed for a while is complete.  A look shortly before and after
the download says nothing: writers pause, and servers' times count in whole seconds.

All times are the server's.  What it is there now follows from the time of our own lock: so it was
when the lock was made, and the seconds since then are counted here.
"""

import datetime
from typing import NamedTuple

from zeit.cds.fetching import Look


#: A file that has not changed for so many seconds is complete.  Times count in whole seconds, so
#: half of it may be the remainder of one.
QUIET = 2


class Fresh(NamedTuple):
    """A `Look` at a file that was not known to be quiet at the moment `at`, and what is to come.

    From the moment `due` on another look tells.  Both are monotonic seconds.
    """

    look: Look
    at: float
    due: float


class ServerTime:
    """What time it is on a server, at the least.

    `told` and `listed` are the time of our lock there, as the server answers and as its listings
    say, in ISO 8601, '' if not known: some servers list local time.  `clock()` tells monotonic
    seconds; `begun` was one after the lock was made.
    """

    def __init__(self, *, told, listed, begun, clock):
        self._told = told
        self._listed = listed
        self._begun = begun
        self._clock = clock

    def __repr__(self):
        return f'<ServerTime {self._told} {self._clock() - self._begun:.1f} s ago>'

    def age(self, look):
        """Return how long ago the file was changed, in seconds, at the least; None if not known.

        That of a time to come is less than 0.
        """
        lock = self._listed or self._told if look.listed else self._told
        if not (lock and look.modified):
            return None
        before = datetime.datetime.fromisoformat(lock)
        passed = (before - datetime.datetime.fromisoformat(look.modified)).total_seconds()
        return round(passed + self._clock() - self._begun, 3)

    def fresh(self, look):
        """Return what is known of a file that is not known to be quiet, a `Fresh`."""
        now, age = self._clock(), self.age(look)
        tells = self._told and age is not None and 0 <= age < QUIET  # else the other look may not
        passed = age if tells else 0
        return Fresh(look, at=now, due=now + QUIET - passed)

    def is_quiet(self, look, *, earlier=None):
        """Return whether the file has not changed for `QUIET` seconds.

        By its age; if that does not tell (there is no time, or one to come), by `earlier`, a
        `Fresh`.
        """
        if earlier is not None and earlier.look.size != look.size:
            return False
        age = self.age(look)
        if age is not None and age >= QUIET:
            return True
        return (
            earlier is not None
            and round(self._clock() - earlier.at, 3) >= QUIET
            and (
                earlier.look.modified == look.modified
                or (earlier.look.listed and not look.modified)  # only listings tell times
            )
        )


def listed_time(found, name):
    """Return the time of `name` in ISO 8601 out of what `ISession.files` returns, '' without."""
    _, modified = found.get(name, (None, None))
    return modified.isoformat() if modified else ''
