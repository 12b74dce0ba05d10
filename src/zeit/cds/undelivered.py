"""What has not reached the partner, whatever the reason, and since when."""

import contextlib
import os
from typing import NamedTuple

from zeit.cds.text import age, plural, printable


class Undelivered(NamedTuple):
    """A file, or a content without one: its name, since when (seconds since the epoch), why.

    The name is '' for what is about no file.
    """

    name: str
    since: float
    why: str


def undelivered(found):
    """Return a list of `Undelivered` for an `ISpoolStatus`.

    All that lies in `new/` counts, or is on its way from there to `cur/`, also what can never be
    sent, as nobody puts it there in order that nothing happens; parked files, by the time of their
    content; files in doubt; and contents that could not be put into the spool.
    """
    result = [Undelivered(entry.name, entry.arrived, 'waits') for entry in found.waiting]
    result += [Undelivered(entry.name, entry.arrived, 'is not filed yet') for entry in found.filing]
    result += [
        Undelivered(name, since, 'is never sent')
        for name, _ in found.ignored
        if (since := _time(found.path / 'new' / name, 'st_ctime')) is not None
    ]
    result += [
        Undelivered(name, since, 'is parked')
        for name, _ in found.parked
        if (since := _time(found.path / 'parked' / name, 'st_mtime')) is not None
    ]
    result += [
        Undelivered(name, doubt.since, 'is in doubt')
        for doubt in found.in_doubt
        for name in doubt.names
    ]
    return result + [
        Undelivered(failure.unique_id, failure.since, 'could not be put into the spool')
        for failure in found.unpublished
    ]


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


def too_old(waiting, *, about, now, limit):
    """Return one line about the oldest of `waiting`, `Undelivered`.

    It begins with `about`, the spool.  '' if none is older than `limit` seconds.
    """
    oldest = min(waiting, key=lambda each: each.since, default=None)
    if oldest is None or now - oldest.since <= limit:
        return ''
    others = [each for each in waiting if each is not oldest and now - each.since > limit]
    files = sum(bool(each.name) for each in others)
    more = f', and {plural(files, "more file")}' if files else ''
    # What is about no file says itself what it is.
    more += ''.join(
        f', and {each.why} for {age(now - each.since)}' for each in others if not each.name
    )
    what = f'{printable(oldest.name)} {oldest.why}'.lstrip()
    return (
        f'{printable(about)}: {what} for {age(now - oldest.since)}, longer than {age(limit)}{more}'
    )
