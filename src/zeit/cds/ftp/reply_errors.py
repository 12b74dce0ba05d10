"""Commands, the answers to them, and the error that an answer is."""

import errno
import re
import types
from typing import NamedTuple

from zeit.cds.errors import (
    ConnectionLost,
    DataConnectionRefused,
    NotProven,
    PermanentError,
    ServerFull,
    ServiceClosing,
    TemporaryError,
)
from zeit.cds.ftp import parsing
from zeit.cds.text import printable


WAIT = 'WAIT'  # a preliminary reply: another one follows
DONE = 'DONE'  # success
SHOWN = 'SHOWN'  # success, as the effect shows: the reply says nothing about it
MORE = 'MORE'  # success so far: the next command of the sequence is due
RETRY = 'RETRY'  # refused now
REFUSED = 'REFUSED'  # refused for good
UNPROVEN = 'UNPROVEN'  # final, but it may be the answer to something else: it says nothing
BROKEN = 'BROKEN'  # may not happen

#: What is no error of a command.
SUCCESS = (WAIT, DONE, SHOWN, MORE)

#: What refuses a command.
REFUSALS = (RETRY, REFUSED)

#: What has preliminary replies: transfers, and the greeting, where 120 comes before 220.
LISTINGS = ('NLST', 'MLSD', 'LIST')
TRANSFERS = ('greeting', 'STOR', 'RETR', *LISTINGS)

#: What changes something on the server.
CHANGES = ('STOR', 'RNTO', 'DELE', 'MKD', 'RMD')

_LOGIN = ('USER', 'PASS')

#: RFC 959 section 4.2.2: insufficient storage space; exceeded storage allocation.
_FULL = (452, 552)

#: RFC 959 section 4.2.2: local error in processing.  vsftpd, ProFTPD and Pure-FTPd say so when
#: their disk is full.
_LOCAL_ERROR = 451

#: RFC 959 section 4.2.2: the file is not available.  Not: there is none.
NO_FILE = 550

#: RFC 959 section 4.2: the server does not know the command.  Not: it refuses this one.
NOT_IMPLEMENTED = (402, 500, 502)

#: RFC 959 section 4.2.2: service not available, closing control connection.
CLOSING = 421

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

#: What happens when nobody can say any more which answer answers what.
OUT_OF_STEP = 'The connection is out of step; the work continues over a new one.'

#: Commands whose argument nobody may see.
SECRET = ('PASS', 'ACCT')


class Hidden:
    """A text that is sent and that nobody sees, also who looks at the variables of a traceback."""

    def __init__(self, text):
        self.reveal = lambda: text

    def __repr__(self):
        return '***'

    def __bool__(self):
        return bool(self.reveal())

    def isascii(self):
        """As `str.isascii`."""
        return self.reveal().isascii()


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
    reply: parsing.Reply
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
        if self.verdict == UNPROVEN:
            return NotProven(f'The server {self.command.answered} with {text}', hint=OUT_OF_STEP)
        if code == CLOSING:
            return ServiceClosing(code, text, hint=hint or 'The next run tries again.')
        if code in _DATA_LOST:
            hint = hint or 'Check that a firewall lets passive FTP through.'
            return _DATA_LOST[code](errno.ECONNABORTED, text, hint=hint)
        if code in _FULL:
            hint = hint or 'The server has no room: ask its operator.'
            return ServerFull(code, text, hint=hint)
        if code == _LOCAL_ERROR:
            hint = hint or 'The server has a problem, often a full disk: ask its operator.'
        if code == _NO_LOGIN and self.command.verb in _LOGIN and _CROWDED.search(text):
            hint = 'The server takes no more logins for now; the next run tries again.'
            return TemporaryError(code, text, hint=hint, command=self.command.shown)
        command = self.command.shown
        if self.verdict == REFUSED:
            return PermanentError(code, text, hint=hint, exit_code=refused, command=command)
        return TemporaryError(code, text, hint=hint, command=command)
