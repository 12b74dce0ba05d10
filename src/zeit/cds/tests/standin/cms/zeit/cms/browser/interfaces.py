"""As zeit.cms.browser.interfaces, as far as the status page knows of it."""

import zope.publisher.interfaces.browser
import zope.viewlet.interfaces


class ICMSLayer(zope.publisher.interfaces.browser.IBrowserRequest):
    """The layer of all views of zeit.cms."""


class ICMSSkin(ICMSLayer, zope.publisher.interfaces.browser.IDefaultBrowserLayer):
    """CMS skin"""


class ISecondaryGlobalViews(zope.viewlet.interfaces.IViewletManager):
    """Viewlets for secondary items in the global menu."""
