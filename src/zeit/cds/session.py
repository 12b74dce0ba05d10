"""The work in a directory on an FTP server during one run, as `ISession` wants it."""

import errno
import io
import logging

import zope.interface

from zeit.cds import names
from zeit.cds.deliveries import deliveries
from zeit.cds.delivery import UNKNOWN
from zeit.cds.effort import Effort
from zeit.cds.errors import (
    CONFIGURATION,
    LOST,
    ConfigurationError,
    Error,
    NotTold,
    NoValue,
    ReplyLost,
    ServerError,
    SizeMismatch,
    TakenAway,
)
from zeit.cds.ftp.along import ALONE, Along
from zeit.cds.ftp.answers import NO_FILE
from zeit.cds.gathering import gatherings
from zeit.cds.interfaces import ISession
from zeit.cds.ledger import NoLedger
from zeit.cds.link import Link
from zeit.cds.spelling import Spelling
from zeit.cds.text import printable


log = logging.getLogger(__name__)


@zope.interface.implementer(ISession)
class FTPSession(Link):
    """See `ISession`."""

    def __init__(self, settings, delivery, *, new_effort=Effort, **options):
        super().__init__(settings, **options)
        self._delivery = delivery
        self._new_effort = new_effort
        self.effort = None
        self.free = True

    def connect(self):
        """See `Link`; what is done from then on is an effort that is looked at."""
        super().connect()
        self.effort = self._new_effort()

    def _entered(self):
        """See `Link`; without sizes nobody would see that a server changes the ends of lines."""
        if not (self._ways.image or self._delivery.size_check):
            raise ConfigurationError(
                'The server does not promise to leave files as they are: it refuses TYPE I',
                hint='Leave out size_check="no" (--no-size-check), so that sizes are compared.',
            )

    @property
    def renames(self):
        """See `ISession`; a refusal is about that name only then."""
        return self._ways.renames

    # Single operations

    def names(self, *, inside=''):
        """See `ISession`."""
        return self._ask('list_names', inside=inside)

    def exists(self, name):
        """See `ISession`."""
        return self._presence.exists(name)

    def is_shown(self, present):
        """See `ISession`."""
        return self._ways.is_shown(present)

    def tells_sizes(self):
        """See `ISession`."""
        return self._presence.tells_sizes()

    def files(self, **options):
        """See `ISession`."""
        return self._ask('list_files', **options)

    def facts(self):
        """See `ISession`."""
        return self._ask('list_facts')

    def size(self, name):
        """See `ISession`."""
        return self._presence.size(name)

    def sizes(self, *names, more=False):
        """See `ISession`."""
        return self._presence.sizes(*names, more=more)

    def is_directory(self, name):
        """See `ISession`."""
        return self._ask('is_directory', name)

    def sizes_directories(self):
        """See `ISession`."""
        return bool(self._ways.sizes_directories)

    def modified(self, name):
        """See `ISession`."""
        return self._ask('modified', name)

    def look(self, name, *, more=False):
        """See `ISession`."""
        return self._presence.look(name, more=more)

    def read(self, name, *, limit=4096):
        """See `ISession`."""
        try:
            content = self._ask('read', name, limit=limit)
        except ServerError as error:
            self._presence.require_unreadable(name, error)
            return None
        self._presence.made(name)
        return content

    def fetch(self, name, file, *, within=None):
        """See `ISession`."""
        try:
            return self._call('download', name, file, within=within)
        except ServerError as error:
            self._presence.require_unreadable(name, error)
            return None

    def store(self, name, data):
        """See `ISession`."""
        lost, began = None, []
        try:
            sent, _ = self.upload(name, io.BytesIO(data), early=False, began=began.append)
        except ReplyLost as error:
            if not self._delivery.size_check:
                raise
            sent, lost = error.sent, error
        except LOST as error:
            if began or error.while_connecting:
                raise
            sent, _ = self.upload(name, io.BytesIO(data), early=False)
        if self._delivery.size_check:
            self.compare(name, sent, along=Along(port=True), lost=lost)
        self._presence.made(name)

    def upload(self, name, source, *, began=lambda name: None, along=ALONE, **options):
        """Send what `source` reads, under exactly this name; return (bytes sent, final reply).

        There is no reply, None, if only the size shows that it is done.
        `began(name)` is called when the server has started to store.  `along` is that of
        `compare`, if that follows.  `options`: see `TransferConnection.upload`.
        """
        try:
            return self._call('upload', name, source, began=began, along=along, **options)
        except BaseException:
            self._late_unless_answered('STOR', name, changes=name)
            raise

    def compare(self, name, sent, *, along=ALONE, lost=None):
        """Raise `SizeMismatch` unless the server says that the file has `sent` bytes.

        `lost` is the `ReplyLost` by which the upload ended, if it did.

        `along` is (whether another transfer follows, whether the file is going to be renamed): the
        server is told so in one packet, as far as it stands that.
        """
        if self._ways.sizes is False:
            along = ALONE  # a listing follows
        try:
            size = self._ask('size', name, along)
        except ServerError as error:
            if isinstance(error, NoValue) and not sent:
                return  # ftp-srv says 213 without a number of an empty file: it is there, and whole
            size = self._listed_size(name, error)
        if size != sent:
            there = 'no file' if size is None else f'{size} bytes'
            if not self._ways.image:
                raise ConfigurationError(
                    f'The server refuses TYPE I, and of {sent} bytes it has {there}',
                    hint='It changes the ends of lines, or tells no sizes. Ask its operator.',
                )
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
                hint='Perhaps a program there takes away whatever it finds: let it leave alone '
                "what begins with 'write' or 'read'. Or the account may neither list the "
                'directory, nor use SIZE: size_check="no" (--no-size-check) does without SIZE.',
                exit_code=code,
            ) from refusal
        raise _no_size(refusal, exit_code=code) from refusal

    def require_sizes(self):
        """See `ISession`."""
        (size,) = self.sizes(names.WRITE)
        unknown = isinstance(size, ServerError) and (size.code in UNKNOWN or size.is_denial)
        if unknown and self._delivery.size_check and self._ways.listings[0].verb != 'MLSD':
            raise _no_size(size, exit_code=CONFIGURATION)

    def rename(self, old, new, *, more=False):
        """See `ISession`; `more` says that another transfer follows."""
        known = old in self.known
        try:
            with self._presence.leaving(old):
                inferred = self._call('rename', old, new, more=more)
        except BaseException:
            self._late_unless_answered('RNTO', new, changes=old)
            raise
        self._ways.renames = True
        if known:
            self._presence.made(new)
        return inferred

    def delete(self, name, *, more=False):
        """See `ISession`; `more` says that a transfer follows."""
        with self._presence.leaving(name):
            self._call('command', 'DELE', name, more=more)

    def misspelt(self, names, *, token):
        """See `ISession`."""
        return Spelling(self, ways=self._ways, token=token).refused(names)

    def make_directory(self, name):
        """See `ISession`."""
        self._call('command', 'MKD', name)

    def remove_directory(self, name):
        """See `ISession`."""
        self._call('command', 'RMD', name)

    # Deliveries

    def run(self, plan, *, token=None, ledger=None):
        """See `ISession`."""
        token, ledger = token or names.new_token(), ledger or NoLedger()
        return self._guarded(deliveries(self, self._delivery, plan, token=token, ledger=ledger))

    def _guarded(self, outcomes):
        try:
            yield from outcomes
        except (Error, GeneratorExit):
            raise
        except BaseException:
            self.hurry()
            raise
        finally:
            self._haste.lift()
            self.sweep()

    def gather(self, plan, gathering):
        """See `ISession`."""
        connections = self._delivery.connections
        outcomes = gatherings(self, plan, gathering, connections=connections, effort=self.effort)
        return self._guarded(outcomes)

    def sibling(self):
        """Return another session in the same directory, with the same deadline; not connected."""
        return FTPSession(
            self._settings,
            self._delivery,
            deadline=self._deadline,
            context=self._context,
            ways=self._ways,
            first=False,
        )


def _no_size(refusal, *, exit_code):
    return SizeMismatch(
        f'The server does not tell the size of the file: {refusal.message}',
        hint='Let the account use SIZE, or MLSD; size_check="no" (--no-size-check) trusts the '
        'final reply of an upload.',
        exit_code=exit_code,
    )
