"""A name that is taken on the server, what one file is refused, and what is left to clean up."""

import itertools
import threading
import time
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.run.exporter import Exporter
from zeit.cds.target.upload import upload_files
from zeit.cds.testing import faults, layers
from zeit.cds.testing.memory import NoLedger
from zeit.cds.tests.contract import job
from zeit.cds.tests.sampling import some
from zeit.cds.tests.scenario import PATIENCE, SHORT, Scenario, content, target
from zeit.cds.values.plan import Plan


class ExistsTests(Scenario, unittest.TestCase):
    def hook(self, event):
        """Be a server that does not overwrite."""
        if event.verb == 'RNTO' and event.moment == 'before' and event.path in event.server.files:
            event.server.fault('RNTO', faults.Reply('550 Rename: File exists.'), times=1)

    def test_72_73_replaced_where_the_server_does_not_overwrite(self):
        self.plant('a')
        self.assert_run(0, 'a b', self.export('a', 'b'))
        self.assertEqual({'a', 'b'}, set(self.remote))

    def test_73_parked_if_so_wanted(self):
        self.plant('a')
        self.assert_run(1, 'b', self.export('a', 'b', exists='park'))
        self.assertEqual((['a'], b'theirs'), (self.section('parked'), self.remote['a']))

    def test_73_no_fault_while_replacing_loses_the_old_file(self):
        actions = (
            *(faults.Cut(), faults.Cut('executed'), faults.Lie('250 x'), faults.Lie('226 x')),
            *(faults.Reply(reply) for reply in ('451 x', '550 x', '421 x')),
        )
        places = itertools.product(('RNFR', 'RNTO'), range(4), actions)
        for verb, nth, action in some(places, 5):
            with self.subTest(verb=verb, nth=nth, action=action):
                self.prepare()
                self.plant('a')
                self.fault(verb, action, path='/cds/a*', nth=nth, times=1)
                report = self.export('a')
                self.assertIn(self.remote.get('a'), (b'theirs', content('a')))
                self.assertIn(report.exit_code, (0, 1))
                self.heal()

    def test_73_a_server_that_puts_the_old_file_aside_when_the_new_one_is_there(self):
        """The answer was not waited for any longer; it came to it in the end."""
        for waits in (True, False):
            with self.subTest(waits=waits):
                self.prepare()
                self.plant('a')
                done = threading.Event()
                self.fault('RNTO', faults.Delay(done, moment='before'), path='*.aside', times=1)
                ended = faults.Call(lambda event, done=done: done.set(), moment='executed')
                self.fault('DELE', ended, path='/cds/write', times=1)
                self.assert_run(1, '', self.export('a', garbage=1, **SHORT))
                self.assertNotIn('a', self.remote)  # its old version stands aside
                if waits:
                    self.heal()
                    self.assertEqual(content('a'), self.remote['a'])
                else:
                    (self.path / 'new' / 'a').unlink()
                    self.offered.clear()
                    self.assert_run(0, '', self.export())

    def test_73_an_old_file_that_cannot_get_its_name_back_is_reported_and_gets_it_later(self):
        self.plant('a')
        self.fault('RNFR', faults.Reply('451 x'), path='*.part', nth=1)
        self.fault('RNFR', faults.Reply('451 x'), path='*.aside')
        self.theirs = {}
        self.assert_run(1, '', self.export('a', garbage=1))
        (aside,) = self.remote
        self.assertIn(f'a is called {aside} now', self.log)
        self.assertEqual(b'theirs', self.remote[aside])
        # Also from a run that has nothing to send.
        (self.path / 'new' / 'a').unlink()
        del self.offered['a']
        self.server.clear_faults()
        self.assert_run(0, '', self.export())
        self.assertEqual({'a': b'theirs'}, self.remote)

    def test_73_an_old_file_stays_away_when_the_new_one_is_taken_away(self):
        """Whoever takes it at once, or before the old one can be deleted, never gets that again."""
        for cut in (False, True):
            for at_once in (False, True):
                with self.subTest(cut=cut, at_once=at_once):
                    self.prepare()
                    self.server.put('/cds/a', b'old')
                    self.fault('DELE', faults.Reply('450 Busy.'), path='*.aside')
                    taken = []

                    def take(event, *, taken=taken):
                        taken.append(event.server.files[event.path])
                        event.server.delete(event.path)

                    actions = [faults.Call(take, moment='executed')] * at_once
                    actions += [faults.Cut('executed')] * cut
                    if actions:
                        self.fault('RNTO', *actions, path='/cds/a', nth=1, times=1)
                    self.put('a')
                    self.run_once()
                    self.assertEqual([content('a')] * at_once, taken)
                    self.server.clear_faults()
                    if not at_once:
                        self.server.delete('/cds/a')
                    # What was not seen to be delivered is taken back by its publisher.
                    (self.path / 'new' / 'a').unlink(missing_ok=True)
                    self.run_once()
                    self.assertEqual({}, self.remote)

    def test_73_an_old_file_stays_away_when_the_answer_to_the_renaming_was_untrue(self):
        """The new one was there, whatever the server has said, and was taken since."""
        self.server.put('/cds/a', b'old')
        self.fault('DELE', faults.Reply('450 Busy.'), path='*.aside')
        self.fault('RNTO', faults.Lie('550 No.'), path='/cds/a', nth=1, times=1)
        self.put('a')
        self.run_once()
        self.assertEqual(content('a'), self.server.files['/cds/a'])
        self.server.delete('/cds/a')
        (self.path / 'new' / 'a').unlink()
        self.server.clear_faults()
        self.run_once()
        self.assertEqual({}, self.remote)

    def run_once(self):
        Exporter(self.spool, target(self.server), wait=lambda seconds: None).run_once()
        self.server.wait_closed()


class RefusedTests(Scenario, unittest.TestCase):
    def test_75_a_server_that_cannot_rename_is_named_before_a_file_is_sent(self):
        for verb in ('RNFR', 'RNTO'):
            for exists in (True, False):
                with self.subTest(verb=verb, exists=exists):
                    self.prepare()
                    if exists:
                        self.plant('a')
                    self.fault(verb, faults.Reply('502 Not here.'))
                    report = self.export('a', 'b')
                    self.assertEqual(78, report.exit_code)
                    self.assertIn('set temporary="no"', report.error.hint)
                    self.assertNotIn('Uploading', self.log)
                    self.assertNotIn('write', self.remote)
                    self.assert_run(0, 'a b', self.export(temporary=False))

    def test_a_file_that_the_partner_has_in_use(self):
        """The words of the server stand first, and no other reason is made up."""
        self.plant('a')
        used = '550 The process cannot access the file: it is used by another process.'
        self.fault('RNTO', faults.Reply(used), path='/cds/a')
        self.fault('RNFR', faults.Reply(used), path='/cds/a')
        report = self.export('a', 'b')
        self.assert_run(1, 'b', report)
        ((_, reason),) = report.failed
        self.assertTrue(reason.startswith(used.rstrip('.')), reason)
        self.assertNotIn('cannot rename, set', reason)
        self.assertNotIn('directory', reason)

    def test_a_directory_has_the_name_of_a_file(self):
        self.fault('RNTO', faults.Reply('550 Rename failed.'), path='/cds/b')
        self.assert_run(1, 'a c', self.export('a', 'b', 'c'))
        self.assertIn('perhaps a directory has this name', self.log)
        self.assertNotIn('For a server that cannot rename', self.log)

    def test_a_name_that_the_server_does_not_take(self):
        """It has just renamed the lock: nobody says that it cannot rename."""
        for reply in '553 File name too long.', '550 File name too long.':
            with self.subTest(reply):
                self.prepare()
                self.fault('RNTO', faults.Reply(reply), path='/cds/a')
                report = self.export('a')
                self.assert_run(1, '', report)
                self.assertIn('does not accept it', report.failed[0][1])
                self.assertNotIn('--no-temporary', self.log)

    def test_77_no_rnto_after_a_refused_rnfr(self):
        for reply in ('550 No.', '450 No.', '250 Fine.', '226 Done.', '150 Wait.'):
            with self.subTest(reply):
                self.prepare()
                self.fault('RNFR', faults.Reply(reply))
                self.assertEqual([], self.export('a').delivered)
                self.assertEqual([], self.server.commands('RNTO'))

    def test_78_temporaries_of_others_are_not_touched(self):
        for name in ('a.part', 'a.cds0123456789abcdef-1.part', 'b.cds0123456789abcdef.aside',
                     'write.cds0123456789abcdef', '.in.a.'):  # fmt: skip
            self.plant(name)
        self.fault('STOR', faults.Alter(keep=3), path='*.part', times=1)
        self.assert_run(1, 'b', self.export('a', 'b'))

    def test_79_what_one_file_is_refused_is_nothing_to_the_others(self):
        for verb, reply in (
            ('STOR', '550 .in.a.: File exists.'),
            ('STOR', '553 Not allowed.'),
            ('STOR', '500 What?'),
            ('RNFR', '550 No.'),
            ('RNTO', '553 Not allowed.'),
            ('SIZE', '550 No.'),
        ):
            with self.subTest(verb=verb, reply=reply):
                self.prepare()
                path = '/cds/b' if verb == 'RNTO' else '/cds/b.*.part'
                self.fault(verb, faults.Reply(reply), path=path)
                self.assert_run(1, 'a c', self.export('a', 'b', 'c'))
                self.assertIn('Not delivered: b: ', self.log)
                self.heal()

    def test_80_what_is_taken_away_at_once_was_delivered(self):
        def take(event):
            event.server.delete('/cds/a')

        self.fault('RNTO', faults.Call(take, moment='executed'), path='/cds/a')
        self.spool.put('a', b'taken')
        report = self.export()
        self.assertEqual((0, ['a'], {}), (report.exit_code, report.delivered, self.remote))
        self.assertEqual(1, self.log.count('Uploading'))


class LitterTests(Scenario, unittest.TestCase):
    def test_a_server_that_deletes_nothing_gets_the_other_files(self):
        for action in (faults.Reply('550 No.'), faults.Cut(), faults.Reply('421 No.'),
                       faults.Reply('226 x'), faults.Reply('450 No.')):  # fmt: skip
            with self.subTest(action):
                self.prepare()
                self.fault('DELE', action, path='*.part')
                self.fault('STOR', faults.Alter(keep=3), path='*.part', times=1)
                self.assert_run(1, 'b c', self.export('a', 'b', 'c', garbage=1))
                self.assertIn('Left on the server, for the next run to delete: a.cds', self.log)
                self.assertLessEqual(len(self.server.commands('DELE')), 4)

    def test_a_refused_upload_that_left_an_empty_file(self):
        def create(event):
            event.server.put(event.path, b'')

        for reply in ('452 No space.', "425 Can't open data connection.", '450 No.', '553 No.'):
            with self.subTest(reply):
                self.prepare()
                self.fault('STOR', faults.Call(create), faults.Reply(reply), path='*.part')
                self.assertEqual([], self.export('a').delivered)

    def test_a_lock_that_cannot_be_read_any_more_has_not_gone(self):
        def hide(event):
            self.fault('SIZE', faults.Reply('550 Permission denied.'), path='/cds/write')

        refused = faults.Reply('550 Permission denied.')
        self.fault('RETR', faults.Call(hide), refused, path='/cds/write')
        self.assert_run(73, 'a', self.export('a', garbage=1))
        self.assertIn('write', self.remote)
        self.heal()

    def test_closing_takes_no_longer_than_a_few_seconds(self):
        session = target(self.server).open()
        session.garbage.append('a')
        self.fault('*', faults.Silence())
        self.fault(faults.GREETING, faults.Silence())
        started = time.monotonic()
        with unittest.mock.patch('zeit.cds.target.base_session.HURRY', 0.3):
            with self.assertLogs('zeit.cds', 'WARNING') as logs:
                session.close()
        self.assertLess(time.monotonic() - started, PATIENCE)
        self.assertIn('Left on the server, for the next run to delete: a', logs.output[0])


class Replace(layers.ServerTests):
    def deliver(self, data, **options):
        session = target(self.server, directory='/', **options).open()
        try:
            outcomes = upload_files(session, Plan([job('a', data)]), ledger=NoLedger())
            return [outcome.error for outcome in outcomes]
        finally:
            session.close()


class AtomicTests(Replace):
    """Whoever looks all the time sees the old file or the new one, never none or a part."""

    def test_72_replaced_atomically(self):
        versions = [bytes([number]) * 500_000 for number in range(8)]
        self.deliver(versions[0])
        seen, stop = set(), threading.Event()

        def look():
            while not stop.is_set():
                try:
                    seen.add((self.server.root / 'a').read_bytes())
                except FileNotFoundError:
                    seen.add(None)

        reader = threading.Thread(target=look)
        reader.start()
        try:
            for data in versions:
                self.assertEqual([None], self.deliver(data))
        finally:
            stop.set()
            reader.join(10)
        self.assertEqual(set(), seen - set(versions))
        self.assertGreater(len(seen), 1)


class PyFTPTests(AtomicTests, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdTests(AtomicTests, unittest.TestCase):
    layer = layers.VSFTPD


class PureFTPDTests(AtomicTests, unittest.TestCase):
    layer = layers.PUREFTPD


class ProFTPDTests(Replace, unittest.TestCase):
    layer = layers.PROFTPD

    def test_73_parked_or_replaced(self):
        self.deliver(b'old')
        (error,) = self.deliver(b'new one', exists='park')
        self.assertIsInstance(error, errors.TargetExists)
        self.assertEqual(b'old', (self.server.root / 'a').read_bytes())
        self.assertEqual([None], self.deliver(b'new one'))
        self.assertEqual([b'new one'], [p.read_bytes() for p in self.server.root.iterdir()])

    def test_74_without_temporary_names_what_exists_stays(self):
        self.deliver(b'old')
        (error,) = self.deliver(b'new one', temporary=False)
        self.assertEqual(550, error.code)
        self.assertEqual(b'old', (self.server.root / 'a').read_bytes())
