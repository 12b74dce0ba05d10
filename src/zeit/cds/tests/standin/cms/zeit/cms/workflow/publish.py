"""Publication: here it consists of its events only, and happens at once."""

import copy
import datetime

import zope.component
import zope.event
import zope.interface

from zeit.cms.interfaces import ICMSContent
from zeit.cms.workflow.interfaces import (
    IPublish,
    IPublishInfo,
    PublishedEvent,
    RetractedEvent,
)


def now():
    """Return the time; a test may have another one."""
    return datetime.datetime.now(datetime.UTC)


@zope.component.adapter(ICMSContent)
@zope.interface.implementer(IPublish)
class Publish:
    """See `IPublish`."""

    def __init__(self, context):
        self.context = context

    def publish(self, priority=None, background=True, **kw):
        """See `IPublish`."""
        self._notify(PublishedEvent, published=True, date_last_published=now())

    def retract(self, priority=None, background=True, **kw):
        """See `IPublish`."""
        self._notify(RetractedEvent, published=False)

    def _notify(self, event, **info):
        for content in (self.context, *getattr(self.context, 'dependencies', ())):
            known = IPublishInfo(content, None)
            if known is not None:
                vars(known).update(info)
            # Checked out and in meanwhile: another object, which equals the first one.
            zope.event.notify(event(copy.copy(content), self.context))
