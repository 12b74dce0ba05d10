"""What `zeit-cds log` does: it shows what has happened, the newest first, as it reads it."""

import functools
import heapq
import itertools
import textwrap

from zeit.cds import errors
from zeit.cds.cli.status_json import VERSION
from zeit.cds.journal import journal, kinds
from zeit.cds.journal.history import moment
from zeit.cds.journal.search import is_pattern
from zeit.cds.monitoring.verify import require_there
from zeit.cds.run import retract_delivered
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.text import file_size, local_time, plural, printable, strict_json


#: What has happened, by the kind of a line: how people call it.
WORDS = {
    'delivered': 'delivered',
    'imported': 'imported',
    'withdrawn': 'withdrawn',
    'retraction': 'retracted',
    'parked': 'parked',
    'resent': 'resent',
    'given_up': 'dropped',
    'pruned': 'pruned',
    'held': 'held',
    'released': 'released',
    'ended': 'run',
}

#: The fields of a line that are shown to programs, in this order.
_FIELDS = (
    *('name', 'size', 'sequence', 'content', 'content_version', 'notice', 'sha256', 'server'),
    *('reply', 'filed_as', 'outcome', 'reason', 'done', 'exit_code', 'seconds', 'files', 'failed'),
)
FIELDS = ('spool', 'path', 'at', 'event', *_FIELDS)

#: How long a line is.
_WIDTH = 79

#: So many events are written at once.
_TOGETHER = 500


def events(selected_spools, *, failed=False, name='', content='', since='', until=''):
    """Yield (`SelectedSpool`, line of the history), the newest first; they are read meanwhile.

    `failed`: only what somebody may have to look after.  `name` may be a pattern of a shell;
    `content` is the id of what files are of; `since` and `until` are times (ISO 8601, UTC).
    Raises `SpoolError`.
    """
    wanted = kinds.told({'content': content})
    if name:
        wanted |= {'pattern': name} if is_pattern(name) else {'name': name}
    wanted |= {'failed': failed, 'since': since, 'until': until}
    found = [of_spool(selected, **wanted) for selected in selected_spools]
    return heapq.merge(*found, key=lambda event: str(event[1].get('at')), reverse=True)


def of_spool(selected, *, failed=False, **wanted):
    """Yield (selected, line) of what is `wanted`, see `zeit.cds.journal.history.History.find`."""
    require_there(selected.spool)
    for line in journal.history(selected.spool.path / PRIVATE).find(**wanted):
        if line.get('kind') in WORDS and (_has_failed(line) or not failed):
            yield selected, line


def _has_failed(line):
    return (
        line['kind'] == 'parked'
        or (line['kind'] == 'ended' and line.get('exit_code') != errors.DONE)
        or line.get('outcome') in retract_delivered.STAYS
    )


def texts(found, *, form, several=False):
    """Yield texts of many lines: the events `found` in a `form`, 'text', 'json' or 'csv'.

    `several`: they are of several spools, and people have to be told which.
    """
    as_text = functools.partial(_as_text, several=several)
    renderings = {'text': as_text, 'json': _as_json, 'csv': _as_csv}
    lines = renderings[form](found)
    while several := [*itertools.islice(lines, _TOGETHER)]:
        yield '\n'.join(several)


def _as_text(found, *, several):
    for selected, line in found:
        at = moment(line.get('at'))
        when = 'at no known time' if at is None else local_time(at)
        spool = f'{printable(selected.name)}: ' if several else ''
        yield f'{when:<19}  {WORDS[line["kind"]]:<9}  {spool}{_what(line)}'
        for text in (retract_delivered.OUTCOMES.get(line.get('outcome')), line.get('reason')):
            margin = ' ' * 21
            if text:
                text = printable(str(text), limit=500)
                yield textwrap.fill(margin + text, _WIDTH, subsequent_indent=margin)


def _what(line):
    if line['kind'] != 'ended':
        size = line.get('size')
        about = f' ({file_size(size)})' if isinstance(size, int) else ''
        about += ', the notice of a retraction' if line.get('notice') is True else ''
        return f'{printable(str(line.get("name"))) or "all files"}{about}'
    done = 'imported' if line.get('done') == 'imported' else 'delivered'
    return (
        f'{plural(line.get("files", 0), "file")} {done}, {line.get("failed", 0)} failed, '
        f'exit code {line.get("exit_code")}'
    )


def _as_json(found):
    separator = '['
    for each in found:
        yield f'{separator}{strict_json({"version": VERSION, **as_object(*each)})}'
        separator = ','
    yield '[]' if separator == '[' else ']'


def as_object(selected, line):
    """Return the object of a `line` of the history of a `SelectedSpool`, a dictionary."""
    return {
        'spool': selected.name or None,
        'path': str(selected.spool.path),
        'at': line.get('at'),
        'event': line['kind'],
        **{field: line.get('target' if field == 'server' else field) for field in _FIELDS},
    }


def _as_csv(found):
    import csv
    import io

    yield ','.join(FIELDS)
    for each in found:
        row = io.StringIO()
        values = as_object(*each).values()
        csv.writer(row, lineterminator='').writerow(map(_cell, values))
        yield row.getvalue()


def _cell(value):
    return printable(value, limit=kinds.LONGEST) if isinstance(value, str) else value
