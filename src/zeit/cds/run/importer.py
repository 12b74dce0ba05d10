"""One import: what a partner has left on a target goes into a spool, under the lock `read`."""

import functools
import logging
import time

import zope.component
import zope.component.event  # connects zope.event with the registry's subscribers
import zope.interface

from zeit.cds import names
from zeit.cds.errors import (
    LOST,
    DeadlinePassed,
    FileError,
    LockVanished,
    NameRefused,
    ServerError,
    SourceGone,
)
from zeit.cds.interfaces import IImporter, ISpool, ITarget
from zeit.cds.lock.holder import has_vanished, require_sight
from zeit.cds.run.arrivals import Arrivals
from zeit.cds.run.engine import Engine
from zeit.cds.run.import_selection import Selection
from zeit.cds.run.run import Run
from zeit.cds.run.verify_deleted import DeletedFiles
from zeit.cds.target.being_written import Fresh, ServerTime, listed_time
from zeit.cds.target.download import Downloads, NotSettled, Waits, download_files
from zeit.cds.target.fetcher import Fetcher, NoFile, StillGrowing
from zeit.cds.text import plural, printable
from zeit.cds.values.plan import Job
from zeit.cds.values.progress import WatchedIncoming
from zeit.cds.values.report import FileImported
from zeit.cds.values.run_options import ImportOptions


__all__ = ['ImportOptions', 'Importer']

log = logging.getLogger(__name__)

#: The most files that are asked about before the first is fetched, where listings tell names only.
LOOKS = 10_000

#: Seconds between two looks whether the run has to end, while it waits.
STEP = 0.25

#: The most refused names of a directory that are in a report one by one.
REFUSED = 1000


@zope.interface.implementer(IImporter)
@zope.component.adapter(ISpool, ITarget)
class Importer:
    """See `IImporter`.

    `clock` tells monotonic seconds, `wait` waits for some; `now` tells seconds since the epoch.
    """

    def __init__(self, spool, target, *, clock=time.monotonic, wait=time.sleep, now=time.time):
        self.spool = spool
        self.target = target
        self._clock = clock
        self._wait = wait
        self._now = now

    def __repr__(self):
        return f'<Importer from {self.target!r} to {self.spool!r}>'

    def run_once(self, options=None):
        """See `IImporter`."""
        run = Run(
            self.spool,
            self.target,
            options or ImportOptions(),
            name=names.READ,
            clock=self._clock,
            wait=self._wait,
            done='imported',
            begun='taken',
        )
        return run.execute(functools.partial(_Import, now=self._now))


class _Import(Engine):
    """What is special about the files of an import."""

    verb = 'download'

    def __init__(self, run, *, now):
        super().__init__(run, probe_after=1)
        self.now = now
        self.arrivals = Arrivals(self.spool, url=self.target.url)
        self.selection = Selection(
            self.options,
            spool=self.spool,
            target=self.target,
            arrivals=self.arrivals,
            age=self._age,
            require_time=run.require_time,
        )
        #: What all connections have in common, the server's time included; known under the lock.
        self.downloads = None
        self.cleanup = None
        #: How many files were begun, and whether any of them was not left on the server.
        self.number = 0
        self.found_any = False
        #: (job, error) of what is not there any more, as the server says.
        self.gone = []
        #: Jobs of what is imported, and perhaps deleted on the server, as no answer came.
        self.unanswered = {}

    # What is to be done

    def prepare(self):
        """Bring what a killed run has fetched to its end; what there is, the server knows."""
        if not self.options.dry_run:
            for entry in self.arrivals.recover():
                log.info('Fetched by an earlier run: %s', printable(entry['name']))
                known = {key: entry[key] for key in ('size', 'filed_as')}
                self._imported(entry['name'], **known)
        return True

    def idle(self):
        """Say that there is nothing."""
        log.info('No new files to import.')

    def _age(self, look):
        age = self.downloads.time.age(look) if self.downloads else None
        return look.age(self.now()) if age is None else age

    def _jobs(self, judged):
        """Yield a job for each file that is taken, as the work proceeds; say why others are not."""
        time = self.downloads.time if self.downloads else None
        refused = 0
        for name, look, why in judged:
            if isinstance(why, NameRefused):
                refused += 1
                if refused <= REFUSED:
                    self.record.failed(name, why, size=0)
            elif why:
                self.record.left(name, why)
            else:
                size = look.size if look else 0
                # Whoever puts the same file again has not changed what the server makes of it.
                version = [look.size] if look else None
                opened = functools.partial(self._receive, name)
                job = Job(name=name, size=size, open=opened, entry=look, version=version)
                if look and time and not time.is_settled(look):
                    self.plan.defer(job._replace(entry=time.fresh(look)))
                else:
                    yield job
        if refused > REFUSED:
            log.error('And %s refused.', plural(refused - REFUSED, 'more name'))

    def _receive(self, name):
        self.number += 1
        temporary = names.temporary(name, token=self.run.token, number=self.number)
        incoming = self.spool.receive(name, temporary=temporary)
        rate = self.run.rate(name, size=None)
        return WatchedIncoming(incoming, name=name, progress=self.progress, rate=rate)

    def _listed(self, session):
        most = self.options.max_files or LOOKS
        return session.files(wanted=self.selection.is_wanted, most=most)

    # A dry run

    def dry_run(self, session):
        """Say what would be fetched."""
        found = self._listed(session)
        if not found:
            # A dry run makes no lock, which a listing would have to show.
            log.warning(
                'The listing is empty: there is nothing, or the account may not read the directory.'
                ' A dry run cannot tell; a real one can.'
            )
        self.rehearse(session, self._jobs(self.selection.judged(found)))

    def foresee(self, session, job):
        fetcher = Fetcher(session, size_check=self.target.size_check)
        try:
            if session.sizes_directories():
                fetcher.require_file(job.name)
            look = job.entry or fetcher.look(job.name)
        except NoFile:
            return None
        except (FileError, ServerError) as error:
            self.record.failed(job.name, error, size=0)
            return None
        if not look.exists:
            return None
        if reason := self.selection.reason_to_wait(job.name, look):
            self.record.left(job.name, reason)
            return None
        return look.size or 0

    # On the server

    def transfer(self, session, lock):
        """Fetch, hand over, and delete on the server what was handed over."""
        fetcher = Fetcher(session, size_check=self.target.size_check)
        known = {'arrivals': self.arrivals, 'record': self.record}
        self.cleanup = DeletedFiles(session, fetcher=fetcher, **known)
        self.cleanup.finish(self.arrivals.pending())
        found = self._look(session, lock, fetcher)
        self.failures.forget_all_but(found.keys())
        # What is there already, and only has to be deleted, comes behind what is not.
        turn = {name: number for number, name in enumerate(self.arrivals.pending())}
        judged = sorted(self.selection.judged(found), key=lambda each: turn.get(each[0], -1))
        looks = [look for _, look, why in judged if not why]
        self.expect([look.size if look else None for look in looks])
        try:
            self.work(session, lock, self._jobs(judged))
        finally:
            self.record.unsettled = frozenset(self.arrivals.moved)
        self.cleanup.verify()
        if not self.found_any:
            self.idle()

    def _look(self, session, lock, fetcher):
        """Return the facts of what is on the server, by name; find out what time it is there.

        Servers answer in the same way whether a directory is empty or may not be read.  This one is
        not empty: our lock is in it.  Raises `ConfigurationError` where not even that is listed.
        """
        begun, since = self.run.clock(), fetcher.modified(names.READ)
        found = self._listed(session)
        if not found:
            if has_vanished(session, names.READ):
                raise LockVanished(names.READ)
            require_sight(session, found)
        listed = listed_time(found, names.READ)
        tells_no_times = not (since or listed) and any(map(self.selection.is_wanted, found))
        time = ServerTime(
            told=since,
            listed=listed,
            resting=session.resting(names.READ) if tells_no_times else (),
            begun=begun,
            clock=self.run.clock,
        )
        self.downloads = Downloads(
            arrivals=self.arrivals,
            wait=self.selection.reason_to_wait,
            since=since,
            time=time,
            size_check=self.target.size_check,
            unique=self.options.occupied == 'unique',
            lock=lock,
        )
        return found

    # For the engine

    def outcomes(self, session, lock):
        return download_files(session, self.plan, self.downloads)

    def later(self, session, lock):
        """See `Engine`: what was perhaps being written; then what may be deleted already."""
        deferred = self.plan.deferred
        if deferred and not self.plan.is_full() and self.goes_on() and self._waits(deferred):
            lock.watch()
            self.plan.deferred = []
            yield self.failures.sorted(deferred)
        # After an error, or a signal, the next run does it.
        self.cleanup.finish(sorted(self.unanswered))
        jobs = [job._replace(entry=None) for job in self.unanswered.values()]
        jobs = [job for job in jobs if self.arrivals.is_pending(job.name)]
        if jobs and self.goes_on(more=True):
            yield jobs

    def _waits(self, jobs):
        """Wait until the `jobs`, which are deferred, are due; return whether the run goes on."""
        due, waiting = max(job.entry.due for job in jobs), ', '.join(job.name for job in jobs)
        log.debug('Perhaps they are being written: %s', printable(waiting))
        while (goes_on := self.goes_on()) and (remaining := due - self.run.clock()) > 0:
            self.run.wait(min(remaining, STEP))
        return goes_on

    def goes_on(self, *, more=False):
        """See `Engine`; what is deferred is to be done by this run."""
        return super().goes_on(more=more or self.plan.deferred)

    def started(self, job):
        self.record.started(job.name)

    def settle(self, outcome):
        """See `Engine`; what is perhaps being written is put off."""
        job, error = outcome.job, outcome.error
        self.found_any = self.found_any or not isinstance(error, (Waits, NoFile, NotSettled))
        if isinstance(error, NotSettled) and not isinstance(job.entry, Fresh):
            self.plan.defer(job._replace(entry=error.fresh))
        else:
            super().settle(outcome)

    def succeeded(self, outcome):
        name, kept = outcome.job.name, outcome.kept
        self.failures.forget(name)
        if outcome.filed_as:
            self._imported(name, size=outcome.source.size, filed_as=outcome.filed_as)
        if isinstance(kept, (DeadlinePassed, LockVanished)):
            self.plan.stop(kept)
        if isinstance(kept, LOST):
            self.unanswered[name] = outcome.job
        elif kept is not None and not isinstance(kept, DeadlinePassed):
            self.record.kept(name, kept)

    def _imported(self, name, *, size, filed_as):
        result = self.record.result(name, 'delivered', size=size, filed_as=filed_as)
        self.record.notify(FileImported(spool=self.spool, target=self.target, result=result))

    def not_done(self, job, error):
        if isinstance(error, NoFile):
            self.plan.uncount(job)
            log.debug('%s: %s', error.message, printable(job.name))
        elif isinstance(error, (Waits, NotSettled)):
            self.plan.uncount(job)
            self.record.left(job.name, error.message)
        elif isinstance(error, StillGrowing):
            self.record.left(job.name, error.message)
        elif isinstance(error, SourceGone):
            self.gone.append((job, error))
        else:
            self.failed(job, error)

    def ended(self):
        for job, error in self.gone:
            self.record.gone(job.name, error)
        stopped = self.plan.stopped
        if stopped is None or isinstance(stopped, DeadlinePassed):
            return
        if untried := self.plan.untried():
            log.warning(
                'The run gives up with %s untried; the next one starts with those that have not '
                'failed.',
                plural(untried, 'file'),
            )
