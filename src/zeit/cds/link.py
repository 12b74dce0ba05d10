"""The way into a directory on an FTP server: a connection that is replaced when it broke."""

import errno
import logging

from zeit.cds.errors import (
    LOST,
    ConnectionLost,
    DataConnectionRefused,
    Error,
    NotTold,
    ServerError,
)
from zeit.cds.ftp.deadline import Deadline, unanswered
from zeit.cds.ftp.listings import ListingConnection
from zeit.cds.ftp.ways import SILENT, Ways
from zeit.cds.presence import Presence
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: When so many connections of a run broke, one more is made, in reserve.
BREAKS = 3

#: After so many, only the first one is replaced: when a server restarts, all of them are lost once.
REPLACED = 4

#: After an interruption there are so many seconds to clean up.
HURRY = 8


class Link:
    """One connection after the other, and what has to be deleted over the next one.

    `settings` are those of a `Connection`.  `first` is that of the session itself, not a sibling's.
    `connections`, `litter`, `late` and the public methods: see `ISession`.
    """

    def __init__(self, settings, *, deadline=None, context=None, ways=None, first=True):
        self._settings = settings
        self._deadline = Deadline(outer=deadline)
        self._haste = Deadline(outer=self._deadline)
        self._context = context
        self._ways = ways or Ways()
        self._presence = Presence(self._ask, ways=self._ways)
        self._first = first
        self._reserve = None
        self._reserves = first
        self._cleans_up = False
        self._connection = None
        self._inside = False
        self.connections = 0
        self.litter = []
        self.late = set()
        self._tried = set()
        self._hurries = False

    @property
    def known(self):
        """See `ISession`."""
        return self._ways.known

    @property
    def learned(self):
        """See `ISession`."""
        return self._ways.learned

    def __repr__(self):
        return f'<{type(self).__name__} {self._connection}, {len(self.litter)} to be deleted>'

    def connect(self):
        """Make the first connection; the directory is entered by the first command."""
        if self._context is None and self._settings.tls:
            self._context = self._settings.tls.context()
        self._connection = self._new_connection()

    def enter(self):
        """Be in the directory, as after any other method."""
        self._ready()

    def _new_connection(self):
        connection = self._reserved() or self._logged_in()
        self.connections += 1
        self._inside = False
        return connection

    def _logged_in(self):
        connection = ListingConnection(
            self._settings, deadline=self._haste, context=self._context, ways=self._ways
        )
        connection.open()
        return connection

    def _reserved(self):
        """Return the connection that was kept for cleaning up, if it is of use now, or None."""
        if self._reserve is None or not self._cleans_up:
            return None
        connection, self._reserve = self._reserve, None
        return connection if connection.is_quiet() else None

    def _count_break(self):
        """Take note that a connection broke; raise `ConnectionLost` if it is not replaced."""
        self._ways.breaks += 1
        if self._ways.breaks > REPLACED and not self._first:
            error = ConnectionLost(
                errno.ECONNABORTED,
                'The connection broke, as others before',
                hint='The run goes on with fewer.',
            )
            error.while_connecting = True
            raise error

    def _keep_reserve(self):
        """Log in once more for cleaning up, where connections break again and again.

        Servers turn away who logs in too often, and then nobody could remove our lock any more.
        """
        if self._reserves and not self._cleans_up and self._ways.breaks >= BREAKS:
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
        if not (is_due and connection.is_quiet()):
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
        """Try once to delete each name in `litter`: what stays must not stand in the way."""
        while untried := [name for name in self.litter if name not in self._tried]:
            name = untried[0]
            self._tried.add(name)
            try:
                try:
                    self._connection.command('DELE', name)
                except BaseException:
                    self._late_unless_answered('DELE', name, changes=name)
                    raise
            except ServerError as error:
                log.debug('Not deleted: %s: %s', printable(name), printable(error.message))
                if self._may_exist(name):
                    continue
            self.litter.remove(name)

    def _may_exist(self, name):
        try:
            return self._presence.exists(name)
        except NotTold as error:
            log.debug('%s', printable(error.message))
            return True

    def _late_unless_answered(self, *command, changes):
        """After an error note that the server may still execute the command, if no answer came."""
        if self._connection.is_due(*command):
            self.late.add(changes)

    def sweep(self):
        """Delete our litter if that is possible; a failure here changes no delivery."""
        try:
            if self.litter:
                self._tried.clear()
                self._ready()
                self._clean_up()
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))

    def discard(self, name):
        """Delete what is of no use, now or later with the litter; return whether it is gone."""
        if name not in self.litter:
            self.litter.append(name)
        self._tried.discard(name)
        try:
            self._ready()
            self._clean_up()
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))
        return name not in self.litter

    def _ask(self, method, *args, **kw):
        """Call a method of the connection that changes nothing; once more if it broke."""
        try:
            return self._call(method, *args, **kw)
        except LOST as error:
            if error.while_connecting:
                raise
            log.debug('Once more over a new connection: %s', printable(error.message))
            return self._call(method, *args, **kw)

    def _call(self, method, *args, **kw):
        connection = self._ready(method, *args)
        try:
            return getattr(connection, method)(*args, **kw)
        except DataConnectionRefused as error:
            # A firewall that does not know EPSV may know PASV; and one that looks for the port in
            # what the server says may overlook it behind something else.
            self._ways.give_up('epsv', error=error)
            if connection.came_along:
                self._ways.give_up('together', error=error)
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

    def during(self, transfer):
        """See `ISession`."""
        return self._haste.during(transfer)

    def hurry(self):
        """See `ISession`."""
        self.bound(HURRY, ends=True)
        self._hurries = True

    def hasten(self, seconds):
        """Let what is on its way end within so many seconds; may be called by another thread."""
        self._haste.restart(seconds)

    def leave(self):
        """Say goodbye, with what could not be deleted still in `litter`; never raises."""
        if self._connection is not None:
            self.sweep()
            self._quit()

    def _quit(self):
        for connection in self._connection, self._reserve:
            if connection is not None:
                connection.quit()

    def refresh(self):
        """See `ISession`."""
        self._connection.drop()

    def close(self):
        """See `ISession`."""
        self.bound(HURRY, ends=True)
        self.sweep()
        for name in self.litter:
            log.warning('Left on the server, for the next run to delete: %s', printable(name))
        self._describe()
        self._quit()

    def _describe(self):
        """Ask what the server is, if there is something new to be remembered of it."""
        connection, ways = self._connection, self._ways
        new = ways.facts and not (ways.server or self._hurries)
        try:
            if new and connection.due is None and connection.is_quiet():
                connection.describe()
        except Error as error:
            log.debug('It does not say what it is: %s', printable(error.message))
            ways.described(SILENT)
