"""The work of one run, shared by several connections.

All of it is in one thread.  Its main greenlet distributes the jobs in the plan's order, writes the
journal and yields the outcomes; each connection works in a task of its own (`Worker`).  The first
of them is the session's own, where the lock is looked at between two files; the others are there
for this run only, and a server that refuses one gets along with fewer.
"""

import collections
import logging

from zeit.cds.errors import Error
from zeit.cds.target.pool import DONE, ENDED, READY, Pool
from zeit.cds.text import plural, printable
from zeit.cds.values.plan import Outcome


log = logging.getLogger(__name__)

#: How many files must wait for each connection: a login takes as long as a file or two.
FILES = 2

#: How many times more siblings where they share a connection: a file waits most of its time.
SHARING = 2

#: Each of several files of at least this many bytes is worth a connection of its own.
LARGE = 8 * 1024 * 1024


def _connections_worth(plan, session):
    """Return how many connections `plan` is worth, or files at once over one."""
    connections = session.delivery.connections
    if plan.strict or connections < 2:
        return 1
    if session.shares:
        connections *= SHARING
    jobs = plan.waiting(FILES * connections)
    large = sum(job.size >= LARGE for job in jobs[:connections])
    others = len(jobs) - large
    return max(1, min(connections, large + -(-others // FILES)))


def work_on(plan, session, *, ledger, new_attempts):
    """Yield the outcomes of the jobs of `plan`, over as many connections as pay.

    The first one is that of `session`, an `ITransfers`; `ledger` has `together` of an `ILedger`.

    `new_attempts(session, call=call)` returns what has `attempt`, as a `Worker` uses it;
    `call(function)` does what only the main greenlet of the run may do, or what is better done with
    that of others: in `together`.  Without others there is no `call`.
    """
    with session.at_work():
        number = _connections_worth(plan, session)
        if number == 1:
            yield from _one_by_one(plan, new_attempts(session))
            return
        pool = Pool(together=ledger.together)
        sessions = [session, *(session.sibling() for _ in range(1, number))]
        workers = [
            Worker(each, new_attempts(each, call=pool.call), number=n)
            for n, each in enumerate(sessions, 1)
        ]
        yield from Workers(workers, plan).run(pool)


def _one_by_one(plan, own):
    """Yield the outcomes of the jobs of `plan`, one after the other."""
    while (job := plan.next()) is not None:
        try:
            source = job.open()
        except Error as error:
            yield Outcome(job=job, error=error)
            continue
        with source:
            yield own.attempt(job, source, followed=True)  # at least the lock is read behind it


class Worker:
    """One connection at work, in a `Pool`; all but the first one end with the run."""

    def __init__(self, session, attempts, *, number):
        self.session = session
        self.is_first = number == 1
        self._attempts = attempts
        self._number = number

    def __repr__(self):
        return f'connection {self._number}'

    def open(self):
        """Connect, if that is still to be done, and be in the directory before there is a job."""
        if not self.is_first:
            self.session.connect()
            self.session.enter()

    def work(self, task):
        """Transfer a file; `task` is (job, source, whether another one is likely to follow)."""
        job, source, followed = task
        return self._attempts.attempt(job, source, followed=followed)

    def close(self):
        """Say goodbye, if the connection was for the run only."""
        if not self.is_first:
            self.session.leave()


class Workers:
    """The workers of one run; the first of them has the session's own connection."""

    def __init__(self, workers, plan):
        self._first = workers[0]
        self._plan = plan
        self._idle = collections.deque(workers[:1])
        self._busy = {}
        self._all = list(workers)
        self._reserved = collections.deque()
        self._left_garbage = []

    def __repr__(self):
        return f'<Workers: {len(self._all)}, {len(self._busy)} busy>'

    def run(self, pool):
        """Yield the outcomes of all jobs, which the workers do in the `Pool`."""
        try:
            with pool:
                for worker in self._all:
                    pool.start(worker)
                yield from self._work(pool)
        finally:
            for event in pool.end():
                _tell(event)
            for _, source in self._busy.values():
                with source:
                    pass
            for worker in self._all[1:]:
                self._left_garbage += worker.session.garbage
            self._first.session.free = True
            self._take_over_garbage()

    def _work(self, pool):
        while True:
            yield from self._distribute(pool)
            if not (self._busy or self._reserved):
                return
            for event in pool.events():
                if event.kind == READY and not event.worker.is_first:
                    self._idle.append(event.worker)
                elif event.kind == DONE:
                    yield from self._done(event.worker, event.value, pool)
                elif event.kind == ENDED:
                    self._ended(event.worker, event.value)

    def _distribute(self, pool):
        """Give a job to each worker that has none, as long as there are jobs."""
        unneeded = []
        while self._idle:
            worker = self._idle.popleft()
            job = self._job(worker)
            if job is None:
                unneeded.append(worker)
                continue
            try:
                source = job.open()
            except Error as error:
                self._idle.appendleft(worker)
                yield Outcome(job=job, error=error)
                continue
            self._busy[worker] = (job, source)
            worker.session.free = False
            number = len(self._all)
            pool.give(worker, (job, source, len(self._plan.waiting(number)) == number))
        self._idle.extend(unneeded)
        if any(owner in self._idle for owner, _ in self._reserved):
            yield from self._distribute(pool)

    def _job(self, worker):
        """Return the next job for `worker`, or None."""
        if worker is self._first:
            self._take_over_garbage()
        while (job := self._reserved_for(worker) or self._plan.next()) is not None:
            owner = self._owner(job.name)
            if owner in (None, worker):
                return job
            self._reserved.append((owner, job))
        return None

    def _reserved_for(self, worker):
        for position, (owner, job) in enumerate(self._reserved):
            if owner is worker:
                del self._reserved[position]
                return job
        return None

    def _owner(self, name):
        """Return the worker that has still to delete a part of that name: no other may make it."""
        if name in self._left_garbage:
            return self._first
        return next((worker for worker in self._all if name in worker.session.garbage), None)

    def _take_over_garbage(self):
        """Let the first worker, which is idle, delete what those that ended could not."""
        self._first.session.garbage += self._left_garbage
        self._left_garbage.clear()

    def _done(self, worker, outcome, pool):
        job, source = self._busy.pop(worker)
        worker.session.free = True
        with source:
            if self._is_given_up(worker, outcome.error):
                log.debug(
                    'Over another connection: %s: %s',
                    printable(job.name),
                    printable(outcome.error.message),
                )
                self._reserved.append((worker, job))
                pool.finish(worker)
                return
            # The others go on while this file is filed; on the first one the lock may be looked at.
            early = outcome.error is None and worker is not self._first
            if early:
                self._idle.append(worker)
                yield from self._distribute(pool)
            yield outcome
        if not early:
            self._idle.append(worker)

    def _is_given_up(self, worker, error):
        return not worker.is_first and error is not None and error.while_connecting

    def _ended(self, worker, error):
        """Go on without a worker."""
        self._all.remove(worker)
        self._left_garbage += worker.session.garbage
        self._reserved = collections.deque(
            (self._first if owner is worker else owner, job) for owner, job in self._reserved
        )
        if error is None:
            return
        if not isinstance(error, Error):
            raise error
        rest = plural(len(self._all), 'connection')
        log.info('The server refuses another connection; %s: %s', rest, printable(error.message))


def _tell(event):
    """Say what came of a worker's work when nobody waited for it any more."""
    error = event.value.error if event.kind == DONE else event.value
    if isinstance(error, Error):
        log.debug('At the end: %r: %s', event.worker, printable(error.message))
    elif isinstance(error, Exception):
        log.error('At the end: %r', event.worker, exc_info=error)
