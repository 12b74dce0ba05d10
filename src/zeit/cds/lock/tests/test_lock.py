import errno
import unittest
import unittest.mock

from zeit.cds import errors, names
from zeit.cds.lock.lock import LOOKS, WATCH, Lock
from zeit.cds.testing.memory import MemoryTarget


class LockTests(unittest.TestCase):
    def setUp(self):
        self.calls = []
        self.faults = {}
        self.now = 0
        self.target = MemoryTarget(hook=self.hook)
        self.session = self.target.open()
        self.calls.clear()

    def hook(self, operation, name):
        self.calls.append(f'{operation} {name}'.strip())
        action = self.faults.get(self.calls[-1])
        if isinstance(action, list):
            action = action.pop(0) if action else None
        if isinstance(action, Exception):
            raise action
        if action is not None:
            action()

    def lock(self, **kw):
        return Lock(
            self.session,
            token=names.new_token(),
            wait=lambda seconds: self.hook('wait', str(seconds)),
            clock=lambda: self.now,
            **kw,
        )

    def locked(self, function):
        with self.assertRaises(errors.Locked) as caught:
            function()
        return caught.exception

    def test_create_and_release(self):
        lock = self.lock()
        lock.look()
        lock.create()
        self.assertEqual(['write'], list(self.target.files))
        self.assertTrue(lock.release())
        self.assertEqual({}, self.target.files)

    def reads(self, lock):
        """Watch; return how often the lock was read."""
        self.calls.clear()
        lock.watch()
        return self.calls.count('read write')

    def test_it_is_watched_now_and_then(self):
        lock = self.lock()
        lock.create()
        self.assertEqual(0, self.reads(lock))
        self.now += WATCH - 1
        self.assertEqual(0, self.reads(lock))
        self.now += 1
        self.assertEqual([1, 0], [self.reads(lock), self.reads(lock)])
        self.now += WATCH
        self.assertEqual(1, self.reads(lock))

    def test_it_is_watched_over_each_new_connection(self):
        lock = self.lock()
        lock.create()
        self.session.reconnect()
        self.assertEqual([1, 0], [self.reads(lock), self.reads(lock)])

    def test_it_is_watched_over_another_session(self):
        lock = self.lock()
        lock.create()
        other = self.target.open()
        for seconds, reads in ((0, 0), (WATCH - 1, 0), (1, 1), (WATCH - 1, 0), (1, 1)):
            self.now += seconds
            self.calls.clear()
            lock.watch(over=other)
            self.assertEqual(reads, self.calls.count('read write'))

    def test_the_next_lock_comes_and_goes_while_ours_is_removed(self):
        """On a server whose refusals never say that there is no such file."""
        lock = self.lock()
        lock.create()
        busy = errors.TemporaryError(450, '450 No size.')

        def come():
            self.target.files['write'] = b'the next one'

        unknown = errors.NotTold('The server does not tell')

        def go():
            del self.target.files['write']
            raise unknown

        reads = [None, go, unknown]
        self.faults = {'size write': busy, 'names': [come], 'read write': reads}
        self.assertTrue(lock.release())

    def test_one_that_changed_hands_is_lost(self):
        for content in (b'partner', b'', None):
            with self.subTest(content):
                self.setUp()
                lock = self.lock()
                lock.create()
                if content is None:
                    del self.target.files['write']
                else:
                    self.target.files['write'] = content
                lock.watch()  # it was looked at just now
                self.now += WATCH
                if content is None:
                    with self.assertRaises(errors.LockVanished):
                        lock.watch()
                else:
                    self.assertTrue(self.locked(lock.watch).lost)
                self.assertFalse(lock.release())
                self.assertTrue(lock.touched)
                self.assertEqual(content, self.target.files.get('write'))

    def test_it_says_whose_it_is(self):
        self.lock().create()
        self.assertRegex(
            self.target.files['write'], rb'^cds[0-9a-f]{16} zeit.cds, host \S+, pid \d+, since 2'
        )

    def test_it_is_never_seen_without_its_content(self):
        self.lock().create()
        self.assertNotIn('store write', self.calls)

    def test_either_lock_stops(self):
        for name in ('write', 'read'):
            for content in (b'partner', b'', b'\xff\x1b[2J'):
                self.target.files = {name: content}
                self.assertEqual(name, self.locked(self.lock().look).name)
                self.assertEqual({name: content}, self.target.files)

    def test_88_who_holds_it_since_when(self):
        self.target.write('write', b'partner\x1b[2J, since monday')
        holder = self.locked(self.lock().look).holder
        self.assertRegex(holder, r'^It says: partner\\x1b\[2J, since monday \(since 20')

    def test_a_directory_is_a_lock_too(self):
        self.session.make_directory('read')
        self.assertEqual('read', self.locked(self.lock().look).name)

    def test_85_a_listing_is_not_trusted_alone(self):
        self.target.write('write', b'')
        self.session.names = set
        self.assertEqual('write', self.locked(self.lock().look).name)

    def test_without_size_the_listing_decides(self):
        refused = errors.PermanentError(500, '500 What?')
        self.faults = {'size write': refused, 'size read': refused}
        self.lock().look()
        self.target.write('read', b'')
        self.locked(self.lock().look)

    def test_82_somebody_else_was_faster(self):
        """Between our look and our rename: whoever's name stands there in the end has it."""
        lock = self.lock()
        lock.look()
        self.faults = {'size write': [None, lambda: self.target.write('write', b'partner')]}
        self.locked(lock.create)
        self.assertFalse(lock.release())
        self.assertEqual({'write': b'partner'}, self.target.files)

    def test_83_the_server_refuses_to_overwrite(self):
        lock = self.lock()
        lock.look()
        self.target.write('write', b'partner')
        rename = f'rename {lock._staged}'
        self.faults = {rename: errors.PermanentError(553, '553 File exists.')}
        self.locked(lock.create)
        self.assertFalse(lock.release())
        self.assertEqual({'write': b'partner'}, self.target.files)

    def test_a_reader_appears_while_we_lock(self):
        lock = self.lock()
        lock.look()
        self.faults = {'size write': [None, lambda: self.target.write('read', b'partner')]}
        self.assertEqual('read', self.locked(lock.create).name)
        lock.release()
        self.assertEqual({'read': b'partner'}, self.target.files)

    def test_75_a_server_that_cannot_rename(self):
        lock = self.lock()
        self.faults = {f'rename {lock._staged}': errors.PermanentError(502, '502 No.')}
        lock.create()
        self.assertEqual(['write'], list(self.target.files))
        lock.release()
        self.assertEqual({}, self.target.files)

    STEPS = ('make_directory {0.d}', 'make_directory {0.d}/{0.t}', 'rename {0.d}')

    def refused(self, step, error):
        """Return a lock that is refused this `step` of making the guard."""
        self.setUp()
        lock = self.lock()
        names_ = unittest.mock.Mock(d=lock._staged_guard, t=lock._token)
        self.faults = {step.format(names_): error}
        return lock

    def test_81_a_guard_is_not_done_without_for_lack_of_room(self):
        for step in self.STEPS:
            lock = self.refused(step, errors.ServerFull(552, '552 Quota.'))
            with self.assertRaises(errors.ServerFull):
                lock.create()
            lock.release()
            self.assertEqual(({}, {}), (self.target.files, self.target.directories))

    def test_81_a_guard_that_is_refused_is_done_without_also_for_now(self):
        """It may be so each time; and who announces a lock and who has the guard see each other."""
        for step in self.STEPS:
            for error in (
                errors.TemporaryError(450, '450 Busy.'),
                errors.PermanentError(550, '550 No.'),
            ):
                lock = self.refused(step, error)
                lock.prove()
                lock.create()
                self.assertEqual((['write'], {}), ([*self.target.files], self.target.directories))
                self.assertIn(f'rename {lock._staged}.next', self.calls)
                lock.release()
                self.assertEqual({}, self.target.files)

    def without_directories(self):
        lock = self.lock()
        refused = errors.PermanentError(502, '502 No directories.')
        self.faults[f'make_directory {lock._staged_guard}'] = refused
        return lock

    def test_where_there_can_be_no_directory_the_lock_is_announced(self):
        lock = self.without_directories()
        lock.create()
        self.assertEqual(f'rename {lock._staged}.next', self.calls[-4])
        self.assertEqual(['write'], list(self.target.files))
        lock.release()
        self.assertEqual({}, self.target.files)

    def test_one_that_cannot_be_announced_by_renaming_leaves_nothing(self):
        lock = self.without_directories()
        self.faults[f'rename {lock._staged}'] = errors.PermanentError(500, '500 What?')
        lock.create()
        lock.release()
        self.assertEqual({}, self.target.files)

    def test_an_announced_lock_stops_whoever_has_the_guard(self):
        other = f'write.{names.new_token()}.next'
        self.target.write(other, b'')
        lock = self.lock()
        self.assertEqual(other, self.locked(lock.create).name)
        lock.release()
        self.assertEqual([other], list(self.target.files))
        self.assertEqual(other, self.locked(self.lock().look).name)

    def test_a_server_that_ends_the_session_where_it_refuses_to_remove_the_guard(self):
        """It is held as long as it is there (thinftp)."""
        refused = errors.ConnectionLost(errno.ECONNRESET, 'closed')
        self.target.directories['write.guard'] = {names.new_token()}
        self.faults['remove_directory write.guard'] = refused
        self.assertEqual('write.guard', self.locked(self.lock().look).name)

        def give_back():
            self.target.directories.clear()
            raise refused

        self.faults['remove_directory write.guard'] = [give_back]
        self.lock().look()

    def test_of_two_that_announce_the_one_with_the_lower_token_waits(self):
        for token, waits in ((f'cds{"0" * 16}', 0), (f'cds{"f" * 16}', LOOKS - 1)):
            with self.subTest(token):
                self.setUp()
                lock = self.without_directories()
                other = f'read.{token}.next'
                self.target.write(other, b'')
                self.assertEqual(other, self.locked(lock.create).name)
                lock.release()
                self.assertEqual(waits, self.calls.count('wait 1'))
                self.assertEqual([other], list(self.target.files))

    def test_who_has_announced_a_lock_goes_on_when_the_guard_is_given_back(self):
        self.target.directories['write.guard'] = {names.new_token()}
        lock = self.without_directories()
        lock._wait = lambda seconds: self.target.directories.clear()
        lock.create()
        self.assertEqual(['write'], list(self.target.files))

    def test_a_lock_that_changed_hands_is_left_alone(self):
        lock = self.lock()
        lock.create()
        self.target.write('write', b'partner')
        error = self.locked(lock.release)
        self.assertTrue(error.lost)
        self.assertIn('partner', error.holder)
        self.assertTrue(lock.touched)
        self.assertEqual({'write': b'partner'}, self.target.files)

    def test_a_lock_that_is_not_found_when_it_is_to_be_removed(self):
        """It may be gone, or the server may not tell the truth: the next run finds out."""
        for length in (None, 0, 10):
            with self.subTest(length):
                self.setUp()
                lock = self.lock()
                lock.create()
                answer = None if length is None else self.target.files['write'][:length]
                self.session.read = lambda name, *, limit, answer=answer: answer
                with self.assertRaises(errors.LockLeftBehind):
                    lock.release()
                self.assertTrue(lock.touched)

    def test_a_removal_of_which_the_answer_was_lost(self):
        lock = self.lock()
        lock.create()

        def lost():
            self.target.files.clear()
            raise errors.ConnectionLost(104, 'reset')

        self.faults = {'delete write': lost}
        self.assertTrue(lock.release())
        self.assertFalse(lock.touched)

    def test_a_removal_that_did_not_happen(self):
        """The server says that it did."""
        lock = self.lock()
        lock.create()
        content = self.target.files['write']
        again = unittest.mock.Mock(side_effect=lambda: self.target.write('write', content))
        self.faults = {'size write': again}
        with self.assertRaises(errors.LockLeftBehind):
            lock.release()
        self.assertTrue(lock.touched)
        self.faults = {}
        self.assertTrue(lock.release())
        self.assertFalse(lock.touched)

    def test_another_lock_where_ours_was_a_moment_ago(self):
        lock = self.lock()
        lock.create()
        self.faults = {'size write': [lambda: self.target.write('write', b'partner')]}
        self.assertTrue(lock.release())
        self.assertFalse(lock.touched)
        self.assertEqual({'write': b'partner'}, self.target.files)

    def test_a_lock_that_may_not_be_read_any_more_is_removed_all_the_same(self):
        """The right was there when it was looked for."""
        lock = self.lock()
        refused = errors.PermanentError(550, '550 Permission denied.')
        self.faults = {'read write': refused}
        lock.create()
        self.assertTrue(lock.release())
        self.assertTrue(lock.unreadable)
        self.assertEqual(({}, {}), (self.target.files, self.target.directories))

    def test_what_may_not_be_read_and_has_another_size_is_not_removed(self):
        lock = self.lock()
        lock.create()
        self.target.write('write', b'partner')
        self.faults = {'read write': errors.PermanentError(550, '550 Permission denied.')}
        with self.assertRaises(errors.LockLeftBehind):
            lock.release()
        self.assertEqual({'write': b'partner'}, self.target.files)

    def test_an_unreadable_lock_in_the_place_of_ours_is_not_removed(self):
        lock = self.lock()
        lock.look()
        refused = errors.PermanentError(550, '550 Permission denied.')

        def take_over():
            self.target.write('write', b'partner')
            self.faults = {'read write': refused}

        self.faults = {'size write': [None, take_over]}
        error = self.locked(lock.create)
        self.assertIn('550 Permission denied.', error.holder)
        self.assertFalse(lock.release())
        self.assertEqual({'write': b'partner'}, self.target.files)

    def test_a_lock_that_is_taken_away_at_once(self):
        lock = self.lock()
        self.faults = {'size write': [None, self.target.files.clear]}
        with self.assertRaises(errors.LockVanished):
            lock.create()
        self.assertFalse(lock.release())

    # What the account may do

    def test_the_rights_are_found_out_before_there_is_a_lock(self):
        refused = errors.PermanentError(550, '550 Permission denied.')
        lock = self.lock()
        staged, guard = lock._staged, lock._staged_guard
        for fault, said, stays in (
            (f'read {staged}', 'may not read .*: 550 Permission', set()),
            (f'delete {staged}', 'may not delete .*: 550 Permission', {staged}),
            (f'remove_directory {guard}', 'may not remove .*: 550 Permission', {guard}),
        ):
            with self.subTest(fault):
                self.target.files.clear()
                self.target.directories.clear()
                lock = Lock(self.session, token=lock._token)
                self.faults = {fault: refused}
                with self.assertRaisesRegex(errors.ConfigurationError, said) as caught:
                    lock.prove()
                self.assertFalse(lock.release())
                present = {*self.target.files, *self.target.directories}
                self.assertEqual((stays, bool(stays)), (present, lock.touched))
                for name in stays:
                    self.assertIn(f"'{name}', which locks nobody", caught.exception.hint)
                self.assertNotIn(f'rename {staged}', self.calls)

    def test_what_is_not_deleted_for_now(self):
        """Nobody says that the lock cannot be removed: there was none."""
        busy = errors.TemporaryError(450, '450 Busy.')
        lock = self.lock()
        for fault in f'delete {lock._staged}', f'remove_directory {lock._staged_guard}':
            with self.subTest(fault):
                lock = Lock(self.session, token=lock._token)
                self.faults = {fault: busy}
                with self.assertRaises(errors.TemporaryError):
                    lock.prove()
                with self.assertRaises(errors.ConfigurationError) as caught:
                    lock.release()
                self.assertEqual(errors.UNAVAILABLE, caught.exception.exit_code)
                self.assertTrue(lock.touched)
                self.faults = {}
                lock.release()
                self.assertEqual(({}, {}), (self.target.files, self.target.directories))

    def test_what_stays_with_a_lost_connection_is_an_alarm_only_if_it_locks_anybody(self):
        reset = errors.ConnectionLost(104, 'reset')
        late = errors.DeadlinePassed('The time of this run is used up')
        for error, make, kind, raised in (
            (reset, Lock.stage, '_staged', errors.ConnectionLost),
            (late, Lock.stage, '_staged', errors.DeadlinePassed),
            (reset, Lock.create, '_name', errors.LockLeftBehind),
        ):
            with self.subTest(error=error, kind=kind):
                lock = self.lock()
                make(lock)
                self.faults = {f'delete {getattr(lock, kind)}': error}
                with self.assertRaises(raised):
                    lock.release()
                self.assertTrue(lock.touched)
                self.faults = {}
                lock.release()
                self.assertEqual(({}, {}), (self.target.files, self.target.directories))

    def test_all_rights_are_there(self):
        lock = self.lock()
        lock.prove()
        guard = lock._staged_guard
        self.assertEqual(({}, [guard]), (self.target.files, [*self.target.directories]))
        self.calls.clear()
        lock.create()
        self.assertNotIn(f'make_directory {guard}', self.calls)
        lock.release()
        self.assertEqual(({}, {}), (self.target.files, self.target.directories))

    def test_an_account_that_may_not_make_directories_needs_not_remove_any(self):
        self.without_directories().prove()

    def test_rights_that_cannot_be_found_out_now(self):
        lock = self.lock()
        busy = errors.TemporaryError(450, '450 Busy.')
        self.faults = {f'read {lock._staged}': busy}
        with self.assertRaises(errors.TemporaryError):
            lock.prove()
        lock.release()
        self.assertEqual({}, self.target.files)

    def test_where_files_must_be_renamed_a_lock_that_cannot_be_is_not_made(self):
        lock = self.lock(renames=True)
        self.faults = {f'rename {lock._staged}': errors.PermanentError(550, '550 No.')}
        with self.assertRaises(errors.PermanentError) as caught:
            lock.create()
        self.assertIn('temporary="no"', caught.exception.hint)
        self.assertNotIn('write', self.target.files)
        lock.release()
        self.assertEqual(({}, {}), (self.target.files, self.target.directories))

    def test_a_lock_is_not_stored_over_one_that_is_not_shown(self):
        """Other names are given: this one is refused, whatever the listing tells."""
        lock = self.lock()
        rename = self.session.rename

        def refused(old, new):
            if new == 'write':
                raise errors.PermanentError(553, '553 File exists.')
            rename(old, new)

        self.session.rename = refused
        with self.assertRaises(errors.PermanentError):
            lock.create()
        self.assertNotIn('write', self.target.files)
        lock.release()
        self.assertEqual({}, self.target.files)

    def test_91_removing_is_tried_again_on_a_new_connection(self):
        lock = self.lock()
        lock.create()
        self.faults = {'delete write': [errors.ConnectionLost(104, 'reset')]}
        self.assertTrue(lock.release())
        self.assertEqual({}, self.target.files)

    def test_91_a_lock_that_cannot_be_removed_is_an_alarm(self):
        lock = self.lock()
        lock.create()
        self.faults = {'delete write': errors.PermanentError(550, '550 Permission denied.')}
        with self.assertRaises(errors.LockLeftBehind) as caught:
            lock.release()
        self.assertEqual(73, caught.exception.exit_code)
        self.assertIn('550 Permission denied.', caught.exception.message)

    def test_whatever_breaks_while_it_is_made_nothing_remains(self):
        self.lock().create()
        steps = list(self.calls)
        self.assertGreater(len(steps), 4)
        for number in range(len(steps)):
            self.setUp()
            lock = self.lock()
            seen = []

            def fail(operation, name, *, number=number, seen=seen):
                seen.append(operation)
                if len(seen) == number + 1:
                    raise errors.ConnectionLost(104, 'reset')

            self.target.hook = fail
            try:
                lock.create()
            except errors.Error:
                lock.release()
            else:
                self.fail(f'Nothing failed at step {number}')
            left = self.target.files | self.target.directories
            self.assertEqual({}, left, steps[number])
