"""A server in a thread of the test, and clients that behave badly on purpose."""

import contextlib
import http.client
import socket
import ssl
import threading
import urllib.parse
from unittest import mock

from zeit.cds.web import server


#: Seconds after which a test gives up.
TIMEOUT = 20


class _Stop(Exception):
    """The end of `serving`."""


@contextlib.contextmanager
def serving(application, *, certificate=None, host='127.0.0.1'):
    """Serve a WSGI application in a thread; yield its `Address`."""
    stopped = threading.Event()

    def tick():
        if stopped.is_set():
            raise _Stop

    def run():
        with contextlib.suppress(_Stop), running:
            ready.set()
            running.serve(tick)

    ready = threading.Event()
    running = server.Server(application, server.resolve(host, 0), certificate=certificate)
    with mock.patch.object(server, 'TICK_SECONDS', 0.02):
        thread = threading.Thread(target=run, name='server')
        thread.start()
        try:
            assert ready.wait(TIMEOUT)
            yield Address(running.urls[0], stopped.set)
        finally:
            stopped.set()
            thread.join(TIMEOUT)
            assert not thread.is_alive()


class Address:
    """Where a server is, and how to ask it; `url` ends with a slash, `stop()` lets it end soon."""

    def __init__(self, url, stop=None):
        self.url, self.stop = url, stop
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port

    def connection(self, context=None):
        """Return an `http.client` connection; `context`: of TLS."""
        if context is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        return http.client.HTTPSConnection('localhost', self.port, timeout=TIMEOUT, context=context)

    def ask(self, method='GET', path='/', *, context=None, **options):
        """Return the answer to a request: its status, headers and body."""
        with contextlib.closing(self.connection(context)) as connection:
            connection.request(method, path, **options)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def open(self, data=b'', context=None):
        """Return a socket over which `data` was sent already."""
        client = socket.create_connection((self.host, self.port), timeout=TIMEOUT)
        try:
            if context is not None:
                client = context.wrap_socket(client, server_hostname='localhost')
            client.sendall(data)
        except BaseException:
            client.close()
            raise
        return client

    def raw(self, data, context=None):
        """Send bytes, and return all that comes until the server closes the connection."""
        with self.open(data, context) as client:
            return read(client)


def read(client):
    """Return all that comes until the server closes the connection."""
    found = []
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while data := client.recv(65536):
            found.append(data)
    return b''.join(found)
