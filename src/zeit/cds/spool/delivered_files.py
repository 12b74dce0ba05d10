"""What the partner has of a content, as far as our receipts tell."""

import math

from zeit.cds.journal.append_log import number_of


def delivered(history, *, until=math.inf, **wanted):
    """Return the receipts of what the partner has, as far as it is `wanted`, a list.

    That is the `content`, an id, or the `name` of a file.  They are those of the last version of
    each file, up to the number `until`; without what was deleted there, or turned out not to be
    there any more.
    """
    found, settled = {}, {}
    for receipt in history.find(**wanted):
        if number_of(receipt) > until:
            continue
        known = {'delivered': found, 'retraction': settled}.get(receipt.get('kind'))
        key = receipt.get('target'), receipt.get('name')
        if known is not None and number_of(receipt) > number_of(known.get(key, {})):
            known[key] = receipt
    return [
        receipt
        for key, receipt in found.items()
        if number_of(receipt) > number_of(settled.get(key, {}))
    ]


def is_published(journal, content, *, until):
    """Return whether the partner has the content, or is about to get it, and is not told otherwise.

    `until` is the number of the notice that is about to be put: what came later does not count.
    """
    notices = {number_of(each) for each in journal.history.find(content=content, kind='notice')}
    receipts = delivered(journal.history, content=content, until=until)
    sent = journal.find('uploads') + journal.find('exposed')
    sent = [each for each in sent if journal.told(number_of(each)).get('content') == content]
    waits = [each for each in journal.find('notices', id=content) if number_of(each) < until]
    numbers = [number_of(each) for each in receipts + sent if number_of(each) <= until]
    latest = max(numbers, default=0)
    told = latest in notices or any(number_of(each) > latest for each in waits)
    return latest > 0 and not told


def was_published(journal, content, *, above):
    """Return whether a version of the content came after the number `above`, and is no notice."""
    rows = journal.find('versions', content=content)
    rows += journal.history.find(content=content, kind='delivered', above=above)
    notices = {number_of(each) for each in journal.history.find(content=content, kind='notice')}
    return any(number_of(row) > above and number_of(row) not in notices for row in rows)
