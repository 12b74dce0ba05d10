"""One run on a spool at a time: also among processes, and with children."""

import contextlib
import errno
import fcntl
import os
import pathlib
import signal
import stat
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.runlock import RunLock
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget


TIMEOUT = 30

#: Tries to get the lock argv[2] times when told to; says what happened, and leaves when told to.
RACER = """
import sys
from zeit.cds.errors import SpoolBusy
from zeit.cds.spool.spool import Spool
print('ready', flush=True)
sys.stdin.readline()
won = False
for _ in range(int(sys.argv[2])):
    try:
        with Spool(sys.argv[1]).run():
            print('won', flush=True)
            won = True
            sys.stdin.readline()
            break
    except SpoolBusy as error:
        assert error.exit_code == 75, error
if not won:
    print('lost', flush=True)
"""


class RunLockTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.file = self.path / 'lock'

    def lock(self):
        return RunLock(self.file, like=self.path)

    def assert_free(self):
        with self.lock():
            pass

    def assert_held(self):
        with self.assertRaises(errors.SpoolBusy):
            with self.lock():
                self.fail('entered')


class LockTests(RunLockTests):
    def test_one_at_a_time(self):
        with self.lock():
            self.assert_held()
        self.assert_free()

    def test_it_is_free_after_an_error(self):
        with contextlib.suppress(ZeroDivisionError), self.lock():
            raise ZeroDivisionError
        self.assert_free()

    def test_who_holds_it(self):
        lock = self.lock()
        self.assertEqual('', lock.holder())
        with lock:
            self.assertIn(f'process {os.getpid()} on', self.lock().holder())
        self.assertEqual('', lock.holder())

    def test_what_stands_in_the_file_decides_nothing(self):
        for content in (b'', b'junk', b'{"pid": 1}', b'[' * 50, b'{"pid": "x", "host": 1}'):
            self.file.write_bytes(content)
            self.assertEqual('', self.lock().holder())
            self.assert_free()

    def test_the_number_of_a_process_that_was_killed_comes_again(self):
        """As in a container, where it is the first one each time: here it is this process."""
        with self.lock():
            about = self.file.read_bytes()
            self.assertEqual(os.getpid(), self.lock().owner().pid)
        self.file.write_bytes(about)
        self.assertIsNone(self.lock().owner())
        self.assert_free()

    def test_without_a_lock_that_can_be_asked_for_the_process_decides(self):
        with (
            unittest.mock.patch('fcntl.F_OFD_SETLK', -1),
            unittest.mock.patch('fcntl.F_OFD_GETLK', -1),
            self.lock(),
        ):
            self.assertEqual(os.getpid(), self.lock().owner().pid)
            about = self.file.read_bytes()
        self.file.write_bytes(about)
        self.assertEqual(os.getpid(), self.lock().owner().pid)
        self.file.write_bytes(about.replace(str(os.getpid()).encode(), b'4194305'))
        self.assertIsNone(self.lock().owner())

    def test_what_is_on_another_host_counts(self):
        with self.lock():
            about = self.file.read_bytes()
        self.file.write_bytes(about.replace(os.uname().nodename.encode(), b'elsewhere'))
        self.assertEqual('elsewhere', self.lock().owner().host)

    def test_a_look_keeps_no_run_from_starting(self):
        locks = []

        def call(descriptor, kind, *args, real=fcntl.fcntl):
            locks.append(kind)
            return real(descriptor, kind, *args)

        with self.lock(), unittest.mock.patch('fcntl.fcntl', call):
            self.assertTrue(self.lock().holder())
        self.assertEqual({fcntl.F_OFD_GETLK}, set(locks))

    def test_an_error_after_it_was_taken_gives_it_back(self):
        """Also while somebody holds the error, and with it all frames."""
        for function in 'os.ftruncate', 'os.pwrite', 'os.uname':
            held = None
            with unittest.mock.patch(function, side_effect=OSError(28, 'No space left')):
                try:
                    self.lock().__enter__()
                except OSError as error:
                    held = error
            self.assertIsNotNone(held, function)
            self.assert_free()

    def test_nor_does_an_error_on_the_way_out_keep_it(self):
        broken = OSError(errno.EIO, 'Input/output error')
        lock = self.lock().__enter__()
        refused = unittest.mock.patch('os.ftruncate', side_effect=broken)
        with self.assertLogs('zeit.cds', 'WARNING') as logs, refused:
            lock.__exit__(None, None, None)
        self.assertIn('Input/output error', logs.output[0])
        self.assert_free()

    def test_it_belongs_to_all_who_may_write_from_its_first_moment_on(self):
        self.path.chmod(0o770)
        modes = []
        real = files.rename_exclusively

        def watched(old, new):
            modes.append(stat.S_IMODE(os.stat(old).st_mode))
            real(old, new)

        with unittest.mock.patch('zeit.cds.system.files.rename_exclusively', watched), self.lock():
            pass
        self.assertEqual([0o660], modes)
        self.assertEqual(0o660, stat.S_IMODE(self.file.stat().st_mode))

    def test_one_that_is_made_at_the_same_moment_is_the_one(self):
        others = []

        def first(path, *, mode):
            pathlib.Path(path).touch()
            others.append(os.stat(path).st_ino)
            raise FileExistsError(errno.EEXIST, 'File exists')

        with unittest.mock.patch('zeit.cds.system.files.make_exclusively', first), self.lock():
            self.assert_held()
        self.assertEqual(others, [self.file.stat().st_ino])


class ForkTests(RunLockTests):
    """The descriptor of a lock is shared with forked children, and so is the lock."""

    @contextlib.contextmanager
    def child(self, work=lambda: None):
        """Fork a child that does `work` and then lives until it is no longer needed."""
        readable, writable = os.pipe()
        ready, done = os.pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                os.close(writable)
                os.close(ready)
                work()
                os.write(done, b'.')
                os.read(readable, 1)  # until the parent closes its end
                status = 0
            finally:
                os._exit(status)
        os.close(readable)
        os.close(done)
        try:
            self.assertEqual(b'.', os.read(ready, 1))
            yield child
        finally:
            os.close(writable)
            os.close(ready)
            _, status = os.waitpid(child, 0)
        self.assertEqual(0, status)

    def test_a_child_that_outlives_the_run_does_not_keep_the_lock(self):
        with contextlib.ExitStack() as stack:
            with self.lock():
                stack.enter_context(self.child())
            self.assert_free()

    def test_a_child_whose_parent_is_killed_does_not_hold_the_lock(self):
        """The parent of the run's process stays; its child and grandchild hold the lock, or not."""
        readable, writable = os.pipe()
        alive, end = os.pipe()
        run = os.fork()
        if not run:
            try:
                lock = self.lock().__enter__()
                if not os.fork():
                    os.close(end)
                    os.write(writable, b'.')
                    os.read(alive, 1)
                    os._exit(0)
                signal.pause()
                lock.__exit__()
            finally:
                os._exit(1)
        os.close(writable)
        os.close(alive)
        try:
            self.assertEqual(b'.', os.read(readable, 1))
            self.assert_held()
            os.kill(run, signal.SIGKILL)
            os.waitpid(run, 0)
            self.assert_free()
        finally:
            os.close(end)
            os.read(readable, 1)  # the end of the file: the grandchild has gone
            os.close(readable)

    def test_a_child_that_ends_does_not_take_the_lock_away(self):
        with self.lock():
            with self.child():
                self.assert_held()
            self.assert_held()
            self.assertIn(f'process {os.getpid()} on', self.lock().holder())
        self.assert_free()

    def test_a_child_that_leaves_the_run_as_well_does_not_end_it(self):
        lock = self.lock()
        with lock:
            with self.child(lambda: lock.__exit__(None, None, None)):
                self.assert_held()
                self.assertIn(f'process {os.getpid()} on', self.lock().holder())
            self.assert_held()

    def test_a_child_may_make_a_run_of_its_own_later(self):
        def work():
            with contextlib.suppress(errors.SpoolBusy):
                lock.__enter__()
                os._exit(2)

        lock = self.lock()
        with lock, self.child(work):
            pass
        with self.child(self.assert_free):
            pass
        self.assert_free()

    def test_a_forked_worker_of_a_run_of_the_spool(self):
        with contextlib.ExitStack() as stack:
            with Spool(self.path).run():
                stack.enter_context(self.child())
                with self.assertRaises(errors.SpoolBusy), Spool(self.path).run():
                    self.fail('entered')
            with Spool(self.path).run():
                pass

    def test_a_program_that_is_started_does_not_inherit_it(self):
        with self.lock() as lock:
            flags = fcntl.fcntl(lock._descriptor.fileno(), fcntl.F_GETFD)
        self.assertTrue(flags & fcntl.FD_CLOEXEC)


class RaceTests(RunLockTests):
    @contextlib.contextmanager
    def racer(self, attempts):
        environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
        command = [sys.executable, '-c', RACER, self.path, str(attempts)]
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'text': True}
        process = subprocess.Popen(command, env=environment, **pipes)
        try:
            with process:
                self.assertEqual('ready\n', process.stdout.readline())
                yield process
                process.stdin.close()
                self.assertEqual(0, process.wait(TIMEOUT))
        finally:
            process.kill()

    def test_92_of_two_processes_with_eight_attempts_one_wins(self):
        with Spool(self.path).run():
            pass
        with self.racer(8) as one, self.racer(8) as two:
            for process in (one, two):
                process.stdin.write('\n')
                process.stdin.flush()
            said = [process.stdout.readline() for process in (one, two)]
        self.assertEqual(['lost\n', 'won\n'], sorted(said))

    def test_92_the_second_one_leaves_without_network_traffic(self):
        Spool(self.path).put('a', b'1')
        calls = []
        target = MemoryTarget(hook=lambda *call: calls.append(call))
        with self.racer(1) as process:
            process.stdin.write('\n')
            process.stdin.flush()
            self.assertEqual('won\n', process.stdout.readline())
            with self.assertLogs('zeit.cds', 'WARNING') as logs:
                report = Exporter(Spool(self.path), target).run_once()
            self.assertEqual((75, []), (report.exit_code, calls))
            self.assertIn(f'process {process.pid} on', logs.output[0])
