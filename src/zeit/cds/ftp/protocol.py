"""The control channel without a network: which reply may follow which command.

`ControlChannel.send` turns a command into bytes and remembers that an answer is due; `receive`
turns bytes into (command, reply, verdict).  Commands may be sent ahead: replies come in the order
of the commands (RFC 959 section 5.4), so each one belongs to the oldest that waits.  A channel on
which a reply came that cannot belong to its command is broken for good: nobody can say any more
which answer answers what.
"""

import collections
import re
import types

from zeit.cds.errors import LocalProtocolError, RemoteProtocolError
from zeit.cds.ftp import parsing
from zeit.cds.ftp.reply_errors import (
    BROKEN,
    CLOSING,
    DONE,
    MORE,
    OUT_OF_STEP,
    REFUSED,
    RETRY,
    SECRET,
    TRANSFERS,
    UNPROVEN,
    WAIT,
    Answer,
    Command,
    Hidden,
)
from zeit.cds.text import printable


#: A text that begins and ends as words do.
_WORD = re.compile(r'\w(.*\w)?', re.DOTALL)

#: What stands before something that is repeated.
_REPEATED = r'((?i:\b(?:PASS|ACCT)\s+)|[:=]\s*|["\'`(<\[]\s*)'

#: What most commands answer: 'Command okay', 'Requested file action okay, completed'.
_OKAY = (200, 250)

#: The end of a transfer; aioftp says 200.
_TRANSFERRED = (226, 250, 200)

#: The final replies of each command that we use that are success and its own: RFC 959 section 5.4,
#: RFC 2228, 2428, 3659 and 4217.  Most commands may say what others do, too: a reply that is none
#: of 213, 227 and the like is understood.  AUTH's says that TLS begins right behind it.
OWN = types.MappingProxyType(
    {
        'greeting': (220, 230),
        'USER': (230, 232, *_OKAY, 331, 332, 336),
        'PASS': (230, 232, 202, *_OKAY, 331, 332),
        'AUTH': (234,),
        'OPTS': (*_OKAY, 202),  # FileZilla Server: UTF8 mode is always enabled
        'MKD': (257, *_OKAY),
        'PWD': (257,),
        'RNFR': (350,),
        'SIZE': (213,),
        'MDTM': (213,),
        'EPSV': (229, 227),  # some servers answer it as if it were PASV
        'PASV': (227,),
        'STOR': _TRANSFERRED,
        'RETR': _TRANSFERRED,
        'NLST': _TRANSFERRED,
        'MLSD': _TRANSFERRED,
        'LIST': _TRANSFERRED,
        'SYST': (215,),
        'FEAT': (211,),
        'QUIT': (221, *_OKAY),
    }
)

#: What other commands there are: TYPE CWD CDUP DELE RMD RNTO PBSZ PROT EPRT PORT NOOP.
_OTHERS = _OKAY

#: RFC 959 section 4.2.2: command not implemented, superfluous at this site.
_SUPERFLUOUS = 202

#: No code of RFC 959: servers say so that mean 502, command not implemented.
_NOT_IMPLEMENTED = 402

#: Commands without which we get along.  202 refuses one of them; of another one it says nothing.
OPTIONAL = ('SIZE', 'MDTM', 'MLSD', 'EPSV', 'EPRT', 'PBSZ', 'TYPE')


def verdict(verb, code):
    """Return what a reply with this code to a command says.

    The first digit decides (RFC 959 section 4.2), for success the whole code: that of another
    command may be late, or out of order.
    """
    first = code // 100
    if first == 1:
        return WAIT if verb in TRANSFERS else BROKEN
    if first == 4 and code != _NOT_IMPLEMENTED:
        return RETRY
    if first in (4, 5) or (code == _SUPERFLUOUS and verb in OPTIONAL):
        return REFUSED
    if code not in OWN.get(verb, _OTHERS):
        return UNPROVEN
    return MORE if first == 3 else DONE


class ControlChannel:
    """One control connection, from the greeting to its end.

    `waiting` are the commands, oldest first, whose final reply is still due.  `renaming` is the
    name that an RNTO would rename now: the last command was its RNFR, and accepted; `renamed` is
    the one of the last RNTO.  `unproven` are the commands whose final reply says nothing: the
    server may still come to them.  `broken` is True as soon as the answers cannot be trusted any
    more, or the server has said that it closes (421).
    """

    def __init__(self, *, encoding='utf-8'):
        self._encoding = encoding
        self._parser = parsing.ReplyParser(encoding=encoding)
        self.waiting = collections.deque([Command('greeting')])
        self._transfer_runs = True
        self._secrets = []
        self.renaming = ''
        self.renamed = ''
        self.unproven = set()
        self.broken = False

    def __repr__(self):
        state = 'broken' if self.broken else f'{len(self.waiting)} waiting'
        return f'<ControlChannel {state}>'

    @property
    def transferring(self):
        """True when the final reply to a transfer is due."""
        return any(command.verb in TRANSFERS for command in self.waiting)

    @property
    def pending(self):
        """True when part of a reply has come in."""
        return self._parser.pending

    def send(self, verb, argument=''):
        """Return the bytes of a command whose answer is expected from now on.

        Raises `LocalProtocolError` on a broken channel, while a transfer runs (servers differ in
        what they make of a command then), or when RNTO would follow anything but an accepted RNFR.
        """
        if self.broken:
            raise LocalProtocolError(f'{verb} on a broken control connection')
        if self._transfer_runs:
            raise LocalProtocolError(f'{verb} while a transfer runs')
        if verb == 'RNTO' and not self.renaming:
            # Servers keep an earlier RNFR: this RNTO would rename whatever that one named.
            raise LocalProtocolError('RNTO without an accepted RNFR')
        if verb in SECRET and not isinstance(argument, Hidden):
            argument = Hidden(argument)
        data = parsing.command(verb, argument, encoding=self._encoding)
        self.renamed, self.renaming = self.renaming or self.renamed, ''
        self.waiting.append(Command(verb, argument))
        self._transfer_runs = verb in TRANSFERS
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
            text = _redacted(text, secret.reveal())
            text = _redacted(text, printable(secret.reveal()))
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
        if reply.code in OWN['PWD'] and self.waiting[-1].verb == 'PWD' and command.verb != 'MKD':
            # It was sent last, and later: the server has thrown away what came before it.
            command = self.waiting[-1]
            while self.waiting[0] is not command:
                self.waiting.popleft()
        means = verdict(command.verb, reply.code)
        if means == BROKEN:
            text = f'The server {command.answered} with {reply.text}'
            raise RemoteProtocolError(text, hint=OUT_OF_STEP)
        if means != WAIT:
            self.waiting.popleft()
            if not self.waiting:  # nothing is sent behind a transfer that runs
                self._transfer_runs = False
        if means == UNPROVEN:
            self.unproven.add(command)
        if command.verb == 'RNFR' and not self.waiting:  # else another command came after it
            self.renaming = command.argument if means == MORE else ''
        return Answer(command, reply, means)


def _without_secret(command, reply):
    """Return the reply as it may be shown: there are servers that repeat what they refuse."""
    if not command.argument:
        return reply
    return reply._replace(
        lines=tuple(_redacted(line, command.argument.reveal()) for line in reply.lines)
    )


def _redacted(text, secret):
    """Return `text` without `secret`, where that may be what we have said.

    If it is a plain word, the words of the server are left, so that nobody sees which of them is
    the password; what stands behind its command, in quotes, behind a colon, or alone is none.
    """
    word = rf'(?<!\w){re.escape(secret)}(?!\w)'
    if not (secret.isascii() and secret.isalpha()):
        return re.sub(word if _WORD.fullmatch(secret) else re.escape(secret), '***', text)
    return re.sub(rf'{_REPEATED}{word}|^\s*{word}\s*$', r'\1***', text)
