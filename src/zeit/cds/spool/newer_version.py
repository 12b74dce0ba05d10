"""Which version of a file is the newer one: what keeps an old one from being sent once more.

The numbers tell (`zeit.cds.spool.sequence`), and no clock: times are shown to people only.
"""

import datetime
from typing import NamedTuple

from zeit.cds.errors import FileError
from zeit.cds.journal.history import moment
from zeit.cds.text import from_timestamp, local_time, plural, printable, retry


class Version(NamedTuple):
    """A version of a file, and what became of it, in words.

    `number`: 0 if it is not known; `size` in bytes, `at` a date (aware datetime), both may be None.
    `stored`: its name in `parked/`, if it is there.
    """

    number: int
    size: int | None
    at: datetime.datetime | None
    fate: str = ''
    stored: str = ''

    def __str__(self):
        facts = [
            f'number {self.number}' if self.number else 'without a number',
            '' if self.size is None else plural(self.size, 'byte'),
            '' if self.at is None else local_time(self.at),
        ]
        return ', '.join(filter(None, facts))


def newer(parked, *, waits=None, delivered=None, others=()):
    """Return the newest `Version` that is newer than the `Parked` file, or None.

    `waits`: the `IEntry` of its name in `new/`; `delivered`: the receipt of the newest version that
    was delivered; `others`: the `Parked` files of its name.  If the file has no number, any other
    version is newer.
    """
    found = []
    if waits is not None:
        found.append(_of_entry(waits, waits.number, 'waits in new/ already'))
    if delivered is not None:
        found.append(
            Version(
                number=delivered['sequence'],
                size=delivered['size'] if isinstance(delivered.get('size'), int) else None,
                at=moment(delivered.get('at')),
                fate='was delivered',
            )
        )
    for other in others:
        if other.number > parked.number:
            fate = f'is parked as {printable(other.stored)}'
            found.append(_of_entry(other.entry, other.number, fate, stored=other.stored))
    if parked.number:
        found = [version for version in found if version.number > parked.number]
    return max(found, key=lambda version: version.number, default=None)


def refusal(parked, newer, *, spool):
    """Return the `FileError` for bringing `parked` back while there is a `newer` `Version`.

    `spool` is the path.
    """
    this = _of_entry(parked.entry, parked.number)
    stored = printable(parked.stored)
    hint = f'To send the older one all the same: {retry(spool, parked.stored, older=True)}'
    if newer.stored:
        hint = f'To send the newer one: {retry(spool, newer.stored)}. {hint}'
    return FileError(
        f'{stored} stays parked ({this}): a newer {printable(parked.name)} {newer.fate} ({newer})',
        hint=hint,
    )


def taken(name):
    """Return the `FileError` for bringing back a file whose name is taken by now."""
    return FileError(
        f'{printable(name)} cannot be brought back: its name is taken in new/',
        hint='A newer version that has just come in is delivered by the next run; then look again.',
    )


def _of_entry(entry, number, fate='', stored=''):
    # When it was written: each rename changes the time of an inode.
    at = from_timestamp(entry.version[-1] / 1e9)
    return Version(number=number, size=entry.size, at=at, fate=fate, stored=stored)
