"""Numbers for monitoring: what is on the disk, the same for every process that asks.

How runs ended is one row of the journal, a dictionary:

    runs        how many ended with which exit code
    seconds     how long they took together
    last        when the last one `ended`, its `seconds` and `exit_code`
    success     when the last one with exit code 0 ended
    locked      which `lock` it met, its `holder`, `since` when; None if it met none
    kinds       of exports ('delivered') and imports ('imported'): when the last one `ended`, its
                `exit_code`, the last `success`, and how many `failures` in a row there were since

It also tells a task of celery whether the server wants to be left alone for now.
"""

import contextlib
import dataclasses
import datetime
import logging
import os
import time

from zeit.cds import journal
from zeit.cds.errors import Locked, SpoolBusy, SpoolError
from zeit.cds.filing import PRIVATE
from zeit.cds.runlock import Owner, RunLock
from zeit.cds.sequence import Sequence
from zeit.cds.text import printable


log = logging.getLogger(__name__)

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """`totals` of a `Journal` since the spool is there; how `runs` ended, see above.

    `owner` of the active run, None if none is active.  `newest`: the last file that came in, or
    None; `undeleted`: those that came in, and may still be on the server; each of them is a name
    and when it came in, in seconds since the epoch.  `killed`: when the last run began, if it was
    killed, else None.  `disowned`: URLs where a copy leaves what is perhaps of its original.
    `damaged`: so many lines of the journal cannot be read, and `missing`: the journal itself, or
    months of the history; which nobody has acknowledged.
    """

    totals: dict
    runs: dict
    owner: Owner | None
    newest: tuple | None = None
    killed: float | None = None
    undeleted: list = dataclasses.field(default_factory=list)
    disowned: list = dataclasses.field(default_factory=list)
    damaged: int = 0
    missing: list = dataclasses.field(default_factory=list)

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
        """How the last run that imports has ended, one of `kinds`; empty without one."""
        return _last(self.runs, 'imported')

    @property
    def last_export(self):
        """The same of the last run that exports."""
        return _last(self.runs, 'delivered')


def ended(spool, report, *, seconds, exit_code=None, target=''):
    """Remember that a run of `spool` has ended after so many seconds; never raises.

    `report` is its `IReport`; `exit_code` is that of the process, if a signal has ended it;
    `target` is the URL of its target.  The history does not have each run that had nothing to do.
    """
    if any(isinstance(error, SpoolBusy) for error in report.errors):
        return  # nothing was done, and the other run counts
    private = os.path.join(spool.path, PRIVATE)
    code = report.exit_code if exit_code is None else exit_code
    done = getattr(report, 'done', 'delivered')
    try:
        with Sequence(spool.path).visited() as visited:
            known = _runs(private)
            visited.note('ended', **_after(known, report, done, code=code, seconds=seconds))
        if code != _last(known, done).get('exit_code') or report.delivered or report.failed:
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
            largest = visited.log.largest
            journal.history(private).add({**entry, 'largest': largest}, lazily=True)
    except (OSError, SpoolError, SpoolBusy) as error:
        log.debug('No statistics: %s', error)


def _after(known, report, done, *, code, seconds):
    """Return what is known of runs when one of the kind `done` has ended."""
    now, counts, kinds = time.time(), dict(known.get('runs', {})), dict(known.get('kinds', {}))
    counts[str(code)] = counts.get(str(code), 0) + 1
    before = _last(known, done)
    kinds[done] = {
        'ended': now,
        'exit_code': code,
        'success': before.get('success') if code else now,
        'failures': before.get('failures', 0) + 1 if code else 0,
    }
    return {
        'runs': counts,
        'seconds': known.get('seconds', 0) + seconds,
        'last': {'ended': now, 'seconds': seconds, 'exit_code': code},
        'success': known.get('success') if code else now,
        'kinds': kinds,
        'locked': _locked(known.get('locked'), report.error, now=now),
    }


def _locked(known, error, *, now):
    """Return who has locked the server, and since when we know."""
    if not isinstance(error, Locked):
        return None
    found = {'lock': error.name, 'holder': error.holder}
    same = known and {**found, 'since': known.get('since')} == known
    return known if same else {**found, 'since': now}


def _runs(private):
    """Return what is known of runs now; empty if that is nothing.  Raises `SpoolError`."""
    remembered = journal.Journal(private)
    remembered.look(table='runs')
    return remembered.row('runs') or {}


def _ended(known):
    return known.get('last', {}).get('ended', 0)


def _last(known, kind):
    return known.get('kinds', {}).get(kind, {})


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


def last_export(spool):
    """Return how the last run that exports from an `ISpool` has ended, one of `kinds` above.

    It is empty where that is not known.  Never raises: it is no reason not to run.
    """
    with contextlib.suppress(SpoolError):
        return _last(_runs(os.path.join(spool.path, PRIVATE)), 'delivered')
    return {}


def look(spool):
    """Return the `Statistics` of an `ISpool`, reading only and never waiting for a run.

    Raises `SpoolError`.
    """
    private = os.path.join(spool.path, PRIVATE)
    try:
        remembered = journal.read(private)
        owner = RunLock(os.path.join(private, 'lock'), like=spool.path).owner()
        known = remembered.row('runs') or {}
        killed = _seconds(remembered.begun) if owner is None else None
        if killed is not None and killed > _ended(known):
            known = _runs(private)  # one that has ended meanwhile was not killed
        damage = remembered.damage() or {'lines': 0, 'missing': []}
        return Statistics(
            newest=_came_in(*remembered.newest or ('', '')),
            killed=killed if killed is not None and killed > _ended(known) else None,
            disowned=remembered.disowned,
            damaged=damage['lines'],
            missing=damage['missing'],
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
