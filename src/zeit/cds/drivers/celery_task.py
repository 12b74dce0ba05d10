"""A driver for celery: a task that is a mere wake-up, so that it does no harm to send it twice.

    <utility factory="zeit.cds.drivers.celery_task.WakeUp" />

sends it for each file that is put into a spool.  The task is a `shared_task`, so any celery
application has it.  An application with a decorator of its own makes its own task of `run`, which
only needs to be bound:

    @zeit.cms.celery.task(bind=True, acks_late=True)
    def export_cds(self, name):
        return zeit.cds.drivers.celery_task.run(self, name)

    provideUtility(WakeUp(export_cds))

Nothing is in the message but the name of an exporter: what is to be delivered is in its spool.

Nobody knows when a partner has left something: for importers there is a task, too, to be sent by
celery's own clock, beat.
"""

import contextlib
import contextvars
import hashlib
import io
import logging
import os
import threading
import time

import celery
import zope.component
import zope.interface

from zeit.cds.errors import (
    COME_BACK_LATER,
    DONE,
    LOGIN_REFUSED,
    SOFTWARE,
    UNAVAILABLE,
    ConfigurationError,
)
from zeit.cds.interfaces import IExporter, IImporter, ILateWakeUp, IPublisher
from zeit.cds.scope import alone
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.statistics import last_export
from zeit.cds.spool.wake import wake_in
from zeit.cds.system import files
from zeit.cds.text import age, printable
from zeit.cds.values.backoff import AFTER_EMBARGO_SECONDS, Pace, goes_on, pause
from zeit.cds.values.run_options import ImportOptions, Options, options_of


log = logging.getLogger(__name__)

#: Exit codes of runs that are tried again: locked, or busy; unreachable, or full; not let in.
TRIED_AGAIN = (COME_BACK_LATER, UNAVAILABLE, LOGIN_REFUSED)

#: So often, within half an hour.  What waits longer goes with the next publication, or with a cron
#: job: a broker is no place to wait for days.
RETRIES = 14

#: A message that was begun so often, and whose worker was killed each time, is not tried again.
BEGINNINGS = 3

#: Longer than so many seconds no message waits in a broker: Redis gives it out again after an hour.
LONGEST = 1800

#: So many characters tell a moment.
LIMIT = 40

#: Seconds that a publication waits for a broker.
PATIENCE = 1

#: The exporters that are about to run in this thread: what is put until then need not wake them.
_coming = contextvars.ContextVar('zeit.cds.drivers.celery_task', default=frozenset())


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

    A worker that is killed gives its message back.  One that kills its workers is given up, see
    `BEGINNINGS`; what waits goes with the next run.

    Raises `ConfigurationError` if there is no such exporter, and celery's `Retry`.
    """
    exporter = _found(IExporter, name, kind='exporter')
    with _received(task, exporter, about=f'Exporter {printable(name)}') as goes:
        return _export(task, name, exporter) if goes else SOFTWARE


def _export(task, name, exporter):
    publisher = zope.component.queryUtility(IPublisher)
    if publisher is not None:
        token = _coming.set(_coming.get() | {name})
        try:
            publisher.retry_due()
        finally:
            _coming.reset(token)
    direct = task.request.called_directly
    code, seconds = (DONE, 0) if direct else _patience(exporter)
    if seconds:
        log.info('Exporter %s: next attempt in %s.', printable(name), age(seconds))
    else:
        # Asked again when it has the spool: the run that had it until then may have failed.
        postponed = bool if direct else lambda: _patience(exporter)[1] > 0
        report = _run(exporter, Options, postponed=postponed)
        code = report.exit_code
        if not direct:
            _come_again(exporter, getattr(report, 'due', None))
    if code in TRIED_AGAIN and not direct and not task.request.is_eager:
        _retry(task, name, code, seconds or _patience(exporter)[1])
    return code


@contextlib.contextmanager
def _received(task, exchange, *, about):
    """Return a context manager around what a message lets run; its value: whether it is to.

    A message that is begun is noted on the disk, until it has ended, in whatever way but a kill.
    """
    request = task.request
    if request.called_directly or request.is_eager:
        yield True  # in the middle of whatever the application does
        return
    with contextlib.ExitStack() as stack:
        number = 1
        with contextlib.suppress(OSError, ConfigurationError):  # the run will say so
            name = hashlib.sha256(str(request.id).encode()).hexdigest()[:32]
            path = _noted(exchange.spool.path, name)
            stack.callback(_forget, path)
            with files.open_regular(path, 'ab') as file:
                file.write(b'.')
                number = file.tell()
        stack.enter_context(alone())
        goes = number <= BEGINNINGS
        if not goes:
            log.error(
                '%s: a task that killed its worker %s times is given up; perhaps it ran out of '
                'memory. The next run sends what is waiting.',
                about,
                BEGINNINGS,
            )
        yield goes


def _noted(spool, name):
    """Return the path of a file about tasks in the directory `spool`.  Raises OSError."""
    directory = os.path.join(spool, PRIVATE, 'tasks')
    for each in os.path.dirname(directory), directory:
        files.make_directory(each, like=spool)
    return os.path.join(directory, name)


def _forget(path):
    with contextlib.suppress(OSError):
        os.unlink(path)


def _run(exchange, kind, **changes):
    """Let it run, and again while a bound leaves something; return the last report.

    `changes` are those of its options.
    """
    options = options_of(exchange, kind, **changes)
    while goes_on(report := exchange.run_once(options)):
        pass
    return report


def _come_again(exporter, due):
    """Let somebody wake the exporter when an embargo ends, at the moment `due`; None for none.

    One message is on its way at a time, whatever number of tasks have found that embargo: a file
    has when it comes.  A message that a broker has lost is sent again by the first task after that.
    """
    now = time.time()
    if due is None or due <= now:
        return
    at = min(due + AFTER_EMBARGO_SECONDS, now + LONGEST)
    try:
        path = _noted(exporter.spool.path, 'embargo')
        if now < _moment(path) <= at:
            return
        os.replace(files.draft(os.path.dirname(path), io.BytesIO(str(at).encode())), path)
    except OSError as error:  # then there may be one message more
        log.debug('Not noted when a message comes: %s', error)
    wake_in(exporter.spool, at - now)


def _moment(path):
    """Return what is noted in the file `path`, 0 for nothing."""
    try:
        with files.open_regular(path, 'r') as file:
            return float(file.read(LIMIT))
    except (OSError, ValueError):
        return 0


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
        'Exporter %s: given up after %s attempts (%s); its next run sends what is waiting.',
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
    return _run(_found(IImporter, name, kind='importer'), ImportOptions).exit_code


def _import(task, name):
    importer = _found(IImporter, name, kind='importer')
    with _received(task, importer, about=f'Importer {printable(name)}') as goes:
        return run_import(name) if goes else SOFTWARE


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
import_ = celery.shared_task(bind=True, name='zeit.cds.import', **_OPTIONS)(_import)


def _application():
    """Return the celery application that a message goes to.

    In a thread that has none, celery makes one that is called "default", whose broker is not that
    of the process.  Then it is the only other one there is.
    """
    state = celery._state
    current = state._tls.current_app or state.default_app
    if current is None or current.main == 'default':
        others = [each for each in state._get_active_apps() if each.main != 'default']
        if len(others) == 1:
            return others[0]
    return celery.current_app._get_current_object()


class _Sending(threading.Thread):
    """A message on its way to a broker; `error` is why it did not get there."""

    def __init__(self, send):
        super().__init__(name='zeit.cds wake-up', daemon=True)
        self._send = send
        self._surroundings = contextvars.copy_context()
        self.once_more = False
        self.error = None

    def run(self):
        self._surroundings.run(self._work)

    def _work(self):
        try:
            self._send()
            while self.once_more:
                self.once_more = False
                self._send()
        except Exception as error:  # noqa: BLE001 it is raised where somebody waits for it
            self.error = error


@zope.interface.implementer(ILateWakeUp)
class WakeUp:
    """See `ILateWakeUp`.  `task` is called with the name of the exporter, by its `apply_async`.

    Without `task` it is `export`, in the celery application of the thread, or else of the process.

    Tasks of z3c.celery, which those of zeit.cms are, send their messages in the vote of the current
    transaction.  That is too late for a file that waits already, a broker that is down would fail
    the publication, and the files of a transaction come only after its vote.  So theirs are sent at
    once, as celery itself does it; `_run_asynchronously_` is what z3c.celery wants to be told.

    A broker that cannot be reached does not hold a publication for longer than `PATIENCE`: a thread
    of its own waits for it, and one is enough.
    """

    def __init__(self, task=None):
        self._task = task
        #: Who waits for a broker longer than anybody waits for him, by what he sends.
        self._late = {}

    def __repr__(self):
        return f'<WakeUp by {self._task!r}>'

    def wake(self, name):
        """See `IWakeUp`.  Raises what celery raises, and TimeoutError."""
        if name not in _coming.get():
            self._send(name)

    def wake_later(self, name, *, seconds):
        """See `ILateWakeUp`.  Raises what celery raises, and TimeoutError."""
        self._send(name, countdown=seconds)

    def _send(self, name, **options):
        task = _application().tasks[export.name] if self._task is None else self._task
        if task.app.conf.task_always_eager:
            if not options:  # it knows no later
                task.apply_async((name,), retry=False)
        elif hasattr(task, 'run_in_worker'):
            asynchronously = {'_run_asynchronously_': True}
            self._wait(
                name,
                lambda: celery.Task.apply_async(
                    task, (name,), asynchronously, retry=False, **options
                ),
            )
        else:
            self._wait(name, lambda: task.apply_async((name,), retry=False, **options))

    def _wait(self, name, send):
        late = self._late.get(name)
        if late is not None:
            late.once_more = True
            if late.is_alive():
                raise TimeoutError('the broker has not answered yet')
        sending = _Sending(send)
        sending.start()
        sending.join(PATIENCE)
        if sending.is_alive():
            self._late[name] = sending
            raise TimeoutError(f'the broker has not answered within {PATIENCE} s')
        if sending.error is not None:
            raise sending.error
