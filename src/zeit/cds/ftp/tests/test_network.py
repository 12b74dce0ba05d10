"""How data connections are made: EPSV and PASV, addresses, active mode."""

import errno
import ipaddress
import re
import socket
import time
import unittest
import unittest.mock

from zeit.cds.credentials import Secret
from zeit.cds.errors import (
    CONFIGURATION,
    ConfigurationError,
    ConnectionLost,
    DataConnectionRefused,
    Error,
    FTPOSError,
    PermanentError,
)
from zeit.cds.ftp import active, parsing
from zeit.cds.ftp.connection_options import Settings
from zeit.cds.ftp.stream import Stream
from zeit.cds.network import sockets
from zeit.cds.network.deadline import Deadline
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import actions, faults, layers
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.servers import VsftpdServer
from zeit.cds.tests import ftps
from zeit.cds.tests.scenario import target


KIB = 1024


class WireTests(unittest.TestCase):
    def test_addresses_of_ours(self):
        self.assertEqual('|1|127.0.0.1|6446|', parsing.eprt('127.0.0.1', 6446))
        self.assertEqual('|2|::1|6446|', parsing.eprt('::1', 6446))
        self.assertEqual('127,0,0,1,25,46', parsing.port('127.0.0.1', 6446))


class SettingsTests(unittest.TestCase):
    def test_what_makes_no_sense(self):
        for values, text in (
            ({'epsv': 'never'}, 'auto, yes, no'),
            ({'epsv': 'yes', 'trust_pasv_address': True}, 'no address that could be trusted'),
            ({'bind_address': 'localhost'}, "bind_address: 'localhost' is not an IP"),
        ):
            with self.assertRaisesRegex(ConfigurationError, text):
                Settings(host='h', **values)

    def test_a_directory_is_no_url(self):
        for directory in 'ftp://h/in', '/ftp://h/in':
            with self.assertRaisesRegex(ConfigurationError, 'The directory is a URL'):
                Settings(host='h', directory=directory)

    def test_there_is_a_user(self):
        for user in '', '  ':
            with self.assertRaisesRegex(ConfigurationError, 'user: .* is not a non-empty text'):
                Settings(host='h', user=user)

    def test_time_outs_are_bounded(self):
        for seconds in 0, -1, 86401, float('inf'), float('nan'):
            for name in 'connect_timeout', 'reply_timeout', 'data_timeout', 'keepalive':
                if seconds or name != 'keepalive':
                    with self.assertRaisesRegex(ConfigurationError, name):
                        Settings(host='h', **{name: seconds})

    def test_a_host_is_a_name_or_an_address(self):
        for host in ('h', 'ftp.example.com.', '192.0.2.1', '::1', 'fe80::1%eth0', 'b\xfccher.de'):
            self.assertEqual(host, Settings(host=host).host)
        for host in ('', 'a b', 'a..b', 'x' * 64, 'h:21', '[::1]', None, 7):
            with self.assertRaisesRegex(ConfigurationError, 'cannot be the name', msg=host):
                Settings(host=host)

    def test_a_url_is_none_and_not_repeated(self):
        for host in ('ftp://h', 'ftpes://me:geheim@h/in', 'h/in', 'geheim@h', '//h'):
            with self.assertRaisesRegex(ConfigurationError, 'a URL') as caught:
                Settings(host=host)
            self.assertNotIn('geheim', caught.exception.advice)


class FaultCase(unittest.TestCase):
    layer = QUIET

    def setUp(self):
        super().setUp()
        self.server = self.enterContext(faults.FaultServer({'/a.xml': b'content'}))

    def open(self, **options):
        target = FTPTarget.from_options(
            host='127.0.0.1',
            port=self.server.port,
            user='test',
            **{'password': Secret('testpw')} | options,
        )
        session = target.open()
        self.addCleanup(session.close)
        return session


class AsPasv(actions.Action):
    """Answer EPSV as if it were PASV."""

    def answer(self, reply):
        port = int(re.search(rb'\|([0-9]+)\|\)', reply)[1])
        return b'227 Entering Passive Mode. 127,0,0,1,%d,%d\r\n' % divmod(port, 256)


class PassiveTests(FaultCase):
    def ports(self):
        """Return the commands that asked for a port."""
        return [text.split()[0] for text in self.server.commands('EPSV', 'PASV')]

    def test_epsv_unless_it_does_not_work(self):
        for option, refused, asked in (
            ('auto', False, ['EPSV', 'EPSV']),
            ('auto', True, ['EPSV', 'PASV', 'PASV']),
            ('no', False, ['PASV', 'PASV']),
            ('yes', False, ['EPSV', 'EPSV']),
        ):
            with self.subTest(option, refused=refused):
                self.setUp()
                if refused:
                    self.server.fault('EPSV', faults.Reply('502 Not known.'))
                session = self.open(epsv=option)
                for _ in range(2):
                    self.assertEqual(b'content', session.read('a.xml'))
                self.assertEqual(asked, self.ports())

    def test_any_refusal_of_epsv(self):
        for reply in '402 No.', '450 No.', '503 No.', '202 No.', '200 OK', '221 Well.':
            with self.subTest(reply):
                self.setUp()
                self.server.fault('EPSV', faults.Reply(reply))
                self.assertEqual({'a.xml'}, self.open().names())
                self.assertEqual('PASV', self.ports()[-1])

    def test_any_refusal_of_eprt(self):
        for reply in '402 No.', '450 No.', '503 No.', '202 No.':
            with self.subTest(reply):
                self.setUp()
                self.server.fault('EPRT', faults.Reply(reply))
                with self.assertRaisesRegex(PermanentError, 'PORT not implemented'):
                    self.open(passive=False).names()

    def test_epsv_is_answered_as_if_it_were_pasv(self):
        self.server.fault('EPSV', AsPasv())
        session = self.open()
        for _ in range(2):
            self.assertEqual(b'content', session.read('a.xml'))
        self.assertEqual((1, {'EPSV'}), (self.server.connected, set(self.ports())))

    def test_epsv_and_nothing_else(self):
        self.server.fault('EPSV', faults.Reply('502 Not known.'))
        with self.assertRaisesRegex(PermanentError, '502'):
            self.open(epsv='yes').read('a.xml')
        self.assertNotIn('PASV', self.ports())

    def test_no_data_connection_at_all_is_a_matter_of_the_configuration(self):
        """Whoever asks is told of the other way, also where nothing is locked, or changed."""
        for passive, refused, other in (
            (True, 'EPSV PASV', '--no-passive'),
            (False, 'EPRT PORT', '--passive'),
        ):
            with self.subTest(passive=passive):
                self.setUp()
                self.server.fault(refused, faults.Reply('550 Permission denied.'))
                with self.assertRaises(PermanentError) as caught:
                    self.open(passive=passive).names()
                self.assertEqual(CONFIGURATION, caught.exception.exit_code)
                self.assertIn(f'({other})', caught.exception.hint)

    def test_the_address_that_pasv_announces(self):
        """It is believed only by who wants to."""
        self.server.fault('PASV', faults.Announce('127.0.0.2'))
        self.assertEqual(b'content', self.open(epsv='no').read('a.xml'))
        with self.assertRaises(DataConnectionRefused):
            self.open(trust_pasv_address=True).read('a.xml')
        self.assertEqual({'PASV'}, set(self.ports()))

    def test_the_address_of_this_machine(self):
        if not hasattr(socket, 'SO_DOMAIN'):
            self.skipTest('Only Linux has all of 127.0.0.0/8')
        peers = []
        accept = socket.socket.accept

        def noted(sock):
            made, peer = accept(sock)
            peers.append(peer[0])
            return made, peer

        with unittest.mock.patch.object(socket.socket, 'accept', noted):
            self.assertEqual(b'content', self.open(bind_address='127.0.0.3').read('a.xml'))
        self.assertEqual(['127.0.0.3', '127.0.0.3'], peers)

    def test_an_address_that_cannot_be_used(self):
        for address, text, code in (
            ('192.0.2.1', 'This machine does not have the address 192.0.2.1', 78),
            ('::1', 'The server cannot be reached from ::1', 69),
        ):
            with self.assertRaisesRegex(Error, text) as caught:
                self.open(bind_address=address)
            error = caught.exception
            self.assertEqual((code, code == 69), (error.exit_code, error.while_connecting))


class KeepaliveTests(FaultCase):
    def option(self, name, **options):
        sock = self.open(**options).connection.control.stream._sock
        level = socket.SOL_SOCKET if name == 'SO_KEEPALIVE' else socket.IPPROTO_TCP
        return sock.getsockopt(level, getattr(socket, name))

    def test_after_so_many_seconds(self):
        self.assertEqual(1, self.option('SO_KEEPALIVE'))
        self.assertEqual(0, self.option('SO_KEEPALIVE', keepalive=0))
        if hasattr(socket, 'TCP_KEEPIDLE'):
            self.assertEqual(60, self.option('TCP_KEEPIDLE'))
            self.assertEqual(20, self.option('TCP_KEEPIDLE', keepalive=20))
            self.assertEqual(1, self.option('TCP_KEEPIDLE', keepalive=0.1))


class AcknowledgementTests(unittest.TestCase):
    layer = QUIET

    @unittest.skipUnless(hasattr(socket, 'TCP_QUICKACK'), 'this system acknowledges when it likes')
    def test_a_server_that_waits_for_it_loses_no_time(self):
        """It says 150, and 226 when that was acknowledged; the system would wait for 40 ms."""
        server = self.enterContext(faults.FaultServer(prompt=False))
        session = target(server, directory='/').open()
        self.addCleanup(session.close)
        took = []
        for _ in range(20):
            started = time.monotonic()
            session.names()
            took.append(time.monotonic() - started)
        self.assertLess(min(took[10:]), 0.035)


class BacklogTests(unittest.TestCase):
    """What the system takes for a peer who does not read."""

    layer = QUIET

    def taken(self):
        listening = self.enterContext(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
        listening.bind(('127.0.0.1', 0))
        listening.listen()
        control = socket.create_connection(listening.getsockname())
        self.enterContext(listening.accept()[0])
        stream = Stream(control, timeout=1, deadline=Deadline())
        self.addCleanup(stream.close)
        data = stream.beside(listening.getsockname()[1], timeout=0.1)
        self.addCleanup(data.close)
        data.connected(timeout=30)
        self.enterContext(listening.accept()[0])
        taken = 0
        with self.assertRaises(ConnectionLost):
            while True:
                data.send(b'x' * 16 * KIB, activity='sending')
                taken += 16 * KIB
        return taken

    def test_a_system_that_does_not_know_that_bound(self):
        sock = unittest.mock.Mock(socket.socket)
        sock.setsockopt.side_effect = [None, OSError(errno.ENOPROTOOPT, 'Protocol not available')]
        with unittest.mock.patch.object(socket, 'TCP_NOTSENT_LOWAT', 25, create=True):
            sockets.without_backlog(sock)
        self.assertEqual(2, sock.setsockopt.call_count)

    @unittest.skipUnless(hasattr(socket, 'TCP_NOTSENT_LOWAT'), 'this system has no such bound')
    def test_it_is_nearly_what_is_on_its_way(self):
        self.assertLess(self.taken(), 512 * KIB)


class AwaitedTests(unittest.TestCase):
    """The listening side of active mode; with a control connection that comes from 127.0.0.2."""

    layer = QUIET

    def awaited(self, *, peer='127.0.0.1'):
        ours, theirs = (self.enterContext(socket.socket()) for _ in range(2))
        theirs.bind(('127.0.0.1', 0))
        theirs.listen()
        ours.connect(theirs.getsockname())
        control = Stream(ours, timeout=1, deadline=Deadline(), peer=peer)
        made = active.Awaited(control, timeout=30)
        self.addCleanup(made.close)
        return made

    def call(self, awaited, *, come_from='127.0.0.1'):
        sock = self.enterContext(socket.socket())
        sock.settimeout(30)
        sock.bind((come_from, 0))
        sock.connect(awaited.address)
        return sock

    def test_the_server_comes(self):
        awaited = self.awaited()
        self.assertEqual('127.0.0.1', str(ipaddress.ip_address(awaited.address[0])))
        server = self.call(awaited)
        awaited.connected(timeout=30)
        awaited.send(b'content', activity='sending')
        self.assertEqual(b'content', server.recv(10))
        with self.assertRaises(ConnectionRefusedError):
            self.call(awaited)

    def test_somebody_else_comes(self):
        awaited = self.awaited()
        stranger = self.call(awaited, come_from='127.0.0.9')
        server = self.call(awaited)
        awaited.connected(timeout=30)
        self.assertEqual(b'', stranger.recv(1))
        awaited.send(b'content', activity='sending')
        self.assertEqual(b'content', server.recv(10))

    def test_nobody_comes(self):
        with self.assertRaisesRegex(FTPOSError, 'No answer within 0.05 s while waiting for a data'):
            self.awaited().connected(timeout=0.05)


class ActiveContract(layers.ServerTests):
    """All kinds of transfers, over a real server, in active mode."""

    def open(self, **options):
        target = FTPTarget.from_options(
            host=self.server.host,
            port=self.server.port,
            user=self.server.user,
            password=Secret(self.server.password),
            passive=False,
            connect_timeout=30,
            **options,
        )
        session = target.open()
        self.addCleanup(session.close)
        return session

    def test_transfers(self):
        for option in ('auto', 'no', 'yes'):
            with self.subTest(option):
                session = self.open(epsv=option)
                for number, content in enumerate((b'', b'x', b'x' * 300_000)):
                    name = f'{option}{number}'
                    session.store(name, content)
                    self.assertEqual(content, session.read(name, limit=1_000_000))
                    self.assertIn(name, session.names())
                    session.delete(name)
                self.assertEqual(1, session.connections)

    def test_what_is_refused(self):
        session = self.open()
        with self.assertRaises(PermanentError):
            session.store('missing/a.xml', b'content')
        session.store('a.xml', b'content')
        self.assertIsNone(session.read('missing.xml'))


class PyFTPTests(ActiveContract, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdTests(ActiveContract, unittest.TestCase):
    layer = layers.VSFTPD

    def test_one_that_does_not_know_eprt(self):
        self.server = self.enterContext(VsftpdServer(extra=['cmds_denied=EPRT']))
        session = self.open()
        for name in ('a.xml', 'b.xml'):
            session.store(name, b'content')
        self.assertEqual({'a.xml', 'b.xml'}, session.names())
        with self.assertRaises(PermanentError):
            self.open(epsv='yes').store('a.xml', b'content')


class OverTLSTests(ftps.OverTLS, unittest.TestCase):
    """The connection is theirs, and still we are the client of TLS."""

    layer = layers.VSFTPD_TLS13

    def test_transfers(self):
        session = self.tls_target(passive=False).open()
        self.addCleanup(session.close)
        for name, content in (('empty.xml', b''), ('a.xml', b'x' * 300_000)):
            session.store(name, content)
            self.assertEqual(content, session.read(name, limit=1_000_000))


class ProFTPDTests(ActiveContract, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDTests(ActiveContract, unittest.TestCase):
    layer = layers.PUREFTPD
