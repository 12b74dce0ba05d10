"""A file of JSON lines: durable, bounded, and readable whatever has happened to it."""

import collections
import contextlib
import errno
import json
import os
import pathlib
import shutil
import signal
import tempfile
import tracemalloc
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.journal import append_log, creation_time
from zeit.cds.journal.append_log import JSONLog
from zeit.cds.system.tests.test_libc import without_function
from zeit.cds.testing import layers


class Killed(BaseException):
    """The process ends here: nothing that comes after it happens."""


class JSONLogTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.directory = self.path / 'log'
        self.directory.mkdir()
        self.file = self.directory / 'state.jsonl'

    @contextlib.contextmanager
    def log(self, **kw):
        """Open the log; the entries found are in `self.found`."""
        self.found = []
        log = JSONLog(self.directory, learn=self.found.append, **kw)
        try:
            log.open()
            yield log
        finally:
            log.close()

    def fill(self, *numbers):
        with self.log() as log:
            for number in numbers:
                log.extend('x', [{'number': number}])

    def numbers(self, entries):
        return [entry['number'] for entry in entries if entry['kind'] == 'x']

    def again(self):
        """Open once more; return the numbers."""
        with self.log():
            return self.numbers(self.found)


class AppendTests(JSONLogTests):
    def test_what_was_written_is_read(self):
        self.fill(1, 2)
        self.assertEqual([1, 2], self.again())
        self.assertEqual([1, 2], self.numbers(append_log.entries(self.directory)))

    def test_an_entry_tells_kind_and_moment(self):
        self.fill(1)
        entry = json.loads(self.file.read_bytes().splitlines()[1])
        self.assertRegex(entry.pop('at'), r'^20\d\d-\d\d-\d\dT[\d:.]+\+00:00$')
        self.assertEqual({'kind': 'x', 'number': 1, 'largest': 0}, entry)

    def test_each_entry_is_synchronised_before_append_returns(self):
        calls = []
        with self.log() as log, contextlib.ExitStack() as stack:
            for name in ('write', 'fsync'):
                real = getattr(os, name)

                def watched(*args, name=name, real=real):
                    calls.append(name)
                    return real(*args)

                stack.enter_context(unittest.mock.patch.object(os, name, watched))
            log.extend('x', [{'number': 1}])
            self.assertEqual(['write', 'fsync'], calls)
            log.extend('x', [{'number': 2}])
            self.assertEqual(['write', 'fsync'] * 2, calls)

    def test_a_system_that_writes_byte_by_byte(self):
        real = os.write
        with unittest.mock.patch('os.write', lambda fd, data: real(fd, data[:1])):
            self.fill(1, 2)
        self.assertEqual([1, 2], self.again())

    def test_names_of_any_bytes_survive(self):
        names = [os.fsdecode(b'caf\xe9'), 'a\nb', 'a\r\x85\u2028b', 'ü', '\U0001f600', '{}"\\']
        with self.log() as log:
            for name in names:
                log.extend('x', [{'name': name}])
        with self.log():
            self.assertEqual(names, [entry['name'] for entry in self.found[1:]])

    def test_a_long_file_takes_no_memory(self):
        """Each delivery is some entries, and a run of many files does not rotate."""
        self.fill(1)
        with open(self.file, 'ab') as file:
            file.write(b'{"kind": "x", "number": 2, "largest": 0}\n' * 50_000)
            file.write(b'{"kind"' + b' ' * 100_000)
        numbers = collections.Counter()
        log = JSONLog(self.directory, learn=lambda entry: numbers.update([entry.get('number')]))
        with contextlib.closing(log), self.assertLogs('zeit.cds.journal.append_log', 'WARNING'):
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            log.open()
            self.assertEqual({None: 1, 1: 1, 2: 50_000}, numbers)
            self.assertLess(tracemalloc.get_traced_memory()[1], 1_000_000)
        self.assertEqual(50_002, sum(1 for entry in append_log.entries(self.directory)))
        self.assertLess(tracemalloc.get_traced_memory()[1], 1_000_000)

    def test_the_mode_is_the_one_of_the_directory(self):
        self.directory.chmod(0o2770)
        self.fill(1)
        self.assertEqual(0o660, self.file.stat().st_mode & 0o777)


class TogetherTests(JSONLogTests):
    def calls(self, log):
        """Write three entries together; return the system calls."""
        calls = []
        with contextlib.ExitStack() as stack:
            for name in ('write', 'fsync'):
                real = getattr(os, name)

                def watched(*args, name=name, real=real):
                    calls.append(name)
                    return real(*args)

                stack.enter_context(unittest.mock.patch.object(os, name, watched))
            with log.together():
                for number in (1, 2):
                    log.extend('x', [{'number': number}])
                with log.together():
                    log.extend('x', [{'number': 3}], lazily=True)
                self.assertEqual([], calls)
        return calls

    def test_one_write_and_one_fsync(self):
        with self.log() as log:
            self.assertEqual(['write', 'fsync'], self.calls(log))
            log.extend('x', [{'number': 4}])
        self.assertEqual([1, 2, 3, 4], self.again())

    def test_what_was_written_lazily_and_cannot_be_synchronised(self):
        with self.log() as log:
            log.extend('x', [{'number': 1}], lazily=True)
            error = OSError(errno.EIO, os.strerror(errno.EIO))
            with unittest.mock.patch('os.fsync', side_effect=error):
                with self.assertRaisesRegex(errors.SpoolError, os.strerror(errno.EIO)):
                    log.sync()
            reasons = []
            for add in (lambda: log.extend('x', [{'number': 2}]), log.sync):
                with self.assertRaisesRegex(errors.SpoolError, os.strerror(errno.EIO)) as caught:
                    add()
                reasons.append(caught.exception.__cause__)
            # The traceback of one and the same would grow, and keep all frames that it has been in.
            self.assertEqual(3, len({*map(id, reasons), id(error)}))

    def test_nothing_to_be_synchronised(self):
        with self.log() as log, unittest.mock.patch('os.fsync', side_effect=ZeroDivisionError):
            with log.together():
                log.extend('x', [{'number': 1}], lazily=True)
            with log.together():
                pass
        self.assertEqual([1], self.again())

    def test_what_was_written_before_an_error_is_there(self):
        with self.log() as log, contextlib.suppress(ZeroDivisionError), log.together():
            log.extend('x', [{'number': 1}])
            raise ZeroDivisionError
        self.assertEqual([1], self.again())

    def test_all_of_it_or_nothing(self):
        real = os.write
        with self.log() as log:
            refused = [lambda fd, data: real(fd, data[:70]), OSError(errno.ENOSPC, 'Full')]
            with unittest.mock.patch('os.write') as write:
                write.side_effect = lambda *args: _next(refused, args)
                with self.assertRaisesRegex(errors.SpoolError, 'Full'), log.together():
                    log.extend('x', [{'number': 1}])
                    log.extend('x', [{'number': 2}])
        self.assertEqual([], self.again())


def _next(calls, args):
    call = calls.pop(0)
    if isinstance(call, OSError):
        raise call
    return call(*args)


class RefusedTests(JSONLogTests):
    def test_what_cannot_be_written_is_an_error_and_leaves_no_half_line(self):
        self.fill(1)
        for call in ('write', 'fsync'):
            for number in (errno.ENOSPC, errno.EIO):
                before = self.file.read_bytes()
                with self.log() as log:
                    refused = OSError(number, os.strerror(number))
                    with unittest.mock.patch.object(os, call, side_effect=refused):
                        with self.assertRaisesRegex(errors.SpoolError, refused.strerror) as caught:
                            log.extend('x', [{'number': 2}])
                    self.assertEqual(78, caught.exception.exit_code)
                    wanted = 'Make room' if number == errno.ENOSPC else 'Check owner and mode'
                    self.assertIn(wanted, caught.exception.hint)
                    self.assertEqual(before, self.file.read_bytes())
                    # There is room again, but what was lost may be part of what comes.
                    with self.assertRaisesRegex(errors.SpoolError, refused.strerror):
                        log.extend('x', [{'number': 3}])
                self.fill(4)
                self.assertEqual(4, self.again()[-1])
        self.assertEqual([1, 4, 4, 4, 4], self.again())

    def test_half_of_it_was_written_when_the_disk_was_full(self):
        self.fill(1)
        real, left = os.write, [10]

        def write(descriptor, data):
            if not left:
                raise OSError(errno.ENOSPC, 'No space left on device')
            return real(descriptor, data[: left.pop()])

        with self.log() as log, unittest.mock.patch('os.write', write):
            with self.assertRaises(errors.SpoolError):
                log.extend('x', [{'number': 2}])
        self.fill(3)
        self.assertEqual([1, 3], self.again())

    def test_what_comes_after_an_interrupted_entry_is_as_durable(self):
        """A signal came behind the write; then an entry got there, and then the disk was full."""
        fsync = os.fsync

        def interrupted(descriptor):
            fsync(descriptor)
            raise SystemExit(143)

        with self.log() as log:
            log.extend('x', [{'number': 1}])
            with (
                unittest.mock.patch('os.fsync', interrupted),
                self.assertRaises(SystemExit),
            ):
                log.extend('x', [{'number': 2}])
            log.extend('x', [{'number': 3}])
            with (
                unittest.mock.patch('os.write', side_effect=OSError(errno.ENOSPC, 'Full')),
                self.assertRaises(errors.SpoolError),
            ):
                log.extend('x', [{'number': 4}])
        self.assertEqual([1, 3], self.again())

    def test_nothing_stays_open_when_it_cannot_be_opened(self):
        self.file.mkdir()  # the layer looks for descriptors
        with self.assertRaises(errors.SpoolError):
            JSONLog(self.directory).open()

    def test_one_that_never_has_its_name_is_not_waited_for_without_an_end(self):
        """A file system may tell another inode of an open file than of its name."""
        self.fill(1)
        self.enterContext(unittest.mock.patch('zeit.cds.system.files.is_at', return_value=False))
        for method in (JSONLog.open, lambda log: log.extend('x', [{'number': 2}])):
            log = JSONLog(self.directory)
            with contextlib.closing(log), self.assertRaises(errors.SpoolBusy):
                method(log)


class DamageTests(JSONLogTests):
    def test_101_half_a_last_line_whatever_half(self):
        """Cut at every byte of the last line: the others are there, and the next one is fine."""
        self.fill(1, 2)
        whole = self.file.read_bytes()
        start = whole.rindex(b'\n', 0, -1) + 1
        for length in range(start, len(whole)):
            with self.subTest(length=length):
                with open(self.file, 'r+b') as file:
                    file.truncate(length)
                self.assertEqual([1], self.numbers(append_log.entries(self.directory)))
                with contextlib.ExitStack() as stack:
                    if length > start:
                        logs = stack.enter_context(
                            self.assertLogs('zeit.cds.journal.append_log', 'WARNING')
                        )
                    self.assertEqual([1], self.again())
                if length > start:
                    self.assertIn('Half a line at the end of', logs.output[0])
                self.fill(3)
                self.assertEqual([1, 3], self.again())
            with open(self.file, 'r+b') as file:
                file.write(whole)
                file.truncate()

    def test_101_a_damaged_line_is_left_out(self):
        for junk in (b'{"kind": "x", "num', b'\0' * 50, b'\xff\xfe', b'[1]', b'7', b'', b'{' * 9):
            with self.subTest(junk=junk):
                self.file.unlink(missing_ok=True)
                self.fill(1, 2, 3)
                lines = self.file.read_bytes().split(b'\n')
                lines[2] = junk
                self.file.write_bytes(b'\n'.join(lines))
                with self.assertLogs('zeit.cds.journal.append_log', 'WARNING') as logs:
                    self.assertEqual([1, 3], self.again())
                self.assertIn('Line 3 of', logs.output[0])
                self.assertRegex(logs.output[0], r'Line [0-9]+ of .* is damaged and left out')

    def test_a_hole_takes_no_memory_and_is_one_damaged_line(self):
        for before, behind in ((1, 1), (0, 100), (100, 0)):
            with self.subTest(before=before, behind=behind):
                self.file.unlink(missing_ok=True)
                expected = [*range(1 + before)]
                self.fill(*expected)
                with open(self.file, 'r+b') as file:
                    file.truncate(file.seek(0, os.SEEK_END) + (16 << 20))
                    file.seek(0, os.SEEK_END)
                    file.write(b'\n')
                if behind:
                    self.log_entries(*range(behind))
                    expected += range(behind)
                tracemalloc.start()
                with self.assertLogs('zeit.cds.journal.append_log', 'WARNING') as logs:
                    self.assertEqual(expected, self.again())
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                self.assertEqual(1, len(logs.output))
                self.assertLess(peak, 6_000_000)

    def log_entries(self, *numbers):
        with self.assertLogs('zeit.cds.journal.append_log', 'WARNING'):
            self.fill(*numbers)

    def test_an_empty_file_is_begun_again(self):
        self.file.touch()
        with self.log() as log:
            self.assertEqual(([], None), (self.found, log.is_own))
            log.compact(list)
        self.fill(1)
        self.assertEqual([1], self.again())


class CopyTests(JSONLogTests):
    """What tells a copy from the original: when it was made, or else its inode."""

    def setUp(self):
        super().setUp()
        if creation_time.born(self.directory) is None:
            self.skipTest('The file system of the temporary directory tells no times of birth')
        self.fill(1)

    def is_own(self, directory=None):
        self.directory = directory or self.directory
        with self.log() as log:
            self.assertEqual([1], self.numbers(self.found))
            return log.is_own

    def first_id(self):
        return next(append_log.entries(self.directory))['id']

    def without_births(self):
        return unittest.mock.patch('zeit.cds.journal.creation_time.born', return_value=None)

    @contextlib.contextmanager
    def mounted_again(self):
        """All inodes are other ones, as with overlayfs and FUSE."""
        real = os.stat

        def stat(path, **kw):
            found = real(path, **kw)
            return os.stat_result((found.st_mode, found.st_ino + 1000, *found[2:]))

        with unittest.mock.patch('os.stat', stat):
            yield

    def test_a_copy(self):
        self.assertIs(True, self.is_own())
        shutil.copytree(self.directory, self.path / 'copy')
        self.assertIs(False, self.is_own(self.path / 'copy'))

    def test_a_copy_that_shares_its_files(self):
        (self.path / 'copy').mkdir()
        os.link(self.file, self.path / 'copy' / 'state.jsonl')
        self.assertIs(False, self.is_own(self.path / 'copy'))

    def test_one_in_the_place_of_the_original(self):
        shutil.copy2(self.file, self.path / 'backup')
        os.replace(self.path / 'backup', self.file)
        self.assertIs(False, self.is_own())

    def test_a_restored_one_that_has_the_inodes_of_the_original(self):
        inodes = [self.file.stat().st_ino, self.directory.stat().st_ino]
        first, _, rest = self.file.read_bytes().partition(b'\n')
        first = {**json.loads(first), 'born': [1, 2], 'inodes': inodes}
        self.file.write_bytes(json.dumps(first).encode() + b'\n' + rest)
        self.assertIs(False, self.is_own())

    def test_what_was_moved_is_the_original(self):
        os.rename(self.directory, self.path / 'moved')
        self.assertIs(True, self.is_own(self.path / 'moved'))

    def test_mounted_again(self):
        with self.mounted_again():
            self.assertIs(True, self.is_own())

    def test_where_no_time_is_told_the_inodes_tell_it(self):
        for before, now in ((True, False), (False, True), (False, False)):
            with self.subTest(before=before, now=now), contextlib.ExitStack() as stack:
                self.directory = self.path / f'{before}-{now}'
                self.directory.mkdir()
                self.file = self.directory / 'state.jsonl'
                with contextlib.nullcontext() if before else self.without_births():
                    self.fill(1)
                if not now:
                    stack.enter_context(self.without_births())
                self.assertIs(True, self.is_own())
                with self.mounted_again():
                    self.assertIsNone(self.is_own())

    def test_a_first_line_that_tells_nothing(self):
        first, _, rest = self.file.read_bytes().partition(b'\n')
        for born in (None, [], [1], 7, 'x'):
            about = {**json.loads(first), 'born': born, 'inodes': None}
            self.file.write_bytes(json.dumps(about).encode() + b'\n' + rest)
            self.assertIsNone(self.is_own())

    def test_one_of_an_earlier_build_has_inodes_only(self):
        first, _, rest = self.file.read_bytes().partition(b'\n')
        about = {key: json.loads(first)[key] for key in ('kind', 'version', 'inodes')}
        self.file.write_bytes(json.dumps(about).encode() + b'\n' + rest)
        self.assertIs(True, self.is_own())

    def test_the_id_goes_from_file_to_file_and_not_to_a_copy(self):
        known = self.first_id()
        self.assertRegex(known, '^[0-9a-f]{32}$')
        with self.log() as log:
            log.compact(list)
        self.assertEqual(known, self.first_id())
        shutil.copytree(self.directory, self.path / 'copy')
        self.directory = self.path / 'copy'
        with self.log() as log:
            log.compact(list)
        self.assertNotEqual(known, self.first_id())

    def test_statx_without_the_function_of_the_library(self):
        expected = creation_time.born(self.file)
        with without_function('statx'):
            self.assertEqual(expected, creation_time.born(self.file))
        with without_function('statx', syscall=False):
            self.assertIsNone(creation_time.born(self.file))
        with open(self.file) as file:
            self.assertEqual(expected, creation_time.born(file.fileno()))
        self.assertIsNone(creation_time.born(self.path / 'nowhere'))


class CompactionTests(JSONLogTests):
    """What is carried on is in a new file, which takes the place of the old one at once."""

    CARRIED = [{'kind': 'x', 'number': 'carried'}]
    CALLS = ('rename', 'fsync', 'open', 'write', 'fchmod')

    def compact(self):
        with self.log() as log:
            log.compact(lambda: self.CARRIED)

    def test_it_begins_with_what_is_carried(self):
        self.fill(1)
        self.compact()
        self.fill(2)
        self.assertEqual(['carried', 2], self.again())
        self.assertEqual(['carried', 2], self.numbers(append_log.entries(self.directory)))
        self.assertEqual(['state.jsonl'], os.listdir(self.directory))

    def test_it_is_full_when_it_has_grown_beyond_what_it_began_with(self):
        carried = [{'kind': 'x', 'number': 'n' * 1000}]
        with self.log(limit=2000) as log:
            log.compact(lambda: carried)
            self.assertFalse(log.is_full)
            log.extend('x', [{'number': 'n' * 1000}])
            self.assertFalse(log.is_full)
        with self.log(limit=2000) as log:
            log.extend('x', [{'number': 'n' * 2000}])
            self.assertTrue(log.is_full)
            log.compact(lambda: carried)
            self.assertFalse(log.is_full)

    def test_who_reads_meanwhile_has_the_old_one_or_the_new_one(self):
        self.fill(1, 2)
        found = append_log.entries(self.directory)
        next(found)
        self.compact()
        self.assertEqual([1, 2], self.numbers(found))
        self.assertEqual(['carried'], self.numbers(append_log.entries(self.directory)))

    def interrupt(self, stack, nth, action):
        """Do `action` in place of the nth system call; return the list of those that came."""
        calls = []
        for name in self.CALLS:
            real = getattr(os, name)

            def watched(*args, name=name, real=real, **kw):
                calls.append(name)
                if len(calls) == nth + 1:
                    action()
                return real(*args, **kw)

            stack.enter_context(unittest.mock.patch.object(os, name, watched))
        return calls

    def check(self):
        """It is there, the old one or the new one, whole; the next run can do it again."""
        self.assertIn(self.again(), ([1, 2], ['carried']))
        self.compact()
        self.assertEqual(['carried'], self.again())
        self.assertEqual(['state.jsonl'], os.listdir(self.directory))

    def kill(self):
        raise Killed

    def refuse(self):
        raise OSError(errno.ENOSPC, 'No space left on device')

    def test_interrupted_before_every_call(self):
        for action in (self.kill, self.refuse):
            for nth in range(30):
                self.file.unlink(missing_ok=True)
                self.fill(1, 2)
                with contextlib.ExitStack() as stack:
                    calls = self.interrupt(stack, nth, action)
                    stack.enter_context(contextlib.suppress(Killed, errors.SpoolError))
                    self.compact()
                if len(calls) <= nth:
                    break
                with self.subTest(nth=nth, call=calls[nth], action=action.__name__):
                    self.check()
            self.assertGreater(nth, 5)

    def test_killed_for_real(self):
        for nth in range(2, 8):
            self.file.unlink(missing_ok=True)
            self.fill(1, 2)
            child = os.fork()
            if not child:
                with contextlib.ExitStack() as stack:
                    stack.callback(os._exit, 0)
                    self.interrupt(stack, nth, lambda: os.kill(os.getpid(), signal.SIGKILL))
                    self.compact()
            os.waitpid(child, 0)
            with self.subTest(nth=nth):
                self.check()


class VersionTests(JSONLogTests):
    def test_one_of_another_build_is_left_alone(self):
        self.fill(1)
        first, _, rest = self.file.read_bytes().partition(b'\n')
        for version in (1, 2, 'x'):
            about = {**json.loads(first), 'version': version}
            self.file.write_bytes(json.dumps(about).encode() + b'\n' + rest)
            before = self.file.read_bytes()
            with self.assertRaisesRegex(errors.SpoolError, 'of another build') as caught:
                JSONLog(self.directory).open()
            self.assertEqual(78, caught.exception.exit_code)
            with self.assertRaisesRegex(errors.SpoolError, 'of another build'):
                list(append_log.entries(self.directory))
            self.assertEqual(before, self.file.read_bytes())
