"""A session in a directory on an FTP server, as `ISession` wants it."""

import errno
import logging

import zope.interface

from zeit.cds import names
from zeit.cds.errors import (
    CONFIGURATION,
    LOST,
    ConfigurationError,
    DataConnectionRefused,
    EarlyDataLost,
    Error,
    NotTold,
    NoValue,
    ReplyLost,
    ServerError,
    ServiceClosing,
    SizeMismatch,
    TakenAway,
    TemporaryError,
)
from zeit.cds.ftp.files import NOTHING, Following
from zeit.cds.ftp.reply_errors import NO_FILE, NOT_IMPLEMENTED, SHOWN
from zeit.cds.interfaces import ISession
from zeit.cds.target import terms
from zeit.cds.target.base_session import LEAVING, BaseSession, Content, require_whole
from zeit.cds.target.presence import Presence
from zeit.cds.target.reconnecting import Link
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How many times to look into a directory that others make and remove meanwhile.
LOOKS = 3

#: The reply code of what somebody else is at work on (RFC 959 section 4.2.2).
BUSY = 450


@zope.interface.implementer(ISession)
class FTPSession(BaseSession):
    """See `ISession`; `capabilities` are a `zeit.cds.ftp.capabilities.Capabilities`."""

    #: See `ISession`.
    terms = terms.FTP

    #: See `ITransfers`.
    shares = False

    def __init__(self, settings, delivery, *, capabilities, link=None, **options):
        link = link or Link(settings, capabilities=capabilities)
        super().__init__(settings, delivery, capabilities=capabilities, link=link, **options)
        self._presence = Presence(self._query, capabilities=capabilities)

    @property
    def orderly(self):
        """See `ISession`."""
        return self._capabilities.in_order

    # The connection

    def connect(self):
        """See `ITransfers`; the directory is entered by the first command."""
        self._link.prepare()
        if kept := self._taken():
            self._link.take(kept)
        else:
            self._link.connect(deadline=self._patience)

    def _resume(self, connection, *, deadline):
        known = connection.capabilities
        connection.serve(deadline=deadline)
        connection.enter_directory()
        connection.serve(deadline=self._patience, capabilities=self._capabilities)
        self._capabilities.image = known.image
        if known.server:
            self._capabilities.identify(known.server)
        self._require_image()

    def _enter(self, connection):
        connection.enter_directory()
        self._require_image()

    def _require_image(self):
        """Only sizes would show that a server changes the ends of lines."""
        if not (self._capabilities.image or self.delivery.size_check):
            raise ConfigurationError(
                'The server does not promise to leave files as they are: it refuses TYPE I',
                hint='Leave out size_check="no" (--no-size-check), so that sizes are compared.',
            )

    def _execute(self, method, *args, **kw):
        connection = self._ready(method, *args)
        try:
            return getattr(connection, method)(*args, **kw)
        except DataConnectionRefused as error:
            # A firewall that does not know EPSV may know PASV; and one that looks for the port in
            # what the server says may overlook it behind something else.
            self._capabilities.do_without('epsv', error=error)
            if connection.data.was_pipelined:
                self._capabilities.do_without('together', error=error)
            raise
        except LOST:
            connection.drop()  # also where its replies were in order, and made no sense
            raise

    def _sent(self, commands, function, *args, **kw):
        """Return what `function` does, which sends these commands of `perform`, or STOR.

        Without an answer the server may execute one at any time.
        """
        try:
            return function(*args, **kw)
        except EarlyDataLost:
            raise  # it was executed
        except BaseException:
            for verb, *names in commands:
                if self.connection.is_due(verb, names[-1]):
                    self.unconfirmed.add(names[0])
            raise

    def _take_away(self, command, *call):
        """Execute a command of `perform` that takes a file away; return what the `call` does."""
        known = self._forget([command])
        try:
            answer = self._sent([command], self._execute, *call, followed=self._followed)
        except ServerError as refusal:
            self._remember(command, refusal, known=known)
            raise
        self._remember(command, None, known=known)
        return answer

    def _clean_up(self):
        while untried := self._untried():
            name = untried[0]
            self._tried.add(name)
            try:
                self._sent([('DELE', name)], self.connection.command, 'DELE', name)
            except ServerError as error:
                log.debug('Not deleted: %s: %s', printable(name), printable(error.message))
                if self._may_exist(name):
                    continue
            self.garbage.remove(name)

    def _may_exist(self, name):
        try:
            return self._presence.exists(name)
        except NotTold as error:
            log.debug('%s', printable(error.message))
            return True

    def bound(self, seconds, *, ends=False):
        """See `ISession`."""
        self._link.cleans_up = self._link.cleans_up or ends
        super().bound(seconds, ends=ends)

    # What is there

    def names(self, *, inside=''):
        """See `ISession`.

        Pure-FTPd 1.0.50 closes the connection where a directory goes while it is listed: then
        that is a refusal, as if it had gone a moment earlier.
        """
        for _ in range(LOOKS):
            try:
                return self._query('list_names', inside=inside)
            except ServiceClosing as error:
                if error.while_connecting or not inside:
                    raise
                closing = error
            if inside not in self._query('list_names'):
                text = f'{printable(inside)} was removed while it was listed'
                raise TemporaryError(BUSY, text) from closing
        raise closing

    def exists(self, name):
        """See `ISession`."""
        return self._presence.exists(name)

    def tells_sizes(self):
        """See `ISession`."""
        return self._presence.tells_sizes()

    def files(self, **options):
        """See `ISession`."""
        return self._query('list_files', **options)

    def facts(self):
        """See `ISession`."""
        return self._query('list_facts')

    def size(self, name):
        """See `ISession`."""
        return self._presence.size(name)

    def sizes(self, *names, **options):
        """See `ISession`."""
        return self._presence.sizes(*names, **options)

    def require_sizes(self):
        """See `ISession`."""
        (size,) = self.sizes(names.WRITE)
        unknown = isinstance(size, ServerError) and (size.code in NOT_IMPLEMENTED or size.is_denial)
        if unknown and self.delivery.size_check and self._capabilities.listings[0].verb != 'MLSD':
            raise _no_size(size, exit_code=CONFIGURATION)

    def is_directory(self, name):
        """See `ISession`."""
        return self._query('is_directory', name)

    def sizes_directories(self):
        """See `ISession`."""
        return bool(self._capabilities.sizes_directories)

    def modified(self, name):
        """See `ISession`."""
        return self._query('modified', name)

    def resting(self, name):
        """See `ISession`."""
        try:
            return self._query('list_resting', name)
        except ServerError as error:
            log.debug('No times by LIST: %s', printable(error.message))
            return {}

    def look(self, name):
        """See `ISession`."""
        return self._presence.look(name, followed=self._followed)

    # Content

    def read(self, name, *, limit=4096):
        """See `ISession`."""
        try:
            content = self._query('read', name, limit=limit)
        except ServerError as error:
            self._presence.require_unreadable(name, error)
            return None
        self.known.add(name)
        return content

    def fetch(self, name, file, *, within=None):
        """See `ISession`."""
        try:
            return self._execute('download', name, file, within=within, throttle=self._throttle)
        except ServerError as error:
            self._presence.require_unreadable(name, error)
            return None

    def store(self, name, data, *, rename_follows=''):
        """See `ISession`."""
        began, following = [], Following(transfer=True, rename=rename_follows)
        options = {'began': began.append, 'following': following}
        orderly = bool(self._capabilities.orderly)
        try:
            self._send(name, Content(data), early=orderly, **options)
        except LOST as error:
            # A STOR that has begun cannot come late.
            once_more = not began or isinstance(error, EarlyDataLost)
            if error.while_connecting or not once_more:
                raise
            self.unconfirmed.discard(name)
            self._send(name, Content(data), early=False, **options)
        self.known.add(name)

    def upload(self, name, source, *, began=lambda name: None, rename_follows=False):
        """See `ITransfers`."""
        following = Following(transfer=self._followed, rename=name if rename_follows else '')
        if source.size > self.delivery.digest_limit:
            source.skip_digest()
        options = {'following': following, 'throttle': self._throttle}
        return self._send(name, source, began=began, **options)

    def _send(self, name, source, *, following, early=True, **options):
        """Do `stor` and `compare`; return the text of the final reply, '' without one.

        `early`: data may be sent before STOR is accepted, and what is `following` may be asked for
        before the final reply.
        """
        lost = None
        if early and self.delivery.size_check:
            options['following'] = following
        try:
            sent, answer = self.stor(name, source, early=early, **options)
            reply = answer.text if answer else ''
        except ReplyLost as error:
            if not self.delivery.size_check:
                raise
            log.debug('%s', printable(error.message))
            sent, reply, lost = error.sent, '', error
        require_whole(source, sent=sent)
        if self.delivery.size_check:
            self.compare(name, sent, following=following, lost=lost)
        return reply

    def stor(self, name, source, *, began=lambda name: None, **options):
        """Send what `source` reads, under exactly this name; return (bytes sent, final reply).

        There is no reply, None, if only the size shows that it is done.  `options`: see
        `Transfers.upload`.
        """
        call = 'upload', name, source
        return self._sent([('STOR', name)], self._execute, *call, began=began, **options)

    def compare(self, name, sent, *, following=NOTHING, lost=None):
        """Raise `SizeMismatch` unless the server says that the file has `sent` bytes.

        `lost` is the `ReplyLost` by which the upload ended, if it did.

        `following` is what is prepared in the same packet, as far as the server copes with that.
        """
        if self._capabilities.sizes is False:
            following = NOTHING  # a listing follows
        try:
            size = self._query('size', name, following)
        except ServerError as error:
            if isinstance(error, NoValue) and not sent:
                return  # ftp-srv says 213 without a number of an empty file: it is there, and whole
            size = self._listed_size(name, error)
        if size != sent:
            there = 'no file' if size is None else f'{size} bytes'
            if not self._capabilities.image:
                raise ConfigurationError(
                    f'The server refuses TYPE I, and of {sent} bytes it has {there}',
                    hint='It changes the ends of lines, or tells no sizes. Ask its operator.',
                )
            if lost is not None and lost.early and not lost.errno:
                # It was answered, out of turn: the server has never seen the data.
                error = EarlyDataLost(cause=lost)
                self._capabilities.do_without('early', error=Error(error.message))
                raise error from lost
            if size is None and lost is None:
                raise TakenAway(f'{sent} bytes were sent, but the server has no file')
            what = f'{sent} bytes were sent, but the server has {there}'
            hint = 'The incomplete file is not used; the next run sends it again.'
            if lost is not None:
                what = f'{lost.message}; {what}'
            if lost is not None and lost.errno == errno.ETIMEDOUT:
                hint = (
                    'If the server needs longer to store a file, raise reply_timeout '
                    '(--reply-timeout); the next run sends it again.'
                )
            raise SizeMismatch(what, hint=hint) from lost

    def _listed_size(self, name, refusal):
        """Return what `Presence.listed` does of the size; it must be told: `SizeMismatch`."""
        try:
            return self._presence.listed(name, refusal)[0]
        except NotTold as error:
            log.debug('%s', printable(error.message))
            hidden = refusal.code == NO_FILE and not error.listed
        code = None if self._presence.tells_sizes() else CONFIGURATION
        if hidden:
            raise SizeMismatch(
                f'The server has stored the file, and does not show it: {refusal.message}',
                hint='Perhaps a program there removes whatever it finds: it must leave alone what '
                "begins with 'write' or 'read'. Or the account may neither list the directory, "
                'nor use SIZE; size_check="no" (--no-size-check) does without SIZE.',
                exit_code=code,
            ) from refusal
        raise _no_size(refusal, exit_code=code) from refusal

    # Changes

    def rename(self, old, new):
        """See `ISession`."""
        (answer,) = self._take_away(('RNTO', old, new), 'rename', old, new)
        return answer.verdict == SHOWN

    def delete(self, name):
        """See `ISession`."""
        self._take_away(('DELE', name), 'command', 'DELE', name)

    def make_directory(self, name):
        """See `ISession`."""
        self._execute('command', 'MKD', name)

    def remove_directory(self, name):
        """See `ISession`."""
        self._execute('command', 'RMD', name)

    def perform(self, *commands, followed=True, rename_follows='', trial=False):
        """See `ISession`."""
        capabilities = self._capabilities
        if capabilities.in_order or (trial and capabilities.may_be_in_order):
            options = {'followed': followed, 'rename_follows': rename_follows}
            found = self._perform_together(commands, options)
            capabilities.ordered = capabilities.ordered or found == [None] * len(commands)
            return found
        found, before, self._followed = [], self._followed, followed
        try:
            for verb, *names in commands:
                if verb == 'SIZE':
                    found.append(self.sizes(*names, followed=followed))
                else:
                    _ALONE[verb](self, *names)
                    found.append(None)
        except ServerError as error:
            found.append(error)
        finally:
            self._followed = before
        return found

    def _perform_together(self, commands, options):
        """Do the same in one packet, but for the RNFR before the first RNTO."""
        leaving = [command for command in commands if command[0] in LEAVING]
        known = self._forget(leaving)
        try:
            return self._sent(leaving, self._perform_packet, commands, options, known)
        except ServerError as error:  # of RNFR
            self.known.update(known)
            return [error]

    def _perform_packet(self, commands, options, known):
        sent = [each for command in commands for each in _on_the_wire(*command)]
        verb, *names = commands[0]
        if verb == 'RNTO':
            answers = self._execute('rename', *names, *sent[1:], **options)
        else:
            answers = self._execute('packet', *sent, **options)
        # In this order: what has got its name may show what became of the others.
        return [self._became(command, answers, known) for command in commands]

    def _became(self, command, answers, known):
        """Take the answers to a command out of `answers`; return what `perform` does of it."""
        verb, *names = command
        if verb == 'SIZE':
            sizes = self.connection.sizes_of([answers.pop(0) for _ in names])
            return self._presence.found(sizes)
        return self._remember(command, self.connection.shown(answers.pop(0)).error(), known=known)

    # For who looks at the server itself

    @property
    def capabilities(self):
        """What the server has shown so far: `zeit.cds.ftp.capabilities.Capabilities`."""
        return self._capabilities

    @property
    def connection(self):
        """The present `Connection`."""
        return self._link.connection

    def list_by(self, listing):
        """Return the names that one way to list shows, a `Listing`: a set of str."""
        return self._query('list_by', listing)


_ALONE = {
    'MKD': FTPSession.make_directory,
    'RMD': FTPSession.remove_directory,
    'DELE': FTPSession.delete,
    'RNTO': FTPSession.rename,
}


def _on_the_wire(verb, *names):
    """Return the commands (verb, argument) of one of `ISession.perform`."""
    return [(verb, name) for name in names] if verb == 'SIZE' else [(verb, names[-1])]


def _no_size(refusal, *, exit_code):
    return SizeMismatch(
        f'The server does not tell the size of the file: {refusal.message}',
        hint='Let the account use SIZE, or MLSD; size_check="no" (--no-size-check) trusts the '
        'final reply of an upload.',
        exit_code=exit_code,
    )
