"""A TCP socket on which nothing waits for ever, and whose errors are ours."""

import errno
import socket
import struct
import time

from zeit.cds.errors import ConnectionLost, FTPOSError, from_os


#: How much is read or sent at once, in bytes: large enough that Python's share does not count.
CHUNK = 256 * 1024

#: Close with a reset instead of an orderly end (SO_LINGER, socket(7)): the peer sees an error.
_ABORT = struct.pack('ii', 1, 0)

#: What the system says about an address that this machine has no network for, e.g. the `::1` of
#: localhost where IPv6 is switched off.  It says nothing about the server.
_NO_NETWORK = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)


class Stream:
    """A connected socket.

    `timeout`, in seconds, holds for each wait: for a piece of data to be taken by the network, or
    for some to arrive.  `peer` is the address at the other end.
    """

    def __init__(self, sock, *, timeout):
        self._sock = sock
        self._timeout = timeout
        self.peer = sock.getpeername()[0]

    def __repr__(self):
        return f'<Stream to {self.peer}{"" if self._sock.fileno() >= 0 else ", closed"}>'

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @classmethod
    def connect(cls, host, port, *, connect_timeout, timeout, doing, keepalive=False):
        """Return a stream to `host` (name or address) and `port`.

        `connect_timeout` (seconds) holds for each of the host's addresses; they are tried in the
        resolver's order.  `doing` says what this is for, in a message.  `keepalive` lets the
        system probe an idle peer (RFC 1122 section 4.2.3.6), which also keeps a NAT's entry.

        Raises `FTPOSError`: the error of the last address that this machine can reach, if there is
        one.
        """
        try:
            sock = socket.create_connection((host, port), timeout=connect_timeout, all_errors=True)
        except ExceptionGroup as group:
            found = [e for e in group.exceptions if e.errno not in _NO_NETWORK]
            error = (found or group.exceptions)[-1]
            raise from_os(error, doing=doing, timeout=connect_timeout) from error
        except OSError as error:
            raise from_os(error, doing=doing, timeout=connect_timeout) from error
        except ValueError as error:
            # What cannot be the name of a host does not get as far as the resolver (IDNA, NUL).
            raise FTPOSError(
                socket.EAI_NONAME,
                f'The name cannot be resolved: {error}',
                hint="Check the spelling of the server's name.",
            ) from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if keepalive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if hasattr(socket, 'TCP_KEEPIDLE'):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30)
            return cls(sock, timeout=timeout)
        except OSError as error:
            sock.close()
            raise from_os(error, doing=doing) from error
        except BaseException:
            sock.close()
            raise

    def send(self, data, *, doing):
        """Send all of `data`; each `CHUNK` within the time-out.  Raises `ConnectionLost`."""
        view = memoryview(data)
        try:
            for start in range(0, len(view), CHUNK):
                self._sock.settimeout(self._timeout)
                self._sock.sendall(view[start : start + CHUNK])
        except OSError as error:
            raise from_os(error, doing=doing, cls=ConnectionLost, timeout=self._timeout) from error

    def receive(self, *, doing, deadline=None):
        """Return the bytes that come next, b'' at the end of the connection.

        `deadline` (of `time.monotonic`) bounds the wait in place of the time-out, for an answer
        that must be there as a whole by then.  Raises `ConnectionLost`.
        """
        timeout = self._timeout if deadline is None else deadline - time.monotonic()
        try:
            if timeout <= 0:
                raise TimeoutError
            self._sock.settimeout(timeout)
            return self._sock.recv(CHUNK)
        except OSError as error:
            raise from_os(error, doing=doing, cls=ConnectionLost, timeout=self._timeout) from error

    def receive_now(self):
        """Return the bytes that are there already, b'' at the end, None if there is nothing.

        Raises `ConnectionLost`.
        """
        try:
            self._sock.settimeout(0)
            return self._sock.recv(CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            raise from_os(error, doing='looking for data', cls=ConnectionLost) from error

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
