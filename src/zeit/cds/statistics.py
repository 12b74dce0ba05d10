"""Numbers for monitoring: what is on the disk, the same for every process that asks."""

import dataclasses
import datetime
import logging
import os
import time

from zeit.cds import journal, runs
from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.filing import PRIVATE
from zeit.cds.runlock import Owner, RunLock
from zeit.cds.text import printable


log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """`totals` of a `Journal` since the spool is there; how `runs` ended, see `zeit.cds.runs.read`.

    `owner` of the active run, None if none is active.  `newest`: the last file that came in, or
    None; `undeleted`: those that came in, and may still be on the server; each of them is a name
    and when it came in, in seconds since the epoch.  `killed`: when the last run began, if it was
    killed, else None.  `disowned`: URLs where a copy leaves what is perhaps of its original.
    `damaged`: so many lines of the journal were left out, which nobody has acknowledged.
    """

    totals: dict
    runs: dict
    owner: Owner | None
    newest: tuple | None = None
    killed: float | None = None
    undeleted: list = dataclasses.field(default_factory=list)
    disowned: list = dataclasses.field(default_factory=list)
    damaged: int = 0

    @property
    def imports(self):
        """True if files are known to have come in, or to be wanted."""
        return bool(self.totals['received'] or self.last_import)

    @property
    def exports(self):
        """True if files are known to have been delivered, or to be wanted to."""
        return bool(self.totals['delivered'] or self.last_export)

    @property
    def last_import(self):
        """How the last run that imports has ended, see `zeit.cds.runs.read`; empty without one."""
        return runs.last(self.runs, 'imported')

    @property
    def last_export(self):
        """The same of the last run that exports."""
        return runs.last(self.runs, 'delivered')


def ended(spool, report, *, seconds, exit_code=None, target=''):
    """Remember that a run of `spool` has ended after so many seconds; never raises.

    `report` is its `IReport`; `exit_code` is that of the process, if a signal has ended it;
    `target` is the URL of its target.  The history does not have each run that had nothing to do.
    """
    if any(isinstance(error, SpoolBusy) for error in report.errors):
        return  # nothing was done, and the other run counts
    private = os.path.join(spool.path, PRIVATE)
    path = os.path.join(private, 'runs')
    code = report.exit_code if exit_code is None else exit_code
    try:
        done = getattr(report, 'done', 'delivered')
        before = runs.last(runs.read(path), done).get('exit_code')
        runs.note(path, report, code=code, seconds=seconds, now=time.time(), like=spool.path)
        if code != before or report.delivered or report.failed:
            entry = {
                'kind': 'ended',
                'target': target,
                'done': done,
                'exit_code': code,
                'seconds': round(seconds, 3),
                'files': len(report.delivered),
                'failed': len(report.failed),
                'reason': report.error.message if report.error else '',
            }
            journal.history(private).add(entry, lazily=True)
    except (OSError, SpoolError) as error:
        log.debug('No statistics: %s', error)


def _seconds(moment):
    """Return a moment (ISO 8601) in seconds since the epoch, None if it is none."""
    try:
        return datetime.datetime.fromisoformat(moment).timestamp()
    except (TypeError, ValueError):
        return None


def _came_in(name, moment):
    """Return the name and the seconds since the epoch, None if that is not known."""
    seconds = _seconds(moment)
    return None if seconds is None else (name, seconds)


def _undeleted(remembered):
    moved = remembered.find('arrivals', moved=True)
    found = (_came_in(entry['name'], entry.get('at')) for entry in moved)
    return [each for each in found if each is not None]


def _killed(begun, last):
    """Return when the last run began if nobody has written down its end, else None."""
    return begun if begun is not None and begun > (last['ended'] if last else 0) else None


def last_export(spool):
    """Return how the last run that exports from an `ISpool` has ended, see `zeit.cds.runs.read`.

    It is empty where that is not known.  Never raises: it is no reason not to run.
    """
    try:
        return runs.last(runs.read(os.path.join(spool.path, PRIVATE, 'runs')), 'delivered')
    except OSError as error:
        log.debug('No statistics: %s', error.strerror)
        return {}


def look(spool):
    """Return the `Statistics` of an `ISpool`, reading only and never waiting for a run.

    Raises `SpoolError`.
    """
    private = os.path.join(spool.path, PRIVATE)
    try:
        # In this order: a run that ends meanwhile was none that was killed.
        remembered = journal.read(private)
        owner = RunLock(os.path.join(private, 'lock'), like=spool.path).owner()
        known = runs.read(os.path.join(private, 'runs'))
        begun = _seconds(remembered.begun)
        return Statistics(
            newest=_came_in(*remembered.newest or ('', '')),
            killed=_killed(begun, known.get('last')) if owner is None else None,
            disowned=remembered.disowned,
            damaged=(remembered.row('damage') or {'lines': 0})['lines'],
            undeleted=_undeleted(remembered),
            totals=remembered.totals,
            runs=known,
            owner=owner,
        )
    except OSError as error:
        where = printable(os.fsdecode(error.filename or private))
        raise SpoolError(
            f'The spool cannot be asked for numbers: {where}: {error.strerror}',
            hint='Check owner and mode of .cds and of what is in it.',
        ) from error
