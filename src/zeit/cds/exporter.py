"""One export: what waits in a spool goes to a target, under the lock `write`."""

import collections
import contextlib
import logging
import time

import zope.component
import zope.component.event  # connects zope.event with the registry's subscribers
import zope.interface

from zeit.cds import kinds, names, scope
from zeit.cds.errors import (
    CONFIGURATION,
    LOST,
    DeadlinePassed,
    Error,
    FileError,
    Interrupted,
    NotMoved,
    ServerError,
    SizeMismatch,
    SourceChanged,
    SourceGone,
    SpoolError,
    TakenAway,
    TargetExists,
)
from zeit.cds.exchange import Exchange
from zeit.cds.failures import Failures
from zeit.cds.group import Group
from zeit.cds.interfaces import IExporter, ISpool, IStillWanted, ITarget
from zeit.cds.ledger import was_delivered
from zeit.cds.plan import Job, Options, Plan
from zeit.cds.progress import NoProgress, WatchedSource
from zeit.cds.report import FileExported
from zeit.cds.text import plural, printable
from zeit.cds.uninterrupted import uninterrupted


__all__ = ['Exporter', 'Options']

log = logging.getLogger(__name__)

#: What may be the fault of the file, if the server takes another one.
_REFUSALS = (ServerError, SizeMismatch, *LOST)

#: What is filed does not wait for a file of more bytes.
LARGE = 1024 * 1024

#: A file that is replaced faster than it is sent goes out so often in one run.
VERSIONS = 2


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
        self.failures = None
        self.entries = []
        self.plan = None
        #: How many versions of each file went out, and whether another one waits.
        self.sent = collections.Counter()
        self.more = False
        #: Files whose failure may be the last one before they are parked: (entry, error) by name.
        self.undecided = {}
        #: Receipts of what was filed.
        self.filed = Group(self._confirm, clock=exchange.clock)
        #: Why nothing can be filed, and so nothing is sent.
        self.obstacle = None

    # What is to be done

    def prepare(self):
        """Return whether there is an entry to deliver; what is none is in the report already."""
        self.ledger = self.spool.journal.at(self.target.url)
        self.failures = Failures(self.spool.journal, url=self.target.url)
        entries, ignored = self.spool.pending(order=self.options.order)
        if not self.options.dry_run:
            self.failures.forget(*self.failures.known().difference(e.name for e in entries))
        self._tell(*entries)
        for name, reason in ignored:
            self.record.skipped(name, reason)
        self.entries = [entry for entry in entries if self._is_wanted(entry)]
        return bool(self.entries) and self._can_file()

    def _tell(self, *entries):
        """Let results of these entries say what the application has told of them."""
        for entry in entries:
            self.record.told[entry.name] = {field: getattr(entry, field) for field in kinds.TOLD}

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
            self._refused(entry, error)
            return False
        if not self.options.strict and self._rests(entry):
            return False
        if entry.size or self.options.empty == 'send':
            return True
        if self.options.empty == 'park' and not self.options.dry_run:
            self._park(entry, 'The file is empty.')
        else:
            self.record.skipped(entry.name, 'is empty')
        return False

    def _rests(self, entry):
        """Say it if a file is not sent now, as it was taken away on arrival; return whether."""
        seconds = self.failures.rests(entry.name, [*entry.version])
        if seconds and (self.target.size_check or self.target.temporary):
            what = f'It was confirmed and taken away, and is not sent again for {seconds:.0f} s'
            self.record.failed(entry.name, TakenAway(what), size=entry.size)
            return True
        return False

    def _job(self, entry):
        return Job(
            name=entry.name,
            size=entry.size,
            entry=entry,
            version=[*entry.version],
            open=lambda: self._open(entry),
        )

    def _open(self, entry):
        self._ask(entry)
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(self.spool.open(entry))
            source.require_wanted()  # nothing is sent in vain
            stack.pop_all()
        rate = self.exchange.rate(entry.name, size=source.size)
        return WatchedSource(source, name=entry.name, progress=self.progress, rate=rate)

    def _ask(self, entry):
        """Withdraw what the application does not want any more, if there is one to ask."""
        application = zope.component.queryAdapter(self.spool, IStillWanted)
        if application is None:
            return
        try:
            with scope.around():
                wanted = application.wanted(entry)
        except Exception as error:
            raise FileError(
                f'Nobody can tell whether it is wanted: {type(error).__name__}: {error}',
                hint='The next run asks again.',
            ) from error
        if not wanted:
            reason = 'The application does not want it any more.'
            self.spool.withdraw(entry.name, reason, until=entry.number)

    # Doing it

    def nothing(self):
        """What is filed was delivered: all that can be missing is its receipt."""
        if self.obstacle is not None:
            raise self.obstacle
        self._settle_filed(self.ledger.rows('uploads'))
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
        try:
            left = self._settle_uncertain(session, self.entries)
            self._deliver(session, self._spelt(session, left, token=token), lock, token=token)
        finally:
            with uninterrupted():
                self.filed.flush()

    def _spelt(self, session, entries, *, token):
        """Return the entries whose names the server keeps; the others are refused."""
        refused = session.misspelt([entry.name for entry in entries], token=token)
        for entry in entries:
            if entry.name in refused:
                self._refused(entry, refused[entry.name])
        return [entry for entry in entries if entry.name not in refused]

    def _settle_uncertain(self, session, entries):
        """Return the entries without those that an earlier run delivered, but did not file."""
        uncertain = self.ledger.rows('uploads')
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
        self._settle_filed(uncertain)
        return left

    def _settle_filed(self, uploads):
        """Find out about `uploads` (by name) of files that do not wait any more.

        What is in `cur/` was filed, and the run was killed before that was noted.
        """
        for name, upload in uploads.items():
            version = upload.get('source')
            filed = self.spool.filed(name, sha256=upload['sha256'], version=version)
            if filed:
                receipt = {'name': name, **_known(upload), 'filed_as': filed}
                if not self.ledger.had_receipt('delivered', receipt, since=upload.get('at', '')):
                    self.ledger.receipt('delivered', receipt)
            else:
                self.ledger.note('abandoned', name)

    def _once_more(self, session, entry, upload):
        """File `entry` if it was delivered; return a list of what is left then, else None."""
        try:
            with self.spool.open(entry) as source:
                if was_delivered(
                    upload, source, name=entry.name, session=session, ledger=self.ledger
                ):
                    log.info('Delivered by an earlier run: %s', printable(entry.name))
                    receipt = {**_known(upload), 'sequence': source.number}
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
                late = self.exchange.is_late()
                if late and self.plan.waiting(1):
                    self.plan.stop(DeadlinePassed('The time of this run is used up'))
                if options.interrupted():
                    self.plan.stop(Interrupted('The run was asked to end; the next one goes on'))
                if self.plan.stopped is None and session.free and not late:
                    lock.watch()
        finally:
            outcomes.close()
            self._settle_failures()
        self.plan.finish()
        if self.plan.limited or self.more:
            self.record.limited()
        if self.plan.stopped is not None:
            raise self.plan.stopped

    def _plan(self, entries, *, started=None):
        options = self.options
        jobs = (self._job(entry) for entry in entries)
        return Plan(
            jobs if options.strict else self.failures.sorted(jobs),
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
        if job.size > LARGE:
            self.filed.flush()
        log.info('Uploading: %s%s', printable(job.name), again)
        self.record.started(job.name)
        if not job.size:
            log.warning('Empty, and sent all the same: %s', printable(job.name))

    def _settle(self, outcome):
        job, error = outcome.job, outcome.error
        if error is not None:
            self.filed.flush()
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
                self._send_again(newer)
            self._count(self.plan.proven())
        elif again:
            log.info('Not yet delivered: %s: %s', printable(job.name), printable(error.message))
        elif isinstance(error, SourceGone):
            self.record.gone(job.name, error)
        elif isinstance(error, TargetExists):
            self._park(job.entry, error.message)
        else:
            self._failed(job, error)

    def _send_again(self, newer):
        """Let a version that came in while the one before was sent go behind all other files."""
        self.sent[newer.name] += 1
        self._tell(newer)
        if self.sent[newer.name] < VERSIONS:
            self._expect([newer])
            self.plan.add([self._job(newer)])
        else:
            self.more = True  # now it is the partner's turn

    def _file(self, entry, source, **receipt):
        """File what was delivered; return the entry of a newer version that came in, or None.

        Broken off in the middle it would be nowhere until the next run, which might send it again.
        """
        with uninterrupted():
            return self._file_at_once(entry, source, **receipt)

    def _file_at_once(self, entry, source, **receipt):
        name = printable(entry.name)
        told = dict.fromkeys(kinds.TOLD, '') | self.spool.journal.told(source.number)
        try:
            filed, newer = self.spool.done(entry, source)
            # What has no digest cannot be found again after a kill, nor two versions be told apart.
            alone = newer is not None or not receipt['sha256']
            self.filed.add({'name': entry.name, **receipt, 'filed_as': filed}, alone=alone)
        except SourceChanged as error:
            # What the server has is no version of it, and this one is in new/ again.
            self.failures.busy(self._job(entry))
            self.record.failed(entry.name, error, size=entry.size)
            return None
        except NotMoved as error:
            # It is on the server, and stays in new/ until a person has put that right.
            version = [*source.version]
            self.ledger.note('placed', entry.name, temporary='', version=version, **receipt)
            self.failures.add(self._job(entry), error)
            error = NotMoved(f'It is on the server. {error.message}', hint=error.hint)
            self.record.failed(entry.name, error, size=entry.size, what='filed')
            return None
        except Error as error:
            # It is on the server; the next run finds that out, or sends it again.
            self.record.failed(entry.name, error, size=entry.size)
            raise
        as_what = '' if filed == entry.name else f' (as {printable(filed)})'
        log.info("Moved from 'new' to 'cur': %s%s", name, as_what)
        about = {'size': source.size, 'filed_as': filed, **told}
        result = self.record.result(entry.name, 'delivered', **about)
        self.record.notify(FileExported(spool=self.spool, target=self.target, result=result))
        if newer is None:
            self.failures.forget(entry.name)
        else:
            self.failures.busy(self._job(newer))
            log.info('A newer version came in meanwhile: %s', name)
        return newer

    def _confirm(self, receipts):
        """Make durable what was filed, and write down that nothing of it is open any more."""
        self.spool.sync()
        self.ledger.receipt('delivered', *receipts)

    # What is not delivered

    def _refused(self, entry, error):
        """Do what is to be done about a name that never goes to the server."""
        number = self.failures.count(entry, error.message) if self._parks else 0
        if not (number and self._park_for(number, entry, error)):
            self.record.failed(entry.name, error, size=entry.size)

    def _failed(self, job, error):
        """Do what is to be done now about a file that has failed, and has no other attempt."""
        self.failures.add(job, error)
        entry, number = job.entry, self.failures.number(job.entry)
        if self._parks and self._is_refusal(entry, error) and number + 1 >= self.options.park_after:
            self.undecided[entry.name] = entry, error
        else:
            self.record.failed(entry.name, error, size=entry.size)

    @property
    def _parks(self):
        return self.options.park_after and not self.options.dry_run

    def _is_refusal(self, entry, error):
        """Return whether `error` may be the fault of the file."""
        return (
            isinstance(error, _REFUSALS)
            and not error.while_connecting
            and error.exit_code != CONFIGURATION
            # What has perhaps got its name on the server is not put away: the next run finds out.
            and self.ledger.row('uploads', entry.name) is None
        )

    def _count(self, failures):
        """Count `failures`, (job, error) of what is the fault of the files; park them if due."""
        for job, error in failures:
            entry = job.entry
            if not (self._parks and self._is_refusal(entry, error)):
                continue
            number = self.failures.count(entry, error.message)
            if entry.name in self.undecided and self._park_for(number, entry, error):
                del self.undecided[entry.name]

    def _park_for(self, number, entry, error):
        if number < self.options.park_after:
            return False
        last = ', most recently' if number > 1 else ''
        reason = f'Refused in {plural(number, "run")}{last}: {error.message}'
        return self._park(entry, reason)

    def _settle_failures(self):
        """Say what became of each file that has failed, at the end of the work."""
        try:
            for job, error in self.plan.unfinished():
                self._failed(job, error)
            self._count(self.plan.proven())
            self.failures.block(self.plan.blocking())
        finally:
            for entry, error in self.undecided.values():
                self.record.failed(entry.name, error, size=entry.size)

    def _park(self, entry, reason):
        """Put the file away; return whether this version of it was still there."""
        try:
            stored = self.spool.park(entry, reason)
        except NotMoved as error:
            self.record.failed(entry.name, error, size=entry.size)
            return True
        if stored:
            self.record.parked(entry.name, reason, size=entry.size, stored=stored)
        return bool(stored)


def _known(upload):
    """Return what a receipt tells about an upload of an earlier run."""
    known = {field: upload[field] for field in ('size', 'sha256', 'reply')}
    return {'sequence': upload.get('sequence', 0), **known}
