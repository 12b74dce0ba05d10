"""The status page in the layout of zeit.cms, its menu item, and a line for each article.

The names are those of zeit.cms: views derive from `zeit.cms.browser.view.Base`, and
`gocept:pagelet` derives from them and from `z3c.pagelet.browser.BrowserPagelet`.  What is answered
has to be known before the layout asks, and before the base writes headers: so `update` comes first.
"""

import zope.component
import zope.i18n
import zope.viewlet.viewlet
from zope.security import checkPermission

import zeit.cms.browser.menu
import zeit.cms.browser.view
from zeit.cds.browser import rendering, views
from zeit.cds.browser.actions import RETRY, UNLOCK, VIEW, WITHDRAW
from zeit.cds.browser.article import lines
from zeit.cds.browser.interfaces import ISite
from zeit.cds.browser.messages import _
from zeit.cds.browser.rendering import PAGE


class Pagelet(zeit.cms.browser.view.Base):
    """What has the layout of zeit.cms around it; what is answered, a view of ours knows."""

    _body = None

    def update(self):
        """See z3c.pagelet; it is done once."""
        if self._body is None:
            self._body = self.answered(self.answer())
            super().update()

    def __call__(self):
        self.update()
        result = super().__call__()
        # The base lets it be kept by browsers, if they ask before.
        self.request.response.setHeader('Cache-Control', 'no-store')
        return result

    def render(self):
        """Return the fragment; the layout is around it."""
        return rendering.embedded(self._body, language=views.language(self.request))


class Page(Pagelet, views.Shown):
    """`@@cds.html`"""


class Retry(Pagelet, views.Done):
    """`@@cds-retry`"""

    permission = RETRY


class Withdraw(Pagelet, views.Done):
    """`@@cds-withdraw`"""

    permission = WITHDRAW


class Unlock(Pagelet, views.Done):
    """`@@cds-unlock`"""

    permission = UNLOCK


class MenuItem(zeit.cms.browser.menu.GlobalMenuItem):
    """The way to the page."""

    title = _('Deliveries to the CDS')
    viewURL = PAGE
    pathitem = PAGE


class Article(zope.viewlet.viewlet.ViewletBase):
    """What has become of an article, one line for each spool: delivered, waiting, withdrawn."""

    def update(self):
        """See zope.viewlet."""
        self.lines = []
        if checkPermission(VIEW, self.context):
            site = zope.component.getUtility(ISite)
            self.lines = lines(site.source, self.context.uniqueId)

    def render(self):
        """See zope.viewlet."""
        return rendering.article(self.lines, language=views.language(self.request))
