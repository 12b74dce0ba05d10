"""A driver for one-process Zope: a thread that runs an exporter, started after the last fork.

    thread = ExporterThread('articles')
    provideUtility(thread, IWakeUp, name='articles')    # nothing runs yet
    ...
    thread.start()      # in the process that is to have it, when that will fork no more
    ...
    thread.stop()       # at its end

As many processes as like may do so: the spool's lock lets one of them in at a time.
"""

import atexit
import dataclasses
import logging
import os
import threading

import zope.component
import zope.interface

from zeit.cds import errors
from zeit.cds.interfaces import IExporter, IWakeUp
from zeit.cds.pace import INTERVAL, Pace
from zeit.cds.plan import Options
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Seconds that `stop` waits for the end of a run.
PATIENCE = 5


@zope.interface.implementer(IWakeUp)
class ExporterThread:
    """A thread in this process that runs the exporter `name`; see `IWakeUp` for waking it.

    `interval`: seconds between runs if it is not woken.  Nothing runs before `start`.
    """

    def __init__(self, name, *, interval=INTERVAL):
        self.name = name
        self._interval = interval
        self._loop = None
        self._pid = None

    def __repr__(self):
        return f'<ExporterThread {self.name!r} {"running" if self.running else "stopped"}>'

    @property
    def running(self):
        """True if the thread runs, in this process: a fork has a copy of this object only."""
        return self._pid == os.getpid() and self._loop.thread.is_alive()

    def start(self):
        """Start the thread; nothing happens if it runs already.

        To be called after the last fork(2): threads do not survive it, and the first run begins at
        once.
        """
        if self.running:
            return
        self._loop, self._pid = _Loop(self.name, interval=self._interval), os.getpid()
        self._loop.thread.start()
        # The last resort of a process that forgets to stop it: a run in the middle of its work
        # would leave its lock on the server until the next one.
        atexit.register(self.stop)

    def wake(self, name):
        """See `IWakeUp`."""
        if self.running:
            self._loop.wake()

    def stop(self, *, timeout=PATIENCE):
        """End the thread; return whether it has ended after `timeout` seconds.

        A run that is at work finishes the file that it is sending, and removes its lock.  Where
        that takes longer than `timeout`, the thread goes on, and ends with the process at the
        latest; what it leaves then is healed by the next run.  Stopped already, or never started
        in this process: nothing happens.
        """
        if not self.running:
            return True
        atexit.unregister(self.stop)
        self._loop.end()
        self._loop.thread.join(timeout)
        if self._loop.thread.is_alive():
            log.warning('The thread of exporter %s is still at work.', printable(self.name))
            return False
        return True


class _Loop:
    """The life of one thread."""

    def __init__(self, name, *, interval):
        self._name = name
        self._pace = Pace(interval=interval)
        self._woken = threading.Event()
        self._ended = threading.Event()
        self.thread = threading.Thread(
            target=self._work, name=f'zeit.cds exporter {name}', daemon=True
        )

    def wake(self):
        self._woken.set()

    def end(self):
        self._ended.set()
        self._woken.set()

    def _work(self):
        while not self._ended.is_set():
            # Cleared before the run looks: what comes later wakes again.
            self._woken.clear()
            self._pace = self._pace.after(self._run())
            self._wait()

    def _wait(self):
        """Return when it is time for the next run, or for the end."""
        waited_for = self._woken if self._pace.hurries else self._ended
        waited_for.wait(self._pace.pause)

    def _run(self):
        """Make one run; return its exit code.  Nothing that happens in it ends the thread."""
        try:
            exporter = zope.component.getUtility(IExporter, name=self._name)
            own = getattr(exporter, 'options', None) or Options()
            # An exporter made by somebody else may have options of its own kind.
            if isinstance(own, Options):
                own = dataclasses.replace(own, interrupted=self._ended.is_set)
            return exporter.run_once(own).exit_code
        except (Exception, SystemExit):  # noqa: BLE001 whoever replaced a part may raise anything
            log.exception('The exporter %s failed, and will be tried again.', printable(self._name))
            return errors.SOFTWARE
