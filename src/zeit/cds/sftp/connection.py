"""One login on an SFTP server, and the requests over it.

Several files may be on their way at once: each request has a number.  Whoever waits for an answer
does so within a time-out and a deadline; after that, as after an answer that makes no sense, the
connection is of no use any more, and whoever needs one makes another.
"""

import errno
import logging

from zeit.cds.errors import ConfigurationError, ConnectionLost, Error, ServerError
from zeit.cds.network.connecting import connected_socket
from zeit.cds.network.oserrors import from_os
from zeit.cds.sftp import protocol
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How much is read or written by one request, in bytes: what every server has to take.
BLOCK = 32 * 1024

#: How many bytes of requests are sent at once, at most; what is longer goes alone.
TOGETHER = 32 * 1024

#: After sending this many bytes, look at what has happened meanwhile.
LOOK = 512 * 1024

#: Requests of which there are too many for a log.
_BLOCKS = protocol.READ, protocol.WRITE

#: How many seconds an orderly end may take.
GOODBYE = 2


class Connection:
    """A session of SFTP; `open` begins it, `loop` (an `EventLoop`) lets it go on.

    `block`: how much may be read or written by one request, in bytes.  `sent` counts requests.
    """

    def __init__(self, settings, *, loop):
        self._settings = settings
        self._loop = loop
        self._protocol = protocol.Protocol()
        self._login = self._channel = None
        self.block = BLOCK
        self.sent = 0
        self._failure = None
        self._outgoing = bytearray()
        self._unseen = 0
        self._paused = False
        self._quitting = False

    def __repr__(self):
        return f'<Connection to {self._settings.host}:{self._settings.port}>'

    @property
    def usable(self):
        """True while its answers can be trusted."""
        return self._channel is not None and self._failure is None

    @property
    def extensions(self):
        """What the server has beyond the protocol: versions by name, as bytes."""
        return self._protocol.extensions

    @property
    def server(self):
        """What the server says that it is."""
        return self._login.server

    @property
    def cipher(self):
        """What it is encrypted by."""
        return self._login.cipher

    def open(self, *, deadline):
        """Connect, log in, begin.  Raises what `ITarget.open` raises."""
        try:
            sock = _connected(self._settings, deadline=deadline)
            log_in = _client()
            self._login = log_in(self._settings, sock=sock, loop=self._loop, deadline=deadline)
            self._channel = self._login.begin_sftp(
                self, seconds=self._settings.reply_timeout, deadline=deadline
            )
            self._write(self._protocol.begin())
            self._await(
                lambda: self._protocol.version is not None,
                seconds=self._settings.reply_timeout,
                deadline=deadline,
                activity='beginning with SFTP',
            )
        except Error as error:
            error.while_connecting = True
            self.drop()
            raise
        except BaseException:
            self.drop()
            raise

    # What the channel tells

    def received(self, data):
        """Take what came in."""
        try:
            self._protocol.receive(data)
        except Error as error:
            self.fail(error)
        self._loop.progress()

    def fail(self, error):
        """From now on it is of no use, because of `error`."""
        if self._failure is None and not self._quitting:
            self._failure = error
        self._loop.progress()

    def paused(self, paused):
        """Take note whether more may be written."""
        self._paused = paused
        self._loop.progress()

    # Requests

    def send(self, kind, *payload, shown=''):
        """Send a request; return it, see `protocol.Request`.  Raises `ConnectionLost`.

        `payload` are bytes, as the protocol has them.  It goes when nobody who uses this connection
        can go on without an answer: each packet of SSH costs as much as several requests.
        """
        self._require_usable()
        data, request = self._protocol.request(kind, *payload, shown=shown)
        self.sent += 1
        if kind not in _BLOCKS and log.isEnabledFor(logging.DEBUG):
            log.debug('> %s', printable(shown))
        self._write(data)
        return request

    def _write(self, data):
        if len(self._outgoing) + len(data) > TOGETHER:
            self._flush()
        if len(data) > TOGETHER:
            self._write_now(data)
        else:
            self._outgoing += data
            self._loop.before_wait(self._flush)

    def _flush(self):
        """Send what is written."""
        if self._outgoing:
            data = bytes(self._outgoing)
            self._outgoing.clear()
            self._write_now(data)

    def _write_now(self, data):
        self._unseen += len(data)
        try:
            self._channel.write(data)
        except Error as error:
            self.fail(error)

    def answers(self, *requests, deadline, seconds=None):
        """Wait for the answers to `requests`; return them, errors included.

        `seconds`, the time-out, holds for each.  Raises `ConnectionLost`, and what `deadline` does.
        """
        seconds = self._settings.reply_timeout if seconds is None else seconds
        for request in requests:
            if not request.done:
                self._await(
                    lambda request=request: request.done,
                    seconds=seconds,
                    deadline=deadline,
                    activity=f'waiting for an answer to {printable(request.shown)}',
                )
            if request.kind not in _BLOCKS and log.isEnabledFor(logging.DEBUG):
                log.debug('< %s: %s', printable(request.shown), _told(request.answer))
        return [request.answer for request in requests]

    def drained(self, *, deadline):
        """Wait until more may be written; now and then take note of what has happened meanwhile."""
        if self._unseen >= LOOK:
            self._loop.turn()
            self._unseen = 0
        self._require_usable()
        if self._paused:
            self._await(
                lambda: not self._paused,
                seconds=self._settings.data_timeout,
                deadline=deadline,
                activity='sending',
            )

    def _await(self, ready, *, seconds, deadline, activity):
        try:
            self._loop.wait(
                lambda: self._failure is not None or ready(), seconds=seconds, deadline=deadline
            )
        except TimeoutError as error:
            lost = from_os(error, activity=activity, cls=ConnectionLost, timeout=seconds)
            self.fail(lost)
            self.drop()
            raise lost from None
        if not ready():
            self._require_usable()

    def _require_usable(self):
        """Raise why it is of no use, if it is not: an error of its own for each who asks."""
        failure = self._failure
        if failure is None:
            return
        if isinstance(failure, ConnectionLost):
            raise type(failure)(failure.errno, failure.strerror, hint=failure.hint)
        raise type(failure)(*failure.args, hint=failure.hint)

    def is_reusable(self):
        """Return whether it is usable, as far as can be seen without a wait."""
        if self.usable:
            self._flush()
            self._loop.turn()
        return self.usable

    # The end

    def quit(self):
        """End it in an orderly way, within a few seconds; never raises."""
        self._quitting = True
        if self._login is not None and self._failure is None:
            self._flush()
            self._login.close(seconds=GOODBYE)
        self.drop()

    def drop(self):
        """End it at once; may be called again."""
        if self._failure is None:
            self._failure = ConnectionLost(errno.ECONNABORTED, 'The connection was given up')
        if self._login is not None:
            self._login.abort()


def _client():
    """Return what logs in, by AsyncSSH, the import of which takes longer than some connections.

    Raises `ConfigurationError` if that is not installed.
    """
    try:
        from zeit.cds.sftp.ssh import log_in
    except ModuleNotFoundError as error:
        if error.name != 'asyncssh':
            raise
        raise ConfigurationError(
            'SFTP needs asyncssh, which is not installed',
            hint="pip install 'zeit.cds[sftp]', or bin/buildout with the extra sftp.",
        ) from None
    return log_in


def _connected(settings, *, deadline):
    """Return a socket that is connected to the server, or to the first host on the way there.

    AsyncSSH is imported while that is on its way, and what the server says first.
    """
    host = settings.proxy_jump[0] if settings.proxy_jump else settings
    return connected_socket(
        host.host,
        host.port,
        connect_timeout=settings.connect_timeout,
        activity=f'connecting to {printable(host.host)}, port {host.port}',
        deadline=deadline,
        keepalive=settings.keepalive,
        bind=settings.bind_address,
        meanwhile=_client,
    )[0]


def _told(answer):
    if isinstance(answer, ServerError):
        return printable(str(answer))
    if answer is protocol.EOF:
        return 'the end'
    if isinstance(answer, list):
        return f'{len(answer)} names'
    if isinstance(answer, protocol.Attributes):
        return f'{answer.size} bytes'
    return 'done'
