"""How one file gets onto a server: sent, compared, written down, given its name."""

import dataclasses
import itertools
import logging

from zeit.cds import names
from zeit.cds.errors import (
    CONFIGURATION,
    LOST,
    Error,
    NotProven,
    NotTold,
    PermanentError,
    ReplyLost,
    ServerError,
    SizeMismatch,
    SourceChanged,
    TakenAway,
    TargetExists,
    raise_signal,
)
from zeit.cds.exposed import Standing
from zeit.cds.ledger import holds
from zeit.cds.plan import Outcome
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The server does not know the command (RFC 959 section 4.2); not: it refuses this one.
UNKNOWN = (402, 500, 502)

#: What to do when a complete upload does not get its name.
CANNOT_RENAME = 'For a server that cannot rename, set temporary="no" (--no-temporary).'
CANNOT_REPLACE = (
    'Other files got their names; perhaps a directory has this one, or the server takes no such '
    'name.'
)
IN_PLACE = (
    'A file of that name is there, and the server neither replaces it nor gives it another name; '
    'perhaps somebody has it in use. The next run tries again.'
)

#: What happens when a server does not say how it ended.
AGAIN = 'The next run sends it again.'

#: An upload that has begun can end so only when the server is storing; with all other errors it may
#: not have come to STOR.
_AFTER_THE_START = (ServerError, SizeMismatch, SourceChanged)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delivery:
    """How files are stored.

    `temporary`: send under a temporary name, rename when complete.  `size_check`: without a
    matching answer to SIZE a file is not delivered.  `exists`: what to do when the server refuses
    to rename onto an existing file, 'replace' or 'park'.  `connections`: how many work at once at
    most, where that is faster.  `digest_limit`: of a longer file (bytes) no digest is computed,
    which is faster; in doubt whether it has arrived it is sent again.
    """

    temporary: bool = True
    size_check: bool = True
    exists: str = 'replace'
    connections: int = 4
    digest_limit: int = 256 * 1024 * 1024


class Courier:
    """Delivers over a session; `token` marks what it makes, `ledger` remembers what matters.

    `numbers` tell the files of one token apart; `standing` is what stands in the directory, if
    that is known already.
    """

    def __init__(self, session, delivery, *, token, ledger, numbers=None, standing=None):
        self._session = session
        self._delivery = delivery
        self._token = token
        self._ledger = ledger
        self._numbers = numbers or itertools.count(1)
        self._standing = standing or Standing(session)
        self._more = False

    def __repr__(self):
        return f'<Courier {self._token}>'

    def attempt(self, job, source, *, more=False):
        """Deliver the open `source` as `job.name`; return the `IOutcome`.

        `more` says that another file follows.
        """
        self._more = more
        try:
            with self._session.during(getattr(source, 'rate', None)):
                reply = self._deliver(job.name, source)
            return Outcome(job=job, source=source, reply=reply)
        except Error as error:
            raise_signal(error)
            error.in_doubt = job.name in self._session.late
            return Outcome(job=job, error=error)

    def _deliver(self, name, source):
        """Send, compare, rename; return the server's final word on the upload."""
        if not self._delivery.temporary:
            return self._deliver_exposed(name, source)
        temporary = names.temporary(name, token=self._token, number=next(self._numbers))
        began, noted, renaming = [], False, False
        try:
            reply = self._send(temporary, source, began=began.append, to=name)
            source.verify()
            noted = True
            self._note(name, temporary, source, reply)
            source.require_wanted()
            renaming = True
            self._publish(temporary, name, source)
        except BaseException as error:
            if isinstance(error, ServerError):
                began.append(temporary)  # some servers create it, and then refuse the command
            if renaming and self._may_be_renamed(temporary, error):
                self._session.late.add(name)
                raise  # the next run finds out, as after a kill
            if noted:
                # Before the temporary is deleted: a run after a crash takes one that is gone for
                # one that got its name.
                self._ledger.note('abandoned', name)
            self._session.litter += set(began)
            raise
        return reply

    def _may_be_renamed(self, temporary, error):
        """Return whether an upload may have got its real name before `error` came."""
        if isinstance(error, (ServerError, TakenAway, TargetExists)):
            return False
        if not isinstance(error, Error):
            self._session.hurry()
        try:
            return not self._session.exists(temporary)
        except Error as unknown:
            log.debug('Perhaps renamed: %s: %s', printable(temporary), printable(unknown.message))
            return True

    def _deliver_exposed(self, name, source):
        """The same under the real name: what stands there is written down before."""
        before, size = self._standing.look(name), source.size
        self._ledger.note('exposed', name, size=size, before=before, sequence=source.number)
        began = []
        try:
            source.require_wanted()
            reply = self._send(name, source, began=began.append)
            if not reply:
                self._require_arrived(name, source, before)
            source.verify()
        except BaseException as error:
            if began:
                self._discard(name, size=size, before=before, error=error)
            else:
                self._tidied(name)
            raise
        # What is under the real name is complete; the part of an earlier attempt was not.
        self._session.litter = [other for other in self._session.litter if other != name]
        self._session.late.discard(name)
        self._standing.sent(name, size=size)
        self._note(name, '', source, reply)
        return reply

    def _require_arrived(self, name, source, before):
        """Raise `NotProven` if an older file of the same size may stand there.

        Servers that store beside and swap when all is there have that one until then.
        """
        if before is None:
            told = name not in self._session.litter
        else:
            told = before[0] not in (None, source.size)
        if not (told or holds(self._session, name, source)):
            raise NotProven(
                'No reply says that the upload is complete, and a file of the same size was there',
                hint=AGAIN,
            )

    def _discard(self, name, *, size, before, error):
        """Delete the part under the real name, after `error`."""
        if not isinstance(error, Error):
            self._session.hurry()
        part = True
        try:
            part = isinstance(error, _AFTER_THE_START) or Standing(self._session).is_part(
                name, size=size, before=before, waits=True
            )
        except Error as unknown:
            # Rather no file than half of one: it still waits in the spool.
            log.debug('Taken for a part: %s: %s', printable(name), printable(unknown.message))
        finally:
            # Not before: whatever is litter is deleted over the next connection.
            if part:
                self._session.litter.append(name)
        if not part:
            self._tidied(name)
            return
        self._standing.spoilt(name)
        self._throw_away(name, name)

    def _note(self, name, temporary, source, reply):
        self._ledger.note(
            'uploaded' if temporary else 'placed',
            name,
            temporary=temporary,
            size=source.size,
            sha256=source.sha256,
            reply=reply,
            sequence=source.number,
            source=[*source.version],
        )

    def _send(self, name, source, *, began, to=''):
        """Send and compare; return the final word, '' without one.

        It is going to be renamed `to`, if given.
        """
        # What goes along with SIZE: see `FTPSession.compare`.  Behind RNFR there is no room for
        # OPTS UTF8, which the real name of a hash may need.
        along = self._more, bool(to) and (to.isascii() or not name.isascii())
        lost = None
        try:
            options = {'unread': source.size > self._delivery.digest_limit}
            if self._delivery.size_check:
                options['along'] = along
            sent, reply = self._session.upload(name, source, began=began, **options)
            reply = reply.text if reply else ''
        except ReplyLost as error:
            if not self._delivery.size_check:
                raise
            log.debug('%s', printable(error.message))
            sent, reply, lost = error.sent, '', error
        if sent != source.size:
            raise SizeMismatch(
                f'The file was announced with {source.size} bytes, but {sent} were read',
                hint='It changed while it was sent; the next run sends it again.',
            )
        if self._delivery.size_check:
            self._session.compare(name, sent, along=along, lost=lost)
        return reply

    def _publish(self, temporary, name, source):
        """Give a complete upload, of `source`, its real name."""
        try:
            self._rename_or_replace(
                temporary, name, arrived=lambda: holds(self._session, name, source)
            )
        except PermanentError as error:
            if error.code in UNKNOWN and not self._session.renames:
                error.exit_code = CONFIGURATION  # every other file would be sent in vain, too
            elif not self._exists(temporary, unknown=True):
                raise TakenAway(f'The upload is gone: {error.message}') from error
            if not error.hint:
                error.advise(CANNOT_REPLACE if self._session.renames else CANNOT_RENAME)
            raise

    def _rename_or_replace(self, temporary, name, *, arrived):
        try:
            self._rename_for_sure(temporary, name, arrived=arrived)
            return
        except PermanentError as error:
            there, old_size = self._standing_there(name)
            if not there:
                raise
            if self._delivery.exists == 'park':
                raise TargetExists(
                    f'The server has a file of that name already: {error.message}',
                    hint='With exists="replace" (--exists replace) it would be replaced.',
                ) from error
        # The server does not overwrite: first the old file aside, then the new one in.
        old = names.aside(name, token=self._token)
        self._ledger.note('aside', name, aside=old)
        try:
            self._move_aside(name, old, old_size)
            self._rename_for_sure(temporary, name, arrived=arrived)
        except BaseException:
            self._restore(old, name, old_size, temporary=temporary)
            raise
        self._throw_away(old, name)

    def _standing_there(self, name):
        """Return whether there is a file that can be put aside, and its size, None if not told."""
        (size,) = self._session.sizes(name)
        if not isinstance(size, ServerError):
            return size is not None, size
        # Where it tells other sizes, somebody has this file in use.
        return not self._session.tells_sizes() and self._exists(name), None

    def _has_size(self, name, size):
        return self._session.exists(name) if size is None else self._session.size(name) == size

    def _exists(self, name, *, unknown=False):
        """Return whether there is a file `name`; `unknown` if that is not told."""
        try:
            return self._session.exists(name)
        except NotTold as error:
            log.debug('%s', printable(error.message))
            return unknown

    def _move_aside(self, name, old, size):
        try:
            self._rename_for_sure(name, old, arrived=lambda: self._has_size(old, size))
        except PermanentError as error:
            if error.code not in UNKNOWN or self._session.renames:
                error.advise(IN_PLACE)
            raise

    def _throw_away(self, old, name):
        if self._session.discard(old):
            self._tidied(name)

    def _tidied(self, name):
        """Note it, unless there is something to be deleted, or may be later: the next run looks."""
        if name not in self._session.late and name not in self._session.litter:
            self._ledger.note('tidied', name)

    def _restore(self, old, name, size, *, temporary):
        """Give a file that may have been moved aside its name back.

        Not if `temporary` is gone: the new file had the name, and was taken away at once.
        """
        try:
            if not self._session.exists(old):
                self._tidied(name)
            elif not self._session.exists(name) and self._session.exists(temporary):
                self._rename_for_sure(old, name, arrived=lambda: self._has_size(name, size))
                self._session.late.discard(name)
                self._tidied(name)
            else:
                # It is replaced, only the answer was lost.
                self._ledger.note('aside', name, aside=old, replaced=True)
                self._throw_away(old, name)
        except Error as error:
            log.error(
                'On the server %s is called %s now; the next run puts it back: %s',
                printable(name),
                printable(old),
                printable(error.message),
            )

    def _rename_for_sure(self, old, new, *, arrived):
        """Rename; where no reply says whether it happened, find out.

        `arrived()` tells whether `new` is what was `old`, when that is gone.
        """
        try:
            inferred = self._session.rename(old, new, more=self._more)
        except LOST as error:
            if error.while_connecting:
                raise
            if not self._session.exists(old):
                if not arrived():
                    raise  # taken away at once, or never renamed: nothing is left to rename
                log.debug('Renamed, only the answer was lost: %s', printable(new))
                self._session.late.discard(old)
                return
            if old in self._session.late and not names.token_of(old):
                raise  # it would rename whatever has got this real name by then
            inferred = self._session.rename(old, new)
        if inferred and not arrived():
            raise NotProven(
                f'No reply says that {printable(old)} was renamed, and it is gone', hint=AGAIN
            )
