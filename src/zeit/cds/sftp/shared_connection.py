"""The connection of a session and of its siblings: they share one, and replace it when it broke."""

import logging

from zeit.cds.errors import Error
from zeit.cds.sftp.connection import Connection
from zeit.cds.sftp.event_loop import EventLoop
from zeit.cds.text import printable


log = logging.getLogger(__name__)


class Link:
    """Has a `Connection` whenever somebody needs one; `made` counts them."""

    def __init__(self, settings):
        self._settings = settings
        self._loop = EventLoop()
        self._connection = None
        self._opening = False
        self.made = 0

    def __repr__(self):
        return f'<Link to {self._settings.host}, {self.made} connections made>'

    def ready(self, *, deadline, enter):
        """Return a `Connection` that is usable; `enter(connection)` is called with a new one.

        Raises what `ITarget.open` and `enter` raise.
        """
        self._loop.wait(
            lambda: not self._opening, seconds=self._settings.connect_timeout, deadline=deadline
        )
        connection = self._connection
        if connection is not None and connection.usable:
            return connection
        if connection is not None:
            log.debug('Connecting again')
            connection.drop()
        connection = Connection(self._settings, loop=self._loop)
        self._opening = True
        try:
            connection.open(deadline=deadline)
            self.made += 1
            enter(connection)
        except BaseException:
            connection.drop()
            raise
        finally:
            self._opening = False
            self._loop.progress()
        self._connection = connection
        return connection

    @property
    def connection(self):
        """The present one, or None."""
        return self._connection

    def is_reusable(self):
        """Return whether the connection can be used by another run."""
        return self._connection is not None and self._connection.is_reusable()

    def beside(self):
        """Return it, for a sibling of the session."""
        return self

    def reconnect(self):
        """End the connection in an orderly way; the next one is another."""
        if self._connection is not None:
            self._connection.quit()

    def leave(self):
        """A sibling needs it no more."""

    def end(self, *, kept=None):
        """Say goodbye, or leave it to `kept`, a `Kept`, if another run can use it; never raises."""
        if kept is not None and self.is_reusable():
            kept.put(self, self._settings)
        else:
            self.quit()

    def quit(self):
        """End it for good; never raises."""
        try:
            if self._connection is not None:
                self._connection.quit()
        except Error as error:
            log.debug('No orderly end: %s', printable(error.message))
        finally:
            self._loop.end()
