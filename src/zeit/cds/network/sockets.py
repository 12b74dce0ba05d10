"""Sockets that never block: how one is connected, and a bound for each wait."""

import errno
import logging
import os
import select
import socket

from zeit.cds.errors import ConfigurationError
from zeit.cds.system.forks import not_inherited
from zeit.cds.system.polling import now, poll
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The system of this machine takes more to be sent when at most this many bytes wait: they last
#: until we are called, 0.5 ms at 1 Gbit/s.
UNSENT = 64 * 1024

_QUICKACK = getattr(socket, 'TCP_QUICKACK', None)


def begin(sock, where, *, bind=None):
    """Begin to connect, from the address `bind`: connect(2) of a socket that does not block.

    Raises OSError, `ConfigurationError` for an address that this machine does not have.
    """
    sock.setblocking(False)
    if bind is not None:
        if (':' in bind) != (sock.family == socket.AF_INET6):
            raise OSError(errno.EAFNOSUPPORT, f'The server cannot be reached from {bind}')
        _bind(sock, bind)
    number = sock.connect_ex(where)
    if number not in (0, errno.EINPROGRESS):
        raise OSError(number, os.strerror(number))


def _bind(sock, address):
    try:
        # That of a link may name the interface, which bind(2) wants as a number.
        ((*_, where),) = socket.getaddrinfo(
            address, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
        sock.bind(where)
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, socket.EAI_NONAME):
            raise OSError(error.errno, f'{error.strerror}: {address}') from error
        raise ConfigurationError(
            f'This machine does not have the address {printable(address)}',
            hint='See bind_address (--bind-address): without it the system chooses.',
        ) from error


def require_address(address):
    """Raise `ConfigurationError` if connections cannot come from `address`."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    try:
        with not_inherited(socket.socket, family, socket.SOCK_STREAM) as sock:
            _bind(sock, address)
    except OSError as error:
        raise ConfigurationError(f'Nothing can be sent from {address}: {error.strerror}') from error


def wait_connected(sock, *, timeout, deadline):
    """Wait until the socket is connected.  Raises OSError."""
    wait(sock, select.POLLOUT, until=now() + timeout, deadline=deadline)
    raise_error(sock)


def raise_error(sock):
    """Raise what has happened to a socket, an OSError, if something has and was not told yet."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def wait(sock, events, *, until, deadline, other=None):
    """Wait for `events` (of poll(2)), or an error, on a socket until a moment of `now`.

    Returns False if something came in on the socket `other` only.  Raises TimeoutError, and what
    `deadline` raises.
    """
    interests = [(sock, events)]
    if other is not None:
        interests.append((other, select.POLLIN))
    while (seconds_left := until - now()) > 0:
        if happened := poll(interests, deadline.within(seconds_left)):
            return other is None or sock.fileno() in happened
    raise TimeoutError


def without_backlog(sock):
    """Let the system send at once what it has, and take no more than goes out soon (tcp(7)).

    So what was taken is nearly what is on its way: a bar shows how far a file is, not how much
    memory there is, and a time-out is one of the network.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, 'TCP_NOTSENT_LOWAT'):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        except OSError as error:  # the system that Python was made for was another one
            log.debug('What is sent is not bounded: %s', error)


def acknowledge(sock):
    """Let the system say at once that it got what has come, or comes next (tcp(7)).

    A server without TCP_NODELAY sends its second small reply only then: 40 ms later on Linux.
    """
    if _QUICKACK is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
