"""One login on an FTP server: commands, uploads, downloads, listings.

A `Connection` never repairs itself.  After an error that leaves any doubt about which reply belongs
to which command it is dropped (`usable` is False) and whoever uses it opens another one.
"""

import collections
import dataclasses
import errno
import io
import logging
import time

from zeit.cds import errors
from zeit.cds.errors import (
    ConnectionLost,
    DataConnectionRefused,
    Error,
    FTPOSError,
    PermanentError,
    RemoteProtocolError,
    ReplyLost,
)
from zeit.cds.ftp import protocol, wire
from zeit.cds.ftp.stream import CHUNK, Stream
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Largest listing that is read, in bytes: some 300,000 names of 200 bytes.
MAX_LISTING = 64 * 1024 * 1024

#: How long the reply to QUIT is waited for, in seconds: there is nothing to be learned from it.
QUIT_TIMEOUT = 2

#: The command is not implemented (RFC 959 section 4.2), not: it was refused in this case.
UNKNOWN = (500, 501, 502, 504, 522)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How to reach a server.  Time-outs in seconds.

    `connect_timeout` is for a TCP connection, `reply_timeout` for a whole reply, `data_timeout`
    for each piece of a transfer (256 KiB): with the default of 60 s slower than about 4 KiB/s is
    a stall.
    """

    host: str
    port: int = 21
    user: str = 'anonymous'
    password: object = dataclasses.field(default=None, repr=False)
    directory: str = '/'
    encoding: str = 'utf-8'
    connect_timeout: float = 30
    reply_timeout: float = 60
    data_timeout: float = 60


class Connection:
    """A control connection, logged in, in binary mode, in the directory.

    `epsv` says whether EPSV (RFC 2428) is to be tried before PASV, `mlsd` the same for MLSD
    (RFC 3659) before NLST; both become False when the server does not know the command, and the
    caller keeps them for the next connection.
    """

    def __init__(self, settings, *, epsv=True, mlsd=True):
        self._settings = settings
        self._channel = protocol.ControlChannel(encoding=settings.encoding)
        self._answers = collections.deque()
        self._stream = None
        self._failed = False
        self.epsv = epsv
        self.mlsd = mlsd

    def __repr__(self):
        state = 'usable' if self.usable else 'dropped'
        return f'<Connection to {self._settings.host}:{self._settings.port}, {state}>'

    @property
    def usable(self):
        """True while the answers can be trusted."""
        return self._stream is not None and not self._failed and not self._channel.broken

    # Getting in and out

    def open(self):
        """Connect and log in.  Raises what `ITarget.open` raises."""
        settings = self._settings
        try:
            self._stream = Stream.connect(
                settings.host,
                settings.port,
                connect_timeout=settings.connect_timeout,
                timeout=settings.reply_timeout,
                doing=f'connecting to {settings.host}, port {settings.port}',
                keepalive=True,
            )
            self._check(self._answer())
            self._login()
            self.command('TYPE', 'I')
        except Error as error:
            error.while_connecting = True
            self.drop()
            raise
        except BaseException:
            self.drop()
            raise

    def _login(self):
        settings = self._settings
        hint = 'Check user and password; too many attempts may lock the account.'
        code = errors.LOGIN_REFUSED
        answer = self.command('USER', settings.user, hint=hint, refused=code)
        if answer.verdict == protocol.MORE:
            password = settings.password.reveal() if settings.password else ''
            answer = self.command('PASS', password, hint=hint, refused=code)
        if answer.verdict == protocol.MORE:
            raise PermanentError(
                answer.reply.code, answer.reply.text, exit_code=code, hint='It wants an account.'
            )

    def enter_directory(self):
        """Go to the directory.  Raises `PermanentError`, exit code 78, if that is not possible."""
        self.command(
            'CWD',
            self._settings.directory,
            hint=f'Check that the directory {printable(self._settings.directory)} exists on the '
            'server, and that the user may enter it.',
            refused=errors.CONFIGURATION,
        )

    def quit(self):
        """Say goodbye, if that makes sense, and close; never raises."""
        if self.usable and not self._channel.waiting:
            try:
                self._send('QUIT')
                self._answer(timeout=QUIT_TIMEOUT)
            except Error as error:
                log.debug('No goodbye from the server: %s', printable(error.message))
        self.drop()

    def drop(self):
        """Close at once; may be called again."""
        self._failed = True
        if self._stream is not None:
            self._stream.close()

    # Commands

    def command(self, verb, argument='', *, hint='', refused=None):
        """Send a command and return its `Answer`, a success.

        `hint` and `refused`, an exit code, are for the error if the server says 5xx.
        """
        self._send(verb, argument)
        return self._check(self._answer(), hint=hint, refused=refused)

    def rename(self, old, new):
        """RNFR and RNTO (RFC 959 section 4.1.3); the second only if the first was accepted."""
        self.command('RNFR', old)
        self.command('RNTO', new)

    def size(self, name):
        """See `ISession.size`; RFC 3659 section 4."""
        answer = self._query('SIZE', name)
        return None if answer is None else wire.size(answer.reply)

    def modified(self, name):
        """See `ISession.modified`; RFC 3659 section 3."""
        answer = self._query('MDTM', name)
        return None if answer is None else wire.time_value(answer.reply.lines[-1])

    def _query(self, verb, name):
        try:
            return self.command(verb, name)
        except PermanentError as error:
            if error.code != 550:
                raise
            return None

    # Transfers

    def upload(self, name, source, *, began):
        """STOR what `source.readinto` gives; return (bytes sent, final reply).

        `began(name)` is called when the server has started to store: from then on there is
        something under that name.

        A local error, also one that `source` raises, resets the data connection so that the
        server cannot take the part for the whole.  After any error the connection is dropped.
        Raises `ReplyLost` when all was sent and only the final word is missing.
        """
        try:
            data = self._open_data('STOR', name)
            try:
                began(name)
                sent = self._pump(source, data, name)
                data.close()
            except BaseException:
                data.abort()
                raise
            try:
                return sent, self._final().reply
            except (ConnectionLost, RemoteProtocolError) as error:
                raise ReplyLost(sent=sent, cause=error) from error
        except BaseException:
            self.drop()
            raise

    def _pump(self, source, data, name):
        sent = 0
        buffer = memoryview(bytearray(CHUNK))
        while count := source.readinto(buffer):
            try:
                data.send(buffer[:count], doing=f'sending {printable(name)}')
            except ConnectionLost:
                # The server may have said why before it hung up.
                data.abort()
                self._final()
                raise
            sent += count
        return sent

    def download(self, name, sink, *, limit=None):
        """RETR into `sink.write`; return the number of bytes, or None if there is no such file.

        With `limit` no more than so many bytes are read; the connection is dropped if there are
        more, since there is no other way to stop a server for sure.
        """
        try:
            try:
                data = self._open_data('RETR', name)
            except PermanentError as error:
                if error.code != 550:
                    raise
                return None
            total = 0
            try:
                while chunk := data.receive(doing=f'receiving {printable(name)}'):
                    if limit is not None and total + len(chunk) > limit:
                        sink.write(chunk[: limit - total])
                        self.drop()
                        return limit
                    sink.write(chunk)
                    total += len(chunk)
            finally:
                data.close()
            self._final()
            return total
        except BaseException:
            self.drop()
            raise

    def read(self, name, *, limit):
        """See `ISession.read`."""
        sink = io.BytesIO()
        found = self.download(name, sink, limit=limit)
        return None if found is None else sink.getvalue()

    def list_names(self):
        """Return the set of names in the directory: MLSD, or NLST where that is not known.

        Never with an argument, which servers take for a pattern or an option.  After CWD has
        succeeded, 450 and 550 say that the directory is empty.
        """
        if self.mlsd:
            try:
                lines = self._listing('MLSD')
            except PermanentError as error:
                if error.code not in UNKNOWN:
                    raise
                self.mlsd = False
            else:
                facts = (wire.mlsd_entry(line) for line in lines)
                return {f.name for f in facts if f and f.type not in ('cdir', 'pdir')}
        names = {line.rpartition('/')[2] for line in self._listing('NLST')}
        return names - {'', '.', '..'}

    def _listing(self, verb):
        try:
            data = self._open_data(verb)
        except Error as error:
            if getattr(error, 'code', None) in (450, 550):
                return []
            raise
        try:
            content = bytearray()
            with data:
                while chunk := data.receive(doing='reading the directory'):
                    content += chunk
                    if len(content) > MAX_LISTING:
                        raise RemoteProtocolError('The directory listing has no end')
            self._final()
        except BaseException:
            self.drop()
            raise
        return wire.listing(bytes(content), encoding=self._settings.encoding)

    def _open_data(self, verb, argument=''):
        """Make a data connection for a command and wait until the server starts the transfer."""
        host, port = self._passive()
        try:
            data = Stream.connect(
                host,
                port,
                connect_timeout=self._settings.connect_timeout,
                timeout=self._settings.data_timeout,
                doing=f'opening a data connection to port {port}',
            )
        except FTPOSError as error:
            self.drop()
            raise DataConnectionRefused(
                error.errno,
                f'No data connection: {error.strerror}',
                hint='Check that a firewall lets passive FTP through.',
            ) from error
        try:
            self._send(verb, argument)
            answer = self._check(self._answer())
            if answer.verdict != protocol.WAIT:
                raise RemoteProtocolError(
                    f'The server ended {verb} before the transfer: {answer.reply.text}'
                )
            return data
        except BaseException:
            data.abort()
            raise

    def _passive(self):
        if self.epsv:
            try:
                return self._stream.peer, wire.epsv_port(self.command('EPSV').reply)
            except PermanentError as error:
                log.debug('No EPSV on this server: %s', printable(error.message))
                self.epsv = False
        # The address in the reply is the server's idea of itself behind a NAT, or an attempt to
        # make us connect elsewhere; the peer of the control connection is the right one.
        return self._stream.peer, wire.pasv_address(self.command('PASV').reply)[1]

    def _final(self):
        """Return the answer that ends the transfer, a success."""
        while (answer := self._check(self._answer())).verdict == protocol.WAIT:
            pass
        return answer

    # Bytes

    def _send(self, verb, argument=''):
        data = self._channel.send(verb, argument)
        log.debug('> %s', printable(protocol.Command(verb, argument).shown))
        try:
            self._stream.send(data, doing=f'sending {verb}')
        except ConnectionLost:
            self.drop()
            raise

    def _answer(self, *, timeout=None):
        """Return the next answer; its whole reply must be there within the time-out."""
        if self._answers:
            return self._answers.popleft()
        timeout = timeout or self._settings.reply_timeout
        waiting = self._channel.waiting
        doing = f'waiting for the answer to {printable(waiting[0].shown)}' if waiting else 'waiting'
        deadline = time.monotonic() + timeout
        try:
            while not self._answers:
                data = self._stream.receive(doing=doing, deadline=deadline)
                if not data:
                    raise ConnectionLost(
                        errno.ECONNRESET,
                        f'The server closed the connection, {doing}',
                        hint='The next run tries again.',
                    )
                self._answers.extend(self._channel.receive(data))
        except Error:
            self.drop()
            raise
        answer = self._answers.popleft()
        log.debug('< %s', printable(answer.reply.text))
        return answer

    def _check(self, answer, *, hint='', refused=None):
        error = answer.error(hint=hint, exit_code=refused if answer.reply.digit == 5 else None)
        if error is None:
            return answer
        raise error
