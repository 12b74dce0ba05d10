"""What was imported is deleted on the server: now, or by the run after the one that was killed."""

import logging

from zeit.cds.arrivals import OTHER, SAME
from zeit.cds.errors import CONFIGURATION, LOST, Error, FileError, ServerError, raise_signal
from zeit.cds.text import printable


log = logging.getLogger(__name__)


class Clearance:
    """Deletes over `session`, under `lock`; looks with `fetcher`, and notes what happened."""

    def __init__(self, session, lock, *, fetcher, arrivals, record):
        self._session = session
        self._lock = lock
        self._fetcher = fetcher
        self._arrivals = arrivals
        self._record = record

    def __repr__(self):
        return f'<Clearance over {self._session!r}>'

    def finish(self, names):
        """Delete what was imported under these names, as far as it is sure to be that."""
        present = self._session.names() if names else ()
        shown = self._session.is_shown(present)  # nobody else is here: one listing for all of them
        for name in names:
            if shown and name not in present and self._session.sizes(name) == [None]:
                self._arrivals.forget(name)
                continue
            try:
                look = self._fetcher.look(name)
            except (FileError, ServerError) as error:
                unless_fatal(error)
                self._record.failed(name, error, size=0)
                self._arrivals.settle(name, removed=False)
                continue
            verdict = self._arrivals.compare(name, look)
            if verdict == OTHER:
                self._arrivals.forget(name)  # it is gone, or was replaced
            elif verdict == SAME:
                # To look, another connection may have been needed.
                self._lock.watch()
                self._delete_settled(name, look)

    def _delete_settled(self, name, look):
        removed = False
        try:
            removed = self._delete(name, look)
        finally:
            # Also after an error: that it was imported is sure.
            self._arrivals.settle(name, removed=removed)

    def _delete(self, name, look):
        try:
            self._delete_for_sure(name, look)
        except ServerError as error:
            unless_fatal(error)
            if self._is_there(name):
                self._record.kept(name, error)
                return False
        if self._is_kept(name, look):
            self._record.kept(name, _not_deleted())
            return False
        log.info('File removed on server: %s', printable(name))
        return True

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

    def _delete_for_sure(self, name, look):
        try:
            self._session.delete(name)
        except LOST as error:
            if error.while_connecting:
                raise
            self._lock.watch()
            # If it was deleted, and only the answer lost, there may be another one by now.
            if self._fetcher.look(name).agrees(look):
                self._session.delete(name)

    def _is_there(self, name):
        try:
            return self._fetcher.look(name).exists
        except (FileError, ServerError) as error:
            unless_fatal(error)
            return True


def _not_deleted():
    return FileError(
        'it says that it has deleted it, and has not',
        hint='Let the account have the right to delete files; the next run tries again.',
    )


def unless_fatal(error):
    """Raise an `error` that would come for any other file, too."""
    if error.while_connecting or error.exit_code == CONFIGURATION:
        raise error
