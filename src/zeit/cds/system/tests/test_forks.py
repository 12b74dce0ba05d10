"""What a child that is forked in the middle of a run has of it: nothing."""

import contextlib
import os
import pathlib
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
import warnings

import zope.interface

from zeit.cds.credentials import Secret
from zeit.cds.interfaces import IProgress
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.spool import Spool
from zeit.cds.system import forks
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import faults, layers
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.tls import TLS
from zeit.cds.tests import remembered


#: the fork begins.  The function that is registered first is the last one before the fork itself.
RACE = """
import os, threading
from zeit.cds.system import forks
order, opened, forking = [], threading.Event(), threading.Event()
os.register_at_fork(before=lambda: order.append('fork'))
forks.not_inherited(open, os.devnull).close()
os.register_at_fork(before=forking.set)

def slowly():
    file = open(os.devnull)
    opened.set()
    forking.wait(60)
    order.append('opened')
    return file

files = []
thread = threading.Thread(target=lambda: files.append(forks.not_inherited(slowly)))
thread.start()
opened.wait(60)
child = os.fork()
if not child:
    os._exit(0 if order == ['opened', 'fork'] and not any('null' in os.readlink(
        f'/proc/self/fd/{name}') for name in os.listdir('/proc/self/fd')[3:-1]) else 1)
thread.join()
assert not files[0].closed and order == ['opened', 'fork'], order
assert os.waitpid(child, 0)[1] == 0, 'the child has it'
"""


def in_child(function):
    """Return what `function()`, in a forked child, returns: a text."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # of Python 3.12, beside threads
        child = os.fork()
    if not child:
        try:
            os.close(readable)
            os.write(writable, function().encode())
        finally:
            os._exit(0)
    os.close(writable)
    with open(readable, encoding='utf-8') as file:
        text = file.read()
    os.waitpid(child, 0)
    return text


def opened(spool, port):
    """Return what of a run this process has open: files in `spool`, connections to `port`."""
    found = []
    for number in os.listdir('/proc/self/fd'):
        with contextlib.suppress(OSError):
            where = os.readlink(f'/proc/self/fd/{number}')
            if where.startswith(os.path.realpath(spool)):
                found.append(os.path.relpath(where, os.path.realpath(spool)))
            if stat.S_ISSOCK(os.fstat(int(number)).st_mode):
                with socket.socket(fileno=os.dup(int(number))) as sock:
                    found += ['connection'] * (port in [*sock.getpeername()][1:2])
    return ' '.join(sorted(found))


@zope.interface.implementer(IProgress)
class Forks:
    """Forks in the middle of a file; `before` and `child` are what is open here and there."""

    def __init__(self, look):
        self._look = look
        self.before = self.child = None

    def expected(self, *, files, size):
        """See `IProgress`."""

    def settled(self, name, *, size):
        """See `IProgress`."""

    def sent(self, name, position):
        """See `IProgress`."""
        if self.child is None:
            self.before, self.child = self._look(), in_child(self._look)


class RunTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path)

    def server(self, **options):
        server = self.enterContext(faults.FaultServer(directories=['/cds'], **options))
        self.forks = Forks(lambda: opened(self.path, server.port))
        return server

    def target(self, server, **options):
        return FTPTarget.from_options(
            host=server.host,
            port=server.port,
            user='test',
            password=Secret('testpw'),
            directory='/cds',
            **options,
        )

    def assert_nothing_inherited(self, *expected):
        for what in expected:
            self.assertIn(what, self.forks.before)
        self.assertEqual('', self.forks.child)

    def test_an_export(self):
        self.spool.put('a', b'1' * 1000)
        target = self.target(self.server())
        report = Exporter(self.spool, target).run_once(Options(progress=self.forks))
        self.assertEqual(['a'], report.delivered)
        self.assert_nothing_inherited(remembered.JOURNAL, '.cds/lock', 'connection', 'new/a')

    def test_an_import(self):
        server = self.server()
        server.put('/cds/a', b'1' * 1000, modified=time.time() - 3600)
        report = Importer(self.spool, self.target(server)).run_once(
            ImportOptions(progress=self.forks)
        )
        self.assertEqual(['a'], report.delivered)
        self.assert_nothing_inherited(remembered.JOURNAL, '.cds/lock', 'connection', 'tmp/a.')

    def test_over_tls(self):
        certificates = self.enterContext(Certificates())
        server = self.server(tls=TLS(certificate=certificates.server))
        self.spool.put('a', b'1' * 1000)
        target = self.target(server, tls='explicit', ca_file=str(certificates.ca_file))
        report = Exporter(self.spool, target).run_once(Options(progress=self.forks))
        self.assertEqual(['a'], report.delivered)
        self.assert_nothing_inherited('connection')


class ForkTests(unittest.TestCase):
    layer = layers.QUIET

    def test_a_fork_waits_for_what_is_being_opened(self):
        environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
        subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', RACE], env=environment, check=True, timeout=60
        )

    def test_a_fork_waits_for_a_bounded_time(self):
        began = forks.opening()
        with unittest.mock.patch.object(forks, 'LONGEST', 0.01), began:
            self.assertEqual('alive', in_child(lambda: 'alive'))

    def test_what_a_signal_breaks_off_is_waited_for_no_more(self):
        opening = forks.opening()
        opening.__enter__()
        del opening  # as a frame is, that an exception leaves between two lines
        self.assertEqual('alive', in_child(lambda: 'alive'))

    def test_a_signal_during_that_wait_leaves_no_lock(self):
        """Python reports what a handler raises there, and forks all the same."""
        held = forks._held()
        broken = unittest.mock.patch.object(held._changed, 'wait_for', side_effect=SystemExit)
        with broken, unittest.mock.patch('sys.unraisablehook') as reported:
            pid = os.fork()
            if not pid:
                os._exit(0)
        os.waitpid(pid, 0)
        self.assertEqual(1, reported.call_count)
        opened = threading.Event()

        def open_something():
            held._forks, forks_ = 1, held._forks  # so that it asks for the lock
            with forks.opening():
                opened.set()
            held._forks = forks_

        thread = threading.Thread(target=open_something, daemon=True)
        thread.start()
        thread.join(5)
        self.assertTrue(opened.is_set())

    def test_a_child_opens_and_forks_on_its_own(self):
        def grandchild():
            with forks.open_descriptor(os.devnull, os.O_RDONLY) as descriptor:
                return in_child(lambda: f'{descriptor.closed}')

        self.assertEqual('True', in_child(grandchild))
