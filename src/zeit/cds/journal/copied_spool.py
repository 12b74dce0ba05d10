"""What the original of a copied spool has left on servers, until a person says whose it is.

A copy is known by its first line, see `zeit.cds.journal.append_log`.  Nothing on a server is taken
for its own before that: the original may be at work there.
"""

import logging
import os

from zeit.cds.journal.kinds import FILE
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The tables that tell what may be left on a server, and what goes with them.
LEFT = 'uploads', 'asides', 'exposed', 'arrivals', 'removals'
_WITH_THEM = 'tokens', 'rights'

#: What a copy knows as well as its original: it is about no server.
KEPT = 'damage', 'months', 'unpublished', 'runs', 'retracted', 'held', 'accepted'


class Disowned:
    """The `entries` of the kind 'disowned' of the journal in `directory`."""

    def __init__(self, directory):
        self._directory = directory
        self.entries = []

    def __repr__(self):
        return f'<Disowned: {len(self.entries)} entries>'

    @property
    def spool(self):
        """The path of the spool, to be shown."""
        return printable(os.path.dirname(os.path.abspath(self._directory)))

    @property
    def targets(self):
        """The targets on which the original may have left something: a sorted list."""
        return sorted({each['entry']['target'] for each in self.entries})

    def take(self, carried, *, is_own):
        """Disown what is open on a server; `carried(table)` returns the rows of a table.

        `is_own` is that of the log.  If nothing is left on a server, that is all.
        """
        why = 'It is not known whether this spool was copied or restored'
        if is_own is False:
            why = 'This spool was copied or restored'
        rows = [row for table in (*_WITH_THEM, *LEFT) for row in carried(table) if row['target']]
        if self.entries or any(_is_open(row) for row in rows):
            found = [{'kind': 'disowned', 'why': why, 'entry': row} for row in rows]
            self.entries = found + self.entries
        else:
            log.warning('%s; it knows of nothing left on a server: %s', why, self.spool)

    def warn(self):
        """Say what a person has to decide, if there is something."""
        if self.entries:
            log.warning(
                '%s: what it left on %s is not taken for its own. If no other copy runs: '
                'zeit-cds adopt --spool %s. If another copy runs, call '
                '"zeit-cds adopt --forget --spool %s" once, and the warning stops.',
                printable(self.entries[0]['why']),
                printable(', '.join(self.targets)),
                self.spool,
                self.spool,
            )

    def supersede(self, entry):
        """What has been done about a file since, as `entry` says, is what counts for it."""
        for each in [*self.entries]:
            if all(each['entry'].get(field) == entry.get(field) for field in FILE):
                if each['entry']['kind'] != 'aside':
                    self.entries.remove(each)
                elif entry['kind'] == 'delivered':
                    each['entry']['replaced'] = True


def _is_open(row):
    """Return whether something of this row may be on a server."""
    return row['kind'] not in ('rights', 'token') or (row['kind'] == 'token' and not row['clean'])
