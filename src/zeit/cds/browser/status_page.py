"""What the page shows, made of the objects of `zeit-cds status --json`: trouble first.

Whether they are from here or from another machine makes no difference, and all texts in them are
foreign: made harmless here, escaped by the template.
"""

import time

from zeit.cds.browser import events, messages
from zeit.cds.browser.messages import _
from zeit.cds.browser.overview import Overview, title
from zeit.cds.browser.page_values import Page, Trouble
from zeit.cds.browser.source import DELIVERIES, SourceError


#: What waits for longer than that, in seconds, is trouble.
MAX_AGE = 900


def of(
    objects,
    answer=None,
    *,
    allowed=frozenset(),
    text='',
    elsewhere='',
    max_age=MAX_AGE,
    now=None,
):
    """Return the `Page` of the `objects` and the `answer` to a search for `text` of an `ISource`.

    `allowed` are the permissions of the person; `elsewhere` is the URL of the page that they are
    from: another machine may say what is nonsense here.  What waits for longer than `max_age`
    seconds is trouble; `now` is in seconds since the epoch, by default when it was so.
    """
    about = {'text': text, 'elsewhere': elsewhere}
    try:
        now = _when(objects) if now is None else now
        return _page(objects, answer, about, now=now, allowed=allowed, max_age=max_age)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if not elsewhere:
            raise
        return unreadable(SourceError.strange(elsewhere, error), **about)


def unreadable(error, *, text='', elsewhere=''):
    """Return the `Page` that tells why there is nothing to show: an `Error`."""
    return Page(
        at=messages.before(0, time.time()),
        text=text,
        elsewhere=elsewhere,
        error=Trouble(_('The status cannot be read.'), *messages.failure(error)),
    )


def _when(objects):
    """Return when it was so; where that is not told, or strange, it is so now."""
    now = time.time()
    times = [each.get('at') for each in objects]
    return min((at for at in times if type(at) is float and abs(now - at) < 3600), default=now)


def _page(objects, answer, about, *, now, allowed, max_age):
    titles = {each['path']: title(each) for each in objects}
    shared = {each.get('partner_of') for each in objects}
    overviews = [
        Overview(
            each,
            f'spool-{number}',
            titles,
            shared=each['path'] in shared,
            now=now,
            allowed=allowed,
            max_age=max_age,
        )
        for number, each in enumerate(objects)
    ]
    spools = [each.spool() for each in overviews]
    # Partners stand below the spool that they have in common.
    bad = {spool.group for spool in spools if spool.bad}
    known = [*dict.fromkeys(spool.group for spool in spools)]
    spools.sort(key=lambda each: (each.group not in bad, known.index(each.group), bool(each.of)))
    nowhere = bool(objects) and not about['elsewhere'] and all(each.elsewhere for each in spools)
    deliveries = [each for found in objects for each in found.get('deliveries', ())]
    partners = {
        target['server']: target['partner']
        for found in objects
        for target in found.get('targets', ())
        if target.get('partner')
    }
    deliveries.sort(key=lambda each: str(each.get('delivered')), reverse=True)
    return Page(
        **about,
        at=messages.before(0, now),
        spools=spools,
        deliveries=[events.delivery(each, now, partners) for each in deliveries[:DELIVERIES]],
        found=answer and events.answered(answer, overviews, now, partners),
        nowhere=nowhere,
    )
