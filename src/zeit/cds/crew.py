"""The work of one run, shared by several connections.

The thread that runs hands out the jobs in the plan's order, writes the journal and yields the
outcomes; each connection works in a thread of its own (`Hand`).  The first of them is the session's
own, where the lock is looked at between two files; the others are there for this run only, and a
server that refuses one gets along with fewer.
"""

import collections
import contextlib
import logging

import zope.interface

from zeit.cds.errors import Error, FTPOSError
from zeit.cds.interfaces import ILedger
from zeit.cds.plan import Outcome
from zeit.cds.pool import DONE, ENDED, READY, Pool
from zeit.cds.text import plural, printable


log = logging.getLogger(__name__)

#: A login takes as long as a file or two: so many files for each connection must wait.
FILES = 2

#: Each of several files of so many bytes is worth a connection of its own: what takes long about
#: it, hashing and copying, threads do at the same time.
LARGE = 8 * 1024 * 1024

#: When a run ends before its time, what is on its way has so many seconds to end.
GRACE = 1.5


def size(plan, *, connections, effort):
    """Return how many of so many connections a plan is worth now; `effort` is an `Effort`."""
    if plan.strict or connections < 2:
        return 1
    jobs = plan.waiting(FILES * connections)
    large = sum(job.size >= LARGE for job in jobs[:connections])
    if not (large > 1 or effort.waits()):
        return 1
    others = len(jobs) - large
    return max(1, min(connections, large + -(-others // FILES)))


def outcomes(plan, worker, *, number, several):
    """Yield the outcomes of the jobs of `plan`: first as `alone` does, then several at once.

    `several(number=n)` yields those of n connections.  What it leaves, as there are no threads,
    the first one does alone after all.
    """
    wanted = yield from alone(plan, worker, number=number)
    if wanted:
        yield from several(number=wanted)
        yield from alone(plan, worker, number=lambda: 1)


def alone(plan, worker, *, number):
    """Yield the outcomes of the jobs of `plan`, one after the other.

    Returns, when `number()` says so, how many connections the rest is worth; 0 at the end of all.
    `worker` has `attempt`, as that of a `Hand`.
    """
    while (wanted := number()) == 1:
        job = plan.next()
        if job is None:
            return 0
        try:
            source = job.open()
        except Error as error:
            yield Outcome(job=job, error=error)
            continue
        with source:
            yield worker.attempt(job, source, more=bool(plan.waiting(1)))
    return wanted


@zope.interface.implementer(ILedger)
class Handed:
    """A ledger whose entries are written by the pool's thread: see `ILedger`."""

    def __init__(self, ledger):
        self._ledger = ledger
        self.pool = None

    def note(self, kind, name, **fields):
        """See `ILedger`."""
        self.pool.call(lambda: self._ledger.note(kind, name, **fields))

    def together(self):
        """See `ILedger`: what comes from a hand is together with what comes from the others."""
        return contextlib.nullcontext()


class Hand:
    """One connection at work: a worker of a `Pool`.  `temporary` ones end with the run."""

    def __init__(self, session, courier, *, number, temporary):
        self.session = session
        self.temporary = temporary
        self._courier = courier
        self._number = number

    def __repr__(self):
        return f'connection {self._number}'

    def open(self):
        """Connect, if that is still to be done, and be in the directory before there is a job."""
        if self.temporary:
            self.session.connect()
            self.session.enter()

    def work(self, task):
        """Deliver a file; `task` is (job, source, whether another one is likely to follow)."""
        job, source, more = task
        return self._courier.attempt(job, source, more=more)

    def hasten(self):
        """What is on its way must end soon."""
        self.session.hasten(GRACE)

    def close(self):
        """Say goodbye, if the connection was for the run only."""
        if self.temporary:
            self.session.leave()


class Crew:
    """The hands of one run; the first of them has the session's own connection."""

    def __init__(self, hands, plan, *, ledger):
        self._first = hands[0]
        self._plan = plan
        self._ledger = ledger
        self._idle = collections.deque(hands[:1])
        self._busy = {}
        self._hands = list(hands)
        self._held = collections.deque()
        self._orphans = []

    def __repr__(self):
        return f'<Crew of {len(self._hands)}, {len(self._busy)} busy>'

    def run(self, handed):
        """Yield the outcomes of all jobs; `handed` is the ledger of the hands.

        Without a single thread there is none.
        """
        pool = handed.pool = Pool(together=self._ledger.together)
        try:
            with pool:
                if self._hire(pool):
                    yield from self._work(pool)
        finally:
            pool.end()  # a signal may have come before it could be left
            for _, source in self._busy.values():
                with source:
                    pass
            for hand in self._hands[1:]:
                self._orphans += hand.session.litter
            self._first.session.free = True
            self._adopt()

    def _hire(self, pool):
        """Let each hand have a thread; return whether the first one has, which needs none."""
        for hand in list(self._hands):
            try:
                pool.hire(hand)
            except FTPOSError as error:
                if hand is self._first:
                    log.info('%s; 1 connection', error.message)
                    return False
                self._hands.remove(hand)
                log.info('%s; %s', error.message, plural(len(self._hands), 'connection'))
        return True

    def _work(self, pool):
        while True:
            yield from self._hand_out(pool)
            if not (self._busy or self._held):
                return
            for event in pool.events():
                if event.kind == READY and event.worker.temporary:
                    self._idle.append(event.worker)
                elif event.kind == DONE:
                    yield from self._done(event.worker, event.value, pool)
                elif event.kind == ENDED:
                    self._ended(event.worker, event.value)

    def _hand_out(self, pool):
        """Give a job to each hand that has none, as long as there are jobs."""
        unneeded = []
        while self._idle:
            hand = self._idle.popleft()
            job = self._job(hand)
            if job is None:
                unneeded.append(hand)
                continue
            try:
                source = job.open()
            except Error as error:
                self._idle.appendleft(hand)
                yield Outcome(job=job, error=error)
                continue
            self._busy[hand] = (job, source)
            hand.session.free = False
            number = len(self._hands)
            pool.give(hand, (job, source, len(self._plan.waiting(number)) == number))
        self._idle.extend(unneeded)
        if any(owner in self._idle for owner, _ in self._held):
            yield from self._hand_out(pool)

    def _job(self, hand):
        """Return the next job for `hand`, or None."""
        if hand is self._first:
            self._adopt()
        while (job := self._held_for(hand) or self._plan.next()) is not None:
            owner = self._owner(job.name)
            if owner in (None, hand):
                return job
            self._held.append((owner, job))
        return None

    def _held_for(self, hand):
        for position, (owner, job) in enumerate(self._held):
            if owner is hand:
                del self._held[position]
                return job
        return None

    def _owner(self, name):
        """Return the hand that has still to delete a part of that name: nobody else may make it."""
        if name in self._orphans:
            return self._first
        return next((hand for hand in self._hands if name in hand.session.litter), None)

    def _adopt(self):
        """Let the first hand, which is idle, delete what those who left could not."""
        self._first.session.litter += self._orphans
        self._orphans.clear()

    def _done(self, hand, outcome, pool):
        job, source = self._busy.pop(hand)
        hand.session.free = True
        with source:
            if self._is_given_up(hand, outcome.error):
                log.debug(
                    'Over another connection: %s: %s',
                    printable(job.name),
                    printable(outcome.error.message),
                )
                self._held.append((hand, job))
                pool.dismiss(hand)
                return
            # The others go on while this file is filed; on the first one the lock may be looked at.
            early = outcome.error is None and hand is not self._first
            if early:
                self._idle.append(hand)
                yield from self._hand_out(pool)
            yield outcome
        if not early:
            self._idle.append(hand)

    def _is_given_up(self, hand, error):
        return hand.temporary and error is not None and error.while_connecting

    def _ended(self, hand, error):
        """Go on without a hand."""
        self._hands.remove(hand)
        self._orphans += hand.session.litter
        self._held = collections.deque(
            (self._first if owner is hand else owner, job) for owner, job in self._held
        )
        if error is None:
            return
        if not isinstance(error, Error):
            raise error
        left = plural(len(self._hands), 'connection')
        log.info('The server refuses another connection; %s: %s', left, printable(error.message))
