"""When a version of a file goes, and before which others: what the application has told of that.

It is in the row of the version in the journal, beside the content that it is of, and goes along
into receipts and to `parked/`.  Times are those of the calendar (ISO 8601, UTC): each run compares
them with the clock as it is then.
"""

import datetime
import functools

from zeit.cds.errors import Embargoed, Expired
from zeit.cds.journal import kinds
from zeit.cds.journal.history import moment
from zeit.cds.text import local


#: Priorities are from minus that to that; without one it is 0.
MOST = 1000

#: The fields of a version that have a time.
TIMES = 'not_before', 'not_after'


def told(*, priority=0, not_before=None, not_after=None, **about):
    """Return what is to be kept of a version, a dictionary as `kinds.told` makes it.

    `about` is what it is of, as there; the others are as in `ISpool.put`.  Raises TypeError,
    ValueError.
    """
    if type(priority) is not int:
        raise TypeError(f'The priority is a whole number, not {priority!r}')
    if abs(priority) > MOST:
        raise ValueError(f'The priority is from {-MOST} to {MOST}, not {priority}')
    before, after = _text('not_before', not_before), _text('not_after', not_after)
    if before and after and not_after <= not_before:
        raise ValueError(f'It is not to go before {before}, nor after {after}: so never')
    times = {'not_before': before, 'not_after': after}
    return kinds.told({**about, 'priority': priority, **times})


def _text(name, value):
    if value is None:
        return ''
    if not isinstance(value, datetime.datetime):
        raise TypeError(f'{name} is a datetime, not {value!r}')
    if value.utcoffset() is None:
        raise ValueError(f'{name} has no time zone, so nobody knows when {value} is')
    try:
        return value.astimezone(datetime.UTC).isoformat()
    except OverflowError:
        raise ValueError(f'{name} is out of range: {value}') from None


@functools.lru_cache
def seconds(text):
    """Return the seconds since the epoch of a time that is kept; None for '', or what is none."""
    found = moment(text) if text else None
    return None if found is None or found.tzinfo is None else found.timestamp()


def is_timed(about):
    """Return whether what is told of a version, a dictionary, has a time."""
    return any(map(about.get, TIMES))


def inherited(row):
    """Return what a file that takes the place of the version of this `row` has of it.

    Another program does not know of an embargo: it has put right a word, or restored a copy.
    """
    return {field: row[field] for field in TIMES if row.get(field)}


def require_begun(text, *, now):
    """Raise `Embargoed` if what is not to go before the time `text` is not to go yet."""
    begin = seconds(text)
    if begin is not None and now < begin:
        raise Embargoed(f'Embargo until {shown(text)}', until=begin)


def require_not_over(text, *, now):
    """Raise `Expired` if what is not to go after the time `text` is not to go any more."""
    end = seconds(text)
    if end is not None and now > end:
        raise Expired(f'Expired: not to be delivered after {shown(text)}')


def why(entry):
    """Return what to say of an `IEntry` that waits, behind that: of its embargo, '' without one."""
    return f', with an embargo until {shown(entry.not_before)}' if entry.not_before else ''


def shown(text):
    """Return a time that is kept as people of this place know it."""
    found = moment(text)
    return text if found is None else local(found).strftime('%Y-%m-%d %H:%M:%S %Z')


def untimely(entries, *, now):
    """Return why some of the `IEntry` objects `entries`, in their sequence, do not go: by name.

    `Expired`, or `Embargoed`: also what is of the same content as one before it, and would
    overtake that.
    """
    found, first = {}, {}
    for entry in entries:
        try:
            require_not_over(entry.not_after, now=now)
            require_begun(entry.not_before, now=now)
        except Expired as error:
            found[entry.name] = error
        except Embargoed as error:
            found[entry.name] = error
            if entry.content:
                first.setdefault(entry.content, (entry.name, error))
        else:
            if entry.content in first:
                name, error = first[entry.content]
                found[entry.name] = Embargoed(
                    f'It is of the same content as {name}, and goes after that: {error.message}',
                    until=error.until,
                )
    return found
