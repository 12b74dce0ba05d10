"""The files and directories by which one run locks a directory: their names, and their removal.

How a lock is made of them is in `zeit.cds.lock.lock`.
"""

import contextlib
import datetime
import logging
import os

from zeit.cds import names
from zeit.cds.errors import (
    LOST as LOST_CONNECTION,
)
from zeit.cds.errors import (
    UNAVAILABLE,
    ConfigurationError,
    ConnectionLost,
    Error,
    Locked,
    LockLeftBehind,
    LockVanished,
    NotTold,
    PermanentError,
    RemoteProtocolError,
    ServerError,
    TakenAway,
)
from zeit.cds.lock.holder import has_vanished, is_seen, not_ours, require_sight
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How often removal is tried; each time after the first on a new connection.
ATTEMPTS = 2

#: What a lock may leave on a server, in the order in which it must be removed.
STAGED, ANNOUNCED, STAGED_GUARD, GUARD, LOCK = EVERYTHING = (
    'staged',
    'announced',
    'staged guard',
    'guard',
    'lock',
)

#: What is known of a lock: nothing; it is held; it is not ours any more; it is being removed; the
#: account has too few rights to make one.
NEW, HELD, LOST, REMOVING, NOT_ALLOWED = (
    'new',
    'held',
    'lost',
    'removing',
    'not allowed',
)


class LockFiles:
    """What the run with this `token` has made to lock the directory of `session` as `name`.

    `left` names what may be on the server already: nothing for a new lock, `EVERYTHING` for the
    token of a run that was killed.  `left_to` is who deletes what stays.
    """

    def __init__(
        self, session, *, token, name=names.WRITE, left=(), left_to='; the next run uses it again'
    ):
        self._session = session
        self._left_to = left_to
        self._token = token
        self._name = name
        self._staged = names.staged(name, token=token)
        self._announced = names.announced(name, token=token)
        self._staged_guard = names.staged_guard(token=token)
        self._probe = f'{self._staged_guard}.probe'
        since = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
        self._content = (
            f'{token} zeit.cds, host {os.uname().nodename}, pid {os.getpid()}, since {since}\n'
        ).encode('ascii', 'replace')
        self._left = set(left)
        self._state = NEW
        #: True since the account may not read our lock any more, which it made a moment ago.
        self.unreadable = False

    def __repr__(self):
        left = ', '.join(sorted(self._left)) or 'nothing'
        return f'<{type(self).__name__} {self._name!r}, {left} of ours>'

    @property
    def touched(self):
        """True while there may be something of ours on the server."""
        return bool(self._left)

    @property
    def staged(self):
        """The name of the lock before it gets its real one."""
        return self._staged

    def stage(self, **options):
        """Make the lock under a name that locks nobody: what does not show it shows no lock.

        `options`: see `ISession.store`.  After any error, call `release`.
        """
        self._left.add(STAGED)
        with self._vanishing(self._staged):
            self._session.store(self._staged, self._content, **options)

    @contextlib.contextmanager
    def in_sight(self):
        """Inside it the lock is staged; yields a listing that shows it: see `require_sight`."""
        try:
            self.stage()
            present = self._session.names()
            require_sight(self._session, present)
            yield present
        finally:
            self.release()

    @contextlib.contextmanager
    def _vanishing(self, name):
        """Say of a lock that is taken away at once what there is to be said of a lock."""
        try:
            yield
        except TakenAway as error:
            raise LockVanished(name) from error

    def release(self):
        """Remove everything of ours; return True if the lock itself was among it.

        A lock that carries another token is not touched; where it was ours until now, raises
        `Locked`.  Raises `LockLeftBehind` if the lock or the guard may stay, `ConfigurationError`
        if the server refuses to delete what locks nobody, or whatever else kept it from being
        deleted, such as `ConnectionLost`.  `touched` tells whether the next run has to look.
        """
        removed, failure = False, None
        if self._state == NOT_ALLOWED and self._left <= {STAGED, STAGED_GUARD}:
            return False  # that it stays has been said
        for attempt in range(ATTEMPTS):
            if attempt:
                self._session.reconnect()
            try:
                removed = self._remove() or removed
                return removed
            except (Locked, LockLeftBehind):
                raise
            except Error as error:
                failure = error
            except BaseException:
                # A signal interrupted it, and ends the run when the lock is gone, or stays.
                self._session.hurry()
                self._session.reconnect()
                with contextlib.suppress(Error):
                    self._remove()
                raise
        if self._left <= {STAGED, STAGED_GUARD} and not isinstance(failure, ServerError):
            raise failure  # what may stay locks nobody
        raise self._not_removed(failure) from failure

    def _not_removed(self, failure):
        reason = printable(failure.message)
        if self._left <= {STAGED, STAGED_GUARD}:
            return ConfigurationError(
                f'The server does not let the account delete what it has made: {reason}',
                hint=f'{self._what_stays()} Let the account delete files and directories there.',
                exit_code=UNAVAILABLE if failure.transient else None,
            )
        name = names.GUARD if LOCK not in self._left and GUARD in self._left else self._name
        return LockLeftBehind(
            f"The lock file '{name}' could not be removed: {reason}",
            hint='The next run of this spool tries again; until then nobody can work in the '
            'directory.',
        )

    def _what_stays(self):
        kinds = {STAGED: self._staged, STAGED_GUARD: self._staged_guard}
        stay = ' and '.join(f"'{kinds[kind]}'" for kind in sorted(self._left))
        return f'On the server stays {stay}, which locks nobody{self._left_to}.'

    def _remove(self):
        stays = self._remove_staged()
        if GUARD in self._left:
            if self._remove_guard():
                self._left.discard(GUARD)
        removed = LOCK in self._left and self._remove_lock()
        if stays is not None:
            raise stays
        return removed

    def _remove_staged(self):
        """Remove what others do not look at, first of all; return why something stays, or None."""
        failure = None
        for kind, remove in (
            # First: a listing has to show something that is known to be there.
            (STAGED_GUARD, self._remove_staged_guard),
            (STAGED, lambda: self._delete(self._staged)),
            (ANNOUNCED, lambda: self._delete(self._announced)),
        ):
            if kind in self._left:
                try:
                    remove()
                    self._left.discard(kind)
                except ServerError as error:
                    failure = error
        return failure

    def _remove_guard(self):
        """Remove the guard, unless it has another owner, or is gone.

        Returns False if it is nobody's, and stays: the next run looks.
        """
        self._try_to_remove(f'{names.GUARD}/{self._token}')
        # Also if that was not there: the kill may have come just after it was removed.
        try:
            refusal = self._try_to_remove(names.GUARD)
            inside = None if refusal is None else self._inside_guard()
            if inside and self._token in inside:
                raise refusal
            return inside != set()
        except LOST_CONNECTION as error:
            # So some servers refuse it, each time (thinftp).
            if error.while_connecting or self._inside_guard() == set():
                raise
            return True

    def _inside_guard(self):
        """Return what is inside the guard, a set of str; None if the server does not show it."""
        try:
            return self._session.names(inside=names.GUARD)
        except ServerError as error:
            log.debug('The guard cannot be listed: %s', printable(error.message))
            return None

    def _remove_lock(self):
        """Remove the lock if it is ours; return whether it was.

        Where that cannot be seen, the lock stays among what is left.
        """
        try:
            content = self._session.read(self._name, limit=1000)
        except (ServerError, NotTold) as error:
            if not self.unreadable:
                self.unreadable = self._may_not_be_read(error)
            content = self._content if self.unreadable else None
            known = content is not None or self._state not in (HELD, REMOVING)
            if not (known or has_vanished(self._session, self._name)):
                raise
            log.debug('Whose lock it is cannot be seen: %s', printable(error.message))
            if self._state in (NEW, LOST):
                return False
        if content is not None and names.token_of(content.decode('latin-1')) == self._token:
            self._state = REMOVING
            refusal, *sizes = self._session.perform(
                ('DELE', self._name), ('SIZE', self._name), followed=False
            )
            if refusal is not None:
                raise refusal
            if self._is_kept(sizes[0]):
                raise PermanentError(550, 'The deletion was confirmed, but it is still there')
            self._left.discard(LOCK)
            return True
        if self._state == HELD:
            self._state = LOST
            raise self._not_found(content)
        if self._state == LOST:
            return False
        self._left.discard(LOCK)
        return self._state == REMOVING  # only the answer was lost

    def _may_not_be_read(self, error):
        """Return whether we hold the lock, and may not read it any more: it has its size."""
        refused = self._state == HELD and isinstance(error, PermanentError)
        return refused and self._session.sizes(self._name) == [len(self._content)]

    def _is_kept(self, sizes):
        """Return whether our lock, of which SIZE tells this, is still there after its deletion."""
        session = self._session
        if not is_seen(session, self._name, sizes=sizes):
            return False
        try:
            content = session.read(self._name, limit=1000)  # perhaps somebody has made the next one
        except NotTold:
            if is_seen(session, self._name):
                raise
            return False  # and has removed it since
        return content is not None and names.token_of(content.decode('latin-1')) == self._token

    def _not_found(self, content):
        """Return the error for a lock that was ours, and is not when it is to be removed."""
        if content is not None and not self._content.startswith(content):
            return not_ours(self._session, self._name, lost=True)
        return LockLeftBehind(
            f"The lock file '{self._name}' was not found when it was to be removed",
            hint="Somebody removed it, or the server's answer is wrong; the next run looks again.",
        )

    def _remove_staged_guard(self):
        refusals = {}
        # In this order: the first one gets the name of the other one, perhaps late.
        for name in (self._probe, self._staged_guard):
            inside = self._try_to_remove(f'{name}/{self._token}')
            if (refusal := self._try_to_remove(name)) is not None:
                refusals[name] = inside or refusal
        # What is not there is refused as well; one listing tells it of both.
        shown = self._session.names() if refusals else ()
        for name, refusal in refusals.items():
            if name in shown:
                raise refusal

    def _delete(self, name):
        """Delete a file that locks nobody for good, if it is there."""
        try:
            self._session.delete(name)
        except ServerError:
            # Where that is not told it may stay: a run that is shown it deletes it.
            if is_seen(self._session, name):
                raise
        except (ConnectionLost, RemoteProtocolError) as error:
            # So some servers say that there is none, each time.
            if error.while_connecting or self._session.exists(name):
                raise

    def _try_to_remove(self, directory):
        """Remove a directory that is ours; return why the server does not, or None."""
        try:
            self._session.remove_directory(directory)
        except ServerError as error:
            log.debug('Not removed: %s: %s', directory, printable(error.message))
            return error
        return None
