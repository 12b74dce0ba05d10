"""A driver for one-process Zope: a thread that runs an exporter, started after the last fork.

    thread = ExporterThread('articles')
    provideUtility(thread, IWakeUp, name='articles')    # nothing runs yet
    ...
    thread.start()      # in the process that is to have it, when that will fork no more
    ...
    thread.stop()       # at its end

As many processes as like may do so: the spool's lock lets one of them in at a time.  With
`ImporterThread` it is the same for an importer, which nothing wakes.
"""

import atexit
import logging
import os
import threading
import time

import zope.component
import zope.interface

from zeit.cds import errors
from zeit.cds.interfaces import IExporter, IImporter, IPublisher, IWakeUp
from zeit.cds.scope import alone
from zeit.cds.target.kept_connection import Kept
from zeit.cds.text import printable
from zeit.cds.values.backoff import INTERVAL_SECONDS, Pace
from zeit.cds.values.run_options import ImportOptions, Options, options_of


log = logging.getLogger(__name__)

#: Seconds that `stop` waits for the end of a run.
PATIENCE = 5


class _RunnerThread:
    """`interface` is that of what it runs, a utility; `options_class` that of its options."""

    interface = None
    options_class = None
    kind = ''

    def __init__(self, name, *, interval=INTERVAL_SECONDS):
        self.name = name
        self._interval = interval
        self._loop = None
        self._pid = None

    def __repr__(self):
        state = 'running' if self.running else 'stopped'
        return f'<{type(self).__name__} {self.name!r} {state}>'

    @property
    def running(self):
        """True if the thread runs, in this process: a fork has a copy of this object only."""
        return self._pid == os.getpid() and self._loop.thread.is_alive()

    def start(self):
        """Start the thread; nothing happens if it runs already.

        To be called after the last fork(2): threads do not survive it, and the first run begins at
        once.  One that was stopped, and is still at work, goes on.
        """
        if not (self.running and self._loop.go_on()):
            self._loop, self._pid = _Loop(self, interval=self._interval), os.getpid()
            self._loop.thread.start()
        atexit.unregister(self.stop)
        # The last resort of a process that forgets to stop it: a run in the middle of its work
        # would leave its lock on the server until the next one.
        atexit.register(self.stop)

    def wake(self, name):
        """Let it run now, or once more if it is at work; see `IWakeUp`."""
        if self.running:
            self._loop.wake()

    def stop(self, *, timeout=PATIENCE):
        """End the thread; return whether it has ended after `timeout` seconds.

        A run that is at work finishes the file that it is carrying, and removes its lock.  Where
        that takes longer than `timeout`, the thread goes on, and ends with the process at the
        latest; what it leaves then is healed by the next run.  A subscriber that its run calls is
        not waited for either.  Stopped already, or never started in this process: nothing happens.
        """
        if not self.running:
            return True
        atexit.unregister(self.stop)
        self._loop.end()
        if self._loop.thread is threading.current_thread():
            return False
        self._loop.thread.join(timeout)
        if self._loop.thread.is_alive():
            log.warning('The thread of %s is still running.', self.about)
            return False
        return True

    def before(self):
        """Called in front of each run."""

    @property
    def about(self):
        """Kind and name of what it runs, for the log."""
        return f'{self.kind} {printable(self.name)}'


@zope.interface.implementer(IWakeUp)
class ExporterThread(_RunnerThread):
    """A thread in this process that runs the exporter `name`; see `IWakeUp` for waking it.

    `interval`: seconds between runs if it is not woken.  Nothing runs before `start`.
    """

    interface = IExporter
    options_class = Options
    kind = 'exporter'

    def before(self):
        """Let the application put into its spools what it could not, and is due."""
        publisher = zope.component.queryUtility(IPublisher)
        if publisher is not None:
            publisher.retry_due()


class ImporterThread(_RunnerThread):
    """A thread in this process that runs the importer `name`.

    `interval`: seconds between runs, as nothing tells when the partner has left something.
    Nothing runs before `start`.
    """

    interface = IImporter
    options_class = ImportOptions
    kind = 'importer'


class _Loop:
    """The life of one thread, which runs what `runner` is about."""

    def __init__(self, runner, *, interval):
        self._runner = runner
        self._pace = Pace(interval=interval)
        self._kept = Kept()
        self._woken = threading.Event()
        self._ended = threading.Event()
        #: Held where it is decided whether the thread ends, or goes on.
        self._deciding = threading.Lock()
        self._over = False
        self.thread = threading.Thread(
            target=self._work, name=f'zeit.cds {runner.kind} {runner.name}', daemon=True
        )

    def wake(self):
        self._woken.set()

    def end(self):
        self._ended.set()
        self._woken.set()

    def go_on(self):
        """Change nothing, or take back the end; return False if it is too late for that."""
        with self._deciding:
            if not self._over:
                self._ended.clear()
            return not self._over

    def _is_over(self):
        with self._deciding:
            self._over = self._ended.is_set()
            return self._over

    def _work(self):
        try:
            while not self._is_over():
                # Cleared before the run looks: what comes later wakes again.
                self._woken.clear()
                self._pace = self._run()
                self._wait()
        finally:
            self._kept.close()

    def _wait(self):
        """Return when it is time for the next run, or for the end."""
        if self._ended.is_set():
            return  # as it came, and woke, before the run cleared that
        waited_for = self._woken if self._pace.hurries else self._ended
        pause, left = self._pace.pause_at(time.time()), self._kept.left
        if left < pause and not waited_for.wait(left):
            self._kept.close()
            pause -= left
        waited_for.wait(pause)

    def _run(self):
        """Make one run; return the pace after it.

        Nothing that happens in it ends the thread.
        """
        try:
            with alone():
                self._runner.before()
                # What that has put is there when the run looks.
                self._woken.clear()
                exchange = zope.component.getUtility(self._runner.interface, name=self._runner.name)
                kind = self._runner.options_class
                asked = {'interrupted': self._ended.is_set, 'kept': self._kept}
                own = options_of(exchange, kind, **asked)
                report = exchange.run_once(own)
                return self._pace.after(report.exit_code, report)
        except (Exception, SystemExit):  # noqa: BLE001 whoever replaced a part may raise anything
            log.exception('The %s failed, and will be tried again.', self._runner.about)
            return self._pace.after(errors.SOFTWARE)
