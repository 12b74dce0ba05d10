"""Commands that are told when runs begin to fail, and when they succeed again."""

import json
import os
import select
import shlex
import signal
import sys
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.cli.tests.test_json import DOCUMENT, keys
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.system import commands
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.folders import in_memory


class HookCase(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = in_memory(self)
        self.spool = Spool(self.path)
        self.told = self.path / 'told'
        self.error = None
        self.target = MemoryTarget(hook=self.hook)

    def hook(self, operation, name):
        if operation == 'upload' and self.error is not None:
            raise self.error

    def python(self, code):
        """Return a command that runs this code."""
        return shlex.join([sys.executable, '-c', code])

    @property
    def command(self):
        """A command that writes down what it gets, a line for each call."""
        code = (
            f'import json, sys; told = open({os.fspath(self.told)!r}, "a"); '
            'print(json.dumps(json.load(sys.stdin)), file=told)'
        )
        return self.python(code)

    def run_once(self, error=None, **options):
        self.error = error
        if not self.spool.pending()[0]:
            self.spool.put('a.xml', b'1')
        given = {'on_failure': self.command, 'on_recovery': self.command, **options}
        return Exporter(self.spool, self.target).run_once(Options(park_after=0, **given))

    def refused(self, **options):
        return self.run_once(errors.ConfigurationError('No.'), **options)

    def events(self):
        """Return what was told since it was asked last."""
        if not self.told.exists():
            return []
        found = [json.loads(line) for line in self.told.read_text().splitlines()]
        self.told.unlink()
        return found

    def names(self):
        return [each['event'] for each in self.events()]


class NewsTests(HookCase):
    def test_a_failure_is_told_once_for_each_reason_and_its_end(self):
        full = errors.ServerFull(452, '452 Full.')
        for error, expected in (
            (None, []),
            (full, ['failure']),
            (full, []),
            (errors.ConfigurationError('Not in binary mode'), ['failure']),
            (errors.ConfigurationError('Not in binary mode'), []),
            (None, ['recovery']),
            (None, []),
            (full, ['failure']),
        ):
            self.run_once(error)
            self.assertEqual(expected, self.names(), error)

    def test_figures_make_no_other_reason(self):
        for place in (9, 17):
            self.run_once(errors.ConfigurationError(f'{place} bytes are through'))
        self.assertEqual(['failure'], self.names())

    def test_that_somebody_else_is_at_work_is_none_and_no_recovery(self):
        self.refused()
        with unittest.mock.patch.object(self.target, 'open', side_effect=errors.Locked('write')):
            self.assertEqual(75, self.run_once().exit_code)
        self.refused()
        self.assertEqual(['failure'], self.names())

    def test_what_is_told(self):
        report = self.run_once(errors.PermanentError(553, '553 No.'))
        (found,) = self.events()
        self.assertLessEqual(
            {
                'version': 1,
                'event': 'failure',
                'direction': 'out',
                'exit_code': report.exit_code,
                'failed': 1,
                'delivered': 0,
                'failures': 1,
            }.items(),
            found.items(),
        )
        self.assertIn('553 No.', found['files'][0]['reason'])
        text = DOCUMENT.read_text('utf-8').partition('\non_failure and on_recovery\n')[2]
        for name in keys(found):
            self.assertIn(f'``{name}``', text)

    def test_a_rehearsal_tells_nothing(self):
        self.refused(dry_run=True)
        self.assertEqual([], self.events())

    def test_a_spool_that_cannot_remember_is_no_reason_for_silence(self):
        with unittest.mock.patch(
            'zeit.cds.spool.statistics.Sequence', side_effect=errors.SpoolError('read-only')
        ):
            for _ in range(2):
                self.refused()
        self.assertEqual(['failure'] * 2, self.names())


class SafetyTests(HookCase):
    def test_the_spool_is_free_meanwhile(self):
        code = (
            'import fcntl, sys; file = open(sys.argv[1], "r+"); '
            'fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)'
        )
        path = self.path / '.cds' / 'lock'
        with self.assertLogs('zeit.cds', 'INFO') as logged:
            self.refused(on_failure=f'{self.python(code)} {path}')
        self.assertIn('on_failure was run', '\n'.join(logged.output))

    def test_one_that_fails_changes_nothing_and_is_logged(self):
        self.run_once(errors.PermanentError(553, '553 No.'), on_failure=None)
        self.spool.put('b.xml', b'1')
        for command, said in (
            (self.python('print("no\x1b pager"); exit(3)'), 'on_recovery has failed (3)'),
            ('/does/not/exist', 'on_recovery cannot be run'),
        ):
            self.run_once(errors.PermanentError(553, '553 No.'), on_failure=None)
            with self.assertLogs('zeit.cds', 'WARNING') as logged:
                self.assertEqual(0, self.run_once(on_recovery=command).exit_code)
            self.assertIn(said, '\n'.join(logged.output))
            self.assertNotIn('\x1b', '\n'.join(logged.output))

    def test_no_shell_and_no_secrets(self):
        code = (
            f'import os, sys; told = open({os.fspath(self.told)!r}, "w"); '
            'print(sys.argv[1:], sorted(os.environ), file=told)'
        )
        secret = {'ZEIT_CDS_PASSWORD': 'geheim', 'PARTNER_PW': 'geheim'}
        with unittest.mock.patch.dict(os.environ, secret):
            self.refused(on_failure=self.python(code) + ' $HOME;x "a b"')
        found = self.told.read_text()
        self.assertIn("['$HOME;x', 'a b']", found)
        self.assertNotIn('PASSWORD', found)
        self.assertNotIn('PARTNER', found)

    def test_one_that_takes_too_long_is_killed_with_its_children(self):
        fifo = self.path / 'fifo'
        os.mkfifo(fifo)
        script = f'exec 3>{shlex.quote(os.fspath(fifo))}; sleep 600 & echo here; sleep 600'
        command = shlex.join(['/bin/sh', '-c', script])
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        with self.assertLogs('zeit.cds', 'WARNING') as logged:
            self.refused(on_failure=command, hook_timeout=1)
        said = '\n'.join(logged.output)
        self.assertIn('on_failure took longer than 1 s, was killed', said)
        # Nobody has it open any more: they end a moment after they are killed.
        waiting = select.poll()
        waiting.register(reader, 0)
        self.assertTrue(waiting.poll(60_000))

    def test_much_output_is_cut(self):
        ended = commands.run([sys.executable, '-c', 'print("x" * 10**6)'], b'', seconds=60)
        self.assertEqual((0, commands.LIMIT), (ended.exit_code, len(ended.output)))

    def test_one_that_reads_nothing_or_ends_by_a_signal(self):
        code = 'import os; os.kill(os.getpid(), 9)'
        ended = commands.run([sys.executable, '-c', code], b'x' * 10**6, seconds=60)
        self.assertEqual(-signal.SIGKILL, ended.exit_code)

    def test_a_signal_to_us_ends_it_as_well(self):
        with unittest.mock.patch('selectors.DefaultSelector.select', side_effect=SystemExit(143)):
            with self.assertRaises(SystemExit):
                commands.run(['/bin/sleep', '600'], b'', seconds=60)

    def test_what_is_no_command(self):
        for wrong in ('', ' ', 'a "b', 'a\nb'):
            with self.assertRaises(errors.ConfigurationError):
                Options(on_failure=wrong)
