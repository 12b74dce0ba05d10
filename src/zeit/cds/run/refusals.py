"""A file that the server refuses in several runs is parked, so that somebody looks at it."""

from zeit.cds.errors import CONFIGURATION, LOST, NotMoved, ServerError, SizeMismatch
from zeit.cds.text import plural


#: Errors that may be the fault of the file, if the server takes another one.
_REFUSALS = (ServerError, SizeMismatch, *LOST)


class Refusals:
    """Counts the refusals of files, which `failures` remembers; parks files of `spool`.

    `ledger` knows what is uncertain; `record` is that of the run.  `park_after` is the number of
    refusals after which a file is parked, 0 for never.
    """

    def __init__(self, failures, *, spool, ledger, record, park_after):
        self._failures = failures
        self._spool = spool
        self._ledger = ledger
        self._record = record
        self._park_after = park_after
        #: Files whose failure may be the last one before they are parked: (entry, error) by name.
        self._undecided = {}

    def __repr__(self):
        return f'<Refusals, {len(self._undecided)} undecided>'

    def refused(self, entry, error):
        """Count and say that the name of the `entry` never goes to the server."""
        if not (self._park_after and self._count(entry, error)):
            self._record.failed(entry.name, error, size=entry.size)

    def may_park(self, entry, error):
        """Return whether `error` may be the last one, so that nothing is said of it until then."""
        is_last = self._failures.number(entry) + 1 >= self._park_after
        if is_last and self._is_refusal(entry, error):
            self._undecided[entry.name] = entry, error
            return True
        return False

    def proven(self, entry, error):
        """Count `error`, which is the fault of the file if it is a refusal."""
        if self._is_refusal(entry, error):
            is_undecided = entry.name in self._undecided
            if self._count(entry, error, parks=is_undecided):
                del self._undecided[entry.name]

    def settle(self):
        """Say of what was not parked in the end that it has failed."""
        for entry, error in self._undecided.values():
            self._record.failed(entry.name, error, size=entry.size)

    def park(self, entry, reason):
        """Put the file away; return whether this version of it was still there."""
        try:
            stored = self._spool.park(entry, reason)
        except NotMoved as error:
            self._record.failed(entry.name, error, size=entry.size)
            return True
        if stored:
            self._record.parked(entry.name, reason, size=entry.size, stored=stored)
        return bool(stored)

    def _is_refusal(self, entry, error):
        return (
            self._park_after
            and isinstance(error, _REFUSALS)
            and not error.while_connecting
            and error.exit_code != CONFIGURATION
            # What has perhaps got its name on the server is not put away: the next run finds out.
            and self._ledger.row('uploads', entry.name) is None
        )

    def _count(self, entry, error, *, parks=True):
        """Count a refusal; park the file if that is due, and it `parks`; return as `park` does."""
        number = self._failures.count(entry, error.message)
        if number < self._park_after or not parks:
            return False
        last = ', most recently' if number > 1 else ''
        return self.park(entry, f'Refused in {plural(number, "run")}{last}: {error.message}')
