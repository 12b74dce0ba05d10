"""What was imported, and is perhaps on the server still: is it gone?

What is not is fetched again, and deleted if its content is what was imported.
"""

import logging

from zeit.cds.errors import CONFIGURATION, Error, FileError, ServerError, raise_signal
from zeit.cds.text import printable


log = logging.getLogger(__name__)


class DeletedFiles:
    """Looks over `session`, with `fetcher`, and notes what has happened."""

    def __init__(self, session, *, fetcher, arrivals, record):
        self._session = session
        self._fetcher = fetcher
        self._arrivals = arrivals
        self._record = record

    def __repr__(self):
        return f'<DeletedFiles over {self._session!r}>'

    def finish(self, names):
        """Forget what was imported under these `names`, as far as it is gone, or was replaced."""
        present = self._session.names() if names else ()
        shown = self._session.is_shown(present)  # nobody else is here: one listing for all of them
        for name in names:
            if shown and name not in present and self._session.sizes(name) == [None]:
                self._arrivals.forget(name)
                continue
            try:
                look = self._fetcher.look(name)
            except (FileError, ServerError) as error:
                raise_if_fatal(error)
                self._record.failed(name, error, size=0)
                self._arrivals.settle(name, removed=False)
                continue
            if not self._arrivals.may_be(name, look):
                self._arrivals.forget(name)  # it is gone, or was replaced
            elif self._arrivals.rests(name, look):
                self._record.kept(name, FileError('it could not be deleted, and is left for now'))

    def verify(self):
        """Find out whether the server has deleted what it says, the last file first.

        If that one is gone, the others are: it is not worth a look at each of them.
        """
        deleted = self._arrivals.deleted()
        for name in reversed(deleted):
            if not self._is_kept(name, deleted[name]):
                return
            self._record.kept(name, _not_deleted())
            self._arrivals.keep(name)

    def _is_kept(self, name, look):
        """Return whether there is the file still that was looked at before it was deleted."""
        try:
            # The server has said that it is deleted; here nothing depends on it but another look.
            if self._session.sizes(name) == [None]:
                return False
            return self._fetcher.look(name).agrees(look)
        except Error as error:
            raise_signal(error)
            log.debug('Not known whether it is gone: %s', printable(error.message))
            return False


def _not_deleted():
    return FileError(
        'the deletion was confirmed, but it is still there',
        hint='Give the account the right to delete files; the next run tries again.',
    )


def raise_if_fatal(error):
    """Raise an `error` that would come for any other file, too."""
    if error.while_connecting or error.exit_code == CONFIGURATION:
        raise error
