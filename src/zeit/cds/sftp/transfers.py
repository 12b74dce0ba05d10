"""The bytes of files: many requests are on their way at once, and each answer counts.

Source: draft-ietf-secsh-filexfer-02, sections 6.4 and 6.8.
"""

import collections
import hashlib
import logging
import struct

from zeit.cds.errors import (
    LOST,
    Error,
    NotBegun,
    RemoteProtocolError,
    ServerError,
    ServerFull,
    SizeMismatch,
)
from zeit.cds.sftp import protocol
from zeit.cds.sftp.protocol import string
from zeit.cds.system.polling import give_way
from zeit.cds.system.throttle import UNLIMITED
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The most that is read or written by one request, in bytes, where a server takes that: with its
#: head it fills four packets of SSH.
LARGEST = 4 * 32 * 1024 - 1024

#: How much of a file is on its way, at most, in bytes.
WINDOW = 2 * 1024 * 1024

#: A file system with fewer bytes is full.
FULL = 1024 * 1024

#: What a server may compute, the one that is computed here anyway first.
DIGESTS = 'sha256', 'sha512', 'sha384', 'sha224', 'sha1', 'md5'


def digest_of(extensions):
    """Return which digest the server computes of a file, '' if it does not say that it can."""
    offered = extensions.get(protocol.CHECK_FILE, extensions.get(protocol.CHECK_FILE_HANDLE))
    if offered is None:
        return ''
    names = offered.decode('ascii', 'replace').split(',')
    # What is announced is a list of them, as by Paramiko, or a version, or nothing.
    return next((name for name in DIGESTS if name in names), '' if names[1:] else DIGESTS[0])


class Writing:
    """Writes what a source reads to an open file, to its end.

    `seconds` is the time-out for each block; `without` are the names of extensions that the server
    refuses, to which this adds; `size_check`: the server has to tell the size.  `lasts`: it is to
    survive a loss of power there, and to be compared by its digest, as a lock is not.
    """

    def __init__(
        self, connection, handle, *, block, deadline, seconds, without, size_check, where,
        throttle=UNLIMITED, lasts=True,
    ):  # fmt: skip
        self._connection = connection
        self._lasts = lasts
        self._head = string(handle)
        self._block = block
        self._deadline = deadline
        self._seconds = seconds
        self._without = without
        self._size_check = size_check
        self._where = where
        self._throttle = throttle
        self._written = collections.deque()
        self._sent = 0
        self._algorithm = '' if 'check-file' in without else digest_of(connection.extensions)
        self._digest = None
        #: True since the server was told to close the file.
        self.closing = False

    def __repr__(self):
        return f'<Writing, {self._sent} bytes are sent>'

    def run(self, source):
        """Write all, let it be durable, compare; return (bytes, what the server has confirmed)."""
        if self._lasts and self._algorithm and not self._is_ours(source):
            self._digest = hashlib.new(self._algorithm, usedforsecurity=False)
        # Most files are small; one that grows meanwhile is read to its end all the same.
        buffer = memoryview(bytearray(min(self._block, max(1, source.size))))
        while count := source.readinto(buffer[: self._throttle.piece(len(buffer))]):
            self._throttle.spend(count)
            self._write(buffer[:count])
            if self._sent > source.size and len(buffer) < self._block:
                buffer = memoryview(bytearray(self._block))
        return self._sent, self._end(source)

    def _is_ours(self, source):
        return self._algorithm == 'sha256' and bool(getattr(source, 'sha256', ''))

    def _write(self, data):
        self._connection.drained(deadline=self._deadline)
        give_way()
        if self._digest is not None:
            self._digest.update(data)
        place = struct.pack('>QI', self._sent, len(data))
        self._written.append(
            self._connection.send(protocol.WRITE, self._head, place, data, shown='WRITE')
        )
        self._sent += len(data)
        while len(self._written) * self._block > WINDOW:
            self._confirm(self._written.popleft())

    def _confirm(self, *written):
        """Wait until the server has taken these blocks; raise what it says if it has not."""
        answers = self._connection.answers(*written, deadline=self._deadline, seconds=self._seconds)
        for answer in answers:
            if isinstance(answer, ServerError):
                raise self._or_full(answer)

    def _or_full(self, refusal):
        """Return a refusal, or that the server has no room: version 3 has no code for that."""
        if refusal.code != protocol.FAILURE or protocol.STATVFS not in self._connection.extensions:
            return refusal
        try:
            left = space(self._connection, self._where, deadline=self._deadline)
        except Error as error:
            log.debug('No room is told: %s', printable(error.message))
            return refusal
        if left.free >= FULL and left.files != 0:
            return refusal
        room = '' if left.files is None else f', for {left.files} files'
        return ServerFull(
            refusal.code,
            f'The server has no room left: {refusal.message}',
            hint=f'{left.free} bytes are free there{room}.',
        )

    def _end(self, source):
        """Let the file be durable, measured, compared and closed, which is one round trip."""
        asked, extensions = {}, self._connection.extensions
        if self._lasts and protocol.FSYNC in extensions and 'fsync' not in self._without:
            asked['fsync'] = self._ask(protocol.FSYNC, shown='fsync')
        asked['size'] = self._ask(protocol.FSTAT, shown='FSTAT')
        ours = self._digest.hexdigest() if self._digest else getattr(source, 'sha256', '')
        if self._lasts and self._algorithm and ours:
            rest = string(self._algorithm.encode()) + struct.pack('>QQI', 0, 0, 0)
            kind, shown = protocol.CHECK_FILE_HANDLE, f'check-file {self._algorithm}'
            asked['digest'] = self._ask(kind, rest, shown=shown)
        asked['closed'] = self._ask(protocol.CLOSE, shown='CLOSE')
        self.closing = True
        self._confirm(*self._written)
        answers = self._connection.answers(*asked.values(), deadline=self._deadline)
        told = dict(zip(asked, answers, strict=True))
        if told['closed'] is not None:
            raise self._or_full(told['closed'])
        said = ['closed', *self._durable(told), *self._measured(told['size'])]
        return ', '.join(said + self._compared(told.get('digest'), ours))

    def _ask(self, kind, rest=b'', *, shown):
        return self._connection.send(kind, self._head, rest, shown=shown)

    def _durable(self, told):
        if 'fsync' not in told:
            return []
        refusal = told['fsync']
        if refusal is None:
            return ['on its disk']
        if not refusal.is_unsupported:
            raise self._or_full(refusal)
        self._without.add('fsync')
        return []

    def _measured(self, about):
        size = None if isinstance(about, ServerError) else about.size
        if size == self._sent:
            return [f'{size} bytes']
        if size is None and not self._size_check:
            return []
        if size is None:
            raise SizeMismatch(
                'The server does not tell the size of the file',
                hint='size_check="no" (--no-size-check) trusts that it has taken all blocks.',
            )
        raise SizeMismatch(
            f'{self._sent} bytes were sent, but the server has {size} bytes',
            hint='The incomplete file is not used; the next run sends it again.',
        )

    def _compared(self, answer, ours):
        if answer is None:
            return []
        if isinstance(answer, ServerError):
            log.debug('No digest by the server: %s', printable(answer.message))
            self._without.add('check-file')
            return []
        algorithm, theirs = protocol.digest(answer)
        if algorithm != self._algorithm:
            self._without.add('check-file')
            return []
        if theirs.hex() != ours:
            raise SizeMismatch(
                'The server has as many bytes as were sent, and others: their '
                f'{algorithm} is another one',
                hint='The file is not used; the next run sends it again.',
            )
        return [f'the same {algorithm}']


def space(connection, path, *, deadline):
    """Return the `protocol.Space` of the directory `path`; raises `ServerError` if none is told."""
    asked = connection.send(protocol.STATVFS, string(path), shown='statvfs')
    (answer,) = connection.answers(asked, deadline=deadline)
    if isinstance(answer, Error):
        raise answer
    return protocol.space(answer)


class Reading:
    """Reads an open file: what it is said to have at once, and then to its end, which it finds.

    `seconds` is the time-out for each block, `within` that for the first one, if given.
    """

    def __init__(
        self, connection, handle, *, block, deadline, seconds, within=None, throttle=UNLIMITED
    ):
        self._connection = connection
        self._head = string(handle)
        self._block = block
        self._deadline = deadline
        self._seconds = seconds
        self._within = within
        self._throttle = throttle
        self._asked = collections.deque()
        self._position = 0

    def __repr__(self):
        return f'<Reading, {self._position} bytes were asked for>'

    def run(self, file, *, limit=None):
        """Write it to `file`, or its first `limit` bytes; return how many bytes that are.

        Raises `NotBegun` if nothing comes in time.
        """
        self._ask(limit)
        sized = self._connection.send(protocol.FSTAT, self._head, shown='FSTAT')
        got, size = 0, None
        while limit is None or got < limit:
            if not self._asked:
                self._ask(limit)
            length, request = self._asked.popleft()
            data = self._data(request, begins=size is None)
            if size is None:
                (about,) = self._connection.answers(sized, deadline=self._deadline)
                size = about.size if isinstance(about, protocol.Attributes) and about.size else 0
            if data is protocol.EOF:
                break
            if not 0 < len(data) <= length:
                raise RemoteProtocolError(f'{length} bytes were asked for, and {len(data)} came')
            file.write(data)
            got += len(data)
            give_way()
            if len(data) < length:  # then the next ones do not begin where it ends
                self._asked.clear()
                self._position = got
                if limit is not None and got == size:
                    break  # nobody needs to know for certain that a lock ends where it says
            end = size if limit is None else min(size, limit)
            while self._position < end and len(self._asked) * self._block < WINDOW:
                self._ask(limit)
        return got

    def _ask(self, limit):
        most = self._block if limit is None else min(self._block, limit - self._position)
        length = self._throttle.piece(most)
        self._throttle.spend(length)
        payload = struct.pack('>QI', self._position, length)
        request = self._connection.send(protocol.READ, self._head, payload, shown='READ')
        self._asked.append((length, request))
        self._position += length

    def _data(self, request, *, begins):
        within = self._within if begins else None
        try:
            (answer,) = self._connection.answers(
                request, deadline=self._deadline, seconds=within or self._seconds
            )
        except LOST as error:
            if within is None:
                raise
            raise NotBegun(getattr(error, 'errno', 0), error.message) from error
        if isinstance(answer, ServerError):
            raise answer
        return answer
