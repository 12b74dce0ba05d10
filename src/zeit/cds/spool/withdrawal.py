"""What is not to go any more: recalled in the journal, and taken out of `new/`.

Whoever withdraws waits for no run, which may last for an hour.  First the journal has that a
version is recalled; then its file is moved to `withdrawn/`, where its bytes remain.  A run looks
behind its own line of the journal, which says that the upload is complete, so one of the two comes
first: what was recalled before that line does not get its name on the server; what is recalled
later counts as delivered, and is only taken out of `new/` if it turns out that it was not.

`withdrawn/` is not `parked/`: what is there is no alarm, and no `retry --all` brings it back.  What
a person drops goes the same way, but to `parked/`, as given up: `retry` brings it back by its name.
"""

import logging
import os

from zeit.cds.errors import SourceGone, SpoolBusy
from zeit.cds.journal import journal
from zeit.cds.journal.kinds import told
from zeit.cds.spool import entries
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.parking import PARKED, Parking
from zeit.cds.spool.sequence import Numbers
from zeit.cds.system import files
from zeit.cds.text import printable


log = logging.getLogger(__name__)

WITHDRAWN = 'withdrawn'

#: Why what tells the partner of a retraction does not go any more.
SUPERSEDED = 'What it is about was published again.'


class Withdrawal:
    """Withdraws from the spool at `path`; `parking` is its `Parking`.

    All methods raise OSError and `SpoolError`; `remembered` is a `Journal` that knows what is
    written about the file, and is locked, but for `settle`, which does that.
    """

    def __init__(self, path, *, parking):
        self._path = os.fspath(path)
        self._parking = parking
        #: The same, with drafts that no run takes for those of one that was killed.
        self._drafted = Parking(path, drafts='tmp')

    def __repr__(self):
        return f'<Withdrawal from {self._path!r}>'

    def _in(self, *segments):
        return '/'.join((self._path, *segments))

    def withdraw(self, name, reason, remembered, *, until):
        """Withdraw what waits as `name`; return whether it does not go."""
        there = entries.find(self._in('new'), name)
        Numbers(remembered).see(filter(None, [there]))
        rows = [row for row in remembered.find('versions', name=name) if row['sequence'] <= until]
        return self._recall(rows, reason, remembered) != []

    def drop(self, name, reason, remembered):
        """Give up what waits, or is parked, as `name`; return its name in `parked/`, '' if nothing.

        Raises `SpoolBusy` if what waits is being delivered at this moment.
        """
        there = entries.find(self._in('new'), name)
        if there is not None:
            require_idle(name, remembered)
            number = Numbers(remembered).see([there])[there.name, there.version]
            row = remembered.row('versions', number)
            return next(iter(self._recall([row], reason, remembered, parks=True)), '')
        if name not in self._parking.content():
            return ''
        parked = self._parking.find(name)
        about = {'name': parked.name, 'sequence': parked.number, 'size': parked.entry.size}
        remembered.record('given_up', {**about, 'reason': reason, **parked.told})
        self._drafted.give_up(parked, reason)
        return name

    def retract(self, content, reason, remembered, *, until, delete=False):
        """Withdraw what waits, or is parked, of a content; see `ISpool.retract`."""
        remembered.note('retracted', id=content, sequence=until)
        content = told({'content': content}).get('content')
        known = remembered.row('erasures', content) or {'sequence': 0}
        if delete and known['sequence'] < until:
            remembered.note('erase', id=content, sequence=until)
        rows = remembered.find('versions', content=content)
        rows = [row for row in rows if row['sequence'] <= until]
        # What tells that an earlier one was is as true as before.
        rows = [row for row in rows if remembered.row('notices', row['sequence']) is None]
        done = self._recall(rows, reason, remembered)
        return done + self._withdraw_parked(content, reason, remembered, until=until)

    def was_retracted(self, content, *, since):
        """Return whether the content with this id was retracted after the number `since`."""
        remembered = journal.read(self._in(PRIVATE), tables=['retracted'], id=[content])
        return any(row['sequence'] > since for row in remembered.find('retracted', id=content))

    def supersede(self, notices, *, visited):
        """Withdraw `notices`, rows of the journal: their content was published since.

        `visited` returns a context manager: the `Journal`.
        """
        if notices:
            with visited({}) as remembered:
                for notice in notices:
                    self._supersede(notice['id'], notice['sequence'], remembered)

    def _supersede(self, content, number, remembered):
        if remembered.row('notices', number) is None:
            return  # it was delivered
        row = remembered.row('versions', number)
        self._recall([] if row is None else [row], SUPERSEDED, remembered)
        remembered.note('superseded', sequence=number)
        self._withdraw_parked(content, SUPERSEDED, remembered, until=number, since=number)

    def _recall(self, rows, reason, remembered, *, parks=False):
        """Recall the versions of these `rows`; return the names of those that do not go, a list.

        `parks`: they go to `parked/`, and the names are those that they have there.
        """
        rows = [row for row in rows if not row.get('recalled')]
        with remembered.together():
            for row in rows:
                about = {'name': row['name'], 'sequence': row['sequence'], 'reason': reason}
                remembered.note('recalled', **about, **({'parks': True} if parks else {}))
        found = [remembered.row('versions', row['sequence']) for row in rows]
        taken = [(row['name'], self._take_out(row, remembered)) for row in found]
        return [stored if parks else name for name, stored in taken if stored]

    def settle(self, remembered):
        """Take out what was recalled and stands in `new/` still, or was parked meanwhile."""
        with remembered.log.locked():
            for row in remembered.find('versions', recalled=True, moved=False):
                if not self._take_out(row, remembered) and not row['parks']:
                    about = row.get('content'), row['reason'], remembered
                    self._withdraw_parked(*about, until=row['sequence'])

    def _withdraw_parked(self, content, reason, remembered, *, until, since=0):
        """Take the versions of a content out of `parked/`; return their names, a list."""
        found = self._parking.of(content) if content else []
        found = [each for each in found if since <= each.number <= until]
        found = [each for each in found if remembered.row('notices', each.number) is None]
        for each in found:
            version = {'name': each.name, 'sequence': each.number, 'size': each.entry.size}
            about = {'reason': reason, **each.told}
            self._move(PARKED, each.stored, version, about, remembered)
            self._parking.forget(each)
        return [each.name for each in found]

    def require_wanted(self, name, number, remembered):
        """Return the row of a version that may go, {} without one.

        Raises `Withdrawn` if it was recalled, `SourceGone` if nothing has the name.
        """
        row = Numbers(remembered).require_wanted(number)
        if not entries.is_there(self._in('new'), name):
            raise SourceGone(f'{printable(name)} has disappeared from the spool')
        return row

    def _take_out(self, row, remembered):
        """Move a file out of `new/`; return its name there, '' if this version is not to be moved.

        It may not be in `new/`, or may go.
        """
        name, number, new = row['name'], row['sequence'], self._in('new')
        if is_under_way(name, remembered, number=number):
            log.info('It is being delivered, or was: %s', printable(name))
            return ''
        there = entries.find(new, name)
        if there is None or there.version != tuple(row['version']):
            return ''
        version = {'name': name, 'sequence': number, 'size': there.size}
        about = {'reason': row['reason'], **remembered.told(number)}
        section, move = (PARKED, self._park) if row['parks'] else (WITHDRAWN, self._move)
        stored = move('new', name, version, about, remembered)
        moved = entries.find(self._in(section), stored)
        if moved is not None and moved.version != there.version:
            self._give_back(section, stored, name)
        return stored

    def _park(self, section, stored, version, about, remembered):
        """Move a file to `parked/`, as one that is given up, with its receipt; return its name."""
        told_of_it = told(about)
        path, name, number = self._in(section, stored), version['name'], version['sequence']
        found = self._drafted.add(
            path,
            name,
            about['reason'],
            number=number,
            told=told_of_it,
            given_up=True,
            noted=lambda: remembered.record('given_up', {**version, **about}),
        )
        remembered.note('given_up', name=name, sequence=number)
        log.info('Dropped: %s: %s', printable(name), printable(about['reason']))
        return found

    def _move(self, section, stored, version, about, remembered):
        """Move a file here, with its receipt; return its name."""
        files.make_directory(self._in(WITHDRAWN), like=self._path)
        # Before it is moved: a kill in between has it twice, and not never.
        remembered.record('withdrawn', {**version, **about})
        name = files.move(self._in(section, stored), self._in(WITHDRAWN), version['name'])
        files.sync_directories(self._in(WITHDRAWN), self._in(section))
        remembered.note('withdrawn', name=version['name'], sequence=version['sequence'])
        log.info('Withdrawn: %s: %s', printable(version['name']), printable(about['reason']))
        return name

    def _give_back(self, section, stored, name):
        """Return to `new/` what somebody else has renamed there at this very moment."""
        try:
            files.rename_exclusively(self._in(section, stored), self._in('new', name))
        except FileExistsError:
            return  # there is an even newer one
        files.sync_directories(self._in('new'), self._in(section))


def require_idle(name, remembered):
    """Raise `SpoolBusy` if a file of this `name` is being delivered at this moment."""
    if is_under_way(name, remembered):
        raise SpoolBusy(
            f'{printable(name)} is being delivered at this moment, or was when a run was killed',
            hint='Try again when the run has ended; after a kill the next run finds out.',
        )


def is_under_way(name, remembered, *, number=None):
    """Return whether an upload of `name`, of the version with this `number`, may count."""
    return any(
        number in (None, row.get('sequence'))
        for table in ('uploads', 'exposed')
        for row in remembered.find(table, name=name)
    )
