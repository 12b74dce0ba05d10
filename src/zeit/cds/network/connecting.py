"""How a TCP connection to a server is made: by its name, its addresses, one after the other."""

import errno
import socket
import time

from zeit.cds.network.oserrors import from_os
from zeit.cds.network.resolver import resolve
from zeit.cds.network.sockets import begin, wait_connected, without_backlog
from zeit.cds.system.forks import not_inherited


#: What the system says about an address that this machine has no network for, e.g. the `::1` of
#: localhost where IPv6 is switched off.  It says nothing about the server.
_NO_NETWORK = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)


def connected_socket(
    host, port, *, connect_timeout, activity, deadline, keepalive=0, bind=None, meanwhile=None
):
    """Return a socket that is connected to `host` (name or address) and `port`, and the seconds.

    `connect_timeout` (seconds) holds for finding the host's addresses, and for each of them; they
    are tried in the resolver's order.  `activity` says what this is for, in a message.
    `keepalive` lets the system probe a peer that was idle for this many seconds, 0 for never
    (RFC 1122 section 4.2.3.6), which also keeps a NAT's entry.  `bind` is the address of this
    machine to connect from.  `meanwhile()` is called once, when the connection is on its way.
    Raises `FTPOSError`: the error of the last address that this machine can reach, if there is one.
    """
    failures = []
    for address in resolve(host, port, timeout=connect_timeout, deadline=deadline):
        started = time.monotonic()
        try:
            now, meanwhile = meanwhile, None
            sock = dial(
                address, timeout=connect_timeout, deadline=deadline, bind=bind, meanwhile=now
            )
            connected = time.monotonic()
            break
        except OSError as error:
            failures.append(error)
    else:
        deadline.within(connect_timeout)
        found = [e for e in failures if e.errno not in _NO_NETWORK]
        error = (found or failures)[-1]
        raise from_os(error, activity=activity, timeout=connect_timeout) from error
    try:
        without_backlog(sock)
        if keepalive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, 'TCP_KEEPIDLE'):
                seconds = max(1, round(keepalive))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 2))
        return sock, connected - started
    except OSError as error:
        sock.close()
        raise from_os(error, activity=activity) from error
    except BaseException:
        sock.close()
        raise


def dial(address, *, timeout, deadline, bind=None, meanwhile=None):
    """Return a socket that is connected to one of the addresses of `resolve`.

    `meanwhile()` is called when the connection is on its way.
    """
    family, kind, protocol, _, where = address
    sock = not_inherited(socket.socket, family, kind, protocol)
    try:
        begin(sock, where, bind=bind)
        if meanwhile is not None:
            meanwhile()
        wait_connected(sock, timeout=timeout, deadline=deadline)
        return sock
    except BaseException:
        sock.close()
        raise
