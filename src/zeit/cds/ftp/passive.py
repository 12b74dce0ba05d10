"""Data connections that we make, to a port of the server, or the server to one of ours.

The server announces its port (`EPSV`, RFC 2428; `PASV`, RFC 959); it may have been asked for it in
advance.  Whether it stands that, or EPSV at all, is in its `Ways`.
"""

import logging
import time

from zeit.cds.errors import (
    DataConnectionRefused,
    Error,
    FTPOSError,
    PermanentError,
    RemoteProtocolError,
    ServerError,
)
from zeit.cds.ftp import answers, effects, wire
from zeit.cds.ftp.active import Awaited
from zeit.cds.ftp.connection import Connection
from zeit.cds.ftp.deadline import Until
from zeit.cds.ftp.ways import Ways
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: A port that was asked for in advance is used within so many seconds: servers close it some time.
PORT_AGE = 5


class PassiveConnection(Connection):
    """A `Connection` that can make data connections; `ways` are the server's."""

    def __init__(self, settings, *, deadline=None, context=None, ways=None):
        super().__init__(settings, deadline=deadline, context=context)
        self.ways = ways or Ways()
        #: Data connections can be made: a command need not wait for the next one.
        self.proven = False
        #: The last one was to a port that was asked for along with something else.
        self.came_along = False
        self._port = None
        self._port_until = 0
        self._ahead = None

    def drop(self):
        """See `Connection`."""
        self._forget_ahead()
        super().drop()

    def _forget_ahead(self):
        if self._port is not None and self.ways.held:
            self._connect_ahead()  # before that the server may answer nothing
        data, self._ahead, self._port = self._ahead, None, None
        if data is not None:
            data.close()

    def _await_answer(self, until):
        """See `Connection`; where it is late and a port is open, the data connection is made.

        Some servers answer nothing in between (Twisted, AnyEvent::FTP).  Twice in a row is no
        accident.
        """
        if self._port is not None:
            if self._answers or self._stream.comes_soon():
                self.ways.held = 0
            elif self._connect_ahead() and self._stream.comes_soon():
                self.ways.held += 1
                if self.ways.held > 1:
                    reason = 'Nothing is answered between a port and its data connection'
                    self.ways.give_up('together', error=Error(reason))
        super()._await_answer(until)

    # Before its turn

    @property
    def is_ahead(self):
        """True when the port of the next transfer is known, or its data connection begun."""
        return self._port is not None or self._ahead is not None

    def _keep_port(self, answer):
        self._port = self._announced(answer)
        self._port_until = time.monotonic() + PORT_AGE

    def _connect_ahead(self):
        """Begin the data connection of the next transfer; return whether it is begun."""
        try:
            self._ahead = self._begin(self._next_port())
            return True
        except FTPOSError as error:
            log.debug('Not connected ahead: %s', printable(error.message))
            return False

    # Transfers

    def begin(self, verb, argument):
        """Send the command of a transfer, whose first answer is due then."""
        self._send((verb, argument))

    def first_word(self, *, within=None):
        """Wait until the server begins the transfer, at most the seconds `within`.

        Raises why it does not.
        """
        until = None if within is None else Until(within)
        answer = self._answer(until=until)
        if answer.verdict == answers.WAIT:
            return
        command, reply = answer.command, answer.reply
        if command.verb in answers.LISTINGS and reply.code < 400 and not self._in_between:
            if effects.in_step(self):
                # In place of a listing it is a refusal, whatever it means elsewhere.
                raise PermanentError(reply.code, reply.text, command=command.shown)
        answer.check()
        text = f'The server ended {command.verb} before the transfer: {reply.text}'
        raise RemoteProtocolError(text)

    def _dial(self, *, wait=True):
        """Return a data connection; without `wait` it is still being made.

        In active mode it always is: the server makes it when it begins the transfer.
        """
        if not self._settings.passive:
            return self._listen()
        data = self._begun_ahead()
        self.came_along = data is not None or self._port is not None
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
            except BaseException as error:
                data.abort()
                if isinstance(error, DataConnectionRefused) and self._doubts_the_older():
                    return self._dial()
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
            self._either(
                lambda: self.command('EPRT', wire.eprt(*data.address)),
                lambda: self.command('PORT', wire.port(*data.address)),
            )
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
        return self._either(
            lambda: self._announced(self.command('EPSV')),
            lambda: self._announced(self.command('PASV')),
        )

    def _either(self, newer, older):
        """Return what `newer()` does, by EPSV or EPRT; what `older()` does where that fails."""
        epsv = self._may_use_epsv()
        try:
            return newer() if epsv else older()
        except (ServerError, RemoteProtocolError) as error:
            if not self.usable:
                raise
            if epsv and self._may_use_the_older():
                self.ways.give_up('epsv', error=error)
                return older()
            if not epsv and self._doubts_the_older():
                return newer()
            raise

    def _doubts_the_older(self):
        """Return whether EPSV may be of use after all: only an earlier session has given it up."""
        return self.ways.doubt('epsv') and self._may_use_epsv()

    def _may_use_epsv(self):
        if not self._may_use_the_older():
            return True
        settings = self._settings
        return self.ways.epsv and settings.epsv != 'no' and not settings.trust_pasv_address

    def _may_use_the_older(self):
        # PASV and PORT are for IPv4 only.
        return self._settings.epsv != 'yes' and ':' not in self._stream.peer

    def _announced(self, answer):
        """Return (host, port) out of an answer; None for the host that we are connected to.

        Some servers answer EPSV as if it were PASV.
        """
        if answer.reply.code == 229:
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
