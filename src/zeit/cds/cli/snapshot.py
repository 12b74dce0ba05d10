"""What `zeit-cds status` finds out; `status_text`, `status_json` and `as_metrics` say it."""

import contextlib
import dataclasses
import os
import time

from zeit.cds.cli.unlock import of_a_run, own_tokens
from zeit.cds.errors import ConfigurationError, Error, Locked
from zeit.cds.lock.lock import Lock
from zeit.cds.monitoring import freshness, metrics
from zeit.cds.spool.spool import translated
from zeit.cds.text import printable
from zeit.cds.usable import require_usable


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerState:
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
class Snapshot:
    """What was found in a `SelectedSpool`: `found` (`ISpoolStatus`) or `error`, and its servers.

    `now` is when that was, `parked_since` when files were put away, by name, in seconds since the
    epoch.
    """

    selected: tuple
    now: float
    found: object = None
    error: Error | None = None
    servers: tuple = ()
    parked_since: dict = dataclasses.field(default_factory=dict)

    @property
    def numbers(self):
        """What the journal counts: `zeit.cds.spool.statistics.Statistics`."""
        return self.found.numbers

    @property
    def imports(self):
        """True if files come into the spool from a server."""
        return self.selected.imports or not self.selected.exports and self.numbers.imports

    @property
    def exports(self):
        """True if files go from the spool to a server; what is not known is taken for that."""
        known = self.selected.exports or not self.selected.imports and self.numbers.exports
        return known or not self.imports

    @property
    def unfetched(self):
        """What an import has tried to fetch in vain: `Attempts` by name."""
        found = self.found
        ours = {each.name for each in (*found.waiting, *found.filing)} if self.exports else ()
        return {name: failed for name, failed in self.numbers.failed.items() if name not in ours}

    @property
    def errors(self):
        found = [self.error, *(server.error for server in self.servers)]
        return [error for error in found if error is not None]

    @property
    def exit_codes(self):
        return [error.exit_code for error in self.errors]


def take(selected, *, remote, filed=True):
    """Return the `Snapshot` of a `SelectedSpool`, and of its servers if `remote`.

    `filed`: what is in `cur/` will be asked for.
    Nothing is changed, no run is waited for.
    """
    targets = selected.targets if remote else ()
    servers = tuple(_server_state(*target, selected.spool) for target in targets)
    now = time.time()
    try:
        found = selected.spool.status()
        if filed:
            found.delivered  # noqa: B018 what is wrong with it is told in its place
        else:
            _require_filed(selected.spool)
        return Snapshot(
            selected=selected,
            now=now,
            found=found,
            servers=servers,
            parked_since=freshness.parked_since(found),
        )
    except Exception as error:  # noqa: BLE001 somebody else's spool may raise anything
        return Snapshot(selected=selected, now=now, error=_foreseen(error), servers=servers)


def _require_filed(spool):
    """Raise `SpoolError` if nobody can look into `cur/`: then nothing is sent either."""
    # The first run makes it.
    with translated(spool.path), contextlib.suppress(FileNotFoundError):
        os.scandir(spool.path / 'cur').close()


def _foreseen(error):
    if isinstance(error, Error):
        return error
    return ConfigurationError(f'It cannot be read: {type(error).__name__}: {error}')


def _server_state(name, target, spool):
    try:
        require_usable(target)
        session = target.open()
        try:
            present = Lock(session, token='').look()
        finally:
            session.close()
    except Locked as lock:
        whose = _whose(lock, spool, target)
        return ServerState(name=name, title=target.title, lock=lock, whose=whose)
    except Exception as error:  # noqa: BLE001 somebody else's target may raise anything
        return ServerState(name=name, title=target.title, error=_foreseen(error))
    return ServerState(name=name, title=target.title, listed=bool(present))


def _whose(lock, spool, target):
    try:
        return of_a_run(spool) if lock.tokens & own_tokens(spool) else ''
    except Error:
        return ''  # about a spool that cannot be looked at something is said already


# Monitoring


def as_metrics(snapshots):
    """Return what Prometheus reads."""
    spools = [(_label(each.selected), each.selected.spool) for each in snapshots]
    importing = [each.selected.spool for each in snapshots if each.selected.imports]
    seen = {id(each.selected.spool): each for each in snapshots}

    def status_of(spool):
        """Return what was seen already: nothing is read twice."""
        found = seen[id(spool)]
        if found.error is not None:
            raise found.error
        return found.found

    given = {'now': time.time(), 'importing': importing, 'status_of': status_of}
    return metrics.as_text(metrics.families(spools, **given))


def _label(selected):
    """Return how monitoring calls the spool: by its name, or by its path where it has none."""
    return selected.name or str(selected.spool.path)


def failures(snapshots):
    """Return the errors that metrics cannot show."""
    return [error for each in snapshots for error in each.errors]


def overdue(snapshots, *, limit):
    """Return a line for each spool in which something is unfinished for longer than `limit` s."""
    lines = []
    for each in snapshots:
        if each.found is not None:
            found = freshness.unfinished(each.found, imports=each.imports, exports=each.exports)
            if line := freshness.overdue(found, now=each.now, limit=limit):
                lines.append(f'{printable(_label(each.selected))}: {line}')
    return lines
