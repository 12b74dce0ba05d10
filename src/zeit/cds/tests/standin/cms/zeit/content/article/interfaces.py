"""Articles."""

import zope.interface

from zeit.cms.interfaces import ICMSContent


class IArticle(ICMSContent):
    """An article."""

    genre = zope.interface.Attribute('A text or None; so are the next two')
    template = zope.interface.Attribute('How it looks')
    ressort = zope.interface.Attribute('Where it belongs')
    product = zope.interface.Attribute('Who has made it; has an `id`; or None')
