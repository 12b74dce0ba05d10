"""The work on the files of one import: which comes next, and what is said of each."""

import dataclasses
import logging

from zeit.cds.errors import (
    LOST,
    DeadlinePassed,
    Interrupted,
    LockVanished,
    SourceGone,
)
from zeit.cds.fetching import NoFile, StillGrowing
from zeit.cds.gathering import NotQuiet, Waits
from zeit.cds.progress import NoProgress
from zeit.cds.quiet import Fresh
from zeit.cds.text import plural, printable


log = logging.getLogger(__name__)

#: While a run waits, it looks every so many seconds whether it has to end.
STEP = 0.25


class Intake:
    """Fetches in `exchange` what is on the server.

    `failures` remembers what could not be fetched.  `imported(name, size=..., filed_as=...)` is
    called for each file that is in `new/`.
    """

    def __init__(self, exchange, *, failures, imported):
        self._exchange = exchange
        self._options = exchange.options
        self._record = exchange.record
        self._progress = exchange.options.progress or NoProgress()
        self._failures = failures
        self._imported = imported
        #: Jobs whose files are not known to be quiet.
        self._fresh = []
        #: What the server says is not there, and why.
        self._gone = []
        self._plan = None
        #: What is imported, and perhaps deleted on the server, as no answer came: jobs by name.
        self.lost = {}

    def __repr__(self):
        return f'<Intake of {self._exchange!r}>'

    def put_off(self, job, fresh):
        """Let a file that is perhaps being written come last; `fresh` is a `Fresh`."""
        self._fresh.append(dataclasses.replace(job, entry=fresh))

    def run(self, session, lock, *, plan, gathering):
        """Work on all jobs of `plan`; return whether there were files."""
        self._plan = plan
        worked = self._work(session, lock, gathering)
        if self._fresh and not self._plan.is_full() and self._goes_on():
            fresh, self._fresh = self._fresh, []
            if self._wait(max(job.entry.due for job in fresh), names=[job.name for job in fresh]):
                lock.watch()
                self._plan.add(self._failures.sorted(fresh))
                worked = self._work(session, lock, gathering) or worked
        return worked

    def run_again(self, session, lock, *, gathering, wanted):
        """Fetch again what is `lost`, as far as it is `wanted(name)`, to compare and delete it."""
        jobs = [dataclasses.replace(job, entry=None) for job in self.lost.values()]
        jobs = [job for job in jobs if wanted(job.name)]
        if jobs and self._goes_on(more=True):
            self._plan.add(jobs)
            self._work(session, lock, gathering)

    def finish(self):
        """Say how the work has ended; raise what ended it before its time."""
        self._plan.finish()
        if self._plan.limited or (self._fresh and self._plan.is_full()):
            self._record.limited()
        for job, error in self._plan.unfinished():
            self._failed(job, error)
        if self._plan.stopped is not None:
            self._failures.block(self._plan.blocking())
            self._give_up()
            raise self._plan.stopped
        self._settle_gone()

    def _settle_gone(self):
        for job, error in self._gone:
            self._record.gone(job.name, error)

    def _give_up(self):
        self._settle_gone()
        untried = self._plan.untried() + len(self._fresh)
        if untried and not isinstance(self._plan.stopped, DeadlinePassed):
            log.warning(
                'The run gives up, %s untried; the next one begins with others than those that '
                'failed.',
                plural(untried, 'file'),
            )

    def _work(self, session, lock, gathering):
        """Work on the jobs that there are; return whether there were files."""
        worked = False
        outcomes = session.gather(self._plan, gathering)
        try:
            for outcome in outcomes:
                worked = worked or not isinstance(outcome.error, (Waits, NoFile, NotQuiet))
                self._settle(outcome)
                if self._goes_on() and session.free and not self._exchange.is_late():
                    lock.watch()
        finally:
            outcomes.close()
        return worked

    def _goes_on(self, *, more=False):
        """Return whether the plan is not stopped; stop it if that is due.

        `more`: there is more to be done, whatever the plan knows.
        """
        if self._exchange.is_late() and (more or self._fresh or self._plan.waiting(1)):
            self._plan.stop(DeadlinePassed('The time of this run is used up'))
        if self._options.interrupted():
            self._plan.stop(Interrupted('The run was asked to end; the next one goes on'))
        return self._plan.stopped is None

    def _wait(self, due, *, names):
        """Wait until the moment `due`; return whether the run goes on."""
        clock, wait = self._exchange.clock, self._exchange.wait
        log.debug('Perhaps they are being written: %s', printable(', '.join(names)))
        while (goes_on := self._goes_on(more=True)) and (left := due - clock()) > 0:
            wait(min(left, STEP))
        return goes_on

    def _settle(self, outcome):
        job, error = outcome.job, outcome.error
        again = self._plan.settle(outcome)
        if isinstance(error, NotQuiet) and not isinstance(job.entry, Fresh):
            self._plan.uncount(job)
            self.put_off(job, error.fresh)
            return
        if not again:
            size = job.size if outcome.source is None else outcome.source.size
            self._plan.recount(job, size=size)
            self._progress.settled(job.name, size=size)
        if error is None:
            self._gathered(outcome)
        elif again:
            log.info('Not yet imported: %s: %s', printable(job.name), printable(error.message))
        elif isinstance(error, (Waits, NoFile, NotQuiet)):
            self._plan.uncount(job)
            self._left(job.name, error)
        elif isinstance(error, StillGrowing):
            self._record.left(job.name, error.message)
        elif isinstance(error, SourceGone):
            self._gone.append((job, error))
        else:
            self._failed(job, error)

    def _failed(self, job, error):
        self._record.failed(job.name, error, size=job.size)
        self._failures.add(job, error)

    def _left(self, name, error):
        if isinstance(error, NoFile):
            log.debug('%s: %s', error.message, printable(name))
        else:
            self._record.left(name, error.message)

    def _gathered(self, outcome):
        name, kept = outcome.job.name, outcome.kept
        self._failures.forget(name)
        if outcome.filed_as:
            self._imported(name, size=outcome.source.size, filed_as=outcome.filed_as)
        if isinstance(kept, (DeadlinePassed, LockVanished)):
            self._plan.stop(kept)
        if isinstance(kept, LOST):
            self.lost[name] = outcome.job
        elif kept is not None and not isinstance(kept, DeadlinePassed):
            self._record.kept(name, kept)
