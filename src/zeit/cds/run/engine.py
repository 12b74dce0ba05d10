"""The engine of a run: it works through a plan of jobs, whichever way the files go."""

import logging

from zeit.cds.errors import DeadlinePassed, Interrupted
from zeit.cds.run.failures import Failures
from zeit.cds.text import printable
from zeit.cds.values.plan import Plan
from zeit.cds.values.progress import NoProgress


log = logging.getLogger(__name__)


class Engine:
    """Works on the files of `run`, a `Run` that has begun.  A direction is a subclass, and says:

    outcomes(session, lock)     how the jobs of the plan are transferred: yields an `IOutcome` each
    later(session, lock)        which jobs come when all others are done: yields lists of them
    complete(jobs)              when their turn comes near: these jobs with all that belongs to
                                them, without what is none after all
    foresee(session, job)       in a dry run: the size of a file, None if it would be left alone
    started(job)                work on a job begins
    succeeded(outcome)          a file is where it was to go
    not_done(job, error)        a file is not, and has no other attempt in this run
    between(session)            no file is on its way over the connection of the session
    proven(job, error)          that was the file's fault: others came through after it
    ended()                     the work has come to its end, be it an early one

    It has the four methods for the frame as well: `prepare`, `dry_run`, `idle` and `transfer`.
    `verb` says what they do to a file; `rules` are those of the `Plan`.
    """

    verb = ''

    #: See the class; None where all jobs are complete from the beginning.
    complete = None

    def __init__(self, run, **rules):
        self.run = run
        self.spool = run.spool
        self.target = run.target
        self.options = run.options
        self.record = run.record
        self.progress = run.options.progress or NoProgress()
        self.failures = Failures(self.spool.journal, url=self.target.url)
        self.plan = None
        self._rules = rules

    def __repr__(self):
        return f'<{type(self).__name__} of {self.run!r}>'

    def later(self, session, lock):
        """No more jobs; see the class."""
        return ()

    def proven(self, job, error):
        """Nothing follows from that; see the class."""

    def between(self, session):
        """Nothing has to be looked at; see the class."""

    def ended(self):
        """Nothing is left to be said; see the class."""

    def _new_plan(self, jobs, *, started=None):
        """Return the `Plan` of `jobs`, in which what has failed before comes last."""
        return Plan(
            jobs if self._rules.get('strict') else self.failures.sorted(jobs),
            max_files=self.options.max_files,
            max_bytes=self.options.max_bytes,
            started=started,
            complete=self.complete,
            **self._rules,
        )

    def expect(self, sizes):
        """Tell who watches what is to come: `sizes` in bytes, None for what is not known."""
        sizes = sizes[: self.options.max_files]
        total = None
        if None not in sizes:
            total = min(sum(sizes), self.options.max_bytes or sum(sizes))
        self.progress.expected(files=len(sizes), size=total)

    def rehearse(self, session, jobs):
        """Say of each of the `jobs` that the bounds allow what would be done."""
        plan = self._new_plan(jobs)
        while (job := plan.next()) is not None:
            size = self.foresee(session, job)
            if size is None:
                plan.uncount(job)
                continue
            plan.recount(job, size=size)
            log.info('Would %s: %s', self.verb, printable(job.name))
            self.record.result(job.name, 'planned', size=size)
        if plan.limited:
            self.record.limited()

    def work(self, session, lock, jobs):
        """Work on all `jobs`; raise what has ended that before its time.

        Whatever happens, what has failed is said, and written down for the next run.
        """
        self.plan = self._new_plan(jobs, started=self.started)
        try:
            self._work_through(session, lock)
            for more in self.later(session, lock):
                self.plan.add(more)
                self._work_through(session, lock)
        finally:
            self.settle_failures()
        self.plan.finish()
        if self.plan.limited:
            self.record.limited()
        self.ended()
        if self.plan.stopped is not None:
            raise self.plan.stopped

    def _work_through(self, session, lock):
        outcomes = self.outcomes(session, lock)
        try:
            for outcome in outcomes:
                self.settle(outcome)
                if self.goes_on() and session.free and not self.run.is_late():
                    lock.watch()
                    self.between(session)
        finally:
            outcomes.close()

    def goes_on(self, *, more=False):
        """Return whether the plan is not stopped; stop it if that is due.

        `more`: there is more to be done, whatever the plan knows.
        """
        if self.run.is_late() and (more or self.plan.waiting(1)):
            self.plan.stop(DeadlinePassed('The time of this run is used up'))
        if self.options.interrupted():
            self.plan.stop(Interrupted('The run was asked to end; the next one continues'))
        return self.plan.stopped is None

    def settle(self, outcome):
        """Do what follows from an outcome."""
        job, error = outcome.job, outcome.error
        is_retried = self.plan.settle(outcome)
        if not is_retried:
            size = job.size if outcome.source is None else outcome.source.size
            self.plan.recount(job, size=size)
            self.progress.settled(job.name, size=size)
        if error is None:
            self.succeeded(outcome)
            self._blame()
        elif is_retried:
            done, name = self.record.done, printable(job.name)
            log.info('Not yet %s: %s: %s', done, name, printable(error.message))
        else:
            self.not_done(job, error)

    def failed(self, job, error):
        """Say that a file has failed, and remember it for the next run."""
        self.record.failed(job.name, error, size=job.size)
        self.failures.add(job, error)

    def settle_failures(self):
        """Do at the end of the work what follows from what has failed."""
        for job, error in self.plan.unfinished():
            self.failed(job, error)
        self._blame()
        self.failures.block(self.plan.blocking())

    def _blame(self):
        for job, error in self.plan.proven():
            self.proven(job, error)
