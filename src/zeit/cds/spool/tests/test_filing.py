"""From `new/` to `cur/`: tried before anything is sent, compared, not broken off, and seen."""

import contextlib
import errno
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock

from zeit.cds import errors, names
from zeit.cds.cli.tests.test_command_line import CommandLine
from zeit.cds.drivers.inotify import Arriving
from zeit.cds.journal import append_log
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.system.signals import deferrable, ending
from zeit.cds.system.tests.test_libc import without_function
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered


EXDEV = OSError(errno.EXDEV, os.strerror(errno.EXDEV))

#: A spool whose cur/ is a mount of its own, of the same file system; two runs.
MOUNTED = """
import pathlib, subprocess, sys
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.memory import MemoryTarget
path, other = pathlib.Path(sys.argv[1]), sys.argv[2]
spool, target = Spool(path), MemoryTarget()
spool.put('a', b'1')
(path / 'cur').mkdir(exist_ok=True)
subprocess.run(['mount', '--bind', other, path / 'cur'], check=True)
for _ in range(2):
    report = Exporter(spool, target).run_once()
    print(report.exit_code, sorted(target.files), sorted(p.name for p in (path / 'new').iterdir()))
print(report.error.advice)
"""


class FilingTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path)
        self.calls = []
        self.target = MemoryTarget(hook=lambda *call: self.calls.append(call))

    def export(self, target=None, **options):
        with self.assertLogs('zeit.cds', 'DEBUG') as logs:
            report = Exporter(self.spool, target or self.target).run_once(Options(**options))
        self.log = '\n'.join(logs.output)
        return report

    def assert_refused(self, report, reason):
        """Nothing was sent, the file waits, and nothing of the probe is left."""
        self.assertEqual(78, report.exit_code, self.log)
        self.assertIn(reason, report.error.advice)
        self.assertEqual({}, self.target.files)
        self.assert_clean()
        self.assertEqual(['a'], os.listdir(self.path / 'new'))

    def assert_clean(self):
        for section in ('new', 'cur', '.cds/filing'):
            self.assertEqual([], [n for n in os.listdir(self.path / section) if n[:1] == '.'])


@contextlib.contextmanager
def refusing(function, section):
    """Let a rename into `section` of a spool fail as between two mounts."""
    module = files if function == '_renameat2' else os
    real = getattr(module, function)

    def refused(old, new, *args, **kw):
        if os.path.dirname(new).endswith(section):
            raise EXDEV
        return real(old, new, *args, **kw)

    with unittest.mock.patch.object(module, function, refused):
        yield


class ProbeTests(FilingTests):
    def test_68_a_spool_of_several_mounts(self):
        for function, section in ('rename', 'filing'), ('_renameat2', 'cur'):
            with self.subTest(section), refusing(function, section):
                self.spool.put('a', b'1')
                self.assert_refused(self.export(), 'mount the whole spool as one')
                self.assertEqual([], self.calls)

    def test_a_file_system_that_moves_nothing_without_overwriting(self):
        self.spool.put('a', b'1')
        refused = OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        with (
            unittest.mock.patch.object(files, '_renameat2', return_value=False),
            unittest.mock.patch('os.link', side_effect=refused),
        ):
            self.assert_refused(self.export(), 'neither rename without overwriting nor link')

    def test_links_that_are_forbidden(self):
        self.spool.put('a', b'1')
        refused = PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        with (
            unittest.mock.patch.object(files, '_renameat2', return_value=False),
            unittest.mock.patch('os.link', side_effect=refused),
        ):
            self.assert_refused(self.export(), 'fs.protected_hardlinks')

    def test_68_a_full_disk(self):
        with self.spool.run():
            pass
        self.spool.put('a', b'1')
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with unittest.mock.patch.object(files, '_copy', side_effect=full):
            self.assert_refused(self.export(), 'No space left on device')

    def test_what_a_killed_run_has_left_on_the_server_is_removed_all_the_same(self):
        self.spool.put('a', b'1')
        with self.spool.run():
            token = self.spool.journal.new_token(self.target.url)
        self.target.files[f'write.{token}'] = b'left'
        with refusing('rename', 'filing'):
            self.assert_refused(self.export(), 'Invalid cross-device link')

    def test_only_where_something_is_sent(self):
        probes = []
        real = files.draft

        def watched(directory, content, *, name=None, **kw):
            probes.extend(filter(names.is_probe, [name or '']))
            return real(directory, content, name=name, **kw)

        with unittest.mock.patch.object(files, 'draft', watched):
            self.export()
            self.spool.put('a', b'1')
            self.export(dry_run=True)
            self.target.write('b', b'2', age=60)
            with self.assertLogs('zeit.cds'):
                Importer(self.spool, self.target).run_once()
            self.assertEqual([], probes)
            self.assertEqual(0, self.export().exit_code)
        self.assertEqual(1, len(probes))
        self.assert_clean()

    def test_the_next_run_removes_what_a_killed_one_has_left(self):
        for module, call in (
            (files, '_renameat2'),
            (os, 'rename'),
            (os, 'unlink'),
        ):
            with self.subTest(call):
                with self.spool.run():
                    pass
                self.be_killed_at(module, call)
                with self.spool.run():
                    self.assertEqual([], self.spool.journal.open_tokens(''))
                self.assert_clean()

    def be_killed_at(self, module, call):
        child = os.fork()
        if not child:
            with self.spool.run():
                module.__dict__[call] = lambda *args: os._exit(0)
                self.spool.require_filing()
            os._exit(1)
        self.assertEqual(0, os.waitpid(child, 0)[1])

    def test_nobody_sees_it(self):
        with self.spool.run():
            pass
        probe = names.probe(token=names.new_token())
        with Arriving([self.path / 'new']) as arriving:
            (self.path / 'new' / probe).touch()
            (self.path / 'cur' / probe).touch()
            self.assertEqual(set(), arriving.wait(0.01))
        found = self.spool.status()
        self.assertEqual(([], [], 0), (found.waiting, found.hidden, found.delivered))

    def test_mounts(self):
        unshare = shutil.which('unshare')
        allowed = unshare and subprocess.run([unshare, '-m', 'true'], capture_output=True)
        if not allowed or allowed.returncode:
            self.skipTest('mounting is not allowed here')
        other = self.enterContext(tempfile.TemporaryDirectory())
        found = subprocess.run(
            [unshare, '-m', sys.executable, '-c', MOUNTED, self.path, other],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        self.assertEqual(["78 [] ['a']"] * 2, found[:2])
        self.assertIn('another mount', '\n'.join(found))


@unittest.skipUnless(os.geteuid() == 0, 'only root can become two others')
class UsersTests(FilingTests):
    """Two users run exports of one spool, which they share by a group; one of them is killed."""

    def setUp(self):
        super().setUp()
        self.spool.put('a', b'1')
        self.export()  # imports now what the two may not be allowed to read
        super().setUp()
        os.chown(self.path, 64001, 64003)
        os.chmod(self.path, 0o2770)

    def run_as(self, user, patches=contextlib.nullcontext):
        """Return the exit code of a run of this user; None if it was killed."""
        child = os.fork()
        if not child:
            code = 99
            try:
                os.setgroups([])
                os.setgid(64003)
                os.setuid(user)
                os.umask(0o007)
                self.spool.put(f'{user}', b'1')
                os.umask(0o077)
                with patches():
                    code = self.export(MemoryTarget()).exit_code
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return None if code == -signal.SIGKILL else code

    @contextlib.contextmanager
    def killed(self, ends):
        """Be killed when a file is synchronised whose path ends like this, a pattern."""
        real = os.fsync

        def fsync(descriptor):
            if re.search(f'{ends}$', os.readlink(f'/proc/self/fd/{descriptor}')):
                os.kill(os.getpid(), signal.SIGKILL)
            real(descriptor)

        full = unittest.mock.patch.object(append_log.JSONLog, 'is_full', True)
        with full, unittest.mock.patch('os.fsync', fsync):
            yield

    def test_what_one_has_left_keeps_the_other_from_nothing(self):
        for ends in (r'/journal/\.draft-\w+', '.probe', '/new'):
            with self.subTest(ends):
                self.assertIsNone(self.run_as(64001, lambda ends=ends: self.killed(ends)))
                self.assertEqual(0, self.run_as(64002))
                self.assertEqual(0, self.run_as(64001))

    def test_nor_a_directory_that_it_has_just_made(self):
        def killed():
            def chmod(path, mode):
                os.kill(os.getpid(), signal.SIGKILL)

            return unittest.mock.patch('os.chmod', chmod)

        child = os.fork()
        if not child:
            os.setgroups([])
            os.setgid(64003)
            os.setuid(64001)
            os.umask(0o077)
            with killed(), self.spool.run():
                os._exit(0)
        self.assertEqual(-signal.SIGKILL, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        self.assertEqual(0, self.run_as(64002))
        self.assertEqual(0, self.run_as(64001))

    def test_leftovers_of_another_user_that_cannot_be_removed_stop_no_run(self):
        self.assertEqual(0, self.run_as(64001))
        for section in ('new', 'cur', '.cds/filing'):
            (self.path / section).chmod(0o3770)
        self.assertIsNone(self.run_as(64001, lambda: self.killed('.probe')))
        (self.path / 'new' / '64001').unlink()
        self.assertEqual(0, self.run_as(64002))


class MoveTests(FilingTests):
    def setUp(self):
        super().setUp()
        self.old, self.new = self.path / 'old', self.path / 'new'
        self.old.write_bytes(b'1')

    def test_a_library_without_renameat2(self):
        """musl has no function for it, and syscall(2)."""
        with without_function('renameat2'):
            self.assertTrue(files._renameat2(self.old, self.new))
            self.assertEqual(b'1', self.new.read_bytes())
            self.old.write_bytes(b'2')
            with self.assertRaises(FileExistsError):
                files._renameat2(self.old, self.new)
        self.assertEqual(b'1', self.new.read_bytes())


class ContentTests(FilingTests):
    """What is filed is what was sent."""

    def put(self, content=b'1' * 5000):
        self.spool.put('a', content)
        self.file = self.path / 'new' / 'a'

    def export_while(self, change, *, at='upload'):
        """Export, and let `change()` happen when a file has been sent."""

        def hook(operation, name):
            if operation == 'rename' and name.endswith('.part'):
                change()

        return self.export(MemoryTarget(hook=hook))

    def same_time(self, content):
        before = self.file.stat()
        with open(self.file, 'r+b') as file:
            file.write(content)
        os.utime(self.file, ns=(before.st_atime_ns, before.st_mtime_ns))

    def assert_sent_again(self, report):
        """What was sent is no version; the next run sends the file as it is now."""
        self.assertEqual((1, []), (report.exit_code, report.delivered), self.log)
        self.assertIn('changed while it was sent', self.log)
        self.assertEqual(([], []), (os.listdir(self.path / 'cur'), self.receipts()))
        content = self.file.read_bytes()
        report = self.export()
        self.assertEqual((['a'], 1), (report.delivered, len(self.receipts())))
        self.assertEqual(content, self.target.files['a'])
        self.assertEqual(content, (self.path / 'cur' / 'a').read_bytes())

    def receipts(self):
        return [*remembered.receipts(self.path / '.cds', 'a')]

    def test_a_store_into_a_mapping(self):
        self.put()
        with open(self.file, 'r+b') as file, mmap.mmap(file.fileno(), 0) as view:
            view[:1] = b'1'  # from now on the page can be written, and no time changes
            self.assert_sent_again(self.export_while(lambda: view.__setitem__(0, 2)))

    def test_a_time_that_is_set_back(self):
        self.put()
        self.assert_sent_again(self.export_while(lambda: self.same_time(b'2')))

    def test_what_was_replaced_and_changed_is_not_kept(self):
        self.put()

        def change():
            with open(self.file, 'r+b') as old:
                before = self.file.stat()
                self.spool.put('a', b'newer')
                old.write(b'2')
                old.flush()
                os.utime(old.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))

        report = self.export_while(change)
        self.assertEqual((1, []), (report.exit_code, os.listdir(self.path / 'cur')), self.log)
        self.assertEqual(b'newer', self.file.read_bytes())

    def source(self):
        (entry,) = self.spool.pending()[0]
        source = self.enterContext(self.spool.open(entry))
        source.skip_digest()
        return entry, source

    def test_without_a_digest_the_change_of_the_inode_tells(self):
        """Before it is renamed, with its real name on the server, and when it is filed."""
        self.put()
        with self.spool.run():
            entry, source = self.source()
            source.verify()
            self.same_time(b'2')
            with self.assertRaises(errors.SourceChanged):
                source.verify()
            with self.assertRaises(errors.SourceChanged):
                self.spool.done(entry, source)
            self.assertEqual(['a'], os.listdir(self.path / 'new'))

    def test_without_a_digest_and_untouched(self):
        self.put()
        with self.spool.run():
            self.assertEqual(('a', None), self.spool.done(*self.source()))

    def test_what_cannot_be_read_again_is_in_new_again(self):
        self.put()
        broken = OSError(errno.EIO, os.strerror(errno.EIO))
        with unittest.mock.patch('zeit.cds.digests.of_file', side_effect=broken):
            self.assertEqual([], self.export().delivered)
        self.assertEqual(['a'], os.listdir(self.path / 'new'))


class SignalTests(FilingTests):
    def test_a_file_on_its_way_to_cur_gets_there(self):
        """At whichever step: moved, synchronised, before its receipt."""
        for call in ('/cur', '/filing', '/new', '.jsonl'):
            with self.subTest(call):
                self.spool.put('a', b'1')
                real, state = os.fsync, []

                def fsync(descriptor, real=real, call=call, state=state):
                    real(descriptor)
                    where = os.readlink(f'/proc/self/fd/{descriptor}')
                    taken = not (self.path / 'new' / 'a').exists()
                    if taken and where.endswith(call) and not state:
                        state.append(os.listdir(self.path / '.cds' / 'filing'))
                        os.kill(os.getpid(), signal.SIGTERM)

                with unittest.mock.patch('os.fsync', fsync), ending():
                    with self.assertRaises(SystemExit) as raised:
                        self.export()
                self.assertEqual((143, 1), (raised.exception.code, len(state)))
                self.assertEqual([], os.listdir(self.path / '.cds' / 'filing'))
                self.assertEqual([], self.spool.status().waiting)
                (receipt,) = remembered.receipts(self.path / '.cds')
                self.assertEqual(['a'], [receipt['filed_as']])
                self.setUp()

    def test_a_signal_is_held_back_for_a_bounded_time(self):
        """A disk that hangs, for instance."""
        with (
            ending(),
            deferrable(longest=0.01) as uninterrupted,
            self.assertRaises(SystemExit),
            uninterrupted,
        ):
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(60)
            self.fail('it waits')

    def test_an_error_loses_no_signal(self):
        with (
            ending(),
            deferrable() as uninterrupted,
            self.assertRaises(SystemExit),
            uninterrupted,
        ):
            os.kill(os.getpid(), signal.SIGTERM)
            raise ZeroDivisionError

    def test_handlers_are_as_they_were(self):
        came = []
        before = signal.signal(signal.SIGHUP, lambda number, frame: came.append(number))
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        handlers = [signal.getsignal(number) for number in (1, 2, 15)]
        with deferrable() as uninterrupted:
            with uninterrupted:
                os.kill(os.getpid(), signal.SIGHUP)
                self.assertEqual([], came)
            self.assertEqual([signal.SIGHUP], came)
            os.kill(os.getpid(), signal.SIGHUP)
            self.assertEqual([signal.SIGHUP] * 2, came)
        self.assertEqual(handlers, [signal.getsignal(number) for number in (1, 2, 15)])

    def test_the_outermost_decides(self):
        """What is put off inside of another one, is until that is left as well."""
        came = []
        before = signal.signal(signal.SIGHUP, lambda number, frame: came.append(number))
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        with deferrable() as outer:
            with outer:
                with deferrable() as inner, inner:
                    os.kill(os.getpid(), signal.SIGHUP)
                self.assertEqual([], came)
            self.assertEqual([signal.SIGHUP], came)
            with deferrable() as inner:
                with inner:
                    os.kill(os.getpid(), signal.SIGHUP)
                    self.assertEqual([signal.SIGHUP], came)
                self.assertEqual([signal.SIGHUP] * 2, came)
            os.kill(os.getpid(), signal.SIGHUP)
            self.assertEqual([signal.SIGHUP] * 3, came)

    def test_in_a_thread_there_is_nothing_to_do(self):
        def work():
            with deferrable() as uninterrupted, uninterrupted:
                handlers.append(signal.getsignal(signal.SIGTERM))

        handlers = []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual([signal.getsignal(signal.SIGTERM)], handlers)


class StatusTests(CommandLine):
    """What a run that was killed was filing is not in `new/`, and not in `cur/`."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        spool = Spool(self.path)
        with spool.run():
            pass
        for name in os.listdir(self.path / 'new'):
            os.unlink(self.path / 'new' / name)
        (self.path / '.cds' / 'filing' / 'big.xml').write_bytes(b'12345')
        (self.path / '.cds' / 'filing' / '.draft-1').write_bytes(b'half')

    def status(self, *arguments):
        return self.call('status', '--spool', self.path, *arguments)

    def test_text(self):
        text = ' '.join(self.status().out.split())
        self.assertIn('filing 1 file, 5 B, sent, for the next run to move to cur:', text)
        self.assertIn('big.xml for 0 s', text)

    def test_text_of_many(self):
        for number in range(11):
            (self.path / '.cds' / 'filing' / f'{number}.xml').write_bytes(b'')
        self.assertRegex(self.status().out, r'filing +12 files, 5 B, (.*\n){11} +and 2 more\n')

    def test_json(self):
        (found,) = json.loads(self.status('--json').out)
        self.assertEqual((1, 5), (found['filing']['files'], found['filing']['bytes']))
        self.assertEqual(['big.xml'], [each['name'] for each in found['filing']['names']])

    def test_metrics(self):
        text = self.status('--prometheus').out
        self.assertRegex(text, r'zeit_cds_filing_files\{.*\} 1\n')
        self.assertRegex(text, r'zeit_cds_filing_bytes\{.*\} 5\n')

    def test_max_age(self):
        outcome = self.status('--max-age', '0s')
        self.assertEqual(2, outcome.code)
        self.assertIn('big.xml was sent, and has been on its way to cur/', outcome.err)
