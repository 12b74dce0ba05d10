"""The work in a directory on an FTP server during one run, as `ISession` wants it."""

import io
import logging

import zope.interface

from zeit.cds.delivery import LOST, Sender
from zeit.cds.errors import DataConnectionRefused, Error, ServerError
from zeit.cds.ftp.transfers import TransferConnection
from zeit.cds.interfaces import ISession
from zeit.cds.plan import Outcome
from zeit.cds.text import printable


log = logging.getLogger(__name__)


@zope.interface.implementer(ISession)
class FTPSession:
    """See `ISession`."""

    def __init__(self, settings, delivery):
        self._settings = settings
        self._sender = Sender(self, delivery)
        self._epsv = self._mlsd = True
        self._connection = None
        self._inside = False
        self._litter = []

    def __repr__(self):
        return f'<FTPSession {self._connection}>'

    # Connections

    def connect(self):
        """Make the first connection; the directory is entered by the first command."""
        self._connection = self._new_connection()

    def _new_connection(self):
        connection = TransferConnection(self._settings, epsv=self._epsv, mlsd=self._mlsd)
        connection.open()
        self._inside = False
        return connection

    def _ready(self):
        """Return a connection that is usable and in the directory."""
        if not self._connection.is_quiet():
            log.debug('Connecting again')
            self._connection.drop()
            self._connection = self._new_connection()
        if not self._inside:
            self._connection.enter_directory()
            self._inside = True
            self._clean_up()
        return self._connection

    def _clean_up(self):
        while self._litter:
            name = self._litter[-1]
            try:
                self._connection.command('DELE', name)
            except ServerError as error:
                if not self._connection.usable or self._connection.size(name) is not None:
                    raise
                log.debug('%s is not there any more: %s', printable(name), printable(error.message))
            self._litter.pop()

    def sweep(self):
        """Delete our litter if that is possible; a failure here changes no delivery."""
        try:
            if self._litter:
                self._ready()
                self._clean_up()
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))

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
        connection = self._ready()
        try:
            return getattr(connection, method)(*args, **kw)
        except DataConnectionRefused:
            self._epsv = False  # a firewall that does not know EPSV may know PASV
            raise
        except LOST:
            connection.drop()  # also where its replies were in order, and made no sense
            raise
        finally:
            self._epsv = self._epsv and connection.epsv
            self._mlsd = connection.mlsd

    def refresh(self):
        """See `ISession`."""
        self._connection.drop()

    def close(self):
        """See `ISession`."""
        self.sweep()
        for name in self._litter:
            log.warning('Left behind on the server, to be deleted by hand: %s', printable(name))
        self._connection.quit()

    # For deliveries

    def upload(self, name, source, *, began):
        """Send a file; see `TransferConnection.upload`."""
        return self._call('upload', name, source, began=began)

    def discard(self, name):
        """Delete this file, which is ours and of no use any more, when that is possible."""
        self._litter.append(name)

    # Single operations

    def names(self):
        """See `ISession`."""
        return self._ask('list_names')

    def size(self, name):
        """See `ISession`."""
        return self._ask('size', name)

    def modified(self, name):
        """See `ISession`."""
        return self._ask('modified', name)

    def read(self, name, *, limit=4096):
        """See `ISession`."""
        return self._ask('read', name, limit=limit)

    def fetch(self, name, file):
        """See `ISession`."""
        return self._call('download', name, file)

    def store(self, name, data):
        """See `ISession`."""
        self._sender.store(name, io.BytesIO(data))

    def rename(self, old, new):
        """See `ISession`."""
        self._call('rename', old, new)

    def delete(self, name):
        """See `ISession`."""
        self._call('command', 'DELE', name)

    def make_directory(self, name):
        """See `ISession`."""
        self._call('command', 'MKD', name)

    def remove_directory(self, name):
        """See `ISession`."""
        self._call('command', 'RMD', name)

    # Deliveries

    def run(self, plan):
        """See `ISession`."""
        try:
            while (job := plan.next()) is not None:
                try:
                    source = job.open()
                except Error as error:
                    yield Outcome(job=job, error=error)
                    continue
                with source:
                    yield self._sender.attempt(job, source)
        finally:
            self.sweep()
