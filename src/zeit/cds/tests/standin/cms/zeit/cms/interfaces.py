"""Content, and how it is found by its id."""

import zope.interface


class ICMSContent(zope.interface.Interface):
    """Something that has a place in the CMS.

    Called with an id it finds the content: there is an adapter for strings.
    """

    uniqueId = zope.interface.Attribute('Where it is: a URL')  # noqa: N815 as in zeit.cms
