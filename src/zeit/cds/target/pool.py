"""Workers that take turns in one thread, and what comes of their jobs.

The greenlet that made the pool, the main one, gives a job to a worker, and takes what comes of it;
it alone touches what must not be shared.  A worker that needs something done there asks for it
(`Pool.call`) and waits for the answer.  Calls that come soon after each other are answered
together, so that what is expensive about them can be shared: one fsync for all.  What a job is, and
what is done with it, is nothing to the pool.
"""

import contextlib
import time
from typing import NamedTuple

from zeit.cds.errors import Interrupted


READY = 'ready'  # the worker is open, and waits for its first job
DONE = 'done'  # it has done its job; `value` is what `work` returned
ENDED = 'ended'  # it is closed; `value` is the error that ended it, or None

#: When a run ends before its time, what is on its way has this many seconds to end.
GRACE = 1.5


class Event(NamedTuple):
    """Something that happened to a worker: READY, DONE or ENDED."""

    worker: object
    kind: str
    value: object = None


class _Call:
    """What a `task` wants to be done, and what came of it."""

    def __init__(self, function, *, task):
        self._function = function
        self.task = task
        self.result = self.error = None

    def execute(self):
        try:
            self.result = self._function()
        except Exception as error:  # noqa: BLE001 it is raised where the call came from
            self.error = error


class Pool:
    """Workers, each a task of a loop; a context manager.

    A worker has `open()`, `work(job)` and `close()`, which are called in its task.  `together()`
    returns a context manager around each group of calls; what it raises is raised by all of them.
    `clock` tells seconds, for tests.
    """

    def __init__(self, *, together=contextlib.nullcontext, clock=time.monotonic):
        # With one connection there is no pool, and greenlet is not needed.
        from zeit.cds.system.loop import Loop

        self._together = together
        self._loop = Loop()
        self._tasks = {}
        self._idle = set()
        self._jobs = {}
        self._calls = []
        self._clock = clock
        self._took = self._since = 0
        self._happened = []

    def __repr__(self):
        return f'<Pool of {len(self._tasks)}>'

    def __enter__(self):
        self._loop.__enter__()
        return self

    def __exit__(self, *exc_info):
        self.end()

    # In the main greenlet

    def start(self, worker):
        """Let a worker live."""
        self._tasks[worker] = self._loop.start(lambda: self._live(worker))

    def give(self, worker, job):
        """Let a worker work on `job`, as soon as it has nothing to do."""
        self._jobs[worker] = job
        if worker in self._idle:
            self._loop.wake(self._tasks[worker])

    def finish(self, worker):
        """Let a worker end when it has nothing to do."""
        self.give(worker, None)

    def events(self):
        """Wait until something happens; return the list of events.  Calls are answered.

        They wait for others that may come for no longer than it takes to answer them.
        """
        while True:
            seconds = None
            if self._calls:
                others = len(self._tasks) - len(self._idle) - len(self._calls)
                seconds = self._since + self._took - self._clock() if others else 0
                if seconds <= 0:
                    self._answer_calls()
                    seconds = 0
            if self._happened:
                return self._take()
            self._loop.turn(seconds)

    def _take(self):
        events, self._happened = self._happened, []
        return events

    def _answer_calls(self):
        with self._loop.undisturbed:
            calls, self._calls = self._calls, []
            began = self._clock()
            # As long as nobody knows how far it got: this, or its group.
            failed = Interrupted('The run was interrupted at this moment; the next one continues')
            try:
                with self._together():
                    for call in calls:
                        call.execute()
                failed = None
            except Exception as error:  # noqa: BLE001 it is raised where the calls came from
                failed = error
            finally:
                self._took = self._clock() - began
                for call in calls:
                    call.error = call.error or failed
                    self._loop.wake(call.task)

    def end(self):
        """Let all workers end, within about `GRACE` seconds; may be called again.

        Returns the list of the events until then.  A signal does what it does afterwards.
        """
        with self._loop.undisturbed:
            for worker in [*self._tasks]:
                self.finish(worker)
            self._loop.end(GRACE, each=lambda: self._calls and self._answer_calls())
            self._loop.__exit__()
            return self._take()

    # In a worker's task

    def call(self, function):
        """Return what `function()` returns, or raise what it raises, in the main greenlet."""
        call = _Call(function, task=self._loop.current)
        self._calls.append(call)
        if len(self._calls) == 1:
            self._since = self._clock()
        self._loop.pause()
        if call.error is not None:
            raise call.error
        return call.result

    def _live(self, worker):
        error = None
        try:
            try:
                worker.open()
                self._tell(worker, READY)
                while (job := self._next(worker)) is not None:
                    self._tell(worker, DONE, worker.work(job))
            finally:
                worker.close()
        except BaseException as problem:  # noqa: BLE001 the main greenlet decides what it means
            error = problem
        finally:
            self._tasks.pop(worker, None)
            self._tell(worker, ENDED, error)

    def _tell(self, *event):
        self._happened.append(Event(*event))

    def _next(self, worker):
        while worker not in self._jobs:
            self._idle.add(worker)
            try:
                self._loop.pause()
            finally:
                self._idle.discard(worker)
        return self._jobs.pop(worker)
