"""Receipts: for good, whoever writes or reads meanwhile, and whatever has happened to the files."""

import contextlib
import datetime
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

import zope.component.testing
import zope.configuration.xmlconfig

from zeit.cds import errors
from zeit.cds.cli.tests.test_command_line import CommandLine
from zeit.cds.interfaces import ISpool
from zeit.cds.journal import append_log, history, journal
from zeit.cds.journal.history import History
from zeit.cds.journal.journal import Journal
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.driving import DriverCase
from zeit.cds.tests.importing import Skipping


class HistoryTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.history = History(self.path / 'history', like=self.path)

    @contextlib.contextmanager
    def clock(self, *moment):
        with unittest.mock.patch('zeit.cds.journal.append_log.datetime') as clock:
            clock.datetime.now.return_value = datetime.datetime(*moment, tzinfo=datetime.UTC)
            yield

    def fill(self, *numbers, name='a', **more):
        for number in numbers:
            self.history.add({'kind': 'delivered', 'name': name, 'sequence': number, **more})

    def found(self, **wanted):
        return [entry['sequence'] for entry in self.history.find(**wanted or {'name': 'a'})]

    def month(self):
        (path,) = (self.path / 'history').glob('*.jsonl')
        return path


class LookupTests(HistoryTests):
    def test_a_line_tells_when_and_in_which_version(self):
        with self.clock(2026, 11, 30, 8, 5):
            self.fill(1)
        _, line = (self.path / 'history' / '2026-11.jsonl').read_text().splitlines()
        expected = {
            'at': '2026-11-30T08:05:00.000+00:00',
            'v': 1,
            'kind': 'delivered',
            'name': 'a',
            'sequence': 1,
        }
        self.assertEqual(expected, json.loads(line))

    def test_the_newest_first_by_whatever_is_known(self):
        self.fill(1, 2)
        self.fill(3, name='b')
        self.history.add({'kind': 'parked', 'name': 'a', 'sequence': 4})
        self.assertEqual([4, 2, 1], self.found(name='a'))
        self.assertEqual([2, 1], self.found(name='a', kind='delivered'))
        self.assertEqual([3, 2, 1], self.found(kind='delivered'))
        self.assertEqual([2], self.found(sequence=2))
        self.assertEqual([], self.found(name='c'))

    def test_what_only_looks_like_it_is_not_found(self):
        self.history.add({'kind': 'parked', 'name': 'b', 'sequence': 1, 'reason': '"name": "a"'})
        self.history.add({'kind': 'parked', 'sequence': 2, 'more': {'name': 'a'}})
        self.assertEqual([], self.found(name='a'))

    def test_names_of_any_bytes(self):
        names = [os.fsdecode(b'caf\xe9'), 'a\nb', 'a\r\x85\u2028b', 'ü', '\U0001f600', '{}"\\']
        for number, name in enumerate(names):
            self.fill(number, name=name)
        self.assertEqual([*range(6)], [n for name in names for n in self.found(name=name)])

    def test_wherever_a_block_begins(self):
        self.fill(*range(5))
        self.fill(7, name='b')
        size = self.month().stat().st_size
        for block in range(1, size + 2):
            with unittest.mock.patch.object(history, 'BLOCK', block):
                self.assertEqual([4, 3, 2, 1, 0], self.found(), block)
                self.assertEqual([7], self.found(name='b'), block)

    def test_across_months_also_if_one_is_missing(self):
        for month in range(8, 12):
            with self.clock(2026, month, 1):
                self.fill(month, largest=2 * month)
        self.assertEqual([11, 10, 9, 8], self.found())
        (self.path / 'history' / '2026-10.jsonl').unlink()
        self.assertEqual([11, 9, 8], self.found())
        self.assertEqual(22, self.history.sequence())
        self.assertEqual(22, self.history.sequence(latest=True))

    def test_a_month_knows_the_one_before(self):
        for month in (9, 11):
            with self.clock(2026, month, 1):
                self.history.begin()
        found = [(entry['at'][:7], entry['before']) for entry in self.history.find(kind='month')]
        self.assertEqual([('2026-11', '2026-09'), ('2026-09', '')], found)

    def test_what_is_removed_meanwhile(self):
        for month in (10, 11):
            with self.clock(2026, month, 1):
                self.fill(month)
        found = self.history.find(name='a')
        self.assertEqual(11, next(found)['sequence'])
        (self.path / 'history' / '2026-10.jsonl').unlink()
        self.assertEqual([], list(found))

    def test_since_reads_no_more_than_it_must(self):
        for month in (10, 11):
            for day in range(1, 30):
                with self.clock(2026, month, day):
                    self.fill(100 * month + day)
        read, pread = [], os.pread

        def watched(descriptor, size, start):
            read.append(os.readlink(f'/proc/self/fd/{descriptor}')[-13:])
            return pread(descriptor, size, start)

        with (
            unittest.mock.patch.object(history, 'BLOCK', 250),
            unittest.mock.patch('os.pread', watched),
        ):
            since = '2026-11-28T00:00:00.000+00:00'
            self.assertEqual([1129, 1128], self.found(name='a', since=since))
            self.assertLess(len(read), 6)
            self.assertEqual({'2026-11.jsonl'}, {*read})
            self.assertEqual(31, len(self.found(name='a', since='2026-10-28T00:00:00')))

    def test_what_was_written_before_a_number_was_given_is_not_read(self):
        """Also where a clock was set back to another month, and then forth."""
        for number, month in enumerate((10, 11, 12, 10, 11, 10, 12), 1):
            with self.clock(2026, month, 1):
                entry = {'kind': 'delivered', 'name': 'a', 'sequence': number, 'largest': number}
                self.history.add(*[entry] * 5)
        read, pread = [], os.pread

        def watched(descriptor, size, start):
            read.append(size)
            return pread(descriptor, size, start)

        with unittest.mock.patch.object(history, 'BLOCK', 300):
            for above in range(8):
                read.clear()
                with unittest.mock.patch('os.pread', watched):
                    found = {e['sequence'] for e in self.history.find(name='a', above=above)}
                self.assertLessEqual({*range(above + 1, 8)}, found)
            self.assertEqual(set(), found)
            self.assertEqual(3, read.count(300))  # the end of each month

    def test_a_run_tells_the_largest_number(self):
        (self.path / 'spool').mkdir()
        spool = Spool(self.path / 'spool')
        for name in 'abc':
            spool.put(name, b'1')
        with spool.run():
            spool.park(spool.pending()[0][0], 'No.')
            (entry,) = spool.journal.history.find(name='a')
            self.assertEqual((1, 3), (entry['sequence'], entry['largest']))
        (spool.path / remembered.JOURNAL).unlink()
        spool.put('d', b'1')
        with spool.run():
            self.assertLess(3, max(entry.number for entry in spool.pending()[0]))

    def test_nothing_is_there(self):
        self.assertEqual(([], 0), (self.found(), self.history.sequence()))
        self.assertEqual([], self.history.months())

    def test_a_look_writes_nothing_and_opens_nothing_to_write(self):
        self.fill(1)
        opened = []

        def watched(path, flags, *args, real=os.open, **kw):
            opened.append(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            return real(path, flags, *args, **kw)

        with unittest.mock.patch('os.open', watched):
            self.assertEqual([1], self.found())
        self.assertEqual([0], opened)


class WritingTests(HistoryTests):
    def test_a_month_that_nobody_may_look_at(self):
        self.fill(1)
        refused = PermissionError(errno.EACCES, 'Permission denied', str(self.month()))
        with unittest.mock.patch.object(history, '_size', side_effect=refused):
            with self.assertRaisesRegex(errors.SpoolError, 'jsonl cannot be used: Permission'):
                self.history.months()

    def test_mode_and_group_follow_the_spool(self):
        os.chmod(self.path, 0o2770)
        if os.geteuid() == 0:
            os.chown(self.path, -1, 64003)
        self.fill(1)
        for path, mode in ((self.path / 'history', 0o2770), (self.month(), 0o660)):
            found = path.stat()
            self.assertEqual(mode, found.st_mode & 0o7777, path)
            self.assertEqual(self.path.stat().st_gid, found.st_gid)

    def test_several_at_once_also_for_the_first_line_of_a_month(self):
        children = []
        for number in range(8):
            children.append(os.fork())
            if not children[-1]:
                code = 1
                try:
                    self.fill(*range(100), name=f'{number}')
                    code = 0
                finally:
                    os._exit(code)
        for child in children:
            self.assertEqual(0, os.waitpid(child, 0)[1])
        for number in range(8):
            self.assertEqual([*range(99, -1, -1)], self.found(name=f'{number}'))
        self.assertEqual(801, len([*filter(None, self.month().read_bytes().splitlines())]))
        self.assertEqual([self.month().name], os.listdir(self.path / 'history'))

    def test_half_a_line_is_ended_by_who_writes_next(self):
        self.fill(1, 2)
        whole = self.month().read_bytes()
        start = whole.rindex(b'\n', 0, -1) + 1
        for length in range(start, len(whole)):
            with self.subTest(length=length):
                self.month().write_bytes(whole[:length])
                with self.assertNoLogs('zeit.cds'):
                    self.assertEqual([1], self.found())
                self.fill(3)
                # But for its end, all of it was there.
                known = [2, 1] if length == len(whole) - 1 else [1]
                said = b'"a"' in whole[start:length] and known == [1]
                with self.assertLogs('zeit.cds') if said else quiet():
                    self.assertEqual([3, *known], self.found())

    def test_a_damaged_line_in_the_middle_is_left_out_and_said(self):
        self.fill(1, 2, 3)
        lines = self.month().read_bytes().splitlines()[1:]
        for junk in (lines[1][:-1], b'["name": "a"]', b'\0' * 50, b'\xff\xfe', b''):
            self.month().write_bytes(b'\n'.join([lines[0], junk, lines[2], b'']))
            with self.assertLogs('zeit.cds') if b'"a"' in junk else quiet():
                self.assertEqual([3, 1], self.found())

    def test_what_cannot_be_written_is_an_error(self):
        self.fill(1)
        for call in ('write', 'fsync'):
            for number in (errno.ENOSPC, errno.EIO):
                refused = OSError(number, os.strerror(number))
                with unittest.mock.patch.object(os, call, side_effect=refused):
                    with self.assertRaisesRegex(errors.SpoolError, refused.strerror) as caught:
                        self.fill(2)
                self.assertEqual(78, caught.exception.exit_code)
                # Linux forgets what it could not synchronise: it must be written again.
                self.assertEqual([1], self.found())
        self.fill(3)
        self.assertEqual([3, 1], self.found())

    def test_half_of_it_was_written_when_the_disk_was_full(self):
        self.fill(1)
        real, left = os.write, [50]

        def write(descriptor, data):
            if not left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(descriptor, data[: left.pop()])

        with unittest.mock.patch('os.write', write):
            with self.assertRaisesRegex(errors.SpoolError, 'No space left'):
                self.fill(2)
        self.fill(3)
        self.assertEqual([3, 1], self.found())

    def test_what_others_have_added_just_before_stays(self):
        real, theirs = os.write, History(self.path / 'history', like=self.path)
        self.fill(1)

        def write(descriptor, data):
            write.calls += 1
            if write.calls == 1:
                with unittest.mock.patch('os.write', real):
                    theirs.add({'kind': 'delivered', 'name': 'a', 'sequence': 2})
                return real(descriptor, data[:20])
            raise OSError(errno.ENOSPC, 'Full')

        write.calls = 0
        long = {'kind': 'delivered', 'name': 'a', 'sequence': 3, 'reply': 'x' * 500}
        with unittest.mock.patch('os.write', write):
            with self.assertRaisesRegex(errors.SpoolError, 'Full'):
                self.history.add(long)
        self.fill(4)
        self.assertEqual([4, 2, 1], self.found())

    def test_where_nothing_was_written_nothing_is_cut_off(self):
        write, read = os.write, os.pread
        theirs = History(self.path / 'history', like=self.path)
        self.fill(1)

        def look(descriptor, count, place):
            found = read(descriptor, count, place)
            if count > 1:  # what there is behind the end that it had
                with unittest.mock.patch.multiple(os, write=write, pread=read):
                    theirs.add({'kind': 'delivered', 'name': 'a', 'sequence': 2})
            return found

        full = unittest.mock.Mock(side_effect=OSError(errno.ENOSPC, 'Full'))
        with unittest.mock.patch.multiple(os, write=full, pread=look):
            with self.assertRaisesRegex(errors.SpoolError, 'Full'):
                self.history.add({'kind': 'delivered', 'name': 'a', 'sequence': 3})
        self.assertEqual([2, 1], self.found())

    def test_two_that_write_at_once_leave_no_damage(self):
        """One of them sees that the line of the other has no end yet."""
        self.fill(1)
        with unittest.mock.patch('os.pread', return_value=b'x'):
            self.fill(2)
        self.assertIn(b'\n\n', self.month().read_bytes())
        (month,), lines, damaged = self.history.verify()
        self.assertEqual((3, {month: []}), (lines, damaged))
        self.assertEqual([2, 1], self.found())

    def test_what_others_have_added_meanwhile_stays(self):
        self.fill(1)

        def refused(descriptor):
            with unittest.mock.patch('os.fsync'):
                self.fill(3)
            raise OSError(errno.EIO, 'Input/output error')

        with unittest.mock.patch('os.fsync', refused), self.assertRaises(errors.SpoolError):
            self.fill(2)
        self.assertEqual([3, 2, 1], self.found())

    def test_a_file_that_a_copy_shares_by_a_link(self):
        self.fill(1)
        (self.path / 'copy').mkdir()
        os.link(self.month(), self.path / 'copy' / self.month().name)
        self.history.begin()
        self.fill(2)
        self.assertEqual([2, 1], self.found())
        copy = History(self.path / 'copy', like=self.path)
        self.assertEqual([1], [entry['sequence'] for entry in copy.find(name='a')])
        self.assertEqual([self.month().name], os.listdir(self.path / 'history'))

    def test_a_run_that_is_killed_when_it_parts_them(self):
        self.fill(1)
        os.link(self.month(), self.path / 'copy')
        child = os.fork()
        if not child:
            with unittest.mock.patch('os.replace', lambda *paths: os._exit(0)):
                self.history.begin()
        os.waitpid(child, 0)
        self.assertEqual(2, len(os.listdir(self.path / 'history')))
        self.history.begin()
        self.assertEqual([self.month().name], os.listdir(self.path / 'history'))

    def test_what_is_no_file(self):
        self.fill(1)
        path = self.month()
        path.unlink()
        os.mkfifo(path)
        for action in (self.found, lambda: self.fill(2)):
            with self.assertRaisesRegex(errors.SpoolError, f'{path} cannot be used: It is a FIFO'):
                action()


class HoleTests(HistoryTests):
    def test_bytes_without_an_end_of_line_are_read_once_and_not_kept(self):
        self.fill(1)
        with open(self.month(), 'r+b') as file:
            file.truncate(4 * 1024 * 1024)
            file.seek(0, os.SEEK_END)
            file.write(b'\n')
        self.fill(2)
        with (
            unittest.mock.patch('zeit.cds.journal.history.BLOCK', 1 << 15),
            unittest.mock.patch('zeit.cds.journal.line_format.LONGEST', 1 << 15),
        ):
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            self.assertEqual([2, 1], self.found())
            self.assertLess(tracemalloc.get_traced_memory()[1], 1024 * 1024)
            self.assertEqual([2, 1], self.found(name='a', since='2000'))


class KilledRunTests(HistoryTests):
    """The receipt of a run that was killed before its journal had it."""

    def setUp(self):
        super().setUp()
        self.entry = {'target': 'ftp://one/', 'name': 'a', 'sequence': 7, 'size': 1}

    def had_receipt(self, **fields):
        with Journal(os.fspath(self.path)) as journal:
            with self.clock(2026, 11, 1):
                opened = append_log.now().isoformat(timespec='milliseconds')
            entry = {**self.entry, **fields}
            return journal.close('delivered', entry, since=opened)

    def test_a_clock_that_went_back_in_between(self):
        self.history.add({'kind': 'delivered', **self.entry, 'sequence': 6, 'largest': 6})
        with self.clock(2026, 10, 31):
            self.history.add({'kind': 'delivered', **self.entry, 'largest': 7})
        self.assertTrue(self.had_receipt())
        self.assertFalse(self.had_receipt(sequence=8))

    def test_one_that_could_not_be_synchronised_is_written_anew(self):
        with self.clock(2026, 11, 2):
            self.history.add({'kind': 'delivered', **self.entry, 'largest': 7})
        real, failed = os.fsync, []

        def once(descriptor):
            if '/history/' in os.readlink(f'/proc/self/fd/{descriptor}') and not failed:
                failed.append(descriptor)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(descriptor)

        with unittest.mock.patch('os.fsync', once), self.assertLogs('zeit.cds', 'WARNING'):
            self.assertFalse(self.had_receipt())
        self.assertTrue(failed)


class RetentionTests(HistoryTests):
    def months_after(self, months):
        with self.clock(2026, 2, 28):
            self.history.begin()
            self.history.remove(self.history.expired(keep=months))
        return self.history.months()

    def test_so_many_months_beside_the_one_that_has_begun(self):
        for year, month in ((2024, 12), (2025, 11), (2025, 12), (2026, 1), (2026, 2)):
            with self.clock(year, month, 1):
                self.fill(month)
        (self.path / 'history' / 'notes.txt').touch()
        self.assertEqual(5, len(self.months_after(24)))
        self.assertEqual(['2025-12', '2026-01', '2026-02'], self.months_after(2))
        self.assertEqual(['2026-01', '2026-02'], self.months_after(1))
        self.assertTrue((self.path / 'history' / 'notes.txt').exists())

    def test_a_run_removes_what_the_operator_does_not_keep(self):
        (self.path / 'spool').mkdir()
        for months, expected in ((0, 3), (600, 3), (1, 2)):
            spool = Spool(self.path / 'spool', history=months)
            private = self.path / 'spool' / '.cds'
            with spool.run():
                spool.journal.history.add({'kind': 'parked', 'name': 'a'})
                for month in () if months else (1, 2):
                    with self.clock(2001, month, 1):
                        spool.journal.history.add({'kind': 'parked', 'name': 'a'})
            self.assertEqual(expected, len(os.listdir(private / 'history')), months)

    def test_a_clock_that_is_wrong_for_a_moment(self):
        for month in range(1, 7):
            with self.clock(2026, month, 1):
                self.fill(month)
        with self.clock(2046, 1, 1):
            self.history.begin()
            self.history.remove(self.history.expired(keep=6))
        self.assertEqual(7, len(self.history.months()))
        self.assertIn('2026-01', self.history.months())

    def test_this_month_stays_whatever_a_clock_that_was_wrong_has_left(self):
        for year in (2026, 2040, 2046):
            with self.clock(year, 2, 1):
                self.history.begin()
        self.assertEqual(['2026-02', '2040-02', '2046-02'], self.months_after(1))

    def test_in_zcml(self):
        zope.configuration.xmlconfig.string(f"""
            <configure xmlns:cds="http://namespaces.zeit.de/cds" i18n_domain="x">
              <include package="zeit.cds" file="meta.zcml" />
              <cds:spool name="kept" path="{self.path}" history="24" />
            </configure>""")
        self.addCleanup(zope.component.testing.tearDown)
        self.assertEqual(24, zope.component.getUtility(ISpool, name='kept').history)


def quiet():
    return contextlib.nullcontext()


class Recovering(unittest.TestCase):
    """A spool, runs of it, and how they are killed."""

    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path)
        self.target = MemoryTarget()

    def export(self):
        with self.assertLogs('zeit.cds'):
            return Exporter(self.spool, self.target).run_once()

    def run_import(self):
        time = Skipping()
        with self.assertLogs('zeit.cds'):
            importer = Importer(self.spool, self.target, clock=time.clock, wait=time.wait)
            return importer.run_once()

    def receipts(self):
        return [(e['kind'], e['name']) for e in remembered.receipts(self.path / '.cds')]

    def killed_at(self, run, kind, *, before):
        """Run in a child, which is killed before or after the history gets a line of this kind."""
        child = os.fork()
        if not child:
            with contextlib.ExitStack() as stack:
                stack.callback(os._exit, 1)
                real = History.add

                def add(self, *entries, **kw):
                    ours = entries[0]['kind'] == kind
                    if ours and before:
                        os.kill(os.getpid(), signal.SIGKILL)
                    real(self, *entries, **kw)
                    if ours:
                        os.kill(os.getpid(), signal.SIGKILL)

                stack.enter_context(unittest.mock.patch.object(History, 'add', add))
                run()
        self.assertEqual(signal.SIGKILL, os.waitpid(child, 0)[1] & 0x7F)


class RecoveryTests(Recovering):
    """A run is killed between cur/, receipt and journal: in the end there is one receipt."""

    def test_an_export(self):
        for before in (True, False):
            with self.subTest(before=before):
                self.setUp()
                self.spool.put('a', b'1')
                self.killed_at(self.export, 'delivered', before=before)
                self.assertEqual(['a'], os.listdir(self.path / 'cur'))
                for _ in range(2):
                    self.assertEqual(0, self.export().exit_code)
                    self.assertEqual([('delivered', 'a')], self.receipts())
                with self.spool.run():
                    self.assertEqual({}, self.spool.journal.at(self.target.url).rows('uploads'))

    def test_an_import(self):
        """What the CMS has taken meanwhile has its receipt, and is not fetched again."""
        for before in (True, False):
            for taken in (False, True):
                with self.subTest(before=before, taken=taken):
                    self.setUp()
                    self.target = StoredTarget(self.path / 'server')
                    self.target.put('a', b'1')
                    self.killed_at(self.run_import, 'imported', before=before)
                    self.assertEqual(['a'], os.listdir(self.path / 'new'))
                    if taken:
                        os.unlink(self.path / 'new' / 'a')
                    self.target.load()
                    self.assertEqual(0, self.run_import().exit_code)
                    lost = before and taken  # nothing says that it was there
                    self.assertEqual([('imported', 'a')], self.receipts())
                    self.assertEqual(lost or not taken, (self.path / 'new' / 'a').exists())
                    self.assertNotIn('a', self.target.files)

    def test_an_import_as_the_clock_goes_back(self):
        """Its receipt is older than what it is of, and that of an earlier one is newer."""
        self.target = StoredTarget(self.path / 'server')
        for year, before in ((2030, False), (2020, True)):
            with self.subTest(before=before):
                self.target.put('a', b'1')
                moved = append_log.now().replace(year=year)
                with unittest.mock.patch.object(append_log, 'now', lambda moved=moved: moved):
                    self.killed_at(self.run_import, 'imported', before=before)
                os.unlink(self.path / 'new' / 'a')
                self.target.load()
                self.run_import()
                # Where nothing says that it was there, it is fetched again.
                self.assertEqual(before, (self.path / 'new' / 'a').exists())
                self.assertEqual(1 + before, len(self.receipts()))
                self.assertNotIn('a', self.target.files)

    def test_one_that_a_killed_run_may_not_have_synchronised(self):
        """It is made durable before the journal says that nothing is open."""
        self.spool.put('a', b'1')
        self.killed_at(self.export, 'delivered', before=False)
        state, real, closed = self.path / remembered.JOURNAL, os.fsync, []

        def fsync(descriptor):
            if os.readlink(f'/proc/self/fd/{descriptor}').endswith('.jsonl'):
                closed.append(b'"kind": "delivered"' in state.read_bytes())
            real(descriptor)

        with unittest.mock.patch('os.fsync', fsync):
            self.assertEqual(0, self.export().exit_code)
        self.assertIs(False, closed[0])

    def test_the_journal_has_lost_what_was_not_synchronised(self):
        """A loss of power after the receipt: the lines behind it in the journal are gone."""
        self.spool.put('a', b'1')
        state = self.path / remembered.JOURNAL
        self.assertEqual(0, self.export().exit_code)
        lines = state.read_bytes().splitlines(keepends=True)
        (closed,) = (n for n, line in enumerate(lines) if b'"kind": "delivered"' in line)
        with open(state, 'r+b') as file:
            file.truncate(sum(map(len, lines[:closed])))
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual([('delivered', 'a')], self.receipts())
        self.assertEqual(1, journal.read(self.path / '.cds').totals['delivered'])

    def test_a_receipt_that_cannot_be_written(self):
        self.spool.put('a', b'1')
        broken = unittest.mock.Mock(side_effect=errors.SpoolError('The disk is full'))
        with unittest.mock.patch.object(History, 'add', broken):
            self.assertEqual(78, self.export().exit_code)
        self.assertNotIn('write', self.target.files)
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual([('delivered', 'a')], self.receipts())


class StoredTarget(MemoryTarget):
    """A target whose files a child changes for its parent."""

    def __init__(self, path):
        super().__init__(hook=self.note)
        self._path = path
        path.mkdir()

    def put(self, name, data):
        self.files[name] = data
        (self._path / name).write_bytes(data)

    def note(self, operation, name):
        for path in self._path.iterdir():
            if path.name not in self.files:
                path.unlink()
        for name, data in self.files.items():
            (self._path / name).write_bytes(data)

    def load(self):
        self.files.clear()
        self.files.update({path.name: path.read_bytes() for path in self._path.iterdir()})


class EndTests(DriverCase, unittest.TestCase):
    """What is written of the end of a run."""

    layer = layers.QUIET

    def export(self, **options):
        with self.assertLogs('zeit.cds'):
            return Exporter(self.spool, self.target, wait=lambda s: None).run_once(
                Options(**options)
            )

    def ends(self):
        found = remembered.history(self.spool.path / '.cds')
        return [
            (entry['exit_code'], entry['files'], entry['reason'])
            for entry in found
            if entry['kind'] == 'ended'
        ]

    def test_a_run_that_has_done_something_or_ends_otherwise_than_the_one_before(self):
        for _ in range(3):
            self.export()
        self.assertEqual([(0, 0, '')], self.ends())
        self.spool.put('a', b'1')
        self.export()
        self.assertEqual([(0, 1, '')], self.ends()[1:])
        self.target.files['write'] = b'the archive'
        self.spool.put('b', b'1')
        for _ in range(2):
            self.export()
        ((code, files, reason),) = self.ends()[2:]
        self.assertEqual((75, 0), (code, files))
        self.assertIn('write', reason)
        del self.target.files['write']
        self.export()
        self.assertEqual([(0, 1, '')], self.ends()[3:])

    def test_parked_and_brought_back(self):
        self.spool.put('a', b'')
        self.export(empty='park')
        with self.spool.run():
            self.spool.retry('a')
        found = remembered.history(self.spool.path / '.cds')
        about = [(e['kind'], e.get('name'), e.get('sequence')) for e in found]
        self.assertIn(('parked', 'a', 1), about)
        self.assertEqual('resent', about[-1][0])


class EarlierBuildTests(CommandLine):
    """What a build with another journal, or others beside it, has left: everybody recognises it."""

    def setUp(self):
        super().setUp()
        shutil.rmtree(self.path / '.cds', ignore_errors=True)
        (self.path / '.cds').mkdir()

    def left(self):
        """Yield each thing that may have been left."""
        for name in ('journal', 'sequence', 'runs', 'unpublished', 'journal/state.jsonl'):
            path = self.path / '.cds' / name
            path.parent.mkdir(exist_ok=True)
            path.write_text('{"kind": "journal", "version": 2}\n')
            with self.subTest(name):
                yield path
            path.unlink()

    def test_it_is_said_what_to_do_and_nothing_is_changed(self):
        for path in self.left():
            for command in (
                ('export', '--spool', self.path, 'ftp://test@127.0.0.1:1/in'),
                ('status', '--spool', self.path),
                ('receipt', '--spool', self.path, 'a.xml'),
                ('adopt', '--spool', self.path),
            ):
                if command[0] == 'receipt' and path.name == 'state.jsonl':
                    continue  # which is not looked at
                with self.subTest(command[0]):
                    outcome = self.call(*command)
                    self.assertEqual(78, outcome.code, outcome)
                    self.assertIn('of another build', str(outcome))
                    self.assertIn(f'mv {path} {path}-before', str(outcome))
            self.assertEqual('{"kind": "journal", "version": 2}\n', path.read_text())
            self.assertEqual(['a.xml', 'b.xml'], self.names('new'))

    def test_nothing_is_added_to_it(self):
        for path in self.left():
            self.spool.put('c.xml', b'')
            with self.assertRaises(errors.SpoolError):
                self.spool.unpublished.add('http://xml.zeit.de/a', 'why')
            self.assertEqual('{"kind": "journal", "version": 2}\n', path.read_text())
            self.assertEqual(['a.xml', 'b.xml', 'c.xml'], self.names('new'))

    def test_the_journal_stays_where_the_other_build_came_later(self):
        with self.spool.run():
            pass
        journal = self.path / '.cds' / 'journal' / 'state.jsonl'
        before = journal.read_bytes()
        moves = []
        for name in ('sequence', 'runs', 'unpublished'):
            path = self.path / '.cds' / name
            path.write_text('')
            moves.append(f'mv {path} {path}-before')
        outcome = self.call('adopt', '--spool', self.path)
        self.assertEqual(78, outcome.code)
        self.assertTrue(outcome.err.rstrip().endswith(f'; then: {"; ".join(moves)}'), outcome)
        for name in ('sequence', 'runs', 'unpublished'):
            (self.path / '.cds' / name).rename(self.path / '.cds' / f'{name}-before')
        self.assertTrue(journal.read_bytes().startswith(before))
        self.assertEqual(0, self.call('adopt', '--spool', self.path).code)

    def test_then_it_works(self):
        for path in self.left():
            self.assertEqual(78, self.call('adopt', '--spool', self.path).code, path)
        self.assertEqual(0, self.call('adopt', '--spool', self.path).code)
        with self.spool.run():
            self.assertEqual([1, 2], [entry.number for entry in self.spool.pending()[0]])


class SinceTests(CommandLine):
    def test_since(self):
        with self.spool.run():
            for year in (2001, None):
                context = contextlib.nullcontext()
                if year:
                    context = unittest.mock.patch('zeit.cds.journal.append_log.datetime')
                with context as clock:
                    if year:
                        then = datetime.datetime(year, 1, 1, tzinfo=datetime.UTC)
                        clock.datetime.now.return_value = then
                    receipt = {'name': 'a', 'size': 1, 'sha256': '', 'reply': '226'}
                    view = self.spool.journal.at('ftp://h/')
                    view.receipt('delivered', {**receipt, 'filed_as': 'a'})
        command = ('receipt', '--spool', self.path, 'a')
        self.assertIn('delivered 2 times', self.call(*command).out)
        self.assertIn('delivered 1 time\n', self.call(*command, '--since', '7d').out)
        self.assert_line(self.call(*command, '--since', '7'), 64, 'is not a time such as 90s')


class VerifyTests(CommandLine):
    """`zeit-cds journal verify`."""

    def setUp(self):
        super().setUp()
        for month in (10, 11):
            with (
                self.subTest(month),
                unittest.mock.patch('zeit.cds.journal.append_log.datetime') as clock,
            ):
                clock.datetime.now.return_value = datetime.datetime(
                    2026, month, 1, tzinfo=datetime.UTC
                )
                with self.spool.run():
                    self.spool.journal.new_token('ftp://h/')
                    about = {'name': 'a', 'size': 1, 'sequence': month}
                    self.spool.journal.at('ftp://h/').receipt('delivered', about)
        self.state = self.path / remembered.JOURNAL
        self.months = self.path / '.cds' / 'history'

    def verify(self):
        before = {path: path.read_bytes() for path in (self.state, *self.months.iterdir())}
        outcome = self.call('journal', 'verify', '--spool', self.path)
        self.assertEqual(before, {path: path.read_bytes() for path in before})
        return outcome

    def test_sound(self):
        outcome = self.verify()
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertRegex(
            outcome.out,
            r'spool: sound; \d+ lines in the journal, 4 in the history from 2026-10 to 2026-11.$',
        )

    def test_no_spool_is_not_sound(self):
        outcome = self.call('journal', 'verify', '--spool', self.path / 'typo')
        self.assertEqual((78, ''), (outcome.code, outcome.out))
        self.assertRegex(outcome.err, 'There is no spool at .*typo')

    def test_half_a_line_at_the_end_is_no_damage(self):
        for path in (self.state, self.months / '2026-11.jsonl'):
            with open(path, 'ab') as file:
                file.write(b'{"kind": "tok')
        self.assertEqual(0, self.verify().code)

    def test_what_is_damaged(self):
        with open(self.state, 'ab') as file:
            file.write(b'{"kind": "token"}\nnonsense\n')
        last = self.state.read_bytes().count(b'\n')
        with open(self.months / '2026-11.jsonl', 'ab') as file:
            file.write(b'{"kind": "deliv\n{"kind": "parked"}\n')
        outcome = self.verify()
        self.assertEqual(1, outcome.code)
        self.assertIn('spool: 3 faults; ', outcome.out)
        for pattern in (
            f'state.jsonl, line {last - 1}: it lacks',
            f'state.jsonl, line {last}: no JSON',
            '2026-11.jsonl, line 3: no JSON object',
        ):
            self.assertRegex(outcome.err, pattern)

    def test_status_shows_what_was_left_out_until_it_is_acknowledged(self):
        with open(self.state, 'ab') as file:
            file.write(b'{"kind": "token"}\nnonsense\n')
        for _ in range(3):
            with self.spool.run():
                self.assertEqual(2, self.spool.journal.row('damage')['lines'])
        self.assertNotIn(b'nonsense', self.state.read_bytes())
        shown = self.call('status', '--spool', self.path).out
        self.assertIn('damaged    skipped 2 lines of the journal that', shown)
        (found,) = json.loads(self.call('status', '--json', '--spool', self.path).out)
        self.assertEqual(2, found['damaged'])
        outcome = self.call('journal', 'verify', '--acknowledge', '--spool', self.path)
        self.assertEqual(1, outcome.code)
        self.assertIn('2 lines skipped', outcome.err)
        self.assertEqual(0, self.verify().code)
        self.assertNotIn('damaged', self.call('status', '--spool', self.path).out)

    def assert_gone(self, *gone):
        """It is said by all, before a run and behind it, until a person says that it is well."""
        for _ in range(2):
            outcome = self.call('journal', 'verify', '--spool', self.path)
            self.assertEqual(1, outcome.code)
            for each in gone:
                self.assertIn(f'.cds: {each} is missing', outcome.err)
            shown = self.call('status', '--spool', self.path).out
            self.assertIn(f'missing    gone from .cds: {", ".join(gone)};', shown)
            (found,) = json.loads(self.call('status', '--json', '--spool', self.path).out)
            self.assertEqual([*gone], found['missing'])
            with self.assertLogs('zeit.cds.journal.journal', 'WARNING') as logs, self.spool.run():
                pass
            self.assertIn(f'Gone from .cds: {", ".join(gone)}.', str(logs.output))
        outcome = self.call('journal', 'verify', '--acknowledge', '--spool', self.path)
        self.assertNotIn('warning', outcome.err, 'it does not ask for what is being done')
        self.assertEqual(0, self.verify().code)
        with self.assertNoLogs('zeit.cds.journal.journal', 'WARNING'), self.spool.run():
            pass
        self.assertNotIn('missing', self.call('status', '--spool', self.path).out)

    def test_damaged_lines_of_the_history_until_they_are_acknowledged(self):
        path = self.months / '2026-10.jsonl'
        for number in (1, 2):
            with path.open('ab') as file:
                file.write(b'nonsense\n')
            for arguments in ([], ['--acknowledge']):
                outcome = self.call('journal', 'verify', *arguments, '--spool', self.path)
                self.assertEqual(1, outcome.code)
                self.assertEqual(number, outcome.err.count('no JSON object'))
            outcome = self.verify()
            self.assertEqual((0, ''), (outcome.code, outcome.err))
            self.assertIn(f'{number} of them damaged, as was acknowledged', outcome.out)
        with self.spool.run():
            self.spool.journal.compact()
        self.assertEqual(0, self.verify().code)

    def test_a_month_that_is_missing(self):
        (self.months / '2026-10.jsonl').unlink()
        self.assert_gone('2026-10')

    def test_a_month_that_was_cut_at_the_end_of_a_line(self):
        with self.spool.run():
            pass  # the month before has ended by now
        first, *_ = (self.months / '2026-10.jsonl').read_bytes().splitlines(keepends=True)
        (self.months / '2026-10.jsonl').write_bytes(first)
        self.assert_gone('2026-10 (in part)')
        (self.months / '2026-10.jsonl').unlink()
        self.assert_gone('2026-10')

    def test_a_month_that_has_ended_and_grows_once_more(self):
        month = self.months / '2026-10.jsonl'
        before = month.stat().st_size
        with month.open('ab') as file:
            file.write(b'{}\n')
        with self.assertNoLogs('zeit.cds', 'WARNING'):
            for _ in range(2):
                with self.spool.run():
                    # What was added may not survive a loss of power.
                    sizes = self.spool.journal.row('months')['sizes']
                    self.assertEqual(before, sizes['2026-10'])
        self.assertEqual([], self.spool.status().numbers.missing)

    def test_what_is_known_of_the_size_of_a_month_is_on_the_disk(self):
        synced, real = [], os.fsync

        def fsync(descriptor):
            synced.append(os.readlink(f'/proc/self/fd/{descriptor}'))
            real(descriptor)

        december = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
        for times in (1, 0):
            synced.clear()
            with (
                unittest.mock.patch('os.fsync', fsync),
                unittest.mock.patch.object(append_log, 'now', lambda: december),
                self.spool.run(),
            ):
                self.assertEqual(times, synced.count(f'{self.months}/2026-11.jsonl'))
                self.assertEqual(0, synced.count(f'{self.months}/2026-10.jsonl'))

    def test_a_month_that_is_empty(self):
        (self.months / '2026-10.jsonl').write_bytes(b'')
        self.assert_gone('2026-10')

    def test_this_month_is_empty_and_begins_again(self):
        month = self.months / '2026-10.jsonl'
        month.write_bytes(b'')
        october = datetime.datetime(2026, 10, 15, tzinfo=datetime.UTC)
        with unittest.mock.patch.object(append_log, 'now', lambda: october):
            self.assert_gone('2026-10')
        first, *_ = month.read_text().splitlines()
        self.assertEqual('month', json.loads(first)['kind'])

    def test_all_months_but_one_that_a_run_has_removed(self):
        (self.path / '.cds' / 'history' / '2026-09.jsonl').write_text('{}\n')
        november = datetime.datetime(2026, 11, 15, tzinfo=datetime.UTC)
        with unittest.mock.patch.object(append_log, 'now', lambda: november):
            with Spool(self.path, history=1).run():
                pass
        for month in self.months.iterdir():
            month.unlink()
        self.assert_gone('2026-10', '2026-11')

    def test_a_journal_that_is_missing(self):
        shutil.rmtree(self.state.parent)
        self.assert_gone('journal')

    def test_a_journal_that_is_missing_and_somebody_has_put_a_file_since(self):
        self.state.unlink()
        self.spool.put('c.xml', b'')
        self.assert_gone('journal')

    def test_a_journal_that_is_empty(self):
        self.state.write_bytes(b'')
        with open(self.state, 'rb+') as file:
            file.truncate()
        self.assert_gone('journal')

    def test_status_shows_damage_that_no_run_has_met(self):
        with open(self.state, 'ab') as file:
            file.write(b'{"kind": "token"}\nnonsense\n')
        (found,) = json.loads(self.call('status', '--json', '--spool', self.path).out)
        self.assertEqual((2, []), (found['damaged'], found['missing']))

    def test_a_journal_that_is_missing_with_all_else_but_a_parked_file(self):
        """It has its number beside it: so this is not the first journal."""
        self.spool.put('a.xml', b'')
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][0], 'No.')
        shutil.rmtree(self.path / '.cds')
        with self.spool.run():
            pass
        self.assert_gone('journal')

    def settle(self):
        with self.spool.run():
            for token in self.spool.journal.open_tokens('ftp://h/'):
                self.spool.journal.note('clean', token=token)

    def restore(self):
        self.path.rename(self.folder / 'original')
        shutil.copytree(self.folder / 'original', self.path)

    def test_a_restored_spool_until_that_is_acknowledged(self):
        self.settle()
        self.restore()
        for _ in range(3):
            shown = self.call('status', '--spool', self.path).out
            self.assertIn('restored   copied, or from a backup: it lacks what came after', shown)
            self.assertIn(f'journal verify --acknowledge --spool {self.path}', shown)
            (found,) = json.loads(self.call('status', '--json', '--spool', self.path).out)
            self.assertIs(True, found['restored'])
            outcome = self.verify()
            self.assertEqual(1, outcome.code)
            self.assertIn('.cds was copied, or restored from a backup', outcome.err)
            with self.spool.run():
                self.spool.journal.compact()
        outcome = self.call('journal', 'verify', '--acknowledge', '--spool', self.path)
        self.assertEqual(1, outcome.code)
        self.assertIn('.cds was copied, or restored from a backup', outcome.err)
        self.assertEqual(0, self.verify().code)
        self.assertNotIn('restored', self.call('status', '--spool', self.path).out)

    def test_one_that_is_acknowledged_before_a_run_has_met_it(self):
        self.settle()
        self.restore()
        self.call('journal', 'verify', '--acknowledge', '--spool', self.path)
        self.assertNotIn('restored', self.call('status', '--spool', self.path).out)

    def test_a_copy_that_nobody_has_decided_about(self):
        self.restore()
        with self.spool.run():
            pass
        self.assertFalse(self.spool.status().numbers.restored, 'it is disowned')
        outcome = self.verify()
        self.assertEqual(1, outcome.code)
        self.assertIn('"zeit-cds adopt" decides', outcome.err)

    def test_nothing_is_there_yet(self):
        (self.folder / 'fresh').mkdir()
        (self.folder / 'fresh' / 'cur').mkdir(parents=True, exist_ok=True)
        (self.folder / 'fresh' / 'cur' / 'a.xml').touch()
        outcome = self.call('journal', 'verify', '--spool', self.folder / 'fresh')
        self.assertEqual(1, outcome.code)
        self.assertRegex(outcome.err, 'There is no .*/fresh/.cds: nothing is known')
        (self.folder / 'fresh' / 'cur' / 'a.xml').unlink()
        outcome = self.call('journal', 'verify', '--spool', self.folder / 'fresh')
        self.assertEqual(0, outcome.code)
        self.assertIn('fresh: sound; 0 lines in the journal, 0 in the history.', outcome.out)

    def test_wrong_usage(self):
        self.assertEqual(64, self.call('journal').code)
        self.assertEqual(64, self.call('journal', 'verify').code)
        outcome = self.call('journal', 'verify', '--spool', self.path, 'x')
        self.assert_line(outcome, 64, 'Names of spools need --zcml')
        self.months.rename(self.folder / 'away')
        self.months.write_text('')
        self.assertEqual(78, self.call('journal', 'verify', '--spool', self.path).code)
