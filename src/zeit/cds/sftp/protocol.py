"""SFTP, version 3: requests to bytes, and bytes to answers; no socket, no clock.

Source: draft-ietf-secsh-filexfer-02, as all servers speak it; OpenSSH's extensions: PROTOCOL,
section 4; check-file: draft-ietf-secsh-filexfer-extensions-00, section 3.
"""

import struct
from typing import NamedTuple

from zeit.cds.errors import PermanentError, RemoteProtocolError, ServerFull, TemporaryError
from zeit.cds.text import printable


VERSION = 3

# Requests.
INIT, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 1, 3, 4, 5, 6, 7, 8
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, STAT, RENAME = 11, 12, 13, 14, 15, 17, 18
EXTENDED = 200

# Answers.
SERVER_VERSION, STATUS, HANDLE, DATA, NAME, ATTRIBUTES, EXTENDED_REPLY = (
    2,
    101,
    102,
    103,
    104,
    105,
    201,
)

#: What requests are called in a log, or an error.
VERBS = {
    OPEN: 'OPEN',
    CLOSE: 'CLOSE',
    READ: 'READ',
    WRITE: 'WRITE',
    LSTAT: 'LSTAT',
    FSTAT: 'FSTAT',
    OPENDIR: 'OPENDIR',
    READDIR: 'READDIR',
    REMOVE: 'REMOVE',
    MKDIR: 'MKDIR',
    RMDIR: 'RMDIR',
    STAT: 'STAT',
    RENAME: 'RENAME',
}

#: How a file is opened.
FOR_READING, FOR_WRITING, CREATE, TRUNCATE, EXCLUSIVE = 0x01, 0x02, 0x08, 0x10, 0x20

#: Extensions, with the version that is known here.
POSIX_RENAME = b'posix-rename@openssh.com'
FSYNC = b'fsync@openssh.com'
LIMITS = b'limits@openssh.com'
STATVFS = b'statvfs@openssh.com'
CHECK_FILE = b'check-file'
CHECK_FILE_HANDLE = b'check-file-handle'

# Codes of a status.
OK, EOF_CODE, NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, NO_CONNECTION, LOST, UNSUPPORTED = range(
    9
)
NO_SPACE, QUOTA_EXCEEDED = 14, 15  # of version 6; some send them all the same

#: What an answer may be, beside a status; others have only that.
_ANSWERS = {
    OPEN: HANDLE,
    OPENDIR: HANDLE,
    READ: DATA,
    READDIR: NAME,
    LSTAT: ATTRIBUTES,
    STAT: ATTRIBUTES,
    FSTAT: ATTRIBUTES,
    LIMITS: EXTENDED_REPLY,
    STATVFS: EXTENDED_REPLY,
    CHECK_FILE_HANDLE: EXTENDED_REPLY,
}

#: The numbers of a packet (RFC 4251, section 5).
_BYTE, _NUMBER, _LONG = map(struct.Struct, ('>B', '>I', '>Q'))

#: No server sends more at once, in bytes: what it is asked for is 32 KiB at most.
LONGEST = 256 * 1024 + 1024

#: The most bytes that a handle may have.
LONGEST_HANDLE = 256

#: What the end of a file, or of a directory, is answered with.
EOF = object()

_TEXTS = {
    NO_SUCH_FILE: 'No such file',
    DENIED: 'Permission denied',
    FAILURE: 'Failure',
    BAD_MESSAGE: 'Bad message',
    UNSUPPORTED: 'Operation unsupported',
    NO_SPACE: 'No space left',
    QUOTA_EXCEEDED: 'Quota exceeded',
}


class Attributes(NamedTuple):
    """What a server says of a file; None for what it does not say."""

    size: int | None = None
    permissions: int | None = None
    mtime: int | None = None

    @property
    def kind(self):
        """The kind of the file as in a mode, 0 if it is not told."""
        return (self.permissions or 0) & 0o170000

    @property
    def is_directory(self):
        """Whether it is said to be a directory."""
        return self.kind == 0o040000

    @property
    def is_file(self):
        """Whether it may be a regular file."""
        return self.kind in (0, 0o100000)

    @property
    def is_link(self):
        """Whether it is said to be a symbolic link."""
        return self.kind == 0o120000


class Space(NamedTuple):
    """What a file system has left for anybody but root, in bytes and in files.

    Some file systems, such as btrfs, do not count files: then `files` is None.
    """

    free: int
    files: int | None


class Request:
    """A request that was made; `answer` is there when it is `done`, an error if it was refused.

    An answer is a handle (bytes), data (bytes), a list of (name as bytes, `Attributes`),
    `Attributes`, the bytes of an extension, None for a success, or `EOF`.
    """

    __slots__ = ('answer', 'done', 'kind', 'shown')

    def __init__(self, kind, shown=''):
        self.kind = kind
        self.shown = shown
        self.done = False
        self.answer = None

    def __repr__(self):
        return f'<Request {self.shown}>'

    @property
    def value(self):
        """The answer; raises it if it is an error."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def string(value):
    """Return bytes as a string of the protocol."""
    return _NUMBER.pack(len(value)) + value


class Protocol:
    """Both directions of one session; `extensions` are those of the server, by name."""

    def __init__(self):
        self.extensions = {}
        self.version = None
        self._buffer = bytearray()
        self._waiting = {}
        self._number = 0

    def __repr__(self):
        return f'<Protocol, {len(self._waiting)} requests are not answered>'

    @property
    def waiting(self):
        """The requests that are not answered, in their order."""
        return self._waiting.values()

    def begin(self):
        """Return the bytes that begin a session."""
        return _packet(INIT, _NUMBER.pack(VERSION))

    def request(self, kind, *payload, shown=''):
        """Return the bytes of a request, and its `Request`.

        `kind` is the number of one, or the name of an extension; `payload` are bytes.
        """
        number = self._number
        self._number = (number + 1) & 0xFFFFFFFF
        request = self._waiting[number] = Request(kind, shown)
        head = _NUMBER.pack(number)
        if isinstance(kind, bytes):
            return _packet(EXTENDED, head, string(kind), *payload), request
        return _packet(kind, head, *payload), request

    def receive(self, data):
        """Take bytes that came in; return the requests that are answered by them.

        Raises `RemoteProtocolError`.
        """
        self._buffer += data
        answered = []
        view, position = memoryview(self._buffer), 0
        try:
            while (left := len(view) - position - 4) >= 0:
                (length,) = _NUMBER.unpack_from(view, position)
                if not 1 <= length <= LONGEST:
                    raise RemoteProtocolError(f'The server sends a packet of {length} bytes')
                if left < length:
                    break
                packet = bytes(view[position + 4 : position + 4 + length])
                position += 4 + length
                if (request := self._take(_Reader(packet))) is not None:
                    answered.append(request)
        finally:
            view.release()
        del self._buffer[:position]
        return answered

    def _take(self, packet):
        kind = packet.byte()
        if self.version is None:
            return self._begun(kind, packet)
        request = self._waiting.pop(packet.number(), None)
        if request is None:
            raise RemoteProtocolError('The server answers what it was not asked')
        request.answer = self._answer(request, kind, packet)
        request.done = True
        return request

    def _begun(self, kind, packet):
        if kind != SERVER_VERSION:
            raise RemoteProtocolError('The server does not begin with its version of SFTP')
        version = packet.number()
        if version < VERSION:
            raise RemoteProtocolError(f'The server speaks version {version} of SFTP only')
        while packet.left:
            name = packet.string()
            self.extensions[name] = packet.string()
        self.version = version

    def _answer(self, request, kind, packet):
        if kind == STATUS:
            return _status(request, packet)
        if kind != _ANSWERS.get(request.kind):
            raise RemoteProtocolError(f'The server answers {request.shown} by a packet {kind}')
        if kind == HANDLE:
            handle = packet.string()
            if len(handle) > LONGEST_HANDLE:
                raise RemoteProtocolError(f'The server sends a handle of {len(handle)} bytes')
            return handle
        if kind == DATA:
            return packet.string()
        if kind == NAME:
            return [_entry(packet) for _ in range(packet.count(least=12))]
        return _attributes(packet) if kind == ATTRIBUTES else packet.rest()


def _packet(kind, *payload):
    # Joined once: of a large file each copy counts.
    return b''.join((struct.pack('>IB', sum(map(len, payload)) + 1, kind), *payload))


def _short():
    return RemoteProtocolError('The server sends a packet that is shorter than it says')


class _Reader:
    """Takes values out of a packet; raises `RemoteProtocolError` where it is too short."""

    def __init__(self, data):
        self._data = data
        self._position = 0

    @property
    def left(self):
        return len(self._data) - self._position

    def _take(self, count):
        if count > self.left:
            raise _short()
        start = self._position
        self._position += count
        return self._data[start : self._position]

    def _value(self, kind):
        try:
            (value,) = kind.unpack_from(self._data, self._position)
        except struct.error:
            raise _short() from None
        self._position += kind.size
        return value

    def byte(self):
        return self._value(_BYTE)

    def number(self):
        return self._value(_NUMBER)

    def long(self):
        return self._value(_LONG)

    def string(self):
        return self._take(self.number())

    def count(self, *, least):
        """Return how many things follow; each of them has at least `least` bytes."""
        number = self.number()
        if number * least > self.left:
            raise _short()
        return number

    def rest(self):
        return self._take(self.left)


def _entry(packet):
    name = packet.string()
    packet.string()  # as `ls -l` would show it
    return name, _attributes(packet)


def _attributes(packet):
    flags = packet.number()
    size = packet.long() if flags & 0x01 else None
    if flags & 0x02:
        packet.long()
    permissions = packet.number() if flags & 0x04 else None
    mtime = None
    if flags & 0x08:
        packet.number()
        mtime = packet.number()
    if flags & 0x80000000:
        for _ in range(packet.count(least=8)):
            packet.string()
            packet.string()
    return Attributes(size, permissions, mtime)


def _status(request, packet):
    code = packet.number()
    if code == OK:
        if request.kind in _ANSWERS:
            raise RemoteProtocolError(f'The server answers {request.shown} by nothing but success')
        return None
    if code == EOF_CODE and request.kind in (READ, READDIR):
        return EOF
    # Servers leave the text out, although version 3 has it.
    said = packet.string().decode('utf-8', 'backslashreplace') if packet.left >= 4 else ''
    return refusal(code, said, command=request.shown)


def refusal(code, said, *, command):
    """Return the error for a status with this `code` and text, in answer to `command`."""
    text = printable(said.strip()) or _TEXTS.get(code, f'Status {code}')
    if code in (NO_SPACE, QUOTA_EXCEEDED):
        return ServerFull(code, text, command=command)
    if code in (NO_CONNECTION, LOST):
        return TemporaryError(code, text, command=command)
    return PermanentError(code, text, command=command)


def space(data):
    """Return the `Space` that an answer to `STATVFS` tells."""
    packet = _Reader(data)
    _, fragment, _, _, free, most, _, files, *_ = [packet.long() for _ in range(11)]
    return Space(free * fragment, files if most else None)


def digest(data):
    """Return (algorithm, digest) of an answer to `CHECK_FILE_HANDLE`: a str and bytes."""
    packet = _Reader(data)
    return packet.string().decode('ascii', 'replace'), packet.rest()
