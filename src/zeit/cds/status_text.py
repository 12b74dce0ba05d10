"""What `zeit-cds status` says to people."""

import signal

from zeit.cds import errors
from zeit.cds.text import age, file_size, plural, printable


#: So many of the files that wait are shown; JSON has all of them.
SHOWN = 10

#: Why a file of such a name is never sent.
HIDDEN = 'begins with a dot, as temporaries do'

#: Above this, an exit code is that of a process that a signal has ended.
_SIGNAL = 128


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
        yield from _spool(look)
    for server in look.servers:
        yield _line('server', _title(server))
        yield from (_line('', text) for text in _state(server) if text)


def _line(label, text):
    return f'  {label:<11}{text}'


def _spool(look):
    found, now = look.found, look.now
    yield from _waiting(found.waiting, now, whom='' if look.exports else ' for the CMS')
    if found.filing:
        yield from _filing(found, now)
    if look.imports:
        yield from _imports(look.numbers, now)
    yield from _filed(found, now, label='delivered' if look.exports else 'taken')
    if found.parked:
        number = plural(len(found.parked), 'file')
        yield _line('parked', f'{number}, not tried again before "zeit-cds retry NAME":')
        for name, reason in found.parked:
            since = look.parked_since.get(name)
            how_long = '' if since is None else f' for {age(now - since)}'
            why = printable(reason) or 'no reason is known'
            yield _line('', f'{printable(name)}{how_long}: {why}')
            yield from _told(**found.parked_content[name])
    if found.withdrawn:
        yield _line('withdrawn', f'{plural(found.withdrawn, "file")} in withdrawn, never sent')
    if found.unpublished:
        number = plural(len(found.unpublished), 'publication')
        yield _line('failed', f'{number} that could not be put into new, tried again:')
        for each in found.unpublished:
            since, times = age(now - each.since), plural(each.attempts, 'time')
            yield _line('', f'{printable(each.unique_id)} for {since}, {times}:')
            yield _line('', f'  {printable(each.reason, limit=500)}')
    if found.in_doubt:
        number = plural(len(found.in_doubt), 'transaction')
        yield _line('in doubt', f'{number} that did not end, decided by the next run:')
        for each in found.in_doubt:
            about = ', '.join(filter(None, (each.description, each.user)))
            known = 'committed' if each.committed else 'voted'
            text = f'{known} {age(now - each.since)} ago{about and ": "}{printable(about)}'
            yield _line('', text)
            yield from (_line('', f'  {printable(name)}') for name in each.names)
            yield from (_line('', f'  retracts {printable(c)}') for c, *_ in each.retractions)
    if ignored := [*found.ignored, *((name, HIDDEN) for name in found.hidden)]:
        what = 'never sent' if look.exports else 'no files'
        yield _line('ignored', f'{len(ignored)} in new, {what}:')
        yield from (_line('', f'{printable(name)} {reason}') for name, reason in ignored)
    numbers = look.numbers
    if numbers.damaged or numbers.missing:
        shown = printable(str(found.path))
        lines = plural(numbers.damaged, 'line')
        if numbers.damaged:
            yield _line('damaged', f'{lines} of the journal could not be read, and were left out;')
        if numbers.missing:
            yield _line('missing', f'gone from .cds: {", ".join(numbers.missing)};')
        yield _line('', f'when you know why: zeit-cds journal verify --acknowledge --spool {shown}')
    if numbers.disowned:
        adopt = f'"zeit-cds adopt --spool {printable(str(found.path))}"'
        yield _line('disowned', 'left by the original of this copy, and not removed:')
        yield from (_line('', f'on {printable(url)}') for url in numbers.disowned)
        yield _line('', f'if no other copy runs: {adopt}')
        yield _line('', 'otherwise the same with --forget')
    if look.exports:
        yield from _last(numbers.last_export, numbers, now, what='export ' * look.imports)
    if look.imports:
        yield from _last(numbers.last_import, numbers, now, what='import ' * look.exports)
    yield _line('run', f'active: {found.active}' if found.active else 'none is active')
    if numbers.killed is not None and not found.active:
        yield _line('', f'the last one, begun {age(now - numbers.killed)} ago, was killed;')
        yield _line('', 'the next one removes what it has left')


def _told(content='', content_version=''):
    """Yield what the application has told of a file."""
    if content or content_version:
        version = f', version {printable(content_version)}' if content_version else ''
        yield _line('', f'  {printable(content) or "a content"}{version}')


def _filing(found, now):
    size = file_size(sum(entry.size for entry in found.filing))
    number = plural(len(found.filing), 'file')
    when = 'on the way to cur' if found.active else 'not in cur yet, the next run sees to it'
    yield _line('filing', f'{number}, {size}, sent, and {when}:')
    for entry in found.filing[:SHOWN]:
        yield _line('', f'{printable(entry.name)} for {age(now - entry.arrived)}')
        yield from _told(entry.content, entry.content_version)


def _filed(found, now, *, label):
    if found.last_delivered is None:
        yield _line(label, 'nothing in cur')
        return
    name, when = found.last_delivered
    number = plural(found.delivered, 'file')
    yield _line(label, f'{number} in cur, the newest for {age(now - when)}:')
    yield _line('', printable(name))


def _imports(numbers, now):
    if numbers.newest is None:
        yield _line('imported', 'nothing yet')
    else:
        name, when = numbers.newest
        number = plural(numbers.totals['received'], 'file')
        yield _line('imported', f'{number}, the newest {age(now - when)} ago:')
        yield _line('', printable(name))
    if numbers.undeleted:
        number = plural(len(numbers.undeleted), 'file')
        yield _line('undeleted', f'{number}, imported, and still on the server:')
        for name, when in numbers.undeleted[:SHOWN]:
            yield _line('', f'{printable(name)} for {age(now - when)}')
        if len(numbers.undeleted) > SHOWN:
            yield _line('', f'and {len(numbers.undeleted) - SHOWN} more')


def _last(last, numbers, now, *, what):
    locked = numbers.runs.get('locked')
    if not last:
        yield _line('last run', f'{what}none yet')
        return
    how = 'with success'
    if last['exit_code'] > _SIGNAL:
        how = f'ended by {_signal(last["exit_code"] - _SIGNAL)}'
    elif last['exit_code'] == errors.COME_BACK_LATER and locked:
        since = age(now - locked['since'])
        how = f"it was locked by '{printable(locked['lock'])}', known for {since}"
    elif last['exit_code'] != errors.DONE:
        how = f'with exit code {last["exit_code"]}'
    yield _line('last run', f'{what}{age(now - last["ended"])} ago, {how}')
    if last['exit_code'] != errors.DONE:
        success = last['success']
        when = 'none yet' if success is None else f'{age(now - success)} ago'
        yield _line('', f'the last one with success: {when}')


def _signal(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f'signal {number}'


def _waiting(entries, now, *, whom):
    if not entries:
        yield _line('waiting', 'nothing')
        return
    size = file_size(sum(entry.size for entry in entries))
    oldest = age(now - min(entry.arrived for entry in entries))
    number = plural(len(entries), 'file')
    yield _line('waiting', f'{number}{whom}, {size}, the oldest for {oldest}:')
    for entry in entries[:SHOWN]:
        when, size = age(now - entry.arrived), file_size(entry.size)
        yield f'{when:>10} {size:>10}  {printable(entry.name)}'
        yield from _told(entry.content, entry.content_version)
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
        yield server.whose
    else:
        yield 'not locked'
        if not server.listed:
            yield 'as far as can be seen: nothing is listed there ("zeit-cds unlock" can tell)'
