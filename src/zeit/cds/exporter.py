"""One export: what waits in a spool goes to a target, under the lock `write`."""

import logging
import time

import zope.component
import zope.component.event  # connects zope.event with the registry's subscribers
import zope.interface

from zeit.cds import names
from zeit.cds.errors import (
    CONFIGURATION,
    DeadlinePassed,
    Error,
    FileError,
    Interrupted,
    NameRefused,
    ServerError,
    SizeMismatch,
    SourceChanged,
    SourceGone,
    SpoolError,
    TargetExists,
)
from zeit.cds.exchange import Exchange
from zeit.cds.interfaces import IExporter, ISpool, ITarget
from zeit.cds.ledger import Ledger, known, was_delivered
from zeit.cds.plan import Job, Options, Plan
from zeit.cds.progress import NoProgress, WatchedSource
from zeit.cds.report import FileExported
from zeit.cds.text import printable
from zeit.cds.uninterrupted import uninterrupted


__all__ = ['Exporter', 'Options']

log = logging.getLogger(__name__)

#: What may speak against the file.
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
        exchange = Exchange(
            self.spool,
            self.target,
            options or Options(),
            name=names.WRITE,
            renames=self.target.temporary,
            clock=self._clock,
            wait=self._wait,
        )
        return exchange.make(_Export(exchange))


class _Export:
    """What an export does with the files: the work of an `Exchange`."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.spool = exchange.spool
        self.target = exchange.target
        self.options = exchange.options
        self.record = exchange.record
        self.progress = exchange.options.progress or NoProgress()
        self.ledger = None
        self.entries = []
        self.plan = None
        #: Why nothing can be filed, and so nothing is sent.
        self.obstacle = None

    # What is to be done

    def prepare(self):
        """Return whether there is an entry to deliver; what is none is in the report already."""
        self.ledger = Ledger(self.spool.journal, url=self.target.url)
        entries, ignored = self.spool.pending(order=self.options.order)
        for name, reason in ignored:
            self.record.skipped(name, reason)
        self.entries = [entry for entry in entries if self._is_wanted(entry)]
        return bool(self.entries) and self._can_file()

    def _can_file(self):
        """Return whether what is delivered can be filed; if not, the server is tidied anyway."""
        if not self.options.dry_run:
            try:
                self.spool.require_filing()
            except SpoolError as error:
                self.obstacle = error
        return self.obstacle is None

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
            open=lambda: self._open(entry),
        )

    def _open(self, entry):
        source = self.spool.open(entry)
        self.ledger.numbered(entry.name, source.number)
        if self.options.progress is None:
            return source
        return WatchedSource(source, name=entry.name, progress=self.progress)

    # Doing it

    def nothing(self):
        """What is filed was delivered: all that can be missing is its receipt."""
        if self.obstacle is not None:
            raise self.obstacle
        self.ledger.settle(self.ledger.uncertain(), spool=self.spool)
        log.log(self.record.level, 'No new files to export.')

    def pretend(self, session):
        """Say what would be sent."""
        plan = self._plan(self.entries)
        while (job := plan.next()) is not None:
            log.info('Would upload: %s', printable(job.name))
            self.record.result(job.name, 'planned', size=job.size)
        if plan.limited:
            self.record.limited()

    def carry(self, session, lock, *, token):
        """Send, and file what was delivered."""
        self._deliver(session, self._settle_uncertain(session, self.entries), lock, token=token)

    def _settle_uncertain(self, session, entries):
        """Return the entries without those that an earlier run delivered, but did not file."""
        uncertain = self.ledger.uncertain()
        if not uncertain:
            return entries
        left = []
        for entry in entries:
            upload = uncertain.pop(entry.name, None)
            if upload is None:
                left.append(entry)
                continue
            again = self._once_more(session, entry, upload)
            if again is None:
                again = [entry]
                uncertain[entry.name] = upload  # which may be that of an older version, now filed
            left += again
        self.ledger.settle(uncertain, spool=self.spool)
        return left

    def _once_more(self, session, entry, upload):
        """File `entry` if it was delivered; return a list of what is left then, else None."""
        try:
            with self.spool.open(entry) as source:
                if was_delivered(upload, source, name=entry.name, session=session):
                    log.info('Delivered by an earlier run: %s', printable(entry.name))
                    receipt = {**known(upload), 'sequence': source.number}
                    newer = self._file(entry, source, **receipt)
                    return [newer] if newer else []
        except (FileError, ServerError) as error:
            log.debug('It is sent again: %s', printable(error.message))
        return None

    def _deliver(self, session, entries, lock, *, token):
        options = self.options
        self._expect(entries[: options.max_files])
        self.plan = self._plan(entries, started=self._started)
        outcomes = session.run(self.plan, token=token, ledger=self.ledger)
        try:
            for outcome in outcomes:
                self._settle(outcome)
                if self.exchange.is_late():
                    self.plan.stop(DeadlinePassed('The time of this run is used up'))
                if options.interrupted():
                    self.plan.stop(Interrupted('The run was asked to end; the next one goes on'))
                if self.plan.stopped is None and session.free:
                    lock.watch()
        finally:
            outcomes.close()
        if self.plan.limited:
            self.record.limited()
        if self.plan.stopped is not None:
            raise self.plan.stopped

    def _plan(self, entries, *, started=None):
        options = self.options
        return Plan(
            (self._job(entry) for entry in entries),
            strict=options.strict,
            max_files=options.max_files,
            max_bytes=options.max_bytes,
            started=started,
        )

    def _expect(self, entries):
        size = sum(entry.size for entry in entries)
        self.progress.expected(files=len(entries), size=min(size, self.options.max_bytes or size))

    def _started(self, job):
        again = f' (attempt {job.attempt})' if job.attempt > 1 else ''
        log.info('Uploading: %s%s', printable(job.name), again)
        self.record.started(job.name)
        if not job.size:
            log.warning('Empty, and sent all the same: %s', printable(job.name))

    def _settle(self, outcome):
        job, error = outcome.job, outcome.error
        again = self.plan.settle(outcome)
        if not again:
            self.progress.settled(job.name, size=job.size)
        if error is None:
            source = outcome.source
            newer = self._file(
                job.entry,
                source,
                size=source.size,
                sha256=source.sha256,
                reply=outcome.reply,
                sequence=source.number,
            )
            if newer is not None:
                self._expect([newer])
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
        """File what was delivered; return the entry of a newer version that came in, or None.

        Broken off in the middle it would be nowhere until the next run, which might send it again.
        """
        with uninterrupted():
            return self._file_at_once(entry, source, **receipt)

    def _file_at_once(self, entry, source, **receipt):
        name = printable(entry.name)
        try:
            filed, newer = self.spool.done(entry, source)
            self.ledger.delivered(entry.name, filed_as=filed, **receipt)
        except SourceChanged as error:
            # What the server has is no version of it, and this one is in new/ again.
            self.record.failed(entry.name, error, size=entry.size)
            return None
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
        parked = False
        try:
            reason = self._reason_to_park(entry, error)
            parked = bool(reason) and self._park(entry, reason)
        finally:
            if not parked:
                self.record.failed(entry.name, error, size=entry.size)

    def _reason_to_park(self, entry, error):
        """Count what speaks against the file; return why it is put away, '' if it is not yet."""
        if self.options.dry_run or not self.options.park_after or not self._is_against(error):
            return ''
        journal = self.spool.journal
        number = journal.failed(name=entry.name, version=entry.version, reason=error.message)
        if number < self.options.park_after:
            return ''
        return f'Refused in {number} runs, the last time: {error.message}'

    def _is_against(self, error):
        """Tell whether `error` speaks against the file, not against the server."""
        if isinstance(error, SizeMismatch) and not self.record.report.delivered:
            return False  # no other file came through: its disk may be full
        if isinstance(error, ServerError) and error.transient:
            return False  # 4xx: it may work later
        return isinstance(error, _AGAINST_THE_FILE) and error.exit_code != CONFIGURATION

    def _park(self, entry, reason):
        """Put the file away; return whether this version of it was still there."""
        if not self.spool.park(entry, reason):
            return False
        self.record.parked(entry.name, reason, size=entry.size)
        return True
