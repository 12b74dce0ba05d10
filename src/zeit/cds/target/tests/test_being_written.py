"""A file that somebody is writing at this moment is never taken, however the server tells it."""

import contextlib
import datetime
import ftplib
import os
import tempfile
import threading
import time
import unittest
import unittest.mock

from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.target.being_written import SETTLED_AFTER, Look, ServerTime
from zeit.cds.testing import faults, ftpstore, layers
from zeit.cds.tests.importing import ImportOptions, ImportScenario, Skipping, take
from zeit.cds.tests.test_contract import target


LOCK = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def at(seconds, size=1, **kw):
    """Return a `Look` at a file that was changed so many seconds after our lock was made."""
    return Look(size, (LOCK + datetime.timedelta(seconds=seconds)).isoformat(), **kw)


class TimeTests(unittest.TestCase):
    def setUp(self):
        self.now = 1000.0
        self.time = self.server(LOCK.isoformat())

    def server(self, told, *, listed=''):
        return ServerTime(told=told, listed=listed, begun=1000, clock=lambda: self.now)

    def assert_quiet(self, expected, look, **kw):
        self.assertEqual(expected, self.time.is_settled(look, **kw))

    def test_by_the_servers_clock(self):
        self.assertEqual(5, self.time.age(at(-5)))
        self.now += 2.5
        self.assertEqual(7.5, self.time.age(at(-5)))
        self.assertEqual(-2.5, self.time.age(at(5)))
        self.assert_quiet(True, at(-5))
        self.assert_quiet(True, at(0))
        self.assert_quiet(False, at(1))

    def test_what_came_in_between(self):
        self.assert_quiet(False, at(0))
        fresh = self.time.fresh(at(0))
        self.assertEqual(1000 + SETTLED_AFTER, fresh.due)
        self.now = fresh.due
        self.assert_quiet(True, at(0), earlier=fresh)
        self.assert_quiet(False, at(0, size=2), earlier=fresh)
        self.assert_quiet(False, at(1), earlier=fresh)

    def test_only_what_is_missing_is_waited_for(self):
        self.assertEqual(1000 + SETTLED_AFTER - 1, self.time.fresh(at(-1)).due)

    def test_a_time_to_come_and_no_time(self):
        """Then two looks tell, so far apart."""
        for look in (at(7200), Look(1, '')):
            with self.subTest(look):
                self.now = 1000.0
                fresh = self.time.fresh(look)
                self.assertEqual(1000 + SETTLED_AFTER, fresh.due)
                self.assert_quiet(False, look, earlier=fresh)
                self.now = fresh.due
                self.assert_quiet(True, look, earlier=fresh)
                self.assert_quiet(False, look._replace(size=2), earlier=fresh)
        self.assert_quiet(False, at(7201), earlier=self.time.fresh(at(7200)))

    def test_the_lock_has_no_time(self):
        self.time = self.server('')
        self.assertIsNone(self.time.age(at(-5)))
        fresh = self.time.fresh(at(-5))
        self.now = fresh.due
        self.assert_quiet(True, at(-5), earlier=fresh)
        self.assert_quiet(False, at(-4), earlier=fresh)

    def test_listings_in_local_time(self):
        """What is listed is compared with what is listed."""
        self.time = self.server(LOCK.isoformat(), listed=at(-3600).modified)
        self.assertEqual(0, self.time.age(at(-3600, listed=True)))
        self.assertEqual(3600, self.time.age(at(-3600)))
        fresh = self.time.fresh(at(-3600, listed=True))
        self.now = fresh.due
        self.assert_quiet(True, at(0), earlier=fresh)
        self.assert_quiet(False, at(1), earlier=fresh)


class FreshTests(ImportScenario, unittest.TestCase):
    """The fault server: what was put a moment ago is taken by the same run, if it is complete."""

    def setUp(self):
        super().setUp()
        # The server's clock knows what is waited for, and nothing else: a machine that stands still
        # for a second makes no file older.
        begun = int(time.time())
        clock = unittest.mock.Mock(time=lambda: begun + self.time.waited)
        self.enterContext(unittest.mock.patch('zeit.cds.testing.ftpstore.time', clock))

    def put(self, name, data=b'complete', **kw):
        self.offered[name] = data
        self.server.put(f'/cds/{name}', data, **kw)

    def test_put_and_imported_at_once(self):
        for without in ((), ('MLSD',), ('MDTM',), ('MLSD', 'MDTM')):
            for connections in (1, 4):
                with self.subTest(without=without, connections=connections):
                    self.prepare()
                    for verb in without:
                        self.fault(verb, faults.Reply('500 Unknown command.'))
                    for name in 'abcdef':
                        self.put(name)
                    report = self.run_import(connections=connections)
                    self.assertEqual((0, 6), (report.exit_code, len(report.delivered)), self.log)
                    self.assertEqual({}, self.remote)
                    self.assertGreater(self.time.waited, 0)
                    self.assertLess(self.time.waited, SETTLED_AFTER + 1)

    def test_old_files_do_not_wait(self):
        self.put('b')
        self.assert_run(0, 'a c b', self.run_import('a', 'c'))
        self.assertGreater(self.time.waited, 0)
        self.assert_run(0, 'd', self.run_import('d'))

    def test_nothing_waits_where_all_is_old(self):
        self.assert_run(0, 'a c', self.run_import('a', 'c'))
        self.assertEqual(0, self.time.waited)

    def test_where_only_a_listing_for_people_tells_times(self):
        for verb in 'MLSD', 'MDTM':
            self.fault(verb, faults.Reply('500 Unknown command.'))
        # These were put in 2001.
        self.assert_run(0, 'a c', self.run_import('a', 'c'))
        self.assertEqual(0, self.time.waited)
        self.put('minutes', modified=ftpstore.time.time() - 180)
        self.assert_run(0, 'minutes', self.run_import())
        self.assertEqual(0, self.time.waited)
        self.put('now')
        self.assert_run(0, 'now', self.run_import())
        self.assertGreater(self.time.waited, 0)

    def test_it_changes_behind_the_listing_for_people(self):
        for verb in 'MLSD', 'MDTM':
            self.fault(verb, faults.Reply('500 Unknown command.'))
        self.put('a', b'old', modified=1_000_000_000)
        put = faults.Call(lambda event: self.put('a', b'complete'), moment='executed')
        self.fault('LIST', put)
        self.assert_run(0, 'a', self.run_import())
        self.assertGreater(self.time.waited, 0)

    def test_a_listing_for_people_that_nobody_understands(self):
        for reply in '502 Not known.', '226 Here it is.':
            with self.subTest(reply):
                self.prepare()
                for verb in 'MLSD', 'MDTM':
                    self.fault(verb, faults.Reply('500 Unknown command.'))
                self.fault('LIST', faults.Reply(reply))
                self.assert_run(0, 'a', self.run_import('a'))
                self.assertGreater(self.time.waited, 0)

    def test_a_time_to_come(self):
        """A partner's program has set it."""
        moment = self.time.clock() + 2_000_000_000
        self.put('a', modified=moment)
        self.assert_run(0, 'a', self.run_import())

    def grow(self, *, touch=True):
        """Let a partner write a.xml between the listing and the second look."""
        self.put('a.xml', b'half')
        before = self.server.tree.stat('/cds/a.xml').modified

        def wait(seconds):
            Skipping.wait(self.time, seconds)
            self.put('a.xml', self.offered['a.xml'] + b'more', **({} if touch else kept))

        kept = {'modified': before}
        self.time.wait = wait

    def test_a_file_that_grows_is_left_until_the_next_run(self):
        for touch, without in ((True, ()), (False, ()), (True, ('MDTM',)), (True, ('MLSD',))):
            with self.subTest(touch=touch, without=without):
                self.prepare()
                for verb in without:
                    self.fault(verb, faults.Reply('500 Unknown command.'))
                self.grow(touch=touch)
                self.assert_run(0, 'b.xml', self.run_import('b.xml'))
                self.assertIn('Left on the server: a.xml: It is being written', self.log)
                self.assertNotIn('RETR a.xml', self.downloads())
                del self.time.wait
                take(self.path, 'b.xml')
                self.assert_run(0, 'a.xml', self.run_import())

    def test_the_end_of_a_run_does_not_wait(self):
        for options, code in (
            (ImportOptions(interrupted=lambda: True), 69),
            (ImportOptions(max_files=1), 0),
        ):
            with self.subTest(options):
                self.prepare()
                self.put('b')
                report = self.run_import('a', options=options)
                self.assertEqual((code, ['a']), (report.exit_code, report.delivered), self.log)
                self.assertEqual(0, self.time.waited)

    def test_the_deadline_comes_first(self):
        self.put('a')
        report = self.run_import(options=ImportOptions(deadline=1))
        self.assertEqual((69, []), (report.exit_code, report.delivered), self.log)
        self.assertLess(self.time.waited, 1.5)

    def test_min_age_is_the_servers(self):
        """A server whose clock is three hours behind."""
        self.fault('MDTM', faults.Reply('213 20200101120000'), path='/cds/read')
        self.fault('MDTM', faults.Reply('213 20200101115800'), path='/cds/a')
        self.fault('MLSD', faults.Reply('500 Unknown command.'))
        self.put('a')
        self.assert_run(0, '', self.run_import(options=ImportOptions(min_age=180)))
        self.assert_run(0, 'a', self.run_import(options=ImportOptions(min_age=60)))


class WriterTests(layers.ServerTests):
    """A partner who sends a file without lock and temporary name, on the servers themselves.

    The run waits in real time, as the server's clock does.
    """

    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.spool = Spool(folder)

    def import_(self, **kw):
        goal = target(self.server, directory='/')
        with self.assertLogs('zeit.cds', 'DEBUG') as logs:
            report = Importer(self.spool, goal, **kw).run_once()
        self.log = '\n'.join(logs.output)
        return report

    @contextlib.contextmanager
    def upload(self, name):
        """Yield a function that sends something more of the file, and waits until it is there."""
        server, path = self.server, self.server.root / name
        with ftplib.FTP() as ftp:
            ftp.connect(server.host, server.port, timeout=30)
            ftp.login(server.user, server.password)
            with ftp.transfercmd(f'STOR {name}') as data:

                def send():
                    before = path.stat().st_size if path.exists() else 0
                    while not path.exists() or path.stat().st_size == before:
                        data.sendall(b'x' * 1024)

                yield send
            ftp.voidresp()

    @contextlib.contextmanager
    def again_and_again(self, send):
        """Call `send` ten times a second: however long a login takes, it is being written."""
        ended = threading.Event()

        def repeat():
            while not ended.wait(0.1):
                send()

        send()
        thread = threading.Thread(target=repeat)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def test_a_file_that_is_being_written_is_left_until_it_is_complete(self):
        """It is not taken, nor deleted; the next run takes it when it is complete."""
        with self.upload('a.xml') as send, self.again_and_again(send):
            report = self.import_()
            self.assertEqual((0, []), (report.exit_code, report.delivered), self.log)
            self.assertIn('Left on the server: a.xml: It is being written', self.log)
        path = self.server.root / 'a.xml'
        data = path.read_bytes()
        os.utime(path, (1_000_000_000, 1_000_000_000))
        report = self.import_()
        self.assertEqual((0, ['a.xml']), (report.exit_code, report.delivered), self.log)
        self.assertEqual(data, (self.spool.path / 'new' / 'a.xml').read_bytes())


class PyFTPTests(WriterTests, unittest.TestCase):
    level = 2
    layer = layers.PYFTPD


class VsftpdTests(WriterTests, unittest.TestCase):
    level = 2
    layer = layers.VSFTPD


class ProFTPDTests(WriterTests, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDTests(WriterTests, unittest.TestCase):
    layer = layers.PUREFTPD
    level = 2
