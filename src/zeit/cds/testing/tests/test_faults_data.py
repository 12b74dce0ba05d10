"""The fault server: data connections, and what is wrong with them."""

import socket
import threading

from zeit.cds.testing import faults
from zeit.cds.testing.tests.test_faults import ServerCase


ALL = b'0123456789'


class Transfers(ServerCase):
    """Without faults."""

    def test_store_append_and_restart(self):
        server = self.serve()
        client = self.login(server)
        self.assertEqual(['150', '226'], [reply[:3] for reply in client.store('a', ALL)])
        client.store('a', b'xy', verb='APPE')
        client.say('REST 2')
        client.store('a', b'--')
        self.assertEqual({'/a': b'01--456789xy'}, server.files)
        client.say('REST 10')
        self.assertEqual(b'xy', client.fetch('RETR a')[0])
        client.store('a', b'')
        self.assertEqual({'/a': b''}, server.files)

    def test_ascii_translates(self):
        server = self.serve()
        client = self.login(server)
        client.say('TYPE A')
        client.store('a', b'1\r\n2\r3\r')
        self.assertEqual({'/a': b'1\n2\r3\r'}, server.files)
        self.assertEqual(b'1\r\n2\r3\r', client.fetch('RETR a')[0])

    def test_lists(self):
        client = self.login(self.serve({'/d/a': ALL, '/d/sub/b': b''}))
        self.assertEqual((b'', '550 x: No such file or directory'), client.fetch('NLST x'))
        self.assertEqual(b'd/a\r\nd/sub\r\n', client.fetch('NLST d')[0])
        lines = client.fetch('MLSD d')[0].decode().splitlines()
        self.assertEqual(['.', '..', 'a', 'sub'], [line.partition(' ')[2] for line in lines])
        self.assertEqual(
            ['type=cdir', 'type=pdir', 'type=file', 'type=dir'],
            [line.partition(';')[0] for line in lines],
        )

    def test_command_before_the_data_connection(self):
        server = self.serve()
        client = self.login(server)
        port = client.data_port()
        client.send('STOR a', 'EPSV')
        server.wait_for('STOR')
        with socket.create_connection((server.host, port), 30) as data:
            data.sendall(ALL)
        self.assertEqual(['150', '226', '229'], [client.reply()[:3] for _ in range(3)])
        self.assertEqual({'/a': ALL}, server.files)

    def test_no_data_connection(self):
        client = self.login(self.serve(data_timeout=0.05))
        client.data_port()
        self.assertEqual('425', client.say('STOR a')[:3])

    def test_a_port_is_good_for_one_transfer(self):
        client = self.login(self.serve())
        client.store('a', ALL)
        self.assertEqual('425', client.say('RETR a')[:3])

    def test_reset_by_the_client_leaves_a_part(self):
        server = self.serve()
        client = self.login(server)
        received = threading.Event()
        server.fault('STOR', faults.StallData(len(ALL), until=received))
        with client.data() as data:
            client.say('STOR a')
            data.sendall(ALL)
            data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            self.wait_for_content(server, ALL)
        received.set()
        self.assertEqual('426', client.reply()[:3])
        self.assertEqual({'/a': ALL}, server.files)

    def wait_for_content(self, server, content):
        pause = threading.Event()
        for _ in range(3000):
            if server.files.get('/a') == content:
                return
            pause.wait(0.01)
        self.fail(f'not stored: {content!r}')


class DataFaults(ServerCase):
    def faulty(self, verb, *actions, files=(), **kw):
        server = self.serve(files)
        server.fault(verb, *actions, **kw)
        return server, self.login(server)

    def test_refused_port(self):
        server, client = self.faulty('EPSV', faults.DataPort('refused'))
        port = client.data_port()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((server.host, port), 30)
        self.assertEqual('425', client.say('STOR a')[:3])

    def test_black_hole(self):
        server, client = self.faulty('EPSV', faults.DataPort('black hole'))
        port = client.data_port()
        client.send('STOR a')
        server.wait_for('STOR')
        with self.assertRaises(TimeoutError):
            socket.create_connection((server.host, port), 0.3)
        client.control.settimeout(0.05)
        with self.assertRaises(TimeoutError):
            client.control.recv(1)

    def test_silent_port(self):
        server, client = self.faulty('EPSV', faults.DataPort('silent'), times=1)
        with client.data() as data:
            self.assertEqual('150', client.say('STOR a')[:3])
            data.sendall(ALL)
            data.shutdown(socket.SHUT_WR)
            client.control.settimeout(0.05)
            with self.assertRaises(TimeoutError):
                client.control.recv(1)
        self.assertEqual({'/a': b''}, server.files)
        client = self.login(server)
        self.assertEqual('226', client.store('a', ALL)[-1][:3])

    def test_stall_in_mid_file(self):
        server, client = self.faulty('STOR', faults.StallData(4))
        with client.data() as data:
            client.say('STOR a')
            data.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                while True:
                    data.sendall(bytes(1_000_000))
            self.assertEqual({'/a': bytes(4)}, server.files)
        client.close()
        server.wait_closed()

    def test_stall_in_a_download_for_a_while(self):
        go_on = threading.Event()
        server, client = self.faulty('RETR', faults.StallData(4, until=go_on), files={'/a': ALL})
        with client.data() as data:
            client.send('RETR a')
            self.assertEqual(ALL[:4], data.recv(10))
            data.settimeout(0.05)
            with self.assertRaises(TimeoutError):
                data.recv(1)
            go_on.set()
            data.settimeout(30)
            self.assertEqual(ALL[4:], data.recv(10))

    def test_reset_in_mid_file(self):
        server, client = self.faulty('RETR', faults.CutData(4), files={'/a': ALL})
        with client.data() as data:
            client.send('RETR a')
            with self.assertRaises(ConnectionResetError):
                while data.recv(1):
                    pass
        self.assertEqual(['150', '426'], [client.reply()[:3], client.reply()[:3]])

    def test_upload_cut_in_mid_file(self):
        server, client = self.faulty('STOR', faults.CutData(4, reset=False))
        self.assertEqual('426', client.store('a', ALL)[-1][:3])
        self.assertEqual({'/a': ALL[:4]}, server.files)

    def test_both_connections_cut(self):
        server, client = self.faulty('STOR', faults.CutData(control=True, reset=False))
        with client.data() as data:
            self.assertEqual('150', client.say('STOR a')[:3])
            self.assertEqual(b'', data.recv(1))
        self.assertEqual('', client.reply())
        self.assertEqual({'/a': b''}, server.files)

    def test_stored_otherwise_than_sent(self):
        server, client = self.faulty('STOR', faults.Alter(3, extra=b'!!'))
        self.assertEqual('226', client.store('a', ALL)[-1][:3])
        self.assertEqual({'/a': b'012!!'}, server.files)

    def test_stored_but_denied(self):
        server, client = self.faulty('STOR', faults.Lie('451 Failure.'))
        self.assertEqual(['150', '451'], [reply[:3] for reply in client.store('a', ALL)])
        self.assertEqual({'/a': ALL}, server.files)

    def test_refused_transfer_ends_its_data_connection(self):
        server, client = self.faulty('STOR', faults.Reply('553 Bad name.'))
        with client.data() as data:
            self.assertEqual('553 Bad name.', client.say('STOR a'))
            self.assert_closed(data)
        self.assertEqual({}, server.files)

    def assert_closed(self, data):
        try:
            self.assertEqual(b'', data.recv(1))
        except ConnectionResetError:
            pass

    def test_size_lies(self):
        server, client = self.faulty('SIZE', faults.Reply('213 7'), files={'/a': ALL})
        self.assertEqual('213 7', client.say('SIZE a'))

    def test_lists_truncated_and_invented(self):
        server, client = self.faulty('NLST', faults.Alter(2, extra=b'ghost\r\n'), files={'/a': b''})
        self.assertEqual((b'a\rghost\r\n', '226 Transfer complete.'), client.fetch('NLST'))

    def test_empty_directory_is_an_error(self):
        server, client = self.faulty('MLSD NLST', faults.Reply('550 No files found.'))
        self.assertEqual((b'', '550 No files found.'), client.fetch('NLST'))

    def test_other_address_announced(self):
        server, client = self.faulty('PASV EPSV', faults.Announce('10.0.0.1', port=513))
        self.assertIn('(10,0,0,1,2,1)', client.say('PASV'))
        self.assertIn('(|||513|)', client.say('EPSV'))
        server.clear_faults()
        server.fault('PASV', faults.Announce('10.0.0.1'))
        self.assertRegex(client.say('PASV'), r'\(10,0,0,1,\d+,\d+\)')

    def test_passive_refused(self):
        server, client = self.faulty('EPSV', faults.Reply('502 No.'))
        self.assertEqual('502 No.', client.say('EPSV'))
        self.assertEqual('227', client.say('PASV')[:3])

    def test_final_reply_before_the_data(self):
        server, client = self.faulty('STOR', faults.ReplyEarly())
        with client.data() as data:
            self.assertEqual('150', client.say('STOR a')[:3])
            self.assertEqual('226', client.reply()[:3])
            data.sendall(ALL)
        self.assertEqual('200', client.say('NOOP')[:3])
        self.assertEqual({'/a': ALL}, server.files)

    def test_no_reply_before_the_data(self):
        server, client = self.faulty('STOR', faults.NoMark())
        with client.data() as data:
            client.send('STOR a')
            data.sendall(ALL)
        self.assertEqual('226', client.reply()[:3])
        self.assertEqual({'/a': ALL}, server.files)

    def test_closed_after_each_file(self):
        server, client = self.faulty('STOR', faults.Cut('replied'))
        self.assertEqual('226', client.store('a', ALL)[-1][:3])
        self.assertEqual('', client.reply())
