"""What the scenario tests have in common: a spool, a server with faults, and what always holds."""

import contextlib
import itertools
import logging
import os
import socket
import threading
import time
from unittest import mock

from zeit.cds import errors
from zeit.cds.credentials import Secret
from zeit.cds.names import _OURS
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers
from zeit.cds.testing.faults import FaultServer
from zeit.cds.tests.folders import in_memory


#: Time-outs of a target, in seconds, for a server that says nothing.
SHORT = {'connect_timeout': 0.3, 'reply_timeout': 0.3, 'data_timeout': 0.3}

#: Those of the others: what takes less has not waited for an answer in vain.
PATIENCE = 20

#: A run that takes longer than this, in seconds, has waited in vain more than once.
LONGEST = 30


def no_threads(*names):
    """Return a context manager; inside it the system has no threads of these names."""
    start = threading.Thread.start

    def refuse(thread):
        if thread.name in names:
            raise RuntimeError("can't start new thread")
        start(thread)

    return mock.patch.object(threading.Thread, 'start', refuse)


def target(server, **options):
    """Return a target: the directory /cds of the server."""
    where = {'host': server.host, 'port': server.port, 'directory': '/cds'}
    patience = dict.fromkeys(SHORT, PATIENCE)
    login = {'user': 'test', 'password': Secret('testpw')}
    return FTPTarget.from_options(**{**where, **patience, **login, 'connections': 1, **options})


def trust(spool, server):
    """Let `spool` know that its account has all rights on `server`: so it looks for none."""
    with spool.run():
        spool.journal.note('rights', target=target(server).url, known=True)


def content(name):
    """Return the bytes that a file has in these tests."""
    return f'This is {name}. '.encode('utf-8', 'surrogateescape') * 50


class Scenario:
    """Mixin for a TestCase: `server`, `spool`, and `export`, which checks what always holds.

    `theirs` has what is on the server and not ours to touch; `kept` are names of ours that the
    server does not let us remove.
    """

    layer = layers.QUIET
    server = None
    hook = None  # of the server
    arguments = {}  # further ones of the server

    def setUp(self):
        self.prepare()

    def prepare(self):
        """Start anew: an empty spool, an empty server without faults."""
        if self.server is not None:
            self.server.stop()
        self.server = self.enterContext(
            FaultServer(directories=['/cds'], hook=self.hook, **self.arguments)
        )
        self.fault = self.server.fault
        self.path = in_memory(self)
        self.spool = Spool(self.path)
        trust(self.spool, self.server)
        self.offered = {}
        self.theirs = {}

    def plant(self, name, data=b'theirs'):
        """Put something on the server that is not ours."""
        self.theirs[name] = data
        self.server.put(f'/cds/{name}', data)

    def put(self, *names):
        for name in names:
            self.offered[name] = content(name)
            self.spool.put(name, self.offered[name])

    @property
    def remote(self):
        """The files in the server's directory, by name."""
        return {path.removeprefix('/cds/'): data for path, data in self.server.files.items()}

    def section(self, name):
        try:
            return sorted(n for n in os.listdir(self.path / name) if not n.startswith('.'))
        except FileNotFoundError:
            return []

    def export(self, *names, garbage=0, run=None, **options):
        """Put files, run, check what always holds; return the report.

        `garbage` is how many names of ours the server may keep, since it lets nobody remove them.
        """
        self.put(*names)
        started = time.monotonic()
        with self.assertLogs('zeit.cds', 'DEBUG') as logs:
            goal = target(self.server, **options)
            exporter = Exporter(self.spool, goal, wait=lambda seconds: None)
            report = exporter.run_once(run or Options(order='name'))
        self.took = time.monotonic() - started
        self.records = logs.records
        self.log = '\n'.join(record.getMessage() for record in logs.records)
        self.assertLess(self.took, LONGEST, self.log)
        self.server.wait_closed()
        self.check(report, garbage=garbage)
        return report

    def check(self, report, *, garbage):
        remote = self.remote
        waiting = {*self.section('new'), *self.section('parked')}
        for name, data in self.offered.items():
            if name not in waiting:
                self.assertEqual(data, remote.get(name), f'{name} is filed, not delivered')
            if name in remote:
                self.assertIn(remote[name], (data, self.theirs.get(name)), f'{name} is partial')
            self.assertEqual(name not in waiting, name in self.section('cur'))
        for name, data in self.theirs.items():
            if name not in self.offered:
                self.assertEqual(data, remote.get(name), f'{name} is not ours')
        ours = {n for n in remote if n == 'write' or _OURS.fullmatch(n)} - set(self.theirs)
        self.assertEqual(garbage, len(ours), f'{ours}\n{self.server.transcript}\n{self.log}')
        for record in self.records:
            for line in logging.Formatter().format(record).splitlines():
                self.assertTrue(line.isprintable() and len(line) < 1500, repr(line))
        for error in report.errors:
            self.assertNotEqual(errors.SOFTWARE, error.exit_code, repr(error))

    def assert_run(self, code, delivered, report):
        """Compare the exit code, and the delivered names (one word each, separated by spaces)."""
        self.assertEqual((code, delivered.split()), (report.exit_code, report.delivered), self.log)

    def heal(self, **options):
        """Without faults the next run delivers the rest, and one more has nothing to do."""
        self.server.clear_faults()
        report = self.export(**options)
        self.assertEqual((0, []), (report.exit_code, self.section('new')), self.log)
        connected = self.server.connected
        self.assertEqual(0, self.export(**options).exit_code)
        self.assertEqual(connected, self.server.connected)


class Drip:
    """A port that sends a byte now and then, without end, to the one who connects.

    A context manager; `number` is the port.
    """

    def __init__(self, data=b'x', *, pause=0.02):
        self._data = data
        self._pause = pause
        self._stop = threading.Event()

    def __enter__(self):
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.number = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes up accept
        self._listener.close()
        self._thread.join(10)

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    for byte in itertools.cycle(self._data):
                        client.sendall(bytes([byte]))
                        if self._stop.wait(self._pause):
                            return
