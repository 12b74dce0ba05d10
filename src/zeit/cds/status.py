"""What `zeit-cds status` finds out; `status_text` and `status_json` say it."""

import dataclasses
import time

from zeit.cds import metrics, statistics
from zeit.cds.errors import ConfigurationError, Error, Locked
from zeit.cds.lock import Lock
from zeit.cds.undelivered import parked_since
from zeit.cds.undelivered import too_old as line_about
from zeit.cds.unimported import unfinished
from zeit.cds.unlock import of_a_run, own_tokens
from zeit.cds.usable import require_usable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """What a look at a server found: `lock` (`Locked`) or `error`, or None and None.

    `whose` says it if the lock belongs to a run of the spool, else it is ''.  `listed`: the server
    lists something there; where it lists nothing it may hide a lock.
    """

    name: str
    title: str
    lock: Locked | None = None
    whose: str = ''
    error: Error | None = None
    listed: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at a `Place` found: `found` (`ISpoolStatus`) or `error`, and its servers.

    `numbers` are its `zeit.cds.statistics.Statistics`.  `now` is when it was, `parked_since` when
    files were put away, by name, in seconds since the epoch.
    """

    place: tuple
    now: float
    found: object = None
    numbers: object = None
    error: Error | None = None
    servers: tuple = ()
    parked_since: dict = dataclasses.field(default_factory=dict)

    @property
    def imports(self):
        """True if files come into the spool from a server."""
        return self.place.imports or not self.place.exports and self.numbers.imports

    @property
    def exports(self):
        """True if files go from the spool to a server; what is not known is taken for that."""
        known = self.place.exports or not self.place.imports and self.numbers.exports
        return known or not self.imports

    @property
    def errors(self):
        found = [self.error, *(server.error for server in self.servers)]
        return [error for error in found if error is not None]

    @property
    def exit_codes(self):
        return [error.exit_code for error in self.errors]


def look(place, *, remote, filed=True):
    """Look at a `zeit.cds.choice.Place`, and at its servers if `remote`; return a `Look`.

    `filed`: what is in `cur/` will be asked for.
    Nothing is changed, no run is waited for.
    """
    servers = tuple(_look_at(*target, place.spool) for target in place.targets) if remote else ()
    now = time.time()
    try:
        found, numbers = place.spool.status(), statistics.look(place.spool)
        if filed:
            found.delivered  # noqa: B018 what is wrong with it is told in its place
        return Look(
            place=place,
            now=now,
            found=found,
            numbers=numbers,
            servers=servers,
            parked_since=parked_since(found),
        )
    except Exception as error:  # noqa: BLE001 somebody else's spool may raise anything
        return Look(place=place, now=now, error=_foreseen(error), servers=servers)


def _foreseen(error):
    if isinstance(error, Error):
        return error
    return ConfigurationError(f'It cannot be looked at: {type(error).__name__}: {error}')


def _look_at(name, target, spool):
    try:
        require_usable(target)
        session = target.open()
        try:
            present = Lock(session, token='').look()
        finally:
            session.close()
    except Locked as lock:
        whose = _whose(lock, spool, target)
        return Server(name=name, title=target.title, lock=lock, whose=whose)
    except Exception as error:  # noqa: BLE001 somebody else's target may raise anything
        return Server(name=name, title=target.title, error=_foreseen(error))
    return Server(name=name, title=target.title, listed=bool(present))


def _whose(lock, spool, target):
    try:
        return of_a_run(spool) if lock.tokens & own_tokens(spool) else ''
    except Error:
        return ''  # about a spool that cannot be looked at something is said already


# Monitoring


def as_metrics(looks):
    """Return what Prometheus reads."""
    spools = [(_label(look.place), look.place.spool) for look in looks]
    importing = [look.place.spool for look in looks if look.place.imports]
    seen = {id(look.place.spool): look for look in looks}

    def look(spool):
        """Return what was seen already: nothing is read twice."""
        found = seen[id(spool)]
        if found.error is not None:
            raise found.error
        return found.found, found.numbers

    given = {'now': time.time(), 'importing': importing, 'look': look}
    return metrics.as_text(metrics.families(spools, **given))


def _label(place):
    """Return how monitoring calls the spool of a `Place`; one without a name goes by its path."""
    return place.name or str(place.spool.path)


def failures(looks):
    """Return the errors that metrics cannot show."""
    return [error for look in looks for error in look.errors]


def too_old(looks, *, limit):
    """Return a line for each spool in which something has not come to its end for `limit` s."""
    lines = []
    for each in looks:
        if each.found is not None:
            roles = {'imports': each.imports, 'exports': each.exports}
            waiting = unfinished(each.found, each.numbers, **roles)
            about = _label(each.place)
            lines.append(line_about(waiting, about=about, now=each.now, limit=limit))
    return [line for line in lines if line]
