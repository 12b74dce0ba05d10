"""Real servers are asked when they have ended the data connection, before their final reply."""

import select
import socket
import time
import unittest
from unittest import mock

from zeit.cds.ftp.files import Files
from zeit.cds.ftp.stream import REPLY, Stream
from zeit.cds.network.deadline import Deadline
from zeit.cds.target.upload import upload_files
from zeit.cds.testing import layers
from zeit.cds.testing.memory import NoLedger
from zeit.cds.tests.contract import job
from zeit.cds.tests.ftps import OverTLS
from zeit.cds.tests.test_contract import target
from zeit.cds.values.plan import Plan


#: Bytes: nothing, one segment, several of them, more than a record of TLS or a buffer has.
SIZES = (0, 1, 4096, 16384, 40_000, 300_000, 7, 4096)


def is_ended_before(stream, other, *, until):
    """Wait for the end alone: on loopback the final reply is often there at the same moment."""
    poll = select.poll()
    poll.register(stream._sock, select.POLLIN)
    stream._sock.settimeout(0)
    while poll.poll(10_000):
        try:
            return not stream._read(REPLY)
        except BlockingIOError:
            continue
    return False


class EndTests(unittest.TestCase):
    """What is the end of a data connection, and what is none."""

    #: Seconds: longer than anything here takes.
    LATE = 10

    def setUp(self):
        self.data, self.theirs = self.stream()
        self.control, self.server = self.stream()

    def stream(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        stream = Stream(ours, timeout=self.LATE, deadline=Deadline(), peer='server')
        self.addCleanup(stream.close)
        return stream, theirs

    def is_ended(self, *, seconds=LATE):
        return self.data.is_ended_before(self.control, until=time.monotonic() + seconds)

    def test_it_is_closed(self):
        self.theirs.close()
        self.assertIs(True, self.is_ended())

    def test_something_is_said_that_nobody_asked_for(self):
        self.theirs.sendall(b'x')
        self.theirs.close()
        self.assertIs(False, self.is_ended())

    def test_the_final_reply_is_there_before(self):
        self.theirs.close()
        self.server.sendall(b'226 Done.\r\n')
        self.assertIs(False, self.is_ended())

    def test_it_is_reset(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
        self.data = Stream(ours, timeout=self.LATE, deadline=Deadline())
        self.addCleanup(self.data.close)
        Stream(theirs, timeout=self.LATE, deadline=Deadline()).abort()
        self.assertIs(False, self.is_ended())

    def test_nothing_happens(self):
        self.assertIs(False, self.is_ended(seconds=0.01))


class Prompt:
    """Mixin: nothing is given up, and every file arrives."""

    options = {}

    def test_questions_before_the_final_reply(self):
        asked = []
        ask = Files.ask_promptly

        def record(files, name, following, **kw):
            asked.append(ask(files, name, following, **kw))
            return asked[-1]

        for temporary in (True, False):
            jobs = [job(f'{temporary}-{n}', b'x' * size) for n, size in enumerate(SIZES)]
            session = self.prompt_target(temporary=temporary).open()
            session._capabilities.early = (
                False  # the replies to STOR and to its end are never read at once
            )
            try:
                with (
                    mock.patch.object(Stream, 'is_ended_before', is_ended_before),
                    mock.patch.object(Files, 'ask_promptly', record),
                    self.assertLogs('zeit.cds', 'DEBUG') as logs,
                ):
                    outcomes = list(upload_files(session, Plan(jobs), ledger=NoLedger()))
            finally:
                session.close()
            self.assertEqual([None] * len(SIZES), [outcome.error for outcome in outcomes])
            self.assertNotIn('Given up', '\n'.join(logs.output))
            for n, size in enumerate(SIZES):
                self.assertEqual(size, (self.server.root / f'{temporary}-{n}').stat().st_size)
        self.assertEqual([True] * (2 * len(SIZES)), asked)


class Plain(Prompt, layers.ServerTests):
    def prompt_target(self, **options):
        return target(self.server, connections=1, **options)


class PyFTPTests(Plain, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdTests(Plain, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDTests(Plain, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDTests(Plain, unittest.TestCase):
    layer = layers.PUREFTPD


class Secure(Prompt, OverTLS):
    def prompt_target(self, **options):
        return self.tls_target(connections=1, **options)


class Vsftpd12Tests(Secure, unittest.TestCase):
    layer = layers.VSFTPD_TLS12


class Vsftpd13Tests(Secure, unittest.TestCase):
    layer = layers.VSFTPD_TLS13


class ProFTPD12Tests(Secure, unittest.TestCase):
    layer = layers.PROFTPD_TLS12
    level = 2


class ProFTPD13Tests(Secure, unittest.TestCase):
    layer = layers.PROFTPD_TLS13
    level = 2


class PureFTPD12Tests(Secure, unittest.TestCase):
    layer = layers.PUREFTPD_TLS12
    level = 2


class PureFTPD13Tests(Secure, unittest.TestCase):
    layer = layers.PUREFTPD_TLS13
    level = 2


class PyFTP13Tests(Secure, unittest.TestCase):
    layer = layers.PYFTPD_TLS13
    level = 2
