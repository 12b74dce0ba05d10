"""The connection of a session over FTP, which is replaced when it broke."""

import errno
import logging

from zeit.cds.errors import LOST, ConnectionLost, Error, HandshakeFailed
from zeit.cds.ftp.connection import Connection
from zeit.cds.network.deadline import Deadline
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: When this many connections of a run broke, one more is made, in reserve.
BREAKS = 3

#: After this many, only the first one is replaced: when a server restarts, all are lost once.
REPLACED = 4


class Link:
    """Has one connection after the other; `made` counts them, `connection` is the present one.

    `settings` and `capabilities` are those of a `Connection`, `context` is that of TLS.
    `is_first`: it is that of the session itself, not of a sibling.
    """

    def __init__(self, settings, *, capabilities, context=None, is_first=True):
        self._settings = settings
        self._capabilities = capabilities
        self._context = context
        self._is_first = self._reserves = is_first
        self._reserve = None
        self._inside = False
        #: True at the end of a run, when nothing but cleaning up is left.
        self.cleans_up = False
        self.connection = None
        self.made = 0

    def __repr__(self):
        return repr(self.connection)

    def beside(self):
        """Return another one to the same server, for a sibling."""
        return Link(
            self._settings, capabilities=self._capabilities, context=self._context, is_first=False
        )

    # At the beginning

    def prepare(self):
        """Have what TLS needs; raises `ConfigurationError`."""
        if self._context is None and self._settings.tls:
            self._context = self._settings.tls.context()

    def take(self, connection):
        """Go on with a connection, which is in the directory."""
        self.connection = connection
        self.made += 1
        self._inside = True

    def connect(self, *, deadline):
        """Make a connection; the directory is entered by `ready`."""
        self.connection = self._reserved() or self._logged_in(deadline)
        self.made += 1
        self._inside = False

    # Whenever something is to be done

    def ready(self, *call, deadline, enter):
        """Return a connection that is usable, in the directory, and free for this `call`.

        `enter(connection)` is called with a new one.  Raises what `ITarget.open` and that raise.
        """
        connection, files = self.connection, self.connection.files
        broken = not connection.control.usable
        is_due = files.due in (None, call[:2]) or files.withdraw()
        if not (is_due and files.is_reusable()):
            log.debug('Connecting again')
            connection.drop()
            if broken:
                self._count_break()
            self.connect(deadline=deadline)
        if not self._inside:
            enter(self.connection)
            self._inside = True
        if self._capabilities.breaks >= BREAKS:
            self._keep_reserve(deadline)
        return self.connection

    def _count_break(self):
        """Take note that a connection broke; raise `ConnectionLost` if it is not replaced."""
        self._capabilities.breaks += 1
        if self._capabilities.breaks > REPLACED and not self._is_first:
            error = ConnectionLost(
                errno.ECONNABORTED,
                'The connection broke, as others before',
                hint='The run continues with fewer.',
            )
            error.while_connecting = True
            raise error

    def _logged_in(self, deadline):
        known = self._capabilities.eager, self._capabilities.orderly
        try:
            return self._opened(deadline)
        except (HandshakeFailed, *LOST):
            if known == (self._capabilities.eager, self._capabilities.orderly):
                raise
            return self._opened(deadline)  # it cannot cope with what was tried

    def _opened(self, deadline):
        connection = Connection(
            self._settings,
            deadline=deadline,
            context=self._context,
            capabilities=self._capabilities,
        )
        connection.open()
        return connection

    def _keep_reserve(self, deadline):
        """Log in once more for cleaning up, where connections break again and again.

        Servers turn away who logs in too often, and then nobody could remove our lock any more.
        """
        if self._reserves and not self.cleans_up:
            self._reserves = False
            try:
                self._reserve = self._logged_in(deadline)
            except Error as error:
                log.debug('No connection in reserve: %s', printable(error.message))

    def _reserved(self):
        """Return the connection that was kept for cleaning up, if it is of use now, or None."""
        if self._reserve is None or not self.cleans_up:
            return None
        connection, self._reserve = self._reserve, None
        return connection if connection.is_reusable() else None

    # The end

    def reconnect(self):
        """End the connection in an orderly way; the next one is another."""
        self.connection.quit(awaited=True)

    def leave(self):
        """Say goodbye; never raises."""
        for connection in self.connection, self._reserve:
            if connection is not None:
                connection.quit()

    def end(self, *, kept=None):
        """Say goodbye, or leave to `kept`, a `Kept`, what another run can use; never raises."""
        connection = self.connection
        if self.made == 1 and connection.usable:
            self._capabilities.ended()
        if kept is not None and connection.files.due is None and self._inside:
            if connection.is_reusable():
                connection.data.forget()
                connection.serve(deadline=Deadline())
                kept.put(connection, self._settings)
                self.connection = None
        self.leave()
