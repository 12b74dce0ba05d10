"""What is retracted does not go, what is published later does, whoever is at work or killed."""

import contextlib
import datetime
import errno
import itertools
import os
import threading
import time
import unittest
import unittest.mock

import transaction
import zope.component
import zope.event

from zeit.cds.errors import FTPOSError
from zeit.cds.interfaces import (
    IExporter,
    IFilePut,
    IImporter,
    IOutbox,
    IPublisher,
    ISpool,
    ITransactionOutcome,
)
from zeit.cds.journal import append_log
from zeit.cds.publish.publisher import Publisher
from zeit.cds.publish.tests.test_outbox_kill import KillTests
from zeit.cds.publish.tests.test_publisher import UUID, Deliverable, PublishTests
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.tests.test_withdrawal import output
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.driving import TIMEOUT


class RetractCase(PublishTests):
    """Publications and retractions that are committed, and an exporter."""

    def setUp(self):
        super().setUp()
        transaction.abort()
        self.addCleanup(transaction.abort)
        self.target = MemoryTarget()

    def publish(self, article=None):
        super().publish(article)
        transaction.commit()

    def retract(self, article=None):
        from zeit.cms.workflow.interfaces import IPublish

        IPublish(article or self.article).retract()

    def export(self):
        """Return what is on the server after a run."""
        Exporter(self.spool, self.target).run_once()
        return [*self.target.files.values()]

    def retract_in_vain(self):
        """Retract while the spool is not there, and something else is."""
        away = self.spool.path.rename(self.folder / 'away')
        self.spool.path.mkdir()
        (self.spool.path / '.cds').write_text('')
        with self.assertLogs('zeit.cds.publish.publisher', 'CRITICAL'):
            self.retract()
        (self.spool.path / '.cds').unlink()
        self.spool.path.rmdir()
        away.rename(self.spool.path)


class RetractTests(RetractCase):
    def test_what_waits_does_not_go(self):
        self.publish()
        self.retract()
        self.assertEqual(([], 1), (self.export(), self.spool.status().withdrawn))

    def test_while_the_server_is_away(self):
        def away(operation, name):
            raise FTPOSError(errno.ECONNREFUSED, 'away')

        self.target.hook = away
        self.publish()
        self.assertEqual([], self.export())
        self.retract()
        self.target.hook = lambda operation, name: None
        self.assertEqual([], self.export())
        self.publish()
        self.assertEqual([b'<article/>'], self.export())

    def test_in_the_middle_of_a_run(self):
        def retract(operation, name):
            if operation == when and name.endswith('.xml'):
                thread = threading.Thread(target=self.retract)
                thread.start()
                thread.join(TIMEOUT)

        for when, expected in ('upload', []), ('publish', [b'<article/>']):
            with self.subTest(when):
                self.target.hook = retract
                self.publish()
                self.assertEqual(expected, self.export())
                self.assertEqual({}, self.waiting())

    def test_what_was_delivered_stays(self):
        self.publish()
        self.export()
        self.retract()
        self.assertEqual(([b'<article/>'], 0), (self.export(), self.spool.status().withdrawn))

    def publish_in_two(self):
        """Return the two spools."""
        (self.folder / 'other').mkdir()
        other = Spool(self.folder / 'other')
        zope.component.provideUtility(other, ISpool, name='o')
        self.adapt(Deliverable, name='o')
        self.publish()
        return self.spool, other

    def test_in_each_spool(self):
        self.publish_in_two()
        self.retract()
        self.assertEqual(({}, {}), (self.waiting(), self.waiting('other')))

    def test_a_signal_keeps_it_from_no_spool(self):
        spools = self.publish_in_two()
        signal = unittest.mock.patch.object(Spool, 'latest', side_effect=KeyboardInterrupt)
        with signal, self.assertRaises(KeyboardInterrupt):
            self.retract()
        self.assertEqual([1, 1], [len(spool.status().unpublished) for spool in spools])
        self.retry()
        self.assertEqual(({}, {}), (self.waiting(), self.waiting('other')))

    def test_a_signal_that_ends_a_transaction_ends_its_retraction(self):
        spools = self.publish_in_two()
        transaction.begin()
        signal = unittest.mock.patch.object(Spool, 'latest', side_effect=KeyboardInterrupt)
        with signal, self.assertRaises(KeyboardInterrupt):
            self.retract()
        transaction.abort()
        self.assertEqual([0, 0], [len(spool.status().unpublished) for spool in spools])

    def test_a_signal_behind_the_vote_keeps_it_from_no_spool(self):
        spools = self.publish_in_two()
        transaction.begin()
        self.retract()
        signal = unittest.mock.patch(
            'zeit.cds.spool.batch.Batch.retract_all', side_effect=KeyboardInterrupt
        )
        with signal, self.assertRaises(KeyboardInterrupt):
            transaction.commit()
        transaction.abort()
        for spool in spools:
            with spool.run():
                self.assertEqual([], spool.pending()[0])

    def test_also_what_is_retracted_because_something_else_is(self):
        from zeit.content.article.article import Article

        self.publish()
        other = Article('b', uuid='{urn:uuid:other}')
        other.dependencies = [self.article]
        self.retract(other)
        self.assertEqual([], self.export())

    def test_nothing_else(self):
        from zeit.content.article.article import Article

        self.publish()
        self.retract(Article('b', uuid=UUID))
        self.assertEqual([b'<article/>'], self.export())

    def test_what_is_removed(self):
        self.publish()
        self.article.delete()
        self.assertEqual([], self.export())

    def test_a_checked_in_copy_that_is_removed_retracts_nothing(self):
        from zope.lifecycleevent import ObjectRemovedEvent

        from zeit.cms.workingcopy.interfaces import IWorkingcopy

        self.publish()
        copies = zope.interface.implementer(IWorkingcopy)(type('Copies', (), {}))()
        event = ObjectRemovedEvent(self.article, copies, 'a')
        zope.component.handle(self.article, event)
        self.assertEqual([b'<article/>'], self.export())

    def test_when_it_is_committed(self):
        self.publish()
        transaction.begin()
        self.retract()
        self.assertEqual(1, len(self.waiting()))
        transaction.commit()
        self.assertEqual(({}, []), (self.waiting(), self.export()))

    def test_not_if_it_is_aborted(self):
        self.publish()
        transaction.begin()
        self.retract()
        transaction.abort()
        transaction.commit()
        self.assertEqual([b'<article/>'], self.export())

    def test_a_retraction_behind_a_savepoint_is_undone_by_its_rollback(self):
        self.publish()
        transaction.begin()
        savepoint = transaction.savepoint(optimistic=True)
        self.retract()
        savepoint.rollback()
        transaction.commit()
        self.assertEqual(1, len(self.waiting()))

    def test_a_retraction_before_a_savepoint_survives_its_rollback(self):
        from zeit.content.article.article import Article

        other = Article('b', uuid='{urn:uuid:other}')
        self.publish()
        self.publish(other)
        transaction.begin()
        self.retract()
        savepoint = transaction.savepoint(optimistic=True)
        self.retract(other)
        savepoint.rollback()
        transaction.commit()
        self.assertEqual(['{urn:uuid:other}.xml'], [*self.waiting()])

    def test_not_if_another_one_does_not_want_to(self):
        self.publish()
        transaction.begin()
        self.retract()
        other = unittest.mock.Mock(**{'sortKey.return_value': '~~'})
        other.tpc_vote.side_effect = ValueError
        transaction.get().join(other)
        with self.assertRaises(ValueError):
            transaction.commit()
        transaction.abort()
        self.assertEqual([b'<article/>'], self.export())

    def test_a_publication_that_follows_in_the_same_transaction_goes(self):
        self.publish()
        transaction.begin()
        self.retract()
        self.article.body = b'2'
        super().publish()
        transaction.commit()
        self.assertEqual([b'2'], self.export())

    def test_one_that_another_process_makes_before_the_end_goes(self):
        self.publish()
        transaction.begin()
        self.retract()
        self.article.body = b'2'
        thread = threading.Thread(target=Publisher().publish, args=[self.article])
        thread.start()
        thread.join(TIMEOUT)
        transaction.commit()
        self.assertEqual([b'2'], self.export())

    def test_each_order_of_publications_and_retractions(self):
        for n, actions in enumerate(itertools.product('pr', repeat=4)):
            with self.subTest(actions):
                self.article.body = str(n).encode()
                self.target.files.clear()
                for action in actions:
                    self.publish() if action == 'p' else self.retract()
                expected = [self.article.body] if actions[-1] == 'p' else []
                self.assertEqual(expected, self.export())

    def test_what_failed_before_is_forgotten(self):
        self.article.uuid = 'no/name'
        self.fail_once()
        self.retract()
        transaction.commit()
        self.article.uuid = UUID
        self.assertEqual(([], [], []), (self.unpublished, self.retry(), self.export()))

    def test_but_not_before_the_end_nor_what_failed_later(self):
        self.article.uuid = 'no/name'
        self.fail_once()
        transaction.begin()
        self.retract()
        self.assertEqual(1, len(self.unpublished))
        self.fail_once()
        transaction.commit()
        self.article.uuid = UUID
        self.retry()
        self.assertEqual([b'<article/>'], self.export())

    def test_what_is_parked_is_withdrawn(self):
        self.publish()
        with self.spool.run():
            (entry,) = self.spool.pending()[0]
            stored = self.spool.park(entry, 'no')
        self.retract()
        self.assertEqual([], self.spool.status().parked)
        self.assertEqual([stored], os.listdir(self.spool.path / 'withdrawn'))
        self.publish()
        with self.spool.run():
            (entry,) = self.spool.pending()[0]
            self.spool.retry(self.spool.park(entry, 'no'))
        self.retract()
        self.assertEqual([], self.export())

    def test_what_is_parked_at_this_moment(self):
        self.publish()
        with self.spool.run():
            (entry,) = self.spool.pending()[0]
            take = self.spool._filing.take

            def taken(name):
                path = take(name)
                self.retract()
                return path

            with unittest.mock.patch.object(self.spool._filing, 'take', taken):
                self.spool.park(entry, 'no')
        self.assertEqual([], self.spool.status().parked)
        self.assertEqual(1, self.spool.status().withdrawn)

    def test_while_it_is_rendered(self):
        for patience in 10, 0.01:
            with (
                self.subTest(patience),
                unittest.mock.patch('zeit.cds.publish.publisher.WAIT_SECONDS', patience),
            ):
                began, goes_on = threading.Event(), threading.Event()
                content = self.article.open

                def held(began=began, goes_on=goes_on, content=content):
                    began.set()
                    goes_on.wait(TIMEOUT)
                    return content()

                with unittest.mock.patch.object(self.article, 'open', held):
                    first = threading.Thread(target=Publisher().publish, args=[self.article])
                    first.start()
                    self.assertTrue(began.wait(TIMEOUT))
                    second = threading.Thread(target=Publisher().retract, args=[self.article])
                    second.start()
                    second.join(0.3)
                    goes_on.set()
                    first.join(TIMEOUT)
                    second.join(TIMEOUT)
                self.assertEqual([], self.export())

    def test_a_publication_that_began_after_it_goes(self):
        """The retraction is committed while it is at work."""
        self.publish()
        transaction.begin()
        self.retract()
        content, commit = self.article.open, transaction.commit

        def committed():
            commit()
            return content()

        with unittest.mock.patch.object(self.article, 'open', committed):
            zope.component.getUtility(IPublisher).publish(self.article)
        self.assertEqual([b'<article/>'], self.export())

    def test_a_spool_that_cannot_be_written(self):
        self.publish()
        self.retract_in_vain()
        zope.component.getUtility(IPublisher).retry_due()
        self.assertEqual([], self.export())

    def test_what_was_put_in_the_same_transaction_before(self):
        outbox, content = IOutbox(self.spool), self.article.uniqueId
        outbox.put('a', b'1')
        outbox.put('b', b'2', content=content)
        savepoint = transaction.savepoint()
        self.retract()
        savepoint.rollback()
        outbox.put('c', b'3', content=content)
        transaction.commit()
        self.assertEqual({'a': b'1', 'b': b'2', 'c': b'3'}, self.waiting())
        self.retract()
        outbox.put('c', b'4', content=content)
        outbox.put('d', b'5', content=content)
        self.retract()
        outbox.put('e', b'6', content=content)
        transaction.commit()
        self.assertEqual({'a': b'1', 'e': b'6'}, self.waiting())

    def test_a_spool_that_cannot_be_written_and_an_abort(self):
        full = unittest.mock.patch(
            'zeit.cds.journal.line_format._write', side_effect=OSError(errno.ENOSPC, 'full')
        )
        self.publish()
        transaction.begin()
        with full:
            self.retract()
        transaction.abort()
        zope.component.getUtility(IPublisher).retry_due()
        self.assertEqual(([], [b'<article/>']), (self.unpublished, self.export()))
        transaction.begin()
        with full, self.assertLogs('zeit.cds', 'CRITICAL'):
            self.retract()
            transaction.commit()
        self.assertEqual(1, len(self.unpublished))

    def full(self):
        """Return a context manager: nothing can be written inside, and that is told."""
        stack = contextlib.ExitStack()
        for name in 'zeit.cds.journal.line_format._write', 'zeit.cds.system.files.draft':
            error = OSError(errno.ENOSPC, 'full')
            stack.enter_context(unittest.mock.patch(name, side_effect=error))
        stack.enter_context(self.assertLogs('zeit.cds', 'CRITICAL'))
        return stack

    def test_what_is_published_later_in_the_same_transaction_and_cannot_be_written(self):
        self.publish()
        self.article.body = b'2'
        for at_commit in True, False:
            transaction.begin()
            with self.full():
                self.retract()
                PublishTests.publish(self)
                if at_commit:
                    transaction.commit()
            transaction.commit()
            self.retry()
            self.assertEqual(([], [b'2']), (self.unpublished, self.export()))

    def test_what_another_process_fails_to_publish_later_is_not_forgotten(self):
        self.publish()
        with self.full():
            self.retract()
            transaction.commit()
        later = time.time() + 1
        with unittest.mock.patch('zeit.cds.journal.failed_publications.time.time', lambda: later):
            Spool(self.spool.path).unpublished.add(self.article.uniqueId, 'why')
        self.article.body = b'2'
        self.assertEqual([(self.article.uniqueId, 's', None)], self.retry())
        self.assertEqual(([], [b'2']), (self.unpublished, self.export()))
        self.assertEqual(1, self.spool.status().withdrawn)

    def test_what_another_process_publishes_before_it_can_goes(self):
        self.publish()
        self.retract_in_vain()
        self.article.body = b'2'
        later = append_log.now() + datetime.timedelta(seconds=1)
        with unittest.mock.patch('zeit.cds.journal.append_log.now', return_value=later):
            Publisher().publish(self.article)
        zope.component.getUtility(IPublisher).retry_due()
        self.assertEqual([b'2'], self.export())

    def test_what_the_same_process_publishes_then_goes(self):
        self.publish()
        self.retract_in_vain()
        self.article.body = b'2'
        self.publish()
        zope.component.getUtility(IPublisher).retry_due()
        self.assertEqual([b'2'], self.export())

    def test_what_dies_behind_its_vote_is_done_by_the_next_run(self):
        self.publish()
        transaction.begin()
        self.retract()
        pid = os.fork()
        if not pid:
            with unittest.mock.patch(
                'zeit.cds.spool.batch.Batch.commit', lambda batch: os._exit(0)
            ):
                transaction.commit()
            os._exit(1)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        transaction.abort()
        told = output(['status', '--spool', str(self.spool.path)])
        self.assertIn(f'retracts {self.article.uniqueId}\n', told)
        self.assertEqual([], self.export())
        self.assertEqual([], self.spool.status().in_doubt)

    def test_the_application_may_know_that_it_was_not_committed(self):
        answer = unittest.mock.Mock(**{'committed.return_value': False})
        zope.component.provideAdapter(lambda spool: answer, (ISpool,), ITransactionOutcome)
        self.publish()
        with self.spool.batch() as batch:
            until = self.spool.latest(new=True)
            batch.retract(self.article.uniqueId, 'why', until=until)
            batch.prepare()
        self.assertEqual([b'<article/>'], self.export())


class ForeignTests(RetractCase):
    """Parts of somebody else, which lack what theirs should have."""

    def test_no_publication_and_no_retraction_fails_for_them(self):
        zope.component.provideUtility(object(), IExporter, name='theirs')
        zope.component.provideUtility(object(), IImporter, name='theirs')
        zope.component.provideUtility(object(), ISpool, name='theirs')
        put, publisher = [], zope.component.getUtility(IPublisher)
        zope.component.provideHandler(put.append, (IFilePut,))
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            self.publish()
            self.assertEqual((1, []), (len(put), publisher.retry() + publisher.retry_due()))
            self.retract()
            transaction.commit()
        self.assertEqual({}, self.waiting())


class KilledTests(KillTests):
    """Killed at each step: what is committed does not go; what is not goes, if somebody knows."""

    level = 2

    def outcomes(self, *options):
        """Yield for each step (whether it was published, committed, voted for, and went)."""
        for folder in self.kill('retract', *options, folder=f'killed{len(options)}'):
            spool, server = Spool(folder / 'spool'), MemoryTarget()
            published = (folder / 'spool' / 'new' / 'a.xml').exists()
            committed, voted = (folder / 'application').exists(), self.prepared(folder)
            Exporter(spool, server).run_once()
            self.assertEqual([], spool.status().in_doubt)
            yield published, committed, voted, bool(server.files)

    def test_nobody_knows(self):
        for published, committed, voted, went in self.outcomes():
            self.assertEqual(published and not (committed or voted), went)

    def test_the_application_knows(self):
        self.ask()
        for published, committed, _, went in self.outcomes('', 'ask'):
            self.assertEqual(published and not committed, went)
