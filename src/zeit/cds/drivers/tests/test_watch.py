"""`zeit-cds watch`: real processes, real signals, and what systemd hears."""

import contextlib
import datetime
import errno
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

from zeit.cds.cli.tests.test_command_line import PROCESS
from zeit.cds.drivers.inotify import Arriving
from zeit.cds.drivers.sdnotify import Heartbeat, Notifier
from zeit.cds.drivers.watch import Turn
from zeit.cds.errors import SpoolBusy
from zeit.cds.spool import sharing
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults, layers
from zeit.cds.tests import application


#: When a partner has put a file there that is complete.
HOUR_AGO = time.time() - 3600

#: Seconds after which a test gives up.
TIMEOUT = 60


class Systemd:
    """The other end of sd_notify(3); a context manager."""

    def __init__(self, folder, *, abstract=False):
        self.path = f'@zeit.cds-{os.getpid()}' if abstract else str(folder / 'notify')
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(TIMEOUT)
        self.heard = []

    def __enter__(self):
        self._socket.bind(self.path.replace('@', '\0'))
        return self

    def __exit__(self, *exc_info):
        self._socket.close()

    def hear(self, pattern):
        """Wait for a message that matches; return it."""
        while True:
            self.heard.append(self._socket.recv(4096).decode())
            if re.search(pattern, self.heard[-1]):
                return self.heard[-1]


class Stalled(threading.Event):
    """Never set; tells when a server has begun to wait for it, so that the file is there."""

    def __init__(self):
        super().__init__()
        self.begun = threading.Event()

    def wait(self, timeout=None):
        self.begun.set()
        return super().wait(timeout)


class WatchCase(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.systemd = self.enterContext(Systemd(self.folder))
        self.sending, self.fetching = threading.Event(), threading.Event()
        self.server = self.enterContext(faults.FaultServer(hook=self.hook))
        self.server.user, self.server.password = 'test', 'testpw'
        self.spool = Spool(self.folder / 'spool')
        self.log = self.folder / 'log'
        self.write()

    def hook(self, event):
        if event.verb == 'STOR' and event.path.endswith('.part'):
            self.sending.set()
        if event.verb == 'RETR' and event.path.endswith('.xml'):
            self.fetching.set()

    def write(self, **kw):
        text = application.ZCML.format(
            folder=self.folder, server=self.server, **({'more': '', 'options': ''} | kw)
        )
        text = re.sub(r'(?s)<include package="zeit.cms" />|<adapter.*?/>', '', text)
        self.zcml = self.folder / 'cds.zcml'
        self.zcml.write_text(text)
        # One that the first run makes would be a reason for a second.
        (self.spool.path / 'new').mkdir(parents=True, exist_ok=True)
        (self.folder / 'password').write_text('testpw')
        (self.folder / 'password').chmod(0o600)

    def watch(self, *arguments, hears='articles', **kw):
        """Start it; return when systemd has heard that it is ready, and the first run is over."""
        self.start(*arguments, **kw)
        self.systemd.hear('READY=1')
        self.systemd.hear(f'STATUS={hears}.*: last run')

    def start(self, *arguments, program=PROCESS, **environ):
        path = {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                [*program, '-v', '--zcml', self.zcml, 'watch', *arguments],
                env=os.environ | path | {'NOTIFY_SOCKET': self.systemd.path} | environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)

    def run_over(self, how='done'):
        self.systemd.hear(f'last run {re.escape(how)}')

    def end(self, number=signal.SIGTERM):
        """Send it a signal; return its log."""
        self.process.send_signal(number)
        self.assertEqual(128 + number, self.process.wait(TIMEOUT), self.log.read_text())
        return self.log.read_text()

    def remote(self):
        return sorted(path.strip('/') for path in self.server.files)


class WatchTests(WatchCase):
    def test_what_comes_in_is_delivered_at_once(self):
        self.spool.put('waits.xml', b'<a/>')
        self.watch('--interval', '3600')
        self.assertEqual(['waits.xml'], self.remote())
        self.spool.put('a.xml', b'<a/>')
        self.run_over()
        self.assertEqual(['a.xml', 'waits.xml'], self.remote())
        self.assertIn('Ended by SIGTERM', self.end())
        self.systemd.hear('STOPPING=1')

    def test_what_is_embargoed_is_delivered_when_that_ends(self):
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
        self.spool.put('a.xml', b'<a/>', not_before=end)
        self.watch('--interval', '3600')
        while 'a.xml' not in self.remote():
            self.run_over()
        self.assertGreater(datetime.datetime.now(datetime.UTC), end)

    def test_a_refused_login(self):
        self.server.fault('PASS', faults.Reply('530 Login incorrect.'))
        self.spool.put('a.xml', b'<a/>')
        self.watch()
        self.assertRegex(self.end(), r'WARNING articles: Next login attempt in 5 min\.')

    def test_in_the_journal_of_systemd_each_event_is_one_line_with_its_priority(self):
        self.log.touch()
        status = self.log.stat()
        self.server.fault('STOR', faults.Reply('553 No.'), path='/b.xml*.part', times=1)
        self.spool.put('a.xml', b'<a/>')
        self.spool.put('b.xml', b'<b/>')
        journal = {'JOURNAL_STREAM': f'{status.st_dev}:{status.st_ino}'}
        self.watch('--interval', '3600', **journal)
        self.server.fault('TYPE PASS', faults.Reply('421 Closing.'))
        self.spool.put('c.xml', b'<c/>')
        self.run_over('failed (69)')
        lines = self.end().splitlines()
        expected = (
            '<6>Watching 1 spool',
            r'<6>articles: Delivered: a\.xml, 4 B in \d+\.\d\d s',
            r'<3>articles: Not delivered: b\.xml: 553 No\.',
            '<3>articles: Could not connect to CDS FTP server .*: 421 Closing',
            '<4>Ended by SIGTERM',
        )
        # A slow machine may have seen the last failure twice.
        told = [*dict.fromkeys(line for line in lines if not line.startswith('<7>'))]
        self.assertEqual(len(expected), len(told), told)
        for pattern, line in zip(expected, told, strict=True):
            self.assertRegex(line, f'^{pattern}')
        # What the contract says of each step is there for who looks closer.
        self.assertIn('<7>articles: Uploading: a.xml', lines)

    def test_the_watchdog_hears_from_it(self):
        self.watch('--interval', '3600', WATCHDOG_USEC='100000')
        for _ in range(3):
            self.systemd.hear('WATCHDOG=1')
        self.end()

    def test_a_burst_makes_one_run(self):
        self.watch('--interval', '3600')
        (self.spool.path / 'tmp').mkdir(exist_ok=True)
        for number in range(50):
            (self.spool.path / 'tmp' / f'{number}.xml').write_bytes(b'<a/>')
        for number in range(50):
            os.rename(
                self.spool.path / 'tmp' / f'{number}.xml', self.spool.path / 'new' / f'{number}.xml'
            )
        self.run_over()
        self.assertEqual(50, len(self.remote()))
        self.assertEqual(1, self.end().count('Connecting to CDS'))

    def test_without_anything_to_do_it_asks_no_server_and_says_nothing(self):
        self.watch('--interval', '0.01')
        for _ in range(3):
            self.run_over()
        log = self.end()
        self.assertEqual(2, len(log.splitlines()), log)  # the first one, and how it ended
        self.assertNotIn('Connecting', log)

    def test_what_a_killed_run_has_left_is_removed_also_if_nothing_waits(self):
        self.watch('--interval', '0.05')
        while True:
            with contextlib.suppress(SpoolBusy), self.spool.run():
                url = f'ftp://test@{self.server.host}:{self.server.port}/'
                token = self.spool.journal.new_token(url)
                self.server.put('/write', token.encode())
                break
        while self.remote():
            self.run_over()
        self.assertIn('Connecting', self.end())

    def test_what_is_in_doubt_is_decided_and_what_is_committed_filed_also_if_nothing_waits(self):
        self.watch('--interval', '0.05')
        for committed in (True, False):
            with self.spool.batch() as batch:  # let go of without an end, as by a kill
                batch.put('a.xml', b'<a/>')
                batch.prepare()
                if committed:
                    (found,) = self.spool.path.glob('.cds/outbox/*/prepared')
                    found.rename(found.with_name('committed'))
            while self.remote() != ['a.xml']:
                self.run_over()
            self.server.delete('/a.xml')
        self.end()

    def test_what_fails_is_tried_again(self):
        self.server.fault('STOR', faults.Reply('553 No.'), path='*.part', times=2)
        self.spool.put('a.xml', b'<a/>')
        self.watch('--interval', '0.1')
        self.run_over()
        self.assertEqual(['a.xml'], self.remote())
        self.assertEqual(2, self.end().count('553 No.'), self.log.read_text())

    def test_a_spool_that_vanishes_and_comes_back(self):
        self.watch('--interval', '0.1')
        # At once, not file by file: a run may be at work in it.
        self.spool.path.rename(self.folder / 'gone')
        (self.folder / 'spool').mkdir()
        self.spool.put('a.xml', b'<a/>')
        while 'a.xml' not in self.remote():
            self.systemd.hear('last run')
        self.end()

    def test_without_inotify_it_looks_at_intervals(self):
        code = (
            'import sys; sys.modules["inotify_simple"] = None\n'
            'from zeit.cds.cli.main import main; sys.exit(main())'
        )
        self.watch('--interval', '0.1', program=[sys.executable, '-c', code])
        self.spool.put('a.xml', b'<a/>')
        while self.remote() != ['a.xml']:  # a run may have looked before it was there
            self.run_over()
        self.assertIn('at intervals only: inotify_simple is missing', self.end())

    def test_what_a_bound_has_left_goes_with_the_next_run_at_once(self):
        for name in ('a.xml', 'b.xml', 'c.xml'):
            self.spool.put(name, b'<a/>')
        self.watch('--interval', '3600', '--max-files', '1')
        for _ in range(2):
            self.run_over()
        self.assertEqual(['a.xml', 'b.xml', 'c.xml'], self.remote())
        self.end()

    def test_a_signal_during_a_run_cleans_up(self):
        self.watch('--interval', '3600')
        stalled = Stalled()
        self.server.fault('STOR', faults.StallData(0, until=stalled), path='*.part')
        self.spool.put('a.xml', b'<a/>')
        self.assertTrue(stalled.begun.wait(TIMEOUT))
        self.end()
        self.assertEqual([], self.remote())

    def test_a_signal_during_a_run_whose_server_goes_away(self):
        """The lock cannot be removed; the process ends all the same, and says so."""
        self.watch('--interval', '3600')
        self.server.fault('STOR', faults.StallData(0), path='*.part')
        self.spool.put('a.xml', b'<a/>')
        self.assertTrue(self.sending.wait(TIMEOUT))
        self.server.fault(faults.GREETING, faults.Reply('421 Not now.'))
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(73, self.process.wait(TIMEOUT), self.log.read_text())
        log = self.log.read_text()
        self.assertIn("The lock file 'write' could not be removed", log)
        self.assertIn('Ended by SIGTERM', log)

    def test_a_run_that_another_one_holds_up_is_made_later(self):
        with self.spool.run():
            self.watch('--interval', '0.1')
            self.spool.put('a.xml', b'<a/>')
            self.run_over('failed (75)')
        self.run_over()
        self.assertEqual(['a.xml'], self.remote())
        self.assertNotIn('Another run is active', self.end())


class ImportTests(WatchCase):
    """Importers in the same process, or alone."""

    IMPORTER = """
        <cds:spool name="letters" path="{folder}/letters" />
        <cds:importer name="letters" spool="letters" target="partner" two_way="yes" {more} />
    """

    def setUp(self):
        super().setUp()
        self.letters = Spool(self.folder / 'letters')
        self.letters.path.mkdir()
        self.importer()

    def importer(self, more=''):
        self.write(more=self.IMPORTER.format(folder=self.folder, more=more))

    def imported(self):
        return sorted(path.name for path in (self.letters.path / 'new').iterdir())

    def test_both_in_one_process(self):
        self.watch('--interval', '0.1')
        self.systemd.hear('letters .import.: last run done')
        self.assertIn('Watching 1 spool, asking 1 server', '\n'.join(self.systemd.heard))
        self.server.put('/a.xml', b'<a/>', modified=HOUR_AGO)
        while not self.imported():
            self.systemd.hear('letters .import.: last run done')
        self.assertEqual((['a.xml'], []), (self.imported(), self.remote()))
        self.end()

    def test_what_comes_into_a_spool_is_delivered_at_once_all_the_same(self):
        self.watch('--interval', '3600')
        self.systemd.hear('letters')
        self.spool.put('a.xml', b'<a/>')
        self.systemd.hear('articles: last run')
        self.assertEqual(['a.xml'], self.remote())
        self.assertEqual([], [each for each in self.systemd.heard if 'failed' in each])
        self.assertNotIn('letters', self.systemd.heard[-1])
        self.end()

    def test_an_importer_alone(self):
        self.server.put('/a.xml', b'<a/>', modified=HOUR_AGO)
        self.spool.put('b.xml', b'<b/>')
        self.watch('letters', '--interval', '3600', '--max-files', '1', hears='letters')
        self.assertEqual((['a.xml'], []), (self.imported(), self.remote()))
        self.assertIn('Asking 1 server', self.end())

    def test_two_importers_of_one_server(self):
        self.write(
            more=self.IMPORTER.format(folder=self.folder, more='')
            + '<cds:importer name="more" spool="articles" target="other" />'
            + f'<cds:target name="other" host="{self.server.host}" port="{self.server.port}"'
            + ' user="test" password="testpw" directory="/other" />'
        )
        self.watch('letters', 'more', '--interval', '3600', hears='letters')
        self.assertIn('Asking 1 server', self.end())

    def test_a_partner_that_is_at_work_is_asked_again(self):
        self.server.put('/a.xml', b'<a/>', modified=HOUR_AGO)
        self.server.put('/write', b'the partner')
        self.watch('letters', '--interval', '0.1', hears='letters')
        self.systemd.hear('failed .75.')
        self.server.delete('/write')
        self.run_over()
        self.assertEqual(['a.xml'], self.imported())
        self.end()

    def test_a_signal_during_an_import_cleans_up(self):
        self.server.put('/a.xml', b'<a/>' * 1000, modified=HOUR_AGO)
        self.server.fault('RETR', faults.StallData(10), path='*.xml')
        self.start('letters')
        self.assertTrue(self.fetching.wait(TIMEOUT))
        self.end()
        self.assertEqual(['a.xml'], self.remote())
        self.assertEqual([], self.imported())

    def test_a_name_that_nobody_has(self):
        command = [*PROCESS, '--zcml', str(self.zcml), 'watch', '--check', 'letter']
        environ = os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
        result = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=TIMEOUT
        )
        self.assertEqual(64, result.returncode)
        self.assertRegex(
            result.stderr,
            r"no exporter or importer 'letter' in .*cds.zcml. Known: articles, letters\.$",
        )


class ReloadTests(WatchCase):
    def test_zcml_and_password_are_read_anew(self):
        self.watch('--interval', '3600')
        (self.folder / 'other' / 'new').mkdir(parents=True)
        self.write(
            more=f'<cds:spool name="other" path="{self.folder}/other" />'
            '<cds:exporter name="b" spool="other" target="partner" />'
        )
        self.process.send_signal(signal.SIGHUP)
        self.systemd.hear('(?s)RELOADING=1.*MONOTONIC_USEC=[0-9]+')
        self.assertIn('Watching 2 spools', self.systemd.hear('READY=1'))
        self.systemd.hear('b: last run done')
        self.spool.put('a.xml', b'<a/>')
        self.run_over()
        self.assertEqual(['a.xml'], self.remote())
        self.end()

    def test_a_broken_one_leaves_all_as_it_was(self):
        self.watch('--interval', '3600')
        self.zcml.write_text('<configure')
        self.process.send_signal(signal.SIGHUP)
        self.systemd.hear('RELOADING=1')
        self.systemd.hear('READY=1')
        self.spool.put('a.xml', b'<a/>')
        self.run_over()
        self.assertEqual(['a.xml'], self.remote())
        (line,) = [line for line in self.end().splitlines() if ' ERROR ' in line]
        self.assertRegex(
            line, 'Reload failed, keeping the old configuration: .*cds.zcml, line 1: This is no XML'
        )

    def test_behind_two_hyphens_there_are_no_options(self):
        for arguments in (['--', 'articles'], ['-vvvvvv']):
            with self.subTest(arguments=arguments):
                self.write()
                self.watch('--interval', '3600', *arguments)
                self.process.send_signal(signal.SIGHUP)
                self.systemd.hear('RELOADING=1')
                self.assertIn('Watching 1 spool', self.systemd.hear('READY=1'))
                self.run_over()
                self.zcml.write_text('<configure')
                self.process.send_signal(signal.SIGHUP)
                self.systemd.hear('Reload failed')
                (line,) = [line for line in self.end().splitlines() if ' ERROR ' in line]
                self.assertRegex(line, 'configuration: .*cds.zcml, line 1: This is no XML')

    def test_a_reload_without_the_password_file_changes_nothing(self):
        self.watch('--interval', '3600')
        (self.folder / 'password').unlink()
        self.process.send_signal(signal.SIGHUP)
        self.systemd.hear('RELOADING=1')
        self.systemd.hear('READY=1')
        (line,) = [line for line in self.end().splitlines() if ' ERROR ' in line]
        self.assertRegex(line, 'articles: The password file .*/password cannot be re')

    def test_a_script_with_arguments_of_its_own(self):
        """As zc.recipe.egg writes it for `arguments`: nothing is on the command line."""
        script = self.folder / 'cds-watch'
        script.write_text(
            'import sys, zeit.cds.cli.main\n'
            f'sys.exit(zeit.cds.cli.main.main(["--zcml", {str(self.zcml)!r}, "watch"]))\n'
        )
        self.watch(program=[sys.executable, script])
        self.process.send_signal(signal.SIGHUP)
        self.systemd.hear('RELOADING=1')
        self.assertIn('Watching 1 spool', self.systemd.hear('READY=1'))
        self.run_over()
        self.zcml.write_text('<configure')
        self.process.send_signal(signal.SIGHUP)
        self.systemd.hear('Reload failed')
        self.assertIn('Reload failed', self.end())

    def test_asked_many_times(self):
        self.watch('--interval', '3600')
        for _ in range(5):
            self.process.send_signal(signal.SIGHUP)
        self.systemd.hear('RELOADING=1')
        self.systemd.hear('READY=1')
        self.spool.put('a.xml', b'<a/>')
        while self.remote() != ['a.xml']:
            self.systemd.hear('last run')
        self.end()

    def test_check(self):
        command = [*PROCESS, '--zcml', str(self.zcml), 'watch', '--check']
        environ = os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
        for text, code in ((None, 0), ('<configure', 78), ('<configure/>', 64)):
            if text:
                self.zcml.write_text(text)
            result = subprocess.run(command, env=environ, capture_output=True, timeout=TIMEOUT)
            self.assertEqual((code, b''), (result.returncode, result.stdout), result.stderr)
            self.assertEqual(bool(code), len(result.stderr.splitlines()))


class SystemdTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_an_abstract_address(self):
        with Systemd(self.folder, abstract=True) as systemd:
            Notifier({'NOTIFY_SOCKET': systemd.path}).tell(READY=1, STATUS='two\nlines')
            self.assertEqual('READY=1\nSTATUS=two lines', systemd.hear(''))

    def test_nobody_hears(self):
        for environ in (
            {},
            {'NOTIFY_SOCKET': 'relative'},
            {'NOTIFY_SOCKET': str(self.folder / 'no')},
        ):
            Notifier(environ).tell(READY=1)

    def test_the_watchdog(self):
        for environ, expected in (
            ({}, None),
            ({'WATCHDOG_USEC': '1500000'}, 1.5),
            ({'WATCHDOG_USEC': 'x'}, None),
            ({'WATCHDOG_USEC': '1500000', 'WATCHDOG_PID': str(os.getpid())}, 1.5),
            ({'WATCHDOG_USEC': '1500000', 'WATCHDOG_PID': '1'}, None),
        ):
            self.assertEqual(expected, Notifier(environ).watchdog)

    def test_a_heartbeat_as_long_as_it_is_allowed(self):
        with Systemd(self.folder) as systemd:
            notifier = Notifier({'NOTIFY_SOCKET': systemd.path, 'WATCHDOG_USEC': '20000'})
            with Heartbeat(notifier) as heartbeat:
                for _ in range(3):
                    systemd.hear('^WATCHDOG=1$')
                heartbeat.allow(-1)
                systemd._socket.settimeout(0.1)
                with self.assertRaises(TimeoutError):
                    for _ in range(1000):  # up to net.unix.max_dgram_qlen were on their way
                        systemd.hear('WATCHDOG=1')
            with Heartbeat(Notifier({})):
                self.assertEqual(1, threading.active_count())


class ArrivingTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.paths = [self.folder / name for name in ('a', 'b')]
        for path in self.paths:
            path.mkdir()

    def test_which_one(self):
        with Arriving(self.paths) as found:
            self.assertEqual(set(), found.wait(0))
            (self.paths[1] / 'x').write_bytes(b'x')
            self.assertEqual({str(self.paths[1])}, found.wait(TIMEOUT))
            self.assertEqual(set(), found.wait(0))

    def test_one_that_is_made_later_or_anew(self):
        later = self.folder / 'later'
        with Arriving([later]) as found:
            self.assertEqual(set(), found.wait(0))
            for _ in range(2):
                later.mkdir()
                self.assertEqual({str(later)}, found.wait(TIMEOUT))
                (later / 'x').write_bytes(b'x')
                self.assertEqual({str(later)}, found.wait(TIMEOUT))
                shutil.rmtree(later)
                self.assertEqual(set(), found.wait(0))

    def test_one_in_whose_place_another_one_comes_while_it_waits(self):
        """By itself, or with what it lies in, which says nothing of that."""
        (self.folder / 'spool' / 'new').mkdir(parents=True)
        for old in ('spool/new', 'spool'):
            with self.subTest(old), Arriving([self.folder / 'spool' / 'new']) as found:
                self.assertEqual(set(), found.wait(0))

                def replace(old=self.folder / old):
                    old.rename(f'{old}.old')
                    (self.folder / 'spool' / 'new').mkdir(parents=True)

                before = time.monotonic()
                with unittest.mock.patch.object(found, '_poll', after(replace, found._poll)):
                    self.assertEqual({*found._paths}, found.wait(TIMEOUT))
                self.assertLess(time.monotonic() - before, TIMEOUT / 2)

    def test_what_comes_soon_after_comes_together(self):
        reads = []

        def more(self):
            found = original(self)
            if not reads:
                (paths[1] / 'x').write_bytes(b'x')
            reads.append(found)
            return found

        paths, original = self.paths, Arriving._read
        with Arriving(self.paths) as found, unittest.mock.patch.object(Arriving, '_read', more):
            (self.paths[0] / 'x').write_bytes(b'x')
            self.assertEqual({str(path) for path in self.paths}, found.wait(TIMEOUT))

    def test_a_steady_stream_does_not_hold_it_for_ever(self):
        def more(self):
            found = original(self)
            (paths[0] / 'x').write_bytes(b'x')
            return found

        paths, original = self.paths, Arriving._read
        with Arriving(self.paths) as found, unittest.mock.patch.object(Arriving, '_read', more):
            (self.paths[0] / 'x').write_bytes(b'x')
            before = time.monotonic()
            self.assertEqual({str(self.paths[0])}, found.wait(TIMEOUT))
            self.assertLess(time.monotonic() - before, TIMEOUT)

    def test_a_file_that_is_linked_as_in_a_maildir(self):
        draft, new = self.folder / 'draft', self.paths[0] / 'x'
        with Arriving(self.paths) as found:
            for unlinked in (False, True):
                draft.write_bytes(b'x')
                os.utime(draft, (1, 1))
                os.link(draft, new)
                if unlinked:
                    draft.unlink()
                self.assertEqual({str(self.paths[0])}, found.wait(TIMEOUT))
                new.unlink()
            new.symlink_to('y')
            (self.paths[0] / 'directory').mkdir()
            self.assertEqual(set(), found.wait(0))

    def test_one_that_is_written_in_place_is_complete_when_it_is_closed(self):
        with Arriving(self.paths) as found, open(self.paths[0] / 'x', 'wb') as file:
            file.write(b'x')
            file.flush()
            self.assertEqual(set(), found.wait(0.01))
            file.close()
            self.assertEqual({str(self.paths[0])}, found.wait(TIMEOUT))

    def test_no_instances_left(self):
        error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        with (
            unittest.mock.patch('inotify_simple.INotify', side_effect=error),
            Arriving(self.paths) as found,
        ):
            expected = 'inotify: Too many open files (see fs.inotify.max_user_instances)'
            self.assertEqual(expected, found.obstacle)
            self.assertEqual(set(), found.wait(0))

    def test_no_watches_left_is_said_once_until_there_is_one(self):
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with (
            unittest.mock.patch('inotify_simple.INotify.add_watch', side_effect=error) as add,
            self.assertLogs('zeit.cds.drivers.inotify', 'WARNING') as logs,
            Arriving(self.paths[:1]) as found,
        ):
            self.assertEqual('', found.obstacle)
            for _ in range(3):
                self.assertEqual(set(), found.wait(0))
            add.side_effect = [1]
            self.assertEqual({str(self.paths[0])}, found.wait(0))
        (line,) = [record.getMessage() for record in logs.records]
        self.assertRegex(line, r'/a is checked at intervals only: .*inotify\.max_user_watches')


def after(first, function):
    """Return `function`, which calls `first` when it is called for the first time."""
    todo = [first]

    def call(*args):
        while todo:
            todo.pop()()
        return function(*args)

    return call


class TurnTests(unittest.TestCase):
    def test_after_a_failure_new_files_wait_if_the_server_is_locked(self):
        for code, hurries in ((0, True), (1, True), (75, False), (69, False)):
            exporter = unittest.mock.Mock()
            exporter.spool.path = '/spool'
            run = unittest.mock.Mock(return_value=(code, None))
            turn = Turn('a', exporter, run=run, interval=60, deadline=0, now=0)
            self.assertTrue(turn.is_due(now=0, arrived=False))
            self.assertEqual(code, turn.take(lambda: 10))
            self.assertFalse(turn.is_due(now=10.5, arrived=False))
            self.assertEqual(hurries, turn.is_due(now=10.5, arrived=True))
            self.assertTrue(turn.is_due(now=70, arrived=False))


class PartnersTests(WatchCase):
    """Several partners of one spool: who hangs keeps nobody else."""

    def write(self, **kw):
        super().write(**kw)
        self.other = self.enterContext(faults.FaultServer(hook=self.hook))
        self.other.user, self.other.password = 'test', 'testpw'
        text = self.zcml.read_text()
        second = f"""
            <cds:target name="other" host="{self.other.host}" port="{self.other.port}"
              user="test" password_file="{self.folder}/password" directory="/" reply_timeout="20" />
            <cds:exporter name="archive" spool="articles" target="other" />
            </configure>"""
        self.zcml.write_text(text.replace('</configure>', second))

    def has(self, server, name):
        """Wait until a server has a file."""
        end = time.monotonic() + TIMEOUT
        while not any(path.endswith(f'/{name}') for path in server.files):
            self.assertLess(time.monotonic(), end, self.log.read_text())
            self.assertIsNone(self.process.poll(), self.log.read_text())
            time.sleep(0.01)

    def test_one_that_hangs_keeps_nobody_else(self):
        stalled = Stalled()
        self.addCleanup(stalled.set)
        self.other.fault('STOR', faults.Delay(stalled, moment='before'), path='*.part')
        self.spool.put('a.xml', b'a')
        self.start('--interval', '3600')
        self.has(self.server, 'a.xml')
        self.assertTrue(stalled.begun.wait(TIMEOUT))
        self.spool.put('b.xml', b'b')
        self.has(self.server, 'b.xml')
        self.assertFalse(any(path.endswith('a.xml') for path in self.other.files))
        self.assertNotIn('archive: Exiting', self.log.read_text())
        self.process.send_signal(signal.SIGTERM)
        stalled.set()
        self.assertEqual(143, self.process.wait(TIMEOUT))
        text = self.log.read_text()
        self.assertIn('archive: Uploading: a.xml', text)
        self.assertIn('articles: Uploading: b.xml', text)
        self.assertNotIn('write', ' '.join(self.other.files))

    def test_both_get_what_arrives(self):
        self.start('--interval', '3600')
        for name in 'a.xml', 'b.xml':
            self.spool.put(name, name.encode())
            self.has(self.server, name)
            self.has(self.other, name)

    def sent(self):
        """Let both get a file, and the watch end; return the partner of the second exporter."""
        self.spool.put('a.xml', b'a')
        self.start('--interval', '3600')
        end = time.monotonic() + TIMEOUT
        while not (self.spool.path / 'cur' / 'a.xml').exists():
            self.assertLess(time.monotonic(), end, self.log.read_text())
            time.sleep(0.01)
        self.end()
        self.systemd.hear('STOPPING=1')
        return Partner(self.spool, sharing.known(self.spool.path)['archive'])

    def uploads(self, line):
        """Wait until the log has a line about an upload."""
        end = time.monotonic() + TIMEOUT
        while f'Uploading: {line}' not in self.log.read_text():
            self.assertLess(time.monotonic(), end, self.log.read_text())
            time.sleep(0.01)

    def test_what_is_sent_again_to_one_goes_at_once(self):
        partner = self.sent()
        self.watch('--interval', '3600', hears='archive')
        partner.resend('a.xml')
        self.uploads('a.xml')

    def test_what_one_had_put_away_goes_at_once(self):
        partner = self.sent()
        self.spool.put('b.xml', b'b')
        partner.drop('b.xml', 'No.')
        self.watch('--interval', '3600', hears='archive')
        partner.retry('b.xml')
        self.has(self.other, 'b.xml')
