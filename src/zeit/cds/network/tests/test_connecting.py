"""How a connection is made."""

import socket
import unittest
import unittest.mock

from zeit.cds.errors import ConfigurationError
from zeit.cds.network import connecting, sockets
from zeit.cds.network.deadline import Deadline
from zeit.cds.testing import layers


class AddressTests(unittest.TestCase):
    layer = layers.QUIET

    def test_the_interface_of_an_address(self):
        number, name = socket.if_nameindex()[0]
        sock = unittest.mock.Mock(family=socket.AF_INET6, **{'connect_ex.return_value': 0})
        sockets.begin(sock, ('fe80::1', 21, 0, number), bind=f'fe80::2%{name}')
        ((where,), _) = sock.bind.call_args
        self.assertEqual((0, 0, number), where[1:])

    def test_an_interface_that_is_not_there(self):
        with self.assertRaisesRegex(ConfigurationError, 'does not have the address fe80::1%none9'):
            sockets.require_address('fe80::1%none9')


class MeanwhileTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.server = self.enterContext(socket.create_server(('127.0.0.1', 0)))
        self.port = self.server.getsockname()[1]

    def connect(self, meanwhile):
        return connecting.connected_socket(
            '127.0.0.1', self.port, connect_timeout=60, activity='testing', deadline=Deadline(),
            meanwhile=meanwhile,
        )[0]  # fmt: skip

    def test_the_connection_is_on_its_way_then(self):
        with self.connect(lambda: self.server.accept()[0].close()) as sock:
            self.assertEqual(b'', sock.recv(1))

    def test_once_though_there_are_several_addresses(self):
        found = connecting.resolve('127.0.0.1', self.port, timeout=60, deadline=Deadline())
        said = []
        with socket.create_server(('127.0.0.1', 0)) as closed:
            nobody = (*found[0][:4], closed.getsockname())
        with (
            unittest.mock.patch.object(connecting, 'resolve', return_value=[nobody, *found]),
            self.connect(lambda: said.append(1)),
        ):
            self.assertEqual([1], said)

    def test_what_fails_there_leaves_no_connection(self):
        with self.assertRaises(ZeroDivisionError):
            self.connect(lambda: 1 / 0)
        with self.server.accept()[0] as theirs:
            self.assertEqual(b'', theirs.recv(1))
