"""What a look into a spool shows."""

import dataclasses
import functools
import pathlib

import zope.interface

from zeit.cds import files, names
from zeit.cds.errors import NameRefused, SpoolError
from zeit.cds.interfaces import ISpoolStatus
from zeit.cds.text import printable


class SpoolPath(type(pathlib.Path())):
    """The directory of a spool.  A security proxy shows where it is, and no more."""

    @property
    def __Security_checker__(self):  # noqa: N802 the name of zope.security
        from zope.security.checker import NamesChecker

        return NamesChecker(['__str__', 'name'], 'zeit.cds.ViewStatus')


@zope.interface.implementer(ISpoolStatus)
@dataclasses.dataclass(frozen=True, kw_only=True)
class SpoolStatus:
    """See `ISpoolStatus`."""

    path: pathlib.Path
    waiting: list
    ignored: list
    hidden: list
    parked: list
    parked_content: dict
    unpublished: list
    in_doubt: list
    filing: list
    active: str

    @property
    def delivered(self):
        """See `ISpoolStatus`."""
        return self._filed[0]

    @property
    def last_delivered(self):
        """See `ISpoolStatus`."""
        return self._filed[1]

    @property
    def withdrawn(self):
        """See `ISpoolStatus`."""
        return self._newest('withdrawn')[0]

    @functools.cached_property
    def _filed(self):
        """What is in `cur/`: only who asks waits for that."""
        return self._newest('cur')

    def _newest(self, section):
        try:
            return files.newest(self.path / section)
        except FileNotFoundError:
            return 0, None
        except OSError as error:
            where = printable(str(self.path / section))
            raise SpoolError(
                f'The spool cannot be used: {where}: {error.strerror}',
                hint='Check owner and mode.',
            ) from error


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
