"""The spool: what is taken from it, what becomes of it, whatever lies in it."""

import contextlib
import errno
import hashlib
import io
import os
import pathlib
import socket
import stat
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

from gocept.filestore.filestore import FileStore
from zope.interface.verify import verifyObject

from zeit.cds import errors, interfaces
from zeit.cds.monitoring.freshness import undelivered
from zeit.cds.spool.entries import Entry, by_arrival
from zeit.cds.spool.filing import SECTIONS
from zeit.cds.spool.source import Source
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.testing import layers


class SpoolTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path)

    def names(self, section):
        return sorted(os.listdir(self.path / section))

    def test_its_directories_are_those_of_a_filestore(self):
        self.assertEqual(FileStore.sub_dirs, SECTIONS)

    def waiting(self, **kw):
        return [entry.name for entry in self.spool.pending(**kw)[0]]

    def take(self, name):
        """Deliver `name`, whatever comes between opening and filing."""
        (entry,) = (entry for entry in self.spool.pending()[0] if entry.name == name)
        source = self.enterContext(self.spool.open(entry))
        while source.readinto(bytearray(100)):
            pass
        return entry, source

    def content(self, section, name):
        return (self.path / section / name).read_bytes()


class InterfaceTests(SpoolTests):
    def test_interfaces(self):
        self.spool.put('a', b'1')
        verifyObject(interfaces.ISpool, self.spool)
        (entry,) = self.spool.pending()[0]
        verifyObject(interfaces.IEntry, entry)
        with self.spool.open(entry) as source:
            verifyObject(interfaces.ISource, source)
        verifyObject(interfaces.ISpoolStatus, self.spool.status())


class PendingTests(SpoolTests):
    def test_in_order_of_arrival(self):
        for name in ('c', 'a', 'b'):
            self.spool.put(name, b'')
        self.assertEqual(['c', 'a', 'b'], self.waiting())
        self.assertEqual(['a', 'b', 'c'], self.waiting(order='name'))

    def test_arrival_is_not_what_the_publisher_says(self):
        for name in ('1', '2', '10'):
            self.spool.put(name, b'')
            os.utime(self.path / 'new' / name, (0, 1000 - int(name)))
        self.assertEqual(['1', '2', '10'], self.waiting())

    def test_what_arrived_at_the_same_moment_by_name(self):
        entries = [Entry(name, 0, 1.0) for name in ('b', 'a')] + [Entry('z', 0, 0.5)]
        self.assertEqual(['z', 'a', 'b'], [e.name for e in sorted(entries, key=by_arrival)])

    def test_60_what_is_no_regular_file_is_never_opened(self):
        self.spool.put('a', b'1')
        new = self.path / 'new'
        (new / 'directory').mkdir()
        os.mkfifo(new / 'fifo')
        (new / 'dangling').symlink_to('nowhere')
        (new / 'passwd').symlink_to('/etc/passwd')
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.bind(str(new / 'socket'))
        entries, ignored = self.spool.pending()
        self.assertEqual(['a'], [entry.name for entry in entries])
        self.assertEqual(
            [
                ('dangling', 'is a symbolic link, not a regular file'),
                ('directory', 'is a directory, not a regular file'),
                ('fifo', 'is a FIFO, not a regular file'),
                ('passwd', 'is a symbolic link, not a regular file'),
                ('socket', 'is a socket, not a regular file'),
            ],
            ignored,
        )

    def test_60_nor_when_it_became_that_after_the_look(self):
        for replace in (os.mkfifo, os.mkdir, lambda path: os.symlink('/etc/passwd', path)):
            self.spool.put('a', b'1')
            (entry,) = self.spool.pending()[0]
            path = self.path / 'new' / 'a'
            path.unlink()
            replace(path)
            with self.assertRaises(errors.SourceUnreadable):
                self.spool.open(entry)
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    def test_61_dot_files_are_never_sent_but_told_of_when_they_get_old(self):
        (self.path / 'new').mkdir()
        for name in ('.hidden', '.nfs0001'):
            (self.path / 'new' / name).write_bytes(b'1')
        self.assertEqual(([], []), self.spool.pending())
        status = self.spool.status()
        self.assertEqual(([], ['.hidden', '.nfs0001']), (status.ignored, status.hidden))
        names = [each.name for each in undelivered(status)]
        self.assertEqual(['.hidden', '.nfs0001'], names)

    def test_61_nobody_puts_what_would_never_go(self):
        with self.spool.batch() as batch:
            for put in (self.spool.put, batch.put):
                with self.assertRaises(errors.NameRefused) as caught:
                    put('.xml', b'<a/>')
        self.assertEqual(
            "The name begins with a dot, and such files are never sent: '.xml'",
            caught.exception.message,
        )
        self.assertEqual([], self.names('new'))

    def test_what_is_put_has_a_name_and_bytes(self):
        with self.spool.batch() as batch:
            for put in (self.spool.put, batch.put):
                with self.assertRaisesRegex(errors.NameRefused, "not the name of a file: 'a/b'"):
                    put('a/b', b'')
                with self.assertRaisesRegex(errors.NameRefused, 'is not a text: None'):
                    put(None, b'')
                for data in (None, '<a/>', io.StringIO('<a/>')):
                    with self.assertRaisesRegex(TypeError, "content of 'a' has to be bytes or a "):
                        put('a', data)
                put('b', bytearray(b'<b/>'))
        self.assertEqual(['b'], self.names('new'))

    def test_67_what_has_vanished(self):
        self.spool.put('a', b'1')
        (entry,) = self.spool.pending()[0]
        os.unlink(self.path / 'new' / 'a')
        with self.assertRaises(errors.SourceGone):
            self.spool.open(entry)

    def test_a_name_that_is_no_text(self):
        name = os.fsdecode(b'caf\xe9')
        self.spool.put('a', b'')
        (self.path / 'new' / 'a').rename(self.path / 'new' / name)
        self.assertEqual([name], self.waiting())


class RunTests(SpoolTests):
    def test_missing_sections_are_created(self):
        with self.spool.run():
            self.assertEqual(['.cds', 'cur', 'new', 'tmp'], self.names('.'))

    def test_a_run_that_begins_at_the_same_moment(self):
        """It clears up what this one has only begun to make: the rest of a run that was killed."""
        path, chmod = self.path / '.cds' / 'filing', os.chmod

        def begun(made, mode):
            if not path.exists():
                path.mkdir()
                files.remove_drafts(path.parent)
            chmod(made, mode)

        path.parent.mkdir()
        with unittest.mock.patch.object(os, 'chmod', begun):
            files.make_directory(path, like=self.path)
        self.assertEqual(['filing'], self.names('.cds'))

    def test_what_a_killed_put_or_resend_has_left_is_removed_and_what_is_written_stays(self):
        with self.spool.run():
            young, _ = (files.draft(self.path / 'tmp', io.BytesIO(b'1')) for _ in range(2))
        of_the_cms = self.path / 'tmp' / 'a.xml'
        of_the_cms.write_bytes(b'1')
        for path in (young, of_the_cms):
            os.utime(path, times=(0, 0))  # that of the file that it is a copy of
        with self.spool.run():
            self.assertEqual(3, len(self.names('tmp')))
        with unittest.mock.patch('zeit.cds.spool.spool._WRITING', -1), self.spool.run():
            self.assertEqual(['a.xml'], self.names('tmp'))

    def test_they_get_the_mode_of_the_spool(self):
        os.chmod(self.path, 0o2770)
        with self.spool.run():
            modes = {stat.S_IMODE(os.stat(self.path / s).st_mode) for s in ('cur', 'new', '.cds')}
        self.assertEqual({0o2770}, modes)

    def test_a_link_that_leads_nowhere(self):
        (self.path / '.cds').symlink_to('nowhere')
        with self.assertRaises(errors.SpoolError) as caught, self.spool.run():
            self.fail('it was used')
        self.assertIn('.cds', str(caught.exception))
        self.assertIn('a link that leads nowhere', caught.exception.hint)

    def test_71_a_spool_that_is_not_there(self):
        with self.assertRaisesRegex(errors.SpoolError, 'There is no spool at'):
            with Spool(self.path / 'missing').run():
                self.fail('entered')

    def test_92_a_second_run_leaves_at_once(self):
        with self.spool.run():
            with self.assertRaisesRegex(errors.SpoolBusy, f'process {os.getpid()} on') as caught:
                with Spool(self.path).run():
                    self.fail('entered')
            self.assertEqual(75, caught.exception.exit_code)
        with Spool(self.path).run():
            pass

    def test_a_killed_run_leaves_no_lock(self):
        code = (
            'import os, sys; from zeit.cds.spool.spool import Spool\n'
            'with Spool(sys.argv[1]).run(): os.kill(os.getpid(), 9)'
        )
        environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, '-c', code, self.path], env=environment, timeout=30)
        self.assertEqual('', self.spool.status().active)
        with self.spool.run():
            pass

    def test_68_another_file_system_is_noticed_before_anything_is_sent(self):
        with self.spool.run():
            pass
        other = os.stat('/proc').st_dev
        real = os.stat

        def elsewhere(path, **kw):
            found = real(path, **kw)
            if os.fspath(path).endswith('cur'):
                return os.stat_result((*found[:2], other, *found[3:]))
            return found

        with unittest.mock.patch('os.stat', elsewhere):
            with self.assertRaisesRegex(errors.SpoolError, 'another file system'):
                with self.spool.run():
                    self.fail('entered')

    def test_an_error_in_the_run_releases_it(self):
        with self.assertRaises(ZeroDivisionError):
            with self.spool.run():
                raise ZeroDivisionError
        with self.spool.run():
            pass

    def test_a_directory_that_may_not_be_entered_cannot_be_used_in_a_rehearsal_either(self):
        denied = PermissionError(errno.EACCES, 'Permission denied', str(self.path))
        for rehearsal in (True, False):
            with self.subTest(rehearsal=rehearsal):
                with unittest.mock.patch('zeit.cds.system.files.is_directory', side_effect=denied):
                    with self.assertRaises(errors.SpoolError), self.spool.run(rehearsal=rehearsal):
                        pass


class DoneTests(SpoolTests):
    def setUp(self):
        super().setUp()
        self.enterContext(self.spool.run())
        self.spool.put('a', b'version 1')

    def test_a_delivered_file_moves_to_cur(self):
        self.assertEqual(('a', None), self.spool.done(*self.take('a')))
        self.assertEqual(([], ['a']), (self.names('new'), self.names('cur')))
        self.assertEqual([], self.names('.cds/filing'))

    def test_69_an_earlier_delivery_is_kept(self):
        for version in (b'version 2', b'version 3', b'version 4'):
            self.spool.done(*self.take('a'))
            self.spool.put('a', version)
        self.spool.done(*self.take('a'))
        contents = {self.content('cur', name) for name in self.names('cur')}
        self.assertEqual({b'version %d' % n for n in (1, 2, 3, 4)}, contents)
        self.assertTrue(all(name.startswith('a') for name in self.names('cur')))

    def test_69_also_with_a_long_name(self):
        name = 'n' * 255
        for _ in range(2):
            self.spool.put(name, b'1')
            self.spool.done(*self.take(name))
        self.assertEqual(2, len(self.names('cur')))

    def test_65_a_correction_while_it_was_sent_is_next(self):
        entry, source = self.take('a')
        self.spool.put('a', b'version 2')  # the same size
        filed, newer = self.spool.done(entry, source)
        self.assertEqual(('a', 'a', 9), (filed, newer.name, newer.size))
        self.assertEqual(b'version 1', self.content('cur', 'a'))
        self.assertEqual(b'version 2', self.content('new', 'a'))
        self.assertEqual([], self.names('.cds/filing'))

    def test_65_a_correction_at_every_step_of_filing(self):
        """Whatever step of done() the publisher comes in at: version 2 is not filed unsent."""
        calls = ['rename', 'lstat', 'open', 'unlink']
        for call in calls:
            for nth in range(3):
                with self.subTest(call=call, nth=nth):
                    self._correct_at(call, nth)

    def _correct_at(self, call, nth):
        self.spool.put('a', b'version 1')
        entry, source = self.take('a')
        real, seen = getattr(os, call), []

        def correcting(*args, **kw):
            seen.append(args)
            if len(seen) == nth + 1:
                other = os.path.join(self.path, 'tmp', 'publisher')
                pathlib.Path(other).write_bytes(b'version 2')
                os.replace(other, self.path / 'new' / 'a')
            return real(*args, **kw)

        with unittest.mock.patch.object(os, call, correcting):
            self.spool.done(entry, source)
        filed = {self.content('cur', name) for name in self.names('cur')}
        self.assertNotIn(b'version 2', filed)
        if len(seen) > nth:
            self.assertEqual(b'version 2', self.content('new', 'a'))
            os.unlink(self.path / 'new' / 'a')

    def test_64_what_was_changed_in_place_is_sent_again(self):
        entry, source = self.take('a')
        with open(self.path / 'new' / 'a', 'ab') as file:
            file.write(b' and more')
        filed, newer = self.spool.done(entry, source)
        self.assertEqual(('', 'a'), (filed, newer.name))
        self.assertEqual(([], ['a']), (self.names('cur'), self.names('new')))

    def test_67_what_has_vanished_after_it_was_sent(self):
        entry, source = self.take('a')
        os.unlink(self.path / 'new' / 'a')
        self.assertEqual(('a', None), self.spool.done(entry, source))
        self.assertEqual(b'version 1', self.content('cur', 'a'))

    def test_what_the_system_refuses(self):
        entry, source = self.take('a')
        refused = OSError(errno.EIO, 'Input/output error')
        with unittest.mock.patch('os.rename', side_effect=refused):
            with self.assertRaisesRegex(errors.SpoolError, 'Input/output error'):
                self.spool.done(entry, source)
        self.assertEqual(['a'], self.names('new'))


class PutBackTests(SpoolTests):
    def leave(self, content):
        """Leave the spool as a run that was killed while it filed `a`."""
        with self.spool.run():
            pass
        (self.path / '.cds' / 'filing' / 'a').write_bytes(content)

    def test_what_a_killed_run_was_filing_waits_again(self):
        self.leave(b'version 1')
        with self.spool.run():
            self.assertEqual(['a'], self.waiting())
        self.assertEqual(b'version 1', self.content('new', 'a'))

    def test_a_newer_version_wins_and_nothing_is_lost(self):
        self.leave(b'version 1')
        self.spool.put('a', b'version 2')
        with self.spool.run():
            self.assertEqual(b'version 2', self.content('new', 'a'))
        self.assertEqual([], self.names('cur'))
        ((name, reason),) = self.spool.status().parked
        self.assertEqual(b'version 1', self.content('parked', name))
        self.assertIn('newer version', reason)

    def test_an_older_version_that_was_delivered_is_filed(self):
        """Its upload is known, and only what has its name on the server is on its way to cur/."""
        self.leave(b'version 1')
        with self.spool.run():
            self.spool.journal.note(
                'uploaded',
                target='memory:',
                name='a',
                temporary='a.part',
                size=9,
                sha256=hashlib.sha256(b'version 1').hexdigest(),
                reply='226 Done.',
            )
            os.rename(self.path / 'new' / 'a', self.path / '.cds' / 'filing' / 'a')
        self.spool.put('a', b'version 2')
        with self.spool.run():
            self.assertEqual(b'version 2', self.content('new', 'a'))
            self.assertEqual(b'version 1', self.content('cur', 'a'))
        self.assertEqual([], self.spool.status().parked)

    def test_drafts_are_thrown_away(self):
        self.leave(b'1')
        (self.path / '.cds' / 'filing' / '.draft-1').write_bytes(b'x')
        with self.spool.run():
            self.assertEqual([], self.names('.cds/filing'))


class PutTests(SpoolTests):
    def test_what_cannot_get_its_name_leaves_nothing(self):
        (self.path / 'new' / 'a').mkdir(parents=True)
        with self.assertRaisesRegex(errors.SpoolError, 'new/a: Is a directory|Is a directory'):
            self.spool.put('a', b'1')
        self.assertEqual([], self.names('tmp'))

    def test_it_is_there_as_a_whole(self):
        self.spool.put('a', b'bytes')
        self.spool.put('b', io.BytesIO(b'a file'))
        self.assertEqual(
            (b'bytes', b'a file'), (self.content('new', 'a'), self.content('new', 'b'))
        )
        self.assertEqual([], self.names('tmp'))

    def test_96_synchronised_before_it_gets_its_name(self):
        calls = []

        def watch(name):
            real = getattr(os, name)

            def watched(*args, **kw):
                what = args[0]
                if isinstance(what, int):
                    what = os.readlink(f'/proc/self/fd/{what}')
                calls.append((name, os.path.basename(os.path.dirname(what)) or what))
                calls[-1] = (name, 'file' if os.path.isfile(what) else os.path.basename(what))
                return real(*args, **kw)

            return unittest.mock.patch.object(os, name, watched)

        with watch('fsync'), watch('replace'):
            self.spool.put('a', b'1')
        order = [call for call in calls if call[1] in ('file', 'new', 'tmp')]
        self.assertEqual(
            [('fsync', 'file'), ('replace', 'file'), ('fsync', 'new'), ('fsync', 'tmp')], order[-4:]
        )

    def test_a_failure_leaves_nothing(self):
        class Broken(io.RawIOBase):
            def read(self, size):
                raise OSError(errno.EIO, 'Input/output error')

        with self.assertRaises(errors.SpoolError):
            self.spool.put('a', Broken())
        self.assertEqual(([], []), (self.names('new'), self.names('tmp')))

    def test_names_that_could_never_be_sent(self):
        for name in ('write', 'a/b', '../a', 'a\nb', ''):
            with self.assertRaises(errors.NameRefused):
                self.spool.put(name, b'')


class ParkTests(SpoolTests):
    def test_with_the_reason_beside_it(self):
        with self.spool.run():
            self.spool.put('a', b'1')
            for reason in ('The server refuses it: 553', 'Again'):
                (entry,) = self.spool.pending()[0]
                self.spool.park(entry, reason)
                self.spool.put('a', b'2')
        parked = dict(self.spool.status().parked)
        self.assertEqual('The server refuses it: 553', parked.pop('a'))
        self.assertEqual(['Again'], list(parked.values()))


class StatusTests(SpoolTests):
    def test_a_look_changes_nothing(self):
        for section in ('tmp', 'new', 'cur'):
            os.mkdir(self.path / section)
        self.spool.status()
        self.assertEqual(['cur', 'new', 'tmp'], self.names('.'))

    def test_what_it_shows(self):
        with self.spool.run():
            self.spool.put('a', b'1')
            self.spool.done(*self.take('a'))
            self.spool.put('b', b'22')
            os.mkdir(self.path / 'new' / 'd')
            status = self.spool.status()
        self.assertIn(f'process {os.getpid()} on', status.active)
        self.assertEqual(['b'], [entry.name for entry in status.waiting])
        self.assertEqual([('d', 'is a directory, not a regular file')], status.ignored)
        self.assertEqual((1, 'a'), (status.delivered, status.last_delivered[0]))
        self.assertEqual('', self.spool.status().active)

    def test_a_look_does_not_keep_a_run_from_starting(self):
        with self.spool.run():
            pass
        with open(self.path / '.cds' / 'lock', 'rb'):
            with self.spool.run():
                self.assertTrue(self.spool.status().active)

    def test_no_spool(self):
        with self.assertRaises(errors.SpoolError):
            Spool(self.path / 'missing').status()


class FilesTests(SpoolTests):
    def test_rename_exclusively(self):
        for supported in (True, False):
            with self.subTest(renameat2=supported), contextlib.ExitStack() as stack:
                if not supported:
                    no = unittest.mock.patch.object(files, '_renameat2', return_value=False)
                    stack.enter_context(no)
                one, two = self.path / 'one', self.path / 'two'
                one.write_bytes(b'1')
                two.write_bytes(b'2')
                with self.assertRaises(FileExistsError):
                    files.rename_exclusively(one, two)
                self.assertEqual((b'1', b'2'), (one.read_bytes(), two.read_bytes()))
                two.unlink()
                files.rename_exclusively(one, two)
                self.assertEqual((False, b'1'), (one.exists(), two.read_bytes()))

    def test_rename_exclusively_tells_what_is_wrong(self):
        with self.assertRaises(FileNotFoundError):
            files.rename_exclusively(self.path / 'missing', self.path / 'b')

    def test_63_a_source_that_cannot_be_read(self):
        (self.path / 'a').write_bytes(b'1')
        with Source(self.path / 'a') as source:
            broken = unittest.mock.Mock(wraps=source._file)
            broken.readinto.side_effect = OSError(errno.EIO, 'Input/output error')
            with unittest.mock.patch.object(source, '_file', broken):
                with self.assertRaisesRegex(errors.SourceUnreadable, 'Input/output error'):
                    source.readinto(bytearray(10))
