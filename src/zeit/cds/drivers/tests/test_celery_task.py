"""The celery task: a wake-up that is tried again while that makes sense; without a broker."""

import contextlib
import datetime
import importlib.metadata
import io
import socket
import threading
import time
import unittest.mock

import celery
import celery.canvas
import celery.exceptions
import kombu.exceptions
import transaction
import zope.component
import zope.interface

from zeit.cds import errors
from zeit.cds.drivers import celery_task
from zeit.cds.interfaces import (
    IContentFinder,
    IDeliverable,
    IImporter,
    IPublisher,
    IScope,
    IWakeUp,
)
from zeit.cds.publish.outbox import Outbox
from zeit.cds.publish.publisher import Publisher
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.runlock import RunLock
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.statistics import last_export
from zeit.cds.spool.wake import wake_later
from zeit.cds.testing import layers
from zeit.cds.tests import remembered
from zeit.cds.tests.driving import DriverCase
from zeit.cds.values import backoff
from zeit.cds.values.run_options import Options
from zeit.cds.zcml.configured import ConfiguredImporter


class TaskTests(DriverCase, unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.app = celery.Celery('test', set_as_current=True, broker='memory://')
        self.addCleanup(self.app.close)
        self.app.conf.task_always_eager = True
        self.app.set_current()
        self.addCleanup(celery._state._set_current_app, celery._state.default_app)
        self.now = time.time()
        self.enterContext(unittest.mock.patch('time.time', lambda: self.now))
        # A message is not sent, it is had again by `work`.
        self.enterContext(unittest.mock.patch.object(celery.canvas.Signature, 'apply_async'))

    def work(self, task=celery_task.export, *, name='articles', until=None):
        """Let a worker have a message, and again when it is retried; return the countdowns.

        Time passes by itself.  `until(countdowns)` is asked before each attempt; true ends it.
        """
        countdowns = []
        while not (until and until(countdowns)):
            task.push_request(called_directly=False, is_eager=False, retries=len(countdowns))
            try:
                task.run(name)
                break
            except celery.exceptions.Retry as retry:
                countdowns.append(retry.when)
                self.now += retry.when
            finally:
                task.pop_request()
        return countdowns

    def away(self):
        def away(operation, name):
            raise errors.FTPOSError(111, 'Connection refused')

        self.target.hook = away
        self.spool.put('away.xml', b'<a/>')

    def refuse(self):
        def refuse(operation, name):
            raise errors.PermanentError(530, '530 No.', exit_code=errors.LOGIN_REFUSED)

        self.target.hook = refuse
        self.spool.put('refused.xml', b'<a/>')

    def logins(self):
        """Return how many runs there were since it was asked last."""
        number = 0
        while not self.runs.empty():
            self.runs.get()
            number += 1
        return number

    def test_it_delivers(self):
        self.spool.put('a.xml', b'<a/>')
        celery_task.export.delay('articles')
        self.assertEqual(['a.xml'], self.next_run().delivered)

    def test_what_is_put_wakes_it(self):
        zope.component.provideUtility(celery_task.WakeUp(), IWakeUp)
        self.spool.put('a.xml', b'<a/>')
        self.assertEqual(['a.xml'], self.next_run().delivered)

    def test_where_a_publication_failed_it_is_sent_with_a_countdown(self):
        with unittest.mock.patch.object(celery.Task, 'apply_async') as send:
            celery_task.WakeUp().wake_later('articles', seconds=60)
            send.assert_not_called()  # eager as it is, it would be now
            self.app.conf.task_always_eager = False
            celery_task.WakeUp().wake_later('articles', seconds=60)
        send.assert_called_once_with(('articles',), retry=False, countdown=60)

    def test_when_an_embargo_ends_one_message_comes_whatever_number_of_tasks_there_are(self):
        woken = self.enterContext(unittest.mock.patch.object(celery_task, 'wake_in'))
        self.spool.clock = lambda: self.now

        def seconds():
            found = [call.args[1] for call in woken.call_args_list]
            woken.reset_mock()
            return found

        def put(name, minutes):
            end = datetime.datetime.fromtimestamp(self.now + minutes * 60, datetime.UTC)
            self.spool.put(name, b'<a/>', not_before=end)

        put('a.xml', 45)
        for _ in range(5):
            self.work()
        self.assertEqual([celery_task.LONGEST], seconds())  # no longer in a broker
        put('b.xml', 10)  # earlier than that
        self.work()
        self.work()
        (soon,) = seconds()
        self.assertAlmostEqual(600, soon, delta=1)
        self.now += soon
        self.work()
        self.assertEqual(['b.xml'], self.names('cur'))
        (soon,) = seconds()
        self.assertAlmostEqual(celery_task.LONGEST, soon, delta=1)
        self.now += soon + 100  # the broker has lost it
        self.work()
        self.work()
        (soon,) = seconds()
        self.now += soon
        self.work()
        self.assertEqual((['a.xml', 'b.xml'], []), (self.names('cur'), seconds()))

    def test_sent_twice_it_does_nothing_more(self):
        self.spool.put('a.xml', b'<a/>')
        for expected in (['a.xml'], []):
            celery_task.export.delay('articles')
            self.assertEqual(expected, self.next_run().delivered)

    def test_called_as_a_function_it_is_not_retried(self):
        self.target.files['write'] = b'somebody'
        self.spool.put('a.xml', b'<a/>')
        self.assertEqual(errors.COME_BACK_LATER, celery_task.export('articles'))

    def test_while_locked_it_is_retried_with_growing_pauses(self):
        self.target.files['write'] = b'somebody'

        def leave(countdowns):
            if len(countdowns) == 3:
                del self.target.files['write']

        self.spool.put('a.xml', b'<a/>')
        self.assertEqual([1, 2, 4], self.work(until=leave))
        self.assertEqual(['a.xml'], self.names('cur'))

    def test_while_another_run_is_active(self):
        active = contextlib.ExitStack()
        self.addCleanup(active.close)
        active.enter_context(type(self.spool)(self.spool.path).run())

        def end(countdowns):
            if len(countdowns) == 3:
                active.close()

        self.spool.put('a.xml', b'<a/>')
        with self.assertNoLogs('zeit.cds', 'WARNING'):
            self.assertEqual([1, 2, 4], self.work(until=end))
        self.assertEqual(['a.xml'], self.names('cur'))

    def test_while_unreachable_and_then_it_is_given_up(self):
        self.away()
        with self.assertLogs('zeit.cds.drivers.celery_task', 'ERROR') as logs:
            countdowns = self.work()
        self.assertEqual(celery_task.RETRIES, len(countdowns))
        self.assertEqual(backoff.LONGEST_SECONDS, countdowns[-1])
        self.assertEqual(sorted(countdowns), countdowns)
        self.assertIn('given up after 15 attempts (69)', logs.output[0])

    def test_a_burst_while_the_server_is_away_asks_it_once(self):
        self.away()
        for _ in range(20):
            before = self.now
            self.assertEqual([1], self.work(until=len))
            self.now = before
        self.assertEqual(1, self.logins())

    def test_a_refused_login_is_tried_again_after_five_minutes_however_many_tasks_there_are(self):
        self.refuse()
        for _ in range(20):
            before = self.now
            self.assertEqual([backoff.LONGEST_SECONDS], self.work(until=len))
            self.now = before
        self.assertEqual(1, self.logins())
        self.now += backoff.LONGEST_SECONDS - 1
        self.assertEqual([1], self.work(until=len))
        self.assertEqual(0, self.logins())
        self.work(until=len)
        self.assertEqual(1, self.logins())

    def test_a_run_that_fails_just_before_it_has_the_spool(self):
        """Until then it knew of no reason to wait."""
        self.refuse()
        self.target.hook = unittest.mock.Mock(side_effect=self.target.hook)
        run = Spool.run

        def after_another_one(spool):
            with unittest.mock.patch.object(Spool, 'run', run):
                self.exporter.run_once()
            return run(spool)

        with unittest.mock.patch.object(Spool, 'run', after_another_one):
            self.assertEqual([backoff.LONGEST_SECONDS], self.work(until=len))
        self.assertEqual(1, self.target.hook.call_count)

    def test_who_has_the_spool_next_knows_how_the_run_has_ended(self):
        self.refuse()
        release, known = RunLock.__exit__, []

        def look(lock, *exc_info):
            known.append(last_export(self.spool)['exit_code'])
            release(lock, *exc_info)

        with unittest.mock.patch.object(RunLock, '__exit__', look):
            self.exporter.run_once()
        self.assertEqual([errors.LOGIN_REFUSED], known)

    def test_one_good_run_of_anybody_ends_the_pause(self):
        self.refuse()
        self.work(until=len)
        self.target.hook = lambda operation, name: None
        self.now -= backoff.LONGEST_SECONDS - 10
        self.assertEqual(errors.DONE, self.exporter.run_once().exit_code)
        self.spool.put('b.xml', b'<a/>')
        self.assertEqual([], self.work())
        self.assertEqual(['b.xml', 'refused.xml'], self.names('cur'))

    def test_nobody_waits_because_a_clock_was_set_back_or_a_file_is_missing(self):
        self.refuse()
        self.work(until=len)
        self.now -= 86400
        self.work(until=len)
        self.assertEqual(2, self.logins())
        self.now -= backoff.LONGEST_SECONDS
        (self.spool.path / remembered.JOURNAL).unlink()
        self.work(until=len)
        self.assertEqual(1, self.logins())

    def test_called_as_a_function_it_always_tries(self):
        self.refuse()
        for _ in range(3):
            self.assertEqual(errors.LOGIN_REFUSED, celery_task.export('articles'))
        self.assertEqual(3, self.logins())

    def test_an_eager_one_holds_no_publication(self):
        self.away()
        zope.component.provideUtility(celery_task.WakeUp(), IWakeUp)
        for name in ('a.xml', 'b.xml'):
            self.spool.put(name, b'<a/>')
        self.assertEqual(1, self.logins())

    def test_what_a_bound_has_left_goes_at_once(self):
        self.exporter.options = Options(max_files=1)
        for name in ('a.xml', 'b.xml', 'c.xml'):
            self.spool.put(name, b'<a/>')
        self.assertEqual([], self.work())
        self.assertEqual(['a.xml', 'b.xml', 'c.xml'], self.names('cur'))

    def test_a_refused_file_is_not_tried_again_at_once(self):
        def refuse(operation, name):
            if operation == 'upload':
                raise errors.PermanentError(553, '553 No.')

        self.target.hook = refuse
        self.spool.put('a.xml', b'<a/>')
        self.assertEqual(errors.FILES_FAILED, celery_task.export.delay('articles').get())

    def test_no_such_exporter(self):
        with self.assertRaisesRegex(errors.ConfigurationError, "no exporter 'other'"):
            celery_task.export.delay('other').get()

    def test_what_was_not_put_into_a_spool_is_tried_again(self):
        publisher = unittest.mock.Mock()
        publisher.retry_due.side_effect = lambda: self.spool.put('late.xml', b'<a/>')
        zope.component.provideUtility(publisher, IPublisher)
        celery_task.export.delay('articles')
        self.assertEqual(['late.xml'], self.next_run().delivered)

    def receive(self, task=celery_task.export, name='articles', *, message='m'):
        """Let a worker have a message; return what its task returns."""
        task.push_request(called_directly=False, is_eager=False, retries=0, id=message)
        try:
            return task.run(name)
        finally:
            task.pop_request()

    def test_a_message_that_kills_its_worker_is_given_up(self):
        self.spool.put('a.xml', b'<a/>')
        with unittest.mock.patch.object(celery_task, '_forget'):  # a kill
            for _ in range(celery_task.BEGINNINGS):
                self.receive()
        with self.assertLogs('zeit.cds.drivers.celery_task', 'ERROR') as logs:
            self.assertEqual(errors.SOFTWARE, self.receive())
        self.assertIn('Exporter articles: a task that killed its worker', logs.output[0])
        self.assertEqual(celery_task.BEGINNINGS, self.logins())
        self.receive(message='another one')
        self.receive()
        self.assertEqual(2, self.logins())
        self.assertEqual([], [*(self.spool.path / '.cds' / 'tasks').iterdir()])

    def test_what_ends_by_itself_does_not_count(self):
        self.away()
        for _ in range(2 * celery_task.BEGINNINGS):
            with self.assertRaises(celery.exceptions.Retry):
                self.receive()
            self.now += backoff.LONGEST_SECONDS
        self.assertEqual([], [*(self.spool.path / '.cds' / 'tasks').iterdir()])

    def test_nor_is_a_message_given_up_that_cannot_be_noted(self):
        (self.spool.path / '.cds').mkdir()
        (self.spool.path / '.cds' / 'tasks').write_text('')
        for _ in range(2 * celery_task.BEGINNINGS):
            self.assertEqual(errors.DONE, self.receive())

    def test_an_import_that_kills_its_worker_is_given_up(self):
        self.importer()
        with unittest.mock.patch.object(celery_task, '_forget'):
            for _ in range(celery_task.BEGINNINGS):
                self.assertEqual(errors.DONE, self.receive(celery_task.import_, 'letters'))
        with self.assertLogs('zeit.cds.drivers.celery_task', 'ERROR'):
            self.assertEqual(errors.SOFTWARE, self.receive(celery_task.import_, 'letters'))

    def test_a_worker_has_nothing_of_the_application_around(self):
        known = []
        zope.component.provideUtility(unittest.mock.Mock(spec=['own', 'part']), IScope)
        scopes = zope.component.getUtility(IScope)
        for name in 'own', 'part':
            scope = getattr(scopes, name)
            scope.side_effect = lambda name=name: known.append(name) or contextlib.nullcontext()
        self.receive()
        self.importer()
        self.receive(celery_task.import_, 'letters')
        self.assertEqual({'own'}, set(known))
        known.clear()
        celery_task.export('articles')
        celery_task.export.delay('articles')
        celery_task.import_('letters')
        celery_task.import_.delay('letters')
        self.assertEqual({'part'}, set(known))

    def test_what_it_puts_itself_needs_no_second_message(self):
        publisher = unittest.mock.Mock()
        publisher.retry_due.side_effect = lambda: self.spool.put('late.xml', b'<a/>')
        zope.component.provideUtility(publisher, IPublisher)
        zope.component.provideUtility(celery_task.WakeUp(), IWakeUp)
        with unittest.mock.patch.object(celery.Task, 'apply_async') as send:
            self.assertEqual(errors.DONE, self.receive())
            send.assert_not_called()
            self.assertEqual(['late.xml'], self.names('cur'))
            self.spool.put('a.xml', b'<a/>')
            send.assert_called_once()

    def test_where_it_is_eager_nothing_is_published_again_and_again(self):
        @zope.interface.implementer(IDeliverable)
        class Deliverable:
            wanted, name = True, 'due.xml'

            def __init__(self, content):
                opened.append(content)

            def open(self):
                return io.BytesIO(b'<a/>')

        class IContent(zope.interface.Interface):
            pass

        opened, content = [], unittest.mock.Mock(uniqueId='due')
        zope.interface.alsoProvides(content, IContent)
        zope.component.provideAdapter(Deliverable, (IContent,), name='articles')
        zope.component.provideUtility(lambda unique_id: content, IContentFinder)
        zope.component.provideUtility(Publisher(), IPublisher)
        zope.component.provideHandler(wake_later)
        zope.component.provideUtility(celery_task.WakeUp(), IWakeUp)
        self.spool.unpublished.add('due', 'why')
        self.now += 60
        self.spool.put('other.xml', b'<a/>')
        self.assertEqual([content], opened)
        self.assertEqual(['due.xml', 'other.xml'], self.names('cur'))

    def importer(self):
        zope.component.provideAdapter(Importer)
        importer = ConfiguredImporter(spool='articles', target='partner', options=ImportOptions())
        zope.component.provideUtility(importer, IImporter, name='letters')

    def test_an_import(self):
        self.importer()
        self.target.write('a.xml', b'<a/>', age=60)
        self.assertEqual(errors.DONE, celery_task.import_.delay('letters').get())
        self.assertEqual((['a.xml'], {}), (self.names('new'), self.target.files))

    def test_an_import_is_not_retried(self):
        self.importer()
        self.target.files['write'] = b'somebody'
        self.assertEqual([], self.work(celery_task.import_, name='letters'))
        self.assertEqual(errors.COME_BACK_LATER, self.next_run().exit_code)

    def test_no_such_importer(self):
        with self.assertRaisesRegex(errors.ConfigurationError, "no importer 'articles'"):
            celery_task.import_.delay('articles').get()

    def test_the_decorator_of_an_application(self):
        app = celery.Celery('newspaper', set_as_current=False)
        self.addCleanup(app.close)
        app.conf.task_always_eager = True

        @app.task(bind=True, name='export_cds')
        def export_cds(self, name):
            return celery_task.run(self, name)

        zope.component.provideUtility(celery_task.WakeUp(export_cds), IWakeUp)
        self.spool.put('a.xml', b'<a/>')
        self.assertEqual(['a.xml'], self.names('cur'))


class TransactionAwareTask(celery.Task):
    """A task as z3c.celery 1.8 has it, the base class of those of zeit.cms.

    What is sent joins the current transaction, to go out in its vote.
    """

    def __call__(self, *args, _run_asynchronously_=False, **kw):
        if _run_asynchronously_:
            return self.run_in_worker(args, kw)
        return self.run(*args, **kw)

    def run_in_worker(self, args, kw):
        with transaction.manager:
            return self.run(*args, **kw)

    def apply_async(self, args=None, kw=None, task_id=None, **options):
        if self.app.conf.task_always_eager:
            return self(*args, **(kw or {}))
        kw = {'_run_asynchronously_': True, **(kw or {})}
        send = super().apply_async
        transaction.get().join(Session(lambda: send(args, kw, task_id=task_id, **options)))


class Session:
    """The data manager of z3c.celery."""

    transaction_manager = None

    def __init__(self, send):
        self.tpc_vote = lambda current: send()

    def nothing(self, current):
        """Nothing is to be done."""

    abort = tpc_begin = commit = tpc_finish = tpc_abort = nothing

    def sortKey(self):  # noqa: N802 as in IDataManager
        return '~z3c.celery'


class TransactionTests(DriverCase, unittest.TestCase):
    """In zeit.cms every task is bound to the transaction, also a `shared_task`."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.app = celery.Celery('cms', task_cls=TransactionAwareTask, strict_typing=False)
        self.addCleanup(self.app.close)
        self.addCleanup(celery._state._set_current_app, celery._state.default_app)
        self.app.set_current()
        self.app.send_task = unittest.mock.Mock()
        self.addCleanup(transaction.abort)
        zope.component.provideUtility(celery_task.WakeUp(), IWakeUp)

    def sent(self):
        """Return what was sent so far: name of the task, arguments, keyword arguments."""
        return [call.args for call in self.app.send_task.call_args_list]

    MESSAGE = ('zeit.cds.export', ('articles',), {'_run_asynchronously_': True})

    def test_a_publication_wakes_at_once_and_whatever_becomes_of_the_transaction(self):
        transaction.begin()
        self.spool.put('a.xml', b'<a/>')
        self.assertEqual([self.MESSAGE], self.sent())
        transaction.abort()
        self.assertEqual([self.MESSAGE], self.sent())

    def test_a_transaction_that_files_wakes_when_they_are_there(self):
        waiting = []
        self.app.send_task.side_effect = lambda *args, **kw: waiting.append(self.names('new'))
        Outbox(self.spool).put('a.xml', b'<a/>')
        with self.assertNoLogs('zeit.cds', 'WARNING'):
            transaction.commit()
        self.assertEqual([['a.xml']], waiting)

    def test_a_broker_that_is_down_fails_no_transaction(self):
        self.app.send_task.side_effect = kombu.exceptions.OperationalError('Connection refused')
        transaction.begin()
        with self.assertLogs('zeit.cds.spool.wake', 'WARNING'):
            self.spool.put('a.xml', b'<a/>')
        transaction.commit()
        self.assertEqual(['a.xml'], self.names('new'))

    def test_in_tests_of_the_application_it_runs_at_once(self):
        self.app.conf.task_always_eager = True
        self.spool.put('a.xml', b'<a/>')
        self.assertEqual(['a.xml'], self.names('cur'))
        self.assertEqual([], self.sent())

    def test_in_the_worker_it_is_the_task_of_the_application(self):
        self.spool.put('a.xml', b'<a/>')
        _, args, kw = self.sent()[0]
        with unittest.mock.patch.object(
            TransactionAwareTask, 'run_in_worker', autospec=True
        ) as called:
            celery_task.export(*args, **kw)
        self.assertEqual((('articles',), {}), called.call_args.args[1:])


class ThreadTests(DriverCase, unittest.TestCase):
    """A message goes to the application of this process, and nobody waits for its broker."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        state = celery._state
        self.addCleanup(setattr, state, 'default_app', state.default_app)
        self.addCleanup(state._set_current_app, state._tls.current_app)
        state.default_app = None
        # As if those of other tests were gone.
        apps = self.enterContext(unittest.mock.patch.object(state, '_get_active_apps'))
        self.app = celery.Celery('cms', broker='memory://')
        self.addCleanup(self.app.close)
        self.app.send_task = self.send = unittest.mock.Mock()
        apps.return_value = [self.app]
        self.waker = celery_task.WakeUp()
        self.addCleanup(self.join)

    def join(self):
        for sending in self.waker._late.values():
            sending.join(20)

    def test_another_thread_than_the_one_that_has_made_it(self):
        def wake():
            celery.current_app.main  # noqa: B018 makes one that is called "default"
            self.waker.wake('articles')

        thread = threading.Thread(target=wake)
        thread.start()
        thread.join(20)
        self.assertEqual(('zeit.cds.export', ('articles',)), self.send.call_args.args[:2])

    def test_where_there_are_several_it_is_that_of_the_thread(self):
        other = celery.Celery('other', broker='memory://', set_as_current=False)
        self.addCleanup(other.close)
        celery._state._get_active_apps.return_value = [self.app, other]
        self.waker.wake('articles')
        self.send.assert_called_once()

    def test_a_broker_that_does_not_answer(self):
        self.enterContext(unittest.mock.patch.object(celery_task, 'PATIENCE', 0.05))
        answers = threading.Event()
        self.addCleanup(answers.set)
        self.send.side_effect = lambda *args, **kw: answers.wait(20)
        for _ in range(3):
            with self.assertRaises(TimeoutError):
                self.waker.wake('articles')
        self.assertEqual(1, self.send.call_count)
        answers.set()
        self.join()
        # It may have been received before the last file was put.
        self.assertEqual(2, self.send.call_count)
        self.waker.wake('articles')
        self.assertEqual(3, self.send.call_count)

    def test_what_the_broker_says(self):
        self.send.side_effect = kombu.exceptions.OperationalError('Connection refused')
        with self.assertRaises(kombu.exceptions.OperationalError):
            self.waker.wake('articles')


class ExtraTests(unittest.TestCase):
    def test_what_the_transport_of_redis_needs_is_installed_with_it(self):
        found = [
            requirement
            for requirement in importlib.metadata.requires('zeit.cds')
            if requirement.startswith('celery[redis]')
        ]
        self.assertEqual({'celery', 'test'}, {each.split('"')[1] for each in found})


class BrokerTests(DriverCase, unittest.TestCase):
    """No broker, or one that says nothing, fails no publication and does not hold it for long.

    Not in the layer QUIET: kombu forgets an epoll descriptor for each connection that fails.
    """

    def put_with(self, listener):
        port = listener.getsockname()[1]
        app = celery.Celery('down', broker=f'redis://127.0.0.1:{port}/0', set_as_current=False)
        self.addCleanup(app.close)
        app.conf.broker_transport_options = {
            'socket_timeout': 0.2,
            'socket_connect_timeout': 0.2,
            'max_retries': 1,
            'interval_start': 0,
        }
        task = app.task(bind=True, name='export')(celery_task.run)
        waker = celery_task.WakeUp(task)
        zope.component.provideUtility(waker, IWakeUp)
        before = time.monotonic()
        with self.assertLogs('zeit.cds.spool.wake', 'WARNING') as logs:
            self.spool.put('a.xml', b'<a/>')
        self.assertLess(time.monotonic() - before, 15)
        for sending in waker._late.values():
            sending.join(20)
        self.assertRegex(logs.output[0], 'articles could not be woken.*(Operational|Timeout)Error')
        self.assertEqual(['a.xml'], self.names('new'))

    def test_nobody_listens(self):
        with socket.socket() as listener:
            listener.bind(('127.0.0.1', 0))
            self.put_with(listener)

    def test_nobody_answers(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            self.put_with(listener)
