"""Lines of JSON in a file: written all or none, and read in blocks, which are parsed as needed."""

import contextlib
import json
import math
import os
import re

from zeit.cds.system import files
from zeit.cds.text import printable


#: How many bytes of lines are parsed at once.
BLOCK = 32 * 1024

#: What is longer is no line, but a hole of a damaged disk, perhaps; it is never read as a whole.
LONGEST = 1024 * 1024

#: Lines with one of more values than this are not found by a regular expression: that tries each.
FEW = 50

#: The field of the largest number that a version has so far.
LARGEST = 'largest'


def append(descriptor, data, *, durable=True):
    """Add `data` (bytes), whole lines, to the file with this descriptor: all of it, or nothing.

    What is to be `durable` is on the disk on return.  Else it survives a kill, and a loss of power
    when later lines do.  Raises OSError.
    """
    size = os.fstat(descriptor).st_size
    try:
        _write(descriptor, data)
        if durable:
            os.fsync(descriptor)
    except BaseException:  # also for a signal
        # What failed must not be found: nobody would write it again.
        with contextlib.suppress(OSError):
            # Unless there is a line of somebody else, too, where no lock keeps others away.
            written = os.pread(descriptor, len(data) + 1, size)
            if written and data.startswith(written):
                os.ftruncate(descriptor, size)
        raise


def _write(descriptor, data):
    # One call, unless there is no room: lines of others come before all of it, or behind.
    while data:
        data = data[os.write(descriptor, data) :]


def having(**values):
    """Return the pattern of lines with one of these values: lists, by the names of fields."""
    found = [(json.dumps(field), each) for field, several in values.items() for each in several]
    if len(values) == 1 and len(found) > FEW:
        return _Many(*values.items())
    words = [re.escape(f'{field}: {json.dumps(each)}') for field, each in found]
    return re.compile('|'.join(words).encode('ascii'))


class _Many:
    """Like the pattern of lines whose field, a text, has one of many values."""

    def __init__(self, about):
        field, several = about
        self._field = re.compile(rb'%b: ("(?:[^"\\]|\\.)*")' % json.dumps(field).encode('ascii'))
        self._several = {json.dumps(each).encode('ascii') for each in several}

    def __repr__(self):
        return f'<{len(self._several)} values of {self._field.pattern}>'

    def search(self, data, start):
        """See `re.Pattern.search`."""
        found = self._field.finditer(data, start)
        return next((each for each in found if each[1] in self._several), None)


def numbered(file, *, having=None, end=math.inf):
    """Yield (number, entry) of each whole line of a binary file; None for one that is damaged.

    But for the first, lines without the pattern `having` are left out, and not counted.  What is
    behind `end`, the end of a line, is not read.
    """
    number, left = 0, max(0, end - file.tell())
    while data := file.read(min(BLOCK, left)):
        data += file.readline(min(LONGEST, left - len(data)))
        left -= len(data)
        if not data.endswith(b'\n') and left:
            data, skipped = _without_a_hole(file, data, left)
            left -= skipped
        for entry in _loaded([*_lines(data, having, first=not number)]):
            number += 1
            yield number, entry if isinstance(entry, dict) else None


def _without_a_hole(file, data, left):
    """Return `data` with a damaged line for the part of a line at its end, and what was skipped.

    That is the rest of the line, in bytes, at most `left`.  Half a line stays what it is.
    """
    skipped, piece = 0, b'-'
    while piece and not piece.endswith(b'\n'):
        piece = file.readline(min(LONGEST, left - skipped))
        skipped += len(piece)
    whole = data[: data.rfind(b'\n') + 1]
    return (whole + b'-\n' if piece else whole), skipped


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


def blocks(descriptor, *, end, size=LONGEST):
    """Yield what is before `end` in blocks of lines of about `size`, the last ones first.

    Each is (where it begins in the file, bytes).  `end` is the end of a line.  Raises OSError.
    """
    rest = b''
    while end:
        start = max(0, end - size)
        data = os.pread(descriptor, end - start, start) + rest
        cut = (data.find(b'\n') + 1 or len(data)) if start else 0
        # A hole, perhaps, is read once, and not kept.
        rest, end = data[:cut] if cut < LONGEST else b'', start
        yield start + cut, data[cut:]


def reverse(descriptor, having):
    """Yield the entries of whole lines `having` a pattern, the last one first; None: it is damaged.

    Raises OSError.
    """
    for _, block in blocks(descriptor, end=files.end_of_lines(descriptor), size=BLOCK):
        yield from reversed(_loaded([*_lines(block, having, first=False)]))


def backwards(block, needle):
    """Yield the lines of `block` that have `needle` (both bytes), the last one first."""
    at = len(block)
    while (at := block.rfind(needle, 0, at)) >= 0:
        start = block.rfind(b'\n', 0, at) + 1
        end = block.find(b'\n', at)
        yield block[start : len(block) if end < 0 else end]
        at = start


def largest_in(blocks):
    """Return the largest number so far, as the last line of `blocks` that has it tells, or None."""
    for block in blocks:
        for line in backwards(block, f'"{LARGEST}": '.encode('ascii')):
            number = (load(line) or {}).get(LARGEST)
            if type(number) is int:
                return number
    return None


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
    """Return what a line says, a dictionary, None if it is damaged."""
    if not line:  # two have written at once, see `History.add`
        return {}
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
