"""TLS of the fault server (RFC 4217): its commands, handshakes, and the end of a connection."""

import contextlib
import select
import ssl

from zeit.cds.testing import tlsactions


class Unsafe(Exception):
    """A handshake failed, or what came of it is not accepted; the text is a reply."""


#: What reading or writing raises when the other side has gone, with TLS and without.
LOST = (ConnectionError, ssl.SSLError)


def wrap(session, sock):
    """Return the socket as one with TLS, not yet connected; `sock` is of no use then.

    Before that the client waits, if a rule says so.  Raises Unsafe if the client has gone.
    """
    stall = session.acting(tlsactions.StallHandshake)
    if stall:
        session.stall(stall.until)
    try:
        sock.getpeername()  # one that was reset would not be closed by what follows
        # Not suppressed: that a client ends without close_notify must be seen.
        return session.server.context.wrap_socket(
            sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
    except OSError as error:
        raise Unsafe('522 There is nobody to shake hands with.') from error


def shake_hands(session, sock):
    """Shake hands, after `wrap`. Raises Unsafe if that fails, or a rule is not satisfied."""
    sock.setblocking(False)
    while True:
        try:
            sock.do_handshake()
            break
        except ssl.SSLWantReadError:
            session.wait(sock)
        except ssl.SSLWantWriteError:
            session.wait(sock, event=select.POLLOUT)
        except OSError as error:
            raise Unsafe('522 TLS handshake failed.') from error
    if session.acting(tlsactions.RequireResumption) and not sock.session_reused:
        raise Unsafe('522 Data connection does not resume the TLS session.')


def end(sock):
    """Send close_notify, if the socket has TLS; it is of no use then but to be closed."""
    if not isinstance(sock, ssl.SSLSocket):
        return
    with contextlib.suppress(OSError, ValueError):
        sock.setblocking(False)
        # The client's own close_notify is not waited for, if it has not come yet.
        sock.unwrap()


def receive(sock, size):
    """Return the bytes that are there, b'' at the end, None if it was only something of TLS.

    Raises what is in `LOST`, also for an end without close_notify.
    """
    try:
        return sock.recv(size)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None


def send(sock, data):
    """Send some of the bytes; return how many. Raises what is in `LOST`."""
    try:
        return sock.send(data)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return 0


def pending(sock):
    """Tell whether there are bytes that a poll does not see."""
    return isinstance(sock, ssl.SSLSocket) and sock.fileno() >= 0 and sock.pending() > 0


def authenticate(session, argument):
    if session.server.context is None:
        return '502 No TLS here.'
    if argument.upper() not in ('TLS', 'TLS-C', 'SSL'):
        return '504 Not known.'
    session.upgrade = True
    return '234 Begin TLS.'


def protection_size(session, argument):
    return '200 PBSZ=0.' if session.secured else '503 AUTH TLS first.'


def protect(session, argument):
    if not session.secured:
        return '503 AUTH TLS first.'
    if argument.upper() not in ('C', 'P'):
        return '536 Not supported.'
    session.private = argument.upper() == 'P'
    return f'200 Protection set to {argument.upper()}.'


VERBS = {'AUTH': authenticate, 'PBSZ': protection_size, 'PROT': protect}
FEATURES = ('AUTH TLS', 'PBSZ', 'PROT')
