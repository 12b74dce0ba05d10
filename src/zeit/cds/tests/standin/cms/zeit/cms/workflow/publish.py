"""Publication: here it consists of its events only, and happens at once."""

import copy

import zope.component
import zope.event
import zope.interface

from zeit.cms.interfaces import ICMSContent
from zeit.cms.workflow.interfaces import IPublish, PublishedEvent, RetractedEvent


@zope.component.adapter(ICMSContent)
@zope.interface.implementer(IPublish)
class Publish:
    """See `IPublish`."""

    def __init__(self, context):
        self.context = context

    def publish(self, priority=None, background=True, **kw):
        """See `IPublish`."""
        self._notify(PublishedEvent)

    def retract(self, priority=None, background=True, **kw):
        """See `IPublish`."""
        self._notify(RetractedEvent)

    def _notify(self, event):
        for content in (self.context, *getattr(self.context, 'dependencies', ())):
            # Checked out and in meanwhile: another object, which equals the first one.
            zope.event.notify(event(copy.copy(content), self.context))
