"""Nobody else's page presses a button: a form and a cookie of the browser have to agree.

It is the way of zope.formlib, and so of the forms of zeit.cms: a random token is in a cookie, and
in each form; another site can send the form, but neither read nor choose the cookie.  So there is
no state on the server: any number of processes on any number of machines answer, restarts lose
nothing, and nobody writes into the ZODB who only looks.  zope.session would do so with the first
look of everybody, and needs a session container; plone.protect needs a key ring in the ZODB, and
Plone.

A neighbour, such as another host of the same domain, may be able to plant a cookie.  So what the
browser says of where the form comes from (the header Sec-Fetch-Site; Origin, if it is an older one)
has to be this site as well; and over HTTPS the cookie has the prefix `__Host-`, which only this
host can set (RFC 6265bis, section 4.1.3.2).
"""

import re
import secrets
import urllib.parse

from zeit.cds.browser.messages import _
from zeit.cds.errors import UsageError


#: The name of the field in each form.
FIELD = 'csrf_token'

_TOKEN = re.compile(r'[A-Za-z0-9_-]{43}')


class Forged(UsageError):
    """Perhaps the person wanted nothing of it."""


def cookie_name(url):
    """Return the name of the cookie for a site whose URL begins like this."""
    return '__Host-zeit-cds' if url.startswith('https:') else 'zeit-cds'


def cookie_attributes(url):
    """Return what else is to be said when that cookie is set: {attribute: value}."""
    return {'path': '/', 'httponly': True, 'samesite': 'Lax', 'secure': url.startswith('https:')}


def token(cookie):
    """Return the token of a browser that has sent this `cookie` (None: it has none): a str.

    It is the same, or a new one that is to be set.
    """
    return cookie if _is_token(cookie) else secrets.token_urlsafe(32)


def _is_token(text):
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def require(*, field, cookie, url, origin='', site=''):
    """Raise `Forged` if a form was not sent by a page of ours.

    `field` is what it has as `FIELD`, `cookie` the value of the cookie, `url` that of the request;
    `origin` and `site` are the headers Origin and Sec-Fetch-Site.
    """
    same = _is_token(field) and _is_token(cookie) and secrets.compare_digest(field, cookie)
    if site:
        same = same and site == 'same-origin'
    elif origin:
        host = _host(origin)
        same = same and host is not None and host == _host(url)
    if not same:
        raise Forged(
            _('This form is too old, or comes from another site: nothing was done'),
            hint=_('Go back to the page, reload it, and try again; cookies must be allowed.'),
        )


def _host(url):
    """Return what tells a host and port from others.

    The scheme is left out: a proxy that speaks TLS may not tell of it.  None if there is no host.
    """
    try:
        return urllib.parse.urlsplit(url).netloc.rpartition('@')[2].lower() or None
    except ValueError:
        return None
