"""The moment by which everything must be done."""

import contextlib
import time

from zeit.cds.errors import DeadlinePassed
from zeit.cds.system.polling import now


#: What happened when a deadline has passed, and what to do next.
USED_UP = (
    'The time of this run is used up',
    'The next run continues; it may need a longer deadline (--deadline).',
)


class Until(float):
    """The moment of `polling.now`, `seconds` from now; a message can tell how many those were."""

    def __new__(cls, seconds):
        made = super().__new__(cls, now() + seconds)
        made.seconds = seconds
        return made

    def later(self, seconds):
        """Return the moment that is `seconds` later, of the same wait."""
        made = super().__new__(type(self), self + seconds)
        made.seconds = self.seconds
        return made


def unanswered(seconds):
    """Return what `USED_UP` is, for a deadline that was only for cleaning up after a run."""
    what = f'The server did not answer within the {seconds:g} s for cleaning up'
    return what, 'The next run of this spool cleans up.'


class Deadline:
    """The moment by which everything must be done; without a bound until there is one.

    The deadline `outer`, if there is one, holds as well.
    """

    def __init__(self, *, outer=None):
        self._moment = None
        self._span = None
        self._passed = USED_UP
        self._outer = outer
        self._transfer = None

    def __repr__(self):
        return f'<Deadline {self._moment}>'

    def restart(self, seconds, *, passed=USED_UP, span=None):
        """Let it be `seconds` from now; `passed`: what happened then, and what to do next.

        `span`: a transfer that is under way by then gets this many seconds more, if it says that
        they are enough; None for none.
        """
        self._moment = time.monotonic() + seconds
        self._span = span
        self._passed = passed

    @contextlib.contextmanager
    def during(self, transfer):
        """Inside, a `transfer` is under way that may have more time than others, or None.

        `transfer.require(seconds)` raises `DeadlinePassed` if it is not going to end within this
        many seconds; `transfer.passed()` returns that error, for when it should have ended and has
        not.
        """
        self._transfer = transfer
        try:
            yield
        finally:
            self._transfer = None

    def within(self, timeout, *, transfer=None):
        """Return `timeout`, or what is left if that is less; both in seconds.

        Raises `DeadlinePassed` when nothing is left; `transfer` is that of `during`.
        """
        transfer = transfer or self._transfer
        if self._outer is not None:
            timeout = self._outer.within(timeout, transfer=transfer)
        if self._moment is None:
            return timeout
        seconds_left = self._moment - time.monotonic()
        if seconds_left <= 0 and self._span and transfer is not None:
            transfer.require(self._span)
            seconds_left += self._span
            if seconds_left <= 0:
                raise transfer.passed()
        if seconds_left <= 0:
            message, hint = self._passed
            raise DeadlinePassed(message, hint=hint)
        return min(timeout, seconds_left)
