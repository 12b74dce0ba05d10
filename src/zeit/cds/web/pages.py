"""The pages of `zeit.cds.browser.responses`, for requests of `zeit.cds.web.routes`."""

import functools
import http.cookies

from zeit.cds.browser import csrf, rendering
from zeit.cds.browser.actions import PERMISSIONS, VIEWS
from zeit.cds.browser.responses import HTML, Visitor
from zeit.cds.web.routes import Response


#: What the files of the page are, by the ends of their names.
TYPES = {'.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8'}

#: The name of a file changes with what is in it.
KEPT = 'Cache-Control', 'private, max-age=31536000, immutable'


class Pages:
    """Answers with the pages of an `ISite`; `allowed`: what a person may do here, permissions."""

    def __init__(self, site, *, allowed=frozenset()):
        self._site = site
        self._allowed = allowed

    def __repr__(self):
        return f'<{type(self).__name__} of {self._site!r}>'

    @property
    def routes(self):
        """Those of `zeit.cds.web.routes.Application`."""
        found = {f'/{rendering.PAGE}': {'GET': self.page}, f'/{rendering.DATA}': {'GET': self.data}}
        found['/'] = found[f'/{rendering.PAGE}']
        for permission in self._allowed:
            done = functools.partial(self.act, permission)
            found[f'/{VIEWS[permission]}'] = {'POST': done}
        for path in sorted((rendering.HERE / 'static').iterdir()):
            if path.suffix in TYPES:
                content = functools.partial(_file, path.read_bytes(), TYPES[path.suffix])
                found[f'/{rendering.RESOURCES}/{path.name}'] = {'GET': content}
        return found

    def page(self, request):
        """Answer with the page."""
        visitor = self._visitor(request)
        return _response(request, visitor, self._site.page(request.query, visitor))

    def data(self, request):
        """Answer with the same for programs."""
        return _response(request, None, self._site.data(request.query))

    def act(self, permission, request):
        """Answer a form that was sent to the page of a `permission`."""
        visitor = self._visitor(request)
        answer = self._site.act(
            permission,
            request.form(),
            visitor,
            url=request.url,
            origin=request.header('Origin'),
            site=request.header('Sec-Fetch-Site'),
        )
        return _response(request, visitor, answer)

    def _visitor(self, request):
        return Visitor(
            who=request.user,
            language=rendering.language(preferred(request.header('Accept-Language'))),
            allowed=self._allowed,
            cookie=request.cookie(csrf.cookie_name(request.url)),
        )


#: All that can be done.
EVERYTHING = frozenset(PERMISSIONS)


def preferred(header):
    """Return the languages of a header Accept-Language (RFC 9110, 12.5.4), the best one first."""
    found = []
    for each in header.split(',')[:20]:
        language, *options = (part.strip() for part in each.split(';'))
        quality = next((o[2:] for o in options if o.startswith('q=')), '1')
        try:
            weight = float(quality)
        except ValueError:
            weight = 0
        if language and weight > 0:
            found.append((-weight, language))
    return [language for _, language in sorted(found, key=lambda pair: pair[0])]


def _file(content, type, request):
    return Response(body=content, type=type, headers=[KEPT])


def _response(request, visitor, answer):
    body, headers = answer.body, []
    if answer.type == HTML:
        body = rendering.document(body, language=visitor.language, refreshes=answer.refreshes)
    if answer.token:
        name = csrf.cookie_name(request.url)
        cookie = http.cookies.SimpleCookie({name: answer.token})
        cookie[name].update(csrf.cookie_attributes(request.url))
        headers.append(('Set-Cookie', cookie[name].OutputString()))
    return Response(
        status=answer.status,
        body=body.encode('utf-8', 'replace'),
        type=answer.type,
        headers=headers,
    )
