"""A lock removed by a person: only the one that was shown, whatever happens meanwhile."""

import itertools
import signal
import tempfile
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.credentials import Secret
from zeit.cds.lock import holder, unlocking
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import faults, layers
from zeit.cds.tests.killing import Killer, Process
from zeit.cds.tests.scenario import target


TOKEN = 'cds0123456789abcdef'
FOREIGN = b'cdsfedcba9876543210 zeit.cds, host elsewhere, pid 4711\n'


class Races(unittest.TestCase):
    """With a server where things happen between the look and what follows."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.server = self.enterContext(faults.FaultServer({'/write': FOREIGN}))
        target = FTPTarget.from_options(
            host=self.server.host,
            port=self.server.port,
            user='test',
            password=Secret('testpw'),
            reply_timeout=5,
        )
        self.session = target.open()
        self.addCleanup(self.session.close)

    def shown(self, number=0):
        return unlocking.locks(self.session)[number]

    def remove(self, found):
        with self.assertLogs('zeit.cds', 'DEBUG') as logged:
            remover = unlocking.Remover(self.session)
            try:
                remover.remove(found)
            finally:
                self.errors = [r.getMessage() for r in logged.records if r.levelname == 'ERROR']
        return remover

    def test_the_order(self):
        self.remove(self.shown())
        rnfr, rnto, retr, dele = self.server.commands('RNFR', 'RNTO', 'RETR', 'DELE')[-4:]
        self.assertEqual('RNFR write', rnfr)
        apart = rnto.removeprefix('RNTO ')
        self.assertRegex(apart, r'^write\.cds[0-9a-f]{16}\.broken$')
        self.assertEqual([f'RETR {apart}', f'DELE {apart}'], [retr, dele])
        self.assertEqual({}, self.server.files)

    def assert_changed(self, found):
        with self.assertRaises(errors.Locked) as caught:
            self.remove(found)
        self.assertEqual(75, caught.exception.exit_code)
        self.assertIn('no longer the one that was shown', caught.exception.holder)

    def test_another_one_gets_its_name_back(self):
        found = self.shown()
        self.server.put('/write', b'another one')
        self.assert_changed(found)
        self.assertEqual({'/write': b'another one'}, self.server.files)
        self.assertEqual([], self.errors)

    def test_another_one_with_the_same_content(self):
        self.server.put('/write', b'Lock file', modified=1_700_000_000)
        found = self.shown()
        self.server.put('/write', b'Lock file', modified=1_700_000_100)
        self.assert_changed(found)
        self.assertEqual({'/write': b'Lock file'}, self.server.files)

    def test_another_one_and_yet_another_one(self):
        found = self.shown()
        self.server.put('/write', b'second')

        def third(event):
            self.server.put('/write', b'third')

        self.server.fault('RNTO', faults.Call(third, moment='executed'), times=1)
        self.assert_changed(found)
        self.assertEqual(b'third', self.server.files['/write'])
        self.assertEqual({b'second', b'third'}, set(self.server.files.values()))
        self.assertRegex(self.errors[0], r"Left on the server as 'write\.cds.*there is a new")

    def test_its_owner_is_faster(self):
        found = self.shown()
        self.server.delete('/write')
        self.remove(found)
        self.assertEqual({}, self.server.files)

    def test_a_server_that_does_not_rename(self):
        """It is read once more, and deleted, and that this excludes nobody is said."""
        for verb in 'RNFR', 'RNTO':
            with self.subTest(verb):
                self.server.put('/write', FOREIGN)
                rule = self.server.fault(verb, faults.Reply('502 Not implemented.'))
                self.assertFalse(self.remove(self.shown()).exclusive)
                self.assertEqual({}, self.server.files)
                self.server.remove_fault(rule)
        self.server.put('/write', FOREIGN)
        self.assertTrue(self.remove(self.shown()).exclusive)

    def test_another_one_on_a_server_that_does_not_rename(self):
        found = self.shown()
        self.server.put('/write', b'another one')
        self.server.fault('RNFR', faults.Reply('550 No.'))
        self.assert_changed(found)
        self.assertEqual({'/write': b'another one'}, self.server.files)

    def test_a_lock_that_is_in_use(self):
        """Windows says 550 to all that is asked about it: it is not said to be removed."""
        self.server.put('/a', b'article')
        self.assertEqual(7, self.session.size('a'))
        found = self.shown()
        self.server.fault('SIZE RNFR RETR MDTM DELE', faults.Reply('550 In use.'), path='/write')
        with self.assertRaisesRegex(errors.LockLeftBehind, "'write' could not be .*: 550 In use"):
            self.remove(found)
        self.assertEqual(FOREIGN, self.server.files['/write'])

    def test_a_server_that_neither_renames_nor_deletes(self):
        self.server.fault('RNFR', faults.Reply('502 Not implemented.'))
        self.server.fault('DELE', faults.Reply('550 No.'))
        with self.assertRaisesRegex(errors.LockLeftBehind, "'write' could not be removed: 550"):
            self.remove(self.shown())
        self.assertEqual({'/write': FOREIGN}, self.server.files)

    def test_a_server_that_tells_no_times(self):
        """What a lock says is told all the same."""
        for reply in '502 Not implemented.', '500 What?', '213 soon':
            with self.subTest(reply):
                rule = self.server.fault('MDTM', faults.Reply(reply))
                self.assertIn('host elsewhere', self.shown().description)
                self.assertIn('host elsewhere', holder.locked_by(self.session, 'write').holder)
                self.server.remove_fault(rule)

    def test_a_server_that_does_not_delete(self):
        self.server.fault('DELE', faults.Reply('550 No.'))
        with self.assertRaises(errors.LockLeftBehind) as caught:
            self.remove(self.shown())
        self.assertEqual(73, caught.exception.exit_code)
        self.assertEqual({'/write': FOREIGN}, self.server.files)

    def test_the_answer_to_the_renaming_is_lost(self):
        self.server.fault('RNTO', faults.Cut(moment='executed'), times=1)
        self.remove(self.shown())
        self.assertEqual({}, self.server.files)

    def test_interrupted_before_it_was_compared(self):
        found = self.shown()
        remover = unlocking.Remover(self.session)
        with (
            unittest.mock.patch.object(remover, '_is_the_same', side_effect=SystemExit(143)),
            self.assertRaises(SystemExit),
        ):
            remover.remove(found)
        self.assertEqual({'/write': FOREIGN}, self.server.files)

    def test_the_guard_has_another_owner_now(self):
        self.server.make_directory('/write.guard')
        self.server.make_directory(f'/write.guard/{TOKEN}')
        found = self.shown(1)
        self.server.remove_directory(f'/write.guard/{TOKEN}')
        self.server.make_directory('/write.guard/cdsfedcba9876543210')
        self.assert_changed(found)
        self.assertIn('/write.guard/cdsfedcba9876543210', self.server.directories)

    def test_the_guard_is_gone(self):
        self.server.make_directory('/write.guard')
        found = self.shown(1)
        self.server.remove_directory('/write.guard')
        self.remove(found)

    def test_a_listing_that_shows_nothing(self):
        self.server.fault('MLSD', faults.Reply('550 No.'))
        self.server.fault('NLST', faults.Reply('550 No.'))
        self.remove(self.shown())
        self.assertEqual({}, self.server.files)


class Killed(unittest.TestCase):
    """An unlocking that is killed at each of its commands: the next one finishes it."""

    layer = layers.QUIET
    level = 2

    def setUp(self):
        super().setUp()
        self.killer = Killer()
        self.server = self.enterContext(faults.FaultServer(directories=['/cds'], hook=self.killer))
        self.log = self.enterContext(tempfile.NamedTemporaryFile()).name

    def unlock(self):
        session = target(self.server).open()
        try:
            for found in unlocking.locks(session):
                unlocking.Remover(session).remove(found)
        finally:
            session.close()
        return 0

    def test_the_next_one_finishes_it(self):
        for moment in ('lost', 'late', 'executed'):
            for nth in itertools.count(1):
                self.server.put('/cds/write', FOREIGN)
                self.server.make_directory('/cds/write.guard')
                self.server.make_directory(f'/cds/write.guard/{TOKEN}')
                process = Process(self.unlock, log=self.log)
                self.killer.aim(process, nth, moment=moment)
                code = process.run()
                self.server.wait_closed()
                self.killer.process = None
                self.server.clear_faults()
                with self.subTest(moment=moment, nth=nth):
                    left = list(self.server.files.values())
                    self.assertIn(left, ([], [FOREIGN]))
                    self.unlock()
                    self.assertEqual(({}, ['/cds']), (self.server.files, self.server.directories))
                if code != -signal.SIGKILL:
                    break
            self.assertEqual(0, code)
            self.assertGreater(nth, 10)
