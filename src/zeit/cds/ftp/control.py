"""The control connection: commands, and the answers to them in their order.

It never repairs itself.  After an error that leaves any doubt about which reply belongs to which
command it is dropped (`usable` is False), and whoever uses it opens another one.
"""

import collections
import errno
import logging

from zeit.cds import errors
from zeit.cds.errors import (
    ConnectionLost,
    Error,
    PermanentError,
    RemoteProtocolError,
    TemporaryError,
)
from zeit.cds.ftp import protocol, reply_errors, was_executed
from zeit.cds.ftp.data import DataConnections
from zeit.cds.network.deadline import Until
from zeit.cds.text import printable


log = logging.getLogger(__name__)


class ControlConnection:
    """One control connection, not connected yet; see `zeit.cds.ftp.opening`.

    `stream` is the `Stream` that commands go over, `channel` the `ControlChannel` that knows what
    is due, `answers` what has come and was not taken yet, `data` makes the data connections.
    `deadline` and `capabilities`, those of the server, are of the session that it works for.
    """

    #: `Listings.list_names`, which shows the effect of commands.
    list_names = None

    #: Names are in UTF-8, and the server does not know that yet.
    utf8_due = False

    def __init__(self, settings, *, deadline, capabilities):
        self.settings = settings
        self.deadline = deadline
        self.capabilities = capabilities
        self.data = DataConnections(self)
        self.channel = protocol.ControlChannel(encoding=settings.encoding)
        self.answers = collections.deque()
        self.stream = None
        self.dropped = False
        #: The last file whose size the server has told, and that size.
        self.known_size = None
        #: The number of bytes that went over the last data connection.
        self.transferred_bytes = 0

    def __repr__(self):
        state = 'usable' if self.usable else 'dropped'
        return f'<ControlConnection to {self.settings.host}:{self.settings.port}, {state}>'

    @property
    def usable(self):
        """True while the answers can be trusted."""
        return not (self.dropped or self.channel.broken or self.stream is None)

    @property
    def in_between(self):
        """True while there is an answer, or one is due, that nobody will take.

        A signal came in between a command and the wait for its answer, or between two answers.
        """
        return bool(self.channel.waiting or self.answers)

    @property
    def renamed(self):
        """The name that the last RNTO took a file from."""
        return self.channel.renamed

    def is_due(self, verb, argument):
        """Return whether the final answer to this command has not come; also after `drop`.

        One that says nothing about it is none.
        """
        command = reply_errors.Command(verb, argument)
        return command in self.channel.waiting or command in self.channel.unproven

    def is_reusable(self):
        """Return whether the connection is usable, and the server has said nothing unasked.

        To be called when no answer is due.  What is seen here, the end of an idle session above
        all, need not be found out by a command whose effect is then unknown.
        """
        if not self.usable:
            return False
        if self.in_between:
            self.drop()
            return False
        try:
            data = self.stream.receive_now()
            if data is None:
                return True
            said = ' / '.join(answer.reply.text for answer in self.channel.receive(data))
            log.debug('The server ends the session: %s', printable(said))
        except Error as error:
            log.debug('The connection is of no use any more: %s', printable(error.message))
        self.drop()
        return False

    def drop(self):
        """Close at once; may be called again.

        Where a command is due that changes something it is reset: the system of this machine would
        go on for minutes to deliver what nobody waits for any more.
        """
        self.data.forget()
        self.dropped = True
        if self.stream is not None:
            if any(command.verb in reply_errors.CHANGES for command in self.channel.waiting):
                self.stream.abort()
            else:
                self.stream.close()

    # Commands

    def command(self, verb, argument='', *, hint='', refused=None):
        """Send a command and return its `Answer`, a success.

        `hint` and `refused`, an exit code, are for the error if the server says 5xx.
        """
        return self.shown(self.ask(verb, argument)).check(hint=hint, refused=refused)

    def ask(self, verb, argument=''):
        """Send a command, alone; return its `Answer`, whatever it is."""
        self.send((verb, argument))
        return self.answer()

    def send(self, *commands):
        """Send commands (verb, argument) in one packet; their answers come in this order."""
        channel, verbs = self.channel, ' and '.join([verb for verb, _ in commands])
        if self.utf8_due and not (channel.waiting or channel.renaming):
            for _, argument in commands:
                if not argument.isascii():
                    self.use_utf8()
        if channel.broken:
            # The reply before these commands was in order; what came in with it was not.
            self.drop()
            raise self.out_of_step(f'before {verbs}')
        # A view, which shows nothing of what it is of: a password, perhaps.
        data = memoryview(b''.join([channel.send(*command) for command in commands]))
        if log.isEnabledFor(logging.DEBUG):
            for command in commands:
                log.debug('> %s', printable(reply_errors.Command(*command).shown))
        try:
            self.stream.send(data, activity=f'sending {verbs}')
        except ConnectionLost:
            self.drop()
            raise

    def use_utf8(self):
        """Ask for names in UTF-8, once, if they are to be; return whether the server says yes.

        Not before it matters: it is a round trip.  Some servers, such as IIS, take names for
        Windows-1252 until they are asked, and some refuse it where FEAT has UTF8 (RFC 2640).
        """
        if not self.utf8_due:
            return False
        self.utf8_due = False
        try:
            self.command('OPTS', 'UTF8 ON')
            return True
        except (PermanentError, TemporaryError) as error:
            log.debug('Names are sent in UTF-8 all the same: %s', printable(error.message))
            return False

    # Answers

    def shown(self, answer):
        """Return the answer; one that says nothing as `SHOWN`, if the server shows the effect.

        It is asked for over this connection, which is dropped if it is out of step.
        """
        if answer.verdict != reply_errors.UNPROVEN:
            return answer
        if self.usable and not self.in_between and was_executed.shows(self, answer.command):
            self.channel.unproven.discard(answer.command)
            return answer._replace(verdict=reply_errors.SHOWN)
        self.drop()
        raise answer.error()

    def final(self, *, until=None):
        """Return the answer that ends a transfer or the greeting, a success.

        The time-out holds for all of it: preliminary replies do not prolong it.  `until`, an
        `Until`, takes its place.
        """
        if until is None:
            until = Until(self.settings.reply_timeout)
        while (answer := self.answer(until=until)).verdict == reply_errors.WAIT:
            pass
        return self.shown(answer).check()

    def answer_or_closing(self, **bounds):
        """Return the next answer; raise it if it is that the server closes: no other one comes."""
        answer = self.answer(**bounds)
        if isinstance(error := answer.error(), errors.ServiceClosing):
            raise error
        return answer

    def answer(self, *, until=None, within=None):
        """Return the next answer, whose whole reply must be there within the time-out.

        `until`, an `Until`, takes the place of the time-out; `within`, seconds, may shorten it.
        """
        try:
            self.await_answer(until, within=within)
        except BaseException:
            # Also for a signal: the answer, when it comes, must not be taken for another one.
            self.drop()
            raise
        answer = self.answers.popleft()
        if log.isEnabledFor(logging.DEBUG):
            log.debug('< %s', printable(answer.reply.text))
        return answer

    def await_answer(self, until=None, *, within=None):
        """Have an answer, as `answer` does, and do not take it."""
        if self.data.port is not None:
            self.data.release_answer(is_there=bool(self.answers))
        if self.answers:
            return
        if until is None:
            timeout = self.settings.reply_timeout
            until = Until(timeout if within is None else min(within, timeout))
        waiting = self.channel.waiting
        activity = waiting[0] if waiting else 'waiting'  # its words are for an error only
        while not self.answers:
            if self.channel.broken:  # behind an answer that was in order
                raise self.out_of_step(activity)
            data = b''
            if not self.dropped:  # else the answer before this one did not come
                try:
                    data = self.stream.receive(activity=activity, until=until, reply=True)
                except ConnectionLost as error:
                    self._raise_if_cut(error, activity, until)
                    raise
            if not data:
                raise ConnectionLost(
                    errno.ECONNRESET,
                    f'The server closed the connection, {activity}',
                    hint='The next run tries again.',
                )
            self.answers.extend(self.channel.receive(data))

    def _raise_if_cut(self, error, activity, until):
        """Raise another error if the time was up in the middle of a reply."""
        if error.errno == errno.ETIMEDOUT and self.channel.pending:
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
            while more := self.stream.receive_now():
                self.answers.extend(self.channel.receive(more))
        except Error as error:  # whoever waits for the answer finds it out
            log.debug('Nothing more is heard: %s', printable(error.message))
        self.raise_if_refused()
        return more is None and self.channel.transferring

    def raise_if_refused(self):
        """Raise `ConnectionLost` if an answer is there that refuses the transfer."""
        for answer in self.answers:
            if answer.verdict in reply_errors.REFUSALS:
                raise ConnectionLost(errno.ECONNABORTED, 'The server refuses the transfer')

    def out_of_step(self, when):
        """Return the error that there are more answers than questions."""
        return RemoteProtocolError(
            f'The server has answered more than it was asked, {when}',
            hint=reply_errors.OUT_OF_STEP,
        )
