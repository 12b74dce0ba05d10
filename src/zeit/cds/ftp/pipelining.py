"""Pipelining: commands that do not wait for an answer, since round trips are the cost of FTP.

The port of the next data connection is asked for (EPSV, PASV) in one packet with a command before
it: SIZE of the file before, or one of the commands that make the lock.  With SIZE goes also that a
file gets another name (RNFR), last, since nothing may come between RNFR and RNTO.  While the server
renames, or deletes what was fetched, the next data connection is made.

That packet does not wait for the final reply to the transfer before it, but for the server to end
the data connection: that is when it has read all, and what follows comes in the order of the
commands.  While a transfer runs no server is asked anything: they differ in what they make of that.
Whether a server stands all this is in its `Capabilities`.
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
from zeit.cds.ftp.connection import Connection
from zeit.cds.ftp.reply_errors import DONE, SUCCESS
from zeit.cds.network.deadline import Until
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The answer to a pipelined command must be there so many seconds after the one before it:
#: a server that reads one command from each packet has thrown it away.
PIPELINED = 10


#: Commands that are often followed by a transfer: RNFR is by RNTO, DELE by QUIT.
_WITH_PORT = ('CWD', 'CDUP', 'MKD', 'RMD', 'RNTO')


class Following(NamedTuple):
    """What follows SIZE of a file, and is prepared in the same packet.

    `transfer`: another one, so that its port is asked for.  `rename`: what gets another name, the
    file or something else, so that this is announced (RNFR).
    """

    transfer: bool = False
    rename: str = ''


NOTHING = Following()


class _Asked(NamedTuple):
    """A question that is under way: the file, what was prepared with it, how many bytes were sent.

    `sent` is None if the question waited for the transfer's final reply.
    """

    name: str
    following: Following
    sent: int | None = None

    @property
    def feature(self):
        """What the server does not stand if there is something wrong with the answers."""
        return 'together' if self.sent is None else 'prompt'


class _Refused(NamedTuple):
    """The name of a file whose RNFR was refused when it was pipelined, the capability, and why."""

    name: str
    feature: str
    error: Error


class PipeliningConnection(Connection):
    """A `Connection` that pipelines."""

    _asked = None
    _refused_rename = None

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

    def is_reusable(self):
        """See `Connection`; the answers to a question that was pipelined are no noise."""
        if self._asked is None:
            return super().is_reusable()
        if not self.usable:
            broken = RemoteProtocolError('The connection broke with the final reply')
            self.capabilities.do_without(self._asked.feature, error=broken)
        return self.usable

    def drop(self):
        """See `Connection`."""
        self._asked = None
        super().drop()

    def size(self, name, following=NOTHING):
        """See `ISession.size`; RFC 3659 section 4.  Whether RNFR was accepted shows in `rename`."""
        if self._asked is None:
            if following == NOTHING or not self.capabilities.together:
                return super().size(name)
            self._ask_size(_Asked(name, following))
        asked, self._asked = self._asked, None
        try:
            return self._size_told(asked)
        except LOST as error:
            self.capabilities.do_without(asked.feature, error=error)
            raise

    def _ask_size(self, asked):
        """Send what `size` takes the answers to."""
        others = (('RNFR', asked.following.rename),) if asked.following.rename else ()
        self._say(
            ('SIZE', asked.name), *others, port=asked.following.transfer, feature=asked.feature
        )
        self._asked = asked

    def ask_promptly(self, name, following, *, data, sent, until):
        """Ask for the size of a file whose `sent` bytes are sent as soon as the server has them.

        That is when it has ended the connection `data`.  What does not stand two commands in one
        packet is asked for that alone.  It is not waited for longer than for the
        final reply of the transfer, nor than `until` (of `now`): then nothing is asked.
        Returns whether it was asked.
        """
        if not self.capabilities.prompt or self.capabilities.sizes is False or self._answers:
            return False
        if not data.is_ended_before(self._stream, until=until):
            return False
        self._channel.data_ended()
        try:
            self._ask_size(_Asked(name, following if self.capabilities.together else NOTHING, sent))
        except LOST:
            return False  # what is lost then is the final reply
        return True

    def _confirm_order(self):
        """Take the answers to a question that was sent before the final reply, a refusal.

        A server that refuses the question, not the upload, and does not keep the order, shows it:
        the final reply is no answer to any of it.  Raises `RemoteProtocolError` then.
        """
        until = self._pipelined_until()
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
        answer = self._answer_and_port(port=asked.following.transfer, feature=asked.feature)
        if self._channel.broken:
            answer.check()
        refusal = None
        if asked.following.rename:
            refusal = self._answer(until=self._pipelined_until()).error()
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
            self._refused_rename = _Refused(asked.following.rename, asked.feature, refusal)
        return size

    def _say(self, command, *others, port, feature):
        """Send a command, with `port` also what asks for one, and the `others`, in one packet."""
        commands = [command]
        if port and self._settings.passive:
            self.data.forget()  # a server has one port at a time
            commands.append(('EPSV' if self.data.may_use_epsv() else 'PASV', ''))
        try:
            self._send(*commands, *others)
        except LOST as error:
            self.capabilities.do_without(feature, error=error)
            raise

    def _answer_and_port(self, *, port, feature='together'):
        """Return the answer to the command of `_say`; those to the others are still due then."""
        # A packet that comes too soon may be thrown away as a whole.
        answer = self._answer(until=self._pipelined_until() if feature == 'prompt' else None)
        closing = isinstance(answer.error(), ServiceClosing)
        if port and self._settings.passive and not closing:
            self._take_pipelined_port(answer, feature=feature)
        return answer

    def _take_pipelined_port(self, answer, *, feature='together'):
        """Take the port that was asked for; what becomes of it is no error of the command."""
        try:
            self.data.keep_port(self._answer(until=self._pipelined_until()).check())
            return
        except DeadlinePassed as error:
            log.debug('No port: %s', printable(error.message))
            reason = error
        except (ServerError, RemoteProtocolError) as error:
            # Before any port was of use, it is more likely EPSV that is not known, or PASV.
            first = self.usable and not self.data.proven
            if not (first and self.data.doubts_the_older()):
                epsv = first and self.data.may_use_epsv()
                self.capabilities.do_without('epsv' if epsv else feature, error=error)
            reason = error
            if self.data.proven and feature == 'together' and isinstance(error, ServerError):
                self.drop()  # alone it has worked; zope.server answers in any order then
        except Error as error:
            self.capabilities.do_without(feature, error=error)
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

    def command(self, verb, argument='', *, followed=False, **options):
        """See `Connection`; `followed` says that a transfer follows.

        Its data connection is made meanwhile if there is a port for it, otherwise the port is asked
        for in the same packet.
        """
        if followed and self.data.is_prepared:
            self._send((verb, argument))
            if self.data.has_port and self.data.may_be_early:
                self.data.prepare()
            return self.shown(self._answer()).check(**options)
        ask_for_port = (followed or verb in _WITH_PORT) and self._may_ask_for_port()
        if not ask_for_port:
            return super().command(verb, argument, **options)
        self._say((verb, argument), port=True, feature='together')
        try:
            answer = self._answer_and_port(port=True)
        except LOST as error:
            self.capabilities.do_without('together', error=error)
            raise
        return self.shown(answer).check(**options)

    def together(self, *commands, followed=True):
        """See `Connection`; the port of the next data connection is asked for as well."""
        if not self.capabilities.together:
            return super().together(*commands)
        first, *others = commands
        port = followed and self._may_ask_for_port()
        self._say(first, *others, port=port, feature='together')
        try:
            answers = [self._unless_closing(self._answer())]
            if self._throws_away():
                return super().together(*commands)  # perhaps all were taken for one
            if port:
                self._take_pipelined_port(answers[0])
            for _ in others:
                answers.append(self._unless_closing(self._answer(until=self._pipelined_until())))
            while self._in_between:  # it was asked whether it throws something away
                self._answer(until=self._pipelined_until())
        except ServiceClosing:
            raise  # it would have said that to the first one as well
        except LOST as error:
            self.capabilities.do_without('together', error=error)
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
        answer = self._answer(until=self._pipelined_until())
        if answer.command.verb == 'PWD':
            reason = f'Of several commands in a packet one is answered: {answer.reply.text}'
            self.capabilities.do_without('together', error=Error(reason))
            return True
        self._answers.appendleft(answer)
        return False

    def sizes(self, *names, followed=False, rename_follows=''):
        """Return the size of each file, as `size` does, or why the server does not tell it.

        `followed` says that a transfer follows, `rename_follows` what gets another name next.
        """
        commands = [('SIZE', name) for name in names]
        if not followed:
            return self.sizes_of(itertools.starmap(self.ask, commands))
        if not (rename_follows and self.capabilities.together):
            return self.sizes_of(self.together(*commands))
        *answers, announced = self.together(*commands, ('RNFR', rename_follows))
        self._announced(rename_follows, announced)
        return self.sizes_of(answers)

    def _announced(self, name, answer):
        """Take the answer to RNFR, which was sent behind something else."""
        if (refusal := answer.error()) is not None:
            self._refused_rename = _Refused(name, 'together', refusal)

    def sizes_of(self, answers):
        """Return what `sizes` does of the answers to SIZE."""
        sizes = []
        for answer in answers:
            try:
                sizes.append(self._size(answer))
            except ServerError as error:
                sizes.append(error)
        return sizes

    def _may_ask_for_port(self):
        """Return whether a port can be asked for now, in the packet of another command."""
        return self._settings.passive and self.capabilities.together and not self.data.is_prepared

    def packet(self, *commands, followed=False, rename_follows=''):
        """Send commands, some of which change something, in one packet; return the `Answer`s.

        It is for `Capabilities.orderly` servers, which execute them in order, whatever becomes of
        those before.  After an error nobody knows how far it came, and nothing is sent again.
        `followed` as in `command`, `rename_follows` as in `sizes`.  What says nothing is still to
        be `shown`.
        """
        if rename_follows:
            commands += (('RNFR', rename_follows),)
        first, *others = commands
        makes_connection = followed and self.data.has_port and self.data.may_be_early
        port = followed and self._may_ask_for_port()
        try:
            if port:
                self._say(first, *others, port=True, feature='together')
            else:
                self._send(*commands)
            if makes_connection:
                self.data.prepare()
            said = [self._answer_and_port(port=port)]
            for _ in others:
                said.append(self._unless_closing(self._answer(until=self._pipelined_until())))
            if rename_follows:
                self._announced(rename_follows, said.pop())
            return said
        except ServiceClosing:
            raise
        except LOST as error:
            self.capabilities.out_of_order(error)
            raise

    def rename(self, old, new, *others, followed=False, **options):
        """RNFR and RNTO (RFC 959 section 4.1.3); the second only if the first was accepted.

        `others` are commands behind it, in the same packet: see `packet`, which has the `options`.
        `followed` says that another transfer follows, as in `command`.  Returns a list of
        `Answer`s, to RNTO and the others; the first is `SHOWN` if only the effect shows that it is
        done.
        """
        refused, self._refused_rename = self._refused_rename, None
        if self._channel.renaming != old:
            self.command('RNFR', old)
            if refused is not None and refused.name == old:
                self.capabilities.do_without(refused.feature, error=refused.error)
        if others:
            return self.packet(('RNTO', new), *others, followed=followed, **options)
        return [self.command('RNTO', new, followed=followed)]

    def _pipelined_until(self):
        return Until(min(PIPELINED, self._settings.reply_timeout))
