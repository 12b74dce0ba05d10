"""Test servers that cannot start say why, in bounded time."""

import pathlib
import tempfile
import unittest

from zeit.cds.testing.daemon import find_program
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.process import Daemon
from zeit.cds.testing.servers import ServerError, ServerUnavailable, VsftpdServer


# Seconds.
TIMEOUT = 10


class ProblemTest(unittest.TestCase):
    layer = QUIET

    def test_missing_program_says_how_to_get_it(self):
        with self.assertRaisesRegex(ServerUnavailable, r'^no-such-ftpd .*\.ci/servers'):
            find_program('no-such-package', 'usr', 'sbin', 'no-such-ftpd')

    def test_dead_daemon_shows_its_output(self):
        with tempfile.TemporaryDirectory() as directory:
            daemon = Daemon(['sh', '-c', 'echo broken; exit 3'], log=f'{directory}/output')
            self.addCleanup(daemon.stop)
            daemon.start()
            with self.assertRaisesRegex(ServerError, 'broken'):
                # Nobody listens on port 1.
                daemon.wait_for_greeting(('127.0.0.1', 1), timeout=TIMEOUT)

    def test_silent_daemon_is_not_waited_for_for_ever(self):
        with tempfile.TemporaryDirectory() as directory:
            daemon = Daemon(['sleep', '60'], log=f'{directory}/output')
            self.addCleanup(daemon.stop)
            daemon.start()
            with self.assertRaisesRegex(ServerError, r'did not greet within 0\.1 s'):
                daemon.wait_for_greeting(('127.0.0.1', 1), timeout=0.1)

    def test_unreachable_root_is_named(self):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory, 'root')
            root.mkdir()
            with self.assertRaisesRegex(ServerError, 'lets only its owner in'):
                VsftpdServer(root=root).start()
