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
        for section in _SECTIONS:
            yield from section(snapshot)
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


# The sections of a spool.  Each is a function that yields lines of a `Snapshot`, none if there is
# nothing to say.


def _partners(snapshot):
    if snapshot.found.partners:
        yield _line('partners', printable(', '.join(snapshot.found.partners)))


def oldest(entries, now):
    """Return since when the oldest of what waits does, to be read."""
    since = min(entry.waits_since for entry in entries)
    return f'the oldest for {age(now - since)}' if since <= now else 'all embargoed'


def _waiting(snapshot):
    entries, now, failed = snapshot.found.waiting, snapshot.now, snapshot.numbers.failed
    if not entries:
        yield _line('waiting', 'nothing')
        return
    whom = '' if snapshot.exports else ' for the CMS'
    yield _line('waiting', f'{_files(entries, whom)}, {oldest(entries, now)}:')
    for entry in entries[:SHOWN]:
        when, size = age(now - entry.arrived), file_size(entry.size)
        yield f'{when:>10} {size:>10}  {printable(entry.name)}'
        if entry.name in failed and failed[entry.name].are_of(entry):
            yield from _attempts(failed[entry.name], now)
        yield from _content(entry.content, entry.content_version)
        yield from _schedule(entry, now)
    yield from _more(entries)


def _files(entries, whom=''):
    """Return how many they are, for whom, and their size."""
    return f'{plural(len(entries), "file")}{whom}, {file_size(sum(e.size for e in entries))}'


def _schedule(entry, now):
    """Yield when a file goes, as the application wants it."""
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


def _content(content='', content_version=''):
    """Yield which content a file is of, if the application has said it."""
    if content or content_version:
        version = f', version {printable(content_version)}' if content_version else ''
        yield _line('', f'  {printable(content) or "a content"}{version}')


def _alone(snapshot):
    if alone := getattr(snapshot.found, 'alone', ()):
        yield _line('', f'for it alone: {_files(alone)}, which all others have')


def _held(snapshot):
    held = snapshot.found.held
    if held:
        files = len(held) - ('' in held)
        what = ['the whole spool'] * ('' in held) + [plural(files, 'file')] * (files > 0)
        until = 'zeit-cds release --all' if '' in held else 'zeit-cds release'
        yield _line('held', f'{" and ".join(what)}, not sent until "{until}":')
    for name, (reason, since) in held.items():
        which, how_long = printable(name) or 'all files', age(snapshot.now - since)
        yield from _wrapped(f'{which} for {how_long}: {printable(reason, limit=500)}')


def _filing(snapshot):
    found = snapshot.found
    if found.filing:
        when = 'on the way to cur' if found.active else 'for the next run to move to cur'
        yield _line('filing', f'{_files(found.filing)}, sent, {when}:')
    for entry in found.filing[:SHOWN]:
        yield _line('', f'{printable(entry.name)} for {age(snapshot.now - entry.arrived)}')
        yield from _content(entry.content, entry.content_version)
    yield from _more(found.filing)


def _imported(snapshot):
    numbers, now = snapshot.numbers, snapshot.now
    if not snapshot.imports:
        return
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
    unfetched = snapshot.unfetched
    if unfetched:
        number = plural(len(unfetched), 'file')
        yield _line('failed', f'{number} on the server, not fetched yet:')
    for name in [*unfetched][:SHOWN]:
        yield _line('', printable(name))
        yield from _attempts(unfetched[name], now)
    yield from _more(unfetched)


def _filed(snapshot):
    found, label = snapshot.found, 'delivered' if snapshot.exports else 'taken'
    if found.last_delivered is None:
        yield _line(label, 'nothing yet' if hasattr(found, 'kept') else 'nothing in cur')
        return
    name, when = found.last_delivered
    number = plural(found.delivered, 'file')
    kept = getattr(found, 'kept', None)
    where = ' in cur' if kept is None else f', {kept} not in cur yet' if kept else ''
    yield _line(label, f'{number}{where}, latest {age(snapshot.now - when)} ago:')
    yield _line('', printable(name))


def _parked(snapshot):
    found = snapshot.found
    for label, given_up, what in (
        ('parked', False, 'not retried until "zeit-cds retry NAME"'),
        ('given up', True, 'dropped by hand, in parked; no alarm'),
    ):
        parked = [each for each in found.parked if (each[0] in found.given_up) == given_up]
        if parked:
            yield _line(label, f'{plural(len(parked), "file")}, {what}:')
        for name, reason in parked:
            since = snapshot.parked_since.get(name)
            how_long = '' if since is None else f' for {age(snapshot.now - since)}'
            why = printable(reason) or 'no reason is known'
            yield _line('', f'{printable(name)}{how_long}: {why}')
            yield from _content(**found.parked_content[name])


def _withdrawn(snapshot):
    found = snapshot.found
    if found.withdrawn:
        # Some partners may have had it.
        what = 'not sent any more' if found.partners else 'never sent'
        yield _line('withdrawn', f'{plural(found.withdrawn, "file")} in withdrawn, {what}')


def _unpublished(snapshot):
    for retracts, what, why in (
        (False, 'publication', 'that could not be put into new'),
        (True, 'retraction', 'that failed'),
    ):
        failed = [each for each in snapshot.found.unpublished if bool(each.retracts) == retracts]
        if failed:
            yield _line('failed', f'{plural(len(failed), what)} {why}, to be retried:')
        for each in failed:
            since, attempts = age(snapshot.now - each.since), plural(each.attempts, 'attempt')
            yield _line('', f'{printable(each.unique_id)} for {since}, {attempts}:')
            yield _line('', f'  {printable(each.reason, limit=500)}')


def _retracted(snapshot):
    found = snapshot.numbers.retracted
    if found:
        number = plural(len(found), 'retraction')
        yield _line('retracted', f'{number}, for the next run to carry out on the server:')
    for content, name, since in found[:SHOWN]:
        yield _line('', f'{printable(name or content)} for {age(snapshot.now - since)}')
        yield from _content(content if name else '')
    yield from _more(found)


def _in_doubt(snapshot):
    found = snapshot.found.in_doubt
    if found:
        number = plural(len(found), 'transaction')
        yield _line('in doubt', f'{number} that did not end, for the next run to decide:')
    for each in found:
        about = ', '.join(filter(None, (each.description, each.user)))
        known = 'committed' if each.committed else 'voted'
        ago = age(snapshot.now - each.since)
        yield _line('', f'{known} {ago} ago{about and ": "}{printable(about)}')
        yield from (_line('', f'  {printable(name)}') for name in each.names)
        yield from (_line('', f'  retracts {printable(c)}') for c, *_ in each.retractions)


def _ignored(snapshot):
    found = snapshot.found
    if ignored := [*found.ignored, *((name, HIDDEN) for name in found.hidden)]:
        what = 'never sent' if snapshot.exports else 'no files'
        yield _line('ignored', f'{len(ignored)} in new, {what}:')
        yield from (_line('', f'{printable(name)} {reason}') for name, reason in ignored)


def _damaged(snapshot):
    numbers, path = snapshot.numbers, printable(str(snapshot.found.path))
    if numbers.damaged:
        lines = plural(numbers.damaged, 'line')
        yield _line('damaged', f'skipped {lines} of the journal that cannot be read;')
    if numbers.missing:
        yield _line('missing', f'gone from .cds: {", ".join(numbers.missing)};')
    if numbers.restored:
        yield _line('restored', 'copied, or from a backup: it lacks what came after that;')
    if numbers.damaged or numbers.missing or numbers.restored:
        yield _line('', f'once you know why: zeit-cds journal verify --acknowledge --spool {path}')
    if numbers.disowned:
        yield _line('disowned', 'left by the original of this copy, not removed:')
        yield from (_line('', f'on {printable(url)}') for url in numbers.disowned)
        yield _line('', f'if no other copy runs: "zeit-cds adopt --spool {path}"')
        yield _line('', 'otherwise the same with --forget')


def _last_runs(snapshot):
    exports, imports = snapshot.exports, snapshot.imports
    # Each of several partners has runs of its own.
    if exports and not snapshot.found.partners:
        yield from _last_run(snapshot, snapshot.numbers.last_export, 'export ' * imports)
    if imports:
        yield from _last_run(snapshot, snapshot.numbers.last_import, 'import ' * exports)


def _last_run(snapshot, last, what):
    now, locked = snapshot.now, snapshot.numbers.runs.get('locked')
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


def _run(snapshot):
    active, killed = snapshot.found.active, snapshot.numbers.killed
    yield _line('run', f'active: {active}' if active else 'none active')
    if killed is not None and not active:
        yield _line('', f'the last one, started {age(snapshot.now - killed)} ago, was killed;')
        yield _line('', 'the next one cleans up after it')


_SECTIONS = (
    *(_partners, _waiting, _alone, _held, _filing, _imported, _filed, _parked, _withdrawn),
    *(_unpublished, _retracted, _in_doubt, _ignored, _damaged, _last_runs, _run),
)


# Servers


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
