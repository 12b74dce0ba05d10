"""What goes over a data connection: uploads and downloads (RFC 959 section 3)."""

import errno
import io
import logging

from zeit.cds.errors import (
    LOST,
    ConnectionLost,
    DataConnectionRefused,
    EarlyDataLost,
    Error,
    NotProven,
    ReplyLost,
    ServerError,
)
from zeit.cds.ftp import was_executed
from zeit.cds.ftp.files import NOTHING
from zeit.cds.ftp.reply_errors import SHOWN
from zeit.cds.ftp.stream import CHUNK
from zeit.cds.ftp.transfer_start import Start
from zeit.cds.network.deadline import Until
from zeit.cds.system.throttle import UNLIMITED
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How many bytes of a file are sent before the server has accepted it: a network takes them, also
#: where nobody reads.
EARLY = 32 * 1024

#: How much is read and sent at once later: it is in the cache of the processor still when the
#: system copies it, in bytes.
PIECE = 64 * 1024

#: How many seconds to wait for the reason why a data connection failed.
REASON = 5

#: How many seconds to wait for the final reply to an upload of an empty file, where the size
#: decides without it: AnyEvent::FTP never gives one.
EMPTY_FILE = 0.5

#: The same where the server has reset the data connection, and bytes were sent before it had
#: accepted STOR: pyftpdlib throws those away, and says nothing but that it begins.
THROWN_AWAY = 0.5

#: Who has taken more bytes than this has thrown nothing away: no system keeps as much for a server.
BUFFERED = 16 * 1024 * 1024


class Transfers:
    """Transfers files over a `ControlConnection`; `files` are its `Files`."""

    def __init__(self, control, *, files):
        self._control = control
        self._files = files

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
        over.  Raises `ReplyLost` when all was sent and only the final word is missing,
        `EarlyDataLost` when what was sent before the start did not arrive.
        """
        control = self._control
        start = Start(control, 'STOR', name, began=began)
        wait = not control.data.may_be_early
        start.early = early = early and not wait
        prompt = False
        try:
            data = control.data.open(wait=wait)
            try:
                data = self._ready(data, start)
                if not early:
                    start.wait()
                sent = self._pump(source, data, name, start=start, throttle=throttle)
            except BaseException:
                data.abort()
                raise
            with data:
                until = Until(control.settings.reply_timeout)
                if following != NOTHING and sent == source.size:
                    if not sent:
                        until = Until(min(EMPTY_FILE, control.settings.reply_timeout))
                    prompt = self._files.ask_promptly(
                        name, following, data=data, sent=sent, until=until
                    )
                return sent, self._last_word(sent, data=data, start=start, until=until)
        except BaseException as error:
            if not self._is_refused_in_step(start, error, early=early):
                control.drop()
            start.failed(error)
            if prompt and sent and isinstance(error, (*LOST, ReplyLost)):
                control.capabilities.do_without('prompt', error=error)
            elif early and isinstance(error, LOST):
                thrown_away = isinstance(error, EarlyDataLost)
                if thrown_away or not start.accepted or source.size <= EARLY:
                    control.capabilities.do_without('early', error=_for_good_if_silent(error))
            raise

    def _is_refused_in_step(self, start, error, *, early):
        """Return whether a transfer was refused before it began, and the connection is in order.

        Bytes that were sent `early` may have been taken all the same, and be answered as well: the
        next answer must be that to the next question then.  So it is with 425, which says that
        there was no data connection.  Over another control connection there may be one, which is
        tried once.
        """
        control = self._control
        no_data = isinstance(error, DataConnectionRefused)
        if start.accepted or not (no_data or isinstance(error, ServerError)) or control.in_between:
            return False
        if no_data and not control.capabilities.refuses_data:
            control.capabilities.refuses_data = True
            return False
        try:
            return control.usable and (not (early or no_data) or was_executed.in_step(control))
        except Error as lost:
            log.debug('Out of step: %s', printable(lost.message))
            return False

    def _pump(self, source, data, name, *, start, throttle):
        """Send what `source.readinto` gives, and that this was all; return the number of bytes."""
        control = self._control
        sent = 0
        buffer = memoryview(bytearray(EARLY))
        activity = f'sending {printable(name)}'
        while count := source.readinto(buffer[: throttle.piece(len(buffer))]):
            if throttle.spend(count):
                self._reason_first(data, control.hear, start=start)  # while nothing was sent
            self._reason_first(data, data.send, buffer[:count], start=start, activity=activity)
            sent += count
            start.early = start.early and sent <= BUFFERED
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
        control = self._control
        try:
            control.raise_if_refused()
            return function(*args, **kw)
        except ConnectionLost as lost:
            data.abort()
            if lost.errno == errno.ETIMEDOUT and not control.answers:
                raise start.blamed(lost) if start else lost from None  # it was listened to
            try:
                if start is not None:
                    start.wait()
                self._final(data, start)
            except EarlyDataLost:
                raise
            except ConnectionLost as silence:
                if control.channel.waiting:
                    raise lost from silence
                raise
            raise

    def _final(self, data, start, *, until=None):
        """Return the final answer to a transfer, see `ControlConnection.final`.

        Raises `EarlyDataLost` if there is none soon where that was thrown away.
        """
        control = self._control
        if not (start and start.early and data.was_reset):
            return control.final(until=until)
        try:
            soon = min(THROWN_AWAY, control.settings.reply_timeout)
            return control.final(until=Until(soon))
        except ConnectionLost as silence:
            if control.channel.transferring:
                raise EarlyDataLost(cause=silence) from silence
            raise

    def _last_word(self, sent, *, data, start, until):
        control = self._control
        control.transferred_bytes = sent
        try:
            answer = self._final(data, start, until=until)
            return None if answer.verdict == SHOWN else answer.reply
        except ServerError:
            self._files.confirm_order()
            raise
        except LOST as error:
            came = not (control.channel.transferring or isinstance(error, NotProven))  # 426
            if came or isinstance(error, EarlyDataLost):
                raise
            raise ReplyLost(sent=sent, early=start.early, cause=error) from error

    def download(self, name, sink, *, limit=None, within=None, throttle=UNLIMITED):
        """RETR into `sink.write`; return the number of bytes.

        A refusal leaves the connection as it is: the reason may be that there is no such file.
        With `limit` no more than that many bytes are read; if there are more the connection is
        dropped: nothing else stops a server for sure.  It must begin `within` that many seconds, if
        given.  `throttle`: see `upload`.
        """
        control = self._control
        data = self.open_data('RETR', name, within=within)
        try:
            total = 0
            with data:
                activity = f'receiving {printable(name)}'
                for chunk in self.pieces(data, activity=activity, throttle=throttle):
                    if limit is not None and total + len(chunk) > limit:
                        sink.write(chunk[: limit - total])
                        control.drop()
                        return limit
                    sink.write(chunk)
                    total += len(chunk)
            control.transferred_bytes = total
            control.final()
            if data.truncated:
                self._confirm_end(name, total)
            return total
        except BaseException:
            control.drop()
            raise

    def _confirm_end(self, name, total):
        """Raise `ConnectionLost` unless `total` bytes are the whole file: TLS was not ended.

        Some servers never do that, or somebody cut the connection.
        """
        try:
            size = self._files.size(name)
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
        if self._control.known_size == (name, 0):
            return b''  # zope.server never begins to send that
        sink = io.BytesIO()
        self.download(name, sink, limit=limit)
        return sink.getvalue()

    def pieces(self, data, *, activity, throttle=UNLIMITED):
        """Yield what comes until the end; each `CHUNK` of it must be there within the time-out.

        The time that `throttle` waits is not counted.
        """
        control = self._control
        total = 0
        while True:
            until = Until(control.settings.data_timeout)
            due = total + CHUNK
            while total < due:
                options = {'activity': activity, 'until': until, 'most': throttle.piece(CHUNK)}
                try:
                    piece = self._reason_first(data, data.receive, **options)
                except ConnectionLost as error:
                    if not total:
                        # Where nothing comes from the port of EPSV, that of PASV may be served.
                        control.capabilities.do_without('epsv', error=error)
                    raise
                if not piece:
                    return
                total += len(piece)
                if waited := throttle.spend(len(piece)):
                    until = until.later(waited)
                yield piece

    def open_data(self, verb, argument='', *, within=None):
        """Make a data connection for a command and wait until the server starts the transfer.

        The command changes nothing on the server: it may be sent while the connection is made.
        After any error but a refusal the connection is dropped.
        """
        control = self._control
        early = control.data.may_be_early
        start = Start(control, verb, argument)
        data = self._dialled(wait=not early)
        try:
            data = self._ready(data, start)
            start.wait(within=within and min(within, control.settings.reply_timeout))
            return data
        except BaseException as error:
            start.failed(error)
            if early and isinstance(error, DataConnectionRefused):
                control.capabilities.do_without('early', error=error)
            data.close()  # in order: nothing was sent that could be taken for the whole
            if not self._is_refused_in_step(start, error, early=False):
                control.drop()
            raise

    def _dialled(self, *, wait):
        try:
            return self._control.data.open(wait=wait)
        except ServerError:
            raise
        except BaseException:
            self._control.drop()
            raise

    def _ready(self, data, start):
        """Ask for a transfer; return its data connection, made, and in TLS if that is wanted.

        In active mode the server makes it when it has begun the transfer.  In TLS some servers
        shake hands only then (ProFTPD, Pure-FTPd), and others begin only then (ftp-srv).
        """
        control = self._control
        start.ask()
        data.watch(control.stream, control.hear)
        if not control.settings.passive:
            start.wait()
        try:
            control.data.wait_for(data)
        except DataConnectionRefused:
            start.wait(within=REASON)  # it may have refused, and closed the port
            raise
        start.connected = True
        if control.data.protection is None:
            return data
        return self._reason_first(data, control.data.protection.secure, data, start=start)


def _for_good_if_silent(error):
    """Return the error; an `Error` in place of a wait in vain, which would cost as much again."""
    silent = errno.ETIMEDOUT in (getattr(each, 'errno', 0) for each in (error, error.__cause__))
    return Error(error.message) if silent else error
