"""Numbers for monitoring: what is on the disk, the same for every process that asks.

How runs ended is one row of the journal, a dictionary:

    runs        how many ended with which exit code
    seconds     how long they took together
    last        when the last one `ended`, its `seconds` and `exit_code`
    success     when the last one with exit code 0 ended
    locked      which `lock` it met, its `holder`, `since` when; None if it met none
    kinds       of exports ('delivered') and imports ('imported'): when the last one `ended`, its
                `exit_code`, the last `success`, and how many `failures` in a row there were since;
                the `reason` for the exit code, and the `target`, a URL; whether it was `limited`;
                which failure was `told` last: its exit code, and its reason without figures; null
                after a success.  That somebody else is at work, or a signal came, is no failure

It also tells a task of celery whether the server wants to be left alone for now.
"""

import contextlib
import logging
import os
import re
import time
from types import MappingProxyType
from typing import NamedTuple

from zeit.cds.errors import COME_BACK_LATER, DONE, FILES_FAILED, Locked, SpoolBusy, SpoolError
from zeit.cds.journal import journal
from zeit.cds.journal.history import moment
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.runlock import Owner
from zeit.cds.spool.sequence import Sequence
from zeit.cds.text import plural


log = logging.getLogger(__name__)

#: Above this, an exit code is that of a process that a signal has ended.
SIGNAL = 128

#: How many characters of the reason of a run are kept.
REASON = 500


class Ending(NamedTuple):
    """How a run has ended: `exit_code`, `reason`, when (seconds since the epoch).

    `failures`: how many runs have not succeeded since the last one that has.  `news`: 'failure' if
    the one before did not fail for the same reason, 'recovery' if it is the first success after a
    failure, else ''.
    """

    news: str
    exit_code: int
    reason: str
    failures: int
    at: float


class Attempts(NamedTuple):
    """A file that could not be delivered or fetched, in the `version` (list) of `IEntry`.

    `number` of runs that have tried, when the `last` one did (seconds since the epoch, or None),
    and for what `reason` in vain.  `busy`: it changed meanwhile, so this holds for any version.
    """

    version: list | None
    number: int
    last: float | None
    reason: str
    busy: bool = False

    def are_of(self, entry):
        """Return whether this is about an `IEntry` as it is now."""
        return self.busy or self.version == [*entry.version]


class Statistics(NamedTuple):
    """`totals` of a `Journal` since the spool is there; how `runs` ended, see above.

    `owner` of the active run, None if none is active.  `newest`: the last file that came in, or
    None; `undeleted`: those that came in, and may still be on the server; each of them is a name
    and when it came in, in seconds since the epoch.  `retracted`: what was delivered, and is to be
    deleted on the server: the id of the content, the file's name, '' if no run has looked for it
    yet, and since when.  `killed`: when the last run began, if it was killed, else None.
    `disowned`: URLs where a copy leaves what is perhaps of its original.  `damaged`: how many lines
    of the journal cannot be read, `missing`: the journal itself, or months of the history, and
    `restored`: whether the spool is a copy or was restored, if it has left nothing on a server;
    what somebody has acknowledged is in none of these.  `failed`: `Attempts` by the file's name.
    """

    totals: dict
    runs: dict
    owner: Owner | None
    newest: tuple | None = None
    killed: float | None = None
    undeleted: list = ()
    retracted: list = ()
    disowned: list = ()
    damaged: int = 0
    missing: list = ()
    restored: bool = False
    failed: dict = MappingProxyType({})

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
        return _of_kind(self.runs, 'imported')

    @property
    def last_export(self):
        """The same of the last run that exports."""
        return _of_kind(self.runs, 'delivered')


def ended(spool, report, *, seconds, exit_code=None, target=''):
    """Remember that a run of `spool` has ended after this many `seconds`; return its `Ending`.

    None if another run was active: nothing was done, and that one counts.  Never raises.  If it
    cannot be remembered that it has failed, that is news each time.
    `report` is its `IReport`; `exit_code` is that of the process, if a signal has ended it;
    `target` is the URL of its target.  Runs that did nothing are not in the history.
    """
    if any(isinstance(error, SpoolBusy) for error in report.errors):
        return None
    private = os.path.join(spool.path, PRIVATE)
    code = report.exit_code if exit_code is None else exit_code
    done = getattr(report, 'done', 'delivered')
    before = {}
    last = _last(before, report, done, code=code, target=target)
    try:
        with Sequence(spool.path).visited() as visited:
            # A run that could not begin has no journal.
            known = _runs(private) if spool.journal is None else spool.journal.row('runs') or {}
            before = _of_kind(known, done)
            last = _last(before, report, done, code=code, target=target)
            visited.note('ended', **_after(known, report, done, last=last, seconds=seconds))
            if code != before.get('exit_code') or report.delivered or report.failed:
                entry = {
                    'target': target,
                    'done': done,
                    'exit_code': code,
                    'seconds': round(seconds, 3),
                    'files': len(report.delivered),
                    'failed': len(report.failed),
                    'reason': report.error.message if report.error else '',
                }
                visited.record('ended', entry, lazily=True)
    except (OSError, SpoolError, SpoolBusy) as error:
        log.debug('No statistics: %s', error)
    news = 'failure' if last['told'] else 'recovery'
    return Ending(
        news=news if last['told'] != before.get('told') else '',
        exit_code=code,
        reason=last['reason'],
        failures=last['failures'],
        at=last['ended'],
    )


def _last(before, report, done, *, code, target):
    """Return one of `kinds`, where `before` is what was there."""
    now, reason = time.time(), _reason(report, done)
    if code == DONE:
        told = None
    elif code == COME_BACK_LATER or code > SIGNAL:
        told = before.get('told')
    else:
        told = [code, '' if code == FILES_FAILED else re.sub('[0-9]+', '#', reason)]
    return {
        'ended': now,
        'exit_code': code,
        'success': before.get('success') if code else now,
        'failures': before.get('failures', 0) + 1 if code else 0,
        'reason': reason,
        'target': target,
        'limited': bool(getattr(report, 'limited', False)),
        'told': told,
    }


def _after(known, report, done, *, last, seconds):
    """Return what is known of runs when one of the kind `done` has ended: the `last` of these."""
    now, code = last['ended'], last['exit_code']
    counts = dict(known.get('runs', {}))
    counts[str(code)] = counts.get(str(code), 0) + 1
    return {
        'runs': counts,
        'seconds': known.get('seconds', 0) + seconds,
        'last': {'ended': now, 'seconds': seconds, 'exit_code': code},
        'success': known.get('success') if code else now,
        'kinds': {**known.get('kinds', {}), done: last},
        'locked': _locked(known.get('locked'), report.error, now=now),
    }


def _reason(report, done):
    """Return why a run has not ended with 0, '' if it has, or a signal has ended it."""
    if report.error:
        return report.error.advice[:REASON]
    return f'{plural(len(report.failed), "file")} not {done}' if report.failed else ''


def _locked(known, error, *, now):
    """Return who has locked the server, and since when we know."""
    if not isinstance(error, Locked):
        return None
    found = {'lock': error.name, 'holder': error.holder}
    same = known and {**found, 'since': known.get('since')} == known
    return known if same else {**found, 'since': now}


def _runs(private):
    """Return what is known of runs now; empty if that is nothing.  Raises `SpoolError`."""
    return journal.read(private, table='runs').row('runs') or {}


def _ended(known):
    return known.get('last', {}).get('ended', 0)


def _of_kind(known, kind):
    return known.get('kinds', {}).get(kind, {})


def _seconds(text):
    """Return a time (ISO 8601) in seconds since the epoch, None if it is damaged."""
    found = moment(text)
    return found and found.timestamp()


def _timed(told):
    """Return a list of tuples, the last of each, a moment, in seconds, as far as it is known."""
    found = [(*about, _seconds(text)) for *about, text in told]
    return [each for each in found if each[-1] is not None]


def last_export(spool):
    """Return how the last run that exports from an `ISpool` has ended, one of `kinds` above.

    It is empty where that is not known.  Never raises: it is no reason not to run.
    """
    with contextlib.suppress(SpoolError):
        return _of_kind(_runs(os.path.join(spool.path, PRIVATE)), 'delivered')
    return {}


def numbers(private, remembered, *, owner):
    """Return the `Statistics` of the spool whose own directory is `private`.

    `remembered` is a `Journal` that was read before `owner`, as in `Statistics`, was looked for.
    Raises `SpoolError`.
    """
    damage = remembered.damage() or {'lines': 0, 'missing': []}
    runs = remembered.row('runs') or {}
    moved = remembered.find('arrivals', moved=True)
    retracted = remembered.find('erasures') + remembered.find('removals')
    return Statistics(
        newest=next(iter(_timed(filter(None, [remembered.newest]))), None),
        killed=None if owner else _killed(private, runs, _begun(remembered)),
        disowned=remembered.disowned,
        damaged=damage['lines'],
        missing=damage['missing'],
        restored=remembered.is_restored,
        undeleted=_timed((row['name'], row.get('at')) for row in moved),
        retracted=_timed((row['id'], row.get('name', ''), row['at']) for row in retracted),
        totals=remembered.totals,
        failed=_failed(remembered),
        runs=runs,
        owner=owner,
    )


def _failed(remembered):
    """Return the `Attempts` by name; a name that no server gets is refused in each run."""
    return {
        row['name']: Attempts(
            version=row['version'],
            number=row.get('attempts') or row.get('number', 0),
            last=_seconds(row.get('at')),
            reason=row.get('reason', ''),
            busy=row.get('busy', False),
        )
        for row in (*remembered.find('failed'), *remembered.find('missed'))
    }


def _begun(remembered):
    """Return when the last token was taken that may have left something, None if there is none."""
    rows = remembered.find('tokens', clean=False)
    return _seconds(max((row.get('at', '') for row in rows), default=''))


def _killed(private, runs, begun):
    """Return `begun`, when a run began that is not active, if it was killed, else None."""
    if begun is None or begun <= _ended(runs):
        return None
    # One that has ended since the journal was read was not.
    return begun if begun > _ended(_runs(private)) else None
