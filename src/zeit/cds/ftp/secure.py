"""A `Stream` in TLS: handshake, orderly end, and the session that data connections resume."""

import contextlib
import logging
import select
import socket
import ssl
import time

from zeit.cds.errors import ConnectionLost, DeadlinePassed, from_os
from zeit.cds.ftp import tls
from zeit.cds.ftp.deadline import LOOK
from zeit.cds.ftp.stream import Stream


log = logging.getLogger(__name__)

#: How long the server's side of the end is waited for, in seconds.  Some never say it.
GOODBYE = 2

#: The most that one read returns, a TLS record (RFC 8446 section 5.1), in bytes.
RECORD = 16 * 1024


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

    @classmethod
    def over(cls, stream, *, context, host, timeout, session=None):
        """Return a stream with TLS over the connection of `stream`, which is of no use then.

        `host` is the name that the certificate must have, `timeout` (seconds) is for the whole
        handshake, `session` is one to be resumed.  Raises `CertificateRefused`, `HandshakeFailed`,
        `ConnectionLost`; the connection is closed then.
        """
        deadline = stream._deadline
        sock = context.wrap_socket(
            stream._sock,
            server_hostname=host.rstrip('.'),
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            session=session,
        )
        made = cls(stream, sock)
        try:
            made._within(time.monotonic() + timeout, lambda _: sock.do_handshake(), None)
        except OSError as error:
            sock.close()
            if isinstance(error, ssl.SSLError):
                raise tls.handshake_failed(error, host=host) from error
            deadline.within(timeout)
            doing = f'beginning TLS with {host}'
            raise from_os(error, doing=doing, cls=ConnectionLost, timeout=timeout) from error
        except BaseException:
            sock.close()
            raise
        made.resumed = sock.session_reused
        resumed = ', resumed' if made.resumed else ''
        log.debug('%s, %s%s', sock.version(), sock.cipher()[0], resumed)
        return made

    @property
    def session(self):
        """The newest session that the server offered to resume, so far."""
        return self._sock.session or self._session

    def _read(self, size):
        try:
            return self._sock.recv(size)
        except ssl.SSLWantReadError:
            # Also after what is no data: in TLS 1.3 tickets come when they like.
            raise BlockingIOError from None
        except ssl.SSLEOFError:
            self.truncated = True
            return b''

    def _lost(self, error, doing):
        if isinstance(error, ssl.SSLError):
            return tls.lost(error, doing=doing)
        return super()._lost(error, doing)

    def finish(self, *, doing):
        """See `Stream`: close_notify (RFC 8446 section 6.1), then the end of the TCP stream.

        The server's answer is not waited for here: it may come after its final reply.
        """
        until = time.monotonic() + self._timeout
        try:
            self._sock.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                self._read(RECORD)  # what has come are tickets, the newest of which is of use later
            if self.truncated:
                raise ssl.SSLEOFError  # there is nobody to say goodbye to
            self._session = self._sock.session
            while not self._say_goodbye():
                self._wait_for_room(until)
            self._finished = True
        except OSError as error:
            raise self._lost(error, doing) from error
        # From here on the socket has no TLS any more; the server may have ended it by itself.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def _say_goodbye(self):
        """Send close_notify; return False if there was no room for it."""
        try:
            self._sock.unwrap()
        except ssl.SSLWantWriteError:
            return False
        except ssl.SSLWantReadError:
            pass  # sent; the server's own is still to come
        except (ssl.SSLEOFError, ConnectionResetError):
            pass  # it will not come; what the server has got, its final reply tells
        return True

    def _wait_for_room(self, until):
        room = select.poll()
        room.register(self._sock, select.POLLOUT)
        while not room.poll(self._deadline.within(LOOK) * 1000):
            if time.monotonic() >= until:
                raise TimeoutError

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
                self._session = self._sock.session
                self._sock.settimeout(0)
                self._say_goodbye()
        except (OSError, ValueError, DeadlinePassed) as error:
            log.debug('No orderly end of TLS: %s', error)
        finally:
            super().close()

    def _drain(self):
        until = time.monotonic() + self._deadline.within(GOODBYE)
        while (left := until - time.monotonic()) > 0 and self._sock.fileno() >= 0:
            self._sock.settimeout(left)
            if not self._sock.recv(RECORD):
                return


class Protection:
    """The TLS of one control connection, `control`, for its data connections.

    `context`, `host` and `timeout` are those of `SecureStream.over`.  `connections` counts the
    data connections, `resumed` those of them that resumed a session.

    Servers want that of the control connection, to be sure that both come from the same client:
    vsftpd, ProFTPD and FileZilla Server refuse others.  It is asked for anew each time, as in TLS
    1.3 it comes some time after the handshake, and may be replaced.  Where the server accepts it
    only once (RFC 8446 appendix C.4), the one that it offered on the last data connection follows.
    """

    def __init__(self, control, *, context, host, timeout):
        self._control = control
        self._options = {'context': context, 'host': host, 'timeout': timeout}
        self._last = None
        self._once = False
        self.connections = self.resumed = 0

    def __repr__(self):
        return f'<Protection, {self.resumed} of {self.connections} resumed>'

    def secure(self, data):
        """Return a `SecureStream` over the data connection `data`; see `SecureStream.over`."""
        session = self._session()
        made = SecureStream.over(data, session=session, **self._options)
        self.connections += 1
        self.resumed += made.resumed
        if not made.resumed:
            self._once = self.resumed > 0
            has = 'did not resume the TLS session' if session else 'offers no TLS session'
            log.debug('The server %s', has)
        self._last = made
        return made

    def _session(self):
        own, last = self._control.session, self._last and self._last.session
        session = last if self._once and last else own
        # In TLS 1.3 there is nothing to resume without a ticket.
        return session if session and (session.has_ticket or session.id) else None
