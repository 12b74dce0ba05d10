"""Articles in a repository that is a dictionary."""

import io

import zope.component
import zope.event
import zope.interface
from zope.lifecycleevent import ObjectRemovedEvent

from zeit.cms.interfaces import DOCUMENT_SCHEMA_NS, ICMSContent
from zeit.cms.workflow.interfaces import IPublishInfo
from zeit.connector.interfaces import IResource, IWebDAVReadProperties
from zeit.content.article.interfaces import IArticle


_repository = {}


@zope.interface.implementer(IPublishInfo)
class PublishInfo:
    """See `IPublishInfo`."""

    published = False
    date_last_published = None


@zope.interface.implementer(IArticle)
class Article:
    """An article.

    `uuid` is as vivi has it, with `urn:uuid:` and braces.  `body` is the whole file.  What its
    `head` had until 2024 is in `properties`.
    """

    genre = template = ressort = product = None

    def __init__(self, name, *, uuid='', body=b'<article/>'):
        self.uniqueId = f'http://xml.zeit.de/{name}'
        self.body = body
        self.properties = {}
        self.uuid = uuid
        #: What `IPublishInfo` says.
        self.info = PublishInfo()
        _repository[self.uniqueId] = self

    def __eq__(self, other):
        return ICMSContent.providedBy(other) and self.uniqueId == other.uniqueId

    def __hash__(self):
        return hash(self.uniqueId)

    @property
    def uuid(self):
        """What `IUUID` says."""
        return self.properties.get(('uuid', DOCUMENT_SCHEMA_NS))

    @uuid.setter
    def uuid(self, value):
        self.properties['uuid', DOCUMENT_SCHEMA_NS] = value

    def open(self):
        """Return a new binary stream of its body."""
        return io.BytesIO(self.body)

    def delete(self):
        """Remove it from the repository."""
        self.vanish()
        zope.event.notify(ObjectRemovedEvent(self, _repository, self.uniqueId))

    def vanish(self):
        """Be in the repository no more, without a word, as after a restored backup."""
        del _repository[self.uniqueId]


@zope.component.adapter(str)
@zope.interface.implementer(ICMSContent)
def content_by_id(unique_id):
    """Return the content with this id, None if there is none."""
    return _repository.get(unique_id)


@zope.component.adapter(IArticle)
@zope.interface.implementer(IResource)
class Resource:
    """See `IResource`."""

    def __init__(self, article):
        self.data = article.open()


@zope.component.adapter(IArticle)
@zope.interface.implementer(IWebDAVReadProperties)
def properties(article):
    """Return its properties."""
    return article.properties


@zope.component.adapter(IArticle)
@zope.interface.implementer(IPublishInfo)
def publish_info(article):
    """Return what is known of its publication, None of an article that is broken."""
    return getattr(article, 'info', None)
