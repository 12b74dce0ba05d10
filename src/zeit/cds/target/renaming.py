"""How a complete upload gets its real name, also where a file has that, or no reply says so."""

import logging

from zeit.cds import names
from zeit.cds.errors import (
    CONFIGURATION,
    LOST,
    Error,
    NotProven,
    NotTold,
    PermanentError,
    ServerError,
    TakenAway,
    TargetExists,
)
from zeit.cds.target.interrupted_upload import holds
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: What to do when a complete upload does not get its name.
CANNOT_RENAME = 'For a server that cannot rename, set temporary="no" (--no-temporary).'
CANNOT_REPLACE = (
    'Other files could be renamed: perhaps a directory has this name, or the server does not '
    'accept it.'
)
IN_PLACE = (
    'A file of that name is there, and the server neither replaces it nor gives it another name; '
    'perhaps somebody has it in use. The next run tries again.'
)

#: What happens when a server does not say how it ended.
AGAIN = 'The next run sends it again.'


class Renaming:
    """Renames over `session`, an `ISession`; `ledger` remembers what is set aside, by `token`."""

    def __init__(self, session, *, token, ledger):
        self._session = session
        self._token = token
        self._ledger = ledger

    def __repr__(self):
        return f'<Renaming {self._token}>'

    def give_name(self, temporary, name, source):
        """Give a complete upload, of `source`, its real name.

        Raises `TakenAway` if it is gone, `TargetExists` if a file that has the name is to stay,
        `NotProven` if nothing tells whether it got it.
        """
        try:
            self._rename_or_replace(
                temporary, name, arrived=lambda: holds(self._session, name, source)
            )
        except PermanentError as error:
            if error.is_unsupported and not self._session.renames:
                error.exit_code = CONFIGURATION  # every other file would be sent in vain, too
            elif not self._exists(temporary, unknown=True):
                raise TakenAway(f'The upload is gone: {error.message}') from error
            if not error.hint:
                error.advise(CANNOT_REPLACE if self._session.renames else CANNOT_RENAME)
            raise

    def dispose_of(self, old, name):
        """Delete what has the name `old`, of no use for the file `name` any more."""
        if self._session.dispose_of(old):
            self.tidied(name)

    def tidied(self, name):
        """Note it, unless there is something to be deleted, or may be later: the next run looks."""
        if name not in self._session.unconfirmed and name not in self._session.garbage:
            self._ledger.note('tidied', name)

    def _rename_or_replace(self, temporary, name, *, arrived):
        try:
            self._rename_for_sure(temporary, name, arrived=arrived)
            return
        except PermanentError as error:
            there, old_size = self._existing_file(name)
            if not there:
                raise
            if self._session.delivery.exists == 'park':
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
        self.dispose_of(old, name)

    def _existing_file(self, name):
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
            if not error.is_unsupported or self._session.renames:
                error.advise(IN_PLACE)
            raise

    def _restore(self, old, name, size, *, temporary):
        """Give a file that may have been moved aside its name back.

        Not if `temporary` is gone: the new file had the name, and was taken away at once.
        """
        try:
            if not self._session.exists(old):
                self.tidied(name)
            elif not self._session.exists(name) and self._session.exists(temporary):
                self._rename_for_sure(old, name, arrived=lambda: self._has_size(name, size))
                self._session.unconfirmed.discard(name)
                self.tidied(name)
            else:
                # It is replaced, only the answer was lost.
                self._ledger.note('aside', name, aside=old, replaced=True)
                self.dispose_of(old, name)
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
            inferred = self._session.rename(old, new)
        except LOST as error:
            if error.while_connecting:
                raise
            if not self._session.exists(old):
                if not arrived():
                    raise  # taken away at once, or never renamed: nothing is left to rename
                log.debug('Renamed, only the answer was lost: %s', printable(new))
                self._session.unconfirmed.discard(old)
                return
            if old in self._session.unconfirmed and not names.token_of(old):
                raise  # it would rename whatever has got this real name by then
            inferred = self._session.rename(old, new)
        if inferred and not arrived():
            raise NotProven(
                f'No reply says that {printable(old)} was renamed, and it is gone', hint=AGAIN
            )
