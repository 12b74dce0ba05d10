"""Content as it is kept: its text, and its properties."""

import zope.interface
import zope.interface.common.mapping


#: In the place of a value: there is none any more.
DeleteProperty = object()


class IResource(zope.interface.Interface):
    """Content as it is kept."""

    data = zope.interface.Attribute('A binary file')


class IWebDAVReadProperties(zope.interface.common.mapping.IEnumerableMapping):
    """The properties of content: texts by (name, namespace), or `DeleteProperty`."""
