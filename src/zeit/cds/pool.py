"""Threads that work for one other thread, which alone touches what must not be shared.

The thread that made the pool gives a job to a worker, and takes what comes of it.  A worker that
needs something done by that thread asks for it (`Pool.call`) and waits for the answer.  Calls that
wait at the same moment are answered together, so that what is expensive about them can be shared:
one fsync for all.  What a job is, and what is done with it, is nothing to the pool.
"""

import contextlib
import errno
import queue
import threading
from typing import NamedTuple

from zeit.cds.errors import FTPOSError, Interrupted


READY = 'ready'  # the worker is open, and waits for its first job
DONE = 'done'  # it has done its job; `value` is what `work` returned
ENDED = (
    'ended'  # it is closed, and its thread has ended; `value` is the error that ended it, or None
)

_END = object()

#: After so many seconds without an event one looks whether something was lost: a signal may
#: interrupt the pool's thread anywhere.  And no wait is longer: one that begins just after a signal
#: came, or while another thread has it, is not ended by it, and Python's handler is due behind it.
LOOK = 1


class Event(NamedTuple):
    """Something that happened to a worker: READY, DONE or ENDED."""

    worker: object
    kind: str
    value: object = None


class _Call:
    """A call on its way from a worker to the pool's thread, and its answer on the way back."""

    def __init__(self, function):
        self._function = function
        self._answer = queue.SimpleQueue()
        self._result = self._error = None
        self._executed = False

    def execute(self):
        if self._executed:
            # A signal came in between, and nobody knows how far it got: this, or its group.
            self.fail(Interrupted('The run was interrupted at this moment; the next one goes on'))
            return
        self._executed = True
        try:
            self._result = self._function()
        except Exception as error:  # noqa: BLE001 it is raised where the call came from
            self._error = error

    def fail(self, error):
        self._error = self._error or error

    def answer(self):
        self._answer.put((self._result, self._error))

    def wait(self):
        """Return what came of it; raise `queue.Empty` if there is no answer for a while."""
        result, error = self._answer.get(timeout=LOOK)
        if error is not None:
            raise error
        return result


class Pool:
    """Workers, each in a thread of its own; a context manager, which ends them all.

    A worker has `open()`, `work(job)` and `close()`, which are called in its thread, and
    `hasten()`, called from the pool's: whatever it is doing must come to its end soon.
    `together()` returns a context manager around each group of calls; what it raises is raised by
    all of them.
    """

    def __init__(self, *, together=contextlib.nullcontext):
        self._together = together
        self._happened = queue.SimpleQueue()
        self._threads = {}
        self._jobs = {}
        self._calls = []
        self._ending = False

    def __repr__(self):
        return f'<Pool of {len(self._threads)} threads>'

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.end()

    def end(self):
        """Let all workers end, and wait for that; may be called again."""
        self._ending = True
        try:
            self._end()
        except BaseException:
            self._end()  # a second signal changes nothing: they are in a hurry already
            raise

    def _end(self):
        for worker in self._threads:
            worker.hasten()
            self.dismiss(worker)
        while self._threads:
            try:
                self.events(timeout=LOOK)
            except queue.Empty:
                # Not before: one that was started just now is not alive yet.
                for worker, thread in list(self._threads.items()):
                    if not thread.is_alive():
                        self._ended(worker)

    # In the pool's thread

    def hire(self, worker):
        """Start a thread for a worker; raise `FTPOSError` if the system has no more of them."""
        thread = threading.Thread(target=self._live, args=(worker,), name=f'zeit.cds {worker}')
        self._jobs[worker] = queue.SimpleQueue()
        self._threads[worker] = thread
        try:
            thread.start()
        except RuntimeError as error:
            del self._threads[worker], self._jobs[worker]
            hint = 'See how many processes and threads the user may have; the next run tries again.'
            raise FTPOSError(errno.EAGAIN, 'The system has no more threads', hint=hint) from error

    def give(self, worker, job):
        """Let a worker that has nothing to do work on `job`."""
        self._jobs[worker].put(job)

    def dismiss(self, worker):
        """Let a worker end when it has nothing to do."""
        self._jobs[worker].put(_END)

    def events(self, *, timeout=None):
        """Wait until something happens; return the list of events.  Calls are answered.

        Raises `queue.Empty` if there was nothing within `timeout` seconds.
        """
        self._answer_calls()
        events = []
        found = self._wait(timeout)
        with contextlib.suppress(queue.Empty):
            while True:
                (self._calls if isinstance(found, _Call) else events).append(found)
                found = self._happened.get_nowait()
        self._answer_calls()
        for event in events:
            if event.kind == ENDED:
                self._ended(event.worker)
        return events

    def _wait(self, timeout):
        if timeout is not None:
            return self._happened.get(timeout=timeout)
        while True:
            with contextlib.suppress(queue.Empty):
                return self._happened.get(timeout=LOOK)

    def _ended(self, worker):
        thread = self._threads.get(worker)
        if thread is None:
            return
        if thread.ident is not None:  # else a signal came before it was started
            thread.join()
        # Not before: a signal in between must not leave a thread behind that nobody waits for.
        self._threads.pop(worker, None)
        self._jobs.pop(worker, None)

    def _answer_calls(self):
        if not self._calls:
            return
        # One that was asked for twice, as there was no answer for a while, is one all the same.
        self._calls = list(dict.fromkeys(self._calls))
        try:
            with self._together():
                for call in self._calls:
                    call.execute()
        except Exception as error:  # noqa: BLE001 as above
            for call in self._calls:
                call.fail(error)
        while self._calls:
            self._calls.pop().answer()

    # In a worker's thread

    def call(self, function):
        """Return what `function()` returns, or raise what it raises, in the pool's thread."""
        call = _Call(function)
        self._happened.put(call)
        while True:
            try:
                return call.wait()
            except queue.Empty:
                if self._ending:
                    self._happened.put(call)

    def _live(self, worker):
        error = None
        try:
            try:
                worker.open()
                self._happened.put(Event(worker, READY))
                while (job := self._jobs[worker].get()) is not _END:
                    self._happened.put(Event(worker, DONE, worker.work(job)))
            finally:
                worker.close()
        except BaseException as problem:  # noqa: BLE001 the pool's thread decides what it means
            error = problem
        finally:
            self._happened.put(Event(worker, ENDED, error))
