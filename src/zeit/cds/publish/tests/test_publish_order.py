"""One content, one order: whoever publishes it, and whoever tries that again."""

import io
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import unittest
import unittest.mock

import zope.component
import zope.interface
from zope.interface.interfaces import ComponentLookupError

from zeit.cds.errors import SpoolBusy
from zeit.cds.interfaces import IContentFinder, IDeliverable, IFilePut, IPublicationFailed, ISpool
from zeit.cds.publish import publisher
from zeit.cds.publish.publisher import Publisher
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests.driving import TIMEOUT, DriverCase


class IArticle(zope.interface.Interface):
    """Content of these tests."""


@zope.interface.implementer(IArticle)
class Article:
    uniqueId = 'http://xml.zeit.de/a'  # noqa: N815 as in zeit.cms
    body = b'1'


class Held:
    """An adapter that stops in the middle of a file, once in each thread that is called `held`."""

    wanted, name = True, 'a.xml'

    def __init__(self, held=()):
        self.held = set(held)
        self.began, self.goes_on = threading.Event(), threading.Event()
        self.opened = []

    def __call__(self, article):
        self.article = article
        return self

    def open(self):
        thread = threading.current_thread().name
        self.opened.append(thread)
        data = io.BytesIO(self.article.body)
        if thread in self.held:
            self.held.discard(thread)
            self.began.set()
            self.goes_on.wait(TIMEOUT)
        return data


class OrderTests(DriverCase, unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.publisher, self.article = Publisher(), Article()
        zope.component.provideUtility(lambda unique_id: self.article, IContentFinder)

    def adapt(self, *held):
        adapter = Held(held)
        zope.component.provideAdapter(
            zope.interface.implementer(IDeliverable)(adapter), (IArticle,), IDeliverable, 'articles'
        )
        self.addCleanup(adapter.goes_on.set)
        return adapter

    def begin(self, name, target, *args):
        thread = threading.Thread(target=target, args=args, name=name)
        thread.start()
        self.addCleanup(thread.join, TIMEOUT)
        return thread

    def delivered(self):
        self.exporter.run_once()
        return self.target.files.get('a.xml')

    def patience(self, seconds):
        self.enterContext(unittest.mock.patch.object(publisher, 'WAIT_SECONDS', seconds))

    def test_a_publication_waits_for_a_retry(self):
        adapter = self.adapt('retry')
        self.spool.unpublished.add(self.article.uniqueId, 'why')
        retry = self.begin('retry', self.publisher.retry)
        self.assertTrue(adapter.began.wait(TIMEOUT))
        self.article.body = b'2'
        published = self.begin('publish', self.publisher.publish, self.article)
        published.join(0.1)
        self.assertEqual(['retry'], adapter.opened)
        adapter.goes_on.set()
        retry.join(TIMEOUT)
        published.join(TIMEOUT)
        self.assertEqual(b'2', self.delivered())
        self.assertEqual([], self.spool.unpublished.content())

    def test_a_publication_that_cannot_wait_so_long_is_what_the_retry_puts(self):
        self.patience(0.05)
        adapter = self.adapt('retry')
        self.spool.unpublished.add(self.article.uniqueId, 'why')
        retry = self.begin('retry', self.publisher.retry)
        self.assertTrue(adapter.began.wait(TIMEOUT))
        self.article.body = b'2'
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            self.publisher.publish(self.article)
        adapter.goes_on.set()
        retry.join(TIMEOUT)
        self.assertEqual(b'2', self.delivered())
        self.assertEqual([], self.spool.unpublished.content())

    def test_nor_is_it_lost_where_another_publication_takes_so_long(self):
        self.patience(0.05)
        adapter = self.adapt('first')
        first = self.begin('first', self.publisher.publish, self.article)
        self.assertTrue(adapter.began.wait(TIMEOUT))
        second = Article()
        second.body = b'2'
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            self.publisher.publish(second)
        adapter.goes_on.set()
        first.join(TIMEOUT)
        self.assertEqual(1, len(self.spool.unpublished.content()))
        self.article = second
        self.publisher.retry()
        self.assertEqual(b'2', self.delivered())

    def test_a_retry_waits_for_nobody(self):
        adapter = self.adapt('publish')
        self.spool.unpublished.add(self.article.uniqueId, 'why')
        published = self.begin('publish', self.publisher.publish, self.article)
        self.assertTrue(adapter.began.wait(TIMEOUT))
        with unittest.mock.patch('zeit.cds.publish.publisher.time.time', return_value=1e10):
            self.assertEqual([], self.publisher.retry_due())
        ((_, _, error),) = self.publisher.retry()
        self.assertIsInstance(error, SpoolBusy)
        self.assertEqual([1], [each.attempts for each in self.spool.unpublished.content()])
        adapter.goes_on.set()
        published.join(TIMEOUT)
        self.assertEqual((['publish'], []), (adapter.opened, self.spool.unpublished.content()))

    def test_two_workers_do_not_do_the_same(self):
        adapter = self.adapt('first')
        self.spool.unpublished.add(self.article.uniqueId, 'why')
        first = self.begin('first', self.publisher.retry)
        self.assertTrue(adapter.began.wait(TIMEOUT))
        # The other one has seen what is due before the first one has done it.
        second = Publisher()
        (failure,) = self.spool.unpublished.content()
        adapter.goes_on.set()
        first.join(TIMEOUT)
        self.assertIsNone(second._retry(failure, 'articles'))
        self.assertEqual(['first'], adapter.opened)

    def test_a_process_that_is_killed_stops_nobody(self):
        code = f"""
            import os, sys
            from zeit.cds.spool.spool import Spool
            with Spool({str(self.spool.path)!r}).unpublished.alone('http://xml.zeit.de/a'):
                os.kill(os.getpid(), {signal.SIGKILL:d})
        """
        command = [sys.executable, '-c', textwrap.dedent(code)]
        environment = os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
        self.assertEqual(-9, subprocess.run(command, env=environment).returncode)
        self.assertEqual(1, len(self.locks()))
        self.adapt()
        self.assertEqual(['a.xml'], self.publisher.publish(self.article))
        self.assertEqual([], self.locks())

    def locks(self):
        return [*(self.spool.path / '.cds' / 'publishing').iterdir()]

    def test_where_it_cannot_be_locked_it_is_published(self):
        self.adapt()
        (self.spool.path / '.cds').mkdir()
        (self.spool.path / '.cds' / 'publishing').write_text('')
        self.assertEqual(['a.xml'], self.publisher.publish(self.article))

    def test_who_waits_gets_the_lock_of_the_file_that_is_there(self):
        kept = self.spool.unpublished
        for _ in range(3):
            with kept.alone('a'), self.assertRaises(SpoolBusy), kept.alone('a', within=0.01):
                self.fail('two at once')
            with kept.alone('a'), kept.alone('b'):
                pass
        with kept.alone('a'):
            (path,) = self.locks()
            path.unlink()
            with kept.alone('a'):
                pass

    def test_what_has_failed_again_is_not_settled(self):
        kept = self.spool.unpublished
        kept.add('a', 'why')
        (before,) = kept.content()
        kept.add('a', 'why')
        kept.settle(before)
        kept.settle(None)
        (after,) = kept.content()
        kept.settle(after)
        self.assertEqual([], kept.content())


class EveryoneFirstTests(DriverCase, unittest.TestCase):
    """All that is published is in the spools before anybody is told of it."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.others = {}
        for name in 'abc':
            path = self.folder / name
            path.mkdir()
            zope.component.provideUtility(Spool(path), ISpool, name=name)
            self.adapt(lambda article: Held()(article), name)
        self.article = Article()

    def adapt(self, factory, name):
        zope.component.provideAdapter(
            zope.interface.implementer(IDeliverable)(factory), (IArticle,), IDeliverable, name
        )

    def files(self):
        return [
            name for name in 'abc' if pathlib.Path(self.folder, name, 'new', 'a.xml').exists()
        ]

    def unpublished(self):
        spools = [(name, zope.component.getUtility(ISpool, name=name)) for name in 'abc']
        return [name for name, spool in spools if spool.unpublished.content()]

    def test_what_wakes_exporters_may_end_the_process(self):
        def end(event):
            sys.exit(1)

        zope.component.provideHandler(end, (IFilePut,))
        with self.assertRaises(SystemExit):
            Publisher().publish(self.article)
        self.assertEqual(['a', 'b', 'c'], self.files())

    def test_a_failure_is_kept_before_anybody_is_told_of_it(self):
        def end(event):
            sys.exit(1)

        self.adapt(lambda article: 1 / 0, 'a')
        zope.component.provideHandler(end, (IPublicationFailed,))
        with self.assertRaises(SystemExit), self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            Publisher().publish(self.article)
        self.assertEqual((['b', 'c'], ['a']), (self.files(), self.unpublished()))

    def test_what_a_signal_keeps_from_being_put_is_kept(self):
        self.adapt(lambda article: sys.exit(1), 'b')
        with self.assertRaises(SystemExit):
            Publisher().publish(self.article)
        self.assertEqual((['a'], ['b', 'c']), (self.files(), self.unpublished()))


class FinderTests(DriverCase, unittest.TestCase):
    """Only None means that there is nothing; and who finds nothing holds up nobody."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.now = 1_000_000_000.0
        for module in 'publish.publisher', 'journal.failed_publications':
            clock = unittest.mock.patch(f'zeit.cds.{module}.time.time', lambda: self.now)
            self.enterContext(clock)
        zope.component.provideAdapter(
            zope.interface.implementer(IDeliverable)(lambda article: Held()(article)),
            (IArticle,),
            IDeliverable,
            'articles',
        )
        self.spool.unpublished.add('a', 'why')
        self.told = []
        zope.component.provideHandler(self.told.append, (IPublicationFailed,))

    def find(self, result):
        zope.component.provideUtility(unittest.mock.Mock(side_effect=[result] * 9), IContentFinder)

    def test_whatever_it_raises_is_an_error(self):
        for error in ComponentLookupError(), TypeError('a bug'), KeyError('a'), OSError('gone'):
            self.find(error)
            with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
                ((_, _, said),) = Publisher().retry()
            self.assertNotIn('--forget', said.hint)
            self.assertIn(type(error).__name__, said.message)
            self.assertEqual('why', self.spool.unpublished.find('a').reason)
        self.assertEqual([125, 125, 125, 125], [event.pause for event in self.told])

    def test_none_is_that_there_is_none(self):
        self.find(None)
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            ((_, _, said),) = Publisher().retry()
        self.assertIn('--forget', said.hint)
        self.assertEqual([], self.told)

    def test_the_pause_of_one_that_finds_it_does_not_get_longer(self):
        helpless, able = Publisher(), Publisher()
        for result in None, LookupError():
            self.find(result)
            for seconds, expected in ((60, 1), (60, 0), (60, 1), (120, 0), (120, 1)):
                self.now += seconds
                with unittest.mock.patch.object(publisher, 'log'):
                    self.assertEqual(expected, len(helpless.retry_due()), (result, seconds))
            self.find(Article())
            self.assertEqual([], helpless.retry_due())
            self.assertEqual([('a', 'articles', None)], able.retry_due())
            self.spool.unpublished.add('a', 'why')
            # It is another failure, and nothing is remembered of the other one.
            helpless = Publisher()
        self.assertEqual(1, self.spool.unpublished.find('a').attempts)

    def test_a_scope_that_cannot_be_had_finds_nothing(self):
        self.find(Article())
        with (
            unittest.mock.patch('zeit.cds.scope.around', side_effect=OSError('no database')),
            self.assertLogs('zeit.cds.publish.publisher', 'WARNING'),
        ):
            Publisher().retry()
        self.assertEqual(1, self.spool.unpublished.find('a').attempts)

    def test_an_interface_that_nothing_adapts_to_is_no_finder(self):
        class IContent(zope.interface.Interface):
            pass

        zope.component.provideUtility(IContent, IContentFinder)
        self.now += 60
        self.assertEqual([], Publisher().retry_due())
        ((_, _, said),) = Publisher().retry()
        self.assertIn('without the application', said.message)
        zope.component.provideAdapter(lambda unique_id: None, (str,), IContent)
        with self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            ((_, _, said),) = Publisher().retry()
        self.assertIn('--forget', said.hint)
        zope.component.provideAdapter(lambda unique_id: Article(), (str,), IContent)
        self.assertEqual([('a', 'articles', None)], Publisher().retry())
