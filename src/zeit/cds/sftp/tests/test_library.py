"""What it costs to have AsyncSSH."""

import os
import subprocess
import sys
import unittest

from zeit.cds.testing import layers
from zeit.cds.tests.folders import in_memory


class ImportTests(unittest.TestCase):
    layer = layers.QUIET

    def test_no_compiler_is_called(self):
        folder = in_memory(self)
        for program in ('gcc', 'cc', 'ld'):
            path = folder / program
            path.write_text(f'#!/bin/sh\necho {program} >>"{folder}/called"\nexit 1\n')
            path.chmod(0o755)
        subprocess.run(
            [sys.executable, '-c', 'import zeit.cds.sftp.ssh, ctypes.util as util\n'
             'assert util.find_library.__module__ == "ctypes.util", util.find_library'],
            env={**os.environ, 'PATH': f'{folder}:{os.environ["PATH"]}',
                 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
            check=True,
        )  # fmt: skip
        self.assertFalse((folder / 'called').exists())

    def test_it_is_not_imported_before_the_connection_is_on_its_way(self):
        code = (
            'import sys, zeit.cds.sftp.session; from zeit.cds.sftp import connection\n'
            'def connecting(*args, meanwhile, **options):\n'
            '    before = "asyncssh" in sys.modules; meanwhile()\n'
            '    print(before, "asyncssh" in sys.modules); sys.exit()\n'
            'connection.connected_socket = connecting\n'
            'from zeit.cds.sftp.connection_options import Settings\n'
            'settings = Settings(host="h", user="u", host_key=("SHA256:" + 43 * "A",))\n'
            'connection.Connection(settings, loop=None).open(deadline=None)\n'
        )
        path = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            [sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': path},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(('False True\n', ''), (done.stdout, done.stderr))
