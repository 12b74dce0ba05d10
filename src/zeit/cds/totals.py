"""How much there was in all: counters that only grow, however often the journal begins anew."""

import dataclasses


@dataclasses.dataclass
class Totals:
    """What the entries of a journal add up to.

    `delivered`, `received`: files that were sent, that came in; `delivered_bytes`,
    `received_bytes`: what they held.  `failed`: refusals of files, by the
    server or for their name, one for each run.  `parked`:
    files that were put away.

    A journal that begins anew begins with the `entry` of the one before.
    """

    delivered: int = 0
    delivered_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    failed: int = 0
    parked: int = 0

    def learn(self, entry):
        """Count an entry (a dictionary).  Damaged ones count as far as they can be read."""
        kind = entry.get('kind')
        if kind == 'totals':
            for field in dataclasses.fields(self):
                setattr(self, field.name, _number(entry.get(field.name)))
        # What was carried over from the journal before has no date, and was counted there.
        elif kind in ('delivered', 'received', 'failed', 'parked') and 'at' in entry:
            setattr(self, kind, getattr(self, kind) + 1)
            if kind in ('delivered', 'received'):
                total = f'{kind}_bytes'
                setattr(self, total, getattr(self, total) + _number(entry.get('size')))

    @property
    def entry(self):
        """The entry that says all this at once."""
        return {'kind': 'totals', **dataclasses.asdict(self)}


def _number(value):
    return value if isinstance(value, int) and value >= 0 else 0
