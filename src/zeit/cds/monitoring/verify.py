"""What `zeit-cds journal verify` does: it reads all that a spool remembers, for what is damaged."""

import contextlib
import os

from zeit.cds.errors import SpoolError
from zeit.cds.journal import append_log, creation_time, journal, line_format
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.system import files
from zeit.cds.text import plural, printable


def require_there(spool):
    """Raise `SpoolError` if there is no spool, or one of another build."""
    # What a partner of several has is made by its first run: until then nothing has happened there.
    path = (getattr(spool, 'shared', None) or spool).path
    where = printable(str(path))
    try:
        there = files.is_directory(path)
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
    entries, damaged, accepted = _journal(private)
    months, lines, further = journal.history(private).verify()
    since = f' from {months[0]} to {months[-1]}' if months else ''
    there = f'{plural(entries, "line")} in the journal, {lines} in the history{since}'
    known = 0
    for month, found in further.items():
        if len(found) <= accepted.get(month, 0):
            known += len(found)
        else:
            damaged += found
    if known:
        there += f', {known} of them damaged, as was acknowledged'
    return there, damaged


def acknowledge(spool):
    """Let nobody be told any more of what is damaged or missing now.

    Raises `SpoolError`, `SpoolBusy`.
    """
    with spool.run(acknowledges=True):
        *_, damaged = spool.journal.history.verify()
        months = {month: len(found) for month, found in damaged.items() if found}
        if months != (spool.journal.row('accepted') or {'months': {}})['months']:
            spool.journal.note('accepted', months=months)


def _was_used(path):
    """Return whether something was delivered from the spool at `path`, or put away."""
    for section in ('cur', 'parked', 'withdrawn'):
        with contextlib.suppress(FileNotFoundError):
            if os.listdir(os.path.join(path, section)):
                return True
    return False


def _journal(private):
    """Return (how many entries there are, what is damaged, what is accepted of the history)."""
    path = os.path.join(private, journal.JOURNAL, append_log.NAME)
    found, entries, damaged = journal.Journal(private), 0, []
    with contextlib.ExitStack() as stack:
        stack.enter_context(append_log.translated(path))
        stack.enter_context(contextlib.suppress(FileNotFoundError))
        file = stack.enter_context(files.open_regular(path))
        for number, entry in line_format.verified(file, damaged):
            entries += 1
            try:
                if number == 1:
                    if entry['kind'] != 'journal':
                        raise ValueError(entry)
                    found.log.is_own = creation_time.is_own(entry, path, os.path.dirname(path))
                found.know(entry)
            except (KeyError, TypeError, ValueError):
                where = f'{printable(path)}, line {number}'
                damaged.append(f'{where}: it lacks what an entry of its kind needs')
    if lines := (found.row('damage') or {'lines': 0})['lines']:
        damaged.append(f'{printable(path)}: {plural(lines, "line")} skipped')
    row = found.damage() or {'missing': []}
    damaged += [f'{printable(private)}: {each} is missing' for each in row['missing']]
    if found.is_restored:
        damaged.append(f'{printable(private)} was copied, or restored from a backup')
    if not os.path.lexists(private) and _was_used(os.path.dirname(private)):
        damaged.append(f'There is no {printable(private)}: nothing is known of what was delivered')
    for url in found.disowned:
        damaged.append(
            f'{printable(path)}: "zeit-cds adopt" decides about what the original of this copy '
            f'left on {printable(url)}'
        )
    return entries, damaged, (found.row('accepted') or {'months': {}})['months']
