"""The connection of a session: it is replaced when it broke, and deletes what is left behind."""

import errno
import logging

from zeit.cds.errors import (
    LOST,
    ConnectionLost,
    DataConnectionRefused,
    Error,
    HandshakeFailed,
    NotTold,
    ServerError,
)
from zeit.cds.ftp.capabilities import Capabilities
from zeit.cds.ftp.listings import ListingConnection
from zeit.cds.network.deadline import Deadline, unanswered
from zeit.cds.target.presence import Presence
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: When so many connections of a run broke, one more is made, in reserve.
BREAKS = 3

#: After so many, only the first one is replaced: when a server restarts, all of them are lost once.
REPLACED = 4

#: A connection that was kept is replaced if it does not answer within so many seconds.
SOON = 5

#: After an interruption there are so many seconds to clean up.
HURRY = 8


class Reconnecting:
    """What has one connection after the other, and deletes its garbage over the next one.

    `settings` are those of a `Connection`.  `first` is that of the session itself, not a sibling's.
    `kept` is where its connection is when there is no session, a `Kept`, or None.
    `connections`, `garbage`, `unconfirmed` and the public methods: see `ISession` and `ITransfers`.
    """

    def __init__(
        self, settings, *, deadline=None, context=None, capabilities=None, first=True, kept=None
    ):
        self._settings = settings
        self._deadline = Deadline(outer=deadline)
        self._patience = Deadline(outer=self._deadline)
        self._context = context
        self._capabilities = capabilities or Capabilities()
        self._presence = Presence(self._query, capabilities=self._capabilities)
        self._first = first
        self._kept = kept
        self._reserve = None
        self._reserves = first
        self._cleans_up = False
        self._connection = None
        self._inside = False
        self.connections = 0
        self.garbage = []
        self.unconfirmed = set()
        self._tried = set()
        self._hurries = False

    @property
    def known(self):
        """See `ISession`."""
        return self._capabilities.known

    @property
    def learned(self):
        """See `ISession`."""
        return self._capabilities.learned

    def __repr__(self):
        return f'<{type(self).__name__} {self._connection}, {len(self.garbage)} to be deleted>'

    def connect(self):
        """Make the first connection; the directory is entered by the first command."""
        if self._context is None and self._settings.tls:
            self._context = self._settings.tls.context()
        self._connection = self._taken() or self._new_connection()

    def _taken(self):
        """Return the connection that was kept, in the directory, if it is of use; or None."""
        connection = self._kept and self._kept.take(self._settings)
        if connection is None:
            return None
        known, soon = connection.capabilities, Deadline(outer=self._patience)
        soon.restart(SOON)
        try:
            connection.serve(deadline=soon)
            connection.enter_directory()
        except Error as error:
            # That says nothing about the server: a NAT may have forgotten it.
            log.debug('The connection that was kept is of no use: %s', printable(error.message))
            connection.drop()
            return None
        except BaseException:
            connection.drop()
            raise
        connection.serve(deadline=self._patience, capabilities=self._capabilities)
        self._capabilities.image = known.image
        if known.server:
            self._capabilities.described(known.server)
        self._entered()
        self.connections += 1
        self._inside = True
        return connection

    def _keep(self):
        """Keep the connection for the next run, if that is wanted, and it is in order."""
        connection = self._connection
        unsure = self._hurries or self.garbage or self.unconfirmed
        if self._kept is None or unsure or connection.due is not None or not self._inside:
            return
        if connection.is_reusable():
            connection.data.forget()
            connection.serve(deadline=Deadline())
            self._kept.put(connection, self._settings)
            self._connection = None

    def enter(self):
        """Be in the directory, as after any other method."""
        self._ready()

    def _new_connection(self):
        connection = self._reserved() or self._logged_in()
        self.connections += 1
        self._inside = False
        return connection

    def _logged_in(self):
        known = self._capabilities.eager, self._capabilities.orderly
        try:
            return self._opened()
        except (HandshakeFailed, *LOST):
            if known == (self._capabilities.eager, self._capabilities.orderly):
                raise
            return self._opened()  # it does not stand what was tried

    def _opened(self):
        connection = ListingConnection(
            self._settings,
            deadline=self._patience,
            context=self._context,
            capabilities=self._capabilities,
        )
        connection.open()
        return connection

    def _reserved(self):
        """Return the connection that was kept for cleaning up, if it is of use now, or None."""
        if self._reserve is None or not self._cleans_up:
            return None
        connection, self._reserve = self._reserve, None
        return connection if connection.is_reusable() else None

    def _count_break(self):
        """Take note that a connection broke; raise `ConnectionLost` if it is not replaced."""
        self._capabilities.breaks += 1
        if self._capabilities.breaks > REPLACED and not self._first:
            error = ConnectionLost(
                errno.ECONNABORTED,
                'The connection broke, as others before',
                hint='The run continues with fewer.',
            )
            error.while_connecting = True
            raise error

    def _keep_reserve(self):
        """Log in once more for cleaning up, where connections break again and again.

        Servers turn away who logs in too often, and then nobody could remove our lock any more.
        """
        if self._reserves and not self._cleans_up and self._capabilities.breaks >= BREAKS:
            self._reserves = False
            try:
                self._reserve = self._logged_in()
            except Error as error:
                log.debug('No connection in reserve: %s', printable(error.message))

    def _ready(self, *call):
        """Return a connection that is usable and in the directory, and stands this `call`."""
        connection = self._connection
        broken = not connection.usable
        is_due = connection.due in (None, call[:2]) or connection.withdraw()
        if not (is_due and connection.is_reusable()):
            log.debug('Connecting again')
            self._connection.drop()
            if broken:
                self._count_break()
            self._connection = self._new_connection()
        if not self._inside:
            self._connection.enter_directory()
            self._entered()
            self._inside = True
            self._clean_up()
        self._keep_reserve()
        return self._connection

    def _entered(self):
        """Look at what the server has said on the way into the directory."""

    def _clean_up(self):
        """Try once to delete each name in `garbage`: what stays must not stand in the way."""
        while untried := [name for name in self.garbage if name not in self._tried]:
            name = untried[0]
            self._tried.add(name)
            try:
                try:
                    self._connection.command('DELE', name)
                except BaseException:
                    self._unconfirmed_unless_answered('DELE', name, changes=name)
                    raise
            except ServerError as error:
                log.debug('Not deleted: %s: %s', printable(name), printable(error.message))
                if self._may_exist(name):
                    continue
            self.garbage.remove(name)

    def _may_exist(self, name):
        try:
            return self._presence.exists(name)
        except NotTold as error:
            log.debug('%s', printable(error.message))
            return True

    def _unconfirmed_unless_answered(self, *command, changes):
        """After an error note that the server may still execute the command, if no answer came."""
        if self._connection.is_due(*command):
            self.unconfirmed.add(changes)

    def delete_garbage(self):
        """Delete our garbage if that is possible; a failure here is none of a file."""
        try:
            if self.garbage:
                self._tried.clear()
                self._ready()
                self._clean_up()
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))

    def dispose_of(self, name):
        """See `ITransfers`."""
        if name not in self.garbage:
            self.garbage.append(name)
        self._tried.discard(name)
        try:
            self._ready()
            self._clean_up()
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))
        return name not in self.garbage

    def _query(self, method, *args, **kw):
        """Call a method of the connection that changes nothing; once more if it broke."""
        try:
            return self._execute(method, *args, **kw)
        except LOST as error:
            if error.while_connecting:
                raise
            log.debug('Once more over a new connection: %s', printable(error.message))
            return self._execute(method, *args, **kw)

    def _execute(self, method, *args, **kw):
        connection = self._ready(method, *args)
        try:
            return getattr(connection, method)(*args, **kw)
        except DataConnectionRefused as error:
            # A firewall that does not know EPSV may know PASV; and one that looks for the port in
            # what the server says may overlook it behind something else.
            self._capabilities.do_without('epsv', error=error)
            if connection.data.was_pipelined:
                self._capabilities.do_without('together', error=error)
            raise
        except LOST:
            connection.drop()  # also where its replies were in order, and made no sense
            raise

    def bound(self, seconds, *, ends=False):
        """See `ISession`."""
        self._cleans_up = self._cleans_up or ends
        if self._hurries:
            return
        if ends:
            self._deadline.restart(seconds, passed=unanswered(seconds))
        else:
            self._deadline.restart(seconds, span=seconds)

    def hurry(self):
        """See `ISession`."""
        self.bound(HURRY, ends=True)
        self._hurries = True

    def leave(self):
        """Say goodbye, with what could not be deleted still in `garbage`; never raises."""
        if self._connection is not None:
            self.delete_garbage()
            self._quit()

    def _quit(self):
        for connection in self._connection, self._reserve:
            if connection is not None:
                connection.quit()

    def reconnect(self):
        """See `ISession`."""
        self._connection.quit(awaited=True)

    def close(self):
        """See `ISession`."""
        self.bound(HURRY, ends=True)
        self.delete_garbage()
        for name in self.garbage:
            log.warning('Left on the server, for the next run to delete: %s', printable(name))
        if self.connections == 1 and self._connection.usable:
            self._capabilities.ended()
        self._keep()
        self._quit()
