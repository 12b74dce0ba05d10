"""What `zeit-cds status` finds out, and how it says it: as text and as JSON."""

import dataclasses
import json
import time

from zeit.cds import metrics, undelivered
from zeit.cds.errors import Error, Locked
from zeit.cds.lock import Lock
from zeit.cds.text import age, file_size, from_timestamp, plural, printable


#: So many of the files that wait are shown; JSON has all of them.
SHOWN = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """What a look at a server found: `lock` (`Locked`) or `error`, or None and None."""

    name: str
    title: str
    lock: Locked | None = None
    error: Error | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at a `Place` found: `found` (`ISpoolStatus`) or `error`, and its servers.

    `now` is when it was, in seconds since the epoch.
    """

    place: tuple
    now: float
    found: object = None
    error: Error | None = None
    servers: tuple = ()

    @property
    def errors(self):
        found = [self.error, *(server.error for server in self.servers)]
        return [error for error in found if error is not None]

    @property
    def exit_codes(self):
        return [error.exit_code for error in self.errors]


def look(place, *, remote):
    """Look at a `zeit.cds.choice.Place`, and at its servers if `remote`; return a `Look`.

    Nothing is changed, no run is waited for.
    """
    servers = tuple(_look_at(*target) for target in place.targets) if remote else ()
    now = time.time()
    try:
        return Look(place=place, now=now, found=place.spool.status(), servers=servers)
    except Error as error:
        return Look(place=place, now=now, error=error, servers=servers)


def _look_at(name, target):
    try:
        session = target.open()
        try:
            Lock(session, token='').look()
        finally:
            session.close()
    except Locked as lock:
        return Server(name=name, title=target.title, lock=lock)
    except Error as error:
        return Server(name=name, title=target.title, error=error)
    return Server(name=name, title=target.title)


# Text


def as_text(looks):
    """Return what people read: a paragraph for each `Look`."""
    return '\n\n'.join('\n'.join(_paragraph(each)) for each in looks) or 'There are no spools.'


def _paragraph(look):
    name = f'{printable(look.place.name)}: ' if look.place.name else ''
    yield f'Spool {name}{printable(str(look.place.spool.path))}'
    if look.error is not None:
        yield _line('error', printable(look.error.message))
        yield _line('', look.error.hint)
    else:
        yield from _spool(look.found, look.now)
    for server in look.servers:
        yield _line('server', _title(server))
        yield from (_line('', text) for text in _state(server) if text)


def _line(label, text):
    return f'  {label:<11}{text}'


def _spool(found, now):
    yield from _waiting(found.waiting, now)
    newest = 'nothing in cur'
    if found.last_delivered is not None:
        name, when = found.last_delivered
        newest = f'{plural(found.delivered, "file")} in cur, the newest for {age(now - when)}:'
    yield _line('delivered', newest)
    if found.last_delivered is not None:
        yield _line('', printable(name))
    if found.parked:
        yield _line('parked', f'{plural(len(found.parked), "file")}, not tried again:')
        yield from (
            _line('', f'{printable(name)}: {printable(reason) or "no reason is known"}')
            for name, reason in found.parked
        )
    if found.unpublished:
        number = plural(len(found.unpublished), 'publication')
        yield _line('failed', f'{number} that could not be put into new, tried again:')
        for each in found.unpublished:
            since, times = age(now - each.since), plural(each.attempts, 'time')
            yield _line('', f'{printable(each.unique_id)} for {since}, {times}:')
            yield _line('', f'  {printable(each.reason, limit=500)}')
    if found.in_doubt:
        number = plural(len(found.in_doubt), 'transaction')
        yield _line('in doubt', f'{number} whose process has died, decided by the next run:')
        for each in found.in_doubt:
            about = ', '.join(filter(None, (each.description, each.user)))
            known = 'committed' if each.committed else 'voted'
            text = f'{known} {age(now - each.since)} ago{about and ": "}{printable(about)}'
            yield _line('', text)
            yield from (_line('', f'  {printable(name)}') for name in each.names)
    if found.ignored:
        yield _line('ignored', f'{len(found.ignored)} in new, never sent:')
        yield from (_line('', f'{printable(name)} {reason}') for name, reason in found.ignored)
    yield _line('run', f'active: {found.active}' if found.active else 'none is active')


def _waiting(entries, now):
    if not entries:
        yield _line('waiting', 'nothing')
        return
    size = file_size(sum(entry.size for entry in entries))
    oldest = age(now - min(entry.arrived for entry in entries))
    yield _line('waiting', f'{plural(len(entries), "file")}, {size}, the oldest for {oldest}:')
    for entry in entries[:SHOWN]:
        when, size = age(now - entry.arrived), file_size(entry.size)
        yield f'{when:>10} {size:>10}  {printable(entry.name)}'
    if len(entries) > SHOWN:
        yield _line('', f'and {len(entries) - SHOWN} more')


def _title(server):
    return f'{printable(server.name)}: {server.title}' if server.name else server.title


def _state(server):
    if server.error is not None:
        yield printable(server.error.message)
        yield server.error.hint
    elif server.lock is not None:
        yield f"locked by '{server.lock.name}'"
        yield server.lock.holder
    else:
        yield 'not locked'


# Monitoring


def as_metrics(looks):
    """Return what Prometheus reads; a spool without a name goes by its path."""
    spools = [(look.place.name or str(look.place.spool.path), look.place.spool) for look in looks]
    return metrics.as_text(metrics.families(spools, now=time.time()))


def failures(looks):
    """Return the errors that metrics cannot show."""
    return [error for look in looks for error in look.errors]


def too_old(looks, *, limit):
    """Return a line for each spool in which something is not delivered for `limit` seconds."""
    found = (undelivered.too_old(e.found, now=e.now, limit=limit) for e in looks if e.found)
    return [line for line in found if line]


# JSON


def as_json(looks):
    """Return a JSON array with an object for each `Look`; sizes in bytes, times in UTC."""
    return json.dumps([_object(each) for each in looks], indent=2)


def _object(look):
    result = {
        'name': look.place.name,
        'path': str(look.place.spool.path),
        'error': _failure(look.error),
    }
    if look.found is not None:
        result |= _spool_object(look.found, look.now)
    return result | {'servers': [_server_object(server) for server in look.servers]}


def _spool_object(found, now):
    waiting = [{'name': e.name, 'size': e.size, 'arrived': _utc(e.arrived)} for e in found.waiting]
    oldest = min((entry.arrived for entry in found.waiting), default=None)
    newest = found.last_delivered
    return {
        'waiting': {
            'files': len(waiting),
            'bytes': sum(entry.size for entry in found.waiting),
            'oldest_seconds': None if oldest is None else max(0, round(now - oldest, 3)),
            'names': waiting,
        },
        'delivered': {
            'files': found.delivered,
            'newest': newest and {'name': newest[0], 'filed': _utc(newest[1])},
        },
        'parked': [{'name': name, 'reason': reason} for name, reason in found.parked],
        'unpublished': [
            {
                'id': each.unique_id,
                'reason': each.reason,
                'attempts': each.attempts,
                'since': _utc(each.since),
            }
            for each in found.unpublished
        ],
        'in_doubt': [
            {
                'names': list(each.names),
                'description': each.description,
                'user': each.user,
                'since': _utc(each.since),
                'committed': each.committed,
            }
            for each in found.in_doubt
        ],
        'ignored': [{'name': name, 'reason': reason} for name, reason in found.ignored],
        'active': found.active or None,
    }


def _server_object(server):
    lock = server.lock
    return {
        'exporter': server.name or None,
        'server': server.title,
        'locked': None if server.error else lock is not None,
        'lock': lock and {'name': lock.name, 'holder': lock.holder},
        'error': _failure(server.error),
    }


def _failure(error):
    if error is None:
        return None
    return {
        'message': printable(error.message),
        'hint': error.hint,
        'exit_code': error.exit_code,
    }


def _utc(seconds):
    return from_timestamp(seconds).isoformat(timespec='seconds')
