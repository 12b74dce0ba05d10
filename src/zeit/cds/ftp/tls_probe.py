"""Where nothing is said: whether the server waits for TLS, asked over a connection of its own."""

import logging

from zeit.cds.errors import FTPOSError
from zeit.cds.ftp import openssl
from zeit.cds.ftp.secure import SecureStream
from zeit.cds.text import printable


log = logging.getLogger(__name__)


class _Said(Exception):
    """Something is said all the same."""


def speaks_tls(stream, *, host, port, timeout, bind=None):
    """Return whether `port` of the peer of `stream` answers a handshake of TLS.

    It takes `timeout` seconds at most to connect, and to shake hands; something that comes over
    `stream` meanwhile ends it: False.  `host` is what is said to the server (RFC 6066 section 3),
    `bind` the address to connect from.  The server is not verified, and gets nothing.
    Raises `DeadlinePassed`.
    """

    def hear():
        raise _Said

    options = {'context': openssl.unverified(), 'host': host, 'timeout': timeout}
    try:
        with stream.beside(port, timeout=timeout, bind=bind) as other:
            other.watch(stream, hear)
            other.connected(timeout=timeout)
            SecureStream.over(other, **options).close()
        return True
    except _Said:
        return False
    except FTPOSError as error:
        log.debug('It is not TLS that is waited for: %s', printable(error.message))
        return False
