"""What it costs to have AsyncSSH."""

import os
import subprocess
import sys
import unittest

from zeit.cds.testing import layers


class ImportTests(unittest.TestCase):
    layer = layers.QUIET

    def test_no_program_is_called_and_all_is_as_it_was_afterwards(self):
        code = (
            'import gc, sys\n'
            'called = []\n'
            'def note(event, args):\n'
            '    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"):\n'
            '        called.append(args)\n'
            'sys.addaudithook(note)\n'
            'import zeit.cds.sftp.ssh, ctypes.util as util\n'
            'print(called, util.find_library.__module__, gc.isenabled())\n'
        )
        path = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            [sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': path},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(('[] ctypes.util True\n', ''), (done.stdout, done.stderr))

    def test_of_certificates_there_is_nothing_without_pyopenssl(self):
        code = (
            'import sys\n'
            'sys.modules["OpenSSL"] = None\n'
            'import zeit.cds.sftp.ssh\n'
            'print("cryptography.x509" in sys.modules, "asyncssh.crypto.x509" in sys.modules)\n'
        )
        path = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            [sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': path},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(('False False\n', ''), (done.stdout, done.stderr))

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
