"""What `zeit-cds status` says to programs."""

import types

from zeit.cds.spool.statistics import Attempts
from zeit.cds.text import from_timestamp, printable, strict_json


#: That of the format, see docs/json.txt.
VERSION = 1

#: Of a file that no run has tried in vain.
NEVER = Attempts(version=None, number=0, last=None, reason='')


def as_json(snapshots):
    """Return a JSON array with an object for each `Snapshot`; sizes in bytes, times in UTC."""
    return strict_json([as_object(each) for each in snapshots])


def as_object(snapshot, *, shown=None):
    """Return the object of a `Snapshot`, a dictionary; names may have lone surrogates.

    Of files that wait, or are on their way, only so many are `shown`, and as many that have failed:
    None for all.
    """
    result = {
        'version': VERSION,
        'name': snapshot.selected.name,
        'path': str(snapshot.selected.spool.path),
        'partner_of': _shared(snapshot.selected.spool),
        'error': failure(snapshot.error),
    }
    if snapshot.found is not None:
        result |= _spool_object(snapshot, shown=shown)
    importing = snapshot.selected.imports and not snapshot.selected.exports
    servers = [_server_object(server, importing=importing) for server in snapshot.servers]
    return result | {'servers': servers}


def _shared(spool):
    """Return the path of the spool that a partner has with others, None for another one."""
    shared = getattr(spool, 'shared', None)
    return None if shared is None else str(shared.path)


def _size(found):
    return None if found is None else {'files': len(found), 'bytes': sum(e.size for e in found)}


def _roles(snapshot):
    """Return what is in `cur/`, by what it means, and what is known about imports."""
    found, newest = snapshot.found, snapshot.found.last_delivered
    exports = _last_run(snapshot.numbers.last_export, snapshot.numbers.runs)
    filed = {
        'files': found.delivered,
        'newest': newest and {'name': newest[0], 'filed': utc(newest[1])},
    }
    return {
        'delivered': {**filed, **exports} if snapshot.exports else None,
        'taken': None if snapshot.exports else filed,
        'imported': _imports(snapshot) if snapshot.imports else None,
    }


def _imports(snapshot):
    numbers = snapshot.numbers
    newest = numbers.newest
    return {
        'files': numbers.totals['received'],
        'newest': newest and {'name': newest[0], 'received': utc(newest[1])},
        'undeleted': [{'name': name, 'since': utc(when)} for name, when in numbers.undeleted],
        'failed': [
            {'name': name, **_attempts(failed)} for name, failed in snapshot.unfetched.items()
        ],
        **_last_run(numbers.last_import, numbers.runs),
    }


def _last_run(last, runs):
    newest = runs.get('last', {})
    is_newest = newest.get('ended') == last.get('ended')
    return {
        'last_run': last
        and {
            'ended': utc(last['ended']),
            'seconds': round(newest['seconds'], 3) if is_newest else None,
            'exit_code': last['exit_code'],
            'reason': last.get('reason') or None,
            'server': last.get('target') or None,
            'limited': last.get('limited', False),
        }
        or None,
        'last_success': utc(last.get('success')),
    }


def _locked(met):
    """Return the lock that the last run has met, None if it met none."""
    return met and {
        'lock': met['lock'],
        'holder': met['holder'],
        'since': utc(met['since']),
    }


def _attempts(failed):
    return {
        'attempts': failed.number,
        'last_attempt': utc(failed.last),
        'reason': failed.reason or None,
    }


def _spool_object(snapshot, *, shown):
    found, numbers, now = snapshot.found, snapshot.numbers, snapshot.now
    return {
        'waiting': _waiting(found.waiting, now, shown=shown, failed=numbers.failed),
        'filing': _entries(found.filing, now, shown=shown),
        'held': [
            {'name': name or None, 'reason': reason, 'since': utc(since)}
            for name, (reason, since) in found.held.items()
        ],
        'parked': [
            {
                'name': name,
                'reason': reason,
                'given_up': name in found.given_up,
                'since': utc(snapshot.parked_since.get(name)),
                'content': found.parked_content[name].get('content'),
                'content_version': found.parked_content[name].get('content_version'),
            }
            for name, reason in found.parked
        ],
        'withdrawn': found.withdrawn,
        'unpublished': [
            {
                'id': each.unique_id,
                'reason': each.reason,
                'attempts': each.attempts,
                'retracts': each.retracts,
                'since': utc(each.since),
                'last_attempt': utc(each.last),
            }
            for each in found.unpublished
        ],
        'in_doubt': [
            {
                'names': list(each.names),
                'retracts': [content for content, *_ in each.retractions],
                'description': each.description,
                'user': each.user,
                'since': utc(each.since),
                'committed': each.committed,
            }
            for each in found.in_doubt
        ],
        'ignored': [{'name': name, 'reason': reason} for name, reason in found.ignored],
        'hidden': list(found.hidden),
        'active': found.active or None,
        'partners': list(found.partners),
        'alone': _size(getattr(found, 'alone', None)),
        **_roles(snapshot),
        'killed': utc(numbers.killed),
        'disowned': numbers.disowned,
        'retracted': [
            {'id': content or None, 'name': name or None, 'since': utc(since)}
            for content, name, since in numbers.retracted
        ],
        'damaged': numbers.damaged,
        'locked': _locked(numbers.runs.get('locked')),
        'missing': numbers.missing,
        'restored': numbers.restored,
    }


def _waiting(found, now, *, shown, failed):
    failed = {
        each.name: failed[each.name]
        for each in found
        if each.name in failed and failed[each.name].are_of(each)
    }
    result = _entries(found, now, shown=shown, failed=failed)
    # Those at the end of a long queue would not be seen.
    more = [] if shown is None else [each for each in found[shown:] if each.name in failed]
    result['names'] += [_entry(each, failed[each.name]) for each in more[:shown]]
    return {**result, 'failed': len(failed)}


def _entries(found, now, *, shown, failed=types.MappingProxyType({})):
    oldest = min((entry.waits_since for entry in found), default=None)
    return {
        'files': len(found),
        'bytes': sum(entry.size for entry in found),
        'oldest_seconds': None if oldest is None else max(0, round(now - oldest, 3)),
        'names': [_entry(each, failed.get(each.name, NEVER)) for each in found[:shown]],
    }


def _entry(entry, attempts):
    return {
        'name': entry.name,
        'size': entry.size,
        'arrived': utc(entry.arrived),
        'content': entry.content or None,
        'content_version': entry.content_version or None,
        'priority': entry.priority,
        'not_before': entry.not_before or None,
        'not_after': entry.not_after or None,
        **_attempts(attempts),
    }


def _server_object(server, *, importing):
    lock, name = server.lock, server.name or None
    return {
        'exporter': None if importing else name,
        'importer': name if importing else None,
        'server': server.title,
        'locked': None if server.error else lock is not None,
        'lock': lock
        and {
            'name': lock.name,
            'holder': lock.holder,
            'whose': server.whose or None,
        },
        'listed': None if server.error else server.listed,
        'error': failure(server.error),
    }


def failure(error):
    """Return what there is to say of an `Error`, a dictionary; None for None."""
    if error is None:
        return None
    return {
        'message': printable(error.message),
        'hint': error.hint,
        'exit_code': error.exit_code,
    }


def utc(seconds):
    """Return a time in `seconds` since the epoch as it is written in JSON; None for None."""
    return None if seconds is None else from_timestamp(seconds).isoformat(timespec='seconds')
