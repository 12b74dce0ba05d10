"""One session of the SFTP fault server: requests in order, each along its rule.

SFTP, version 3 (draft-ietf-secsh-filexfer-02), is made here, so that each answer can be any bytes.
"""

import asyncio
import contextlib
import dataclasses
import errno
import hashlib
import itertools
import posixpath
import struct
import typing

from zeit.cds.testing import actions, ftpstore, script


REQUESTS = {
    1: 'INIT', 3: 'OPEN', 4: 'CLOSE', 5: 'READ', 6: 'WRITE', 7: 'LSTAT', 8: 'FSTAT', 9: 'SETSTAT',
    10: 'FSETSTAT', 11: 'OPENDIR', 12: 'READDIR', 13: 'REMOVE', 14: 'MKDIR', 15: 'RMDIR',
    16: 'REALPATH', 17: 'STAT', 18: 'RENAME', 200: 'EXTENDED',
}  # fmt: skip
VERSION, STATUS, HANDLE, DATA, NAME, ATTRS, REPLY = 2, 101, 102, 103, 104, 105, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
OF_HANDLES = ('CLOSE', 'READ', 'WRITE', 'FSTAT', 'FSETSTAT', 'READDIR', 'fsync', 'fstatvfs')
#: What OpenSSH 9.2 announces, as far as it is known here.
EXTENSIONS = ('posix-rename', 'statvfs', 'fstatvfs', 'fsync', 'limits')
VERSIONS = {'statvfs': '2', 'fstatvfs': '2'}
#: The longest read and write, and the longest packet, in bytes, as in OpenSSH.
LONGEST = 261_120
LONGEST_PACKET = 262_144 + 1024
#: So many names are in an answer to READDIR.
NAMES = 100


def number(value, *, size=4):
    """Return a number on the wire, of so many bytes."""
    return value.to_bytes(size, 'big')


def text(value):
    """Return a text (str or bytes) on the wire."""
    raw = value.encode('utf-8', 'surrogateescape') if isinstance(value, str) else bytes(value)
    return number(len(raw)) + raw


def packet(kind, *fields):
    """Return a packet: its length, its kind (a number), and the fields (bytes)."""
    body = bytes([kind]) + b''.join(fields)
    return number(len(body)) + body


def status(request, code, words=''):
    """Return the packet of a status; `request` is the number of the request."""
    return packet(STATUS, number(request), number(code), text(words), text('en'))


def attributes(node):
    """Return what there is to say of an `ftpstore.Node`."""
    mode = 0o040755 if node.is_directory else 0o100644
    size = 4096 if node.is_directory else len(node.content)
    moment = number(int(node.modified))
    return number(0x0D) + number(size, size=8) + number(mode) + moment + moment


@dataclasses.dataclass(frozen=True)
class Status(actions.Action):
    """Do not execute the request, answer this code, with these words."""

    code: int
    words: str = 'As the test says.'


@dataclasses.dataclass(frozen=True)
class Answer(actions.Action):
    """Execute the request, and answer `function(request, packet)` in place of the packet.

    `request` is the number of the request; packets are bytes, with their length.
    """

    function: typing.Callable


class Ended(Exception):
    """The client has gone, or the server is being stopped."""


class Reader:
    """Takes fields off a packet."""

    def __init__(self, data):
        self._data = data

    def number(self, *, size=4):
        value, self._data = self._data[:size], self._data[size:]
        if len(value) < size:
            raise ValueError('The packet is too short')
        return int.from_bytes(value, 'big')

    def text(self):
        size = self.number()
        value, self._data = self._data[:size], self._data[size:]
        return value

    def name(self):
        return self.text().decode('utf-8', 'surrogateescape')

    def modified(self):
        """Return the time that attributes set, or None."""
        flags = self.number()
        for flag, size in ((1, 8), (2, 8), (4, 4)):
            if flags & flag:
                self.number(size=size)
        if not flags & 8:
            return None
        self.number()
        return self.number()


@dataclasses.dataclass
class Handle:
    """What is open: a file's node, or the names that are left of a directory."""

    path: str
    node: ftpstore.Node
    flags: int = 0
    names: list = dataclasses.field(default_factory=list)


class Session:
    """One SFTP session: requests in their order, each along its rule."""

    def __init__(self, server, stream, *, number):
        self.server = server
        self.tree = server.tree
        self.number = number
        self._stream = stream
        self._handles = {}
        self._numbers = itertools.count()
        self._count = 0

    async def run(self):
        """Answer requests until one of both sides ends it."""
        loop = asyncio.get_running_loop()
        while True:
            size = int.from_bytes(await self._stream.readexactly(4), 'big')
            if size > LONGEST_PACKET:
                raise Ended
            body = await self._stream.readexactly(size)
            # Whatever waits there, such as a hook, others go on.
            reply, after = await loop.run_in_executor(self.server.threads, self._perform, body)
            self._stream.write(reply)
            await loop.run_in_executor(self.server.threads, after)

    def _perform(self, body):
        """Return the answer to a packet, and what to call when it is sent."""
        reader = Reader(body)
        verb = REQUESTS.get(reader.number(size=1), 'UNKNOWN')
        request = reader.number() if verb != 'INIT' else 0
        if verb == 'EXTENDED':
            verb = reader.name().removesuffix('@openssh.com')
        argument, fields = self._argument(verb, reader)
        self.server.record.add(self.number, 'command', f'{verb} {argument}'.rstrip())
        event = script.Event(
            self.server, self.number, self._count, verb, argument, ftpstore.resolve('/', argument)
        )
        self._count += 1
        self.server.call_hook(event)
        due = self.server.script.decide(event)
        for action in due:
            action.before(self, event)
        refusal = next((each for each in due if isinstance(each, Status)), None)
        if refusal is not None:
            reply = status(request, refusal.code, refusal.words)
        else:
            reply = self._execute(verb, request, argument, fields)
        for action in due:
            if isinstance(action, Answer):
                reply = action.function(request, reply)
        event = dataclasses.replace(event, moment='executed', reply=reply)
        self.server.call_hook(event)
        for action in due:
            action.executed(self, event)
        return reply, lambda: [action.replied(self, event) for action in due]

    def _argument(self, verb, reader):
        """Return the path that a request is about, and a function for what follows it."""
        if verb == 'INIT' or verb == 'limits':
            return '', reader
        if verb in OF_HANDLES or verb == 'check-file-handle':
            handle = reader.text()
            opened = self._handles.get(handle)
            return (opened.path if opened else ''), (handle, reader)
        return reader.name(), reader

    def _execute(self, verb, request, argument, fields):
        method = getattr(self, f'_{verb.lower().replace("-", "_")}', None)
        extension = verb.islower()
        if method is None or (extension and verb not in self._extensions()):
            return status(request, UNSUPPORTED, 'Operation unsupported')
        try:
            if isinstance(fields, tuple):
                opened = self._handles.get(fields[0])
                if opened is None:
                    return status(request, FAILURE, 'Failure')
                found = method(request, opened, *fields)
            elif verb in ('INIT', 'limits'):
                found = method(request, fields)
            else:
                found = method(request, ftpstore.resolve('/', argument), fields)
        except OSError as error:
            codes = {errno.ENOENT: NO_SUCH_FILE, errno.ENOTDIR: NO_SUCH_FILE,
                     errno.EACCES: PERMISSION_DENIED}  # fmt: skip
            code = codes.get(error.errno, FAILURE)
            words = {NO_SUCH_FILE: 'No such file', FAILURE: 'Failure'}.get(code, error.strerror)
            return status(request, code, words)
        return status(request, OK, 'Success') if found is None else found

    def _extensions(self):
        digests = ('check-file-handle', 'check-file-name') if self.server.digests else ()
        return (*self.server.extensions, *digests)

    # Requests: each returns a packet, None for success; or raises OSError

    def _init(self, request, reader):
        pairs = []
        for name in self._extensions():
            at = '' if name.startswith('check-file') else '@openssh.com'
            pairs += text(name + at), text(VERSIONS.get(name, '1'))
        return packet(VERSION, number(3), *pairs)

    def _open(self, request, path, reader):
        flags = reader.number()
        with self.tree.alone():
            there = self._is_there(path)
            if flags & CREATE and flags & EXCLUSIVE and there and self.server.exclusive:
                raise ftpstore.failure(errno.EEXIST, path)
            if not flags & CREATE and not there:
                raise ftpstore.failure(errno.ENOENT, path)
            if there and self.tree.stat(path).is_directory:
                raise ftpstore.failure(errno.EISDIR, path)
            if flags & (WRITE | APPEND):
                node = self.tree.open(path, keep=not flags & TRUNCATE)
            else:
                node = self.tree.stat(path)
        return self._opened(request, Handle(path, node, flags))

    def _opened(self, request, handle):
        name = number(next(self._numbers))
        self._handles[name] = handle
        return packet(HANDLE, number(request), text(name))

    def _is_there(self, path):
        try:
            self.tree.stat(path)
        except FileNotFoundError:
            return False
        return True

    def _close(self, request, opened, name, reader):
        del self._handles[name]

    def _read(self, request, opened, name, reader):
        start, size = reader.number(size=8), reader.number()
        data = bytes(opened.node.content[start : start + min(size, LONGEST)])
        if not data:
            return status(request, EOF, 'End of file')
        return packet(DATA, number(request), text(data))

    def _write(self, request, opened, name, reader):
        start, data = reader.number(size=8), reader.text()
        if opened.flags & APPEND:
            start = len(opened.node.content)
        self.tree.write(opened.node, data, at=start)

    def _stat(self, request, path, reader):
        return packet(ATTRS, number(request), attributes(self.tree.stat(path)))

    _lstat = _stat

    def _fstat(self, request, opened, name, reader):
        return packet(ATTRS, number(request), attributes(opened.node))

    def _setstat(self, request, path, reader):
        self._change(self.tree.stat(path), reader)

    def _fsetstat(self, request, opened, name, reader):
        self._change(opened.node, reader)

    def _change(self, node, reader):
        modified = reader.modified()
        if modified is not None:
            node.modified = modified

    def _opendir(self, request, path, reader):
        names = ['.', '..', *self.tree.names(path)]
        return self._opened(request, Handle(path, self.tree.stat(path), names=names))

    def _readdir(self, request, opened, name, reader):
        several, opened.names = opened.names[:NAMES], opened.names[NAMES:]
        entries = []
        for each in several:
            path = posixpath.join(opened.path, '' if each in ('.', '..') else each).rstrip('/')
            with contextlib.suppress(OSError):  # it was removed since
                entries.append((each, attributes(self.tree.stat(path or '/'))))
        if not entries:
            return status(request, EOF, 'End of file')
        return self.names(request, entries)

    @staticmethod
    def names(request, entries):
        """Return the packet of pairs (name, attributes)."""
        fields = [text(name) + text(name) + found for name, found in entries]
        return packet(NAME, number(request), number(len(entries)), *fields)

    def _remove(self, request, path, reader):
        self.tree.delete(path)

    def _mkdir(self, request, path, reader):
        self.tree.make_directory(path)

    def _rmdir(self, request, path, reader):
        self.tree.remove_directory(path)

    def _realpath(self, request, path, reader):
        shown = self.server.home if path == '/' else path
        return self.names(request, [(shown, number(0))])

    def _rename(self, request, path, reader):
        target = ftpstore.resolve('/', reader.name())
        with self.tree.alone():
            if self._is_there(target) and not self._may_replace(path):
                raise ftpstore.failure(errno.EEXIST, target)
            self.tree.rename(path, target)

    def _may_replace(self, path):
        return self.server.replaces

    def _posix_rename(self, request, path, reader):
        self.tree.rename(path, ftpstore.resolve('/', reader.name()))

    def _fsync(self, request, opened, name, reader):
        """It is in memory."""

    def _statvfs(self, request, path, reader):
        self.tree.stat(path)
        return self._room(request)

    def _fstatvfs(self, request, opened, name, reader):
        return self._room(request)

    def _room(self, request):
        found = (4096, 4096, 1 << 30, 1 << 29, 1 << 29, 1 << 20, 1 << 19, 1 << 19, 1, 0, 255)
        return packet(REPLY, number(request), struct.pack('>11Q', *found))

    def _limits(self, request, reader):
        found = (LONGEST_PACKET, LONGEST, LONGEST, 1000)
        return packet(REPLY, number(request), struct.pack('>4Q', *found))

    def _check_file_handle(self, request, opened, name, reader):
        return self._digest(request, opened.node, reader)

    def _check_file_name(self, request, path, reader):
        return self._digest(request, self.tree.stat(path), reader)

    def _digest(self, request, node, reader):
        wanted = reader.name().split(',')
        start, size = reader.number(size=8), reader.number(size=8)
        known = [name for name in wanted if name in self.server.digests]
        if not known:
            return status(request, FAILURE, 'No such hash')
        content = bytes(node.content[start : start + size if size else None])
        found = hashlib.new(known[0], content).digest()
        return packet(REPLY, number(request), text(known[0]), found)

    # What actions use

    def pause(self, until=None, *, seconds=0):
        """Wait for a threading.Event, or for seconds; raises Ended."""
        if not self.server.pause(until, seconds=seconds):
            raise Ended

    def mute(self):
        """Answer nothing any more."""
        self.pause(self._stream.ended)
        raise Ended
