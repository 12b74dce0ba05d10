"""What a look into a spool shows."""

import dataclasses
import functools
import os
import pathlib

import zope.interface

from zeit.cds import names
from zeit.cds.errors import NameRefused
from zeit.cds.interfaces import ISpoolStatus
from zeit.cds.journal import journal, kinds
from zeit.cds.journal.history import moment
from zeit.cds.spool import entries, sharing, statistics, transactions_in_doubt
from zeit.cds.spool.filing import FILING, PRIVATE
from zeit.cds.spool.runlock import RunLock
from zeit.cds.spool.sequence import OUTBOX, numbered
from zeit.cds.system import files


#: The tables of the journal that a look shows something of.
_SHOWN = (
    *('versions', 'unpublished', 'erasures', 'removals', 'arrivals', 'missed', 'failed'),
    *('held', 'tokens', 'runs', 'months', 'damage'),
)


@zope.interface.implementer(ISpoolStatus)
@dataclasses.dataclass(frozen=True, kw_only=True)
class SpoolStatus:
    """See `ISpoolStatus`."""

    path: pathlib.Path
    waiting: list
    ignored: list
    hidden: list
    parked: list
    parked_content: dict
    given_up: frozenset
    unpublished: list
    held: dict
    in_doubt: list
    filing: list
    active: str
    numbers: object
    partners: tuple = ()

    @property
    def delivered(self):
        """See `ISpoolStatus`."""
        return self._filed[0]

    @property
    def last_delivered(self):
        """See `ISpoolStatus`."""
        return self._filed[1]

    @property
    def withdrawn(self):
        """See `ISpoolStatus`."""
        return self._newest('withdrawn')[0]

    @functools.cached_property
    def _filed(self):
        """What is in `cur/`: only who asks waits for that."""
        return self._newest('cur')

    def _newest(self, section):
        about, path = 'The spool cannot be used: {}', self.path / section
        with files.translated(about, path, hint='Check owner and mode.'):
            try:
                return files.newest(path)
            except FileNotFoundError:
                return 0, None


def look(path, *, filing, parking, unpublished, timed=False):
    """Return the `SpoolStatus` of the spool at `path`; the journal is read once.

    The others are its `zeit.cds.spool.filing.Filing`, `Parking` and `Unpublished`; `timed` as in
    `zeit.cds.spool.sequence.numbered`.  Raises OSError, `SpoolError`.
    """
    private, new = path / PRIVATE, path / 'new'
    # What a first run will create is as good as empty.
    there = [os.path.lexists(each) for each in (new, path / FILING)]
    # In the order in which a file passes them: one that does so now may be seen twice, but not be
    # missed.
    found, ignored, hidden = entries.scan(new) if there[0] else ([], [], [])
    on_its_way = filing.content() if there[1] else []
    parked = parking.content()
    remembered = journal.read(private, tables=_SHOWN)
    timed = timed or sharing.is_shared(path)
    waiting, refused = _by_name(numbered(found, remembered, timed=timed))
    seen = {(entry.name, entry.version) for entry in waiting}
    on_its_way = numbered(on_its_way, remembered)
    # After the journal: whoever has ended before has written that down.
    owner = RunLock(private / 'lock', like=path).owner()
    return SpoolStatus(
        path=path,
        waiting=sorted(waiting, key=entries.by_arrival),
        ignored=sorted([*ignored, *refused]),
        hidden=hidden,
        parked=[(stored, about['reason']) for stored, about in parked.items()],
        parked_content={stored: kinds.about(about) for stored, about in parked.items()},
        given_up=frozenset(stored for stored, about in parked.items() if about['given_up']),
        unpublished=unpublished.content(remembered),
        held={row['name']: _hold(row) for row in remembered.find('held')},
        in_doubt=transactions_in_doubt.left(path / OUTBOX),
        filing=[each for each in on_its_way if (each.name, each.version) not in seen],
        active='' if owner is None else owner.shown,
        numbers=statistics.numbers(private, remembered, owner=owner),
        partners=tuple(sharing.known(path)),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartnerStatus(SpoolStatus):
    """That of an `IPartner`, whose name is `partner`, of the spool at `shared`."""

    partner: str
    shared: pathlib.Path
    #: Of what waits, the entries that stay in `new/` for this one alone: all others have them.
    alone: list = dataclasses.field(default_factory=list)

    @functools.cached_property
    def _filed(self):
        """How much was delivered, and what last: it is in `cur/` of the spool, or will be."""
        history = journal.history(self.path / PRIVATE)
        last = next(history.find(kind='delivered'), {})
        at = moment(last.get('at'))
        newest = None if at is None else (str(last.get('name')), at.timestamp())
        return self.numbers.totals['delivered'], newest

    @property
    def kept(self):
        """How many of these are in `new/` of the spool until all have them."""
        return self._newest('cur')[0]


def of_partner(found, offered, ignored, **about):
    """Return the `PartnerStatus`; `found` is the `SpoolStatus` of its own directory.

    `offered` are the entries that it may take from the spool, `ignored` what never goes there;
    `about` is the rest.
    """
    waiting, refused = _by_name(entries.newest(*found.waiting, *offered).values())
    known = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    known['waiting'] = sorted(waiting, key=entries.by_arrival)
    known['ignored'] = sorted({*found.ignored, *refused, *ignored})
    return PartnerStatus(**known, **about)


def _hold(row):
    since = moment(row['at'])
    return row['reason'], 0 if since is None else since.timestamp()


def _by_name(found):
    """Return the entries that can go, and (name, reason) of those whose names no server gets."""
    waiting, refused = [], []
    for entry in found:
        try:
            names.check(entry.name)
            waiting.append(entry)
        except NameRefused as error:
            reason = f'is refused: {error.message[:1].lower()}{error.message[1:]}'
            refused.append((entry.name, reason))
    return waiting, refused
