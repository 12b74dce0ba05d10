"""What `zeit-cds export` and `import` say to programs."""

from zeit.cds.cli.status_json import VERSION, failure, utc
from zeit.cds.text import strict_json


def as_json(runs):
    """Return a JSON array with an object for each of `runs`, a list of what `as_object` returns."""
    return strict_json(runs)


def as_object(name, exchange, report, *, imports, seconds, error=None):
    """Return a dictionary: what became of a run of the exporter or importer `exchange`.

    `name` is that in ZCML, `imports` says which way it goes, `report` is an `IReport`, None if
    there is none because of `error`.
    """
    error = error or report.error
    results = [] if report is None else report.results
    due = getattr(report, 'due', None)
    return {
        'version': VERSION,
        'name': name or None,
        'direction': 'in' if imports else 'out',
        'path': str(exchange.spool.path),
        'server': exchange.target.url,
        'exit_code': error.exit_code if report is None else report.exit_code,
        'seconds': round(seconds, 3),
        'limited': bool(getattr(report, 'limited', False)),
        'due': None if due is None else utc(due),
        'error': failure(error),
        'files': [_file(each) for each in results],
    }


def _rounded(seconds):
    return None if seconds is None else round(seconds, 3)


def _file(result):
    return {
        'name': result.name,
        'status': result.status,
        'size': result.size,
        'seconds': _rounded(getattr(result, 'seconds', None)),
        'reason': result.reason or None,
        'filed_as': result.filed_as or None,
        'content': getattr(result, 'content', '') or None,
        'content_version': getattr(result, 'content_version', '') or None,
    }
