"""Spans of OpenTelemetry: one for a run, below it one for each file; without its API nothing.

A run's span is below the one that is current when it begins, that of a task for example.
"""

import functools
import logging
import os
import sys

from zeit.cds.errors import SpoolBusy
from zeit.cds.text import printable


log = logging.getLogger(__name__)


def _harmless(method):
    """Do nothing without the API, nor after an error of the application's tracer."""

    @functools.wraps(method)
    def call(self, *args):
        if self._api is None:
            return
        try:
            method(self, *args)
        except Exception as error:  # noqa: BLE001 the application's tracer may raise anything
            self._api = None
            what = printable(f'{type(error).__name__}: {error}')
            log.warning('No more spans for this run: %s', what)
            log.debug('The reason', exc_info=error)

    return call


class Trace:
    """The spans of one run between `spool` and `target`; `done` says what it does to files.

    Without a tracer of the application there are none, or those of the API that do nothing.
    Nothing here raises.
    """

    def __init__(self, spool, target, *, done):
        self._files = {}
        self._api = self._run = None
        # Who has not imported it has set no tracer, unless the environment names one.
        named = 'OTEL_PYTHON_TRACER_PROVIDER' in os.environ
        if not named and 'opentelemetry.trace' not in sys.modules:
            return
        try:
            from opentelemetry import trace
        except ImportError:
            return
        self._api = trace
        self._begin(spool, target, done)

    @_harmless
    def _begin(self, spool, target, done):
        self._tracer = self._api.get_tracer('zeit.cds')
        # A target's url has no password in it.
        about = {
            'zeit.cds.direction': 'import' if done == 'imported' else 'export',
            'zeit.cds.spool': str(spool.path),
            'zeit.cds.target': target.url,
        }
        self._run = self._tracer.start_span('zeit.cds run', attributes=about)

    def __repr__(self):
        return f'<Trace {self._run!r}>'

    @_harmless
    def started(self, name):
        """Work on the file `name` begins, perhaps once more."""
        if name not in self._files:
            self._files[name] = self._span(name)

    def _span(self, name):
        return self._tracer.start_span(
            'zeit.cds file',
            context=self._api.set_span_in_context(self._run),
            attributes={'zeit.cds.file.name': printable(name)},
        )

    @_harmless
    def result(self, result):
        """It has ended for the file of an `IResult`."""
        span = self._files.pop(result.name, None) or self._span(result.name)
        span.set_attribute('zeit.cds.file.status', result.status)
        span.set_attribute('zeit.cds.file.size', result.size)
        if result.status in ('failed', 'parked'):
            span.set_status(self._api.StatusCode.ERROR, result.reason)
        span.end()

    @_harmless
    def finish(self, report):
        """The run has ended, as an `IReport` says."""
        for span in self._files.values():
            span.end()
        self._files.clear()
        self._run.set_attribute('zeit.cds.exit_code', report.exit_code)
        # Another run that is active is no error: that one does it.
        if report.error is not None and not isinstance(report.error, SpoolBusy):
            self._run.set_status(self._api.StatusCode.ERROR, printable(report.error.message))
        self._run.end()
