"""What the application publishes goes into spools, at once: a publication cannot be undone.

Nothing that goes wrong here fails the publication.  It is logged, with the id of the content, and
kept in the spool, to be tried again; `status` shows it.  If not even that is possible, it is kept
in memory, until the process ends.
"""

import contextlib
import logging

import zope.component
import zope.interface

from zeit.cds.errors import (
    ConfigurationError,
    Error,
    FileError,
    NameRefused,
    SourceUnreadable,
)
from zeit.cds.interfaces import IContentFinder, IDeliverable, IPublisher, ISpool
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Longest reason that is kept, in characters.
REASON = 500


def published(content, event):
    """Publish `content` if it is what somebody wanted to publish, and not what depends on that.

    A subscriber for content and an event that has `object` and `master`.
    """
    try:
        if content == event.master:
            zope.component.getUtility(IPublisher).publish(content)
    except Exception:  # noqa: BLE001 content that cannot even be asked for its id may raise anything
        log.critical(
            'Not exported, and cannot be tried again: %s', printable(object.__repr__(content)),
            exc_info=True,
        )  # fmt: skip


@zope.interface.implementer(IPublisher)
class Publisher:
    """See `IPublisher`."""

    def __init__(self):
        #: What could not even be kept: the reason by (name of the spool, id).
        self._homeless = {}

    def __repr__(self):
        return f'<Publisher, {len(self._homeless)} kept in memory>'

    def publish(self, content):
        """See `IPublisher`."""
        unique_id = _id(content)
        adapters = zope.component.getSiteManager().adapters
        spools = [
            name
            for name, _ in adapters.lookupAll([zope.interface.providedBy(content)], IDeliverable)
        ]
        done = []
        for spool in sorted(spools):
            try:
                done += self._put(content, unique_id, spool)
            except Exception as error:  # noqa: BLE001 the application's adapter may raise anything
                log.error(
                    'Not exported: %s to the spool %s: %s',
                    printable(unique_id),
                    printable(repr(spool)),
                    _reason(error),
                    exc_info=error,
                )
                self._keep(unique_id, spool, error)
        return done

    def retry(self, unique_id=None):
        """See `IPublisher`."""
        return [
            (each, spool, self._retry(each, spool))
            for each, spool in self._kept()
            if unique_id in (None, each)
        ]

    def _kept(self):
        """Return what is kept, a list of (id, name of the spool), each once."""
        found = []
        for name, spool in zope.component.getUtilitiesFor(ISpool):
            try:
                found += [(failure.unique_id, name) for failure in spool.unpublished.content()]
            except OSError as error:
                log.error('Cannot be read: %r: %s', spool, error.strerror)
        return [*dict.fromkeys([*found, *((each, name) for name, each in [*self._homeless])])]

    def _retry(self, unique_id, spool):
        content = None
        try:
            content = _find(unique_id)
            self._put(content, unique_id, spool)
        except Exception as error:  # noqa: BLE001 the application's adapter may raise anything
            log.warning('Still not exported: %s: %s', printable(unique_id), _reason(error))
            log.debug('The reason', exc_info=error)
            # Not to be found is no further failure: perhaps the application is not here.
            if content is not None:
                self._keep(unique_id, spool, error)
            return error
        return None

    def _put(self, content, unique_id, name):
        """Put `content` into the spool `name`; return a list of the file's name, if it has one."""
        spool = zope.component.queryUtility(ISpool, name=name)
        if spool is None:
            raise ConfigurationError(
                f'There is no spool {name!r}',
                hint='An adapter to IDeliverable has the name of a spool.',
            )
        deliverable = zope.component.queryAdapter(content, IDeliverable, name=name)
        files = []
        if deliverable is not None and deliverable.wanted:
            file = deliverable.name
            with contextlib.closing(_opened(deliverable)) as data:
                _put(spool, file, data)
            files.append(file)
        self._homeless.pop((name, unique_id), None)
        spool.unpublished.forget(unique_id)
        return files

    def _keep(self, unique_id, name, error):
        try:
            zope.component.getUtility(ISpool, name=name).unpublished.add(unique_id, _reason(error))
        except Exception as failure:  # noqa: BLE001 nothing may fail the publication
            self._homeless[name, unique_id] = _reason(error)
            log.critical(
                'It is tried again as long as this process lives, but cannot be kept in the spool: '
                '%s: %s',
                printable(unique_id),
                printable(str(failure)),
            )
        else:
            self._homeless.pop((name, unique_id), None)


class _Content:
    """A binary file of the application, whose errors are not those of the spool."""

    def __init__(self, file):
        self._file = file

    def read(self, size):
        try:
            data = self._file.read(size)
        except OSError as error:
            raise SourceUnreadable(f'The content cannot be read: {error}') from error
        if isinstance(data, str):
            raise TypeError(_NO_FILE.format(f'{type(self._file).__name__}, which has text'))
        return data


_NO_FILE = 'IDeliverable.open() has to return a binary file, and has returned {}'


def _opened(deliverable):
    file = deliverable.open()
    if not all(callable(getattr(file, method, None)) for method in ('read', 'close')):
        raise TypeError(_NO_FILE.format('None' if file is None else type(file).__name__))
    return file


def _put(spool, name, data):
    try:
        spool.put(name, _Content(data))
    except NameRefused as error:
        raise NameRefused(error.message, hint='The adapter to IDeliverable has given it.') from None


def _id(content):
    return str(getattr(content, 'uniqueId', None) or repr(content))


def _find(unique_id):
    find = zope.component.queryUtility(IContentFinder)
    if find is None:
        raise ConfigurationError(
            'Content cannot be found here', hint='Only the application around it can try again.'
        )
    missing = FileError(
        'There is no content with this id here',
        hint='If it was deleted, `zeit-cds retry --forget` gives it up.',
    )
    try:
        content = find(unique_id)
    except (TypeError, LookupError) as error:
        raise missing from error
    if content is None:
        raise missing
    return content


def _reason(error):
    """Return one line that says what happened."""
    text = error.advice if isinstance(error, Error) else f'{type(error).__name__}: {error}'
    return printable(text, limit=REASON)
