"""How runs ended: one small file of a spool, `.cds/runs`, written at the end of each.

It is for monitoring, and tells a task of celery whether the server wants to be left alone for now.
Losing it costs nothing but numbers, and one attempt.
"""

import contextlib
import json
import os
import stat

from zeit.cds import files
from zeit.cds.errors import Locked


#: More than the file ever has, in bytes.
LIMIT = 64 * 1024


def note(path, report, *, code, seconds, now, like):
    """Write down how a run ended; `report` is its `IReport`, `code` its exit code.

    `seconds`: how long it took; `now`: when it ended, in seconds since the epoch.  The directory
    `like` has the permissions of the file.  Raises OSError.
    """
    # Runs of a spool do not overlap, but one that could not get into it is one, too: then the
    # numbers may lack one of the two.  With a lock, any reader could keep a run from its end.
    found = _after(read(path), report, code=code, seconds=seconds, now=now)
    mode = stat.S_IMODE(os.stat(like).st_mode) & 0o666
    files.replace(path, json.dumps(found).encode('ascii'), mode=mode)


def _after(known, report, *, code, seconds, now):
    runs = dict(known.get('runs') or {})
    runs[str(code)] = runs.get(str(code), 0) + 1
    kinds, kind = dict(known.get('kinds') or {}), getattr(report, 'done', 'delivered')
    before = last(known, kind)
    success = now if code == 0 else before.get('success')
    failures = before.get('failures', 0) + 1 if code else 0
    kinds[kind] = {'ended': now, 'exit_code': code, 'success': success, 'failures': failures}
    return {
        'runs': runs,
        'seconds': known.get('seconds', 0) + seconds,
        'last': {'ended': now, 'seconds': seconds, 'exit_code': code},
        'success': now if code == 0 else known.get('success'),
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


def read(path):
    """Return what is written down: a dictionary, empty if there is nothing yet.  Raises OSError.

    `runs`: how many ended with which exit code; `seconds`: how long they took together; `last`:
    when the last one `ended`, its `seconds` and `exit_code`; `success`: when the last one with exit
    code 0 ended; `locked`: which `lock` it met, its `holder`, `since` when, None if none.
    `kinds` has the same of exports ('delivered') and imports ('imported'): when the last one
    `ended`, its `exit_code`, the last `success`, and how many `failures` in a row there were since.
    """
    with contextlib.suppress(FileNotFoundError), files.open_regular(path) as file:
        return _parse(file.read(LIMIT))
    return {}


def last(known, kind):
    """Return how the last run of a kind, a key of `kinds`, has ended; empty without one.

    `known` is what `read` returns.
    """
    return (known.get('kinds') or {}).get(kind) or {}


def _parse(content):
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
