"""A driver for celery: a task that is a mere wake-up, so that it does no harm to send it twice.

    <utility factory="zeit.cds.tasks.WakeUp" />

sends it for each file that is put into a spool.  The task is a `shared_task`, so any celery
application has it.  An application with a decorator of its own makes its own task of `run`, which
only needs to be bound:

    @zeit.cms.celery.task(bind=True, acks_late=True)
    def export_cds(self, name):
        return zeit.cds.tasks.run(self, name)

    provideUtility(WakeUp(export_cds))

Nothing is in the message but the name of an exporter: what is to be delivered is in its spool.

Nobody knows when a partner has left something: for importers there is a task, too, to be sent by
celery's own clock, beat.
"""

import logging
import time

import celery
import zope.component
import zope.interface

from zeit.cds.errors import (
    COME_BACK_LATER,
    DONE,
    LOGIN_REFUSED,
    UNAVAILABLE,
    ConfigurationError,
)
from zeit.cds.interfaces import IExporter, IImporter, ILateWakeUp, IPublisher
from zeit.cds.pace import Pace, goes_on, pause
from zeit.cds.plan import ImportOptions, Options, options_of
from zeit.cds.statistics import last_export
from zeit.cds.text import age, printable


log = logging.getLogger(__name__)

#: Exit codes of runs that are tried again: locked, or busy; unreachable, or full; not let in.
TRIED_AGAIN = (COME_BACK_LATER, UNAVAILABLE, LOGIN_REFUSED)

#: So often, within half an hour.  What waits longer goes with the next publication, or with a cron
#: job: a broker is no place to wait for days.
RETRIES = 14


def run(task, name):
    """Let the exporter `name` run; return its exit code.

    `task` is the bound task (`self`) that calls this.  Where the server is locked or unreachable,
    or another run is at work, it is retried with pauses from one second to five minutes, RETRIES
    times; where the login is refused, with five minutes.  What the application could not put into
    its spools is tried again as well, when it is due.

    While a server is in trouble, one task for each publication would be one login for each, and
    some servers lock the account.  So a task that comes before the pause after the last run is
    over, whoever made that, ends without one: it is retried.

    Called as a function it always runs.  Neither that is retried, nor where celery is eager, which
    is in the middle of what publishes: the exit code is that of the last run.

    Raises `ConfigurationError` if there is no such exporter, and celery's `Retry`.
    """
    publisher = zope.component.queryUtility(IPublisher)
    if publisher is not None:
        publisher.retry_due()
    exporter = _found(IExporter, name, kind='exporter')
    direct = task.request.called_directly
    code, seconds = (DONE, 0) if direct else _patience(exporter)
    if seconds:
        log.info('Exporter %s: the server is asked again in %s.', printable(name), age(seconds))
    else:
        # Asked again when it has the spool: the run that had it until then may have failed.
        postponed = bool if direct else lambda: _patience(exporter)[1] > 0
        code = _run(exporter, Options, postponed=postponed)
    if code in TRIED_AGAIN and not direct and not task.request.is_eager:
        _retry(task, name, code, seconds or _patience(exporter)[1])
    return code


def _run(exchange, kind, **changes):
    """Let it run, and again while a bound leaves something; return the exit code.

    `changes` are those of its options.
    """
    options = options_of(exchange, kind, **changes)
    while goes_on(report := exchange.run_once(options)):
        pass
    return report.exit_code


def _patience(exporter):
    """Return the exit code of the spool's last run, and for how long the server is left alone.

    That is in seconds, 0 if there is no reason to.  It was anybody's run, and is on the disk, so
    that all processes agree.
    """
    try:
        last = last_export(exporter.spool)
    except ConfigurationError:
        return DONE, 0  # the run will say so
    code, passed = last.get('exit_code', DONE), time.time() - last.get('ended', 0)
    # Where a clock was set back it is not known how long it was.
    if code not in TRIED_AGAIN or passed < 0:
        return code, 0
    pace = Pace(failures=last.get('failures', 1), exit_code=code)
    return code, max(0, pace.pause - passed)


def _retry(task, name, code, seconds):
    retries = task.request.retries
    if retries < RETRIES:
        raise task.retry(countdown=max(pause(retries + 1), seconds), max_retries=RETRIES)
    log.error(
        'Exporter %s: given up after %s attempts (%s); what waits goes with its next run.',
        printable(name),
        retries + 1,
        code,
    )


def run_import(name):
    """Let the importer `name` run once; return its exit code.

    It is not retried: it comes again when beat says so, and one message more for each time that it
    failed would ask a server the more often the less it answers.

    Raises `ConfigurationError` if there is no such importer.
    """
    return _run(_found(IImporter, name, kind='importer'), ImportOptions)


def _found(interface, name, *, kind):
    component = zope.component.queryUtility(interface, name=name)
    if component is None:
        raise ConfigurationError(
            f'There is no {kind} {name!r} in this process',
            hint='Read the same ZCML in the workers as in the application.',
        )
    return component


#: A worker that is killed gives the message back: it does no harm to have it twice.
_OPTIONS = {'acks_late': True, 'reject_on_worker_lost': True, 'ignore_result': True}

#: See `run` and `run_import`.
export = celery.shared_task(bind=True, name='zeit.cds.export', **_OPTIONS)(run)
import_ = celery.shared_task(name='zeit.cds.import', **_OPTIONS)(run_import)


@zope.interface.implementer(ILateWakeUp)
class WakeUp:
    """See `ILateWakeUp`.  `task` is called with the name of the exporter, by its `apply_async`.

    Tasks of z3c.celery, which those of zeit.cms are, send their messages in the vote of the current
    transaction.  That is too late for a file that waits already, a broker that is down would fail
    the publication, and the files of a transaction come only after its vote.  So theirs are sent at
    once, as celery itself does it; `_run_asynchronously_` is what z3c.celery wants to be told.

    A broker that cannot be reached must not hold a publication: how long kombu tries, which is six
    seconds by default and without end for one that accepts and is silent, is up to the settings of
    the application, for Redis

        broker_transport_options = {
            'socket_connect_timeout': 2, 'socket_timeout': 2, 'max_retries': 1, 'interval_start': 0}
    """

    def __init__(self, task=export):
        self._task = task

    def __repr__(self):
        return f'<WakeUp by {self._task!r}>'

    def wake(self, name):
        """See `IWakeUp`.  Raises what celery raises, `kombu.exceptions.OperationalError`."""
        self._send(name)

    def wake_later(self, name, *, seconds):
        """See `ILateWakeUp`.  Raises what celery raises."""
        self._send(name, countdown=seconds)

    def _send(self, name, **options):
        task = self._task
        if hasattr(task, 'run_in_worker') and not task.app.conf.task_always_eager:
            asynchronously = {'_run_asynchronously_': True}
            celery.Task.apply_async(task, (name,), asynchronously, retry=False, **options)
        else:
            task.apply_async((name,), retry=False, **options)
