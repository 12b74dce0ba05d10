"""What a look into a spool shows."""

import dataclasses
import pathlib

import zope.interface

from zeit.cds import names
from zeit.cds.errors import NameRefused
from zeit.cds.interfaces import ISpoolStatus


@zope.interface.implementer(ISpoolStatus)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """See `ISpoolStatus`."""

    path: pathlib.Path
    waiting: list
    ignored: list
    hidden: list
    delivered: int
    last_delivered: tuple | None
    parked: list
    unpublished: list
    in_doubt: list
    filing: list
    active: str


def by_name(found, ignored):
    """Return what is in `new/` like `Spool.pending`, but what no server gets is ignored as well."""
    waiting, refused = [], []
    for entry in found:
        try:
            names.check(entry.name)
            waiting.append(entry)
        except NameRefused as error:
            reason = f'is refused: {error.message[:1].lower()}{error.message[1:]}'
            refused.append((entry.name, reason))
    return waiting, sorted([*ignored, *refused])
