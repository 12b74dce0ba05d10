"""The control channel without a network: which reply may follow which command.

`ControlChannel.send` turns a command into bytes and remembers that an answer is due; `receive`
turns bytes into (command, reply, verdict).  Commands may be sent ahead: replies come in the order
of the commands (RFC 959 section 5.4), so each one belongs to the oldest that waits.  A channel on
which a reply came that cannot belong to its command is broken for good: nobody can say any more
which answer answers what.
"""

import collections
import types

from zeit.cds.errors import LocalProtocolError, RemoteProtocolError
from zeit.cds.ftp import wire
from zeit.cds.ftp.answers import (
    BROKEN,
    CLOSING,
    DONE,
    MORE,
    REFUSED,
    RETRY,
    SECRET,
    WAIT,
    Answer,
    Command,
    kind,
)
from zeit.cds.text import printable


def _row(*verdicts):
    return types.MappingProxyType(dict(zip((1, 2, 3, 4, 5), verdicts, strict=True)))


#: The verdict by the kind of command and the reply's first digit (RFC 959 section 6).
VERDICTS = types.MappingProxyType(
    {  #                1xx     2xx     3xx     4xx    5xx
        'simple': _row(BROKEN, DONE, BROKEN, RETRY, REFUSED),
        'transfer': _row(WAIT, DONE, BROKEN, RETRY, REFUSED),
        'rename': _row(BROKEN, BROKEN, MORE, RETRY, REFUSED),
        'login': _row(BROKEN, DONE, MORE, RETRY, REFUSED),
    }
)

#: Commands whose success has exactly one code, because the text of that reply is what we want.
#: AUTH's says that TLS begins right behind it (RFC 4217 section 4).
EXACT = types.MappingProxyType({'SIZE': 213, 'MDTM': 213, 'EPSV': 229, 'PASV': 227, 'AUTH': 234})

#: 'Data connection open' and 'Closing data connection': the end of a transfer.  As an answer to
#: anything else it is the late reply of a transfer that was given up.
_TRANSFER_ONLY = (225, 226)

class ControlChannel:
    """One control connection, from the greeting to its end.

    `waiting` are the commands, oldest first, whose final reply is still due.  `renaming` is the
    name that an RNTO would rename now: the last command was its RNFR, and accepted.  `broken` is
    True as soon as the answers cannot be trusted any more, or the server has said that it closes
    (421).
    """

    def __init__(self, *, encoding='utf-8'):
        self._encoding = encoding
        self._parser = wire.ReplyParser(encoding=encoding)
        self.waiting = collections.deque([Command('greeting')])
        self._transfer_runs = True
        self._secrets = []
        self.renaming = ''
        self.broken = False

    def __repr__(self):
        state = 'broken' if self.broken else f'{len(self.waiting)} waiting'
        return f'<ControlChannel {state}>'

    @property
    def transferring(self):
        """True when the final reply to a transfer is due."""
        return any(kind(command.verb) == 'transfer' for command in self.waiting)

    @property
    def pending(self):
        """True when part of a reply has come in."""
        return self._parser.pending

    def send(self, verb, argument=''):
        """Return the bytes of a command whose answer is expected from now on.

        Raises `LocalProtocolError` on a broken channel, while a transfer runs (what servers do
        with a command then differs: see `docs/architecture.txt`), or when RNTO would follow
        anything but an accepted RNFR.
        """
        if self.broken:
            raise LocalProtocolError(f'{verb} on a broken control connection')
        if self._transfer_runs:
            raise LocalProtocolError(f'{verb} while a transfer runs')
        if verb == 'RNTO' and not self.renaming:
            # Servers keep an earlier RNFR: this RNTO would rename whatever that one named.
            raise LocalProtocolError('RNTO without an accepted RNFR')
        data = wire.command(verb, argument, encoding=self._encoding)
        self.renaming = ''
        self.waiting.append(Command(verb, argument))
        self._transfer_runs = kind(verb) == 'transfer'
        if verb in SECRET and argument:
            self._secrets.append(argument)
        return data

    def data_ended(self):
        """Take note that the server has ended the data connection: no transfer runs any more.

        Its final reply is still due, and comes before those to what is sent from now on.
        """
        self._transfer_runs = False

    def receive(self, data):
        """Take bytes from the server; return the list of answers that they complete.

        Raises `RemoteProtocolError` for what may not happen; the channel is broken then.  The
        answers before it count: after `226 ...` a second 226 does not make the first one untrue.
        """
        answers, broken = [], None
        try:
            for reply in self._parser.feed(data):
                answers.append(self._answer(reply))
        except RemoteProtocolError as error:
            self.broken, broken = True, error
        if broken is not None and not answers:
            raise self._concealed(broken)
        return answers

    def _concealed(self, error):
        """Return an error that may be shown: what is no reply may be what we have said."""
        text = str(error)
        for secret in self._secrets:
            text = text.replace(secret, '***').replace(printable(secret), '***')
        return error if text == str(error) else RemoteProtocolError(text, hint=error.hint)

    def _answer(self, reply):
        command = self.waiting[0] if self.waiting else Command('idle')
        if command.verb in SECRET:
            reply = _without_secret(command, reply)
        if reply.code == CLOSING:
            # RFC 959 section 5.4: may be the answer to any command, or to none at all.
            self.broken = True
            if self.waiting:
                self.waiting.popleft()
            return Answer(command, reply, RETRY)
        if not self.waiting:
            raise RemoteProtocolError(
                f'The server answered without having been asked: {reply.text}'
            )
        verdict = VERDICTS[kind(command.verb)][reply.code // 100]
        if verdict == DONE and not _fits(command.verb, reply.code):
            verdict = BROKEN
        if verdict == BROKEN:
            raise RemoteProtocolError(
                f'The server {command.answered} with {reply.text}',
                hint='The connection is out of step; the work goes on over a new one.',
            )
        if verdict != WAIT:
            self.waiting.popleft()
            if not self.waiting:  # nothing is sent behind a transfer that runs
                self._transfer_runs = False
        if command.verb == 'RNFR' and not self.waiting:  # else another command came after it
            self.renaming = command.argument if verdict == MORE else ''
        return Answer(command, reply, verdict)


def _fits(verb, code):
    if verb in EXACT:
        return code == EXACT[verb]
    # What was asked along with a transfer is no end of it.
    others = EXACT.values() if kind(verb) == 'transfer' else _TRANSFER_ONLY
    return code not in others


def _without_secret(command, reply):
    """Return the reply as it may be shown: there are servers that repeat what they refuse."""
    if not command.argument:
        return reply
    return reply._replace(
        lines=tuple(line.replace(command.argument, '***') for line in reply.lines)
    )
