"""What code of the application needs around it, and who provides that.

A publication is called by the application: there is a site, a principal, a transaction.  A thread,
a worker or the command line is called by nobody: it says so by `alone`, and each call of the
application, to find and render content, or to tell it what has happened, gets a scope of its own.
Nothing of that stays open while files are sent.
"""

import contextlib
import contextvars

import zope.component

from zeit.cds.interfaces import IScope


_alone = contextvars.ContextVar('zeit.cds.alone', default=False)


@contextlib.contextmanager
def alone(value=True):
    """Return a context manager: inside, in this thread, nothing of the application is around."""
    token = _alone.set(value)
    try:
        yield
    finally:
        _alone.reset(token)


def is_open():
    """Return whether the caller has a transaction open, which sees what was when it began."""
    scope = zope.component.queryUtility(IScope)
    return scope is not None and not _alone.get() and scope.is_open()


def at_commit(key, call):
    """Call `call()` when the caller's transaction is about to be committed, and when it was.

    Where there is none, or it is aborted, never.  See `IScope`.
    """
    if is_open():
        zope.component.getUtility(IScope).at_commit(key, call)


@contextlib.contextmanager
def own():
    """Return a context manager for a call of the application that is to see the present.

    Not to be used where something `is_open`.
    """
    with alone(), around():
        yield


@contextlib.contextmanager
def around():
    """Return a context manager for a call of the application; see `IScope`."""
    scope = zope.component.queryUtility(IScope)
    if scope is None:
        yield
        return
    with scope.own() if _alone.get() else scope.part(), alone(False):
        yield
