"""A limit for what goes over the network, which all connections to a server share."""

import threading
import time

from zeit.cds.system.polling import poll


#: What goes at once takes so many seconds at the rate that is allowed.
PIECE = 0.05

#: Somebody who was woken so many seconds too late may catch up, and nobody sleeps for less.
LATE, SHORTEST = 0.05, 0.005

#: The hour of the day is looked at every so many seconds.
LOOK = 1


def _sleep(seconds):
    poll((), seconds)


class Unlimited:
    """There is no limit: see `Throttle`."""

    def __repr__(self):
        return '<Unlimited>'

    def piece(self, most):
        """See `Throttle`."""
        return most

    def spend(self, count):
        """See `Throttle`."""
        return 0


UNLIMITED = Unlimited()


class Throttle:
    """Lets no more bytes go in a second than a `zeit.cds.values.bandwidth.Bandwidth` says.

    Whoever moves data asks how much may go at once (`piece`), and says how much goes (`spend`),
    which waits for its turn: who comes first goes first, and a piece is small, so a small file
    waits for one piece of each of the others.  What was not used is lost, so that no second has
    more than its share.  Threads and tasks of a loop may share it.

    `clock` tells seconds, `wait` waits for some, `hour` returns hour and minute of the day.
    """

    def __init__(
        self,
        bandwidth,
        *,
        clock=time.monotonic,
        wait=_sleep,
        hour=lambda: time.localtime()[3:5],
    ):
        self._bandwidth = bandwidth
        self._clock = clock
        self._wait = wait
        self._hour = hour
        self._lock = threading.Lock()
        self._rate = None
        self._looked = None
        #: The moment from which on the next piece may go.
        self._next = clock()

    def __repr__(self):
        return f'<Throttle {self._bandwidth!r}>'

    @property
    def rate(self):
        """How many bytes may go in a second now; None if there is no limit at this hour."""
        now = self._clock()
        if self._looked is None or now - self._looked >= LOOK:
            self._rate, self._looked = self._bandwidth.at(*self._hour()), now
        return self._rate

    def piece(self, most):
        """Return how many bytes may go at once, `most` of them at most."""
        rate = self.rate
        return most if rate is None else max(1, min(most, int(rate * PIECE)))

    def spend(self, count):
        """Wait until so many bytes may go; return for how many seconds that was."""
        with self._lock:
            rate, now = self.rate, self._clock()
            if rate is None:
                return 0
            begin = max(self._next, now - LATE)
            self._next = begin + count / rate
        if begin - now < SHORTEST:
            return 0
        self._wait(begin - now)
        return self._clock() - now
