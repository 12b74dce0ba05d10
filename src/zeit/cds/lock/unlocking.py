"""Unlocking: the locks on a server as they are seen, and one removed because a person says so.

Between the look at a lock and its removal it may have been replaced by another one, which somebody
relies on.  FTP cannot delete a file only if it has a certain content.  So the lock gets a name of
its own first, is compared there with what was shown, and deleted under that name; another one gets
its name back.  Where the server does not rename it, it is read once more and deleted, which is
said.  A guard (see `zeit.cds.lock.lock`) needs no such care: its inner directory carries the token
of its owner, and what is not empty cannot be removed.
"""

import dataclasses
import datetime
import logging

from zeit.cds import names
from zeit.cds.errors import (
    LOST,
    UNAVAILABLE,
    ConfigurationError,
    Error,
    FileError,
    Locked,
    LockLeftBehind,
    NotTold,
    PermanentError,
    ServerError,
)
from zeit.cds.lock import holder
from zeit.cds.lock.lock_files import LockFiles
from zeit.cds.text import local_time, printable


log = logging.getLogger(__name__)

#: So much of a lock is read and compared, in bytes.
LOCK_BYTES = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundLock:
    """A lock or guard as it was seen.

    `content` is None for a directory, or what cannot be read, for the `reason` that the server
    gives; `inside` are names in a directory, None in a file; `since` an aware datetime or None.
    """

    name: str
    content: bytes | None = None
    inside: tuple | None = None
    since: datetime.datetime | None = None
    reason: str = dataclasses.field(default='', compare=False)

    @property
    def tokens(self):
        """The tokens in it, a set of str."""
        texts = (self.name, *(self.inside or ()), (self.content or b'').decode('latin-1'))
        return {names.token_of(text) for text in texts} - {''}

    @property
    def description(self):
        """Whose it is and since when, as far as can be seen, one line."""
        if self.inside is not None:
            said = f'a directory that contains: {", ".join(self.inside) or "nothing"}'
        elif self.content is None:
            said = f'it cannot be read: {self.reason}' if self.reason else 'it cannot be read'
        else:
            text = holder.said(self.content, since=self.since)
            said = f'it says: {text}' if text else 'it is empty'
        since = f' (since {local_time(self.since)})' if self.since else ''
        return printable(said) + since


def locks(session):
    """Return what is there of locks, made or announced, guards and interrupted unlockings.

    It is a list of `FoundLock`.
    """
    present = session.names()
    others = sorted(n for n in present if names.is_announced(n) or names.is_broken(n))
    wanted = [*names.LOCKS, *others, names.GUARD]
    return [found for name in wanted if (found := lock_at(session, name, present)) is not None]


def find(session):
    """Return the `locks`, looked for with care where nothing is shown.

    Raises `ConfigurationError` if nobody can tell.
    """
    return locks(session) or _locks_beside_ours(session)


def _locks_beside_ours(session):
    """Return the same where nothing is shown, beside a new file of ours: that must be shown.

    Raises `ConfigurationError` if it is not, or cannot be made: then nobody can tell.
    """
    try:
        # No journal knows the token: whoever unlocks may not be allowed to write it.
        with LockFiles(session, token=names.new_token(), left_to=': delete it by hand').in_sight():
            return locks(session)
    except (FileError, ServerError) as error:
        raise ConfigurationError(
            f'The server shows no lock, but may be hiding one: {printable(error.message)}',
            hint='Give the account the right to list the directory, and to create and delete '
            'files there.',
            exit_code=UNAVAILABLE if error.transient else None,
        ) from error


def lock_at(session, name, present):
    """Return the `FoundLock` of one name, or None; `present` is a listing, which may be cut."""
    reason = ''
    try:
        content = session.read(name, limit=LOCK_BYTES)
    except (ServerError, NotTold) as error:
        content, reason = None, error.message
    if content is None and name not in present:
        return None
    inside = None if content is not None else _inside(session, name)
    since = holder.modified(session, name)
    return FoundLock(name=name, content=content, inside=inside, since=since, reason=reason)


def _inside(session, name):
    try:
        return tuple(sorted(session.names(inside=name)))
    except ServerError as error:
        log.debug('No directory: %s: %s', printable(name), printable(error.message))
        return None


class Remover:
    """Removes over `session` what was shown; nothing else."""

    def __init__(self, session):
        self._session = session
        #: False after a lock was removed that somebody may have replaced at the last moment.
        self.exclusive = True

    def __repr__(self):
        return f'<Remover over {self._session!r}>'

    def remove(self, found):
        """Remove `found`.

        Raises `Locked` if another one is there now, `LockLeftBehind` if the server refuses.
        """
        try:
            if found.name == names.GUARD:
                self._remove_guard(found)
            else:
                self._remove_lock(found)
        except (ServerError, NotTold) as error:
            raise LockLeftBehind(
                f"'{printable(found.name)}' could not be removed: {printable(error.message)}",
                hint='Ask the operator of the server.',
            ) from error

    def _remove_guard(self, found):
        for inner in found.inside or ():
            self._remove_directory(f'{names.GUARD}/{inner}')
        self._remove_directory(names.GUARD)

    def _remove_directory(self, name):
        """Remove a directory; one that is gone is as good."""
        try:
            self._session.remove_directory(name)
        except ServerError:
            parent, _, last = name.rpartition('/')
            if parent and parent not in self._session.names():
                return
            if last not in self._session.names(inside=parent):
                return
            if not parent and self._session.names(inside=name):
                raise self._changed(name) from None
            raise

    def _remove_lock(self, found):
        apart = names.broken(found.name.partition('.')[0], token=names.new_token())
        try:
            if not self._take(found.name, apart):
                return  # its owner has removed it
        except PermanentError as error:
            log.debug('It cannot be renamed: %s', printable(error.message))
            there = lock_at(self._session, found.name, {found.name})
            if there.content is None and found.content is not None:
                raise  # it cannot be read now
            if there != found:
                raise self._changed(found.name) from error
            self._delete(found, found.name)
            self.exclusive = False
            return
        self._session.known.add(apart)
        try:
            same = self._is_the_same(found, apart)
        except BaseException:
            # What it is was not found out: it may be somebody's.
            self._session.hurry()
            self._give_back(found.name, apart)
            raise
        if not same:
            self._give_back(found.name, apart)
            raise self._changed(found.name)
        try:
            self._delete(found, apart)
        except ServerError:
            self._give_back(found.name, apart)
            raise

    def _take(self, name, apart):
        """Give the lock the name `apart`; return False if it is not there any more."""
        try:
            self._session.rename(name, apart)
            return True
        except (ServerError, *LOST):
            # An answer that was lost tells nothing; what is there does.
            if holder.is_seen(self._session, apart):
                return True
            # One that somebody has in use may have no size; it is not said to be removed.
            if not (holder.is_seen(self._session, name) or name in self._session.names()):
                return False
            raise

    def _is_the_same(self, found, apart):
        there = lock_at(self._session, apart, {apart})
        return there == dataclasses.replace(found, name=apart)

    def _delete(self, found, apart):
        if found.inside is None:
            self._session.delete(apart)
        else:
            self._session.remove_directory(apart)

    def _give_back(self, name, apart):
        """Give a lock its name back, unless there is a new one already."""
        try:
            if not self._session.exists(name):
                self._session.rename(apart, name)
                return
            reason = f"there is a new '{printable(name)}'"
        except Error as error:
            reason = error.message
        log.error(
            "Left on the server as '%s' instead of '%s': %s",
            printable(apart),
            printable(name),
            printable(reason),
        )

    def _changed(self, name):
        return Locked(
            name,
            holder='It is no longer the one that was shown, and was left alone.',
            hint='Run "zeit-cds unlock" again to see the new one.',
        )
