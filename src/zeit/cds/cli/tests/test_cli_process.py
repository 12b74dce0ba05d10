"""The command line as a process: signals, closed pipes, what ps(1) sees."""

import os
import signal
import subprocess
import threading
import time
import unittest.mock

from zeit.cds import errors
from zeit.cds.cli.tests.test_command_line import (
    PASSWORD,
    PROCESS,
    TIMEOUT,
    CommandLine,
    Outcome,
    ServerCase,
)
from zeit.cds.credentials import Secret
from zeit.cds.ftp.connection import Connection
from zeit.cds.ftp.connection_options import Settings
from zeit.cds.testing import faults, layers


#: The command; what is on its way when a run ends is given less time to end.
IMPATIENT = [
    PROCESS[0],
    '-c',
    'import sys; from zeit.cds.cli import main; from zeit.cds.target import pool; '
    'pool.GRACE = 0.2; sys.exit(main.main())',
]

#: The command; after a signal there is little time.
HASTY = [
    PROCESS[0],
    '-c',
    'import sys; from zeit.cds.cli import main; from zeit.cds.target import base_session; '
    'base_session.HURRY = 0.3; sys.exit(main.main())',
]


class SignalCase(CommandLine):
    """Runs that get signals at some moments of their dialogue with the server."""

    layer = layers.QUIET
    command = 'export'

    def setUp(self):
        super().setUp()
        self.process = None
        self.sent = []
        self.started = threading.Event()
        self.counting = threading.Lock()
        self.moments = {}
        self.server = self.enterContext(faults.FaultServer(hook=self.hook))

    def hook(self, event):
        """Send the signals that belong to this moment, and wait for none of them."""
        with self.counting:  # the server has a thread for each connection
            for pattern, numbers in list(self.moments.items()):
                verb, path, skip = pattern
                if (event.moment, event.verb) == ('before', verb) and event.path.endswith(path):
                    del self.moments[pattern]
                    if skip:
                        self.moments[verb, path, skip - 1] = numbers
                        continue
                    self.started.wait(TIMEOUT)
                    for number in numbers:
                        self.sent.append(number)
                        self.process.send_signal(number)

    def run_until(self, moments, *arguments, program=PROCESS):
        self.moments = dict(moments)
        url = f'ftp://test@{self.server.host}:{self.server.port}//'
        self.process = self.start(
            self.command, '--spool', self.path, *arguments, url, program=program
        )
        self.started.set()
        outcome = self.finish(self.process)
        self.assertEqual({}, self.moments)
        return outcome

    def assert_ended(self, outcome, number):
        """It says at once that it is going to end, and then how things stand."""
        *first, last = outcome.err.splitlines()
        self.assertIn(first, ([], ['zeit-cds: warning: Stopping, cleaning up ...']))
        done = r'\d+ files? (delivered|imported); the next run continues with the rest\.'
        self.assertRegex(last, f'^zeit-cds: warning: Ended by {number.name}\\. {done}$')
        self.assertEqual((128 + number, ''), (outcome.code, outcome.out))


class Signals(SignalCase):
    """A signal ends a run, and the lock and half a file are gone from the server."""

    def assert_clean(self):
        left = [path for path in self.server.files if path not in ('/a.xml', '/b.xml')]
        self.assertEqual([], left, self.server.transcript)
        self.assertEqual('', self.spool.status().active)

    def test_during_an_upload_that_hangs(self):
        """It comes between STOR and its first reply, so whether a file was begun is not known."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number):
                rule = self.server.fault('STOR', faults.StallData(0), path='*.part')
                outcome = self.run_until({('STOR', '.part', 0): [number]})
                self.server.remove_fault(rule)
                self.assert_ended(outcome, number)
                self.assert_clean()
                self.assertEqual(['a.xml', 'b.xml'], self.names('new'))

    def test_a_second_signal_does_not_break_the_clean_up(self):
        outcome = self.run_until(
            {
                ('RETR', '/write', 0): [signal.SIGTERM],
                ('RETR', '/write', 1): [signal.SIGTERM, signal.SIGINT],
            }
        )
        self.assert_ended(outcome, signal.SIGTERM)
        self.assertEqual([signal.SIGTERM, signal.SIGTERM, signal.SIGINT], self.sent)
        self.assert_clean()

    def test_the_clean_up_has_a_connection_of_its_own(self):
        """The answer that was waited for must not be taken for the answer to something else."""
        self.server.fault('SIZE', faults.Silence(), path='*.part')
        self.run_until({('SIZE', '.part', 0): [signal.SIGTERM]})
        (number,) = (
            number
            for number, kind, text in self.server.dialogue
            if text.startswith('SIZE') and text.endswith('.part')
        )
        # RNFR has gone out in the same packet.
        self.assertRegex(self.server.commands(connection=number)[-1], r'(SIZE|RNFR) .*\.part')
        self.assert_clean()

    def test_several_connections_that_hang(self):
        for number in range(12):
            self.spool.put(f'more-{number}.xml', b'x' * 5000)
        rule = self.server.fault('STOR', faults.StallData(0), path='*.part')
        for program in (PROCESS, IMPATIENT):
            began = time.monotonic()
            # All four of them are on their way when the signal comes.
            outcome = self.run_until({('STOR', '.part', 3): [signal.SIGTERM]}, program=program)
            self.assertLess(time.monotonic() - began, 25)
            self.assert_ended(outcome, signal.SIGTERM)
            self.assert_clean()
        self.server.remove_fault(rule)
        self.assertEqual(14, len(self.names('new')))

    def test_while_a_file_gets_its_name(self):
        """The server has renamed it, only its answer is not there: it is not sent once more."""
        for more in (0, 12):  # one connection, and four of them
            with self.subTest(more=more):
                self.spool.put('a.xml', b'again')
                for number in range(more):
                    self.spool.put(f'more-{number}.xml', b'x')
                rule = self.server.fault('RNTO', faults.Silence('executed'), path='/a.xml')
                before = len(self.server.commands('STOR'))
                moment = ('RNTO', '/a.xml', 0)
                self.assert_ended(
                    self.run_until({moment: [signal.SIGTERM]}, program=IMPATIENT), signal.SIGTERM
                )
                self.server.remove_fault(rule)
                self.assertEqual(0, self.run_until({}).code)
                self.assertEqual([], self.names('new'))
                sent = self.server.commands('STOR')[before:]
                self.assertEqual(1, sum('a.xml' in command for command in sent), sent)

    def test_a_server_that_begins_a_file_when_its_sender_has_gone(self):
        """Without temporary names: the next run removes it, also if nothing is to be sent."""
        self.server.fault('STOR', faults.Silence(), path='/a.xml', times=1)
        outcome = self.run_until({('STOR', '/a.xml', 0): [signal.SIGTERM]}, '--no-temporary')
        self.assert_ended(outcome, signal.SIGTERM)
        self.assert_clean()
        self.server.put('/a.xml', b'h')
        for name in ('a.xml', 'b.xml'):
            (self.path / 'new' / name).unlink()
        self.assertEqual(0, self.run_until({}, '--no-temporary').code)
        self.assertEqual({}, self.server.files)

    def test_a_signal_between_a_command_and_the_wait_for_its_answer(self):
        place = {'host': self.server.host, 'port': self.server.port, 'user': 'test'}
        connection = Connection(Settings(password=Secret(PASSWORD), **place))
        connection.open()
        self.addCleanup(connection.drop)
        self.assertTrue(connection.is_reusable())
        with (
            unittest.mock.patch.object(connection.control, 'answer', side_effect=SystemExit(143)),
            self.assertRaises(SystemExit),
        ):
            connection.size('a.xml')
        self.assertFalse(connection.is_reusable())

    def test_while_the_lock_is_made_and_removed(self):
        moments = [('RNTO', '/write', 0), ('RETR', '/write', 0), ('RETR', '/write', 1)]
        for moment in [*moments, ('DELE', '/write', 0), ('SIZE', '.part', 0)]:
            with self.subTest(moment):
                outcome = self.run_until({moment: [signal.SIGTERM]})
                self.assert_ended(outcome, signal.SIGTERM)
                self.assert_clean()
                for name in self.names('cur'):
                    os.rename(self.path / 'cur' / name, self.path / 'new' / name)

    def test_an_ignored_signal_stays_ignored(self):
        code = (
            'import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n'
            'from zeit.cds.cli.main import main; sys.exit(main())'
        )
        outcome = self.run_until(
            {('STOR', '.part', 0): [signal.SIGHUP]}, program=[PROCESS[0], '-c', code]
        )
        self.assertEqual((0, ''), (outcome.code, outcome.err))

    def test_handlers_are_there_again(self):
        before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        self.call('status', '--spool', self.path)
        after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        self.assertEqual(before, after)


class ImportSignals(SignalCase):
    """A signal ends an import: the lock is gone, and half a file from the spool."""

    command = 'import'

    def setUp(self):
        super().setUp()
        for name in ('c.xml', 'd.xml'):
            self.server.put(f'/{name}', b'a letter', modified=1_000_000_000)

    def test_during_a_download_that_hangs(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number):
                rule = self.server.fault('RETR', faults.StallData(3), path='/c.xml')
                outcome = self.run_until({('RETR', '/c.xml', 0): [number]})
                self.server.remove_fault(rule)
                self.assert_ended(outcome, number)
                self.assertEqual(['/c.xml', '/d.xml'], sorted(self.server.files))
                self.assertEqual([], self.names('tmp'))

    def test_the_server_does_not_answer_any_more(self):
        """The true reason, what was done, what is next; and the signal still ends it all."""
        silence = faults.Call(lambda *_: self.server.fault('*', faults.Silence()))
        self.server.fault('RETR', silence, path='/d.xml')
        outcome = self.run_until({('SIZE', '/d.xml', 0): [signal.SIGINT]}, program=HASTY)
        self.server.clear_faults()
        *_, left, last = outcome.err.splitlines()
        self.assertEqual(
            "zeit-cds: The lock file 'read' could not be removed: The server did not answer within "
            'the 0.3 s for cleaning up. The next run of this spool tries again; until then nobody '
            'can work in the directory.',
            left,
        )
        self.assertRegex(last, r'warning: Ended by SIGINT\. 1 file imported; the next run con')
        self.assertEqual(errors.LOCK_LEFT_BEHIND, outcome.code)
        self.assertNotIn('deadline', outcome.err)
        self.assertIn('/read', self.server.files)
        self.assertEqual(0, self.run_until({}).code)
        self.assertEqual([], sorted(self.server.files))

    def test_status_shows_a_run_that_a_signal_has_ended(self):
        """`status` knows of it, and how much it has brought."""
        rule = self.server.fault('RETR', faults.StallData(3), path='/d.xml')
        outcome = self.run_until({('RETR', '/d.xml', 0): [signal.SIGTERM]})
        self.server.remove_fault(rule)
        self.assert_ended(outcome, signal.SIGTERM)
        self.assertIn('Ended by SIGTERM. 1 file imported; the next run', outcome.err)
        said = self.call('status', '--spool', self.path).out
        self.assertRegex(said, r'last run   \d+ s ago, ended by SIGTERM\n')
        self.assertRegex(said, r'last success: none yet')

    def test_one_that_was_killed(self):
        """It has written down no end; the journal tells that it had begun."""
        self.assertNotIn('killed', self.call('status', '--spool', self.path).out)
        rule = self.server.fault('RETR', faults.StallData(3), path='/c.xml')
        self.run_until({('RETR', '/c.xml', 0): [signal.SIGINT]})
        self.assertNotIn('killed', self.call('status', '--spool', self.path).out)
        outcome = self.run_until({('RETR', '/c.xml', 0): [signal.SIGKILL]})
        self.server.remove_fault(rule)
        self.assertEqual(-signal.SIGKILL, outcome.code)
        said = self.call('status', '--spool', self.path).out
        self.assertRegex(said, r'run +none active\n +the last one, started \d+ s ago, was killed')
        self.assertIn('"killed": "2', self.call('status', '--json', '--spool', self.path).out)
        self.assertEqual(0, self.run_until({}).code)
        self.assertNotIn('killed', self.call('status', '--spool', self.path).out)
        self.assertIn('"killed": null', self.call('status', '--json', '--spool', self.path).out)

    def test_between_the_move_and_dele(self):
        """It is here; the next run deletes it, after a look whether it is still the same."""
        rule = self.server.fault('DELE', faults.Silence(), path='/c.xml')
        outcome = self.run_until({('DELE', '/c.xml', 0): [signal.SIGINT]})
        self.server.remove_fault(rule)
        self.assert_ended(outcome, signal.SIGINT)
        self.assertIn('Ended by SIGINT. 1 file imported; the next run', outcome.err)
        self.assertEqual(['a.xml', 'b.xml', 'c.xml'], self.names('new'))
        self.assertNotIn('/read', self.server.files)
        (self.path / 'new' / 'c.xml').unlink()
        self.assertEqual(0, self.run_until({}).code)
        self.assertEqual(['a.xml', 'b.xml', 'd.xml'], self.names('new'))
        self.assertEqual([], sorted(self.server.files))
        self.assertEqual(2, self.server.commands('RETR').count('RETR c.xml'))


class ClosedStreams(ServerCase):
    """Standard input, output and error are closed, as by a daemon or by `>&-` in a crontab."""

    EVERYTHING = '<&- >&- 2>&-'

    def closed(self, how, *arguments, program=PROCESS):
        """Return the outcome with redirections of sh(1)."""
        shell = ['sh', '-c', f'exec "$@" {how}', 'sh', *program]
        outcome = self.finish(self.start(*arguments, program=shell))
        self.assertNotIn('Traceback', outcome.err)
        return outcome

    def export(self, how, *arguments):
        return self.closed(how, 'export', '--spool', self.path, *arguments, self.url)

    def test_nobody_can_be_asked(self):
        (self.server.root / 'write').write_bytes(b'theirs')
        outcome = self.closed('<&-', 'unlock', self.url)
        self.assertEqual(64, outcome.code, outcome.err)
        self.assertIn('pass --yes', outcome.err)
        self.assertTrue((self.server.root / 'write').exists())

    def test_who_has_nothing_to_say_needs_no_output(self):
        for how in ('<&-', '>&-', '2>&-', self.EVERYTHING):
            with self.subTest(how):
                self.spool.put('a.xml', how.encode())
                self.assertEqual(Outcome(0, '', ''), self.export(how))
                self.assertEqual(how.encode(), (self.server.root / 'a.xml').read_bytes())

    def test_what_cannot_be_said_is_missed(self):
        for arguments in (
            ['status', '--spool', self.path],
            ['status', '--spool', self.path, '--json'],
            ['export', '--spool', self.path, '--dry-run', self.url],
            ['demo'],
            ['--version'],
        ):
            with self.subTest(arguments):
                self.assert_line(self.closed('>&-', *arguments), 1, 'Cannot write to standard out')

    def test_errors_that_nobody_sees(self):
        for how in ('2>&-', self.EVERYTHING):
            with self.subTest(how):
                self.assertEqual(Outcome(64, '', ''), self.closed(how, 'exprot'))
                outcome = self.closed(how, 'receipt', '--spool', self.path, 'never.xml')
                self.assertEqual(Outcome(1, '', ''), outcome)
                self.server.stop()
                self.assertEqual(Outcome(69, '', ''), self.export(how))
                self.server.start()
                script = 'import sys; from zeit.cds import main; sys.exit(main.cds_export())'
                outcome = self.closed(how, program=[PROCESS[0], '-c', script])
                self.assertEqual(Outcome(64, '', ''), outcome)

    def test_no_file_of_ours_gets_their_numbers(self):
        script = (
            'import os, sys; from zeit.cds.cli.main import main; main(["--version"]); '
            'sys.exit(os.open(os.devnull, os.O_RDONLY))'
        )
        outcome = self.closed(self.EVERYTHING, program=[PROCESS[0], '-c', script])
        self.assertGreater(outcome.code, 2)


class Process(ServerCase):
    def test_a_closed_pipe_is_no_error(self):
        read, write = os.pipe()
        os.close(read)
        for arguments in (['status', '--spool', self.path], ['demo']):
            result = subprocess.run(
                [*PROCESS, *map(str, arguments)],
                env=self.environ,
                stdout=write,
                stderr=subprocess.PIPE,
                timeout=TIMEOUT,
            )
            self.assertEqual((0, b''), (result.returncode, result.stderr))
        os.close(write)

    def test_a_full_disk_behind_standard_output(self):
        for arguments in (['demo'], ['status', '--spool', self.path], ['--help'], ['--version']):
            with self.subTest(arguments):
                self.assert_full(*arguments)

    def assert_full(self, *arguments):
        with open('/dev/full', 'w') as full:
            result = subprocess.run(
                [*PROCESS, *arguments],
                env=self.environ,
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=TIMEOUT,
            )
        self.assertRegex(result.stderr, b'^zeit-cds: Cannot write to standard output: .*\n$')
        self.assertEqual(1, result.returncode)

    def test_nobody_sees_the_password(self):
        """Not among the arguments of the process, which ps(1) shows, and in no output."""
        seen = []

        def look(event):
            if event.verb == 'STOR':
                for process in started:
                    with open(f'/proc/{process.pid}/cmdline', 'rb') as file:
                        seen.append(file.read())

        started = []
        with faults.FaultServer(hook=look) as server:
            url = f'ftp://test@{server.host}:{server.port}//'
            started.append(self.start('export', '-vv', '--spool', self.path, url))
            outcome = self.finish(started[0])
        self.assertEqual(0, outcome.code)
        self.assertTrue(seen)
        self.assertNotIn(PASSWORD.encode(), b''.join(seen))
