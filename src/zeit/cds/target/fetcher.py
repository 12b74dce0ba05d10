"""One file of a server: what it looks like, and all of it, compared with that."""

import logging

from zeit.cds.errors import (
    DONE,
    FileError,
    NotBegun,
    NotTold,
    NoValue,
    RemoteProtocolError,
    ServerError,
    SizeMismatch,
    SourceGone,
)
from zeit.cds.target.being_written import GONE, Look
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Some servers (zope.server) never begin to send an empty file: this many seconds are enough for
#: one that does.  It is fetched all the same: some tell 0 where they do not know the length.
EMPTY = 2


class StillGrowing(FileError):
    """The server's file changed while it was being fetched: somebody writes it."""

    exit_code = DONE
    transient = True


class NoFile(FileError):
    """There is no file of that name, only something else, or nothing any more."""

    exit_code = DONE


class _TooMuch(FileError):
    """More came than the server has said that there is."""


class _Bounded:
    """Writes to `incoming`, but not more than `limit` bytes; None for no limit."""

    def __init__(self, incoming, *, limit):
        self._incoming = incoming
        self._limit = limit
        self._size = 0

    def __repr__(self):
        return f'<Bounded {self._incoming!r}, {self._size} of {self._limit} bytes>'

    def write(self, data):
        """Write `data`; raise `_TooMuch` in its place if it does not fit."""
        self._size += len(data)
        if self._limit is not None and self._size > self._limit:
            raise _TooMuch(f'More comes than the {self._limit} bytes that the server has')
        self._incoming.write(data)


class _Length:
    """Counts the bytes that are written to it, in `size`, and keeps nothing."""

    def __init__(self):
        self.size = 0

    def __repr__(self):
        return f'<Length {self.size}>'

    def write(self, data):
        """Count these bytes, too."""
        self.size += len(data)


class Fetcher:
    """Looks at files over `session`, and fetches them.

    `size_check`: only what is confirmed by SIZE is taken.
    """

    def __init__(self, session, *, size_check=True):
        self._session = session
        self._size_check = size_check
        self._knows_size = True

    def __repr__(self):
        return f'<Fetcher over {self._session!r}>'

    def look(self, name):
        """Return the `Look` at the file `name`, as it is now.

        Raises `NotTold` if it is listed, or may be there, `SizeMismatch` if the server does not
        tell sizes and they are wanted.
        """
        try:
            return self._look(name)
        except (FileError, ServerError):
            if self._session.is_directory(name):
                return GONE
            raise

    def _look(self, name):
        if not self._knows_size:
            return self._look_without_size(name)
        try:
            size, modified = self._session.look(name)
        except NotTold as error:
            if self._session.tells_sizes():
                if error.listed and isinstance(error.__cause__, NoValue):
                    # So ftp-srv says it; whatever comes when it is fetched is too much.
                    return Look(0, self.modified(name), is_said=False)
                raise  # of others it tells the size
            if self._size_check:
                raise SizeMismatch(
                    f'The server does not tell the size of the file: {error.message}',
                    hint='If it never does, use size_check="no" (--no-size-check).',
                ) from error
            self._knows_size = False
            return self._look_without_size(name)
        if size is None:
            return GONE
        return Look(size, modified.isoformat() if modified else '')

    def require_file(self, name):
        """Raise `NoFile` if `name` is a directory."""
        if self._session.is_directory(name):
            raise NoFile('It is a directory')

    def _look_without_size(self, name):
        """The same on a server that does not know SIZE.

        If it knows no times either, only the file itself tells whether it is there, and whether it
        grows: nothing is claimed, and nothing deleted, because of what was not answered.
        """
        if modified := self.modified(name):
            return Look(None, modified)
        length = _Length()
        if self._session.fetch(name, length) is None:
            return GONE
        return Look(length.size, '', was_read=True)

    def modified(self, name):
        """Return the time of the file `name` in ISO 8601, '' if it is not known."""
        try:
            found = self._session.modified(name)
        except (ServerError, RemoteProtocolError) as error:
            log.debug('The server tells no time: %s', printable(error.message))
            return ''
        return found.isoformat() if found else ''

    def fetch(self, name, incoming, *, before):
        """Write the file `name` into `incoming` (`IIncoming`), and compare; return the last `Look`.

        `before` is an earlier `Look`, of whose size no more is taken: a server must not fill the
        disk.  Raises `NoFile` if it is a directory, `StillGrowing` if the file is not what it was
        then, `SizeMismatch` if it is, but something else arrived, `SourceGone` if it is not there.
        """
        too_much = None
        bounded = _Bounded(incoming, limit=before.size)
        empty = before.size == 0 and before.is_said and not before.was_read
        try:
            if self._session.fetch(name, bounded, within=EMPTY if empty else None) is None:
                raise SourceGone(f'{printable(name)} has disappeared from the server')
        except _TooMuch as error:
            too_much = error
        except NotBegun:
            if not empty:
                raise
        except ServerError:
            self.require_file(name)
            raise
        if before.was_read and too_much is None:
            after = before._replace(size=incoming.size)  # it was read once more just now
        else:
            after = self.look(name)
        if not after.exists:
            raise SourceGone(f'{printable(name)} has disappeared from the server')
        if not after.agrees(before):
            raise StillGrowing('It is being written: it changed while it was fetched')
        if too_much is not None:
            raise SizeMismatch(
                too_much.message,
                hint='The rest was not waited for; the next run fetches it again.',
            )
        if after.size not in (None, incoming.size):
            raise SizeMismatch(
                f'{incoming.size} bytes arrived, but the server has {after.size}',
                hint='What arrived is discarded; the next run fetches it again.',
            )
        return after
