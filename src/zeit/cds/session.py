"""The work in a directory on an FTP server during one run, as `ISession` wants it."""

import dataclasses
import io
import logging

import zope.interface

from zeit.cds import names
from zeit.cds.errors import (
    ConnectionLost,
    DataConnectionRefused,
    Error,
    PermanentError,
    RemoteProtocolError,
    ReplyLost,
    ServerError,
    ServiceClosing,
    SizeMismatch,
    TargetExists,
)
from zeit.cds.ftp.transfers import TransferConnection
from zeit.cds.interfaces import ISession
from zeit.cds.plan import Outcome
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: After one of these the connection is gone, and nothing is known about the command's effect.
_LOST = (ConnectionLost, RemoteProtocolError, ServiceClosing)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delivery:
    """How files are stored.

    `temporary`: send under a temporary name, rename when complete.  `size_check`: without a
    matching answer to SIZE a file is not delivered.  `exists`: what to do when the server refuses
    to rename onto an existing file, 'replace' or 'park'.
    """

    temporary: bool = True
    size_check: bool = True
    exists: str = 'replace'


@zope.interface.implementer(ISession)
class FTPSession:
    """See `ISession`."""

    def __init__(self, settings, delivery):
        self._settings = settings
        self._delivery = delivery
        self._token = names.new_token()
        self._number = 0
        self._epsv = self._mlsd = True
        self._connection = None
        self._inside = False
        #: Names on the server that are ours and no use any more, to be deleted when possible.
        self._litter = []

    def __repr__(self):
        return f'<FTPSession {self._token}, {self._connection}>'

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
        if not self._connection.usable:
            log.debug('Connecting again')
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

    def _sweep(self):
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
        except _LOST as error:
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
        finally:
            self._epsv = self._epsv and connection.epsv
            self._mlsd = connection.mlsd

    def refresh(self):
        """See `ISession`."""
        self._connection.drop()

    def close(self):
        """See `ISession`."""
        self._sweep()
        for name in self._litter:
            log.warning('Left behind on the server, to be deleted by hand: %s', printable(name))
        self._connection.quit()

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
        began = []
        try:
            sent, _ = self._call('upload', name, io.BytesIO(data), began=began.append)
            if self._delivery.size_check:
                self._compare(name, sent)
        except BaseException:
            self._litter += began
            raise

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
                    yield self._attempt(job, source)
        finally:
            self._sweep()

    def _attempt(self, job, source):
        try:
            return Outcome(job=job, source=source, reply=self._deliver(job.name, source))
        except Error as error:
            return Outcome(job=job, error=error)

    def _deliver(self, name, source):
        """Send, compare, rename; return the server's final word on the upload."""
        remote = name
        if self._delivery.temporary:
            self._number += 1
            remote = names.temporary(name, token=self._token, number=self._number)
        began = []
        try:
            reply = self._send(remote, source, began=began.append)
            source.verify()
            if remote != name:
                self._publish(remote, name, source.size)
        except BaseException:
            self._litter += began
            raise
        return reply

    def _send(self, name, source, *, began):
        try:
            sent, reply = self._call('upload', name, source, began=began)
            reply = reply.text
        except ReplyLost as error:
            if not self._delivery.size_check:
                raise
            log.debug('%s', printable(error.message))
            sent, reply = error.sent, ''
        if sent != source.size:
            raise SizeMismatch(
                f'The file was announced with {source.size} bytes, but {sent} were read',
                hint='It changed while it was sent; the next run sends it again.',
            )
        if self._delivery.size_check:
            self._compare(name, sent)
        return reply

    def _compare(self, name, sent):
        try:
            size = self.size(name)
        except ServerError as error:
            if isinstance(error, ServiceClosing):
                raise
            raise SizeMismatch(
                f'The server does not tell the size of the file: {error.message}',
                hint='If it never does, size_check="no" trusts its final reply alone.',
            ) from error
        if size != sent:
            there = 'no file' if size is None else f'{size} bytes'
            raise SizeMismatch(
                f'{sent} bytes were sent, but the server has {there}',
                hint='The incomplete file is not used; the next run sends it again.',
            )

    def _publish(self, temporary, name, size):
        """Give a complete upload its real name."""
        try:
            self._rename_for_sure(temporary, name, size)
            return
        except PermanentError as error:
            if self.size(name) is None:
                error.hint = 'For a server that cannot rename, set temporary="no".'
                error.add_note(error.hint)
                raise
            if self._delivery.exists == 'park':
                raise TargetExists(
                    f'The server has a file of that name already: {error.message}',
                    hint='With exists="replace" it would be replaced.',
                ) from error
        # The server does not overwrite: first the old file aside, then the new one in.
        old = names.aside(name, token=self._token)
        self._call('rename', name, old)
        try:
            self._rename_for_sure(temporary, name, size)
        except BaseException:
            self._call('rename', old, name)
            raise
        self._litter.append(old)
        self._sweep()

    def _rename_for_sure(self, temporary, name, size):
        """Rename; where the answer is lost, find out whether it happened."""
        try:
            self._call('rename', temporary, name)
        except _LOST as error:
            if error.while_connecting:
                raise
            if self.size(temporary) is None and self.size(name) == size:
                log.debug('Renamed, only the answer was lost: %s', printable(name))
                return
            self._call('rename', temporary, name)
