"""What `zeit-cds status` says to people."""

from zeit.cds.text import age, file_size, plural, printable


#: So many of the files that wait are shown; JSON has all of them.
SHOWN = 10


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
