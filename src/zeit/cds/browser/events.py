"""What has happened to files: the last deliveries, and the answer to a search."""

from zeit.cds.browser import messages
from zeit.cds.browser.messages import SAID_CHARACTERS
from zeit.cds.browser.page_values import Event, Found, Row
from zeit.cds.browser.table_rows import NAME_CHARACTERS, link, schedule
from zeit.cds.text import printable


def delivery(receipt, now, partners):
    """Return the `Event` of a receipt, as of `receipt --json`.

    `now` is since the epoch, `partners` are their names by the URLs of servers.
    """
    what = 'imported' if receipt['direction'] == 'in' else 'delivered'
    name = receipt['name'] or ''
    return Event(
        at=messages.moment(receipt['delivered'], now),
        what=messages.EVENTS[what],
        spool=printable(receipt['spool'] or receipt['path']),
        name=printable(name, limit=NAME_CHARACTERS),
        link=link(name),
        content=printable(receipt['content'] or '', limit=NAME_CHARACTERS),
        size=messages.size(receipt['size']),
        texts=(_partner(receipt['server'], partners),),
    )


def _partner(server, partners):
    return printable(partners.get(server) or server or '')


def answered(answer, overviews, now, partners):
    """Return the `Found` of what a source has answered."""
    by_path = {each.found['path']: each for each in overviews}
    where = {path: each.where for path, each in by_path.items()} if len(by_path) > 1 else {}
    rows = [
        _there(each, by_path.get(each['path']), now, where=where.get(each['path'], ''))
        for each in answer['there']
    ]
    return Found(
        text=printable(answer['text'], limit=SAID_CHARACTERS),
        rows=rows,
        events=[_event(each, now, partners) for each in answer['events']],
        buttons=_of_delivered(answer, by_path),
        cut=answer.get('cut') is True,
    )


#: What can be done with a file in this state.
_POSSIBLE = {
    'waiting': ('hold', 'park', 'withdraw'),
    'held': ('release', 'park', 'withdraw'),
    'parked': ('retry', 'give-up'),
    'given up': ('retry',),
    'unpublished': ('retry',),
}


def _there(each, overview, now, *, where=''):
    name = each['name'] or each['content'] or ''
    buttons = overview.rows.buttons(name, *_POSSIBLE.get(each['state'], ())) if overview else ()
    return Row(
        name=printable(name, limit=SAID_CHARACTERS),
        link=link(name),
        content=printable(each['content'] or '', limit=SAID_CHARACTERS) if each['name'] else '',
        since=messages.moment(each['since'], now),
        texts=(*schedule(each, now), messages.said(each['reason'])),
        buttons=buttons,
        state=messages.STATES.get(each['state'], ''),
        where=where,
    )


def _of_delivered(answer, by_path):
    """Return the buttons for a file that was delivered, if there is only one of that name."""
    names = {each['name'] for each in answer['events'] if each['event'] == 'delivered'}
    if len(names) != 1 or any(each['name'] in names for each in answer['there']):
        return ()
    (name,) = names
    paths = {each['path'] for each in answer['events'] if each['name'] == name}
    rows = [by_path[path].rows for path in paths if path in by_path]
    return tuple(button for each in rows for button in each.buttons(name, 'resend', 'withdraw'))


def _event(each, now, partners):
    name = each['name'] or ''
    reply = each['reply'] if each['event'] == 'delivered' else None
    texts = (_partner(each['server'], partners), each['reason'], reply)
    return Event(
        at=messages.moment(each['at'], now),
        what=messages.EVENTS.get(each['event'], printable(str(each['event']))),
        spool=printable(each['spool'] or each['path']),
        name=printable(name, limit=SAID_CHARACTERS),
        link=link(name),
        content=printable(each['content'] or '', limit=SAID_CHARACTERS),
        size=messages.size(each['size']),
        texts=tuple(messages.said(text) for text in texts if text),
    )
