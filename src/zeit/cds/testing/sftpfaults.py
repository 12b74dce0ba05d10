"""A small SFTP server that behaves well until it is told not to; for tests of SFTP clients.

It is to SFTP what `zeit.cds.testing.faults` is to FTP: files in memory, a record of what was asked,
and rules for what is done wrong (`docs/testing.txt`). SSH is that of AsyncSSH; SFTP is made by
`zeit.cds.testing.sftpsession`.

The verbs of rules are those of the drafts (OPEN, WRITE, READDIR, ...), for extensions their names
without `@openssh.com`. The first one of a session is INIT.
"""

import asyncio
import concurrent.futures
import contextlib
import functools
import pathlib
import tempfile
import threading

import asyncssh

from zeit.cds.testing import actions, ports, scripted
from zeit.cds.testing.actions import Call, Cut, Delay, Silence
from zeit.cds.testing.sftpsession import (
    EXTENSIONS,
    Answer,
    Ended,
    Session,
    Status,
    number,
    packet,
    text,
)


__all__ = (
    'EXTENSIONS',
    'Answer',
    'Call',
    'Cut',
    'Delay',
    'SFTPFaultServer',
    'Silence',
    'Status',
    'number',
    'packet',
    'text',
)


class SFTPFaultServer(scripted.ScriptedServer):
    """A scripted SFTP server. A context manager; otherwise call `start`, `stop`, `restart`.

    files: mapping of absolute path to bytes; directories: more directories to create.
    merges: a directory is renamed onto one that is not empty, as by rclone.
    exclusive: whether SSH_FXF_EXCL counts; replaces: whether RENAME replaces a file.
    extensions: what is there and announced, names without `@openssh.com`.
    digests: the algorithms of `check-file-handle`, names of `hashlib`; none without any.
    user, password: the only login; home: what REALPATH makes of '.'.
    hook: called with a `script.Event` before and after the execution of every request.

    Attributes, beside those: `host`, `port`, `host_key` (a line), `fingerprint` (of that key, as
    ssh-keygen shows it), `known_hosts` (a path, while it runs), `connected` (how many connections
    there have been).
    """

    host = '127.0.0.1'

    def __init__(
        self,
        files=(),
        *,
        directories=(),
        merges=False,
        exclusive=True,
        replaces=False,
        extensions=EXTENSIONS,
        digests=(),
        user='test',
        password='testpw',
        home='/',
        hook=None,
    ):
        super().__init__(
            files,
            directories=directories,
            merges=merges,
            user=user,
            password=password,
            hook=hook,
        )
        self.exclusive = exclusive
        self.replaces = replaces
        self.extensions = extensions
        self.digests = digests
        self.home = home
        self.known_hosts = None
        self.key = _key()
        self.host_key = self.key.export_public_key('openssh').decode().strip()
        self.fingerprint = self.key.get_fingerprint().rstrip('=')
        self._open = 0
        self._resources = None
        self._loop = None

    # Life

    def start(self):
        """Listen; a second start, after `stop`, takes the same port again."""
        if self._resources is not None:
            raise RuntimeError('It was started before.')
        self.stopping.clear()
        with contextlib.ExitStack() as stack:
            reservation = stack.enter_context(ports.Reservation(host=self.host, port=self.port))
            self.port = reservation.port
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix='zeit.cds-sftp-'))
            self.known_hosts = pathlib.Path(folder, 'known_hosts')
            self.known_hosts.write_text(f'[{self.host}]:{self.port} {self.host_key}\n')
            self.threads = stack.enter_context(concurrent.futures.ThreadPoolExecutor(64))
            self._loop = asyncio.new_event_loop()
            stack.callback(self._loop.close)
            thread = threading.Thread(target=self._loop.run_forever)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(self._loop.call_soon_threadsafe, self._loop.stop)
            stack.callback(self._do, self._end)
            stack.callback(self.stopping.set)
            self._acceptor = self._do(self._listen)
            self._resources = stack.pop_all()

    def stop(self):
        """Close all connections and end all threads.

        Raises an ExceptionGroup of what went wrong in hooks. A stopped server may be stopped again.
        """
        resources, self._resources = self._resources, None
        if resources is not None:
            resources.close()
        self._raise_errors()

    def _do(self, function):
        """Return what an asynchronous function does in the thread of the loop."""
        return asyncio.run_coroutine_threadsafe(function(), self._loop).result(20)

    async def _listen(self):
        self._connections = set()
        return await asyncssh.listen(
            self.host,
            self.port,
            server_factory=functools.partial(_Account, self),
            server_host_keys=[self.key],
            login_timeout=0,
        )

    async def _end(self):
        self._acceptor.close()
        for connection in [*self._connections]:
            connection.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=10)
        await self._loop.shutdown_default_executor()

    def began(self, connection):
        """Return the number of a new connection."""
        self._connections.add(connection)
        self._count(1)
        self.connected += 1
        self.record.add(self.connected - 1, 'open')
        return self.connected - 1

    def ended(self, connection, *, number):
        """Take note of the end of a connection."""
        self._connections.discard(connection)
        self.record.add(number, 'close')
        self._count(-1)

    def _count(self, more):
        with self._changed:
            self._open += more
            self._changed.notify_all()

    async def serve(self, stream, *, number):
        """Serve one session of a connection, which may have more to execute when that has ended."""
        self._count(1)
        try:
            await Session(self, stream, number=number).run()
        except (Ended, asyncio.IncompleteReadError, asyncssh.Error, OSError):
            pass  # the ordinary ends of a session; whoever caused it knows
        except actions.Disconnect:
            stream.connection.abort()
        except Exception as error:  # noqa: BLE001 -- `stop` raises it in the test's thread
            self._errors.append(error)
            stream.connection.abort()
        finally:
            self._count(-1)
        stream.close()


@functools.cache
def _key():
    return asyncssh.generate_private_key('ssh-ed25519')


class _Account(asyncssh.SSHServer):
    """One connection: who may log in."""

    def __init__(self, server):
        self._server = server
        self.number = None

    def connection_made(self, connection):
        self._connection = connection
        self.number = self._server.began(connection)

    def connection_lost(self, error):
        self._server.ended(self._connection, number=self.number)

    def password_auth_supported(self):
        return True

    def validate_password(self, user, password):
        return (user, password) == self._server.login

    def session_requested(self):
        channel = self._connection.create_server_channel(encoding=None)
        return channel, _Stream(self._server, self._connection, number=self.number)


class _Stream(asyncssh.SSHServerSession):
    """What comes and goes over one channel."""

    def __init__(self, server, connection, *, number):
        self._server = server
        self.connection = connection
        self._number = number
        self._reader = asyncio.StreamReader()
        self.ended = threading.Event()
        self.readexactly = self._reader.readexactly

    def connection_made(self, channel):
        self._channel = channel

    def subsystem_requested(self, subsystem):
        return subsystem == 'sftp'

    def session_started(self):
        serving = self._server.serve(self, number=self._number)
        self._task = asyncio.get_running_loop().create_task(serving)

    def data_received(self, data, datatype):
        self._reader.feed_data(data)

    def eof_received(self):
        self.ended.set()
        self._reader.feed_eof()
        return True

    def connection_lost(self, error):
        self.ended.set()
        self._reader.feed_eof()

    def write(self, data):
        """Send bytes, if there is still somebody."""
        if not self._channel.is_closing():
            self._channel.write(data)

    def close(self):
        """End the session."""
        if not self._channel.is_closing():
            self._channel.exit(0)
