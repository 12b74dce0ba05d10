"""How a partner comes to a spool that others share, or was one's own until now."""

import contextlib
import logging
import os

from zeit.cds.errors import SpoolBusy
from zeit.cds.journal import journal
from zeit.cds.spool import sharing, short_lock
from zeit.cds.spool.common_spool import CommonSpool
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.sequence import Sequence
from zeit.cds.spool.sharing import PARTNERS
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Seconds that a new partner waits until another one has looked what there is.
PATIENCE = 300

#: The tables of what is open between a spool and a target.
_OPEN = (
    *('tokens', 'learned', 'rights', 'uploads', 'asides', 'exposed', 'missed', 'removals'),
    *('failed', 'erasures', 'notices', 'runs'),
)


class Joining:
    """Lets partners come to the `spool` that they share; `everybody()` returns their `Terms`."""

    def __init__(self, spool, *, everybody):
        self._spool = spool
        self._path = spool.path
        self._everybody = everybody
        self._sharing = sharing.Sharing(spool.path)

    def __repr__(self):
        return f'<Joining {self._path!r}>'

    def _in(self, *segments):
        return os.path.join(self._path, *segments)

    def has_joined(self, name):
        """Return whether the partner `name` is known there."""
        return name in self._sharing.partners()

    def recipients(self):
        """Return the `Terms` of those who get what waits now, by name: also before they come."""
        known = self._sharing.partners()
        new = [each for each in self._everybody() if each.name not in known]
        if new and not known:
            remembered = journal.read(self._in(PRIVATE))
            if remembered.row('runs'):
                new, _ = _had_it(remembered, new)
            return {each.name: each for each in new}
        return known

    def without_exporter(self):
        """Return the names of those who are known there, and have no exporter, sorted."""
        return sorted({*self._sharing.partners()} - {each.name for each in self._everybody()})

    def join(self, name):
        """Let all partners be known; those who come later get nothing that waits already.

        If the partner `name` is known, and somebody else holds what this needs, others come later.
        """
        everybody = {each.name: each for each in self._everybody()}
        if everybody.items() <= self._sharing.partners().items():
            return
        for each in PRIVATE, PARTNERS:
            files.make_directory(self._in(each), like=self._path)
        is_known = everybody.get(name) == self._sharing.partners().get(name)
        patience = short_lock.BRIEFLY if is_known else PATIENCE
        try:
            with self._sharing.lock.held(patience=patience):
                # Several come at once, and one of them was the first.
                if not everybody.items() <= self._sharing.partners().items():
                    with CommonSpool(self._spool, patience=patience).run() as common:
                        self._admit(everybody, common)
        except SpoolBusy as error:
            if not is_known:
                raise
            log.warning('Others come in a later run: %s', error.message)

    def _admit(self, everybody, common):
        known, remembered = self._sharing.partners(), common.journal
        new = [each for name, each in everybody.items() if name not in known]
        # From here on an earlier build sends nothing.
        remembered.share()
        before, is_certain = ([], True) if known else _had_it(remembered, new)
        if not is_certain:
            log.warning(
                'Nobody can tell which of these got the files of %s until now; each gets what '
                'waits: %s',
                printable(str(self._path)),
                printable(', '.join(everybody)),
            )
        is_first = not known and not remembered.row('runs')
        for each in new:
            folder = self._sharing.folder(each.name)
            files.make_directory(folder, like=self._path)
            files.make_directory(os.path.join(folder, PRIVATE), like=self._path)
            if each in before:
                self._hand_over(remembered, folder, each.url)
            elif not is_first:
                common.skip_all(folder)
            _withdraw_taken(folder)
            _tell_holds(remembered, folder)
        self._sharing.register({**known, **everybody})
        remembered.forget({each.url for each in before})

    def _hand_over(self, remembered, folder, url):
        """Let a partner know what its spool knew, until there were several."""
        with Sequence(folder).journal() as own:
            rows = [row for table in _OPEN for row in remembered.find(table)]
            with own.together():
                for row in rows:
                    if row.get('target', url) == url:
                        own.note_all(row['kind'], [row])
        # Behind the journal: where a history is without one, it was lost.
        private = os.path.join(folder, PRIVATE)
        files.make_directory(os.path.join(private, journal.HISTORY), like=folder)
        for month in remembered.history.months():
            path = os.path.join(journal.HISTORY, f'{month}.jsonl')
            with contextlib.suppress(FileExistsError):
                sharing.link(self._in(PRIVATE, path), os.path.join(private, path))


def _tell_holds(remembered, folder):
    """Let what is held for all be held for a partner, and what has been released since not."""
    rows = remembered.find('held')
    before = journal.read(os.path.join(folder, PRIVATE), table='held').find('held')
    if rows or before:
        released = {row['name'] for row in before} - {row['name'] for row in rows}
        with Sequence(folder).visited() as visited:
            visited.note_all('released', [{'name': name} for name in sorted(released)])
            visited.note_all('held', rows)


def _withdraw_taken(folder):
    """What one had taken who comes back was replaced meanwhile, or is not for it any more."""
    for name, _ in sharing.scan(os.path.join(folder, 'new')):
        Spool(folder).withdraw(name, 'This partner had been removed.')


def _had_it(remembered, new):
    """Return those of the `new` partners, a list of `Terms`, who got the files until now.

    Whose the spool was is told by what it knows of its runs, a `Journal`; and whether that is
    certain, or they are all.
    """
    found = [each for each in new if _was_served(remembered, each)]
    is_certain = bool(found) or not remembered.row('runs')
    return (found if is_certain else new), is_certain


def _was_served(remembered, terms):
    """Return whether what a spool knows of its runs, a `Journal`, is about this partner."""
    runs = remembered.row('runs') or {}
    last = runs.get('kinds', {}).get('delivered', {}).get('target')
    if last == terms.url or remembered.find('tokens', target=terms.url):
        return True
    return next(remembered.history.find(target=terms.url, kind='delivered'), None) is not None
