"""What a process has open, and a child that is forked from it must not have.

A child gets a copy of each descriptor.  As long as it has that, a lock of flock(2) is held, a
connection does not end, and a file system cannot be unmounted: with a worker process, for ever.
"""

import contextlib
import functools
import os
import threading
import weakref


#: A fork waits so many seconds at most for what is being opened, on a file system that hangs, say.
LONGEST = 5


class Descriptor:
    """An open descriptor, closed once; a context manager.  After that its number is -1."""

    def __init__(self, number):
        self._number = number

    def __repr__(self):
        return f'<Descriptor {self._number}>'

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @property
    def closed(self):
        """True after `close`, and in a child that was forked."""
        return self._number < 0

    def fileno(self):
        """Return its number."""
        return self._number

    def close(self):
        """Close it; may be called again.  Raises OSError."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)


def open_descriptor(path, flags, mode=0o600):
    """Return a `Descriptor`, see open(2), that no child has.  Raises OSError."""
    return not_inherited(lambda: Descriptor(os.open(path, flags | os.O_CLOEXEC, mode)))


def not_inherited(function, /, *args, **kw):
    """Return what `function(*args, **kw)` opens: something with `close()`, that no child has."""
    with opening() as add:
        return add(function(*args, **kw))


class opening:  # noqa: N801 it is used like a function
    """Let a fork wait as long as the context lasts, which must be a moment.

    It gives a function: what that gets, something with `close()`, is closed in each child that is
    forked as long as it exists; it is returned.  A signal may break it off anywhere: then nobody
    has this context.
    """

    def __enter__(self):
        self._held = _held()
        self._held.begin(self)
        return self._held.add

    def __exit__(self, *exc_info):
        self._held.end(self)


class _Held:
    """What is closed in a child, and the moments in which that is not known yet."""

    def __init__(self):
        self._things = weakref.WeakSet()
        self._moments = weakref.WeakSet()
        self._changed = threading.Condition()
        #: How many threads are about to fork, or do so; whether one does.
        self._forks, self._forking = 0, False
        os.register_at_fork(
            before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child
        )

    def begin(self, moment):
        self._moments.add(moment)
        if self._forks:  # which may not wait for this one, of which nothing is open yet
            with self._changed:
                pass

    def end(self, moment):
        self._moments.discard(moment)
        if self._forks:
            with self._changed:
                self._changed.notify_all()

    def add(self, thing):
        self._things.add(thing)
        return thing

    def _before(self):
        self._changed.acquire()
        self._forks += 1
        try:
            self._changed.wait_for(lambda: not self._moments, LONGEST)
        finally:  # also after a signal: Python forks all the same
            self._forking = True

    def _in_parent(self):
        # Whoever registers in the middle of a fork hears of its end only.
        if self._forking:
            self._forks, self._forking = self._forks - 1, False
            self._changed.release()

    def _in_child(self):
        self._forks, self._forking = 0, False
        self._changed = threading.Condition()  # whoever had the old one may not be here
        for thing in [*self._things]:
            # Closed is closed, whatever the system says to it.
            with contextlib.suppress(OSError, ValueError):
                thing.close()
        self._things.clear()
        self._moments.clear()


@functools.cache
def _held():
    """Return what is held by this process; forks are noticed from the first call on.

    Two threads that come first may make two: both are told of each fork.
    """
    return _Held()
