"""What a line of the journal says, by its kind: capitals are fields.

    journal     the first line of a file: an id, when file and directory were made, their inodes
    disowned    ENTRY is about what the original has left, if this is a copy
    token       TOKEN is about to be used on TARGET
    clean       nothing of TOKEN is left on TARGET
    learned     what is KNOWN of the server of TARGET (see `ISession.learned`), {} if nothing is
    rights      the account may do on TARGET all that a lock takes, or that is not KNOWN any more;
                whether there can be a GUARD, see `zeit.cds.lock`; WHY not
    uploaded    NAME is complete on TARGET under TEMPORARY, its size was compared; it gets its name
    placed      NAME is complete on TARGET as NAME; with a VERSION it could not be filed
    aside       what stood under NAME is about to be renamed to ASIDE
    exposed     a file of SIZE is about to be sent as NAME itself, where BEFORE stands
    tidied      nothing stands aside any more, and no part under its own name
    delivered   NAME is complete on TARGET and filed, the history has the receipt
    abandoned   an upload of NAME whose end is not known any more, or does not matter
    missed      NAME could not be brought to TARGET, or from there, in the version VERSION: until
                it is 'found', delivered or parked, it comes behind all others.  TAKEN: it was
                confirmed so many times, and gone a moment later; BLOCKS: others were not tried;
                BUSY: it changed while it was sent, and that counts for its next version, too
    found       that is over: it was fetched, or is gone
    failed      the server refused NAME, in the version VERSION, the NUMBERth time; counted SINCE
    parked, resent      NAME was put away, was brought back
    fetched     NAME of TARGET is complete in tmp/ as TEMPORARY, whose inode is INODE, and gets the
                name FILED_AS in new/; the server's file is of MODIFIED ('' if that tells nothing)
    dropped     it does not get there; its temporary is going to be deleted
    imported    it is there for good, which the history has before it is deleted on TARGET
    compared    what is on TARGET as NAME is what was fetched; it is of MODIFIED
    removed     what was fetched as NAME is not on TARGET any more
    kept        it is there still, although the server has said that it is not
    put, seen   NAME, in the version VERSION, got the number SEQUENCE when it was put, or was there;
                CONTENT is the id of what it is of, CONTENT_VERSION that of it, in the application
    left        it waits no more
    recalled    the version SEQUENCE of NAME must not go any more, for a REASON
    withdrawn   it is out of new/, as the history has before; what is there again is a new version
    raised      the next number is larger than SEQUENCE
    unpublished     what has the ID could not be put, for a REASON, after so many ATTEMPTS
    published   that is over
    retracted   the content with this ID: what began before the number SEQUENCE does not go
    ended       a run has ended: see `zeit.cds.statistics`
    months      the history has a file of each of these MONTHS
    damaged     so many LINES could not be read, and were left out, and what is MISSING, the journal
                itself or months of the history: until it is 'acknowledged'
    totals      COUNTS before this file began, the file that came in last
"""

import dataclasses
import types

from zeit.cds import jsonlines


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What an entry does.

    It `closes` the rows of these tables that it is about; it `opens` a row of this table, if it has
    the fields that it `needs`.  Of the row of the table `changes` it sets these fields, to the
    values here unless it has others.  `counts` is what it adds one to.

    `lazily`: it tells what has happened, and a run that does not know it finds it out, as after a
    kill just before.  So it survives a kill, and a loss of power when the next entry does that is
    written before something happens.
    """

    opens: str = ''
    needs: tuple = ()
    closes: tuple = ()
    changes: str = ''
    sets: dict = dataclasses.field(default_factory=dict)
    counts: str = ''
    lazily: bool = False


FILE = 'target', 'name'

#: What the application may tell of a version of a file: in its row, its receipts, beside it when it
#: is parked.  So many characters of each are kept.
TOLD = 'content', 'content_version'
LONGEST = 1000

#: What is counted, of files and of bytes.
COUNTS = (
    'delivered',
    'delivered_bytes',
    'received',
    'received_bytes',
    'failed',
    'parked',
    'withdrawn',
)

#: The fields that tell the rows of a table apart.
TABLES = types.MappingProxyType(
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
        'runs': (),
        'months': (),
        'damage': (),
    }
)

_UPLOAD = 'temporary', 'size', 'sha256', 'reply'
_ARRIVAL = 'temporary', 'size', 'sha256', 'modified', 'filed_as', 'at'
_OVER = Kind(closes=('failed', 'missed'), lazily=True)
_NUMBERED = Kind(opens='versions', needs=('name', 'version'), lazily=True)

KINDS = types.MappingProxyType(
    {
        'journal': Kind(),
        'totals': Kind(),
        'disowned': Kind(needs=('why', 'entry')),
        'token': Kind(opens='tokens', needs=('target',)),
        'clean': Kind(changes='tokens', sets={'clean': True}, lazily=True),
        'learned': Kind(opens='learned', needs=('known', 'at'), lazily=True),
        'rights': Kind(opens='rights', needs=('known',)),
        'uploaded': Kind(opens='uploads', needs=_UPLOAD),
        'placed': Kind(opens='uploads', needs=_UPLOAD, closes=('exposed',)),
        'aside': Kind(opens='asides', needs=('aside',)),
        'exposed': Kind(opens='exposed', needs=('size', 'before')),
        'tidied': Kind(closes=('asides', 'exposed'), lazily=True),
        'delivered': Kind(
            closes=('uploads', 'failed', 'versions'),
            changes='asides',
            sets={'replaced': True},
            counts='delivered',
            lazily=True,
        ),
        'abandoned': Kind(closes=('uploads',)),
        'missed': Kind(opens='missed', needs=('version', 'at')),
        'found': Kind(closes=('missed',), lazily=True),
        'failed': Kind(opens='failed', needs=('version', 'number', 'since'), counts='failed'),
        'parked': dataclasses.replace(_OVER, counts='parked'),
        'resent': _OVER,
        'fetched': Kind(opens='arrivals', needs=_ARRIVAL),
        'dropped': Kind(closes=('arrivals',), lazily=True),
        'imported': Kind(
            changes='arrivals',
            needs=('at',),
            sets={'moved': True},
            counts='received',
            lazily=True,
        ),
        'compared': Kind(changes='arrivals', sets={'modified': ''}),
        'removed': Kind(closes=('arrivals',), lazily=True),
        'kept': Kind(opens='arrivals', needs=_ARRIVAL),
        'put': _NUMBERED,
        'seen': _NUMBERED,
        'left': Kind(closes=('versions',), lazily=True),
        'recalled': Kind(
            changes='versions',
            needs=('reason',),
            sets={'recalled': True, 'moved': False, 'reason': ''},
        ),
        'withdrawn': Kind(
            changes='versions', sets={'moved': True}, counts='withdrawn', lazily=True
        ),
        'raised': Kind(needs=('sequence',), lazily=True),
        'unpublished': Kind(opens='unpublished', needs=('reason', 'attempts', 'since', 'last')),
        'published': Kind(closes=('unpublished',), needs=('id',)),
        'retracted': Kind(needs=('id', 'sequence')),
        'ended': Kind(
            opens='runs',
            needs=('runs', 'seconds', 'last', 'success', 'kinds', 'locked'),
            lazily=True,
        ),
        'months': Kind(opens='months', needs=('months',)),
        'damaged': Kind(opens='damage', needs=('lines', 'missing')),
        'acknowledged': Kind(closes=('damage',)),
    }
)


def _number(value):
    return type(value) is int and value >= 0


def _seconds(value):
    return type(value) in (int, float) and 0 <= value < 1e11


def _empty(value):
    return value == {}


_MAYBE = type(None)
_ENDED = {'ended': _seconds, 'exit_code': int}
_FACTS = {'server': str, 'once': [str], 'facts': {str: (bool, [str], _MAYBE)}}

#: What the fields are that matter to somebody: of a type; one of those in a tuple; a list of such,
#: or of these; a dictionary with these fields at least, or such values; what a function says.
_FIELDS = {
    **dict.fromkeys(('kind', 'at', 'target', 'name', 'token', 'id', 'temporary', 'sha256'), str),
    **dict.fromkeys(('reply', 'aside', 'modified', 'filed_as', 'reason', 'why', *TOLD), str),
    **dict.fromkeys(('clean', 'moved', 'recalled', 'replaced', 'busy', 'blocks', 'guard'), bool),
    **dict.fromkeys(('sequence', 'size', 'number', 'attempts', 'lines', 'tried'), _number),
    **dict.fromkeys(('taken', *COUNTS), _number),
    'months': [str],
    'missing': [str],
    'inode': (int, _MAYBE),
    'version': [int],
    'source': [int],
    'before': ([(int, _MAYBE), (str, _MAYBE)], _MAYBE),
    'newest': ([str, str], _MAYBE),
    'entry': {'kind': str, 'target': str},
}

#: The same in entries of one kind only.
_OWN = {
    'journal': {'version': int},
    'missed': {'version': ([int], _MAYBE)},
    'failed': {'since': str},
    'rights': {'known': bool},
    'learned': {'known': (_FACTS, _empty)},
    'unpublished': {'since': _seconds, 'last': _seconds},
    'ended': {
        'runs': {str: int},
        'seconds': _seconds,
        'last': {**_ENDED, 'seconds': _seconds},
        'success': (_seconds, _MAYBE),
        'kinds': {str: {**_ENDED, 'success': (_seconds, _MAYBE), 'failures': int}},
        'locked': ({'lock': str, 'holder': str, 'since': _seconds}, _MAYBE),
    },
}

_ALL = {
    name: (
        kind,
        {*kind.needs, *TABLES.get(kind.opens or kind.changes, ())},
        {**_FIELDS, **_OWN.get(name, {})},
    )
    for name, kind in KINDS.items()
}


def check(entry):
    """Return the `Kind` of an `entry` (a dictionary).

    Raises KeyError, TypeError or ValueError if it is damaged: lacks what its kind needs, or has
    something in its place that is none.
    """
    kind, needed, shapes = _ALL[entry['kind']]
    for field in needed:
        entry[field]
    for table in kind.closes:
        if not entry.keys() >= {*TABLES[table]}:
            entry['name']  # it is about the file, whichever the target
    for field, value in entry.items():
        shape = shapes.get(field)
        if not (type(value) is shape or shape is None or _fits(value, shape)):
            raise ValueError(field)
    if 'entry' in entry:
        check(entry['entry'])
    return kind


def _fits(value, shape):
    if isinstance(shape, types.FunctionType):
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
    return {field: str(entry[field])[:LONGEST] for field in TOLD if entry.get(field)}


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
    return jsonlines.having(**values) if values else None
