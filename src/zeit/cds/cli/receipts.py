"""What `zeit-cds receipt` does: the evidence of a delivery."""

import collections
import datetime
import heapq
import textwrap

from zeit.cds.cli.status_json import VERSION
from zeit.cds.errors import FileError
from zeit.cds.interfaces import IPartner
from zeit.cds.journal import journal, kinds
from zeit.cds.journal.history import Matches
from zeit.cds.journal.search import is_pattern
from zeit.cds.monitoring.verify import require_there
from zeit.cds.run import retract_delivered
from zeit.cds.spool import schedule, sharing
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.spool import translated
from zeit.cds.text import local_time, plural, printable, strict_json


#: What has a receipt.
_CARRIED = 'delivered', 'imported'
_DONE = *_CARRIED, 'withdrawn', 'retraction'
_VERBS = {'retraction': 'retracted'}


def receipts(spool, *, since='', **wanted):
    """Return the `Matches`: the receipts of files sent, come in, withdrawn or retracted.

    They are dictionaries.  `wanted` is their `name`, which may be a pattern of a shell, or
    `content`, the id of what they are of.  `since`: none older than that (ISO 8601, UTC).  It only
    reads, and waits for no run.  Raises `SpoolError`.
    """
    require_there(spool)
    wanted |= kinds.told(wanted)
    if is_pattern(wanted.get('name', '')):
        wanted = {'pattern': wanted['name']}
    history = journal.history(spool.path / PRIVATE)
    return Matches(history, **wanted, since=since, kinds=_DONE)


def with_partners(selected_spools):
    """Return the `SelectedSpool`s, and with a spool all of its partners, also who was removed.

    Raises `SpoolError`.
    """
    found = [*selected_spools]
    known = {str(each.spool.path) for each in found}
    for each in selected_spools:
        if not IPartner.providedBy(each.spool):
            require_there(each.spool)
            path = each.spool.path
            with translated(path):
                partners = {**sharing.known(path), **sharing.known(path, left=True)}
            for name, terms in partners.items():
                partner = Partner(each.spool, terms)
                if str(partner.path) not in known:
                    found.append(each._replace(name=name, spool=partner))
    return found


def none_of(selected_spools, **wanted):
    """Return the `FileError` that says that there is no receipt, and what is known.

    `wanted` as in `receipts`.
    """
    ((field, value),) = wanted.items()
    hints = []
    for selected in selected_spools:
        found = selected.spool.status()
        where = printable(str(selected.spool.path))
        for entry in found.waiting:
            if getattr(entry, field) == value:
                held = found.held.get('') or found.held.get(entry.name)
                why = f', and is held: {printable(held[0])}' if held else schedule.why(entry)
                hints.append(f'It is waiting in {where}{why}.')
        if any(getattr(entry, field) == value for entry in found.filing):
            hints.append(
                f'It is on its way to cur in {where}; if its run was killed, the next one moves it.'
            )
        hints += [
            f'It is parked in {where}: {printable(reason)}'
            for parked, reason in found.parked
            if {'name': parked, **found.parked_content[parked]}.get(field) == value
        ]
        hints += [
            f'It could not be {"retracted in" if each.retracts else "put into"} {where}: '
            f'{printable(each.reason)}'
            for each in found.unpublished
            if field == 'content' and each.unique_id == value
        ]
        if gone := ', '.join(each for each in found.numbers.missing if each != journal.JOURNAL):
            hints.append(f'The receipts of {gone} are gone from {where}.')
    return FileError(f'There is no receipt for {printable(value)}', hint=' '.join(hints))


# Text


def as_text(found, **wanted):
    """Yield what people read, in pieces; `found` are pairs of a `SelectedSpool` and `Matches`.

    `wanted` as in `receipts`.
    """
    (value,) = wanted.values()
    done = sum((matches.kinds for _, matches in found), collections.Counter())
    verb = ' or '.join(_VERBS.get(kind, kind) for kind in _DONE if kind in done)
    yield f'{printable(value)}: {verb} {plural(done.total(), "time")}\n'
    for selected, receipt in _each(found):
        what = f', {_VERBS.get(receipt["kind"], receipt["kind"])}' if len(done) > 1 else ''
        lines = ['', f'  {_moment(receipt.get("at"))}{what}']
        lines += [
            f'    {label:<9}{printable(str(text)) if text not in (None, "") else "not known"}'
            for label, text in _rows(selected, receipt, heading=value)
        ]
        yield ''.join(f'{line}\n' for line in lines)


def _each(found):
    """Yield (`SelectedSpool`, receipt) of each of the `Matches`, the oldest of all first."""

    def pairs(selected, matches):
        return ((selected, receipt) for receipt in matches)

    sorted_pairs = [pairs(*each) for each in found]
    return heapq.merge(*sorted_pairs, key=lambda pair: str(pair[1].get('at')))


def _rows(selected, receipt, *, heading):
    """Yield (label, text) of a receipt: what the heading does not say."""
    for field, label in (('name', 'file'), ('content', 'content'), ('content_version', 'version')):
        if receipt.get(field) not in (None, '', heading):
            yield label, receipt[field]
    if receipt.get('notice') is True:
        yield 'notice', 'It tells the partner that this content is retracted.'
    if IPartner.providedBy(selected.spool):
        yield 'partner', selected.spool.name
    size, kind, filed = receipt.get('size'), receipt.get('kind'), receipt.get('filed_as')
    yield 'size', plural(size, 'byte') if isinstance(size, int) else size
    if kind == 'withdrawn':
        yield 'reason', receipt.get('reason')
    elif kind == 'retraction':
        yield 'server', receipt.get('target')
        yield 'outcome', retract_delivered.OUTCOMES.get(receipt.get('outcome'))
        if receipt.get('reason'):
            yield 'reason', receipt['reason']
    else:
        yield 'sha256', receipt.get('sha256')
        yield 'server', receipt.get('target')
        if kind == 'imported':
            yield 'put into', f'{selected.spool.path}/new/{filed}'
        else:
            yield 'reply', receipt.get('reply')
            yield 'filed as', selected.spool.filed_at(filed) if isinstance(filed, str) else filed


def _moment(text):
    try:
        return local_time(datetime.datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return printable(str(text))


# JSON


def as_json(found):
    """Yield a JSON array, in pieces: an object for each delivery; sizes in bytes, times in UTC.

    `found` as in `as_text`.
    """
    before = '['
    for selected, receipt in _each(found):
        yield f'{before}\n{textwrap.indent(strict_json(as_object(selected, receipt)), "  ")}'
        before = ','
    yield '[]\n' if before == '[' else '\n]\n'


def as_object(selected, receipt):
    """Return the object of a `receipt` of a `SelectedSpool`, a dictionary."""
    return {
        'version': VERSION,
        'spool': selected.name or None,
        'path': str(selected.spool.path),
        'name': receipt.get('name'),
        'content': receipt.get('content'),
        'content_version': receipt.get('content_version'),
        'direction': 'in' if receipt.get('kind') == 'imported' else 'out',
        'delivered': receipt.get('at') if receipt.get('kind') in _CARRIED else None,
        'withdrawn': receipt.get('at') if receipt.get('kind') == 'withdrawn' else None,
        'retracted': receipt.get('at') if receipt.get('kind') == 'retraction' else None,
        'notice': receipt.get('notice') is True,
        'outcome': receipt.get('outcome'),
        'size': receipt.get('size'),
        'sha256': receipt.get('sha256') or None,
        'server': receipt.get('target'),
        'reply': receipt.get('reply'),
        'filed_as': receipt.get('filed_as'),
        'reason': receipt.get('reason'),
    }
