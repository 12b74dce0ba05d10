"""How fast a file is on its way, and whether it is worth to wait for its end."""

import collections
import math

from zeit.cds.errors import DeadlinePassed
from zeit.cds.text import printable


#: The present rate is that of this part of a run's deadline.
PRESENT = 1 / 10

#: Longer deadlines are told in whole minutes.
MINUTE = 60


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
        """So many bytes of it are on their way, or have come in; less than before: once more."""
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
        """Raise `DeadlinePassed` unless the file ends within so many seconds, at this rate.

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
                message, hint='The next one goes on; it may need a longer deadline (--deadline).'
            )
        needed = math.ceil(self.size / rate)
        if needed > MINUTE:
            needed = math.ceil(needed / MINUTE) * MINUTE
        return DeadlinePassed(
            f'{message}: {self._position} of {self.size} bytes are through',
            hint=f'At this rate it needs deadline="{needed}" (--deadline {needed}).',
        )
