"""Which of the files that wait in a spool go to a target in this run, and why others do not.

It is asked when the turn of a file comes near: its name, its time, a hold, what an earlier run
knows of it.  The application is asked when its turn has come.
"""

import zope.component

from zeit.cds import scope
from zeit.cds.errors import Embargoed, Error, Expired, FileError, Held, TakenAway, Withdrawn
from zeit.cds.interfaces import IStillWanted
from zeit.cds.journal import kinds
from zeit.cds.spool import holds


class Selection:
    """What an export with these `options` takes from `spool` to `target`, which has the `ledger`.

    Of what does not go it is said to `record` and `refusals`; `failures` knows what has failed.
    `untimely`: why some files do not go now, by name, see `ISpool.untimely`.
    """

    def __init__(self, options, *, spool, target, ledger, failures, refusals, record):
        self._options = options
        self._spool = spool
        self._target = target
        self._ledger = ledger
        self._failures = failures
        self._refusals = refusals
        self._record = record
        self.untimely = {}
        #: Why the server does not keep some names, by name.
        self._misspelt = {}
        #: Who knows whether a file is still wanted, None without anybody.
        self._application = zope.component.queryAdapter(spool, IStillWanted)

    def __repr__(self):
        return f'<Selection from {self._spool!r} to {self._target!r}>'

    def wanted(self, names):
        """Return the entries of what is to go of these names, a list; of the others it is said."""
        found = self._spool.entries(names)
        there = {entry.name for entry in found}
        for name in names:
            if name not in there:
                self._record.gone(name, self._spool.missing(name))
        self.tell(*found)
        self.untimely = self._spool.untimely(found) | self.untimely
        return self.spelt([entry for entry in found if self._is_wanted(entry)])

    def tell(self, *entries):
        """Let results of these entries say what the application has told of them."""
        for entry in entries:
            told = {field: getattr(entry, field) for field in kinds.TOLD}
            if any(told.values()):
                self._record.told[entry.name] = told
            else:
                self._record.told.pop(entry.name, None)

    def spelt(self, entries):
        """Return the entries whose names the server keeps; the others are refused."""
        for entry in entries:
            if entry.name in self._misspelt:
                self._refusals.refused(entry, self._misspelt[entry.name])
        return [entry for entry in entries if entry.name not in self._misspelt]

    def learn_spelling(self, session, names, *, token):
        """Know which of these names the server does not keep."""
        self._misspelt |= session.misspelt(names, token=token)

    def ask(self, entry):
        """Withdraw what the application does not want any more; see `require_still_wanted`."""
        try:
            self.require_still_wanted(entry)
        except Withdrawn as error:
            self._spool.withdraw(entry.name, error.message, until=entry.number)

    def require_still_wanted(self, entry):
        """Raise `Withdrawn` if the application does not want it, `FileError` if nobody can tell."""
        if self._application is None:
            return
        try:
            with scope.around():
                is_wanted = self._application.wanted(entry)
        except Exception as error:
            raise FileError(
                f'Nobody can tell whether it is wanted: {type(error).__name__}: {error}',
                hint='The next run asks again.',
            ) from error
        if not is_wanted:
            raise Withdrawn('The application does not want it any more.')

    def _is_wanted(self, entry):
        untimely = self.untimely.get(entry.name)
        if isinstance(untimely, Expired) and self._is_withdrawn(entry, untimely):
            return False
        try:
            self._target.check(entry.name)
        except Error as error:
            self._refusals.refused(entry, error)
            return False
        if not self._options.strict and self._rests(entry):
            return False
        held = self._held(entry, untimely)
        if held is not None:
            self._record.held(entry.name, held)
            return False
        if entry.size or self._options.empty == 'send':
            return True
        if self._options.empty == 'park' and not self._options.dry_run:
            self._refusals.park(entry, 'The file is empty.')
        else:
            self._record.skipped(entry.name, 'is empty')
        return False

    def _held(self, entry, untimely):
        """Return the `Held` of an entry, None if it may go; `untimely` is that of its time.

        One that an earlier run may have delivered has to be looked for, whatever becomes of it.
        """
        if self._ledger.row('uploads', entry.name):
            return None
        if isinstance(untimely, Embargoed):
            self._record.embargoed(untimely.until)
        held = holds.held(self._spool.journal, entry.name)
        return untimely if held is None and isinstance(untimely, Held) else held

    def _is_withdrawn(self, entry, expired):
        """Withdraw what has expired; return False if an earlier run may have delivered it."""
        if self._ledger.row('uploads', entry.name):
            return False
        if not self._options.dry_run:
            self._spool.withdraw(entry.name, expired.message, until=entry.number)
        self._record.gone(entry.name, expired)
        return True

    def _rests(self, entry):
        """Say it if a file is not sent now, as it was taken away on arrival; return whether."""
        seconds = self._failures.rests(entry.name, [*entry.version])
        if seconds and (self._target.size_check or self._target.temporary):
            what = f'It was confirmed and taken away, and is not sent again for {seconds:.0f} s'
            self._record.failed(entry.name, TakenAway(what), size=entry.size)
            return True
        return False
