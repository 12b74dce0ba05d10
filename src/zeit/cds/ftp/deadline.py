"""The moment by which everything must be done."""

import time

from zeit.cds.errors import DeadlinePassed


#: A wait looks at the deadline again after so many seconds: it may have been moved by another
#: thread, which wants all to come to an end.
LOOK = 0.5

#: What happened when a deadline has passed, and what to do next.
USED_UP = (
    'The time of this run is used up',
    'The next one goes on; it may need a longer deadline (--deadline).',
)


def unanswered(seconds):
    """Return the same of a deadline that was only for cleaning up at the end of a run."""
    what = f'The server did not answer within the {seconds:g} s for cleaning up'
    return what, 'The next run of this spool cleans up.'


class Deadline:
    """The moment by which everything must be done; without a bound until there is one.

    The deadline `outer`, if there is one, holds as well.
    """

    def __init__(self, *, outer=None):
        self._moment = None
        self._passed = USED_UP
        self._outer = outer

    def __repr__(self):
        return f'<Deadline {self._moment}>'

    def restart(self, seconds, *, passed=USED_UP):
        """Let it be in so many seconds from now; `passed`: what happened then, what to do next."""
        self._moment = time.monotonic() + seconds
        self._passed = passed

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
            message, hint = self._passed
            raise DeadlinePassed(message, hint=hint)
        return min(timeout, left)
