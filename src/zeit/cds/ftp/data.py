"""Data connections: we make them to a port of the server, or the server makes them to one of ours.

The server announces its port (`EPSV`, RFC 2428; `PASV`, RFC 959); it may have been asked for it in
advance, and the connection may be made before it is needed: it is prepared then.  Whether the
server copes with that, or knows EPSV at all, is in its `Capabilities`.
"""

import logging
import time

from zeit.cds.errors import (
    CONFIGURATION,
    DataConnectionRefused,
    Error,
    FTPOSError,
    RemoteProtocolError,
    ServerError,
)
from zeit.cds.ftp import parsing
from zeit.cds.ftp.active import Awaited
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: A port that was asked for in advance is used within this many seconds: servers close old ones.
PORT_AGE = 5

_NOT_PASSIVE = (
    'The server opens no port for files and listings (EPSV, PASV): ask its operator, or let it '
    'connect to this machine: passive="no" (--no-passive).'
)
_NOT_ACTIVE = (
    'The server does not connect to this machine for files and listings (EPRT, PORT): ask its '
    'operator, or use passive="yes" (--passive).'
)


class DataConnections:
    """The data connections of a `ControlConnection`: one at a time, and the next one.

    `protection` is their `Protection`, None without TLS.  `proven`: one could be made.
    `was_pipelined`: the last one was to a port that was asked for together with something else.
    `port`: where the next one goes, if that is known already; else None.
    """

    def __init__(self, control):
        self._control = control
        self._settings = control.settings
        self.protection = None
        self.proven = False
        self.was_pipelined = False
        self.port = None
        self._port_until = 0
        self._prepared = None

    def __repr__(self):
        return f'<DataConnections of {self._control!r}>'

    # The next one

    @property
    def may_be_early(self):
        """True if one was made, here or in an earlier session: a command need not wait for it."""
        capabilities = self._control.capabilities
        known = self.proven or capabilities.orderly
        return bool(known and capabilities.early and self._settings.passive)

    @property
    def is_prepared(self):
        """True when the port of the next transfer is known, or its data connection begun."""
        return self.port is not None or self._prepared is not None

    def keep_port(self, answer):
        """Use the port that `answer` announces for the next transfer."""
        self.port = self._announced(answer)
        self._port_until = time.monotonic() + PORT_AGE

    def prepare(self):
        """Begin the data connection of the next transfer; return whether it is begun."""
        try:
            self._prepared = self._begin(self._next_port())
            return True
        except FTPOSError as error:
            log.debug('The next data connection is not prepared: %s', printable(error.message))
            return False

    def forget(self):
        """Do without what is prepared."""
        if self.port is not None and self._control.capabilities.held:
            self.prepare()  # before that the server may answer nothing
        data, self._prepared, self.port = self._prepared, None, None
        if data is not None:
            data.close()

    def release_answer(self, *, is_there):
        """Make the data connection if an answer is late, and not if it `is_there`; there is a port.

        Some servers answer nothing in between (Twisted, AnyEvent::FTP).  Twice in a row is no
        accident.
        """
        capabilities = self._control.capabilities
        if is_there or self._control.stream.comes_soon():
            capabilities.held = 0
        elif self.prepare() and self._control.stream.comes_soon():
            capabilities.held += 1
            if capabilities.held > 1:
                reason = 'Nothing is answered between a port and its data connection'
                capabilities.do_without('together', error=Error(reason))

    # The one of a transfer

    def open(self, *, wait=True):
        """Return a data connection; without `wait` it is still being made.

        In active mode it always is: the server makes it when it begins the transfer.
        """
        if not self._settings.passive:
            return self._listen()
        data = self._take_prepared()
        self.was_pipelined = data is not None or self.port is not None
        if data is None:
            place = self._next_port()
            try:
                data = self._begin(place)
            except FTPOSError as error:
                self._control.drop()
                raise _no_data(error) from error
        if wait:
            try:
                self.wait_for(data)
            except BaseException as error:
                data.abort()
                if isinstance(error, DataConnectionRefused) and self.doubts_the_older():
                    return self.open()
                self._control.drop()
                raise
        return data

    def _take_prepared(self):
        """Return the data connection that `rename` has begun; None without one, or an old one."""
        if time.monotonic() >= self._port_until:
            self.forget()
        data, self._prepared = self._prepared, None
        return data

    def _begin(self, place):
        """Begin a data connection to a place of `_announced`; return it.  Raises `FTPOSError`."""
        (host, port), own = place, self._settings
        return self._control.stream.beside(
            port, timeout=own.data_timeout, host=host, bind=own.bind_address
        )

    def _listen(self):
        """Announce a port of ours; return the data connection that the server will make."""
        data = Awaited(self._control.stream, timeout=self._settings.data_timeout)
        try:
            self._either(
                lambda: self._asked('EPRT', parsing.eprt(*data.address), hint=_NOT_ACTIVE),
                lambda: self._asked('PORT', parsing.port(*data.address), hint=_NOT_ACTIVE),
            )
            return data
        except BaseException:
            data.close()
            raise

    def wait_for(self, data):
        """Wait until `data`, a data connection, is made; raise `DataConnectionRefused`."""
        try:
            data.connected(timeout=self._settings.connect_timeout)
        except FTPOSError as error:
            raise _no_data(error, passive=self._settings.passive) from error
        self.proven = True

    def _next_port(self):
        if self.port is not None:
            place, self.port = self.port, None
            return place
        return self._either(
            lambda: self._announced(self._asked('EPSV', hint=_NOT_PASSIVE)),
            lambda: self._announced(self._asked('PASV', hint=_NOT_PASSIVE)),
        )

    def _asked(self, verb, argument='', *, hint):
        """Return the `Answer` to a command about a port: without one there are no transfers."""
        return self._control.command(verb, argument, hint=hint, refused=CONFIGURATION)

    def _either(self, newer, older):
        """Return what `newer()` does, by EPSV or EPRT; what `older()` does where that fails."""
        epsv = self.may_use_epsv()
        try:
            return newer() if epsv else older()
        except (ServerError, RemoteProtocolError) as error:
            if not self._control.usable:
                raise
            if epsv and self._may_use_the_older():
                self._control.capabilities.do_without('epsv', error=error)
                return older()
            if not epsv and self.doubts_the_older():
                return newer()
            raise

    def doubts_the_older(self):
        """Return whether EPSV may be of use after all: only an earlier session has given it up."""
        return self._control.capabilities.doubt('epsv') and self.may_use_epsv()

    def may_use_epsv(self):
        """Return whether EPSV, or EPRT, may be used."""
        if not self._may_use_the_older():
            return True
        known, settings = self._control.capabilities.epsv, self._settings
        return known and settings.epsv != 'no' and not settings.trust_pasv_address

    def _may_use_the_older(self):
        # PASV and PORT are for IPv4 only.
        return self._settings.epsv != 'yes' and ':' not in self._control.stream.peer

    def _announced(self, answer):
        """Return (host, port) out of an answer; None for the host that we are connected to.

        Some servers answer EPSV as if it were PASV.
        """
        if answer.reply.code == 229:
            return None, parsing.epsv_port(answer.reply)
        host, port = parsing.pasv_address(answer.reply)
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
