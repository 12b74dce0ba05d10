"""Data connections, and what can be done before its turn: round trips are the cost of FTP.

A data connection needs a port, which the server announces (`EPSV`, RFC 2428; `PASV`, RFC 959).  To
ask for the next one is sent in one packet with SIZE of the file before, and so is RNFR, after it:
nothing may come between RNFR and RNTO.  While the server renames, the next data connection is made.
No server is asked anything while a transfer runs: they differ in what they make
of that.  Whether a server stands this is in its `Ways`.
"""

import logging
import time

from zeit.cds.errors import (
    LOST,
    DataConnectionRefused,
    Error,
    FTPOSError,
    PermanentError,
    RemoteProtocolError,
)
from zeit.cds.ftp import protocol, wire
from zeit.cds.ftp.active import Awaited
from zeit.cds.ftp.connection import Connection
from zeit.cds.ftp.ways import Ways
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: A port that was asked for in advance is used within so many seconds: servers close it some time.
PORT_AGE = 5

#: The answer to a command that was sent along with another one must be there so many seconds later:
#: a server that reads one command from each packet has thrown it away.
ALONG = 10


class PassiveConnection(Connection):
    """A `Connection` that can make data connections, and works ahead; `ways` are the server's."""

    def __init__(self, settings, *, deadline=None, context=None, ways=None):
        super().__init__(settings, deadline=deadline, context=context)
        self.ways = ways or Ways()
        #: Data connections can be made: a command need not wait for the next one.
        self.proven = False
        self._port = None
        self._port_until = 0
        self._ahead = None
        self._refused_along = None

    # Two commands in one packet

    @property
    def announced(self):
        """True when the server waits for a file's new name; ProFTPD refuses anything else then."""
        return bool(self._channel.renaming)

    def drop(self):
        """See `Connection`."""
        self._forget_ahead()
        super().drop()

    def _forget_ahead(self):
        data, self._ahead, self._port = self._ahead, None, None
        if data is not None:
            data.close()

    def _answer_and_port(self, verb, argument, *others):
        """Send a command, with it ask for the port of the next transfer, and send the `others`.

        Returns the command's answer; what becomes of the port is no error of it.  The answers to
        the others are still due then.
        """
        if not self._settings.passive:
            self._send((verb, argument), *others)
            return self._answer()
        self._forget_ahead()  # a server has one port at a time
        passive = 'EPSV' if self._may_use_epsv() else 'PASV'
        try:
            self._send((verb, argument), (passive, ''), *others)
            answer = self._answer()
            if self._channel.broken:
                return answer
        except LOST as error:
            self.ways.give_up('together', error=error)
            raise
        try:
            self._port = self._announced(self._check(self._answer(until=self._along())))
            self._port_until = time.monotonic() + PORT_AGE
        except Error as error:
            self.ways.give_up('together', error=error)
        return answer

    def delete(self, name, *, more=False):
        """DELE (RFC 959 section 4.1.3); `more` says that a transfer follows."""
        if more and self.ways.together:
            self._check(self._answer_and_port('DELE', name))
        else:
            self.command('DELE', name)

    def size_before_transfer(self, name):
        """Like `size`, and with it ask for the port of the next transfer."""
        if not self.ways.together:
            return self.size(name)
        return self._size(self._answer_and_port('SIZE', name))

    def size_before_rename(self, name):
        """Like `size`, and with it announce that the file gets another name (RNFR).

        Whether that was accepted shows in `rename`.
        """
        return self._size_before_rename(name, more=False)

    def size_before_both(self, name):
        """The same, and ask for the port of the next transfer, too."""
        return self._size_before_rename(name, more=True)

    def _size_before_rename(self, name, *, more):
        if not self.ways.together:
            return self.size(name)
        try:
            if more:
                size = self._answer_and_port('SIZE', name, ('RNFR', name))
            else:
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

        `more` says that another transfer follows: its data connection is made meanwhile if there
        is a port for it, otherwise the port is asked for.
        """
        if self._channel.renaming != old:
            self.command('RNFR', old)
            if self._refused_along is not None:
                self.ways.give_up('together', error=self._refused_along)
        if more and self.ways.together and self._port is None and self._ahead is None:
            self._check(self._answer_and_port('RNTO', new))
            return
        self._send(('RNTO', new))
        if more:
            self._connect_ahead()
        self._check(self._answer())

    def _connect_ahead(self):
        if self._port is not None and self.proven and self.ways.early:
            try:
                self._ahead = self._begin(self._next_port())
            except FTPOSError as error:
                log.debug('Not connected ahead: %s', printable(error.message))

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
        data = self._begun_ahead()
        if data is None:
            place = self._next_port()
            try:
                data = self._begin(place)
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

    def _begun_ahead(self):
        """Return the data connection that `rename` has begun; None without one, or an old one."""
        if time.monotonic() >= self._port_until:
            self._forget_ahead()
        data, self._ahead = self._ahead, None
        return data

    def _begin(self, place):
        """Begin a data connection to a place of `_announced`; return it.  Raises `FTPOSError`."""
        (host, port), own = place, self._settings
        return self._stream.beside(port, timeout=own.data_timeout, host=host, bind=own.bind_address)

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
        place, self._port = self._port, None
        if place is not None:
            return place
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
