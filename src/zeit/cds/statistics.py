"""Numbers for monitoring: what is on the disk, the same for every process that asks."""

import dataclasses
import logging
import os
import time

from zeit.cds import journal, runs
from zeit.cds.errors import SpoolBusy, SpoolError
from zeit.cds.filing import PRIVATE
from zeit.cds.runlock import Owner, RunLock
from zeit.cds.text import printable
from zeit.cds.totals import Totals


log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """`totals` since the spool is there; how `runs` ended, see `zeit.cds.runs.read`.

    `owner` of the active run, None if none is active.
    """

    totals: Totals
    runs: dict
    owner: Owner | None


def ended(spool, report, *, seconds):
    """Remember that a run of `spool` has ended after so many seconds; never raises.

    `report` is its `IReport`.
    """
    if any(isinstance(error, SpoolBusy) for error in report.errors):
        return  # nothing was done, and the other run counts
    path = os.path.join(spool.path, PRIVATE, 'runs')
    try:
        runs.note(path, report, seconds=seconds, now=time.time(), like=spool.path)
    except OSError as error:
        log.debug('No statistics: %s', error.strerror)


def look(spool):
    """Return the `Statistics` of an `ISpool`, reading only and never waiting for a run.

    Raises `SpoolError`.
    """
    private = os.path.join(spool.path, PRIVATE)
    try:
        return Statistics(
            totals=journal.totals(private),
            runs=runs.read(os.path.join(private, 'runs')),
            owner=RunLock(os.path.join(private, 'lock'), like=spool.path).owner(),
        )
    except OSError as error:
        where = printable(os.fsdecode(error.filename or private))
        raise SpoolError(
            f'The spool cannot be asked for numbers: {where}: {error.strerror}',
            hint='Check owner and mode of .cds and of what is in it.',
        ) from error
