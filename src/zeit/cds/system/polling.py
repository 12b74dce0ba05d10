"""Waiting for descriptors: by poll(2), or in the loop that the caller is a task of.

Who waits does not know which.  The loop is one of `zeit.cds.system.loop`, which is imported only
where there is one.
"""

import contextvars
import select
import time


#: The loop of the caller's context, or None.  Each greenlet has a context of its own.
LOOP = contextvars.ContextVar('zeit.cds.loop', default=None)


def poll(interests, seconds):
    """Wait until something happens to one of some descriptors, `seconds` at most.

    `interests` are pairs of a descriptor (or what has one) and events of poll(2).  Returns what has
    happened, by number; nothing if nothing did.
    """
    loop = LOOP.get()
    if loop is not None:
        return loop.poll(interests, seconds)
    poller = select.poll()
    for descriptor, events in interests:
        poller.register(descriptor, events)
    return dict(poller.poll(seconds * 1000))


def give_way():
    """Let others in the loop go on, if the caller has kept them from it for long."""
    loop = LOOP.get()
    if loop is not None:
        loop.give_way()


def now():
    """Return the seconds that time-outs are counted by: in a loop, those that it could notice."""
    loop = LOOP.get()
    return time.monotonic() if loop is None else loop.now()
