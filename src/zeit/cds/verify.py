"""What `zeit-cds journal verify` does: it reads all that a spool remembers, for what is damaged."""

import contextlib
import os

from zeit.cds import files, journal, jsonlines, jsonlog
from zeit.cds.errors import SpoolError
from zeit.cds.filing import PRIVATE
from zeit.cds.text import plural, printable


def require_there(spool):
    """Raise `SpoolError` if there is no spool, or one of another build."""
    where = printable(str(spool.path))
    try:
        there = files.is_directory(spool.path)
    except OSError as error:
        hint = files.remedy(error) or 'Check owner and mode.'
        raise SpoolError(f'{where} cannot be read: {error.strerror}', hint=hint) from error
    if not there:
        hint = 'The path is wrong, or a disk is not mounted.'
        raise SpoolError(f'There is no spool at {where}', hint=hint)
    journal.require_current(os.path.join(spool.path, PRIVATE))


def verify(spool):
    """Return (what there is, what is damaged): a line, and a list of lines, for people.

    It only reads, and waits for no run.  Raises `SpoolError`.
    """
    require_there(spool)
    private = os.path.join(spool.path, PRIVATE)
    entries, damaged = _journal(private)
    months, lines, further = journal.history(private).verify()
    since = f' from {months[0]} to {months[-1]}' if months else ''
    there = f'{plural(entries, "line")} in the journal, {lines} in the history{since}'
    return there, damaged + further


def acknowledge(spool):
    """Let nobody be told any more of damage to the journal that a run has met.

    Raises `SpoolError`, `SpoolBusy`.
    """
    with spool.run():
        if spool.journal.row('damage'):
            spool.journal.note('acknowledged')


def _journal(private):
    """Return (how many entries there are, what is damaged)."""
    path = os.path.join(private, journal.JOURNAL, jsonlog.NAME)
    found, entries, damaged = journal.Journal(private), 0, []
    with contextlib.ExitStack() as stack:
        stack.enter_context(jsonlog.translated(path))
        stack.enter_context(contextlib.suppress(FileNotFoundError))
        file = stack.enter_context(files.open_regular(path))
        for number, entry in jsonlines.verified(file, damaged):
            entries += 1
            try:
                if number == 1 and entry['kind'] != 'journal':
                    raise ValueError(entry)
                found.know(entry)
            except (KeyError, TypeError, ValueError):
                where = f'{printable(path)}, line {number}'
                damaged.append(f'{where}: it lacks what its kind needs')
    if lines := (found.row('damage') or {'lines': 0})['lines']:
        damaged.append(f'{printable(path)}: {plural(lines, "line")} were left out')
    row = found.damage() or {'missing': []}
    damaged += [f'{printable(private)}: {each} is missing' for each in row['missing']]
    for url in found.disowned:
        damaged.append(
            f'{printable(path)}: what the original of this copy has left on {printable(url)} waits '
            'for "zeit-cds adopt"'
        )
    return entries, damaged
