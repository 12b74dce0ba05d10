"""The moment by which everything must be done."""

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

    `transfer` is what is under way now, and may have more time than others, or None.
    `transfer.require(seconds)` raises `DeadlinePassed` if it is not going to end within this many
    seconds; `transfer.passed()` returns that error, for when it should have ended and has not.
    """

    transfer = None

    def __init__(self, *, outer=None):
        self._moment = None
        self._span = None
        self._passed = USED_UP
        self._all = (self,) if outer is None else (*outer._all, self)

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

    def within(self, timeout):
        """Return `timeout`, or what is left if that is less; both in seconds.

        Raises `DeadlinePassed` when nothing is left.
        """
        for each in self._all:
            if each._moment is not None:
                seconds_left = each._moment - time.monotonic()
                if seconds_left <= 0:
                    seconds_left = each._prolonged(seconds_left, transfer=self.transfer)
                if seconds_left < timeout:
                    timeout = seconds_left
        return timeout

    def _prolonged(self, seconds_left, *, transfer):
        """Return what is left with the time that a transfer gets beyond the moment."""
        if not self._span or transfer is None:
            message, hint = self._passed
            raise DeadlinePassed(message, hint=hint)
        transfer.require(self._span)
        if seconds_left + self._span <= 0:
            raise transfer.passed()
        return seconds_left + self._span
