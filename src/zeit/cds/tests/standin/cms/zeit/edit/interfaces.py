"""As zeit.edit.interfaces."""

import zope.viewlet.interfaces


class IContentViewletManager(zope.viewlet.interfaces.IViewletManager):
    """Viewlets of a form."""
