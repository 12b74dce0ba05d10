"""What a test leaves behind turns it red; what is skipped for lack of a server is told."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

from zeit.cds.testing.layers import QUIET


# Run by a zope.testrunner of its own; every test but the first passes by its own means.
CULPRITS = """
import socket
import threading
import unittest

from zeit.cds.testing import quiet, runner
from zeit.cds.testing.layers import QUIET


# Seconds; the thread below ends much later.
quiet.THREAD_GRACE = runner.THREAD_GRACE = 0.1
STOP = threading.Event()


class CulpritTest(unittest.TestCase):
    layer = QUIET

    def test_innocent(self):
        pass

    def test_resource_warning(self):
        socket.socket()

    def test_resource_warning_in_a_cycle(self):
        cycle = [socket.socket()]
        cycle.append(cycle)

    def test_open_descriptor(self):
        # Held by the test, so that no warning comes.
        CulpritTest.held = socket.socket()

    def test_thread_exception(self):
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()

    def test_thread_left(self):
        threading.Thread(target=STOP.wait, args=(60,), daemon=True).start()

    def test_unraisable(self):
        class Bad:
            def __del__(self):
                raise ValueError('unraisable')
        Bad()
"""
MISSING = """
import unittest

from zeit.cds.testing.layers import QUIET, ServerLayer, ServerTests
from zeit.cds.testing.daemon import find_program


def factory():
    find_program('no-such-package', 'usr', 'sbin', 'no-such-ftpd')


MISSING = ServerLayer('MISSING', factory=factory, base=QUIET, module=__name__)


class LayerTest(ServerTests, unittest.TestCase):
    layer = MISSING

    def test_it(self):
        raise AssertionError('not to be run')


class OwnServerTest(unittest.TestCase):
    def test_it(self):
        factory()
        raise AssertionError('not to be run')

    def test_one_of_several(self):
        for part in range(3):
            with self.subTest(part):
                if part:
                    factory()


class OtherTest(unittest.TestCase):
    @unittest.skip('for a reason of its own')
    def test_it(self):
        pass
"""
THREAD = """
import threading
import unittest

from zeit.cds.testing import runner


runner.THREAD_GRACE = 0.1  # seconds; the thread below ends much later
STOP = threading.Event()


class LeavingTest(unittest.TestCase):
    def test_it(self):
        threading.Thread(target=STOP.wait, args=(60,), daemon=True).start()

    def test_one_that_ends(self):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
"""
SHARED = """
import os
import unittest

from zeit.cds.testing.layers import QUIET


RUNNER = os.getpid()
os.mkfifo('meeting')


class FirstTest(unittest.TestCase):
    mode = 'r'

    def test_it(self):
        # Waits until the other one is at work as well.
        open('meeting', self.mode).close()
        if 'DYING' in os.environ and os.getpid() != RUNNER:
            os._exit(int(os.environ['DYING']))
        self.check()

    def check(self):
        self.fail('Red')


class SecondTest(FirstTest):
    layer = QUIET
    mode = 'w'

    def check(self):
        raise ValueError('Red')
"""
#: SIGHUP does not end the tests either.
SIGNALS = """
import os
import signal
import subprocess
import sys
import unittest


class Test(unittest.TestCase):
    def test_it(self):
        os.kill(os.getpid(), signal.SIGHUP)
        for name in 'SIGINT', 'SIGQUIT', 'SIGHUP':
            code = f'import os, signal; os.kill(os.getpid(), signal.{name})'
            done = subprocess.run([sys.executable, '-c', code], stderr=subprocess.DEVNULL)
            self.assertEqual(-getattr(signal, name), done.returncode)
"""
TIMEOUT = 60


def run_tests(source, *options, **environment):
    """Run the test runner over a module with the text *source*; return (exit code, output)."""
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, 'test_it.py').write_text(source)
        path = os.pathsep.join([directory, *filter(None, sys.path)])
        done = subprocess.run(
            # Not by -m: what the tests change there would be another module.
            [sys.executable, '-c', 'from zeit.cds.testing import runner; runner.run([])',
             '--test-path', directory, '--tests-pattern', '^test_it$', '-vv', *options],
            env=os.environ | {'PYTHONPATH': path} | environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )  # fmt: skip
    return done.returncode, done.stdout


class QuietTest(unittest.TestCase):
    layer = QUIET

    def test_every_culprit_is_an_error_of_its_own_test(self):
        code, output = run_tests(CULPRITS)
        guilty = re.findall(r'Error in test (test_\w+)', output)
        self.assertEqual(1, code, output)
        self.assertEqual(
            [
                'test_open_descriptor',
                'test_resource_warning',
                'test_resource_warning_in_a_cycle',
                'test_thread_exception',
                'test_thread_left',
                'test_unraisable',
            ],
            guilty,
            output,
        )
        for reason in (
            'The test left open: socket:',
            'ResourceWarning: unclosed <socket',
            'ZeroDivisionError',
            'The test left a thread running',
            'ValueError: unraisable',
        ):
            self.assertIn(reason, output)

    def test_expected_problems_can_be_taken_back(self):
        thread = threading.Thread(target=lambda: {}['expected'])
        thread.start()
        thread.join()
        (problem,) = QUIET.take()
        self.assertIn("KeyError: 'expected'", problem)


class RunnerTest(unittest.TestCase):
    layer = QUIET

    def test_a_missing_server_skips_what_needs_it_and_the_last_line_tells(self):
        code, output = run_tests(MISSING, CI='')
        self.assertEqual(0, code, output)
        self.assertRegex(
            output.splitlines()[-1], r'^Skipped tests: 3 for lack of .*\.ci/servers.*, 1 for other'
        )
        self.assertEqual(1, output.count('.ci/servers`'), output)

    def test_several_processes_are_counted_together(self):
        code, output = run_tests(MISSING, '-j3', CI='')
        self.assertEqual(0, code, output)
        self.assertRegex(output, r'Total: 4 tests, 0 failures, 0 errors and 5 skipped')
        self.assertRegex(
            output.splitlines()[-1], r'^Skipped tests: 3 for lack of .*\.ci/servers.*, 1 for other'
        )

    def test_what_is_red_in_one_of_several_processes(self):
        code, output = run_tests(SHARED, '-j2')
        self.assertEqual(1, code, output)
        self.assertIn('Total: 2 tests, 1 failures, 1 errors', output)
        for name in 'FirstTest', 'SecondTest':
            self.assertRegex(output, rf'Tests with (?s:.)*test_it \(test_it\.{name}\.test_it\)')

    def test_one_of_several_processes_dies(self):
        code, output = run_tests(SHARED, '-j2', DYING='3')
        self.assertEqual(1, code, output)
        self.assertIn('A process of the tests has died: 3', output)

    def test_what_is_skipped_is_an_error_in_ci(self):
        for options in ((), ('-j2',)):
            with self.subTest(options):
                code, output = run_tests(MISSING, *options, CI='true')
                self.assertEqual(1, code, output)
                self.assertIn('Skipped tests: ', output)

    def test_the_processes_of_tests_take_signals_that_were_ignored(self):
        numbers = signal.SIGINT, signal.SIGQUIT, signal.SIGHUP
        for number in numbers:
            self.addCleanup(signal.signal, number, signal.signal(number, signal.SIG_IGN))
        code, output = run_tests(SIGNALS)
        self.assertEqual(0, code, output)

    def test_a_thread_that_is_left_is_an_error(self):
        code, output = run_tests(THREAD)
        self.assertEqual(1, code, output)
        self.assertIn('left new threads behind', output)
        self.assertRegex(output, r'test_it .*left a thread behind')
        self.assertNotRegex(output, r'test_one_that_ends .*left a thread behind')

    def test_nothing_is_said_where_nothing_is_skipped(self):
        code, output = run_tests(THREAD, '-t', 'test_one_that_ends')
        self.assertEqual(0, code, output)
        self.assertNotIn('Skipped', output)
