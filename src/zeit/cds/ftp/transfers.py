"""What goes over a data connection: uploads, downloads, listings (RFC 959 section 3)."""

import contextlib
import io
import logging
import time

from zeit.cds.errors import (
    ConnectionLost,
    DataConnectionRefused,
    FTPOSError,
    PermanentError,
    RemoteProtocolError,
    ReplyLost,
    ServerError,
    ServiceClosing,
)
from zeit.cds.ftp import protocol, wire
from zeit.cds.ftp.connection import Connection
from zeit.cds.ftp.stream import CHUNK, Stream
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Largest listing that is read, in bytes: some 300,000 names of 200 bytes.
MAX_LISTING = 64 * 1024 * 1024

#: The command is not implemented (RFC 959 section 4.2), not: it was refused in this case.
UNKNOWN = (500, 501, 502, 504, 522)


class TransferConnection(Connection):
    """A `Connection` that can transfer data.

    `epsv` says whether EPSV (RFC 2428) is to be tried before PASV, `mlsd` the same for MLSD
    (RFC 3659) before NLST; both become False when the server does not know the command, and the
    caller keeps them for the next connection.
    """

    def __init__(self, settings, *, deadline=None, context=None, epsv=True, mlsd=True):
        super().__init__(settings, deadline=deadline, context=context)
        self.epsv = epsv
        self.mlsd = mlsd

    def upload(self, name, source, *, began):
        """STOR what `source.readinto` gives; return (bytes sent, final reply).

        `began(name)` is called when the server may have started to store, which is when STOR was
        sent and not refused: from then on there may be something under that name, and what was
        there before may be gone.

        A local error, also one that `source` raises, resets the data connection so that the
        server cannot take the part for the whole.  After any error the connection is dropped.
        Raises `ReplyLost` when all was sent and only the final word is missing.
        """
        try:
            data = self._open_data('STOR', name, began=began)
            try:
                sent = self._pump(source, data, name)
            except BaseException:
                data.abort()
                raise
            with data:
                try:
                    return sent, self._final().reply
                except (ConnectionLost, RemoteProtocolError) as error:
                    if not self._channel.waiting:
                        raise  # it did come: 426
                    raise ReplyLost(sent=sent, cause=error) from error
        except BaseException:
            self.drop()
            raise

    def _pump(self, source, data, name):
        """Send what `source.readinto` gives, and that this was all; return the number of bytes."""
        sent = 0
        buffer = memoryview(bytearray(CHUNK))
        doing = f'sending {printable(name)}'
        while count := source.readinto(buffer):
            with self._reason_first(data):
                data.send(buffer[:count], doing=doing)
            sent += count
        with self._reason_first(data):
            data.finish(doing=doing)
        return sent

    @contextlib.contextmanager
    def _reason_first(self, data):
        """Raise what the server says in place of the loss of `data`, if it says something."""
        try:
            yield
        except ConnectionLost:
            data.abort()
            self._final()
            raise

    def download(self, name, sink, *, limit=None):
        """RETR into `sink.write`; return the number of bytes, or None if there is no such file.

        With `limit` no more than so many bytes are read; the connection is dropped if there are
        more, since there is no other way to stop a server for sure.
        """
        try:
            data = self._open_data('RETR', name, absent=(550,))
            if data is None:
                self._confirm_absence(name)
                return None
            total = 0
            with data:
                for chunk in self._pieces(data, doing=f'receiving {printable(name)}'):
                    if limit is not None and total + len(chunk) > limit:
                        sink.write(chunk[: limit - total])
                        self.drop()
                        return limit
                    sink.write(chunk)
                    total += len(chunk)
            self._final()
            return total
        except BaseException:
            self.drop()
            raise

    def _confirm_absence(self, name):
        """Raise `PermanentError` if there is such a file: 550 has many other reasons."""
        try:
            size = self.size(name)
        except ServiceClosing:
            raise
        except ServerError as error:
            log.debug('SIZE does not tell more: %s', printable(error.message))
            return
        if size is not None:
            raise PermanentError(550, f'550 {printable(name)} is there, but may not be read')

    def read(self, name, *, limit):
        """See `ISession.read`."""
        sink = io.BytesIO()
        found = self.download(name, sink, limit=limit)
        return None if found is None else sink.getvalue()

    def list_names(self, *, inside=''):
        """Return the set of names in the directory, or in the one `inside` of it.

        MLSD, or NLST where that is not known; never with an argument, which servers take for a
        pattern or an option.  After CWD has succeeded, 450 and 550 say that it is empty.
        """
        if not inside:
            return self._list_names()
        self.command('CWD', inside)
        try:
            found = self._list_names()
            self.command('CDUP')
            return found
        except BaseException:
            self.drop()  # rather a new connection than one in the wrong directory
            raise

    def _list_names(self):
        facts = [fact for fact in self.list_facts() if fact.type not in ('cdir', 'pdir')]
        names = {f.name if f.type else f.name.rpartition('/')[2] for f in facts}
        return names - {'', '.', '..'}

    def list_facts(self):
        """Return what is in the directory, a list of `wire.Fact`, names as the server sent them."""
        if self.mlsd:
            try:
                return [fact for fact in map(wire.mlsd_entry, self._listing('MLSD')) if fact]
            except PermanentError as error:
                if error.code not in UNKNOWN:
                    raise
                self.mlsd = False
        return [wire.Fact(line, '') for line in self._listing('NLST')]

    def _listing(self, verb):
        data = self._open_data(verb, absent=(450, 550))
        if data is None:
            return []
        content = bytearray()
        try:
            with data:
                for chunk in self._pieces(data, doing='reading the directory'):
                    content += chunk
                    if len(content) > MAX_LISTING:
                        raise RemoteProtocolError('The directory listing has no end')
            self._final()
        except BaseException:
            self.drop()
            raise
        return wire.listing(bytes(content), encoding=self._settings.encoding)

    def _pieces(self, data, *, doing):
        """Yield what comes until the end; each `CHUNK` of it must be there within the time-out."""
        total = 0
        while True:
            until = time.monotonic() + self._settings.data_timeout
            due = total + CHUNK
            while total < due:
                try:
                    piece = data.receive(doing=doing, until=until)
                except ConnectionLost:
                    # Where nothing comes from the port of EPSV, that of PASV may be served.
                    self.epsv = self.epsv and total > 0
                    raise
                if not piece:
                    return
                total += len(piece)
                yield piece

    def _open_data(self, verb, argument='', *, absent=(), began=None):
        """Make a data connection for a command and wait until the server starts the transfer.

        Returns the data connection; None if the server refuses the command, not what comes before
        it, with one of the codes `absent`: there is nothing to transfer.
        """
        host, port = self._passive()
        data = self._connect_data(host, port)
        try:
            self._start(verb, argument, began=began or (lambda name: None))
            return self._protected(data)
        except ServerError as error:
            data.abort()
            if error.code not in absent:
                raise
            return None
        except BaseException:
            data.abort()
            raise

    def _protected(self, data):
        """Return a data connection with TLS over `data`, if that is wanted.

        Not before the server has said that it starts: ProFTPD and Pure-FTPd are not ready then.
        """
        if self.protection is None:
            return data
        with self._reason_first(data):
            return self.protection.secure(data)

    def _connect_data(self, host, port):
        try:
            return Stream.connect(
                host,
                port,
                connect_timeout=self._settings.connect_timeout,
                timeout=self._settings.data_timeout,
                deadline=self._deadline,
                doing=f'opening a data connection to port {port}',
            )
        except FTPOSError as error:
            self.drop()
            raise DataConnectionRefused(
                error.errno,
                f'No data connection: {error.strerror}',
                hint='Check that a firewall lets passive FTP through.',
            ) from error

    def _start(self, verb, argument, *, began):
        refused = False
        try:
            self._send(verb, argument)
            answer = self._check(self._answer())
            if answer.verdict != protocol.WAIT:
                raise RemoteProtocolError(
                    f'The server ended {verb} before the transfer: {answer.reply.text}'
                )
        except ServerError:
            refused = True
            raise
        finally:
            if not refused:
                began(argument)

    def _passive(self):
        """Ask for a port; return its (host, port)."""
        host = self._stream.peer
        # The address in the reply is the server's idea of itself behind a NAT, or an attempt to
        # make us connect elsewhere; the peer of the control connection is the right one.
        port = self._extended_passive()
        if port is None:
            port = wire.pasv_address(self.command('PASV').reply)[1]
        return host, port

    def _extended_passive(self):
        if not (self.epsv or ':' in self._stream.peer):  # PASV is for IPv4 only
            return None
        try:
            reply = self.command('EPSV').reply
        except PermanentError as error:
            log.debug('No EPSV on this server: %s', printable(error.message))
            self.epsv = False
            return None
        try:
            return wire.epsv_port(reply)
        except RemoteProtocolError as error:
            log.debug('No EPSV on this server: %s', printable(error.message))
            self.epsv = False
            return None
