"""What calls of the application have around them: a transaction that ends, and parts of one."""

import concurrent.futures
import contextlib
import io
import time
import unittest
import unittest.mock

import transaction
import zope.component
import zope.interface
from transaction.interfaces import IDataManagerSavepoint, ISavepointDataManager, TransientError

from zeit.cds import scope
from zeit.cds.cli import main
from zeit.cds.drivers.thread import ExporterThread
from zeit.cds.interfaces import (
    IContentFinder,
    IDeliverable,
    IExchangeFinished,
    IFileExported,
    IFilePut,
    ILateWakeUp,
    IPublicationFailed,
    IPublisher,
    IScope,
    ISpool,
    ITransactionOutcome,
    IWakeUp,
)
from zeit.cds.publish.publisher import Publisher
from zeit.cds.publish.transactions import TransactionScope
from zeit.cds.testing import layers
from zeit.cds.tests.driving import DriverCase


class Database:
    """Has snapshots, taken once in a transaction, as ZODB and PostgreSQL do it."""

    def __init__(self):
        self.state = {}
        self.connections = set()
        self.ended = []

    @property
    def open(self):
        return len(self.connections)

    def connect(self, kind=None):
        """Return the connection of the current transaction."""
        current = transaction.get()
        try:
            return current.data(self)
        except KeyError:
            connection = (kind or Connection)(self)
            current.join(connection)
            current.set_data(self, connection)
            return connection


class WithoutSavepoints:
    """A connection of such a database, which knows no savepoints, as that of z3c.celery 1.8."""

    transaction_manager = None

    def __init__(self, database):
        self.database = database
        self.state = dict(database.state)
        database.connections.add(self)

    def sortKey(self):  # noqa: N802 as in IDataManager
        return 'database'

    def nothing(self, current):
        """Nothing is to be done."""

    tpc_begin = commit = nothing

    def tpc_vote(self, current):
        if self.state.get('conflict'):
            raise TransientError('another one was faster')

    def tpc_finish(self, current):
        self.database.state = self.state
        self._end('committed')

    def abort(self, current):
        self._end('aborted')

    def tpc_abort(self, current):
        """It is aborted already."""

    def _end(self, how):
        self.database.connections.discard(self)
        self.database.ended.append(how)


@zope.interface.implementer(ISavepointDataManager)
class Connection(WithoutSavepoints):
    def savepoint(self):
        return _Savepoint(self)


@zope.interface.implementer(IDataManagerSavepoint)
class _Savepoint:
    def __init__(self, connection):
        self.connection, self.state = connection, dict(connection.state)

    def rollback(self):
        self.connection.state = self.state


class TransactionTests(unittest.TestCase):
    """The scope of `transaction`."""

    layer = layers.QUIET

    def setUp(self):
        self.addCleanup(transaction.abort)
        self.database = Database()
        self.scope = TransactionScope()

    def test_what_happens_in_one_of_our_own_is_committed(self):
        with self.scope.own():
            self.database.connect().state['a'] = 1
        self.assertEqual({'a': 1}, self.database.state)

    def test_after_an_error_it_is_aborted(self):
        for error in ValueError, SystemExit:
            with self.assertRaises(error), self.scope.own():
                self.database.connect().state['a'] = 1
                raise error
        self.assertEqual(({}, 0), (self.database.state, self.database.open))

    def test_what_cannot_be_committed_does_not_stay_open(self):
        with self.assertRaises(TransientError), self.scope.own():
            self.database.connect().state['conflict'] = True
        with self.scope.own():
            self.database.connect().state['a'] = 1
        self.assertEqual(({'a': 1}, 0), (self.database.state, self.database.open))

    def fail_in_part(self, kind=None):
        with self.assertRaisesRegex(ValueError, 'no'), self.scope.part():
            self.database.connect(kind).state['b'] = 2
            raise ValueError('no')

    def test_a_part_that_fails_is_undone_and_the_rest_goes_on(self):
        self.database.connect().state['a'] = 1
        self.fail_in_part()
        self.database.connect().state['c'] = 3
        transaction.commit()
        self.assertEqual({'a': 1, 'c': 3}, self.database.state)

    def test_a_part_that_does_not_fail_is_a_part(self):
        self.database.connect().state['a'] = 1
        with self.scope.part():
            self.database.connect().state['b'] = 2
        self.assertEqual({}, self.database.state)
        transaction.commit()
        self.assertEqual({'a': 1, 'b': 2}, self.database.state)

    def test_a_part_in_which_a_database_is_asked_first(self):
        self.fail_in_part()
        self.assertEqual(['aborted'], self.database.ended)
        transaction.commit()
        self.assertEqual({}, self.database.state)

    def test_who_knows_no_savepoints_fails_nothing(self):
        other = Database()
        other.connect(WithoutSavepoints).state['task'] = 1
        self.database.connect().state['a'] = 1
        self.fail_in_part()
        transaction.commit()
        self.assertEqual(({'a': 1}, {'task': 1}), (self.database.state, other.state))

    def test_a_transaction_that_is_about_to_end_is_left_alone(self):
        def hook(committed):
            with self.scope.part():
                ended.append(committed)

        ended, savepoint = [], unittest.mock.Mock()
        self.database.connect().savepoint = savepoint
        transaction.get().addAfterCommitHook(hook)
        transaction.commit()
        self.assertEqual(([True], []), (ended, savepoint.mock_calls))

    def test_a_doomed_transaction_and_a_part_that_ends_it(self):
        transaction.doom()
        self.fail_in_part()
        with self.assertRaises(ValueError), self.scope.part():
            transaction.abort()
            raise ValueError

    def test_where_transactions_are_begun_by_hand(self):
        manager = transaction.manager
        self.addCleanup(setattr, manager, 'explicit', manager.explicit)
        transaction.abort()
        manager.explicit = True
        with self.scope.part():
            pass
        with self.scope.own(), self.scope.part():
            self.database.connect().state['a'] = 1
        self.assertEqual({'a': 1}, self.database.state)
        manager.begin()


class CallTests(DriverCase, unittest.TestCase):
    """Each call of the application is in one, which has ended before files are sent."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.addCleanup(transaction.abort)
        self.database = Database()
        zope.component.provideUtility(TransactionScope(), IScope)
        zope.component.provideUtility(Publisher(), IPublisher)
        self.thread = ExporterThread('articles', interval=1000)
        self.addCleanup(self.thread.stop)

    def content(self, *bad):
        """Let there be content that reads the database, and of which ids in `bad` fail."""

        class IArticle(zope.interface.Interface):
            pass

        @zope.interface.implementer(IArticle)
        class Article:
            def __init__(self, unique_id):
                self.uniqueId = unique_id

        def find(unique_id):
            self.database.connect()
            return Article(unique_id)

        @zope.interface.implementer(IDeliverable)
        class Deliverable:
            wanted = True

            def __init__(deliverable, article):  # noqa: N805
                deliverable.name = article.uniqueId

            def open(deliverable):  # noqa: N805
                state = self.database.connect().state
                state.setdefault('opened', '')
                state['opened'] += deliverable.name
                if deliverable.name in bad:
                    raise OSError('the database is gone')
                return io.BytesIO(state.get('body', b'old'))

        zope.component.provideAdapter(Deliverable, (IArticle,), IDeliverable, name='articles')
        zope.component.provideUtility(find, IContentFinder)
        return Article

    def let_fail(self, *names):
        """Let publications be due to be tried again."""
        with unittest.mock.patch('zeit.cds.journal.failed_publications.time.time', return_value=1):
            for name in names:
                self.spool.unpublished.add(name, 'why')

    def test_nothing_is_open_while_files_are_sent(self):
        opened = []
        self.target.hook = lambda operation, name: opened.append(self.database.open)
        for interface in IFilePut, IFileExported, IExchangeFinished:
            zope.component.provideHandler(lambda event: self.database.connect(), (interface,))
        self.content()
        self.let_fail('a', 'b')
        self.thread.start()
        self.assertEqual(['a', 'b'], self.next_run().delivered)
        self.thread.stop()
        self.assertEqual({0}, set(opened))
        # Two contents, each of which is put and exported, and the run.
        self.assertEqual(['committed'] * 7, self.database.ended)

    def test_nor_after_the_application_was_asked_what_was_committed(self):
        class Outcome:
            def committed(outcome, doubt):  # noqa: N805
                self.database.connect()
                return True

        zope.component.provideAdapter(
            lambda spool: Outcome(), (ISpool,), ITransactionOutcome
        )
        batch = self.spool.batch()
        batch.put('a', b'')
        batch.prepare(asks=True)
        batch.close()
        opened = []
        self.target.hook = lambda operation, name: opened.append(self.database.open)
        with self.assertLogs('zeit.cds.spool.transactions_in_doubt', 'WARNING'):
            self.thread.start()
            self.assertEqual(['a'], self.next_run().delivered)
            self.thread.stop()
        self.assertEqual(({0}, ['committed']), (set(opened), self.database.ended))

    def test_each_attempt_sees_the_present(self):
        self.content('a')
        self.let_fail('a')
        with scope.alone(), self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            zope.component.getUtility(IPublisher).retry()
        self.content()
        self.database.state['body'] = b'new'
        with scope.alone():
            zope.component.getUtility(IPublisher).retry()
        self.assertEqual(b'new', (self.spool.path / 'new' / 'a').read_bytes())

    def test_one_that_fails_spoils_no_other(self):
        self.content('b')
        self.let_fail('a', 'b', 'c')
        with scope.alone(), self.assertLogs('zeit.cds.publish.publisher', 'WARNING'):
            zope.component.getUtility(IPublisher).retry_due()
        self.assertEqual('ac', self.database.state['opened'])
        self.assertEqual(['a', 'c'], self.names('new'))

    def test_nor_in_the_transaction_of_the_application(self):
        article = self.content('b')
        self.database.connect().state['mine'] = 1
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            for name in 'abc':
                zope.component.getUtility(IPublisher).publish(article(name))
        self.assertEqual([], self.database.ended)
        transaction.commit()
        self.assertEqual({'mine': 1, 'opened': 'ac'}, self.database.state)

    def test_a_transaction_of_the_application_tries_nothing_again(self):
        """It sees what was when it began, and that would settle what is not that."""
        publisher, article = zope.component.getUtility(IPublisher), self.content()
        self.database.connect().state['mine'] = 1
        self.let_fail('a')
        publisher.publish(article('b'))
        ((_, _, error),) = publisher.retry()
        self.assertIn('A transaction is open', error.message)
        self.assertEqual(([], ['b']), (publisher.retry_due(), self.names('new')))
        transaction.commit()
        self.assertEqual([('a', 'articles', None)], publisher.retry())
        self.assertEqual(['a', 'b'], self.names('new'))

    def fail_in_a_transaction(self):
        """Publish what fails; before its end a thread tries that again, an hour later."""
        article = self.content('a')
        self.database.connect().state['body'] = b'new'
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            zope.component.getUtility(IPublisher).publish(article('a'))
        self.content()
        with concurrent.futures.ThreadPoolExecutor() as threads:
            threads.submit(self.retry_later).result()
        self.assertEqual([], self.spool.unpublished.content())
        self.assertEqual(b'old', (self.spool.path / 'new' / 'a').read_bytes())

    def retry_later(self):
        later = time.time() + 3600
        with (
            scope.alone(),
            unittest.mock.patch('zeit.cds.publish.publisher.time.time', lambda: later),
        ):
            return zope.component.getUtility(IPublisher).retry_due()

    def test_what_failed_is_not_settled_before_its_transaction_is_committed(self):
        @zope.interface.implementer(ILateWakeUp)
        class Waker:
            wake, wake_later = unittest.mock.Mock(), unittest.mock.Mock()

        self.fail_in_a_transaction()
        zope.component.provideUtility(Waker(), IWakeUp)
        later = time.time() + 9
        with unittest.mock.patch('zeit.cds.publish.publisher.time.time', lambda: later):
            transaction.commit()
        Waker.wake_later.assert_called_with('articles', seconds=65)
        self.assertEqual([('a', 'articles', None)], self.retry_later())
        self.assertEqual(b'new', (self.spool.path / 'new' / 'a').read_bytes())
        self.assertEqual([], self.spool.unpublished.content())

    def test_what_is_published_or_retracted_later_in_its_transaction_is_not_kept_again(self):
        publisher = zope.component.getUtility(IPublisher)
        for later in publisher.publish, publisher.retract:
            bad = self.content('a')
            self.database.connect()
            with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
                publisher.publish(bad('a'))
            good = self.content()
            later(good('a'))
            transaction.commit()
            self.assertEqual([], self.spool.unpublished.content())

    def test_nor_is_it_kept_again_where_that_is_aborted_or_it_was_retracted(self):
        self.fail_in_a_transaction()
        transaction.abort()
        self.assertEqual([], self.spool.unpublished.content())
        self.fail_in_a_transaction()
        self.spool.retract('a', 'why', until=self.spool.latest(new=True))
        transaction.commit()
        self.assertEqual([], self.spool.unpublished.content())

    def test_a_subscriber_that_fails_is_undone(self):
        def subscriber(event):
            self.database.connect().state['told'] = 1
            raise OSError('the database is gone')

        for interface in IFilePut, IFileExported, IExchangeFinished, IPublicationFailed:
            zope.component.provideHandler(subscriber, (interface,))
        self.database.connect().state['mine'] = 1
        article = self.content('b')
        with self.assertLogs('zeit.cds', 'ERROR'):
            for name in 'ab':
                zope.component.getUtility(IPublisher).publish(article(name))
            self.exporter.run_once()
        transaction.commit()
        self.assertEqual({'mine': 1, 'opened': 'a'}, self.database.state)
        self.let_fail('a')
        with self.assertLogs('zeit.cds', 'ERROR'):
            self.thread.start()
            self.next_run()
            self.thread.stop()
        self.assertEqual({'mine': 1, 'opened': 'aa'}, self.database.state)

    def test_what_the_application_adds_to_it(self):
        entered = []

        class Site(TransactionScope):
            def own(self):
                entered.append('site')
                return super().own()

        zope.component.provideUtility(Site(), IScope)
        self.content()
        self.let_fail('a')
        self.thread.start()
        self.next_run()
        self.thread.stop()
        # To put and to tell that; to tell that it is exported, and that the run is over.
        self.assertEqual(['site'] * 2, entered[:2])

    def test_the_command_line_is_called_by_nobody(self):
        known = []
        with unittest.mock.patch('zeit.cds.publish.publisher.Publisher.retry') as retry:
            retry.side_effect = lambda unique_id: known.append(scope._alone.get()) or []
            self.content()
            self.let_fail('a')
            with contextlib.redirect_stdout(io.StringIO()):
                code = main.main(['retry', '--spool', str(self.spool.path), 'a'])
        self.assertEqual(([True], 0), (known, code))
        self.assertFalse(scope._alone.get())
