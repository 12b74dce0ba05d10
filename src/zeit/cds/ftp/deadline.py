"""The moment by which everything must be done."""

import time

from zeit.cds.errors import DeadlinePassed


#: A wait looks at the deadline again after so many seconds: it may have been moved by another
#: thread, which wants all to come to an end.
LOOK = 0.5


class Deadline:
    """The moment by which everything must be done; without a bound until there is one.

    The deadline `outer`, if there is one, holds as well.
    """

    def __init__(self, *, outer=None):
        self._moment = None
        self._outer = outer

    def __repr__(self):
        return f'<Deadline {self._moment}>'

    def restart(self, seconds):
        """Let it be in so many seconds from now."""
        self._moment = time.monotonic() + seconds

    def lift(self):
        """Let there be no bound any more, except the one of `outer`."""
        self._moment = None

    def within(self, timeout):
        """Return `timeout`, or what is left if that is less; both in seconds.

        Raises `DeadlinePassed` when nothing is left.
        """
        if self._outer is not None:
            timeout = self._outer.within(timeout)
        if self._moment is None:
            return timeout
        left = self._moment - time.monotonic()
        if left <= 0:
            raise DeadlinePassed(
                'The time of this run is used up',
                hint='The next one goes on; it may need a longer deadline (--deadline).',
            )
        return min(timeout, left)
