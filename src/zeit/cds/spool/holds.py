"""What is held: it waits, and no run sends it before a person releases it.

A hold is a row of the journal, about a file by its name or, by the name '', about all of the spool.
Whoever holds waits for no run: one that is sending the file looks behind its own line of the
journal, which says that the upload is complete, and so one of the two comes first.  What is held is
not delivered, and gets old as all that waits: monitoring tells of it.
"""

from zeit.cds import names
from zeit.cds.errors import FileError, Held, NameRefused
from zeit.cds.spool.withdrawal import is_under_way
from zeit.cds.text import printable


#: The name of a hold that is about all files.
ALL = ''


def hold(journal, name, reason):
    """Hold what has the `name`, now and later; return whether one that is under way may go still.

    `journal` is locked, and knows what is written about the name.  Raises `FileError`.
    """
    if name != ALL:
        try:
            names.check(name)
        except NameRefused as error:
            raise FileError(f'{printable(name)} cannot be held: {error.message}') from None
    about = {'name': name, 'reason': reason}
    journal.record('held', about)
    journal.note('held', **about)
    return is_under_way(name, journal)


def release(journal, name):
    """Release what is held by this `name`; return whether it was."""
    if journal.row('held', name) is None:
        return False
    journal.record('released', {'name': name})
    journal.note('released', name=name)
    return True


def held(journal, name):
    """Return the `Held` of the file `name`, or None."""
    for each in (ALL, name):
        row = journal.row('held', each)
        if row is not None:
            found = Held(row['reason'] if each else f'The whole spool is held: {row["reason"]}')
            found.everything = each == ALL
            return found
    return None


def require_free(journal, name):
    """Raise `Held` if the file `name` is held."""
    found = held(journal, name)
    if found is not None:
        raise found
