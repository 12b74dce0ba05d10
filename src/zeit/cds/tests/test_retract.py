"""What is retracted does not go, what is published later does, whoever is at work or killed."""

import datetime
import errno
import itertools
import os
import threading
import unittest
import unittest.mock

import transaction
import zope.component
import zope.event

from zeit.cds import jsonlog
from zeit.cds.errors import FTPOSError
from zeit.cds.exporter import Exporter
from zeit.cds.interfaces import IPublisher, ISpool, ITransactionOutcome
from zeit.cds.publish import Publisher
from zeit.cds.spool import Spool
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.driving import TIMEOUT
from zeit.cds.tests.test_outbox_kill import KillTests
from zeit.cds.tests.test_publish import UUID, Deliverable, PublishTests
from zeit.cds.tests.test_withdrawal import output


class RetractTests(PublishTests):
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

    def test_in_each_spool(self):
        (self.folder / 'other').mkdir()
        zope.component.provideUtility(Spool(self.folder / 'other'), ISpool, name='o')
        self.adapt(Deliverable, name='o')
        self.publish()
        self.retract()
        self.assertEqual(({}, {}), (self.waiting(), self.waiting('other')))

    def test_also_what_is_retracted_because_something_else_is(self):
        from zeit.cms.content import Article

        self.publish()
        other = Article('b', uuid='{urn:uuid:other}')
        other.dependencies = [self.article]
        self.retract(other)
        self.assertEqual([], self.export())

    def test_nothing_else(self):
        from zeit.cms.content import Article

        self.publish()
        self.retract(Article('b', uuid=UUID))
        self.assertEqual([b'<article/>'], self.export())

    def test_what_is_removed(self):
        self.publish()
        self.article.delete()
        self.assertEqual([], self.export())

    def test_but_not_the_copy_that_is_checked_in(self):
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

    def test_not_behind_a_savepoint(self):
        self.publish()
        transaction.begin()
        savepoint = transaction.savepoint(optimistic=True)
        self.retract()
        savepoint.rollback()
        transaction.commit()
        self.assertEqual(1, len(self.waiting()))

    def test_but_before_it(self):
        from zeit.cms.content import Article

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

    def test_again_and_again(self):
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
            with self.subTest(patience), unittest.mock.patch('zeit.cds.publish.PATIENCE', patience):
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

    def test_what_another_process_publishes_before_it_can_goes(self):
        self.publish()
        self.retract_in_vain()
        self.article.body = b'2'
        later = jsonlog.now() + datetime.timedelta(seconds=1)
        with unittest.mock.patch('zeit.cds.jsonlog.now', return_value=later):
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

    def retract_in_vain(self):
        """Retract while the spool is not there, and something else is."""
        away = self.spool.path.rename(self.folder / 'away')
        self.spool.path.mkdir()
        (self.spool.path / '.cds').write_text('')
        with self.assertLogs('zeit.cds.publish', 'CRITICAL'):
            self.retract()
        (self.spool.path / '.cds').unlink()
        self.spool.path.rmdir()
        away.rename(self.spool.path)

    def test_what_dies_behind_its_vote_is_done_by_the_next_run(self):
        self.publish()
        transaction.begin()
        self.retract()
        pid = os.fork()
        if not pid:
            with unittest.mock.patch('zeit.cds.batch.Batch.commit', lambda batch: os._exit(0)):
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
