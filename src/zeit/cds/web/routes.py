"""What is answered to whom: the routes, and what every answer has."""

import dataclasses
import http
import ipaddress
import logging
import re
import urllib.parse

from zeit.cds.credentials import Secret
from zeit.cds.errors import Error
from zeit.cds.text import printable
from zeit.cds.web.access import TooManyGuesses, Unauthorized


log = logging.getLogger(__name__)

#: Fields of a form, and bytes of it.
MAX_FIELDS = 20
BODY_BYTES = 64 * 1024

TEXT = 'text/plain; charset=utf-8'

_HOST = re.compile(r'(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?')

#: What the page may load and do: what comes from here.  No script and no style stands in it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

#: Every answer has them, unless it has its own.
HEADERS = (
    ('Cache-Control', 'no-store'),
    ('Content-Security-Policy', POLICY),
    ('Cross-Origin-Opener-Policy', 'same-origin'),
    ('Cross-Origin-Resource-Policy', 'same-origin'),
    ('Permissions-Policy', 'camera=(), geolocation=(), microphone=()'),
    ('Referrer-Policy', 'same-origin'),
    ('X-Content-Type-Options', 'nosniff'),
    ('X-Frame-Options', 'DENY'),
)


@dataclasses.dataclass(kw_only=True)
class Response:
    """An answer: `status`, `body` (bytes) of a `type`, and further `headers`, a list of pairs."""

    status: int = 200
    body: bytes = b''
    type: str = TEXT
    headers: list = dataclasses.field(default_factory=list)


def plain(status, text='', *headers):
    """Return a `Response` that says one line, by default what the `status` means."""
    phrase = http.HTTPStatus(status).phrase
    return Response(status=status, body=f'{text or phrase}\n'.encode(), headers=[*headers])


class Refused(Exception):
    """The request is answered with `response`, and nothing is done."""

    def __init__(self, response):
        super().__init__(response)
        self.response = response


def refuse(status, text='', *headers):
    """Raise `Refused`; the arguments are those of `plain`."""
    raise Refused(plain(status, text, *headers))


class Request:
    """What of a WSGI environment is looked at.

    `user` is who asks, '' where no password is needed.
    """

    def __init__(self, environ):
        self._environ = environ
        # It is in no variable from here on, as a traceback may show those.
        given = environ.pop('HTTP_AUTHORIZATION', None)
        self.authorization = None if given is None else Secret(given)
        self.method = environ['REQUEST_METHOD']
        #: Bytes that are no UTF-8 are in no path of ours.
        self.path = environ.get('PATH_INFO', '').encode('latin-1').decode('utf-8', 'replace')
        self.address = environ.get('REMOTE_ADDR', '')
        self.user = ''

    def __repr__(self):
        return printable(f'<Request {self.method} {self.path!r}>', limit=300)

    def header(self, name):
        """Return the value of a header, '' without one."""
        return self._environ.get(f'HTTP_{name.upper().replace("-", "_")}', '')

    @property
    def host(self):
        """The host that the client means, without port; '' if it is none."""
        found = _HOST.fullmatch(self.header('Host'))
        return found[1].strip('[]').lower() if found else ''

    @property
    def url(self):
        """Scheme and host of the request."""
        return f'{self._environ["wsgi.url_scheme"]}://{self.header("Host")}'

    @property
    def query(self):
        """What stands behind the question mark, a dictionary: of each name the last value."""
        return _fields(self._environ.get('QUERY_STRING', ''))

    def form(self):
        """Return the fields of a form that was sent, a dictionary; raises `Refused`."""
        if self._environ.get('CONTENT_TYPE', '').partition(';')[0].strip().lower() != (
            'application/x-www-form-urlencoded'
        ):
            refuse(415, 'Only a form can be sent here')
        # Waitress has it whole, whatever the client's way to send it.
        return _fields(self._environ['wsgi.input'].read(BODY_BYTES).decode('latin-1'))

    def cookie(self, name):
        """Return the value of a cookie, None if there is none."""
        for each in self.header('Cookie').split(';'):
            key, _, value = each.strip().partition('=')
            if key == name:
                return value
        return None


def _fields(text):
    try:
        return dict(urllib.parse.parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        refuse(400, 'Too many fields')


class Application:
    """A WSGI application.

    `routes`: by path the methods, and by method the function that takes a `Request` and returns a
    `Response`; GET is good for HEAD.  `hosts`: names that clients may call this host by, beside its
    addresses, None for any: a foreign page that lets its own name point to this machine shall read
    nothing here.
    `gate`: who may ask, a `zeit.cds.web.access.Gate`, None for everybody; what is `open` is for
    everybody in any case.
    """

    def __init__(self, routes, *, hosts=None, gate=None, open=()):
        self._routes = routes
        self._hosts = hosts
        self._gate = gate
        self._open = open

    def __repr__(self):
        return f'<{type(self).__name__} {sorted(self._routes)}>'

    def __call__(self, environ, start_response):
        """See PEP 3333; raises nothing."""
        request = Request(environ)
        response = self._answer(request)
        own = {name for name, _ in response.headers}
        headers = [
            ('Content-Type', response.type),
            ('Content-Length', str(len(response.body))),
            *((name, value) for name, value in HEADERS if name not in own),
            *response.headers,
        ]
        status = http.HTTPStatus(response.status)
        log.debug('%s %r: %d', request.address, request, status)
        start_response(f'{status.value} {status.phrase}', headers)
        return [b'' if request.method == 'HEAD' else response.body]

    def _answer(self, request):
        try:
            return self._routed(request)(request)
        except Refused as refused:
            return refused.response
        except Unauthorized:
            challenge = 'WWW-Authenticate', 'Basic realm="zeit.cds", charset="UTF-8"'
            return plain(401, 'A password is needed', challenge)
        except TooManyGuesses as error:
            return plain(429, str(error), ('Retry-After', str(error.seconds)))
        except Error as error:
            log.error('%r: %s', request, printable(error.message))
            return plain(503, printable(error.advice))
        except Exception as error:  # noqa: BLE001 the next request may be answered
            log.error('%r failed', request, exc_info=error)
            return plain(500)

    def _routed(self, request):
        """Return the function that answers the request; raises what `_answer` catches."""
        if self._hosts is not None and not self._is_known(request.host):
            refuse(421, f'This is not "{printable(request.host)}": --host would tell that it is.')
        if self._gate is not None and request.path not in self._open:
            try:
                request.user = self._gate.admit(request.authorization, request.address)
            except Error as error:  # who has not shown a password is told nothing of it
                log.error('%r: %s', request, printable(error.advice))
                refuse(503, 'The password cannot be read: see the log')
        methods = self._routes.get(request.path)
        if methods is None:
            refuse(404)
        function = methods.get('GET' if request.method == 'HEAD' else request.method)
        if function is None:
            allowed = [*methods, *(['HEAD'] if 'GET' in methods else [])]
            refuse(405, '', ('Allow', ', '.join(allowed)))
        return function

    def _is_known(self, host):
        """Return whether it is a name of ours, or an address, which no name service gives."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in self._hosts
        return True
