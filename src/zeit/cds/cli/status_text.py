"""What `zeit-cds status` says to people."""

import signal
import textwrap

from zeit.cds import errors
from zeit.cds.spool import schedule
from zeit.cds.spool.statistics import SIGNAL
from zeit.cds.text import age, file_size, plural, printable


#: So many of the files that wait are shown; JSON has all of them.
SHOWN = 10

#: Columns of what stands behind the label.
WIDTH = 66

#: Why a file of such a name is never sent.
HIDDEN = 'begins with a dot, like a temporary file'


def as_text(snapshots):
    """Return what people read: a paragraph for each `Snapshot`."""
    return '\n\n'.join('\n'.join(_paragraph(each)) for each in snapshots) or 'There are no spools.'


def _paragraph(snapshot):
    name = f'{printable(snapshot.selected.name)}: ' if snapshot.selected.name else ''
    shared = getattr(snapshot.selected.spool, 'shared', None)
    if shared is not None:
        yield f'Partner {name}{printable(str(shared.path))}'
    else:
        yield f'Spool {name}{printable(str(snapshot.selected.spool.path))}'
    if snapshot.error is not None:
        yield _line('error', printable(snapshot.error.message))
        yield _line('', snapshot.error.hint)
    else:
        yield from _spool(snapshot)
    for server in snapshot.servers:
        yield _line('server', _title(server))
        yield from (_line('', text) for text in _state(server) if text)


def _line(label, text):
    return f'  {label:<11}{text}'


def _more(found):
    """Yield how many of them were not shown."""
    if len(found) > SHOWN:
        yield _line('', f'and {len(found) - SHOWN} more')


def _wrapped(text, *, indent=0):
    """Yield what others have said in lines that fit."""
    margin = ' ' * indent
    for line in textwrap.wrap(margin + text, WIDTH, subsequent_indent=margin + '  '):
        yield _line('', line)


def _spool(snapshot):
    found, now = snapshot.found, snapshot.now
    whom = '' if snapshot.exports else ' for the CMS'
    if found.partners:
        yield _line('partners', printable(', '.join(found.partners)))
    yield from _waiting(found.waiting, now, whom=whom, failed=snapshot.numbers.failed)
    if getattr(found, 'alone', ()):
        alone = plural(len(found.alone), 'file')
        size = file_size(sum(each.size for each in found.alone))
        yield _line('', f'for it alone: {alone}, {size}, which all others have')
    if found.held:
        yield from _held(found.held, now)
    if found.filing:
        yield from _filing(found, now)
    if snapshot.imports:
        yield from _imports(snapshot.numbers, now)
        yield from _unfetched(snapshot.unfetched, now)
    yield from _filed(found, now, label='delivered' if snapshot.exports else 'taken')
    for label, given_up, what in (
        ('parked', False, 'not retried until "zeit-cds retry NAME"'),
        ('given up', True, 'dropped by hand, in parked; no alarm'),
    ):
        parked = [each for each in found.parked if (each[0] in found.given_up) == given_up]
        if parked:
            yield _line(label, f'{plural(len(parked), "file")}, {what}:')
        for name, reason in parked:
            since = snapshot.parked_since.get(name)
            how_long = '' if since is None else f' for {age(now - since)}'
            why = printable(reason) or 'no reason is known'
            yield _line('', f'{printable(name)}{how_long}: {why}')
            yield from _told(**found.parked_content[name])
    if found.withdrawn:
        # Some partners may have had it.
        what = 'not sent any more' if found.partners else 'never sent'
        yield _line('withdrawn', f'{plural(found.withdrawn, "file")} in withdrawn, {what}')
    retracts = [each for each in found.unpublished if each.retracts]
    publishes = [each for each in found.unpublished if not each.retracts]
    for failed, what, why in (
        (publishes, 'publication', 'that could not be put into new'),
        (retracts, 'retraction', 'that failed'),
    ):
        if failed:
            yield _line('failed', f'{plural(len(failed), what)} {why}, to be retried:')
        for each in failed:
            since, attempts = age(now - each.since), plural(each.attempts, 'attempt')
            yield _line('', f'{printable(each.unique_id)} for {since}, {attempts}:')
            yield _line('', f'  {printable(each.reason, limit=500)}')
    if snapshot.numbers.retracted:
        yield from _retracted(snapshot.numbers.retracted, now)
    if found.in_doubt:
        number = plural(len(found.in_doubt), 'transaction')
        yield _line('in doubt', f'{number} that did not end, for the next run to decide:')
        for each in found.in_doubt:
            about = ', '.join(filter(None, (each.description, each.user)))
            known = 'committed' if each.committed else 'voted'
            text = f'{known} {age(now - each.since)} ago{about and ": "}{printable(about)}'
            yield _line('', text)
            yield from (_line('', f'  {printable(name)}') for name in each.names)
            yield from (_line('', f'  retracts {printable(c)}') for c, *_ in each.retractions)
    if ignored := [*found.ignored, *((name, HIDDEN) for name in found.hidden)]:
        what = 'never sent' if snapshot.exports else 'no files'
        yield _line('ignored', f'{len(ignored)} in new, {what}:')
        yield from (_line('', f'{printable(name)} {reason}') for name, reason in ignored)
    numbers = snapshot.numbers
    if numbers.damaged or numbers.missing or numbers.restored:
        shown = printable(str(found.path))
        lines = plural(numbers.damaged, 'line')
        if numbers.damaged:
            yield _line('damaged', f'skipped {lines} of the journal that cannot be read;')
        if numbers.missing:
            yield _line('missing', f'gone from .cds: {", ".join(numbers.missing)};')
        if numbers.restored:
            yield _line('restored', 'copied, or from a backup: it lacks what came after that;')
        yield _line('', f'once you know why: zeit-cds journal verify --acknowledge --spool {shown}')
    if numbers.disowned:
        adopt = f'"zeit-cds adopt --spool {printable(str(found.path))}"'
        yield _line('disowned', 'left by the original of this copy, not removed:')
        yield from (_line('', f'on {printable(url)}') for url in numbers.disowned)
        yield _line('', f'if no other copy runs: {adopt}')
        yield _line('', 'otherwise the same with --forget')
    if snapshot.exports and not found.partners:
        yield from _last(numbers.last_export, numbers, now, what='export ' * snapshot.imports)
    if snapshot.imports:
        yield from _last(numbers.last_import, numbers, now, what='import ' * snapshot.exports)
    yield _line('run', f'active: {found.active}' if found.active else 'none active')
    if numbers.killed is not None and not found.active:
        yield _line('', f'the last one, started {age(now - numbers.killed)} ago, was killed;')
        yield _line('', 'the next one cleans up after it')


def _told(content='', content_version=''):
    """Yield what the application has told of a file."""
    if content or content_version:
        version = f', version {printable(content_version)}' if content_version else ''
        yield _line('', f'  {printable(content) or "a content"}{version}')


def _held(held, now):
    files = len(held) - ('' in held)
    what = ['the whole spool'] * ('' in held) + [plural(files, 'file')] * (files > 0)
    yield _line('held', f'{" and ".join(what)}, not sent until "zeit-cds release":')
    for name, (reason, since) in held.items():
        which = printable(name) or 'all files'
        yield from _wrapped(f'{which} for {age(now - since)}: {printable(reason, limit=500)}')


def _retracted(found, now):
    number = plural(len(found), 'retraction')
    yield _line('retracted', f'{number}, for the next run to carry out on the server:')
    for content, name, since in found[:SHOWN]:
        yield _line('', f'{printable(name or content)} for {age(now - since)}')
        yield from _told(content if name else '')
    yield from _more(found)


def _filing(found, now):
    size = file_size(sum(entry.size for entry in found.filing))
    number = plural(len(found.filing), 'file')
    when = 'on the way to cur' if found.active else 'for the next run to move to cur'
    yield _line('filing', f'{number}, {size}, sent, {when}:')
    for entry in found.filing[:SHOWN]:
        yield _line('', f'{printable(entry.name)} for {age(now - entry.arrived)}')
        yield from _told(entry.content, entry.content_version)


def _filed(found, now, *, label):
    if found.last_delivered is None:
        yield _line(label, 'nothing yet' if hasattr(found, 'kept') else 'nothing in cur')
        return
    name, when = found.last_delivered
    number = plural(found.delivered, 'file')
    kept = getattr(found, 'kept', None)
    where = ' in cur' if kept is None else f', {kept} not in cur yet' if kept else ''
    yield _line(label, f'{number}{where}, latest {age(now - when)} ago:')
    yield _line('', printable(name))


def _imports(numbers, now):
    if numbers.newest is None:
        yield _line('imported', 'nothing yet')
    else:
        name, when = numbers.newest
        number = plural(numbers.totals['received'], 'file')
        yield _line('imported', f'{number}, latest {age(now - when)} ago:')
        yield _line('', printable(name))
    if numbers.undeleted:
        number = plural(len(numbers.undeleted), 'file')
        yield _line('undeleted', f'{number}, imported but still on the server:')
        for name, when in numbers.undeleted[:SHOWN]:
            yield _line('', f'{printable(name)} for {age(now - when)}')
        yield from _more(numbers.undeleted)


def _last(last, numbers, now, *, what):
    locked = numbers.runs.get('locked')
    if not last:
        yield _line('last run', f'{what}none yet')
        return
    how = 'successful'
    if last['exit_code'] > SIGNAL:
        how = f'ended by {_signal(last["exit_code"] - SIGNAL)}'
    elif last['exit_code'] == errors.COME_BACK_LATER and locked:
        since = age(now - locked['since'])
        how = f"server locked by '{printable(locked['lock'])}', first seen {since} ago"
    elif last['exit_code'] != errors.DONE:
        how = f'exit code {last["exit_code"]}'
    yield _line('last run', f'{what}{age(now - last["ended"])} ago, {how}')
    if last['exit_code'] != errors.DONE and last.get('target'):
        yield _line('', f'server: {printable(last["target"])}')
    if last.get('reason') and not how.startswith('server'):
        yield from _wrapped(f'reason: {printable(last["reason"], limit=500)}')
    if last.get('limited'):
        yield _line('', 'its limit (max_files, max_bytes) left the rest for the next run')
    if last['exit_code'] != errors.DONE:
        success = last['success']
        when = 'none yet' if success is None else f'{age(now - success)} ago'
        yield _line('', f'last success: {when}')


def _signal(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f'signal {number}'


def _waiting(entries, now, *, whom, failed):
    if not entries:
        yield _line('waiting', 'nothing')
        return
    size = file_size(sum(entry.size for entry in entries))
    since = min(entry.waits_since for entry in entries)
    oldest = f'the oldest for {age(now - since)}' if since <= now else 'all embargoed'
    number = plural(len(entries), 'file')
    yield _line('waiting', f'{number}{whom}, {size}, {oldest}:')
    for entry in entries[:SHOWN]:
        when, size = age(now - entry.arrived), file_size(entry.size)
        yield f'{when:>10} {size:>10}  {printable(entry.name)}'
        if entry.name in failed and failed[entry.name].are_of(entry):
            yield from _attempts(failed[entry.name], now)
        yield from _told(entry.content, entry.content_version)
        yield from _schedule(entry, now)
    yield from _more(entries)


def _schedule(entry, now):
    """Yield when a file goes, as far as the application has told."""
    if entry.priority:
        yield _line('', f'  priority {entry.priority}')
    begin, end = map(schedule.seconds, (entry.not_before, entry.not_after))
    if begin is not None and begin > now:
        when = schedule.shown(entry.not_before)
        yield _line('', f'  embargo until {when}, for {age(begin - now)}')
    if end is not None:
        when = schedule.shown(entry.not_after)
        how = f'expires {when}, in {age(end - now)}' if end >= now else f'expired {when}'
        yield _line('', f'  {how}')


def _attempts(failed, now):
    """Yield how often a file was tried in vain, and why, as mailq(1) does."""
    if failed.number:
        last = '' if failed.last is None else f', the last {age(now - failed.last)} ago'
        yield _line('', f'  failed in {plural(failed.number, "run")}{last}:')
        yield from _wrapped(printable(failed.reason, limit=500) or 'no reason is known', indent=2)


def _unfetched(found, now):
    if found:
        number = plural(len(found), 'file')
        yield _line('failed', f'{number} on the server, not fetched yet:')
    for name in [*found][:SHOWN]:
        yield _line('', printable(name))
        yield from _attempts(found[name], now)
    yield from _more(found)


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
            yield 'as far as can be seen: it lists no files ("zeit-cds unlock" can tell)'
