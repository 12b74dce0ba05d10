"""The thread: started by hand after fork, woken, never dead, stopped."""

import datetime
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import unittest.mock

import zope.component

from zeit.cds import errors
from zeit.cds.drivers.thread import ExporterThread, ImporterThread
from zeit.cds.interfaces import IExchangeFinished, IExporter, IImporter, IWakeUp
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests import application, cms
from zeit.cds.tests.driving import TIMEOUT, DriverCase
from zeit.cds.values import backoff
from zeit.cds.values.report import Report, Result
from zeit.cds.values.run_options import Options
from zeit.cds.zcml.configured import ConfiguredImporter


class PaceTests(unittest.TestCase):
    def test_pauses_grow_and_end_with_success(self):
        now, pauses = backoff.Pace(interval=1000), []
        for code in (75, 69, 69, 0, 69):
            now = now.after(code)
            pauses.append(now.pause)
        self.assertEqual([1, 2, 4, 1000, 1], pauses)

    def test_a_file_that_was_refused_is_not_tried_soon(self):
        self.assertEqual(60, backoff.Pace(interval=60).after(1).pause)

    def test_pauses_are_bounded(self):
        self.assertEqual(backoff.LONGEST_SECONDS, backoff.pause(10**9))
        self.assertEqual(60, backoff.Pace(interval=60, failures=100, exit_code=69).pause)

    def test_a_refused_login_is_not_tried_soon(self):
        self.assertEqual(backoff.LONGEST_SECONDS, backoff.Pace(interval=60).after(77).pause)
        self.assertEqual(1000, backoff.Pace(interval=1000).after(77).pause)
        self.assertEqual(60, backoff.Pace(interval=60).after(77).after(0).pause)

    def test_another_run_that_is_active_is_no_failure(self):
        busy = Report(errors=[errors.SpoolBusy('Another run is active')])
        now = backoff.Pace(interval=60)
        for _ in range(5):
            now = now.after(busy.exit_code, busy)
            expected = backoff.BUSY_SECONDS, True, 0
            self.assertEqual(expected, (now.pause, now.hurries, now.failures))
        self.assertEqual(60, now.after(0, Report()).pause)
        # About a server in trouble it says nothing new.
        refused = backoff.Pace().after(77).after(busy.exit_code, busy)
        self.assertEqual((backoff.LONGEST_SECONDS, False), (refused.pause, refused.hurries))
        self.assertEqual(2, backoff.Pace().after(69).after(75, busy).after(69).pause)

    def test_after_a_bound_the_next_run_comes_at_once_if_one_brings_something(self):
        brought = [Result(name='a.xml', status='delivered')]
        failed = [Result(name='b.xml', status='failed')]
        for results, code, expected in (
            (brought, 0, 0),
            (brought + failed, 1, 0),
            (failed, 1, 60),
            (brought, 69, 1),
        ):
            lost = [errors.FTPOSError(104, 'Connection reset')] if code == 69 else []
            report = Report(results=results, errors=lost, limited=True)
            self.assertEqual(expected, backoff.Pace(interval=60).after(code, report).pause)
        self.assertEqual(60, backoff.Pace(interval=60).after(0, Report(results=brought)).pause)

    def test_the_end_of_an_embargo_comes_before_the_pause_is_over(self):
        for due, code, expected in (
            (None, 0, 60),
            (1030, 0, 30),
            (1200, 0, 60),
            (990, 0, 0),
            (1030, 1, 30),
            (1030, 69, 1),
            (1030, 77, backoff.LONGEST_SECONDS),
        ):
            report = Report(due=due)
            pace = backoff.Pace(interval=60).after(code, report)
            self.assertAlmostEqual(expected, pace.pause_at(1000), delta=0.2)
        busy = Report(errors=[errors.SpoolBusy('Another run is active')])
        pace = backoff.Pace(interval=60).after(0, Report(due=990)).after(75, busy)
        self.assertEqual(backoff.BUSY_SECONDS, pace.pause_at(1000))

    def test_a_new_file_hurries_only_where_the_server_would_take_it(self):
        hurries = [backoff.Pace().after(code).hurries for code in (0, 1, 69, 70, 73, 75, 77, 78)]
        self.assertEqual([True, True] + 6 * [False], hurries)


class ThreadTests(DriverCase, unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.thread = ExporterThread('articles', interval=TIMEOUT * 10)
        zope.component.provideUtility(self.thread, IWakeUp, name='articles')
        self.addCleanup(self.thread.stop)

    def test_nothing_runs_before_it_is_started(self):
        self.spool.put('a.xml', b'<a/>')
        self.assertFalse(self.thread.running)
        self.assertTrue(self.thread.stop())
        self.assertEqual(['a.xml'], self.names('new'))

    def test_what_waits_is_delivered_when_it_starts(self):
        self.spool.put('a.xml', b'<a/>')
        self.thread.start()
        self.assertEqual(['a.xml'], self.next_run().delivered)

    def test_what_is_put_is_delivered_at_once(self):
        self.thread.start()
        self.next_run()
        self.spool.put('a.xml', b'<a/>')
        self.assertEqual(['a.xml'], self.next_run().delivered)

    def test_what_is_embargoed_is_delivered_when_that_ends(self):
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1.5)
        self.spool.put('a.xml', b'<a/>', not_before=end)
        self.thread.start()
        delivered = []
        while not delivered:
            delivered = self.next_run().delivered
        self.assertGreater(datetime.datetime.now(datetime.UTC), end)
        self.assertEqual(['a.xml'], delivered)

    def test_what_it_puts_itself_needs_no_second_run(self):
        put = unittest.mock.patch.object(self.thread, 'before', self.put_once())
        with put:
            self.thread.start()
            self.assertEqual(['a.xml'], self.next_run().delivered)
            self.spool.put('b.xml', b'<b/>')
            self.assertEqual(['b.xml'], self.next_run().delivered)

    def put_once(self):
        names = ['a.xml']
        return lambda: names and self.spool.put(names.pop(), b'<a/>')

    def test_what_is_put_during_a_run_is_delivered_by_the_next(self):
        def put(operation, name):
            if (operation, name) == ('upload', 'a.xml'):
                self.spool.put('b.xml', b'<b/>')

        self.target.hook = put
        self.spool.put('a.xml', b'<a/>')
        self.thread.start()
        self.assertEqual(['a.xml'], self.next_run().delivered)
        self.assertEqual(['b.xml'], self.next_run().delivered)

    def test_behind_another_run_it_comes_again_and_says_nothing(self):
        with self.assertNoLogs('zeit.cds', 'INFO'), Spool(self.spool.path).run():
            self.thread.start()
            self.spool.put('a.xml', b'<a/>')
            for _ in range(2):
                self.assertEqual(errors.COME_BACK_LATER, self.next_run().exit_code)
        while not (report := self.next_run()).delivered:
            pass
        self.assertEqual(['a.xml'], report.delivered)

    def test_what_a_bound_has_left_goes_with_the_next_run_at_once(self):
        self.exporter.options = Options(max_files=1)
        for name in ('a.xml', 'b.xml', 'c.xml'):
            self.spool.put(name, b'<a/>')
        self.thread.start()
        for name in ('a.xml', 'b.xml', 'c.xml'):
            self.assertEqual([name], self.next_run().delivered)

    def test_it_comes_by_itself(self):
        self.thread.stop()
        self.thread = ExporterThread('articles', interval=0.01)
        self.addCleanup(self.thread.stop)
        self.thread.start()
        self.next_run()
        (self.spool.path / 'new' / 'a.xml').write_bytes(b'not put')
        while not self.next_run().delivered:
            pass

    def test_started_twice_is_started_once(self):
        self.thread.start()
        before = threading.active_count()
        self.thread.start()
        self.assertEqual(before, threading.active_count())

    def test_stopped_and_started_again(self):
        for _ in range(3):
            self.thread.start()
            self.next_run()
            self.assertTrue(self.thread.stop())
            self.assertFalse(self.thread.running)

    def test_stopped_by_a_subscriber_of_its_own_run(self):
        answers = queue.SimpleQueue()

        def stop(event):
            try:
                answers.put(self.thread.stop())
            except RuntimeError as error:
                answers.put(error)

        zope.component.provideHandler(stop, (IExchangeFinished,))
        self.thread.start()
        loop = self.thread._loop.thread
        self.assertIs(False, answers.get(timeout=TIMEOUT))
        loop.join(TIMEOUT)
        self.assertFalse(self.thread.running)

    def test_stopped_before_a_run_looks_for_what_was_put(self):
        at_work, go_on = threading.Event(), threading.Event()

        def before():
            at_work.set()
            go_on.wait(TIMEOUT)

        with unittest.mock.patch.object(self.thread, 'before', before):
            self.thread.start()
            self.assertTrue(at_work.wait(TIMEOUT))
            with self.assertLogs('zeit.cds.drivers.thread', 'WARNING'):
                self.assertFalse(self.thread.stop(timeout=0))
            go_on.set()
            self.assertTrue(self.thread.stop(timeout=TIMEOUT))

    def test_started_again_while_the_run_goes_on_that_a_stop_has_not_waited_for(self):
        at_work, go_on = threading.Event(), threading.Event()

        def hook(operation, name):
            if operation == 'upload':
                at_work.set()
                go_on.wait(TIMEOUT)

        self.target.hook = hook
        for name in ('a.xml', 'b.xml'):
            self.spool.put(name, b'<a/>')
        self.thread.start()
        self.assertTrue(at_work.wait(TIMEOUT))
        before = threading.active_count()
        for _ in range(3):
            with self.assertLogs('zeit.cds.drivers.thread', 'WARNING'):
                self.assertFalse(self.thread.stop(timeout=0))
            self.thread.start()
        self.assertEqual(before, threading.active_count())
        go_on.set()
        self.assertEqual(['a.xml', 'b.xml'], self.next_run().delivered)
        self.spool.put('c.xml', b'<a/>')
        while not (report := self.next_run()).delivered:
            pass  # one for the stop
        self.assertEqual(['c.xml'], report.delivered)
        self.assertTrue(self.thread.stop())

    def test_started_again_at_the_moment_of_its_end(self):
        """Whoever comes first: at last it runs."""
        for _ in range(200):
            self.thread.start()
            self.thread._loop.end()
            self.thread.start()
            self.assertTrue(self.thread.running)
            self.thread.wake('articles')
        self.spool.put('a.xml', b'<a/>')
        while not self.next_run().delivered:
            pass

    def failing(self):
        """Make pauses after failures short."""
        self.enterContext(unittest.mock.patch.object(backoff, 'LONGEST_SECONDS', 0.01))
        self.enterContext(
            unittest.mock.patch.object(
                backoff.pause, '__kwdefaults__', {'first': 0.01, 'longest': 0.01}
            )
        )

    def test_it_survives_a_vanished_spool(self):
        self.failing()
        shutil.rmtree(self.spool.path)
        with self.assertLogs('zeit.cds', 'ERROR'):
            self.thread.start()
            self.assertEqual(errors.CONFIGURATION, self.next_run().exit_code)
            self.assertEqual(errors.CONFIGURATION, self.next_run().exit_code)
            self.spool.path.mkdir()
            while self.next_run().exit_code:
                pass
        self.spool.put('a.xml', b'<a/>')
        while not self.next_run().delivered:
            pass

    def test_it_survives_what_no_run_may_raise(self):
        self.failing()
        tried = queue.SimpleQueue()

        class Broken:
            spool, target, options = self.spool, self.target, None

            def run_once(self, options=None):
                tried.put(None)
                raise SystemExit('of somebody else')

        zope.component.provideUtility(Broken(), IExporter, name='articles')
        with self.assertLogs('zeit.cds.drivers.thread', 'ERROR') as logs:
            self.thread.start()
            tried.get(timeout=TIMEOUT)
            tried.get(timeout=TIMEOUT)
            self.assertTrue(self.thread.stop())
        self.assertIn('The exporter articles failed, and will be tried again.', logs.output[0])

    def test_options_of_somebody_else_are_passed_on(self):
        given = queue.SimpleQueue()
        options = object()
        mine = unittest.mock.Mock(spool=self.spool, options=options)
        mine.run_once.side_effect = lambda options: given.put(options) or Report()
        zope.component.provideUtility(mine, IExporter, name='articles')
        self.thread.start()
        self.assertIs(options, given.get(timeout=TIMEOUT))

    def test_it_survives_a_report_that_is_none(self):
        self.failing()
        runs = queue.SimpleQueue()
        for report in (None, unittest.mock.Mock(spec=['exit_code'], exit_code=0)):
            mine = unittest.mock.Mock(spool=self.spool, options=None)
            mine.run_once.side_effect = lambda options, report=report: runs.put(1) or report
            zope.component.provideUtility(mine, IExporter, name='articles')
            with self.subTest(report), self.assertLogs('zeit.cds.drivers.thread', 'ERROR'):
                self.thread.start()
                for _ in range(2):
                    runs.get(timeout=TIMEOUT)
                self.assertTrue(self.thread.running)
                self.assertTrue(self.thread.stop())

    def test_it_survives_an_exporter_that_is_not_there(self):
        self.failing()
        zope.component.getGlobalSiteManager().unregisterUtility(
            self.exporter, IExporter, name='articles'
        )
        tries = queue.SimpleQueue()
        self.thread.before = lambda: tries.put(None)
        with self.assertLogs('zeit.cds.drivers.thread', 'ERROR'):
            self.thread.start()
            for _ in range(2):  # when the second one begins, the first one has failed
                tries.get(timeout=TIMEOUT)
            zope.component.provideUtility(self.exporter, IExporter, name='articles')
            self.next_run()

    def test_new_files_do_not_hurry_it_against_a_locked_server(self):
        self.target.files['write'] = b'somebody else'
        self.spool.put('a.xml', b'<a/>')
        with unittest.mock.patch.object(
            backoff.pause, '__kwdefaults__', {'first': 3600, 'longest': 3600}
        ):
            self.thread.start()
            self.assertEqual(errors.COME_BACK_LATER, self.next_run().exit_code)
            for number in range(5):
                self.spool.put(f'{number}.xml', b'<b/>')
            with self.assertRaises(queue.Empty):
                self.runs.get(timeout=0.05)
        self.assertTrue(self.thread.stop())

    def test_stopping_ends_a_run_between_two_files(self):
        at_work, go_on = threading.Event(), threading.Event()

        def hook(operation, name):
            if operation == 'upload':
                at_work.set()
                go_on.wait(TIMEOUT)

        self.target.hook = hook
        for name in ('a.xml', 'b.xml'):
            self.spool.put(name, b'<a/>')
        self.thread.start()
        self.assertTrue(at_work.wait(TIMEOUT))
        with self.assertLogs('zeit.cds.drivers.thread', 'WARNING') as logs:
            self.assertFalse(self.thread.stop(timeout=0.01))
        self.assertIn('still running', logs.output[0])
        go_on.set()
        self.assertTrue(self.thread.stop(timeout=TIMEOUT))
        report = self.next_run()
        self.assertIsInstance(report.error, errors.Interrupted)
        self.assertEqual(['a.xml'], report.delivered)
        self.assertEqual(['b.xml'], self.names('new'))
        self.assertNotIn('write', self.target.files)

    def test_a_fork_has_no_thread_and_does_not_pretend(self):
        self.thread.start()
        self.next_run()
        with unittest.mock.patch.object(os, 'getpid', return_value=1):
            self.assertFalse(self.thread.running)
            self.thread.wake('articles')
            self.assertTrue(self.thread.stop(timeout=0))
        self.assertTrue(self.thread.running)


class ImporterThreadTests(DriverCase, unittest.TestCase):
    """What differs: what it runs, and that nothing wakes it."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        zope.component.provideAdapter(Importer)
        importer = ConfiguredImporter(spool='articles', target='partner', options=ImportOptions())
        zope.component.provideUtility(importer, IImporter, name='letters')
        self.thread = self.start(interval=TIMEOUT * 10)

    def start(self, *, interval):
        thread = ImporterThread('letters', interval=interval)
        self.addCleanup(thread.stop)
        return thread

    def test_what_is_there_is_fetched_when_it_starts(self):
        self.target.write('a.xml', b'<a/>', age=60)
        self.assertEqual("<ImporterThread 'letters' stopped>", repr(self.thread))
        self.thread.start()
        report = self.next_run()
        self.assertEqual(['a.xml'], [result.name for result in report.results])
        self.assertEqual((['a.xml'], {}), (self.names('new'), self.target.files))

    def test_it_asks_again_at_its_intervals(self):
        thread = self.start(interval=0.01)
        thread.start()
        self.next_run()
        self.target.write('a.xml', b'<a/>', age=60)
        while not self.next_run().results:
            pass
        self.assertEqual(['a.xml'], self.names('new'))

    def test_what_a_bound_has_left_comes_with_the_next_run_at_once(self):
        importer = zope.component.getUtility(IImporter, name='letters')
        importer.options = ImportOptions(max_files=1)
        self.target.write('a.xml', b'<a/>', age=60)
        self.target.write('b.xml', b'<b/>', age=60)
        self.thread.start()
        for name in ('a.xml', 'b.xml'):
            self.assertEqual([name], self.next_run().delivered)

    def test_what_is_put_into_a_spool_does_not_wake_it(self):
        self.thread.start()
        self.next_run()
        self.spool.put('b.xml', b'<b/>')
        with self.assertRaises(queue.Empty):
            self.runs.get(timeout=0.05)
        self.thread.wake('letters')  # but whoever knows better can
        self.next_run()

    def test_stopping_ends_a_run_between_two_files(self):
        at_work, go_on = threading.Event(), threading.Event()

        def hook(operation, name):
            if operation == 'fetch':
                at_work.set()
                go_on.wait(TIMEOUT)

        self.target.hook = hook
        self.target.write('a.xml', b'<a/>', age=60)
        self.target.write('b.xml', b'<b/>', age=60)
        self.thread.start()
        self.assertTrue(at_work.wait(TIMEOUT))
        with self.assertLogs('zeit.cds.drivers.thread', 'WARNING') as logs:
            self.assertFalse(self.thread.stop(timeout=0.01))
        self.assertIn('The thread of importer letters is still running.', logs.output[0])
        go_on.set()
        self.assertTrue(self.thread.stop(timeout=TIMEOUT))
        self.assertIsInstance(self.next_run().error, errors.Interrupted)
        self.assertEqual(['a.xml'], self.names('new'))
        self.assertEqual({'b.xml': b'<b/>'}, self.target.files)


class WakeTests(DriverCase, unittest.TestCase):
    layer = layers.QUIET

    def waker(self, name=''):
        told = []
        waker = unittest.mock.Mock(wake=told.append)
        zope.component.provideUtility(waker, IWakeUp, name=name)
        return told

    def test_the_one_of_that_name(self):
        told, others = self.waker('articles'), self.waker()
        self.spool.put('a.xml', b'')
        self.assertEqual((['articles'], []), (told, others))

    def test_the_one_without_a_name(self):
        told = self.waker()
        self.spool.put('a.xml', b'')
        self.assertEqual(['articles'], told)

    def test_a_spool_that_is_not_registered_wakes_nobody(self):
        told = self.waker()
        type(self.spool)(self.folder).put('a.xml', b'')
        self.assertEqual([], told)

    def test_a_put_succeeds_although_waking_fails(self):
        waker = unittest.mock.Mock()
        waker.wake.side_effect = ConnectionRefusedError('the broker')
        zope.component.provideUtility(waker, IWakeUp)
        with self.assertLogs('zeit.cds.spool.wake', 'WARNING') as logs:
            self.spool.put('a.xml', b'')
        self.assertIn('articles could not be woken', logs.output[0])
        self.assertEqual(['a.xml'], self.names('new'))


class ImportTests(unittest.TestCase):
    PROGRAM = """
        import sys, threading
        import zeit.cds.drivers.celery_task, zeit.cds.drivers.thread, zeit.cds.spool.wake
        from zope.configuration import xmlconfig

        used = []
        sys.addaudithook(lambda event, args: used.append(event) if event in BAD else None)
        BAD = 'socket.connect socket.bind socket.getaddrinfo _thread.start_new_thread'.split()
        BAD += 'os.fork subprocess.Popen os.mkdir os.rename'.split()

        xmlconfig.file(sys.argv[1])
        assert threading.active_count() == 1, threading.enumerate()
        assert not used, used
    """

    def test_no_thread_and_no_connection_at_import_or_while_zcml_is_read(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        server = unittest.mock.Mock(host='ftp.example.com', port=21, user='zeit', password='x')
        more = '<utility factory="zeit.cds.drivers.celery_task.WakeUp" />'
        path = application.write(folder, server, more=more, options='tls="explicit"')
        subprocess.run(
            [sys.executable, '-B', '-c', textwrap.dedent(self.PROGRAM), path],
            env=cms.environment(cms.CMS),
            check=True,
            timeout=60,
        )
