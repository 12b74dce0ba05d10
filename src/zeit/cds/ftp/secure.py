"""A `Stream` in TLS: handshake, orderly end, and the session that data connections resume."""

import contextlib
import functools
import logging
import select
import socket
import ssl
import time

from zeit.cds.errors import ConnectionLost, DeadlinePassed
from zeit.cds.forks import not_inherited
from zeit.cds.ftp import tls
from zeit.cds.ftp.oserrors import from_os
from zeit.cds.ftp.sockets import raise_error
from zeit.cds.ftp.stream import Stream


log = logging.getLogger(__name__)

#: How long the server's side of the end is waited for, in seconds.  Some never say it.
GOODBYE = 2

#: The most that one read returns, a TLS record (RFC 8446 section 5.1), in bytes.
RECORD = 16 * 1024


@contextlib.contextmanager
def _shaking_hands(stream, host, *, timeout):
    try:
        yield
    except OSError as error:
        if isinstance(error, ssl.SSLError):
            raise tls.handshake_failed(error, host=host) from error
        stream._deadline.within(timeout)
        doing = f'beginning TLS with {host}'
        raise from_os(error, doing=doing, cls=ConnectionLost, timeout=timeout) from error


class SecureStream(Stream):
    """See `Stream`.

    `resumed` tells whether the handshake resumed a session.
    """

    def __init__(self, stream, sock):
        # Not asked of the socket, which may have been reset since.
        self.peer = stream.peer
        self._sock, self._timeout, self._deadline = sock, stream._timeout, stream._deadline
        self.resumed = False
        self._session = None
        self._finished = False

    sends_files = False

    @classmethod
    def over(cls, stream, *, context, host, timeout, session=None, meanwhile=lambda: None):
        """Return a stream with TLS over the connection of `stream`, which is of no use then.

        `host` is the name that the certificate must have, `timeout` (seconds) is for the whole
        handshake, `session` is one to be resumed.  `meanwhile()` is called when the handshake has
        begun, before its answer is waited for.  Raises `CertificateRefused`, `HandshakeFailed`,
        `ConnectionLost`, and what `meanwhile` raises; the connection is closed then.
        """
        sock = stream._sock
        shaking_hands = functools.partial(_shaking_hands, stream, host, timeout=timeout)
        try:
            with shaking_hands():
                raise_error(sock)  # Python does not wrap one that was reset, and leaves it open
                sock = not_inherited(
                    context.wrap_socket,
                    sock,
                    server_hostname=host.rstrip('.'),
                    do_handshake_on_connect=False,
                    suppress_ragged_eofs=False,
                    session=session,
                )
                with contextlib.suppress(ssl.SSLWantReadError):
                    sock.do_handshake()
            made = cls(stream, sock)
            meanwhile()
            with shaking_hands():
                until = time.monotonic() + timeout
                made._within(until, lambda _: sock.do_handshake(), None, events=select.POLLIN)
        except BaseException:
            sock.close()
            raise
        made.resumed = sock.session_reused
        resumed = ', resumed' if made.resumed else ''
        log.debug('%s, %s%s', sock.version(), sock.cipher()[0], resumed)
        return made

    @property
    def session(self):
        """The newest session that the server offered to resume, so far; None if there is none."""
        session = self._sock.session or self._session
        # In TLS 1.3 there is nothing to resume without a ticket.
        return session if session and (session.has_ticket or session.id) else None

    @property
    def has_tickets(self):
        """Tell whether the server may offer sessions at any time: since TLS 1.3."""
        return self._sock.version() == 'TLSv1.3'

    def _within(self, until, function, argument, *, events):
        """See `Stream`; what is waited for, TLS knows better."""
        self._deadline.within(self._timeout)
        while True:
            try:
                return function(argument)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN, until=until)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, until=until)

    def _await(self, until, size):
        # What has come in may be held back where poll(2) does not see it.
        return self._within(until, self._read, size, events=select.POLLIN)

    def _read(self, size):
        try:
            return self._sock.recv(min(size, RECORD))
        except ssl.SSLWantReadError:
            # Also after what is no data: in TLS 1.3 tickets come when they like.
            raise BlockingIOError from None
        except ssl.SSLZeroReturnError:
            return b''  # close_notify
        except ssl.SSLError as error:
            if not tls.is_cut(error):
                raise
            self.truncated = True
            return b''

    def _lost(self, error, doing):
        if not isinstance(error, TimeoutError):
            error = self._last_words() or error
        if isinstance(error, ssl.SSLError):
            return tls.lost(error, doing=doing)
        return super()._lost(error, doing)

    def _last_words(self):
        """Return the alert that came before the connection broke, an `ssl.SSLError`, or None.

        In TLS 1.3 a server refuses our certificate only when we have begun to speak.
        """
        try:
            self._sock.recv(RECORD)
        except ssl.SSLError as error:
            return error if 'ALERT' in (getattr(error, 'reason', None) or '') else None
        except (OSError, ValueError):
            pass
        return None

    def finish(self, *, doing):
        """See `Stream`: close_notify (RFC 8446 section 6.1), then the end of the TCP stream.

        The server's answer is not waited for here: it may come after its final reply.
        """
        until = time.monotonic() + self._timeout
        try:
            with contextlib.suppress(BlockingIOError):
                self._read(RECORD)  # what has come are tickets, the newest of which is of use later
            if self.truncated:
                raise ssl.SSLEOFError  # there is nobody to say goodbye to
            while not self._say_goodbye():
                self._wait(select.POLLOUT, until=until)
            self._finished = True
        except OSError as error:
            raise self._lost(error, doing) from error
        # The server may have ended it by itself.  SSLSocket.shutdown would end TLS for what is
        # still to be received as well: tickets above all.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def _say_goodbye(self):
        """Send close_notify; return False if there was no room for it."""
        connection = self._sock._sslobj
        try:
            self._sock.unwrap()
        except ssl.SSLWantWriteError:
            return False
        except ssl.SSLWantReadError:
            pass  # sent; the server's own is still to come
        except ConnectionResetError:
            pass  # it will not come; what the server has got, its final reply tells
        except ssl.SSLError as error:
            if not tls.is_cut(error):
                raise
        finally:
            # The socket has forgotten it if the server's own was there, maybe behind a ticket.
            self._session = connection and connection.session
        return True

    def close(self):
        """See `Stream`.

        After `finish`, what the server still says is read until its end, for at most `GOODBYE`
        seconds: with tickets that nobody has read, the system would reset the connection, and the
        server might lose the end of what was sent.
        """
        try:
            if self._finished:
                self._drain()
            elif self._sock.fileno() >= 0 and not self.truncated:
                self._say_goodbye()
        except (OSError, ValueError, DeadlinePassed) as error:
            log.debug('No orderly end of TLS: %s', error)
        finally:
            self._session = self._sock.session or self._session
            super().close()

    def _drain(self):
        until = time.monotonic() + self._deadline.within(GOODBYE)
        while self._sock.fileno() >= 0:
            if not self._within(until, self._read, RECORD, events=select.POLLIN):
                return


class Protection:
    """The TLS of one control connection, `control`, for its data connections.

    `context`, `host` and `timeout` are those of `SecureStream.over`.  `connections` counts the
    data connections, `resumed` those of them that resumed a session.

    Servers want that of the control connection, to be sure that both come from the same client:
    vsftpd, ProFTPD and FileZilla Server refuse others.  In TLS 1.3 it comes some time after the
    handshake, and may be good for one connection only (RFC 8446 appendix C.4).  The server offers
    the next one on the data connection that resumed it, so that is asked for then.
    """

    def __init__(self, control, *, context, host, timeout):
        self._control = control
        self._options = {'context': context, 'host': host, 'timeout': timeout}
        self._last = None
        self._offered = self._spent = None
        self.connections = self.resumed = 0

    def __repr__(self):
        return f'<Protection, {self.resumed} of {self.connections} resumed>'

    def secure(self, data, **options):
        """Return a `SecureStream` over the data connection `data`; see `SecureStream.over`."""
        session = self._session()
        self._offered = session and session.id
        made = SecureStream.over(data, session=session, **options, **self._options)
        self.connections += 1
        self.resumed += made.resumed
        if not made.resumed:
            has = 'did not resume the TLS session' if session else 'offers no TLS session'
            log.debug('The server %s', has)
        self._last = made
        return made

    def _session(self):
        own = self._control.session
        if own is None or not self._control.has_tickets:
            return own
        if own.id != self._spent:
            self._spent = own.id
            return own
        last = self._last and self._last.session
        return last if last and last.id != self._offered else own
