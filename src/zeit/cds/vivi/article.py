"""Articles of zeit.cms as files, for a partner.

Which articles do not go is told as for the other third parties of zeit.cms, by the name of the
service.  The toggle `disable_publisher_cds` keeps all of them.  In the product configuration of
zeit.workflow there are lists, of words separated by spaces:

    cds-ignore-genres, cds-ignore-templates, cds-ignore-ressorts, cds-ignore-products,
    cds-ignore-uniqueids

and a script that publishes many articles leaves them out by `--ignore-services cds`.
"""

import contextlib
import io
import xml.parsers.expat
from xml.dom import minidom

import zope.component
import zope.interface

import zeit.cms.config
from zeit.cds.interfaces import IVersionedDeliverable
from zeit.cms.content.interfaces import IUUID
from zeit.cms.content.sources import FEATURE_TOGGLES
from zeit.cms.interfaces import IWebDAVReadProperties
from zeit.cms.workflow.interfaces import IPublishInfo
from zeit.connector.interfaces import DeleteProperty, IResource
from zeit.content.article.interfaces import IArticle
from zeit.workflow.publish_3rdparty import PublisherData


#: Properties that zeit.cms itself never had in the XML: namespaces, and names.
INTERNAL = ('DAV:', 'INTERNAL', 'http://namespaces.zeit.de/CMS/tagging')
PRIVATE = ('memo', 'message_config')
VGWORT = 'http://namespaces.zeit.de/CMS/vgwort'

#: What a list is about, by the end of its name: so the first one is `cds-ignore-genres`.
FIELDS = ('genre', 'template', 'ressort', 'product', 'uniqueId')


@zope.component.adapter(IArticle)
@zope.interface.implementer(IVersionedDeliverable)
class Article:
    """See `IVersionedDeliverable`.

    For another partner, derive a class with another `service`, and register it with the name of
    his spool.  For another type of content let that adapt another interface.
    """

    #: The partner's name in toggles and lists.
    service = 'cds'

    def __init__(self, context):
        self.context = context

    def __repr__(self):
        return f'<{type(self).__name__} {self.context!r}>'

    @property
    def name(self):
        """The name of the file: `{urn:uuid:...}.xml`.  Raises ValueError without a UUID."""
        uuid = IUUID(self.context).id
        if not uuid:
            raise ValueError('The content has no UUID, and its file is called by that.')
        return f'{uuid}.xml'

    @property
    def wanted(self):
        """Whether it is published, and not left out."""
        return IPublishInfo(self.context).published and not self.is_ignored()

    @property
    def version(self):
        """When it was published last, in ISO format; None if it never was."""
        date = IPublishInfo(self.context).date_last_published
        return date and date.isoformat()

    def is_ignored(self):
        """Return whether a toggle, a list or a script leaves it out."""
        if self.service in PublisherData.ignore:
            return True
        if FEATURE_TOGGLES.find(f'disable_publisher_{self.service}'):
            return True
        return any(self._is_listed(field) for field in FIELDS)

    def _is_listed(self, field):
        key = f'{self.service}-ignore-{field.lower()}s'
        listed = zeit.cms.config.get('zeit.workflow', key, '').lower().split()
        value = getattr(self.context, field, None)
        value = getattr(value, 'id', value)  # that of a product
        return bool(value) and value.lower() in listed

    def is_public(self, name, namespace):
        """Return whether a property shall be in the head."""
        if namespace == VGWORT:
            return name == 'public_token'
        return namespace not in INTERNAL and name not in PRIVATE

    def open(self):
        """Return the article with its properties in the head, where they were until 2024.

        Raises ExpatError if that is no XML.
        """
        with contextlib.closing(IResource(self.context).data) as data:
            document = minidom.parse(data)  # noqa: S318 zeit.cms has written it
        head = _head(document)
        properties = IWebDAVReadProperties(self.context)
        for (name, namespace), value in sorted(properties.items(), key=lambda item: item[0]):
            if value is not DeleteProperty and self.is_public(name, namespace):
                node = head.appendChild(document.createElement('attribute'))
                node.setAttribute('ns', namespace)
                node.setAttribute('name', name)
                node.appendChild(document.createTextNode(value))
        data = document.toxml('UTF-8')
        # A property may have characters that XML cannot have.
        xml.parsers.expat.ParserCreate().Parse(data, True)
        return io.BytesIO(data)


def _head(document):
    """Return the head, without the properties of a time when they were stored there."""
    root = document.documentElement
    for head in root.childNodes:
        if head.nodeName == 'head':
            for node in [*head.childNodes]:
                if node.nodeName == 'attribute':
                    head.removeChild(node)
            return head
    return root.insertBefore(document.createElement('head'), root.firstChild)
