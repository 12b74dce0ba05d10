"""What `zeit-cds receipt` and `zeit-cds retry` do: the evidence of a delivery, and parked files."""

import datetime

import zope.component

from zeit.cds import journal, kinds
from zeit.cds.errors import FileError
from zeit.cds.filing import PRIVATE
from zeit.cds.history import ago
from zeit.cds.interfaces import IPublisher
from zeit.cds.publish import finder
from zeit.cds.status_json import VERSION
from zeit.cds.text import local_time, plural, printable, strict_json
from zeit.cds.verify import require_there


#: What has a receipt.
_DONE = 'delivered', 'imported', 'withdrawn'


def receipts(spool, *, within=None, **wanted):
    """Return the receipts of files sent, come in or withdrawn, oldest first: dictionaries.

    `wanted` is their `name`, or `content`, the id of what they are of.  `within`: only those of so
    many seconds.  It only reads, and waits for no run.  Raises `SpoolError`.
    """
    require_there(spool)
    since = '' if within is None else ago(within)
    wanted |= kinds.told(wanted)
    found = journal.history(spool.path / PRIVATE).find(**wanted, since=since)
    return [each for each in found if each.get('kind') in _DONE][::-1]


def none_of(places, **wanted):
    """Return the `FileError` that says that there is no receipt, and what is known.

    `wanted` as in `receipts`.
    """
    ((field, value),) = wanted.items()
    hints = []
    for place in places:
        found = place.spool.status()
        where = printable(str(place.spool.path))
        if any(getattr(entry, field) == value for entry in found.waiting):
            hints.append(f'It waits in {where}.')
        if any(getattr(entry, field) == value for entry in found.filing):
            hints.append(
                f'It is on its way to cur in {where}; if that run is dead, the next one sees to it.'
            )
        hints += [
            f'It is parked in {where}: {printable(reason)}'
            for parked, reason in found.parked
            if {'name': parked, **found.parked_content[parked]}.get(field) == value
        ]
        hints += [
            f'It could not be put into {where}: {printable(each.reason)}'
            for each in found.unpublished
            if field == 'content' and each.unique_id == value
        ]
    return FileError(f'There is no receipt of {printable(value)}', hint=' '.join(hints))


# Text


def as_text(found, **wanted):
    """Return what people read; `found` are pairs of a `Place` and a receipt.

    `wanted` as in `receipts`.
    """
    ((field, value),) = wanted.items()
    done = {receipt.get('kind') for _, receipt in found}
    verb = ' or '.join(kind for kind in _DONE if kind in done)
    lines = [f'{printable(value)}: {verb} {plural(len(found), "time")}']
    for place, receipt in found:
        what = f', {receipt["kind"]}' if len(done) > 1 else ''
        lines += ['', f'  {_moment(receipt.get("at"))}{what}']
        size = receipt.get('size')
        lines += [
            f'    {label:<9}{printable(str(text)) if text not in (None, "") else "not known"}'
            for label, text in (
                *_told(receipt, field),
                ('size', plural(size, 'byte') if isinstance(size, int) else size),
                *_end(place, receipt),
            )
        ]
    return '\n'.join(lines)


def _told(receipt, field):
    """Yield what the heading, the value of `field`, does not say of the content."""
    names = {'name': 'file', 'content': 'content', 'content_version': 'version'}
    for each, label in names.items():
        if each != field and receipt.get(each):
            yield label, receipt[each]


def _end(place, receipt):
    """Yield what only a file that was sent has, one that came in, or one that was withdrawn."""
    if receipt.get('kind') == 'withdrawn':
        yield 'reason', receipt.get('reason')
        return
    yield 'sha256', receipt.get('sha256')
    yield 'server', receipt.get('target')
    filed = receipt.get('filed_as')
    if receipt.get('kind') == 'imported':
        yield 'put into', f'{place.spool.path}/new/{filed}'
    else:
        yield 'reply', receipt.get('reply')
        yield 'filed as', f'{place.spool.path}/cur/{filed}'


def _moment(text):
    try:
        return local_time(datetime.datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return printable(str(text))


# JSON


def as_json(found):
    """Return a JSON array with an object for each delivery; sizes in bytes, times in UTC."""
    return strict_json([_object(place, receipt) for place, receipt in found])


def _object(place, receipt):
    return {
        'version': VERSION,
        'spool': place.name or None,
        'path': str(place.spool.path),
        'name': receipt.get('name'),
        'content': receipt.get('content'),
        'content_version': receipt.get('content_version'),
        'direction': 'in' if receipt.get('kind') == 'imported' else 'out',
        'delivered': None if receipt.get('kind') == 'withdrawn' else receipt.get('at'),
        'withdrawn': receipt.get('at') if receipt.get('kind') == 'withdrawn' else None,
        'size': receipt.get('size'),
        'sha256': receipt.get('sha256') or None,
        'server': receipt.get('target'),
        'reply': receipt.get('reply'),
        'filed_as': receipt.get('filed_as'),
        'reason': receipt.get('reason'),
    }


# What was put away, or never got in


def bring_back(names, places, *, older=False):
    """Yield (name, spool's path, error) for each of `names` in each spool where it is parked.

    A name may also be the id of content that the application failed to put into a spool; that is
    tried again.  `error` is None if it waits in `new/`, and the name then the one that it has
    there.  A name that is known nowhere has the path None.  `older` as in `ISpool.retry`.  Raises
    `SpoolError`, `SpoolBusy`.
    """
    names = [*dict.fromkeys(names)]
    found = [(place.spool, place.spool.status()) for place in places]
    known = set()
    for spool, status in found:
        parked = {name for name, _ in status.parked}.intersection(names)
        known |= parked
        if parked:
            with spool.run():
                done = [_retry(spool, name, older) for name in names if name in parked]
            for name, error in done:
                yield name, spool.path, error
    helpless = []
    for name in names:
        failed = [
            spool.path
            for spool, status in found
            if name in [failure.unique_id for failure in status.unpublished]
        ]
        if name not in known and not failed:
            yield name, None, _not_parked(name)
        if failed and finder() is None:
            helpless.append(name)
        elif failed:
            yield name, failed[0], _publish_again(name)
    if helpless:
        yield helpless[0], None, _without_application(helpless)


def everything(places):
    """Return what `bring_back` can do something about: names and ids, a list."""
    found = [place.spool.status() for place in places]
    names = [name for status in found for name, _ in status.parked]
    names += [failure.unique_id for status in found for failure in status.unpublished]
    return [*dict.fromkeys(names)]


def _retry(spool, name, older):
    """Return (name, error): the true name, if it was brought back."""
    try:
        return spool.retry(name, older=older), None
    except FileError as error:
        return name, error


def forget(names, places):
    """Yield (name, error) for each id of content that the application failed to put into a spool.

    Nobody tries again to put it there.  Raises `SpoolError`, `SpoolBusy`.
    """
    for name in dict.fromkeys(names):
        known = [place.spool.unpublished.forget(name) for place in places]
        unknown = FileError(
            f'{printable(name)} is no content that could not be put into a spool',
            hint='"zeit-cds status" shows what is.',
        )
        yield name, None if any(known) else unknown


def _publish_again(unique_id):
    done = zope.component.getUtility(IPublisher).retry(unique_id)
    error = next((error for _, _, error in done if error is not None), None)
    if error is None:
        return None
    return FileError(
        f'{printable(unique_id)} could not be put into new/: {printable(str(error), limit=500)}',
        hint=getattr(error, 'hint', '') or 'It is kept, and tried again.',
    )


def _without_application(ids):
    more = f', and {len(ids) - 1} more,' if len(ids) > 1 else ''
    them = 'them' if more else 'it'
    return FileError(
        f'{printable(ids[0])}{more} cannot be put into new/ here: the application that knows '
        f'{them} is not there',
        hint='Name a ZCML file that has the application, or let that try again.',
    )


def _not_parked(name):
    return FileError(f'{printable(name)} is not parked', hint='"zeit-cds status" shows what is.')
