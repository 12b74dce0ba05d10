"""What has become of one content, for the view of an article: a line for each spool that has it."""

import time
from typing import NamedTuple

from zeit.cds.browser import messages
from zeit.cds.browser.messages import _
from zeit.cds.browser.source import SourceError
from zeit.cds.errors import Error
from zeit.cds.text import printable


class Line(NamedTuple):
    """A sentence `text`, what was `said`; `bad` if somebody has to look after it."""

    text: str
    said: str = ''
    bad: bool = False


#: By the `state` of what is there, and by the `event` that came last: a sentence.
_THERE = {
    'waiting': _('Waits for ${partner}, since ${time}.'),
    'embargoed': _('Goes to ${partner} when its embargo ends, ${time}.'),
    'held': _('Is held, and not sent to ${partner}.'),
    'filing': _('Was sent to ${partner}.'),
    'parked': _('Is parked, and not sent to ${partner}.'),
    'given up': _('Was parked by hand, and is not sent to ${partner}.'),
    'unpublished': _('Could not be put into the spool for ${partner}, since ${time}.'),
}
_LAST = {
    'delivered': _('Delivered to ${partner}, ${time}.'),
    'withdrawn': _('Withdrawn before it was sent to ${partner}, ${time}.'),
    'retraction': _('Retracted at ${partner}, ${time}.'),
}


def lines(source, content, *, now=None):
    """Return the `Line`s of the content with this id, a list; see `zeit.cds.browser.source`.

    `now` is in seconds since the epoch.  Whatever cannot be found out is told in a line: nobody is
    kept from editing by it.
    """
    now = time.time() if now is None else now
    try:
        partners = {each['path']: _partner(each) for each in source.objects()}
        found = source.of(content)
        return [
            *(_line(_THERE, each['state'], each, each['since'], partners, now)
              for each in found['there'] if each['state'] in _THERE),
            *(_line(_LAST, each['event'], each, each['at'], partners, now)
              for each in _newest(found['events'])),
        ]  # fmt: skip
    except Error as error:
        return _unknown(error)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if not source.elsewhere:
            raise
        return _unknown(SourceError.strange(source.elsewhere, error))


def _unknown(error):
    said, _hint = messages.failure(error)
    return [Line(_('What has become of it cannot be found out.'), said, bad=True)]


def _newest(events):
    """Yield the last of the events that say where a file is, of each spool."""
    seen = set()
    for event in events:
        if event['event'] in _LAST and event['path'] not in seen:
            seen.add(event['path'])
            yield event


def _line(texts, kind, each, when, partners, now):
    moment = messages.moment(when, now)
    about = {
        'partner': partners.get(each['path'], '') or printable(each['spool'] or each['path']),
        'time': moment.full if moment else '?',
    }
    begin = messages.moment(each.get('not_before'), now)
    if kind == 'waiting' and begin and begin.seconds < 0:
        kind, about['time'] = 'embargoed', begin.full
    text = texts[kind]
    is_bad = kind in ('parked', 'unpublished')
    return Line(_(text, mapping=about), messages.said(each['reason']), is_bad)


def _partner(found):
    targets = found.get('targets', ())
    names = [each.get('partner') or each['name'] or each['server'] for each in targets]
    return ', '.join(map(printable, names))
