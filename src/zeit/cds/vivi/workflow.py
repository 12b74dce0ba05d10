"""What is published, retracted or removed in zeit.cms: subscribers.

Each says what it is for, so that a script which publishes thousands of contents can go without:

    zope.component.getGlobalSiteManager().unregisterHandler(zeit.cds.vivi.workflow.published)
"""

import zope.component
from zope.lifecycleevent.interfaces import IObjectRemovedEvent

from zeit.cds.publish import publisher
from zeit.cms.interfaces import ICMSContent
from zeit.cms.workflow.interfaces import IPublishedEvent, IRetractedEvent


@zope.component.adapter(ICMSContent, IPublishedEvent)
def published(content, event):
    """Put the content into spools, see `zeit.cds.publish.publisher.published`."""
    publisher.published(content, event)


@zope.component.adapter(ICMSContent, IRetractedEvent)
def retracted(content, event):
    """Withdraw it, see `zeit.cds.publish.publisher.retracted`."""
    publisher.retracted(content, event)


@zope.component.adapter(ICMSContent, IObjectRemovedEvent)
def removed(content, event):
    """Withdraw it, see `zeit.cds.publish.publisher.removed`."""
    publisher.removed(content, event)
