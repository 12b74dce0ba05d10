"""Views of the site root, where there is a Zope: `responses` is what they do, ZCML says who may."""

import zope.component
from zope.i18n.interfaces import IUserPreferredLanguages
from zope.publisher.browser import BrowserView
from zope.security import checkPermission

from zeit.cds.browser import csrf, rendering
from zeit.cds.browser.actions import PERMISSIONS, RETRY, UNLOCK, WITHDRAW
from zeit.cds.browser.interfaces import ISite
from zeit.cds.browser.responses import Answer, Visitor


#: What only a form may change, and how it is asked for.
NOT_ALLOWED = 405


class View(BrowserView):
    """What all views have in common.  Nothing of an answer is kept anywhere."""

    @property
    def site(self):
        return zope.component.getUtility(ISite)

    @property
    def visitor(self):
        """The `Visitor` that this request is of."""
        allowed = (each for each in PERMISSIONS if checkPermission(each, self.context))
        principal = self.request.principal
        return Visitor(
            who=principal.title or principal.id,
            language=language(self.request),
            allowed=frozenset(allowed),
            cookie=self.request.getCookies().get(csrf.cookie_name(self._url)),
        )

    @property
    def _url(self):
        return self.request.getApplicationURL()

    def answered(self, answer):
        """Write all of an `Answer` but its body; return the body."""
        response = self.request.response
        response.setStatus(answer.status)
        response.setHeader('Content-Type', answer.type)
        response.setHeader('Cache-Control', 'no-store')
        if answer.token:
            name, attributes = csrf.cookie_name(self._url), csrf.cookie_attributes(self._url)
            response.setCookie(name, answer.token, **attributes)
        return answer.body


class Shown(View):
    """What is shown is an answer to GET."""

    def answer(self):
        """Return the `Answer`."""
        return self.site.page(self.request.form, self.visitor)


class Done(View):
    """What a button posts to; a subclass says for which `permission`."""

    permission = None

    def answer(self):
        """Return the `Answer`."""
        if self.request.method != 'POST':
            self.request.response.setHeader('Allow', 'POST')
            return Answer('', NOT_ALLOWED)
        return self.site.act(
            self.permission,
            self.request.form,
            self.visitor,
            url=self._url,
            origin=self.request.getHeader('Origin') or '',
            site=self.request.getHeader('Sec-Fetch-Site') or '',
        )


class Whole:
    """A whole page of what is answered, where there is no layout to put it into."""

    def __call__(self):
        answer = self.answer()
        about = {'language': language(self.request), 'refreshes': answer.refreshes}
        return rendering.document(self.answered(answer), **about)


class Page(Whole, Shown):
    """`@@cds.html`"""


class Data(View):
    """`@@cds.json`"""

    def __call__(self):
        return self.answered(self.site.data(self.request.form))


class Retry(Whole, Done):
    """`@@cds-retry`"""

    permission = RETRY


class Withdraw(Whole, Done):
    """`@@cds-withdraw`"""

    permission = WITHDRAW


class Unlock(Whole, Done):
    """`@@cds-unlock`"""

    permission = UNLOCK


def language(request):
    """Return the language of the page for a request."""
    preferred = IUserPreferredLanguages(request, None)
    return rendering.language([] if preferred is None else preferred.getPreferredLanguages())
