"""How much may go over the network in a second, by the hours of the day."""

import re
from typing import NamedTuple

from zeit.cds.option_types import Kind


#: An hour of the day as a number of minutes; the day is over at 24:00.
_DAY = 24 * 60

_UNITS = {'K': 1024, 'M': 1024**2, 'G': 1024**3}

_PART = (
    r'(?a)(?P<amount>\d{1,6}(?:\.\d{1,3})?)(?P<unit>[KMG])'
    r'(?:\s+(?P<begin>\d\d:[0-5]\d)-(?P<end>\d\d:[0-5]\d))?'
)


class _Hours(NamedTuple):
    """From one minute of a day until before another one so many bytes a second."""

    begin: int
    end: int
    rate: int


class Bandwidth:
    """What a text such as `2M`, `2M 08:00-20:00` or `500K 08:00-20:00, 10M` says.

    A rate is in KiB, MiB or GiB a second.  What has no hours is for all others; without it there is
    no limit then.  Hours may go over midnight.  Raises ValueError for what is none of this, also
    if two parts are about the same minute.
    """

    def __init__(self, text):
        self._text = text
        self._hours, self._otherwise = [], None
        for part in text.split(','):
            self._add(re.fullmatch(_PART, part.strip()))

    def __repr__(self):
        return f'<Bandwidth {self._text}>'

    def _add(self, found):
        rate = found and round(float(found['amount']) * _UNITS[found['unit']])
        if not rate:
            raise ValueError(self._text)
        if found['begin'] is None:
            if self._otherwise is not None:
                raise ValueError(self._text)
            self._otherwise = rate
            return
        begin, end = (_minute(found[each]) for each in ('begin', 'end'))
        if begin == end or begin == _DAY:
            raise ValueError(self._text)
        over_midnight = [_Hours(begin, _DAY, rate), _Hours(0, end, rate)]
        for hours in [_Hours(begin, end, rate)] if begin < end else over_midnight:
            if any(hours.begin < each.end and each.begin < hours.end for each in self._hours):
                raise ValueError(self._text)
            self._hours.append(hours)

    def at(self, hour, minute):
        """Return the bytes a second at a time of the day; None if there is no limit."""
        now = hour * 60 + minute
        found = (each.rate for each in self._hours if each.begin <= now < each.end)
        return next(found, self._otherwise)


def _minute(text):
    hours, minutes = map(int, text.split(':'))
    found = hours * 60 + minutes
    if found > _DAY:
        raise ValueError(text)
    return found


#: A text that a `Bandwidth` understands.
BANDWIDTH = Kind(
    'a rate such as 500K or 2M, with or without hours as in "2M 08:00-20:00, 10M"',
    'RATE',
    fits=lambda text: bool(Bandwidth(text)),
)
