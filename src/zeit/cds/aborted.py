"""Aborted transactions whose files cannot be removed at the moment: held until they can.

A file system that is read-only for a while lets nothing be noted, not even an abort.  As long as
this process holds the directory nobody takes it for one that is in doubt; so it tries again, with
whatever it does next with the spool, and at its end.
"""

import atexit
import contextlib

from zeit.cds.errors import SpoolError


class Aborted:
    """The aborted `IBatch`es of one spool that are still to be removed."""

    def __init__(self):
        self._batches = []

    def __repr__(self):
        return f'<Aborted, {len(self._batches)} to be removed>'

    def add(self, batch):
        """Hold this one; `remove` tries again."""
        if batch not in self._batches:
            self._batches.append(batch)
            atexit.unregister(self.remove)
            atexit.register(self.remove)

    def remove(self):
        """Remove what can be removed now.  Raises nothing."""
        if not self._batches:
            return
        atexit.unregister(self.remove)
        # They are taken out first: another thread may do the same.
        batches, self._batches = self._batches, []
        for batch in batches:
            with contextlib.suppress(SpoolError):  # then it is in the list again
                batch.abort()
