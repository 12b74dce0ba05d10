"""An HTTP server: waitress, which reads and writes in one thread, so that slow clients cost little.

It has two things more: whoever takes too long is cut off, and there can be TLS.
"""

import contextlib
import ipaddress
import logging
import os
import socket
import ssl
import threading
import time

import waitress.adjustments
import waitress.channel
import waitress.server
import waitress.task
import waitress.wasyncore

from zeit.cds.errors import ConfigurationError
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Requests that are worked on at the same time.
THREADS = 4

#: Connections, of all clients together.
CONNECTIONS = 500

#: Bytes of the headers and of the body of a request.
HEADER_BYTES = 16 * 1024
BODY_BYTES = 64 * 1024

#: How many seconds a client may take for one request, one response, a handshake; and be idle.
SLOW_SECONDS = 30
IDLE_SECONDS = 60

#: How many seconds requests that are being answered get at the end.
END_SECONDS = 5

#: Seconds between two looks for slow clients, and for a new certificate.
TICK_SECONDS = 1
RENEWAL_SECONDS = 60

#: The most that comes out of one record of TLS (RFC 8446, section 5.1): when that is read, nothing
#: is left that poll(2) does not know of.
RECORD_BYTES = 16 * 1024


def resolve(host, port):
    """Return the addresses that `host` stands for: (family, type, protocol, address) each.

    Raises `ConfigurationError`.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, 'strerror', None) or 'it is no name of a host'
        raise ConfigurationError(f'Cannot listen on {printable(host)}: {reason}') from None
    return [each[:3] + each[4:] for each in found]


def is_loopback(addresses):
    """Return whether only this machine reaches these addresses."""
    return all(ipaddress.ip_address(each[3][0]).is_loopback for each in addresses)


class Certificate:
    """Certificate and private key, PEM files, and the TLS that is made of them.

    When the files are new, what they hold is used from then on.  Raises `ConfigurationError` if
    they cannot be.
    """

    def __init__(self, path, key=None):
        self._paths = os.fspath(path), os.fspath(key or path)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._state = self._look()
        self._load()

    def __repr__(self):
        return f'<{type(self).__name__} {self._paths[0]!r}>'

    def renew(self):
        """Take what is in the files now; what cannot be used is logged, and the old one stays."""
        with contextlib.suppress(OSError):
            state = self._look()
            if state != self._state:
                self._state = state
                try:
                    self._load()
                except ConfigurationError as error:
                    log.error('The new certificate is not used: %s', error)

    def _look(self):
        found = []
        for path in self._paths:
            try:
                status = os.stat(path)
            except OSError as error:
                raise _unusable(self._paths, error.strerror) from None
            found.append((status.st_ino, status.st_mtime_ns))
        return found

    def _load(self):
        asked = []
        try:
            # Without a function OpenSSL would ask on the terminal.
            self.context.load_cert_chain(*self._paths, password=lambda: asked.append(True) or b'')
        except ssl.SSLError as error:
            reason = 'the key has a passphrase' if asked else error.reason
            raise _unusable(self._paths, reason or 'it cannot be decoded') from None
        except OSError as error:
            raise _unusable(self._paths, error.strerror) from None


def _unusable(paths, reason):
    names = ', '.join(dict.fromkeys(map(printable, paths)))
    return ConfigurationError(
        f'The certificate or its key cannot be used ({names}): {printable(str(reason))}',
        hint='Both must be PEM, and the key must belong to the certificate and have no passphrase.',
    )


class _Channel(waitress.channel.HTTPChannel):
    """A connection."""

    logger = log

    def __init__(self, *arguments, **options):
        #: Since when the client is to do something, by `time.time`; None: it is not its turn.
        self.waiting_since = None
        self._tls = threading.Lock()
        super().__init__(*arguments, **options)

    def received(self, data):
        """See waitress."""
        before = self.request
        taken = super().received(data)
        if self.request is None or self.request is not before:
            self.waiting_since = None
        return taken

    def service(self):
        """See waitress."""
        super().service()
        self.waiting_since = None

    def is_slow(self, now):
        """Return whether the client has had its time for this request, or this response."""
        if self.requests or not (self.request is not None or self.total_outbufs_len):
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = now
        return self.waiting_since is not None and now - self.waiting_since > SLOW_SECONDS

    def handle_read(self):
        """See waitress; of TLS there may be nothing to read yet."""
        try:
            with self._tls:
                data = self.recv(self.adj.recv_bytes)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self.handle_close()
            return
        if data:
            self.last_activity = time.time()
            self.received(data)
        else:
            self.connected = False

    def send(self, data, do_close=True):
        """See waitress; TLS may not be able to at this moment."""
        try:
            with self._tls:
                return super().send(data, do_close)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0


def _channel(server, connection, *arguments, **options):
    """Return a `_Channel`, None if the client is gone already."""
    try:
        if server.certificate is not None:
            connection = server.certificate.context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return _Channel(server, connection, *arguments, **options)
    except OSError:
        connection.close()


class _Listener(waitress.server.TcpWSGIServer):
    """One address that is listened on."""

    channel_class = staticmethod(_channel)
    certificate = None
    logger = log

    def maintenance(self, now):
        """See waitress: cut off those who are slow."""
        super().maintenance(now)
        for channel in [*self.active_channels.values()]:
            if channel.is_slow(now):
                # Not at the next chance to write: a client that does not read gives none.
                channel.handle_close()


class _Dispatcher(waitress.task.ThreadedTaskDispatcher):
    logger = log
    # That somebody waits for a thread is nothing to tell.
    queue_logger = logging.getLogger(f'{__name__}.queue')


class Server:
    """Answers HTTP on `addresses` (see `resolve`) with a WSGI application; a context manager.

    `certificate`: a `Certificate`, None for no TLS.  Entered, it listens; raises
    `ConfigurationError`.  `urls` says where.
    """

    def __init__(self, application, addresses, *, certificate=None):
        self._application = application
        self._addresses = addresses
        self._certificate = certificate
        self._map = {}
        self._listeners = []
        self._dispatcher = _Dispatcher()
        self._renewed = time.monotonic()

    def __repr__(self):
        return f'<{type(self).__name__} {self.urls}>'

    @property
    def urls(self):
        """The URLs at which it can be reached."""
        scheme = 'http' if self._certificate is None else 'https'
        found = []
        for each in self._listeners:
            host = each.effective_host
            host = f'[{host}]' if ':' in host else host
            found.append(f'{scheme}://{host}:{each.effective_port}/')
        return found

    def __enter__(self):
        options = waitress.adjustments.Adjustments(
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=TICK_SECONDS,
            connection_limit=CONNECTIONS,
            ident='',
            log_socket_errors=False,
            max_request_body_size=BODY_BYTES,
            max_request_header_size=HEADER_BYTES,
            recv_bytes=RECORD_BYTES,
            url_scheme='http' if self._certificate is None else 'https',
        )
        try:
            for address in self._addresses:
                self._listen(address, options)
        except BaseException:
            waitress.wasyncore.close_all(self._map)
            raise
        self._dispatcher.set_thread_count(THREADS)
        return self

    def _listen(self, address, options):
        try:
            listener = _Listener(
                self._application,
                self._map,
                dispatcher=self._dispatcher,
                adj=options,
                sockinfo=address,
            )
        except OSError as error:
            host, port = address[3][:2]
            raise ConfigurationError(
                f'Cannot listen on {printable(host)}, port {port}: {error.strerror}',
                hint='Choose another address by --listen.',
            ) from None
        listener.certificate = self._certificate
        self._listeners.append(listener)

    def serve(self, tick=lambda: None):
        """Answer requests until a signal raises something; call `tick()` every second at least."""
        while True:
            self._turn()
            tick()

    def _turn(self):
        waitress.wasyncore.loop(timeout=TICK_SECONDS, use_poll=True, map=self._map, count=1)
        if self._certificate is not None and time.monotonic() - self._renewed > RENEWAL_SECONDS:
            self._renewed = time.monotonic()
            self._certificate.renew()

    def __exit__(self, *exc_info):
        """Take no new request, and let those that are being answered come to an end."""
        try:
            for listener in self._listeners:
                waitress.wasyncore.dispatcher.close(listener)
            until = time.monotonic() + END_SECONDS
            while self._has_work() and time.monotonic() < until:
                waitress.wasyncore.loop(timeout=0.1, use_poll=True, map=self._map, count=1)
        finally:
            self._dispatcher.shutdown(timeout=END_SECONDS)
            waitress.wasyncore.close_all(self._map, ignore_all=True)

    def _has_work(self):
        channels = [c for each in self._listeners for c in each.active_channels.values()]
        for channel in channels:
            if not (channel.requests or channel.total_outbufs_len):
                channel.will_close = True
        return any(channel.requests or channel.total_outbufs_len for channel in channels)
