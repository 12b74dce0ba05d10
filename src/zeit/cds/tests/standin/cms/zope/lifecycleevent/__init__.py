"""What happens to objects: here, that they are removed."""

import zope.interface
from zope.interface.interfaces import ObjectEvent
from zope.lifecycleevent.interfaces import IObjectRemovedEvent


@zope.interface.implementer(IObjectRemovedEvent)
class ObjectRemovedEvent(ObjectEvent):
    """See `IObjectRemovedEvent`."""

    def __init__(self, object, oldParent=None, oldName=None):  # noqa: A002, N803 as in Zope
        super().__init__(object)
        self.oldParent, self.oldName = oldParent, oldName
