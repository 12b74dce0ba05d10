"""A loss of power: what is synchronised, and in which order, before anything is said about it.

A file survives when its content was synchronised before it got its name, and the directory after
it (fsync(2), rename(2)).  The order of the system calls is recorded inside the process, and once
more by strace from the outside.
"""

import contextlib
import hashlib
import logging
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

from zeit.cds.journal.journal import Journal
from zeit.cds.run.arrivals import Arrivals
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.testing import layers
from zeit.cds.testing.daemon import find_program
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.importing import Skipping


TIMEOUT = 60


class Recorder:
    """A context manager; inside it `calls` grows by each system call that matters.

    They read like 'fsync new', 'rename new/a .cds/filing/a': paths relative to `top`, drafts as
    DRAFT.
    """

    def __init__(self, top):
        self._top = os.fspath(top)
        self._stack = contextlib.ExitStack()
        self.calls = []

    def __enter__(self):
        for name in ('fsync', 'write'):
            self._watch(os, name, self._of_descriptor)
        for name in ('rename', 'replace', 'link', 'unlink'):
            self._watch(os, name, self._of_paths)
        self._watch(files, '_renameat2', self._of_paths, called='rename')
        return self

    def __exit__(self, *exc_info):
        self._stack.close()

    def _watch(self, module, name, about, *, called=None):
        real = getattr(module, name)

        def watched(*args, **kw):
            what = about(args)
            result = real(*args, **kw)
            self.calls.append(f'{called or name} {what}')
            return result

        self._stack.enter_context(unittest.mock.patch.object(module, name, watched))

    def _of_descriptor(self, args):
        return self._short(os.readlink(f'/proc/self/fd/{args[0]}'))

    def _of_paths(self, args):
        return ' '.join(self._short(os.fspath(path)) for path in args[:2])

    def _short(self, path):
        path = os.path.relpath(path, self._top)
        path = re.sub(r'20\d\d-\d\d\.jsonl', 'YYYY-MM.jsonl', path)
        return re.sub(r'\.draft-[0-9a-f]+', 'DRAFT', path)


JOURNAL, HISTORY = remembered.JOURNAL, '.cds/history/YYYY-MM.jsonl'


class DurabilityTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(os.path.realpath(self.enterContext(tempfile.TemporaryDirectory())))
        self.spool = Spool(self.path)
        with self.spool.run():
            pass

    def deliver(self, name):
        (entry,) = (entry for entry in self.spool.pending()[0] if entry.name == name)
        source = self.enterContext(self.spool.open(entry))
        while source.readinto(bytearray(100)):
            pass
        return entry, source

    def done(self, entry, source):
        self.spool.done(entry, source)
        self.spool.sync()

    def assert_in_order(self, expected, calls):
        """Each of `expected` is among `calls`, in this order."""
        left = iter(calls)
        for call in expected:
            self.assertIn(call, left, '\n'.join(calls))

    def assert_synchronised(self, calls):
        """No rename, link or removal is left whose directory was not synchronised after it."""
        dirty = set()
        for call in calls:
            kind, *paths = call.split()
            if kind in ('rename', 'replace', 'link'):
                # A draft that is still there, too, is thrown away by the next run.
                named = [path for path in paths if not path.endswith('DRAFT')]
                dirty |= {os.path.dirname(path) or '.' for path in named}
            elif kind == 'fsync':
                dirty.discard(paths[0])
        self.assertEqual(set(), dirty, '\n'.join(calls))


class SpoolTests(DurabilityTests):
    def test_96_put(self):
        self.spool.put('b', b'1')
        with Recorder(self.path) as recorder:
            self.spool.put('a', b'1')
        self.assertEqual(
            [
                'fsync tmp/DRAFT',
                f'write {JOURNAL}',
                'replace tmp/DRAFT new/a',
                'fsync new',
                'fsync tmp',
            ],
            recorder.calls,
        )

    def test_95_done(self):
        """Whoever has renamed it into new/ may not have made its content durable."""
        (self.path / 'tmp' / 'a').write_bytes(b'1')
        os.rename(self.path / 'tmp' / 'a', self.path / 'new' / 'a')
        with self.spool.run():
            entry, source = self.deliver('a')
            with Recorder(self.path) as recorder:
                self.done(entry, source)
        self.assert_in_order(
            [
                'fsync new/a',
                'rename new/a .cds/filing/a',
                'rename .cds/filing/a cur/a',
                'fsync cur',
            ],
            recorder.calls,
        )
        self.assert_synchronised(recorder.calls)

    def test_95_done_with_what_was_put(self):
        """Its content is durable since then; what has been written to it by others is not."""
        for changed in (False, True):
            self.spool.put('a', b'1')
            if changed:
                (self.path / 'new' / 'a').write_bytes(b'23')
            with self.spool.run():
                self.spool.journal.compact()
                entry, source = self.deliver('a')
                with Recorder(self.path) as recorder:
                    self.done(entry, source)
            self.assertEqual(changed, 'fsync new/a' in recorder.calls, recorder.calls)
            self.assert_synchronised(recorder.calls)
            os.unlink(self.path / 'cur' / 'a')

    def test_95_done_where_the_file_system_has_no_exclusive_rename(self):
        self.spool.put('a', b'1')
        with self.spool.run():
            entry, source = self.deliver('a')
            with unittest.mock.patch.object(files, '_renameat2', return_value=False):
                with Recorder(self.path) as recorder:
                    self.done(entry, source)
        self.assert_in_order(['link .cds/filing/a cur/a', 'fsync cur'], recorder.calls)
        self.assert_synchronised(recorder.calls)

    def test_95_done_with_a_correction(self):
        self.spool.put('a', b'1')
        with self.spool.run():
            entry, source = self.deliver('a')
            self.spool.put('a', b'2')
            with Recorder(self.path) as recorder:
                self.done(entry, source)
        self.assert_in_order(
            [
                'fsync .cds/filing/DRAFT',
                'rename .cds/filing/DRAFT cur/a',
                'rename .cds/filing/a new/a',
                'fsync new',
                'fsync cur',
            ],
            recorder.calls,
        )
        self.assert_synchronised(recorder.calls)

    def test_95_done_with_what_has_disappeared(self):
        self.spool.put('a', b'1')
        with self.spool.run():
            entry, source = self.deliver('a')
            os.unlink(self.path / 'new' / 'a')
            with Recorder(self.path) as recorder:
                self.done(entry, source)
        self.assert_in_order(
            ['fsync .cds/filing/DRAFT', 'rename .cds/filing/DRAFT cur/a', 'fsync cur'],
            recorder.calls,
        )
        self.assert_synchronised(recorder.calls)

    def test_park_and_retry(self):
        self.spool.put('a', b'1')
        with self.spool.run():
            (entry,) = self.spool.pending()[0]
            with Recorder(self.path) as recorder:
                self.spool.park(entry, '553 No.')
            self.assert_in_order(
                ['fsync .cds/filing/DRAFT', 'replace .cds/filing/DRAFT parked/.a.parked']
                + [f'write {HISTORY}', f'fsync {HISTORY}', 'rename .cds/filing/a parked/a']
                + ['fsync parked'],
                recorder.calls,
            )
            self.assert_synchronised(recorder.calls)
            with Recorder(self.path) as recorder:
                self.spool.retry('a')
        self.assert_in_order(['rename parked/a new/a', 'fsync new'], recorder.calls)
        self.assert_synchronised(recorder.calls)

    def test_what_a_killed_run_left_is_put_back_for_good(self):
        (self.path / '.cds' / 'filing' / 'a').write_bytes(b'1')
        with Recorder(self.path) as recorder, self.spool.run():
            pass
        self.assert_in_order(
            ['rename .cds/filing/a new/a', 'fsync new', 'fsync .cds/filing'], recorder.calls
        )

    def test_directories_that_are_made(self):
        path = self.path / 'other'
        path.mkdir()
        with Recorder(self.path) as recorder, Spool(path).run():
            pass
        self.assertGreaterEqual(recorder.calls.count('fsync other'), 4)


class JournalTests(DurabilityTests):
    def test_append(self):
        with Journal(self.path / '.cds') as journal, Recorder(self.path) as recorder:
            journal.new_token('memory:')
        self.assertEqual([f'write {JOURNAL}', f'fsync {JOURNAL}'], recorder.calls)

    def test_a_new_one(self):
        directory = self.path / 'empty'
        directory.mkdir()
        with Recorder(self.path) as recorder, Journal(directory):
            pass
        self.assertEqual(
            [
                'rename empty/DRAFT empty/journal',
                'fsync empty',
                'fsync empty/journal/DRAFT',
                'write empty/journal/DRAFT',
                'fsync empty/journal/DRAFT',
                'rename empty/journal/DRAFT empty/journal/state.jsonl',
                'fsync empty/journal',
            ],
            recorder.calls,
        )

    def test_compaction(self):
        """The new file is on the disk before it takes the place of the old one."""
        with Journal(self.path / '.cds') as journal, Recorder(self.path) as recorder:
            journal.compact()
        self.assertEqual(
            [
                'fsync .cds/journal/DRAFT',
                'write .cds/journal/DRAFT',
                'fsync .cds/journal/DRAFT',
                'rename .cds/journal/DRAFT .cds/journal/state.jsonl',
                'fsync .cds/journal',
            ],
            recorder.calls,
        )


class RunTests(DurabilityTests):
    """A whole run: system calls, what the server sees, and what is logged, in one sequence."""

    def setUp(self):
        super().setUp()
        self.target = MemoryTarget(hook=self.hook)
        self.recorder = Recorder(self.path)

    def hook(self, operation, name):
        self.recorder.calls.append(f'SERVER {operation} {name}'.strip())

    def export(self, **options):
        def handle(logger, record):
            self.recorder.calls.append(f'LOG {record.getMessage()}')

        with self.recorder, unittest.mock.patch('logging.Logger.handle', handle):
            logger = logging.getLogger('zeit.cds')
            level = logger.level
            logger.setLevel('INFO')
            try:
                self.report = Exporter(self.spool, self.target).run_once(Options(**options))
            finally:
                logger.setLevel(level)
        return self.recorder.calls

    def test_95_moved_is_said_when_it_is_true_for_good(self):
        self.spool.put('a', b'1')
        calls = self.export()
        self.assertEqual(['a'], self.report.delivered)
        self.assert_in_order(
            [
                'SERVER upload a',
                f'write {JOURNAL}',  # uploaded
                f'fsync {JOURNAL}',
                'SERVER publish a',
                'rename .cds/filing/a cur/a',
                'fsync cur',
                'fsync new',
                f'write {HISTORY}',
                f'fsync {HISTORY}',
                f'write {JOURNAL}',  # delivered
                "LOG Moved from 'new' to 'cur': a",
            ],
            calls,
        )
        self.assert_synchronised(calls[: calls.index("LOG Moved from 'new' to 'cur': a")])

    def test_nothing_is_made_on_the_server_before_the_token_is_durable(self):
        self.spool.put('a', b'1')
        calls = self.export()
        making = ('make_directory', 'store', 'upload', 'rename', 'delete', 'remove_directory')
        first = next(
            n
            for n, call in enumerate(calls)
            if call.startswith('SERVER') and call.split()[1] in making
        )
        self.assertIn(f'fsync {JOURNAL}', calls[:first])
        written = [call for call in calls[:first] if call.endswith(' .cds/journal/state.jsonl')]
        self.assertEqual(f'fsync {JOURNAL}', written[-1])

    def test_parked_is_said_when_it_is_true_for_good(self):
        self.spool.put('a', b'')
        calls = self.export(empty='park')
        (said,) = (n for n, call in enumerate(calls) if call.startswith('LOG Parked: a'))
        self.assert_in_order(['rename .cds/filing/a parked/a', 'fsync parked'], calls[:said])
        self.assert_synchronised(calls[:said])


class ImportTests(DurabilityTests):
    """An import: nothing is deleted on the server before it is in the spool for good."""

    def run_import(self, **options):
        recorder = Recorder(self.path)

        def hook(operation, name):
            recorder.calls.append(f'SERVER {operation} {name}'.strip())

        target = MemoryTarget(hook=hook)
        target.files.update(a=b'1', b=b'2')
        with recorder, self.assertLogs('zeit.cds'):
            time = Skipping()
            importer = Importer(self.spool, target, clock=time.clock, wait=time.wait)
            report = importer.run_once(ImportOptions(**options))
        self.assertEqual(['a', 'b'], report.delivered)
        # A temporary has a token in its name.
        return [re.sub(r'\.cds[0-9a-f]{16}-\d+', '', call) for call in recorder.calls]

    def test_deleted_when_it_is_here_for_good(self):
        calls = self.run_import()
        deleted = calls.index('SERVER delete a')
        self.assert_in_order(
            [
                'SERVER fetch a',
                'fsync tmp/a.part',
                'fsync tmp',
                f'write {JOURNAL}',  # fetched
                f'fsync {JOURNAL}',
                'rename tmp/a.part new/a',
                'fsync new',
                'fsync tmp',
                f'write {HISTORY}',
                f'fsync {HISTORY}',
                f'write {JOURNAL}',  # received
                'SERVER delete a',
                f'write {JOURNAL}',  # removed
            ],
            calls,
        )
        self.assert_synchronised(calls[:deleted])

    def test_the_same_where_the_file_system_has_no_exclusive_rename(self):
        with unittest.mock.patch.object(files, '_renameat2', lambda old, new: False):
            calls = self.run_import()
        self.assert_in_order(
            [f'fsync {JOURNAL}', 'link tmp/a.part new/a', 'fsync new', 'SERVER delete a'], calls
        )
        self.assert_synchronised(calls[: calls.index('SERVER delete a')])

    def test_what_a_killed_run_had_moved_is_there_for_good_before_it_is_said(self):
        """It died between the move and the synchronisation, or, with link(2), before the unlink."""
        for linked in (False, True):
            with self.subTest(linked=linked):
                self.setUp()
                with self.spool.run():
                    token = self.spool.journal.new_token('memory:')
                    temporary = f'a.{token}-1.part'
                    sha256 = hashlib.sha256(b'1').hexdigest()
                    entry = {'temporary': temporary, 'size': 1, 'sha256': sha256, 'inode': 1}
                    about = {'target': 'memory:', 'name': 'a', 'modified': '', 'filed_as': 'a'}
                    self.spool.journal.note('fetched', **about, **entry)
                (self.path / 'new' / 'a').write_bytes(b'1')
                if linked:
                    os.link(self.path / 'new' / 'a', self.path / 'tmp' / temporary)
                with self.spool.run(), Recorder(self.path) as recorder:
                    list(Arrivals(self.spool, url='memory:').recover())
                calls = recorder.calls
                received = calls.index(f'write {HISTORY}')
                self.assertIn('fsync new', calls[:received], calls)
                if linked:
                    unlinked = calls.index(f'unlink tmp/{temporary}')
                    self.assertIn('fsync new', calls[:unlinked], calls)


class StraceTests(DurabilityTests):
    """The same, seen from the outside of the process."""

    CODE = """
import logging, sys
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.memory import MemoryTarget
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')
spool = Spool(sys.argv[1])
spool.put('a', b'the content')
sys.stdout.flush()
report = Exporter(spool, MemoryTarget()).run_once()
assert report.delivered == ['a'], report
"""

    def test_95_96_write_fsync_rename_fsync_directory_reply(self):
        strace = find_program('strace', 'usr', 'bin', 'strace')
        trace = self.path / 'trace'
        calls = 'write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat'
        run = subprocess.run(
            [strace, '-f', '-y', '-s', '200', '-o', trace, '-e', f'trace={calls}']
            + [sys.executable, '-c', self.CODE, self.path],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        if 'ptrace' in run.stderr or 'PTRACE' in run.stderr:
            self.skipTest('This machine does not let one process trace another')
        self.assertEqual(0, run.returncode, run.stderr)
        text = trace.read_text('utf-8', 'replace').replace(f'{self.path}/', '')
        text = re.sub(r'\.draft-[0-9a-f]+', 'DRAFT', text)
        position = 0
        for pattern in (
            r'write\(\d+<tmp/DRAFT>, "the content"',
            r'fsync\(\d+<tmp/DRAFT>\) += 0',
            r'rename\w*\(.*tmp/DRAFT.*new/a"',
            r'fsync\(\d+<new>\) += 0',
            r'write\(\d+<\.cds/journal/state.jsonl>, .*token',
            r'fsync\(\d+<\.cds/journal/state.jsonl>\) += 0',
            r'write\(.*Lock file successfully created',
            r'write\(\d+<\.cds/journal/state.jsonl>, .*uploaded',
            r'fsync\(\d+<\.cds/journal/state.jsonl>\) += 0',
            r'rename\w*\(.*new/a.*filing/a"',
            r'rename\w*\(.*filing/a.*cur/a"',
            r'fsync\(\d+<cur>\) += 0',
            r'fsync\(\d+<new>\) += 0',
            r'write\(\d+<\.cds/history/20\d\d-\d\d\.jsonl>, .*delivered',
            r'fsync\(\d+<\.cds/history/20\d\d-\d\d\.jsonl>\) += 0',
            r"write\(.*Moved from 'new' to 'cur': a",
        ):
            found = re.compile(pattern).search(text, position)
            self.assertIsNotNone(found, f'{pattern} is not in\n{text[position:]}')
            position = found.end()
