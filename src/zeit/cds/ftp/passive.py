"""Data connections, and what can be done before its turn: round trips are the cost of FTP.

A data connection needs a port, which the server announces (`EPSV`, RFC 2428; `PASV`, RFC 959).  To
ask for the next one is sent in one packet with the last command of the file before, and RNFR in one
packet with SIZE.  No server is asked anything while a transfer runs: they differ in what they make
of that.  Whether a server stands this is in its `Ways`.
"""

import dataclasses
import logging
import time

from zeit.cds.errors import (
    LOST,
    DataConnectionRefused,
    Error,
    FTPOSError,
    PermanentError,
    RemoteProtocolError,
    ServerError,
)
from zeit.cds.ftp import protocol, wire
from zeit.cds.ftp.active import Awaited
from zeit.cds.ftp.connection import Connection
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: A port that was asked for in advance is used within so many seconds: servers close it some time.
PORT_AGE = 5

#: The answer to a command that was sent along with another one must be there so many seconds later:
#: a server that reads one command from each packet has thrown it away.
ALONG = 10


@dataclasses.dataclass
class Ways:
    """How a server may be talked to; shared by all connections of a session.

    `epsv`: EPSV, not PASV.  `mlsd`: MLSD, not NLST.  `early`: STOR, and what fits into a packet or
    two, before the server has answered.  `together`: two commands in one packet.  Each is True
    until the server shows that it does not stand it.
    """

    epsv: bool = True
    mlsd: bool = True
    early: bool = True
    together: bool = True

    def give_up(self, way, *, error):
        """Let it be, because of `error`."""
        if getattr(self, way):
            log.debug('Given up for this session: %s: %s', way, printable(error.message))
        setattr(self, way, False)


class PassiveConnection(Connection):
    """A `Connection` that can make data connections, and works ahead; `ways` are the server's."""

    def __init__(self, settings, *, deadline=None, context=None, ways=None):
        super().__init__(settings, deadline=deadline, context=context)
        self.ways = ways or Ways()
        #: Data connections can be made: a command need not wait for the next one.
        self.proven = False
        self._port = None
        self._port_until = 0
        self._refused_along = None

    # Two commands in one packet

    @property
    def announced(self):
        """True when the server waits for a file's new name; ProFTPD refuses anything else then."""
        return bool(self._channel.renaming)

    def _answer_and_port(self, verb, argument):
        """Send a command, and with it ask for the port of the next transfer.

        Returns the command's answer; what becomes of the port is no error of it.
        """
        if not (self.ways.together and self._settings.passive):
            self._send((verb, argument))
            return self._answer()
        passive = 'EPSV' if self._may_use_epsv() else 'PASV'
        try:
            self._send((verb, argument), (passive, ''))
            answer = self._answer()
            if self._channel.broken:
                return answer
        except LOST as error:
            self.ways.give_up('together', error=error)
            raise
        try:
            port = self._announced(self._check(self._answer(until=self._along())))
            self._port, self._port_until = port, time.monotonic() + PORT_AGE
        except Error as error:
            self.ways.give_up('together', error=error)
        return answer

    def delete(self, name, *, more=False):
        """DELE (RFC 959 section 4.1.3); `more` says that a transfer follows."""
        if more:
            self._check(self._answer_and_port('DELE', name))
        else:
            self.command('DELE', name)

    def size_before_transfer(self, name):
        """Like `size`, and with it ask for the port of the next transfer."""
        return self._size(self._answer_and_port('SIZE', name))

    def size_before_rename(self, name):
        """Like `size`, and with it announce that the file gets another name (RNFR).

        Whether that was accepted shows in `rename`.
        """
        if not self.ways.together:
            return self.size(name)
        try:
            self._send(('SIZE', name), ('RNFR', name))
            size = self._answer()
            if self._channel.broken:
                self._check(size)
            refusal = self._answer(until=self._along()).error()
        except LOST as error:
            self.ways.give_up('together', error=error)
            raise
        if refusal is not None:
            log.debug('Not to be renamed: %s', printable(refusal.message))
            self._refused_along = refusal
        return self._size(size)

    def rename(self, old, new, *, more=False):
        """RNFR and RNTO (RFC 959 section 4.1.3); the second only if the first was accepted.

        `more` says that another transfer follows.
        """
        if self._channel.renaming != old:
            self.command('RNFR', old)
            if self._refused_along is not None:
                self.ways.give_up('together', error=self._refused_along)
        if more:
            self._check(self._answer_and_port('RNTO', new))
        else:
            self.command('RNTO', new)

    def _along(self):
        return time.monotonic() + min(ALONG, self._settings.reply_timeout)

    # Transfers

    def begin(self, verb, argument):
        """Send the command of a transfer, whose first answer is due then."""
        self._send((verb, argument))

    def first_word(self, *, within=None):
        """Wait until the server begins the transfer, at most the seconds `within`.

        Raises why it does not.
        """
        until = None if within is None else time.monotonic() + within
        answer = self._check(self._answer(until=until))
        if answer.verdict != protocol.WAIT:
            raise RemoteProtocolError(
                f'The server ended {answer.command.verb} before the transfer: {answer.reply.text}'
            )

    def _dial(self, *, wait=True):
        """Return a data connection; without `wait` it is still being made.

        In active mode it always is: the server makes it when it begins the transfer.
        """
        if not self._settings.passive:
            return self._listen()
        host, port = self._next_port()
        settings = self._settings
        try:
            data = self._stream.beside(
                port, timeout=settings.data_timeout, host=host, bind=settings.bind_address
            )
        except FTPOSError as error:
            self.drop()
            raise _no_data(error) from error
        if wait:
            try:
                self._connected(data)
            except BaseException:
                data.abort()
                self.drop()
                raise
        return data

    def _listen(self):
        """Announce a port of ours; return the data connection that the server will make."""
        data = Awaited(self._stream, timeout=self._settings.data_timeout)
        try:
            if self._may_use_epsv():
                try:
                    self.command('EPRT', wire.eprt(*data.address))
                    return data
                except PermanentError as error:
                    if not self._may_use_the_older():
                        raise
                    self.ways.give_up('epsv', error=error)
            self.command('PORT', wire.port(*data.address))
            return data
        except BaseException:
            data.close()
            raise

    def _connected(self, data):
        """Wait until a data connection is made."""
        try:
            data.connected(timeout=self._settings.connect_timeout)
        except FTPOSError as error:
            raise _no_data(error, passive=self._settings.passive) from error
        self.proven = True

    def _next_port(self):
        port, self._port = self._port, None
        if port is not None and time.monotonic() < self._port_until:
            return port
        if self._may_use_epsv():
            try:
                return self._announced(self.command('EPSV'))
            except (PermanentError, RemoteProtocolError) as error:
                if not (self.usable and self._may_use_the_older()):
                    raise
                self.ways.give_up('epsv', error=error)
        return self._announced(self.command('PASV'))

    def _may_use_epsv(self):
        if not self._may_use_the_older():
            return True
        settings = self._settings
        return self.ways.epsv and settings.epsv != 'no' and not settings.trust_pasv_address

    def _may_use_the_older(self):
        # PASV and PORT are for IPv4 only.
        return self._settings.epsv != 'yes' and ':' not in self._stream.peer

    def _announced(self, answer):
        """Return (host, port) out of an answer; None for the host that we are connected to."""
        if answer.command.verb == 'EPSV':
            return None, wire.epsv_port(answer.reply)
        host, port = wire.pasv_address(answer.reply)
        # The address in the reply is the server's idea of itself behind a NAT, or an attempt to
        # make us connect elsewhere; the peer of the control connection is the right one.
        return host if self._settings.trust_pasv_address else None, port


def _no_data(error, *, passive=True):
    hint = (
        'Check that a firewall lets passive FTP through.'
        if passive
        else 'The server did not connect to us: firewalls and NATs often prevent active FTP.'
    )
    return DataConnectionRefused(error.errno, f'No data connection: {error.strerror}', hint=hint)


class Start:
    """The start of a transfer over a `PassiveConnection`.

    `began(argument)` is called once when the server begins, or when nobody knows whether it did:
    not when it has refused.
    """

    def __init__(self, connection, verb, argument, *, began=lambda argument: None):
        self._connection = connection
        self._command = verb, argument
        self._began = began
        self._asked = False
        self.accepted = False

    def __repr__(self):
        return f'<Start of {self._command[0]}, {"accepted" if self.accepted else "open"}>'

    def ask(self):
        """Send the command."""
        self._asked = True
        self._connection.begin(*self._command)

    def wait(self, *, within=None):
        """Wait until the server has accepted it, if that is still to be done."""
        if not self.accepted:
            self._connection.first_word(within=within)
            self.accepted = True
            self._began(self._command[1])

    def failed(self, error):
        """It has ended by `error`."""
        if self._asked and not self.accepted and not isinstance(error, ServerError):
            self._began(self._command[1])
