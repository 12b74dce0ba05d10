"""What `zeit-cds status` finds out; `status_text` and `status_json` say it."""

import dataclasses
import time

from zeit.cds import metrics, undelivered
from zeit.cds.errors import Error, Locked
from zeit.cds.lock import Lock


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """What a look at a server found: `lock` (`Locked`) or `error`, or None and None."""

    name: str
    title: str
    lock: Locked | None = None
    error: Error | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at a `Place` found: `found` (`ISpoolStatus`) or `error`, and its servers.

    `now` is when it was, in seconds since the epoch.
    """

    place: tuple
    now: float
    found: object = None
    error: Error | None = None
    servers: tuple = ()

    @property
    def errors(self):
        found = [self.error, *(server.error for server in self.servers)]
        return [error for error in found if error is not None]

    @property
    def exit_codes(self):
        return [error.exit_code for error in self.errors]


def look(place, *, remote):
    """Look at a `zeit.cds.choice.Place`, and at its servers if `remote`; return a `Look`.

    Nothing is changed, no run is waited for.
    """
    servers = tuple(_look_at(*target) for target in place.targets) if remote else ()
    now = time.time()
    try:
        return Look(place=place, now=now, found=place.spool.status(), servers=servers)
    except Error as error:
        return Look(place=place, now=now, error=error, servers=servers)


def _look_at(name, target):
    try:
        session = target.open()
        try:
            Lock(session, token='').look()
        finally:
            session.close()
    except Locked as lock:
        return Server(name=name, title=target.title, lock=lock)
    except Error as error:
        return Server(name=name, title=target.title, error=error)
    return Server(name=name, title=target.title)


# Monitoring


def as_metrics(looks):
    """Return what Prometheus reads; a spool without a name goes by its path."""
    spools = [(look.place.name or str(look.place.spool.path), look.place.spool) for look in looks]
    return metrics.as_text(metrics.families(spools, now=time.time()))


def failures(looks):
    """Return the errors that metrics cannot show."""
    return [error for look in looks for error in look.errors]


def too_old(looks, *, limit):
    """Return a line for each spool in which something is not delivered for `limit` seconds."""
    found = (undelivered.too_old(e.found, now=e.now, limit=limit) for e in looks if e.found)
    return [line for line in found if line]
