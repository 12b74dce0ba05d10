"""Which files go before others."""

import fnmatch
import re

from zeit.cds.option_types import Kind


class Urgency:
    """What a text such as `breaking-*=10 archive-*=-10` says about files by their names.

    The first pattern that fits counts; None has none.  Raises ValueError for what is none of this.
    """

    def __init__(self, text):
        self._text = text
        self._patterns = [_parsed(each) for each in (text or '').split()]

    def __repr__(self):
        return f'<Urgency {self._text}>'

    def of(self, entry):
        """Return the priority of an `IEntry`: its own, if it has one."""
        if entry.priority or not self._patterns:
            return entry.priority
        found = (number for fits, number in self._patterns if fits(entry.name))
        return next(found, 0)

    def in_order(self, entries):
        """Return `entries` with the most urgent first; otherwise their order remains.

        `entries` is a list of `IEntry`.  Of one content what came first goes first: it becomes as
        urgent as what comes after it.
        """
        if not (self._patterns or any(entry.priority for entry in entries)):
            return entries
        found, of_content = {}, {}
        for entry in sorted(entries, key=lambda each: each.number, reverse=True):
            number = self.of(entry)
            if entry.content:
                number = of_content[entry.content] = max(
                    number, of_content.get(entry.content, number)
                )
            found[entry.name] = number
        return sorted(entries, key=lambda each: -found[each.name])


def _parsed(text):
    pattern, equals, number = text.rpartition('=')
    if not (pattern and equals and re.fullmatch(r'-?\d{1,4}', number, re.ASCII)):
        raise ValueError(text)
    return re.compile(fnmatch.translate(pattern)).match, int(number)


#: A text that an `Urgency` understands.
URGENCY = Kind(
    'patterns with numbers, such as "breaking-*=10 archive-*=-10"',
    'PATTERNS',
    fits=lambda text: bool(text.split()) and bool(Urgency(text)),
)
