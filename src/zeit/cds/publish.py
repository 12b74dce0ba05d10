"""What the application publishes goes into spools, at once: a publication cannot be undone.

Nothing that goes wrong here fails the publication.  It is logged, with the id of the content, and
kept in the spool, to be tried again; `status` shows it.  If not even that is possible, it is kept
in memory, until the spool can be written, or the process ends.

It is tried again after pauses that grow: by the drivers inside of the application, which call
`IPublisher.retry_due`, and by the next publications.
"""

import contextlib
import functools
import logging
import time

import zope.component
import zope.interface
from zope.interface.interface import InterfaceClass

from zeit.cds import kinds, scope
from zeit.cds.errors import (
    ConfigurationError,
    Error,
    FileError,
    NameRefused,
    SourceUnreadable,
    SpoolBusy,
)
from zeit.cds.history import ago
from zeit.cds.interfaces import (
    IContentFinder,
    IDeliverable,
    IOutbox,
    IPublisher,
    ISpool,
    IVersionedDeliverable,
    IWorkingCopies,
)
from zeit.cds.pace import pause
from zeit.cds.text import printable
from zeit.cds.wake import announce, tell_failure


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

#: Why something is withdrawn.
RETRACTED = 'It was retracted.'

#: Seconds that a publication waits for somebody else who puts the same content; then it is kept.
PATIENCE = 10


def published(content, event):
    """Publish `content` if it is what somebody wanted to publish, and not what depends on that.

    A subscriber for content and an event that has `object` and `master`.
    """
    try:
        if content == event.master:
            zope.component.getUtility(IPublisher).publish(content)
    except Exception:  # noqa: BLE001 content that cannot even be compared may raise anything
        _lost(content)


def retracted(content, event):
    """Withdraw what waits for `content`: a subscriber for content, and an event about it.

    Also if it is retracted only because something else is: it is retracted all the same.
    """
    zope.component.getUtility(IPublisher).retract(content)


def removed(content, event):
    """Do so for content that is removed, if that is not somebody's working copy of it."""
    copies = zope.component.queryUtility(IWorkingCopies)
    if copies is None or not copies.providedBy(event.oldParent):
        retracted(content, event)


def _lost(content):
    log.critical(
        'Not exported, and cannot be tried again: %s', printable(object.__repr__(content)),
        exc_info=True,
    )  # fmt: skip


@zope.interface.implementer(IPublisher)
class Publisher:
    """See `IPublisher`."""

    def __init__(self):
        #: What was not found here: how often, and when last, by spool and id.
        self._missed = {}
        #: What could not be retracted: up to which number, or time, by spool and id.
        self._unretracted = {}

    def __repr__(self):
        return '<Publisher>'

    def publish(self, content):
        """See `IPublisher`."""
        content = _bare(content)
        try:
            unique_id = _id(content)
        except Exception:  # noqa: BLE001 content may raise anything
            _lost(content)
            return []
        adapters = zope.component.getSiteManager().adapters
        found = adapters.lookupAll([zope.interface.providedBy(content)], IDeliverable)
        left = sorted(name for name, _ in found)
        done, told = [], []
        try:
            while left:
                name = left[0]
                try:
                    done += self._put(name, unique_id, told, lambda: content, within=PATIENCE)
                except Exception as error:  # noqa: BLE001 the application's adapter may raise anything
                    log.error(
                        'Not exported: %s to the spool %s: %s',
                        printable(unique_id),
                        printable(repr(name)),
                        _reason(error),
                        exc_info=error,
                    )
                    self._keep(unique_id, name, error, told)
                del left[0]
        except BaseException as error:
            # A signal ends this process: the others know of what it has not come to.
            for name in left:
                self._keep(unique_id, name, error, [])
            raise
        _tell(told)
        self.retry_due(limit=ALONG)
        return done

    def retract(self, content):
        """See `IPublisher`."""
        content = _bare(content)
        try:
            unique_id = _id(content)
        except Exception:  # noqa: BLE001 content may raise anything
            _lost(content)
            return
        for name, spool in zope.component.getUtilitiesFor(ISpool):
            until = ago(0)  # as long as it has no number
            try:
                # Who puts it at this moment has begun before: that does not go either.
                with contextlib.suppress(SpoolBusy), _alone(
                    spool.unpublished, unique_id, within=PATIENCE
                ):
                    pass
                until = spool.latest(new=True)
                failed = functools.partial(self._keep_retraction, name, unique_id, until)
                outbox = zope.component.queryAdapter(spool, IOutbox)
                about = {'until': until, 'failed': failed}
                if outbox is None or not outbox.retract(unique_id, RETRACTED, **about):
                    spool.retract(unique_id, RETRACTED, until=until)
            except Exception as error:  # noqa: BLE001 nothing may fail the retraction
                self._keep_retraction(name, unique_id, until, error)

    def _keep_retraction(self, name, unique_id, until, error):
        self._unretracted[name, unique_id] = until
        log.critical(
            'Not withdrawn yet from the spool %s, and tried again by this process: %s: %s',
            printable(repr(name)),
            printable(unique_id),
            _reason(error),
        )

    def _retract_kept(self, name, unique_id):
        """Try again what could not be retracted before."""
        until = self._unretracted.get((name, unique_id))
        if until is not None:
            spool = zope.component.getUtility(ISpool, name=name)
            if isinstance(until, str):
                until = spool.latest(before=until)
            spool.retract(unique_id, RETRACTED, until=until)
            self._unretracted.pop((name, unique_id), None)

    def retry(self, unique_id=None):
        """See `IPublisher`."""
        found = [(name, each) for name, kept in _kept() for each in kept.content()]
        return [
            (failure.unique_id, name, self._retry(failure, name))
            for name, failure in found
            if unique_id in (None, failure.unique_id)
        ]

    def retry_due(self, *, limit=None):
        """See `IPublisher`."""
        for key in [*self._unretracted]:
            with contextlib.suppress(Error, LookupError):  # it stays
                self._retract_kept(*key)
        due = [(each, name) for name, kept in _kept() for each in self._due(name, kept)]
        if finder() is None:
            return []
        done = []
        for failure, name in due:
            if len(done) == limit:
                break
            error = self._retry(failure, name)
            if isinstance(error, SpoolBusy):
                continue  # somebody is about to do it
            done.append((failure.unique_id, name, error))
            if error is not None and limit is not None:
                break
        return done

    def _due(self, name, kept):
        """Return what is to be tried now, first what had to wait for the spool."""
        saved = []
        with contextlib.suppress(Error):  # then their time comes like that of the others
            saved = kept.save()
        failures = kept.content()
        known = {each.unique_id for each in failures}
        for key in list(self._missed):
            if key[0] == name and key[1] not in known:
                self._missed.pop(key, None)
        return [each for each in failures if each.unique_id in saved] + [
            each for each in failures if each.unique_id not in saved and self._is_due(name, each)
        ]

    def _is_due(self, name, failure):
        attempts, last = self._missed.get((name, failure.unique_id), (0, failure.last))
        seconds = pause(failure.attempts + attempts, first=FIRST, longest=LONGEST)
        # A clock that was set back is no reason to wait.
        return not 0 <= time.time() - max(last, failure.last) < seconds

    def _retry(self, failure, name):
        """Try an `IFailure` of the spool `name` once more; return the error, or None."""
        unique_id, told = failure.unique_id, []
        try:
            self._put(name, unique_id, told, lambda: _found(unique_id), failure=failure)
        except (_NotHere, SpoolBusy) as error:
            return error
        except _NotFound as error:
            self._miss(name, failure, error, told)
            return error
        except Exception as error:  # noqa: BLE001 the application's adapter may raise anything
            log.warning('Still not exported: %s: %s', printable(unique_id), _reason(error))
            log.debug('The reason', exc_info=error)
            self._keep(unique_id, name, error, told)
            return error
        finally:
            _tell(told)
        return None

    def _put(self, name, unique_id, told, find, *, within=0, failure=None):
        """Put the content that `find` returns into the spool `name`.

        Returns a list of the file's name, if it has one; who is to be told of it is added to
        `told`.  Somebody who puts it at this moment is waited for `within` seconds.  A `failure`
        that somebody has settled since needs nothing more.
        """
        spool = zope.component.queryUtility(ISpool, name=name)
        if spool is None:
            raise ConfigurationError(
                f'There is no spool {name!r}',
                hint='An adapter to IDeliverable has the name of a spool.',
            )
        kept = spool.unpublished
        with _alone(kept, unique_id, within=within):
            self._retract_kept(name, unique_id)
            since = _latest(spool)
            known = kept.find(unique_id)
            if failure is not None and known != failure:
                return []

            def is_current():
                """Return whether nobody has published it since, in vain, as we are at work."""
                return failure is None or kept.find(unique_id) == known

            around = scope.around if failure is None else _around
            while True:
                with contextlib.suppress(_Overtaken), around():
                    files = _deliver(find(), unique_id, spool, name, is_current)
                    break
                known = kept.find(unique_id)
            if since is not None and spool.retracted(unique_id, since=since):
                # It has not waited for us, and we have begun before.
                spool.retract(unique_id, RETRACTED, until=spool.latest(new=True))
                return []
            kept.settle(known)
        self._missed.pop((name, unique_id), None)
        if files:
            told.append(functools.partial(announce, spool, files=files))
        return [*files]

    def _miss(self, name, failure, error, told):
        """Remember, in this process only, that the content of a failure was not found."""
        key = name, failure.unique_id
        attempts = self._missed.get(key, (0, 0))[0] + 1
        self._missed[key] = attempts, time.time()
        log.warning(
            'Still not exported: %s: %s', printable(failure.unique_id), _reason(error)
        )
        log.debug('The reason', exc_info=error)
        # Nobody waits for what was deleted.
        if error.__cause__ is not None:
            spool = zope.component.getUtility(ISpool, name=name)
            seconds = pause(failure.attempts + attempts, first=FIRST, longest=LONGEST)
            told.append(_failed(spool, failure.unique_id, error, seconds))

    def _keep(self, unique_id, name, error, told):
        """Keep it, to be tried again; who is to be told is added to `told`."""
        spool = zope.component.queryUtility(ISpool, name=name)
        if spool is None:
            log.critical(
                'Not kept, to be published once more when that is mended: %s: %s',
                printable(unique_id),
                _reason(error),
            )
            return
        try:
            attempts = spool.unpublished.add(unique_id, _reason(error))
        except Exception as failure:  # noqa: BLE001 nothing may fail the publication
            log.critical(
                'Kept in the memory of this process only, and tried again by it when the spool can '
                'be written: %s: %s',
                printable(unique_id),
                printable(str(failure)),
            )
        else:
            seconds = pause(attempts, first=FIRST, longest=LONGEST)
            told.append(_failed(spool, unique_id, error, seconds))


def _failed(spool, unique_id, error, seconds):
    return functools.partial(
        tell_failure, spool, unique_id=unique_id, reason=_reason(error), pause=seconds + GRACE
    )


def _tell(told):
    """Tell everybody, when all is in the spools: what is woken may end this process."""
    for tell in told:
        tell()


def _latest(spool):
    """Return `spool.latest()`, None if that cannot be known."""
    try:
        return spool.latest()
    except (Error, OSError) as error:
        log.debug('No number: %r: %s', spool, error)
        return None


@contextlib.contextmanager
def _alone(kept, unique_id, *, within):
    """Be the only one who puts this content, as far as that can be had."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(kept.alone(unique_id, within=within))
        except OSError as error:
            # To publish twice is better than not at all; what is wrong with the spool, it says.
            log.debug('Not locked: %s: %s', printable(unique_id), error.strerror)
        yield


class _Overtaken(Exception):
    """What is to be put is not what the content is any more."""


def _deliver(content, unique_id, spool, name, is_current):
    """Put `content` into the spool; return its file as `announce` takes it, none if it has none.

    Raises `_Overtaken` if it is not what `is_current` calls so when all of it is read.
    """
    deliverable = zope.component.queryAdapter(content, IDeliverable, name=name)
    if deliverable is None or not deliverable.wanted:
        return {}
    is_versioned = IVersionedDeliverable.providedBy(deliverable)
    told = {'content': unique_id, 'content_version': is_versioned and deliverable.version}
    told, file = kinds.told(told), deliverable.name
    with contextlib.closing(_opened(deliverable)) as data:
        try:
            spool.put(file, _Content(data, is_current), tell=False, **told)
        except NameRefused as error:
            hint = 'The adapter to IDeliverable has given it.'
            raise NameRefused(error.message, hint=hint) from None
    return {file: told}


def _kept():
    """Yield the name of each spool, and its `IUnpublished`, as far as that can be read."""
    for name, spool in zope.component.getUtilitiesFor(ISpool):
        try:
            spool.unpublished.content()
            yield name, spool.unpublished
        except Error as error:
            log.error('Cannot be read: %r: %s', spool, printable(error.message))


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
            raise _Overtaken
        return data


_NO_FILE = 'IDeliverable.open() has to return a binary file, and has returned {}'


def _opened(deliverable):
    file = deliverable.open()
    if not all(callable(getattr(file, method, None)) for method in ('read', 'close')):
        raise TypeError(_NO_FILE.format('None' if file is None else type(file).__name__))
    return file


def _bare(content):
    """Return content without its security proxy: to publish, nobody needs the right to read."""
    try:
        from zope.security.proxy import removeSecurityProxy
    except ImportError:
        return content
    return removeSecurityProxy(content)


def _id(content):
    return str(getattr(content, 'uniqueId', None) or repr(content))


class _NotHere(ConfigurationError):
    """There is nobody who could find content."""


class _NotFound(FileError):
    """The content was not found: there is none, or, with a cause, that could not be told."""


def finder():
    """Return what finds content, None if nobody here does."""
    find = zope.component.queryUtility(IContentFinder)
    if isinstance(find, InterfaceClass):
        adapters = zope.component.getSiteManager().adapters
        if adapters.lookup1(zope.interface.implementedBy(str), find) is None:
            return None
        return functools.partial(find, alternate=None)
    return find


@contextlib.contextmanager
def _looking():
    try:
        yield
    except Exception as error:
        raise _NotFound(
            f'The content could not be looked for: {type(error).__name__}: {error}',
            hint='It is tried again.',
        ) from error


@contextlib.contextmanager
def _around():
    """Return `scope.around()`, without which nothing can be found."""
    with contextlib.ExitStack() as stack:
        with _looking():
            stack.enter_context(scope.around())
        yield


def _found(unique_id):
    """Return the content with this id; raises `_NotHere`, `_NotFound`."""
    find = finder()
    if find is None:
        raise _NotHere(
            'Content cannot be found here, without the application around it',
            hint='Name a ZCML file that has the application, or let that try again.',
        )
    with _looking():
        content = find(unique_id)
    if content is None:
        raise _NotFound(
            'There is no content with this id here',
            hint='If it was deleted, `zeit-cds retry --forget ID` gives it up.',
        )
    return content


def _reason(error):
    """Return one line that says what happened."""
    text = error.advice if isinstance(error, Error) else f'{type(error).__name__}: {error}'
    return printable(text, limit=REASON)
