"""What is sent along with another command, or before its turn: round trips are the cost of FTP.

The port of the next data connection is asked for (EPSV, PASV) in one packet with a command before
it: SIZE of the file before, or one of the commands that make the lock.  With SIZE goes also that a
file gets another name (RNFR), last, since nothing may come between RNFR and RNTO.  While the server
renames, or deletes what was fetched, the next data connection is made.

That packet does not wait for the final reply to the transfer before it, but for the server to end
the data connection: that is when it has read all, and what follows comes in the order of the
commands.  While a transfer runs no server is asked anything: they differ in what they make of that.
Whether a server stands all this is in its `Ways`.
"""

import errno
import itertools
import logging
from typing import NamedTuple

from zeit.cds.errors import (
    LOST,
    ConnectionLost,
    DeadlinePassed,
    Error,
    NotProven,
    RemoteProtocolError,
    ServerError,
    ServiceClosing,
)
from zeit.cds.ftp.answers import DONE, SHOWN, SUCCESS
from zeit.cds.ftp.deadline import Until
from zeit.cds.ftp.passive import PassiveConnection
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The answer to a command that was sent along with another one must be there so many seconds later:
#: a server that reads one command from each packet has thrown it away.
ALONG = 10


#: Commands that are often followed by a transfer: RNFR is by RNTO, DELE by QUIT.
_WITH_PORT = ('CWD', 'CDUP', 'MKD', 'RMD', 'RNTO')


class Along(NamedTuple):
    """What is sent along with SIZE of a file.

    `port`: another transfer follows, so that its port is asked for.  `rename`: the file gets
    another name, so that this is announced (RNFR).
    """

    port: bool = False
    rename: bool = False


ALONE = Along()


class _Asked(NamedTuple):
    """A question that is under way: the file, what went along (`Along`), how many bytes were sent.

    `sent` is None if the question waited for the transfer's final reply.
    """

    name: str
    port: bool
    rename: bool
    sent: int | None = None

    @property
    def way(self):
        """What the server does not stand if there is something wrong with the answers."""
        return 'together' if self.sent is None else 'prompt'


class _Refused(NamedTuple):
    """The name of a file whose RNFR was refused in company, the way, and why."""

    name: str
    way: str
    error: Error


class AlongConnection(PassiveConnection):
    """A `PassiveConnection` that says several things at once."""

    _asked = None
    _refused_along = None

    @property
    def announced(self):
        """True when the server waits for a file's new name; ProFTPD refuses anything else then."""
        return bool(self._channel.renaming)

    @property
    def due(self):
        """The call that must come next on this connection, (method, name), or None for any."""
        if self._asked is not None:
            return 'size', self._asked.name
        renaming = self._channel.renaming
        return ('rename', renaming) if renaming else None

    def withdraw(self):
        """Do without a renaming that was announced; return whether the connection is in order then.

        ProFTPD refuses all but NOOP until there was an RNTO: the file, which is of no use any more,
        gets the name that it has.  PWD has a reply code of its own.
        """
        if not (self.announced and self.usable) or self._in_between or self._asked is not None:
            return False
        try:
            self.ask('RNTO', self._channel.renaming)
            return self.ask('PWD').verdict == DONE
        except Error as error:
            log.debug('Out of step: %s', printable(error.message))
            return False

    def is_quiet(self):
        """See `Connection`; the answers to a question that was sent ahead are no noise."""
        if self._asked is None:
            return super().is_quiet()
        if not self.usable:
            broken = RemoteProtocolError('The connection broke with the final reply')
            self.ways.give_up(self._asked.way, error=broken)
        return self.usable

    def drop(self):
        """See `Connection`."""
        self._asked = None
        super().drop()

    def size(self, name, along=ALONE):
        """See `ISession.size`; RFC 3659 section 4.  Whether RNFR was accepted shows in `rename`."""
        if self._asked is None:
            if along == ALONE or not self.ways.together:
                return super().size(name)
            self._ask_size(_Asked(name, *along))
        asked, self._asked = self._asked, None
        try:
            return self._size_told(asked)
        except LOST as error:
            self.ways.give_up(asked.way, error=error)
            raise

    def _ask_size(self, asked):
        """Send what `size` takes the answers to."""
        others = (('RNFR', asked.name),) if asked.rename else ()
        self._say(('SIZE', asked.name), *others, port=asked.port, way=asked.way)
        self._asked = asked

    def ask_promptly(self, name, along, *, data, sent, until):
        """Ask for the size of a file whose `sent` bytes are sent as soon as the server has them.

        That is when it has ended the connection `data`.  What does not stand two commands in one
        packet is asked for that alone.  It is not waited for longer than for the
        final reply of the transfer, nor than `until` (of `time.monotonic`): then nothing is asked.
        Returns whether it was asked.
        """
        if not self.ways.prompt or self.ways.sizes is False or self._answers:
            return False
        if not data.is_ended_before(self._stream, until=until):
            return False
        self._channel.data_ended()
        try:
            self._ask_size(_Asked(name, *(along if self.ways.together else ALONE), sent))
        except LOST:
            return False  # what is lost then is the final reply
        return True

    def _confirm_order(self):
        """Take the answers to a question that was sent before the final reply, a refusal.

        A server that refuses the question, not the upload, and does not keep the order, shows it:
        the final reply is no answer to any of it.  Raises `RemoteProtocolError` then.
        """
        until = self._along()
        try:
            while self._channel.waiting or self._answers:
                error = self._answer(until=until).error()
                if isinstance(error, ServiceClosing):
                    return
                if isinstance(error, NotProven):
                    raise error
        except (ConnectionLost, DeadlinePassed) as error:
            log.debug('Nothing else was said: %s', printable(error.message))

    def _size_told(self, asked):
        answer = self._answer_and_port(port=asked.port, way=asked.way)
        if self._channel.broken:
            answer.check()
        refusal = self._answer(until=self._along()).error() if asked.rename else None
        if isinstance(refusal, LOST):
            raise refusal
        if asked.sent is None:
            size = self._size(answer)
        elif answer.error() is None and (size := self._size(answer)) == asked.sent:
            pass
        else:
            # It may be true; but then it is so over another connection, after the final reply.
            raise RemoteProtocolError(f'Before its time, the server told: {answer.reply.text}')
        if refusal is not None:
            log.debug('Not to be renamed: %s', printable(refusal.message))
            self._refused_along = _Refused(asked.name, asked.way, refusal)
        return size

    def _say(self, command, *others, port, way):
        """Send a command, if `port` ask for one along with it, and send the `others`."""
        commands = [command]
        if port and self._settings.passive:
            self._forget_ahead()  # a server has one port at a time
            commands.append(('EPSV' if self._may_use_epsv() else 'PASV', ''))
        try:
            self._send(*commands, *others)
        except LOST as error:
            self.ways.give_up(way, error=error)
            raise

    def _answer_and_port(self, *, port, way='together'):
        """Return the answer to the command of `_say`; those to the others are still due then."""
        # A packet that comes too soon may be thrown away as a whole.
        answer = self._answer(until=self._along() if way == 'prompt' else None)
        closing = isinstance(answer.error(), ServiceClosing)
        if port and self._settings.passive and not closing:
            self._port_along(answer, way=way)
        return answer

    def _port_along(self, answer, *, way='together'):
        """Take the port that came along with an answer; what becomes of it is no error of that."""
        try:
            self._keep_port(self._answer(until=self._along()).check())
            return
        except DeadlinePassed as error:
            log.debug('No port: %s', printable(error.message))
            reason = error
        except (ServerError, RemoteProtocolError) as error:
            # Before any port was of use, it is more likely EPSV that is not known, or PASV.
            first = self.usable and not self.proven
            if not (first and self._doubts_the_older()):
                epsv = first and self._may_use_epsv()
                self.ways.give_up('epsv' if epsv else way, error=error)
            reason = error
            if self.proven and way == 'together' and isinstance(error, ServerError):
                self.drop()  # alone it has worked; zope.server answers in any order then
        except Error as error:
            self.ways.give_up(way, error=error)
            reason = error
        self._doubt(answer, reason)

    def _doubt(self, answer, reason):
        """Raise `reason`, why another answer to the same packet is missing: this may be that one.

        From a server that has ended the session nothing is missing, and neither is what was not
        waited for: then only a refusal may be that of the other command.
        """
        if isinstance(reason, NotProven):
            self.drop()
        silent = getattr(reason, 'errno', None) == errno.ETIMEDOUT
        ended = isinstance(reason, (ConnectionLost, DeadlinePassed)) and not silent
        if not (self.usable or (ended and answer.verdict in SUCCESS)):
            self._channel.unproven.add(answer.command)
            if isinstance(reason, ServerError):  # of the port: it would be taken for one of this
                raise self._out_of_step(f'with {answer.command.verb}') from reason
            raise reason

    def command(self, verb, argument='', *, more=False, **options):
        """See `Connection`; `more` says that a transfer follows.

        Its data connection is made meanwhile if there is a port for it, otherwise the port is asked
        for along.
        """
        if more and self.is_ahead:
            self._send((verb, argument))
            if self._port is not None and self.proven and self.ways.early:
                self._connect_ahead()
            return self.shown(self._answer()).check(**options)
        more = (more or verb in _WITH_PORT) and self._may_ask_ahead()
        if not more:
            return super().command(verb, argument, **options)
        self._say((verb, argument), port=True, way='together')
        try:
            answer = self._answer_and_port(port=True)
        except LOST as error:
            self.ways.give_up('together', error=error)
            raise
        return self.shown(answer).check(**options)

    def together(self, *commands):
        """See `Connection`; the port of the next data connection is asked for along."""
        if not self.ways.together:
            return super().together(*commands)
        first, *others = commands
        port = self._may_ask_ahead()
        self._say(first, *others, port=port, way='together')
        try:
            answers = [self._unless_closing(self._answer())]
            if self._throws_away():
                return super().together(*commands)  # perhaps all were taken for one
            if port:
                self._port_along(answers[0])
            for _ in others:
                answers.append(self._unless_closing(self._answer(until=self._along())))
            while self._in_between:  # it was asked whether it throws something away
                self._answer(until=self._along())
        except ServiceClosing:
            raise  # it would have said that to the first one as well
        except LOST as error:
            self.ways.give_up('together', error=error)
            raise
        return answers

    def _throws_away(self):
        """Return whether the server reads one command from each packet: npm's ftpd, simple-ftpd.

        If nothing comes behind the first answer, PWD is sent, alone; is it answered next, what was
        to be answered before it was thrown away.
        """
        if self._answers or self._channel.broken or self._stream.comes_soon():
            return False
        self._send(('PWD', ''))
        answer = self._answer(until=self._along())
        if answer.command.verb == 'PWD':
            reason = f'Of several commands in a packet one is answered: {answer.reply.text}'
            self.ways.give_up('together', error=Error(reason))
            return True
        self._answers.appendleft(answer)
        return False

    def sizes(self, *names, more=False):
        """Return the size of each file, as `size` does, or why the server does not tell it.

        `more` says that a transfer follows.
        """
        commands, sizes = [('SIZE', name) for name in names], []
        for answer in self.together(*commands) if more else itertools.starmap(self.ask, commands):
            try:
                sizes.append(self._size(answer))
            except ServerError as error:
                sizes.append(error)
        return sizes

    def _may_ask_ahead(self):
        """Tell whether a port can be asked for now, along with something else."""
        return self._settings.passive and self.ways.together and not self.is_ahead

    def rename(self, old, new, *, more=False):
        """RNFR and RNTO (RFC 959 section 4.1.3); the second only if the first was accepted.

        `more` says that another transfer follows, as in `command`.  Returns whether only the
        effect shows that it is done.
        """
        refused, self._refused_along = self._refused_along, None
        if self._channel.renaming != old:
            self.command('RNFR', old)
            if refused is not None and refused.name == old:
                self.ways.give_up(refused.way, error=refused.error)
        return self.command('RNTO', new, more=more).verdict == SHOWN

    def _along(self):
        return Until(min(ALONG, self._settings.reply_timeout))
