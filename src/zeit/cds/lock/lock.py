"""The lock-file convention of a CDS directory, over an `ISession`.

A directory is locked by a file `write` (somebody brings files) or `read` (somebody takes files
away).  If either of them is there, everybody else stops.  Anything of that name counts: a file of
ours or of somebody else, an empty one, a directory.  That is the convention with the partner.

FTP has no way to create a file only if it does not exist: of eight clients that look and then
store, most believe that they have the lock.  Between our own exporters there is therefore a
*guard*, a directory `write.guard`, which is held only while a lock is being made:

    MKD write.T.d, MKD write.T.d/T      T is our token, written into the journal before
    STOR write.T                        what does not show this file does not show a lock, either
    RNFR write.T.d, RNTO write.guard    rename(2) refuses a target that is not empty: one wins
    look again                          no `write`, no `read`, now that nobody of us can come
    RNFR write.T, RNTO write            a lock is never seen without its token
    SIZE write, SIZE read               ours is there, `read` is not
    RMD write.guard/T, RMD write.guard  neither can hit another's: the first needs our token, the
                                        second an empty directory, and a held guard is not empty

Where the server is known to execute packets in order, the two MKD are one packet, and all from RNTO
write to the last RMD are another one: see `ISession.perform`.

An account that may not make or rename directories *announces* its lock, in place of the guard:

    RNFR write.T, RNTO write.T.next     whoever has the guard sees this name under it, and stops
    look                                no lock, no guard, nobody else who announces one
    RNFR write.T.next, RNTO write

Each of two shows itself before it looks, so at least one of them sees the other.  Of two that
announce their locks the one with the lower token waits until the other has withdrawn.  So it is
where the server renames a directory onto one that is not empty, and lets two have the guard.

Before the first lock on a target, `prove` finds out with names that lock nobody whether the account
may do all this, and whether there can be a guard: a lock that could not be read back or removed
would stay.

Whatever this leaves behind when it is killed carries T, and is removed by the next run of the same
spool, which finds T in its journal; first the staged things, so that no late rename can bring back
what comes after them.  `docs/lock.txt` has the model that was checked.
"""

import contextlib
import logging
import time

from zeit.cds import names
from zeit.cds.errors import (
    LOST as LOST_CONNECTION,
)
from zeit.cds.errors import (
    ConfigurationError,
    NotTold,
    PermanentError,
    ServerError,
    TemporaryError,
)
from zeit.cds.lock.holder import locked_by, not_ours, refuse, refuse_beside_ours
from zeit.cds.lock.lock_files import (
    ANNOUNCED,
    GUARD,
    HELD,
    LOCK,
    LOST,
    NOT_ALLOWED,
    STAGED,
    STAGED_GUARD,
    LockFiles,
)
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How often a run that announces its lock looks, a second apart, whether others have withdrawn.
LOOKS = 5

#: What to do where the lock does not get its name, and files would not get theirs.
CANNOT_RENAME = (
    'Let the account rename files there. For a server that cannot rename, set temporary="no" '
    '(--no-temporary).'
)

#: What says that there is no guard; whoever has one, and whoever announces a lock, see each other.
_NO_GUARD = PermanentError, TemporaryError

#: A lock that is held is read again after this many seconds, and over each new connection.
WATCH = 30


class Lock(LockFiles):
    """The lock `name` of the directory that `session` (an `ISession`) works in.

    `token` makes it ours; it is in the journal before anything is done.  `renames` says that files
    must get other names there, so that a server which does not rename a lock is of no use.
    `wait(seconds)` waits, `clock()` tells monotonic seconds.

    `guards`: the server lets one have the guard, not two.
    """

    def __init__(
        self,
        session,
        *,
        renames=False,
        guards=True,
        wait=time.sleep,
        clock=time.monotonic,
        **kw,
    ):
        super().__init__(session, **kw)
        self._renames = renames
        self.guards = guards
        self._wait = wait
        self._clock = clock
        self._seen = {}
        #: Whether there is a guard already, under a name that guards nothing.
        self._is_made = False

    # Looking

    def look(self, **options):
        """Raise `Locked` if there is a lock, or somebody is about to make one; return a listing.

        `options`: see `refuse`.  If there is a file of ours the listing has to show that, or raises
        `ConfigurationError`.
        """
        refuses = refuse_beside_ours if self.touched else refuse
        present = refuses(self._session, names.LOCKS, **options)
        self._refuse_listed(present)
        return present

    def glance(self, present, *, proves=False):
        """Raise `Locked` if `present`, a listing, shows that.

        Whoever is at work there does not have to see what we would make: `create` looks for sure.
        Of a server that is not known to execute packets in order SIZE is asked as well: that it
        does not is found out by commands that change nothing.  `proves`: `prove` finds that out.
        """
        if not (proves or self._session.orderly):
            self.look(present=present)
            return
        for name in names.LOCKS:
            if name in present:
                raise locked_by(self._session, name)
        self._refuse_listed(present)

    def _refuse_listed(self, present):
        if names.GUARD in present and GUARD not in self._left:
            self._remove_empty_guard()
        for name in self._others_announced(present):
            raise locked_by(self._session, name)

    def _remove_empty_guard(self):
        try:
            self._session.remove_directory(names.GUARD)
        except ServerError as error:
            log.debug('Somebody has the guard: %s', printable(error.message))
            raise locked_by(self._session, names.GUARD) from error
        except LOST_CONNECTION as error:
            if error.while_connecting:
                raise
            # So some servers refuse it (thinftp).
            if names.GUARD in self._session.names():
                raise locked_by(self._session, names.GUARD) from error

    def _others_announced(self, present):
        """Return the names by which others announce a lock, in order."""
        return sorted(
            name
            for name in present
            if names.is_announced(name) and names.token_of(name) != self._token
        )

    # Making

    def prove(self):
        """Find out whether the account may do all that a lock takes, before there is one.

        Where there can be a guard it is made afterwards, for `create`.  Raises `ConfigurationError`
        that says what the account may not.  After any error, `release` must be called.
        """
        session, missing = self._session, {}
        with _noting(missing, 'remove a directory'):
            self.guards = self._may_make_directories()
        if STAGED not in self._left:
            self.stage()
        with _noting(missing, 'read what it has stored'):
            if session.read(self._staged, limit=1000) != self._content:
                raise PermanentError(550, f"'{self._staged}' cannot be read back")
        # Last: a listing has to show something that is known to be there.
        delete, deleted = ('DELE', self._staged), []
        if self.guards and not missing:
            self.guards, *deleted = self._keeps_apart(delete)
        # `_keeps_apart` has sent it along, if it came that far.
        for refusal in deleted or session.perform(delete):
            with _noting(missing, 'delete what it has stored'):
                if refusal is not None:
                    raise refusal
                self._left.discard(STAGED)
        if missing:
            if self._is_made:
                self._remove_staged_guard()
                self._left.discard(STAGED_GUARD)
            self._state = NOT_ALLOWED
            raise self._not_allowed(missing)

    def _may_make_directories(self):
        """Return whether; raises what keeps the account from removing them.

        Nobody looks at this one, so that it tells as well whether packets are executed in order.
        """
        self._left.add(STAGED_GUARD)
        commands = ('MKD', self._staged_guard), ('RMD', self._staged_guard)
        try:
            refusals = self._session.perform(*commands, trial=True)
        except LOST_CONNECTION as error:
            if error.while_connecting:
                raise
            # Perhaps because they were one packet, or an answer says nothing: then a listing has
            # to show something that is known to be there.
            log.debug('Once more, one by one: %s', printable(error.message))
            self.stage()
            self._remove_staged_guard()
            refusals = self._session.perform(*commands)
        if refusals[0] is not None:
            return self._do_without_guard(refusals[0])
        if refusals[1] is not None:
            raise refusals[1]
        self._left.discard(STAGED_GUARD)
        return True

    def foresee(self):
        """Return what `prove` would refuse for, as far as a file that is not there can tell.

        That is an error, or None.  It is not for sure: some servers (npm's ftpd) deny permission to
        delete what does not exist.
        """
        session, missing = self._session, {}
        wanted = {'delete what it has stored': lambda: session.delete(self._staged)}
        if self._renames:
            wanted['rename files'] = lambda: session.rename(self._staged, self._announced)
        for what, call in wanted.items():
            try:
                call()
            except (ServerError, *LOST_CONNECTION) as error:
                log.debug('Of a file that is not there: %s', printable(error.message))
                if isinstance(error, PermanentError) and error.is_denial:
                    missing[what] = error
        return self._not_allowed(missing, 'cannot be made') if missing else None

    def _keeps_apart(self, *others):
        """Return whether the server refuses to rename a directory onto one that is not empty.

        What is there afterwards tells that; rclone says 250, and merges them.  The one that is not
        empty is the guard, and stays made if so.  Returns a list of that, and of what became of
        the commands `others`, if they were executed.
        """
        self._left.add(STAGED_GUARD)
        inside = f'{self._staged_guard}/{self._token}'
        for refusal in self._session.perform(
            *(('MKD', name) for name in (self._probe, self._staged_guard, inside)),
            rename_follows=self._probe,
        ):
            if refusal is not None:
                return [self._do_without_guard(refusal)]
        with contextlib.suppress(ServerError, *LOST_CONNECTION):  # thinftp ends the connection
            self._session.rename(self._probe, self._staged_guard)
        removed, *more = self._session.perform(('RMD', self._probe), *others)
        self._is_made = removed is None
        if not self._is_made:
            self._remove_staged_guard()
            self._left.discard(STAGED_GUARD)
        return [self._is_made, *more]

    def _not_allowed(self, missing, what='was not made'):
        reasons = '; nor '.join(
            f'{what}: {printable(error.message)}' for what, error in missing.items()
        )
        advice = 'Let the account read, rename and delete files there, and remove directories.'
        if self._left:
            advice = f'{self._what_stays()} {advice}'
        return ConfigurationError(
            f"The lock file '{self._name}' {what}, as the account may not {reasons}",
            hint=advice,
        )

    def create(self):
        """Make the lock.

        Raises `Locked` if somebody else was faster.  After any error, `release` must be called.
        """
        guarded = self.guards and (self._is_made or self._stage_guard())
        self.stage(rename_follows=self._staged_guard if guarded else '')
        if guarded and self._take_guard():
            # In this order: who announces a lock may rename it while the directory is listed.
            self.look(present=self._session.names(), rename_follows=self._staged)
            self._make_guarded()
        else:
            self._announce()
            self._make(self._announced, spare=self._staged)
            self._look_again()
            self._held()

    def _held(self):
        self._state = HELD
        self._seen[self._session] = self._session.connections, self._clock()

    def _stage_guard(self):
        """Make the guard under a name that guards nothing; return False where that is refused.

        Then there can be none, be it for now: it may say so each time.  Where the server has no
        room that ends the run: the files would have none.
        """
        self._left.add(STAGED_GUARD)
        inside = f'{self._staged_guard}/{self._token}'
        for refusal in self._session.perform(('MKD', self._staged_guard), ('MKD', inside)):
            if refusal is not None:
                return self._do_without_guard(refusal)
        return True

    def _take_guard(self):
        """Return True with the guard, False where there can be none."""
        self._left.add(GUARD)
        try:
            (refusal,) = self._session.perform(('RNTO', self._staged_guard, names.GUARD))
        except LOST_CONNECTION as error:
            # So some servers refuse it (thinftp); `release` removes it, should it be ours later.
            inside = None if error.while_connecting else self._inside_guard()
            if inside and self._token not in inside:
                raise locked_by(self._session, names.GUARD) from error
            raise
        if refusal is not None:
            self._left.discard(GUARD)
            if self._can_rename(self._staged_guard, self._probe, refused=_NO_GUARD):
                raise locked_by(self._session, names.GUARD) from refusal
            return self._do_without_guard(refusal)
        self._left.discard(STAGED_GUARD)
        return True

    def _do_without_guard(self, error):
        if not isinstance(error, _NO_GUARD):
            raise error
        log.debug('There is no guard on this server: %s', printable(error.message))
        self._remove_staged_guard()
        self._left.discard(STAGED_GUARD)
        return False

    def _can_rename(self, old, new, *, refused=PermanentError):
        """Find out why `old` does not get a name: somebody has it, or names cannot be changed.

        Not by looking for that name: its owner may have removed it since.
        """
        try:
            self._session.rename(old, new)
            return True
        except refused:
            return False

    def _make_guarded(self):
        """Give the lock its name, look again, and give back the guard.

        Nobody of us has come in between, and SIZE shows that the lock is there, and no other one:
        nothing else has to be read or listed.  The guard need not wait for that either.
        """
        (other,) = set(names.LOCKS) - {self._name}
        inside = f'{names.GUARD}/{self._token}'
        self._left.add(LOCK)
        refusal, *more = self._session.perform(
            ('RNTO', self._staged, self._name),
            ('SIZE', self._name, other),
            ('RMD', inside),
            ('RMD', names.GUARD),
        )
        if refusal is not None:
            self._not_made(refusal, self._staged, spare=self._announced, guarded=not more)
            self._look_again()
            given_back = self._session.perform(('RMD', inside), ('RMD', names.GUARD))
        else:
            self._left.discard(STAGED)
            sizes, *given_back = more
            if sizes != [len(self._content), None]:
                self._look_again()
        self._held()
        self._given_back(*given_back)

    def _given_back(self, *refusals):
        """Take note of what became of the guard, and of what is in it, by RMD."""
        inside, *outside = refusals
        if inside is not None:
            raise inside
        if outside[0] is not None:
            # It was empty, and somebody else's may have taken its place; `release` finds that out.
            # Or somebody has it beside us, and may have a lock.
            log.debug('The guard stays for now: %s', printable(outside[0].message))
            self.guards, *_ = self._keeps_apart()
            if not self.guards:
                raise locked_by(self._session, names.GUARD) from outside[0]
            return
        self._left.discard(GUARD)

    def _announce(self):
        """Show that a lock is about to be made, and wait for others to withdraw."""
        session = self._session
        self._left.add(ANNOUNCED)
        try:
            # By renaming: a STOR that comes late would announce it for a run that has ended.
            session.rename(self._staged, self._announced)
            self._left.discard(STAGED)
        except ServerError as error:
            log.debug('Announced under a new name: %s', printable(error.message))
            with self._vanishing(self._announced):
                session.store(self._announced, self._content)
        for left in reversed(range(LOOKS)):
            present = refuse_beside_ours(session, names.LOCKS, present=session.names())
            others = self._others_announced(present)
            first = any(names.token_of(name) < self._token for name in others)
            others += {names.GUARD} & present
            if not others:
                return
            if first or not left:
                raise locked_by(session, others[0])
            self._wait(1)

    def _make(self, source, *, spare):
        """Give the file `source` the name of the lock; `spare` is another name that is ours."""
        self._left.add(LOCK)
        try:
            self._session.rename(source, self._name)
        except ServerError as error:
            self._not_made(error, source, spare=spare)
        else:
            self._left.discard(ANNOUNCED)

    def _not_made(self, error, source, *, spare, guarded=True):
        """Make the lock without a renaming, which was refused, where all are; else raise why.

        Not if the guard was given back: somebody else may have it now.
        """
        session = self._session
        if session.exists(self._name):
            raise locked_by(session, self._name) from error
        self._left |= {STAGED, ANNOUNCED}
        can_rename = self._can_rename(source, spare)
        if self._renames and not can_rename:
            error.advise(CANNOT_RENAME)
        if self._renames or can_rename or not guarded:
            raise error
        log.debug('The lock cannot be renamed: %s', printable(error.message))
        with self._vanishing(self._name):
            session.store(self._name, self._content)
        if (failure := self._remove_staged()) is not None:
            raise failure from None

    def _look_again(self):
        session = self._session
        try:
            content = session.read(self._name, limit=1000)
        except NotTold:
            content = None
        except PermanentError as error:
            if session.size(self._name) != len(self._content):
                raise locked_by(session, self._name) from error
            # Nobody of us can have come in between, and it was ours a moment ago.
            self.unreadable = True
            raise
        if content != self._content:
            raise not_ours(session, self._name)
        refuse_beside_ours(session, set(names.LOCKS) - {self._name})

    # Holding

    def watch(self, *, over=None):
        """Look at the lock again, if some time has passed or the connection is a new one.

        `over` is another session, which was made for this run.  Raises `Locked` or `LockVanished`
        if it is not ours any more, from then on whenever it is called.
        """
        session, now = over or self._session, self._clock()
        # The first connection of another session is as good as what was seen over our own.
        first = (1, self._seen[self._session][1]) if self._session in self._seen else None
        seen = self._seen.get(session, first)
        if seen and seen[0] == session.connections and now - seen[1] < WATCH:
            return
        try:
            content = session.read(self._name, limit=1000)
        except (ServerError, NotTold) as error:
            log.debug('The lock cannot be read: %s', printable(error.message))
            content = None
        if content != self._content:
            self._seen.clear()
            self._state = LOST
            raise not_ours(session, self._name, lost=True)
        self._seen[session] = session.connections, now


@contextlib.contextmanager
def _noting(missing, what):
    """Note in `missing` that the server refuses `what` for good."""
    try:
        yield
    except (PermanentError, NotTold) as error:
        missing[what] = error
