"""The values that a run leaves behind: a result for each file, the report, the events."""

import dataclasses
from typing import NamedTuple

import zope.interface

from zeit.cds import errors
from zeit.cds.interfaces import (
    IExchangeFinished,
    IFileExported,
    IFileImported,
    IFilePut,
    IPublicationFailed,
    IReport,
    IResult,
)


#: What a file may have come to, see `IResult`, for which the exit code is `FILES_FAILED`.
_FAILED = frozenset({'failed', 'kept', 'parked'})


@zope.interface.implementer(IResult)
class Result(NamedTuple):
    """See `IResult`."""

    name: str
    status: str
    size: int = 0
    reason: str = ''
    filed_as: str = ''
    content: str = ''
    content_version: str = ''
    seconds: float | None = None


@zope.interface.implementer(IReport)
@dataclasses.dataclass(kw_only=True)
class Report:
    """See `IReport`; filled by the run, a value for everybody else.

    `errors` holds everything that concerned the run and not one file, in the order of time.
    `limited` says that a bound ended it, and more waits.  `due` is when the next embargo ends
    (seconds since the epoch), None without one.
    """

    done: str = 'delivered'
    results: list = dataclasses.field(default_factory=list)
    errors: list = dataclasses.field(default_factory=list)
    limited: bool = False
    due: float | None = None

    @property
    def error(self):
        """See `IReport`: of several the one that decides the exit code."""
        return min(
            self.errors, key=lambda error: errors.PRECEDENCE.index(error.exit_code), default=None
        )

    @property
    def delivered(self):
        return [result.name for result in self.results if result.status == 'delivered']

    @property
    def failed(self):
        found = (each for each in self.results if each.status in _FAILED)
        return [(each.name, each.reason) for each in found]

    @property
    def exit_code(self):
        failed = [errors.FILES_FAILED] if self.failed else []
        return errors.decisive([*failed, *(error.exit_code for error in self.errors)])


@zope.interface.implementer(IFileExported)
class FileExported(NamedTuple):
    """See `IFileExported`."""

    spool: object
    target: object
    result: Result


@zope.interface.implementer(IFileImported)
class FileImported(NamedTuple):
    """See `IFileImported`."""

    spool: object
    target: object
    result: Result


@zope.interface.implementer(IExchangeFinished)
class ExchangeFinished(NamedTuple):
    """See `IExchangeFinished`."""

    spool: object
    target: object
    report: Report


@zope.interface.implementer(IFilePut)
class FilePut(NamedTuple):
    """See `IFilePut`."""

    spool: object
    name: str
    last: bool = True
    content: str = ''
    content_version: str = ''


@zope.interface.implementer(IPublicationFailed)
class PublicationFailed(NamedTuple):
    """See `IPublicationFailed`."""

    spool: object
    unique_id: str
    reason: str
    pause: float
