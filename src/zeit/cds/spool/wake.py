"""Delivering at once: whoever puts a file into a spool says so, and exporters are woken."""

import functools
import logging

import zope.component
import zope.component.event  # connects zope.event with the registry's subscribers
import zope.event

from zeit.cds import scope
from zeit.cds.interfaces import IExporter, IFilePut, ILateWakeUp, IPublicationFailed, IWakeUp
from zeit.cds.journal import kinds
from zeit.cds.text import printable
from zeit.cds.values.report import FilePut, PublicationFailed


log = logging.getLogger(__name__)


def announce(spool, *, files):
    """Tell the subscribers that `files` were put into `spool`, together.

    They are dictionaries by name, with what the application has told, see
    `zeit.cds.journal.kinds.told`. What subscribers raise is logged: the files are there, and wait,
    whatever becomes of this.
    """
    for number, (name, told) in enumerate(files.items(), start=1):
        last = number == len(files)
        try:
            with scope.around():
                zope.event.notify(FilePut(spool=spool, name=name, last=last, **kinds.about(told)))
        except Exception:  # noqa: BLE001 a subscriber may raise anything
            log.exception('A subscriber of FilePut failed.')


def tell_failure(spool, **details):
    """Tell the subscribers of a `PublicationFailed`; what they raise is logged."""
    try:
        with scope.around():
            zope.event.notify(PublicationFailed(spool=spool, **details))
    except Exception:  # noqa: BLE001 a subscriber may raise anything
        log.exception('A subscriber of PublicationFailed failed.')


@zope.component.adapter(IFilePut)
def wake_exporters(event):
    """Wake every exporter of the spool that has somebody to wake it: a subscriber.

    That is the utility `IWakeUp` of the exporter's name, or the one without a name.  Where there
    is none, or it fails, the file waits for the next run that comes by itself.  Of the files of a
    transaction the last one wakes: each may cost the time-out of a broker.
    """
    if event.last:
        wake(event.spool)


def wake(spool):
    """Wake every exporter of `spool` that has somebody to wake it: see `wake_exporters`."""
    for name, exporter, waker in _wakers():
        _wake(waker.wake, name, exporter, spool)


@zope.component.adapter(IPublicationFailed)
def wake_later(event):
    """Wake the exporters of the spool when a publication that failed is due: a subscriber."""
    wake_in(event.spool, event.pause)


def wake_in(spool, seconds):
    """Wake the exporters of `spool` in this many `seconds`.

    By those that can wait, `ILateWakeUp`; the other ones run again and again by themselves.
    """
    for name, exporter, waker in _wakers():
        if ILateWakeUp.providedBy(waker):
            wake = functools.partial(waker.wake_later, seconds=seconds)
            _wake(wake, name, exporter, spool)


def _wakers():
    """Yield (name of an exporter, itself, its `IWakeUp`)."""
    for name, exporter in zope.component.getUtilitiesFor(IExporter):
        waker = zope.component.queryUtility(IWakeUp, name=name)
        if waker is None:
            waker = zope.component.queryUtility(IWakeUp)
        if waker is not None:
            yield name, exporter, waker


def _wake(wake, name, exporter, spool):
    try:
        found = exporter.spool
        if spool in (found, getattr(found, 'shared', found)):
            wake(name)
    except Exception as error:  # noqa: BLE001 a broker may raise anything
        log.warning(
            'Exporter %s could not be woken, its next run sends what is waiting: %s: %s',
            printable(name),
            type(error).__name__,
            printable(str(error)),
        )
        log.debug('The reason', exc_info=error)
