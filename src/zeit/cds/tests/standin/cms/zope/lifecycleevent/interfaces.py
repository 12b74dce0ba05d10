"""The events."""

import zope.interface
from zope.interface.interfaces import IObjectEvent


class IObjectRemovedEvent(IObjectEvent):
    """`object` was removed from `oldParent`, where it was called `oldName`."""

    oldParent = zope.interface.Attribute('Where it was')  # noqa: N815 as in Zope
    oldName = zope.interface.Attribute('Its name there')  # noqa: N815 as in Zope
