"""The identity of content, which is one of its properties."""

import zope.component
import zope.interface

from zeit.cms.content.interfaces import IUUID
from zeit.cms.interfaces import DOCUMENT_SCHEMA_NS, ICMSContent, IWebDAVReadProperties


@zope.component.adapter(ICMSContent)
@zope.interface.implementer(IUUID)
class ContentUUID:
    """See `IUUID`."""

    def __init__(self, context):
        self.id = IWebDAVReadProperties(context).get(('uuid', DOCUMENT_SCHEMA_NS))
        self.shortened = self.id and self.id.strip('{}').replace('urn:uuid:', '')
