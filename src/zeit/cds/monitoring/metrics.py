"""Spools in numbers, for Prometheus: read from the disk, so that all processes say the same.

`as_text` needs nothing.  `Collector` needs prometheus_client, the extra `metrics`:

    prometheus_client.REGISTRY.register(zeit.cds.monitoring.metrics.Collector())
"""

import dataclasses
import logging
import time

import zope.component

from zeit.cds.errors import PRECEDENCE, Error
from zeit.cds.interfaces import IExporter, IImporter, IPartner, ISpool
from zeit.cds.monitoring.freshness import unfinished
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Name, kind and help of each.  Counters never go down, but to 0 when a spool is made anew.
_KNOWN = (
    ('spool_readable', 'gauge', '1 if the spool can be looked at, 0 if not.'),
    ('waiting_files', 'gauge', 'Files in new/ that wait to be delivered, or taken by the CMS.'),
    ('waiting_bytes', 'gauge', 'Their size.'),
    (
        'waiting_alone_bytes',
        'gauge',
        'Size of what waits for this partner alone, as all others have it; 0 for a spool.',
    ),
    ('held_files', 'gauge', 'Files of these that a person holds ("zeit-cds hold").'),
    ('embargoed_files', 'gauge', 'Files of these that do not go yet: their embargo has not ended.'),
    ('spool_held', 'gauge', '1 if all files are held, also those that come, 0 if not.'),
    ('filing_files', 'gauge', 'Files that were sent, and are not in cur/ yet.'),
    ('filing_bytes', 'gauge', 'Their size.'),
    ('parked_files', 'gauge', 'Files that are parked and not retried.'),
    ('ignored_files', 'gauge', 'Files in new/ that can never be delivered.'),
    (
        'unpublished_contents',
        'gauge',
        'Contents that could not be put into the spool, or could not be retracted.',
    ),
    ('retracted_files', 'gauge', 'Delivered files that are to be deleted on the server.'),
    ('in_doubt_files', 'gauge', 'Files of transactions whose outcome is not known.'),
    ('undeleted_files', 'gauge', 'Files that were imported, and may still be on the server.'),
    (
        'oldest_undelivered_age_seconds',
        'gauge',
        'Age of the oldest of all these, or of the last successful import; 0 if there is none.',
    ),
    ('delivered_files_total', 'counter', 'Files that were delivered.'),
    ('delivered_bytes_total', 'counter', 'Their size.'),
    ('received_files_total', 'counter', 'Files that were fetched.'),
    ('received_bytes_total', 'counter', 'Their size.'),
    ('last_received_timestamp_seconds', 'gauge', 'When a file was last fetched; 0: never.'),
    (
        'failed_files_total',
        'counter',
        'Refusals of files, by the server or for their name, one for each run.',
    ),
    ('parkings_total', 'counter', 'How often a file was parked.'),
    ('withdrawn_files_total', 'counter', 'Files that were withdrawn before they were delivered.'),
    (
        'retractions_total',
        'counter',
        'Retractions that ended: the file was deleted, or is another one by now.',
    ),
    ('runs_total', 'counter', 'Runs that ended, by exit code; "other": any other code.'),
    ('run_seconds_total', 'counter', 'Their total duration.'),
    ('last_run_timestamp_seconds', 'gauge', 'When the last run ended; 0: never.'),
    ('last_run_duration_seconds', 'gauge', 'Its duration.'),
    ('last_run_exit_code', 'gauge', 'Its exit code.'),
    ('last_success_timestamp_seconds', 'gauge', 'When a run ended with exit code 0; 0: never.'),
    ('run_active_since_timestamp_seconds', 'gauge', 'When the active run started; 0: none is.'),
    (
        'locked_since_timestamp_seconds',
        'gauge',
        'When the server was first seen locked; 0: it was not, for the last run.',
    ),
)

_PREFIX = 'zeit_cds_'

#: Not parked_files_total: OpenMetrics would take that for a sample of parked_files.
_TOTALS = {'parked': 'parkings_total', 'retracted': 'retractions_total'}

#: The exit codes of a run: no value of a label comes from elsewhere.
_CODES = tuple(map(str, sorted((*PRECEDENCE, 129, 130, 143))))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric: `name`, `kind` ('gauge' or 'counter'), `help`, and (labels, value) of `samples`."""

    name: str
    kind: str
    help: str
    samples: list = dataclasses.field(default_factory=list)


def families(spools, *, now, importing=(), status_of=lambda spool: spool.status()):
    """Return the list of `Family` for an iterable of (name, `ISpool`).

    `now`: seconds since the epoch.  `importing`: spools that are known to be filled by importers,
    also if none has run yet.  `status_of(spool)` returns its `ISpoolStatus`, or raises something:
    whatever it is, that is no reason not to tell of the others.

    Each spool that can be looked at has each of them, and labels whose values are few.
    """
    known = {name: Family(name=_PREFIX + name, kind=kind, help=text) for name, kind, text in _KNOWN}
    for label, spool in spools:
        imports = any(spool is each for each in importing)
        for name, value, labels in _told(label, spool, now, imports=imports, status_of=status_of):
            # An exporter may have the name of its spool.
            whose = {'partner': spool.name} if IPartner.providedBy(spool) else {}
            known[name].samples.append(({'spool': label, **whose, **labels}, value))
    return [*known.values()]


def _told(label, spool, now, **options):
    try:
        return [*_samples(spool, now, **options)]
    except Exception as error:  # noqa: BLE001 somebody else's spool may raise anything
        foreseen = isinstance(error, (Error, OSError))
        level = logging.DEBUG if foreseen else logging.ERROR
        log.log(level, 'The spool %s has no numbers.', printable(label), exc_info=error)
    return [('spool_readable', 0, {}), *_kept(spool, now)]


def _samples(spool, now, *, imports, status_of):
    """Yield (name, value, further labels)."""
    found = status_of(spool)
    numbers = found.numbers
    yield 'spool_readable', 1, {}
    yield 'waiting_files', len(found.waiting), {}
    yield 'waiting_bytes', sum(entry.size for entry in found.waiting), {}
    yield 'waiting_alone_bytes', sum(each.size for each in getattr(found, 'alone', ())), {}
    held = [each for each in found.waiting if {'', each.name} & {*found.held}]
    yield 'held_files', len(held), {}
    early = [each for each in found.waiting if each.not_before and each.waits_since > now]
    yield 'embargoed_files', len(early), {}
    yield 'spool_held', int('' in found.held), {}
    yield 'filing_files', len(found.filing), {}
    yield 'filing_bytes', sum(entry.size for entry in found.filing), {}
    yield 'parked_files', len(found.parked) - len(found.given_up), {}
    yield 'ignored_files', len(found.ignored), {}
    yield 'unpublished_contents', len(found.unpublished), {}
    yield 'retracted_files', len(numbers.retracted), {}
    yield 'in_doubt_files', sum(len(doubt.names) for doubt in found.in_doubt), {}
    roles = {'imports': imports or numbers.imports, 'exports': numbers.exports}
    yield 'undeleted_files', len(numbers.undeleted), {}
    yield 'last_received_timestamp_seconds', numbers.newest[1] if numbers.newest else 0, {}
    waiting = unfinished(found, **roles)
    oldest = min((each.since for each in waiting), default=now)
    yield 'oldest_undelivered_age_seconds', max(0, now - oldest), {}
    yield from _totals(numbers.totals)
    yield from _runs(numbers.runs)
    active = numbers.owner
    yield 'run_active_since_timestamp_seconds', active.since.timestamp() if active else 0, {}


def _kept(spool, now):
    """Yield what this process knows of contents that such a spool did not take."""
    try:
        kept = spool.unpublished.content()
    except Exception:  # noqa: BLE001 why nothing can be read is known already
        kept = []
    if kept:
        yield 'unpublished_contents', len(kept), {}
        yield 'oldest_undelivered_age_seconds', max(0, now - min(each.since for each in kept)), {}


def _totals(totals):
    for name, value in totals.items():
        yield _counter(name), value, {}


def _counter(name):
    if name in _TOTALS:
        return _TOTALS[name]
    return f'{name}_total' if name.endswith('_bytes') else f'{name}_files_total'


def _runs(runs):
    ended = runs.get('runs', {})
    for code in _CODES:
        yield 'runs_total', ended.get(code, 0), {'exit_code': code}
    other = sum(number for code, number in ended.items() if code not in _CODES)
    yield 'runs_total', other, {'exit_code': 'other'}
    yield 'run_seconds_total', runs.get('seconds', 0), {}
    last, locked = runs.get('last') or {}, runs.get('locked') or {}
    yield 'last_run_timestamp_seconds', last.get('ended') or 0, {}
    yield 'last_run_duration_seconds', last.get('seconds') or 0, {}
    yield 'last_run_exit_code', last.get('exit_code') or 0, {}
    yield 'last_success_timestamp_seconds', runs.get('success') or 0, {}
    yield 'locked_since_timestamp_seconds', locked.get('since') or 0, {}


# Text


def as_text(found):
    """Return a list of `Family` in Prometheus's text format, version 0.0.4.

    Source: prometheus.io/docs/instrumenting/exposition_formats
    """
    return ''.join(line + '\n' for family in found if family.samples for line in _lines(family))


def _lines(family):
    yield f'# HELP {family.name} {_escape(family.help)}'
    yield f'# TYPE {family.name} {family.kind}'
    for labels, value in family.samples:
        pairs = ','.join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
        yield f'{family.name}{{{pairs}}} {value!r}'


def _escape(text):
    return text.replace('\\', r'\\').replace('\n', r'\n')


def _quoted(text):
    # A name on the disk may have bytes that are no UTF-8, which the format demands.
    text = str(text).encode('utf-8', 'replace').decode('utf-8')
    return _escape(text).replace('"', r'\"')


class Collector:
    """A collector for a registry of prometheus_client.

    `spools()` returns an iterable of (name, `ISpool`); by default those that are registered, and
    the partners of these.
    """

    def __init__(self, spools=None):
        self._spools = _registered if spools is None else spools

    def __repr__(self):
        return '<Collector of zeit.cds>'

    def describe(self):
        """Return the metrics without values: what a registry wants to know at once."""
        return [_client(family) for family in families([], now=0)]

    def collect(self):
        """Return the metrics: what the disk says now."""
        found = families(self._spools(), now=time.time(), importing=[*_importing()])
        return [_client(family) for family in found]


def _registered():
    yield from zope.component.getUtilitiesFor(ISpool)
    for name, exporter in zope.component.getUtilitiesFor(IExporter):
        try:
            spool = exporter.spool
        except Exception as error:  # noqa: BLE001 somebody else's may raise anything
            log.debug('The exporter %s has no spool.', printable(name), exc_info=error)
            continue
        if IPartner.providedBy(spool):
            yield name, spool


def _importing():
    for name, importer in zope.component.getUtilitiesFor(IImporter):
        try:
            yield importer.spool
        except Exception as error:  # noqa: BLE001 somebody else's may raise anything
            log.debug('The importer %s has no spool.', printable(name), exc_info=error)


def _client(family):
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kinds = {'counter': CounterMetricFamily, 'gauge': GaugeMetricFamily}
    metric = kinds[family.kind](family.name, family.help)
    for labels, value in family.samples:
        metric.add_sample(family.name, labels, value)
    return metric
