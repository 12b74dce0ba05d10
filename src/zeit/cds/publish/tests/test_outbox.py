"""Files that are put in a transaction: commit, abort, savepoints, conflicts, forks, failures."""

import fcntl
import logging
import os
import pathlib
import signal
import sys
import tempfile
import threading
import traceback
import unittest
import unittest.mock

import transaction
import zope.component
import zope.component.testing
import zope.interface
from transaction.interfaces import IDataManagerSavepoint, ISavepointDataManager, TransientError
from zope.interface.verify import verifyObject

from zeit.cds import errors
from zeit.cds.interfaces import IFilePut, ISpool, ITransactionOutcome
from zeit.cds.publish.outbox import Outbox, SpoolsDataManager
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers


class OutboxTests(unittest.TestCase):
    """A spool, its outbox, and a transaction manager of its own."""

    layer = layers.QUIET

    def setUp(self):
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path)
        self.manager = transaction.TransactionManager()
        self.addCleanup(self.manager.abort)
        self.outbox = Outbox(self.spool, manager=self.manager)

    def waiting(self):
        return {path.name: path.read_bytes() for path in (self.path / 'new').glob('*')}

    def left(self):
        """Return what is in the outbox's directory: nothing, when a transaction has ended."""
        return sorted(p.name for p in (self.path / '.cds' / 'outbox').glob('*'))

    def run_once(self):
        with self.spool.run():
            pass


class TransactionTests(OutboxTests):
    def test_nothing_waits_before_the_commit(self):
        self.outbox.put('a.xml', b'<a/>')
        self.assertEqual({}, self.waiting())
        self.manager.commit()
        self.assertEqual({'a.xml': b'<a/>'}, self.waiting())
        self.assertEqual([], self.left())

    def test_who_keeps_the_journal_after_the_vote_does_not_let_the_commit_fail(self):
        batch = self.spool.batch()
        batch.put('a.xml', b'<a/>')
        batch.prepare()
        with (
            open(self.path / '.cds' / 'journal' / 'state.jsonl', 'rb') as file,
            unittest.mock.patch('zeit.cds.journal.append_log.PATIENCE', 0.02),
        ):
            fcntl.flock(file, fcntl.LOCK_EX)
            batch.commit()
        self.assertEqual({}, self.waiting())
        with self.assertLogs('zeit.cds'):
            self.run_once()
        self.assertEqual({'a.xml': b'<a/>'}, self.waiting())
        self.assertEqual([], self.left())

    def test_a_run_that_has_not_waited_for_a_commit_does_it(self):
        batch = self.spool.batch()
        batch.put('a.xml', b'<a/>')
        batch.prepare()
        real = batch._overtaken

        def overtaken(numbers):
            found = real(numbers)
            with unittest.mock.patch('zeit.cds.journal.append_log.PATIENCE', 0.02):
                self.run_once()
            self.spool.put('a.xml', b'<newer/>')
            return found

        with unittest.mock.patch.object(batch, '_overtaken', overtaken):
            batch.commit()
        self.assertEqual({'a.xml': b'<newer/>'}, self.waiting())
        with self.assertLogs('zeit.cds'):
            self.run_once()
        self.assertEqual({'a.xml': b'<newer/>'}, self.waiting())
        self.assertEqual([], self.left())

    def test_who_wants_to_deliver_at_once_is_told_then(self):
        told = []
        zope.component.provideHandler(told.append, (IFilePut,))
        zope.component.provideHandler(lambda event: 1 / 0, (IFilePut,))
        self.outbox.put('a.xml', b'<a/>')
        self.assertEqual([], told)
        with self.assertLogs('zeit.cds.spool.wake', 'ERROR'):
            self.manager.commit()
        self.assertEqual([(self.spool, 'a.xml')], [(e.spool, e.name) for e in told])
        self.outbox.put('b.xml', b'<b/>')
        self.manager.abort()
        self.assertEqual(1, len(told))

    def test_114_nothing_after_an_abort_and_one_file_after_a_commit(self):
        self.outbox.put('a.xml', b'<a/>')
        self.manager.abort()
        self.assertEqual(({}, []), (self.waiting(), self.left()))
        self.outbox.put('a.xml', b'<a/>')
        self.manager.commit()
        self.assertEqual(({'a.xml': b'<a/>'}, []), (self.waiting(), self.left()))

    def test_the_next_transaction_is_another_one(self):
        self.outbox.put('a.xml', b'<a/>')
        self.manager.abort()
        self.outbox.put('b.xml', b'<b/>')
        self.manager.commit()
        self.outbox.put('c.xml', b'<c/>')
        self.manager.commit()
        self.assertEqual({'b.xml': b'<b/>', 'c.xml': b'<c/>'}, self.waiting())

    def test_of_two_files_of_one_name_the_later_one_goes(self):
        self.outbox.put('a.xml', b'<a/>')
        self.outbox.put('a.xml', b'<later/>')
        self.manager.commit()
        self.assertEqual({'a.xml': b'<later/>'}, self.waiting())
        self.assertEqual([], self.left())

    def test_what_waits_is_replaced(self):
        self.spool.put('a.xml', b'<old/>')
        self.outbox.put('a.xml', b'<new/>')
        self.assertEqual({'a.xml': b'<old/>'}, self.waiting())
        self.manager.commit()
        self.assertEqual({'a.xml': b'<new/>'}, self.waiting())

    def test_a_name_that_is_refused_is_refused_at_once(self):
        with self.assertRaises(errors.NameRefused):
            self.outbox.put('../a.xml', b'<a/>')
        self.outbox.put('b.xml', b'<b/>')
        self.manager.commit()
        self.assertEqual({'b.xml': b'<b/>'}, self.waiting())

    def test_the_manager_of_the_thread_is_the_default(self):
        with transaction.manager:
            Outbox(self.spool).put('a.xml', b'<a/>')
        self.assertEqual(['a.xml'], list(self.waiting()))

    def test_two_spools_in_one_transaction(self):
        other = Spool(self.enterContext(tempfile.TemporaryDirectory()))
        self.outbox.put('a.xml', b'<a/>')
        Outbox(other, manager=self.manager).put('b.xml', b'<b/>')
        self.manager.commit()
        self.assertEqual(['a.xml'], list(self.waiting()))
        self.assertEqual(['b.xml'], [entry.name for entry in other.pending()[0]])

    def test_two_transactions_at_the_same_time(self):
        manager = transaction.TransactionManager()
        self.outbox.put('a.xml', b'<a/>')
        Outbox(self.spool, manager=manager).put('b.xml', b'<b/>')
        manager.abort()
        self.manager.commit()
        self.assertEqual(['a.xml'], list(self.waiting()))

    def test_a_run_leaves_open_transactions_alone(self):
        self.outbox.put('a.xml', b'<a/>')
        self.run_once()
        thread = threading.Thread(target=self.run_once)
        thread.start()
        thread.join(10)
        self.assertEqual(({}, []), (self.waiting(), self.spool.status().in_doubt))
        self.manager.commit()
        self.assertEqual({'a.xml': b'<a/>'}, self.waiting())

    def test_the_adapter_is_registered(self):
        from zope.configuration import xmlconfig

        import zeit.cds
        from zeit.cds.interfaces import IOutbox

        xmlconfig.file('configure.zcml', zeit.cds)
        self.assertIsInstance(IOutbox(self.spool), Outbox)

    def test_it_is_a_data_manager_behind_the_others(self):
        manager = SpoolsDataManager(self.manager)
        for each in manager, manager.votes:
            verifyObject(ISavepointDataManager, each)
            verifyObject(IDataManagerSavepoint, each.savepoint())
        self.assertLess('zzz', manager.sortKey())
        self.assertLess(manager.votes.sortKey(), ' ')


class SavepointTests(OutboxTests):
    def test_what_was_put_since_then_is_forgotten(self):
        self.outbox.put('a.xml', b'<a/>')
        self.outbox.put('b.xml', b'<b/>')
        savepoint = self.manager.savepoint()
        self.outbox.put('a.xml', b'<later/>')
        self.outbox.put('c.xml', b'<c/>')
        savepoint.rollback()
        self.outbox.put('d.xml', b'<d/>')
        self.manager.commit()
        self.assertEqual({'a.xml': b'<a/>', 'b.xml': b'<b/>', 'd.xml': b'<d/>'}, self.waiting())
        self.assertEqual([], self.left())

    def test_back_behind_the_first_file(self):
        savepoint = self.manager.savepoint()
        self.outbox.put('a.xml', b'<a/>')
        savepoint.rollback()
        self.assertEqual([], self.left())
        self.outbox.put('b.xml', b'<b/>')
        self.manager.commit()
        self.assertEqual({'b.xml': b'<b/>'}, self.waiting())

    def test_back_twice(self):
        self.outbox.put('a.xml', b'<1/>')
        first = self.manager.savepoint()
        self.outbox.put('a.xml', b'<2/>')
        second = self.manager.savepoint()
        self.outbox.put('a.xml', b'<3/>')
        second.rollback()
        self.outbox.put('a.xml', b'<4/>')
        first.rollback()
        self.manager.commit()
        self.assertEqual({'a.xml': b'<1/>'}, self.waiting())

    def test_nothing_is_left_to_commit(self):
        self.outbox.put('a.xml', b'<a/>')
        manager = self.manager
        manager.abort()
        savepoint = manager.savepoint()
        self.outbox.put('a.xml', b'<a/>')
        inner = manager.savepoint()
        inner.rollback()
        savepoint.rollback()
        manager.commit()
        self.assertEqual(({}, []), (self.waiting(), self.left()))


class Other:
    """Another data manager, which fails where the test says."""

    def __init__(self, manager, *, failing='', error=ZeroDivisionError, key='a'):
        self.transaction_manager = manager
        self.failing, self.error, self.key = failing, error, key
        self.called = []
        manager.get().join(self)

    def sortKey(self):  # noqa: N802 as in IDataManager
        return self.key

    def __getattr__(self, name):
        if name not in ('abort', 'tpc_begin', 'commit', 'tpc_vote', 'tpc_finish', 'tpc_abort'):
            raise AttributeError(name)

        def call(current):
            self.called.append(name)
            if name == self.failing:
                raise self.error('no')

        return call


class ConflictTests(OutboxTests):
    def test_another_one_that_says_no_in_any_phase(self):
        for phase in ('tpc_begin', 'commit', 'tpc_vote'):
            for key in ('a', '~~'):
                with self.subTest(phase, key=key):
                    self.outbox.put('a.xml', b'<a/>')
                    Other(self.manager, failing=phase, key=key)
                    with self.assertRaises(ZeroDivisionError):
                        self.manager.commit()
                    self.manager.abort()
                    self.assertEqual(({}, []), (self.waiting(), self.left()))

    def test_conflict_with_retry(self):
        tries = []
        for attempt in self.manager.attempts(3):
            with attempt:
                tries.append(len(self.waiting()))
                self.outbox.put('a.xml', b'<%d/>' % len(tries))
                if len(tries) < 3:
                    Other(self.manager, failing='tpc_vote', error=TransientError, key='~~')
        self.assertEqual([0, 0, 0], tries)
        self.assertEqual({'a.xml': b'<3/>'}, self.waiting())
        self.assertEqual([], self.left())

    def test_our_own_no_comes_in_the_vote(self):
        self.outbox.put('a.xml', b'<a/>')
        other = Other(self.manager)
        (self.path / 'new').rmdir()
        with self.assertRaises(errors.SpoolError):
            self.manager.commit()
        self.assertNotIn('tpc_finish', other.called)
        self.manager.abort()
        self.assertEqual([], self.left())


class FinishTests(OutboxTests):
    """Nothing is raised in `tpc_finish`; what could not be done then is done by the next run."""

    def fail_once(self, function):
        """Commit while a function of `os` fails the first time that it is about `new/`."""
        real, failed = getattr(os, function), []

        def failing(old, new, *args, **kw):
            if '/new/' in str(new) and not failed:
                failed.append(new)
                raise OSError(5, 'Input/output error', new)
            return real(old, new, *args, **kw)

        with (
            unittest.mock.patch.object(os, function, failing),
            self.assertLogs('zeit.cds.publish.outbox', 'CRITICAL') as logs,
        ):
            self.manager.commit()
        self.assertEqual(1, len(failed))
        self.assertIn('Input/output error', logs.output[0])

    def voted(self, seconds):
        """Make the vote so many seconds later than it was."""
        (path,) = (self.path / '.cds' / 'outbox').glob('*/committed')
        os.utime(path, (path.stat().st_mtime + seconds,) * 2)

    def test_it_never_raises_and_the_next_run_goes_on(self):
        other = Other(self.manager)
        self.outbox.put('a.xml', b'<a/>')
        self.outbox.put('b.xml', b'<b/>')
        self.fail_once('rename')
        self.assertEqual('tpc_finish', other.called[-1])
        (doubt,) = self.spool.status().in_doubt
        self.assertTrue(doubt.committed)
        # Whoever knows the outcome is not asked about what is known.
        zope.component.provideAdapter(never, (ISpool,), ITransactionOutcome)
        with self.assertLogs('zeit.cds.spool.transactions_in_doubt', 'WARNING'):
            self.run_once()
        self.assertEqual({'a.xml': b'<a/>', 'b.xml': b'<b/>'}, self.waiting())
        self.assertEqual(([], []), (self.left(), self.spool.status().in_doubt))

    def test_what_was_interrupted_is_not_aborted(self):
        """Somebody presses Ctrl-C: transaction takes that for a failure, and aborts everybody."""
        self.outbox.put('a.xml', b'<a/>')
        interrupt = unittest.mock.patch('os.rename', side_effect=self.interrupted())
        with interrupt, self.assertRaises(KeyboardInterrupt):
            self.manager.commit()
        self.manager.abort()
        with self.assertLogs('zeit.cds.spool.transactions_in_doubt', 'WARNING'):
            self.run_once()
        self.assertEqual({'a.xml': b'<a/>'}, self.waiting())

    def interrupted(self):
        real = os.rename

        def rename(old, new):
            if '/new/' in str(new):
                raise KeyboardInterrupt
            return real(old, new)

        return rename

    def test_a_newer_version_that_waits_is_not_replaced(self):
        self.outbox.put('a.xml', b'<a/>')
        self.fail_once('rename')
        self.voted(-1)
        self.spool.put('a.xml', b'<newer/>')
        with self.assertLogs('zeit.cds.spool.transactions_in_doubt', 'WARNING'):
            self.run_once()
        self.assertEqual({'a.xml': b'<newer/>'}, self.waiting())
        self.assertEqual(['a.xml'], [name for name, _ in self.spool.status().parked])

    def test_an_older_version_that_waits_is_replaced(self):
        self.spool.put('a.xml', b'<older/>')
        self.outbox.put('a.xml', b'<a/>')
        self.fail_once('rename')
        self.voted(1)
        with self.assertLogs('zeit.cds.spool.transactions_in_doubt', 'WARNING'):
            self.run_once()
        self.assertEqual({'a.xml': b'<a/>'}, self.waiting())

    def test_what_cannot_be_locked_stays_and_stops_nothing(self):
        self.outbox.put('a.xml', b'<a/>')
        self.fail_once('rename')
        self.spool.put('b.xml', b'<b/>')
        module = 'zeit.cds.spool.transactions_in_doubt'
        with (
            unittest.mock.patch(f'{module}.lock', side_effect=OSError(37, 'No locks')),
            self.assertLogs(module, 'ERROR'),
        ):
            self.run_once()
        self.assertEqual({'b.xml': b'<b/>'}, self.waiting())
        self.assertEqual(1, len(self.spool.status().in_doubt))

    def test_what_is_damaged_stays_and_stops_nothing(self):
        self.outbox.put('a.xml', b'<a/>')
        self.fail_once('rename')
        (path,) = (self.path / '.cds' / 'outbox').iterdir()
        (path / 'committed').write_text('{}')
        with self.assertLogs('zeit.cds', 'WARNING'):
            self.run_once()
            self.assertEqual([], self.spool.status().in_doubt)
        self.assertEqual([path.name], self.left())


class SecondPhaseTests(OutboxTests):
    """When all have voted, an abort is none."""

    def setUp(self):
        super().setUp()
        logger = logging.getLogger(f'txn.{threading.get_ident()}')
        self.enterContext(unittest.mock.patch.object(logger, 'disabled', True))
        self.other = Spool(self.enterContext(tempfile.TemporaryDirectory()))
        self.told = []

    def fail_in_second_phase(self):
        self.outbox.put('a.xml', b'<a/>')
        Other(self.manager, failing='tpc_finish', error=ConnectionResetError)
        with (
            self.assertRaises(ConnectionResetError),
            self.assertLogs('zeit.cds.publish.outbox', 'CRITICAL') as logs,
        ):
            self.manager.commit()
        self.manager.abort()
        self.assertIn('a.xml', logs.output[0])
        self.assertEqual({}, self.waiting())

    def run_in_doubt(self):
        with self.assertLogs('zeit.cds.spool.transactions_in_doubt', 'WARNING'):
            self.run_once()
        self.assertEqual([], self.left())

    def test_another_one_that_fails_in_it_leaves_a_doubt(self):
        self.fail_in_second_phase()
        (doubt,) = self.spool.status().in_doubt
        self.assertEqual((('a.xml',), False), (doubt.names, doubt.committed))
        self.run_in_doubt()
        self.assertEqual({'a.xml': b'<a/>'}, self.waiting())

    def test_who_knows_is_asked(self):
        for committed, expected in (False, {}), (True, {'a.xml': b'<a/>'}):
            outcome = unittest.mock.Mock(spec=['committed'])
            outcome.committed.return_value = committed
            zope.interface.alsoProvides(outcome, ITransactionOutcome)
            zope.component.provideAdapter(
                lambda spool, outcome=outcome: outcome, (ISpool,), ITransactionOutcome
            )
            self.fail_in_second_phase()
            self.run_in_doubt()
            self.assertEqual(expected, self.waiting())

    def test_also_after_a_savepoint_before_the_first_file(self):
        savepoint = self.manager.savepoint()
        self.outbox.put('b.xml', b'<b/>')
        inner = self.manager.savepoint()
        inner.rollback()
        savepoint.rollback()
        self.fail_in_second_phase()
        self.assertEqual(1, len(self.spool.status().in_doubt))

    def test_nothing_is_in_doubt_where_nothing_was_put(self):
        savepoint = self.manager.savepoint
        self.outbox.put('a.xml', b'<a/>')
        before = savepoint()
        Outbox(self.other, manager=self.manager).put('b.xml', b'<b/>')
        before.rollback()
        self.outbox.put('c.xml', b'<c/>')
        self.manager.commit()
        self.assertEqual(['a.xml', 'c.xml'], sorted(self.waiting()))
        self.assertEqual([], self.other.status().in_doubt)

    def in_two(self, subscriber):
        zope.component.provideHandler(subscriber, (IFilePut,))
        self.outbox.put('a.xml', b'<a/>')
        Outbox(self.other, manager=self.manager).put('b.xml', b'<b/>')

    def test_all_spools_have_filed_before_anybody_is_told(self):
        def look(event):
            self.told.append(event.name)
            self.assertEqual(1, len(self.waiting()))
            self.assertEqual(1, len(self.other.status().waiting))

        self.in_two(look)
        with self.assertNoLogs('zeit.cds', 'ERROR'):
            self.manager.commit()
        self.assertEqual(['a.xml', 'b.xml'], sorted(self.told))

    def test_who_is_told_may_end_the_process(self):
        def end(event):
            sys.exit(1)

        self.in_two(end)
        with self.assertRaises(SystemExit):
            self.manager.commit()
        self.manager.abort()
        self.assertEqual(['a.xml'], list(self.waiting()))
        self.assertEqual(['b.xml'], [each.name for each in self.other.status().waiting])

    def test_a_signal_in_the_middle_of_one_is_no_abort_of_the_other(self):
        self.in_two(self.told.append)
        with (
            unittest.mock.patch('zeit.cds.spool.batch.Batch.move', side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
            self.assertLogs('zeit.cds.publish.outbox', 'CRITICAL'),
        ):
            self.manager.commit()
        self.manager.abort()
        for spool in self.spool, self.other:
            self.assertEqual(1, len(spool.status().in_doubt))
            with self.assertLogs('zeit.cds.spool.transactions_in_doubt', 'WARNING'), spool.run():
                self.assertEqual(1, len(spool.pending()[0]))


@zope.interface.implementer(ITransactionOutcome)
class never:  # noqa: N801 used as a function
    def __init__(self, spool):
        raise AssertionError('asked')


class NothingTests(OutboxTests):
    def test_nothing_is_never_in_doubt(self):
        with self.assertRaises(errors.NameRefused):
            self.outbox.put('/', b'<a/>')
        with self.spool.batch() as batch:
            batch.prepare()
        self.assertEqual([], self.spool.status().in_doubt)
        self.run_once()
        self.manager.commit()
        self.assertEqual([], self.left())


@unittest.skipUnless(os.geteuid() == 0, 'only root can become two others')
class UsersTests(OutboxTests):
    """Publisher and exporter are different users that share a group."""

    PUBLISHER, EXPORTER, GROUP = 64001, 64002, 64003

    def become(self, user, function):
        """Call a function in a process of this user, which is killed then."""
        pid = os.fork()
        if not pid:
            try:
                os.setgroups([])
                os.setgid(self.GROUP)
                os.setuid(user)
                os.umask(0o027)
                function()
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                traceback.print_exc()
                os._exit(1)
        self.assertEqual(-signal.SIGKILL, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def setUp(self):
        super().setUp()
        os.chown(self.path, -1, self.GROUP)
        os.chmod(self.path, 0o2770)

    def vote(self):
        batch = self.spool.batch()
        batch.put('a.xml', b'<a/>')
        batch.prepare()

    def test_one_settles_what_the_other_has_left(self):
        self.become(self.PUBLISHER, self.vote)
        self.assertEqual(1, len(self.spool.status().in_doubt))
        with self.assertNoLogs('zeit.cds', 'ERROR'):
            self.become(self.EXPORTER, self.run_once)
        self.assertEqual({'a.xml': b'<a/>'}, self.waiting())
        self.assertEqual([], self.left())

    def test_both_keep_what_could_not_be_published(self):
        for user in (self.PUBLISHER, self.EXPORTER):
            self.become(user, lambda: self.spool.unpublished.add('http://xml.zeit.de/a', 'why'))
        self.assertEqual([2], [failure.attempts for failure in self.spool.status().unpublished])
        self.become(self.PUBLISHER, lambda: self.spool.unpublished.forget('http://xml.zeit.de/a'))
        self.assertEqual([], self.spool.status().unpublished)


class ForkTests(OutboxTests):
    def test_a_forked_process_has_no_part_in_it(self):
        self.outbox.put('a.xml', b'<a/>')
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            answer = b'nothing'
            try:
                try:
                    self.outbox.put('b.xml', b'<b/>')
                except errors.SpoolError:
                    answer = b'refused'
                self.manager.abort()
            finally:
                os.write(write, answer)
                os._exit(0)
        os.close(write)
        with open(read, 'rb') as pipe:
            self.assertEqual(b'refused', pipe.read())
        os.waitpid(pid, 0)
        self.run_once()
        self.manager.commit()
        self.assertEqual({'a.xml': b'<a/>'}, self.waiting())
