"""What `zeit-cds unlock` does: a lock that nobody will remove any more, removed by a person.

Between the look at a lock and its removal it may have been replaced by another one, which somebody
relies on.  FTP cannot delete a file only if it has a certain content.  So the lock gets a name of
its own first, is compared there with what was shown, and deleted under that name; another one gets
its name back.  Where the server does not rename it, it is read once more and deleted, which is
said.  A guard (see `zeit.cds.lock.lock`) needs no such care: its inner directory carries the token
of its owner, and what is not empty cannot be removed.
"""

import contextlib
import dataclasses
import datetime
import logging

from zeit.cds import errors, names
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
from zeit.cds.journal import journal
from zeit.cds.lock import holder
from zeit.cds.lock.lock_files import LockFiles
from zeit.cds.text import local_time, printable
from zeit.cds.usable import require_usable


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


def opened(target, *, spools):
    """Return a session on a `target`, as runs of its `spools` know the server."""
    return target.open(learned=_learned(target, spools))


def _learned(target, spools):
    """Return what a run of one of the spools has found out about the server, {} if none has."""
    for spool in spools:
        with contextlib.suppress(OSError, errors.SpoolError):  # `own_tokens` says it
            known = journal.read(spool.path / '.cds', table='learned').at(target.url)
            if learned := known.learned():
                return learned
    return {}


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
    return set() if known.is_copy else {row['token'] for row in known.find('tokens')}


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


def run(console, server, *, sure):
    """Show the locks behind a `SelectedServer`, remove those that are to be; the exit
    code.

    `sure` removes without asking.  Otherwise what the next run of a known spool heals is left to
    it; and to a run that is active its own lock in any case.
    """
    try:
        return _run(console, server, sure=sure)
    except UsageError:
        raise
    except Error as error:
        error.server = error.server or server.target.title
        raise


def _run(console, server, *, sure):
    require_usable(server.target)
    session = opened(server.target, spools=server.spools)
    try:
        found = find(session)
        console.say(f'Server {server.target.title}')
        if not found:
            console.say('  not locked')
            return errors.DONE
        own = {spool: own_tokens(spool) for spool in server.spools}
        codes, wanted = [], []
        for each in found:
            spool = _shown(console, each, own)
            if spool is not None and spool.status().active:
                codes.append(errors.COME_BACK_LATER)
            elif spool is None or sure:
                wanted.append(each)
        codes += [_remove(console, session, each, sure=sure) for each in wanted]
        return errors.decisive(codes)
    finally:
        session.close()


def of_a_run(spool):
    """Return whose a lock is that belongs to a run of `spool`."""
    path, active = printable(str(spool.path)), spool.status().active
    does = f'is active ({active})' if active else 'is over; the next run removes it'
    return f'made by a run of {path}, which {does}'


def _shown(console, found, own):
    """Show a lock; return the one of our spools that it belongs to, or None."""
    console.say(f"  '{printable(found.name)}': {found.description}")
    for spool, tokens in own.items():
        if found.tokens & tokens:
            console.say(f'    {of_a_run(spool)}')
            return spool
    if own:
        spools = ', '.join(printable(str(spool.path)) for spool in own)
        console.say(f'    not made by a run of spool {spools}')
    return None


def _remove(console, session, found, *, sure):
    name = f"'{printable(found.name)}'"
    question = f'Remove {name}? Its owner may be using the server. [y/N] '
    about = {'otherwise': f'{name} was not removed'}
    about['hint'] = 'If nobody is using the server, pass --yes.'
    if not (sure or console.confirms(question, **about)):
        return errors.COME_BACK_LATER
    remover = Remover(session)
    remover.remove(found)
    console.say(f'{name} removed.')
    if not remover.exclusive:
        console.say(
            '  The server cannot rename it, so it was read again and deleted; a new lock made '
            'between the two is gone as well.'
        )
    return errors.DONE
