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
from zeit.cds.errors import FileError, LockVanished, NameRefused, ServerError
from zeit.cds.exchange import Exchange
from zeit.cds.failures import Failures
from zeit.cds.fetching import GONE, Fetcher, NoFile
from zeit.cds.gathering import Gathering
from zeit.cds.holder import has_vanished, require_sight
from zeit.cds.intake import Intake
from zeit.cds.interfaces import IImporter, ISpool, ITarget
from zeit.cds.offered import Offered
from zeit.cds.plan import ImportOptions, Job, Plan
from zeit.cds.progress import NoProgress, WatchedIncoming
from zeit.cds.quiet import ServerTime, listed_time
from zeit.cds.report import FileImported
from zeit.cds.text import plural, printable


__all__ = ['ImportOptions', 'Importer']

log = logging.getLogger(__name__)

#: Where listings tell names only, so many files are asked about before the first one is fetched.
LOOKS = 10_000

#: So many refused names of a directory are in a report one by one.
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
        self.time = None
        self.progress = exchange.options.progress or NoProgress()
        self.arrivals = None
        self.failures = None
        self.intake = None
        self.number = 0

    # What is to be done

    def prepare(self):
        """Bring what a killed run has fetched to its end; what there is, the server knows."""
        self.arrivals = Arrivals(self.spool, url=self.target.url)
        self.failures = Failures(self.spool.journal, url=self.target.url)
        self.intake = Intake(self.exchange, failures=self.failures, imported=self._imported)
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
        offered = self._offered()
        found = self._listed(session, offered)
        if not found:
            # There is no lock of ours that a listing would have to show.
            log.warning(
                'The listing is empty: there is nothing, or the account may not read the directory.'
                ' A dry run cannot tell; a real one can.'
            )
        plan = self._plan(offered.judged(found))
        while (job := plan.next()) is not None:
            try:
                if session.sizes_directories():
                    fetcher.require_file(job.name)
                look = job.entry or fetcher.look(job.name)
            except NoFile:
                look = GONE
            except (FileError, ServerError) as error:
                plan.uncount(job)
                self.record.failed(job.name, error, size=0)
                continue
            reason = offered.reason_to_wait(job.name, look) if look.exists else 'not there'
            if reason:
                plan.uncount(job)
                if look.exists:
                    self.record.left(job.name, reason)
                continue
            size = look.size or 0
            plan.recount(job, size=size)
            log.info('Would download: %s', printable(job.name))
            self.record.result(job.name, 'planned', size=size)
        if plan.limited:
            self.record.limited()

    def _plan(self, judged, *, token=''):
        return Plan(
            self.failures.sorted(self._jobs(judged, token=token)),
            astray=1,
            max_files=self.options.max_files,
            max_bytes=self.options.max_bytes,
            started=lambda job: self.record.started(job.name),
        )

    def _offered(self):
        return Offered(
            self.options,
            spool=self.spool,
            target=self.target,
            arrivals=self.arrivals,
            age=self._age,
            look=self.exchange.require_time,
        )

    def _age(self, look):
        age = self.time.age(look) if self.time else None
        return look.age(self.now()) if age is None else age

    def _listed(self, session, offered):
        return session.files(wanted=offered.is_wanted, most=self.options.max_files or LOOKS)

    def _jobs(self, judged, *, token=''):
        """Yield a job for each file that is taken, as the work proceeds; say why others are not."""
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
                opened = functools.partial(self._receive, name, token=token)
                # Whoever puts the same file again has not changed what the server makes of it.
                version = [look.size] if look else None
                job = Job(name=name, size=size, open=opened, entry=look, version=version)
                if look and self.time and not self.time.is_quiet(look):
                    self.intake.put_off(job, self.time.fresh(look))
                else:
                    yield job
        if refused > REFUSED:
            log.error('And %s refused.', plural(refused - REFUSED, 'more name'))

    def _expect(self, judged):
        """Tell who watches how much is to come, as far as that is known."""
        looks = [look for _, look, why in judged if not why][: self.options.max_files]
        size = None
        if None not in looks:
            size = sum(look.size for look in looks)
            size = min(size, self.options.max_bytes or size)
        self.progress.expected(files=len(looks), size=size)

    def _receive(self, name, *, token):
        self.number += 1
        temporary = names.temporary(name, token=token, number=self.number)
        incoming = self.spool.receive(name, temporary=temporary)
        rate = self.exchange.rate(name, size=None)
        return WatchedIncoming(incoming, name=name, progress=self.progress, rate=rate)

    # On the server

    def carry(self, session, lock, *, token):
        """Fetch, hand over, and delete on the server what was handed over."""
        fetcher = Fetcher(session, size_check=self.target.size_check)
        known = {'arrivals': self.arrivals, 'record': self.record}
        clearance = Clearance(session, fetcher=fetcher, **known)
        clearance.finish(self.arrivals.pending())
        offered = self._offered()
        begun, since = self.exchange.clock(), fetcher.modified(names.READ)
        found = self._files(session, offered)
        self.time = ServerTime(
            told=since,
            listed=listed_time(found, names.READ),
            begun=begun,
            clock=self.exchange.clock,
        )
        gathering = Gathering(
            arrivals=self.arrivals,
            wait=offered.reason_to_wait,
            since=since,
            time=self.time,
            size_check=self.target.size_check,
            unique=self.options.occupied == 'unique',
            lock=lock,
        )
        self.failures.forget(*self.failures.known().difference(found))
        # What is there already, and only has to be deleted, comes behind what is not.
        turn = {name: number for number, name in enumerate(self.arrivals.pending())}
        judged = sorted(offered.judged(found), key=lambda each: turn.get(each[0], -1))
        self._expect(judged)
        plan = self._plan(judged, token=token)
        try:
            worked = self.intake.run(session, lock, plan=plan, gathering=gathering)
        finally:
            self.record.unsettled = frozenset(self.arrivals.moved)
        # After an error, or a signal, the next run does it.
        clearance.finish(sorted(self.intake.lost))
        self.intake.run_again(session, lock, gathering=gathering, wanted=self.arrivals.is_pending)
        self.intake.finish()
        clearance.verify()
        if not worked:
            self.nothing()

    def _files(self, session, offered):
        """Return the facts of what is on the server, by name.

        Servers answer in the same way whether a directory is empty or may not be read.  This one is
        not empty: our lock is in it.  Raises `ConfigurationError` where not even that is listed.
        """
        found = self._listed(session, offered)
        if not found:
            if has_vanished(session, names.READ):
                raise LockVanished(names.READ)
            require_sight(session, found)
        return found

    def _imported(self, name, *, size, filed_as):
        result = self.record.result(name, 'delivered', size=size, filed_as=filed_as)
        self.record.notify(FileImported(spool=self.spool, target=self.target, result=result))
