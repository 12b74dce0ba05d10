"""Which files go before others."""

import fnmatch
import math
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

    @property
    def fits(self):
        """The function that tells whether a file of some name has a priority by that, or None."""
        return self._of_name if self._patterns else None

    def of(self, entry):
        """Return the priority of an `IEntry`: its own, if it has one."""
        return entry.priority or self._of_name(entry.name)

    def _of_name(self, name):
        return next((number for fits, number in self._patterns if fits(name)), 0)

    def in_order(self, names, notable):
        """Return `names` with the most urgent first, a list; otherwise their order remains.

        `notable` are the `IEntry` objects of those with a priority, and of what is of the same
        content.  Of one content what came first goes first: it becomes as urgent as what comes
        after it.
        """
        found, of_content = {}, {}
        for entry in sorted(notable, key=lambda each: each.number or math.inf, reverse=True):
            number = self.of(entry)
            if entry.content:
                number = of_content[entry.content] = max(
                    number, of_content.get(entry.content, number)
                )
            found[entry.name] = number
        return sorted(names, key=lambda name: -found.get(name, 0)) if found else names


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
