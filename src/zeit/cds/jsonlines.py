"""Lines of JSON in a file, read in blocks: those that are of interest are parsed, and no others."""

import json
import math
import re

from zeit.cds.text import printable


#: So many bytes of lines are parsed at once.
BLOCK = 32 * 1024


def having(**values):
    """Return the pattern of lines with one of these values: lists, by the names of fields."""
    found = [(json.dumps(field), each) for field, several in values.items() for each in several]
    words = [re.escape(f'{field}: {json.dumps(each)}') for field, each in found]
    return re.compile('|'.join(words).encode('ascii'))


def numbered(file, *, having=None, end=math.inf):
    """Yield (number, entry) of each whole line of a binary file; None for one that is damaged.

    But for the first, lines without the pattern `having` are left out, and not counted.  What is
    behind `end`, the end of a line, is not read.
    """
    number, left = 0, max(0, end - file.tell())
    while data := file.read(BLOCK) + file.readline() if left > BLOCK else file.read(left):
        left -= len(data)
        for entry in _loaded([*_lines(data, having, first=not number)]):
            number += 1
            yield number, entry if isinstance(entry, dict) else None


def _lines(data, having, *, first):
    """Yield the whole lines of a block: what is behind the last end of a line is half a line."""
    if having is None:
        yield from data.split(b'\n')[:-1]
        return
    end = data.find(b'\n') if first else -1
    if end >= 0:
        yield data[:end]
    while found := having.search(data, end + 1):
        start, end = data.rfind(b'\n', 0, found.start()) + 1, data.find(b'\n', found.end())
        if end < 0:
            return
        yield data[start:end]


def verified(file, damaged):
    """Yield what `numbered` does, as far as it is sound; the list `damaged` says what is not."""
    for number, entry in numbered(file):
        if entry is None:
            damaged.append(f'{printable(file.name)}, line {number}: no JSON object')
        else:
            yield number, entry


def _loaded(lines):
    """Return what is in `lines` of JSON, None for one that is damaged: all at once if possible.

    That is faster, and the names of fields are in the memory once.
    """
    try:
        found = json.loads(b'[%s]' % b','.join(lines))
        if len(found) == len(lines):
            return found
    except (ValueError, RecursionError):
        pass
    return [*map(load, lines)]


def load(line):
    """Return what a line of JSON says, None if it is damaged."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
