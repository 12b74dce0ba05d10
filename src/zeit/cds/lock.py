"""The lock-file convention of a CDS directory, over an `ISession`.

A directory is locked by a file `write` (somebody brings files) or `read` (somebody takes files
away).  If either of them is there, everybody else stops.  Anything of that name counts: a file of
ours or of somebody else, an empty one, a directory.

FTP has no way to create a file only if it does not exist.  So: look, create, look again; and never
remove a lock that does not carry our own token.  The lock file is made under another name and
renamed, so that it is never seen without its token.
"""

import datetime
import logging
import os
import socket

from zeit.cds import names
from zeit.cds.errors import Error, Locked, LockLeftBehind, ServerError, ServiceClosing
from zeit.cds.text import local_time, printable


log = logging.getLogger(__name__)

#: Removing is tried so often; each time after the first on a new connection.
ATTEMPTS = 2


class Lock:
    """The lock `name` of the directory that `session` (an `ISession`) works in.

    `token` makes it ours; it must be new for each lock.  `touched` is True while there may be
    something of ours on the server.
    """

    def __init__(self, session, *, token, name=names.WRITE):
        self._session = session
        self._name = name
        self._staged = names.staged(name, token=token)
        since = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
        self._content = (
            f'{token} zeit.cds, host {socket.gethostname()}, pid {os.getpid()}, since {since}\n'
        ).encode('ascii', 'replace')
        self.touched = False

    def __repr__(self):
        return f'<Lock {self._name!r}, {"perhaps ours" if self.touched else "not ours"}>'

    def look(self):
        """Raise `Locked` if there is a lock, whoever's it is."""
        present = self._session.names()
        for name in names.LOCKS:
            if name in present or self._is_file(name):
                raise self._locked(name)

    def _is_file(self, name):
        """Ask for the name itself: listings may be cut, and may leave files out."""
        try:
            return self._session.size(name) is not None
        except ServiceClosing:
            raise
        except ServerError as error:
            log.debug('SIZE tells nothing about %s: %s', name, printable(error.message))
            return False

    def _locked(self, name):
        content, since = None, None
        try:
            content = self._session.read(name, limit=1000)
            since = self._session.modified(name)
        except Error as error:
            log.debug('Nothing is known about the lock %s: %s', name, printable(error.message))
        if content:
            holder = f'It says: {printable(content)}'
        else:
            holder = 'It is empty.' if content == b'' else 'It cannot be read.'
        if since is not None:
            holder += f' (since {local_time(since)})'
        return Locked(
            name,
            holder=holder,
            hint='Whoever made it removes it, and the next run goes on; if nobody does, ask the '
            'partner.',
        )

    def create(self):
        """Make the lock file and look again.

        Raises `Locked` if somebody else was faster; then nothing of ours is left.  After any
        other error, `release` must be called.
        """
        session = self._session
        session.store(self._staged, self._content)
        self.touched = True
        try:
            session.rename(self._staged, self._name)
        except ServiceClosing:
            raise
        except ServerError as error:
            session.delete(self._staged)
            if self._is_file(self._name) or self._name in session.names():
                self.touched = False
                raise self._locked(self._name) from error
            log.debug('The lock cannot be renamed: %s', printable(error.message))
            session.store(self._name, self._content)
        self._look_again()

    def _look_again(self):
        if self._session.read(self._name) != self._content:
            self.touched = False
            raise self._locked(self._name)
        others = set(names.LOCKS) - {self._name}
        present = self._session.names()
        for name in sorted(others):
            if name in present or self._is_file(name):
                self.release()
                raise self._locked(name)

    def release(self):
        """Remove the lock if it is ours; return True if it was there.

        A lock that carries another token is not touched.  Raises `LockLeftBehind`.
        """
        if not self.touched:
            return False
        failure = None
        for _ in range(ATTEMPTS):
            try:
                removed = self._remove()
                self.touched = False
                return removed
            except Error as error:
                failure = error
                self._session.refresh()
            except BaseException:
                # A signal interrupted it, and ends the run when the lock is gone.
                self._session.refresh()
                self._remove()
                self.touched = False
                raise
        raise LockLeftBehind(
            f"The lock file '{self._name}' could not be removed: {printable(failure.message)}",
            hint='Nobody can work in the directory until it is deleted: please do that by hand.',
        ) from failure

    def _remove(self):
        content = self._session.read(self._name)
        if content == self._content:
            self._session.delete(self._name)
            return True
        if content is not None:
            log.warning(
                "The lock '%s' was taken over by somebody else and is left alone: %s",
                self._name,
                printable(content),
            )
        if self._is_file(self._staged):
            self._session.delete(self._staged)
        return False
