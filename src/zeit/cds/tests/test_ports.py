"""Two test runs on one machine never give the same port to a server."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from zeit.cds.testing import ports
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.pyftpd import PyFTPServer


#: Another process that reserves ports, says which, and holds them until its input ends.
OTHER = """
import sys
from zeit.cds.testing import ports

few = list(map(int, sys.argv[1:]))
ports.ATTEMPTS = len(few)
ports.candidates = lambda: few
held = [ports.Reservation() for _ in range(len(few) // 2)]
print(*(one.port for one in held), flush=True)
sys.stdin.read()
"""
TIMEOUT = 30


class ReservationTests(unittest.TestCase):
    layer = QUIET

    def patch(self, name, value):
        self.enterContext(mock.patch.object(ports, name, value))

    def reserve(self, **arguments):
        reservation = ports.Reservation(**arguments)
        self.addCleanup(reservation.close)
        return reservation

    def other(self, numbers):
        """Return a process that has reserved half of the ports, and these."""
        process = self.enterContext(
            subprocess.Popen(
                [sys.executable, '-c', OTHER, *map(str, numbers)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)},
            )
        )
        self.addCleanup(process.kill)
        return process, set(map(int, process.stdout.readline().split()))

    def test_a_port_is_free_and_not_of_those_for_connections(self):
        port = self.reserve().port
        socket.create_server(('127.0.0.1', port)).close()
        self.assertIn(port, ports.candidates())
        with socket.create_server(('127.0.0.1', 0)) as by_the_kernel:
            self.assertNotIn(by_the_kernel.getsockname()[1], ports.candidates())

    def test_none_is_given_twice_to_two_processes(self):
        with contextlib.ExitStack() as stack:
            few = [stack.enter_context(ports.Reservation()).port for _ in range(30)]
        self.patch('ATTEMPTS', len(few))
        self.patch('candidates', lambda: few)
        process, theirs = self.other(few)
        ours = {self.reserve().port for _ in range(len(few) // 2)}
        self.assertEqual((15, 15, set(few)), (len(ours), len(theirs), ours | theirs))
        with self.assertRaises(ports.NoFreePort):
            self.reserve()
        for port in theirs:
            with self.assertRaises(ports.NoFreePort):
                self.reserve(port=port)
        # Its end, of whatever kind, gives them back.
        process.kill()
        process.wait(TIMEOUT)
        self.assertEqual(theirs, {self.reserve(port=port).port for port in theirs})

    def test_one_that_is_listened_on_is_passed_over(self):
        with self.reserve() as one:
            self.patch('ATTEMPTS', 1)
            self.patch('candidates', lambda: [one.port])
        with socket.create_server(('127.0.0.1', one.port)), self.assertRaises(ports.NoFreePort):
            self.reserve()
        self.assertEqual(one.port, self.reserve().port)

    def test_where_there_are_no_abstract_sockets(self):
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        with (
            mock.patch.object(sys, 'platform', 'other'),
            mock.patch.object(tempfile, 'tempdir', str(directory)),
        ):
            one = self.reserve()
            self.assertEqual([f'zeit.cds.port.{one.port}'], [p.name for p in directory.iterdir()])
            with self.assertRaises(ports.NoFreePort):
                self.reserve(port=one.port)
            one.close()
            self.assertEqual([], list(directory.iterdir()))
            self.assertEqual(one.port, self.reserve(port=one.port).port)

    def test_a_server_keeps_its_own_until_it_stops(self):
        server = PyFTPServer()
        self.addCleanup(server.stop)
        server.start()
        self.assertIn(server.port, ports.candidates())
        for act in (lambda: None, server.pause, server.restart):
            act()
            with self.assertRaises(ports.NoFreePort):
                self.reserve(port=server.port)
        server.stop()
        self.reserve(port=server.port).close()
        self.assertIs(server, server.start())
