"""The values that a run leaves behind: a result for each file, the report, the events."""

import dataclasses
import types

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


#: A file's exit code by its status.
_EXIT_CODES = types.MappingProxyType(
    {
        'delivered': errors.DONE,
        'planned': errors.DONE,
        'gone': errors.DONE,
        'withdrawn': errors.DONE,
        'skipped': errors.DONE,
        'parked': errors.FILES_FAILED,
        'kept': errors.FILES_FAILED,
        'failed': errors.FILES_FAILED,
    }
)


@zope.interface.implementer(IResult)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """See `IResult`."""

    name: str
    status: str
    size: int = 0
    reason: str = ''
    filed_as: str = ''
    content: str = ''
    content_version: str = ''


@zope.interface.implementer(IReport)
@dataclasses.dataclass(kw_only=True)
class Report:
    """See `IReport`; filled by the run, a value for everybody else.

    `errors` holds everything that concerned the run and not one file, in the order of time.
    `limited` says that a bound ended it, and more waits.
    """

    done: str = 'delivered'
    results: list = dataclasses.field(default_factory=list)
    errors: list = dataclasses.field(default_factory=list)
    limited: bool = False

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
        return [
            (result.name, result.reason)
            for result in self.results
            if _EXIT_CODES[result.status] != errors.DONE
        ]

    @property
    def exit_code(self):
        codes = {_EXIT_CODES[result.status] for result in self.results}
        codes.update(error.exit_code for error in self.errors)
        return errors.decisive(codes)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _ExchangeEvent:
    spool: object
    target: object


@zope.interface.implementer(IFileExported)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileExported(_ExchangeEvent):
    """See `IFileExported`."""

    result: Result


@zope.interface.implementer(IFileImported)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileImported(_ExchangeEvent):
    """See `IFileImported`."""

    result: Result


@zope.interface.implementer(IExchangeFinished)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeFinished(_ExchangeEvent):
    """See `IExchangeFinished`."""

    report: Report


@zope.interface.implementer(IFilePut)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FilePut:
    """See `IFilePut`."""

    spool: object
    name: str
    last: bool = True
    content: str = ''
    content_version: str = ''


@zope.interface.implementer(IPublicationFailed)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PublicationFailed:
    """See `IPublicationFailed`."""

    spool: object
    unique_id: str
    reason: str
    pause: float
