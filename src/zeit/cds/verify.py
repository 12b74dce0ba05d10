"""What `zeit-cds journal verify` does: it reads all that a spool remembers, for what is damaged."""

import os

from zeit.cds import files, jsonlog
from zeit.cds.errors import SpoolError
from zeit.cds.filing import PRIVATE
from zeit.cds.journal import HISTORY, JOURNAL, Journal, history, require_current
from zeit.cds.text import plural, printable


def verify(spool):
    """Return (what there is, what is damaged): a line, and a list of lines, for people.

    It only reads, and waits for no run.  Raises `SpoolError`.
    """
    private = os.path.join(spool.path, PRIVATE)
    require_current(private)
    damaged = []
    try:
        entries = _journal(private, damaged)
        months, lines = _history(private, damaged)
    except OSError as error:
        where = printable(os.fsdecode(error.filename or private))
        raise SpoolError(
            f'{where} cannot be read: {error.strerror}',
            hint=files.remedy(error) or 'Check owner and mode of .cds and of what is in it.',
        ) from error
    since = f' from {months[0]} to {months[-1]}' if months else ''
    return f'{plural(entries, "line")} in the journal, {lines} in the history{since}', damaged


def acknowledge(spool):
    """Let nobody be told any more of damage to the journal that a run has met.

    Raises `SpoolError`, `SpoolBusy`.
    """
    with spool.run():
        if spool.journal.row('damage'):
            spool.journal.note('acknowledged')


def _journal(private, damaged):
    """Return how many entries there are; add to `damaged`."""
    path = os.path.join(private, JOURNAL, jsonlog.NAME)
    found, entries = Journal(private), 0
    if not os.path.lexists(path):
        return 0
    for number, entry in _lines(path, damaged):
        entries += 1
        try:
            if number == 1 and entry['kind'] != 'journal':
                raise ValueError(entry)
            found.know(entry)
        except (KeyError, TypeError, ValueError):
            damaged.append(f'{printable(path)}, line {number}: it lacks what its kind needs')
    if row := found.row('damage'):
        number = plural(row['lines'], 'line')
        damaged.append(f'{printable(path)}: {number} could not be read, and were left out')
    for url in found.disowned:
        damaged.append(
            f'{printable(path)}: what the original of this copy has left on {printable(url)} waits '
            'for "zeit-cds adopt"'
        )
    return entries


def _history(private, damaged):
    """Return (months, number of lines); add to `damaged`."""
    months, lines = history(private).months(), 0
    for month in months:
        path = os.path.join(private, HISTORY, f'{month}.jsonl')
        for _, entry in _lines(path, damaged):
            lines += 1
            before = entry.get('before')
            if entry.get('kind') == 'month' and before and before not in months:
                if before > months[0]:  # what is older was removed on purpose
                    damaged.append(f'{printable(path)}: the month before, {before}, is missing')
    return months, lines


def _lines(path, damaged):
    """Yield (number, entry) of what is sound in a file."""
    with files.open_regular(path) as file:
        for number, entry in jsonlog.numbered(file):
            if entry is None:
                damaged.append(f'{printable(path)}, line {number}: no JSON object')
            else:
                yield number, entry
