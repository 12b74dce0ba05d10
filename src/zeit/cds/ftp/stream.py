"""A TCP socket on which nothing waits for ever, and whose errors are ours."""

import contextlib
import functools
import logging
import select
import socket
import struct

from zeit.cds.errors import ConnectionLost
from zeit.cds.network.connecting import connected_socket
from zeit.cds.network.deadline import Deadline, Until
from zeit.cds.network.oserrors import from_os
from zeit.cds.network.sockets import (
    acknowledge,
    begin,
    raise_error,
    wait,
    without_backlog,
)
from zeit.cds.system.forks import not_inherited
from zeit.cds.system.polling import give_way, now


log = logging.getLogger(__name__)

#: How much is read or sent at once, in bytes: large enough that Python's share does not count.
CHUNK = 256 * 1024

#: How much is read at once where only replies come, in bytes.
REPLY = 8 * 1024

#: An answer that is ready is here within two round trips, of at most `SLOWEST` seconds each, plus
#: `READY` seconds.
SLOWEST, READY = 1, 0.05

#: Close with a reset instead of an orderly end (SO_LINGER, socket(7)): the peer sees an error.
_ABORT = struct.pack('ii', 1, 0)


class Stream:
    """A connected socket.

    `timeout`, in seconds, holds for each wait: for a piece of data to be taken by the network, or
    for some to arrive; `deadline` for all of them together.  `peer` is the address at the other
    end.  `truncated` tells, where that can be known, that the connection was cut: what came may be
    a part only.
    """

    truncated = False

    #: The other side has reset the connection, also while something was to be sent: it may not have
    #: received all.
    was_reset = False

    #: Something has come in that was not received yet, and that poll(2) does not see any more.
    holds = False

    #: How long it took to connect, in seconds: a round trip.
    round_trip = 0

    _watched = _hear = None

    def __init__(self, sock, *, timeout, deadline, peer=''):
        sock.setblocking(False)
        self._sock = sock
        self._timeout = timeout
        self.deadline = deadline
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
        activity,
        deadline=None,
        keepalive=0,
        bind=None,
    ):
        """Return a stream to `host` and `port`; see `connected_socket`."""
        deadline = deadline or Deadline()
        sock, round_trip = connected_socket(
            host,
            port,
            connect_timeout=connect_timeout,
            activity=activity,
            deadline=deadline,
            keepalive=keepalive,
            bind=bind,
        )
        made = cls._of(sock, activity=activity, timeout=timeout, deadline=deadline)
        made.round_trip = round_trip
        return made

    @classmethod
    def _of(cls, sock, *, activity, begin=lambda sock: None, **options):
        """Return the stream of a socket after `begin(sock)`; after any error that is closed."""
        try:
            begin(sock)
            return cls(sock, **options)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError):
                raise from_os(error, activity=activity) from error
            raise

    def beside(self, port, *, timeout, host=None, bind=None):
        """Begin a connection to another port of the same peer, or of `host`; return its stream.

        `connected` must be called before it is used.  `timeout` (seconds) is for its later waits,
        `bind` as in `connect`.  Raises `FTPOSError`.
        """
        activity = f'opening a data connection to port {port}'
        try:
            peer, _, *more = self._sock.getpeername()
            family = socket.AF_INET6 if more else socket.AF_INET
            if host is not None:
                peer, more = host, []
            sock = not_inherited(socket.socket, family, socket.SOCK_STREAM)
        except OSError as error:
            raise from_os(error, activity=activity) from error

        def begin_it(sock):
            begin(sock, (peer, port, *more), bind=bind)
            without_backlog(sock)

        about = {'timeout': timeout, 'deadline': self.deadline, 'peer': self.peer}
        return Stream._of(sock, activity=activity, begin=begin_it, **about)

    def connected(self, *, timeout):
        """Wait for the end of what `beside` began, at most `timeout` seconds.

        Raises `FTPOSError`, and what is heard, see `watch`; so do all methods that wait.
        """
        try:
            self._wait(select.POLLOUT, until=now() + timeout)
            raise_error(self._sock)
        except OSError as error:
            activity = 'opening a data connection'
            raise from_os(error, activity=activity, timeout=timeout) from error

    def send(self, data, *, activity):
        """Send all of `data` within the time-out.  Raises `ConnectionLost`."""
        until = None
        try:
            while data:
                give_way()  # also where nothing has to be waited for: see `_within`
                self.deadline.within(self._timeout)
                try:
                    data = data[self._write(data) :]
                except BlockingIOError:
                    until = now() + self._timeout if until is None else until
                    self._wait(select.POLLOUT, until=until)
        except OSError as error:
            raise self._lost(error, activity) from error

    def _write(self, data):
        return self._sock.send(data)

    def _within(self, until, function, argument, *, events):
        """Call a function of the socket until it does not block; between, wait for `events`.

        At most until a moment of `now`.  Raises OSError.  The time is looked at also
        where nothing has to be waited for: a network may be faster than what it is read from.
        """
        give_way()
        self.deadline.within(self._timeout)
        if now() > until:
            raise TimeoutError
        while True:
            try:
                return function(argument)
            except BlockingIOError:
                self._wait(events, until=until)

    def watch(self, other, hear):
        """From now on call `hear()` when something comes in on the stream `other` while this waits.

        It returns whether to go on so.
        """
        self._watched, self._hear = other, hear

    def _wait(self, events, *, until):
        held = self._watched is not None and self._watched.holds
        other = self._watched and self._watched._sock
        options = {'until': until, 'deadline': self.deadline}
        while held or not wait(self._sock, events, other=other, **options):
            held = False
            if not self._hear():
                self._watched = other = None

    def receive(self, *, activity, until=None, reply=False, most=CHUNK):
        """Return the bytes that come next, at most `most`; b'' at the end of the connection.

        The moment `until`, an `Until`, bounds the wait in place of the time-out, for an answer that
        must be there as a whole by then.  With `reply` it is at most `REPLY` bytes, and they are
        acknowledged at once.  Raises `ConnectionLost`.
        """
        until = Until(self._timeout) if until is None else until
        try:
            if reply:
                acknowledge(self._sock)
            return self._await(until, REPLY if reply else most)
        except OSError as error:
            raise self._lost(error, activity, within=until.seconds) from error

    def _await(self, until, size):
        while True:
            self._wait(select.POLLIN, until=until)  # nearly always there is nothing yet
            try:
                return self._read(size)
            except BlockingIOError:
                pass  # what was there has been dropped

    def _lost(self, error, activity, *, within=None):
        self.was_reset = self.was_reset or not isinstance(error, TimeoutError)
        within = self._timeout if within is None else within
        if isinstance(error, TimeoutError):
            self.deadline.within(within)  # was it this one?
        return from_os(error, activity=activity, cls=ConnectionLost, timeout=within)

    def receive_now(self):
        """Return the bytes that are there already, b'' at the end, None if there is nothing.

        Raises `ConnectionLost`.
        """
        try:
            return self._read(REPLY)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._lost(error, 'looking for data') from error

    def _read(self, size):
        return self._sock.recv(size)

    def comes_soon(self):
        """Return whether something comes, or the end, within what a ready answer takes."""
        until = now() + READY + 2 * min(self.round_trip, SLOWEST)
        try:
            if not self.holds:
                self._wait(select.POLLIN, until=until)
            return True
        except TimeoutError:
            return False

    def finish(self, *, activity):
        """Tell the other side that nothing follows; what it says can still be received.

        Raises `ConnectionLost`.
        """
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._lost(error, activity) from error

    def is_ended_before(self, other, *, until):
        """Wait for the end of what the other side says here; return whether it has come.

        It has not if something came in on the stream `other` before, or nothing at all by `until`
        (of `now`).
        """
        waits = functools.partial(wait, other._sock, select.POLLIN, deadline=self.deadline)
        try:
            while not (other.holds or self.holds or waits(until=until, other=self._sock)):
                with contextlib.suppress(BlockingIOError):  # nothing for us: a ticket of TLS
                    return not self._read(REPLY)
        except OSError as error:
            self.was_reset = not isinstance(error, TimeoutError)
            log.debug('No orderly end of the data connection: %s', error)
        return False

    def close(self):
        """End the connection in an orderly way; may be called again."""
        self._sock.close()

    def abort(self):
        """Reset the connection: what is on its way is not delivered any more.

        The server cannot take what it got for the whole.
        """
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        except OSError:
            pass  # already closed, or reset by the other side: that is what was wanted
        self._sock.close()
