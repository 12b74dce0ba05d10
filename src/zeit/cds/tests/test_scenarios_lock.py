"""Accounts with too few rights for a lock, locks that cannot be read, answers that are not true."""

import unittest

from zeit.cds import errors, names
from zeit.cds.run.exporter import Exporter
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.sampling import SEED, every
from zeit.cds.tests.scenario import Scenario, target
from zeit.cds.values.run_options import Options


DENIED = faults.Reply('550 Permission denied.')


class RemovalTests(Scenario, unittest.TestCase):
    def test_what_is_refused_in_step_costs_no_goodbye(self):
        self.fault('DELE', faults.Reply('450 Not now.'), path='/cds/write', times=1)
        self.assert_run(0, 'a', self.export('a'))
        self.assertGreater(self.server.connected, 1)
        self.server.wait_for('QUIT', count=self.server.connected)

    def test_the_server_says_that_it_has_deleted_our_lock_and_has_not(self):
        for times in 2, None:
            with self.subTest(times):
                self.prepare()
                self.fault('DELE', faults.Reply('250 Done.'), path='/cds/write', times=times)
                self.assert_run(73, 'a', self.export('a', garbage=1))
                if times is None:
                    self.assertEqual(73, self.export(garbage=1).exit_code)
                self.server.clear_faults()
                self.assert_run(0, '', self.export())
                self.assertEqual({'a'}, set(self.remote))
                connected = self.server.connected
                self.assert_run(0, '', self.export())
                self.assertEqual(connected, self.server.connected)


class LockScenario(Scenario):
    def run_once(self, **options):
        """Run, whatever it leaves on the server; return the report."""
        with self.assertLogs('zeit.cds') as logs:
            goal = target(self.server, **options)
            report = Exporter(self.spool, goal, wait=lambda seconds: None).run_once()
        self.log = '\n'.join(logs.output)
        self.server.wait_closed()
        return report

    @property
    def present(self):
        directories = {path.removeprefix('/cds/') for path in self.server.directories}
        return {*self.remote, *directories} - {'/cds'}


class RightsTests(LockScenario, unittest.TestCase):
    """Whatever the account may not do, no lock is left that nobody can remove."""

    def prepare(self):
        super().prepare()
        with self.spool.run():
            self.spool.journal.note('rights', target=target(self.server).url, known=False)
        self.put('a')

    def test_one_right_is_missing(self):
        replies = ('550 Permission denied.', '553 No.', '500 What?', '502 Not here.')
        verbs = (('RETR', 0), ('DELE', 1), ('RNFR', 0), ('RNTO', 0), ('RMD', 1))
        for number, (verb, stays) in enumerate(verbs, SEED):
            # Each verb, with two of the replies.
            for reply in replies[number % every(2) :: every(2)]:
                with self.subTest(verb, reply=reply):
                    self.prepare()
                    self.fault(verb, faults.Reply(reply))
                    seen = set()
                    for _ in range(3):
                        report = self.run_once()
                        self.assertEqual(78, report.exit_code, report.errors)
                        self.assertNotIn('write', self.present)
                        self.assertNotIn('write.guard', self.present)
                        for name in self.present:
                            self.assertIn(f"'{name}'", report.error.advice)
                        seen |= self.present
                    self.assertEqual(stays, len(seen))
                    self.server.clear_faults()
                    self.assertEqual(['a'], self.run_once().delivered)
                    self.assertEqual({'a'}, self.present)

    def test_the_reason_is_that_of_the_last_run(self):
        reasons = []
        for verb in 'RETR', 'DELE':
            self.server.clear_faults()
            self.fault(verb, faults.Reply('550 Permission denied.'))
            self.assertEqual(78, self.run_once().exit_code)
            with self.spool.run():
                row = self.spool.journal.row('rights', target(self.server).url)
            reasons.append(row['why'])
        self.assertEqual(2, len(set(reasons)), reasons)

    def begin_anew(self):
        """Have a spool that knows nothing of the server."""
        self.path = in_memory(self)
        self.spool = Spool(self.path)
        self.put('a')

    def dry_run(self):
        """Return the report of a dry run, which makes and changes nothing."""
        said, before = len(self.server.commands()), self.present
        with self.assertLogs('zeit.cds') as logs:
            report = Exporter(self.spool, target(self.server)).run_once(Options(dry_run=True))
        self.log = '\n'.join(logs.output)
        self.server.wait_closed()
        verbs = {text.partition(' ')[0] for text in self.server.commands()[said:]}
        self.assertEqual((set(), before), (verbs & {'STOR', 'MKD', 'RMD', 'RNTO'}, self.present))
        return report

    def test_a_dry_run_says_what_is_missing(self):
        for verb, what in (('DELE', 'may not delete'), ('RNFR', 'may not rename')):
            for reply in DENIED, faults.Reply('502 Not here.'):
                with self.subTest(verb, reply=reply):
                    self.prepare()
                    self.begin_anew()
                    rule = self.fault(verb, reply)
                    self.assertEqual(0, self.dry_run().exit_code)
                    self.assertIn(what, self.log)
                    self.assertEqual(78, self.run_once().exit_code)
                    report = self.dry_run()
                    self.assertEqual(78, report.exit_code)
                    self.assertIn(what, report.error.message)
                    self.server.remove_fault(rule)
                    self.assertEqual(0, self.dry_run().exit_code)

    def test_a_dry_run_says_what_was_refused(self):
        self.begin_anew()
        self.fault('RETR', DENIED)
        self.assertEqual(78, self.run_once().exit_code)
        self.assertEqual(0, self.dry_run().exit_code)
        self.assertIn('may not read', self.log)

    def test_a_dry_run_asks_for_nothing_that_is_known(self):
        self.run_once()
        self.put('b')
        asked = len(self.server.commands('DELE RNFR'))
        self.assertEqual(0, self.dry_run().exit_code)
        self.assertEqual(asked, len(self.server.commands('DELE RNFR')))

    def test_a_dry_run_on_a_server_that_ends_the_connection(self):
        self.begin_anew()
        self.fault('DELE RNFR', faults.Cut())
        self.assertEqual(0, self.dry_run().exit_code)

    def test_several_are_missing(self):
        for verbs in ('RETR DELE', 'RETR DELE RNFR', 'DELE RNFR RMD', 'RETR SIZE'):
            with self.subTest(verbs):
                self.prepare()
                self.fault(verbs, DENIED)
                for _ in range(3):
                    report = self.run_once(size_check='SIZE' not in verbs)
                    self.assertEqual(78, report.exit_code, report.errors)
                    self.assertEqual(set(), self.present & {'write', 'write.guard'})
                    self.assertLessEqual(len(self.present), 2)
                    for name in self.present:
                        self.assertIn(f"'{name}'", report.error.advice)

    def test_what_stays_is_gone_when_it_can_be_deleted_also_with_nothing_to_send(self):
        rule = self.fault('DELE', DENIED)
        self.run_once()
        (self.path / 'new' / 'a').unlink()
        self.assertEqual(78, self.run_once().exit_code)
        self.server.remove_fault(rule)
        self.assertEqual(0, self.run_once().exit_code)
        self.assertEqual(set(), self.present)

    def test_where_files_need_not_be_renamed_an_account_that_may_not_is_enough(self):
        self.fault('RNFR', DENIED)
        self.assertEqual(['a'], self.run_once(temporary=False).delivered)
        self.assertEqual({'a'}, self.present)

    def test_an_import_does_not_rename(self):
        self.fault('RNFR', DENIED)
        with self.assertLogs('zeit.cds'):
            report = Importer(self.spool, target(self.server)).run_once()
        self.assertEqual((0, set()), (report.exit_code, self.present))

    def test_an_account_that_may_not_make_directories_is_enough(self):
        self.fault('MKD', DENIED)
        self.assertEqual(['a'], self.run_once().delivered)
        self.assertEqual({'a'}, self.present)

    def test_a_directory_whose_answer_is_lost_is_removed(self):
        for verb in ('MKD', 'RMD'):
            for moment in ('before', 'executed'):
                with self.subTest(verb, moment=moment):
                    self.prepare()
                    self.fault(verb, faults.Cut(moment), times=1)
                    self.run_once()
                    self.assertEqual(set(), self.present - {'a'})

    def test_a_guard_that_is_not_removed_at_once(self):
        for times in (1, 2, 3):
            with self.subTest(times=times):
                self.prepare()
                self.assertEqual(['a'], self.run_once().delivered)
                self.fault('RMD', faults.Reply('450 Busy.'), path='*/write.guard', times=times)
                self.put('b')
                self.assertEqual(['b'], self.run_once().delivered)
                self.server.clear_faults()
                self.run_once()  # with nothing to do
                self.assertEqual({'a', 'b'}, self.present)
                connected = self.server.connected
                self.run_once()
                self.assertEqual(connected, self.server.connected)

    def test_it_is_found_out_once(self):
        self.assertEqual(['a'], self.run_once().delivered)
        self.put('b')
        self.assertEqual(['b'], self.run_once().delivered)
        self.assertEqual(1, ' '.join(self.server.commands('DELE')).count('DELE write.cds'))
        self.assertEqual(1, ' '.join(self.server.commands('RETR')).count('RETR write.cds'))

    def test_a_server_that_merges_directories_lets_nobody_have_the_guard(self):
        self.arguments = {'merges': True}
        self.prepare()
        self.assertEqual(['a'], self.run_once().delivered)
        made = len(self.server.commands('MKD'))
        self.put('b')
        self.assertEqual(['b'], self.run_once().delivered)
        self.assertEqual(made, len(self.server.commands('MKD')))
        self.assertEqual([], [c for c in self.server.commands('RNTO') if 'guard' in c])
        self.assertEqual({'a', 'b'}, self.present)

    def test_a_server_that_began_to_merge_directories(self):
        """Somebody else is in the guard, and may have a lock: who finds that out stops."""
        self.arguments = {'merges': True}
        self.prepare()
        url = target(self.server).url
        with self.spool.run():
            self.spool.journal.note('rights', target=url, known=True)
        other = names.new_token()

        def come(event):
            self.server.make_directory(f'/cds/write.guard/{other}')

        self.fault('RMD', faults.Call(come), path='/cds/write.guard/cds*', times=1)
        report = self.run_once()
        self.assertEqual((75, {other}), (report.exit_code, report.error.tokens))
        with self.spool.run():
            self.assertFalse(self.spool.journal.row('rights', url)['guard'])
        self.server.remove_directory(f'/cds/write.guard/{other}')
        self.assertEqual(['a'], self.run_once().delivered)
        self.assertEqual({'a'}, self.present)

    def test_a_right_that_is_taken_away_later_is_looked_for_again(self):
        for verb, first in (('RETR', 0), ('DELE', 73), ('RMD', 73), ('RNFR', 78)):
            with self.subTest(verb):
                self.prepare()
                self.assertEqual(0, self.run_once().exit_code)
                self.put('b')
                self.fault(verb, DENIED)
                report = self.run_once()
                self.assertEqual(first, report.exit_code, report.errors)
                self.assertEqual(first == 73, bool(self.present & {'write', 'write.guard'}))
                if not first:  # it was removed all the same: nothing more is sent
                    self.put('d')
                    self.assertEqual(78, self.run_once().exit_code)
                    self.assertEqual(set(), self.present & {'write', 'write.guard'})
                self.server.clear_faults()
                if verb != 'RNFR':
                    before = len(self.server.commands('RETR'))
                    self.put('c')
                    self.assertEqual(0, self.run_once().exit_code)
                    self.assertIn('RETR write.cds', ' '.join(self.server.commands('RETR')[before:]))
                self.assertEqual(0, self.run_once().exit_code)
                self.assertEqual(set(), self.present & {'write', 'write.guard'})


class UnreadableTests(Scenario, unittest.TestCase):
    """A lock of somebody else, which our account may not read."""

    def test_it_is_a_lock_and_no_error(self):
        for reply in ('550 Permission denied.', '450 In use by another process.', '451 No.'):
            for left in ((), ('open',), ('closed',)):
                with self.subTest(reply, left=left):
                    self.prepare()
                    url = target(self.server).url
                    with self.spool.run():
                        token = self.spool.journal.new_token(url) if left else None
                        if 'closed' in left:
                            self.spool.journal.note('clean', token=token)
                    self.plant('write')
                    self.fault('RETR', faults.Reply(reply), path='*/write')
                    report = self.export('a')
                    self.assertEqual(75, report.exit_code, report.errors)
                    self.assertIsInstance(report.error, errors.Locked)
                    self.assertIn(reply, report.error.holder)
                    self.assertEqual(b'theirs', self.remote['write'])
                    with self.spool.run():  # it may be ours
                        self.assertEqual('open' in left, bool(self.spool.journal.open_tokens(url)))
                    self.server.clear_faults()
                    self.server.delete('/cds/write')
                    del self.theirs['write']
                    self.assert_run(0, 'a', self.export())


class ReleaseTests(LockScenario, unittest.TestCase):
    """What is seen when the lock is removed decides whether the next run looks again."""

    def test_an_answer_that_is_not_true(self):
        """The lock is there, and the server denies it: the next run, an idle one, removes it."""
        for files in ((), ('a',)):
            with self.subTest(files):
                self.prepare()
                self.put(*files or ('b',))
                for verb in ('RETR', 'SIZE'):
                    self.fault(verb, faults.Reply('550 No such file.'), path='*/write', nth=1)
                if not files:
                    self.fault('STOR', faults.Reply('553 No.'), path='*.part')
                report = self.run_once()
                self.assertEqual(73, report.exit_code, report.errors)
                self.assertIn('write', self.remote)
                self.server.clear_faults()
                (self.path / 'new' / 'b').unlink(missing_ok=True)
                report = self.run_once()
                self.assertEqual((0, set(files)), (report.exit_code, set(self.remote)))

    def test_it_was_taken_over(self):
        def take_over(event):
            event.server.put('/cds/write', b'partner')

        self.fault('RNTO', faults.Call(take_over), path='*/a')
        self.put('a')
        report = self.run_once()
        self.assertEqual((75, ['a']), (report.exit_code, report.delivered))
        self.assertTrue(report.error.lost)
        self.assertRegex(self.log, 'ERROR.*It says: partner')
        self.assertEqual(b'partner', self.remote['write'])
