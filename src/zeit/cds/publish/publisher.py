"""What the application publishes goes into spools, at once: a publication cannot be undone.

Nothing that goes wrong here fails the publication.  It is logged, with the id of the content, and
kept in the spool, to be tried again; `status` shows it.  If not even that is possible, it is kept
in memory, until the spool can be written, or the process ends.

It is tried again after pauses that grow, by the drivers, which call `IPublisher.retry_due`.  Who is
in a transaction sees what was when that began; so a failure is settled by an attempt only that has
a transaction of its own, begun when that of the failure was committed.
"""

import contextlib
import functools
import logging
import time

import zope.component
import zope.interface

from zeit.cds import scope
from zeit.cds.errors import ConfigurationError, Error, SpoolBusy
from zeit.cds.interfaces import IDeliverable, IOutbox, IPublisher, ISpool, IWorkingCopies
from zeit.cds.journal.history import ago
from zeit.cds.publish import finding
from zeit.cds.publish.rendering import Overtaken, deliver
from zeit.cds.publish.retraction_adapter import DELETE, NOTICE, RETRACTED, answer, spools
from zeit.cds.spool.wake import announce, tell_failure, wake, wake_in
from zeit.cds.text import printable
from zeit.cds.values.backoff import pause


log = logging.getLogger(__name__)

#: Longest reason that is kept, in characters.
REASON_CHARACTERS = 500

#: Seconds after which a publication that failed is due to be tried again, and at most; it doubles.
#: Longer than half an hour no message should wait in a broker: Redis gives it out again after one.
FIRST_SECONDS = 60
LONGEST_SECONDS = 1800

#: Who is woken for it comes so many seconds later: the clocks of two machines are not the same.
CLOCK_SECONDS = 5

#: Seconds that a publication waits for somebody else who puts the same content; then it is kept.
WAIT_SECONDS = 10


def pause_after(attempts):
    """Return after how many seconds what has failed so often is due to be tried again."""
    return pause(attempts, first=FIRST_SECONDS, longest=LONGEST_SECONDS)


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
        'Not exported, and cannot be retried: %s', printable(object.__repr__(content)),
        exc_info=True,
    )  # fmt: skip


@zope.interface.implementer(IPublisher)
class Publisher:
    """See `IPublisher`."""

    def __init__(self):
        #: What was not found here: how often, and when last, by spool and id.
        self._missed = {}

    def __repr__(self):
        return '<Publisher>'

    def publish(self, content):
        """See `IPublisher`."""
        content, unique_id = _identified(content)
        if unique_id is None:
            return []
        adapters = zope.component.getSiteManager().adapters
        found = adapters.lookupAll([zope.interface.providedBy(content)], IDeliverable)
        left = sorted(name for name, _ in found)
        done, later = [], []
        try:
            while left:
                name = left[0]
                try:
                    done += self._put(name, unique_id, later, lambda: content, within=WAIT_SECONDS)
                except Exception as error:  # noqa: BLE001 the application's adapter may raise anything
                    log.error(
                        'Not exported: %s to the spool %s: %s',
                        printable(unique_id),
                        printable(repr(name)),
                        _reason(error),
                        exc_info=error,
                    )
                    self._keep(unique_id, name, error, later)
                del left[0]
        except BaseException as error:
            # A signal ends this process: the others know of what it has not come to.
            for name in left:
                self._keep(unique_id, name, error, [])
            raise
        for name, kept in _kept():
            with contextlib.suppress(Error):  # then it stays in memory
                if kept.save():
                    spool = zope.component.getUtility(ISpool, name=name)
                    later.append(functools.partial(wake_in, spool, FIRST_SECONDS + CLOCK_SECONDS))
        _call(later)
        return done

    def retract(self, content):
        """See `IPublisher`."""
        content, unique_id = _identified(content)
        if unique_id is None:
            return
        later, left, until = [], spools(), ago(0)
        try:
            while left:
                self._retract(*left[0], unique_id, content, later)
                del left[0]
        except BaseException as error:
            # A signal ends this process, and with it a transaction, of which nothing is to be kept.
            if not scope.is_open():
                for name, _ in left:
                    self._keep(unique_id, name, error, [], retracts=True, until=until)
            raise
        _call(later)

    def _retract(self, name, spool, unique_id, content, later):
        found, notice, unanswered = '', None, None
        try:
            with scope.around():
                found, notice = answer(content, name)
        except Exception as error:  # noqa: BLE001 the application's adapter may raise anything
            unanswered = error
        until, number = ago(0), 0
        try:
            scope.at_commit((name, unique_id), None)
            # Who puts it at this moment has begun before: that does not go either.
            with contextlib.suppress(SpoolBusy), _alone(
                spool.unpublished, unique_id, within=WAIT_SECONDS
            ):
                pass
            until = number = spool.latest(new=True)
        except Exception as error:  # noqa: BLE001 nothing may fail the retraction
            unanswered = error  # it is kept, if that is committed, and has a number later
            notice = None
        # A notice is not kept: what the content is by then is asked anew.
        about = {'retracts': True, 'answer': '' if found == NOTICE else found, 'until': until}
        failed = functools.partial(self._keep_retraction, unique_id, name, **about)
        what = {'until': number, 'delete': found == DELETE, 'notice': notice}
        try:
            outbox = zope.component.queryAdapter(spool, IOutbox)
            if outbox is None or not outbox.retract(
                unique_id, RETRACTED, failed=failed, unanswered=unanswered, **what
            ):
                spool.retract(unique_id, RETRACTED, **what)
                if unanswered is not None:
                    raise unanswered
                if what['delete'] or notice is not None:
                    later.append(functools.partial(wake, spool))
        except Exception as error:  # noqa: BLE001 as above
            failed(error)

    def _keep_retraction(self, unique_id, name, error, **about):
        log.error(
            'Not retracted: %s in the spool %s: %s',
            printable(unique_id),
            printable(repr(name)),
            _reason(error),
            exc_info=error,
        )
        later = []
        self._keep(unique_id, name, error, later, **about)
        _call(later)

    def _retract_again(self, name, unique_id, later, failure):
        """Try once more to retract what could not be."""
        spool = zope.component.getUtility(ISpool, name=name)
        kept = spool.unpublished
        with _alone(kept, unique_id, within=0):
            if kept.find(unique_id) != failure:
                return
            left = _recall(spool, failure)
            if not left.retracts:
                return  # another process has failed to publish it since
            if not left.answer:
                with finding.own():
                    found, notice = answer(finding.find(unique_id), name)
                if found == DELETE or notice is not None:
                    what = {'delete': found == DELETE, 'notice': notice}
                    spool.retract(unique_id, RETRACTED, until=left.until, **what)
            kept.settle(left)
        self._missed.pop((name, unique_id), None)
        later.append(functools.partial(wake, spool))

    def retry(self, unique_id=None):
        """See `IPublisher`."""
        for _, kept in _kept():
            with contextlib.suppress(Error):  # then it stays in memory
                kept.save()
        found = [(name, each) for name, kept in _kept() for each in kept.content()]
        return [
            (failure.unique_id, name, self._retry(failure, name))
            for name, failure in found
            if unique_id in (None, failure.unique_id)
        ]

    def retry_due(self):
        """See `IPublisher`."""
        due = [(each, name) for name, kept in _kept() for each in self._due(name, kept)]
        if finding.finder() is None or scope.is_open():
            due = [(each, name) for each, name in due if each.retracts and each.answer]
        tried = [(each.unique_id, name, self._retry(each, name)) for each, name in due]
        # What is busy somebody else is about to do.
        return [each for each in tried if not isinstance(each[2], SpoolBusy)]

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
        seconds = pause_after(failure.attempts + attempts)
        # A clock that was set back is no reason to wait.
        return not 0 <= time.time() - max(last, failure.last) < seconds

    def _retry(self, failure, name):
        """Try an `IFailure` of the spool `name` once more; return the error, or None."""
        unique_id, later = failure.unique_id, []
        again = {'retracts': failure.retracts, 'answer': failure.answer}
        try:
            if failure.retracts:
                self._retract_again(name, unique_id, later, failure)
            else:
                self._put(name, unique_id, later, lambda: finding.find(unique_id), failure=failure)
        except (finding.NotHere, SpoolBusy) as error:
            return error
        except finding.NotFound as error:
            self._miss(name, failure, error, later)
            return error
        except Exception as error:  # noqa: BLE001 the application's adapter may raise anything
            what = 'retracted' if failure.retracts else 'exported'
            log.warning('Still not %s: %s: %s', what, printable(unique_id), _reason(error))
            log.debug('The reason', exc_info=error)
            self._keep(unique_id, name, error, later, **again)
            return error
        finally:
            _call(later)
        return None

    def _put(self, name, unique_id, later, find, *, within=0, failure=None):
        """Put the content that `find` returns into the spool `name`.

        Returns a list of the file's name, if it has one; what is to be called later, to tell of it,
        is added to `later`.  Somebody who puts it now is waited for `within` seconds.  A `failure`
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
            known = kept.find(unique_id)
            if failure is not None and known != failure:
                return []
            known = _recall(spool, known)
            since = _latest(spool)

            def is_current():
                """Return whether nobody has published it since, in vain, as we are at work."""
                return failure is None or kept.find(unique_id) == known

            around = scope.around if failure is None else finding.own
            while True:
                with contextlib.suppress(Overtaken), around():
                    files = deliver(find(), unique_id, spool, name, is_current)
                    break
                known = kept.find(unique_id)
            if since is not None and spool.retracted(unique_id, since=since):
                # It has not waited for us, and we have begun before.
                spool.retract(unique_id, RETRACTED, until=spool.latest(new=True))
                return []
            kept.settle(known)
            scope.at_commit((name, unique_id), None)
        self._missed.pop((name, unique_id), None)
        if files:
            later.append(functools.partial(announce, spool, files=files))
        return [*files]

    def _miss(self, name, failure, error, later):
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
            seconds = pause_after(failure.attempts + attempts)
            later.append(_failed(spool, failure.unique_id, error, seconds))

    def _keep(self, unique_id, name, error, later, **about):
        """Keep it, to be tried again, see `IUnpublished.add`; `later` as in `_put`."""
        spool = zope.component.queryUtility(ISpool, name=name)
        if spool is None:
            log.critical(
                'Not kept; publish it again once this is fixed: %s: %s',
                printable(unique_id),
                _reason(error),
            )
            return
        with _in_memory_at_least(unique_id):
            attempts = spool.unpublished.add(unique_id, _reason(error), **about)
            seconds = pause_after(attempts)
            later.append(_failed(spool, unique_id, error, seconds))
        with _in_memory_at_least(unique_id):
            failure = spool.unpublished.find(unique_id)
            renew = functools.partial(_renew, spool, unique_id, failure)
            scope.at_commit((name, unique_id), renew)


def _renew(spool, unique_id, failure):
    """Write an `IFailure` anew, see `IUnpublished.renew`; wake who has come too early for it."""
    with _in_memory_at_least(unique_id):
        spool.unpublished.renew(failure)
        if time.time() - failure.last > CLOCK_SECONDS:
            wake_in(spool, pause_after(failure.attempts) + CLOCK_SECONDS)


@contextlib.contextmanager
def _in_memory_at_least(unique_id):
    try:
        yield
    except Exception as failure:  # noqa: BLE001 nothing may fail the publication
        log.critical(
            'Kept only in the memory of this process, which retries when the spool is writable: '
            '%s: %s',
            printable(unique_id),
            printable(str(failure)),
        )
        log.debug('The reason', exc_info=failure)


def _failed(spool, unique_id, error, seconds):
    about = {'unique_id': unique_id, 'reason': _reason(error), 'pause': seconds + CLOCK_SECONDS}
    return functools.partial(tell_failure, spool, **about)


def _call(later):
    """Tell everybody, as all is in the spools: what is woken may end this process."""
    for call in later:
        call()


def _recall(spool, known):
    """Withdraw what a retraction that has failed should have; return the `known` `IFailure`.

    It has a number then, where it had a time.
    """
    if known is not None and known.until:
        spool.unpublished.save()
        known = spool.unpublished.find(known.unique_id)
        delete = known.answer == DELETE
        spool.retract(known.unique_id, RETRACTED, until=known.until, delete=delete)
    return known


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


def _kept():
    """Yield the name of each spool, and its `IUnpublished`, as far as that can be read."""
    for name, spool in zope.component.getUtilitiesFor(ISpool):
        try:
            kept = spool.unpublished
            kept.content()
        except Exception as error:  # noqa: BLE001 a spool of somebody else may raise anything
            spool = printable(repr(name))
            log.error('The spool %s cannot be read: %s', spool, printable(str(error)))
        else:
            yield name, kept


def _identified(content):
    """Return content without its security proxy, and its id; None if it cannot even tell that.

    To publish, nobody needs the right to read.
    """
    with contextlib.suppress(ImportError):
        from zope.security.proxy import removeSecurityProxy

        content = removeSecurityProxy(content)
    try:
        return content, str(getattr(content, 'uniqueId', None) or repr(content))
    except Exception:  # noqa: BLE001 content may raise anything
        _lost(content)
        return content, None


def _reason(error):
    """Return one line that says what happened."""
    text = error.advice if isinstance(error, Error) else f'{type(error).__name__}: {error}'
    return printable(text, limit=REASON_CHARACTERS)
