"""Who edits content sees that, and to whom, it was delivered: a line in the object log of zeit.cms.

That is in the ZODB, below the site: so it is found where a run has a site, such as in the celery
workers of zeit.cms, and has no lines of a run elsewhere.

The transaction of the publication adds a line to it, too, often at the same time.  ZODB resolves
that, but for the first line of a content, and a conflict would make zeit.cms publish once more.  So
the first one is never ours.
"""

import contextlib

import zope.component
from zope.i18nmessageid import MessageFactory
from zope.security.management import endInteraction, newInteraction, queryInteraction

from zeit.cds.interfaces import IFileExported, ITarget
from zeit.cms.interfaces import ICMSContent
from zeit.objectlog.interfaces import IObjectLog


_ = MessageFactory('zeit.cds')


@zope.component.adapter(IFileExported)
def delivered(event):
    """Add a line for the content that the file is of, if the application has told which it is."""
    log, unique_id = zope.component.queryUtility(IObjectLog), event.result.content
    content = ICMSContent(unique_id, None) if log is not None and unique_id else None
    if content is None or not any(True for line in log.get_log(content)):
        return
    with _interaction():
        log.log(content, _('Delivered to ${name}', mapping={'name': _name(event.target)}))


def _name(target):
    """Return the name that a target has in ZCML."""
    found = zope.component.getUtilitiesFor(ITarget)
    return next((name for name, each in found if each is target), target.title)


@contextlib.contextmanager
def _interaction():
    """Be in an interaction, as the object log asks for its principal; without one, if need be."""
    if queryInteraction() is not None:
        yield
        return
    newInteraction()
    try:
        yield
    finally:
        endInteraction()
