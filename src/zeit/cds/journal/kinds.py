"""What a line of the journal says, by its kind, and what follows from that: see `KINDS`."""

import functools
from types import FunctionType, MappingProxyType
from typing import NamedTuple

from zeit.cds.journal import line_format


FILE = 'target', 'name'

#: What the application may tell of a version of a file: in its row, its receipts, beside it when it
#: is parked.  `LONGEST`: how many characters of each are kept.
TOLD = 'content', 'content_version'
LONGEST = 1000

#: What it may tell of when a version goes, see `zeit.cds.spool.schedule`: kept with the others.
SCHEDULE = MappingProxyType({'priority': int, 'not_before': str, 'not_after': str})

#: What is counted, of files and of bytes.
COUNTS = (
    'delivered',
    'delivered_bytes',
    'received',
    'received_bytes',
    'failed',
    'parked',
    'withdrawn',
    'retracted',
)


def _number(value):
    return type(value) is int and value >= 0


def _seconds(value):
    return type(value) in (int, float) and 0 <= value < 1e11


def _empty(value):
    return value == {}


_MAYBE = type(None)
_ENDED = {'ended': _seconds, 'exit_code': int}
_RUNS = {
    'runs': {str: int},
    'seconds': _seconds,
    'last': {**_ENDED, 'seconds': _seconds},
    'success': (_seconds, _MAYBE),
    'kinds': {str: {**_ENDED, 'success': (_seconds, _MAYBE), 'failures': int}},
    'locked': ({'lock': str, 'holder': str, 'since': _seconds}, _MAYBE),
}
_FACTS = {'server': str, 'once': [str], 'facts': {str: (bool, [str], _MAYBE)}}

_TRUTHS = (
    *('clean', 'moved', 'recalled', 'replaced', 'busy', 'blocks', 'guard', 'retracts'),
    *('parks', 'notice', 'restored'),
)

#: What the fields are that matter to somebody: of a type; one of those in a tuple; a list of such,
#: or of these; a dictionary with these fields at least, or such values; what a function says.
TYPES = {
    **dict.fromkeys(('kind', 'at', 'target', 'name', 'token', 'id', 'temporary', 'sha256'), str),
    **dict.fromkeys(('reply', 'aside', 'modified', 'filed_as', 'reason', 'why', *TOLD), str),
    'answer': str,
    **SCHEDULE,
    **dict.fromkeys(_TRUTHS, bool),
    **dict.fromkeys(('sequence', 'size', 'number', 'attempts', 'lines', 'tried'), _number),
    **dict.fromkeys(('taken', 'until', *COUNTS), _number),
    'months': [str],
    'missing': [str],
    'inode': (int, _MAYBE),
    'version': [int],
    'source': [int],
    'before': ([(int, _MAYBE), (str, _MAYBE)], _MAYBE),
    'newest': ([str, str], _MAYBE),
    'entry': {'kind': str, 'target': str},
}


class Kind(NamedTuple):
    """What an entry does.

    It `closes` the rows of these tables that it is about; it `opens` a row of this table, if it has
    the fields that it `needs`, and `types` are those of fields that are others in this kind only.
    It `sets` these fields, of the row that it opens or of that of the table `changes`, to the
    values here unless it has others.  `counts` is what it adds one to.

    `lazily`: it tells what has happened, and a run that does not know it finds it out, as after a
    kill just before.  So it survives a kill, and a loss of power when the next entry does that is
    written before something happens.
    """

    opens: str = ''
    needs: tuple = ()
    types: dict = MappingProxyType({})
    closes: tuple = ()
    changes: str = ''
    sets: dict = MappingProxyType({})
    counts: str = ''
    lazily: bool = False


#: The fields that tell the rows of a table apart.
TABLES = MappingProxyType(
    {
        'tokens': ('token',),
        'learned': ('target',),
        'rights': ('target',),
        'uploads': FILE,
        'asides': FILE,
        'exposed': FILE,
        'arrivals': FILE,
        'missed': FILE,
        'failed': ('name',),
        'versions': ('sequence',),
        'unpublished': ('id',),
        'retracted': ('id',),
        'erasures': ('id',),
        'removals': FILE,
        'notices': ('sequence',),
        'held': ('name',),
        'runs': (),
        'months': (),
        'damage': (),
        'accepted': (),
    }
)

_UPLOAD = 'temporary', 'size', 'sha256', 'reply'
_ARRIVAL = 'temporary', 'size', 'sha256', 'modified', 'filed_as', 'at'
_OVER = Kind(closes=('failed', 'missed'), lazily=True)
_NUMBERED = Kind(opens='versions', needs=('name', 'version'), lazily=True)

#: All kinds.  In the comments capitals are fields, and what has no comment is in the one above.
KINDS = MappingProxyType(
    {
        # The first line of a file: an id, when file and directory were made, their inodes.
        'journal': Kind(types={'version': int}),
        # COUNTS before this file began, the file that came in last.
        'totals': Kind(),
        # ENTRY is about what the original has left, if this is a copy.
        'disowned': Kind(needs=('why', 'entry')),
        # TOKEN is about to be used on TARGET.
        'token': Kind(opens='tokens', needs=('target',), sets={'clean': False}),
        # Nothing of TOKEN is left on TARGET.
        'clean': Kind(changes='tokens', sets={'clean': True}, lazily=True),
        # What is KNOWN of the server of TARGET (see `ISession.learned`), {} if nothing is.
        'learned': Kind(
            opens='learned', needs=('known', 'at'), types={'known': (_FACTS, _empty)}, lazily=True
        ),
        # The account may do on TARGET all that a lock takes, or that is not KNOWN any more; whether
        # there can be a GUARD, see `zeit.cds.lock.lock`; WHY not.
        'rights': Kind(opens='rights', needs=('known',), types={'known': bool}),
        # NAME is complete on TARGET under TEMPORARY, its size was compared; it gets its name.
        'uploaded': Kind(opens='uploads', needs=_UPLOAD),
        # NAME is complete on TARGET as NAME; with a VERSION that one is, and is to be filed.
        'placed': Kind(opens='uploads', needs=_UPLOAD, closes=('exposed',)),
        # What stood under NAME is about to be renamed to ASIDE.
        'aside': Kind(opens='asides', needs=('aside',)),
        # A file of SIZE is about to be sent as NAME itself, where BEFORE stands.
        'exposed': Kind(opens='exposed', needs=('size', 'before')),
        # Nothing stands aside any more, and no part under its own name.
        'tidied': Kind(closes=('asides', 'exposed'), lazily=True),
        # NAME is complete on TARGET and filed, the history has the receipt.
        'delivered': Kind(
            closes=('uploads', 'failed', 'versions', 'notices'),
            changes='asides',
            sets={'replaced': True},
            counts='delivered',
            lazily=True,
        ),
        # An upload of NAME whose end is not known any more, or does not matter.
        'abandoned': Kind(closes=('uploads',)),
        # NAME could not be brought to TARGET, or from there, in the version VERSION: until it is
        # 'found', delivered or parked, it comes behind all others.  TAKEN: it was confirmed this
        # many times, and gone a moment later; BLOCKS: others were not tried; BUSY: it changed while
        # it was sent, and that counts for its next version, too;
        # ATTEMPTS: how many there were, the last one of which failed for this REASON.
        'missed': Kind(
            opens='missed', needs=('version', 'at'), types={'version': ([int], _MAYBE)}
        ),
        # That is over: it was fetched, or is gone.
        'found': Kind(closes=('missed',), lazily=True),
        # The server refused NAME, in the version VERSION, the NUMBERth time; counted SINCE.
        'failed': Kind(
            opens='failed',
            needs=('version', 'number', 'since'),
            types={'since': str},
            counts='failed',
        ),
        # NAME was put away, or brought back.
        'parked': _OVER._replace(counts='parked'),
        'resent': _OVER,
        # NAME of TARGET is complete in tmp/ as TEMPORARY, whose inode is INODE, and gets the name
        # FILED_AS in new/; the server's file is of MODIFIED ('' if that tells nothing).
        'fetched': Kind(opens='arrivals', needs=_ARRIVAL),
        # It does not get there; its temporary is going to be deleted.
        'dropped': Kind(closes=('arrivals',), lazily=True),
        # It is there for good, which the history has before it is deleted on TARGET.
        'imported': Kind(
            changes='arrivals', needs=('at',), sets={'moved': True}, counts='received', lazily=True
        ),
        # What is on TARGET as NAME is what was fetched; it is of MODIFIED.
        'compared': Kind(changes='arrivals', sets={'modified': ''}),
        # What was fetched as NAME is not on TARGET any more.
        'removed': Kind(closes=('arrivals',), lazily=True),
        # It is there still, or may be: it is not to be imported again.
        'kept': Kind(opens='arrivals', needs=_ARRIVAL),
        # NAME, in the version VERSION, got the number SEQUENCE when it was put, or was there;
        # CONTENT is the id of what it is of, CONTENT_VERSION that of it, in the application; it
        # goes by PRIORITY, NOT_BEFORE a time, and NOT_AFTER one.
        'put': _NUMBERED,
        'seen': _NUMBERED,
        # It waits no more.
        'left': Kind(closes=('versions',), lazily=True),
        # The version SEQUENCE of NAME must not go any more, for a REASON.
        'recalled': Kind(
            changes='versions',
            needs=('reason',),
            sets={'recalled': True, 'moved': False, 'reason': '', 'parks': False},
        ),
        # It is out of new/, as the history has before; what is there again is a new version.
        'withdrawn': Kind(
            changes='versions', sets={'moved': True}, counts='withdrawn', lazily=True
        ),
        # The same, but it is in parked/, where it is no alarm: what is recalled PARKS.
        'given_up': Kind(changes='versions', sets={'moved': True}, lazily=True),
        # No version of NAME goes, for a REASON, nor of any file if that is '', until 'released'.
        'held': Kind(opens='held', needs=('reason', 'at')),
        'released': Kind(closes=('held',)),
        # The next number is larger than SEQUENCE.
        'raised': Kind(needs=('sequence',), lazily=True),
        # What has the ID could not be put, or RETRACTS in vain, for a REASON, after so many
        # ATTEMPTS; what has a number UNTIL this must not go, what was delivered has the ANSWER of
        # `IRetraction`.
        'unpublished': Kind(
            opens='unpublished',
            needs=('reason', 'attempts', 'since', 'last'),
            types={'since': _seconds, 'last': _seconds},
        ),
        # That is over.
        'published': Kind(closes=('unpublished',), needs=('id',)),
        # The content with this ID: what began before the number SEQUENCE does not go.
        'retracted': Kind(opens='retracted', needs=('sequence',)),
        # What was delivered of the content with this ID, before the number SEQUENCE, is to be
        # deleted on its targets; 'erased': there is a 'remove' of each file.
        'erase': Kind(opens='erasures', needs=('sequence', 'at')),
        'erased': Kind(closes=('erasures',)),
        # NAME on TARGET, of SIZE and SHA256, is to be deleted, as the content ID is retracted.
        'remove': Kind(opens='removals', needs=('id', 'sequence', 'size', 'sha256', 'at')),
        # It is, or stays, and the history has the receipt.
        'retraction': Kind(closes=('removals',), counts='retracted', lazily=True),
        # The version SEQUENCE of NAME tells the partner that the content ID is retracted;
        # 'superseded': the content was published since.
        'notice': Kind(opens='notices', needs=('id', 'name')),
        'superseded': Kind(closes=('notices',), lazily=True),
        # A run has ended: see `zeit.cds.spool.statistics`.
        'ended': Kind(opens='runs', needs=tuple(_RUNS), types=_RUNS, lazily=True),
        # The history has a file of each of these MONTHS, of at least such SIZES.
        'months': Kind(opens='months', needs=('months',), types={'sizes': {str: _number}}),
        # LINES lines could not be read, and were left out, and what is MISSING, the journal itself
        # or months of the history, or parts of them; it is a copy, or was RESTORED: until it is
        # 'acknowledged'.
        'damaged': Kind(opens='damage', needs=('lines', 'missing')),
        'acknowledged': Kind(closes=('damage',)),
        # How many lines of these MONTHS of the history are damaged, as a person knows.
        'accepted': Kind(opens='accepted', needs=('months',), types={'months': {str: int}}),
    }
)


def check(entry):
    """Return the `Kind` of an `entry` (a dictionary).

    Raises KeyError, TypeError or ValueError if it is damaged: lacks what its kind needs, or has
    something in its place that is none.
    """
    name = entry['kind']
    kind, (needed, types) = KINDS[name], _rules(name)
    for field in needed:
        entry[field]
    for table in kind.closes:
        if not entry.keys() >= {*TABLES[table]}:
            entry['name']  # it is about the file, whichever the target
    for field, value in entry.items():
        shape = types.get(field)
        if not (type(value) is shape or shape is None or _fits(value, shape)):
            raise ValueError(field)
    if 'entry' in entry:
        check(entry['entry'])
    return kind


@functools.cache
def _rules(name):
    """Return which fields an entry of this kind needs, and of which types its fields are."""
    kind = KINDS[name]
    return (*kind.needs, *TABLES.get(kind.opens or kind.changes, ())), {**TYPES, **kind.types}


def _fits(value, shape):
    if isinstance(shape, FunctionType):
        return shape(value)
    if isinstance(shape, type):
        return type(value) is shape
    if isinstance(shape, tuple):
        return any(_fits(value, each) for each in shape)
    if isinstance(shape, list):
        if type(value) is not list:
            return False
        if shape == [int]:
            return {*map(type, value)} <= {int}  # a version, and there are many
        shapes = shape if len(shape) > 1 else shape * len(value)
        return len(value) == len(shapes) and all(map(_fits, value, shapes))
    if type(value) is not dict:
        return False
    if str in shape:
        return all(_fits(each, shape[str]) for each in value.values())
    return all(key in value and _fits(value[key], each) for key, each in shape.items())


def told(entry):
    """Return what the application has told, of what an `entry` (a dictionary) has: a dictionary."""
    found = {field: str(entry[field])[:LONGEST] for field in TOLD if entry.get(field)}
    for field, kind in SCHEDULE.items():
        if field in entry and type(value := entry[field]) is kind and value:
            found[field] = value
    return found


def about(found):
    """Return what content a version is of, of what `told` returns: a dictionary."""
    return {field: found[field] for field in TOLD if field in found}


def lines(*, table='', kinds=(), **values):
    """Return the pattern of lines about a `table`, of `kinds`, or with `values`; None for all.

    `values` has a list by the name of a field.
    """
    if table:
        kinds = [
            kind
            for kind, row in KINDS.items()
            if table in (row.opens, row.changes, *row.closes)
        ]
    values |= {'kind': kinds} if kinds else {}
    return line_format.having(**values) if values else None
