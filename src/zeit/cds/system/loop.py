"""Tasks that take turns in one thread: each works until it waits, and then another one goes on.

A task is a greenlet, so what it calls is written as for a thread, and waits by
`zeit.cds.system.polling`.  The greenlet that made the loop, the main one, is no task; whenever it
waits, the tasks go on.  One poll(2) waits for all: gevent replaces it by one that lets its own
greenlets go on, and no child inherits it.
"""

import collections
import contextlib
import select
import time

import greenlet

from zeit.cds.errors import Interrupted
from zeit.cds.system.forks import not_inherited
from zeit.cds.system.polling import LOOP
from zeit.cds.system.signals import deferrable


#: What keeps all waiting for more than so many seconds, a disk, say, does not count for time-outs.
STALL = 0.1


#: After so many seconds a task should give way to others, if it has not had to wait until then.
TURN = 0.005

#: What poll(2) tells whether it is wanted or not.
_ALWAYS = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Loop:
    """A loop; a context manager for the greenlet that makes it.

    Inside, what that waits for lets the tasks go on.  Signals that end a run do so in that
    greenlet, never in a task.  In a child that is forked nothing goes on.  `clock` is for tests.
    """

    def __init__(self, *, clock=time.monotonic):
        self._clock = clock
        self._main = greenlet.getcurrent()
        self._poller = select.poll()
        self._owners = {}
        self._waiting = {}
        self._ready = {}
        self._tasks = set()
        self._stalled = 0
        self._looked = clock()
        self._over = None
        self._forked = False
        self._before = None
        self._handlers = contextlib.ExitStack()
        #: A context in which no signal ends anything yet.
        self.undisturbed = contextlib.nullcontext()

    def __repr__(self):
        return f'<Loop of {len(self._tasks)} tasks>'

    def __enter__(self):
        not_inherited(lambda: self)
        self._before = LOOP.get()
        LOOP.set(self)
        self.undisturbed = self._handlers.enter_context(deferrable())
        return self

    def __exit__(self, *exc_info):
        with self.undisturbed:
            LOOP.set(self._before)
            self._handlers.close()

    def close(self):
        """Let nothing go on, and nobody wait: for a child that is forked."""
        self._forked = True
        self._over = Interrupted('This process was forked in the middle of a run')

    @property
    def current(self):
        """The task that asks."""
        return greenlet.getcurrent()

    def now(self):
        """Return the seconds that could be noticed so far: differences count.

        What stalls all of them is the fault of nobody that they wait for.
        """
        return self._clock() - self._stalled

    def start(self, function):
        """Let a new task call `function()`, which should raise nothing, when its turn comes."""

        def live(_):
            self._ready.pop(task, None)
            LOOP.set(self)
            try:
                function()
            finally:
                self._tasks.discard(task)

        task = greenlet.greenlet(live, self._main)
        self._tasks.add(task)
        self.wake(task)
        return task

    def wake(self, task):
        """Let a task that has called `pause` go on when its turn comes."""
        self._ready[task] = {}

    def pause(self):
        """Wait, in a task, for somebody who wakes it."""
        self._switch(greenlet.getcurrent())

    def give_way(self):
        """See `zeit.cds.system.polling.give_way`; nothing happens in the main greenlet."""
        me = greenlet.getcurrent()
        if self._clock() - self._looked >= TURN and me is not self._main:
            self.wake(me)
            self._switch(me)

    def poll(self, interests, seconds):
        """See `zeit.cds.system.polling.poll`; for any of the greenlets."""
        me, numbers = greenlet.getcurrent(), []
        try:
            for descriptor, events in interests:
                number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
                numbers.append(number)
                self._owners.setdefault(number, {})[me] = events
                self._register(number)
            self._waiting[me] = self.now() + seconds
            return self._turns(me) if me is self._main else self._switch(me)
        finally:
            self._waiting.pop(me, None)
            for number in numbers:
                self._owners[number].pop(me, None)
                self._register(number)

    def _register(self, number):
        events = 0
        for wanted in self._owners[number].values():
            events |= wanted
        if events:
            self._poller.register(number, events)
        else:
            del self._owners[number]
            self._poller.unregister(number)

    def _turns(self, me):
        while me not in self._ready:
            self.turn()
        return self._ready.pop(me)

    def _switch(self, me):
        self._require_going_on()
        try:
            found = self._main.switch()
        finally:
            self._ready.pop(me, None)
        self._require_going_on()
        return found

    def _require_going_on(self):
        if self._over is not None:
            raise self._over

    def turn(self, seconds=None):
        """Let go on what is ready, or what is next, within so many seconds; None for no bound.

        Whose time is up goes on, too, unless what it waits for has come all the same.
        """
        self._require_going_on()
        self._look(seconds)
        self._go_on()

    def _look(self, seconds):
        self._tick()
        if self._ready:
            seconds = 0
        elif self._waiting:
            left = max(0, min(self._waiting.values()) - self.now())
            seconds = left if seconds is None else min(left, seconds)
        found = self._poller.poll(None if seconds is None else seconds * 1000)
        self._looked = self._clock()
        happened = collections.defaultdict(dict)
        for number, events in found:
            for task, wanted in self._owners[number].items():
                if events & (wanted | _ALWAYS):
                    happened[task][number] = events
        now = self.now()
        for task, until in self._waiting.items():
            if task in happened or until <= now:
                self._ready[task] = happened.get(task, {})

    def _go_on(self):
        for task, found in [*self._ready.items()]:
            if task is not self._main:
                self._tick()
                with self.undisturbed:
                    task.switch(found)  # which takes itself from the list: nothing can get lost

    def _tick(self):
        now = self._clock()
        self._stalled += max(0, now - self._looked - STALL)
        self._looked = now

    def end(self, seconds, *, each=lambda: None):
        """Return when all tasks have ended: those that do not within `seconds`, cannot wait more.

        `each()` is called before each turn.
        """
        until = self.now() + seconds
        while self._tasks and not self._forked:
            if self._over is None and self.now() < until:
                each()
                self.turn(max(0, until - self.now()))
            else:
                self._over = Interrupted('It was broken off at the end of the run')
                self._ready.update((task, {}) for task in self._tasks)
                self._go_on()
