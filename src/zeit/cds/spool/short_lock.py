"""A lock that is held for a moment: whoever waits for it does that for a while, and not for ever.

A process may be stopped while it has it.
"""

import contextlib
import logging
import os
import time

from zeit.cds.errors import SpoolBusy
from zeit.cds.system import files, lock_holder
from zeit.cds.system.forks import open_descriptor


log = logging.getLogger(__name__)

#: Seconds that a person waits for a lock that others need for a moment; and that a run does, which
#: goes on without, as the one who has it may be stopped.
PATIENCE, BRIEFLY = 30, 2

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class ShortLock:
    """The lock of the directory `path`, which must exist when it is taken.

    All methods raise OSError.
    """

    def __init__(self, path):
        self._path = path
        #: Says who held it for too long, and until when that is believed, by time.monotonic(2).
        self._busy, self._until = None, 0

    def __repr__(self):
        return f'<ShortLock {self._path!r}>'

    @contextlib.contextmanager
    def held(self, *, patience=None):
        """Return a context manager: inside of it nobody else has the lock.

        Raises `SpoolBusy`, if somebody else has it for `patience` seconds, by default `PATIENCE`.
        """
        patience = PATIENCE if patience is None else patience
        with open_descriptor(self._path, _FLAGS) as descriptor:
            if not files.lock_within(descriptor, patience):
                raise lock_holder.busy(self._path, patience)
            yield

    @contextlib.contextmanager
    def held_briefly(self):
        """Return the same for a run, which waits for a moment, and not for each of many files."""
        is_known = time.monotonic() < self._until
        with open_descriptor(self._path, _FLAGS) as descriptor:
            if not files.lock_within(descriptor, 0 if is_known else BRIEFLY):
                if not is_known:  # to look for it reads what each process has open
                    self._busy = lock_holder.busy(self._path, BRIEFLY)
                    self._until = time.monotonic() + lock_holder.BELIEVED
                raise SpoolBusy(self._busy.message, hint=self._busy.hint)
            self._until = 0
            yield

    @contextlib.contextmanager
    def held_if_possible(self):
        """Return the same, which goes on without it."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.held_briefly())
            except SpoolBusy as error:
                log.debug('Without the lock: %s', error.message)
            yield
