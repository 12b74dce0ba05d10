"""How content is found by its id, as it is now: in a scope of its own, when it is tried again."""

import contextlib
import functools

import zope.component
import zope.interface
from zope.interface.interface import InterfaceClass

from zeit.cds import scope
from zeit.cds.errors import ConfigurationError, FileError
from zeit.cds.interfaces import IContentFinder


class NotHere(ConfigurationError):
    """There is nobody who could find content as it is now."""


class NotFound(FileError):
    """The content was not found: there is none, or, with a cause, that could not be told."""


def finder():
    """Return what finds content, None if nobody here does."""
    find = zope.component.queryUtility(IContentFinder)
    if isinstance(find, InterfaceClass):
        adapters = zope.component.getSiteManager().adapters
        if adapters.lookup1(zope.interface.implementedBy(str), find) is None:
            return None
        return functools.partial(find, alternate=None)
    return find


@contextlib.contextmanager
def _looking():
    try:
        yield
    except Exception as error:
        raise NotFound(
            f'The content could not be looked for: {type(error).__name__}: {error}',
            hint='It will be retried.',
        ) from error


@contextlib.contextmanager
def own():
    """Return `scope.own()`, without which nothing can be found.  Raises `NotHere`, `NotFound`."""
    if scope.is_open():
        raise NotHere(
            'A transaction is open here, and sees only what existed when it began',
            hint='Commit or abort it first.',
        )
    with contextlib.ExitStack() as stack:
        with _looking():
            stack.enter_context(scope.own())
        yield


def find(unique_id):
    """Return the content with this id; raises `NotHere`, `NotFound`."""
    found = finder()
    if found is None:
        raise NotHere(
            'Content cannot be found here without the application',
            hint='Give a ZCML file that includes the application, or let the application retry.',
        )
    with _looking():
        content = found(unique_id)
    if content is None:
        raise NotFound(
            'There is no content with this id here',
            hint='If it was deleted, `zeit-cds retry --forget ID` gives it up.',
        )
    return content
