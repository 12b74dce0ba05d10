"""The bar of a long run: what it shows, on which terminals, and that it is in nobody's way."""

import fcntl
import io
import os
import pty
import random
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

from zeit.cds.cli.progress_bar import Bar
from zeit.cds.cli.tests.test_command_line import PROCESS, TIMEOUT, CommandLine
from zeit.cds.credentials import Secret
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import faults, layers
from zeit.cds.testing.memory import MemoryTarget


KIB, MIB = 1024, 1024 * 1024

#: The command, with a bar that is there at once.
AT_ONCE = [
    sys.executable,
    '-c',
    'import sys; from zeit.cds.cli import main, progress_bar; '
    'progress_bar.REDRAW_SECONDS = 0.0001; '
    'sys.exit(main.main())',
]


class Screen:
    """What a terminal shows of what it was sent, as far as this program needs one.

    `lines` are those above the last one, `last` is that one; `seen` all that it ever was.
    """

    def __init__(self, *, width):
        self.width = width
        self.lines, self.last, self.column = [], '', 0
        self.seen = []

    def feed(self, text):
        for token in re.findall(r'\x1b\[K|\r|\n|[^\x1b\r\n]', text):
            if token == '\x1b[K':
                self.last = self.last[: self.column]
            elif token == '\r':
                self.column = 0
            elif token == '\n':
                self.lines.append(self.last)
                self.last = ''
            else:
                assert self.column < self.width, f'too long: {self.last!r}'
                self.last = self.last[: self.column] + token + self.last[self.column + 1 :]
                self.column += 1
                self.seen.append(self.last)


class BarTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.now = 100.0
        self.width = 120
        self.stream = io.StringIO()
        self.bar = Bar(self.stream, clock=lambda: self.now, width=lambda: self.width)

    def shown(self):
        self.bar.draw()
        screen = Screen(width=self.width)
        screen.feed(self.stream.getvalue())
        self.assertEqual([], screen.lines)
        return screen.last

    def test_nothing_is_known_at_first_but_how_much_there_is(self):
        self.bar.expected(files=4, size=10 * KIB)
        self.assertEqual(f'[{"." * 40}]  0/4 files  0 B of 10.0 KiB', self.shown())

    def test_files_bytes_rate_and_time_left(self):
        self.bar.expected(files=4, size=4 * MIB)
        self.now += 2
        self.bar.sent('a', MIB)
        self.bar.settled('a', size=MIB)
        self.now += 2
        self.bar.sent('b', MIB)
        self.bar.settled('b', size=MIB)
        self.now += 1
        self.bar.sent('c', MIB // 2)
        self.assertEqual(
            f'[{"#" * 24}{"." * 16}]  2/4 files  2.5 MiB of 4.0 MiB  0:04 left  512.0 KiB/s',
            self.shown(),
        )

    def test_it_moves_within_a_file(self):
        self.bar.expected(files=1, size=10 * MIB)
        for position in (MIB, 5 * MIB, 10 * MIB):
            self.now += 1
            self.bar.sent('a', position)
            self.assertIn(f'0/1 files  {position // MIB}.0 MiB of 10.0 MiB', self.shown())

    def test_a_second_attempt_does_not_count_twice(self):
        self.bar.expected(files=1, size=MIB)
        self.bar.sent('a', MIB)
        self.now += 1
        self.bar.sent('a', MIB // 2)
        self.assertIn('512.0 KiB of 1.0 MiB', self.shown())

    def test_several_files_at_a_time(self):
        self.bar.expected(files=2, size=2 * MIB)
        self.bar.sent('a', MIB // 2)
        self.now += 1
        self.bar.sent('b', MIB // 4)
        self.assertIn('768.0 KiB of 2.0 MiB', self.shown())

    def test_the_rate_is_that_of_the_last_seconds(self):
        self.bar.expected(files=1, size=100 * MIB)
        for second in range(1, 31):
            self.now += 1
            self.bar.sent('a', min(second, 10) * MIB + max(second - 10, 0) * KIB)
            self.bar.draw()
        self.assertIn('  1.0 KiB/s', self.shown())

    def test_narrow_terminals(self):
        """The bar goes first, then the rate, the time, the bytes; the number of files stays."""
        self.bar.expected(files=100, size=MIB)
        self.now += 1
        self.bar.settled('a', size=10 * KIB)
        expected = {
            80: r'\[\.{20}\]  1/100 files  10\.0 KiB of 1\.0 MiB  1:40 left  10\.0 KiB/s',
            64: r'1/100 files  10\.0 KiB of 1\.0 MiB  1:40 left  10\.0 KiB/s',
            50: r'1/100 files  10\.0 KiB of 1\.0 MiB  1:40 left',
            35: r'1/100 files  10\.0 KiB of 1\.0 MiB',
            24: r'1/100 files  1:40 left',
            20: r'1/100 files',
            6: r'1/100',
            1: '',
        }
        for self.width in range(120, 0, -1):
            self.stream.truncate(0)
            self.stream.seek(0)
            line = self.shown()
            self.assertLess(len(line), self.width)
            self.assertRegex(line, f'^{expected.get(self.width, ".*")}$')

    def test_a_line_of_something_else_is_not_garbled(self):
        self.bar.expected(files=1, size=MIB)
        self.bar.draw()
        with self.bar.hidden():
            self.stream.write('Something else.\r\n')
        screen = Screen(width=self.width)
        screen.feed(self.stream.getvalue())
        self.assertEqual(['Something else.'], screen.lines)
        self.assertRegex(screen.last, r'^\[\.+\]  0/1 files')

    def test_at_the_end_nothing_is_left(self):
        with self.bar:
            self.bar.expected(files=1, size=MIB)
            self.assertIn('0/1', self.shown())
        screen = Screen(width=self.width)
        screen.feed(self.stream.getvalue())
        self.assertEqual('', screen.last)

    def test_sizes_that_are_not_known(self):
        """Then the files count, and what has come in is shown without what is to come."""
        self.bar.expected(files=4, size=None)
        self.assertEqual(f'[{"." * 40}]  0/4 files  0 B', self.shown())
        self.now += 1
        self.bar.sent('a', 10 * MIB)
        self.assertEqual(f'[{"." * 40}]  0/4 files  10.0 MiB  10.0 MiB/s', self.shown())
        self.now += 1
        self.bar.settled('a', size=10 * MIB)
        self.assertEqual(
            f'[{"#" * 10}{"." * 30}]  1/4 files  10.0 MiB  0:07 left  5.0 MiB/s', self.shown()
        )
        for name in 'bcd':
            self.bar.settled(name, size=MIB)
        self.assertRegex(self.shown(), r'^\[#{40}\]  4/4 files  13.0 MiB  ')

    def test_files_without_content(self):
        self.bar.expected(files=0, size=0)
        self.bar.expected(files=1, size=0)
        self.now += 1
        self.bar.settled('a', size=0)
        self.assertRegex(self.shown(), r'^\[#{40}\]  1/1 files  0 B of 0 B')

    def test_a_terminal_that_goes_away_is_no_error(self):
        class Gone(io.StringIO):
            def write(self, text):
                raise OSError(5, 'Input/output error')

        with Bar(Gone(), width=lambda: 80) as bar:
            bar.expected(files=1, size=1)
            bar.draw()


class TimeLeftTests(unittest.TestCase):
    """After a tenth of the run, the time left is right within a third until the last twentieth.

    Files are of many sizes, each one costs round trips besides, and neither of these nor the
    connections are steady.
    """

    def events(self, *, latency, rate, median, spread, files, lanes=1, seed=0):
        """Yield (moment, what a bar is told or None for a drawing) until the run ends.

        Seconds of latency for a file, bytes in a second, the median of sizes in bytes, and the
        standard deviation of their logarithm.
        """
        chance, free, found = random.Random(seed), [0] * lanes, []
        for number in range(files):
            size = int(chance.lognormvariate(0, spread) * median) + 1
            lane = free.index(min(free))
            now, done = free[lane] + latency * chance.uniform(0.5, 1.5), 0
            while done < size:
                piece = min(max(64 * KIB, size // 200), size - done)
                now += piece / rate * lanes * chance.uniform(0.7, 1.3)
                done += piece
                found.append((now, 'sent', number, done))
            found.append((now, 'settled', number, size))
            free[lane] = now
        end = max(free)
        found += [(number * 0.2, 'draw', 0, 0) for number in range(1, int(end * 5))]
        return sorted(found), end

    def assert_right(self, **world):
        now, screen = 0, io.StringIO()
        events, end = self.events(**world)
        sizes = [size for _, what, _, size in events if what == 'settled']
        bar = Bar(screen, clock=lambda: now, width=lambda: 120)
        bar.expected(files=len(sizes), size=sum(sizes))
        for now, what, number, size in events:  # noqa: B007 the clock reads it
            if what == 'sent':
                bar.sent(str(number), size)
            elif what == 'settled':
                bar.settled(str(number), size=size)
            else:
                screen.seek(0)
                screen.truncate()
                bar.draw()
                if 0.1 <= now / end <= 0.95:
                    found = re.search(r'(\d+):(\d+) left', screen.getvalue())
                    said = int(found[1]) * 60 + int(found[2])
                    self.assertAlmostEqual(said, end - now, delta=1 + (end - now) / 3)

    def test_small_files_far_away_and_some_large_ones(self):
        for seed in range(4):
            self.assert_right(latency=0.3, rate=2e6, median=2e5, spread=2, files=300, seed=seed)

    def test_a_narrow_line(self):
        for seed in range(4):
            self.assert_right(latency=0.01, rate=2e5, median=2e4, spread=1.5, files=800, seed=seed)

    def test_large_files(self):
        self.assert_right(latency=0.05, rate=5e6, median=1e6, spread=1.5, files=500)

    def test_several_connections(self):
        self.assert_right(latency=0.2, rate=1e7, median=1e6, spread=1, files=500, lanes=4)
        self.assert_right(latency=0.5, rate=1e5, median=3e3, spread=1, files=1000, lanes=4)

    def test_very_many_files(self):
        self.assert_right(latency=0.002, rate=5e7, median=2e4, spread=1, files=20000)

    def test_few_files(self):
        self.assert_right(latency=0.3, rate=5e6, median=5e6, spread=0.5, files=60)


class Watcher(unittest.TestCase):
    """A spool, and what a run tells who watches it: `told`."""

    layer = layers.QUIET

    def setUp(self):
        self.told = []
        self.spool = Spool(self.enterContext(tempfile.TemporaryDirectory()))

    def expected(self, *, files, size):
        self.told.append(('expected', files, size))

    def sent(self, name, position):
        self.told.append(('sent', name, position))

    def settled(self, name, *, size):
        self.told.append(('settled', name, size))

    def kinds(self):
        """Return what was told but for the positions."""
        return [entry for entry in self.told if entry[0] != 'sent']


class ExportTests(Watcher):
    def export(self, target, **options):
        with self.assertLogs('zeit.cds'):
            return Exporter(self.spool, target).run_once(Options(progress=self, **options))

    def test_every_file_is_settled_once(self):
        self.spool.put('a', b'12345')
        self.spool.put('b', b'123')
        self.assertEqual(0, self.export(MemoryTarget()).exit_code)
        self.assertEqual(
            [('expected', 2, 8), ('settled', 'a', 5), ('settled', 'b', 3)], self.kinds()
        )
        self.assertIn(('sent', 'a', 5), self.told)

    def test_a_limit(self):
        for name in 'abc':
            self.spool.put(name, b'12345')
        self.export(MemoryTarget(), max_files=2)
        self.assertEqual(('expected', 2, 10), self.told[0])
        self.export(MemoryTarget(), max_bytes=4)
        self.assertIn(('expected', 1, 4), self.told)

    def test_a_file_that_fails_is_settled_as_well(self):
        self.spool.put('a', b'12345')
        with faults.FaultServer() as server:
            server.fault('STOR', faults.Reply('553 No.'), path='*.part')
            target = FTPTarget.from_options(
                host=server.host, port=server.port, user='test', password=Secret('testpw')
            )
            self.assertEqual(1, self.export(target).exit_code)
        self.assertEqual(('settled', 'a', 5), self.told[-1])


class ImportTests(Watcher):
    def setUp(self):
        super().setUp()
        self.server = self.enterContext(faults.FaultServer(directories=['/out']))
        for name, size in (('a', 600_000), ('b', 3), ('c', 1000)):
            self.server.put(f'/out/{name}', bytes(size), modified=1_000_000_000)
        self.server.put('/out/d.tmp', b'somebody writes it')
        self.server.make_directory('/out/e')

    def run_import(self, **options):
        where = {'host': self.server.host, 'port': self.server.port, 'directory': '/out'}
        target = FTPTarget.from_options(
            user='test', password=Secret('testpw'), connections=1, **where
        )
        with self.assertLogs('zeit.cds'):
            return Importer(self.spool, target).run_once(ImportOptions(progress=self, **options))

    def check(self, *expected):
        self.assertEqual(0, self.run_import().exit_code)
        settled = [('settled', 'a', 600_000), ('settled', 'b', 3), ('settled', 'c', 1000)]
        self.assertEqual([('expected', *expected), *settled], self.kinds())
        positions = [entry[2] for entry in self.told if entry[:2] == ('sent', 'a')]
        self.assertEqual(sorted(positions), positions)
        self.assertGreater(len(positions), 1, 'told only at the end')
        self.assertEqual(600_000, positions[-1])

    def test_the_listing_tells_sizes(self):
        self.check(3, 601_003)

    def test_the_listing_tells_names_only(self):
        self.server.fault('MLSD', faults.Reply('500 Unknown command.'))
        self.check(3, 601_003)

    def test_nobody_tells_sizes_before(self):
        """A server that throws away what comes in company is asked for each file by itself."""
        self.server.fault('MLSD', faults.Reply('500 Unknown command.'))
        self.server.fault('SIZE', faults.Cut(), path='/out/b', times=1)
        self.server.remove_directory('/out/e')
        self.check(3, None)

    def test_limits(self):
        self.run_import(max_files=2)
        self.assertEqual(('expected', 2, 600_003), self.told[0])
        self.told.clear()
        self.run_import(max_bytes=10)
        self.assertEqual(('expected', 1, 10), self.told[0])

    def test_what_waits_is_not_expected(self):
        (self.spool.path / 'new').mkdir()
        (self.spool.path / 'new' / 'a').write_bytes(b'older')
        self.run_import()
        self.assertEqual(('expected', 2, 1003), self.told[0])

    def test_a_file_that_fails_is_settled_as_well(self):
        self.server.fault('RETR', faults.CutData(5), path='/out/a')
        self.assertEqual(1, self.run_import().exit_code)
        self.assertEqual(3, len(self.kinds()) - 1)
        self.assertIn(('settled', 'a', 600_000), self.told)

    def test_nothing_there(self):
        for name in 'abc':
            self.server.delete(f'/out/{name}')
        self.run_import()
        self.assertEqual([('expected', 0, 0)], self.told)


class Terminal(CommandLine):
    """Commands on a real terminal."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.server = self.enterContext(faults.FaultServer())
        self.environ['TERM'] = 'xterm'

    def open_terminal(self, *, width=100):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, width, 0, 0))
        self.screen = Screen(width=width)
        return ours, theirs

    def run_command(
        self, command, *arguments, width=100, until=None, then=None, out=None, program=PROCESS
    ):
        """Run `command` on a terminal; call `then` when `until` was seen on its last line."""
        ours, theirs = self.open_terminal(width=width)
        url = f'ftp://test@{self.server.host}:{self.server.port}//'
        process = subprocess.Popen(
            [*program, command, '--spool', str(self.path), *arguments, url],
            env=self.environ, stdin=theirs, stdout=out or theirs, stderr=theirs,
        )  # fmt: skip
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline, ended, self.raw = time.monotonic() + TIMEOUT, False, ''
        descriptor = os.pidfd_open(process.pid)
        self.addCleanup(os.close, descriptor)
        while not ended or select.select([ours], [], [], 0)[0]:
            self.assertLess(time.monotonic(), deadline, self.raw)
            ready = select.select([ours] if ended else [ours, descriptor], [], [], 1)[0]
            if ours in ready:
                text = os.read(ours, 65536).decode()
                self.raw += text
                self.screen.feed(text)
            if then and any(re.search(until, line) for line in self.screen.seen[-500:]):
                then = then()
            ended = ended or descriptor in ready
        self.assertIsNone(then, self.raw)
        return process.wait()


class TerminalTests(Terminal):
    """An export."""

    def export(self, *arguments, **options):
        return self.run_command('export', *arguments, **options)

    def export_slowly(self, *arguments, until=r'\d/\d', **options):
        """Run `export`, and let the server take the last file when the bar was seen."""
        go_on = threading.Event()
        last = sorted(os.listdir(self.path / 'new'))[-1]
        rule = self.server.fault('STOR', faults.StallData(until=go_on), path=f'*{last}*')
        code = self.export('--order=name', *arguments, until=until, then=go_on.set, **options)
        self.server.remove_fault(rule)
        return code

    def test_it_moves_during_a_large_file_and_is_gone_at_the_end(self):
        self.spool.put('large.xml', bytes(32 * MIB))
        go_on = threading.Event()
        self.server.fault('STOR', faults.StallData(MIB, until=go_on), path='*large*')
        code = self.export(until=r'2/3 files  [1-9]\d*\.\d MiB of 32\.0 MiB', then=go_on.set)
        self.assertEqual(0, code)
        self.assertEqual(['3 files delivered (32.0 MiB), 0 failed'], self.screen.lines)
        self.assertEqual('', self.screen.last)

    def test_log_lines_stay_whole(self):
        self.assertEqual(0, self.export_slowly('-v', until='1/2'))
        lines = self.screen.lines
        self.assertIn('/2 files', self.raw)
        self.assertEqual(13, len(lines), lines)
        for line in lines[:-1]:
            self.assertRegex(line, r'^\d\d:\d\d:\d\d INFO    \w[^\[]*$')
        self.assertEqual('2 files delivered (10 B), 0 failed', lines[-1])

    def test_a_warning_stays_whole(self):
        (self.path / 'new' / 'folder').mkdir()
        self.spool.put('empty.xml', b'')
        self.spool.put('last.xml', b'hello')
        self.assertEqual(0, self.export_slowly(until='3/4'))
        self.assertEqual(
            [
                'zeit-cds: warning: Not sent: folder is a directory, not a regular file',
                'zeit-cds: warning: Empty, sent anyway: empty.xml',
                '4 files delivered (15 B), 0 failed, 1 skipped',
            ],
            self.screen.lines,
        )

    def test_narrow_terminals(self):
        with open(self.folder / 'out', 'w') as out:
            for width in (40, 20, 5):
                with self.subTest(width):
                    self.spool.put('a.xml', b'hello')
                    self.spool.put('b.xml', b'hello')
                    self.assertEqual(0, self.export_slowly(width=width, until='^1/2', out=out))
                    self.assertEqual(([], ''), (self.screen.lines, self.screen.last))

    def test_without_colours_it_is_the_same(self):
        self.environ['NO_COLOR'] = '1'
        self.assertEqual(0, self.export_slowly())
        self.assertIn('/2 files', self.raw)
        self.assertEqual(set(), set(re.findall(r'\x1b[^K]*?[A-Za-z]', self.raw)) - {'\x1b[K'})

    def test_dumb_terminals_and_quiet_runs_get_no_bar(self):
        """Neither on a terminal that cannot erase, nor for those who want to hear nothing."""
        for term, arguments, expected in (
            ('xterm', (), True),
            ('dumb', (), False),
            ('', (), False),
            ('xterm', ('-q',), False),
        ):
            with self.subTest(term=term, arguments=arguments):
                self.spool.put('c.xml', b'hello')
                self.environ['TERM'] = term
                self.assertEqual(0, self.export(*arguments, program=AT_ONCE))
                self.assertEqual(expected, '\x1b' in self.raw)

    def test_without_a_terminal_it_is_silent(self):
        url = f'ftp://test@{self.server.host}:{self.server.port}//'
        outcome = self.finish(self.start('export', '--spool', self.path, url))
        self.assertEqual((0, '', ''), (outcome.code, outcome.out, outcome.err))

    def test_with_a_terminal_for_errors_only(self):
        with open(self.folder / 'out', 'w+') as out:
            self.assertEqual(0, self.export_slowly(out=out))
            self.assertIn('/2 files', self.raw)
            self.assertEqual(([], ''), (self.screen.lines, self.screen.last))
            self.assertEqual('', out.read())

    def test_nothing_to_do(self):
        for name in ('a.xml', 'b.xml'):
            os.unlink(self.path / 'new' / name)
        self.assertEqual(0, self.export())
        self.assertEqual('Nothing to deliver.\r\n', self.raw)


class ImportTerminalTests(Terminal):
    """An import."""

    def setUp(self):
        super().setUp()
        self.path = self.folder / 'letters'
        self.path.mkdir()
        for name in ('c.xml', 'd.xml'):
            self.server.put(f'/{name}', b'hello', modified=1_000_000_000)

    def run_import(self, *arguments, **options):
        return self.run_command('import', *arguments, **options)

    def test_it_moves_during_a_large_file_and_is_gone_at_the_end(self):
        for mlsd in (True, False):
            with self.subTest(mlsd=mlsd):
                self.server.put('/large.xml', bytes(32 * MIB), modified=1_000_000_000)
                if not mlsd:
                    self.server.fault('MLSD', faults.Reply('500 Unknown command.'))
                go_on = threading.Event()
                stall = faults.StallData(MIB, until=go_on)
                rule = self.server.fault('RETR', stall, path='/large.xml')
                seen = r'\d/\d files  [1-9]\d*\.\d MiB of 32\.0 MiB'
                self.assertEqual(0, self.run_import(until=seen, then=go_on.set), self.raw)
                self.server.remove_fault(rule)
                self.assertRegex(
                    self.screen.lines[0], r'^\d files? imported \(32.0 MiB\), 0 failed'
                )
                self.assertEqual((1, ''), (len(self.screen.lines), self.screen.last))
                (self.path / 'new' / 'large.xml').unlink()

    def test_log_lines_stay_whole(self):
        self.assertEqual(0, self.run_import('-v', program=AT_ONCE))
        self.assertIn('/2 files', self.raw)
        lines = self.screen.lines
        self.assertEqual(15, len(lines), lines)
        for line in lines[:-1]:
            self.assertRegex(line, r'^\d\d:\d\d:\d\d INFO    \w[^\[]*$')
        self.assertEqual('2 files imported (10 B), 0 failed', lines[-1])

    def test_dumb_terminals_and_quiet_runs_get_no_bar(self):
        self.assertEqual(0, self.run_import('-q', program=AT_ONCE))
        self.assertEqual('', self.raw)
        self.environ['TERM'] = 'dumb'
        self.assertEqual(0, self.run_import(program=AT_ONCE))
        self.assertEqual('Nothing to import.\r\n', self.raw)

    def test_without_a_terminal_it_is_silent(self):
        url = f'ftp://test@{self.server.host}:{self.server.port}//'
        outcome = self.finish(self.start('import', '--spool', self.path, url))
        self.assertEqual((0, '', ''), (outcome.code, outcome.out, outcome.err))
