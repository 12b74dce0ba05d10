import unittest
import unittest.mock

from zeit.cds import errors, names
from zeit.cds.lock import WATCH, Lock
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
            wait=lambda seconds: self.calls.append(f'wait {seconds}'),
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
        self.session.refresh()
        self.assertEqual([1, 0], [self.reads(lock), self.reads(lock)])

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
                error = self.locked(lock.watch)
                self.assertTrue(error.lost)
                self.assertFalse(lock.release())
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
        self.faults = {'read write': [lambda: self.target.write('write', b'partner')]}
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
        self.assertEqual({'write': b'partner'}, self.target.files)
        self.assertFalse(lock.release())

    def test_a_reader_appears_while_we_lock(self):
        lock = self.lock()
        lock.look()
        self.faults = {'read write': [lambda: self.target.write('read', b'partner')]}
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

    def test_81_a_guard_that_is_refused_for_now_is_not_done_without(self):
        busy = errors.TemporaryError(450, '450 Busy.')
        for step in ('make_directory {0.d}', 'make_directory {0.d}/{0.t}', 'rename {0.d}'):
            for refusal in (busy, errors.ServerFull(552, '552 Quota.')):
                self.setUp()
                lock = self.lock()
                names_ = unittest.mock.Mock(d=lock._staged_guard, t=lock._token)
                self.faults = {step.format(names_): refusal}
                with self.assertRaises(type(refusal)):
                    lock.create()
                lock.release()
                self.assertEqual(({}, {}), (self.target.files, self.target.directories))

    def test_where_there_can_be_no_directory_the_lock_settles(self):
        lock = self.lock()
        refused = errors.PermanentError(502, '502 No directories.')
        self.faults = {f'make_directory {lock._staged_guard}': refused}
        lock.create()
        self.assertIn('wait 5', self.calls)
        self.assertEqual(['write'], list(self.target.files))

    def test_a_lock_that_changed_hands_is_left_alone(self):
        lock = self.lock()
        lock.create()
        self.target.write('write', b'partner')
        with self.assertLogs('zeit.cds.lock', 'WARNING') as logs:
            self.assertFalse(lock.release())
        self.assertIn('partner', logs.output[0])
        self.assertEqual({'write': b'partner'}, self.target.files)

    def test_a_lock_that_is_gone(self):
        lock = self.lock()
        lock.create()
        self.target.files.clear()
        self.assertFalse(lock.release())

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
