"""zope.testrunner as bin/test starts it: in several processes, with a line about what was skipped.

With `-j N` the process forks when it knows the tests, and each of the N does the modules that no
other one has begun.  zope.testrunner's own way would be one process for each layer, and one layer
has most tests.
"""

import collections
import itertools
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import traceback
import unittest

import zope.testrunner.runner
import zope.testrunner.statistics

from zeit.cds.testing.daemon import REMEDY


# Seconds that a thread may need to end after its test.
THREAD_GRACE = 10


class Runner(zope.testrunner.runner.Runner):
    """A test runner whose last line counts the skipped tests, if there are any.

    A thread that outlives its test is an error.  With the environment variable CI=true a skipped
    test is one as well: a missing server must not be taken for success there.
    """

    def configure(self):
        """See `zope.testrunner.runner.Runner`."""
        super().configure()
        # A debugger, and who stops at the first error, has all in one process.
        alone = self.options.post_mortem or self.options.stop_on_error
        self._processes = 1 if alone else self.options.processes
        self.options.processes = 1
        self._show_threads = self.options.output.test_threads
        self.options.output.test_threads = self._threads_left

    def _threads_left(self, test, found):
        # One that `threading` does not know any more is just ending.
        known = {thread.ident: thread for thread in threading.enumerate()}
        left = [known[thread.ident] for thread in found if thread.ident in known]
        for thread in left:
            thread.join(THREAD_GRACE)
        left = [thread for thread in left if thread.is_alive()]
        if left:
            self._show_threads(test, left)
            self.errors.append((f'{test} left a thread behind', None))

    def run_tests(self):
        """See `zope.testrunner.runner.Runner`."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix='zeit.cds-tests-'))
        known = sum(suite.countTestCases() for suite in self.tests_by_layer_name.values())
        helpers = []
        try:
            processes = min(self._processes, self._share(folder))
            for number in range(1, processes):
                helpers.append(self._helper(number, of=processes, path=folder / f'helper-{number}'))
            self._leave_to_others(0, of=processes)
            super().run_tests()
            while helpers:
                self._take(*helpers.pop())
        finally:
            for pid, _ in helpers:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            shutil.rmtree(folder)
        if self.ran < known and not self.options.stop_on_error:
            self.errors.append((f'{known - self.ran} tests were not run', None))
        if self.skipped and os.environ.get('CI') == 'true':
            self.errors.append(('Skipped, although CI=true', None))
        self.failed = bool(self.import_errors or self.failures or self.errors)

    def _share(self, folder):
        """Let each process take what no other has taken, module by module; return how many.

        `folder` is where they see what is taken.
        """
        number = itertools.count()
        for layer, suite in self.tests_by_layer_name.items():
            modules = collections.defaultdict(list)
            for test in suite:
                modules[type(test).__module__].append(test)
            self.tests_by_layer_name[layer] = shares = unittest.TestSuite(
                _Share(tests, folder / f'{next(number)}.taken') for tests in modules.values()
            )
            shares.modules = len(modules)
        return next(number)

    def _leave_to_others(self, number, *, of):
        """Let each layer of one module have one process: no other one starts its server in vain."""
        layers = [name for name, suite in self.tests_by_layer_name.items() if suite.modules == 1]
        for turn, name in enumerate(layers):
            if turn % of != number:
                del self.tests_by_layer_name[name]

    def _helper(self, number, *, of, path):
        """Fork a process that does its share; return its id, and where it leaves what it found."""
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()  # while there is no thread
        if pid:
            return pid, path
        code = 1
        try:
            with open(f'{path}.log', 'wb') as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            self._leave_to_others(number, of=of)
            super().run_tests()
            found = [[str(test) for test, _ in each] for each in (self.failures, self.errors)]
            skipped = [(_name(test), reason) for test, reason in self.skipped]
            pathlib.Path(f'{path}.json').write_text(json.dumps([self.ran, *found, skipped]))
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # What is to be done at the end of the process, the parent does.
            os._exit(code)

    def _take(self, pid, path):
        """Wait for a helper; show what it has written, and count what it has found."""
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        ran, failures, errors, skipped = 0, [], [f'A process of the tests has died: {code}'], []
        if code == 0:
            ran, failures, errors, skipped = json.loads(pathlib.Path(f'{path}.json').read_text())
        if ran or errors:
            print(pathlib.Path(f'{path}.log').read_text('utf-8', 'replace'), end='', flush=True)
            # It is two layers, so to speak: there is a total.
            for feature in self.features:
                if isinstance(feature, zope.testrunner.statistics.Statistics):
                    feature.layers_run += 1
        self.ran += ran
        self.failures += [(name, None) for name in failures]
        self.errors += [(name, None) for name in errors]
        self.skipped += skipped

    def run(self):
        """See `zope.testrunner.runner.Runner`."""
        super().run()
        if self.skipped:
            print(summary(self.skipped), flush=True)


class _Share(unittest.TestSuite):
    """The tests of one module in one layer; all are run by the first who creates `path`."""

    def __init__(self, tests, path):
        super().__init__(tests)
        self._path = path
        self._owner = os.getpid()

    def __call__(self, result):
        """Run them if nobody else does."""
        if os.getpid() != self._owner != os.getppid():
            # A helper whose parent is gone.
            result.stop()
            return
        try:
            self._path.touch(exist_ok=False)
        except FileExistsError:
            return
        for test in self:
            if result.shouldStop:
                break
            test(result)


def _name(test):
    """Return the name of a test, which a helper has told by that."""
    return test if isinstance(test, str) else getattr(test, 'test_case', test).id()


def summary(skipped):
    """Return a line about skipped tests, pairs (test, reason).

    A test counts once, however many of its subtests were skipped.
    """
    reasons = {_name(test): reason for test, reason in skipped}
    missing = sum(REMEDY in reason for reason in reasons.values())
    parts = []
    if missing:
        parts.append(
            f'{missing} for lack of a server or another program'
            f' (run `{REMEDY}`, then bin/test as root)'
        )
    if other := len(reasons) - missing:
        parts.append(f'{other} for other reasons (`bin/test -vvv` tells them)')
    return f'Skipped tests: {", ".join(parts)}.'


def _take_signals():
    """Let the processes of the tests take signals that this one ignores, as in the background.

    What is ignored stays so in a process that is started.  After a hang-up the tests go on.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGQUIT) == signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)


def run(defaults):
    """Run the tests that `defaults` and the command line name, options of zope.testrunner; exit."""
    _take_signals()
    runner = Runner(defaults, cwd=os.getcwd())
    runner.run()
    sys.exit(int(runner.failed))


if __name__ == '__main__':
    run([])
