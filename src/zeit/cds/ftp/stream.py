"""A TCP socket on which nothing waits for ever, and whose errors are ours."""

import errno
import os
import select
import socket
import struct
import time

from zeit.cds.errors import ConnectionLost, from_os
from zeit.cds.ftp.deadline import LOOK, Deadline
from zeit.cds.ftp.resolver import resolve


#: How much is read or sent at once, in bytes: large enough that Python's share does not count.
CHUNK = 256 * 1024

#: How much the system sends at once without our reading it, in bytes.
UNREAD = 4 * CHUNK

#: How much is read at once where only replies come, in bytes.
REPLY = 8 * 1024

#: Close with a reset instead of an orderly end (SO_LINGER, socket(7)): the peer sees an error.
_ABORT = struct.pack('ii', 1, 0)

#: What the system says about an address that this machine has no network for, e.g. the `::1` of
#: localhost where IPv6 is switched off.  It says nothing about the server.
_NO_NETWORK = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)


class Stream:
    """A connected socket.

    `timeout`, in seconds, holds for each wait: for a piece of data to be taken by the network, or
    for some to arrive; `deadline` for all of them together.  `peer` is the address at the other
    end.  `truncated` tells, where that can be known, that the connection was cut: what came may be
    a part only.
    """

    truncated = False

    #: What goes over it is not changed on the way to the network.
    sends_files = True

    def __init__(self, sock, *, timeout, deadline, peer=''):
        self._sock = sock
        self._timeout = timeout
        self._deadline = deadline
        self.peer = peer or sock.getpeername()[0]

    def __repr__(self):
        return f'<Stream to {self.peer}{"" if self._sock.fileno() >= 0 else ", closed"}>'

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @classmethod
    def connect(
        cls,
        host,
        port,
        *,
        connect_timeout,
        timeout,
        doing,
        deadline=None,
        keepalive=0,
        bind=None,
    ):
        """Return a stream to `host` (name or address) and `port`.

        `connect_timeout` (seconds) holds for finding the host's addresses, and for each of them;
        they are tried in the resolver's order.  `doing` says what this is for, in a message.
        `keepalive` lets the system probe a peer that was idle for so many seconds, 0 for never
        (RFC 1122 section 4.2.3.6), which also keeps a NAT's entry.  `bind` is the address of this
        machine to connect from.

        Raises `FTPOSError`: the error of the last address that this machine can reach, if there is
        one.
        """
        deadline = deadline or Deadline()
        failures = []
        for address in resolve(host, port, timeout=connect_timeout, deadline=deadline):
            try:
                sock = _dial(address, timeout=connect_timeout, deadline=deadline, bind=bind)
                break
            except OSError as error:
                failures.append(error)
        else:
            deadline.within(connect_timeout)
            found = [e for e in failures if e.errno not in _NO_NETWORK]
            error = (found or failures)[-1]
            raise from_os(error, doing=doing, timeout=connect_timeout) from error
        try:
            _without_delay(sock)
            if keepalive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if hasattr(socket, 'TCP_KEEPIDLE'):
                    seconds = max(1, round(keepalive))
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 2))
            return cls(sock, timeout=timeout, deadline=deadline)
        except OSError as error:
            sock.close()
            raise from_os(error, doing=doing) from error
        except BaseException:
            sock.close()
            raise

    def beside(self, port, *, timeout, host=None, bind=None):
        """Begin a connection to another port of the same peer, or of `host`; return its stream.

        `connected` must be called before it is used.  `timeout` (seconds) is for its later waits,
        `bind` as in `connect`.  Raises `FTPOSError`.
        """
        doing = f'opening a data connection to port {port}'
        try:
            peer, _, *more = self._sock.getpeername()
            if host is not None:
                peer, more = host, []
            sock = socket.socket(self._sock.family, socket.SOCK_STREAM)
        except OSError as error:
            raise from_os(error, doing=doing) from error
        try:
            _begin(sock, (peer, port, *more), bind=bind)
            _without_delay(sock)
            return Stream(sock, timeout=timeout, deadline=self._deadline, peer=self.peer)
        except OSError as error:
            sock.close()
            raise from_os(error, doing=doing) from error
        except BaseException:
            sock.close()
            raise

    def connected(self, *, timeout):
        """Wait for the end of what `beside` began, at most `timeout` seconds.

        Raises `FTPOSError`.
        """
        try:
            _wait_connected(self._sock, timeout=timeout, deadline=self._deadline)
        except OSError as error:
            doing = 'opening a data connection'
            raise from_os(error, doing=doing, timeout=timeout) from error

    def send(self, data, *, doing):
        """Send all of `data`; each `CHUNK` within the time-out.  Raises `ConnectionLost`."""
        view = memoryview(data)
        try:
            while view:
                view = self._send_piece(view)
        except OSError as error:
            raise self._lost(error, doing) from error

    def _send_piece(self, view):
        """Send a `CHUNK` of `view`; return the rest."""
        left = min(CHUNK, len(view))
        until = time.monotonic() + self._timeout
        while left:
            sent = self._within(until, self._sock.send, view[:left])
            left -= sent
            view = view[sent:]
        return view

    def _within(self, until, function, argument):
        """Call a function of the socket, which must be done by `until` (of `time.monotonic`)."""
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(self._deadline.within(min(left, LOOK)))
            try:
                return function(argument)
            except TimeoutError as error:
                if error.errno is not None:
                    raise  # the system has given up, not we

    def send_file(self, source, *, doing):
        """Let the system send the next piece of `source`, an `ISource`, within the time-out.

        Returns the number of bytes, 0 at the end.  Raises `ConnectionLost`.  Only where
        `sends_files` is true.
        """
        try:
            return self._within(time.monotonic() + self._timeout, self._send_unread, source)
        except OSError as error:
            raise self._lost(error, doing) from error

    def _send_unread(self, source):
        poll = select.poll()
        poll.register(self._sock, select.POLLOUT)
        if not poll.poll(self._sock.gettimeout() * 1000):
            raise TimeoutError
        try:
            return source.sendfile(self._sock.fileno(), UNREAD)
        except BlockingIOError:
            raise TimeoutError from None  # something else has filled it

    def receive(self, *, doing, until=None, size=CHUNK):
        """Return the bytes that come next, at most `size`; b'' at the end of the connection.

        `until` (of `time.monotonic`) bounds the wait in place of the time-out, for an answer that
        must be there as a whole by then.  Raises `ConnectionLost`.
        """
        until = time.monotonic() + self._timeout if until is None else until
        try:
            return self._within(until, self._read, size)
        except OSError as error:
            raise self._lost(error, doing) from error

    def _lost(self, error, doing):
        if isinstance(error, TimeoutError):
            self._deadline.within(self._timeout)  # was it this one?
        return from_os(error, doing=doing, cls=ConnectionLost, timeout=self._timeout)

    def receive_now(self):
        """Return the bytes that are there already, b'' at the end, None if there is nothing.

        Raises `ConnectionLost`.
        """
        try:
            self._sock.settimeout(0)
            return self._read(REPLY)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._lost(error, 'looking for data') from error

    def _read(self, size):
        return self._sock.recv(size)

    def finish(self, *, doing):
        """Tell the other side that nothing follows; only `close` is of use then.

        Raises `ConnectionLost`.
        """
        self._sock.close()

    def close(self):
        """End the connection in an orderly way; may be called again."""
        self._sock.close()

    def abort(self):
        """Reset the connection, so that the server cannot take what it got for the whole."""
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        except OSError:
            pass  # already closed, or reset by the other side: that is what was wanted
        self._sock.close()


def _dial(address, *, timeout, deadline, bind=None):
    """Return a socket that is connected to one of the addresses of `resolve`."""
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        _begin(sock, where, bind=bind)
        _wait_connected(sock, timeout=timeout, deadline=deadline)
        return sock
    except BaseException:
        sock.close()
        raise


def _begin(sock, where, *, bind=None):
    """Begin to connect, from the address `bind`: connect(2) of a socket that does not block."""
    sock.setblocking(False)
    if bind is not None:
        if (':' in bind) != (sock.family == socket.AF_INET6):
            raise OSError(errno.EAFNOSUPPORT, f'The server cannot be reached from {bind}')
        try:
            sock.bind((bind, 0))
        except OSError as error:
            raise OSError(error.errno, f'{error.strerror}: {bind}') from error
    try:
        sock.connect(where)
    except BlockingIOError:
        pass  # it goes on


def _wait_connected(sock, *, timeout, deadline):
    """Wait until the socket is connected.  Raises OSError."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    until = time.monotonic() + timeout
    while not poll.poll(deadline.within(max(0, min(until - time.monotonic(), LOOK))) * 1000):
        if time.monotonic() >= until:
            raise TimeoutError
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _without_delay(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
