"""What the operating system says about a socket, as errors of ours."""

import errno
import os
import socket

from zeit.cds.errors import FTPOSError


#: What to check, by error number, when a connection cannot be made.  Source: connect(2).
_CONNECT_HINTS = {
    errno.ECONNREFUSED: 'Nothing listens there: check host and port, and whether the server runs.',
    errno.ETIMEDOUT: 'Check host and port, and whether a firewall drops the packets.',
    errno.EHOSTUNREACH: 'There is no route to the host: check the network.',
    errno.ENETUNREACH: 'There is no route to the network: check the network.',
}

#: The same when the server has accepted a connection.
_CONNECTED_HINTS = {
    errno.ETIMEDOUT: 'The connection is up, but the server, or a firewall in between, is silent; '
    'the next run tries again. A slow server needs longer time-outs.',
}


def from_os(error, *, activity, cls=FTPOSError, timeout=None):
    """Translate an OSError of a socket into an `FTPOSError`.

    `error` is the OSError, `activity` says in a few words what was being done, `timeout` is the
    time-out in seconds that applied, if one did.  Returns an instance of `cls`; the caller
    raises it `from error`.
    """
    hints = _CONNECT_HINTS if cls is FTPOSError else _CONNECTED_HINTS
    if isinstance(error, TimeoutError) and error.errno is None:
        number, text = errno.ETIMEDOUT, f'No answer within {timeout:g} s while {activity}'
        return cls(number, text, hint=hints[number])
    if isinstance(error, socket.gaierror):
        return cls(
            error.errno,
            f'The name cannot be resolved: {error.strerror}',
            hint="Check the spelling of the server's name, and the name service of this machine.",
        )
    number = error.errno or 0
    hint = hints.get(number, f'It happened while {activity}; the next run tries again.')
    return cls(number, error.strerror or os.strerror(number), hint=hint)
