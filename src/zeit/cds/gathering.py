"""How files come in over one connection or several: fetched, handed over, deleted on the server."""

import dataclasses
import functools
import logging

from zeit.cds.arrivals import Handover
from zeit.cds.crew import Crew, Hand, outcomes, size
from zeit.cds.errors import (
    DONE,
    Error,
    FileError,
    ServerError,
    SourceGone,
    raise_signal,
)
from zeit.cds.fetching import Fetcher, Look, NoFile, StillGrowing
from zeit.cds.plan import Outcome
from zeit.cds.quiet import Fresh
from zeit.cds.text import printable


log = logging.getLogger(__name__)

OCCUPIED = 'that name is taken in new/ still'


class Waits(FileError):
    """The file stays on the server for now."""

    exit_code = DONE


class NotQuiet(FileError):
    """It may be that somebody writes the file.  `fresh` is what was seen: a `Fresh`."""

    exit_code = DONE

    def __init__(self, fresh):
        super().__init__('It is being written, or was a moment ago')
        self.fresh = fresh


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gathered(Outcome):
    """How it ended.

    `filed_as` is its name in `new/`, '' if it is there since an earlier run; `kept` is why it was
    not deleted on the server, or None.
    """

    filed_as: str = ''
    kept: Error | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gathering:
    """What all connections of a run have in common.

    `wait(name, look)` returns why a file is left on the server for now, or ''.  `since` is the time
    of our `lock`, ISO 8601, `time` a `ServerTime`.  `unique`: a name that is taken in `new/` is no
    obstacle.
    """

    arrivals: object
    wait: object
    since: str
    time: object
    size_check: bool
    unique: bool
    lock: object

    def together(self):
        """Return a context manager: what is written down inside shares its way to the disk."""
        return self.arrivals.together()

    def call(self, function):
        """Do `function()` in this thread."""
        with self.together():
            function()

    def gatherer(self, session, *, call=None):
        """Return the `Gatherer` that works over `session`."""
        return Gatherer(session, self, call=call or self.call)


class Gatherer:
    """Fetches over one session.  `call(function)` does what only the run's own thread may do."""

    def __init__(self, session, gathering, *, call):
        self._session = session
        self._gathering = gathering
        self._call = call
        self._fetcher = Fetcher(session, size_check=gathering.size_check)

    def __repr__(self):
        return f'<Gatherer over {self._session!r}>'

    def attempt(self, job, incoming, *, more=False):
        """Let `incoming` be the file `job.name`; return the `IOutcome`."""
        try:
            with self._session.during(getattr(incoming, 'rate', None)):
                return self._gather(job, incoming, more=more)
        except Error as error:
            raise_signal(error)
            return Outcome(job=job, error=error)

    def _gather(self, job, incoming, *, more):
        look = self._fetch(job, incoming, more=more)
        incoming.complete()
        handover = Handover(
            name=job.name,
            incoming=incoming,
            # A time says something if whatever takes the file's place gets another one: the
            # server's clock counts in seconds, and showed `since` before the file was fetched.
            modified=look.modified if look.modified < self._gathering.since else '',
            unique=self._gathering.unique,
        )
        arrivals = self._gathering.arrivals
        self._call(lambda: arrivals.hand_over(handover))
        if handover.refused:
            raise handover.refused
        if not (handover.filed_as or handover.same):
            raise Waits(OCCUPIED)
        if handover.filed_as:
            other = handover.filed_as != job.name
            as_what = f' (as {printable(handover.filed_as)})' if other else ''
            log.info("Moved from 'tmp' to 'new': %s%s", printable(job.name), as_what)
        kept = self._delete(job.name, more=more)
        self._call(lambda: arrivals.settle(job.name, removed=kept is None, look=look))
        return Gathered(job=job, source=incoming, filed_as=handover.filed_as, kept=kept)

    def _fetch(self, job, incoming, *, more):
        name = job.name
        look = job.entry if isinstance(job.entry, Look) else self._quiet(job)
        if self._session.sizes_directories():
            self._fetcher.require_file(name)
        again = f' (attempt {job.attempt})' if job.attempt > 1 else ''
        log.info('Downloading: %s%s', printable(name), again)
        if look.size == 0:
            log.warning('Empty, and fetched all the same: %s', printable(name))
        incoming.require_room(look.size or 0)
        try:
            return self._fetcher.fetch(name, incoming, before=look, more=more)
        except StillGrowing:
            if not look.listed:
                raise
        # Some servers list times that are not those of their answers to MDTM.
        incoming.restart()
        return self._fetcher.fetch(name, incoming, before=self._quiet(job))

    def _quiet(self, job):
        """Look at a file anew; return the `Look`, or raise `NotQuiet`."""
        time = self._gathering.time
        earlier = job.entry if isinstance(job.entry, Fresh) else None
        if earlier is not None and earlier.look.was_read:
            if time.is_quiet(earlier.look, earlier=earlier):
                return earlier.look  # what is fetched now is compared with that
        look = self._look(job.name, known=job.entry)
        if not time.is_quiet(look, earlier=earlier):
            raise NotQuiet(time.fresh(look))
        return look

    def _look(self, name, *, known):
        look = self._fetcher.look(name)
        if not look.exists and known:
            raise SourceGone(f'{printable(name)} has disappeared from the server')
        if not look.exists:
            raise NoFile('It is no file, or gone')
        if reason := self._gathering.wait(name, look):
            raise Waits(reason)
        return look

    def _delete(self, name, *, more):
        """Delete what was imported; return why it is still there, or None."""
        try:
            # To fetch it, another connection may have been needed.
            self._gathering.lock.watch(over=self._session)
            self._session.delete(name, more=more)
        except ServerError as error:
            try:
                if self._fetcher.look(name).exists:
                    return error
            except Error:
                return error
        except Error as error:
            raise_signal(error)
            return error  # nobody knows whether it is there; that it is imported is sure
        log.info('File removed on server: %s', printable(name))
        return None


def gatherings(session, plan, gathering, *, connections=1, effort=None):
    """Yield the outcomes of the jobs of `plan`: see `ISession.gather`.

    As many as `connections` are used as soon as they pay, as `effort` shows, an `Effort`.
    """
    number = functools.partial(size, plan, connections=connections, effort=effort)
    several = functools.partial(_shared, session, plan, gathering)
    yield from outcomes(plan, gathering.gatherer(session), number=number, several=several)


class _Called:
    """The way to the thread of the pool, once there is one."""

    pool = None

    def call(self, function):
        self.pool.call(function)


def _shared(session, plan, gathering, *, number):
    called = _Called()
    hands = []
    for n in range(number):
        own = session.sibling() if n else session
        gatherer = gathering.gatherer(own, call=called.call)
        hands.append(Hand(own, gatherer, number=n + 1, temporary=n > 0))
    yield from Crew(hands, plan, ledger=gathering).run(called)
