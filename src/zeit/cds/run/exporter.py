"""One export: what waits in a spool goes to a target, under the lock `write`."""

import collections
import logging
import math
import time

import zope.component
import zope.component.event  # connects zope.event with the registry's subscribers
import zope.interface

from zeit.cds import names
from zeit.cds.errors import (
    Error,
    Expired,
    FileError,
    NotMoved,
    ServerError,
    SourceChanged,
    SourceGone,
    SpoolError,
    TargetExists,
)
from zeit.cds.interfaces import IExporter, ISpool, ITarget
from zeit.cds.journal import kinds
from zeit.cds.run.engine import Engine
from zeit.cds.run.export_selection import Selection
from zeit.cds.run.group_commit import Group
from zeit.cds.run.refusals import Refusals
from zeit.cds.run.retract_delivered import RetractedFiles
from zeit.cds.run.run import Run
from zeit.cds.system.signals import deferrable
from zeit.cds.text import printable
from zeit.cds.values.plan import AHEAD, Job
from zeit.cds.values.priority import Urgency
from zeit.cds.values.progress import Moved
from zeit.cds.values.report import FileExported
from zeit.cds.values.run_options import Options


__all__ = ['Exporter', 'Options']

log = logging.getLogger(__name__)

#: Receipts of what is filed do not wait for the upload of a file of more bytes than this.
LARGE = 1024 * 1024

#: A run looks for what is urgent after `LOOK` seconds, and again when the look before it is at most
#: this `PART` of the time since then.
LOOK, PART = 10, 1 / 50

#: How often one run sends a file that is replaced faster than it is sent.
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
        run = Run(
            self.spool,
            self.target,
            options or Options(),
            name=names.WRITE,
            renames=self.target.temporary,
            clock=self._clock,
            wait=self._wait,
        )
        return run.execute(_Export)


class _Export(Engine):
    """What is special about the files of an export."""

    verb = 'upload'

    def __init__(self, run):
        super().__init__(run, strict=run.options.strict)
        self.ledger = self.spool.journal.at(self.target.url)
        check = self.target.size_check
        self.refusals = Refusals(
            self.failures,
            spool=self.spool,
            ledger=self.ledger,
            record=self.record,
            park_after=0 if self.options.dry_run else self.options.park_after,
        )
        self.selection = Selection(
            self.options,
            spool=self.spool,
            target=self.target,
            ledger=self.ledger,
            failures=self.failures,
            refusals=self.refusals,
            record=self.record,
        )
        self.retracted = RetractedFiles(self.ledger, record=self.record, size_check=check)
        #: What goes first, and the names of all that comes behind that; see `complete`.
        self.entries, self._names = [], []
        self._urgency = Urgency(self.options.priority)
        #: What urgent was there when this run looked last, and when it looks again.
        self._seen, self._look_at = set(), run.clock() + LOOK
        #: How many versions of each file went out.
        self.sent = collections.Counter()
        #: What was filed, and has no receipt yet.
        self.receipts = Group(self._confirm, clock=run.clock)
        #: See `zeit.cds.system.signals.deferrable`.
        self.uninterrupted = None
        #: Why nothing can be filed, and so nothing is sent.
        self.obstacle = None

    # What is to be done

    def prepare(self):
        """Return whether there is something to do; what is not to be sent is in the report then."""
        queue = self.spool.queue(order=self.options.order, notable=self._urgency.fits)
        if not self.options.dry_run:
            self.retracted.prepare()
            self.failures.forget_all_but(queue.names)
        for name, reason in queue.ignored:
            self.record.skipped(name, reason)
        self.selection.untimely = self.spool.untimely(queue.notable)
        self._seen = {(each.name, each.version) for each in self._urgent(queue)}
        names = self._urgency.in_order(queue.names, queue.notable)
        while names and not self.entries:
            self.entries, names = self.selection.wanted(names[:AHEAD]), names[AHEAD:]
        # What has a time is dealt with by each run, however far that comes.
        self._names = names
        self._bring_forward(self.selection.untimely)
        return bool(self.entries or self.retracted.rows()) and self._can_file()

    def _urgent(self, queue):
        """Return the entries of what is urgent in a queue, a list."""
        return [each for each in queue.notable if self._urgency.of(each) > 0]

    def _bring_forward(self, names):
        """Let what has one of these names, and its turn later, have it earlier."""
        found = [name for name in self._names if name in names]
        if found:
            self._names = [name for name in self._names if name not in names]
            self.entries += self.selection.wanted(found)

    def _can_file(self):
        """Return whether what is delivered can be filed; if not, the server is tidied anyway."""
        if not self.options.dry_run:
            try:
                self.spool.require_filing()
            except SpoolError as error:
                self.obstacle = error
        return self.obstacle is None

    def _jobs(self):
        """Yield all jobs; of those of a later turn only what may have failed is complete."""
        yield from map(self._job, self.entries)
        self.entries, failed = [], self.failures.names()
        failed = failed.intersection(self._names)
        found = {job.name: job for job in self.complete([*map(Job, failed)])} if failed else {}
        for name in self._names:
            if name in found or name not in failed:
                yield found.pop(name, None) or Job(name)

    def complete(self, jobs):
        names = [job.name for job in jobs if job.entry is None]
        found = {entry.name: entry for entry in self.selection.wanted(names)} if names else {}
        jobs = (self._job(found[job.name]) if job.name in found else job for job in jobs)
        return [job for job in jobs if job.entry is not None]

    def _job(self, entry):
        return Job(
            name=entry.name,
            size=entry.size,
            entry=entry,
            version=[*entry.version],
            open=lambda: self._open(entry),
        )

    def _open(self, entry):
        self.selection.ask(entry)
        source = self.spool.open(entry)
        try:
            # Whatever version has this name by now.
            self.spool.require_timely(source.number)
        except BaseException as error:
            with source:
                if isinstance(error, Expired):
                    self.spool.withdraw(entry.name, error.message, until=source.number)
            raise
        rate = self.run.rate(entry.name, size=source.size)
        source.watch(Moved(name=entry.name, progress=self.progress, rate=rate), rate=rate)
        return source

    # For the frame

    def idle(self):
        """What is filed was delivered: all that can be missing is its receipt."""
        if self.obstacle is not None:
            raise self.obstacle
        self._settle_filed(self.ledger.rows('uploads'))
        log.log(self.record.level, 'No new files to export.')

    def dry_run(self, session):
        """Say what would be sent."""
        self.retracted.dry_run()
        self.rehearse(session, self._jobs())

    def transfer(self, session, lock):
        """Send, and file what was delivered."""
        with deferrable() as self.uninterrupted:
            try:
                self._send_all(session, lock)
            finally:
                with self.uninterrupted:
                    self.receipts.flush()

    def _send_all(self, session, lock):
        self._settle_uncertain(session)
        if self.retracted.rows():
            self.receipts.flush()
            self.retracted.delete(session, lock)
            self.entries = [each for each in self.entries if self._is_settled(each.name, session)]
            self._names = [name for name in self._names if self._is_settled(name, session)]
        names = [*(entry.name for entry in self.entries), *self._names]
        self.selection.learn_spelling(session, names, token=self.run.token)
        self.entries = self.selection.spelt(self.entries)
        self.expect([*(entry.size for entry in self.entries), *[None] * len(self._names)])
        self.work(session, lock, self._jobs())

    def _is_settled(self, name, session):
        """Return whether the server will not delete by and by what gets this name."""
        if name in session.unconfirmed:
            self.record.skipped(name, 'waits: that it is deleted there was not answered')
        return name not in session.unconfirmed

    def _settle_uncertain(self, session):
        """File what an earlier run delivered, but did not file: it does not go again."""
        uncertain = self.ledger.rows('uploads')
        if not uncertain:
            return
        self._bring_forward(uncertain)
        unsent = []
        for entry in self.entries:
            upload = uncertain.pop(entry.name, None)
            if upload is None:
                unsent.append(entry)
                continue
            is_delivered, newer = self._file_if_delivered(session, entry, upload)
            if not is_delivered:
                uncertain[entry.name] = upload  # which may be that of an older version, now filed
                unsent.append(entry)
            elif newer is not None:
                unsent.append(newer)
        self._settle_filed(uncertain)
        self.entries = unsent

    def _settle_filed(self, uploads):
        """Find out about `uploads` (by name) of files that do not wait any more.

        What is in `cur/` was filed, and the run was killed before that was noted.
        """
        for name, upload in uploads.items():
            version = upload.get('source')
            filed = self.spool.filed(name, sha256=upload['sha256'], version=version)
            if filed:
                receipt = {'name': name, **_known(upload), 'filed_as': filed}
                if not self.ledger.close('delivered', receipt, since=upload.get('at', '')):
                    self.ledger.receipt('delivered', receipt)
            else:
                self.ledger.note('abandoned', name)

    def _file_if_delivered(self, session, entry, upload):
        """File `entry` if it was delivered; return whether it was, and what `_file` returns."""
        from zeit.cds.target.interrupted_upload import was_delivered

        try:
            with self.spool.open(entry) as source:
                if was_delivered(
                    upload, source, name=entry.name, session=session, ledger=self.ledger
                ):
                    log.info('Delivered by an earlier run: %s', printable(entry.name))
                    receipt = {**_known(upload), 'sequence': source.number}
                    return True, self._file(entry, source, **receipt)
        except (FileError, ServerError) as error:
            log.debug('It is sent again: %s', printable(error.message))
        return False, None

    # For the engine

    def foresee(self, session, job):
        try:
            self.selection.require_still_wanted(job.entry)
            with self.spool.look(job.name) as source:
                return source.size
        except SourceGone as error:
            self.record.gone(job.name, error)
        except FileError as error:
            self.record.failed(job.name, error, size=job.size)
        return None

    def outcomes(self, session, lock):
        from zeit.cds.target.upload import upload_files

        return upload_files(session, self.plan, token=self.run.token, ledger=self.ledger)

    def started(self, job):
        attempt = f' (attempt {job.attempt})' if job.attempt > 1 else ''
        if job.size > LARGE:
            self.receipts.flush()
        log.info('Uploading: %s%s', printable(job.name), attempt)
        self.record.started(job.name)
        if not job.size:
            log.warning('Empty, sent anyway: %s', printable(job.name))

    def settle(self, outcome):
        if outcome.error is not None:
            self.receipts.flush()  # they wait for nothing that takes long
        super().settle(outcome)

    def succeeded(self, outcome):
        source = outcome.source
        receipt = {'size': source.size, 'sha256': source.sha256, 'sequence': source.number}
        newer = self._file(outcome.job.entry, source, reply=outcome.reply, **receipt)
        if newer is not None:
            self._send_newer(newer)

    def not_done(self, job, error):
        if isinstance(error, SourceGone):
            self.record.gone(job.name, error)
        elif isinstance(error, TargetExists):
            self.refusals.park(job.entry, error.message)
        else:
            self.failed(job, error)

    def between(self, session):
        """Let what has come since, and is urgent, go before what waits."""
        began = self.run.clock()
        if began < self._look_at:
            return
        if self._urgency.fits is not None or not self.spool.is_plain():
            self._admit_urgent(session)
        now = self.run.clock()
        self._look_at = now + max(LOOK, (now - began) / PART)

    def _admit_urgent(self, session):
        queue = self.spool.queue(order=self.options.order, notable=self._urgency.fits)
        urgent = self._urgent(queue)
        fresh = [each.name for each in urgent if (each.name, each.version) not in self._seen]
        self._seen.update((each.name, each.version) for each in urgent)
        # What is replaced faster than it is sent has had its turn.
        fresh = [name for name in fresh if self.sent[name] < VERSIONS]
        if fresh:
            self.selection.untimely = self.spool.untimely(queue.notable)
            self.selection.learn_spelling(session, fresh, token=self.run.token)
            wanted = self.selection.wanted(fresh)
            self.expect([each.size for each in wanted])
            names = self._urgency.in_order(queue.names, queue.notable)
            places = {name: place for place, name in enumerate(names)}
            self.plan.admit(
                map(self._job, wanted),
                order=lambda jobs: sorted(jobs, key=lambda job: places.get(job.name, math.inf)),
            )

    def _send_newer(self, newer):
        """Let a version that came in while the one before was sent go behind all other files."""
        self.sent[newer.name] += 1
        self.selection.tell(newer)
        if self.sent[newer.name] < VERSIONS:
            self.expect([newer.size])
            self.plan.add([self._job(newer)])
        else:
            self.plan.defer(self._job(newer))  # now it is the partner's turn

    def _file(self, entry, source, **receipt):
        """File what was delivered; return the entry of a newer version that came in, or None."""
        # Broken off in the middle it would be nowhere until the next run, which might send it
        # again.
        with self.uninterrupted:
            return self._file_delivered(entry, source, receipt)

    def _file_delivered(self, entry, source, receipt):
        name = printable(entry.name)
        # Not what was told last: a newer version may be known by now.
        told = {field: getattr(entry, field) for field in kinds.TOLD}
        if source.number != entry.number:  # it came before this one was opened
            about = kinds.about(self.spool.journal.told(source.number))
            told = dict.fromkeys(kinds.TOLD, '') | about
        try:
            filed, newer = self.spool.done(entry, source)
            # What has no digest cannot be found again after a kill, nor two versions be told apart.
            alone = newer is not None or not receipt['sha256']
            self.receipts.add({'name': entry.name, **receipt, 'filed_as': filed}, alone=alone)
        except SourceChanged as error:
            # What the server has is no version of it, and this one is in new/ again.
            self.failures.busy(self._job(entry), error)
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
        self.record.told.pop(entry.name, None)
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

    def failed(self, job, error):
        if self.refusals.may_park(job.entry, error):
            self.failures.add(job, error)
        else:
            super().failed(job, error)

    def proven(self, job, error):
        self.refusals.proven(job.entry, error)

    def settle_failures(self):
        try:
            super().settle_failures()
        finally:
            self.refusals.settle()


def _known(upload):
    """Return what a receipt tells about an upload of an earlier run."""
    known = {field: upload[field] for field in ('size', 'sha256', 'reply')}
    return {'sequence': upload.get('sequence', 0), **known}
