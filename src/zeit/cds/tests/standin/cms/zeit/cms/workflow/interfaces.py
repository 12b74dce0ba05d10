"""The events of the workflow."""

import zope.interface
from zope.interface.interfaces import IObjectEvent, ObjectEvent


class IWithMasterObjectEvent(IObjectEvent):
    """Something happened to `object`, because it was to happen to `master`."""

    master = zope.interface.Attribute('The content that somebody wanted to publish')


class IPublishedEvent(IWithMasterObjectEvent):
    """`object` is published; an exception of a subscriber would fail the publication."""


@zope.interface.implementer(IWithMasterObjectEvent)
class WithMasterObjectEvent(ObjectEvent):
    """See `IWithMasterObjectEvent`."""

    def __init__(self, obj, master):
        super().__init__(obj)
        self.master = master


@zope.interface.implementer(IPublishedEvent)
class PublishedEvent(WithMasterObjectEvent):
    """See `IPublishedEvent`."""


class IRetractedEvent(IWithMasterObjectEvent):
    """`object` is retracted."""


@zope.interface.implementer(IRetractedEvent)
class RetractedEvent(WithMasterObjectEvent):
    """See `IRetractedEvent`."""


class IPublishInfo(zope.interface.Interface):
    """What is known of the publication of content."""

    published = zope.interface.Attribute('Whether it is published (bool)')
    date_last_published = zope.interface.Attribute('When it was: a datetime, or None')


class IPublish(zope.interface.Interface):
    """Publishes the content that it adapts."""

    def publish(priority=None, background=True, **kw):
        """Publish it, and what depends on it."""

    def retract(priority=None, background=True, **kw):
        """Retract it, and what depends on it."""
