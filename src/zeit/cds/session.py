"""The work in a directory on an FTP server during one run, as `ISession` wants it."""

import io
import logging

import zope.interface

from zeit.cds import names
from zeit.cds.deliveries import deliveries
from zeit.cds.delivery import UNKNOWN, NoLedger
from zeit.cds.errors import (
    CONFIGURATION,
    LOST,
    DataConnectionRefused,
    Error,
    ReplyLost,
    ServerError,
    SizeMismatch,
)
from zeit.cds.ftp.along import ALONE, Along
from zeit.cds.ftp.deadline import USED_UP, Deadline, unanswered
from zeit.cds.ftp.listings import ListingConnection
from zeit.cds.ftp.ways import Ways
from zeit.cds.gathering import gatherings
from zeit.cds.holder import is_file
from zeit.cds.interfaces import ISession
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: After an interruption there are so many seconds to clean up.
HURRY = 8


@zope.interface.implementer(ISession)
class FTPSession:
    """See `ISession`."""

    def __init__(self, settings, delivery, *, deadline=None, context=None, ways=None):
        self._settings = settings
        self._delivery = delivery
        self._deadline = Deadline(outer=deadline)
        self._haste = Deadline(outer=self._deadline)
        self._context = context
        self._ways = ways or Ways()
        self._connection = None
        self.free = True
        self._inside = False
        self.connections = 0
        self.litter = []
        self._tried = set()
        self._hurries = False

    def __repr__(self):
        return f'<FTPSession {self._connection}, {len(self.litter)} to be deleted>'

    # Connections

    def connect(self):
        """Make the first connection; the directory is entered by the first command."""
        if self._context is None and self._settings.tls:
            self._context = self._settings.tls.context()
        self._connection = self._new_connection()

    def _new_connection(self):
        connection = ListingConnection(
            self._settings, deadline=self._haste, context=self._context, ways=self._ways
        )
        connection.open()
        self.connections += 1
        self._inside = False
        return connection

    def _ready(self, *call):
        """Return a connection that is usable and in the directory, and stands this `call`."""
        connection = self._connection
        if connection.due not in (None, call[:2]) or not connection.is_quiet():
            log.debug('Connecting again')
            self._connection.drop()
            self._connection = self._new_connection()
        if not self._inside:
            self._connection.enter_directory()
            self._inside = True
            self._clean_up()
        return self._connection

    def _clean_up(self):
        """Try once to delete each name in `litter`: what stays must not stand in the way."""
        for name in [name for name in self.litter if name not in self._tried]:
            self._tried.add(name)
            try:
                self._connection.command('DELE', name)
            except ServerError as error:
                log.debug('Not deleted: %s: %s', printable(name), printable(error.message))
                if is_file(self._connection, name):
                    continue
            self.litter.remove(name)

    def sweep(self):
        """Delete our litter if that is possible; a failure here changes no delivery."""
        try:
            if self.litter:
                self._tried.clear()
                self._ready()
                self._clean_up()
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))

    def discard(self, name):
        """Delete what is of no use, now or later with the litter; return whether it is gone."""
        if name not in self.litter:
            self.litter.append(name)
        self._tried.discard(name)
        try:
            self._ready()
            self._clean_up()
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))
        return name not in self.litter

    def _ask(self, method, *args, **kw):
        """Call a method of the connection that changes nothing; once more if it broke."""
        try:
            return self._call(method, *args, **kw)
        except LOST as error:
            if error.while_connecting:
                raise
            log.debug('Once more over a new connection: %s', printable(error.message))
            return self._call(method, *args, **kw)

    def _call(self, method, *args, **kw):
        connection = self._ready(method, *args)
        try:
            return getattr(connection, method)(*args, **kw)
        except DataConnectionRefused as error:
            # A firewall that does not know EPSV may know PASV.
            self._ways.give_up('epsv', error=error)
            raise
        except LOST:
            connection.drop()  # also where its replies were in order, and made no sense
            raise

    def bound(self, seconds, *, ends=False):
        """See `ISession`."""
        if not self._hurries:
            self._deadline.restart(seconds, passed=unanswered(seconds) if ends else USED_UP)

    def hurry(self):
        """See `ISession`."""
        self.bound(HURRY, ends=True)
        self._hurries = True

    def hasten(self, seconds):
        """Let what is on its way end within so many seconds; may be called by another thread."""
        self._haste.restart(seconds)

    def leave(self):
        """Say goodbye, with what could not be deleted still in `litter`; never raises."""
        if self._connection is not None:
            self.sweep()
            self._connection.quit()

    def refresh(self):
        """See `ISession`."""
        self._connection.drop()

    def close(self):
        """See `ISession`."""
        self.bound(HURRY, ends=True)
        self.sweep()
        for name in self.litter:
            log.warning('Left on the server, for the next run to delete: %s', printable(name))
        self._connection.quit()

    # Single operations

    def names(self, *, inside=''):
        """See `ISession`."""
        return self._ask('list_names', inside=inside)

    def files(self, **options):
        """See `ISession`."""
        return self._ask('list_files', **options)

    def facts(self):
        """See `ISession`."""
        return self._ask('list_facts')

    def size(self, name):
        """See `ISession`."""
        return self._ask('size', name)

    def modified(self, name):
        """See `ISession`."""
        return self._ask('modified', name)

    def look(self, name, *, more=False):
        """See `ISession`."""
        return self._ask('look', name, more=more)

    def read(self, name, *, limit=4096):
        """See `ISession`."""
        return self._ask('read', name, limit=limit)

    def fetch(self, name, file):
        """See `ISession`."""
        return self._call('download', name, file)

    def store(self, name, data):
        """See `ISession`."""
        try:
            sent, _ = self.upload(name, io.BytesIO(data), early=False)
        except ReplyLost as error:
            if not self._delivery.size_check:
                raise
            sent = error.sent
        if self._delivery.size_check:
            self.compare(name, sent)

    def upload(self, name, source, *, began=lambda name: None, along=ALONE, **options):
        """Send what `source` reads, under exactly this name; return (bytes sent, final reply).

        `began(name)` is called when the server has started to store.  `along` is that of
        `compare`, if that follows.  `options`: see `TransferConnection.upload`.
        """
        return self._call('upload', name, source, began=began, along=Along(*along), **options)

    def compare(self, name, sent, *, along=ALONE):
        """Raise `SizeMismatch` unless the server says that the file has `sent` bytes.

        `along` is (whether another transfer follows, whether the file is going to be renamed): the
        server is told so in one packet, as far as it stands that.
        """
        try:
            size = self._ask('size', name, Along(*along))
        except ServerError as error:
            raise SizeMismatch(
                f'The server does not tell the size of the file: {error.message}',
                hint='If it never does, size_check="no" (--no-size-check) trusts its final reply.',
                exit_code=CONFIGURATION if error.code in UNKNOWN else None,
            ) from error
        if size != sent:
            there = 'no file' if size is None else f'{size} bytes'
            raise SizeMismatch(
                f'{sent} bytes were sent, but the server has {there}',
                hint='The incomplete file is not used; the next run sends it again.',
            )

    def rename(self, old, new, *, more=False):
        """See `ISession`; `more` says that another transfer follows."""
        self._call('rename', old, new, more=more)

    def delete(self, name, *, more=False):
        """See `ISession`; `more` says that a transfer follows."""
        self._call('command', 'DELE', name, more=more)

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
        return self._guarded(gatherings(self, plan, gathering, connections=connections))

    def sibling(self):
        """Return another session in the same directory, with the same deadline; not connected."""
        return FTPSession(
            self._settings,
            self._delivery,
            deadline=self._deadline,
            context=self._context,
            ways=self._ways,
        )
