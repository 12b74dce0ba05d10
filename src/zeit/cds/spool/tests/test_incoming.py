"""A file on its way into a spool: on its own, on disks that are full, as a user without rights."""

import errno
import hashlib
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

from zeit.cds.cli.tests.test_command_line import PROCESS, CommandLine
from zeit.cds.errors import NameRefused, SpoolError
from zeit.cds.spool import incoming
from zeit.cds.spool.incoming import Incoming
from zeit.cds.system import files
from zeit.cds.testing import faults, layers


class IncomingTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for section in ('tmp', 'new'):
            (self.path / section).mkdir()

    def section(self, name):
        return {entry.name: entry.read_bytes() for entry in (self.path / name).iterdir()}

    def begin(self, temporary='a.part'):
        found = Incoming(self.path, temporary=temporary)
        self.addCleanup(found.discard)
        return found

    def test_what_is_there_already_is_not_touched(self):
        (self.path / 'tmp' / 'a.part').write_bytes(b'somebody else')
        with self.assertRaisesRegex(SpoolError, 'tmp: File exists'):
            Incoming(self.path, temporary='a.part')
        self.assertEqual({'a.part': b'somebody else'}, self.section('tmp'))

    def test_a_link_is_not_followed(self):
        outside = self.path / 'outside'
        (self.path / 'tmp' / 'a.part').symlink_to(outside)
        with self.assertRaises(SpoolError):
            Incoming(self.path, temporary='a.part')
        self.assertFalse(outside.exists())

    def test_what_was_written(self):
        with self.begin() as found:
            found.write(b'one, ')
            found.write(memoryview(b'two'))
            self.assertEqual(
                (8, hashlib.sha256(b'one, two').hexdigest()), (found.size, found.sha256)
            )
            found.complete()
            self.assertEqual({'a.part': b'one, two'}, self.section('tmp'))
        self.assertEqual({}, self.section('tmp'))

    def test_a_disk_that_takes_a_part_at_a_time(self):
        with self.begin() as found:
            write = found._file.write
            found._file = mock.Mock(wraps=found._file)
            found._file.write = lambda data: write(data[:3])
            found.write(b'0123456789')
            self.assertEqual(hashlib.sha256(b'0123456789').hexdigest(), found.sha256)
            self.assertEqual({'a.part': b'0123456789'}, self.section('tmp'))

    def test_a_restarted_download_begins_with_an_empty_file(self):
        with self.begin() as found:
            found.write(b'a longer one')
            found.restart()
            found.write(b'one')
            self.assertEqual((3, hashlib.sha256(b'one').hexdigest()), (found.size, found.sha256))
            self.assertEqual({'a.part': b'one'}, self.section('tmp'))

    def test_nothing_is_replaced(self):
        (self.path / 'new' / 'a').write_bytes(b'older')
        for missing in (False, True):
            with self.subTest(missing=missing), self.begin() as found:
                found.write(b'newer')
                fake = (lambda old, new: False) if missing else files._renameat2
                with mock.patch.object(files, '_renameat2', fake):
                    self.assertIs(False, found.move('a'))
                self.assertEqual({'a': b'older'}, self.section('new'))
        self.assertEqual({}, self.section('tmp'))

    def test_kept_it_stays(self):
        with self.begin() as found:
            found.keep()
        self.assertEqual({'a.part': b''}, self.section('tmp'))

    def test_errors_of_the_system(self):
        for number, kind, hint in (
            (errno.ENOSPC, SpoolError, 'Make room there'),
            (errno.EDQUOT, SpoolError, 'Make room there'),
            (errno.EROFS, SpoolError, 'It is mounted read-only'),
            (errno.EACCES, SpoolError, 'Check owner and mode'),
            (errno.EIO, SpoolError, 'stays on the server'),
            (errno.ENAMETOOLONG, NameRefused, 'Let the file be renamed'),
            (errno.EILSEQ, NameRefused, 'Let the file be renamed'),
        ):
            with self.subTest(os.strerror(number)), self.assertRaises(kind) as caught:
                with incoming.translated('tmp'):
                    raise OSError(number, os.strerror(number))
            self.assertIn(hint, caught.exception.hint)

    SHA256 = hashlib.sha256(b'1').hexdigest()

    def is_left(self):
        return incoming.is_left(self.path, 'a.part', size=1, sha256=self.SHA256)

    def has_arrived(self, *, inode=None):
        return incoming.has_arrived(self.path, 'a', inode=inode, sha256=self.SHA256)

    def test_what_an_earlier_run_left(self):
        left = self.path / 'tmp' / 'a.part'
        self.assertFalse(self.is_left())
        for content, expected in ((b'1', True), (b'2', False), (b'11', False)):
            left.write_bytes(content)
            self.assertEqual(expected, self.is_left())
        left.unlink()
        left.symlink_to(self.path)
        self.assertFalse(self.is_left())

    def test_only_the_content_proves_that_it_has_arrived(self):
        (self.path / 'cur').mkdir()
        self.assertFalse(self.has_arrived())
        new = self.path / 'new' / 'a'
        new.write_bytes(b'2')
        self.assertFalse(self.has_arrived(inode=new.stat().st_ino))
        new.write_bytes(b'1')
        self.assertTrue(self.has_arrived())

    def test_or_the_file_itself_where_it_was_moved_since(self):
        (self.path / 'cur').mkdir()
        taken = self.path / 'cur' / 'b'
        taken.write_bytes(b'1')
        inode = taken.stat().st_ino
        self.assertTrue(self.has_arrived(inode=inode))
        self.assertFalse(self.has_arrived(inode=inode + 1), 'an older one of the same content')
        self.assertFalse(self.has_arrived())
        taken.write_bytes(b'2')
        self.assertFalse(self.has_arrived(inode=inode))


class CommandTests(CommandLine):
    """The command, on file systems and with users that are not what it needs."""

    def setUp(self):
        super().setUp()
        self.server = self.enterContext(faults.FaultServer())
        self.offered = {f'/{n}.bin': bytes([n]) * 100_000 for n in range(5)}
        for name, data in self.offered.items():
            self.server.put(name, data, modified=1_000_000_000)
        for name in ('a.xml', 'b.xml'):
            (self.path / 'new' / name).unlink()
        self.url = f'ftp://test@{self.server.host}:{self.server.port}//'

    @unittest.skipIf(os.geteuid(), 'A file system of its own needs root')
    def test_a_disk_that_is_full(self):
        """What has room is imported, the rest waits on the server; then the next run goes on."""
        for connections in (1, 4):
            with self.subTest(connections=connections):
                for name, data in self.offered.items():
                    self.server.put(name, data, modified=1_000_000_000)
                self.on_a_small_disk(connections)

    def on_a_small_disk(self, connections):
        command = [*PROCESS, 'import', '--spool', str(self.path)]
        command += [f'--connections={connections}', self.url]
        script = """
            mount -t tmpfs -o size=300k tmpfs "$1" || exit 99
            spool=$1; shift
            "$@"; echo "code $?"
            echo tmp: $(ls -A $spool/tmp)
            new=$(ls $spool/new | wc -l); echo new: $new
            rm $spool/new/*
            while "$@"; code=$?; [ $code = 78 ] && ls $spool/new/* >/dev/null; do
                new=$((new + $(ls $spool/new | wc -l))); rm $spool/new/*
            done
            echo "code $code", all: $((new + $(ls $spool/new | wc -l)))
        """
        outcome = self.finish(
            self.start(script, 'sh', self.path, *command, program=['unshare', '-m', 'sh', '-c'])
        )
        if outcome.code == 99 or 'unshare' in outcome.err:
            self.skipTest('This machine does not let a process mount anything')
        lines = outcome.out.splitlines()
        self.assertEqual(['code 78', 'tmp:'], lines[:2], outcome.err)
        self.assertRegex(lines[2], r'^new: [12]$')
        self.assertEqual('code 0, all: 5', lines[3], outcome.err)
        self.assertRegex(outcome.err, 'No space left on device. Make room there.*stays on the')
        self.assertEqual({}, self.server.files)

    def test_tmp_that_must_not_be_written(self):
        """As a user who may do nothing: root may do everything."""
        os.chmod(self.folder, 0o755)
        os.chmod(self.path / 'tmp', 0o755 if os.geteuid() == 0 else 0o555)
        for section in ('.', '.cds', 'new', 'cur'):
            os.chmod(self.path / section, 0o777)
        code = (
            'import locale, os, sys\n'  # of all that click imports late
            'from zeit.cds.cli import console, main, runs, selection\n'
            'from zeit.cds.cli.commands import group\n'
            'from zeit.cds.run import importer\n'
            'from zeit.cds.target import ftp_session, target\n'
            'if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n'
            'sys.exit(main.main())\n'
        )
        program = [sys.executable, '-c', code]
        outcome = self.finish(self.start('import', '--spool', self.path, self.url, program=program))
        os.chmod(self.path / 'tmp', 0o755)
        self.assert_line(outcome, 78, 'spool/tmp: rwx is needed, its mode is .*55.*Check owner')
        self.assertEqual(self.offered, self.server.files)
        self.assertEqual(0, self.server.connected)
