"""What `zeit-cds status` says to programs."""

from zeit.cds.text import from_timestamp, printable, strict_json


#: That of the format, see docs/json.txt.
VERSION = 1


def as_json(looks):
    """Return a JSON array with an object for each `Look`; sizes in bytes, times in UTC."""
    return strict_json([_object(each) for each in looks])


def _object(look):
    result = {
        'version': VERSION,
        'name': look.place.name,
        'path': str(look.place.spool.path),
        'error': _failure(look.error),
    }
    if look.found is not None:
        result |= _spool_object(look.found, look.now, parked_since=look.parked_since)
        result |= _roles(look)
        killed = look.numbers.killed
        result['killed'] = None if killed is None else _utc(killed)
        result['disowned'] = look.numbers.disowned
        result['damaged'] = look.numbers.damaged
        result['missing'] = look.numbers.missing
    importing = look.place.imports and not look.place.exports
    servers = [_server_object(server, importing=importing) for server in look.servers]
    return result | {'servers': servers}


def _roles(look):
    """Return what is in `cur/`, by what it means, and what is known about imports."""
    found, newest = look.found, look.found.last_delivered
    exports = _last_run(look.numbers.last_export)
    filed = {
        'files': found.delivered,
        'newest': newest and {'name': newest[0], 'filed': _utc(newest[1])},
    }
    return {
        'delivered': {**filed, **exports} if look.exports else None,
        'taken': None if look.exports else filed,
        'imported': _imports(look.numbers) if look.imports else None,
    }


def _imports(numbers):
    newest = numbers.newest
    return {
        'files': numbers.totals['received'],
        'newest': newest and {'name': newest[0], 'received': _utc(newest[1])},
        'undeleted': [{'name': name, 'since': _utc(when)} for name, when in numbers.undeleted],
        **_last_run(numbers.last_import),
    }


def _last_run(last):
    success = last.get('success')
    return {
        'last_run': last and {'ended': _utc(last['ended']), 'exit_code': last['exit_code']} or None,
        'last_success': None if success is None else _utc(success),
    }


def _spool_object(found, now, *, parked_since):
    return {
        'waiting': _entries(found.waiting, now),
        'filing': _entries(found.filing, now),
        'parked': [
            {
                'name': name,
                'reason': reason,
                'since': _utc(parked_since[name]) if name in parked_since else None,
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
        'hidden': list(found.hidden),
        'active': found.active or None,
    }


def _entries(found, now):
    oldest = min((entry.arrived for entry in found), default=None)
    return {
        'files': len(found),
        'bytes': sum(entry.size for entry in found),
        'oldest_seconds': None if oldest is None else max(0, round(now - oldest, 3)),
        'names': [_entry(each) for each in found],
    }


def _entry(entry):
    return {
        'name': entry.name,
        'size': entry.size,
        'arrived': _utc(entry.arrived),
        'content': entry.content or None,
        'content_version': entry.content_version or None,
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
