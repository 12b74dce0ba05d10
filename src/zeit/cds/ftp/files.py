"""What the server tells about files, and new names for them: SIZE, MDTM, RNFR and RNTO.

SIZE of a file that was sent does not wait for the final reply to the transfer, but for the server
to end the data connection: that is when it has read all, and what follows comes in the order of the
commands.  While a transfer runs no server is asked anything: they differ in what they make of that.
In the packet of SIZE is also asked for the next port, and that the file gets another name (RNFR),
last, since nothing may come between RNFR and RNTO.
"""

import contextlib
import itertools
import logging
from typing import NamedTuple

from zeit.cds.errors import (
    LOST,
    ConnectionLost,
    DeadlinePassed,
    Error,
    NotProven,
    NoValue,
    RemoteProtocolError,
    ServerError,
    ServiceClosing,
)
from zeit.cds.ftp import parsing, was_executed
from zeit.cds.ftp.reply_errors import DONE, NO_FILE, REFUSED, SUCCESS, UNPROVEN
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How many bytes of commands are sent at once: what fits into one packet.
PACKET = 1400


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
        """What the server cannot cope with if there is something wrong with the answers."""
        return 'together' if self.sent is None else 'prompt'


class _Refused(NamedTuple):
    """The name of a file whose RNFR was refused when it was pipelined, the capability, and why."""

    name: str
    feature: str
    error: Error


class Files:
    """Asks about files in the directory by a `Pipeline`, and renames them."""

    def __init__(self, pipeline):
        self._pipeline = pipeline
        self._control = pipeline.control
        self._asked = None
        self._refused_rename = None

    # What was asked before its turn

    @property
    def due(self):
        """The call that must come next, (method, name), or None for any."""
        if self._asked is not None:
            return 'size', self._asked.name
        renaming = self._control.channel.renaming
        return ('rename', renaming) if renaming else None

    def withdraw(self):
        """Do without a renaming that was announced; return whether the connection is in order then.

        ProFTPD refuses all but NOOP until there was an RNTO: the file, which is of no use any more,
        gets the name that it has.  PWD has a reply code of its own.
        """
        control = self._control
        renaming = control.channel.renaming
        if not (renaming and control.usable) or control.in_between or self._asked is not None:
            return False
        try:
            control.ask('RNTO', renaming)
            return control.ask('PWD').verdict == DONE
        except Error as error:
            log.debug('Out of step: %s', printable(error.message))
            return False

    def is_reusable(self):
        """See `ControlConnection`; the answers to a question that was pipelined are no noise."""
        control = self._control
        if self._asked is None or control.dropped:
            return control.is_reusable()
        if not control.usable:
            broken = RemoteProtocolError('The connection broke with the final reply')
            control.capabilities.do_without(self._asked.feature, error=broken)
        return control.usable

    def ask_promptly(self, name, following, *, data, sent, until):
        """Ask for the size of a file whose `sent` bytes are sent as soon as the server has them.

        That is when it has ended the connection `data`.  A server that cannot cope with two
        commands in one packet is asked for the size alone.  That end is waited for no longer than
        the final reply to the transfer, nor than `until` (of `now`): then nothing is asked.
        Returns whether it was asked.
        """
        control = self._control
        capabilities = control.capabilities
        if not capabilities.prompt or capabilities.sizes is False or control.answers:
            return False
        if not data.is_ended_before(control.stream, until=until):
            return False
        control.channel.data_ended()
        try:
            self._ask_size(_Asked(name, following if capabilities.together else NOTHING, sent))
        except LOST:
            return False  # what is lost then is the final reply
        return True

    def confirm_order(self):
        """Take the answers to a question that was sent before the final reply, a refusal.

        A server that refuses the question, not the upload, and does not keep the order, shows it:
        the final reply is no answer to any of it.  Raises `RemoteProtocolError` then.
        """
        try:
            while self._control.in_between:
                error = self._pipeline.answer().error()
                if isinstance(error, ServiceClosing):
                    return
                if isinstance(error, NotProven):
                    raise error
        except (ConnectionLost, DeadlinePassed) as error:
            log.debug('Nothing else was said: %s', printable(error.message))

    # Sizes and times

    def size(self, name, following=NOTHING):
        """Return the length of the file in bytes (RFC 3659 section 4).

        Raises `ServerError` where the server does not tell it; whether there is such a file is
        another question.  Whether RNFR, of `following`, was accepted shows in `rename`.
        """
        if self._asked is None:
            capabilities = self._control.capabilities
            if following == NOTHING or not capabilities.together:
                return self._size(self._control.ask('SIZE', name))
            self._ask_size(_Asked(name, following))
        asked, self._asked = self._asked, None
        try:
            return self._size_told(asked)
        except LOST as error:
            self._control.capabilities.do_without(asked.feature, error=error)
            raise

    def _ask_size(self, asked):
        """Send what `size` takes the answers to."""
        following = asked.following
        others = (('RNFR', following.rename),) if following.rename else ()
        self._pipeline.send(
            ('SIZE', asked.name), *others, port=following.transfer, feature=asked.feature
        )
        self._asked = asked

    def _size_told(self, asked):
        pipeline, (port, renaming), feature = self._pipeline, asked.following, asked.feature
        answer = pipeline.answer_and_port(port=port, feature=feature)
        if self._control.channel.broken:
            answer.check()
        refusal = pipeline.answer().error() if renaming else None
        if isinstance(refusal, LOST):
            raise refusal
        if asked.sent is None:
            size = self._size(answer)
        elif answer.verdict not in SUCCESS or (size := self._size(answer)) != asked.sent:
            # It may be true; but then it is so over another connection, after the final reply.
            raise RemoteProtocolError(f'Before its time, the server told: {answer.reply.text}')
        if refusal is not None:
            log.debug('Not to be renamed: %s', printable(refusal.message))
            self._refused_rename = _Refused(renaming, feature, refusal)
        return size

    def sizes(self, *names, followed=False, rename_follows=''):
        """Return the size of each file, as `size` does, or why the server does not tell it.

        `followed` says that a transfer follows, `rename_follows` what gets another name next.
        """
        commands = [('SIZE', name) for name in names]
        if not followed:
            return self.sizes_of(itertools.starmap(self._control.ask, commands))
        if not (rename_follows and self._control.capabilities.together):
            return self.sizes_of(self._pipeline.together(*commands))
        *answers, announced = self._pipeline.together(*commands, ('RNFR', rename_follows))
        self._announced(rename_follows, announced)
        return self.sizes_of(answers)

    def sizes_of(self, answers):
        """Return what `sizes` does of the answers to SIZE."""
        sizes = []
        for answer in answers:
            try:
                sizes.append(self._size(answer))
            except ServerError as error:
                sizes.append(error)
        return sizes

    def modified(self, name):
        """See `ISession.modified`; RFC 3659 section 3."""
        return self._modified(self._control.ask('MDTM', name))

    def look(self, name, *, followed=False):
        """Return (size, modified) of a file: `size` and `modified` in one packet.

        `modified` is None where the server does not tell it; it must tell the size, see `size`.
        `followed` says that another transfer follows: its port is asked for, too.
        """
        control, pipeline = self._control, self._pipeline
        if not control.capabilities.together:
            return self.size(name), self._time(control.ask('MDTM', name))
        pipeline.send(('SIZE', name), ('MDTM', name), port=followed)
        try:
            size = pipeline.answer_and_port(port=followed)
            if control.channel.broken:
                size.check()
            modified = pipeline.answer()
            return self._size(size), self._time(modified)
        except LOST as error:
            control.capabilities.do_without('together', error=error)
            raise

    def look_at_all(self, names):
        """Yield (name, (size, modified)), or (name, None) where 550 says that it is no file.

        What tells neither is left out.
        """
        for packet in _packets(names):
            if not self._control.capabilities.together:
                return
            yield from self._look_together(packet)

    def _look_together(self, names):
        try:
            self._control.send(*((verb, name) for name in names for verb in ('SIZE', 'MDTM')))
            said = [self._control.answer()]
            while len(said) < 2 * len(names):
                said.append(self._pipeline.answer())
            for name, size, modified in zip(names, said[::2], said[1::2], strict=True):
                if size.reply.code == NO_FILE:
                    yield name, None
                    continue
                with contextlib.suppress(ServerError, RemoteProtocolError):
                    yield name, (self._size(size), self._time(modified))
        except LOST as error:
            self._control.capabilities.do_without('together', error=error)
            raise

    def _size(self, answer):
        size = parsing.size(self._value(answer))
        self._control.known_size = answer.command.argument, size
        self._control.capabilities.sizes = True
        return size

    def _modified(self, answer):
        if answer.verdict == REFUSED and answer.reply.code == NO_FILE:
            return None
        return parsing.modified(self._value(answer))

    def _time(self, answer):
        try:
            return self._modified(answer)
        except (ServerError, RemoteProtocolError) as error:
            if not self._control.usable:
                raise
            log.debug('The server tells no time: %s', printable(error.message))
            return None

    def _value(self, answer):
        """Return the reply that has what was asked for; raise `NoValue` if it is another one."""
        control = self._control
        if answer.verdict == UNPROVEN and not control.in_between and was_executed.in_step(control):
            raise NoValue(answer.reply.code, f'The server does not tell it: {answer.reply.text}')
        return answer.check().reply

    # Names

    def is_directory(self, name):
        """Return whether the server lets us into `name`; afterwards we are where we were."""
        here = self._control.ask('PWD')
        if here.verdict != DONE:
            return False
        try:
            entered = self._control.ask('CWD', name)
            self._pipeline.command('CWD', parsing.directory(here.reply))
            return entered.verdict == DONE
        except BaseException:
            self._control.drop()  # rather a new connection than one in the wrong directory
            raise

    def rename(self, old, new, *others, followed=False, **options):
        """RNFR and RNTO (RFC 959 section 4.1.3); the second only if the first was accepted.

        `others` are commands behind it, in the same packet: see `packet`, which has the `options`.
        `followed` says that another transfer follows, as in `Pipeline.command`.  Returns a list of
        `Answer`s, to RNTO and the others; the first is `SHOWN` if only the effect shows that it is
        done.
        """
        control = self._control
        if not (new.isascii() or control.channel.renaming):
            control.use_utf8()  # nothing may come between RNFR and RNTO
        refused, self._refused_rename = self._refused_rename, None
        if control.channel.renaming != old:
            control.command('RNFR', old)
            if refused is not None and refused.name == old:
                control.capabilities.do_without(refused.feature, error=refused.error)
        if others:
            return self.packet(('RNTO', new), *others, followed=followed, **options)
        return [self._pipeline.command('RNTO', new, followed=followed)]

    def packet(self, *commands, rename_follows='', **options):
        """See `Pipeline.packet`; `rename_follows` as in `sizes`."""
        if not rename_follows:
            return self._pipeline.packet(*commands, **options)
        *answers, announced = self._pipeline.packet(
            *commands, ('RNFR', rename_follows), **options
        )
        self._announced(rename_follows, announced)
        return answers

    def _announced(self, name, answer):
        """Take the answer to RNFR, which was sent behind something else."""
        if (refusal := answer.error()) is not None:
            self._refused_rename = _Refused(name, 'together', refusal)


def _packets(names):
    """Yield lists of names about which can be asked in one packet."""
    packet, room = [], PACKET
    for name in names:
        # Two commands, each of them a verb, a blank and a line end more than the name.
        needed = 2 * (len(name.encode('utf-8', 'surrogateescape')) + 7)
        if packet and needed > room:
            yield packet
            packet, room = [], PACKET
        packet.append(name)
        room -= needed
    if packet:
        yield packet
