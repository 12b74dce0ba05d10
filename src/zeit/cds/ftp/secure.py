"""A `Stream` in TLS: handshake, orderly end, and the session that data connections resume."""

import contextlib
import logging
import select
import socket
import ssl

from zeit.cds.errors import ConnectionLost, DeadlinePassed
from zeit.cds.ftp import openssl
from zeit.cds.ftp.stream import Stream
from zeit.cds.network.oserrors import from_os
from zeit.cds.system.polling import now


log = logging.getLogger(__name__)

#: How long the server's side of the end is waited for, in seconds.  Some never say it.
GOODBYE = 2

#: The most that one read returns, a TLS record (RFC 8446 section 5.1), in bytes.
RECORD = 16 * 1024

#: How much of what comes in TLS gets at once, in bytes, and how often, until somebody looks at the
#: time again: what comes need not be data, such as the tickets of TLS 1.3, and has no bound.
TAKEN = 4 * RECORD
TAKES = 4


@contextlib.contextmanager
def _shaking_hands(stream, host, *, timeout):
    try:
        yield
    except OSError as error:
        if isinstance(error, ssl.SSLError):
            raise openssl.handshake_failed(error, host=host) from error
        stream.deadline.within(timeout)
        activity = f'beginning TLS with {host}'
        raise from_os(error, activity=activity, cls=ConnectionLost, timeout=timeout) from error


class SecureStream(Stream):
    """See `Stream`.

    `resumed` tells whether the handshake resumed a session.

    OpenSSL works in memory here.  On a socket it would read on for as long as something comes that
    is no data, and neither time-out, deadline nor signal would end that.
    """

    def __init__(self, stream, context, **options):
        # Not asked of the socket, which may have been reset since.
        self.peer, self.round_trip = stream.peer, stream.round_trip
        self._watched, self._hear = stream._watched, stream._hear
        self._sock, self._timeout, self.deadline = stream._sock, stream._timeout, stream.deadline
        self._came, self._said = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._said, **options)
        self._unsent = b''
        self._encrypted = 0
        self.resumed = False
        self._finished = False

    @classmethod
    def over(cls, stream, *, context, host, timeout, session=None):
        """Return a stream with TLS over the connection of `stream`, which is of no use then.

        `host` is the name that the certificate must have, `timeout` (seconds) is for the whole
        handshake, `session` is one to be resumed.  Raises `CertificateRefused`, `HandshakeFailed`,
        `ConnectionLost`; the connection is closed then.
        """
        try:
            with _shaking_hands(stream, host, timeout=timeout):
                # By which interface we get to an address, no certificate says.
                name = host.partition('%')[0].rstrip('.')
                made = cls(stream, context, server_hostname=name, session=session)
                until = now() + timeout
                made._within(until, made._turn, made._tls.do_handshake, events=select.POLLIN)
        except BaseException:
            stream._sock.close()
            raise
        made.resumed = made._tls.session_reused
        resumed = ', resumed' if made.resumed else ''
        log.debug('%s, %s%s', made._tls.version(), made._tls.cipher()[0], resumed)
        return made

    @property
    def session(self):
        """The newest session that the server offered to resume, so far; None if there is none."""
        session = self._tls.session
        # In TLS 1.3 there is nothing to resume without a ticket.
        return session if session and (session.has_ticket or session.id) else None

    @property
    def facts(self):
        """The version of TLS, the cipher, and the certificate of the server (DER, bytes)."""
        return self._tls.version(), self._tls.cipher()[0], self._tls.getpeercert(True)

    @property
    def has_tickets(self):
        """Tell whether the server may offer sessions at any time: since TLS 1.3."""
        return self._tls.version() == 'TLSv1.3'

    @property
    def holds(self):
        """See `Stream`."""
        return self._came.pending > 0

    def _wait(self, events, *, until):
        """See `Stream`; what is waited for, TLS knows better."""
        super()._wait(select.POLLOUT if self._unsent else select.POLLIN, until=until)

    def _turn(self, function, *arguments):
        """Call a function of TLS with what comes in, and send what TLS says.

        Raises BlockingIOError if it needs more than is there, or than `TAKES` times `TAKEN`.
        """
        try:
            for more in reversed(range(TAKES + 1)):
                with contextlib.suppress(ssl.SSLWantReadError):
                    return function(*arguments)
                self._flush()
                if more:
                    self._take()
        except ssl.SSLError:
            # Whether the other side still gets our alert changes nothing.
            with contextlib.suppress(OSError):
                self._flush()
            raise
        finally:
            self._flush()
        raise BlockingIOError

    def _take(self):
        if came := self._sock.recv(TAKEN):
            self._came.write(came)
        else:
            self._came.write_eof()

    def _flush(self):
        """Send what TLS has said; return False if there was no room for all of it."""
        while unsent := self._unsent or memoryview(self._said.read()):
            self._unsent = b''  # nobody takes it any more after an error
            try:
                self._unsent = unsent[self._sock.send(unsent) :]
            except BlockingIOError:
                self._unsent = unsent
                return False
        return True

    def _write(self, data):
        self._turn(self._encrypt, memoryview(data))
        if self._unsent:
            raise BlockingIOError
        sent, self._encrypted = self._encrypted, 0
        return sent

    def _encrypt(self, data):
        while self._encrypted < len(data):
            self._encrypted += self._tls.write(data[self._encrypted :])

    def _await(self, until, size):
        # What has come in may be held back where poll(2) does not see it.
        return self._within(until, self._read, size, events=select.POLLIN)

    def _read(self, size):
        try:
            return self._turn(self._tls.read, min(size, RECORD))
        except ssl.SSLZeroReturnError:
            return b''  # close_notify
        except ssl.SSLError as error:
            if not openssl.is_cut(error):
                raise
            self.truncated = True
            return b''

    def _lost(self, error, activity, **options):
        if not isinstance(error, TimeoutError):
            error = self._last_words() or error
        if isinstance(error, ssl.SSLError):
            return openssl.lost(error, activity=activity)
        return super()._lost(error, activity, **options)

    def _last_words(self):
        """Return the alert that came before the connection broke, an `ssl.SSLError`, or None.

        In TLS 1.3 a server refuses our certificate only when we have begun to speak.
        """
        try:
            self._take()
            self._tls.read(RECORD)
        except ssl.SSLError as error:
            return error if 'ALERT' in (getattr(error, 'reason', None) or '') else None
        except (OSError, ValueError):
            pass
        return None

    def finish(self, *, activity):
        """See `Stream`: close_notify (RFC 8446 section 6.1), then the end of the TCP stream.

        The server's answer is not waited for here: it may come after its final reply.
        """
        until = now() + self._timeout
        try:
            with contextlib.suppress(BlockingIOError):
                self._read(RECORD)  # what has come are tickets, the newest of which is of use later
            if self.truncated:
                raise ssl.SSLEOFError  # there is nobody to say goodbye to
            self._say_goodbye()
            while not self._flush():
                self._wait(select.POLLOUT, until=until)
            self._finished = True
        except OSError as error:
            raise self._lost(error, activity) from error
        with contextlib.suppress(OSError):  # the server may have ended it by itself
            self._sock.shutdown(socket.SHUT_WR)

    def _say_goodbye(self):
        """Send close_notify, as far as there is room for it."""
        try:
            self._turn(self._tls.unwrap)
        except BlockingIOError:
            pass  # the server's own is still to come
        except ConnectionResetError:
            pass  # it will not come; what the server has got, its final reply tells
        except ssl.SSLError as error:
            if not openssl.is_cut(error):
                raise

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
            super().close()

    def _drain(self):
        until = now() + self.deadline.within(GOODBYE)
        while self._sock.fileno() >= 0 and self._await(until, RECORD):
            pass


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

    @property
    def facts(self):
        """Those of the control connection, see `SecureStream`."""
        return self._control.facts

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
