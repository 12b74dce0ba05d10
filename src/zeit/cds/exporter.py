"""One export: what waits in a spool goes to a target, under the lock `write`."""

import logging
import time

import zope.component
import zope.component.event  # connects zope.event with the registry's subscribers
import zope.interface

from zeit.cds import names
from zeit.cds.errors import (
    DeadlinePassed,
    Error,
    FileError,
    NameRefused,
    ServerError,
    ServerFull,
    SizeMismatch,
    SourceGone,
    TargetExists,
)
from zeit.cds.interfaces import IExporter, ISpool, ITarget
from zeit.cds.ledger import Ledger, known, was_delivered
from zeit.cds.leftovers import Leftovers
from zeit.cds.lock import Lock
from zeit.cds.plan import Job, Options, Plan
from zeit.cds.record import Record
from zeit.cds.report import FileExported
from zeit.cds.text import printable


__all__ = ['Exporter', 'Options']

log = logging.getLogger(__name__)

#: For cleaning up there are so many seconds, however many the run has left.
CLEAN_UP = 60

#: What speaks against the file.
_AGAINST_THE_FILE = (ServerError, NameRefused, SizeMismatch)


@zope.interface.implementer(IExporter)
@zope.component.adapter(ISpool, ITarget)
class Exporter:
    """See `IExporter`.

    `clock` tells monotonic seconds, `wait` waits for some; both are for tests.
    """

    def __init__(self, spool, target, *, clock=time.monotonic, wait=time.sleep):
        self.spool = spool
        self.target = target
        self._clock = clock
        self._wait = wait

    def __repr__(self):
        return f'<Exporter from {self.spool!r} to {self.target!r}>'

    def run_once(self, options=None):
        """See `IExporter`."""
        options = options or Options()
        run = _Run(self.spool, self.target, options, clock=self._clock, wait=self._wait)
        run.make()
        return run.record.report


class _Run:
    """One run: the steps, in the order in which they happen."""

    def __init__(self, spool, target, options, *, clock, wait):
        self.spool = spool
        self.target = target
        self.options = options
        self.clock = clock
        self.wait = wait
        self.end = clock() + options.deadline if options.deadline else None
        self.record = Record(spool, target)
        self.plan = None
        self.ledger = None

    def make(self):
        try:
            with self.spool.run():
                log.info('Accessed filestore %s', printable(str(self.spool.path)))
                self.ledger = Ledger(self.spool.journal, url=self.target.url)
                entries = self._wanted()
                if entries or self.spool.journal.open_tokens(self.target.url):
                    self._connect(entries)
                else:
                    log.info('No new files to export.')
        except Error as error:
            self.record.given_up(error)
        self.record.finish()

    # What is to be done

    def _wanted(self):
        """Return the entries to deliver; what is not one of them is in the report already."""
        entries, ignored = self.spool.pending(order=self.options.order)
        for name, reason in ignored:
            self.record.skipped(name, reason)
        return [entry for entry in entries if self._is_wanted(entry)]

    def _is_wanted(self, entry):
        try:
            self.target.check(entry.name)
        except Error as error:
            self._failed(entry, error)
            return False
        if entry.size or self.options.empty == 'send':
            return True
        if self.options.empty == 'park' and not self.options.dry_run:
            self._park(entry, 'The file is empty.')
        else:
            self.record.skipped(entry.name, 'is empty')
        return False

    def _job(self, entry):
        return Job(
            name=entry.name,
            size=entry.size,
            entry=entry,
            open=lambda: self.spool.open(entry),
        )

    # On the server

    def _connect(self, entries):
        log.info('Connecting to CDS FTP server (%s)', self.target.title)
        session = self.target.open()
        try:
            if self.end is not None:
                session.bound(self.end - self.clock())
            if self.options.dry_run:
                self._pretend(session, entries)
            else:
                self._export(session, entries)
        except Error:
            raise
        except BaseException:
            session.hurry()
            raise
        finally:
            session.close()
        log.info('Disconnected from CDS FTP server')

    def _pretend(self, session, entries):
        self._lock(session, token='').look()
        for entry in entries[: self.options.max_files]:
            log.info('Would upload: %s', printable(entry.name))
            self.record.result(entry.name, 'planned', size=entry.size)

    def _lock(self, session, *, token):
        return Lock(session, token=token, wait=self.wait, clock=self.clock)

    def _export(self, session, entries):
        journal, url = self.spool.journal, self.target.url
        leftovers = Leftovers(
            session, journal=journal, target=url, wait=self.wait, clock=self.clock
        )
        present = leftovers.remove(waiting={entry.name for entry in entries})
        if not entries:
            # What is filed was delivered: all that is missing is its receipt.
            self.ledger.settle(self.ledger.uncertain(), spool=self.spool)
            log.info('No new files to export.')
            return
        self._lock(session, token='').look(present=present)
        token = journal.new_token(url)
        self._under_lock(self._lock(session, token=token), session, entries, token=token)
        if not session.litter:
            journal.clean(token)

    def _under_lock(self, lock, session, entries, *, token):
        try:
            log.info('Creating lock file: %s', names.WRITE)
            lock.create()
            log.info('Lock file successfully created: %s', names.WRITE)
            self._deliver(session, self._settle_uncertain(session, entries), lock, token=token)
        except Error as error:
            # Noted before the lock is removed: that may fail for the same reason.
            self.record.given_up(error)
        except BaseException:
            session.hurry()
            raise
        finally:
            session.bound(CLEAN_UP)
            self._release(lock)

    def _release(self, lock):
        if lock.touched:
            log.info('Removing lock file: %s', names.WRITE)
            if lock.release():
                log.info('Lock file successfully removed: %s', names.WRITE)

    def _settle_uncertain(self, session, entries):
        """Return the entries without those that an earlier run delivered, but did not file."""
        uncertain = self.ledger.uncertain()
        if not uncertain:
            return entries
        left = []
        for entry in entries:
            upload = uncertain.pop(entry.name, None)
            left += [entry] if upload is None else self._once_more(session, entry, upload)
        self.ledger.settle(uncertain, spool=self.spool)
        return left

    def _once_more(self, session, entry, upload):
        """Return what is still to be done about `entry`, which may have been delivered."""
        try:
            with self.spool.open(entry) as source:
                if was_delivered(upload, source, name=entry.name, session=session):
                    log.info('Delivered by an earlier run: %s', printable(entry.name))
                    newer = self._file(entry, source, **known(upload))
                    return [newer] if newer else []
        except (FileError, ServerError) as error:
            log.debug('It is sent again: %s', printable(error.message))
        return [entry]

    def _deliver(self, session, entries, lock, *, token):
        options = self.options
        self.plan = Plan(
            (self._job(entry) for entry in entries),
            strict=options.strict,
            max_files=options.max_files,
            max_bytes=options.max_bytes,
            started=self._started,
        )
        outcomes = session.run(self.plan, token=token, ledger=self.ledger)
        try:
            for outcome in outcomes:
                self._settle(outcome)
                if self.end is not None and self.clock() >= self.end:
                    self.plan.stop(DeadlinePassed('The time of this run is used up'))
                if self.plan.stopped is None:
                    lock.watch()
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
            source = outcome.source
            newer = self._file(
                job.entry, source, size=source.size, sha256=source.sha256, reply=outcome.reply
            )
            if newer is not None:
                self.plan.insert(self._job(newer))
        elif again:
            log.info('Not yet delivered: %s: %s', printable(job.name), printable(error.message))
        elif isinstance(error, SourceGone):
            self.record.gone(job.name, error)
        elif isinstance(error, TargetExists):
            self._park(job.entry, error.message)
        else:
            self._failed(job.entry, error)

    def _file(self, entry, source, **receipt):
        """File what was delivered; return the entry of a newer version that came in, or None."""
        name = printable(entry.name)
        try:
            filed, newer = self.spool.done(entry, source)
            self.ledger.delivered(entry.name, filed_as=filed, **receipt)
        except Error as error:
            # It is on the server; the next run finds that out, or sends it again.
            self.record.failed(entry.name, error, size=entry.size)
            raise
        as_what = '' if filed == entry.name else f' (as {printable(filed)})'
        log.info("Moved from 'new' to 'cur': %s%s", name, as_what)
        result = self.record.result(entry.name, 'delivered', size=source.size, filed_as=filed)
        self.record.notify(FileExported(spool=self.spool, target=self.target, result=result))
        if newer is not None:
            log.info('A newer version came in meanwhile: %s', name)
        return newer

    def _failed(self, entry, error):
        self.record.failed(entry.name, error, size=entry.size)
        against = isinstance(error, _AGAINST_THE_FILE) and not isinstance(error, ServerFull)
        if not against or self.options.dry_run or not self.options.park_after:
            return
        journal = self.spool.journal
        number = journal.failed(name=entry.name, version=entry.version, reason=error.message)
        if number >= self.options.park_after:
            self._park(entry, f'Refused in {number} runs, the last time: {error.message}')

    def _park(self, entry, reason):
        if self.spool.park(entry, reason):
            self.record.parked(entry.name, reason, size=entry.size)
