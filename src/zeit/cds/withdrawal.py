"""What is not to go any more: recalled in the journal, and taken out of `new/`.

Whoever withdraws waits for no run, which may last for an hour.  First the journal has that a
version is recalled; then its file is moved to `withdrawn/`, where its bytes remain.  A run looks
behind its own line of the journal, which says that the upload is complete, so one of the two comes
first: what was recalled before that line does not get its name on the server; what is recalled
later counts as delivered, and is only taken out of `new/` if it turns out that it was not.

`withdrawn/` is not `parked/`: what is there is no alarm, and no `retry --all` brings it back.
"""

import logging
import os

from zeit.cds import entries, files
from zeit.cds.errors import SourceGone, Withdrawn
from zeit.cds.kinds import told
from zeit.cds.parking import PARKED
from zeit.cds.sequence import Numbers
from zeit.cds.text import printable


log = logging.getLogger(__name__)

WITHDRAWN = 'withdrawn'


class Withdrawal:
    """Withdraws from the spool at `path`; `parking` is its `Parking`.

    All methods raise OSError and `SpoolError`; `remembered` is a `Journal` that knows what is
    written about the file, and is locked, but for `settle`.
    """

    def __init__(self, path, *, parking):
        self._path = os.fspath(path)
        self._parking = parking

    def __repr__(self):
        return f'<Withdrawal from {self._path!r}>'

    def _in(self, *segments):
        return os.path.join(self._path, *segments)

    def withdraw(self, name, reason, remembered, *, until):
        """Withdraw what waits as `name`; return whether it does not go."""
        there = entries.standing(self._in('new'), name)
        Numbers(remembered).see(filter(None, [there]))
        rows = [row for row in remembered.find('versions', name=name) if row['sequence'] <= until]
        return self._recall(rows, reason, remembered) != []

    def retract(self, content, reason, remembered, *, until):
        """Withdraw what waits, or is parked, of a content; see `ISpool.retract`."""
        remembered.note('retracted', id=content, sequence=until)
        content = told({'content': content}).get('content')
        rows = remembered.find('versions', content=content)
        done = self._recall([row for row in rows if row['sequence'] <= until], reason, remembered)
        return done + self._withdraw_parked(content, reason, remembered, until=until)

    def _recall(self, rows, reason, remembered):
        """Recall the versions of these `rows`; return the names of those that do not go, a list."""
        rows = [row for row in rows if not row.get('recalled')]
        with remembered.together():
            for row in rows:
                about = {'name': row['name'], 'sequence': row['sequence']}
                remembered.note('recalled', **about, reason=reason)
        found = [remembered.row('versions', row['sequence']) for row in rows]
        return [row['name'] for row in found if self._take_out(row, remembered)]

    def settle(self, remembered):
        """Take out what was recalled and stands in `new/` still, or was parked meanwhile."""
        with remembered.log.locked():
            for row in remembered.find('versions', recalled=True, moved=False):
                if not self._take_out(row, remembered):
                    about = row.get('content'), row['reason'], remembered
                    self._withdraw_parked(*about, until=row['sequence'])

    def _withdraw_parked(self, content, reason, remembered, *, until):
        """Take the versions of a content out of `parked/`; return their names, a list."""
        found = self._parking.of(content) if content else []
        found = [each for each in found if each.number <= until]
        for each in found:
            version = {'name': each.name, 'sequence': each.number, 'size': each.entry.size}
            about = {'reason': reason, **each.told}
            self._move(PARKED, each.stored, version, about, remembered)
            self._parking.forget(each)
        return [each.name for each in found]

    def require_wanted(self, name, number, remembered):
        """Raise `Withdrawn` if this version was recalled, `SourceGone` if nothing has the name."""
        row = remembered.row('versions', number)
        if row is not None and row.get('recalled'):
            raise Withdrawn(row['reason'])
        if entries.standing(self._in('new'), name) is None:
            raise SourceGone(f'{printable(name)} has disappeared from the spool')

    def _take_out(self, row, remembered):
        """Move a file out of `new/`; return whether this version was there, and does not go."""
        name, number, new = row['name'], row['sequence'], self._in('new')
        if _is_under_way(name, number, remembered):
            log.info('It is being delivered, or was: %s', printable(name))
            return False
        there = entries.standing(new, name)
        if there is None or [*there.version] != row['version']:
            return False
        version = {'name': name, 'sequence': number, 'size': there.size}
        about = {'reason': row['reason'], **remembered.told(number)}
        stored = self._move('new', name, version, about, remembered)
        moved = entries.standing(self._in(WITHDRAWN), stored)
        if moved is not None and moved.version != there.version:
            self._give_back(stored, name)
        return True

    def _move(self, section, stored, version, about, remembered):
        """Move a file here, with its receipt; return its name."""
        files.make_directory(self._in(WITHDRAWN), like=self._path)
        # Before it is moved: a kill in between has it twice, and not never.
        largest = {'largest': remembered.log.largest}
        remembered.history.add({'kind': 'withdrawn', **version, **about, **largest})
        name = files.move(self._in(section, stored), self._in(WITHDRAWN), version['name'])
        files.sync_directories(self._in(WITHDRAWN), self._in(section))
        remembered.note('withdrawn', name=version['name'], sequence=version['sequence'])
        log.info('Withdrawn: %s: %s', printable(version['name']), printable(about['reason']))
        return name

    def _give_back(self, stored, name):
        """Return to `new/` what somebody else has renamed there at this very moment."""
        try:
            files.rename_exclusively(self._in(WITHDRAWN, stored), self._in('new', name))
        except FileExistsError:
            return  # there is an even newer one
        files.sync_directories(self._in('new'), self._in(WITHDRAWN))


def _is_under_way(name, number, remembered):
    return any(
        row.get('sequence') == number
        for table in ('uploads', 'exposed')
        for row in remembered.find(table, name=name)
    )
