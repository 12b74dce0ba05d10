"""Pipelining: commands that do not wait for an answer, since round trips are the cost of FTP.

The port of the next data connection is asked for (EPSV, PASV) in one packet with a command before
it: SIZE of the file before, or one of the commands that make the lock.  While the server renames,
or deletes what was fetched, the next data connection is made.  Whether a server copes with all this
is in its `Capabilities`.
"""

import errno
import logging

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
from zeit.cds.ftp.reply_errors import CLOSING, SUCCESS
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The answer to a pipelined command must be there within this many seconds after the one before it:
#: else the server reads one command from each packet, and has thrown this one away.
PIPELINED = 10


#: Commands that a transfer often follows.  Not RNFR, which RNTO follows, nor DELE, before QUIT.
_WITH_PORT = ('CWD', 'CDUP', 'MKD', 'RMD', 'RNTO')


class Pipeline:
    """Sends commands over `control`, a `ControlConnection`, several in a packet where that goes."""

    def __init__(self, control):
        self.control = control

    def command(self, verb, argument='', *, followed=False, **options):
        """See `ControlConnection`; `followed` says that a transfer follows.

        Its data connection is made meanwhile if there is a port for it, otherwise the port is asked
        for in the same packet.
        """
        control = self.control
        if followed and control.data.is_prepared:
            control.send((verb, argument))
            self._prepare_data()
            return control.shown(control.answer()).check(**options)
        if not ((followed or verb in _WITH_PORT) and self._may_ask_for_port()):
            return control.command(verb, argument, **options)
        self.send((verb, argument), port=True)
        try:
            answer = self.answer_and_port(port=True)
        except LOST as error:
            control.capabilities.do_without('together', error=error)
            raise
        return control.shown(answer).check(**options)

    def together(self, *commands, followed=True):
        """Send commands (verb, argument), in one packet where that goes; return the `Answer`s.

        `followed` says that a transfer follows, whose port is asked for as well.
        """
        control = self.control
        if not control.capabilities.together:
            return self._one_by_one(commands)
        first, *others = commands
        port = followed and self._may_ask_for_port()
        self.send(first, *others, port=port)
        try:
            answers = [control.answer_or_closing()]
            # Nothing may come between RNFR and RNTO.
            if commands[-1][0] != 'RNFR' and self._throws_away():
                return self._one_by_one(commands)  # perhaps all were taken for one
            if port:
                self._take_port(answers[0])
            for _ in others:
                answers.append(control.answer_or_closing(within=PIPELINED))
            while control.in_between:  # it was asked whether it throws something away
                self.answer()
        except ServiceClosing:
            raise  # it would have said that to the first one as well
        except LOST as error:
            control.capabilities.do_without('together', error=error)
            raise
        return answers

    def packet(self, *commands, followed=False):
        """Send commands, some of which change something, in one packet; return the `Answer`s.

        It is for `Capabilities.orderly` servers, which execute them in order, whatever becomes of
        those before.  After an error nobody knows how far it came, and nothing is sent again.
        `followed` as in `command`.  What says nothing is still to be `shown`.
        """
        control = self.control
        first, *others = commands
        port = followed and self._may_ask_for_port()
        try:
            if port:
                self.send(first, *others, port=True)
            else:
                control.send(*commands)
                if followed:
                    self._prepare_data()
            answers = [self.answer_and_port(port=port)]
            for _ in others:
                answers.append(control.answer_or_closing(within=PIPELINED))
            return answers
        except ServiceClosing:
            raise
        except LOST as error:
            control.capabilities.out_of_order(error)
            raise

    # What they are made of

    def send(self, command, *others, port=False, feature='together'):
        """Send a command, with `port` also what asks for one, and the `others`, in one packet.

        `feature` is what the server cannot cope with if it fails.
        """
        control = self.control
        commands = [command]
        if port and control.settings.passive:
            control.data.forget()  # a server has one port at a time
            commands.append(('EPSV' if control.data.may_use_epsv() else 'PASV', ''))
        try:
            control.send(*commands, *others)
        except LOST as error:
            control.capabilities.do_without(feature, error=error)
            raise

    def answer(self):
        """Return the answer to a command that another one was sent together with, and before it."""
        return self.control.answer(within=PIPELINED)

    def answer_and_port(self, *, port, feature='together'):
        """Return the answer to the command of `send`; those to the others are still due then."""
        # A packet that comes too soon may be thrown away as a whole.
        answer = self.answer() if feature == 'prompt' else self.control.answer()
        if port and self.control.settings.passive and answer.reply.code != CLOSING:
            self._take_port(answer, feature=feature)
        return answer

    def _one_by_one(self, commands):
        answers = []
        for command in commands:
            self.control.send(command)
            answers.append(self.control.answer_or_closing())
        return answers

    def _prepare_data(self):
        data = self.control.data
        if data.port is not None and data.may_be_early:
            data.prepare()

    def _may_ask_for_port(self):
        """Return whether a port can be asked for now, in the packet of another command."""
        control = self.control
        passive, together = control.settings.passive, control.capabilities.together
        return passive and together and not control.data.is_prepared

    def _take_port(self, answer, *, feature='together'):
        """Take the port that was asked for; what becomes of it is no error of the command."""
        control = self.control
        data, capabilities = control.data, control.capabilities
        try:
            data.keep_port(self.answer().check())
            return
        except DeadlinePassed as error:
            log.debug('No port: %s', printable(error.message))
            reason = error
        except (ServerError, RemoteProtocolError) as error:
            # Before any port was of use, it is more likely EPSV that is not known, or PASV.
            first = control.usable and not data.proven
            if not (first and data.doubts_the_older()):
                epsv = first and data.may_use_epsv()
                capabilities.do_without('epsv' if epsv else feature, error=error)
            reason = error
            if data.proven and feature == 'together' and isinstance(error, ServerError):
                control.drop()  # alone it has worked; zope.server answers in any order then
        except Error as error:
            capabilities.do_without(feature, error=error)
            reason = error
        self._doubt(answer, reason)

    def _doubt(self, answer, reason):
        """Raise `reason`, why another answer to the same packet is missing: this may be that one.

        If the server has ended the session, or the time was up, no answer has been left out: then
        only a refusal may be the answer to the other command.
        """
        control = self.control
        if isinstance(reason, NotProven):
            control.drop()
        silent = getattr(reason, 'errno', None) == errno.ETIMEDOUT
        ended = isinstance(reason, (ConnectionLost, DeadlinePassed)) and not silent
        if not (control.usable or (ended and answer.verdict in SUCCESS)):
            control.channel.unproven.add(answer.command)
            if isinstance(reason, ServerError):  # of the port: it would be taken for one of this
                raise control.out_of_step(f'with {answer.command.verb}') from reason
            raise reason

    def _throws_away(self):
        """Return whether the server reads one command from each packet: npm's ftpd, simple-ftpd.

        If nothing comes behind the first answer, PWD is sent, alone; if that is answered next, what
        was sent before it was thrown away.
        """
        control = self.control
        if control.answers or control.channel.broken or control.stream.comes_soon():
            return False
        control.send(('PWD', ''))
        answer = self.answer()
        if answer.command.verb == 'PWD':
            reason = f'Of several commands in a packet one is answered: {answer.reply.text}'
            control.capabilities.do_without('together', error=Error(reason))
            return True
        control.answers.appendleft(answer)
        return False
