"""What a look into a spool shows."""

import dataclasses
import pathlib

import zope.interface

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
    active: str
