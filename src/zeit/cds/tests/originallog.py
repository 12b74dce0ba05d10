"""Looks into the log, compared line by line with what the original document wants to see there.

The document's own comparison, doctest's, is a weak one where the document has a line `...`: it
matches any number of lines, also those that nobody wants.
"""

import dataclasses
import itertools
import logging
import re


TRACEBACK = 'Traceback (most recent call last):'

_OUR_MODULE = re.compile(r'^zeit\.cds(?:\.\w+)*\.(?=\w+: )', re.MULTILINE)


def normalised(got):
    """Return output with the names of our exceptions as Python 2 printed them: no module."""
    return _OUR_MODULE.sub('', got)


class Recorder(logging.Handler):
    """Keeps the records that a handler of the root logger without a level would print."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@dataclasses.dataclass(frozen=True)
class Block:
    """One piece of log: what the document wants, what it got, and the records behind that."""

    line: int
    want: str
    got: str
    records: tuple

    def differences(self):
        """Return what is wrong, line by line, as a list of texts."""
        want, got = _lines(self.want), _lines(normalised(self.got))
        if TRACEBACK in want:
            head, exception = want[: want.index(TRACEBACK)], want[want.index(TRACEBACK) + 2]
        else:
            head, exception = want, None
        found = [f'log: {text}' for text in _compare(head, [r.getMessage() for r in self.records])]
        found += [f'text: {text}' for text in _compare(head, got[: len(head)])]
        raised = [record.exc_info[1] for record in self.records if record.exc_info]
        rest = got[len(head) :]
        if exception is None:
            found += [f'more than the log: {text}' for text in rest]
        elif len(raised) != 1 or not self.records[-1].exc_info:
            found.append(f'not one exception at the end, but {raised!r}')
        else:
            found += _compare_traceback(exception, rest, notes=getattr(raised[0], '__notes__', ()))
        return [f'line {self.line}: {text}' for text in found]


def _lines(text):
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _matches(want, got):
    """Compare two lines; `...` stands for something within the line."""
    return re.fullmatch('.+'.join(re.escape(part) for part in want.split('...')), got) is not None


def _compare(want, got):
    for wanted, line in itertools.zip_longest(want, got):
        if wanted is None:
            yield f'unexpected: {line}'
        elif line is None:
            yield f'missing: {wanted}'
        elif not _matches(wanted, line):
            yield f'wanted: {wanted}, got: {line}'


def _compare_traceback(exception, got, *, notes):
    """Compare frames, exception, notes.  A chain counts from its last member on."""
    if TRACEBACK not in got or got[0] != TRACEBACK:
        yield f'no traceback: {got}'
        return
    last = len(got) - got[::-1].index(TRACEBACK)
    tail = list(itertools.dropwhile(lambda line: line.startswith(' '), got[last:]))
    noted = [line for note in notes for line in note.splitlines()]
    if not any(noted):
        yield 'a note is missing'
    for text in _compare([exception, *noted], tail):
        yield f'exception: {text}'
