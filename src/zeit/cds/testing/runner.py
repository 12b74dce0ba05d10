"""zope.testrunner as bin/test starts it: it ends with a line about what was skipped."""

import os
import sys
import threading

import zope.testrunner.runner

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
        super().run_tests()
        if self.skipped and os.environ.get('CI') == 'true':
            self.errors.append(('Skipped, although CI=true', None))
            self.failed = True
        if self.options.resume_layer:
            # A subprocess (-j) tells its parent what failed, but not what was skipped.
            self._tell_skipped()

    def run(self):
        """See `zope.testrunner.runner.Runner`."""
        super().run()
        if not self.options.resume_layer:
            self._tell_skipped()

    def _tell_skipped(self):
        if self.skipped:
            print(summary(self.skipped), flush=True)


def summary(skipped):
    """Return a line about skipped tests, pairs (test, reason).

    A test counts once, however many of its subtests were skipped.
    """
    reasons = {getattr(test, 'test_case', test).id(): reason for test, reason in skipped}
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


def run(defaults):
    """Run the tests that `defaults` and the command line name, options of zope.testrunner; exit."""
    runner = Runner(defaults, cwd=os.getcwd())
    runner.run()
    sys.exit(int(runner.failed))


if __name__ == '__main__':
    run([])
