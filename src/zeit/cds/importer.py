"""One import: what a partner has left on a target goes into a spool, under the lock `read`."""

import dataclasses
import logging
import time

import zope.component
import zope.component.event  # connects zope.event with the registry's subscribers
import zope.interface

from zeit.cds import names
from zeit.cds.arrivals import UNSURE, Arrivals
from zeit.cds.clearance import Clearance, unless_fatal
from zeit.cds.errors import (
    ConfigurationError,
    DeadlinePassed,
    Error,
    FileError,
    NameRefused,
    ServerError,
    SourceGone,
)
from zeit.cds.exchange import Exchange
from zeit.cds.fetching import Fetcher, Look, StillGrowing
from zeit.cds.holder import described, is_file
from zeit.cds.interfaces import IImporter, ISpool, ITarget
from zeit.cds.offered import Offered
from zeit.cds.plan import ImportOptions, Job, Outcome, Plan
from zeit.cds.report import FileImported
from zeit.cds.text import printable


__all__ = ['ImportOptions', 'Importer']

log = logging.getLogger(__name__)

_OCCUPIED = 'a file of that name is in new/ still'


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
        exchange = Exchange(
            self.spool,
            self.target,
            options or ImportOptions(),
            name=names.READ,
            clock=self._clock,
            wait=self._wait,
            done='imported',
            begun='taken',
        )
        return exchange.make(_Import(exchange, now=self._now))


class _Import:
    """What an import does with the files: the work of an `Exchange`."""

    def __init__(self, exchange, *, now):
        self.exchange = exchange
        self.spool = exchange.spool
        self.target = exchange.target
        self.options = exchange.options
        self.record = exchange.record
        self.now = now
        self.offered = Offered(ignore=self.options.ignore)
        self.arrivals = None
        self.session = self.fetcher = self.clearance = self.plan = None
        self.number = 0
        self.since = ''

    # What is to be done

    def prepare(self):
        """Bring what a killed run has fetched to its end; what there is, the server knows."""
        self.arrivals = Arrivals(self.spool, url=self.target.url)
        if not self.options.dry_run:
            for entry in self.arrivals.recover():
                log.info('Fetched by an earlier run: %s', printable(entry['name']))
                known = {key: entry[key] for key in ('size', 'filed_as')}
                self._imported(entry['name'], **known)
        return True

    def nothing(self):
        """Say that there is nothing."""
        log.info('No new files to import.')

    def pretend(self, session):
        """Say what would be fetched."""
        self._begin(session)
        for job in list(self._jobs(session.files()))[: self.options.max_files]:
            log.info('Would download: %s', printable(job.name))
            self.record.result(job.name, 'planned', size=job.size)

    def _begin(self, session):
        self.session = session
        self.fetcher = Fetcher(session, size_check=self.target.size_check)

    def _jobs(self, found):
        """Yield a job for each of the files `found` that is taken, as the work proceeds."""
        for name, facts in sorted(found.items()):
            if self.offered.is_ignored(name) or self.arrivals.is_settled(name):
                continue
            try:
                job = self._job(name, Look.at(*facts))
            except (FileError, ServerError) as error:
                unless_fatal(error)
                self.record.failed(name, error, size=0)
                continue
            if job is not None:
                yield job

    def _job(self, name, look):
        self._check(name)
        look = look or self.fetcher.look(name)
        if not look.exists:
            log.debug('It is no file, or gone: %s', printable(name))
            return None
        if reason := self._reason_to_wait(name, look):
            self.record.left(name, reason)
            return None
        return Job(name=name, size=look.size or 0, open=None, entry=look)

    def _check(self, name):
        try:
            self.target.check(name)
            names.check(name)
        except NameRefused as error:
            raise NameRefused(
                error.message, hint='Let the file be renamed on the server; it stays there.'
            ) from None

    def _reason_to_wait(self, name, look):
        options = self.options
        if options.empty == 'skip' and look.size == 0:
            return 'it is empty'
        if options.min_age:
            age = look.age(self.now())
            if age is None or age < options.min_age:
                return f'it is not known to be {options.min_age:g} s old'
        if (
            options.occupied == 'wait'
            and self.spool.has(name)
            and self.arrivals.compare(name, look) != UNSURE
        ):
            return _OCCUPIED
        return ''

    # On the server

    def carry(self, session, lock, *, token):
        """Fetch, hand over, and delete on the server what was handed over."""
        self._begin(session)
        self.since = self.fetcher.modified(names.READ)
        self.clearance = Clearance(
            session, lock, fetcher=self.fetcher, arrivals=self.arrivals, record=self.record
        )
        self.clearance.finish_earlier()
        self.plan = Plan(
            self._jobs(self._files()),
            max_files=self.options.max_files,
            max_bytes=self.options.max_bytes,
        )
        handed_out = False
        while (job := self.plan.next()) is not None:
            handed_out = True
            self._settle(self._attempt(job, token=token))
            if self.exchange.is_late():
                self.plan.stop(DeadlinePassed('The time of this run is used up'))
            if self.plan.stopped is None:
                lock.watch()
        if self.plan.limited:
            log.info('The limit of this run is reached; the next one goes on.')
        if self.plan.stopped is not None:
            raise self.plan.stopped
        if not handed_out:
            self.nothing()

    def _files(self):
        """Return the names on the server.  Raises `ConfigurationError` if it does not list them.

        Servers answer in the same way whether a directory is empty or may not be read.  This one is
        not empty: our lock is in it.
        """
        found = self.session.files()
        if not found:
            if not is_file(self.session, names.READ):
                raise described(self.session, names.READ, lost=True)
            raise ConfigurationError(
                'The server does not list the directory: not even our lock is shown',
                hint='Let the account have the right to read the directory itself.',
            )
        return found

    def _attempt(self, job, *, token):
        again = f' (attempt {job.attempt})' if job.attempt > 1 else ''
        log.info('Downloading: %s%s', printable(job.name), again)
        self.record.started(job.name)
        if job.entry.size == 0:
            log.warning('It is empty: %s', printable(job.name))
        self.number += 1
        temporary = names.temporary(job.name, token=token, number=self.number)
        try:
            incoming = self.spool.receive(job.name, temporary=temporary)
            try:
                self.fetcher.fetch(job.name, incoming, before=job.entry)
                incoming.complete()
            except BaseException:
                incoming.discard()
                raise
        except Error as error:
            return Outcome(job=job, error=error)
        return Outcome(job=job, source=incoming)

    def _settle(self, outcome):
        job, error = outcome.job, outcome.error
        again = self.plan.settle(outcome)
        if error is None:
            self._take(job, outcome.source)
        elif again:
            log.info('Not yet imported: %s: %s', printable(job.name), printable(error.message))
        elif isinstance(error, StillGrowing) and job.entry.listed:
            self._look_again(job)
        elif isinstance(error, StillGrowing):
            self.record.left(job.name, error.message)
        elif isinstance(error, SourceGone):
            self.record.gone(job.name, error)
        else:
            self.record.failed(job.name, error, size=job.size)

    def _sure_time(self, look):
        """Return the time of a file if whatever takes its place gets another one, else ''.

        The server's clock counts in seconds, and showed `since` before the file was fetched.
        """
        return look.modified if look.modified < self.since else ''

    def _look_again(self, job):
        """Try once more: some servers list times that are not those of their answers to MDTM."""
        look = self.fetcher.look(job.name)
        if look.exists:
            self.plan.insert(dataclasses.replace(job, entry=look, attempt=job.attempt + 1))

    def _take(self, job, incoming):
        """Hand over what is complete in `tmp/`, then delete it on the server."""
        name = job.name
        if self.arrivals.has(name, sha256=incoming.sha256):
            incoming.discard()
            self.arrivals.confirm(name, modified=self._sure_time(job.entry))
            self.clearance.delete(name, job.entry)
            return
        try:
            filed_as = self.arrivals.hand_over(
                name,
                incoming,
                modified=self._sure_time(job.entry),
                unique=self.options.occupied == 'unique',
            )
        except Error as error:
            # If it is complete, the next run hands it over.
            self.record.failed(name, error, size=incoming.size)
            raise
        if not filed_as:
            self.record.left(name, _OCCUPIED)
            return
        as_what = '' if filed_as == name else f' (as {printable(filed_as)})'
        log.info("Moved from 'tmp' to 'new': %s%s", printable(name), as_what)
        self._imported(name, size=incoming.size, filed_as=filed_as)
        self.clearance.delete(name, job.entry)

    def _imported(self, name, *, size, filed_as):
        result = self.record.result(name, 'delivered', size=size, filed_as=filed_as)
        self.record.notify(FileImported(spool=self.spool, target=self.target, result=result))
