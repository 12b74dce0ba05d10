"""How far a run is, for somebody who watches (`IProgress`); how fast its files are, for its end."""

import collections
import math

import zope.interface

from zeit.cds.errors import DeadlinePassed
from zeit.cds.interfaces import IIncoming, IProgress
from zeit.cds.text import printable


#: The present rate is that of this part of a run's deadline.
PRESENT = 1 / 10

#: Longer deadlines are told in whole minutes.
MINUTE = 60


@zope.interface.implementer(IProgress)
class NoProgress:
    """Nobody watches: see `IProgress`."""

    def expected(self, *, files, size):
        """See `IProgress`."""

    def sent(self, name, position):
        """See `IProgress`."""

    def settled(self, name, *, size):
        """See `IProgress`."""


class Rate:
    """The rate of the file `name`, which has `size` bytes; None if that is not known.

    `clock` tells seconds, `deadline` is that of the run, in seconds, 0 for none.
    """

    def __init__(self, name, *, size, clock, deadline):
        self.size = size
        self._name = name
        self._clock = clock
        self._window = deadline * PRESENT
        self._position = 0
        #: (moment, position) of the first piece.
        self._first = None
        #: (moment, position) of pieces that went, from the beginning of what is the present on.
        self._marks = collections.deque()
        self._is_worth_it = None

    def __repr__(self):
        return f'<Rate of {printable(self._name)}, {self._position} of {self.size} bytes>'

    def moved(self, position):
        """Take note that `position` bytes are through; fewer than before: it has begun anew."""
        if position < self._position:
            self._marks.clear()
            self._first = None
        self._position = position
        now = self._clock()
        self._first = self._first or (now, position)
        self._forget(now)
        # Marks are close to one another, and few.
        if len(self._marks) > 1 and now - self._marks[-2][0] < self._window * PRESENT:
            self._marks.pop()
        self._marks.append((now, position))

    def _forget(self, now):
        # Two remain: where the line is slow, a piece takes longer than all that is the present.
        while len(self._marks) > 2 and self._marks[1][0] <= now - self._window:
            self._marks.popleft()

    def present(self):
        """Return the bytes in a second, as it is now."""
        now = self._clock()
        self._forget(now)
        if len(self._marks) < 2:
            return 0
        (begin, position), (second, _), (last, _) = self._marks[0], self._marks[1], self._marks[-1]
        # As long as the next piece takes no longer than those before, nothing has changed.
        elapsed = max(last - begin, now - second)
        return (self._position - position) / elapsed if elapsed > 0 else 0

    def require(self, seconds):
        """Raise `DeadlinePassed` unless the file ends within these `seconds`, at this rate.

        Asked once: what it is then holds until it has ended.
        """
        if self._is_worth_it is None:
            self._is_worth_it = self._left() <= seconds
        if not self._is_worth_it:
            raise self._passed(self.present())

    def passed(self):
        """Return the `DeadlinePassed` of a file that was to end in time, and did not.

        It went slower in the end: so all of the time says which deadline it needs.
        """
        moment, position = self._first or (0, 0)
        elapsed = self._clock() - moment
        return self._passed((self._position - position) / elapsed if elapsed > 0 else 0)

    def _left(self):
        if self.size is None:
            return math.inf
        left = self.size - self._position
        if left <= 0:
            return 0
        rate = self.present()
        return left / rate if rate else math.inf

    def _passed(self, rate):
        message = 'The time of this run is used up'
        if self.size is None or not rate:
            return DeadlinePassed(
                message, hint='The next run continues; it may need a longer deadline (--deadline).'
            )
        needed = math.ceil(self.size / rate)
        if needed > MINUTE:
            needed = math.ceil(needed / MINUTE) * MINUTE
        return DeadlinePassed(
            f'{message}: {self._position} of {self.size} bytes are through',
            hint=f'At this rate it needs deadline="{needed}" (--deadline {needed}).',
        )


class Moved:
    """Tells `progress`, and the `rate`, how much of the file `name` was read."""

    def __init__(self, *, name, progress, rate):
        self._name = name
        self._progress = progress
        self._rate = rate
        self._position = 0

    def __repr__(self):
        return f'<Moved {printable(self._name)} to {self._position}>'

    def __call__(self, count):
        """Take note that so many bytes more are through."""
        self._position += count
        self._rate.moved(self._position)
        self._progress.sent(self._name, self._position)


@zope.interface.implementer(IIncoming)
class WatchedIncoming:
    """An `IIncoming` that tells `progress`, and its `rate`, how much of `name` has come in."""

    def __init__(self, incoming, *, name, progress, rate=None):
        self.rate = rate
        self._incoming = incoming
        self._name = name
        self._progress = progress

    def __enter__(self):
        self._incoming.__enter__()
        return self

    def __exit__(self, *exc_info):
        return self._incoming.__exit__(*exc_info)

    def __repr__(self):
        return f'<WatchedIncoming {self._incoming!r}>'

    def __getattr__(self, name):
        # What becomes of it in the spool is no progress of the run.
        return getattr(self._incoming, name)

    def require_room(self, size):
        """See `IIncoming`."""
        if self.rate is not None:
            self.rate.size = size or None
        self._incoming.require_room(size)

    def write(self, data):
        """See `IIncoming`."""
        self._incoming.write(data)
        if self.rate is not None:
            self.rate.moved(self._incoming.size)
        self._progress.sent(self._name, self._incoming.size)
