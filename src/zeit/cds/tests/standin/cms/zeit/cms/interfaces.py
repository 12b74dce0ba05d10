"""Content, and how it is found by its id."""

import zope.interface

from zeit.connector.interfaces import IResource, IWebDAVReadProperties  # noqa: F401 as in zeit.cms


DOCUMENT_SCHEMA_NS = 'http://namespaces.zeit.de/CMS/document'


class ICMSContent(zope.interface.Interface):
    """Something that has a place in the CMS.

    Called with an id it finds the content: there is an adapter for strings.
    """

    uniqueId = zope.interface.Attribute('Where it is: a URL')  # noqa: N815 as in zeit.cms


class IPrometheusRegistry(zope.interface.Interface):
    """The utility that Prometheus's numbers are registered with."""
