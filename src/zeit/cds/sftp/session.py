"""A session in a directory on an SFTP server, as `ISession` wants it.

What FTP cannot say, SFTP says: `NO_SUCH_FILE` is an answer about a file, not about whether somebody
may look.  So that proves that there is none.  Requests that are sent together are executed as if
each had waited for the one before (draft-ietf-secsh-filexfer-02, section 4.1), so those of a lock
share their way.  Names of locks are never given to anything where something has them: RENAME of
version 3 refuses that, which OpenSSH does by link(2), and OPEN with EXCL.  All other names are
given by `posix-rename@openssh.com`, which replaces what is there.
"""

import collections
import contextlib
import datetime
import io
import logging
import struct
from typing import NamedTuple

import zope.interface

from zeit.cds import digests, names
from zeit.cds.errors import (
    LOST,
    ConfigurationError,
    Error,
    ListingTooLong,
    NameRefused,
    NotTold,
    PermanentError,
    RemoteProtocolError,
    ServerError,
    SizeMismatch,
)
from zeit.cds.interfaces import ISession
from zeit.cds.network.deadline import Deadline, unanswered
from zeit.cds.sftp import protocol
from zeit.cds.sftp.connection import BLOCK
from zeit.cds.sftp.link import Link
from zeit.cds.sftp.protocol import string
from zeit.cds.sftp.transfers import LARGEST, Reading, Writing, digest_of, space
from zeit.cds.system.throttle import UNLIMITED
from zeit.cds.target.name_probe import Spelling
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: After an interruption there are so many seconds to clean up.
HURRY = 8

#: A connection that was kept is replaced if it does not answer within so many seconds.
SOON = 5

#: So many requests for entries of a long directory are on their way.
LISTING = 8

#: Most entries of a directory that are taken.
MAX_ENTRIES = 125_000

#: So many answers about a directory may bring no new name: a file that gets another name meanwhile
#: is listed twice, but not for ever.
STALE = 100


class Abilities(NamedTuple):
    """What an SFTP server is, and can do; for who looks at the server itself.

    `version` and `cipher` are words of SSH.  `replaces`: it renames onto what is there.  `syncs`:
    it says when a file is on its disk.  `digest`: what it computes of a file, or ''.  `space` is
    what its disk has left, or None.
    """

    version: str
    cipher: str
    replaces: bool
    syncs: bool
    digest: str
    space: protocol.Space | None


class Known:
    """What was found out about the server, shared by all sessions of a run.

    `learned` is what an earlier one has found out, as `learned` told it.  `files` are those that
    are there for sure; `spelled` and `stuck`: see `zeit.cds.target.name_probe`; `without`: names of
    extensions that the server has, and refuses.
    """

    def __init__(self, learned=()):
        learned = dict(learned)
        self._server = learned.get('server', '')
        self.files = set()
        self.renames = False
        self._set(learned.get('facts', {}))

    def __repr__(self):
        return f'<Known: {self.learned}>'

    def _set(self, facts):
        self.spelled = [*facts.get('spelled', ())]
        self.stuck = [*facts.get('stuck', ())]
        self.without = {*facts.get('without', ())}

    def described(self, *words):
        """Take note of what the server says of itself; what another one has shown is forgotten."""
        server = digests.sha256(repr(words).encode()).hexdigest()
        if self._server not in ('', server):
            log.debug('The server was changed, or is another one')
            self._set({})
        self._server = server

    @property
    def learned(self):
        """See `ISession`."""
        found = {'spelled': self.spelled, 'stuck': self.stuck, 'without': sorted(self.without)}
        facts = {name: value for name, value in found.items() if value}
        return {'server': self._server, 'facts': facts, 'once': []} if facts else {}


@zope.interface.implementer(ISession)
class SFTPSession:
    """See `ISession`; siblings share the `link`, and what is `known`.

    `throttle` is for the files; what is needed for a lock is little, and waits for none of them.
    """

    def __init__(
        self,
        settings,
        delivery,
        *,
        throttle=UNLIMITED,
        link=None,
        known=None,
        deadline=None,
        kept=None,
    ):
        self._settings = settings
        self.delivery = delivery
        self._throttle = throttle
        self._kept = kept
        self._link = link
        self._is_sibling = link is not None
        self._known = known or Known()
        self._deadline = Deadline(outer=deadline)
        self._patience = Deadline(outer=self._deadline)
        self._base = _base(settings)
        self._hurries = False
        self._tried = set()
        self._ahead = {}
        self.free = True
        self.garbage = []
        self.unconfirmed = set()

    def __repr__(self):
        return f'<SFTPSession {self._link}, {len(self.garbage)} to be deleted>'

    @property
    def connections(self):
        """See `ISession`."""
        return self._link.made

    @property
    def known(self):
        """See `ISession`."""
        return self._known.files

    @property
    def learned(self):
        """See `ISession`."""
        return self._known.learned

    @property
    def renames(self):
        """See `ISession`; a refusal is about that name only then."""
        return self._known.renames

    #: See `ISession`: so the protocol wants it.
    orderly = True

    @property
    def connection(self):
        """The present `Connection`, for who looks at the server itself."""
        return self._ready()

    # The connection

    def connect(self):
        """See `ITransfers`."""
        if self._is_sibling:
            self._ready()
            return
        self._link = self._taken() or Link(self._settings)
        try:
            connection = self._ready()
        except BaseException:
            self._link.quit()
            raise
        self._known.described(connection.server, *sorted(connection.extensions))

    def _taken(self):
        """Return the link that was kept, if the server still answers over it; or None."""
        link = self._kept and self._kept.take(self._settings)
        if not link:
            return None
        soon = Deadline(outer=self._patience)
        soon.restart(SOON)
        try:
            self._entered(link.connection, deadline=soon)
            return link
        except Error as error:
            # That says nothing about the server: a NAT may have forgotten it.
            log.debug('The connection that was kept is of no use: %s', printable(error.message))
            link.quit()
            return None
        except BaseException:
            link.quit()
            raise

    def enter(self):
        """See `ITransfers`."""
        self._ready()

    def _ready(self):
        made = self._link.made
        connection = self._link.ready(deadline=self._patience, enter=self._entered)
        if self._link.made != made:
            self._tried.clear()
            self._clean_up(connection)
        return connection

    def _entered(self, connection, *, deadline=None):
        """Look whether the directory is there, and how much the server takes at once."""
        asked = [connection.send(protocol.STAT, string(self._where), shown='STAT of the directory')]
        if protocol.LIMITS in connection.extensions:
            asked.append(connection.send(protocol.LIMITS, shown='limits'))
        # What comes next is a listing, in nearly all cases.
        opened = connection.send(protocol.OPENDIR, string(self._where), shown='OPENDIR')
        self._ahead = {'directory': (connection, connection.sent, opened)}
        about, *limits = connection.answers(*asked, deadline=deadline or self._patience)
        if isinstance(about, ServerError) or not (about.is_directory or about.kind == 0):
            why = about.message if isinstance(about, ServerError) else 'it is no directory'
            raise ConfigurationError(
                f'The directory {printable(self._settings.directory)} cannot be used: '
                f'{printable(why)}',
                hint='Check the directory; with a chroot it is below that. ~/in is below the home '
                'directory of the account.',
            )
        if limits and isinstance(limits[0], bytes) and len(limits[0]) >= 24:
            _, reading, writing = struct.unpack_from('>QQQ', limits[0])
            # The block of a packet that is not said may be of any size.
            connection.block = max(BLOCK, min(reading or LARGEST, writing or LARGEST, LARGEST))

    def _query(self, method, *args, **kw):
        """Do what changes nothing; once more if the connection broke."""
        try:
            return method(self._ready(), *args, **kw)
        except LOST as error:
            if error.while_connecting:
                raise
            log.debug('Once more over a new connection: %s', printable(error.message))
            return method(self._ready(), *args, **kw)

    def _answers(self, connection, *requests, **options):
        return connection.answers(*requests, deadline=self._patience, **options)

    def _value(self, connection, request, **options):
        (answer,) = self._answers(connection, request, **options)
        if isinstance(answer, Error):
            raise answer
        return answer

    def _path(self, name):
        """Return the path of what has this name in the directory, as bytes."""
        try:
            encoded = name.encode(self._settings.encoding, 'surrogateescape')
        except UnicodeEncodeError:
            raise NameRefused(
                f'The name cannot be written in {self._settings.encoding}',
                hint='Set the encoding that the server has its names in: encoding (--encoding).',
            ) from None
        if b'\0' in encoded or any(part in (b'', b'.', b'..') for part in encoded.split(b'/')):
            raise NameRefused('This is no name of a file')
        return b'/'.join([self._base.rstrip(b'/'), encoded]) if self._base else encoded

    @property
    def _where(self):
        """The path of the directory, as bytes."""
        return self._base or b'.'

    def _send(self, connection, kind, *names, verb='', rest=b''):
        """Send a request about names in the directory."""
        payload = b''.join(string(self._path(name)) for name in names)
        shown = ' '.join([verb or protocol.VERBS[kind], *names])
        return connection.send(kind, payload, rest, shown=shown)

    # What is there

    def names(self, *, inside=''):
        """See `ISession`."""
        return set(self._query(self._list, inside, then=() if inside else names.LOCKS))

    def facts(self):
        """See `ISession`."""
        return {
            name: (None if about.is_directory else about.size, _time(about.mtime))
            for name, about in self._query(self._list).items()
        }

    def files(self, *, wanted=None, most=None):
        """See `ISession`."""
        listed = self._query(self._list)
        found = {n: (a.size, _time(a.mtime)) for n, a in listed.items() if a.kind == 0o100000}
        unclear = [n for n, a in sorted(listed.items()) if a.is_link or a.kind == 0]
        for name in [n for n in unclear if wanted is None or wanted(n)][:most]:
            about = self._query(self._about, name)
            if isinstance(about, protocol.Attributes) and about.is_file:
                found[name] = about.size, _time(about.mtime)
        return found

    def _list(self, connection, inside='', *, then=()):
        """Return the `Attributes` of all names in the directory, or `inside` of it.

        `then` are names of which `sizes` is likely to be asked next: that is asked for behind the
        listing.  If that is a short one, nothing has to be waited for.
        """
        handle = self._value(connection, self._opened(connection, inside))
        found, asked, most, entries, stale = {}, collections.deque(), 2, 0, 0
        behind, answers = [], 0
        try:
            while True:
                while len(asked) < most:
                    asked.append(connection.send(protocol.READDIR, string(handle), shown='READDIR'))
                if then and not behind:
                    behind = [self._send(connection, protocol.LSTAT, name) for name in then]
                answer = self._value(connection, asked.popleft())
                if answer is protocol.EOF:
                    if answers < 2:  # all of it was asked for before `then`
                        self._ahead[then] = connection, connection.sent + 1, behind
                    return found
                most = LISTING if answers else most  # a short one has come in the first answer
                answers += 1
                known, entries = len(found), entries + len(answer)
                if entries > MAX_ENTRIES:
                    raise ListingTooLong(
                        f'The directory has more than {MAX_ENTRIES} entries',
                        hint='Let the partner remove what is not needed any more.',
                    )
                for name, about in answer:
                    self._take(found, name, about)
                stale = stale + 1 if len(found) == known else 0
                if not answer or stale > STALE:
                    raise RemoteProtocolError('The server lists nothing new, and does not end')
        finally:
            self._close(connection, handle)

    def _opened(self, connection, inside):
        """Return the request that opens a directory."""
        if not inside:
            opened = self._take_ahead(connection, 'directory')
            return opened or connection.send(protocol.OPENDIR, string(self._where), shown='OPENDIR')
        path = string(self._path(inside))
        return connection.send(protocol.OPENDIR, path, shown=f'OPENDIR {inside}')

    def _take_ahead(self, connection, key):
        """Return what was asked for ahead, if nothing was asked over this connection since."""
        of, sent, found = self._ahead.pop(key, (None, 0, None))
        return found if of is connection and sent == connection.sent else None

    def _take(self, found, name, about):
        if name in (b'.', b'..'):
            return
        if not name or b'/' in name or b'\0' in name:
            log.warning('Left out, as no file can have this name: %s', printable(repr(name)))
            return
        found[name.decode(self._settings.encoding, 'surrogateescape')] = about

    def _close(self, connection, handle):
        """Give a handle back, and wait for nothing."""
        if connection.usable:
            with contextlib.suppress(*LOST):
                connection.send(protocol.CLOSE, string(handle), shown='CLOSE')

    def exists(self, name):
        """See `ISession`."""
        (about,) = self._query(self._stats, [name])
        if about is None:
            return False
        if isinstance(about, ServerError):
            return name in self._listing(name, about)
        return True

    def _listing(self, name, refusal):
        """Return what a listing shows; raise `NotTold` if it does not decide on `name`."""
        present = self._query(self._list)
        if name not in present and not self.is_shown(present):
            raise NotTold(
                f'The server does not tell whether there is {printable(name)}: {refusal.message}',
                hint='Give the account the right to list the directory.',
            ) from refusal
        return present

    def is_shown(self, present):
        """See `ISession`."""
        return not self.known.isdisjoint(present)

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
        about = self._query(self._about, name)
        return isinstance(about, protocol.Attributes) and about.is_directory

    def _stats(self, connection, names, kind=protocol.LSTAT):
        """Return the `Attributes` of each, None where there is nothing, or the error."""
        asked = [self._send(connection, kind, name) for name in names]
        return [_or_none(answer) for answer in self._answers(connection, *asked)]

    def _about(self, connection, name):
        """Return the `Attributes` of what a name leads to, None if it is nothing, or the error."""
        (about,) = self._stats(connection, [name], protocol.STAT)
        return about

    def sizes(self, *names, followed=False, rename_follows=''):
        """See `ISession`."""
        return [_size(about) for about in self._query(self._followed, names)]

    def _followed(self, connection, names):
        asked = self._take_ahead(connection, tuple(names))
        if asked:
            found = [_or_none(answer) for answer in self._answers(connection, *asked)]
        else:
            found = self._stats(connection, names)
        return [
            self._about(connection, name) or _dangling()
            if isinstance(about, protocol.Attributes) and about.is_link
            else about
            for name, about in zip(names, found, strict=True)
        ]

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
        (about,) = self._query(self._followed, [name])
        if isinstance(about, ServerError):
            raise about
        return None if about is None else _time(about.mtime)

    def look(self, name):
        """See `ISession`."""
        (about,) = self._query(self._followed, [name])
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
        flags = struct.pack('>II', protocol.FOR_READING, 0)
        handle = self._value(connection, self._send(connection, protocol.OPEN, name, rest=flags))
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
            self._close(connection, handle)

    def store(self, name, data, *, rename_follows=''):
        """See `ISession`; a lock is not made where there is one."""
        source = _Content(data)
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
        if sent != source.size:
            raise SizeMismatch(
                f'The file was announced with {source.size} bytes, but {sent} were read',
                hint='It changed while it was sent; the next run sends it again.',
            )
        return reply

    def _put(self, name, source, *, began=lambda name: None, throttle=UNLIMITED, lasts=False):
        """Write what `source` reads; return (bytes, what confirms them)."""
        connection = self._ready()
        flags = protocol.FOR_WRITING | protocol.CREATE
        flags |= protocol.EXCLUSIVE if name in names.LOCKS else protocol.TRUNCATE
        opened = self._send(connection, protocol.OPEN, name, rest=struct.pack('>II', flags, 0))
        try:
            handle = self._value(connection, opened)
        except BaseException as error:
            if not isinstance(error, ServerError):
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
            without=self._known.without,
            size_check=self.delivery.size_check,
            where=self._where,
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
                self._close(connection, handle)

    def space(self):
        """Return the `protocol.Space` of the directory.  Raises `ServerError` if none is told."""
        return space(self._ready(), self._where, deadline=self._patience)

    # Changes

    def rename(self, old, new):
        """See `ISession`; what has a name is replaced, if the server can, but for locks."""
        connection = self._ready()
        known = old in self.known
        self.known.discard(old)
        request = self._renaming(connection, old, new)
        try:
            self._value(connection, request)
        except ServerError:
            if known:
                self.known.add(old)
            raise
        except BaseException:
            self.unconfirmed.add(old)
            raise
        self._renamed(new, known=known)
        return False

    def _renamed(self, new, *, known):
        self._known.renames = True
        if known:
            self.known.add(new)

    def _renaming(self, connection, old, new):
        replaces = new not in (*names.LOCKS, names.GUARD)
        if replaces and protocol.POSIX_RENAME in connection.extensions:
            return self._send(connection, protocol.POSIX_RENAME, old, new, verb='posix-rename')
        return self._send(connection, protocol.RENAME, old, new)

    def delete(self, name):
        """See `ISession`."""
        connection = self._ready()
        known = name in self.known
        self.known.discard(name)
        request = self._send(connection, protocol.REMOVE, name)
        try:
            self._value(connection, request)
        except ServerError:
            if known:
                self.known.add(name)
            raise
        except BaseException:
            self.unconfirmed.add(name)
            raise

    def make_directory(self, name):
        """See `ISession`."""
        connection = self._ready()
        self._value(connection, self._making(connection, name))

    def _making(self, connection, name):
        return self._send(connection, protocol.MKDIR, name, rest=struct.pack('>I', 0))

    def remove_directory(self, name):
        """See `ISession`."""
        connection = self._ready()
        self._value(connection, self._send(connection, protocol.RMDIR, name))

    def perform(self, *commands, followed=True, rename_follows='', trial=False):
        """See `ISession`."""
        connection = self._ready()
        known = {command[1] for command in commands if command[1] in self.known}
        asked = []
        try:
            for verb, *names in commands:
                if verb in ('RNTO', 'DELE'):
                    self.known.discard(names[0])
                asked.append(self._asked(connection, verb, names))
            self._answers(connection, *(each for requests in asked for each in requests))
        except BaseException:
            for (verb, *names), requests in zip(commands, asked, strict=False):
                if verb in ('RNTO', 'DELE') and not requests[0].done:
                    self.unconfirmed.add(names[0])
            raise
        return [
            self._became(command, requests, known)
            for command, requests in zip(commands, asked, strict=True)
        ]

    def _asked(self, connection, verb, names):
        if verb == 'SIZE':
            return [self._send(connection, protocol.LSTAT, name) for name in names]
        if verb == 'RNTO':
            return [self._renaming(connection, *names)]
        if verb == 'MKD':
            return [self._making(connection, *names)]
        kinds = {'RMD': protocol.RMDIR, 'DELE': protocol.REMOVE}
        return [self._send(connection, kinds[verb], *names)]

    def _became(self, command, requests, known):
        verb, *names = command
        if verb == 'SIZE':
            return [_size(_or_none(request.answer)) for request in requests]
        refusal = requests[0].answer
        if verb == 'RNTO' and refusal is None:
            self._renamed(names[1], known=names[0] in known)
        elif verb in ('RNTO', 'DELE') and refusal is not None and names[0] in known:
            self.known.add(names[0])
        return refusal

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

    def misspelt(self, names, *, token):
        """See `ISession`."""
        return Spelling(self, capabilities=self._known, token=token).refused(names)

    # Uploads and downloads

    @contextlib.contextmanager
    def at_work(self):
        """See `ITransfers`."""
        try:
            yield
        except (Error, GeneratorExit):
            raise
        except BaseException:
            self.hurry()
            raise
        finally:
            self.delete_garbage()

    @contextlib.contextmanager
    def during(self, transfer, *, followed=False):
        """See `ITransfers`."""
        with self._patience.during(transfer):
            yield

    def sibling(self):
        """See `ITransfers`: another session over the same connection."""
        return SFTPSession(
            self._settings,
            self.delivery,
            link=self._link,
            known=self._known,
            deadline=self._deadline,
            throttle=self._throttle,
        )

    def delete_garbage(self):
        """Delete our garbage if that is possible; a failure here is none of a file."""
        try:
            if self.garbage:
                self._tried.clear()
                self._clean_up(self._ready())
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))

    def _clean_up(self, connection):
        """Try once to delete each name in `garbage`: what stays must not stand in the way."""
        while untried := [name for name in self.garbage if name not in self._tried]:
            self._tried.update(untried)
            asked = [self._send(connection, protocol.REMOVE, name) for name in untried]
            try:
                answers = self._answers(connection, *asked)
            except BaseException:
                self.unconfirmed.update(
                    name for name, each in zip(untried, asked, strict=True) if not each.done
                )
                raise
            for name, answer in zip(untried, answers, strict=True):
                if isinstance(answer, ServerError) and answer.code != protocol.NO_SUCH_FILE:
                    log.debug('Not deleted: %s: %s', printable(name), printable(answer.message))
                    continue
                self.known.discard(name)
                self.garbage.remove(name)

    def dispose_of(self, name):
        """See `ITransfers`."""
        if name not in self.garbage:
            self.garbage.append(name)
        self._tried.discard(name)
        try:
            self._clean_up(self._ready())
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))
        return name not in self.garbage

    # The end

    def bound(self, seconds, *, ends=False):
        """See `ISession`."""
        if self._hurries:
            return
        if ends:
            self._deadline.restart(seconds, passed=unanswered(seconds))
        else:
            self._deadline.restart(seconds, span=seconds)

    def hurry(self):
        """See `ITransfers`."""
        self.bound(HURRY, ends=True)
        self._hurries = True

    def leave(self):
        """See `ITransfers`; the connection is that of others."""
        self.delete_garbage()

    def reconnect(self):
        """See `ISession`."""
        self._link.reconnect()

    def close(self):
        """See `ISession`."""
        self.bound(HURRY, ends=True)
        self.delete_garbage()
        for name in self.garbage:
            log.warning('Left on the server, for the next run to delete: %s', printable(name))
        unsure = self._hurries or self.garbage or self.unconfirmed
        if self._kept is not None and not unsure and self._link.is_reusable():
            self._kept.put(self._link, self._settings)
        else:
            self._link.quit()


class _Content(io.BytesIO):
    """What is stored, as an upload wants it."""

    @property
    def size(self):
        """The number of bytes."""
        return self.getbuffer().nbytes


def _base(settings):
    """Return the path of the directory, b'' for the home directory."""
    path = settings.directory
    home = path == '~' or path.startswith(('~/', '/~/')) or path == '/~'
    if home:
        path = path.lstrip('/')[1:].lstrip('/')
    segments = [each for each in path.split('/') if each not in ('', '.')]
    text = '/'.join(segments) if home else '/' + '/'.join(segments)
    return text.encode(settings.encoding)


def _or_none(answer):
    """Return None for the answer that there is no such file, else the answer."""
    if isinstance(answer, ServerError) and answer.code == protocol.NO_SUCH_FILE:
        return None
    return answer


def _size(about):
    """Return the length of a file by its `Attributes`, None for None, or the error."""
    if about is None or isinstance(about, ServerError):
        return about
    if about.is_directory:
        return PermanentError(protocol.FAILURE, 'It is a directory')
    if about.size is None:
        return PermanentError(protocol.FAILURE, 'The server tells no size')
    return about.size


def _dangling():
    return PermanentError(protocol.FAILURE, 'It is a link that leads nowhere')


def _time(seconds):
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)
