"""The order of what comes into a spool: whatever clocks, kills, other users and copies do."""

import contextlib
import errno
import fcntl
import itertools
import json
import logging
import os
import pathlib
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.journal import append_log, journal, line_format
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool import entries, queue, sequence
from zeit.cds.spool.sequence import Numbers
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files, lock_holder
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.remembered import JOURNAL, receipts
from zeit.cds.values.run_options import Options


def known(remembered):
    """Return the numbers of what waits, by (name, version)."""
    found = [*remembered.versions()]
    return {(name, tuple(version)): number for number, name, version in reversed(found)}


class SequenceTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.folder = in_memory(self)
        self.path = self.folder / 'journal' / 'state.jsonl'
        self.floor = 0
        self.enterContext(unittest.mock.patch('zeit.cds.journal.append_log.PATIENCE', 0.02))

    def above(self, told):
        return max(told, self.floor)

    @contextlib.contextmanager
    def numbers(self):
        """Return the numbers for who is in no run."""
        with journal.visit(self.folder, floor=self.above, about={}) as visited:
            yield Numbers(visited)

    @contextlib.contextmanager
    def run_numbers(self):
        """Return the same for a run."""
        with journal.Journal(self.folder, floor=self.above) as remembered:
            yield Numbers(remembered)

    def note(self, *names, run=False):
        """Note the next version of each; return the numbers."""
        with self.run_numbers() if run else self.numbers() as numbers:
            return [numbers.note(name, (1, 2, 3)) for name in names]

    def read(self):
        remembered = journal.read(self.folder)
        return known(remembered)

    def known(self):
        return [name for name, _ in self.read()]

    @contextlib.contextmanager
    def held(self):
        with open(self.path, 'rb') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    # Numbers

    def test_they_grow_from_one_process_to_the_next(self):
        self.assertEqual([1, 2], self.note('a', 'b'))
        self.assertEqual([3], self.note('a'))
        self.assertEqual([4], self.note('c', run=True))
        self.assertEqual([5], self.note('d'))
        self.assertEqual([2, 3, 4, 5], sorted(self.read().values()))

    def test_a_restored_backup_repeats_no_number_of_what_came_after_it(self):
        self.note('a')
        shutil.copytree(self.folder, self.folder / 'backup')
        lost = self.note('b', 'c')
        given = []
        for run in False, True, False:
            for name in os.listdir(self.folder / 'backup'):
                shutil.rmtree(self.folder / name)
                shutil.copytree(self.folder / 'backup' / name, self.folder / name)
            given += self.note('d', run=run) + self.note('e')
        self.assertEqual(sorted({*lost, *given}), lost + given)

    def test_names_of_any_bytes(self):
        names = [os.fsdecode(b'caf\xe9'), 'a\nb\r\x85\u2028', '"}{', '\U0001f600', 'n' * 255]
        self.assertEqual([1, 2, 3, 4, 5], self.note(*names))
        self.assertEqual(names, self.known())

    def test_long_lines(self):
        for number in range(3):
            with self.numbers() as numbers:
                about = {'id': 'i', 'reason': 'r' * 9999, 'attempts': 1, 'since': ''}
                numbers._journal.note('unpublished', **about)
            self.assertEqual([number + 1], self.note('a'))

    def test_one_that_keeps_its_number_does_not_set_it_back(self):
        self.note('a', 'b', 'c')
        with self.numbers() as numbers:
            self.assertEqual(1, numbers.note('d', (4,), number=1))
        self.assertEqual([4], self.note('e'))

    def test_what_has_left_and_comes_again_has_none(self):
        self.note('a', 'b')
        with self.numbers() as numbers:
            numbers.leave([(1, 'a')])
            self.assertEqual({'a': 1, 'b': 2}, numbers.newest({*'abc'}))
        self.assertEqual(['b'], self.known())
        self.assertEqual([3], self.note('c'))

    def test_a_new_file_begins_above_what_is_known_elsewhere(self):
        self.floor = 41
        self.assertEqual([42], self.note('a'))
        self.assertEqual([43], self.note('b', run=True))

    def test_a_file_that_a_run_begins_goes_on_above_what_is_known_elsewhere(self):
        self.floor = 41
        self.assertEqual([42], self.note('a', run=True))

    def test_it_is_raised_and_never_lowered(self):
        for number, expected in ((7, 8), (3, 9)):
            with self.numbers() as numbers:
                numbers.reach(number)
            self.assertEqual([expected], self.note('a'))

    def test_a_shorter_file(self):
        self.note('a', 'b', 'c')

        def first(remembered):
            return remembered.find('versions', name='a')

        with journal.Journal(self.folder, needed=first) as remembered:
            remembered.compact()
            self.assertEqual(4, Numbers(remembered).note('d', (1,)))
        self.assertEqual({('a', (1, 2, 3)): 1, ('d', (1,)): 4}, self.read())
        self.assertEqual([5], self.note('e'))

    def test_who_waited_for_the_old_file_gets_the_new_one(self):
        self.note('a')
        real, begun = fcntl.flock, []

        def flock(descriptor, operation):
            if not begun:
                begun.append(True)
                with journal.Journal(self.folder) as remembered:
                    remembered.compact()
                    Numbers(remembered).note('b', (1,))
            return real(descriptor, operation)

        with unittest.mock.patch('fcntl.flock', flock):
            self.assertEqual([3], self.note('c'))
        self.assertEqual(['a', 'b', 'c'], self.known())

    def test_who_has_looked_at_the_old_file_gets_the_new_one(self):
        self.note(*'ab' * 100)
        real = append_log.JSONLog._lock

        def lock(log):
            lock.mock.stop()
            with journal.Journal(self.folder, needed=lambda journal: []) as remembered:
                remembered.compact()
                Numbers(remembered).note('c', (1,))
            real(log)

        for names in ([], ['c']):
            with self.subTest(names=names):
                about = {'name': names} if names else {}
                lock.mock = unittest.mock.patch.object(append_log.JSONLog, '_lock', lock)
                lock.mock.start()
                with journal.visit(self.folder, floor=self.above, about=about) as visited:
                    self.assertEqual(['c'], [name for name, _ in known(visited)])

    def test_who_looks_at_one_name_knows_what_has_left(self):
        self.note('a', 'b')
        with self.numbers() as numbers:
            numbers.leave([(1, 'a')])
        with journal.visit(self.folder, floor=self.above, about={'name': ['a']}) as visited:
            self.assertEqual({}, known(visited))

    def test_a_run_knows_what_others_have_added_since(self):
        with self.run_numbers() as numbers:
            self.assertEqual([1], self.note('a'))
            self.assertEqual(2, numbers.note('b', (1,)))
            self.assertEqual([3], self.note('c'))
            with numbers._journal.log.locked():
                self.assertEqual([1, 2, 3], [*known(numbers._journal).values()])
            self.assertEqual([4], self.note('d'))
            numbers._journal.compact()
        self.assertEqual(['a', 'b', 'c', 'd'], self.known())

    # Damage

    def test_half_a_line_whatever_half(self):
        self.note('a', 'b')
        whole = self.path.read_bytes()
        start = whole.rindex(b'\n', 0, -1) + 1
        for length in range(start, len(whole)):
            self.path.write_bytes(whole[:length])
            self.assertEqual(['a'], self.known())
            with self.assertLogs('zeit.cds') if length > start else contextlib.nullcontext():
                self.assertEqual([2], self.note('c'), length)
            self.assertEqual(['a', 'c'], self.known())

    def test_damaged_lines(self):
        for junk in (b'{"number": 9', b'\0' * 5000, b'\xff', b'[1]', b'7', b'{"largest": "9"}'):
            for position in (1, 2, 3):
                with self.subTest(junk=junk[:10], position=position):
                    self.path.unlink(missing_ok=True)
                    self.note('a', 'b')
                    lines = self.path.read_bytes().splitlines(keepends=True)
                    lines.insert(position, junk + b'\n')
                    self.path.write_bytes(b''.join(lines))
                    self.assertEqual([3], self.note('c'))
                    with self.assertLogs('zeit.cds'):
                        self.assertEqual(['a', 'b', 'c'], self.known())

    def test_nothing_but_damage(self):
        self.floor = 5
        self.path.parent.mkdir()
        self.path.write_bytes(b'\0' * 10000)
        with self.assertLogs('zeit.cds'):
            self.assertEqual([6], self.note('a'))

    def test_a_write_that_fails_half_way_leaves_no_half_line(self):
        self.note('a')
        real, before = os.write, self.path.read_bytes()

        def write(descriptor, data, left=[10]):  # noqa: B006 counts the bytes
            if not left:
                raise OSError(28, 'No space left on device')
            return real(descriptor, data[: left.pop()])

        with unittest.mock.patch('os.write', write), self.assertRaises(errors.SpoolError):
            self.note('b')
        self.assertEqual(before, self.path.read_bytes())

    # The lock

    def test_nobody_waits_for_ever(self):
        self.note('a')
        with self.held(), self.assertRaises(errors.SpoolBusy):
            self.note('b')

    def test_a_run_goes_on_without_who_holds_it_for_ever(self):
        self.note('a')
        with self.held():
            self.assertEqual([2], self.note('b', run=True))
        self.assertEqual([3], self.note('c'))
        self.assertEqual(['a', 'b', 'c'], self.known())

    def test_a_run_goes_on_without_who_holds_it_in_the_middle(self):
        with self.run_numbers() as numbers:
            numbers.note('a', (1,))
            self.assertEqual([2], self.note('b'))
            with self.held():
                self.assertEqual(3, numbers.note('c', (1,)))
                self.assertEqual([4], self.note('d'))
            self.assertEqual(5, numbers.note('e', (1,)))
        self.assertEqual(['a', 'b', 'c', 'd', 'e'], self.known())
        with journal.Journal(self.folder) as remembered:
            self.assertFalse(remembered.is_copy)

    def test_who_was_stopped_before_its_write_gets_another_number(self):
        """A run could not wait for it, and somebody else has had its number."""
        self.note('a')
        real, stopped = line_format._write, []

        def write(descriptor, data):
            if not stopped:
                stopped.append(True)
                self.assertEqual([2], self.note('b', run=True))
            real(descriptor, data)

        with unittest.mock.patch('zeit.cds.journal.line_format._write', write):
            self.assertEqual([3], self.note('c'))
        self.assertEqual({'a': 1, 'b': 2, 'c': 3}, {n: k for (n, _), k in self.read().items()})

    def test_what_was_written_while_another_file_was_made_is_not_lost(self):
        real = files.exchange

        def exchange(old, new):
            with open(self.path, 'ab') as file:  # by who has the lock
                line = {'kind': 'put', 'at': '', 'name': 'b', 'version': [1], 'sequence': 2}
                file.write(json.dumps({**line, 'largest': 2}).encode() + b'\n')
            return possible and real(old, new)

        for possible in (True, False):
            with self.subTest(possible=possible):
                self.setUp()
                self.note('a')
                with self.held(), unittest.mock.patch('zeit.cds.system.files.exchange', exchange):
                    self.assertEqual([3], self.note('c', run=True))
                self.assertEqual(['a', 'b', 'c'], self.known())
                self.assertEqual(['state.jsonl'], os.listdir(self.path.parent))

    def test_who_was_stopped_when_it_made_another_file_does_not_get_the_name(self):
        """What a run has written since would be lost."""
        self.note('a')
        os.link(self.path, self.folder / 'copy')
        real, stopped = os.rename, []

        def rename(old, new):
            if not stopped:
                stopped.append(old)
                self.assertEqual([2], self.note('b', run=True))
            real(old, new)

        with unittest.mock.patch('os.rename', rename), self.assertRaises(errors.SpoolError):
            self.note('c')
        self.assertEqual(['a', 'b'], self.known())

    def stop_at(self, owner, name, action):
        """Let a process of its own do `action`, and stop itself before `owner.name`; its pid."""
        child = os.fork()
        if not child:
            code = 70
            try:
                real = getattr(owner, name)

                def stopped(*args, **options):
                    setattr(owner, name, real)
                    os.kill(os.getpid(), signal.SIGSTOP)
                    return real(*args, **options)

                setattr(owner, name, stopped)
                with contextlib.suppress(errors.SpoolError):
                    action()
                code = 0
            finally:
                os._exit(code)
        self.addCleanup(self.end, child)
        _, status = os.waitpid(child, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        return child

    def end(self, child, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, number)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def compact(self):
        with journal.Journal(self.folder, floor=self.above) as remembered:
            remembered.compact()

    def test_who_was_stopped_when_it_made_another_file_loses_nothing(self):
        """Wherever that was, and however far a run has come without it."""
        for owner, name in (
            (files, 'draft'),
            (append_log.creation_time, 'identity'),
            (line_format, '_write'),
            (os, 'rename'),
            (files, 'is_at'),
        ):
            with self.subTest(name):
                self.setUp()
                self.note('a')
                child = self.stop_at(owner, name, self.compact)
                self.assertEqual([2, 3], self.note('b', 'c', run=True))
                self.assertEqual(0, self.end(child, signal.SIGCONT))
                self.assertEqual([4], self.note('d'))
                self.assertEqual([*'abcd'], self.known())
                self.assertEqual(['state.jsonl'], os.listdir(self.path.parent))

    def test_a_run_that_was_stopped_when_it_went_on_without_somebody_loses_nothing(self):
        """That one has gone on, and so have others, in a new file."""
        for owner, name in ((files, 'exchange'), (files, 'is_at'), (line_format, '_write')):
            with self.subTest(name):
                self.setUp()
                self.note('a')
                with self.held():
                    run = self.stop_at(owner, name, lambda: self.note('d', run=True))
                self.compact()
                self.assertEqual([2, 3], self.note('b', 'c'))
                self.assertEqual(0, self.end(run, signal.SIGCONT))
                self.assertEqual([*'abcd'], self.known())
                self.assertEqual(['state.jsonl'], os.listdir(self.path.parent))

    def test_both_were_stopped_as_they_made_another_file(self):
        self.note('a')
        child = self.stop_at(line_format, '_write', self.compact)
        run = self.stop_at(files, 'exchange', lambda: self.note('d', run=True))
        self.assertEqual(0, self.end(child, signal.SIGCONT))
        self.assertEqual([2, 3], self.note('b', 'c'))
        self.assertEqual(0, self.end(run, signal.SIGCONT))
        self.assertEqual([*'abcd'], self.known())
        self.assertEqual(['state.jsonl'], os.listdir(self.path.parent))

    def test_who_lets_go_in_time(self):
        self.note('a')
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.held())
            with unittest.mock.patch('time.sleep', lambda seconds: stack.close()):
                self.assertEqual([2], self.note('b'))

    def test_a_forked_child_does_not_keep_it(self):
        self.note('a')
        ours, theirs = socket.socketpair()
        with ours, theirs:
            with self.numbers():
                child = os.fork()
                if not child:
                    ours.close()
                    theirs.send(b'x')
                    theirs.recv(1)
                    os._exit(0)
            ours.recv(1)
            try:
                self.assertEqual([2], self.note('b'))
            finally:
                ours.send(b'x')
                os.waitpid(child, 0)

    def test_the_mode_is_the_one_of_the_spool(self):
        self.folder.chmod(0o2770)
        self.note('a')
        self.assertEqual(0o660, stat.S_IMODE(self.path.stat().st_mode))
        with journal.Journal(self.folder) as remembered:
            remembered.compact()
        self.assertEqual(0o660, stat.S_IMODE(self.path.stat().st_mode))

    def test_a_file_of_another_user_is_replaced(self):
        self.note('a', 'b')
        real = os.open

        def refused(path, flags, *args, **kw):
            if path == os.fspath(self.path) and flags & os.O_RDWR:
                raise PermissionError(13, 'Permission denied', path)
            return real(path, flags, *args, **kw)

        with unittest.mock.patch('os.open', refused):
            self.assertEqual([3], self.note('c'))
        self.assertEqual(['a', 'b', 'c'], self.known())
        with journal.Journal(self.folder) as remembered:
            self.assertFalse(remembered.is_copy)

    def test_a_file_that_a_copy_shares_by_a_link(self):
        self.note('a')
        copy = self.folder / 'copy'
        (copy / 'journal').mkdir(parents=True)
        os.link(self.path, copy / 'journal' / 'state.jsonl')
        with journal.visit(copy, floor=int) as visited:
            self.assertGreater(Numbers(visited).note('c', (1,)), 2)
        self.assertEqual([2], self.note('b'))
        self.assertEqual(['a', 'b'], self.known())
        with self.assertLogs('zeit.cds'), journal.Journal(copy) as remembered:
            self.assertTrue(remembered.is_copy)
        with journal.Journal(self.folder) as remembered:
            self.assertFalse(remembered.is_copy)


PUT = """
import sys
from zeit.cds.journal import append_log
from zeit.cds.spool.spool import Spool
append_log.PATIENCE = 60  # here each of them has a number, however busy the machine is
append_log.LIMIT = int(sys.argv[3])
spool = Spool(sys.argv[1])
sys.stdin.read(1)
for number in range(30):
    spool.put('common.xml', f'{sys.argv[2]} {number}'.encode())
    spool.put(f'{sys.argv[2]}-{number:02}.xml', b'own')
"""


class QueueTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path)
        for name in 'cba':
            self.spool.put(name, b'1')

    def in_sequence(self):
        found = queue.Files(self.path / 'new')
        return found.in_sequence(journal.versions(self.path / '.cds'))[0]

    def test_a_name_that_the_system_shows_twice(self):
        """As file systems do if it is replaced while the directory is read."""
        found = sorted(entries.statuses(self.path / 'new'))
        found.insert(2, found[0])
        with unittest.mock.patch.object(entries, 'statuses', lambda *a, **kw: found):
            self.assertEqual(['c', 'b', 'a'], self.in_sequence())

    def test_a_version_that_is_none_is_left_out(self):
        with open(self.path / '.cds' / 'journal' / append_log.NAME, 'a') as file:
            for version in ([[1], 2, 3], []):
                entry = {'kind': 'put', 'sequence': 9, 'name': 'a', 'version': version}
                print(json.dumps(entry), file=file)
        self.assertEqual(['c', 'b', 'a'], self.in_sequence())


class PutTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = in_memory(self)
        self.spool = Spool(self.path)
        self.target = MemoryTarget()

    def export(self):
        with self.assertLogs('zeit.cds', 'INFO'):
            return Exporter(self.spool, self.target).run_once()

    def numbers(self):
        """Return the numbers that the next run sees, by name."""
        with self.spool.run():
            return {entry.name: entry.number for entry in self.spool.pending()[0]}

    def order(self):
        with self.spool.run():
            return [entry.name for entry in self.spool.pending()[0]]

    def test_in_the_order_in_which_they_were_put(self):
        for name in 'cab':
            self.spool.put(name, b'1')
        # As chmod -R and chown -R do: the times of the inodes say something else now.
        for name in 'bac':
            os.chmod(self.path / 'new' / name, 0o640)
        self.assertEqual(['c', 'a', 'b'], self.order())
        self.assertEqual(['c', 'a', 'b'], self.export().delivered)

    def test_a_correction_goes_behind_the_others(self):
        for name in 'aba':
            self.spool.put(name, b'1')
        self.assertEqual(['b', 'a'], self.order())

    def test_status_tells_the_same_order_and_changes_nothing(self):
        self.spool.put('b', b'1')
        self.spool.put('a', b'1')
        (self.path / 'new' / '0').write_bytes(b'moved')
        before = (self.path / JOURNAL).read_bytes()
        self.assertEqual(['b', 'a', '0'], [e.name for e in self.spool.status().waiting])
        self.assertEqual(before, (self.path / JOURNAL).read_bytes())

    def test_what_appears_by_a_rename_has_its_number_when_it_is_seen(self):
        self.spool.put('b', b'1')
        (self.path / 'tmp' / 'a').write_bytes(b'1')
        os.rename(self.path / 'tmp' / 'a', self.path / 'new' / 'a')
        self.assertEqual({'b': 1, 'a': 2}, self.numbers())
        self.spool.put('c', b'1')
        os.chmod(self.path / 'new' / 'a', 0o640)
        self.assertEqual({'b': 1, 'a': 2, 'c': 3}, self.numbers())

    def put_at_once(self, limit):
        """Let eight processes put; return the entries of the journal, which is full at `limit`."""
        processes = [
            subprocess.Popen(
                [sys.executable, '-c', PUT, self.path, str(number), str(limit)],
                stdin=subprocess.PIPE,
                env={'PYTHONPATH': ':'.join(filter(None, sys.path))},
            )
            for number in range(8)
        ]
        for process in processes:
            process.stdin.write(b'x')
            process.stdin.flush()
        for process in processes:
            process.communicate(timeout=60)
            self.assertEqual(0, process.returncode)
        lines = (self.path / JOURNAL).read_bytes().splitlines()
        found = [json.loads(line) for line in lines[1:]]
        found = [entry for entry in found if entry['kind'] == 'put']
        numbers = self.numbers()
        # What remains of those of one name is the one with the largest number.
        largest = max(e['sequence'] for e in found if e['name'] == 'common.xml')
        self.assertEqual(largest, numbers['common.xml'])
        for number in range(8):
            own = [numbers[f'{number}-{n:02}.xml'] for n in range(30)]
            self.assertEqual(sorted(own), own)
        return found

    def test_eight_processes_at_once(self):
        found = self.put_at_once(1 << 30)
        self.assertEqual([*range(1, 481)], [entry['sequence'] for entry in found])

    def test_eight_processes_that_make_it_anew(self):
        found = [entry['sequence'] for entry in self.put_at_once(1000)]
        self.assertEqual(sorted({*found}), found)
        self.assertEqual(480, found[-1])
        self.assertLess(len(found), 480)

    def test_who_cannot_have_a_number_can_put_all_the_same(self):
        def unwritable():
            (self.path / '.cds').rmdir()
            (self.path / '.cds').write_bytes(b'')

        def held():
            (self.path / '.cds' / 'journal').mkdir()
            file = self.enterContext(open(self.path / JOURNAL, 'wb'))
            fcntl.flock(file, fcntl.LOCK_EX)

        for trouble in (unwritable, held):
            with self.subTest(trouble.__name__):
                self.setUp()
                (self.path / '.cds').mkdir()
                trouble()
                with unittest.mock.patch.object(append_log, 'PATIENCE', 0.02):
                    self.spool.put('a', b'1')
                self.assertEqual(b'1', (self.path / 'new' / 'a').read_bytes())

    def test_a_lock_that_cannot_be_given_back_is_no_missing_draft(self):
        real = fcntl.flock

        def flock(descriptor, operation):
            if operation == fcntl.LOCK_UN:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(descriptor, operation)

        with unittest.mock.patch('fcntl.flock', flock):
            self.spool.put('a', b'1')
        self.assertEqual(b'1', (self.path / 'new' / 'a').read_bytes())
        self.assertEqual({'a': 1}, self.numbers())

    def test_who_is_kept_waiting_waits_once(self):
        self.spool.put('a', b'1')
        waited = []
        with (
            open(self.path / JOURNAL, 'rb') as file,
            unittest.mock.patch.object(append_log, 'PATIENCE', 0.02),
            unittest.mock.patch('time.sleep', waited.append),
            unittest.mock.patch.object(lock_holder, '_find', return_value=None) as find,
        ):
            fcntl.flock(file, fcntl.LOCK_EX)
            self.spool.put('b', b'1')
            self.assertTrue(waited)
            waited.clear()
            self.spool.put('c', b'1')
            self.assertEqual([], waited)
            self.assertEqual(1, find.call_count, 'that reads what each process has open')
        self.spool.put('d', b'1')
        self.assertEqual({'a': 1, 'd': 2, 'b': 3, 'c': 4}, self.numbers())

    def test_who_was_kept_waiting_waits_once_more_a_minute_later(self):
        """By then somebody else may have the lock, and for a moment."""
        self.spool.put('a', b'1')
        with open(self.path / JOURNAL, 'rb') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with unittest.mock.patch.object(append_log, 'PATIENCE', 0.02):
                self.spool.put('b', b'1')
            later = time.monotonic() + 60
            with (
                unittest.mock.patch('time.monotonic', return_value=later),
                unittest.mock.patch(
                    'time.sleep', lambda seconds: fcntl.flock(file, fcntl.LOCK_UN)
                ),
            ):
                self.spool.hold('a', 'Wait.')
        self.assertEqual(['a'], [*self.spool.status().held])

    def test_a_sequence_that_is_gone_begins_above_receipts_and_parked_files(self):
        for name in 'abc':
            self.spool.put(name, b'1')
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][2], 'No.')
        self.export()
        (self.path / JOURNAL).unlink()
        self.spool.put('d', b'1')
        self.assertEqual({'d': 4}, self.numbers())

    def test_one_that_was_restored_from_a_backup_goes_on_above_the_receipts(self):
        self.spool.put('a', b'1')
        old = (self.path / JOURNAL).read_bytes()
        for name in 'bcd':
            self.spool.put(name, b'1')
        self.export()
        (self.path / JOURNAL).write_bytes(old)
        with self.spool.run():
            pass
        self.spool.put('e', b'1')
        self.assertEqual({'e': 5}, self.numbers())

    def test_a_receipt_has_the_number_of_what_was_sent(self):
        self.spool.put('a', b'1')
        real = self.spool.open

        def corrected(entry):
            self.spool.open = real
            self.spool.put('a', b'2')
            return real(entry)

        self.spool.open = corrected
        self.export()
        (receipt,) = receipts(self.path / '.cds')
        self.assertEqual(2, receipt['sequence'])

    def test_one_that_was_delivered_and_is_moved_back_has_a_new_number(self):
        self.spool.put('a', b'1')
        self.export()
        os.rename(self.path / 'cur' / 'a', self.path / 'new' / 'a')
        self.assertEqual({'a': 2}, self.numbers())

    def fill(self, number):
        """Let so many files wait that have numbers, and one that has none."""
        with self.spool._sequence.numbers() as numbers:
            for n in range(number):
                path = self.path / 'new' / f'f{n}'
                path.write_bytes(b'1')
                numbers.note(path.name, entries.find(path.parent, path.name).version)

    def test_who_adds_something_looks_only_at_what_concerns_it(self):
        self.spool.put('a', b'1')
        self.fill(100)
        real, lines = line_format._loaded, []
        loaded = lambda found: lines.extend(found) or real(found)  # noqa: E731
        with unittest.mock.patch('zeit.cds.journal.line_format._loaded', loaded):
            self.spool.put('a', b'2', content='id')
            with self.spool.batch() as batch:
                batch.put('b', b'1')
                batch.prepare()
                batch.commit()
            self.spool.withdraw('a', 'why')
            self.spool.unpublished.add('id', 'why')
        self.assertEqual([], [line for line in lines if b'"name": "f' in line])
        self.assertEqual(101, len(self.order()))

    def test_nobody_reads_all_with_the_lock(self):
        self.spool.put('a', b'1')
        self.fill(100)
        real, lines = line_format._loaded, []

        def loaded(found):
            try:
                with open(self.path / JOURNAL, 'rb') as file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                lines.extend(found)
            return real(found)

        with unittest.mock.patch('zeit.cds.journal.line_format._loaded', loaded):
            self.spool.put('a', b'2')
            self.assertEqual(101, len(self.order()))
            self.spool.retract('id', 'why', until=5)
        self.assertEqual([], lines)

    def test_what_appears_by_renames_is_numbered_by_one_write(self):
        self.spool.put('a', b'1')
        for n in range(50):
            (self.path / 'new' / f'f{n}').write_bytes(b'1')
        real, written = line_format._write, []
        write = lambda file, data: written.append(data) or real(file, data)  # noqa: E731
        with unittest.mock.patch('zeit.cds.journal.line_format._write', write), self.spool.run():
            self.assertEqual([*range(1, 52)], [e.number for e in self.spool.pending()[0]])
        self.assertEqual(1, len([data for data in written if b'"seen"' in data]))

    def stopped(self, then, name):
        """Put OLD, and call `then` when it has its number, and a run has not waited for that."""
        real, stopped = sequence.Numbers.note, []

        def note(numbers, *args, **options):
            number = real(numbers, *args, **options)
            if not stopped:
                stopped.append(True)
                then()
            return number

        with (
            unittest.mock.patch.object(sequence.Numbers, 'note', note),
            unittest.mock.patch.object(append_log, 'PATIENCE', 0.02),
        ):
            self.spool.put(name, b'OLD')

    def test_who_was_stopped_stands_back_behind_what_has_come_since(self):
        for delivered in (False, True):
            for compacted in (False, True):
                with self.subTest(delivered=delivered, compacted=compacted):
                    self.setUp()
                    self.spool.put('z', b'1')

                    def newer(delivered=delivered, compacted=compacted):
                        other = Spool(self.path)
                        with other.run():
                            pass
                        other.put('a', b'NEW')
                        if delivered:
                            Exporter(other, self.target).run_once()
                        with unittest.mock.patch.object(append_log.JSONLog, 'is_full', compacted):
                            with other.run():
                                pass

                    self.stopped(newer, 'a')
                    self.export()
                    self.assertEqual(b'NEW', self.target.files['a'])
                    self.assertEqual([], os.listdir(self.path / 'tmp'))

    def test_who_was_stopped_goes_on_where_nothing_newer_has_come(self):
        def other():
            with Spool(self.path).run():
                pass

        self.spool.put('a', b'OLDER')
        self.stopped(other, 'a')
        self.export()
        self.assertEqual(b'OLD', self.target.files['a'])

    def test_the_history_tells_whether_an_old_journal_has_come_back(self):
        """Also if the last ones that were delivered have low numbers, and to who is in no run."""
        for name in 'edc':
            self.spool.put(name, b'1')
        old = (self.path / JOURNAL).read_bytes()
        for name in 'ba':
            self.spool.put(name, b'1')
        with self.assertLogs('zeit.cds', 'INFO'):
            Exporter(self.spool, self.target).run_once(Options(order='name'))
        for content in (old, None):
            with self.subTest(content=content):
                (self.path / JOURNAL).unlink()
                if content is not None:
                    (self.path / JOURNAL).write_bytes(content)
                self.spool.put('f', b'1')
                line = (self.path / JOURNAL).read_text().splitlines()[-1]
                self.assertLess(5, json.loads(line)['sequence'])

    def test_it_does_not_grow_with_what_is_gone(self):
        self.spool.put('first', b'1')
        with unittest.mock.patch.object(append_log.JSONLog, 'is_full', True):
            for number in range(40):
                self.spool.put('a', b'%d' % number)
                if number % 2:
                    self.target.hook = self.refuse_first
                    self.export()
                else:
                    self.numbers()
        lines = (self.path / JOURNAL).read_text().splitlines()
        self.assertLess(len([line for line in lines if '"kind": "put"' in line]), 15)
        self.assertEqual({'first': 1}, self.numbers())
        self.spool.put('a', b'1')
        self.assertEqual({'first': 1, 'a': 42}, self.numbers())

    def test_it_does_not_grow_where_no_run_comes(self):
        self.enterContext(unittest.mock.patch.object(append_log, 'LIMIT', 2000))
        for number in range(60):
            self.spool.put('a', b'%d' % number)
            self.spool.unpublished.add('id', f'{number} times')
        self.assertLess((self.path / JOURNAL).stat().st_size, 5000)
        self.assertEqual({'a': 119}, self.numbers())
        self.assertEqual([60], [each.attempts for each in self.spool.unpublished.content()])

    def test_nobody_makes_it_anew_under_a_run(self):
        with unittest.mock.patch.object(append_log.JSONLog, 'is_full', False), self.spool.run():
            with unittest.mock.patch.object(append_log.JSONLog, 'is_full', True):
                before = os.stat(self.path / JOURNAL).st_ino
                Spool(self.path).put('a', b'1')
                self.assertEqual(before, os.stat(self.path / JOURNAL).st_ino)

    def test_a_run_that_has_begun_before_the_lock_was_had(self):
        has_run = unittest.mock.Mock(side_effect=[False, True])
        with (
            unittest.mock.patch.object(append_log.JSONLog, 'is_full', True),
            unittest.mock.patch.object(sequence.Sequence, '_has_run', has_run),
            unittest.mock.patch.object(
                append_log.JSONLog, 'compact', side_effect=ZeroDivisionError
            ),
        ):
            self.spool.put('a', b'1')
        self.assertEqual(2, has_run.call_count)

    def test_a_run_that_begins_as_it_is_made_anew(self):
        for number in range(50):
            self.spool.put('a', b'%d' % number)
        real, begun = append_log.JSONLog.look, []

        def look(log, *args):
            real(log, *args)
            if log._is_run and not begun:
                begun.append(True)
                with unittest.mock.patch.object(append_log.JSONLog, 'is_full', True):
                    with unittest.mock.patch.object(sequence.Sequence, '_has_run', bool):
                        Spool(self.path).put('b', b'1')

        with unittest.mock.patch.object(append_log.JSONLog, 'look', look):
            self.assertEqual({'a': 50, 'b': 51}, self.numbers())
        self.assertTrue(begun)

    def test_a_retraction_is_remembered_when_it_is_made_anew(self):
        self.spool.put('a', b'1')
        self.spool.retract('id', 'why', until=5)
        with self.spool.run():
            self.spool.journal.compact()
        self.assertTrue(self.spool.retracted('id', since=4))
        self.assertFalse(self.spool.retracted('id', since=5))

    def refuse_first(self, operation, name):
        if (operation, name) == ('upload', 'first'):
            raise errors.TemporaryError(450, '450 Busy.')

    def test_a_rehearsal_writes_nothing(self):
        self.spool.put('a', b'1')
        (self.path / 'new' / 'b').write_bytes(b'1')
        before = sorted(self.path.rglob('*'))
        with self.spool.run(rehearsal=True):
            self.assertEqual(['a', 'b'], [e.name for e in self.spool.pending()[0]])
        self.assertEqual(before, sorted(self.path.rglob('*')))


PUBLISH = """
import sys
from zeit.cds.journal import append_log
from zeit.cds.spool.spool import Spool
append_log.PATIENCE = 60
append_log.LIMIT = 1000
spool = Spool(sys.argv[1])
for number in range(60):
    spool.put('common.xml', b'%d' % number)
    spool.put(f'{sys.argv[2]}-{number:02}.xml', b'own')
    spool.unpublished.add(f'{sys.argv[2]}-{number}', 'why')
"""


class StoppedTests(unittest.TestCase):
    """Who adds to the journal is stopped anywhere, for longer than runs wait; these go on."""

    layer = layers.QUIET
    level = 2

    def setUp(self):
        self.path = in_memory(self)
        self.spool = Spool(self.path)
        self.numbers = {}
        self.enterContext(unittest.mock.patch.object(append_log, 'PATIENCE', 0.01))

    def deliver(self, most):
        with self.spool.run():
            for entry in self.spool.pending()[0][:most]:
                with self.spool.open(entry) as source:
                    source.digest()
                    self.spool.done(entry, source)
                receipt = {'target': 't', 'name': entry.name, 'sequence': source.number}
                self.spool.journal.receipt('delivered', receipt)
                self.assertNotIn(source.number, self.numbers)
                self.numbers[source.number] = entry.name
            self.assertIsNone(self.spool.journal.row('damage'))
            self.spool.journal.compact()

    def test_nothing_is_lost_and_no_number_is_used_twice(self):
        chance, replaced, logger = random.Random(14), [], logging.getLogger('zeit.cds')
        self.addCleanup(logger.setLevel, logger.level)
        logger.setLevel('ERROR')  # half a line is cut off now and then
        real = append_log.JSONLog._replace
        counted = lambda log, **kw: replaced.append(1) or real(log, **kw)  # noqa: E731
        self.enterContext(unittest.mock.patch.object(append_log.JSONLog, '_replace', counted))
        processes = [
            subprocess.Popen(
                [sys.executable, '-c', PUBLISH, self.path, str(number)],
                env={'PYTHONPATH': ':'.join(filter(None, sys.path))},
            )
            for number in range(6)
        ]
        while running := [each for each in processes if each.poll() is None]:
            for process in running:
                process.send_signal(chance.choice((signal.SIGSTOP, signal.SIGCONT)))
            self.deliver(5)
        self.assertEqual([0] * 6, [each.returncode for each in processes])
        self.deliver(None)
        names = [name for name in self.numbers.values() if name != 'common.xml']
        expected = [f'{number}-{n:02}.xml' for number in range(6) for n in range(60)]
        self.assertEqual(expected, sorted(names))
        self.assertEqual(360, len(self.spool.unpublished.content()))
        self.assertTrue(replaced)


@unittest.skipIf(os.geteuid(), 'Only root can be another user')
class OtherUserTests(unittest.TestCase):
    """A publisher who is somebody else than the runs."""

    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        os.chmod(self.path, 0o755)
        self.spool = Spool(self.path)
        with self.spool.run():
            pass

    def put_as_another(self, name, content):
        child = os.fork()
        if not child:
            status = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                self.spool.put(name, content)
                status = 0
            finally:
                os._exit(status)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def test_who_must_not_write_what_is_ours(self):
        for section in ('new', 'tmp'):
            os.chmod(self.path / section, 0o777)
        self.spool.put('b', b'1')
        self.put_as_another('a', b'1')
        self.spool.put('c', b'1')
        with self.spool.run():
            self.assertEqual(['b', 'c', 'a'], [e.name for e in self.spool.pending()[0]])


class NewestTests(unittest.TestCase):
    def test_what_has_no_number_is_newer_than_all_in_any_order(self):
        one, two, none = (entries.Entry('a', 1, 0, (n, 1, 0), number=n) for n in (1, 2, 0))
        for found in itertools.permutations([one, two, none]):
            self.assertEqual({'a': none}, entries.newest(*found))
        for found in itertools.permutations([one, two]):
            self.assertEqual({'a': two}, entries.newest(*found))
