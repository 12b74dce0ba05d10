"""Further servers: what is not there is said, and one can be started by hand."""

import contextlib
import ftplib
import io
import os
import socket
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from zeit.cds.testing import layers, world
from zeit.cds.testing.daemon import ServerUnavailable


class WorldTests(unittest.TestCase):
    layer = layers.QUIET

    def test_what_is_not_there_is_named_with_what_brings_it(self):
        with tempfile.TemporaryDirectory() as empty:
            with mock.patch.dict(os.environ, ZEIT_CDS_SERVERS=empty):
                for name in ('aioftp', 'ftp-srv', 'netkit'):
                    with self.subTest(name):
                        wanted = rf'^{name} is not there: run \.ci/servers, or \.ci/world {name}$'
                        with self.assertRaisesRegex(ServerUnavailable, wanted):
                            world.SERVERS[name]().start()

    def test_without_a_name_it_lists_them(self):
        output = io.StringIO()
        with contextlib.redirect_stdout(output), mock.patch.object(world, '__spec__'):
            self.assertEqual(2, world.main([]))
        self.assertLessEqual(set(world.SERVERS), set(output.getvalue().split()))


class ByHandTests(layers.ServerTests, unittest.TestCase):
    layer = layers.AIOFTP

    def test_it_serves_until_the_end_of_standard_input(self):
        environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(
            [sys.executable, '-m', world.__name__, 'aioftp'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        with process:
            host, port, user, password, root = process.stdout.readline().split()
            with ftplib.FTP() as client:
                client.connect(host, int(port), timeout=10)
                client.login(user, password)
                client.storbinary('STOR a', io.BytesIO(b'1'))
            self.assertEqual(['a'], os.listdir(root))
            process.stdin.close()
            self.assertEqual(0, process.wait(20))
        self.assertFalse(os.path.exists(root))
        with self.assertRaises(OSError):
            socket.create_connection((host, int(port)), 1).close()

    def test_the_version_is_known(self):
        self.assertRegex(world.version('aioftp'), r'^\d+\.\d+')
