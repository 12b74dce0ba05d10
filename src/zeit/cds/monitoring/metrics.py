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

#: The metrics and their help.  The name of a counter ends with _total; it never goes down, but to 0
#: when a spool is made anew.
_HELP = {
    'spool_readable': '1 if the spool can be looked at, 0 if not.',
    'waiting_files': 'Files in new/ that wait to be delivered, or taken by the CMS.',
    'waiting_bytes': 'Their size.',
    'waiting_alone_bytes': (
        'Size of what waits for this partner alone, as all others have it; 0 for a spool.'
    ),
    'held_files': 'Files of these that a person holds ("zeit-cds hold").',
    'embargoed_files': 'Files of these that do not go yet: their embargo has not ended.',
    'spool_held': '1 if all files are held, also those that come, 0 if not.',
    'filing_files': 'Files that were sent, and are not in cur/ yet.',
    'filing_bytes': 'Their size.',
    'parked_files': 'Files that are parked and not retried.',
    'ignored_files': 'Files in new/ that can never be delivered.',
    'unpublished_contents': (
        'Contents that could not be put into the spool, or could not be retracted.'
    ),
    'retracted_files': 'Delivered files that are to be deleted on the server.',
    'in_doubt_files': 'Files of transactions whose outcome is not known.',
    'undeleted_files': 'Files that were imported, and may still be on the server.',
    'oldest_undelivered_age_seconds': (
        'Age of the oldest of all these, or of the last successful import; 0 if there is none.'
    ),
    'delivered_files_total': 'Files that were delivered.',
    'delivered_bytes_total': 'Their size.',
    'received_files_total': 'Files that were fetched.',
    'received_bytes_total': 'Their size.',
    'last_received_timestamp_seconds': 'When a file was last fetched; 0: never.',
    'failed_files_total': (
        'Refusals of files, by the server or for their name, one for each run.'
    ),
    # Not parked_files_total: OpenMetrics would take that for a sample of parked_files.
    'parkings_total': 'How often a file was parked.',
    'withdrawn_files_total': 'Files that were withdrawn before they were delivered.',
    'retractions_total': 'Retractions that ended: the file was deleted, or is another one by now.',
    'runs_total': 'Runs that ended, by exit code; "other": any other code.',
    'run_seconds_total': 'Their total duration.',
    'last_run_timestamp_seconds': 'When the last run ended; 0: never.',
    'last_run_duration_seconds': 'Its duration.',
    'last_run_exit_code': 'Its exit code.',
    'last_success_timestamp_seconds': 'When a run ended with exit code 0; 0: never.',
    'run_active_since_timestamp_seconds': 'When the active run started; 0: none is.',
    'locked_since_timestamp_seconds': (
        'When the server was first seen locked; 0: it was not, for the last run.'
    ),
}

_PREFIX = 'zeit_cds_'

#: The exit codes of a run: no value of a label comes from elsewhere.
_CODES = tuple(map(str, sorted((*PRECEDENCE, 129, 130, 143))))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric: its `name`, `help`, and (labels, value) of its `samples`."""

    name: str
    help: str
    samples: list = dataclasses.field(default_factory=list)

    @property
    def kind(self):
        """Its type: 'counter' or 'gauge'."""
        return 'counter' if self.name.endswith('_total') else 'gauge'


def families(spools, *, now, importing=(), status_of=lambda spool: spool.status()):
    """Return the list of `Family` for an iterable of (name, `ISpool`).

    `now`: seconds since the epoch.  `importing`: spools that are known to be filled by importers,
    also if none has run yet.  `status_of(spool)` returns its `ISpoolStatus`, or raises something:
    whatever it is, that is no reason not to tell of the others.

    Each spool that can be looked at has each of them, and labels whose values are few.
    """
    known = {name: Family(name=_PREFIX + name, help=text) for name, text in _HELP.items()}
    for name, spool in spools:
        labels = {'spool': name}
        if IPartner.providedBy(spool):
            # An exporter may have the name of its spool.
            labels['partner'] = spool.name
        try:
            imports = any(spool is each for each in importing)
            samples = [*_samples(status_of(spool), now, imports=imports)]
        except Exception as error:  # noqa: BLE001 somebody else's spool may raise anything
            foreseen = isinstance(error, (Error, OSError))
            level = logging.DEBUG if foreseen else logging.ERROR
            log.log(level, 'The spool %s has no numbers.', printable(name), exc_info=error)
            samples = [('spool_readable', 0), *_kept_in_memory(spool, now)]
        for metric, value, *more in samples:
            known[metric].samples.append((labels | dict(more), value))
    return [*known.values()]


def _samples(found, now, *, imports):
    """Yield (name, value) of what is `found`, an `ISpoolStatus`, and perhaps one more label."""
    numbers, waiting = found.numbers, found.waiting
    yield 'spool_readable', 1
    yield 'waiting_files', len(waiting)
    yield 'waiting_bytes', sum(entry.size for entry in waiting)
    yield 'waiting_alone_bytes', sum(each.size for each in getattr(found, 'alone', ()))
    yield 'held_files', sum(bool({'', each.name} & {*found.held}) for each in waiting)
    early = [each for each in waiting if each.not_before and each.waits_since > now]
    yield 'embargoed_files', len(early)
    yield 'spool_held', int('' in found.held)
    yield 'filing_files', len(found.filing)
    yield 'filing_bytes', sum(entry.size for entry in found.filing)
    yield 'parked_files', len(found.parked) - len(found.given_up)
    yield 'ignored_files', len(found.ignored)
    yield 'unpublished_contents', len(found.unpublished)
    yield 'retracted_files', len(numbers.retracted)
    yield 'in_doubt_files', sum(len(doubt.names) for doubt in found.in_doubt)
    yield 'undeleted_files', len(numbers.undeleted)
    late = unfinished(found, imports=imports or numbers.imports, exports=numbers.exports)
    oldest = min((each.since for each in late), default=now)
    yield 'oldest_undelivered_age_seconds', max(0, now - oldest)
    totals = numbers.totals
    yield 'delivered_files_total', totals['delivered']
    yield 'delivered_bytes_total', totals['delivered_bytes']
    yield 'received_files_total', totals['received']
    yield 'received_bytes_total', totals['received_bytes']
    yield 'last_received_timestamp_seconds', numbers.newest[1] if numbers.newest else 0
    yield 'failed_files_total', totals['failed']
    yield 'parkings_total', totals['parked']
    yield 'withdrawn_files_total', totals['withdrawn']
    yield 'retractions_total', totals['retracted']
    runs = numbers.runs
    ended, last, locked = (runs.get(key) or {} for key in ('runs', 'last', 'locked'))
    for code in _CODES:
        yield 'runs_total', ended.get(code, 0), ('exit_code', code)
    other = sum(number for code, number in ended.items() if code not in _CODES)
    yield 'runs_total', other, ('exit_code', 'other')
    yield 'run_seconds_total', runs.get('seconds', 0)
    yield 'last_run_timestamp_seconds', last.get('ended') or 0
    yield 'last_run_duration_seconds', last.get('seconds') or 0
    yield 'last_run_exit_code', last.get('exit_code') or 0
    yield 'last_success_timestamp_seconds', runs.get('success') or 0
    active = numbers.owner
    yield 'run_active_since_timestamp_seconds', active.since.timestamp() if active else 0
    yield 'locked_since_timestamp_seconds', locked.get('since') or 0


def _kept_in_memory(spool, now):
    """Yield what this process knows of contents that such a spool did not take."""
    try:
        kept = spool.unpublished.content()
    except Exception:  # noqa: BLE001 why nothing can be read is known already
        kept = []
    if kept:
        yield 'unpublished_contents', len(kept)
        yield 'oldest_undelivered_age_seconds', max(0, now - min(each.since for each in kept))


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
        importing = [spool for _, spool in _spools_of(IImporter)]
        found = families(self._spools(), now=time.time(), importing=importing)
        return [_client(family) for family in found]


def _registered():
    yield from zope.component.getUtilitiesFor(ISpool)
    yield from (pair for pair in _spools_of(IExporter) if IPartner.providedBy(pair[1]))


def _spools_of(interface):
    """Yield (name, `ISpool`) of the exporters or importers that have one."""
    for name, exchange in zope.component.getUtilitiesFor(interface):
        try:
            yield name, exchange.spool
        except Exception as error:  # noqa: BLE001 somebody else's may raise anything
            log.debug('%s has no spool.', printable(name), exc_info=error)


def _client(family):
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kinds = {'counter': CounterMetricFamily, 'gauge': GaugeMetricFamily}
    metric = kinds[family.kind](family.name, family.help)
    for labels, value in family.samples:
        metric.add_sample(family.name, labels, value)
    return metric
