"""Numbers for monitoring: what is on the disk, the same for every process that asks."""

import contextlib
import dataclasses
import datetime
import logging
import os
import time

from zeit.cds import importlog, journal, jsonlog, runs
from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.filing import PRIVATE
from zeit.cds.runlock import Owner, RunLock
from zeit.cds.text import printable
from zeit.cds.totals import Totals


log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """`totals` since the spool is there; how `runs` ended, see `zeit.cds.runs.read`.

    `owner` of the active run, None if none is active.  `newest`: the last file that came in, or
    None; `undeleted`: those that came in, and may still be on the server; each of them is a name
    and when it came in, in seconds since the epoch.  `killed`: when the last run began, if it was
    killed, else None.  `disowned`: URLs where a copy leaves what is perhaps of its original.
    """

    totals: Totals
    runs: dict
    owner: Owner | None
    newest: tuple | None = None
    killed: float | None = None
    undeleted: list = dataclasses.field(default_factory=list)
    disowned: list = dataclasses.field(default_factory=list)

    @property
    def imports(self):
        """True if files are known to have come in, or to be wanted."""
        return bool(self.totals.received or self.last_import)

    @property
    def exports(self):
        """True if files are known to have been delivered, or to be wanted to."""
        return bool(self.totals.delivered or self.last_export)

    @property
    def last_import(self):
        """How the last run that imports has ended, see `zeit.cds.runs.read`; empty without one."""
        return runs.last(self.runs, 'imported')

    @property
    def last_export(self):
        """The same of the last run that exports."""
        return runs.last(self.runs, 'delivered')


def ended(spool, report, *, seconds, exit_code=None):
    """Remember that a run of `spool` has ended after so many seconds; never raises.

    `report` is its `IReport`; `exit_code` is that of the process, if a signal has ended it.
    """
    if any(isinstance(error, SpoolBusy) for error in report.errors):
        return  # nothing was done, and the other run counts
    path = os.path.join(spool.path, PRIVATE, 'runs')
    code = report.exit_code if exit_code is None else exit_code
    try:
        runs.note(path, report, code=code, seconds=seconds, now=time.time(), like=spool.path)
    except OSError as error:
        log.debug('No statistics: %s', error.strerror)


def _begun(entries):
    """Return when the last run began that may have left something on a server, or None.

    `entries` are those of a journal; damaged ones are left out.
    """
    left = {}
    for entry in entries:
        if entry.get('kind') == 'token':
            with contextlib.suppress(KeyError, TypeError, ValueError):
                moment = datetime.datetime.fromisoformat(entry['at'])
                left[entry['token']] = moment.timestamp()
        elif entry.get('kind') == 'clean':
            left.pop(entry.get('token'), None)
    return max(left.values(), default=None)


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
        newest, undeleted = importlog.look(jsonlog.entries(private, kept=0))
        if newest is None:
            # A journal that has just begun anew carries over what is open, but no receipts.
            newest, _ = importlog.look(jsonlog.entries(private, kept=1))
        # In this order: a run that ends meanwhile was none that was killed.
        begun = _begun(jsonlog.entries(private, kept=0))
        owner = RunLock(os.path.join(private, 'lock'), like=spool.path).owner()
        known = runs.read(os.path.join(private, 'runs'))
        return Statistics(
            newest=newest,
            killed=_killed(begun, known.get('last')) if owner is None else None,
            undeleted=undeleted,
            disowned=journal.disowned(private),
            totals=journal.totals(private),
            runs=known,
            owner=owner,
        )
    except OSError as error:
        where = printable(os.fsdecode(error.filename or private))
        raise SpoolError(
            f'The spool cannot be asked for numbers: {where}: {error.strerror}',
            hint='Check owner and mode of .cds and of what is in it.',
        ) from error
