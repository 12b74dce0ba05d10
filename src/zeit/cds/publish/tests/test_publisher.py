"""What is published in zeit.cms goes into a spool, whatever happens never fails the publication."""

import io
import json
import os
import queue
import shutil
import time
import unittest.mock

import zope.component
import zope.interface
from zope.configuration import xmlconfig
from zope.configuration.exceptions import ConfigurationError

from zeit.cds import errors
from zeit.cds.cli import main, runs
from zeit.cds.drivers.thread import ExporterThread
from zeit.cds.interfaces import (
    IContentFinder,
    IDeliverable,
    IExchangeFinished,
    IExporter,
    IFilePut,
    ILateWakeUp,
    IPublisher,
    ISpool,
    IWakeUp,
)
from zeit.cds.monitoring.metrics import families
from zeit.cds.publish.publisher import Publisher
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import cms, remembered
from zeit.cds.values.run_options import Options
from zeit.cds.zcml.tests.test_handlers import SPOOL, ZCMLTests


UUID = '{urn:uuid:347b85e0-0740-4e52-8f62-3192430b0417}'


@zope.interface.implementer(IDeliverable)
class Deliverable:
    """What an integrator writes: the adapter for his article."""

    def __init__(self, article):
        self.article = article

    @property
    def name(self):
        return f'{self.article.uuid}.xml'

    @property
    def wanted(self):
        return self.article.ressort != 'internal'

    def open(self):
        return self.article.open()


class PublishTests(ZCMLTests):
    """zeit.cms and zeit.cds in one application, with a spool `s` and an adapter for it."""

    def setUp(self):
        super().setUp()
        self.enterContext(cms.importable(cms.CMS))
        (self.folder / 'spool').mkdir()
        self.read('<include package="zeit.cms" />', SPOOL)
        from zeit.content.article.article import Article

        self.adapt(Deliverable, name='s')
        self.spool = zope.component.getUtility(ISpool, name='s')
        self.article = Article('politik/a', uuid=UUID)

    def adapt(self, factory, *, name):
        from zeit.content.article.article import Article

        zope.component.provideAdapter(factory, (Article,), IDeliverable, name=name)

    def publish(self, article=None):
        from zeit.cms.workflow.interfaces import IPublish

        IPublish(article or self.article).publish()

    def fail_once(self):
        """Publish once, in vain; return the record of the log."""
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR') as logs:
            self.publish()
        return logs.records[-1]

    def waiting(self, folder='spool'):
        return {p.name: p.read_bytes() for p in (self.folder / folder / 'new').glob('*')}

    @property
    def unpublished(self):
        return self.spool.status().unpublished

    def retry(self):
        return zope.component.getUtility(IPublisher).retry()


class SubscriberTests(PublishTests):
    def test_published_content_waits_in_the_spool_at_once(self):
        self.publish()
        self.assertEqual({f'{UUID}.xml': b'<article/>'}, self.waiting())
        self.assertEqual([], self.unpublished)

    def test_a_correction_replaces_what_waits(self):
        self.publish()
        self.article.body = b'<corrected/>'
        self.publish()
        self.assertEqual({f'{UUID}.xml': b'<corrected/>'}, self.waiting())

    def test_two_contents_with_one_name_do_not_replace_each_other_in_silence(self):
        from zeit.content.article.article import Article

        other = Article('kultur/b', uuid=UUID)
        self.publish()
        with self.assertNoLogs('zeit.cds', 'WARNING'):
            self.publish()  # a correction
        for article, replaced in (other, self.article), (self.article, other):
            with self.assertLogs('zeit.cds.spool.sequence', 'WARNING') as logs:
                self.publish(article)
            self.assertIn(f'that of {replaced.uniqueId}, which waits', logs.output[0])
        with self.assertNoLogs('zeit.cds', 'WARNING'):
            self.spool.put(f'{UUID}.xml', b'')
            self.publish(other)
            Exporter(self.spool, MemoryTarget()).run_once()
            self.publish()

    def test_also_if_the_journal_was_made_anew(self):
        from zeit.content.article.article import Article

        self.publish()
        with self.spool.run():
            self.spool.journal.compact()
        with self.assertLogs('zeit.cds.spool.sequence', 'WARNING'):
            self.publish(Article('kultur/b', uuid=UUID))

    def test_only_what_somebody_wanted_to_publish(self):
        from zeit.content.article.article import Article

        self.article.dependencies = [Article('b', uuid='{urn:uuid:other}')]
        self.publish()
        self.assertEqual([f'{UUID}.xml'], list(self.waiting()))

    def test_not_what_the_adapter_does_not_want(self):
        self.article.ressort = 'internal'
        self.publish()
        self.assertEqual({}, self.waiting())

    def test_not_what_the_adapter_is_none_for(self):
        self.adapt(lambda article: None, name='s')
        self.publish()
        self.assertEqual(({}, []), (self.waiting(), self.unpublished))

    def test_content_without_an_adapter_is_not_published(self):
        from zeit.cms.interfaces import ICMSContent

        other = type('Other', (), {'uniqueId': 'http://xml.zeit.de/other'})()
        zope.interface.alsoProvides(other, ICMSContent)
        self.publish(other)
        self.assertEqual(({}, []), (self.waiting(), self.unpublished))

    def test_each_adapter_has_the_name_of_a_spool(self):
        (self.folder / 'other').mkdir()
        zope.component.provideUtility(Spool(self.folder / 'other'), ISpool, name='o')
        self.adapt(Deliverable, name='o')
        self.publish()
        self.assertEqual(self.waiting(), self.waiting('other'))
        self.assertEqual(1, len(self.waiting('other')))

    def test_an_event_tells_who_wants_to_deliver_at_once(self):
        told = []
        zope.component.provideHandler(told.append, (IFilePut,))
        self.publish()
        (event,) = told
        self.assertIs(self.spool, event.spool)
        self.assertEqual(f'{UUID}.xml', event.name)

    def test_a_subscriber_of_that_which_fails_changes_nothing(self):
        zope.component.provideHandler(lambda event: 1 / 0, (IFilePut,))
        with self.assertLogs('zeit.cds.spool.wake', 'ERROR'):
            self.publish()
        self.assertEqual((1, []), (len(self.waiting()), self.unpublished))

    def test_the_stream_is_closed(self):
        stream = io.BytesIO(b'<article/>')
        with unittest.mock.patch.object(self.article, 'open', lambda: stream):
            self.publish()
        self.assertTrue(stream.closed)

    def test_large_content_is_a_stream(self):
        class Endless(io.RawIOBase):
            left, largest = 64, 0

            def readable(self):
                return True

            def readinto(self, buffer):
                self.largest = max(self.largest, len(buffer))
                self.left -= 1
                return len(buffer) if self.left >= 0 else 0

        stream = Endless()
        with unittest.mock.patch.object(self.article, 'open', lambda: stream):
            self.publish()
        self.assertLessEqual(stream.largest, 1024 * 1024)
        self.assertEqual(64 * stream.largest, len(self.waiting()[f'{UUID}.xml']))


class FailureTests(PublishTests):
    def test_an_adapter_that_raises_does_not_fail_the_publication(self):
        self.adapt(lambda article: 1 / 0, name='s')
        record = self.fail_once()
        self.assertIn('http://xml.zeit.de/politik/a', record.getMessage())
        self.assertIs(ZeroDivisionError, record.exc_info[0])
        (failure,) = self.unpublished
        self.assertEqual('http://xml.zeit.de/politik/a', failure.unique_id)
        self.assertEqual('ZeroDivisionError: division by zero', failure.reason)
        self.assertEqual(1, failure.attempts)

    def test_a_broken_stream_leaves_nothing_in_the_spool(self):
        with unittest.mock.patch.object(self.article, 'open', Broken):
            self.fail_once()
        self.assertEqual({}, self.waiting())
        self.assertEqual([], list((self.folder / 'spool' / 'tmp').iterdir()))
        (failure,) = self.unpublished
        self.assertEqual('The content cannot be read: the connector is gone', failure.reason)

    def test_a_name_that_must_not_go_over_the_wire(self):
        self.article.uuid = '../evil'
        self.fail_once()
        self.assertEqual(
            "The name is not the name of a file: '../evil.xml'."
            ' The adapter to IDeliverable has given it.',
            self.unpublished[0].reason,
        )

    def test_content_without_a_uuid(self):
        self.article.uuid = ''
        self.fail_once()
        self.assertEqual([], [*(self.folder / 'spool').glob('new/.*')])
        self.assertIn("begins with a dot, and such files are never sent: '.xml'", self.reason)

    @property
    def reason(self):
        return self.unpublished[0].reason

    def test_an_adapter_that_opens_no_binary_file(self):
        for returned, said in (
            (b'<article/>', 'bytes'),
            (None, 'None'),
            ('<article/>', 'str'),
            (io.StringIO('<article/>'), 'StringIO, which has text'),
        ):
            with unittest.mock.patch.object(self.article, 'open', return_value=returned):
                self.fail_once()
            self.assertEqual(
                'TypeError: IDeliverable.open() has to return a binary file, and has returned '
                f'{said}',
                self.reason,
            )
        self.assertEqual({}, self.waiting())

    def test_content_that_does_not_tell_its_id(self):
        from zeit.content.article.article import Article

        class Broken(Article):
            uniqueId = property(lambda self: 1 / 0)  # noqa: N815 as in zeit.cms

            def __init__(self):
                """Not even this."""

            __eq__ = object.__eq__
            __hash__ = object.__hash__
            __copy__ = lambda self: self  # noqa: E731 it is no other object when it is published

        with self.assertLogs('zeit.cds.publish.publisher', 'CRITICAL') as logs:
            self.publish(Broken())
        self.assertIn('Not exported, and cannot be retried: <', logs.output[0])
        self.assertIn('ZeroDivisionError', logs.output[0])

    def test_one_spool_that_fails_does_not_stop_the_other(self):
        self.adapt(Deliverable, name='a spool that does not exist')
        self.assertIn('http://xml.zeit.de/politik/a', self.fail_once().getMessage())
        self.assertEqual(1, len(self.waiting()))

    def test_attempts_that_fail_are_counted(self):
        self.article.uuid = '/'
        since = None
        for attempts in (1, 2, 3):
            self.fail_once()
            (failure,) = self.unpublished
            self.assertEqual(attempts, failure.attempts)
            self.assertEqual(since or failure.since, failure.since)
            since = failure.since

    def test_an_id_that_is_no_utf_8(self):
        self.article.uuid = '/'
        self.article.uniqueId = 'http://xml.zeit.de/\ud800'
        self.fail_once()
        self.assertEqual([self.article.uniqueId], [each.unique_id for each in self.unpublished])

    def test_the_next_publication_that_works_settles_it(self):
        self.article.uuid = '/'
        self.fail_once()
        self.article.uuid = UUID
        self.publish()
        self.assertEqual([], self.unpublished)
        self.assertEqual([], self.retry())

    def test_what_shall_not_go_any_more_is_settled_as_well(self):
        self.article.uuid = '/'
        self.fail_once()
        self.article.ressort = 'internal'
        self.publish()
        self.assertEqual([], self.unpublished)

    def test_a_damaged_record_is_left_out(self):
        self.article.uuid = '/'
        self.fail_once()
        path = self.folder / 'spool' / remembered.JOURNAL
        for damage in (b'"since": [], "', b'"attempts": "many", "', b'"reasons": "', b''):
            whole = path.read_bytes()
            field = damage[:7]
            start = whole.rindex(field) if damage else whole.rindex(b'{')
            end = whole.index(b', "', start) + 3 if damage else start + 1
            path.write_bytes(whole[:start] + damage + whole[end:])
            with self.subTest(damage), self.assertLogs('zeit.cds', 'WARNING'):
                self.assertEqual([], self.unpublished)
            path.write_bytes(whole)


class Broken(io.RawIOBase):
    """A stream that ends in the middle."""

    def __init__(self):
        self.pieces = [b'<art']

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.pieces:
            raise OSError('the connector is gone')
        piece = self.pieces.pop()
        buffer[: len(piece)] = piece
        return len(piece)


class RetryTests(PublishTests):
    def setUp(self):
        super().setUp()
        self.article.uuid = '/'
        self.fail_once()

    def test_it_is_found_by_its_id_and_put_into_its_spool(self):
        self.article.uuid = UUID
        self.assertEqual([('http://xml.zeit.de/politik/a', 's', None)], self.retry())
        self.assertEqual([f'{UUID}.xml'], list(self.waiting()))
        self.assertEqual([], self.unpublished)

    def test_what_fails_again_is_kept_and_counted(self):
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING') as logs:
            ((_, _, error),) = self.retry()
        self.assertIsInstance(error, errors.NameRefused)
        self.assertEqual(2, self.unpublished[0].attempts)
        self.assertIn('Still not exported: http://xml.zeit.de/politik/a', logs.output[0])

    def test_content_that_does_not_exist_any_more_is_kept(self):
        self.article.vanish()
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            ((_, _, error),) = self.retry()
        self.assertEqual('There is no content with this id here', error.message)
        self.assert_kept(attempts=1)

    def assert_kept(self, *, attempts):
        """Where it is not even found, the reason that is known is the better one."""
        (failure,) = self.unpublished
        self.assertEqual(attempts, failure.attempts)
        self.assertIn('is not the name of a file', failure.reason)

    def test_without_the_application_it_is_kept(self):
        zope.component.getSiteManager().unregisterUtility(provided=IContentFinder)
        with self.assertNoLogs('zeit.cds.publish.publisher', 'WARNING'):
            ((_, _, error),) = self.retry()
            self.assertEqual([], zope.component.getUtility(IPublisher).retry_due())
        self.assertIn('Content cannot be found here', str(error))
        self.assert_kept(attempts=1)

    def test_another_process_knows_as_well(self):
        self.article.uuid = UUID
        self.assertEqual(1, len(Publisher().retry()))
        self.assertEqual([], self.retry())

    def test_only_the_one_that_is_meant(self):
        publisher = zope.component.getUtility(IPublisher)
        self.assertEqual([], publisher.retry('http://xml.zeit.de/other'))
        self.article.uuid = UUID
        self.assertEqual(1, len(publisher.retry('http://xml.zeit.de/politik/a')))


class DueTests(PublishTests):
    """What failed is tried again, at growing distances."""

    def setUp(self):
        super().setUp()
        # Whole seconds, as these tests ask for exact ones: what is kept is rounded, up as well as
        # down, and one moment in 2,000 is later then than it was.
        self.now = float(int(time.time()))
        for module in ('publish.publisher', 'journal.failed_publications'):
            clock = unittest.mock.patch(f'zeit.cds.{module}.time.time', lambda: self.now)
            self.enterContext(clock)
        self.article.uuid = '/'
        self.fail_once()

    def retry_after(self, seconds):
        self.now += seconds
        found = zope.component.getUtility(IPublisher).retry_due()
        return [unique_id for unique_id, _, _ in found]

    def test_the_pauses_grow_also_where_the_content_is_gone(self):
        for vanish in (lambda: None, self.article.vanish):
            vanish()
            for pause in (60, 120, 240):
                self.assertEqual([], self.retry_after(pause - 1))
                with self.assertLogs('zeit.cds.publish.publisher', 'WARNING') as logs:
                    self.assertEqual([self.article.uniqueId], self.retry_after(1))
                self.assertEqual(1, len(logs.output))
            self.spool.unpublished.forget(self.article.uniqueId)
            self.spool.unpublished.add(self.article.uniqueId, 'why')

    def test_half_an_hour_is_the_longest(self):
        for _ in range(40):
            self.spool.unpublished.add(self.article.uniqueId, 'why')
        self.assertEqual([], self.retry_after(1799))
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            self.assertEqual(1, len(self.retry_after(1)))

    def test_a_clock_that_was_set_back(self):
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            self.assertEqual(1, len(self.retry_after(-3600)))

    def test_who_publishes_tries_nothing_else(self):
        from zeit.content.article.article import Article

        self.article.uuid = UUID
        self.now += 60
        self.publish(Article('b', uuid='b'))
        self.assertEqual((['b.xml'], 1), ([*self.waiting()], len(self.unpublished)))

    def test_the_command_line_does(self):
        self.article.uuid = UUID
        self.now += 60
        exporter = Exporter(self.spool, MemoryTarget())
        self.assertEqual([], runs.run_once(exporter, Options(dry_run=True)).delivered)
        self.assertEqual([f'{UUID}.xml'], runs.run_once(exporter, None).delivered)

    def test_a_thread_in_the_application_does(self):
        self.article.uuid = UUID
        self.now += 60
        target, finished = MemoryTarget(), queue.Queue()
        zope.component.provideUtility(Exporter(self.spool, target), IExporter, name='e')
        zope.component.provideHandler(finished.put, (IExchangeFinished,))
        thread = ExporterThread('e')
        self.addCleanup(thread.stop)
        thread.start()
        self.assertEqual([f'{UUID}.xml'], finished.get(timeout=20).report.delivered)
        thread.stop()

    def test_who_can_be_woken_later_is(self):
        @zope.interface.implementer(ILateWakeUp)
        class Waker:
            called = []

            def wake_later(self, name, *, seconds):
                self.called.append((name, seconds))

        zope.component.provideUtility(Exporter(self.spool, MemoryTarget()), IExporter, name='e')
        zope.component.provideUtility(Waker(), IWakeUp)
        self.fail_once()
        self.assertEqual([('e', 125)], Waker.called)
        # What does nothing but run again and again is left alone.
        waker = unittest.mock.Mock()
        zope.component.provideUtility(waker, IWakeUp)
        self.fail_once()
        self.assertEqual([], waker.mock_calls)
        # Nobody waits for what was deleted.
        zope.component.provideUtility(Waker(), IWakeUp)
        self.article.vanish()
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            self.retry()
        self.assertEqual([('e', 125)], Waker.called)


class FullTests(PublishTests):
    """Nothing can be written for a while."""

    def setUp(self):
        super().setUp()
        self.spool.put('before.xml', b'')
        full = OSError(28, 'No space left on device')
        with (
            unittest.mock.patch('zeit.cds.system.files.draft', side_effect=full),
            unittest.mock.patch('zeit.cds.journal.line_format._write', side_effect=full),
            self.assertLogs('zeit.cds.publish.publisher', 'CRITICAL') as logs,
        ):
            self.publish()
        self.log = logs.output[-1]

    def stored(self):
        """Return the ids that another process knows."""
        return [each.unique_id for each in Spool(self.folder / 'spool').unpublished.content()]

    def test_it_is_kept_in_memory_and_counted(self):
        self.assertIn('Kept only in the memory of this process', self.log)
        self.assertEqual([], self.stored())
        (failure,) = self.unpublished
        self.assertEqual(('http://xml.zeit.de/politik/a', 1), (failure.unique_id, failure.attempts))
        found = families([('s', self.spool)], now=time.time())
        (family,) = [f for f in found if f.name == 'zeit_cds_unpublished_contents']
        self.assertEqual([({'spool': 's'}, 1)], family.samples)

    def test_the_next_publication_writes_it_down(self):
        from zeit.content.article.article import Article

        @zope.interface.implementer(ILateWakeUp)
        class Waker:
            wake, wake_later = unittest.mock.Mock(), unittest.mock.Mock()

        zope.component.provideUtility(Exporter(self.spool, MemoryTarget()), IExporter, name='e')
        zope.component.provideUtility(Waker(), IWakeUp)
        self.publish(Article('b', uuid='b'))
        self.assertEqual(['http://xml.zeit.de/politik/a'], self.stored())
        Waker.wake_later.assert_called_once_with('e', seconds=65)

    def test_so_does_a_thread_and_what_fails_then_is_on_the_disk(self):
        self.article.uuid = '/'
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            ExporterThread('e').before()
        self.assertEqual(1, len(self.stored()))
        self.assertEqual([2], [failure.attempts for failure in self.unpublished])
        other_process = Spool(self.folder / 'spool').status()
        self.assertEqual([2], [failure.attempts for failure in other_process.unpublished])

    def test_without_the_application_it_gets_to_the_disk_as_well(self):
        zope.component.getSiteManager().unregisterUtility(provided=IContentFinder)
        self.assertEqual([], zope.component.getUtility(IPublisher).retry_due())
        self.assertEqual(1, len(self.stored()))

    def test_a_failure_in_memory_can_be_forgotten(self):
        self.assertTrue(self.spool.unpublished.forget('http://xml.zeit.de/politik/a'))
        self.assertEqual([], self.unpublished)


class HomelessTests(PublishTests):
    """The spool itself cannot be used."""

    def setUp(self):
        super().setUp()
        shutil.rmtree(self.folder / 'spool')

    def test_it_is_kept_in_memory_until_it_works(self):
        with self.assertLogs('zeit.cds.publish.publisher', 'CRITICAL') as logs:
            self.publish()
        self.assertIn('http://xml.zeit.de/politik/a', logs.output[-1])
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            self.assertEqual(1, len(self.retry()))
        (self.folder / 'spool').mkdir()
        self.assertEqual([('http://xml.zeit.de/politik/a', 's', None)], self.retry())
        self.assertEqual([f'{UUID}.xml'], list(self.waiting()))
        self.assertEqual([], self.retry())


class CommandTests(PublishTests):
    """What the operator sees, and does."""

    def setUp(self):
        super().setUp()
        self.article.uuid = '/'
        self.fail_once()
        self.zcml = str(self.folder / 'cds.zcml')

    def call(self, *arguments):
        with (
            unittest.mock.patch('sys.stdout', new_callable=io.StringIO) as out,
            unittest.mock.patch('sys.stderr', new_callable=io.StringIO) as err,
        ):
            code = main.main([*arguments])
        return code, out.getvalue(), err.getvalue()

    def test_status_shows_it(self):
        code, out, _ = self.call('status', '--spool', str(self.folder / 'spool'))
        self.assertEqual(0, code)
        self.assertIn('1 publication that could not be put into new', out)
        self.assertRegex(out, r'http://xml\.zeit\.de/politik/a for \d+ s, 1 attempt:')
        self.assertIn('The name is not the name of a file', out)
        _, out, _ = self.call('status', '--json', '--spool', str(self.folder / 'spool'))
        ((failure,),) = [each['unpublished'] for each in json.loads(out)]
        self.assertEqual(('http://xml.zeit.de/politik/a', 1), (failure['id'], failure['attempts']))

    def test_retry_puts_it_into_the_spool(self):
        self.article.uuid = UUID
        code, out, err = self.call('--zcml', self.zcml, 'retry', 'http://xml.zeit.de/politik/a')
        self.assertEqual((0, ''), (code, err))
        self.assertIn('is waiting in', out)
        self.assertEqual([f'{UUID}.xml'], list(self.waiting()))

    def test_retry_says_why_it_failed_again(self):
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            code, _, err = self.call('--zcml', self.zcml, 'retry', 'http://xml.zeit.de/politik/a')
        self.assertEqual(1, code)
        self.assertIn('http://xml.zeit.de/politik/a could not be put into new/', err)

    def test_what_was_deleted_can_be_forgotten(self):
        spool = str(self.folder / 'spool')
        code, out, _ = self.call('retry', '--forget', '--spool', spool, self.article.uniqueId)
        self.assertEqual((0, True), (code, out.endswith('will not be retried.\n')))
        self.assertEqual([], self.unpublished)
        code, _, err = self.call('retry', '--forget', '--spool', spool, self.article.uniqueId)
        self.assertEqual(1, code)
        self.assertIn('is not a failed publication', err)

    def test_retry_of_all(self):
        for name in ('b', 'c'):
            self.spool.put(name, b'')
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][0], 'why')
        self.article.uuid = UUID
        code, out, err = self.call('--zcml', self.zcml, 'retry', '--all')
        self.assertEqual((0, ''), (code, err))
        self.assertEqual({'b', 'c', f'{UUID}.xml'}, {*self.waiting()})
        self.assertEqual(2, out.count(' is waiting in '))
        code, out, err = self.call('--zcml', self.zcml, 'retry', '--all')
        self.assertEqual((0, True), (code, out.startswith('No parked files')))
        for wrong in (['a', '--all'], ['--forget', '--all']):
            self.assertEqual(64, self.call('--zcml', self.zcml, 'retry', *wrong)[0])

    def test_retry_of_all_without_the_application(self):
        self.spool.unpublished.add('http://xml.zeit.de/b', 'why')
        zope.component.testing.setUp()
        code, _, err = self.call('retry', '--spool', str(self.folder / 'spool'), '--all')
        self.assertEqual((1, 1), (code, err.count('\n')))
        self.assertIn('politik/a, and 1 more, cannot be put into new/ here: the application', err)

    def test_retry_where_zeit_cms_is_installed_but_not_started(self):
        zope.component.testing.setUp()
        self.write(SPOOL)
        code, _, err = self.call('--zcml', self.zcml, 'retry', '--all')
        self.assertEqual((1, 1), (code, self.unpublished[0].attempts))
        self.assertIn('the application that knows it is not configured', err)

    def test_retry_of_what_was_deleted(self):
        self.article.vanish()
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            _, _, err = self.call('--zcml', self.zcml, 'retry', self.article.uniqueId)
        self.assertIn('There is no content with this id here. If it was deleted', err)
        self.assertNotIn('ZCML', err)

    def test_retry_without_the_application_says_so(self):
        zope.component.testing.setUp()
        code, _, err = self.call(
            'retry', '--spool', str(self.folder / 'spool'), 'http://xml.zeit.de/politik/a'
        )
        self.assertEqual(1, code)
        self.assertIn('the application that knows it is not configured', err)
        self.assertEqual(1, len(self.unpublished))


class PermissionTests(PublishTests):
    def test_what_is_kept_may_be_read_by_whoever_may_read_the_spool(self):
        os.chmod(self.folder / 'spool', 0o770)
        self.article.uuid = '/'
        self.fail_once()
        path = self.folder / 'spool' / remembered.JOURNAL
        for each, mode in ((path.parent.parent, 0o770), (path.parent, 0o770), (path, 0o660)):
            self.assertEqual(mode, each.stat().st_mode & 0o777)


class NameTests(PublishTests):
    """An adapter for a spool that does not exist is found when ZCML is executed."""

    def test_an_adapter_for_an_unknown_spool_ends_the_start(self):
        self.adapt(Deliverable, name='artikles')
        (self.folder / 'cds.zcml').unlink()
        with self.assertRaises(ConfigurationError) as caught:
            self.read('<include package="zeit.cms" />', SPOOL)
        self.assertIn(
            "Deliverable adapts to IDeliverable for the spool 'artikles', which does not exist; "
            'known: s.',
            str(caught.exception),
        )

    def test_later_it_is_said_and_not_promised_to_be_kept(self):
        self.adapt(Deliverable, name='artikles')
        self.assertIn('Not kept; publish it again', self.fail_once().getMessage())


class WithoutTests(ZCMLTests):
    def test_nothing_subscribes_without_zeit_cms(self):
        self.read(SPOOL)
        handlers = zope.component.getSiteManager().registeredHandlers()
        self.assertNotIn(
            'zeit.cds.publish.publisher', {handler.factory.__module__ for handler in handlers}
        )
        self.assertIsNone(zope.component.queryUtility(IContentFinder))

    def test_the_include_registers_components_only(self):
        """Utilities, adapters, subscribers, permissions: no views, and nothing starts."""
        with cms.importable(cms.CMS):
            context = xmlconfig.file(self.write(), execute=False)
            discriminators = [a['discriminator'] for a in context.actions if a['discriminator']]
        kinds = {each[0] for each in discriminators if isinstance(each, tuple)}
        known = {'utility', 'adapter', 'protectName', 'permission'}
        self.assertEqual(set(), {kind for kind in kinds if isinstance(kind, str)} - known)
