"""An asyncio event loop that goes on while somebody waits, in whichever greenlet that is.

AsyncSSH needs asyncio; a run has a loop of its own (`zeit.cds.system.loop`), or none.  So whoever
waits for an answer lets asyncio go on until it is there, and asyncio waits for its sockets by
`zeit.cds.system.polling`, where the other greenlets go on.  If several wait, one of them leads.
"""

import asyncio
import contextlib
import select
import selectors

import greenlet

from zeit.cds.errors import Interrupted
from zeit.cds.system.forks import not_inherited, opening
from zeit.cds.system.polling import LOOP, now, poll
from zeit.cds.system.signals import deferrable


#: Whoever follows looks at least this often whether it has to lead, in seconds.
LOOKS = 5

#: After how many turns what was closed, or aborted, has come to its end.
CLOSING = 3

#: How many turns what was cancelled has to end.
TURNS = 20


class EventLoop:
    """See above; whoever makes it calls `end`."""

    def __init__(self):
        self._selector = _Selector(self)
        with opening() as add:
            self._asyncio = _Loop(self._selector)
            for name in ('_ssock', '_csock'):  # by which other threads would wake it
                if (sock := getattr(self._asyncio, name, None)) is not None:
                    add(sock)
        not_inherited(lambda: self)
        self._leader = self._ready = None
        self._followers = {}
        self._idle = {}
        self._forked = False
        self._outer = None, None
        self._undisturbed = contextlib.nullcontext()

    def __repr__(self):
        return f'<EventLoop {self._asyncio}>'

    def close(self):
        """Let nothing go on: for a child that is forked."""
        self._forked = True

    def run(self, awaitable, *, seconds, deadline):
        """Return what `awaitable` returns, within `seconds`; `deadline` holds as well.

        Raises what it raises, and TimeoutError.  It is cancelled then.
        """
        task = self._asyncio.create_task(_awaited(awaitable))
        task.add_done_callback(lambda _: self.progress())
        try:
            self.wait(task.done, seconds=seconds, deadline=deadline)
        finally:
            if not task.done():
                task.cancel()
                self._let_end(task)
        return task.result()

    def _let_end(self, task):
        """Let what was cancelled release what it has; that takes some turns, and no time."""
        if self._leader is not None or self._forked:
            return
        for _ in range(TURNS):
            if task.done():
                break
            self._lead(task.done, 0)
        if task.done() and not task.cancelled():
            task.exception()  # nobody waits for it any more

    def wait(self, ready, *, seconds, deadline):
        """Let it go on until `ready()`, for at most `seconds`.

        Raises TimeoutError, and what `deadline` raises.
        """
        until = now() + seconds
        try:
            while not ready():
                if self._forked:
                    raise Interrupted('This process was forked in the middle of a run')
                left = until - now()
                if left <= 0:
                    deadline.within(seconds)  # was it this one?
                    raise TimeoutError
                left = deadline.within(left)
                if self._leader is None:
                    self._lead(ready, left)
                else:
                    self._follow(ready, left)
        finally:
            self._hand_over()

    def progress(self):
        """Something has happened that somebody may wait for."""
        if self._ready is not None and self._ready():
            self._asyncio.stop()
            loop = LOOP.get()
            if loop is not None and self._leader is not greenlet.getcurrent():
                loop.wake(self._leader)  # it waits for descriptors, which tell nothing of that
        for task, (loop, ready) in self._followers.items():
            if ready():
                loop.wake(task)

    def before_wait(self, function):
        """Call `function()` once: when nobody can go on who waits for this loop, or will."""
        self._idle[function] = None

    def turn(self):
        """Let it see what has come already, without a wait."""
        if self._leader is None and not self._forked:
            self._lead(lambda: True, 0)

    def _hand_over(self):
        """Let another one lead, if nobody does; that one may have to wait for nothing any more."""
        if self._leader is None:
            for task, (loop, _) in self._followers.items():
                loop.wake(task)
                break

    def _follow(self, ready, seconds):
        me, loop = greenlet.getcurrent(), LOOP.get()
        self._followers[me] = loop, ready
        loop.wake(self._leader)  # there may be something new to do, or to wait for
        try:
            loop.poll((), min(seconds, LOOKS))
        finally:
            del self._followers[me]

    def _lead(self, ready, seconds):
        self._leader, self._ready = greenlet.getcurrent(), ready
        loop = LOOP.get()
        timer = self._asyncio.call_later(seconds, self._asyncio.stop)
        # A signal ends a run between two pieces of work of AsyncSSH, not in the middle of one.
        signals = deferrable() if loop is None else contextlib.nullcontext(loop.undisturbed)
        try:
            with signals as undisturbed:
                self._undisturbed = undisturbed
                self._outer = _suspend()
                try:
                    with undisturbed:
                        self._asyncio.run_forever()
                finally:
                    _resume(*self._outer)
        finally:
            self._leader = self._ready = None
            timer.cancel()
            self._hand_over()

    def _has_something_to_do(self):
        """Return whether there was something left to do before all wait."""
        if not self._idle:
            return False
        self._select((), 0)  # others may add to it
        idle, self._idle = self._idle, {}
        for function in idle:
            function()
        return True

    def _look(self, interests):
        """Look at descriptors; meanwhile gevent may let its greenlets go on."""
        poller = select.poll()
        for interest in interests:
            poller.register(*interest)
        inner = _suspend()
        _resume(*self._outer)
        try:
            return dict(poller.poll(0))
        finally:
            self._outer = _suspend()
            _resume(*inner)

    def _select(self, interests, seconds):
        """Wait for descriptors; meanwhile it is as if asyncio did not run."""
        inner = _suspend()
        _resume(*self._outer)
        try:
            self._undisturbed.__exit__(None, None, None)
            return poll(interests, seconds)
        finally:
            self._undisturbed.__enter__()
            self._outer = _suspend()
            _resume(*inner)

    def end(self):
        """Release everything; what is still under way is cancelled."""
        if self._forked or self._asyncio.is_closed() or self._leader is not None:
            return
        tasks = asyncio.all_tasks(self._asyncio)
        for task in tasks:
            task.cancel()
        for task in tasks:
            self._let_end(task)
        for _ in range(CLOSING):
            self.turn()
        self._asyncio.close()


async def _awaited(awaitable):
    return await awaitable


class _Loop(asyncio.SelectorEventLoop):
    """Has no threads."""

    def run_in_executor(self, executor, func, *args):
        """See `asyncio.loop.run_in_executor`; but it is called at once.

        What AsyncSSH has threads for, to sign and to look at its options, takes less time than to
        start one.  gevent would let other greenlets go on then, in the middle of a turn of asyncio.
        """
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 as a thread would
            future.set_exception(error)
        return future


class _Selector(selectors.SelectSelector):
    """Waits by `polling`, in the greenlet that leads `owner`; the rest is bookkeeping."""

    def __init__(self, owner):
        super().__init__()
        self._owner = owner

    def select(self, timeout=None):
        """See `selectors.BaseSelector`."""
        keys = dict(self.get_map())
        interests = [
            (number, _POLLED[key.events & (selectors.EVENT_READ | selectors.EVENT_WRITE)])
            for number, key in keys.items()
        ]
        seconds = LOOKS if timeout is None else max(0, timeout)
        if seconds and self._owner._has_something_to_do():
            return []  # that may have given asyncio something to do
        if seconds:
            found = self._owner._select(interests, seconds)
        else:  # there is something to do: nobody else has to go on first
            found = self._owner._look(interests)
        return [(keys[number], _happened(found[number]) & keys[number].events) for number in found]


_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_POLLED = {
    _READ: select.POLLIN,
    _WRITE: select.POLLOUT,
    _READ | _WRITE: select.POLLIN | select.POLLOUT,
}


def _happened(events):
    """Return what asyncio is told of events of poll(2): an end, or an error, is seen by reading."""
    return (_READ if events & ~select.POLLOUT else 0) | (_WRITE if events & ~select.POLLIN else 0)


def _suspend():
    """Let it be as if no asyncio ran in this thread; return what did: its loop, and its task."""
    loop = asyncio._get_running_loop()
    task = None if loop is None else asyncio.current_task(loop)
    if task is not None:
        asyncio.tasks._leave_task(loop, task)
    asyncio._set_running_loop(None)
    return loop, task


def _resume(loop, task):
    asyncio._set_running_loop(loop)
    if task is not None:
        asyncio.tasks._enter_task(loop, task)
