"""What is unfinished in a spool, whatever the reason, since when, and whether that is too long.

What keeps a partner's file on the server shows in no spool: a run that does not happen, a server
that cannot be reached, a name that is refused.  So the last successful import counts as well.
"""

import contextlib
import os
from typing import NamedTuple

from zeit.cds.text import age, plural, printable


#: What a line says of each; the limit follows the age.
WAITING = '{name} has been waiting for {age}'
HELD = '{name} is held, and has been waiting for {age}'
FILING = '{name} was sent, and has been on its way to cur/ for {age}'
IGNORED = '{name} has been in new/ for {age} and can never be sent'
PARKED = '{name} is parked, undelivered for {age}'
IN_DOUBT = '{name} has been in doubt for {age}'
RETRACTION_IN_DOUBT = 'retraction of {name} has been in doubt for {age}'
UNPUBLISHED = 'publication of {name} has been failing for {age}'
UNRETRACTED = 'retraction of {name} has been failing for {age}'
RETRACTED = '{name} has been waiting for {age} to be deleted on the server'
FOR_THE_CMS = '{name} has been waiting for the CMS for {age}'
UNDELETED = '{name} was imported, but has been left on the server for {age}'
NO_IMPORT = 'no successful import in {age}'


class Unfinished(NamedTuple):
    """A file, or a content without one: its name, since when (seconds since the epoch), what.

    The name is '' for what is about no file.  `what` is one of the constants of this module.
    """

    name: str
    since: float
    what: str


def unfinished(found, *, imports, exports):
    """Return a list of `Unfinished`, whatever the spool is for.

    `found` is its `ISpoolStatus`; `imports` and `exports` say who works on it.
    """
    result = undelivered(found) if exports or not imports else _untaken(found)
    result += [
        Unfinished(name or content, since, RETRACTED)
        for content, name, since in found.numbers.retracted
    ]
    return [*result, *_unimported(found)] if imports else result


def undelivered(found):
    """Return a list of `Unfinished` for an `ISpoolStatus`: what has not reached the partner.

    All that lies in `new/` counts, or is on its way from there to `cur/`, also what can never be
    sent, such as a name with a dot before it, as nobody puts it there in order that nothing
    happens; parked files, by the time of their
    content; files and retractions in doubt; and contents that could not be put into the spool.
    """
    held = {*found.held}
    result = [
        Unfinished(each.name, each.waits_since, HELD if {'', each.name} & held else WAITING)
        for each in found.waiting
    ]
    result += [Unfinished(entry.name, entry.arrived, FILING) for entry in found.filing]
    result += [
        Unfinished(name, since, IGNORED)
        for name in (*(name for name, _ in found.ignored), *found.hidden)
        if (since := _time(found.path / 'new' / name, 'st_ctime')) is not None
    ]
    result += [
        Unfinished(name, since, PARKED)
        for name, _ in found.parked
        if name not in found.given_up
        and (since := _time(found.path / 'parked' / name, 'st_mtime')) is not None
    ]
    for doubt in found.in_doubt:
        result += [Unfinished(name, doubt.since, IN_DOUBT) for name in doubt.names]
        result += [
            Unfinished(content, doubt.since, RETRACTION_IN_DOUBT)
            for content, *_ in doubt.retractions
        ]
    return result + [
        Unfinished(failed.unique_id, failed.since, UNRETRACTED if failed.retracts else UNPUBLISHED)
        for failed in found.unpublished
    ]


def _untaken(found):
    return [Unfinished(entry.name, entry.arrived, FOR_THE_CMS) for entry in found.waiting]


def _unimported(found):
    for name, since in found.numbers.undeleted:
        yield Unfinished(name, since, UNDELETED)
    yield Unfinished('', _last_success(found), NO_IMPORT)


def _last_success(found):
    """Return when an import succeeded last; without one, when the spool was made."""
    numbers = found.numbers
    since = numbers.last_import.get('success')
    if since is None:
        since = os.stat(found.path).st_ctime
    if numbers.owner and numbers.newest:
        since = max(since, numbers.newest[1])  # a run that takes long, and goes on
    return since


def parked_since(found):
    """Return when the parked files of an `ISpoolStatus` were put away, by name, as far as known."""
    return {
        name: since
        for name, _ in found.parked
        if (since := _time(found.path / 'parked' / name, 'st_ctime')) is not None
    }


def _time(path, attribute):
    """Return when it was, None if the file has gone meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return getattr(os.lstat(path), attribute)
    return None


def overdue(found, *, now, limit):
    """Return one line about what is unfinished for longer than `limit` seconds, '' for nothing.

    `found` are `Unfinished`; the oldest is named.
    """
    late = sorted((e for e in found if now - e.since > limit), key=lambda each: each.since)
    if not late:
        return ''
    oldest, *others = late
    parts = [_line(oldest, f'{age(now - oldest.since)} (limit {age(limit)})')]
    if files := sum(bool(each.name) for each in others):
        more = plural(files, 'more file') if oldest.name else f'{plural(files, "file")} overdue'
        parts.append(more)
    # What is about no file says itself what it is.
    parts += [_line(each, age(now - each.since)) for each in others if not each.name]
    return '; '.join(parts)


def _line(unfinished, how_long):
    return unfinished.what.format(name=printable(unfinished.name), age=how_long)
