"""A session in a directory on an SFTP server, as `ISession` wants it.

Requests that are sent together are executed as if each had waited for the one before
(draft-ietf-secsh-filexfer-02, section 4.1), so those of a lock share their way.  Names of locks are
never given to anything where something has them: RENAME of version 3 refuses that, which OpenSSH
does by link(2), and OPEN with EXCL.  All other names are given by `posix-rename@openssh.com`, which
replaces what is there.
"""

import datetime
import io
import itertools
import logging
import struct

import zope.interface

from zeit.cds import names
from zeit.cds.errors import LOST, NotTold, PermanentError, ServerError
from zeit.cds.interfaces import ISession
from zeit.cds.sftp import protocol
from zeit.cds.sftp.capabilities import Abilities
from zeit.cds.sftp.directory import LIST, Directory, unless_missing
from zeit.cds.sftp.shared_connection import Link
from zeit.cds.sftp.transfers import Reading, Writing, digest_of, space
from zeit.cds.system.throttle import UNLIMITED
from zeit.cds.target import terms
from zeit.cds.target.base_session import LEAVING, BaseSession, Content, require_whole
from zeit.cds.text import printable


log = logging.getLogger(__name__)


@zope.interface.implementer(ISession)
class SFTPSession(BaseSession):
    """See `ISession`; `capabilities` are a `zeit.cds.sftp.capabilities.Capabilities`.

    Siblings share the `link`.
    """

    #: See `ISession`: so the protocol wants it.
    orderly = True

    #: See `ISession`.
    terms = terms.SFTP

    #: See `ITransfers`.
    shares = True

    def __init__(self, settings, delivery, **options):
        super().__init__(settings, delivery, **options)
        self._directory = Directory(settings, deadline=self._patience)

    # The connection

    def connect(self):
        """See `ITransfers`."""
        if self._link is not None:  # that of others
            self._ready()
            return
        self._link = self._taken() or Link(self._settings)
        try:
            connection = self._ready()
        except BaseException:
            self._link.quit()
            raise
        self._capabilities.identify(connection.server, *sorted(connection.extensions))

    def _resume(self, link, *, deadline):
        self._directory.enter(link.connection, deadline=deadline)

    def _enter(self, connection):
        self._directory.enter(connection)

    def _execute(self, function, *args, **kw):
        return function(self._ready(), *args, **kw)

    def _clean_up(self):
        connection = self._link.connection
        while untried := self._untried():
            self._tried.update(untried)
            asked = [self._directory.send(connection, protocol.REMOVE, name) for name in untried]
            try:
                answers = self._directory.answers(connection, *asked)
            except BaseException:
                self.unconfirmed.update(
                    name for name, each in zip(untried, asked, strict=True) if not each.done
                )
                raise
            for name, answer in zip(untried, answers, strict=True):
                if unless_missing(answer) is not None:
                    log.debug('Not deleted: %s: %s', printable(name), printable(answer.message))
                    continue
                self.known.discard(name)
                self.garbage.remove(name)

    # What is there

    def names(self, *, inside=''):
        """See `ISession`."""
        then = () if inside else names.LOCKS
        return set(self._query(self._directory.listing, inside, then=then))

    def facts(self):
        """See `ISession`."""
        return {
            name: (None if about.is_directory else about.size, _time(about.mtime))
            for name, about in self._query(self._directory.listing).items()
        }

    def files(self, *, wanted=None, most=None):
        """See `ISession`."""
        listed = self._query(self._directory.listing)
        found = {n: (a.size, _time(a.mtime)) for n, a in listed.items() if a.kind == 0o100000}
        unclear = sorted(n for n, a in listed.items() if a.is_link or a.kind == 0)
        found.update(itertools.islice(self._only_files(filter(wanted, unclear)), most))
        return found

    def _only_files(self, names):
        """Yield (name, facts) of each that leads to a file, as `files` has them."""
        for name in names:
            about = self._query(self._directory.stat, name)
            if isinstance(about, protocol.Attributes) and about.is_file:
                yield name, (about.size, _time(about.mtime))

    def exists(self, name):
        """See `ISession`."""
        (about,) = self._query(self._directory.lstat, [name])
        if about is None:
            return False
        if isinstance(about, ServerError):
            return name in self._listing(name, about)
        return True

    def _listing(self, name, refusal):
        """Return what a listing shows; raise `NotTold` if it does not decide on `name`."""
        present = self._query(self._directory.listing)
        if name not in present and not self.is_shown(present):
            raise NotTold(
                f'The server does not tell whether there is {printable(name)}: {refusal.message}',
                hint=LIST,
            ) from refusal
        return present

    def tells_sizes(self):
        """See `ISession`."""
        return True

    def sizes_directories(self):
        """See `ISession`."""
        return False

    def require_sizes(self):
        """See `ISession`."""

    def resting(self, name):
        """See `ISession`: times are those of all requests."""
        return {}

    def is_directory(self, name):
        """See `ISession`."""
        about = self._query(self._directory.stat, name)
        return isinstance(about, protocol.Attributes) and about.is_directory

    def sizes(self, *names, followed=False, rename_follows=''):
        """See `ISession`."""
        return [_size(about) for about in self._query(self._directory.look, names)]

    def size(self, name):
        """See `ISession`."""
        (size,) = self.sizes(name)
        if not isinstance(size, ServerError):
            return size
        present = self._listing(name, size)
        if name not in present:
            return None
        error = NotTold(f'The server does not tell the size of {printable(name)}: {size.message}')
        error.listed = True
        raise error from size

    def modified(self, name):
        """See `ISession`."""
        (about,) = self._query(self._directory.look, [name])
        if isinstance(about, ServerError):
            raise about
        return None if about is None else _time(about.mtime)

    def look(self, name):
        """See `ISession`."""
        (about,) = self._query(self._directory.look, [name])
        size = _size(about)
        if isinstance(size, ServerError):
            raise size
        return (None, None) if about is None else (size, _time(about.mtime))

    # Content

    def read(self, name, *, limit=4096):
        """See `ISession`."""
        content = io.BytesIO()
        try:
            size = self._query(self._get, name, content, limit=limit)
        except ServerError as error:
            self._require_absent(name, error)
            return None
        self.known.add(name)
        # If the connection broke, it was read twice: only the end is of the second time.
        return content.getvalue()[-size:] if size else b''

    def fetch(self, name, file, *, within=None):
        """See `ISession`."""
        try:
            return self._get(self._ready(), name, file, within=within, throttle=self._throttle)
        except ServerError as error:
            self._require_absent(name, error)
            return None

    def _require_absent(self, name, refusal):
        """Return if there is no file `name`, which the server has refused to send; else raise."""
        if self.exists(name):
            raise refusal

    def _get(self, connection, name, file, *, limit=None, within=None, throttle=UNLIMITED):
        """Write a file, or its first `limit` bytes, to `file`; return how many bytes that are."""
        opened = self._opening(connection, name, flags=protocol.FOR_READING)
        handle = self._directory.value(connection, opened)
        reading = Reading(
            connection,
            handle,
            block=connection.block,
            deadline=self._patience,
            seconds=self._settings.data_timeout,
            within=within,
            throttle=throttle,
        )
        try:
            return reading.run(file, limit=limit)
        finally:
            self._directory.close(connection, handle)

    def store(self, name, data, *, rename_follows=''):
        """See `ISession`; a lock is not made where there is one."""
        source = Content(data)
        try:
            self._put(name, source)
        except LOST as error:
            if error.while_connecting or name in names.LOCKS:
                raise
            source.seek(0)
            self._put(name, source)
        self.known.add(name)

    def upload(self, name, source, *, began=lambda name: None, rename_follows=False):
        """See `ITransfers`."""
        if source.size > self.delivery.digest_limit:
            source.skip_digest()
        sent, reply = self._put(name, source, began=began, throttle=self._throttle, lasts=True)
        require_whole(source, sent=sent)
        return reply

    def _put(self, name, source, *, began=lambda name: None, throttle=UNLIMITED, lasts=False):
        """Write what `source` reads; return (bytes, what confirms them)."""
        connection = self._ready()
        flags = protocol.FOR_WRITING | protocol.CREATE
        flags |= protocol.EXCLUSIVE if name in names.LOCKS else protocol.TRUNCATE
        opened = self._opening(connection, name, flags=flags)
        try:
            handle = self._directory.value(connection, opened)
        except ServerError:
            raise
        except BaseException:
            began(name)
            self.unconfirmed.add(name)
            raise
        began(name)
        writing = Writing(
            connection,
            handle,
            block=connection.block,
            deadline=self._patience,
            seconds=self._settings.data_timeout,
            without=self._capabilities.without,
            size_check=self.delivery.size_check,
            where=self._directory.path,
            throttle=throttle,
            lasts=lasts,
        )
        try:
            return writing.run(source)
        except LOST:
            self.unconfirmed.add(name)
            raise
        finally:
            if not writing.closing:
                self._directory.close(connection, handle)

    def _opening(self, connection, name, *, flags):
        rest = struct.pack('>II', flags, 0)
        return self._directory.send(connection, protocol.OPEN, name, rest=rest)

    # Changes

    def rename(self, old, new):
        """See `ISession`; what has a name is replaced, if the server can, but for locks."""
        self._perform_alone('RNTO', old, new)
        return False

    def _renaming(self, connection, old, new):
        replaces = new not in (*names.LOCKS, names.GUARD)
        if replaces and protocol.POSIX_RENAME in connection.extensions:
            kind, verb = protocol.POSIX_RENAME, 'posix-rename'
        else:
            kind, verb = protocol.RENAME, ''
        request = self._directory.send(connection, kind, old, new, verb=verb)
        if new == names.GUARD:  # under which comes a look
            self._directory.open_ahead(connection)
        return request

    def delete(self, name):
        """See `ISession`."""
        self._perform_alone('DELE', name)

    def make_directory(self, name):
        """See `ISession`."""
        self._perform_alone('MKD', name)

    def remove_directory(self, name):
        """See `ISession`."""
        self._perform_alone('RMD', name)

    def _perform_alone(self, *command):
        (refusal,) = self.perform(command)
        if refusal is not None:
            raise refusal

    def perform(self, *commands, followed=True, rename_follows='', trial=False):
        """See `ISession`."""
        connection = self._ready()
        known, asked = self._forget(commands), []
        try:
            for verb, *names in commands:
                asked.append(self._asked(connection, verb, names))
            self._directory.answers(connection, *(each for requests in asked for each in requests))
        except BaseException:
            for (verb, *names), requests in zip(commands, asked, strict=False):
                if verb in LEAVING and not requests[0].done:
                    self.unconfirmed.add(names[0])
            raise
        return [
            self._became(command, requests, known)
            for command, requests in zip(commands, asked, strict=True)
        ]

    def _asked(self, connection, verb, names):
        if verb == 'SIZE':
            return [self._directory.send(connection, protocol.LSTAT, name) for name in names]
        if verb == 'RNTO':
            return [self._renaming(connection, *names)]
        if verb == 'MKD':
            rest = struct.pack('>I', 0)
            return [self._directory.send(connection, protocol.MKDIR, *names, rest=rest)]
        kinds = {'RMD': protocol.RMDIR, 'DELE': protocol.REMOVE}
        return [self._directory.send(connection, kinds[verb], *names)]

    def _became(self, command, requests, known):
        verb, *names = command
        if verb == 'SIZE':
            return [_size(unless_missing(request.answer)) for request in requests]
        return self._remember(command, requests[0].answer, known=known)

    # For who looks at the server itself

    @property
    def connection(self):
        """The present `Connection`."""
        return self._ready()

    def space(self):
        """Return the `protocol.Space` of the directory.  Raises `ServerError` if none is told."""
        return space(self._ready(), self._directory.path, deadline=self._patience)

    def abilities(self):
        """Return the `Abilities` of the server."""
        connection = self._ready()
        extensions = connection.extensions
        try:
            room = self.space() if protocol.STATVFS in extensions else None
        except ServerError as error:
            log.debug('No room is told: %s', printable(error.message))
            room = None
        return Abilities(
            version=connection.server,
            cipher=connection.cipher,
            replaces=protocol.POSIX_RENAME in extensions,
            syncs=protocol.FSYNC in extensions,
            digest=digest_of(extensions),
            space=room,
        )


def _size(about):
    """Return the length of a file by its `Attributes`, None for None, or the error."""
    if about is None or isinstance(about, ServerError):
        return about
    if about.is_directory:
        return PermanentError(protocol.FAILURE, 'It is a directory')
    if about.size is None:
        return PermanentError(protocol.FAILURE, 'The server tells no size')
    return about.size


def _time(seconds):
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)
