"""Publication: here it consists of its events only."""

import zope.component
import zope.event
import zope.interface

from zeit.cms.interfaces import ICMSContent
from zeit.cms.workflow.interfaces import IPublish, PublishedEvent


@zope.component.adapter(ICMSContent)
@zope.interface.implementer(IPublish)
class Publish:
    """See `IPublish`."""

    def __init__(self, context):
        self.context = context

    def publish(self):
        """See `IPublish`."""
        for content in (self.context, *getattr(self.context, 'dependencies', ())):
            zope.event.notify(PublishedEvent(content, self.context))
