"""One login on an FTP server: getting in and out, commands, and the bytes of both.

A `Connection` never repairs itself.  After an error that leaves any doubt about which reply belongs
to which command it is dropped (`usable` is False) and whoever uses it opens another one.
"""

import collections
import errno
import logging

from zeit.cds import errors
from zeit.cds.errors import (
    ConnectionLost,
    Error,
    HandshakeFailed,
    NoValue,
    RemoteProtocolError,
)
from zeit.cds.ftp import effects, login, parsing, protocol, reply_errors
from zeit.cds.ftp.capabilities import Capabilities
from zeit.cds.ftp.data import DataConnections
from zeit.cds.ftp.server_options import PORTS
from zeit.cds.ftp.stream import Stream
from zeit.cds.network.deadline import USED_UP, Deadline, Until
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How long the reply to QUIT is waited for where it is, in seconds: nothing is learned from it.
QUIT_TIMEOUT = 2

#: A greeting that is not there after so many seconds may be one that never comes.
SOON = 5

#: How long it takes at most to find out whether a silent server waits for TLS, in seconds.
PROBE = 5

#: What to do when it is the other kind of TLS that is spoken at this port.
AT_ONCE = (
    'This port is one for TLS from the first byte. Use ftps:// instead of ftp:// or ftpes:// '
    '(in ZCML: tls="implicit").'
)
NOT_AT_ONCE = (
    'The server speaks in clear at first, as at the usual port 21. Use ftpes:// instead of '
    'ftps:// (in ZCML: tls="explicit").'
)

#: What to do when a server has no TLS.
NO_TLS = (
    'The server does not offer TLS, so neither password nor files were sent. Ask its operator; '
    'tls="no" (--tls no) would send both in clear.'
)


class Connection:
    """A control connection, logged in; in the directory, and in binary mode, if that was entered.

    What goes over a data connection is in `zeit.cds.ftp.transfers`.  `context` is what
    `settings.tls.context()` made, if TLS is wanted; `capabilities` are the server's.  `protection`
    is the `Protection` of its data connections, None without TLS; `data` makes them.
    """

    def __init__(self, settings, *, deadline=None, context=None, capabilities=None):
        self.capabilities = capabilities or Capabilities()
        self.data = DataConnections(self, settings)
        self._settings = settings
        self._deadline = deadline or Deadline()
        self._context = context
        self.protection = None
        self._channel = protocol.ControlChannel(encoding=settings.encoding)
        self._answers = collections.deque()
        self._stream = None
        self._failed = False
        #: The last file whose size the server has told, and that size.
        self.told = None
        #: The number of bytes that went over the last data connection.
        self.transferred = 0

    def __repr__(self):
        state = 'usable' if self.usable else 'dropped'
        return f'<Connection to {self._settings.host}:{self._settings.port}, {state}>'

    @property
    def stream(self):
        """The `Stream` that commands go over."""
        return self._stream

    @property
    def usable(self):
        """True while the answers can be trusted."""
        return self._stream is not None and not self._failed and not self._channel.broken

    @property
    def _in_between(self):
        """True while there is an answer, or one is due, that nobody will take.

        A signal came in between a command and the wait for its answer, or between two answers.
        """
        return bool(self._channel.waiting or self._answers)

    def serve(self, *, deadline, capabilities=None):
        """Work for another session from now on, with its `deadline`, and its `capabilities`."""
        self._deadline = self._stream.deadline = deadline
        self.told = None
        if capabilities is not None:
            self.capabilities = self.data.capabilities = capabilities

    def is_due(self, verb, argument):
        """Return whether the final answer to this command has not come; also after `drop`.

        One that says nothing about it is none.
        """
        command = reply_errors.Command(verb, argument)
        return command in self._channel.waiting or command in self._channel.unproven

    def is_reusable(self):
        """Return whether the connection is usable, and the server has said nothing unasked.

        To be called when no answer is due.  What is seen here, the end of an idle session above
        all, need not be found out by a command whose effect is then unknown.
        """
        if not self.usable:
            return False
        if self._in_between:
            self.drop()
            return False
        try:
            data = self._stream.receive_now()
            if data is None:
                return True
            said = ' / '.join(answer.reply.text for answer in self._channel.receive(data))
            log.debug('The server ends the session: %s', printable(said))
        except Error as error:
            log.debug('The connection is of no use any more: %s', printable(error.message))
        self.drop()
        return False

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
                deadline=self._deadline,
                activity=f'connecting to {settings.host}, port {settings.port}',
                keepalive=settings.keepalive,
                bind=settings.bind_address,
            )
            if settings.tls.mode == 'implicit':
                self._secure_at_once()
            self._await_greeting()
            if settings.tls.mode == 'explicit':
                self._switch_to_tls()
            login.log_in(self, settings)
        except Error as error:
            error = self._while_connecting(error)
            login.before_any_file(error)
            self.drop()
            raise error
        except BaseException:
            self.drop()
            raise

    def _while_connecting(self, error):
        """Return the error; a deadline that has passed says what was waited for."""
        if type(error) is not errors.DeadlinePassed or error.message != USED_UP[0]:
            return error
        waiting, activity = self._channel.waiting, 'connecting'
        if self._stream is not None and waiting:
            activity = waiting[0]
        return errors.DeadlinePassed(f'{error.message}, {activity}', hint=error.hint)

    def _secure_at_once(self):
        try:
            self._secure()
        except HandshakeFailed as error:
            if error.in_clear:
                error.advise(NOT_AT_ONCE)
            raise

    def _await_greeting(self):
        """Wait for the greeting; say so if the server waits for TLS instead."""
        settings = self._settings
        until = Until(settings.reply_timeout)
        try:
            self._await_first_word(until)
        except ConnectionLost as error:
            in_clear = settings.tls.mode != 'implicit' and not self._channel.pending
            if in_clear and settings.port == PORTS['implicit']:
                error.advise(AT_ONCE)
            raise
        self._final(until=until)

    def _await_first_word(self, until):
        """Have an answer at that moment; soon, look whether TLS is waited for.

        That goes over another connection: a server that is only slow may still greet over this one.
        """
        settings = self._settings
        if settings.tls.mode == 'implicit':
            return self._await_answer(until)
        try:
            return self._await_answer(Until(min(SOON, settings.reply_timeout)))
        except ConnectionLost as error:
            if error.errno != errno.ETIMEDOUT:
                raise
            if not self._channel.pending and self._speaks_tls():
                error.advise(AT_ONCE)
                raise
        self._await_answer(until)

    def _speaks_tls(self):
        from zeit.cds.ftp.tls_probe import speaks_tls

        settings = self._settings
        return speaks_tls(
            self._stream,
            host=settings.host,
            port=settings.port,
            timeout=min(PROBE, settings.connect_timeout),
            bind=settings.bind_address,
        )

    def _switch_to_tls(self):
        """AUTH TLS (RFC 4217 section 4), before anything that nobody else may know."""
        self.command('AUTH', 'TLS', hint=NO_TLS, refused=errors.UNAVAILABLE)
        if self._channel.broken or self._channel.pending or self._answers:
            # It would be taken for the answer to a command that is sent in TLS.
            raise RemoteProtocolError(
                'Unencrypted replies came behind the one to AUTH TLS: somebody in between may '
                'have put them there',
                hint='Neither password nor files were sent.',
            )
        self._secure()

    def _secure(self):
        """Speak TLS; some servers take a handshake for commands that comes at once."""
        explicit = self._settings.tls.mode == 'explicit'
        if explicit and not self.capabilities.eager:
            self._stream.comes_soon()
        try:
            self._shake_hands()
        except HandshakeFailed as error:
            if explicit and self.capabilities.eager and error.in_clear:
                self.capabilities.do_without('eager', error=Error(error.message))
            raise

    def _shake_hands(self):
        from zeit.cds.ftp import secure

        settings = self._settings
        options = {'context': self._context, 'host': settings.host}
        options['timeout'] = settings.connect_timeout
        self._stream = secure.SecureStream.over(self._stream, **options)
        # A server may begin with that of a data connection only when it has answered.
        options['timeout'] = max(settings.connect_timeout, settings.reply_timeout)
        self.protection = secure.Protection(self._stream, **options)

    def enter_directory(self):
        """See `zeit.cds.ftp.login.enter_directory`."""
        login.enter_directory(self, self._settings)

    def quit(self, *, awaited=False):
        """Say goodbye, if that makes sense, and close; never raises.

        `awaited`: not before the server has answered.  It may allow one login at a time, and
        another one follows.
        """
        if self.usable and not self._in_between:
            try:
                self._send(('QUIT', ''))
                if awaited:
                    self._answer(until=Until(QUIT_TIMEOUT))
                    self._stream.finish(activity='saying goodbye')
            except Error as error:
                log.debug('No goodbye from the server: %s', printable(error.message))
        self.drop()

    def drop(self):
        """Close at once; may be called again.

        Where a command is due that changes something it is reset: the system of this machine would
        go on for minutes to deliver what nobody waits for any more.
        """
        self.data.forget()
        self._failed = True
        if self._stream is not None:
            if any(command.verb in reply_errors.CHANGES for command in self._channel.waiting):
                self._stream.abort()
            else:
                self._stream.close()

    # Commands

    def command(self, verb, argument='', *, hint='', refused=None):
        """Send a command and return its `Answer`, a success.

        `hint` and `refused`, an exit code, are for the error if the server says 5xx.
        """
        return self.shown(self.ask(verb, argument)).check(hint=hint, refused=refused)

    def ask(self, verb, argument=''):
        """Send a command, alone; return its `Answer`, whatever it is."""
        self._send((verb, argument))
        return self._answer()

    @property
    def renamed(self):
        """The name that the last RNTO took a file from."""
        return self._channel.renamed

    def shown(self, answer):
        """Return the answer; one that says nothing as `SHOWN`, if the server shows the effect.

        It is asked for over this connection, which is dropped if it is out of step.
        """
        if answer.verdict != reply_errors.UNPROVEN:
            return answer
        if self.usable and not self._in_between and effects.shows(self, answer.command):
            self._channel.unproven.discard(answer.command)
            return answer._replace(verdict=reply_errors.SHOWN)
        self.drop()
        raise answer.error()

    def together(self, *commands, followed=True):
        """Send commands (verb, argument), in one packet where that goes; return the `Answer`s.

        `followed` says that a transfer follows.
        """
        said = []
        for command in commands:
            self._send(command)
            said.append(self._unless_closing(self._answer()))
        return said

    def _unless_closing(self, answer):
        """Return the answer; raise it if it is that the server closes: there is no other one."""
        if isinstance(error := answer.error(), errors.ServiceClosing):
            raise error
        return answer

    def size(self, name):
        """Return the length of the file in bytes (RFC 3659 section 4).

        Raises `ServerError` where the server does not tell it; whether there is such a file is
        another question.
        """
        return self._size(self.ask('SIZE', name))

    def _size(self, answer):
        size = parsing.size(self._value(answer))
        self.told = answer.command.argument, size
        return size

    def modified(self, name):
        """See `ISession.modified`; RFC 3659 section 3."""
        return self._modified(self.ask('MDTM', name))

    def _modified(self, answer):
        if answer.verdict == reply_errors.REFUSED and answer.reply.code == reply_errors.NO_FILE:
            return None
        return parsing.modified(self._value(answer))

    def _value(self, answer):
        """Return the reply that has what was asked for; raise `NoValue` if it is another one."""
        unproven = answer.verdict == reply_errors.UNPROVEN
        if unproven and not self._in_between and effects.in_step(self):
            raise NoValue(answer.reply.code, f'The server does not tell it: {answer.reply.text}')
        return answer.check().reply

    # Bytes

    def _send(self, *commands):
        """Send commands (verb, argument) in one packet; their answers come in this order."""
        verbs = ' and '.join([verb for verb, _ in commands])
        if self._channel.broken:
            # The reply before these commands was in order; what came in with it was not.
            self.drop()
            raise self._out_of_step(f'before {verbs}')
        # A view, which shows nothing of what it is of: a password, perhaps.
        data = memoryview(b''.join([self._channel.send(*command) for command in commands]))
        if log.isEnabledFor(logging.DEBUG):
            for command in commands:
                log.debug('> %s', printable(reply_errors.Command(*command).shown))
        try:
            self._stream.send(data, activity=f'sending {verbs}')
        except ConnectionLost:
            self.drop()
            raise

    def _out_of_step(self, when):
        return RemoteProtocolError(
            f'The server has answered more than it was asked, {when}',
            hint=reply_errors.OUT_OF_STEP,
        )

    def _final(self, *, until=None):
        """Return the answer that ends a transfer or the greeting, a success.

        The time-out holds for all of it: preliminary replies do not prolong it.  `until`, an
        `Until`, takes its place.
        """
        if until is None:
            until = Until(self._settings.reply_timeout)
        while (answer := self._answer(until=until)).verdict == reply_errors.WAIT:
            pass
        return self.shown(answer).check()

    def _answer(self, *, until=None):
        """Return the next answer, whose whole reply must be there within the time-out.

        `until`, an `Until`, takes the place of the time-out.
        """
        if until is None:
            until = Until(self._settings.reply_timeout)
        try:
            self._await_answer(until)
        except BaseException:
            # Also for a signal: the answer, when it comes, must not be taken for another one.
            self.drop()
            raise
        answer = self._answers.popleft()
        if log.isEnabledFor(logging.DEBUG):
            log.debug('< %s', printable(answer.reply.text))
        return answer

    def _receive(self, activity, until):
        try:
            return self._stream.receive(activity=activity, until=until, reply=True)
        except ConnectionLost as error:
            if error.errno != errno.ETIMEDOUT or not self._channel.pending:
                raise
            raise ConnectionLost(
                errno.ETIMEDOUT,
                f'The reply did not end within {until.seconds:g} s, {activity}',
                hint='A slow server needs a longer reply_timeout (--reply-timeout).',
            ) from error

    def hear(self):
        """Take what the server says while data are waited for; return whether more may come.

        Raises `ConnectionLost` when it refuses the transfer that is under way.
        """
        more = False
        try:
            while more := self._stream.receive_now():
                self._answers.extend(self._channel.receive(more))
        except Error as error:  # whoever waits for the answer finds it out
            log.debug('Nothing more is heard: %s', printable(error.message))
        self.unless_refused()
        return more is None and self._channel.transferring

    def unless_refused(self):
        """Raise `ConnectionLost` if an answer is there that refuses the transfer."""
        if any(answer.verdict in reply_errors.REFUSALS for answer in self._answers):
            raise ConnectionLost(errno.ECONNABORTED, 'The server refuses the transfer')

    def _await_answer(self, until):
        """Have an answer, at the latest at that moment."""
        self.data.release_answer(is_there=bool(self._answers))
        waiting = self._channel.waiting
        activity = waiting[0] if waiting else 'waiting'  # its words are for an error only
        while not self._answers:
            if self._channel.broken:  # behind an answer that was in order
                raise self._out_of_step(activity)
            data = b''
            if not self._failed:  # else the answer before this one did not come
                data = self._receive(activity, until)
            if not data:
                raise ConnectionLost(
                    errno.ECONNRESET,
                    f'The server closed the connection, {activity}',
                    hint='The next run tries again.',
                )
            self._answers.extend(self._channel.receive(data))
