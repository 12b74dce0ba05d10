"""What the application publishes goes into spools, at once: a publication cannot be undone.

Nothing that goes wrong here fails the publication.  It is logged, with the id of the content, and
kept in the spool, to be tried again; `status` shows it.  If not even that is possible, it is kept
in memory, until the spool can be written, or the process ends.

It is tried again after pauses that grow: by the drivers inside of the application, which call
`IPublisher.retry_due`, and by the next publications.
"""

import contextlib
import logging
import time

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
from zeit.cds.pace import pause
from zeit.cds.text import printable
from zeit.cds.wake import tell_failure


log = logging.getLogger(__name__)

#: Longest reason that is kept, in characters.
REASON = 500

#: Seconds after which a publication that failed is due to be tried again, and at most; it doubles.
#: Longer than half an hour no message should wait in a broker: Redis gives it out again after one.
FIRST = 60
LONGEST = 1800

#: Who is woken for it comes so many seconds later: the clocks of two machines are not the same.
GRACE = 5

#: So much of what is due is tried along with a publication, which somebody waits for; and nothing
#: after one that fails, which may have cost a time-out.
ALONG = 10


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

    def __repr__(self):
        return '<Publisher>'

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
        self.retry_due(limit=ALONG)
        return done

    def retry(self, unique_id=None):
        """See `IPublisher`."""
        found = [(name, each) for name, kept in _kept() for each in kept.content()]
        return [
            (failure.unique_id, name, self._retry(failure.unique_id, name))
            for name, failure in found
            if unique_id in (None, failure.unique_id)
        ]

    def retry_due(self, *, limit=None):
        """See `IPublisher`."""
        due = [(each, name) for name, kept in _kept() for each in _due(kept)]
        if zope.component.queryUtility(IContentFinder) is None:
            return []
        done = []
        for each, name in due[:limit]:
            error = self._retry(each, name)
            done.append((each, name, error))
            if error is not None and limit is not None:
                break
        return done

    def _retry(self, unique_id, spool):
        content = None
        try:
            content = _find(unique_id)
            self._put(content, unique_id, spool)
        except _NotHere as error:
            return error
        except Exception as error:  # noqa: BLE001 the application's adapter may raise anything
            log.warning('Still not exported: %s: %s', printable(unique_id), _reason(error))
            log.debug('The reason', exc_info=error)
            self._keep(unique_id, spool, error, found=content is not None)
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
        spool.unpublished.forget(unique_id)
        return files

    def _keep(self, unique_id, name, error, *, found=True):
        """Keep it; of what was not `found` a better reason may be known already."""
        spool = zope.component.queryUtility(ISpool, name=name)
        if spool is None:
            log.critical(
                'Not kept, to be published once more when that is mended: %s: %s',
                printable(unique_id),
                _reason(error),
            )
            return
        try:
            attempts = spool.unpublished.add(unique_id, _reason(error) if found else None)
        except Exception as failure:  # noqa: BLE001 nothing may fail the publication
            log.critical(
                'Kept in the memory of this process only, and tried again by it when the spool can '
                'be written: %s: %s',
                printable(unique_id),
                printable(str(failure)),
            )
        else:
            # Nobody waits for what was deleted.
            if found:
                seconds = pause(attempts, first=FIRST, longest=LONGEST)
                tell_failure(
                    spool, unique_id=unique_id, reason=_reason(error), pause=seconds + GRACE
                )


def _kept():
    """Yield the name of each spool, and its `IUnpublished`, as far as that can be read."""
    for name, spool in zope.component.getUtilitiesFor(ISpool):
        try:
            spool.unpublished.content()
            yield name, spool.unpublished
        except OSError as error:
            log.error('Cannot be read: %r: %s', spool, error.strerror)


def _due(kept):
    """Return the ids of what is to be tried now, those that had to wait for the spool first."""
    saved = []
    with contextlib.suppress(OSError):  # then their time comes like that of the others
        saved = kept.save()
    now = time.time()
    failures = [each for each in kept.content() if each.unique_id not in saved]
    return saved + [
        each.unique_id
        for each in failures
        # A clock that was set back is no reason to wait.
        if not 0 <= now - each.last < pause(each.attempts, first=FIRST, longest=LONGEST)
    ]


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


class _NotHere(ConfigurationError):
    """There is nobody who could find content."""


def _find(unique_id):
    find = zope.component.queryUtility(IContentFinder)
    if find is None:
        raise _NotHere(
            'Content cannot be found here, without the application around it',
            hint='Name a ZCML file that has the application, or let that try again.',
        )
    missing = FileError(
        'There is no content with this id here',
        hint='If it was deleted, `zeit-cds retry --forget ID` gives it up.',
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
