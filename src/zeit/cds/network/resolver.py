"""Names to addresses, within a time-out."""

import errno
import select
import socket
import threading

from zeit.cds.network.oserrors import from_os
from zeit.cds.network.sockets import wait
from zeit.cds.system.forks import opening
from zeit.cds.system.polling import now


def resolve(host, port, *, timeout, deadline):
    """Return the addresses of `host`, as getaddrinfo gives them, within `timeout` seconds.

    The system's resolver has no time-out that could be set: getaddrinfo(3).  So it works in a
    thread of its own, which is left alone when it takes too long.  Raises `FTPOSError`.
    """
    activity = f'resolving the name {host}'
    found = []

    def ask():
        with theirs:  # its end tells that there is an answer
            try:
                found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, ValueError) as error:
                found.append(error)

    try:
        with opening() as add:
            ours, theirs = map(add, socket.socketpair())
    except OSError as error:
        raise from_os(error, activity=activity) from error
    with ours:
        try:
            threading.Thread(target=ask, name=f'resolve {host}', daemon=True).start()
        except RuntimeError as error:
            theirs.close()
            full = OSError(errno.EAGAIN, 'The system has no more threads')
            raise from_os(full, activity=activity) from error
        try:
            wait(ours, select.POLLIN, until=now() + timeout, deadline=deadline)
        except TimeoutError as error:
            raise from_os(error, activity=activity, timeout=timeout) from error
    (answer,) = found
    if isinstance(answer, ValueError):
        # It does not get as far as the resolver: IDNA, NUL.
        answer = socket.gaierror(socket.EAI_NONAME, str(answer))
    if isinstance(answer, OSError):
        raise from_os(answer, activity=activity) from answer
    return answer
