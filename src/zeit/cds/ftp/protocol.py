"""The control channel without a network: which reply may follow which command.

`ControlChannel.send` turns a command into bytes and remembers that an answer is due; `receive`
turns bytes into (command, reply, verdict).  Commands may be sent ahead: replies come in the order
of the commands (RFC 959 section 5.4), so each one belongs to the oldest that waits.  A channel on
which a reply came that cannot belong to its command is broken for good: nobody can say any more
which answer answers what.
"""

import collections
import errno
import re
import types
from typing import NamedTuple

from zeit.cds.errors import (
    ConnectionLost,
    DataConnectionRefused,
    LocalProtocolError,
    PermanentError,
    RemoteProtocolError,
    ServerFull,
    ServiceClosing,
    TemporaryError,
)
from zeit.cds.ftp import wire
from zeit.cds.text import printable


WAIT = 'WAIT'  # a preliminary reply: another one follows
DONE = 'DONE'  # success
MORE = 'MORE'  # success so far: the next command of the sequence is due
RETRY = 'RETRY'  # refused now
REFUSED = 'REFUSED'  # refused for good
BROKEN = 'BROKEN'  # may not happen

#: What is no error of a command.
SUCCESS = (WAIT, DONE, MORE)


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

#: The kind of each command that we use; what is not here is simple.
KINDS = types.MappingProxyType(
    {
        'greeting': 'transfer',  # 120 comes before 220
        'STOR': 'transfer',
        'RETR': 'transfer',
        'NLST': 'transfer',
        'MLSD': 'transfer',
        'RNFR': 'rename',
        'USER': 'login',
        'PASS': 'login',
    }
)

#: Commands whose success has exactly one code, because the text of that reply is what we want.
#: AUTH's says that TLS begins right behind it (RFC 4217 section 4).
EXACT = types.MappingProxyType({'SIZE': 213, 'MDTM': 213, 'EPSV': 229, 'PASV': 227, 'AUTH': 234})

#: 'Data connection open' and 'Closing data connection': the end of a transfer.  As an answer to
#: anything else it is the late reply of a transfer that was given up.
_TRANSFER_ONLY = (225, 226)

#: RFC 959 section 4.2.2: insufficient storage space; exceeded storage allocation.
_FULL = (452, 552)

#: RFC 959 section 4.2.2: local error in processing.  vsftpd, ProFTPD and Pure-FTPd say so when
#: their disk is full.
_LOCAL_ERROR = 451

_CLOSING = 421

#: RFC 959 section 4.2.2: can't open data connection; connection closed, transfer aborted.  They
#: say something about the network, not about the file.
_DATA_LOST = types.MappingProxyType({425: DataConnectionRefused, 426: ConnectionLost})

_NO_LOGIN = 530

#: What servers add to a 530 when it is not user or password that they refuse: wu-ftpd, and lftp's
#: list of transient replies; MaxClients, MaxClientsPerHost and MaxClientsPerUser of ProFTPD.
_CROWDED = re.compile(
    r'too many|maximum number|no more (?:than|users|connections|logins)|already connected',
    re.IGNORECASE,
)

#: Commands whose argument nobody may see.
SECRET = ('PASS', 'ACCT')


def _kind(verb):
    return KINDS.get(verb, 'simple')


class Command(NamedTuple):
    """A command that was sent: its verb, and its argument for messages."""

    verb: str
    argument: str = ''

    def __repr__(self):
        return f'<Command {self.shown}>'

    @property
    def shown(self):
        """The command as a log may show it: never with a password."""
        if self.verb in SECRET:
            return f'{self.verb} ***'
        return f'{self.verb} {self.argument}'.rstrip()

    def __str__(self):
        """What is being done until the answer comes, in words."""
        return f'waiting for {printable(self.awaited)}'

    @property
    def awaited(self):
        """What is being waited for, in words."""
        return 'the greeting' if self.verb == 'greeting' else f'the answer to {self.shown}'

    @property
    def answered(self):
        """What the server has done when it comes, in words."""
        return 'began' if self.verb == 'greeting' else f'answered {self.shown}'


class Answer(NamedTuple):
    """A reply, the command that it belongs to, and what it means."""

    command: Command
    reply: wire.Reply
    verdict: str

    def check(self, *, hint='', refused=None):
        """Return the answer itself if it is a success, otherwise raise what `error` returns."""
        if error := self.error(hint=hint, refused=refused):
            raise error
        return self

    def error(self, *, hint='', refused=None):
        """Return the error that this answer is, or None if it is a success.

        `refused` is the exit code if the server refuses for good, by default that of the error.
        """
        if self.verdict in SUCCESS:
            return None
        text, code = self.reply.text, self.reply.code
        if code == _CLOSING:
            return ServiceClosing(code, text, hint=hint or 'The next run tries again.')
        if code in _DATA_LOST:
            hint = hint or 'Check that a firewall lets passive FTP through.'
            return _DATA_LOST[code](errno.ECONNABORTED, text, hint=hint)
        if code in _FULL:
            hint = hint or 'The server has no room: ask its operator.'
            return ServerFull(code, text, hint=hint)
        if code == _LOCAL_ERROR:
            hint = hint or 'The server has a problem, often a full disk: ask its operator.'
        if code == _NO_LOGIN and _kind(self.command.verb) == 'login' and _CROWDED.search(text):
            hint = 'The server takes no more logins for now; the next run tries again.'
            return TemporaryError(code, text, hint=hint, command=self.command.shown)
        command = self.command.shown
        if self.verdict == REFUSED:
            return PermanentError(code, text, hint=hint, exit_code=refused, command=command)
        return TemporaryError(code, text, hint=hint, command=command)


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
        return any(_kind(command.verb) == 'transfer' for command in self.waiting)

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
        self._transfer_runs = _kind(verb) == 'transfer'
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
        if reply.code == _CLOSING:
            # RFC 959 section 5.4: may be the answer to any command, or to none at all.
            self.broken = True
            if self.waiting:
                self.waiting.popleft()
            return Answer(command, reply, RETRY)
        if not self.waiting:
            raise RemoteProtocolError(
                f'The server answered without having been asked: {reply.text}'
            )
        kind = _kind(command.verb)
        verdict = VERDICTS[kind][reply.code // 100]
        if verdict == DONE and not _fits(command.verb, kind, reply.code):
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


def _fits(verb, kind, code):
    if verb in EXACT:
        return code == EXACT[verb]
    # What was asked along with a transfer is no end of it.
    others = EXACT.values() if kind == 'transfer' else _TRANSFER_ONLY
    return code not in others


def _without_secret(command, reply):
    """Return the reply as it may be shown: there are servers that repeat what they refuse."""
    if not command.argument:
        return reply
    return reply._replace(
        lines=tuple(line.replace(command.argument, '***') for line in reply.lines)
    )
