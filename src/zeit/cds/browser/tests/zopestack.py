"""A Zope, as small as it gets: zope.publisher, its views by ZCML, principals, a security policy.

Who says nothing is anonymous; what is not allowed is answered as zope.app.exception does it: who
has logged in gets 403, who has not is asked to, by the registry of principals.
"""

import base64
import contextlib
import io

import zope.component
import zope.interface
import zope.principalregistry.principalregistry
import zope.security.checker
from zope.authentication.interfaces import ILoginPassword
from zope.authentication.loginpassword import LoginPassword
from zope.publisher.browser import BrowserRequest
from zope.publisher.interfaces import IPublication, IPublishTraverse, NotFound
from zope.publisher.interfaces.browser import IBrowserPublication, IBrowserPublisher
from zope.publisher.interfaces.http import IHTTPCredentials
from zope.publisher.publish import publish
from zope.publisher.skinnable import applySkin, setDefaultSkin
from zope.security.interfaces import ISecurityPolicy, Unauthorized
from zope.security.management import endInteraction, newInteraction
from zope.security.simplepolicies import ParanoidSecurityPolicy
from zope.traversing.interfaces import TraversalError
from zope.traversing.namespace import namespaceLookup, nsParse


@zope.interface.provider(ISecurityPolicy)
class Policy(ParanoidSecurityPolicy):
    """Who has which permission: `granted` has them by the id of a principal."""

    granted = {}

    def checkPermission(self, permission, object):  # noqa: N802 the name of zope.security
        principals = [each.principal for each in self.participations]
        return all(permission in self.granted.get(each.id, ()) for each in principals)


@zope.component.adapter(IHTTPCredentials)
@zope.interface.implementer(ILoginPassword)
class BasicAuth(LoginPassword):
    """What a request has of user and password (RFC 7617)."""

    def __init__(self, request):
        self._request = request
        super().__init__(*(request._authUserPW() or (None, None)))

    def needLogin(self, realm):  # noqa: N802
        self._request.unauthorized(f'basic realm="{realm}"')


@zope.interface.implementer(IPublication, IBrowserPublication)
class Publication:
    """Publishes the views of `root`, wrapped in security proxies, with all rights checked."""

    def __init__(self, root, registry):
        self.root, self.registry = root, registry

    def beforeTraversal(self, request):  # noqa: N802
        principal = self.registry.authenticate(request)
        request.setPrincipal(principal or self.registry.unauthenticatedPrincipal())
        newInteraction(request)

    def getApplication(self, request):  # noqa: N802
        return zope.security.checker.ProxyFactory(self.root)

    def callTraversalHooks(self, request, ob):  # noqa: N802
        """See `IPublication`."""

    def traverseName(self, request, ob, name):  # noqa: N802
        namespace, name = nsParse(name)
        try:
            if namespace:
                found = namespaceLookup(namespace, name, ob, request)
            else:
                publisher = IPublishTraverse(ob, None)
                if publisher is None:
                    publisher = zope.component.queryMultiAdapter((ob, request), IPublishTraverse)
                if publisher is None:
                    raise NotFound(ob, name, request)
                found = publisher.publishTraverse(request, name)
        except TraversalError:
            raise NotFound(ob, name, request) from None
        return zope.security.checker.ProxyFactory(found)

    def getDefaultTraversal(self, request, ob):  # noqa: N802
        return ob.browserDefault(request) if IBrowserPublisher.providedBy(ob) else (ob, ())

    def afterTraversal(self, request, ob):  # noqa: N802
        """See `IPublication`."""

    def callObject(self, request, ob):  # noqa: N802
        return ob()

    def afterCall(self, request, ob):  # noqa: N802
        """See `IPublication`."""

    def endRequest(self, request, ob):  # noqa: N802
        endInteraction()

    def handleException(self, object, request, exc_info, retry_allowed=True):  # noqa: N802
        error = exc_info[1]
        request.response.reset()
        if isinstance(error, Unauthorized):
            request.response.setStatus(403)
            known = self.registry.unauthenticatedPrincipal()
            who = None if request.principal is known else request.principal.id
            if who is None:
                self.registry.unauthorized(None, request)
        elif isinstance(error, NotFound):
            request.response.setStatus(404)
        else:
            raise error


class Zope:
    """Answers requests to a site root, with a `skin`."""

    def __init__(self, root, *, skin=None, url='http://cms.example'):
        zope.component.provideAdapter(BasicAuth)
        self.registry = zope.principalregistry.principalregistry.PrincipalRegistry()
        self.registry.defineDefaultPrincipal('anonymous', 'Nobody')
        self.publication = Publication(root, self.registry)
        self.skin = skin
        self.url = url

    def __call__(self, path, *, user='', method='GET', body=b'', query='', **headers):
        """Return the response to a request; `headers` are those of CGI, like HTTP_COOKIE."""
        environ = {
            'REQUEST_METHOD': method,
            'PATH_INFO': path,
            'QUERY_STRING': query,
            'SERVER_URL': self.url,
            'HTTP_HOST': self.url.partition('://')[2],
            'CONTENT_TYPE': 'application/x-www-form-urlencoded' if body else '',
            'CONTENT_LENGTH': str(len(body)),
            **headers,
        }
        request = self._request(environ, body, user)
        return publish(request, handle_errors=True).response

    @contextlib.contextmanager
    def interaction(self, principal):
        """Be in an interaction of the principal with this id; the value is a request."""
        request = self._request({'SERVER_URL': self.url}, b'', '')
        request.setPrincipal(self.registry.getPrincipal(principal))
        newInteraction(request)
        try:
            yield request
        finally:
            endInteraction()

    def _request(self, environ, body, user):
        if user:
            login = base64.b64encode(f'{user}:{user}'.encode()).decode()
            environ['HTTP_AUTHORIZATION'] = f'Basic {login}'
        request = BrowserRequest(io.BytesIO(body), environ)
        setDefaultSkin(request)
        if self.skin is not None:
            applySkin(request, self.skin)
        request.setPublication(self.publication)
        return request

