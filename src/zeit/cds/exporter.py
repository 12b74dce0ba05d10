"""One export: what waits in a spool goes to a target, under the lock `write`."""

import dataclasses
import logging

import zope.component
import zope.event
import zope.interface

from zeit.cds import names
from zeit.cds.errors import Error, Locked, SourceGone, SpoolBusy, SpoolError, TargetExists
from zeit.cds.interfaces import IExporter, ISpool, ITarget
from zeit.cds.lock import Lock
from zeit.cds.plan import Job, Plan
from zeit.cds.report import ExchangeFinished, FileExported, Report, Result
from zeit.cds.text import plural, printable


log = logging.getLogger(__name__)

#: Errors that have nothing to do with the server.
_LOCAL = (SpoolError, SpoolBusy)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a run works.

    `order`: 'arrival' or 'name'.  `strict`: stop at the first file that is not delivered.
    `max_files`, `max_bytes`: bounds of one run, None for none.  `empty`: what becomes of files
    without content: 'send', 'park' or 'skip'.  `dry_run`: look at everything, change nothing.
    """

    order: str = 'arrival'
    strict: bool = False
    max_files: int | None = None
    max_bytes: int | None = None
    empty: str = 'send'
    dry_run: bool = False


@zope.interface.implementer(IExporter)
@zope.component.adapter(ISpool, ITarget)
class Exporter:
    """See `IExporter`."""

    def __init__(self, spool, target):
        self.spool = spool
        self.target = target

    def __repr__(self):
        return f'<Exporter from {self.spool!r} to {self.target!r}>'

    def run_once(self, options=None):
        """See `IExporter`."""
        run = _Run(self.spool, self.target, options or Options())
        run.make()
        return run.report


class _Run:
    """One run: its report, and the steps that fill it."""

    def __init__(self, spool, target, options):
        self.spool = spool
        self.target = target
        self.options = options
        self.report = Report()
        self.plan = None

    def make(self):
        try:
            with self.spool.run():
                log.info('Accessed filestore %s', printable(str(self.spool.path)))
                jobs = self._jobs()
                if jobs:
                    self._connect(jobs)
                else:
                    log.info('No new files to export.')
        except Error as error:
            self._give_up(error)
        self._say_goodbye()
        _notify(ExchangeFinished(spool=self.spool, target=self.target, report=self.report))

    # What is to be done

    def _jobs(self):
        """Return the jobs of this run; what cannot be one is in the report already."""
        entries, ignored = self.spool.pending(order=self.options.order)
        for name, reason in ignored:
            log.warning('Not sent: %s %s', printable(name), reason)
            self._result(name, 'skipped', reason=reason)
        return [self._job(entry) for entry in entries if self._is_wanted(entry)]

    def _is_wanted(self, entry):
        try:
            self.target.check(entry.name)
        except Error as error:
            self._failed(entry.name, error, size=entry.size)
            return False
        if entry.size or self.options.empty == 'send':
            return True
        if self.options.empty == 'park' and not self.options.dry_run:
            self._park(entry, 'The file is empty.')
        else:
            log.warning('Not sent: %s is empty', printable(entry.name))
            self._result(entry.name, 'skipped', reason='it is empty')
        return False

    def _job(self, entry):
        return Job(
            name=entry.name,
            size=entry.size,
            entry=entry,
            open=lambda: self.spool.open(entry),
        )

    # On the server

    def _connect(self, jobs):
        log.info('Connecting to CDS FTP server (%s)', self.target.title)
        session = self.target.open()
        try:
            lock = Lock(session, token=names.new_token())
            lock.look()
            if self.options.dry_run:
                self._pretend(jobs)
            else:
                self._under_lock(lock, session, jobs)
        finally:
            session.close()
        log.info('Disconnected from CDS FTP server')

    def _pretend(self, jobs):
        for job in jobs[: self.options.max_files]:
            log.info('Would upload: %s', printable(job.name))
            self._result(job.name, 'planned', size=job.size)

    def _under_lock(self, lock, session, jobs):
        try:
            log.info('Creating lock file: %s', names.WRITE)
            lock.create()
            log.info('Lock file successfully created: %s', names.WRITE)
            self._deliver(session, jobs)
        except Error as error:
            # Noted before the lock is removed: that may fail for the same reason.
            self._give_up(error)
        finally:
            self._release(lock)

    def _release(self, lock):
        if lock.touched:
            log.info('Removing lock file: %s', names.WRITE)
            if lock.release():
                log.info('Lock file successfully removed: %s', names.WRITE)

    def _deliver(self, session, jobs):
        options = self.options
        self.plan = Plan(
            jobs,
            strict=options.strict,
            max_files=options.max_files,
            max_bytes=options.max_bytes,
            started=self._started,
        )
        outcomes = session.run(self.plan)
        try:
            for outcome in outcomes:
                self._settle(outcome)
        finally:
            outcomes.close()
        if self.plan.limited:
            log.info('The limit of this run is reached; the next one goes on.')
        if self.plan.stopped is not None:
            raise self.plan.stopped

    def _started(self, job):
        again = f' (attempt {job.attempt})' if job.attempt > 1 else ''
        log.info('Uploading: %s%s', printable(job.name), again)
        if not job.size:
            log.warning('It is empty: %s', printable(job.name))

    def _settle(self, outcome):
        job, error = outcome.job, outcome.error
        again = self.plan.settle(outcome)
        if error is None:
            self._file(job, outcome.source)
        elif again:
            log.info('Not yet delivered: %s: %s', printable(job.name), printable(error.message))
        elif isinstance(error, SourceGone):
            log.info('It has disappeared from the spool: %s', printable(job.name))
            self._result(job.name, 'gone', reason=error.message)
        elif isinstance(error, TargetExists):
            self._park(job.entry, error.message)
        else:
            self._failed(job.name, error, size=job.size)

    def _file(self, job, source):
        try:
            filed, newer = self.spool.done(job.entry, source)
        except Error as error:
            # It is on the server, but still in the spool: the next run sends it again.
            self._failed(job.name, error, size=job.size)
            self.plan.stop(error)
            return
        name = printable(job.name)
        if filed == job.name:
            log.info("Moved from 'new' to 'cur': %s", name)
        else:
            log.info("Moved from 'new' to 'cur': %s (as %s)", name, printable(filed))
        result = self._result(job.name, 'delivered', size=source.size, filed_as=filed)
        _notify(FileExported(spool=self.spool, target=self.target, result=result))
        if newer is not None:
            log.info('A newer version came in meanwhile: %s', name)
            self.plan.insert(self._job(newer))

    # What is said about it

    def _result(self, name, status, **details):
        result = Result(name=name, status=status, **details)
        self.report.results.append(result)
        return result

    def _failed(self, name, error, *, size):
        reason = printable(error.advice, limit=500)
        log.error('Not delivered: %s: %s', printable(name), reason)
        log.debug('The reason', exc_info=error)
        self._result(name, 'failed', size=size, reason=reason)

    def _park(self, entry, reason):
        self.spool.park(entry, reason)
        log.error('Parked: %s: %s', printable(entry.name), printable(reason))
        self._result(entry.name, 'parked', size=entry.size, reason=printable(reason))

    def _give_up(self, error):
        self.report.errors.append(error)
        if isinstance(error, Locked):
            log.warning("Cannot access CDS FTP server as '%s' lockfile exists.", error.name)
            log.debug('%s', error.holder)
        elif isinstance(error, SpoolBusy):
            log.warning('%s', error.message)
        elif error.while_connecting:
            log.error('Could not connect to CDS FTP server.')
        elif not isinstance(error, _LOCAL):
            log.error('Error accessing FTP server.')

    def _say_goodbye(self):
        report = self.report
        if isinstance(report.error, (Locked, SpoolBusy)):
            log.warning('Exiting.')
        elif report.error is not None:
            log.error('Exiting with exception:', exc_info=report.error)
        elif report.failed:
            done, failed = len(report.delivered), plural(len(report.failed), 'file')
            log.error('Exiting with errors: %s not delivered, %s delivered.', failed, done)
        else:
            log.info('Exiting with success.')


def _notify(event):
    """Tell the subscribers; what they do with it is not allowed to change what has happened."""
    try:
        zope.event.notify(event)
    except Exception:  # noqa: BLE001 a subscriber may raise anything
        log.exception('A subscriber of %s failed.', type(event).__name__)
