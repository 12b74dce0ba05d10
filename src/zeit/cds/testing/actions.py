"""What the fault server can do wrong: one frozen value per misbehaviour.

Those that concern a reply or the control connection act by their methods, which the session calls
around the execution of the command. Those that concern data are looked up where data go.
"""

import dataclasses
import re
import threading
import typing


PORT_KINDS = ('refused', 'black hole', 'silent')
MOMENTS = ('before', 'executed', 'replied')


class Disconnect(Exception):
    """The control connection ends here, by FIN or (`reset`) by RST."""

    def __init__(self, *, reset=False):
        super().__init__(reset)
        self.reset = reset


def wire(reply):
    """Return a reply as bytes; text gets its line ends, bytes stay as they are."""
    if isinstance(reply, bytes) or not reply:
        return reply or b''
    return reply.replace('\n', '\r\n').encode('utf-8', 'surrogateescape') + b'\r\n'


@dataclasses.dataclass(frozen=True)
class Action:
    """Nothing out of the ordinary; the base of the actions below."""

    def before(self, session, event):
        """Before the command is executed."""

    def answer(self, reply):
        """Return the reply to send (bytes) in place of `reply`."""
        return reply

    def executed(self, session, event):
        """After the command was executed, before the reply is sent."""

    def replied(self, session, event):
        """After the reply was sent."""


@dataclasses.dataclass(frozen=True)
class Reply(Action):
    """Do not execute the command, answer this (text, or raw bytes with their line ends).

    The empty text answers nothing. After a reply 421 the connection is closed.
    """

    text: str | bytes

    def answer(self, reply):
        return wire(self.text)


@dataclasses.dataclass(frozen=True)
class Lie(Action):
    """Execute the command, and answer this instead of what came of it."""

    text: str | bytes

    def answer(self, reply):
        return wire(self.text)


@dataclasses.dataclass(frozen=True)
class Extra(Action):
    """Answer one thing more than was asked for, after the reply or in front of it."""

    text: str | bytes
    _: dataclasses.KW_ONLY
    first: bool = False

    def answer(self, reply):
        return wire(self.text) + reply if self.first else reply + wire(self.text)


@dataclasses.dataclass(frozen=True)
class Twice(Action):
    """Answer the same thing twice."""

    def answer(self, reply):
        return reply * 2


@dataclasses.dataclass(frozen=True)
class LineFeed(Action):
    """End the lines of the reply with LF only."""

    def answer(self, reply):
        return reply.replace(b'\r\n', b'\n')


@dataclasses.dataclass(frozen=True)
class Chop(Action):
    """Send the reply in pieces of `size` bytes, `pause` seconds apart."""

    size: int = 1
    _: dataclasses.KW_ONLY
    pause: float = 0.001


@dataclasses.dataclass(frozen=True)
class Delay(Action):
    """Delay the reply, or (`moment='before'`) the execution.

    until: a threading.Event; without one, `seconds` pass.
    """

    until: threading.Event | None = None
    _: dataclasses.KW_ONLY
    seconds: float = 0
    moment: str = 'executed'

    def __post_init__(self):
        one_of(self.moment, MOMENTS[:2])

    def before(self, session, event):
        if self.moment == 'before':
            session.pause(self.until, seconds=self.seconds)

    def executed(self, session, event):
        if self.moment == 'executed':
            session.pause(self.until, seconds=self.seconds)


@dataclasses.dataclass(frozen=True)
class Silence(Action):
    """Answer nothing any more on this connection, but keep it open.

    Further commands are recorded, not executed. moment: 'before' the execution, or 'executed'.
    """

    moment: str = 'before'

    def __post_init__(self):
        one_of(self.moment, MOMENTS[:2])

    def before(self, session, event):
        if self.moment == 'before':
            session.mute()

    def executed(self, session, event):
        if self.moment == 'executed':
            session.mute()


@dataclasses.dataclass(frozen=True)
class Cut(Action):
    """Close the control connection by FIN or (`reset`) RST.

    moment: 'before' the execution, when it is 'executed', or when it is 'replied'.
    """

    moment: str = 'before'
    _: dataclasses.KW_ONLY
    reset: bool = False

    def __post_init__(self):
        one_of(self.moment, MOMENTS)

    def _at(self, moment):
        if self.moment == moment:
            raise Disconnect(reset=self.reset)

    def before(self, session, event):
        self._at('before')

    def executed(self, session, event):
        self._at('executed')

    def replied(self, session, event):
        self._at('replied')


@dataclasses.dataclass(frozen=True)
class Call(Action):
    """Call a function with the `Event`, 'before' the execution or when it is 'executed'."""

    function: typing.Callable
    _: dataclasses.KW_ONLY
    moment: str = 'before'

    def __post_init__(self):
        one_of(self.moment, MOMENTS)

    def _at(self, moment, event):
        if self.moment == moment:
            self.function(event)

    def before(self, session, event):
        self._at('before', event)

    def executed(self, session, event):
        self._at('executed', event)

    def replied(self, session, event):
        self._at('replied', event)


@dataclasses.dataclass(frozen=True)
class Announce(Action):
    """On PASV and EPSV: announce another address than the one that is served."""

    host: str = ''
    _: dataclasses.KW_ONLY
    port: int | None = None

    def answer(self, reply):
        if self.host:
            host = self.host.replace('.', ',').encode('ascii')
            reply = re.sub(rb'\(\d+,\d+,\d+,\d+', b'(' + host, reply)
        if self.port is not None:
            high, low = divmod(self.port, 256)
            reply = re.sub(rb',\d+,\d+\)', b',%d,%d)' % (high, low), reply)
            reply = re.sub(rb'\|\d+\|\)', b'|%d|)' % self.port, reply)
        return reply


@dataclasses.dataclass(frozen=True)
class DataPort(Action):
    """On PASV and EPSV: announce a port that is not served.

    kind: 'refused' (closed), 'black hole' (connecting never ends), 'silent' (connects, and in the
    transfer that follows the connection is opened (150), but nothing is read or sent).
    """

    kind: str

    def __post_init__(self):
        one_of(self.kind, PORT_KINDS)


@dataclasses.dataclass(frozen=True)
class StallData(Action):
    """On a transfer: stop reading or sending after some bytes, for good or until an event."""

    after: int = 0
    _: dataclasses.KW_ONLY
    until: threading.Event | None = None


@dataclasses.dataclass(frozen=True)
class CutData(Action):
    """On a transfer: end the data connection after some bytes, by RST or FIN.

    control: end the control connection too, in the same way; otherwise the reply is 426.
    """

    after: int = 0
    _: dataclasses.KW_ONLY
    reset: bool = True
    control: bool = False


@dataclasses.dataclass(frozen=True)
class Alter(Action):
    """On a transfer: keep only the first bytes and append others, and say it was fine.

    For STOR and APPE this is what gets stored, for RETR, MLSD and NLST what gets sent.
    """

    keep: int | None = None
    _: dataclasses.KW_ONLY
    extra: bytes = b''


@dataclasses.dataclass(frozen=True)
class NoMark(Action):
    """On a transfer: do not say that it begins (150), as if that had been lost on the way."""


@dataclasses.dataclass(frozen=True)
class Overlook(Action):
    """On an upload: 425 if its data connection ends within so many seconds, before a look at it."""

    seconds: float = 0.2


@dataclasses.dataclass(frozen=True)
class Forget(Action):
    """On an upload: throw away what comes within so many seconds; say 150, and nothing more."""

    seconds: float = 0.1


@dataclasses.dataclass(frozen=True)
class Abandon(Action):
    """On a transfer: say that it begins (150), then this; nothing is read, sent, or closed."""

    text: str = '451 Local error.'


@dataclasses.dataclass(frozen=True)
class ReplyEarly(Action):
    """On a transfer: give the final reply before the data was transferred."""

    text: str | bytes = '226 Transfer complete.'


@dataclasses.dataclass(frozen=True)
class ReplyLate(Action):
    """On an upload: the final reply only when the data connection has ended and the next command
    has come, or after some seconds."""

    seconds: float = 3

    def executed(self, session, event):
        session.await_command(self.seconds)


def one_of(value, values):
    if value not in values:
        raise ValueError(f'{value!r} is none of {", ".join(values)}')
