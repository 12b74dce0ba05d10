"""What a killed run of this spool left on a server: found by its tokens, and put in order.

Whoever calls this holds the spool's lock, so every other run of the spool is dead, and what
carries a token out of its journal is nobody else's.  No ages, clocks or process numbers.
"""

import logging

from zeit.cds import names
from zeit.cds.errors import (
    LOST,
    ConfigurationError,
    Locked,
    LockLeftBehind,
    NotTold,
    ServerError,
)
from zeit.cds.lock.holder import content_of, locked_by
from zeit.cds.lock.lock_files import EVERYTHING, GUARD, STAGED_GUARD, LockFiles
from zeit.cds.target.upload_in_place import Existing
from zeit.cds.text import plural, printable


log = logging.getLogger(__name__)


class Leftovers:
    """The leftovers on `target` (str) that `journal` tells of, seen over `session`.

    `name` is that of the lock which the run is going to make.
    """

    def __init__(self, session, *, journal, target, name):
        self._session = session
        self._journal = journal
        self._target = target
        self._name = name
        self._targets = [target]
        self._foreign = False
        self._later = {}  # what the server does not let us delete for now: tokens by name
        self._lost = False  # a connection, by a deletion

    def remove(self, *, waits=lambda name: False):
        """Put everything in order; return the names that are there afterwards, a set of str.

        Temporaries are deleted, locks and guards are removed.  A file that stood aside gets its
        place back, unless a newer one had it since: that one may have been taken away already.
        `waits(name)` tells whether a file of that name is going to be sent again.  What is not
        proven to be gone is kept in the journal.  Raises `LockLeftBehind` if a lock or guard cannot
        be removed, `ConfigurationError` if something else of ours cannot, `Locked` if a lock may be
        ours and cannot be read.
        """
        present = self._session.names()
        tokens = self._tokens(present)
        if not tokens:
            return present
        log.info('Cleaning up what %s may have left on the server', plural(len(tokens), 'run'))
        self._session.known.update(name for name in present if _is_file_of(name, tokens))
        shown = self._session.is_shown(present)
        if self._foreign and not shown:
            return present  # whoever is at work there comes first
        staged = {names.staged(name, token=token) for name in names.LOCKS for token in tokens}
        if shown and (self._foreign or not staged.isdisjoint(present)):
            # An account that may not delete has left it: else each run would add a file.
            try:
                return self._remove(present, tokens, waits=waits)
            except (Locked, LockLeftBehind, NotTold):
                if self._session.known:
                    raise
        return self._remove_in_sight(tokens, waits=waits)

    def _remove_in_sight(self, tokens, *, waits):
        """Do it beside a new file of ours: what does not show that shows nothing for sure.

        What has been there, and a listing had to show, is going to be deleted.
        """
        token = self._journal.new_token(self._target)
        lock = LockFiles(self._session, token=token, name=self._name)
        try:
            with lock.in_sight() as present:
                present = self._remove(present, tokens, waits=waits)
        finally:
            if not lock.touched:
                self._journal.note('clean', token=token)
        return present - {lock.staged}

    def _remove(self, present, tokens, *, waits):
        self._forget_uploads(present)
        for name in sorted(present):
            if names.is_temporary(name) and names.token_of(name) in tokens:
                self._delete(name)
            elif names.is_broken(name) and (token := self._inside_lock(name)) in tokens:
                self._delete(name, token=token)
        self._restore_asides(present)
        self._remove_parts(waits)
        left = {names.token_of(entry['aside']) for entry in self._noted('asides')}
        # A file without a token in its name may be of any of these runs: then none is clean.
        left.update(tokens if '' in self._later.values() else self._later.values())
        failures = []
        for token in tokens:
            try:
                self._release(token)
                if token not in left:
                    self._journal.note('clean', token=token)
            except (Locked, ConfigurationError) as error:
                failures.append(error)  # it says nothing about the others
        if failures:
            raise failures[0]
        return self._session.names()

    def _release(self, token):
        shared = {STAGED_GUARD, GUARD}
        for name, less in zip(names.LOCKS, ((), shared), strict=True):
            lock = self._lock(token, name, left=set(EVERYTHING).difference(less))
            lock.release()
            if lock.touched:
                raise locked_by(self._session, name)

    def _lock(self, token, name, *, left):
        return LockFiles(self._session, token=token, name=name, left=left)

    def _tokens(self, present):
        """Return the tokens that may have left something, those of the journal first.

        One that is found here, and was used elsewhere, tells that this is the same directory.
        """
        journal = self._journal
        seen = [names.token_of(name) for name in sorted(present)]
        if journal.find('tokens'):
            seen += self._inside_guard(present)
            for name in present:
                if name in names.LOCKS or names.is_broken(name):
                    seen.append(self._inside_lock(name))
                    self._foreign = self._foreign or not journal.row('tokens', seen[-1])
        seen = [token for token in seen if journal.row('tokens', token)]
        known = [journal.row('tokens', token)['target'] for token in seen]
        self._targets = list(dict.fromkeys([self._target, *known]))
        noted = [token for target in self._targets for token in journal.open_tokens(target)]
        return list(dict.fromkeys(noted + seen))

    def _noted(self, table):
        """Return the rows of `table` about this directory, however that was spelled."""
        return [row for target in self._targets for row in self._journal.find(table, target=target)]

    def _note(self, kind, row, **fields):
        self._journal.note(kind, target=row['target'], name=row['name'], **fields)

    def _inside_lock(self, name):
        try:
            content = content_of(self._session, name) or b''
        except (ServerError, NotTold) as error:
            # Ours can be read, as far as is known.
            log.debug('%s cannot be read: %s', name, printable(error.message))
            return ''
        return names.token_of(content.decode('latin-1'))

    def _inside_guard(self, present):
        if names.GUARD not in present:
            return []
        try:
            return sorted(self._session.names(inside=names.GUARD))
        except ServerError as error:
            # Its owner gave it back since the directory was listed: then it is not ours.
            log.debug('The guard cannot be listed: %s', printable(error.message))
            return []

    def _forget_uploads(self, present):
        """Note which uploads never got their name, before their temporaries are deleted.

        Afterwards a temporary that is gone would look as if it had been renamed.
        """
        for upload in self._noted('uploads'):
            temporary = upload['temporary']
            if temporary and self._may_be_there(temporary, present):
                self._note('abandoned', upload)
                self._delete(temporary)

    def _restore_asides(self, present):
        for entry in self._noted('asides'):
            # Of these the temporary is gone, see `_forget_uploads`: they got their name.
            if self._journal.row('uploads', entry['target'], entry['name']):
                entry = self._replaced(entry)
            try:
                done = self._restore(entry, present)
            except NotTold as error:
                log.warning('%s', printable(error.advice))
                done = False
            if done:  # else the next run tries again
                self._note('tidied', entry)

    def _restore(self, entry, present):
        """Put what stood aside in order; return whether it is not there any more."""
        aside, name = entry['aside'], entry['name']
        if not self._is_there(aside, present):
            return True
        if not entry.get('replaced') and self._is_there(name, present):
            entry = self._replaced(entry)
        return self._delete(aside) if entry.get('replaced') else self._put_back(aside, name)

    def _replaced(self, entry):
        """Note that a newer file had the name: a later run cannot see that any more."""
        if not entry.get('replaced'):
            self._note('aside', entry, aside=entry['aside'], replaced=True)
        return {**entry, 'replaced': True}

    def _is_there(self, name, present):
        return name in present or self._session.exists(name)

    def _may_be_there(self, name, present=()):
        try:
            return self._is_there(name, present)
        except NotTold as error:
            log.debug('%s', printable(error.message))
            return True

    def _remove_parts(self, waits):
        """Delete what was sent under its real name, and not confirmed to be complete."""
        existing = Existing(self._session)
        for entry in self._noted('exposed'):
            name, size, before = entry['name'], entry['size'], entry['before']
            if existing.is_part(name, size=size, before=before, waits=waits(name)):
                self._delete(name)
            if name not in self._later:
                self._note('tidied', entry)

    def _put_back(self, aside, name):
        try:
            self._session.rename(aside, name)
        except ServerError as error:
            log.error(
                'On the server %s is called %s now, and cannot be renamed: %s',
                printable(name),
                printable(aside),
                printable(error.message),
            )
            return False
        log.debug('Back in its place: %s', printable(name))
        return True

    def _delete(self, name, *, token=None):
        """Delete a file; return whether it is gone.  `token` is whose it is, if not its name's.

        Some servers end the session where they cannot delete: after the first time the rest is for
        the next run, so that this one goes on.
        """
        owner = names.token_of(name) if token is None else token
        if self._lost:
            self._later[name] = owner
            return False
        try:
            self._session.delete(name)
        except LOST as error:
            if error.while_connecting:
                raise
            self._lost = True
            return self._leave(name, error, owner=owner)
        except ServerError as error:
            if self._may_be_there(name):
                return self._leave(name, error, owner=owner if error.transient else None)
        return True

    def _leave(self, name, error, *, owner):
        """Say that a file stays; `owner` is the token for the next run, None if it is no use."""
        if owner is not None:
            self._later[name] = owner
        log.warning(
            'Left on the server, to be deleted by %s: %s: %s',
            'hand' if owner is None else 'the next run',
            printable(name),
            printable(error.message),
        )
        return False


def _is_file_of(name, tokens):
    """Return whether `name` is the one of a file, not a directory, of one of these runs."""
    return names.token_of(name) in tokens and not names.is_guard(name)
