"""As zope.site.interfaces."""

import zope.location.interfaces


class IRootFolder(zope.location.interfaces.IRoot):
    """Marker interface for a folder that is the root of a site."""
