"""What can go wrong, and what follows from it.

Every error of this package is an `Error` and carries its consequence: the exit code of a run that
it ends, whether the same thing may work later (`transient`), and a hint for the person who reads
it.  The hint is attached as a note (PEP 678), so it stands in each traceback behind the exception.

Errors are made once, where the operating system or the server spoke, and are never wrapped again.
"""

import errno
import re


DONE = 0
FILES_FAILED = 1
TOO_OLD = 2  # `zeit-cds status --max-age` only
USAGE = 64
UNAVAILABLE = 69
SOFTWARE = 70
LOCK_LEFT_BEHIND = 73
COME_BACK_LATER = 75
LOGIN_REFUSED = 77
CONFIGURATION = 78

#: Of several reasons to end a run the first one in this order decides its exit code.
PRECEDENCE = (
    SOFTWARE,
    USAGE,
    LOCK_LEFT_BEHIND,
    CONFIGURATION,
    LOGIN_REFUSED,
    UNAVAILABLE,
    COME_BACK_LATER,
    FILES_FAILED,
    DONE,
)


def decisive(codes):
    """Return the exit code that decides among `codes`, an iterable of exit codes (0 if empty).

    One that is not ours, of what somebody else made, decides before all of ours.
    """
    ranks = {code: rank for rank, code in enumerate(PRECEDENCE)}
    return min(codes, key=lambda code: ranks.get(code, -1), default=DONE)


def raise_signal(error):
    """Raise the signal that was being answered when `error` came, if there was one.

    It ends the process, whatever goes wrong with the cleaning up.
    """
    while error is not None:
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            raise error
        error = error.__context__


class Error(Exception):
    """Something that this package foresees.

    `hint` tells a person what to do next, `exit_code` overrides the one of the class.
    """

    exit_code = SOFTWARE
    transient = False
    #: True when it happened before the server let us in.
    while_connecting = False
    #: The server that was talked to, as the `title` of its target says it; '' for none.
    server = ''
    #: True when the server may still come to a command that changes what stands under the file's
    #: name: whatever is sent there now could be taken away again.
    in_doubt = False

    def __init__(self, *args, hint='', exit_code=None):
        super().__init__(*args)
        self.hint = ''
        if hint:
            self.advise(hint)
        if exit_code is not None:
            self.exit_code = exit_code

    def advise(self, hint):
        """Tell what to do next, in place of any other advice."""
        self.hint = hint
        self.__notes__ = [hint]

    @property
    def __Security_checker__(self):  # noqa: N802 the name of zope.security
        """What a security proxy shows.

        Checkers are looked up by the exact class, and there are many; this is asked before.
        """
        from zope.security.checker import NamesChecker

        names = ['__str__', 'message', 'hint', 'advice', 'exit_code', 'server', 'transient']
        return NamesChecker(names, 'zeit.cds.ViewStatus')

    @property
    def message(self):
        """What happened, one line, without what to do about it."""
        return str(self)

    @property
    def advice(self):
        """What happened, and what to do about it."""
        return f'{self.message.rstrip(".")}. {self.hint}' if self.hint else self.message


class UsageError(Error):
    """The command was called in a way that cannot work."""

    exit_code = USAGE


class ConfigurationError(Error):
    """A setting, a spool or a remote directory cannot be used as it is."""

    exit_code = CONFIGURATION


class SpoolError(ConfigurationError):
    """The spool's directories are missing, not accessible or not on one file system."""


class SpoolFull(SpoolError):
    """There is no room in the spool for a file; a smaller one may have some."""

    transient = True


class SpoolBusy(Error):
    """Another run works on this spool at this moment, or has just made this one needless."""

    exit_code = COME_BACK_LATER
    transient = True


class FileError(Error):
    """One file cannot be delivered; the others are not concerned."""

    exit_code = FILES_FAILED


class NameRefused(FileError):
    """A name cannot or must not go over the wire."""


class SourceGone(FileError):
    """The file has disappeared from the spool since it was listed."""

    exit_code = DONE


class Withdrawn(SourceGone):
    """The file was withdrawn before the server had all of it; `message` is the reason."""


class Held(Withdrawn):
    """The file, or its spool as a whole (`everything`), is held: it waits until it is released."""

    everything = False


class Embargoed(Held):
    """It is not to go before a time, `until` (seconds since the epoch)."""

    def __init__(self, message, *, until, **about):
        super().__init__(message, **about)
        self.until = until


class Expired(Withdrawn):
    """It is not to go any more: its time was over before the server had it."""


class SourceUnreadable(FileError):
    """The local file cannot be read (to its end)."""


class SourceChanged(FileError):
    """The local file changed while it was being sent."""

    transient = True


class NotMoved(FileError):
    """The local file cannot be moved, in a directory where others can."""


class SizeMismatch(FileError):
    """The server's file has another size than what was sent, or the server does not tell."""

    transient = True


class TakenAway(SizeMismatch):
    """The server has confirmed a whole upload, and has no such file a moment later."""

    ADVICE = (
        'Perhaps the partner collects what arrives, and has it: then trust the final reply, '
        'with size_check="no" and temporary="no" (--no-size-check --no-temporary).'
    )

    def __init__(self, message):
        super().__init__(message, hint=self.ADVICE)


class NotTold(FileError):
    """Nobody can tell whether there is something of a name on the server, or how long it is.

    A refusal, or a listing, proves nothing where the server shows nothing that is known to be
    there: nothing is deleted, overwritten or filed because of it.  `listed`: it is there.
    """

    listed = False


class TargetExists(FileError):
    """There is a file of that name on the server, and it is not to be replaced."""


class DeadlinePassed(Error):
    """The run has used up its time."""

    exit_code = UNAVAILABLE
    transient = True


class Interrupted(DeadlinePassed):
    """The run was asked to end, because its process is about to."""


class Locked(Error):
    """Somebody else holds the lock `name` on the server; `holder` says who, and since when.

    `tokens`: those in it.  `lost` is True if it was ours for some time.
    """

    exit_code = COME_BACK_LATER
    transient = True

    def __init__(self, name, *, holder='', tokens=(), lost=False, hint=''):
        what = 'is not ours any more, as far as can be seen' if lost else 'lockfile exists'
        if lost and not hint:
            hint = 'Find out who replaced it; what was not delivered waits for the next run.'
        super().__init__(f"'{name}' {what}", hint=hint)
        self.name = name
        self.holder = holder
        self.tokens = frozenset(tokens)
        self.lost = lost


class LockVanished(Error):
    """Our own lock `name` has disappeared from the server, where nobody else has one."""

    exit_code = CONFIGURATION

    def __init__(self, name):
        super().__init__(
            f"Our lock file '{name}' has disappeared from the server, and there is no other one",
            hint='Somebody removed it, or a program there removes whatever it finds: that must '
            "leave 'write' and 'read' alone.",
        )


class LockLeftBehind(Error):
    """Our own lock file could not be removed from the server."""

    exit_code = LOCK_LEFT_BEHIND


class LocalProtocolError(Error):
    """This package used its own protocol engine wrongly: a bug."""


class RemoteProtocolError(Error):
    """The server said something that no FTP server may say at this point."""

    exit_code = UNAVAILABLE
    transient = True


class ListingTooLong(Error):
    """A directory has more entries than can be looked at; another connection tells the same."""

    exit_code = UNAVAILABLE
    transient = True


class NotProven(RemoteProtocolError):
    """The server's final reply is another command's own: it says nothing about this one."""


class FTPOSError(Error):
    """The operating system said no: `errno`, `strerror`, as OSError has them."""

    exit_code = UNAVAILABLE
    transient = True

    def __init__(self, number, strerror, *, hint=''):
        super().__init__(number, strerror, hint=hint)
        self.errno = number
        self.strerror = strerror

    @property
    def message(self):
        return self.strerror


class ConnectionLost(FTPOSError):
    """The connection ended, or fell silent, although an answer was due."""


class DataConnectionRefused(ConnectionLost):
    """The control connection works, but no data connection could be made."""


class NotBegun(ConnectionLost):
    """The server never began to send a file, nor did it say why."""


class HandshakeFailed(ConnectionLost):
    """There is a connection, but no TLS or SSH over it: client and server do not agree.

    `in_clear` tells that what came was not encrypted.
    """

    in_clear = False


class CertificateRefused(HandshakeFailed):
    """The server's certificate is not trusted, or another host's (RFC 9325 section 6)."""

    transient = False


class HostKeyRefused(HandshakeFailed):
    """The server's host key is not known, or another one than it should be (RFC 4251 section 4.1).

    Nothing was said about who we are.
    """

    transient = False


class ServiceClosing(ConnectionLost):
    """The server ends the connection: 421 (RFC 959 section 5.4), in place of any answer."""


class ReplyLost(ConnectionLost):
    """All `sent` bytes of a file went out, but the server's final word did not come in.

    `early`: some of them before the server had begun.
    """

    def __init__(self, *, sent, cause, early=False):
        super().__init__(
            getattr(cause, 'errno', 0),
            f'No final reply to the upload: {cause.message}',
            hint='The size that the server tells over a new connection decides.',
        )
        self.sent = sent
        self.early = early


class EarlyDataLost(ConnectionLost):
    """The server has begun an upload, and lost what was sent before that."""

    def __init__(self, *, cause):
        super().__init__(
            errno.ECONNRESET,
            f'The server has thrown away what was sent before it began: {cause.message}',
            hint='From now on nothing is sent before it begins.',
        )


#: SSH_FX_OP_UNSUPPORTED; no FTP server has such a code.
_NO_REQUEST = 8
#: RFC 959 section 4.2: command not implemented, also for a parameter; what servers say that do not
#: let an account use one.
_REFUSED = (402, 502, 504, _NO_REQUEST)
#: The command is not implemented, or not even recognized.
_UNSUPPORTED = (402, 500, 502, _NO_REQUEST)
_DENIED = r'(?i)permission|permitted|privilege|denied|not allowed|forbidden'


class ServerError(Error):
    """The server refused a command.  `code` is its reply code, the text is its reply."""

    exit_code = FILES_FAILED

    def __init__(self, code, text, *, hint='', exit_code=None, command=''):
        super().__init__(text, hint=hint, exit_code=exit_code)
        self.code = code
        self.command = command

    @property
    def verb(self):
        """The command that was refused, without its argument; '' if that is not known."""
        return self.command.partition(' ')[0]

    @property
    def is_unsupported(self):
        """True if it says that the server does not have the command, whoever asks."""
        return self.code in _UNSUPPORTED

    @property
    def is_denial(self):
        """True if it says that nobody, or not this account, may use the command."""
        return self.code in _REFUSED or bool(re.search(_DENIED, str(self)))

    @property
    def message(self):
        """The reply, and what it was the answer to, unless the hint makes that clear."""
        return f'{self} ({self.command})' if self.command and not self.hint else str(self)


class NoValue(ServerError):
    """The server took the command, but its reply does not have what was asked for."""


class PermanentError(ServerError):
    """The server said 5xx (RFC 959 section 4.2): the same command will be refused again."""


class TemporaryError(ServerError):
    """The server said 4xx (RFC 959 section 4.2): the same command may work later."""

    transient = True


class ServerFull(ServerError):
    """The server has no room: 452 or 552 (RFC 959 section 4.2.2)."""

    exit_code = UNAVAILABLE
    transient = True


#: After one of these the connection is gone, and nothing is known about the command's effect.
LOST = (ConnectionLost, RemoteProtocolError)
