"""What `zeit-cds unlock` does: a lock that nobody will remove any more, removed by a person.

Between the look at a lock and its removal it may have been replaced by another one, which somebody
relies on.  FTP cannot delete a file only if it has a certain content.  So the lock gets a name of
its own first, is compared there with what was shown, and deleted under that name; another one gets
its name back.  Where the server does not rename it, it is read once more and deleted, which is
said.  A guard (see `zeit.cds.lock`) needs no such care: its inner directory carries the token of
its owner, and what is not empty cannot be removed.
"""

import dataclasses
import datetime
import logging

from zeit.cds import errors, holder, journal, names
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
    UsageError,
)
from zeit.cds.lockfiles import LockFiles
from zeit.cds.text import local_time, printable
from zeit.cds.usable import require_usable


log = logging.getLogger(__name__)

#: So much of a lock is read and compared, in bytes.
LIMIT = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
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
            said = f'a directory, in it: {", ".join(self.inside) or "nothing"}'
        elif self.content is None:
            said = f'it cannot be read: {self.reason}' if self.reason else 'it cannot be read'
        else:
            text = holder.said(self.content, since=self.since)
            said = f'it says: {text}' if text else 'it is empty'
        since = f' (since {local_time(self.since)})' if self.since else ''
        return printable(said) + since


def look(session):
    """Return what is there of locks, made or announced, guards and interrupted unlockings.

    It is a list of `Found`.
    """
    present = session.names()
    others = sorted(n for n in present if names.is_announced(n) or names.is_broken(n))
    wanted = [*names.LOCKS, *others, names.GUARD]
    return [found for name in wanted if (found := look_at(session, name, present)) is not None]


def _look_beside_ours(session):
    """Return the same where nothing is shown, beside a new file of ours: that must be shown.

    Raises `ConfigurationError` if it is not, or cannot be made: then nobody can tell.
    """
    try:
        # No journal knows the token: whoever unlocks may not be allowed to write it.
        with LockFiles(session, token=names.new_token(), left_to=': delete it by hand').in_sight():
            return look(session)
    except (FileError, ServerError) as error:
        raise ConfigurationError(
            'The server shows no lock, and whether it would show one cannot be told: '
            f'{printable(error.message)}',
            hint='Let the account have the right to list the directory, and to make and delete '
            'files there.',
            exit_code=UNAVAILABLE if error.transient else None,
        ) from error


def look_at(session, name, present):
    """Return the `Found` of one name, or None; `present` is a listing, which may be cut."""
    reason = ''
    try:
        content = session.read(name, limit=LIMIT)
    except (ServerError, NotTold) as error:
        content, reason = None, error.message
    if content is None and name not in present:
        return None
    inside = None if content is not None else _inside(session, name)
    since = holder.modified(session, name)
    return Found(name=name, content=content, inside=inside, since=since, reason=reason)


def _inside(session, name):
    try:
        return tuple(sorted(session.names(inside=name)))
    except ServerError as error:
        log.debug('No directory: %s: %s', printable(name), printable(error.message))
        return None


def own_tokens(spool):
    """Return the tokens in the journal of `spool` that its next run will know as ours.

    It only reads, as somebody who may be another user than the one of the runs.  A copied journal
    has none.
    """
    try:
        known = journal.read(spool.path / '.cds')
    except (OSError, errors.SpoolError) as error:
        log.debug('No journal: %s', error)
        return set()
    return set() if known.is_copy else known.tokens()


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
            there = look_at(self._session, found.name, {found.name})
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
        there = look_at(self._session, apart, {apart})
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
            "Left on the server as '%s', without its name '%s': %s",
            printable(apart),
            printable(name),
            printable(reason),
        )

    def _changed(self, name):
        return Locked(
            name,
            holder='It is not the one that was shown any more, and was left in its place.',
            hint='Call it again to see the new one.',
        )


def run(console, door, *, sure):
    """Show the locks behind a `zeit.cds.choice.Door`, remove those that are to be; the exit code.

    `sure` removes without asking.  What the next run of a known spool heals is left to it.
    """
    try:
        return _run(console, door, sure=sure)
    except UsageError:
        raise
    except Error as error:
        error.server = error.server or door.target.title
        raise


def _run(console, door, *, sure):
    require_usable(door.target)
    session = door.target.open()
    try:
        found = look(session) or _look_beside_ours(session)
        console.say(f'Server {door.target.title}')
        if not found:
            console.say('  not locked')
            return errors.DONE
        own = {spool: own_tokens(spool) for spool in door.spools}
        foreign = [each for each in found if not _shown(console, each, own)]
        codes = [_remove(console, session, each, sure=sure) for each in foreign]
        return errors.decisive(codes)
    finally:
        session.close()


def of_a_run(spool):
    """Return whose a lock is that belongs to a run of `spool`."""
    path, active = printable(str(spool.path)), spool.status().active
    does = f'is active ({active})' if active else 'is over: the next one removes it'
    return f'of a run of {path}, which {does}'


def _shown(console, found, own):
    """Show a lock; return True if it belongs to one of our spools."""
    console.say(f"  '{printable(found.name)}': {found.description}")
    for spool, tokens in own.items():
        if found.tokens & tokens:
            console.say(f'    {of_a_run(spool)}')
            return True
    if own:
        console.say('    not of ' + ', '.join(printable(str(spool.path)) for spool in own))
    return False


def _remove(console, session, found, *, sure):
    name = f"'{printable(found.name)}'"
    if not sure:
        if not console.can_ask:
            raise UsageError(
                f'{name} was not removed: nobody could be asked',
                hint='If you are sure that nobody works there, say so with --yes.',
            )
        question = f'Remove {name}? Whoever made it may be at work. [y/N] '
        if not console.ask(question):
            console.say(f'{name} stays.')
            return errors.COME_BACK_LATER
    remover = Remover(session)
    remover.remove(found)
    console.say(f'{name} is removed.')
    if not remover.exclusive:
        console.say(
            '  The server does not rename it, so it was read once more, and deleted: one that '
            'somebody made between the two is gone as well.'
        )
    return errors.DONE
