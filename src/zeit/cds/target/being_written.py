"""Whether a file on a server is being written: as far as anybody can know that from outside.

A partner who sends a file without a lock, and under its real name, cannot be told from one who has
sent it, but by time: what has not changed for a while is complete.  A look shortly before and after
the download says nothing: writers pause, and servers' times count in whole seconds.

All times are the server's.  What it is there now follows from the time of our own lock: so it was
when the lock was made, and the seconds since then are counted here.
"""

import datetime
from typing import NamedTuple


#: A file that has not changed for this many seconds is complete.  Times count in whole seconds, so
#: half of it may be the remainder of one.
SETTLED_AFTER = 2


class Look(NamedTuple):
    """What a server says about a file: its length in bytes, its time in ISO 8601, '' if not known.

    Without a size there is no such file, or the server does not tell sizes: see `exists`.
    `listed`: it was in a listing, in which a server's times may be others than in its answers.
    `was_read`: the server tells neither length nor time, and the file was read to find it out.
    `is_said`: the server has said the length, if it is known; else it is a guess.
    """

    size: int | None
    modified: str
    exists: bool = True
    listed: bool = False
    was_read: bool = False
    is_said: bool = True

    @classmethod
    def at(cls, size, modified):
        """Return the `Look` at what a listing tells; None if that is not enough.

        `modified` is an aware datetime.
        """
        if size is None or modified is None:
            return None
        return cls(size, modified.isoformat(), listed=True)

    def agrees(self, other):
        """Return whether `other`, another `Look` at the file, tells the same."""
        if self.was_read or other.was_read:
            return (self.size, self.exists) == (other.size, other.exists)
        return self[:3] == other[:3]

    def age(self, now):
        """Return the file's age in seconds, `now` in seconds since the epoch; None if not known."""
        if not self.modified:
            return None
        return now - datetime.datetime.fromisoformat(self.modified).timestamp()


GONE = Look(None, '', exists=False)


class Fresh(NamedTuple):
    """A `Look` at a file that was not known to be settled at the moment `at`, and what is to come.

    From the moment `due` on another look tells.  Both are monotonic seconds.
    """

    look: Look
    at: float
    due: float


class ServerTime:
    """What time it is on a server, at the least.

    `told` and `listed` are the time of our lock there, as the server answers and as its listings
    say, in ISO 8601, '' if not known: some servers list local time.  `clock()` tells monotonic
    seconds; `begun` was one after the lock was made.  `resting` is what `ISession.resting` told
    after that.
    """

    def __init__(self, *, told, listed, begun, clock, resting=()):
        self._told = told
        self._listed = listed
        self._begun = begun
        self._clock = clock
        self._resting = dict(resting)

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
        """Return what is known of a file that is not known to be settled, a `Fresh`."""
        now, age = self._clock(), self.age(look)
        tells = (
            self._told and age is not None and 0 <= age < SETTLED_AFTER
        )  # else only the whole wait tells
        passed = age if tells else 0
        return Fresh(look, at=now, due=now + SETTLED_AFTER - passed)

    def is_settled(self, look, *, name=None, earlier=None):
        """Return whether the file `name` has not changed for `SETTLED_AFTER` seconds.

        By its age; if that does not tell (there is no time, or one to come), by `earlier`, a
        `Fresh`.
        """
        if not look.modified and look.size is not None and look.size == self._resting.get(name):
            return True
        if earlier is not None and earlier.look.size != look.size:
            return False
        age = self.age(look)
        if age is not None and age >= SETTLED_AFTER:
            return True
        return (
            earlier is not None
            and round(self._clock() - earlier.at, 3) >= SETTLED_AFTER
            and (
                earlier.look.modified == look.modified
                or (earlier.look.listed and not look.modified)  # only listings tell times
            )
        )


def listed_time(found, name):
    """Return the time of `name` in ISO 8601 out of what `ISession.files` returns, '' without."""
    _, modified = found.get(name, (None, None))
    return modified.isoformat() if modified else ''
