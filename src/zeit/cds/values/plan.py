"""Which job comes next, and when to give up: decisions, no clock, no network, no spool."""

import collections
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import zope.interface

from zeit.cds.errors import (
    CONFIGURATION,
    LOST,
    UNAVAILABLE,
    DeadlinePassed,
    Error,
    NotBegun,
    ServerFull,
    SpoolFull,
    TemporaryError,
    Withdrawn,
)
from zeit.cds.interfaces import IOutcome, IPlan


#: Attempts for one file in one run, when the connection broke under it.
ATTEMPTS = 2

#: How many broken connections in a row end the run: the server is not there, and trying every file
#: in turn would wait for each of them.  As many files in a row that it cannot take for now do, too.
LOSSES = 4

#: So many jobs at once are made complete.
AHEAD = 2000

#: There is no room for a file; there may be for a smaller one.
FULL = (ServerFull, SpoolFull)

#: What was put off may work later, and says nothing for sure about the file.
_PUT_OFF = (TemporaryError, *FULL)


class Job(NamedTuple):
    """One file to transfer.  `open()` returns its `ISource`; `attempt` counts from 1.

    Of one whose turn is far away there may be no more than the `name`, see `Plan`.

    `version` is a list that tells this version of the file from others, None where nothing does.
    `has_failed`: an earlier run has tried this version last, and failed.
    """

    name: str
    size: int = 0
    open: Callable | None = None
    entry: object = None
    version: list | None = None
    has_failed: bool = False
    attempt: int = 1


@zope.interface.implementer(IOutcome)
class Outcome(NamedTuple):
    """See `IOutcome`."""

    job: Job
    source: object = None
    reply: str = ''
    error: Error | None = None


@zope.interface.implementer(IPlan)
class Plan:
    """The jobs of one run, in order.

    `jobs` is an iterable of `Job`, read as the work proceeds; see `Failures.sorted` for those that
    have failed before.  `strict` ends the run at the first file that is not delivered.  `max_files`
    and `max_bytes` bound the run; one file is always allowed, however large.  `started(job)` is
    called when a job is handed out.  When the turn of some comes near, `complete(jobs)`, of a list,
    returns those with all that belongs to them, without what is none after all.

    Files that follow one another share a fate: after `probe_after` failures in a row the next job
    is the *probe*, the last one that has not failed before, as often as it fails.  So it is where
    the bounds have no room for both that one and the next one, which has failed before.  A job
    whose connection broke has another attempt: at once if it is the first failure in a row, and the
    order matters (`probe_after` is more than 1), else when all others had their turn.

    `stopped` is the error that ended the plan before its time, or None; `limited` says that there
    is more than this run may do.  `stored` counts the files that came through.  `deferred` are jobs
    that are not handed out, until somebody adds them; see `defer`.

    Several jobs may be under way.  When a server goes away, all of them lose their connection: that
    counts as one failure.
    """

    def __init__(
        self,
        jobs,
        *,
        strict=False,
        probe_after=3,
        max_files=None,
        max_bytes=None,
        started=None,
        complete=None,
    ):
        self._jobs = iter(jobs)
        #: What was read of them: the next ones, which are complete, and what is behind these.
        self._ready, self._read = collections.deque(), collections.deque()
        #: What is worth another attempt, at once or when all others had their turn.
        self._retry_now = collections.deque()
        self._retry_last = collections.deque()
        self.strict = strict
        self._probe_after = probe_after
        self._files_left = math.inf if max_files is None else max_files
        self._bytes_left = math.inf if max_bytes is None else max_bytes
        self._first = True
        self._started = started or (lambda job: None)
        self._complete = complete or (lambda jobs: jobs)
        self._ahead = AHEAD if complete else 1
        self._handed_out = 0
        self._under_way = {}
        self._in_a_row = 0
        self._known = 0
        self._ended = False
        #: What has failed, a `_Failure` by name.
        self._failures = {}
        self.deferred = []
        self.stored = 0
        self.stopped = None
        self.limited = False

    def next(self):
        """See `IPlan`."""
        job = self._next()
        if job is not None:
            self._handed_out += 1
            self._under_way[job.name] = self._handed_out, job
            self._started(job)
        return job

    def _next(self):
        if self.stopped is not None or self._ended:
            return None
        if self._retry_now:
            return self._retry_now.popleft()
        job = self._new()
        return self._retry_last.popleft() if job is None and self._retry_last else job

    def _new(self):
        if self.limited:
            return None
        job = self._take()
        if job is None:
            return None
        if not (self._first or self._has_room(job)):
            self._ready.appendleft(job)
            self.limited = True
            return None
        self._first = False
        self._files_left -= 1
        self._bytes_left -= job.size
        return job

    def _take(self):
        if not self._has_ready(1):
            return None
        job, in_doubt = self._ready[0], self._in_a_row >= self._probe_after
        is_bounded = math.isfinite(min(self._files_left, self._bytes_left))
        if not self.strict and (in_doubt or (is_bounded and job.has_failed)):
            probe = self._probe()
            if probe is not None and (in_doubt or not self._has_room(job, probe)):
                (self._read if probe in self._read else self._ready).remove(probe)
                return probe
            if self._in_a_row >= LOSSES:
                return None  # that one is under way
        return self._ready.popleft()

    def _has_ready(self, most):
        """Return whether so many jobs are complete; let them be, if there are so many."""
        while len(self._ready) < most:
            waiting = itertools.chain(iter(self._popped, None), self._jobs)
            if not (jobs := [*itertools.islice(waiting, self._ahead)]):
                break
            self._ready.extend(self._complete(jobs))
        return len(self._ready) >= most

    def _popped(self):
        return self._read.popleft() if self._read else None

    def _probe(self):
        """Return the last job that has not failed before, and waits, or None; it is ready."""
        self._read.extend(self._jobs)
        for place in reversed(range(len(self._read))):
            job = self._read[place]
            if job.has_failed:
                continue
            if complete := self._complete([job]):
                self._read[place] = complete[0]
                return complete[0]
            del self._read[place]
        return next((job for job in reversed(self._ready) if not job.has_failed), None)

    def _has_room(self, *jobs):
        """Return whether the bounds allow all of these."""
        size = sum(job.size for job in jobs)
        return self._files_left >= len(jobs) and self._bytes_left >= size

    def waiting(self, most):
        """See `IPlan`."""
        if self.stopped is not None or self._ended:
            return []
        new = []
        if not self.limited:
            allowed = min(most, max(0, self._files_left))
            self._has_ready(allowed)
            new = itertools.islice(self._ready, allowed)
        return list(itertools.islice(itertools.chain(self._retry_now, new, self._retry_last), most))

    def settle(self, outcome):
        """Take an outcome into account; return True if its job is to be tried again.

        Only a broken connection is worth another attempt, if nothing can come late: what the
        server said about a file, it would say again.
        """
        job, error = outcome.job, outcome.error
        number, _ = self._under_way.pop(job.name, (self._handed_out, job))
        if error is None:
            self._stored(job, number)
            return False
        if isinstance(error, Withdrawn):
            self._failures.pop(job.name, None)  # there is nothing that could fail
            return False
        failure = self._failures.setdefault(job.name, _Failure(since=self._handed_out))
        failure.job, failure.error = job, error
        if _ends_all(error):
            self.stop(error)
        elif isinstance(error, (*LOST, *_PUT_OFF)):
            self._count(job, error, number)
        else:
            self._in_a_row = 0
        if self.stopped is None and self._is_worth_more(job, error):
            now = self.strict or self._in_a_row < min(2, self._probe_after)
            queue = self._retry_now if now else self._retry_last
            queue.append(job._replace(attempt=job.attempt + 1))
            return True
        failure.is_final = True
        if self.strict:
            self.stop(error)
        return False

    def _stored(self, job, number):
        self.stored += 1
        self._in_a_row = 0
        self._failures.pop(job.name, None)
        for failure in self._failures.values():
            failure.is_proven = failure.is_proven or number > failure.since

    def _count(self, job, error, number):
        """Count what says that the server is not there, or cannot take anything for now."""
        together = isinstance(error, LOST) or self._probe_after == 1
        if number > self._known or not together:
            self._in_a_row += 1
            self._known = self._handed_out
        if self._in_a_row < LOSSES or (job.has_failed and self._has_others()):
            return
        if self.stored and (job.has_failed or job.attempt > 1):
            self._ended = True  # all that had not failed came through
        elif isinstance(error, TemporaryError):
            why = error.code, str(error)
            self.stop(TemporaryError(*why, hint=error.hint, exit_code=UNAVAILABLE))
        else:
            self.stop(error)

    def _has_others(self):
        """Return whether a job that has not failed before waits, or is under way."""
        under_way = any(not job.has_failed for _, job in self._under_way.values())
        return under_way or self._probe() is not None

    def _is_worth_more(self, job, error):
        return (
            isinstance(error, LOST)
            and job.attempt < ATTEMPTS
            and not (job.has_failed or error.in_doubt or isinstance(error, NotBegun))
        )

    def proven(self):
        """Return (job, error) of what has failed for good, and is known to be the file's fault.

        Another file was begun after it, and came through.  Each is returned once.
        """
        found = [
            name
            for name, failure in self._failures.items()
            if failure.is_final and failure.is_proven
        ]
        return [(each.job, each.error) for each in map(self._failures.pop, found)]

    def blocking(self):
        """Return at the end of the run the jobs that have kept others from being tried.

        These are the one that ended the run; and all that have failed, except for what is `proven`,
        if there were jobs left, or the server was away when it was the turn of one.
        """
        if self.stopped is None:
            return []
        others = self._has_ready(1) or self.stopped.while_connecting
        return [
            failure.job
            for failure in self._failures.values()
            if others or failure.error is self.stopped
        ]

    def finish(self):
        """Take note that there is nothing more to be done; stop if there is no room any more.

        What is `deferred` still is for the next run.

        There is no room if a file had none, and nothing came through behind it.  Of a server that
        has taken another one, one that has failed before says nothing: it may be larger than what
        is ever accepted there.
        """
        for each in self._failures.values():
            says = not (each.job.has_failed and self.stored)
            full = isinstance(each.error, ServerFull) and says
            if not each.is_proven and (full or isinstance(each.error, SpoolFull)):
                self.stop(each.error)
        if self.deferred and self.stopped is None:
            self.limited = True

    def unfinished(self):
        """Return (job, error) of what has failed, and did not get its other attempt any more."""
        failures = [self._failures[job.name] for job in (*self._retry_now, *self._retry_last)]
        self._retry_now.clear()
        self._retry_last.clear()
        return [(failure.job, failure.error) for failure in failures]

    def recount(self, job, *, size):
        """Let `job`, which turned out to have `size` bytes, count for that in the bounds."""
        self._bytes_left += job.size - size

    def is_full(self):
        """Return whether a bound ends the run, or would end it with the next job."""
        return self.limited or self._files_left < 1

    def untried(self):
        """Return how many jobs were never handed out; there are none left behind it."""
        waiting = len(self._ready) + len(self._read) + sum(1 for _ in self._jobs)
        self._ready.clear()
        self._read.clear()
        return waiting + len(self.deferred)

    def add(self, jobs):
        """Let there be more jobs, behind all others."""
        self._jobs = itertools.chain(self._jobs, jobs)

    def admit(self, jobs, *, order):
        """Let there be more `jobs`, and bring what waits into the order that `order(jobs)` returns.

        One takes the place of a job that waits and has the same name.  Left out is what is under
        way, or is to be tried again: what comes of that is seen then.  What has failed before
        stays behind.
        """
        busy = {*self._under_way, *(job.name for job in (*self._retry_now, *self._retry_last))}
        jobs = [job for job in jobs if job.name not in busy]
        names = {job.name for job in jobs}
        waiting = itertools.chain(self._ready, self._read, self._jobs)
        waiting = [job for job in waiting if job.name not in names]
        fresh = [job for job in waiting if not job.has_failed]
        failed = [job for job in waiting if job.has_failed]
        self._read = collections.deque([*order([*fresh, *jobs]), *failed])
        self._ready, self._jobs = collections.deque(), iter(())

    def defer(self, job):
        """Put off `job`, which may be under way: it was too early for it, and counts for nothing.

        Where all others had their turn, and it is due, somebody may `add` it again.
        """
        if self._under_way.pop(job.name, None) is not None:
            self._in_a_row = 0
            self.uncount(job)
        self.deferred.append(job)

    def uncount(self, job):
        """Let `job`, which was not worth anything, not count for the bounds."""
        self.limited = False
        self._files_left += 1
        self._bytes_left += job.size

    def stop(self, error):
        """Hand out no more jobs, because of `error`; the first one counts."""
        if self.stopped is None:
            self.stopped = error


class _Failure:
    """A `job` that has failed, when `since` jobs had been handed out, because of `error`.

    `is_final`: it has no other attempt.  `is_proven`: see `Plan.proven`.
    """

    def __init__(self, *, since):
        self.since = since
        self.job = self.error = None
        self.is_final = self.is_proven = False


def _ends_all(error):
    """Return whether every other file would end the same way."""
    return (
        error.while_connecting
        # The spool's fault, or the remote directory is gone.
        or (error.exit_code == CONFIGURATION and not isinstance(error, FULL))
        or isinstance(error, DeadlinePassed)
    )
