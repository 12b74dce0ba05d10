"""What goes over a data connection: uploads and downloads (RFC 959 section 3)."""

import codecs
import errno
import io
import logging

from zeit.cds.errors import (
    LOST,
    ConnectionLost,
    DataConnectionRefused,
    Error,
    NotProven,
    PermanentError,
    RemoteProtocolError,
    ReplyLost,
    ServerError,
    TemporaryError,
)
from zeit.cds.ftp import effects, reply_errors
from zeit.cds.ftp.pipelining import NOTHING, PipeliningConnection
from zeit.cds.ftp.reply_errors import SHOWN
from zeit.cds.ftp.stream import CHUNK
from zeit.cds.ftp.transfer_start import Start
from zeit.cds.network.deadline import Until
from zeit.cds.system.throttle import UNLIMITED
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: So many bytes of a file are sent before the server has accepted it: a network takes them, also
#: where nobody reads.
EARLY = 32 * 1024

#: How much is read and sent at once later: it is in the cache of the processor still when the
#: system copies it, in bytes.
PIECE = 64 * 1024

#: Why a data connection failed is waited for so many seconds.
REASON = 5

#: The final reply to an upload of an empty file is waited for so many seconds where the size
#: decides without it: AnyEvent::FTP never gives one.
EMPTY_FILE = 0.5


class TransferConnection(PipeliningConnection):
    """A `Connection` that can transfer data, and names beyond ASCII."""

    #: Names are in UTF-8, and the server does not know that yet.
    _utf8_due = False

    def open(self):
        """See `Connection`."""
        super().open()
        self._utf8_due = codecs.lookup(self._settings.encoding).name == 'utf-8'

    def _send(self, *commands):
        for _, argument in commands:
            if not (argument.isascii() or self._channel.waiting or self.announced):
                self.use_utf8()
        super()._send(*commands)

    def rename(self, old, new, *others, **options):
        """See `PipeliningConnection`; nothing may come between RNFR and RNTO."""
        if not (new.isascii() or self.announced):
            self.use_utf8()
        return super().rename(old, new, *others, **options)

    def use_utf8(self):
        """Ask for names in UTF-8, once, if they are to be; return whether the server says yes.

        Not before it matters: it is a round trip.  Some servers, such as IIS, take names for
        Windows-1252 until they are asked, and some refuse it where FEAT has UTF8 (RFC 2640).
        """
        if not self._utf8_due:
            return False
        self._utf8_due = False
        try:
            self.command('OPTS', 'UTF8 ON')
            return True
        except (PermanentError, TemporaryError) as error:
            log.debug('Names are sent in UTF-8 all the same: %s', printable(error.message))
            return False

    def begin(self, verb, argument):
        """Send the command of a transfer, whose first answer is due then."""
        self._send((verb, argument))

    def first_word(self, *, within=None):
        """Wait until the server begins the transfer, at most the seconds `within`.

        Raises why it does not.
        """
        until = None if within is None else Until(within)
        answer = self._answer(until=until)
        if answer.verdict == reply_errors.WAIT:
            return
        command, reply = answer.command, answer.reply
        if command.verb in reply_errors.LISTINGS and reply.code < 400 and not self._in_between:
            if effects.in_step(self):
                # In place of a listing it is a refusal, whatever it means elsewhere.
                raise PermanentError(reply.code, reply.text, command=command.shown)
        answer.check()
        text = f'The server ended {command.verb} before the transfer: {reply.text}'
        raise RemoteProtocolError(text)

    def upload(
        self, name, source, *, began, following=NOTHING, early=True, throttle=UNLIMITED
    ):
        """STOR what `source.readinto` gives; return (bytes sent, final reply).

        `following` is what will be pipelined with `size` of this file, if that is asked next.
        `began(name)` is called when the server may have started to store, which is when STOR was
        sent and not refused: from then on there may be something under that name, and what was
        there before may be gone.  `early` allows to send what fits into a packet or two before the
        server has accepted STOR.
        `throttle` is a `zeit.cds.system.throttle.Throttle`.
        A local error, also one that `source` raises, resets the data connection so that the
        server cannot take the part for the whole.  After any error the connection is dropped,
        unless the server has refused STOR before it began, and it is certain that no reply is left
        over.  Raises `ReplyLost` when all was sent and only the final word is missing.
        """
        start = Start(self, 'STOR', name, began=began)
        wait = not self.data.may_be_early
        early = early and not wait
        prompt = False
        try:
            data = self.data.open(wait=wait)
            try:
                data = self._ready(data, start)
                if not early:
                    start.wait()
                sent = self._pump(source, data, name, start=start, throttle=throttle)
            except BaseException:
                data.abort()
                raise
            with data:
                until = Until(self._settings.reply_timeout)
                if following != NOTHING and sent == source.size:
                    if not sent:
                        until = Until(min(EMPTY_FILE, self._settings.reply_timeout))
                    prompt = self.ask_promptly(name, following, data=data, sent=sent, until=until)
                return sent, self._last_word(sent, until=until)
        except BaseException as error:
            if not self._is_refused_in_step(start, error, early=early):
                self.drop()
            start.failed(error)
            if prompt and sent and isinstance(error, (*LOST, ReplyLost)):
                self.capabilities.do_without('prompt', error=error)
            elif early and isinstance(error, LOST):
                # pyftpdlib throws away what comes before STOR, and says nothing but that it begins.
                if not start.accepted or source.size <= EARLY:
                    self.capabilities.do_without('early', error=_unless_in_vain(error))
            raise

    def _is_refused_in_step(self, start, error, *, early):
        """Return whether a transfer was refused before it began, and the connection is in order.

        Bytes that were sent `early` may have been taken all the same, and be answered as well: the
        next answer must be that to the next question then.  So it is with 425, which says that
        there was no data connection.  Over another control connection there may be one, which is
        tried once.
        """
        no_data = isinstance(error, DataConnectionRefused)
        if start.accepted or not (no_data or isinstance(error, ServerError)) or self._in_between:
            return False
        if no_data and not self.capabilities.refuses_data:
            self.capabilities.refuses_data = True
            return False
        try:
            return self.usable and (not (early or no_data) or effects.in_step(self))
        except Error as lost:
            log.debug('Out of step: %s', printable(lost.message))
            return False

    def _pump(self, source, data, name, *, start, throttle):
        """Send what `source.readinto` gives, and that this was all; return the number of bytes."""
        sent = 0
        buffer = memoryview(bytearray(EARLY))
        activity = f'sending {printable(name)}'
        while count := source.readinto(buffer[: throttle.piece(len(buffer))]):
            if throttle.spend(count):
                self._reason_first(data, self.hear, start=start)  # while nothing was sent
            self._reason_first(data, data.send, buffer[:count], start=start, activity=activity)
            sent += count
            if len(buffer) < PIECE and sent >= EARLY:
                start.wait()  # more will follow, and somebody should be reading
                buffer = memoryview(bytearray(PIECE))
        if not sent:
            start.wait()  # the end alone may be overlooked by a server that has not begun
        self._reason_first(data, data.finish, start=start, activity=activity)
        start.wait()
        return sent

    def _reason_first(self, data, function, *args, start=None, **kw):
        """Call a function; if `data` is lost there, raise what the server says, if anything.

        Its first answer may still be due to `start`.
        """
        try:
            self.unless_refused()
            return function(*args, **kw)
        except ConnectionLost as lost:
            data.abort()
            if lost.errno == errno.ETIMEDOUT and not self._answers:
                raise start.blamed(lost) if start else lost from None  # it was listened to
            try:
                if start is not None:
                    start.wait()
                self._final()
            except ConnectionLost as silence:
                if self._channel.waiting:
                    raise lost from silence
                raise
            raise

    def _last_word(self, sent, *, until):
        self.transferred = sent
        try:
            answer = self._final(until=until)
            return None if answer.verdict == SHOWN else answer.reply
        except ServerError:
            self._confirm_order()
            raise
        except NotProven as error:
            raise ReplyLost(sent=sent, cause=error) from error
        except (ConnectionLost, RemoteProtocolError) as error:
            if not self._channel.transferring:
                raise  # it did come: 426
            raise ReplyLost(sent=sent, cause=error) from error

    def download(self, name, sink, *, limit=None, within=None, throttle=UNLIMITED):
        """RETR into `sink.write`; return the number of bytes.

        A refusal leaves the connection as it is: the reason may be that there is no such file.
        With `limit` no more than so many bytes are read; if there are more the connection is
        dropped: nothing else stops a server for sure.  `within` so many seconds it must begin.
        `throttle`: see `upload`.
        """
        data = self._open_data('RETR', name, within=within)
        try:
            total = 0
            with data:
                activity = f'receiving {printable(name)}'
                for chunk in self._pieces(data, activity=activity, throttle=throttle):
                    if limit is not None and total + len(chunk) > limit:
                        sink.write(chunk[: limit - total])
                        self.drop()
                        return limit
                    sink.write(chunk)
                    total += len(chunk)
            self.transferred = total
            self._final()
            if data.truncated:
                self._confirm_end(name, total)
            return total
        except BaseException:
            self.drop()
            raise

    def _confirm_end(self, name, total):
        """Raise `ConnectionLost` unless `total` bytes are the whole file: TLS was not ended.

        Some servers never do that, or somebody cut the connection.
        """
        try:
            size = self.size(name)
        except ServerError as error:
            log.debug('Nothing to compare with: %s', printable(error.message))
            size = 'an unknown number of'
        if size != total:
            raise ConnectionLost(
                errno.ECONNRESET,
                f'The data connection was cut after {total} of {size} bytes',
                hint='The next run tries again.',
            )

    def read(self, name, *, limit):
        """Return the first `limit` bytes of a file."""
        if self.told == (name, 0):
            return b''  # zope.server never begins to send that
        sink = io.BytesIO()
        self.download(name, sink, limit=limit)
        return sink.getvalue()

    def _pieces(self, data, *, activity, throttle=UNLIMITED):
        """Yield what comes until the end; each `CHUNK` of it must be there within the time-out.

        The time that `throttle` waits is not counted.
        """
        total = 0
        while True:
            until = Until(self._settings.data_timeout)
            due = total + CHUNK
            while total < due:
                options = {'activity': activity, 'until': until, 'most': throttle.piece(CHUNK)}
                try:
                    piece = self._reason_first(data, data.receive, **options)
                except ConnectionLost as error:
                    if not total:
                        # Where nothing comes from the port of EPSV, that of PASV may be served.
                        self.capabilities.do_without('epsv', error=error)
                    raise
                if not piece:
                    return
                total += len(piece)
                if waited := throttle.spend(len(piece)):
                    until = until.later(waited)
                yield piece

    def _open_data(self, verb, argument='', *, within=None):
        """Make a data connection for a command and wait until the server starts the transfer.

        The command changes nothing on the server: it may be sent while the connection is made.
        After any error but a refusal the connection is dropped.
        """
        early = self.data.may_be_early
        start = Start(self, verb, argument)
        data = self._dialled(wait=not early)
        try:
            data = self._ready(data, start)
            start.wait(within=within and min(within, self._settings.reply_timeout))
            return data
        except BaseException as error:
            start.failed(error)
            if early and isinstance(error, DataConnectionRefused):
                self.capabilities.do_without('early', error=error)
            data.close()  # in order: nothing was sent that could be taken for the whole
            if not self._is_refused_in_step(start, error, early=False):
                self.drop()
            raise

    def _dialled(self, *, wait):
        try:
            return self.data.open(wait=wait)
        except ServerError:
            raise
        except BaseException:
            self.drop()
            raise

    def _ready(self, data, start):
        """Ask for a transfer; return its data connection, made, and in TLS if that is wanted.

        In active mode the server makes it when it has begun the transfer.  In TLS some servers
        shake hands only then (ProFTPD, Pure-FTPd), and others begin only then (ftp-srv).
        """
        start.ask()
        data.watch(self._stream, self.hear)
        if not self._settings.passive:
            start.wait()
        try:
            self.data.wait_for(data)
        except DataConnectionRefused:
            start.wait(within=REASON)  # it may have refused, and closed the port
            raise
        start.connected = True
        if self.protection is None:
            return data
        return self._reason_first(data, self.protection.secure, data, start=start)


def _unless_in_vain(error):
    """Return the error; an `Error` in place of a wait in vain, which would cost as much again."""
    silent = errno.ETIMEDOUT in (getattr(each, 'errno', 0) for each in (error, error.__cause__))
    return Error(error.message) if silent else error
