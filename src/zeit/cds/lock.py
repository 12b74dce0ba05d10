"""The lock-file convention of a CDS directory, over an `ISession`.

A directory is locked by a file `write` (somebody brings files) or `read` (somebody takes files
away).  If either of them is there, everybody else stops.  Anything of that name counts: a file of
ours or of somebody else, an empty one, a directory.  That is the convention with the partner.

FTP has no way to create a file only if it does not exist: of eight clients that look and then
store, most believe that they have the lock.  Between our own exporters there is therefore a
*guard*, a directory `write.guard`, which is held only while a lock is being made:

    MKD write.T.d, MKD write.T.d/T      T is our token, written into the journal before
    RNFR write.T.d, RNTO write.guard    rename(2) refuses a target that is not empty: one wins
    look again                          no `write`, no `read`, now that nobody of us can come
    STOR write.T, RNFR, RNTO write      a lock is never seen without its token
    look again                          ours is there, `read` is not
    RMD write.guard/T, RMD write.guard  neither can hit another's: the first needs our token, the
                                        second an empty directory, and a held guard is not empty

Whatever this leaves behind when it is killed carries T, and is removed by the next run of the same
spool, which finds T in its journal; first the staged things, so that no late rename can bring back
what comes after them.  `docs/lock.txt` has the model that was checked.
"""

import contextlib
import datetime
import logging
import os
import socket
import time

from zeit.cds import names
from zeit.cds.errors import Error, LockLeftBehind, NotTold, PermanentError, ServerError
from zeit.cds.holder import described, refuse, refuse_unseen
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Removing is tried so often; each time after the first on a new connection.
ATTEMPTS = 2

#: What a lock may leave on a server, in the order in which it must be removed.
STAGED, STAGED_GUARD, GUARD, LOCK = EVERYTHING = ('staged', 'staged guard', 'guard', 'lock')

#: Where directories cannot be renamed there is no guard; then so many seconds pass between making
#: the lock and reading it back, in which a competitor's rename becomes visible.
SETTLE = 5

#: A lock that is held is read again after so many seconds, and over each new connection.
WATCH = 30


class Lock:
    """The lock `name` of the directory that `session` (an `ISession`) works in.

    `token` makes it ours; it is in the journal before anything is done.  `left` names what may be
    on the server already: nothing for a new lock, `EVERYTHING` for the token of a run that was
    killed.  `wait(seconds)` waits, `clock()` tells monotonic seconds.
    """

    def __init__(
        self, session, *, token, name=names.WRITE, left=(), wait=time.sleep, clock=time.monotonic
    ):
        self._session = session
        self._token = token
        self._name = name
        self._wait = wait
        self._clock = clock
        self._seen = {}
        self._staged = names.staged(name, token=token)
        self._staged_guard = names.staged_guard(token=token)
        self._probe = f'{self._staged_guard}.probe'
        since = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
        self._content = (
            f'{token} zeit.cds, host {socket.gethostname()}, pid {os.getpid()}, since {since}\n'
        ).encode('ascii', 'replace')
        self._left = set(left)
        self._held = False

    def __repr__(self):
        return f'<Lock {self._name!r}, {", ".join(sorted(self._left)) or "nothing"} of ours>'

    @property
    def touched(self):
        """True while there may be something of ours on the server."""
        return bool(self._left)

    # Looking

    def look(self, *, present=None):
        """Raise `Locked` if there is a lock, or somebody is about to make one.

        `present` is a listing that was just made.
        """
        present = refuse(self._session, names.LOCKS, present=present)
        if names.GUARD in present and GUARD not in self._left:
            self._remove_empty_guard()

    def _remove_empty_guard(self):
        try:
            self._session.remove_directory(names.GUARD)
        except ServerError as error:
            log.debug('Somebody has the guard: %s', printable(error.message))
            raise described(self._session, names.GUARD) from error

    # Making

    def create(self):
        """Make the lock.

        Raises `Locked` if somebody else was faster.  After any error, `release` must be called.
        """
        guarded = self._take_guard()
        self.look(present=self._session.names())  # for which there is a port already
        self._make()
        if not guarded:
            self._wait(SETTLE)
        self._look_again()
        self._held = True
        self._seen[self._session] = self._session.connections, self._clock()
        if guarded:
            self._give_back_guard()

    def _take_guard(self):
        """Return True with the guard, False where there can be none.

        There is none where the server refuses for good to make or to rename directories.  What
        it refuses for now (4xx, no room) ends the run: to lock without a guard then would let two
        of us in.
        """
        session = self._session
        self._left.add(STAGED_GUARD)
        try:
            session.make_directory(self._staged_guard)
            session.make_directory(f'{self._staged_guard}/{self._token}')
        except PermanentError as error:
            return self._do_without_guard(error)
        self._left.add(GUARD)
        try:
            session.rename(self._staged_guard, names.GUARD)
        except ServerError as error:
            self._left.discard(GUARD)
            if self._can_rename_directories():
                raise described(session, names.GUARD) from error
            return self._do_without_guard(error)
        self._left.discard(STAGED_GUARD)
        return True

    def _do_without_guard(self, error):
        log.debug('There is no guard on this server: %s', printable(error.message))
        self._remove_staged_guard()
        return False

    def _can_rename_directories(self):
        """Find out why the guard was refused: somebody has it, or there can be none.

        Not by looking for the guard: its owner may have given it back since.
        """
        try:
            self._session.rename(self._staged_guard, self._probe)
            return True
        except PermanentError:
            return False

    def _give_back_guard(self):
        self._session.remove_directory(f'{names.GUARD}/{self._token}')
        try:
            self._session.remove_directory(names.GUARD)
        except ServerError as error:
            # It is empty, and somebody else's guard may have taken its place already.
            log.debug('The guard has another owner: %s', printable(error.message))
        self._left.discard(GUARD)

    @property
    def staged(self):
        """The name of the lock before it gets its real one."""
        return self._staged

    def stage(self):
        """Make the lock under a name that locks nobody.  After any error, call `release`."""
        self._left.add(STAGED)
        self._session.store(self._staged, self._content, renamed=True)

    def _make(self):
        session = self._session
        self.stage()
        refuse_unseen(session, names.LOCKS)
        self._left.add(LOCK)
        try:
            session.rename(self._staged, self._name)
        except ServerError as error:
            if session.exists(self._name):
                raise described(session, self._name) from error
            log.debug('The lock cannot be renamed: %s', printable(error.message))
            session.store(self._name, self._content)
            session.delete(self._staged)
        self._left.discard(STAGED)

    def _look_again(self):
        if self._session.read(self._name) != self._content:
            raise described(self._session, self._name)
        refuse(self._session, set(names.LOCKS) - {self._name})

    # Holding

    def watch(self, *, over=None):
        """Look at the lock again, if some time has passed or the connection is a new one.

        `over` is another session, which was made for this run.  Raises `Locked` if it is not ours
        any more, from then on whenever it is called.
        """
        session, now = over or self._session, self._clock()
        seen = self._seen.get(session) or (self._session in self._seen and (1, now))
        if seen and seen[0] == session.connections and now - seen[1] < WATCH:
            return
        if session.read(self._name, limit=1000) != self._content:
            self._seen.clear()
            raise described(session, self._name, lost=True)
        self._seen[session] = session.connections, now

    # Removing

    def release(self):
        """Remove everything of ours; return True if the lock itself was among it.

        A lock that carries another token is not touched.  Raises `LockLeftBehind`.
        """
        removed, failure = False, None
        for attempt in range(ATTEMPTS):
            if attempt:
                self._session.refresh()
            try:
                removed = self._remove() or removed
                return removed
            except Error as error:
                failure = error
            except BaseException:
                # A signal interrupted it, and ends the run when the lock is gone, or stays.
                self._session.hurry()
                self._session.refresh()
                with contextlib.suppress(Error):
                    self._remove()
                raise
        raise LockLeftBehind(
            f"The lock file '{self._name}' could not be removed: {printable(failure.message)}",
            hint='The next run of this spool tries again; until then nobody can work in the '
            'directory.',
        ) from failure

    def _remove(self):
        if STAGED in self._left:
            self._delete(self._staged)
            self._left.discard(STAGED)
        if STAGED_GUARD in self._left:
            self._remove_staged_guard()
        if GUARD in self._left:
            self._remove_directory(names.GUARD, self._token)
            # Also if that was not there: the kill may have come just after it was removed.
            self._remove_directory('', names.GUARD)
            self._left.discard(GUARD)
        if LOCK not in self._left:
            return False
        content = self._session.read(self._name, limit=1000)
        ours = content is not None and names.token_of(content.decode('latin-1')) == self._token
        if ours:
            self._session.delete(self._name)
        elif content is not None and self._held:
            log.warning(
                "The lock '%s' is somebody else's and is left alone: %s",
                self._name,
                printable(content),
            )
        self._left.discard(LOCK)
        return ours

    def _remove_staged_guard(self):
        for name in (self._staged_guard, self._probe):
            self._remove_directory(name, self._token)
            self._remove_directory('', name)
        self._left.discard(STAGED_GUARD)

    def _delete(self, name):
        """Delete a file that locks nobody, if it is there."""
        try:
            self._session.delete(name)
        except ServerError:
            # Where that is not told it may stay: a run that is shown it deletes it.
            with contextlib.suppress(NotTold):
                if self._session.exists(name):
                    raise

    def _remove_directory(self, parent, name):
        """Remove a directory, if it is there and ours; return whether it was."""
        try:
            self._session.remove_directory(f'{parent}/{name}' if parent else name)
            return True
        except ServerError as error:
            log.debug('Not removed: %s/%s: %s', parent, name, printable(error.message))
            if name == names.GUARD:
                return False  # it has another owner, or is gone
            if self._has_directory(parent, name):
                raise
            return False

    def _has_directory(self, parent, name):
        """Return whether there is a directory `name`, in the one `parent` if given."""
        present = self._session.names()
        if (parent or name) not in present and self._session.is_shown(present):
            return False
        try:
            if parent:
                return name in self._session.names(inside=parent)
            if name not in present:
                self._session.names(inside=name)
            return True
        except ServerError as error:
            log.debug('There is no %s/%s: %s', parent, name, printable(error.message))
            return False
