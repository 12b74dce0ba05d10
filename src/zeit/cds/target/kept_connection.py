"""A connection between two runs, for drivers that stay.

It saves a login, and nothing else: no lock, no file and no port is open on it.  The server may end
it at any time, or a NAT forget it, so it is looked at before it is used (`BaseSession`), and what
does not answer soon is replaced.  In a forked child it is closed, as all that a run has open.
"""

import hashlib
import logging
import math
import os
import time


log = logging.getLogger(__name__)


class Kept:
    """At most one connection, for the next run of whoever has this.

    `clock` tells monotonic seconds.
    """

    def __init__(self, *, clock=time.monotonic):
        self._clock = clock
        self._salt = os.urandom(16)
        self._connection = self._made_with = None
        self._until = 0

    def __repr__(self):
        return f'<Kept {self._connection}>'

    @property
    def left(self):
        """How many seconds what is kept has left; `math.inf` if there is nothing."""
        return math.inf if self._connection is None else max(0, self._until - self._clock())

    def put(self, connection, settings):
        """Keep a `Connection` that nobody uses for `settings.keep_connection` seconds."""
        self.close()
        self._connection, self._made_with = connection, self._identity(settings)
        self._until = self._clock() + settings.keep_connection

    def take(self, settings):
        """Return the connection, which is not kept any more, if it would be made so today; or None.

        Then it is closed: host, password or another one of the `settings` has changed, its time is
        over, or the server has ended it.
        """
        if self._connection is None:
            return None
        is_the_same = self._made_with == self._identity(settings)
        if not (self.left and is_the_same and self._connection.is_reusable()):
            self.close()
        connection, self._connection = self._connection, None
        return connection

    def expire(self):
        """Close it if its time is over."""
        if not self.left:
            self.close()

    def close(self):
        """Say goodbye; never raises, and may be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.quit()

    def _identity(self, settings):
        """Return what a login depends on, a file with a password that was changed included."""
        if settings.password is None:
            return settings, b''
        return settings, hashlib.sha256(
            self._salt + settings.password.reveal().encode('utf-8', 'surrogateescape')
        ).digest()
