"""Spans: one for a run, one for each file below it, nothing secret; and none without the API."""

import os
import sys
import unittest
import unittest.mock

from opentelemetry import trace

from zeit.cds.credentials import Secret
from zeit.cds.errors import PermanentError
from zeit.cds.run.exporter import Exporter
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers
from zeit.cds.tests.driving import DriverCase
from zeit.cds.tests.maincase import closed_port


class Span(trace.NonRecordingSpan):
    """Remembers everything; the API alone has none that does."""

    def __init__(self, name, context, attributes):
        super().__init__(trace.SpanContext(trace_id=1, span_id=1, is_remote=False))
        self.name = name
        self.parent = trace.get_current_span(context)
        self.attributes = dict(attributes)
        self.status = self.ended = None

    def set_attribute(self, key, value):
        assert isinstance(value, str | int), value
        self.attributes[key] = value

    def set_status(self, status, description=None):
        self.status = (status, description)

    def end(self, end_time=None):
        assert not self.ended, 'ended twice'
        self.ended = True


class TracingTests(DriverCase, unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.spans = []
        self.tracer = unittest.mock.Mock()
        self.tracer.start_span = self.start_span
        self.enterContext(unittest.mock.patch.object(trace, 'get_tracer', lambda name: self.tracer))

    def start_span(self, name, context=None, attributes=()):
        self.spans.append(Span(name, context, attributes))
        return self.spans[-1]

    def export(self, target=None):
        with self.assertLogs('zeit.cds'):
            return Exporter(self.spool, target or self.target, wait=lambda s: None).run_once()

    def refuse(self, operation, name):
        if (operation, name) == ('upload', 'b.xml'):
            raise PermanentError(553, '553 No.')

    def test_a_run_and_its_files(self):
        for name in ('a.xml', 'b.xml'):
            self.spool.put(name, b'12345')
        self.target.hook = self.refuse
        outer = Span('a task', None, {})
        with trace.use_span(outer):
            self.export()
        run, good, bad = self.spans
        self.assertEqual([outer, run, run], [span.parent for span in self.spans])
        self.assertTrue(all(span.ended for span in self.spans))
        self.assertEqual('zeit.cds run', run.name)
        self.assertEqual('export', run.attributes['zeit.cds.direction'])
        self.assertEqual(1, run.attributes['zeit.cds.exit_code'])
        self.assertEqual('memory:', run.attributes['zeit.cds.target'])
        self.assertEqual(
            {
                'zeit.cds.file.name': 'a.xml',
                'zeit.cds.file.status': 'delivered',
                'zeit.cds.file.size': 5,
            },
            good.attributes,
        )
        self.assertEqual((None, trace.StatusCode.ERROR), (good.status, bad.status[0]))
        self.assertIn('553 No.', bad.status[1])

    def test_a_run_that_fails(self):
        self.spool.put('a.xml', b'')
        target = FTPTarget.from_options(
            host='127.0.0.1', port=closed_port(), user='zeit', password=Secret('verysecret')
        )
        self.export(target)
        (run,) = self.spans
        self.assertEqual(69, run.attributes['zeit.cds.exit_code'])
        self.assertEqual((trace.StatusCode.ERROR, 'Connection refused'), run.status)
        self.assertNotIn('verysecret', repr(vars(run)))

    def test_a_tracer_that_fails_fails_no_run(self):
        for method in ('start_span', 'end', 'set_attribute'):
            with self.subTest(method):
                self.spool.put('a.xml', b'')
                broken = unittest.mock.Mock(side_effect=ZeroDivisionError('no collector'))
                where = self.tracer if method == 'start_span' else Span
                with unittest.mock.patch.object(where, method, broken):
                    self.assertEqual(['a.xml'], self.export().delivered)
                broken.assert_called()

    def test_with_the_api_alone(self):
        self.spool.put('a.xml', b'')
        self.tracer = trace.NoOpTracer()
        self.assertEqual(['a.xml'], self.export().delivered)
        self.assertEqual([], self.spans)

    def test_who_has_not_imported_the_api_has_no_tracer(self):
        """To import it takes longer than some runs; what the environment names it loads itself."""
        for environment, spans in (({}, 0), ({'OTEL_PYTHON_TRACER_PROVIDER': 'ours'}, 2)):
            self.spool.put('a.xml', b'')
            with (
                unittest.mock.patch.dict(sys.modules),
                unittest.mock.patch.dict(os.environ, environment),
            ):
                del sys.modules['opentelemetry.trace']
                self.assertEqual(['a.xml'], self.export().delivered)
            self.assertEqual(spans, len(self.spans))

    def test_without_the_api(self):
        self.spool.put('a.xml', b'')
        with unittest.mock.patch.dict(sys.modules, {'opentelemetry': None}):
            self.assertEqual(['a.xml'], self.export().delivered)
        self.assertEqual([], self.spans)
