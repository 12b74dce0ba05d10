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
    TemporaryError,
)
from zeit.cds.interfaces import IOutcome, IPlan


#: Attempts for one file in one run, when the connection broke under it.
ATTEMPTS = 2

#: So many broken connections in a row end the run: the server is not there, and trying every file
#: in turn would wait for each of them.  So do so many files in a row that it cannot take for now.
LOSSES = 4


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


def options_of(exchange, kind, **changes):
    """Return the options of an exporter or importer, with `changes`, for who comes again.

    `kind`: the class of them.  What was made by somebody else may have options of its own kind;
    these remain as they are.
    """
    own = getattr(exchange, 'options', None) or kind()
    if not isinstance(own, kind):
        return own
    return dataclasses.replace(own, comes_again=True, **changes)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to carry.  `open()` returns its `ISource`; `attempt` counts from 1."""

    name: str
    size: int
    open: Callable
    entry: object = None
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

    `jobs` is an iterable of `Job`, read as the work proceeds.  `strict` ends the run at the first
    file that is not delivered.  `max_files` and `max_bytes` bound the run; one file is always
    allowed, however large.  `started(job)` is called when a job is handed out.

    `scattered`: the order of the jobs does not matter.  Then the next one after a failure is the
    last of all, as neighbours share a fate; and what is worth another attempt is not handed out
    again by itself: its turn is when all others had theirs, see `add`.

    `stopped` is the error that ended the plan before its time, or None; `limited` says that a
    bound ended it.

    Several jobs may be under way.  When a server goes away, all of them lose their connection: that
    counts as one loss.
    """

    def __init__(
        self,
        jobs,
        *,
        strict=False,
        scattered=False,
        max_files=None,
        max_bytes=None,
        started=None,
    ):
        self._jobs = iter(jobs)
        self._read = collections.deque()
        self._again = collections.deque()
        self.strict = strict
        self._scattered = scattered
        self._files_left = max_files
        self._bytes_left = max_bytes
        self._first = True
        self._started = started or (lambda job: None)
        self._handed_out = 0
        self._under_way = {}
        self._losses = 0
        self._known_loss = 0
        self._put_off = 0
        self._known_put_off = 0
        self.stopped = None
        self.limited = False

    def next(self):
        """See `IPlan`."""
        job = self._again.popleft() if self._again and self.stopped is None else self._new()
        if job is not None:
            self._handed_out += 1
            self._under_way[job.name] = self._handed_out
            self._started(job)
        return job

    def _new(self):
        if self.stopped is not None or self.limited:
            return None
        job = self._take()
        if job is None:
            return None
        if not self._first and self._exceeds(job):
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
        if self._scattered and (self._losses or self._put_off):
            self._read.extend(self._jobs)
            return self._read.pop() if self._read else None
        return self._read.popleft() if self._read else next(self._jobs, None)

    def _exceeds(self, job):
        if self._files_left is not None and self._files_left < 1:
            return True
        return self._bytes_left is not None and self._bytes_left < job.size

    def waiting(self, most):
        """See `IPlan`."""
        if self.stopped is not None:
            return []
        while len(self._read) < most and (job := next(self._jobs, None)) is not None:
            self._read.append(job)
        new = most if self._files_left is None else max(0, self._files_left)
        found = [] if self.limited else itertools.islice(self._read, new)
        return list(itertools.islice(itertools.chain(self._again, found), most))

    def settle(self, outcome):
        """Take an outcome into account; return True if its job is to be tried again.

        Only a broken connection is worth another attempt at once, if nothing can come late: what
        the server said about a file, it would say again.
        """
        job, error = outcome.job, outcome.error
        number = self._under_way.pop(job.name, self._handed_out)
        if not isinstance(error, TemporaryError):
            self._put_off = 0
        elif number > self._known_put_off:
            self._put_off += 1
            self._known_put_off = self._handed_out if self._scattered else 0
        if error is None:
            self._losses = 0
            return False
        if _ends_all(error):
            self.stop(error)
            return False
        if isinstance(error, LOST):
            if number > self._known_loss:
                self._losses += 1
                self._known_loss = self._handed_out
            if self._losses >= LOSSES:
                self.stop(error)
                return False
            if job.attempt < ATTEMPTS and not (error.in_doubt or isinstance(error, NotBegun)):
                if self._scattered:
                    return True
                self._again.append(dataclasses.replace(job, attempt=job.attempt + 1))
                return True
        else:
            self._losses = 0
        if self._put_off >= LOSSES:
            why = error.code, str(error)
            self.stop(TemporaryError(*why, hint=error.hint, exit_code=UNAVAILABLE))
        elif self.strict:
            self.stop(error)
        return False

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

    def insert(self, job):
        """Let `job`, the newer version of a file that was just delivered, be the next one."""
        self._again.append(job)

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


def _ends_all(error):
    """Return whether every other file would end the same way."""
    return (
        error.while_connecting
        or error.exit_code == CONFIGURATION  # the spool's fault, or the remote directory is gone
        or isinstance(error, (ServerFull, DeadlinePassed))
    )
