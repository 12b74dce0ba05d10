"""Without temporary names: an older file is told from half a new one, and never deleted for it."""

import datetime
import signal
import tempfile
import threading
import unittest

from zeit.cds import errors
from zeit.cds.run.exporter import Exporter
from zeit.cds.target.upload_in_place import Existing
from zeit.cds.testing import faults, layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.killing import Process
from zeit.cds.tests.scenario import SHORT, Scenario, content, target


EARLY = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
LATE = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)

#: How long the new file is.
SIZE = 10


class StandingTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.asked = []
        self.told = True
        self.target = MemoryTarget(hook=self.hook)
        self.target.write('write', b'')

    def hook(self, operation, name):
        self.asked.append(operation)
        if operation in ('size', 'modified') and not self.told:
            raise errors.PermanentError(500, '500 What?')

    def place(self, size, time):
        """Let there be a file of that length and time, or none."""
        self.target.files.pop('a', None)
        if size is not None:
            self.target.files['a'] = b'x' * size
            self.target.modified['a'] = time

    def existing(self, facts=None):
        """Return a `Existing`, over a listing that tells all, or only `facts` about it."""
        session = self.target.open()
        if facts is not None:
            session.facts = lambda: facts
            session.is_shown = lambda present: 'write' in present
        return Existing(session)

    def is_part(self, then, now, *, waits=True, facts=None):
        self.place(*then)
        before = self.existing(facts and facts[0]).look('a')
        self.place(*now)
        existing = self.existing(facts and facts[1])
        return existing.is_part('a', size=SIZE, before=before, waits=waits)

    NOTHING = (None, None)

    def test_what_is_unchanged_stays(self):
        for size in (0, 5, SIZE, 15):
            for waits in (True, False):
                with self.subTest(size=size, waits=waits):
                    self.assertFalse(self.is_part((size, EARLY), (size, EARLY), waits=waits))

    def test_what_has_changed_was_overwritten(self):
        for then in (self.NOTHING, (5, EARLY), (SIZE, EARLY), (15, EARLY)):
            for size, waits in ((0, True), (0, False), (7, True), (7, False), (SIZE, True)):
                with self.subTest(then=then, size=size, waits=waits):
                    self.assertTrue(self.is_part(then, (size, LATE), waits=waits))

    def test_what_is_complete_and_will_not_be_sent_again_stays(self):
        for then in (self.NOTHING, (5, EARLY), (SIZE, EARLY), (15, EARLY)):
            with self.subTest(then=then):
                self.assertFalse(self.is_part(then, (SIZE, LATE), waits=False))

    def test_what_is_longer_than_what_was_sent_is_no_part_of_it(self):
        for then in (self.NOTHING, (5, EARLY)):
            with self.subTest(then=then):
                self.assertFalse(self.is_part(then, (SIZE + 1, LATE)))

    def test_what_is_gone_is_gone(self):
        for then in (self.NOTHING, (5, EARLY)):
            self.assertFalse(self.is_part(then, self.NOTHING))

    def test_the_listing_alone_is_asked(self):
        self.assertTrue(self.is_part((5, EARLY), (7, LATE)))
        self.assertEqual(['open', 'facts', 'open', 'facts'], self.asked)
        self.assertIsNone(self.existing().look('b'))
        self.assertNotIn('size', self.asked)

    def test_a_server_whose_listing_has_names_only_is_asked_about_this_one(self):
        facts = {'write': (None, None), 'a': (None, None)}
        for now, expected in (((5, EARLY), False), ((5, LATE), True), ((7, EARLY), True)):
            with self.subTest(now):
                self.asked.clear()
                self.assertEqual(expected, self.is_part((5, EARLY), now, facts=(facts, facts)))
                self.assertEqual(['open', 'size', 'modified'] * 2, self.asked)

    def test_without_times_another_length_is_all_that_tells(self):
        """One of the same length may be half of the new one: it stays, as it may be the old one."""

        def facts(size):
            return {'write': (None, None), 'a': (size, None)}

        self.told = False
        for size, expected in ((5, False), (7, True), (0, True)):
            with self.subTest(size):
                now = facts(5), facts(size)
                self.assertEqual(expected, self.is_part((5, EARLY), (size, LATE), facts=now))

    def test_a_server_that_tells_nothing_at_all(self):
        self.told = False
        lock, both = {'write': (None, None)}, {'write': (None, None), 'a': (None, None)}
        self.assertFalse(self.is_part((5, EARLY), (7, LATE), facts=(both, both)))
        self.assertTrue(self.is_part(self.NOTHING, (7, LATE), facts=(lock, both)))

    def test_a_listing_that_does_not_show_our_lock_proves_nothing(self):
        """It is cut off, as Pure-FTPd does after 10,000 names: the server is asked."""
        for now, expected in (((5, EARLY), False), ((7, LATE), True)):
            shown = {'a': (now[0], now[1])}
            with self.subTest(now):
                self.assertEqual(expected, self.is_part((5, EARLY), now, facts=({}, shown)))
        self.assertTrue(self.is_part(self.NOTHING, (7, LATE), facts=({}, {'a': (7, LATE)})))
        self.told = False
        self.assertEqual([None, None], self.existing({}).look('a'))

    def test_a_name_that_is_in_no_listing_may_have_been_there_before(self):
        hidden = {'write': (None, None)}
        self.assertFalse(self.is_part((5, EARLY), (5, EARLY), facts=(hidden, {})))

    def test_what_was_sent_in_this_run(self):
        self.place(5, EARLY)
        existing = self.existing()
        existing.look('a')
        existing.mark_partial('a')
        self.assertIsNone(existing.look('a'))
        self.place(7, LATE)
        existing.mark_complete('a', size=7)
        self.assertEqual([7, LATE.isoformat()], existing.look('a'))


class KilledTests(Scenario, unittest.TestCase):
    """The process is killed, what waited is taken away, and an older file was there."""

    OLD = b'delivered long ago, and complete'

    def kill(self, *actions, moment='before'):
        """Run in a process of its own; kill it at STOR, which the server answers by `actions`."""

        def kill(event):
            process.kill()

        self.put('a')
        goal = target(self.server, temporary=False)
        log = self.enterContext(tempfile.NamedTemporaryFile()).name
        self.fault('STOR', faults.Call(kill, moment=moment), *actions, path='/cds/a', times=1)
        process = Process(lambda: Exporter(self.spool, goal).run_once().exit_code, log=log)
        self.assertEqual(-signal.SIGKILL, process.run())
        self.server.wait_closed()

    def take_away(self):
        (self.path / 'new' / 'a').unlink()
        del self.offered['a']
        self.server.clear_faults()
        self.assert_run(0, '', self.export(temporary=False))
        self.assertEqual([], [name for name in self.remote if name.startswith('write')])

    def plant_old(self):
        self.prepare()
        self.plant('a', self.OLD)

    def test_before_stor_the_older_file_stays(self):
        """It was deleted, and with nothing left in new/ nothing took its place."""
        self.plant_old()
        self.kill(faults.Cut())
        self.take_away()
        self.assertEqual({'a': self.OLD}, self.remote)

    def test_before_stor_of_a_file_of_the_same_length(self):
        self.plant_old()
        self.plant('a', b'x' * len(content('a')))
        self.kill(faults.Cut())
        self.take_away()
        self.assertEqual(self.theirs, self.remote)

    def test_half_of_the_new_one_is_removed_and_the_older_one_is_lost(self):
        self.plant_old()
        self.kill(faults.Alter(keep=5), moment='executed')
        del self.theirs['a']
        self.take_away()
        self.assertEqual({}, self.remote)

    def test_all_of_the_new_one_stays(self):
        """It was only not confirmed."""
        for old in (True, False):
            with self.subTest(old=old):
                self.prepare()
                if old:
                    self.plant('a', self.OLD)
                self.kill(moment='executed')
                self.theirs['a'] = content('a')
                self.take_away()
                self.assertEqual({'a': content('a')}, self.remote)

    def test_all_of_the_new_one_is_sent_again_if_it_waits(self):
        """It is deleted first: a server that does not overwrite would refuse it for ever."""
        self.kill(moment='executed')
        self.server.clear_faults()
        self.fault('STOR', faults.Reply('550 File exists.'), path='/cds/a', nth=2)
        self.assert_run(0, 'a', self.export(temporary=False))
        self.assertIn('DELE a', self.server.commands('DELE'))


class FailedTests(Scenario, unittest.TestCase):
    """The same without a kill: the connection breaks before or after the server began to store."""

    def test_the_older_file_stays_if_stor_was_never_executed(self):
        self.plant('a', b'old')
        self.fault('STOR', faults.Cut(), path='/cds/a')
        self.assert_run(1, '', self.export('a', temporary=False))
        self.assertEqual({'a': b'old'}, self.remote)
        self.assertNotIn('DELE a', self.server.commands('DELE'))

    def test_what_the_server_had_begun_to_overwrite_is_removed(self):
        self.plant('a', b'old')
        self.fault('STOR', faults.CutData(10), path='/cds/a')
        self.assert_run(1, '', self.export('a', temporary=False))
        self.assertEqual({}, self.remote)
        self.theirs = {}
        self.heal(temporary=False)

    def test_a_correction_in_the_same_run(self):
        """What was delivered first is the older file of the second delivery."""

        def correct(event):
            self.spool.put('a', b'corrected')
            self.fault('STOR', faults.Cut(), path='/cds/a')

        self.fault('STOR', faults.Call(correct, moment='executed'), path='/cds/a', times=1)
        self.put('a')
        goal = target(self.server, temporary=False)
        with self.assertLogs('zeit.cds', 'DEBUG'):
            report = Exporter(self.spool, goal, wait=lambda seconds: None).run_once()
        self.server.wait_closed()
        self.assertEqual(1, report.exit_code)
        self.assertEqual({'a': content('a')}, self.remote)
        self.assertNotIn('DELE a', self.server.commands('DELE'))
        self.offered['a'] = b'corrected'
        self.server.clear_faults()
        with self.assertLogs('zeit.cds', 'DEBUG'):
            Exporter(self.spool, goal, wait=lambda seconds: None).run_once()
        self.assertEqual({'a': b'corrected'}, self.remote)

    def test_one_listing_in_each_run(self):
        self.export(*'abc', temporary=False)
        without = len(self.server.commands('MLSD'))
        self.prepare()
        self.export('a', temporary=False)
        self.assertEqual(without, len(self.server.commands('MLSD')))
        self.assertEqual([], self.server.commands('MDTM'))
        self.prepare()
        self.export('a')
        self.assertEqual(without - 1, len(self.server.commands('MLSD')))


class LateTests(Scenario, unittest.TestCase):
    """An answer is not waited for any longer, and the server comes to the command in the end."""

    def take_away(self):
        """Somebody took the file out of new/, so that nobody sends it again."""
        (self.path / 'new' / 'a').unlink()
        del self.offered['a']

    def test_a_part_is_deleted_when_the_whole_file_could_have_taken_its_place(self):
        done = threading.Event()
        self.fault('STOR', faults.CutData(5), path='/cds/a', times=1)
        self.fault('DELE', faults.Delay(done, moment='before'), path='/cds/a', times=1)
        ended = faults.Call(lambda event: done.set(), moment='executed')
        self.fault('DELE', ended, path='/cds/write', times=1)
        self.assert_run(1, '', self.export('a', temporary=False, **SHORT))
        self.assertNotIn('a', self.remote)
        self.heal(temporary=False)

    def test_a_part_begins_when_nobody_sends_it_any_more(self):
        self.fault('STOR', faults.Silence(), path='/cds/a')
        self.assert_run(1, '', self.export('a', temporary=False, **SHORT))
        self.assertEqual(1, len(self.server.commands('STOR')) - 1, 'beside that of the lock')
        self.server.put('/cds/a', b'')
        self.take_away()
        self.server.clear_faults()
        self.assert_run(0, '', self.export(temporary=False))
        self.assertEqual({}, self.remote)

    def test_after_an_answer_it_is_tried_again(self):
        self.fault('STOR', faults.CutData(5), path='/cds/a', times=1)
        self.assert_run(0, 'a', self.export('a', temporary=False))

    def test_a_part_that_could_not_be_deleted_is_not_forgotten(self):
        """The server took no more logins, so the second attempt had not begun when it failed."""
        self.fault('STOR', faults.CutData(5), path='/cds/a')
        self.fault(faults.GREETING, faults.Reply('421 x'), nth=1)
        self.put('a')
        goal = target(self.server, temporary=False)
        with self.assertLogs('zeit.cds', 'DEBUG'):
            Exporter(self.spool, goal, wait=lambda seconds: None).run_once()
        self.server.wait_closed()
        self.assertEqual({'a', 'write'}, set(self.remote))
        self.take_away()
        self.server.clear_faults()
        self.assert_run(0, '', self.export(temporary=False))
        self.assertEqual({}, self.remote)

    def test_a_file_that_may_have_got_its_name_is_not_sent_again(self):
        """Or a late RNTO could replace a correction that went in the same run."""
        self.fault('RNTO', faults.Silence('executed'), path='/cds/a', times=1)
        self.fault('SIZE', faults.Cut(), path='*.part', nth=1, times=4)
        self.assert_run(1, '', self.export('a', **SHORT))
        sent = self.parts()
        self.heal()
        self.assertEqual(sent, self.parts())

    def parts(self):
        return [command for command in self.server.commands('STOR') if '.part' in command]

    def test_a_late_temporary_is_removed_by_an_idle_run(self):
        self.fault('STOR', faults.Cut(), path='*.part', times=1)
        self.assert_run(0, 'a', self.export('a'))
        late, _ = self.parts()
        self.server.put(f'/cds/{late.removeprefix("STOR ")}', b'')
        self.assert_run(0, '', self.export())
        self.assertEqual(['a'], sorted(self.remote))
        connected = self.server.connected
        self.assert_run(0, '', self.export())
        self.assertEqual(connected, self.server.connected)
