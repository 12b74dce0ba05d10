"""Which job comes next, and when to give up: decisions, no clock, no network, no spool."""

import collections
import dataclasses
import itertools
from collections.abc import Callable

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
    UsageError,
    Withdrawn,
)
from zeit.cds.interfaces import IOutcome, IPlan


#: Attempts for one file in one run, when the connection broke under it.
ATTEMPTS = 2

#: So many broken connections in a row end the run: the server is not there, and trying every file
#: in turn would wait for each of them.  So do so many files in a row that it cannot take for now.
LOSSES = 4

#: There is no room for a file; a smaller one may have some.
FULL = (ServerFull, SpoolFull)

#: What was put off may work later, and says nothing for sure about the file.
_PUT_OFF = (TemporaryError, *FULL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a run works.

    `order`: 'arrival' or 'name'.  `strict`: stop at the first file that is not delivered.
    `max_files`, `max_bytes`: bounds of one run, None for none.  `empty`: what becomes of files
    without content: 'send', 'park' or 'skip'.  `park_after`: a file that the server refuses in so
    many runs is parked, 0 for never.  `deadline`: seconds after which a run stops, 0 for never.
    `dry_run`: look at everything, change nothing.  `interrupted()` is asked between two files: true
    ends the run.  `postponed()` is asked once, when no other run can be active any more: true ends
    this one before it has begun.  `comes_again`: who makes this run comes again soon, so that the
    log need not say that there is nothing, nor that another run is active.  `progress`: the
    `IProgress` of who watches.
    """

    order: str = 'arrival'
    strict: bool = False
    max_files: int | None = None
    max_bytes: int | None = None
    empty: str = 'send'
    park_after: int = 5
    deadline: float = 3600
    dry_run: bool = False
    interrupted: Callable = bool
    postponed: Callable = bool
    comes_again: bool = False
    progress: object = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """How a run that imports works.

    `ignore`: patterns of names that are never taken, as in a shell, separated by spaces.
    `min_age`: seconds that have passed since a file was changed, by the server's clock; 0: a moment
    is enough, see `zeit.cds.quiet`.  `occupied`: what becomes of a file when one of its name is in
    `new/` still: 'wait', on the server, or 'unique', it gets another name.  `empty`: what becomes
    of files without content: 'take' or 'skip'.  The others as in `Options`.
    """

    ignore: str = '*.part *.partial *.filepart *.tmp *.temp *~'
    min_age: float = 0
    occupied: str = 'wait'
    max_files: int | None = None
    max_bytes: int | None = None
    empty: str = 'take'
    deadline: float = 3600
    dry_run: bool = False
    interrupted: Callable = bool
    postponed: Callable = bool
    comes_again: bool = False
    progress: object = dataclasses.field(default=None, compare=False)


def options_of(exchange, kind, *, given=(), comes_again=True, **changes):
    """Return the options of an exporter or importer, with `changes`, for who comes again.

    `kind`: the class of them; `given`: what a person has chosen.  What was made by somebody else
    may have options of its own kind; these remain as they are, and nothing can be chosen: that
    raises `UsageError`.
    """
    own = getattr(exchange, 'options', None)
    own = kind() if own is None else own
    if isinstance(own, kind):
        return dataclasses.replace(own, comes_again=comes_again, **changes, **dict(given))
    if given:
        raise UsageError(
            f'{type(exchange).__name__} has options of its own: --{[*given][0].replace("_", "-")}'
            ' cannot be said for it'
        )
    return own


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to carry.  `open()` returns its `ISource`; `attempt` counts from 1.

    `version` is a list that tells this version of the file from others, None where nothing does.
    `has_failed`: an earlier run has tried this version last, and failed.
    """

    name: str
    size: int
    open: Callable
    entry: object = None
    version: list | None = None
    has_failed: bool = False
    attempt: int = 1


@zope.interface.implementer(IOutcome)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
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
    called when a job is handed out.

    Files that follow one another share a fate: after `astray` failures in a row the next job is the
    last one that has not failed before, as often as it fails.  So it is where the bounds have no
    room for both that one and the next one, which has failed before.  A job whose connection broke
    has another attempt: at once if it is the first failure in a row, and the order matters
    (`astray` is more than 1), else when all others had their turn.

    `stopped` is the error that ended the plan before its time, or None; `limited` says that a bound
    ended it.  `stored` counts the files that came through.

    Several jobs may be under way.  When a server goes away, all of them lose their connection: that
    counts as one failure.
    """

    def __init__(
        self, jobs, *, strict=False, astray=3, max_files=None, max_bytes=None, started=None
    ):
        self._jobs = iter(jobs)
        self._read = collections.deque()
        #: What is worth another attempt, at once or when all others had their turn.
        self._at_once = collections.deque()
        self._again = collections.deque()
        self.strict = strict
        self._astray = astray
        self._files_left = max_files
        self._bytes_left = max_bytes
        self._first = True
        self._started = started or (lambda job: None)
        self._handed_out = 0
        self._under_way = {}
        self._in_a_row = 0
        self._known = 0
        self._ended = False
        #: What has failed, a `_Failure` by name.
        self._failures = {}
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
        if self._at_once:
            return self._at_once.popleft()
        job = self._new()
        return self._again.popleft() if job is None and self._again else job

    def _new(self):
        if self.limited:
            return None
        job = self._take()
        if job is None:
            return None
        if not (self._first or self._has_room(job)):
            self._read.appendleft(job)
            self.limited = True
            return None
        self._first = False
        if self._files_left is not None:
            self._files_left -= 1
        if self._bytes_left is not None:
            self._bytes_left -= job.size
        return job

    def _take(self):
        if not self._read:
            self._read.extend(itertools.islice(self._jobs, 1))
        if not self._read:
            return None
        job, astray = self._read[0], self._in_a_row >= self._astray
        is_bounded = self._files_left is not None or self._bytes_left is not None
        if not self.strict and (astray or (is_bounded and job.has_failed)):
            last = self._last()
            if last is not None and (astray or not self._has_room(job, last)):
                self._read.remove(last)
                return last
            if self._in_a_row >= LOSSES:
                return None  # that one is under way
        return self._read.popleft()

    def _last(self):
        """Return the last job that has not failed before, and waits, or None."""
        self._read.extend(self._jobs)
        return next((job for job in reversed(self._read) if not job.has_failed), None)

    def _has_room(self, *jobs):
        """Return whether the bounds allow all of these."""
        if self._files_left is not None and self._files_left < len(jobs):
            return False
        return self._bytes_left is None or self._bytes_left >= sum(job.size for job in jobs)

    def waiting(self, most):
        """See `IPlan`."""
        if self.stopped is not None or self._ended:
            return []
        while len(self._read) < most and (job := next(self._jobs, None)) is not None:
            self._read.append(job)
        new = most if self._files_left is None else max(0, self._files_left)
        found = [] if self.limited else itertools.islice(self._read, new)
        return list(itertools.islice(itertools.chain(self._at_once, found, self._again), most))

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
            again = dataclasses.replace(job, attempt=job.attempt + 1)
            at_once = self.strict or self._in_a_row < min(2, self._astray)
            (self._at_once if at_once else self._again).append(again)
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
        together = isinstance(error, LOST) or self._astray == 1
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
        return under_way or self._last() is not None

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
        self._read.extend(self._jobs)
        others = bool(self._read) or self.stopped.while_connecting
        return [
            failure.job
            for failure in self._failures.values()
            if others or failure.error is self.stopped
        ]

    def finish(self):
        """Take note that there is nothing more to be done; stop if there is no room any more.

        That is so if a file had none, and nothing came through behind it.  Of a server that has
        taken another one, one that has failed before says nothing: it may be larger than what is
        ever accepted there.
        """
        for each in self._failures.values():
            says = not (each.job.has_failed and self.stored)
            full = isinstance(each.error, ServerFull) and says
            if not each.is_proven and (full or isinstance(each.error, SpoolFull)):
                self.stop(each.error)

    def unfinished(self):
        """Return (job, error) of what has failed, and did not get its other attempt any more."""
        left = [self._failures[job.name] for job in (*self._at_once, *self._again)]
        self._at_once.clear()
        self._again.clear()
        return [(failure.job, failure.error) for failure in left]

    def recount(self, job, *, size):
        """Let `job`, which turned out to have `size` bytes, count for that in the bounds."""
        if self._bytes_left is not None:
            self._bytes_left += job.size - size

    def is_full(self):
        """Return whether a bound ends the run, or would end it with the next job."""
        return self.limited or (self._files_left is not None and self._files_left < 1)

    def untried(self):
        """Return how many jobs were never handed out; there are none left behind it."""
        number = len(self._read) + sum(1 for _ in self._jobs)
        self._read.clear()
        return number

    def add(self, jobs):
        """Let there be more jobs, behind all others."""
        self._jobs = itertools.chain(self._jobs, jobs)

    def uncount(self, job):
        """Let `job`, which was not worth anything, not count for the bounds."""
        self.limited = False
        if self._files_left is not None:
            self._files_left += 1
        if self._bytes_left is not None:
            self._bytes_left += job.size

    def stop(self, error):
        """Hand out no more jobs, because of `error`; the first one counts."""
        if self.stopped is None:
            self.stopped = error


@dataclasses.dataclass(kw_only=True)
class _Failure:
    """A job that has failed, when `since` jobs had been handed out.

    `is_final`: it has no other attempt.  `is_proven`: see `Plan.proven`.
    """

    since: int
    job: Job | None = None
    error: Error | None = None
    is_final: bool = False
    is_proven: bool = False


def _ends_all(error):
    """Return whether every other file would end the same way."""
    return (
        error.while_connecting
        # The spool's fault, or the remote directory is gone.
        or (error.exit_code == CONFIGURATION and not isinstance(error, FULL))
        or isinstance(error, DeadlinePassed)
    )
