"""Files over TLS: sessions resumed, every byte there, and an end that nobody takes for a break."""

import contextlib
import hashlib
import select
import time
import unittest
from unittest import mock

from OpenSSL import SSL
from pyftpdlib.handlers import TLS_DTPHandler

from zeit.cds.ftp.data import DataConnections
from zeit.cds.ftp.secure import Protection, SecureStream
from zeit.cds.system.polling import poll
from zeit.cds.target.upload import upload_files
from zeit.cds.testing import layers, pyftptls
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.memory import NoLedger
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.tls import TLS
from zeit.cds.tests import ftps
from zeit.cds.tests.contract import job
from zeit.cds.tests.ftps import OverTLS
from zeit.cds.tests.relay import Relay
from zeit.cds.values.plan import Plan


RECORD = 16 * 1024
#: In bytes: nothing, next to nothing, one at which clients have lost the end, whole records.
SIZES = (0, 1, 101_701, RECORD - 1, RECORD, RECORD + 1, 7 * RECORD, 64 * RECORD)
#: Seconds.
TIMEOUT = 10
LARGE = 64 * 1024 * 1024


def content(size):
    return (hashlib.sha256(b'%d' % size).digest() * (size // 32 + 1))[:size]


class Transfers(OverTLS):
    """Mixin; `resumes` is whether the server lets anybody resume."""

    level = 2
    resumes = True

    def setUp(self):
        super().setUp()
        self.session = self.open(connections=1)

    def open(self, **options):
        session = self.tls_target(**options).open()
        self.addCleanup(session.close)
        return session

    @property
    def protection(self):
        return self.session.connection.protection

    @contextlib.contextmanager
    def relayed(self):
        """Send data connections through relays; yield the list of these."""
        relays = []
        announced = DataConnections._next_port
        with contextlib.ExitStack() as stack:

            def of_a_relay(connection):
                _, port = announced(connection)
                relays.append(stack.enter_context(Relay((self.server.host, port))))
                return None, relays[-1].port

            stack.enter_context(mock.patch.object(DataConnections, '_next_port', of_a_relay))
            yield relays

    def upload(self, *sizes):
        jobs = [job(f'{number}-{size}', content(size)) for number, size in enumerate(sizes)]
        plan = Plan(jobs)
        for outcome in upload_files(self.session, plan, ledger=NoLedger()):
            plan.settle(outcome)
            self.assertIsNone(outcome.error)
        for each, size in zip(jobs, sizes, strict=True):
            there = (self.server.root / each.name).read_bytes()
            self.assertEqual(hashlib.sha256(content(size)).digest(), hashlib.sha256(there).digest())

    def test_40_six_uploads_in_a_row(self):
        before = getattr(self.server, 'resumptions', None)
        self.upload(*[10] * 6)
        self.assertEqual(1, self.session.connections)
        resumed = 6 if self.resumes else 0
        self.assertEqual((6, resumed), (self.protection.connections, self.protection.resumed))
        if before is not None:
            self.assertEqual(resumed, self.server.resumptions - before)

    def test_40_several_connections_each_with_a_session_of_its_own(self):
        before = getattr(self.server, 'resumptions', None)
        uploads, number = 40, 4
        self.session = self.open(connections=number)
        resumed, begun = [], set()
        secure = Protection.secure

        def counted(protection, data, **options):
            begun.add(protection)
            until = time.monotonic() + TIMEOUT
            while len(begun) < number and time.monotonic() < until:
                poll((), 0.01)  # the quickest would have sent them all before the others are there
            made = secure(protection, data, **options)
            resumed.append((protection, made.resumed))
            return made

        with mock.patch.object(Protection, 'secure', counted):
            self.upload(*range(uploads))
        self.assertEqual(number, len({protection for protection, _ in resumed}))
        self.assertEqual([self.resumes] * uploads, [each for _, each in resumed])
        if before is not None:
            self.assertEqual(uploads, self.server.resumptions - before)

    def ends(self, relays):
        """Return how they ended; the last one may be there for the lock, and was not used."""
        return [relay.ends for relay in relays if relay.heard]

    def test_42_every_size_and_an_orderly_end(self):
        with self.relayed() as relays:
            self.upload(*SIZES)
            self.session.close()
        self.assertEqual([[('FIN', 'FIN')]] * len(SIZES), self.ends(relays))
        self.assertEqual(1, self.session.connections)

    def test_42_a_large_file(self):
        with self.relayed() as relays:
            self.upload(LARGE)
            self.session.close()
        self.assertEqual([[('FIN', 'FIN')]], self.ends(relays))


class Vsftpd12Tests(Transfers, unittest.TestCase):
    layer = layers.VSFTPD_TLS12
    level = 1


class Vsftpd13Tests(Transfers, unittest.TestCase):
    layer = layers.VSFTPD_TLS13
    level = 1

    def test_another_end_would_be_seen(self):
        def careless(stream, *, activity):
            poll = select.poll()
            poll.register(stream._sock, select.POLLIN)
            self.assertTrue(poll.poll(TIMEOUT * 1000), 'no ticket came')
            stream._sock.close()

        with (
            self.relayed() as relays,
            mock.patch.object(SecureStream, 'finish', careless),
            mock.patch.object(SecureStream, 'is_ended_before', return_value=False),
        ):
            (outcome,) = upload_files(
                self.session, Plan([job('a', content(101_701))]), ledger=NoLedger()
            )
        self.assertIsNotNone(outcome.error)
        self.assertEqual('RST', relays[0].ends[0][0])


class VsftpdImplicitTests(Transfers, unittest.TestCase):
    layer = layers.VSFTPD_IMPLICIT


class ProFTPD12Tests(Transfers, unittest.TestCase):
    layer = layers.PROFTPD_TLS12


class ProFTPD13Tests(Transfers, unittest.TestCase):
    layer = layers.PROFTPD_TLS13


class ProFTPDImplicitTests(Transfers, unittest.TestCase):
    layer = layers.PROFTPD_IMPLICIT


class PureFTPD12Tests(Transfers, unittest.TestCase):
    layer = layers.PUREFTPD_TLS12


class PureFTPD13Tests(Transfers, unittest.TestCase):
    """It sends no tickets in TLS 1.3: there is nothing to be resumed."""

    layer = layers.PUREFTPD_TLS13
    resumes = False


class PyFTP12Tests(Transfers, unittest.TestCase):
    layer = layers.PYFTPD_TLS12


class PyFTP13Tests(Transfers, unittest.TestCase):
    layer = layers.PYFTPD_TLS13


class PyFTPImplicitTests(Transfers, unittest.TestCase):
    layer = layers.PYFTPD_IMPLICIT


class _Strict(TLS_DTPHandler):
    """A data connection that must resume a session."""

    def handle_ssl_established(self):
        # pyOpenSSL has no method for that.
        if not SSL._lib.SSL_session_reused(self.socket._ssl):
            self.cmd_channel.respond('522 Session reuse required.')
            self.close()


class SingleUseTests(unittest.TestCase):
    """A server that accepts each ticket once (RFC 8446 appendix C.4), and demands one."""

    layer = layers.QUIET

    def test_40_six_uploads_in_a_row(self):
        certificates = self.enterContext(Certificates())
        tls = TLS(certificate=certificates.server, minimum='1.3')
        context = pyftptls.context(tls)
        # Whoever takes early data protects itself against its repetition (SSL_OP_NO_ANTI_REPLAY
        # in OpenSSL's documentation): tickets are good for once.
        SSL._lib.SSL_CTX_set_max_early_data(context._context, 1)
        settings = {'ssl_context': context, 'dtp_handler': _Strict}
        server = self.enterContext(PyFTPServer(tls=tls, settings=settings))
        self.addCleanup(server.wait_idle, timeout=TIMEOUT)
        session = ftps.target(server, ca_file=certificates.ca_file, connections=1).open()
        self.addCleanup(session.close)
        plan = Plan([job(str(number), content(number)) for number in range(6)])
        for outcome in upload_files(session, plan, ledger=NoLedger()):
            plan.settle(outcome)
            self.assertIsNone(outcome.error)
        protection = session.connection.protection
        self.assertEqual((6, 6), (protection.connections, protection.resumed))
