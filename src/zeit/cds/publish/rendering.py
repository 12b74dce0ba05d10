"""How content becomes a file of a spool, as its adapter to `IDeliverable` wants it."""

import contextlib

import zope.component

from zeit.cds.errors import NameRefused, SourceUnreadable
from zeit.cds.interfaces import IDeliverable, ITimedDeliverable, IVersionedDeliverable
from zeit.cds.journal import kinds


class Overtaken(Exception):
    """What is to be put is not what the content is any more."""


def notice(deliverable):
    """Return (name, content, version) of an `IDeliverable` that tells of a retraction; reads it."""
    with contextlib.closing(opened(deliverable)) as file:
        data = file.read()
    if not isinstance(data, bytes):
        raise TypeError(_NO_FILE.format(f'{type(file).__name__}, which has text'))
    version = IVersionedDeliverable.providedBy(deliverable) and deliverable.version
    return deliverable.name, data, kinds.told({'content_version': version}).get('content_version')


def deliver(content, unique_id, spool, name, is_current):
    """Put `content` into the spool; return its file as `announce` takes it, none if it has none.

    Raises `Overtaken` if it is not what `is_current` calls so when all of it is read.
    """
    deliverable = zope.component.queryAdapter(content, IDeliverable, name=name)
    if deliverable is None or not deliverable.wanted:
        return {}
    is_versioned = IVersionedDeliverable.providedBy(deliverable)
    told = {'content': unique_id, 'content_version': is_versioned and deliverable.version}
    told, file = kinds.told(told), deliverable.name
    timed = {}
    if ITimedDeliverable.providedBy(deliverable):
        timed = {field: getattr(deliverable, field) for field in kinds.SCHEDULE}
        timed['priority'] = timed['priority'] or 0
    with contextlib.closing(opened(deliverable)) as data:
        try:
            spool.put(file, _Content(data, is_current), tell=False, **told, **timed)
        except NameRefused as error:
            hint = 'The adapter to IDeliverable has given it.'
            raise NameRefused(error.message, hint=hint) from None
    return {file: told}


class _Content:
    """A binary file of the application, whose errors are not those of the spool."""

    def __init__(self, file, is_current):
        self._file = file
        self._is_current = is_current

    def read(self, size):
        try:
            data = self._file.read(size)
        except OSError as error:
            raise SourceUnreadable(f'The content cannot be read: {error}') from error
        if isinstance(data, str):
            raise TypeError(_NO_FILE.format(f'{type(self._file).__name__}, which has text'))
        if not data and not self._is_current():
            raise Overtaken
        return data


_NO_FILE = 'IDeliverable.open() has to return a binary file, and has returned {}'


def opened(deliverable):
    """Return the content of an `IDeliverable`, a binary file; raises TypeError if it is none."""
    file = deliverable.open()
    if not all(callable(getattr(file, method, None)) for method in ('read', 'close')):
        raise TypeError(_NO_FILE.format('None' if file is None else type(file).__name__))
    return file
