"""Whether a run works or waits: only the one that waits goes faster with several connections.

With a server next door a connection is hardly ever idle: what a small file costs is the work of
this process, and threads, which share one interpreter, need twice the time for the same work.
"""

import time


#: Several connections pay where one works for less than this share of its time.  They need twice
#: the processor time of one, and what they gain lies beyond that.
BUSY = 1 / 3

#: So many seconds are looked at together: a single hiccup says nothing.
SPAN = 0.2


class Effort:
    """What the thread that made it does, from then on.

    `clock` tells seconds, `worked` the seconds of processor time of this thread; both are for
    tests.
    """

    def __init__(self, *, clock=time.monotonic, worked=time.thread_time):
        self._clock = clock
        self._worked = worked
        self._waits = None
        self._begin(clock())

    def __repr__(self):
        return f'<Effort, waits: {self._waits}>'

    def _begin(self, now):
        self._since = now
        self._before = self._worked()

    def waits(self):
        """Return whether, of late, it has waited for others (server, line, disk) most of the time.

        The first answer is about all the time until then.
        """
        now = self._clock()
        elapsed = now - self._since
        if self._waits is None or elapsed >= SPAN:
            self._waits = self._worked() - self._before < BUSY * elapsed
            self._begin(now)
        return self._waits
