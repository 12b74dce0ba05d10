"""What of the imports into a spool has not come to its end, and since when.

What keeps a partner's file on the server shows in no spool: a run that does not happen, a server
that cannot be reached, a name that is refused.  So the last run that was a success counts as well.
"""

import os

from zeit.cds.undelivered import Undelivered, undelivered


def unfinished(found, numbers, *, imports, exports):
    """Return a list of `Undelivered`, whatever the spool is for.

    `found` is its `ISpoolStatus`, `numbers` its `zeit.cds.statistics.Statistics`; `imports` and
    `exports` say who works on it.
    """
    result = undelivered(found) if exports or not imports else _untaken(found)
    return [*result, *_unimported(found, numbers)] if imports else result


def _untaken(found):
    return [Undelivered(entry.name, entry.arrived, 'waits for the CMS') for entry in found.waiting]


def _unimported(found, numbers):
    for name, since in numbers.undeleted:
        yield Undelivered(name, since, 'is imported, but still on the server,')
    yield Undelivered('', _succeeded(found, numbers), 'no import has succeeded')


def _succeeded(found, numbers):
    """Return when an import succeeded last; without one, when the spool was made."""
    since = numbers.last_import.get('success')
    if since is None:
        since = os.stat(found.path).st_ctime
    if numbers.owner and numbers.newest:
        since = max(since, numbers.newest[1])  # a run that takes long, and goes on
    return since
