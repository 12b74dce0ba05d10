"""A directory on an SFTP server: requests about names in it, and what they tell.

SFTP says what FTP cannot: `NO_SUCH_FILE` is an answer about a file, not about whether somebody may
look.  So that proves that there is none.
"""

import collections
import contextlib
import logging
import struct

from zeit.cds.errors import (
    LOST,
    ConfigurationError,
    Error,
    ListingTooLong,
    NameRefused,
    PermanentError,
    RemoteProtocolError,
    ServerError,
)
from zeit.cds.sftp import protocol
from zeit.cds.sftp.connection import BLOCK
from zeit.cds.sftp.protocol import string
from zeit.cds.sftp.transfers import LARGEST
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How many requests for entries of a long directory are on their way at once.
LISTING = 8

#: Most entries of a directory that are taken.
MAX_ENTRIES = 125_000

#: What to do where a directory is not listed, by which locks are seen.
LIST = 'Give the account the right to list the directory.'

#: What no part of a path is called.
_NO_NAMES = frozenset((b'', b'.', b'..'))

#: How many answers in a row may bring no new name: a file that gets another name meanwhile is
#: listed twice, and some servers have nothing to say before they say that it is the end; but not
#: for ever.
STALE = 100


class Directory:
    """The directory that `settings` name; `deadline` is that of each wait for an answer.

    What is asked for ahead is believed if nothing else was asked over that connection since.
    """

    def __init__(self, settings, *, deadline):
        self._name = settings.directory
        self._encoding = settings.encoding
        self._deadline = deadline
        self._base = base_path(settings)
        self._ahead = {}

    def __repr__(self):
        return f'<Directory {self._name}>'

    @property
    def path(self):
        """Its path, as bytes."""
        return self._base or b'.'

    # Requests

    def send(self, connection, kind, *names, verb='', rest=b''):
        """Send a request about names in the directory; return it."""
        payload = b''.join(string(self._path_of(name)) for name in names)
        shown = ' '.join([verb or protocol.VERBS[kind], *names])
        return connection.send(kind, payload, rest, shown=shown)

    def _path_of(self, name):
        """Return the path of what has this name in the directory, as bytes."""
        try:
            encoded = name.encode(self._encoding, 'surrogateescape')
        except UnicodeEncodeError:
            raise NameRefused(
                f'The name cannot be written in {self._encoding}',
                hint='Set the encoding that the server has its names in: encoding (--encoding).',
            ) from None
        if b'\0' in encoded or not _NO_NAMES.isdisjoint(encoded.split(b'/')):
            raise NameRefused('This is no name of a file')
        return b'/'.join([self._base.rstrip(b'/'), encoded]) if self._base else encoded

    def answers(self, connection, *requests):
        """Return the answers to the requests, errors included."""
        return connection.answers(*requests, deadline=self._deadline)

    def value(self, connection, request):
        """Return the answer to a request; raise it if it is an error."""
        (answer,) = self.answers(connection, request)
        if isinstance(answer, Error):
            raise answer
        return answer

    def close(self, connection, handle):
        """Give a handle back, and wait for nothing."""
        if connection.usable:
            with contextlib.suppress(*LOST):
                connection.send(protocol.CLOSE, string(handle), shown='CLOSE')

    # The directory

    def enter(self, connection, *, deadline=None):
        """Look whether the directory is there, and how much the server takes at once."""
        asked = [connection.send(protocol.STAT, string(self.path), shown='STAT of the directory')]
        if protocol.LIMITS in connection.extensions:
            asked.append(connection.send(protocol.LIMITS, shown='limits'))
        self._ahead = {}
        self.open_ahead(connection)
        about, *limits = connection.answers(*asked, deadline=deadline or self._deadline)
        if isinstance(about, ServerError) or not (about.is_directory or about.kind == 0):
            why = about.message if isinstance(about, ServerError) else 'it is no directory'
            raise ConfigurationError(
                f'The directory {printable(self._name)} cannot be used: {printable(why)}',
                hint='Check the directory; with a chroot it is below that. ~/in is below the home '
                'directory of the account.',
            )
        if limits and isinstance(limits[0], bytes) and len(limits[0]) >= 24:
            _, reading, writing = struct.unpack_from('>QQQ', limits[0])
            # The block of a packet that is not said may be of any size.
            connection.block = max(BLOCK, min(reading or LARGEST, writing or LARGEST, LARGEST))

    def open_ahead(self, connection):
        """Open the directory for a listing that comes next, in nearly all cases."""
        opened = connection.send(protocol.OPENDIR, string(self.path), shown='OPENDIR')
        self._ahead['directory'] = connection, connection.sent, opened

    def listing(self, connection, inside='', *, then=()):
        """Return the `Attributes` of all names in the directory, or `inside` of it.

        `then` are names of which `sizes` is likely to be asked next: that is asked for behind the
        listing.  If that is a short one, nothing has to be waited for.
        """
        handle = self._handle(connection, inside)
        found, asked, most, entries, stale = {}, collections.deque(), 2, 0, 0
        behind, answers = [], 0
        try:
            while True:
                while len(asked) < most:
                    asked.append(connection.send(protocol.READDIR, string(handle), shown='READDIR'))
                if then and not behind:
                    behind = [self.send(connection, protocol.LSTAT, name) for name in then]
                answer = self.value(connection, asked.popleft())
                if answer is protocol.EOF:
                    if answers < 2:  # all of it was asked for before `then`
                        self._ahead[then] = connection, connection.sent + 1, behind
                    return found
                most = LISTING if answers else most  # a short one has come in the first answer
                answers += 1
                known, entries = len(found), entries + len(answer)
                if entries > MAX_ENTRIES:
                    raise ListingTooLong(
                        f'The directory has more than {MAX_ENTRIES} entries',
                        hint='Let the partner remove what is not needed any more.',
                    )
                for name, about in answer:
                    self._take(found, name, about)
                stale = stale + 1 if len(found) == known else 0
                if stale > STALE:
                    raise RemoteProtocolError('The server lists nothing new, and does not end')
        finally:
            self.close(connection, handle)

    def _handle(self, connection, inside):
        try:
            return self.value(connection, self._opened(connection, inside))
        except ServerError as error:
            if error.code == protocol.DENIED:
                error.advise(LIST)
            raise

    def _opened(self, connection, inside):
        """Return the request that opens a directory."""
        if not inside:
            opened = self._take_ahead(connection, 'directory')
            return opened or connection.send(protocol.OPENDIR, string(self.path), shown='OPENDIR')
        path = string(self._path_of(inside))
        return connection.send(protocol.OPENDIR, path, shown=f'OPENDIR {inside}')

    def _take_ahead(self, connection, key):
        """Return what was asked for ahead, if nothing was asked over this connection since."""
        of, sent, found = self._ahead.pop(key, (None, 0, None))
        if of is not connection:
            return None
        if sent == connection.sent:
            return found
        if key == 'directory' and isinstance(found.answer, bytes):
            self.close(connection, found.answer)
        return None

    def _take(self, found, name, about):
        if name in (b'.', b'..'):
            return
        if not name or b'/' in name or b'\0' in name:
            log.warning('Left out, as no file can have this name: %s', printable(repr(name)))
            return
        found[name.decode(self._encoding, 'surrogateescape')] = about

    # Single files

    def lstat(self, connection, names):
        """Return the `Attributes` of each, None where there is nothing, or the error."""
        asked = [self.send(connection, protocol.LSTAT, name) for name in names]
        return self._attributes(connection, asked)

    def stat(self, connection, name):
        """Return the `Attributes` of what a name leads to, None if it is nothing, or the error."""
        asked = self.send(connection, protocol.STAT, name)
        return self._attributes(connection, [asked])[0]

    def look(self, connection, names):
        """Return what `lstat` does, but of a link what it leads to, or an error."""
        asked = self._take_ahead(connection, tuple(names))
        found = self._attributes(connection, asked) if asked else self.lstat(connection, names)
        return [
            self.stat(connection, name) or _dangling()
            if isinstance(about, protocol.Attributes) and about.is_link
            else about
            for name, about in zip(names, found, strict=True)
        ]

    def _attributes(self, connection, asked):
        return [unless_missing(answer) for answer in self.answers(connection, *asked)]


def base_path(settings):
    """Return the path of the directory, b'' for the home directory."""
    path = settings.directory
    home = path == '~' or path.startswith(('~/', '/~/')) or path == '/~'
    if home:
        path = path.lstrip('/')[1:].lstrip('/')
    segments = [each for each in path.split('/') if each not in ('', '.')]
    text = '/'.join(segments) if home else '/' + '/'.join(segments)
    return text.encode(settings.encoding)


def unless_missing(answer):
    """Return None for the answer that there is no such file, else the answer."""
    if isinstance(answer, ServerError) and answer.code == protocol.NO_SUCH_FILE:
        return None
    return answer


def _dangling():
    return PermanentError(protocol.FAILURE, 'It is a link that leads nowhere')
