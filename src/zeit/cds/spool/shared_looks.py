"""One look at what waits in a spool for all partners of a process that ask at the same time.

To read a hundred thousand names takes most of the time until the first file goes, and threads of
one process would take turns at it.

A look begins after each of those that it is for has asked, and has read what it had by then.  So it
finds all that had come before; and what one partner has filed since is found as if it waited, at
most, and not there any more when it is its turn.
"""

import array
import contextlib
import os
import threading
from collections.abc import Callable
from typing import NamedTuple


#: Seconds that a look waits for those who are about to ask; and that one takes at most, before
#: whoever waits for it makes one of its own.
MOMENT, LONGEST = 0.25, 60


class Demand(NamedTuple):
    """What a partner asks for: what has none of the inodes that it `had`, and a name it `wants`.

    That is None for all.
    """

    had: set
    wants: Callable | None

    def fits(self, name, inode):
        """Return whether it asks for the file with this name and inode."""
        return inode not in self.had and (self.wants is None or self.wants(name))


class Found(NamedTuple):
    """What a look has found.

    `names` in sequence, the first of which have these `numbers`, and `inodes`; `ignored`: what
    never goes, and why; `unwanted`: names that nobody wants of those who have asked.
    """

    names: list
    numbers: array.array
    inodes: array.array
    ignored: list
    unwanted: list

    def of(self, demand):
        """Return (names, numbers) of what a `Demand` asks for; both are the caller's own."""
        if not demand.had and demand.wants is None:
            return self.names.copy(), self.numbers[:]
        found = zip(self.names, self.inodes, strict=True)
        places = [place for place, each in enumerate(found) if demand.fits(*each)]
        numbered = (place for place in places if place < len(self.numbers))
        numbers = array.array('Q', (self.numbers[place] for place in numbered))
        return [self.names[place] for place in places], numbers


class SharedLooks:
    """The looks at one spool by the threads of this process."""

    def __init__(self):
        self._changed = threading.Condition()
        #: Who is about to ask, and the look for which nobody has begun yet.
        self._coming, self._next = set(), None

    def __repr__(self):
        return f'<SharedLooks, {len(self._coming)} about to ask>'

    @contextlib.contextmanager
    def coming(self, who):
        """Return a context manager: inside of it `who` is about to ask, once."""
        with self._changed:
            self._coming.add(who)
        try:
            yield
        finally:
            self._has_come(who)

    def _has_come(self, who):
        with self._changed:
            self._coming.discard(who)
            self._changed.notify_all()

    def ask(self, who, demand, look):
        """Return the `Found` of `look(demands)`, which was called for `who`, and perhaps others.

        Raises what that raises.
        """
        from concurrent.futures import CancelledError  # only partners need it

        self._has_come(who)
        mine = _Look(demand)
        with self._changed:
            shared = self._next
            if shared is not None and shared.process == mine.process:
                shared.demands.append(demand)
            else:
                shared = self._next = mine
        if shared is mine:
            return self._begin(mine, look)
        try:
            return shared.found.result(LONGEST)
        except (CancelledError, TimeoutError):
            return look([demand])

    def _begin(self, mine, look):
        try:
            with self._changed:
                try:
                    self._changed.wait_for(lambda: not self._coming, MOMENT)
                finally:
                    self._next = None  # who asks from here on is not in this one
            found = look(mine.demands)
        except BaseException:
            mine.found.cancel()
            raise
        mine.found.set_result(found)
        return found


class _Look:
    """A look that has not begun."""

    def __init__(self, demand):
        from concurrent.futures import Future

        self.demands = [demand]
        self.found = Future()
        #: A child of this one has no thread that would make it.
        self.process = os.getpid()
