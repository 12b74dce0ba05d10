"""What has waited for a partner for too long."""

import dataclasses

from zeit.cds.journal import journal
from zeit.cds.journal.history import Histories, moment
from zeit.cds.spool import holds
from zeit.cds.text import from_timestamp


def late(found, before, *privates):
    """Return those of the entries `found` that have waited since `before`, and were not held.

    What a person holds does not wait for the partner; when it is released that begins anew.
    `privates`: the private directories of the partner, and of its spool.
    """
    late = [each for each in found if each.number and each.waits_since < before]
    if not late:
        return []
    remembered = journal.read(privates[0], tables=['held'])
    since = from_timestamp(before).isoformat(timespec='milliseconds')
    histories = Histories([*map(journal.history, privates)])
    rows = [*histories.find(kind='released', since=since), *remembered.find('held')]
    names = {row.get('name') for row in rows}
    return [] if holds.ALL in names else [each for each in late if each.name not in names]


def since_put(found, private):
    """Return the entries `found`, which a partner has taken, with the times when they came in.

    `private`: that directory of the spool.
    """
    names = [each.name for each in found]
    about = {'tables': ['versions'], 'name': names}
    remembered = journal.read(private, **about) if names else None
    rows = [remembered.row('versions', each.number) or {} for each in found]
    times = [moment(row.get('at')) for row in rows]
    return [
        each if at is None else dataclasses.replace(each, arrived=at.timestamp())
        for each, at in zip(found, times, strict=True)
    ]
