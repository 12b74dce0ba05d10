"""A TCP socket on which nothing waits for ever, and whose errors are ours."""

import errno
import queue
import socket
import struct
import threading
import time

from zeit.cds.errors import ConnectionLost, DeadlinePassed, from_os


#: How much is read or sent at once, in bytes: large enough that Python's share does not count.
CHUNK = 256 * 1024

#: Close with a reset instead of an orderly end (SO_LINGER, socket(7)): the peer sees an error.
_ABORT = struct.pack('ii', 1, 0)

#: What the system says about an address that this machine has no network for, e.g. the `::1` of
#: localhost where IPv6 is switched off.  It says nothing about the server.
_NO_NETWORK = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)


class Deadline:
    """The moment by which everything must be done; without a bound until there is one."""

    def __init__(self):
        self._moment = None

    def __repr__(self):
        return f'<Deadline {self._moment}>'

    def restart(self, seconds):
        """Let it be in so many seconds from now."""
        self._moment = time.monotonic() + seconds

    def within(self, timeout):
        """Return `timeout`, or what is left if that is less; both in seconds.

        Raises `DeadlinePassed` when nothing is left.
        """
        if self._moment is None:
            return timeout
        left = self._moment - time.monotonic()
        if left <= 0:
            raise DeadlinePassed(
                'The time of this run is used up',
                hint='The next one goes on; it may need a longer deadline (--deadline).',
            )
        return min(timeout, left)


class Stream:
    """A connected socket.

    `timeout`, in seconds, holds for each wait: for a piece of data to be taken by the network, or
    for some to arrive; `deadline` for all of them together.  `peer` is the address at the other
    end.  `truncated` tells, where that can be known, that the connection was cut: what came may be
    a part only.
    """

    truncated = False

    def __init__(self, sock, *, timeout, deadline):
        self._sock = sock
        self._timeout = timeout
        self._deadline = deadline
        self.peer = sock.getpeername()[0]

    def __repr__(self):
        return f'<Stream to {self.peer}{"" if self._sock.fileno() >= 0 else ", closed"}>'

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @classmethod
    def connect(
        cls, host, port, *, connect_timeout, timeout, doing, deadline=None, keepalive=False
    ):
        """Return a stream to `host` (name or address) and `port`.

        `connect_timeout` (seconds) holds for finding the host's addresses, and for each of them;
        they are tried in the resolver's order.  `doing` says what this is for, in a message.
        `keepalive` lets the system probe an idle peer (RFC 1122 section 4.2.3.6), which also
        keeps a NAT's entry.

        Raises `FTPOSError`: the error of the last address that this machine can reach, if there is
        one.
        """
        deadline = deadline or Deadline()
        failures = []
        for address in _resolve(host, port, timeout=deadline.within(connect_timeout)):
            try:
                sock = _dial(address, timeout=deadline.within(connect_timeout))
                break
            except OSError as error:
                failures.append(error)
        else:
            deadline.within(connect_timeout)
            found = [e for e in failures if e.errno not in _NO_NETWORK]
            error = (found or failures)[-1]
            raise from_os(error, doing=doing, timeout=connect_timeout) from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if keepalive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if hasattr(socket, 'TCP_KEEPIDLE'):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30)
            return cls(sock, timeout=timeout, deadline=deadline)
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
                self._sock.settimeout(self._deadline.within(self._timeout))
                self._sock.sendall(view[start : start + CHUNK])
        except OSError as error:
            raise self._lost(error, doing) from error

    def receive(self, *, doing, until=None):
        """Return the bytes that come next, b'' at the end of the connection.

        `until` (of `time.monotonic`) bounds the wait in place of the time-out, for an answer that
        must be there as a whole by then.  Raises `ConnectionLost`.
        """
        timeout = self._timeout if until is None else until - time.monotonic()
        try:
            if timeout <= 0:
                raise TimeoutError
            self._sock.settimeout(self._deadline.within(timeout))
            return self._read()
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
            return self._read()
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._lost(error, 'looking for data') from error

    def _read(self):
        return self._sock.recv(CHUNK)

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


def _resolve(host, port, *, timeout):
    """Return the addresses of `host`, as getaddrinfo gives them, within `timeout` seconds.

    The system's resolver has no time-out that could be set: getaddrinfo(3).  So it works in a
    thread of its own, which is left alone when it takes too long.
    """
    answer = queue.SimpleQueue()

    def ask():
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            answer.put(error)

    threading.Thread(target=ask, name=f'resolve {host}', daemon=True).start()
    try:
        found = answer.get(timeout=timeout)
    except queue.Empty:
        raise from_os(TimeoutError(), doing=f'resolving the name {host}', timeout=timeout) from None
    if isinstance(found, ValueError):
        # It does not get as far as the resolver: IDNA, NUL.
        found = socket.gaierror(socket.EAI_NONAME, str(found))
    if isinstance(found, OSError):
        raise from_os(found, doing=f'resolving the name {host}') from found
    return found


def _dial(address, *, timeout):
    """Return a socket that is connected to one of the addresses of `_resolve`."""
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout)
        sock.connect(where)
        return sock
    except BaseException:
        sock.close()
        raise
