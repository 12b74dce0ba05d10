"""One import: what a partner has left on a target goes into a spool, under the lock `read`."""

import functools
import logging
import time

import zope.component
import zope.component.event  # connects zope.event with the registry's subscribers
import zope.interface

from zeit.cds import names
from zeit.cds.arrivals import Arrivals
from zeit.cds.clearance import Clearance
from zeit.cds.errors import (
    LOST,
    ConfigurationError,
    DeadlinePassed,
    Interrupted,
    NameRefused,
    SourceGone,
)
from zeit.cds.exchange import Exchange
from zeit.cds.fetching import Fetcher, Look, StillGrowing
from zeit.cds.gathering import OCCUPIED, Gathering, NoFile, Waits
from zeit.cds.holder import described, is_file
from zeit.cds.interfaces import IImporter, ISpool, ITarget
from zeit.cds.offered import Offered
from zeit.cds.plan import ImportOptions, Job, Plan
from zeit.cds.report import FileImported
from zeit.cds.text import printable


__all__ = ['ImportOptions', 'Importer']

log = logging.getLogger(__name__)


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
        self.plan = None
        self.number = 0
        self.unsure = frozenset()
        #: Imported, and perhaps deleted on the server: the answer did not come in.
        self.lost = set()

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
        fetcher = Fetcher(session, size_check=self.target.size_check)
        number = 0
        for job in self._jobs(session.files()):
            if number == self.options.max_files:
                break
            look = job.entry or fetcher.look(job.name)
            if look.exists:
                number += 1
                log.info('Would download: %s', printable(job.name))
                self.record.result(job.name, 'planned', size=look.size or 0)

    def _jobs(self, found, *, token=''):
        """Yield a job for each of the files `found` that is taken, as the work proceeds."""
        for name, facts in sorted(found.items()):
            if self.offered.is_ignored(name) or self.arrivals.is_settled(name):
                continue
            try:
                self._check(name)
            except NameRefused as error:
                self.record.failed(name, error, size=0)
                continue
            look = Look.at(*facts)
            if look is not None and (reason := self._reason_to_wait(name, look)):
                self.record.left(name, reason)
                continue
            size = look.size if look else 0
            opened = functools.partial(self._receive, name, token=token)
            yield Job(name=name, size=size, open=opened, entry=look)

    def _receive(self, name, *, token):
        self.number += 1
        temporary = names.temporary(name, token=token, number=self.number)
        return self.spool.receive(name, temporary=temporary)

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
        occupied = options.occupied == 'wait' and self.spool.has(name)
        return OCCUPIED if occupied and name not in self.unsure else ''

    # On the server

    def carry(self, session, lock, *, token):
        """Fetch, hand over, and delete on the server what was handed over."""
        fetcher = Fetcher(session, size_check=self.target.size_check)
        clearance = Clearance(
            session, lock, fetcher=fetcher, arrivals=self.arrivals, record=self.record
        )
        clearance.finish(self.arrivals.pending())
        self.unsure = frozenset(self.arrivals.pending())
        gathering = Gathering(
            arrivals=self.arrivals,
            wait=self._reason_to_wait,
            since=fetcher.modified(names.READ),
            size_check=self.target.size_check,
            unique=self.options.occupied == 'unique',
        )
        self.plan = Plan(
            self._jobs(self._files(session), token=token),
            max_files=self.options.max_files,
            max_bytes=self.options.max_bytes,
            started=lambda job: self.record.started(job.name),
        )
        try:
            self._gather(session, lock, gathering)
        finally:
            clearance.finish(sorted(self.lost))
        if self.plan.limited:
            log.info('The limit of this run is reached; the next one goes on.')
        if self.plan.stopped is not None:
            raise self.plan.stopped

    def _gather(self, session, lock, gathering):
        worked = False
        outcomes = session.gather(self.plan, gathering)
        try:
            for outcome in outcomes:
                worked = worked or not isinstance(outcome.error, (Waits, NoFile))
                self._settle(outcome)
                if self.exchange.is_late():
                    self.plan.stop(DeadlinePassed('The time of this run is used up'))
                if self.options.interrupted():
                    self.plan.stop(Interrupted('The run was asked to end; the next one goes on'))
                if self.plan.stopped is None and session.free:
                    lock.watch()
        finally:
            outcomes.close()
        if not worked and self.plan.stopped is None:
            self.nothing()

    def _files(self, session):
        """Return the names on the server.  Raises `ConfigurationError` if it does not list them.

        Servers answer in the same way whether a directory is empty or may not be read.  This one is
        not empty: our lock is in it.
        """
        found = session.files()
        if not found:
            if not is_file(session, names.READ):
                raise described(session, names.READ, lost=True)
            raise ConfigurationError(
                'The server does not list the directory: not even our lock is shown',
                hint='Let the account have the right to read the directory itself.',
            )
        return found

    def _settle(self, outcome):
        job, error = outcome.job, outcome.error
        again = self.plan.settle(outcome)
        if error is None:
            self._gathered(outcome)
        elif again:
            log.info('Not yet imported: %s: %s', printable(job.name), printable(error.message))
        elif isinstance(error, (Waits, NoFile)):
            self.plan.uncount(job)
            self._left(job.name, error)
        elif isinstance(error, StillGrowing):
            self.record.left(job.name, error.message)
        elif isinstance(error, SourceGone):
            self.record.gone(job.name, error)
        else:
            self.record.failed(job.name, error, size=job.size)

    def _left(self, name, error):
        if isinstance(error, NoFile):
            log.debug('%s: %s', error.message, printable(name))
        else:
            self.record.left(name, error.message)

    def _gathered(self, outcome):
        name, kept = outcome.job.name, outcome.kept
        if outcome.filed_as:
            self._imported(name, size=outcome.source.size, filed_as=outcome.filed_as)
        if isinstance(kept, LOST):
            self.lost.add(name)
        elif kept is not None:
            self.record.kept(name, kept)

    def _imported(self, name, *, size, filed_as):
        result = self.record.result(name, 'delivered', size=size, filed_as=filed_as)
        self.record.notify(FileImported(spool=self.spool, target=self.target, result=result))
