"""What a killed run of this spool left on a server: found by its tokens, and put in order.

Whoever calls this holds the spool's lock, so every other run of the spool is dead, and what
carries a token out of its journal is nobody else's.  No ages, clocks or process numbers.
"""

import logging

from zeit.cds import names
from zeit.cds.errors import ServerError
from zeit.cds.exposed import Standing
from zeit.cds.holder import is_file
from zeit.cds.lock import EVERYTHING, Lock
from zeit.cds.text import plural, printable


log = logging.getLogger(__name__)


class Leftovers:
    """The leftovers on `target` (str) that `journal` tells of, seen over `session`."""

    def __init__(self, session, *, journal, target, wait, clock):
        self._session = session
        self._journal = journal
        self._target = target
        self._wait = wait
        self._clock = clock
        self._known = journal.tokens(target)

    def remove(self, *, waits=lambda name: False):
        """Put everything in order; return the names that are there afterwards, a set of str.

        Temporaries are deleted, locks and guards are removed.  A file that stood aside gets its
        place back, unless a newer one had it since: that one may have been taken away already.
         `waits(name)` tells whether a file of that name is going to
        be sent again.  Raises `LockLeftBehind` if a lock or guard cannot be removed.
        """
        present = self._session.names()
        tokens = self._tokens(present)
        if not tokens:
            return present
        log.info('Cleaning up after %s that did not end', plural(len(tokens), 'run'))
        self._forget_uploads(present)
        for name in sorted(present):
            if name.endswith('.part') and names.token_of(name) in tokens:
                self._delete(name)
            elif names.is_broken(name) and self._inside_lock(name) in tokens:
                self._delete(name)
        self._restore_asides(present)
        self._remove_parts(waits)
        asides = self._journal.asides(self._target).values()
        left = {names.token_of(entry['aside']) for entry in asides}
        for token in tokens:
            for name in names.LOCKS:
                self._lock(token, name).release()
            if token not in left:
                self._journal.clean(token)
        return self._session.names()

    def _tokens(self, present):
        """Return the tokens that may have left something, those of the journal first."""
        found = dict.fromkeys(self._journal.open_tokens(self._target))
        seen = [names.token_of(name) for name in sorted(present)]
        if self._known:
            seen += self._inside_guard(present)
            locks = (name for name in present if name in names.LOCKS or names.is_broken(name))
            seen += map(self._inside_lock, locks)
        found.update(dict.fromkeys(token for token in seen if token in self._known))
        return list(found)

    def _inside_lock(self, name):
        try:
            content = self._session.read(name, limit=1000) or b''
        except ServerError as error:
            log.debug('%s cannot be read: %s', printable(name), printable(error.message))
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

    def _lock(self, token, name):
        session, wait, clock = self._session, self._wait, self._clock
        return Lock(session, token=token, name=name, wait=wait, clock=clock, left=EVERYTHING)

    def _forget_uploads(self, present):
        """Note which uploads never got their name, before their temporaries are deleted.

        Afterwards a temporary that is gone would look as if it had been renamed.
        """
        for name, upload in self._journal.uploads(self._target).items():
            temporary = upload['temporary']
            if temporary and (temporary in present or is_file(self._session, temporary)):
                self._journal.abandoned(target=self._target, name=name)
                self._delete(temporary)

    def _restore_asides(self, present):
        # Of these the temporary is gone, see `_forget_uploads`: they got their name.
        renamed = self._journal.uploads(self._target)
        for name, entry in self._journal.asides(self._target).items():
            aside = entry['aside']
            if aside in present or is_file(self._session, aside):
                replaced = entry.get('replaced') or name in renamed
                if replaced or name in present or is_file(self._session, name):
                    done = self._delete(aside)
                else:
                    done = self._put_back(aside, name)
                if not done:
                    continue  # so that the next run tries again
            self._journal.tidied(target=self._target, name=name)

    def _remove_parts(self, waits):
        """Delete what was sent under its real name, and not confirmed to be complete."""
        standing = Standing(self._session)
        for name, entry in self._journal.exposures(self._target).items():
            size, before = entry['size'], entry['before']
            if standing.is_part(name, size=size, before=before, waits=waits(name)):
                self._delete(name)
            self._journal.tidied(target=self._target, name=name)

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

    def _delete(self, name):
        """Delete a file; return whether it is gone."""
        try:
            self._session.delete(name)
        except ServerError as error:
            if is_file(self._session, name):
                log.warning(
                    'Left behind on the server, to be deleted by hand: %s: %s',
                    printable(name),
                    printable(error.message),
                )
                return False
        return True
