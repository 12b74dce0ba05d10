"""Names to addresses, within a time-out."""

import errno
import queue
import socket
import threading
import time

from zeit.cds.ftp.deadline import LOOK
from zeit.cds.ftp.oserrors import from_os


def resolve(host, port, *, timeout, deadline):
    """Return the addresses of `host`, as getaddrinfo gives them, within `timeout` seconds.

    The system's resolver has no time-out that could be set: getaddrinfo(3).  So it works in a
    thread of its own, which is left alone when it takes too long.  Raises `FTPOSError`.
    """
    doing = f'resolving the name {host}'
    answer = queue.SimpleQueue()

    def ask():
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            answer.put(error)

    try:
        threading.Thread(target=ask, name=f'resolve {host}', daemon=True).start()
    except RuntimeError as error:
        full = OSError(errno.EAGAIN, 'The system has no more threads')
        raise from_os(full, doing=doing) from error
    until = time.monotonic() + timeout
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise from_os(TimeoutError(), doing=doing, timeout=timeout)
        try:
            found = answer.get(timeout=deadline.within(min(left, LOOK)))
            break
        except queue.Empty:
            continue
    if isinstance(found, ValueError):
        # It does not get as far as the resolver: IDNA, NUL.
        found = socket.gaierror(socket.EAI_NONAME, str(found))
    if isinstance(found, OSError):
        raise from_os(found, doing=doing) from found
    return found
