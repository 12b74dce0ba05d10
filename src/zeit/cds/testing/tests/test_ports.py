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
from zeit.cds.testing.faults import FaultServer
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.rawclient import RawClient


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
        # Below those that other test runs look for, of which one could take one of these meanwhile.
        self.patch('candidates', lambda: range(ports.LOWEST - 5_000, ports.LOWEST))
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

    def test_one_that_is_given_back_in_time_is_waited_for(self):
        theirs = self.reserve()
        with mock.patch.object(ports.time, 'sleep', lambda seconds: theirs.close()):
            self.assertEqual(theirs.port, self.reserve(port=theirs.port, patience=TIMEOUT).port)

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


class DataPortsTests(unittest.TestCase):
    layer = QUIET

    def ours(self):
        return self.enterContext(contextlib.closing(ports.DataPorts()))

    def listen(self, ours):
        sock = self.enterContext(socket.socket())
        ours.bind(sock, '127.0.0.1')
        sock.listen()
        return sock.getsockname()[1]

    def test_no_two_servers_have_one_in_common(self):
        with contextlib.ExitStack() as stack:  # three that no other test run has at the moment
            some = [stack.enter_context(contextlib.closing(ports.DataPorts())) for _ in range(3)]
            few = [each.numbers for each in some]
        with mock.patch.object(ports, 'spans', lambda: few):
            found = [self.ours() for _ in few]
            self.assertRaises(ports.NoFreePort, ports.DataPorts)
            found[1].close()
            self.assertEqual(found[1].numbers, self.ours().numbers)
        numbers = [number for each in found for number in each.numbers]
        self.assertEqual(len(numbers), len({*numbers}))
        self.assertFalse({*numbers} & {*ports.ephemeral()})
        self.assertFalse({*numbers} & {*ports.candidates()})

    def test_where_the_kernel_takes_them_all(self):
        with mock.patch.object(ports, 'ephemeral', lambda: range(1024, 65536)):
            self.assertEqual(len(ports.DATA) // ports.SPAN, len(ports.spans()))
        with mock.patch.object(ports, 'ephemeral', lambda: range(25_000, 61_000)):
            self.assertLess(ports.spans()[-1][-1], 25_000)

    def test_each_in_turn_and_what_is_listened_on_is_passed_over(self):
        four = self.ours().numbers[4:8]  # of a span that is ours: nobody else listens there
        with mock.patch.object(ports, 'spans', lambda: [four]):
            ours = self.ours()
            self.assertEqual({*four}, {self.listen(ours) for _ in ours.numbers})
            self.assertRaises(ports.NoFreePort, self.listen, ours)

    def test_fault_server(self):
        """Every transfer leaves a number in TIME-WAIT; each of them is taken several times."""
        with FaultServer({'/a': b'content'}) as server, RawClient(server) as client:
            numbers = server.data_ports.numbers
            client.login()
            for _ in range(3 * ports.SPAN):
                self.assertIn(client.data_port(), numbers)
            for _ in range(2 * ports.SPAN):
                self.assertEqual(b'content', client.fetch('RETR a')[0])

    def test_pyftpdlib(self):
        server = PyFTPServer()
        self.addCleanup(server.stop)
        server.start()
        with RawClient(server) as client:
            client.login()
            self.assertIn(client.data_port(), server._data_ports.numbers)
