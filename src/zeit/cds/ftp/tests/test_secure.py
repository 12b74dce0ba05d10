"""A stream in TLS, against a peer made of Python's own `ssl`."""

import contextlib
import errno
import os
import select
import socket
import ssl
import struct
import threading
import time
import unittest
import unittest.mock

from zeit.cds.errors import CertificateRefused, ConnectionLost, DeadlinePassed, HandshakeFailed
from zeit.cds.ftp import secure
from zeit.cds.ftp.secure import Protection, SecureStream
from zeit.cds.ftp.stream import CHUNK, Stream
from zeit.cds.ftp.tls import TLS
from zeit.cds.network.deadline import Until
from zeit.cds.testing import tls
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET


HOST = '127.0.0.1'

#: Seconds for what should take milliseconds.
TIMEOUT = 10


class Peer:
    """Calls `function(sock)` in a thread for the only connection; a context manager.

    `context` makes it a TLS server first.  What the function raises is raised by the context.
    """

    def __init__(self, function, *, context=None):
        self._function = function
        self._context = context
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(TIMEOUT)
        self._thread = threading.Thread(target=self._run)
        self._error = self.result = None

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback):
        self._thread.join(TIMEOUT)
        self._listener.close()
        if self._error is not None and error is None:
            raise self._error

    def _run(self):
        try:
            sock, _ = self._listener.accept()
            with sock:
                sock.settimeout(TIMEOUT)
                if self._context is not None:
                    sock = self._context.wrap_socket(
                        sock, server_side=True, suppress_ragged_eofs=False
                    )
                with sock:
                    self.result = self._function(sock)
        except Exception as error:  # noqa: BLE001 it is raised where the test sees it
            self._error = error

    def connect(self, *, timeout=TIMEOUT):
        return Stream.connect(
            *self._listener.getsockname(),
            connect_timeout=TIMEOUT,
            timeout=timeout,
            activity='connecting',
        )


class SecureCase(unittest.TestCase):
    layer = QUIET

    def setUp(self):
        super().setUp()
        self.certificates = self.enterContext(Certificates())

    def peer(self, function, *, certificate=None, **values):
        """Return a started `Peer` that speaks TLS."""
        certificate = certificate or self.certificates.server
        context = tls.TLS(certificate=certificate, **values).context()
        return self.enterContext(Peer(function, context=context))

    def context(self, **values):
        return TLS(mode='explicit', ca_file=self.certificates.ca_file, **values).context()

    def secure(self, peer, *, timeout=TIMEOUT, host=HOST, **values):
        """Return a `SecureStream` to the peer."""
        stream = SecureStream.over(
            peer.connect(timeout=timeout),
            context=self.context(**values),
            host=host,
            timeout=timeout,
        )
        self.addCleanup(stream.close)
        return stream


def everything(sock):
    """Return what comes until the other side's close_notify, then answer that."""
    found = b''
    while data := sock.recv(CHUNK):
        found += data
    sock.unwrap()
    return found


class BothVersions:
    """The tests of a subclass, with its `version` of TLS."""

    version = None

    def serve(self, function, **kw):
        return self.peer(function, minimum=self.version, maximum=self.version, **kw)

    def test_an_orderly_end(self):
        data = os.urandom(1_000_001)
        for content in (b'', b'x', data):
            with Peer(
                everything, context=tls.TLS(certificate=self.certificates.server).context()
            ) as peer:
                stream = self.secure(peer, maximum=self.version)
                stream.send(content, activity='sending')
                stream.finish(activity='ending')
                stream.close()
            self.assertEqual(content, peer.result)

    def test_no_reset_with_an_unread_end(self):
        """The server's close_notify comes after `finish`: before `close`, or while that waits."""
        for waits in (False, True):
            with self.subTest(waits=waits):
                self.assert_not_reset(self.serve, waits=waits)

    def assert_not_reset(self, serve, *, waits=False, begin=lambda sock: None):
        """`serve` a function that calls `begin` and says its own when `finish` is over.

        It does not end the connection: after that a reset would find nobody.
        """
        finished, said, closed = threading.Event(), threading.Event(), threading.Event()

        def late(sock):
            finished.wait(TIMEOUT)
            begin(sock)
            found = everything(sock)
            said.set()
            closed.wait(TIMEOUT)
            return found, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

        def wait(stream, events, **kw):
            finished.set()
            Stream._wait(stream, events, **kw)

        peer = serve(late)
        stream = self.secure(peer)
        stream.send(b'content', activity='sending')
        stream.finish(activity='ending')
        with (
            unittest.mock.patch.object(secure, 'GOODBYE', TIMEOUT),
            unittest.mock.patch.object(SecureStream, '_wait', wait),
        ):
            if not waits:
                finished.set()
                self.assertTrue(said.wait(TIMEOUT))
            stream.close()
        finished.set()
        closed.set()
        peer.__exit__(None, None, None)
        self.assertEqual((b'content', 0), peer.result)

    def test_a_server_that_ends_first(self):
        said = threading.Event()

        def hasty(sock):
            sock.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                sock.unwrap()
            said.set()
            sock.settimeout(TIMEOUT)
            sock.unwrap()

        stream = self.secure(self.serve(hasty))
        self.assertTrue(said.wait(TIMEOUT))
        with self.assertNoLogs('zeit.cds.ftp.secure', 'DEBUG'):
            stream.finish(activity='ending')
            stream.close()

    def test_one_that_never_says_goodbye(self):
        go_on = threading.Event()

        def silent(sock):
            found = sock.recv(10)
            go_on.wait(TIMEOUT)
            return found

        peer = self.serve(silent)
        stream = self.secure(peer)
        stream.send(b'content', activity='sending')
        with unittest.mock.patch.object(secure, 'GOODBYE', 0.1):
            before = time.monotonic()
            stream.finish(activity='ending')
            stream.close()
            self.assertLess(time.monotonic() - before, TIMEOUT)
        go_on.set()
        self.assertEqual('<Stream to 127.0.0.1, closed>', repr(stream))

    def test_the_end_of_what_is_received(self):
        def part(sock):
            sock.sendall(b'part')
            # Nothing follows, and nobody says that it was all.
            socket.socket(fileno=sock.detach()).close()

        def whole(sock):
            sock.sendall(b'whole')
            with contextlib.suppress(OSError):
                sock.unwrap()

        for function, data, truncated in ((part, b'part', True), (whole, b'whole', False)):
            stream = self.secure(self.serve(function))
            self.assertEqual(data, stream.receive(activity='reading'))
            self.assertEqual(b'', stream.receive(activity='reading'))
            self.assertEqual(truncated, stream.truncated)
            stream.close()

    def test_nobody_to_say_goodbye_to(self):
        closed = threading.Event()

        def hang_up(sock):
            socket.socket(fileno=sock.detach()).close()
            closed.set()

        stream = self.secure(self.serve(hang_up))
        self.assertTrue(closed.wait(TIMEOUT))
        with self.assertNoLogs('zeit.cds.ftp.secure', 'DEBUG'):
            with self.assertRaisesRegex(ConnectionLost, 'ending: the server closed the connect'):
                stream.finish(activity='ending')
            stream.close()

    def test_what_is_not_encrypted_or_no_record(self):
        for came in (
            b'500 OOPS: child died\r\n',
            b'421 \r\n',
            bytes(20),
            b'\x17\x03\x03\x00\x20' + bytes(0x20),  # nobody encrypted that
            b'\x17\x03\x03\xff\xff' + bytes(20),  # longer than records may be
        ):

            def clear(sock, came=came):
                with socket.socket(fileno=sock.detach()) as plain:
                    plain.sendall(came)
                    plain.settimeout(TIMEOUT)
                    with contextlib.suppress(ConnectionResetError):
                        plain.recv(1)

            with self.subTest(came):
                stream = self.secure(self.serve(clear))
                with self.assertRaisesRegex(ConnectionLost, 'reading: what came is not encrypted'):
                    stream.receive(activity='reading')
                stream.abort()

    def test_a_reset_in_the_middle_is_seen(self):
        def read(sock):
            sock.sendall(b'x')
            # Not in TLS, where OpenSSL tells an end from a reset only sometimes.
            with socket.socket(fileno=sock.detach()) as plain:
                plain.settimeout(TIMEOUT)
                with self.assertRaises(ConnectionResetError):
                    while plain.recv(CHUNK):
                        pass

        peer = self.serve(read)
        stream = self.secure(peer)
        # Before that the reset could hit the end of the handshake.
        self.assertEqual(b'x', stream.receive(activity='reading'))
        stream.send(b'x' * 100_000, activity='sending')
        stream.abort()

    def test_what_is_there_already(self):
        said, go_on = threading.Event(), threading.Event()

        def speak(sock):
            # Tickets have gone out with TLS 1.3, but no data.
            said.set()
            go_on.wait(TIMEOUT)
            sock.sendall(b'data')
            sock.recv(1)

        stream = self.secure(self.serve(speak))
        self.assertTrue(said.wait(TIMEOUT))
        self.assertIsNone(stream.receive_now())
        self.assertIsNone(stream.receive_now())
        go_on.set()
        self.assertEqual(b'data', stream.receive(activity='reading'))
        self.assertIsNone(stream.receive_now())
        stream.close()

    def test_the_deadline_where_data_is_always_there(self):
        sent = threading.Event()

        def speak(sock):
            sock.sendall(b'x')
            sock.sendall(b'y')
            sent.set()
            sock.recv(1)

        stream = self.secure(self.serve(speak))
        self.assertTrue(sent.wait(TIMEOUT))
        self.assertEqual(b'x', stream.receive(activity='reading'))
        stream.deadline.restart(0)
        with self.assertRaises(DeadlinePassed):
            stream.receive(activity='reading')
        with self.assertRaises(DeadlinePassed):
            stream.send(b'z', activity='sending')

    def test_a_ticket_is_no_end(self):
        go_on, ends = threading.Event(), threading.Event()

        def speak(sock):
            go_on.wait(TIMEOUT)
            with contextlib.suppress(OSError):
                sock.unwrap()
            ends.wait(TIMEOUT)

        with Peer(lambda sock: ends.wait(TIMEOUT)) as silent:
            control, stream = silent.connect(), self.secure(self.serve(speak))
            try:
                soon = time.monotonic() + 0.1
                self.assertFalse(stream.is_ended_before(control, until=soon))
                go_on.set()
                late = time.monotonic() + TIMEOUT
                self.assertTrue(stream.is_ended_before(control, until=late))
            finally:
                go_on.set()
                ends.set()
                control.close()

    def test_silence(self):
        go_on = threading.Event()
        stream = self.secure(self.serve(lambda sock: go_on.wait(TIMEOUT)))
        stream._timeout = 0.05  # from now on: the handshake may take its time
        try:
            with self.assertRaises(ConnectionLost) as caught:
                stream.receive(activity='reading')
            self.assertEqual('No answer within 0.05 s while reading', caught.exception.message)
            with self.assertRaisesRegex(ConnectionLost, 'No answer'):
                stream.receive(activity='reading', until=Until(0))
            with self.assertRaisesRegex(ConnectionLost, 'No answer within 0.05 s while sending'):
                while True:
                    stream.send(b'x' * CHUNK, activity='sending')
        finally:
            go_on.set()

    def test_no_room_for_the_goodbye(self):
        go_on = threading.Event()
        stream = self.secure(self.serve(lambda sock: go_on.wait(TIMEOUT)))
        stream._timeout = 0.05  # from now on: the handshake may take its time
        # Of a TCP connection the peer's system may take some more at any time.
        self.addCleanup(stream._sock.close)
        stream._sock, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        stream._sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                stream._sock.send(b'x' * CHUNK)
        try:
            with self.assertRaisesRegex(ConnectionLost, 'No answer within 0.05 s while ending'):
                stream.finish(activity='ending')
            stream.close()  # does not wait either
        finally:
            go_on.set()

    def test_refused_certificates(self):
        found = self.certificates
        for certificate, text, hint in (
            (found.self_signed, 'of 127.0.0.1 is refused: self-signed certificate', 'ca_file'),
            (found.expired, 'of 127.0.0.1 is refused: certificate has expired', 'renew'),
            (found.wrong_name, "is refused: .*not valid for '127.0.0.1'", 'in the certificate'),
        ):
            with self.subTest(text), self.assertRaisesRegex(CertificateRefused, text) as caught:
                self.secure(self.unlucky(certificate))
            self.assertIn(hint, caught.exception.hint)
            self.assertFalse(caught.exception.transient)
            self.assertEqual(69, caught.exception.exit_code)

    def test_the_interface_of_an_address_is_in_no_certificate(self):
        certificate = self.certificates.issue('fe80::1')
        stream = self.secure(self.serve(everything, certificate=certificate), host='fe80::1%eth0')
        stream.send(b'x', activity='sending')
        stream.finish(activity='ending')
        with self.assertRaises(CertificateRefused):
            self.secure(self.unlucky(certificate), host='fe80::2%eth0')

    def unlucky(self, certificate):
        """Return a peer whose handshake fails."""
        context = tls.TLS(
            certificate=certificate, minimum=self.version, maximum=self.version
        ).context()

        def handshake(sock):
            with self.assertRaises(OSError):
                context.wrap_socket(sock, server_side=True).recv(1)

        return self.enterContext(Peer(handshake))

    def test_accepted_ones(self):
        own = self.certificates.self_signed
        stream = self.secure(self.serve(everything, certificate=own), verify=False)
        stream.finish(activity='ending')
        stream.close()
        stream = SecureStream.over(
            self.serve(everything, certificate=own).connect(),
            context=TLS(mode='explicit', ca_file=own.certificate).context(),
            host='localhost.',
            timeout=TIMEOUT,
        )
        stream.finish(activity='ending')
        stream.close()

    def test_one_that_is_trusted_by_itself(self):
        """Also if somebody else has signed it."""
        stream = SecureStream.over(
            self.serve(everything).connect(),
            context=TLS(mode='explicit', ca_file=self.certificates.server.certificate).context(),
            host=HOST,
            timeout=TIMEOUT,
        )
        stream.finish(activity='ending')
        stream.close()

    def test_a_certificate_of_ours(self):
        client = self.certificates.client
        peer = self.serve(
            lambda sock: (sock.getpeercert(), sock.sendall(b'x'), everything(sock))[0],
            client_ca_file=self.certificates.ca_file,
        )
        stream = self.secure(peer, certificate=client.certificate, key=client.key)
        self.assertEqual(b'x', stream.receive(activity='reading'))
        stream.close()
        peer.__exit__(None, None, None)
        self.assertIn(('commonName', 'test'), [name for (name,) in peer.result['subject']])


class Hungry:
    """In place of an `ssl.SSLObject` and its context: what comes in is never enough."""

    def wrap_bio(self, came, said, **options):
        self._came = came
        return self

    def do_handshake(self):
        self._came.read()
        raise ssl.SSLWantReadError

    def read(self, size):
        self.do_handshake()

    unwrap = do_handshake
    version = session = None


class Refusing(Hungry):
    """The certificate is not right, and the other side is told so."""

    def wrap_bio(self, came, said, **options):
        self._said = said
        return super().wrap_bio(came, said)

    def do_handshake(self):
        self._said.write(b'alert')
        error = ssl.SSLCertVerificationError(1, 'certificate verify failed')
        error.verify_code, error.verify_message = 10, 'certificate has expired'
        raise error


class RefusingTests(unittest.TestCase):
    layer = QUIET

    def test_the_other_side_has_gone_when_it_is_told(self):
        peer = self.enterContext(Peer(lambda sock: None))
        stream = peer.connect(timeout=TIMEOUT)
        gone = ConnectionResetError(errno.ECONNRESET, 'Connection reset by peer')
        with unittest.mock.patch.object(stream, '_sock', wraps=stream._sock) as sock:
            sock.send.side_effect = gone
            with self.assertRaises(CertificateRefused):
                SecureStream.over(stream, context=Refusing(), host=HOST, timeout=TIMEOUT)
        stream.close()


class NeverEnoughTests(unittest.TestCase):
    """What comes is never the handshake's end, or data, and comes faster than it can be read."""

    layer = QUIET

    def setUp(self):
        super().setUp()
        ended = threading.Event()
        peer = self.enterContext(Peer(lambda sock: (sock.sendall(b'x'), ended.wait(TIMEOUT))))
        self.addCleanup(ended.set)
        self.stream = peer.connect(timeout=0.05)
        self.addCleanup(self.stream.close)
        take = unittest.mock.patch.object(SecureStream, '_take', lambda stream: self.take(stream))
        self.enterContext(take)
        self.until = time.monotonic() + TIMEOUT

    def take(self, stream):
        stream._came.write(self.more())

    def more(self, size=None):
        if time.monotonic() > self.until:
            raise AssertionError('It goes on without a bound')
        return b'x'

    def over(self, *, timeout):
        return SecureStream.over(self.stream, context=Hungry(), host=HOST, timeout=timeout)

    def test_a_handshake_ends_with_its_time_out(self):
        with self.assertRaisesRegex(ConnectionLost, 'No answer within 0.05 s while beginning TLS'):
            self.over(timeout=0.05)

    def test_a_handshake_ends_with_the_deadline(self):
        self.stream.deadline.restart(0.05)
        with self.assertRaises(DeadlinePassed):
            self.over(timeout=TIMEOUT)

    def test_waiting_for_data(self):
        stream = SecureStream(self.stream, Hungry())
        self.assertIsNone(stream.receive_now())
        with self.assertRaisesRegex(ConnectionLost, 'No answer within 0.05 s while reading'):
            stream.receive(activity='reading')
        with unittest.mock.patch.object(secure, 'GOODBYE', 0.05):
            stream.finish(activity='ending')
            stream.close()

    def test_data_behind_the_goodbye(self):
        stream = SecureStream(self.stream, Hungry())
        with (
            unittest.mock.patch.object(secure, 'GOODBYE', 0.05),
            unittest.mock.patch.object(stream, '_read', self.more),
        ):
            stream.finish(activity='ending')
            stream.close()


class TLS12Tests(BothVersions, SecureCase):
    version = '1.2'


class TLS13Tests(BothVersions, SecureCase):
    version = '1.3'

    def test_no_reset_with_unread_tickets(self):
        """They come with the end of the handshake, for which the client does not wait."""
        context = tls.TLS(
            certificate=self.certificates.server, minimum=self.version, maximum=self.version
        ).context()

        def serve(function):
            def half(plain):
                sock = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                select.select([sock], [], [], TIMEOUT)
                sock.setblocking(False)
                with contextlib.suppress(ssl.SSLWantReadError):
                    sock.do_handshake()
                sock.settimeout(TIMEOUT)
                with sock:
                    return function(sock)

            return self.enterContext(Peer(half))

        for waits in (False, True):
            with self.subTest(waits=waits):
                self.assert_not_reset(serve, waits=waits, begin=ssl.SSLSocket.do_handshake)


class HandshakeTests(SecureCase):
    def over(self, function, *, timeout=TIMEOUT, **values):
        return SecureStream.over(
            self.enterContext(Peer(function)).connect(),
            context=self.context(**values),
            host=HOST,
            timeout=timeout,
        )

    def test_one_that_does_not_answer(self):
        go_on = threading.Event()
        try:
            with self.assertRaises(ConnectionLost) as caught:
                self.over(lambda sock: go_on.wait(TIMEOUT), timeout=0.05)
        finally:
            go_on.set()
        text = 'No answer within 0.05 s while beginning TLS with 127.0.0.1'
        self.assertEqual(text, caught.exception.message)
        self.assertEqual(errno.ETIMEDOUT, caught.exception.errno)

    def test_one_that_answers_something_else(self):
        for came in (b'220 Welcome.\r\n', b'\x17\x03\x03\xff\xff' + bytes(20)):

            def answer(sock, came=came):
                sock.sendall(came)
                sock.recv(CHUNK)

            with self.subTest(came):
                with self.assertRaisesRegex(HandshakeFailed, 'what came is not encr') as caught:
                    self.over(answer)
                self.assertIn('explicit or implicit', caught.exception.hint)

    def test_one_that_hangs_up(self):
        with self.assertRaisesRegex(HandshakeFailed, 'the server closed the connection'):
            self.over(lambda sock: sock.recv(CHUNK))

    def test_one_that_has_reset_the_connection(self):
        connected = threading.Event()

        def reset(sock):
            connected.wait(TIMEOUT)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

        with Peer(reset) as peer:
            stream = peer.connect()
            connected.set()
        poll = select.poll()
        poll.register(stream._sock, select.POLLIN)
        self.assertTrue(poll.poll(TIMEOUT * 1000))
        with self.assertRaisesRegex(ConnectionLost, 'reset by peer'):
            SecureStream.over(stream, context=self.context(), host=HOST, timeout=TIMEOUT)

    def test_no_common_version(self):
        context = tls.TLS(certificate=self.certificates.server, maximum='1.2').context()

        def serve(sock):
            with self.assertRaises(ssl.SSLError):
                context.wrap_socket(sock, server_side=True)

        with self.assertRaisesRegex(HandshakeFailed, 'protocol') as caught:
            self.over(serve, minimum='1.3')
        self.assertIn('tls_minimum', caught.exception.hint)

    def test_no_certificate_of_ours(self):
        context = tls.TLS(
            certificate=self.certificates.server, client_ca_file=self.certificates.ca_file
        ).context()

        def serve(sock):
            with context.wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False
            ) as shaking:
                with self.assertRaises(ssl.SSLError):
                    shaking.do_handshake()
                # With something unread, its end would be a reset, which overtakes the reason.
                with socket.socket(fileno=shaking.detach()) as plain:
                    plain.settimeout(TIMEOUT)
                    while plain.recv(CHUNK):
                        pass

        with self.over(serve) as stream:  # with TLS 1.3 the client is ready before the server
            with self.assertRaisesRegex(ConnectionLost, 'certificate required') as caught:
                stream.receive(activity='waiting for the greeting')
        self.assertIn('certificate, key', caught.exception.hint)

    def test_why_it_hung_up(self):
        """Also for who notices it only when sending something."""
        context = tls.TLS(
            certificate=self.certificates.server, client_ca_file=self.certificates.ca_file
        ).context()
        reset = threading.Event()

        def serve(sock):
            with self.assertRaises(ssl.SSLError):
                context.wrap_socket(sock, server_side=True)
            reset.set()

        with self.over(serve) as stream:
            self.assertTrue(reset.wait(TIMEOUT))
            with self.assertRaisesRegex(ConnectionLost, 'certificate required'):
                for _ in range(3):
                    stream.send(b'USER test', activity='sending')


class ProtectionTests(SecureCase):
    """Which session is offered; real ones are resumed in the tests over real servers."""

    def offered(self, *answers, control='control', tickets=True, renewed=()):
        """Return the names of the sessions that are offered.

        `answers` says which are resumed, `renewed` the names of those that the server replaces on
        the connection that resumes them.
        """
        offered = []

        def session(name):
            return name and unittest.mock.Mock(id=name)

        def over(data, *, session, **options):
            name = session and session.id
            number = len(offered)
            offered.append(name)
            last = unittest.mock.Mock(id=f'data {number}') if name in renewed else session
            return unittest.mock.Mock(resumed=answers[number], session=last)

        protection = Protection(
            unittest.mock.Mock(session=session(control), has_tickets=tickets),
            context=None,
            host=HOST,
            timeout=1,
        )
        with unittest.mock.patch.object(SecureStream, 'over', over):
            for _ in answers:
                protection.secure(unittest.mock.Mock())
        self.assertEqual((len(answers), sum(answers)), (protection.connections, protection.resumed))
        return offered

    def test_that_of_the_control_connection(self):
        self.assertEqual(['control'] * 3, self.offered(True, True, True))

    def test_each_ticket_once_while_there_are_new_ones(self):
        self.assertEqual(
            ['control', 'data 0', 'data 1', 'control'],
            self.offered(True, True, True, False, renewed=('control', 'data 0')),
        )

    def test_before_tls_13_always_that_of_the_control_connection(self):
        self.assertEqual(
            ['control'] * 3, self.offered(True, True, True, tickets=False, renewed=('control',))
        )

    def test_a_server_that_never_resumes(self):
        self.assertEqual(['control'] * 3, self.offered(False, False, False))

    def test_nothing_to_resume(self):
        self.assertEqual([None] * 2, self.offered(False, False, control=None))

    def test_the_session_is_resumed_again_and_again(self):
        for version in tls.VERSIONS:
            with self.subTest(version):
                self.assertEqual((3, 3), self.resume(version))

    def resume(self, version):
        server = tls.TLS(certificate=self.certificates.server).context()
        context = self.context(minimum=version, maximum=version)
        options = {'context': context, 'host': HOST, 'timeout': TIMEOUT}
        ended = threading.Event()

        def greet(sock):
            sock.sendall(b'220')
            ended.wait(TIMEOUT)

        with contextlib.ExitStack() as stack:
            stack.callback(ended.set)
            control = SecureStream.over(
                stack.enter_context(Peer(greet, context=server)).connect(), **options
            )
            stack.callback(control.close)
            self.assertEqual(b'220', control.receive(activity='reading'))
            protection = Protection(control, **options)
            for _ in range(3):
                with Peer(everything, context=server) as peer:
                    data = protection.secure(peer.connect())
                    data.finish(activity='ending')
                    data.close()
            ended.set()
        return protection.connections, protection.resumed
