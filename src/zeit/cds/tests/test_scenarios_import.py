"""SCENARIOS, section J and A9, and what goes with them: imports from a server with faults."""

import contextlib
import errno
import itertools
import logging
import os
import threading
import time
import unittest
from unittest import mock

import zope.event

from zeit.cds.errors import DeadlinePassed, FTPOSError
from zeit.cds.lock.lock import WATCH
from zeit.cds.names import token_of
from zeit.cds.run import importer
from zeit.cds.run.arrivals import Arrivals
from zeit.cds.spool import incoming
from zeit.cds.system import files
from zeit.cds.target.ftp_session import FTPSession
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import faults
from zeit.cds.tests.importing import ImportOptions, ImportScenario, take
from zeit.cds.tests.sampling import some
from zeit.cds.tests.scenario import content
from zeit.cds.values.report import FileImported


UNDISTURBED = [
    'Accessed filestore ...',
    'Connecting to CDS FTP server (...)',
    'Creating lock file: read',
    'Lock file successfully created: read',
    'Downloading: a.xml',
    "Moved from 'tmp' to 'new': a.xml",
    'File removed on server: a.xml',
    'Downloading: b.xml',
    "Moved from 'tmp' to 'new': b.xml",
    'File removed on server: b.xml',
    'Removing lock file: read',
    'Lock file successfully removed: read',
    'Disconnected from CDS FTP server',
    'Exiting with success.',
]


class ContractTests(ImportScenario, unittest.TestCase):
    """A9: the contract of 2009."""

    def assert_lines(self, expected):
        found = [
            line.partition(' /')[0] + ' ...' if line.startswith('Accessed') else line
            for line in self.lines
        ]
        found = [
            'Connecting to CDS FTP server (...)' if line.startswith('Connecting') else line
            for line in found
        ]
        self.assertEqual(expected, found)

    def test_a9_two_files(self):
        self.assert_run(0, 'a.xml b.xml', self.run_import('a.xml', 'b.xml'))
        self.assert_lines(UNDISTURBED)
        self.assert_imported('a.xml', 'b.xml')
        self.assertEqual({}, self.remote)

    def test_a9_nothing_there(self):
        self.assert_run(0, '', self.run_import())
        self.assert_lines([*UNDISTURBED[:4], 'No new files to import.', *UNDISTURBED[10:]])

    def test_either_lock(self):
        for lock in ('read', 'write'):
            with self.subTest(lock):
                self.prepare()
                self.plant(lock)
                self.assert_run(75, '', self.run_import('a.xml'))
                self.assert_lines(
                    [
                        *UNDISTURBED[:2],
                        f"Cannot access CDS FTP server as '{lock}' lockfile exists.",
                        'Exiting.',
                    ]
                )
                self.assertEqual([f'RETR {lock}'], self.downloads())

    def test_deleted_only_when_it_is_in_new(self):
        seen = []

        def look(event):
            if event.verb == 'DELE' and event.argument == 'a.xml':
                seen.append(self.section('new'))

        self.fault('DELE', faults.Call(look))
        self.run_import('a.xml')
        self.assertEqual([{'a.xml': self.offered['a.xml']}], seen)

    def test_the_temporary_is_ours_alone(self):
        seen = []

        def look(event):
            seen.extend(self.section('tmp'))

        self.offer('a.xml')
        self.fault('RETR', faults.Call(look), path='*/a.xml')
        self.run_import()
        (name,) = seen
        self.assertRegex(name, r'\Aa\.xml\.cds[0-9a-f]{16}-1\.part\Z')

    def test_a_receipt(self):
        self.run_import('a.xml')
        (receipt,) = self.receipts('a.xml')
        wanted = {'kind': 'imported', 'name': 'a.xml', 'filed_as': 'a.xml'}
        self.assertEqual(wanted, {**receipt, **wanted} and {k: receipt[k] for k in wanted})
        self.assertEqual(len(self.offered['a.xml']), receipt['size'])
        self.assertIn('/cds', receipt['target'])

    def test_equal_bytes_once_more(self):
        """A partner may send the same file again: it is another one."""
        self.run_import('a.xml')
        take(self.path, 'a.xml')
        self.assert_run(0, 'a.xml', self.run_import('a.xml'))
        self.assertEqual(2, len(self.receipts('a.xml')))

    def test_a_dry_run(self):
        self.offer('a.xml', 'b.xml')
        report = self.run_import(options=ImportOptions(dry_run=True))
        self.assertEqual(['planned', 'planned'], [r.status for r in report.results])
        self.assertIn('Would download: a.xml', self.lines)
        changing = ('STOR', 'DELE', 'RNFR', 'MKD', 'RETR')
        # The name that DELE is tried with was never there: nobody has its token.
        (tried,) = self.server.commands(*changing)
        self.assertTrue(token_of(tried.removeprefix('DELE ')))
        self.assertEqual({}, self.section('new'))

    def test_a_server_that_lists_nothing(self):
        """Neither MLSD nor NLST: that concerns no file, and the server will not learn it."""
        for reply, code in (('500 no', 78), ('502 no', 78), ('530 no', 78), ('451 no', 69)):
            with self.subTest(reply):
                self.prepare()
                self.offer('a.xml')
                self.fault('MLSD', faults.Reply('500 no'))
                self.fault('NLST', faults.Reply(reply))
                report = self.run_import()
                self.assert_run(code, '', report)
                hint = 'often a full disk' if code == 69 else 'does not list the directory'
                self.assertIn(hint, report.error.hint)

    def test_a_name_in_another_encoding(self):
        self.plant('lat\udcfcn')
        (failed,) = self.run_import().failed
        self.assertIn('The name cannot be written in utf-8', failed[1])
        self.assertIn('encoding="latin-1" (--encoding)', failed[1])
        self.assertIn('Not imported: lat\\xfcn: ', self.log)

    def test_many_refused_names(self):
        """A mail has some of them, and their number; the log has all."""
        for number in range(30):
            self.plant(f'a{number}\t')
        report = self.run_import('b.xml')
        self.assertEqual((1, 30), (report.exit_code, len(report.failed)))
        refused = [r for r in self.records if r.getMessage().startswith('Not imported: ')]
        levels = [record.levelname for record in refused]
        self.assertEqual(['ERROR'] * 20 + ['INFO'] * 10, levels)
        more = 'And 10 more files not imported; see them all with -v or in a log file.'
        self.assertIn(more, self.lines)

    def test_more_refused_names_than_anybody_reads(self):
        for number in range(5):
            self.plant(f'a{number}\t')
        with mock.patch.object(importer, 'REFUSED', 3):
            report = self.run_import('b.xml')
        self.assertEqual((1, 3), (report.exit_code, len(report.failed)))
        self.assertIn('And 2 more names refused.', self.lines)

    def test_judging_many_names_ends_with_the_deadline(self):
        """Whether they are judged before the listing is whole, or behind it."""
        for way in ('MLSD', 'NLST'):
            with self.subTest(way):
                self.prepare()
                for number in range(5):
                    self.offer(f'a{number}.xml')
                if way == 'NLST':
                    self.fault('MLSD', faults.Reply('500 no'))
                judged = []

                def check(target, name, judged=judged):
                    judged.append(name)
                    self.time.wait(40)

                with mock.patch.object(FTPTarget, 'check', check):
                    report = self.run_import(options=ImportOptions(deadline=60))
                self.assertIsInstance(report.error, DeadlinePassed)
                self.assertEqual(2, len(judged))

    def test_what_is_passed_over_is_told_to_who_wants_to_know(self):
        for name in ('read.guard', 'A.PART', 'foo~', '..x'):
            self.plant(name)
        for dry_run in (True, False):
            with self.subTest(dry_run=dry_run):
                self.offer('WRITES')
                self.run_import(options=ImportOptions(dry_run=dry_run))
                for line in (
                    'read.guard: it has the name of a lock, or of something temporary of ours',
                    'A.PART: it matches the pattern *.part (ignore)',
                    'foo~: it matches the pattern *~ (ignore)',
                    '..x: it is hidden',
                ):
                    self.assertIn(f'Passed over: {line}', self.log)
        self.assertNotIn('Passed over', '\n'.join(self.lines))
        self.assertNotIn('Passed over: WRITES', self.log)

    def test_a_dry_run_keeps_to_the_bounds(self):
        self.offer('a.xml', 'b.xml', 'c.xml')
        size = len(self.offered['a.xml'])
        for bounds, number in (({'max_files': 2}, 2), ({'max_bytes': size}, 1)):
            for way in ('MLSD', 'NLST'):
                with self.subTest(bounds, way=way):
                    if way == 'NLST':
                        self.fault('MLSD', faults.Reply('502 No.'))
                    report = self.run_import(options=ImportOptions(dry_run=True, **bounds))
                    self.assertEqual(['planned'] * number, [r.status for r in report.results])
                    self.assertIn('The limit of this run is reached', self.log)
                    self.server.clear_faults()

    def test_a_dry_run_makes_nothing_in_a_new_spool(self):
        self.offer('a.xml')
        self.run_import(options=ImportOptions(dry_run=True))
        self.assertEqual([], [*self.path.iterdir()])

    def test_a_dry_run_of_an_empty_listing(self):
        """No lock of ours is in it; so it may as well be a directory that cannot be read."""
        warning = 'The listing is empty: there is nothing, or the account may not read'
        self.assertEqual(0, self.run_import(options=ImportOptions(dry_run=True)).exit_code)
        self.assertIn(warning, self.log)
        self.offer('a.xml')
        for code in (450, 550):
            with self.subTest(code):
                self.fault('MLSD NLST', faults.Reply(f'{code} Permission denied.'))
                self.run_import(options=ImportOptions(dry_run=True))
                self.assertIn(warning, self.log)
                self.server.clear_faults()
        self.run_import(options=ImportOptions(dry_run=True))
        self.assertNotIn(warning, self.log)

    def test_a_limit(self):
        self.offer('a.xml', 'b.xml')
        self.assert_run(0, 'a.xml', self.run_import(options=ImportOptions(max_files=1)))
        self.assert_run(0, 'b.xml', self.run_import(options=ImportOptions(max_files=1)))

    def test_empty_files(self):
        self.offered['a.xml'] = b''
        self.server.put('/cds/a.xml', b'')
        self.assert_run(0, '', self.run_import(options=ImportOptions(empty='skip')))
        self.assert_run(0, 'a.xml', self.run_import())
        self.assertIn('Empty, fetched anyway: a.xml', self.log)


class DownloadTests(ImportScenario, unittest.TestCase):
    """J: what can go wrong with one file, while the next one is fine."""

    def test_j103_cut_in_the_middle(self):
        self.fault('RETR', faults.CutData(5), path='*/a.xml')
        self.assert_run(1, 'b.xml', self.run_import('a.xml', 'b.xml'))
        self.assertEqual(self.offered['a.xml'], self.remote['a.xml'])
        self.heal()

    def test_j103_cut_once(self):
        self.fault('RETR', faults.CutData(5, control=True), path='*/a.xml', times=1)
        report = self.run_import('a.xml', 'b.xml')
        self.assertEqual((0, {'a.xml', 'b.xml'}), (report.exit_code, set(report.delivered)))

    def test_j103_the_disk_is_full(self):
        real = os.fsync
        full = mock.Mock(side_effect=OSError(errno.ENOSPC, 'No space left on device'))
        with mock.patch('zeit.cds.spool.incoming.os.fsync', full):
            # The journal's own fsync is the same function; here only files fail.
            full.side_effect = lambda fd: _fail_for_files(fd, real)
            report = self.run_import('a.xml', 'b.xml')
        self.assert_run(78, '', report)
        self.assertIn('No space left on device', self.log)
        self.assertRegex(report.error.hint, 'Make room there.*stays on the server')
        self.assertEqual({'a.xml', 'b.xml'}, set(self.remote))
        self.heal()

    def test_j104_dele_refused(self):
        self.fault('DELE', faults.Reply('550 Permission denied.'), path='*/a.xml')
        report = self.run_import('a.xml', 'b.xml')
        self.assert_run(1, 'a.xml b.xml', report)
        self.assertEqual(['delivered', 'kept', 'delivered'], [r.status for r in report.results])
        self.assertIn('a.xml: It is imported, but stays on the server: 550', self.log)
        take(self.path, 'a.xml', 'b.xml')
        for _ in range(2):
            report = self.run_import()
            self.assert_run(1, '', report)
            self.assertEqual(['kept'], [r.status for r in report.results])
        self.server.clear_faults()
        # Only its content tells what it is, and that comes behind what is new.
        self.assert_run(0, 'c.xml', self.run_import('c.xml'))
        self.assertEqual(
            [f'RETR {name}.xml' for name in 'abaaca'],
            [command for command in self.downloads() if '.xml' in command],
        )
        take(self.path, 'c.xml')
        self.assertEqual(({}, {}), (self.remote, self.section('new')))
        self.assertEqual(1, len(self.receipts('a.xml')))

    def test_j104_dele_refused_for_days(self):
        """It is fetched to be compared less and less; another file of that name comes at once."""
        rule = self.fault('DELE', faults.Reply('550 No.'), path='*/a.xml')
        self.run_import('a.xml')
        take(self.path, 'a.xml')
        for _ in range(12):
            report = self.run_import()
            self.assertEqual((1, ['kept']), (report.exit_code, [r.status for r in report.results]))
        self.assertEqual(8, self.downloads().count('RETR a.xml'))
        with mock.patch('zeit.cds.run.arrivals.PAUSE', 0):
            self.run_import()
        self.assertEqual(9, self.downloads().count('RETR a.xml'))
        self.run_import()
        self.assertEqual(9, self.downloads().count('RETR a.xml'))
        self.server.remove_fault(rule)
        self.offered['a.xml'] = content('a.xml')[::-1]
        self.server.put('/cds/a.xml', self.offered['a.xml'], modified=time.time() - 60)
        (self.path / 'cur' / 'a.xml').unlink()
        self.assert_run(0, 'a.xml', self.run_import())

    def test_j104_replaced_before_it_could_be_deleted(self):
        self.fault('DELE', faults.Reply('550 Permission denied.'), path='*/a.xml', times=1)
        self.assert_run(1, 'a.xml', self.run_import('a.xml'))
        take(self.path, 'a.xml')
        self.server.put('/cds/a.xml', b'another one')
        self.offered['a.xml'] = b'another one'
        self.assert_run(0, 'a.xml', self.run_import())
        self.assertEqual({'a.xml': b'another one'}, self.section('new'))

    def test_j104_replaced_by_one_of_the_same_size(self):
        """The time tells: the first was older than our lock, and this one is newer."""
        self.fault('DELE', faults.Reply('550 Permission denied.'), path='*/a.xml', times=1)
        self.assert_run(1, 'a.xml', self.run_import('a.xml'))
        take(self.path, 'a.xml')
        self.offered['a.xml'] = bytes(reversed(self.offered['a.xml']))
        self.server.put('/cds/a.xml', self.offered['a.xml'])
        self.assert_run(0, 'a.xml', self.run_import())
        self.assertEqual({'a.xml': self.offered['a.xml']}, self.section('new'))

    def test_j104_replaced_in_the_same_second(self):
        """Neither size nor time tells: the time is later than our lock, so the content decides."""
        self.fault('DELE', faults.Reply('550 Permission denied.'), path='*/a.xml', times=1)
        moment = time.time() + 60  # the lock may be made in the next second
        self.offered['a.xml'] = b'older'
        self.server.put('/cds/a.xml', b'older', modified=moment)
        self.assert_run(1, 'a.xml', self.run_import())
        take(self.path, 'a.xml')
        self.offered['a.xml'] = b'newer'
        self.server.put('/cds/a.xml', b'newer', modified=moment)
        self.assert_run(0, 'a.xml', self.run_import())
        self.assertEqual({'a.xml': b'newer'}, self.section('new'))

    def test_j104_replaced_in_the_same_second_after_many_tries(self):
        """What came to be there later may look the same: it is not left alone for a while."""
        rule = self.fault('DELE', faults.Reply('550 Permission denied.'), path='*/a.xml')
        moment = time.time() + 3600
        self.offered['a.xml'] = b'older'
        self.server.put('/cds/a.xml', b'older', modified=moment)
        self.assert_run(1, 'a.xml', self.run_import())
        take(self.path, 'a.xml')
        for _ in range(9):
            self.assert_run(1, '', self.run_import())
        self.server.remove_fault(rule)
        self.offered['a.xml'] = b'newer'
        self.server.put('/cds/a.xml', b'newer', modified=moment)
        self.assert_run(0, 'a.xml', self.run_import())
        self.assertEqual({'a.xml': b'newer'}, self.section('new'))

    def test_j104_replaced_by_one_of_the_same_size_and_time(self):
        """The partner sets the times of files: the content decides, also within the run."""
        for lost in False, True:
            with self.subTest(lost=lost):
                self.prepare()
                self.offered['a.xml'] = b'older'
                self.complete.add(b'older')
                self.server.put('/cds/a.xml', b'older', modified=1e9)
                if lost:
                    self.fault('DELE', faults.Cut('executed'), path='*/a.xml', times=1)
                    again = faults.Call(self.replace)
                    self.fault('USER', again, nth=self.server.connected + 1, times=1)
                else:
                    reply = faults.Reply('550 Permission denied.')
                    self.fault('DELE', reply, path='*/a.xml', times=1)
                self.assert_run(0 if lost else 1, 'a.xml', self.run_import())
                take(self.path, 'a.xml')
                self.replace()
                self.assert_run(0, 'a.xml', self.run_import())
                self.assertEqual({'a.xml': b'newer'}, self.section('new'))
                self.assertEqual({}, self.remote)

    def test_j104_sent_again_before_it_could_be_deleted(self):
        """The same content at another time is another delivery."""
        self.fault('DELE', faults.Reply('550 Permission denied.'), path='*/a.xml', times=1)
        self.offered['a.xml'] = b'content'
        for modified, code in (1e9, 1), (1e9 + 1, 0):
            self.server.put('/cds/a.xml', b'content', modified=modified)
            self.assert_run(code, 'a.xml', self.run_import())
            take(self.path, 'a.xml')

    def replace(self, event=None):
        self.offered['a.xml'] = b'newer'
        self.server.put('/cds/a.xml', b'newer', modified=1e9)

    def test_j104_no_times_the_content_decides(self):
        """A server without MDTM: what has the same size is fetched once more and compared."""
        for replaced in (False, True):
            with self.subTest(replaced=replaced):
                self.prepare()
                self.fault('DELE', faults.Reply('550 Permission denied.'), path='*/a.xml', times=1)
                self.fault('MDTM', faults.Reply('502 Not implemented.'))
                self.assert_run(1, 'a.xml', self.run_import('a.xml'))
                take(self.path, 'a.xml')
                if replaced:
                    data = bytes(reversed(self.offered['a.xml']))
                    self.offered['a.xml'] = data
                    self.server.put('/cds/a.xml', data)
                self.assert_run(0, 'a.xml' if replaced else '', self.run_import())
                self.assertEqual({}, self.remote)

    def test_j104_the_answer_to_dele_is_lost(self):
        for moment in ('before', 'executed'):
            with self.subTest(moment):
                self.prepare()
                self.fault('DELE', faults.Cut(moment=moment), path='*/a.xml', times=1)
                self.assert_run(0, 'a.xml b.xml', self.run_import('a.xml', 'b.xml'))
                self.assert_imported('a.xml', 'b.xml')

    def test_a_file_that_the_partner_has_in_use(self):
        used = '550 The process cannot access the file: it is used by another process.'
        self.fault('RETR', faults.Reply(used), path='/cds/a.xml')
        report = self.run_import('a.xml', 'b.xml')
        self.assert_run(1, 'b.xml', report)
        self.assertIn(used.rstrip('.'), dict(report.failed)['a.xml'])

    def test_j104_the_answer_to_dele_is_lost_and_so_is_the_lock(self):
        """What is there now, somebody else is about to take."""
        self.fault(
            'DELE',
            faults.Call(lambda event: self.plant('read', b'theirs')),
            faults.Cut('before'),
            path='/cds/a',
            times=1,
        )
        report = self.run_import('a')
        self.assert_run(75, 'a', report)
        deleted = self.server.commands('DELE', connection=1)
        self.assertNotIn('DELE read', deleted, self.log)
        self.assertEqual(1, self.server.commands('DELE').count('DELE a'))
        self.assertEqual({'a', 'read'}, set(self.remote))

    def test_j104_whatever_happens_before_dele_the_file_is_imported(self):
        """Whoever waits for the file hears of it, and the next run only deletes it."""
        heard = []
        zope.event.subscribers.append(heard.append)
        self.addCleanup(zope.event.subscribers.remove, heard.append)
        for error, code, statuses in (
            (None, 78, ['delivered', 'kept']),
            (DeadlinePassed('The time of this run is used up'), 69, ['delivered']),
            (FTPOSError(errno.EMFILE, 'Too many open files'), 1, ['delivered', 'kept']),
        ):
            for connections in (1, 2):
                with self.subTest(error=error, connections=connections):
                    self.prepare()
                    heard.clear()
                    with self.interfering(error):
                        report = self.run_import('a', connections=connections)
                    self.assert_run(code, 'a', report)
                    self.assertEqual(statuses, [result.status for result in report.results])
                    for each in report.errors:
                        self.assertNotIn('Let the account', each.advice)
                    names = [e.result.name for e in heard if isinstance(e, FileImported)]
                    self.assertEqual(['a'], names)
                    self.assertEqual({'a'}, set(self.remote))
                    self.heal()

    @contextlib.contextmanager
    def interfering(self, error):
        """Let `error` come in place of DELE; if None, the lock vanish when a file is in `new/`."""
        hand_over, delete = Arrivals.hand_over, FTPSession.delete

        def vanish(arrivals, handover):
            hand_over(arrivals, handover)
            self.time.wait(WATCH)
            self.server.delete('/cds/read')

        def fail(session, name, **kw):
            if name == 'a':
                raise error
            delete(session, name, **kw)

        where, what = (FTPSession, {'delete': fail}) if error else (Arrivals, {'hand_over': vanish})
        with mock.patch.multiple(where, **what):
            yield

    def test_j104_a_server_that_says_so_and_keeps_it(self):
        """It is imported once, and each run says that it is there."""
        for moment in (1_000_000_000, None):
            for mdtm in (True, False):
                with self.subTest(moment=moment, mdtm=mdtm):
                    self.prepare()
                    self.fault('DELE', faults.Reply('250 Deleted.'), path='*/*.xml')
                    if not mdtm:
                        self.fault('MDTM', faults.Reply('502 Not implemented.'))
                    for name in ('a.xml', 'b.xml'):
                        self.offered[name] = name.encode()
                        self.server.put(f'/cds/{name}', name.encode(), modified=moment)
                    self.assert_run(1, 'a.xml b.xml', self.run_import())
                    self.assertIn('It is imported, but stays on the server: the deletion', self.log)
                    take(self.path, 'a.xml', 'b.xml')
                    for _ in range(3):
                        report = self.run_import()
                        self.assert_run(1, '', report)
                        self.assertEqual(['kept', 'kept'], [r.status for r in report.results])
                    self.server.clear_faults()
                    self.assert_run(0, '', self.run_import())
                    self.assertEqual({}, self.remote)
                    self.assert_run(0, 'c.xml', self.run_import('c.xml'))

    def test_the_lock_is_lost_with_the_connection(self):
        """The next file is not deleted over the new one before the lock has been looked at."""
        for number in (0, 1):  # which of the connections
            with self.subTest(number):
                self.prepare()
                lost = faults.Call(lambda event: self.plant('read', b'theirs'), moment='replied')
                where = {'path': '/cds/f*', 'connection': number}
                self.fault('DELE', lost, faults.Cut('replied'), times=1, **where)
                if number:
                    # The session's own one does nothing until the other one has reconnected.
                    back = threading.Event()
                    wait = faults.Delay(back, moment='before')
                    self.fault('RETR', wait, path='/cds/f*', connection=0)
                    tell = faults.Call(lambda event, back=back: back.set())
                    self.fault('RETR DELE', tell, connection=2, nth=1)
                files = [f'f{number}' for number in range(8)]
                report = self.run_import(*files, connections=number + 1)
                new = self.server.connected - 1
                self.assertEqual([], self.server.commands('DELE', connection=new), self.log)
                self.assertEqual(75, report.exit_code, self.log)

    def test_j105_another_size(self):
        self.fault('RETR', faults.Alter(keep=5), path='*/a.xml')
        self.assert_run(1, 'b.xml', self.run_import('a.xml', 'b.xml'))
        self.assertIn('5 bytes arrived, but the server has', self.log)
        self.heal()

    def test_j105_more_than_it_has_said(self):
        """It is not waited for, and does not fill the disk."""
        written = []
        real = incoming.Incoming.write

        def write(self, data):
            written.append(len(data))
            return real(self, data)

        self.fault('RETR', faults.Alter(extra=bytes(20_000_000)), path='*/a.xml')
        with mock.patch.object(incoming.Incoming, 'write', write):
            self.assert_run(1, 'b.xml', self.run_import('a.xml', 'b.xml'))
        self.assertLessEqual(sum(written), sum(map(len, self.offered.values())))
        self.assertIn('Not imported: a.xml: More comes than the ', self.log)
        self.heal()

    def test_j105_no_sizes(self):
        self.fault('SIZE MLSD', faults.Reply('502 Not implemented.'))
        report = self.run_import('a.xml')
        self.assertEqual((78, []), (report.exit_code, report.delivered), self.log)
        self.assertIn('--no-size-check', report.error.hint)
        self.assert_run(0, 'a.xml', self.run_import(size_check=False))

    def test_j106_still_growing(self):
        def grow(event):
            data = event.server.files['/cds/a.xml'] + b'more'
            self.offered['a.xml'] = data
            event.server.put('/cds/a.xml', data)

        rule = self.fault('RETR', faults.Call(grow, moment='executed'), path='*/a.xml')
        self.assert_run(0, 'b.xml', self.run_import('a.xml', 'b.xml'))
        self.assertIn('Left on the server: a.xml: It is being written', self.log)
        self.server.remove_fault(rule)
        self.heal()

    def test_j106_a_server_that_lists_other_times_than_it_tells(self):
        """Local time in listings, for example: then its answers before and after are compared."""
        self.fault('MDTM', faults.Reply('213 20200101000000'))
        self.assert_run(0, 'a.xml', self.run_import('a.xml'))
        self.assertEqual(2, self.downloads().count('RETR a.xml'))
        self.assert_imported('a.xml')

    def test_j106_the_temporaries_of_others(self):
        for name in (
            'a.part',
            'b.TMP',
            'c.filepart',
            '.d',
            'e~',
            f'f.cds{"0" * 16}-1.part',
            'WRITE',
        ):
            self.plant(name)
        self.assert_run(0, 'g.xml', self.run_import('g.xml'))
        taken = {d for d in self.downloads() if not d.startswith('RETR read')}
        self.assertEqual({'RETR g.xml'}, taken)

    def test_j106_a_pattern_of_ones_own(self):
        self.plant('a.writing')
        self.offer('b.tmp')
        options = ImportOptions(ignore='*.writing')
        self.assert_run(0, 'b.tmp', self.run_import(options=options))

    def test_j106_too_young(self):
        self.offer('a.xml')
        self.assert_run(0, '', self.run_import(options=ImportOptions(min_age=7200)))
        self.assert_run(0, 'a.xml', self.run_import(options=ImportOptions(min_age=60)))

    def test_gone_meanwhile(self):
        def withdraw(event):
            self.server.delete('/cds/a.xml')
            del self.offered['a.xml']

        self.fault('RETR', faults.Call(withdraw), path='*/a.xml', times=1)
        self.assert_run(0, 'b.xml', self.run_import('a.xml', 'b.xml'))
        self.assertIn('Disappeared from the server: a.xml', self.lines)

    def test_listed_and_not_there(self):
        """A link that leads nowhere, or a name that the server does not take back."""
        for verb in ('RETR', 'SIZE'):
            self.fault(verb, faults.Reply('550 No such file.'), path='*/a.xml')
        for fresh in (False, True):
            with self.subTest(fresh=fresh):
                if fresh:
                    self.server.put('/cds/a.xml', self.offered['a.xml'])
                self.assert_run(1, 'b.xml', self.run_import('b.xml', *([] if fresh else ['a.xml'])))
                self.assertRegex(self.log, r'Not imported: a.xml: .* 550 No such file\.')
                self.assertNotIn('Disappeared', self.log)
                take(self.path, 'b.xml')
        self.heal()

    def test_in_use(self):
        """It is not passed over in silence, and nothing is said that the server did not say."""
        ways = {}, {'MLSD': '500 What?'}
        verbs = 'RETR', 'RETR SIZE', 'RETR SIZE MDTM'
        replies = '550 In use by another process.', '450 File busy.', '553 Not now.'
        for refused, verb, reply in some(itertools.product(ways, verbs, replies), 4):
            with self.subTest(reply, verb=verb, **refused):
                self.prepare()
                self.fault(verb, faults.Reply(reply), path='*/a.xml')
                for other, answer in refused.items():
                    self.fault(other, faults.Reply(answer))
                self.assert_run(1, 'b.xml', self.run_import('a.xml', 'b.xml'))
                self.assertRegex(self.log, f'Not imported: a.xml: .*{reply}')
                for untrue in 'no such file', 'disappeared', 'shows a file which is known':
                    self.assertNotIn(untrue, self.log)
                if reply[0] == '4':
                    self.assertNotIn('have the right', self.log)
                self.server.clear_faults()
                self.heal()

    def test_directories_where_a_listing_tells_names_only(self):
        """They are no files that are in use; the work goes on where it was, also after them."""
        for directory in '/cds', 'cds':
            with self.subTest(directory):
                self.prepare()
                for name in 'b', 'd "with" quotes':
                    self.server.make_directory(f'/cds/{name}')
                self.server.put('/cds/b/a.xml', b'not this one')
                self.fault('MLSD', faults.Reply('500 What?'))
                self.fault('SIZE', faults.Reply('550 In use.'), path='*/c.xml')
                report = self.run_import('a.xml', 'c.xml', directory=directory)
                self.assert_run(1, 'a.xml', report)
                self.assertEqual(['c.xml'], [name for name, _ in report.failed])
                self.assertEqual(1, self.server.connected)

    def test_replaced_by_a_newer_one_in_between(self):
        def bring(event):
            self.offered['a.xml'] = b'another one'
            self.server.put('/cds/a.xml', self.offered['a.xml'])

        withdraw = faults.Call(lambda event: self.server.delete('/cds/a.xml'))
        self.fault('RETR', withdraw, path='*/a.xml', times=1)
        self.fault('RETR', faults.Call(bring), path='*/b.xml', times=1)
        self.assert_run(0, 'b.xml', self.run_import('a.xml', 'b.xml'))
        self.assertIn('Disappeared from the server: a.xml', self.lines)

    def test_not_readable(self):
        self.fault('RETR', faults.Reply('550 Permission denied.'), path='*/a.xml')
        self.assert_run(1, 'b.xml', self.run_import('a.xml', 'b.xml'))
        self.heal()


def _fail_for_files(descriptor, real):
    path = os.readlink(f'/proc/self/fd/{descriptor}')
    if path.endswith('.part'):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return real(descriptor)


class OccupiedTests(ImportScenario, unittest.TestCase):
    """A name that is in `new/` already."""

    def setUp(self):
        super().setUp()
        self.run_import('a.xml')
        self.first = self.offered['a.xml']
        self.server.put('/cds/a.xml', b'newer')
        self.offered['newer'] = b'newer'
        self.server.put('/cds/b.xml', b'b')
        self.offered['b.xml'] = b'b'

    def check(self, report):
        if 'newer' in self.offered and self.remote.get('a.xml') == b'newer':
            self.offered.pop('newer')
            super().check(report)
            self.offered['newer'] = b'newer'
        else:
            super().check(report)

    def test_the_newer_one_waits_on_the_server(self):
        self.assert_run(0, 'b.xml', self.run_import())
        self.assertEqual(self.first, self.section('new')['a.xml'])
        self.assertEqual({'a.xml': b'newer'}, self.remote)
        self.assertIn('Left on the server: a.xml: the name is still taken in new/', self.lines)
        take(self.path, 'a.xml', 'b.xml')
        self.assert_run(0, 'a.xml', self.run_import())
        self.assertEqual({'a.xml': b'newer'}, self.section('new'))

    def test_the_newer_one_gets_another_name(self):
        options = ImportOptions(occupied='unique')
        report = self.run_import(options=options)
        self.assert_run(0, 'a.xml b.xml', report)
        other = report.results[0].filed_as
        self.assertRegex(other, r'\Aa\.xml\.\d{8}T\d{6}Z\Z')
        self.assertIn(f"Moved from 'tmp' to 'new': a.xml (as {other})", self.lines)
        new = {'a.xml': self.first, other: b'newer', 'b.xml': b'b'}
        self.assertEqual((new, {}), (self.section('new'), self.remote))

    def test_it_comes_in_between(self):
        """Somebody puts a file of that name into `new/` after we have looked."""
        for occupied in ('wait', 'unique'):
            with self.subTest(occupied):
                self.prepare()
                self.offer('a.xml')
                original = files.rename_exclusively

                def intrude(old, new, original=original):
                    (self.path / 'new' / 'a.xml').write_bytes(b'left')
                    self.left = {**self.left}
                    return original(old, new)

                self.offered['theirs'] = b'left'
                with mock.patch('zeit.cds.system.files.rename_exclusively', intrude):
                    report = self.run_import(options=ImportOptions(occupied=occupied))
                self.assertEqual(b'left', self.section('new')['a.xml'])
                self.assertEqual(occupied == 'unique', 'a.xml' not in self.remote)
                self.assertEqual(0, report.exit_code)


class NameTests(ImportScenario, unittest.TestCase):
    """E59: a remote name is never trusted."""

    HOSTILE = (
        b'../x',
        b'/etc/x',
        b'a/b',
        b'../../../../../../../../tmp/zeit-cds-hostile',
        b'con\x01trol',
        b'esc\x1b[2J',
        b'tab\tname',
        b'\xfftelnet',
        b'latin-1 \xe4',
        b'l' * 256,
    )

    def around(self):
        """Return what there is around the spool."""
        return {p for p in self.path.parent.rglob('*') if self.path not in p.parents}

    def assert_refused(self):
        before = self.around()
        report = self.run_import('good.xml')
        self.assert_run(1, 'good.xml', report)
        self.assertEqual(len(self.HOSTILE), len(report.failed), self.log)
        for _, reason in report.failed:
            self.assertIn('Let the file be renamed on the server', reason)
        self.assert_imported('good.xml')
        self.assertEqual(before, self.around())
        self.assertFalse(os.path.exists('/tmp/zeit-cds-hostile'))
        taken = [d for d in self.downloads() if not d.startswith('RETR read')]
        self.assertEqual(['RETR good.xml'], taken)

    def test_e59_ten_hostile_names_by_mlsd(self):
        lines = b''.join(b'type=file;size=4; ' + name + b'\r\n' for name in self.HOSTILE)
        self.fault('MLSD', faults.Alter(extra=lines))
        self.assert_refused()

    def test_e59_ten_hostile_names_by_nlst(self):
        self.fault('MLSD', faults.Reply('500 Unknown command.'))
        lines = b''.join(name + b'\r\n' for name in self.HOSTILE)
        self.fault('NLST', faults.Alter(extra=lines))
        self.assert_refused()

    def test_names_with_the_path_of_the_directory(self):
        self.fault('MLSD', faults.Reply('500 Unknown command.'))
        self.offer('a.xml', 'b.xml')
        listed = b''.join(b'%s\r\n' % name for name in (b'/cds/a.xml', b'./b.xml', b'.', b'..'))
        # Not before there is our lock, which has to be in it.
        self.fault('NLST', faults.Alter(keep=0, extra=listed + b'/cds/read\r\n'), nth=2)
        self.assert_run(0, 'a.xml b.xml', self.run_import())

    def test_good_names(self):
        for encoding, names in (
            (
                'utf-8',
                ('{urn:uuid:347b85e0}.xml', ' space ', '[a]*?.xml', 'ä€.xml', 'a;b=c', 'ü' * 127),
            ),
            ('latin-1', ('ä.xml',)),
        ):
            with self.subTest(encoding):
                self.prepare()
                for name in names:
                    raw = name.encode(encoding).decode('utf-8', 'surrogateescape')
                    self.offered[name] = b'x' + name.encode()
                    self.server.put(f'/cds/{raw}', self.offered[name])
                report = self.run_import(encoding=encoding)
                self.assertEqual(
                    (0, set(names)), (report.exit_code, set(report.delivered)), self.log
                )
                self.assertEqual(set(names), set(self.section('new')))

    def test_a_name_that_is_too_long_for_this_file_system(self):
        """eCryptfs takes 143 bytes; the temporary of so long a name has a short one."""
        long = 'l' * 240
        exclusively = files.rename_exclusively

        def rename(old, new):
            if len(os.path.basename(new)) > 143:
                raise OSError(errno.ENAMETOOLONG, 'File name too long', new)
            exclusively(old, new)

        for connections in (1, 4):
            with self.subTest(connections=connections):
                self.prepare()
                others = [f'{letter}.xml' for letter in 'abcdefg']
                with mock.patch.object(files, 'rename_exclusively', rename):
                    report = self.run_import(long, *others, connections=connections)
                    self.assertEqual((1, others), (report.exit_code, sorted(report.delivered)))
                    self.assertEqual({long}, set(self.remote))
                    # Nor does it stop the next run.
                    self.assert_run(1, 'z.xml', self.run_import('z.xml'))

    def test_a_name_that_is_too_long_here_only(self):
        """Two bytes for each of its letters: too long for a local file system only."""
        raw = (b'\xe4' * 200).decode('utf-8', 'surrogateescape')
        self.plant(raw)
        self.offer('a.xml')
        self.assert_run(1, 'a.xml', self.run_import(encoding='latin-1'))


class ListingTests(ImportScenario, unittest.TestCase):
    def test_nlst_where_there_is_no_mlsd(self):
        self.fault('MLSD', faults.Reply('500 Unknown command.'))
        self.server.make_directory('/cds/sub')
        self.assert_run(0, 'a.xml b.xml', self.run_import('a.xml', 'b.xml'))
        self.assertEqual([], [d for d in self.downloads() if 'sub' in d])
        self.assertEqual([], self.server.commands('LIST'))

    def test_directories_stay(self):
        self.server.make_directory('/cds/sub')
        self.assert_run(0, 'a.xml', self.run_import('a.xml'))
        self.assertNotIn('sub', self.log.replace('subscriber', ''))

    def test_an_empty_directory_answers_450_or_550(self):
        for reply in ('450 No files found.', '550 No files found.'):
            with self.subTest(reply):
                self.prepare()
                self.fault('MLSD', faults.Reply(reply), times=1)  # no lock is in it yet
                self.assert_run(0, '', self.run_import())
                self.assertIn('No new files to import.', self.lines)

    def test_a_directory_that_may_not_be_read(self):
        """Neither before the lock is made, nor under it."""
        refused, nothing = faults.Reply('550 Permission denied.'), faults.Alter(keep=0)
        for action, nth in (refused, 0), (nothing, 0), (refused, 2), (nothing, 2):
            with self.subTest(repr(action), nth=nth):
                self.prepare()
                self.offer('a.xml')
                self.fault('MLSD NLST', action, nth=nth)
                report = self.run_import()
                self.assert_run(78, '', report)
                self.assertIn('does not list the directory', report.error.message)
                self.heal()

    def test_a_directory_that_is_missing(self):
        report = self.run_import(directory='/nowhere')
        self.assert_run(78, '', report)


class SpoolTests(ImportScenario, unittest.TestCase):
    def test_tmp_is_no_directory(self):
        (self.path / 'tmp').write_bytes(b'')
        with self.assertLogs('zeit.cds', logging.INFO):
            from zeit.cds.run.importer import Importer
            from zeit.cds.tests.scenario import target

            report = Importer(self.spool, target(self.server)).run_once()
        self.assertEqual(78, report.exit_code)
        self.assertEqual(0, self.server.connected)

    def test_what_others_have_in_tmp_stays(self):
        (self.path / 'tmp').mkdir()
        foreign = f'x.cds{"0" * 16}-1.part'
        (self.path / 'tmp' / foreign).write_bytes(b'')
        (self.path / 'tmp' / 'y').write_bytes(b'')
        self.offer('a.xml')
        with mock.patch.object(self, 'check'):
            self.run_import()
        self.assertEqual({foreign, 'y'}, set(self.section('tmp')))

    def test_a_subscriber_hears_of_each_file(self):
        heard = []
        zope.event.subscribers.append(heard.append)
        self.addCleanup(zope.event.subscribers.remove, heard.append)
        self.run_import('a.xml', 'b.xml')
        names = [e.result.filed_as for e in heard if isinstance(e, FileImported)]
        self.assertEqual(['a.xml', 'b.xml'], names)
