"""What a transaction has left goes in its turn: not over a newer version, not after an abort."""

import datetime
import errno
import fcntl
import os
import shutil
import unittest.mock

import zope.component

from zeit.cds import errors
from zeit.cds.interfaces import IExporter, IFilePut, ISpool, ITransactionOutcome, IWakeUp
from zeit.cds.journal import append_log
from zeit.cds.publish.tests.test_outbox import Other, OutboxTests
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.wake import wake_exporters
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered


class DoubtTests(OutboxTests):
    """`a.xml`, of a process that died after its vote; a target that takes everything."""

    def setUp(self):
        super().setUp()
        self.target = MemoryTarget()
        self.answer = None
        zope.component.provideAdapter(
            lambda spool: unittest.mock.Mock(committed=lambda doubt: self.answer),
            (ISpool,),
            ITransactionOutcome,
        )

    def vote(self, data=b'<doubt/>'):
        # What a kill leaves: its lock is free.
        with self.spool.batch() as batch:
            batch.put('a.xml', data)
            batch.prepare(description='a', asks=True)

    def export(self, answer=None):
        """Make a run, in which the application has this answer; return what the partner has."""
        self.answer = answer
        with self.assertLogs('zeit.cds', 'WARNING') as logs:
            Exporter(self.spool, self.target).run_once()
        self.log = '\n'.join(logs.output)
        return self.target.files.get('a.xml')

    def parked(self):
        return [name for name, _ in self.spool.status().parked]

    def assert_parked(self):
        self.assertEqual((['a.xml'], []), (self.parked(), self.left()))
        self.assertIn('parked because there is a newer version: a.xml', self.log)
        self.assertNotIn('put into new/', self.log)

    def test_not_over_a_newer_one_that_was_delivered(self):
        self.vote()
        self.spool.put('a.xml', b'<newer/>')
        self.assertEqual(b'<newer/>', self.export())
        self.assertEqual(b'<newer/>', self.export(True))
        self.assert_parked()

    def test_not_over_one_whose_copy_is_gone(self):
        self.vote()
        self.spool.put('a.xml', b'<newer/>')
        self.export()
        (self.path / 'cur' / 'a.xml').unlink()
        self.assertEqual(b'<newer/>', self.export(True))
        self.assert_parked()

    def test_not_over_a_newer_one_that_waits(self):
        self.vote()
        self.spool.put('a.xml', b'<newer/>')
        self.assertEqual(b'<newer/>', self.export(True))
        self.assert_parked()

    def test_not_over_a_newer_one_with_an_old_date(self):
        """cp -p and rsync -t keep the time of the content."""
        self.vote()
        self.spool.put('a.xml', b'<newer/>')
        os.utime(self.path / 'new' / 'a.xml', (1, 1))
        self.assertEqual(b'<newer/>', self.export(True))
        self.assert_parked()

    def test_it_goes_over_an_older_one_that_was_delivered_since(self):
        self.spool.put('a.xml', b'<older/>')
        self.vote()
        self.assertEqual(b'<older/>', self.export())
        self.assertEqual(b'<doubt/>', self.export(True))
        self.assertEqual([], self.parked())
        self.assertIn('put into new/: a.xml', self.log)

    def test_it_goes_over_one_that_was_delivered_before(self):
        self.spool.put('a.xml', b'<older/>')
        Exporter(self.spool, self.target).run_once()
        self.vote()
        self.assertEqual(b'<doubt/>', self.export(True))

    def test_it_goes_over_an_older_one_that_was_delivered_since_and_is_gone(self):
        self.spool.put('a.xml', b'<older/>')
        self.vote()
        self.export()
        (self.path / 'cur' / 'a.xml').unlink()
        self.assertEqual(b'<doubt/>', self.export(True))

    def test_not_over_a_newer_one_whatever_the_clock_says(self):
        for year in (2001, 2101):
            with (
                self.subTest(year),
                unittest.mock.patch('zeit.cds.journal.append_log.datetime') as clock,
            ):
                now = datetime.datetime(year, 2, 3, tzinfo=datetime.UTC)
                clock.datetime.now.return_value = now
                self.setUp()
                self.spool.put('a.xml', b'<older/>')
                self.vote()
                self.export()
                self.spool.put('a.xml', b'<newer/>')
                self.assertEqual(b'<newer/>', self.export())
                self.assertEqual(b'<newer/>', self.export(True))
                self.assert_parked()

    def test_what_is_parked_so_is_brought_back_only_by_who_wants_the_older_one(self):
        self.vote()
        self.spool.put('a.xml', b'<newer/>')
        self.export(True)
        with self.spool.run():
            with self.assertRaisesRegex(errors.FileError, 'number 1, .* newer .*number 2, '):
                self.spool.retry('a.xml')
            self.spool.retry('a.xml', older=True)
        Exporter(self.spool, self.target).run_once()
        self.assertEqual(b'<doubt/>', self.target.files['a.xml'])

    def test_of_two_in_doubt_the_earlier_one_is_known_first(self):
        self.vote(b'<first/>')
        self.vote(b'<second/>')
        answers = {1: True}
        zope.component.provideAdapter(
            lambda spool: unittest.mock.Mock(
                committed=lambda doubt: answers.get(doubt.numbers['a.xml'])
            ),
            (ISpool,),
            ITransactionOutcome,
        )
        self.assertEqual(b'<first/>', self.export())
        answers[2] = True
        self.assertEqual(b'<second/>', self.export())
        self.assertEqual([], self.parked())

    def test_it_goes_over_an_older_one_whose_mode_was_changed_since(self):
        """chmod -R, chown -R and rename(2) renew the time of the inode."""
        self.spool.put('a.xml', b'<older/>')
        self.vote()
        os.chmod(self.path / 'new' / 'a.xml', 0o640)
        self.assertEqual(b'<doubt/>', self.export(True))
        self.assertEqual([], self.parked())

    def test_it_goes_over_an_older_one_that_a_killed_run_had_taken(self):
        self.spool.put('a.xml', b'<older/>')
        with self.spool.run():
            self.spool._filing.take('a.xml')
        self.vote()
        self.assertEqual(b'<doubt/>', self.export(True))
        self.assertEqual([], self.parked())

    def test_of_two_in_doubt_the_later_one(self):
        for number in range(8):
            with self.subTest(number):
                for data in (b'<first/>', b'<second/>'):
                    self.vote(data)
                self.assertEqual(b'<second/>', self.export(True))
                self.assertEqual([], self.left())
                shutil.rmtree(self.path)
                self.path.mkdir()


class OvertakenTests(OutboxTests):
    """Between the vote and the end of a transaction somebody else puts a file of that name."""

    def commit(self, meanwhile):
        self.outbox.put('a.xml', b'<a/>')
        self.outbox.put('b.xml', b'<b/>')
        Other(self.manager, key='~~').tpc_vote = lambda current: meanwhile()
        self.manager.commit()

    def test_a_newer_one_that_waits_stays(self):
        self.commit(lambda: self.spool.put('a.xml', b'<newer/>'))
        self.assertEqual({'a.xml': b'<newer/>', 'b.xml': b'<b/>'}, self.waiting())
        self.assertEqual([], self.left())

    def assert_the_newer_one_stays(self, later=lambda: None):
        """One that was delivered since the vote is not followed by the older one."""
        target = MemoryTarget()

        def deliver():
            self.spool.put('a.xml', b'<newer/>')
            Exporter(self.spool, target).run_once()
            later()

        with self.assertLogs('zeit.cds', 'INFO'):
            self.commit(deliver)
            self.assertNotIn('a.xml', self.waiting())
            Exporter(self.spool, target).run_once()
        self.assertEqual({'a.xml': b'<newer/>', 'b.xml': b'<b/>'}, target.files)
        self.assertEqual(['a.xml'], [name for name, _ in self.spool.status().parked])

    def test_a_newer_one_that_was_delivered_is_not_followed_by_the_older_one(self):
        self.assert_the_newer_one_stays()

    def test_nor_when_the_sequence_was_shortened_since(self):
        with unittest.mock.patch.object(append_log.JSONLog, 'is_full', True):
            self.assert_the_newer_one_stays(self.see_another)

    def test_nor_when_the_sequence_was_held_for_ever_and_replaced(self):
        def replace():
            with open(self.path / remembered.JOURNAL, 'rb') as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                self.see_another()

        with unittest.mock.patch('zeit.cds.journal.append_log.PATIENCE', 0.02):
            self.assert_the_newer_one_stays(replace)

    def test_a_newer_file_stays_where_the_sequence_was_lost(self):
        self.assert_the_newer_one_stays((self.path / remembered.JOURNAL).unlink)

    def see_another(self):
        """Let the sequence begin anew, as a run sees a file that somebody has moved there."""
        journal, another = self.path / remembered.JOURNAL, self.path / 'new' / 'another.xml'
        another.write_bytes(b'')
        before = journal.stat().st_ino
        with self.spool.run():
            self.spool.pending()
        self.assertNotEqual(before, journal.stat().st_ino)
        another.unlink()

    def test_one_that_came_by_a_rename_is_seen_by_a_run(self):
        self.commit(lambda: (self.path / 'new' / 'a.xml').write_bytes(b'<newer/>'))
        self.assertEqual({'a.xml': b'<newer/>', 'b.xml': b'<b/>'}, self.waiting())
        with self.assertLogs('zeit.cds', 'WARNING'):
            self.run_once()
        self.assertEqual(['a.xml'], [name for name, _ in self.spool.status().parked])

    def test_a_put_that_was_killed_is_no_newer_one(self):
        def killed():
            with unittest.mock.patch('os.replace', side_effect=ZeroDivisionError):
                with self.assertRaises(ZeroDivisionError):
                    self.spool.put('a.xml', b'<newer/>')

        self.commit(killed)
        with self.assertLogs('zeit.cds', 'WARNING'):
            self.run_once()
        self.assertEqual({'a.xml': b'<a/>', 'b.xml': b'<b/>'}, self.waiting())

    def test_a_sequence_that_is_held_for_ever_keeps_what_was_committed_safe(self):
        def hold():
            file = self.enterContext(open(self.path / remembered.JOURNAL, 'rb'))
            fcntl.flock(file, fcntl.LOCK_EX)

        with (
            unittest.mock.patch('zeit.cds.journal.append_log.PATIENCE', 0.02),
            self.assertLogs('zeit.cds', 'WARNING') as logs,
        ):
            self.commit(hold)
            self.assertEqual({}, self.waiting())
            self.run_once()
        self.assertIn('Committed, but not filed yet: a.xml, b.xml: Process', logs.output[0])
        self.assertEqual({'a.xml': b'<a/>', 'b.xml': b'<b/>'}, self.waiting())


class OneOfThemTests(OutboxTests):
    """One file of a transaction has no place: a directory has its name."""

    def test_the_vote_refuses_it(self):
        (self.path / 'new' / 'a.xml').mkdir(parents=True)
        self.outbox.put('a.xml', b'<a/>')
        with self.assertRaisesRegex(errors.SpoolError, 'new/a.xml: Is a directory') as caught:
            self.manager.commit()
        self.assertIn('move the directory out of the way', caught.exception.hint)
        self.manager.abort()
        self.assertEqual([], self.left())

    def test_a_spool_that_has_gone(self):
        self.outbox.put('a.xml', b'<a/>')
        shutil.rmtree(self.path)
        self.addCleanup(self.path.mkdir)
        with self.assertRaisesRegex(errors.SpoolError, f'There is no spool at {self.path}'):
            self.manager.commit()

    def test_a_file_without_a_place_does_not_hold_up_the_others(self):
        told = []
        zope.component.provideHandler(lambda event: told.append(event.name), (IFilePut,))
        for name in ('a.xml', 'b.xml', 'c.xml'):
            self.outbox.put(name, b'')
        place = self.path / 'new' / 'a.xml'
        Other(self.manager, key='~~').tpc_vote = lambda current: place.mkdir()
        with self.assertLogs('zeit.cds.publish.outbox', 'CRITICAL') as logs:
            self.manager.commit()
        self.assertIn('Committed, but not filed yet: a.xml: The spool cannot', logs.output[0])
        self.assertIn('move the directory out of the way', logs.output[0])
        self.assertEqual(['b.xml', 'c.xml'], told)
        self.assertEqual({'b.xml', 'c.xml'}, {e.name for e in self.spool.pending()[0]})
        (doubt,) = self.spool.status().in_doubt
        self.assertEqual(('a.xml',), doubt.names)
        with self.assertLogs('zeit.cds.spool.transactions_in_doubt', 'WARNING') as logs:
            self.run_once()
        self.assertIn('new/a.xml: Is a directory. A file needs this name', logs.output[-1])
        self.assertNotIn('died', ''.join(logs.output))
        place.rmdir()
        with self.assertLogs('zeit.cds.spool.transactions_in_doubt', 'WARNING'):
            self.run_once()
        self.assertTrue(place.is_file())
        self.assertEqual([], self.left())


class AbortTests(OutboxTests):
    """The file system is read-only for a moment, just when a transaction is aborted."""

    def setUp(self):
        super().setUp()
        self.at_exit = self.enterContext(unittest.mock.patch('zeit.cds.spool.batch.atexit'))
        self.addCleanup(self.spool._aborted.remove)
        self.outbox.put('a.xml', b'<a/>')
        real = os.unlink

        def unlink(path, *args, **kw):
            if str(path).endswith('/prepared'):
                raise OSError(errno.EROFS, 'Read-only file system', path)
            return real(path, *args, **kw)

        Other(self.manager, failing='tpc_vote', key='~~')
        with (
            unittest.mock.patch('os.unlink', unlink),
            self.assertLogs('zeit.cds.publish.outbox', 'ERROR') as logs,
            self.assertRaises(ZeroDivisionError),
        ):
            self.manager.commit()
        self.log = logs.output[0]

    def other_process(self):
        """Make a run as another process would: without what this one knows."""
        with Spool(self.path).run():
            pass

    def test_it_says_what_may_happen(self):
        self.assertIn('Aborted, but not removed yet: a.xml: The spool cannot be used: ', self.log)
        self.assertIn('Read-only file system', self.log)
        self.assertIn('Should it be killed before that, they are in doubt.', self.log)

    def test_no_run_files_it(self):
        self.other_process()
        self.assertEqual(({}, []), (self.waiting(), self.spool.status().in_doubt))

    def assert_removed(self, before):
        self.assertEqual(1, len(before))
        self.assertNotIn(before[0], self.left())
        self.other_process()
        self.assertNotIn('a.xml', self.waiting())

    def test_it_is_removed_with_the_next_file(self):
        before = self.left()
        self.spool.put('b.xml', b'')
        self.assert_removed(before)

    def test_it_is_removed_with_the_next_transaction(self):
        before = self.left()
        with self.manager:
            self.outbox.put('b.xml', b'')
        self.assert_removed(before)

    def test_it_is_removed_with_the_next_run(self):
        before = self.left()
        self.run_once()
        self.assert_removed(before)

    def test_it_is_removed_at_the_end_of_the_process(self):
        before = self.left()
        self.at_exit.register.assert_called_once_with(self.spool._aborted.remove)
        self.spool._aborted.remove()
        self.assert_removed(before)
        self.at_exit.unregister.assert_called_with(self.spool._aborted.remove)


class WakeTests(OutboxTests):
    def test_a_transaction_wakes_each_exporter_once(self):
        waker = unittest.mock.Mock()
        told = []
        zope.component.provideHandler(wake_exporters)
        zope.component.provideHandler(lambda event: told.append(event.name), (IFilePut,))
        zope.component.provideUtility(Exporter(self.spool, MemoryTarget()), IExporter, name='e')
        zope.component.provideUtility(waker, IWakeUp)
        for name in ('a', 'b', 'c'):
            self.outbox.put(name, b'')
        self.manager.commit()
        self.assertEqual(['a', 'b', 'c'], told)
        self.assertEqual([unittest.mock.call('e')], waker.wake.call_args_list)
        self.spool.put('d', b'')
        self.assertEqual(2, waker.wake.call_count)
