"""Active mode: the server makes the data connection, to a port of ours (RFC 959 section 3.3)."""

import logging
import select
import socket

from zeit.cds.ftp.stream import Stream
from zeit.cds.network.oserrors import from_os
from zeit.cds.network.sockets import without_backlog
from zeit.cds.system.forks import not_inherited, opening
from zeit.cds.system.polling import now
from zeit.cds.text import printable


log = logging.getLogger(__name__)


class Awaited(Stream):
    """A `Stream` that the server of the stream `control` will connect.

    It listens where `control` comes from; `address` is (host, port), to be announced.  `timeout`
    (seconds) is for its later waits.  Raises `FTPOSError`.
    """

    def __init__(self, control, *, timeout):
        activity = 'listening for a data connection'
        try:
            host, _, *more = control._sock.getsockname()
            listener = not_inherited(socket.socket, control._sock.family, socket.SOCK_STREAM)
        except OSError as error:
            raise from_os(error, activity=activity) from error
        try:
            listener.bind((host, 0, *more))
            listener.listen(1)
            listener.setblocking(False)
            self.address = (host.partition('%')[0], listener.getsockname()[1])
        except OSError as error:
            listener.close()
            raise from_os(error, activity=activity) from error
        super().__init__(listener, timeout=timeout, deadline=control.deadline, peer=control.peer)

    def connected(self, *, timeout):
        """See `Stream`.  Anybody but the server itself is turned away."""
        until = now() + timeout
        try:
            accepted = False
            while not accepted:
                self._wait(select.POLLIN, until=until)
                accepted = self._accept()
        except OSError as error:
            activity = 'waiting for a data connection'
            raise from_os(error, activity=activity, timeout=timeout) from error

    def _accept(self):
        try:
            with opening() as add:
                sock, (host, *_) = self._sock.accept()
                add(sock)
        except BlockingIOError:
            return False  # it has gone again
        if host != self.peer:
            sock.close()
            log.debug('Not the server, turned away: %s', printable(host))
            return False
        sock.setblocking(False)
        listener, self._sock = self._sock, sock
        listener.close()
        without_backlog(sock)
        return True
