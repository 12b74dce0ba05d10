"""The test servers themselves, each with a plain client: what other tests rely on."""

import contextlib
import ftplib
import io
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import unittest

from zeit.cds.testing.layers import PROFTPD, PUREFTPD, PYFTPD, VSFTPD, ServerTests
from zeit.cds.testing.process import ServerError
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.servers import ProFTPDServer, PureFTPDServer, VsftpdServer


NAME = '{urn:uuid:347b85e0-0740-4e52-8f62-3192430b0417}.xml'
# Pure-FTPd answers a wrong password after 3 to 6 s (randomsleep in its ftpd.c, not configurable).
TIMEOUT = 60
SESSIONS = 16


def processes_below(pid):
    """Return the process ids of all descendants of *pid*, itself included, that are alive."""
    parents = {}
    for directory in pathlib.Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            fields = directory.joinpath('stat').read_text().rpartition(')')[2].split()
            if fields[0] != 'Z':
                parents[int(directory.name)] = int(fields[1])
    found = {pid} & set(parents)
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


class Client(unittest.TestCase):
    def connect(self, server, *, user=None, password=None):
        """Return a logged-in ftplib client that is closed after the test."""
        ftp = ftplib.FTP(timeout=TIMEOUT)
        self.addCleanup(ftp.close)
        ftp.connect(server.host, server.port)
        ftp.login(user or server.user, password or server.password)
        return ftp

    def refusal(self, method, *arguments):
        """Return the reply code if the server refuses the call, else None."""
        try:
            method(*arguments)
        except ftplib.Error as error:
            return str(error)[:3]
        return None


class Refusals(ServerTests):
    def test_wrong_password_is_530(self):
        with self.assertRaisesRegex(ftplib.error_perm, '^530'):
            self.connect(self.server, password='wrong')

    def test_unknown_user_is_530(self):
        with self.assertRaisesRegex(ftplib.error_perm, '^530'):
            self.connect(self.server, user='nobody')


class Common(Refusals):
    """What holds for every server."""

    # Reply codes of a refusal; None where the server replaces the existing file.
    store_onto_existing = None
    rename_onto_existing = None
    rename_onto_directory = '550'

    def store(self, ftp, name, data):
        ftp.storbinary(f'STOR {name}', io.BytesIO(data))

    def test_root_is_the_directory_on_disk(self):
        ftp = self.connect(self.server)
        self.assertEqual('/', ftp.pwd())
        self.store(ftp, NAME, b'<article/>')
        self.assertEqual([NAME], os.listdir(self.server.root))
        self.assertEqual(b'<article/>', (self.server.root / NAME).read_bytes())
        ftp.voidcmd('TYPE I')
        self.assertEqual(10, ftp.size(NAME))
        self.assertRegex(ftp.sendcmd(f'MDTM {NAME}'), r'^213 \d{14}')

    def test_rename_and_delete(self):
        ftp = self.connect(self.server)
        self.store(ftp, 'a.part', b'a')
        ftp.rename('a.part', NAME)
        self.assertEqual([NAME], os.listdir(self.server.root))
        ftp.delete(NAME)
        self.assertEqual([], os.listdir(self.server.root))

    def test_files_of_the_test_can_be_read_renamed_and_deleted(self):
        (self.server.root / 'local').write_bytes(b'local')
        received = io.BytesIO()
        ftp = self.connect(self.server)
        ftp.retrbinary('RETR local', received.write)
        self.assertEqual(b'local', received.getvalue())
        ftp.rename('local', 'moved')
        ftp.delete('moved')

    def test_own_opens_directories_of_the_test(self):
        (self.server.root / 'local').mkdir()
        self.server.own()
        self.store(self.connect(self.server), 'local/a', b'a')
        self.assertEqual(b'a', (self.server.root / 'local/a').read_bytes())

    def test_store_onto_existing(self):
        ftp = self.connect(self.server)
        self.store(ftp, NAME, b'old')
        refused = self.refusal(self.store, ftp, NAME, b'new')
        self.assertEqual(self.store_onto_existing, refused)
        expected = b'old' if refused else b'new'
        self.assertEqual(expected, (self.server.root / NAME).read_bytes())

    def test_rename_onto_existing(self):
        ftp = self.connect(self.server)
        self.store(ftp, NAME, b'old')
        self.store(ftp, 'part', b'new')
        refused = self.refusal(ftp.rename, 'part', NAME)
        self.assertEqual(self.rename_onto_existing, refused)
        expected = b'old' if refused else b'new'
        self.assertEqual(expected, (self.server.root / NAME).read_bytes())

    def test_rename_onto_nonempty_directory_is_refused(self):
        ftp = self.connect(self.server)
        for name in ('mine', 'mine/1', 'theirs', 'theirs/2'):
            ftp.mkd(name)
        self.assertEqual(self.rename_onto_directory, self.refusal(ftp.rename, 'mine', 'theirs'))
        self.assertEqual(['2'], os.listdir(self.server.root / 'theirs'))
        ftp.rename('mine', 'guard')
        self.assertEqual(['1'], os.listdir(self.server.root / 'guard'))
        ftp.rmd('guard/1')
        ftp.rmd('guard')
        self.assertEqual(['theirs'], os.listdir(self.server.root))

    def test_many_sessions_of_one_client(self):
        sessions = [self.connect(self.server) for _ in range(SESSIONS)]
        self.assertEqual(['/'] * SESSIONS, [ftp.pwd() for ftp in sessions])

    def test_restart_on_the_same_port_cuts_sessions_and_keeps_files(self):
        server = self.enterContext(type(self.server)())
        port = server.port
        ftp = self.connect(server)
        self.store(ftp, NAME, b'a')
        server.restart()
        self.assertEqual(port, server.port)
        with self.assertRaises((EOFError, OSError, ftplib.Error)):
            ftp.pwd()
        self.assertEqual([NAME], os.listdir(server.root))
        self.assertEqual('/', self.connect(server).pwd())

    def test_stop_leaves_nothing(self):
        with type(self.server)() as server:
            self.connect(server)
            directory = server.root
            pids = processes_below(server.pid) if hasattr(server, 'pid') else set()
            # At least the supervisor, the daemon and the session.
            self.assertTrue(server is not self.server and (not pids or len(pids) >= 3), pids)
        self.assertFalse(server.running)
        self.assertEqual([], [pid for pid in pids if processes_below(pid)])
        self.assertFalse(directory.exists())
        with self.assertRaises(ConnectionRefusedError):
            self.connect(server)

    def test_password_is_not_shown(self):
        self.assertNotIn(self.server.password, repr(self.server))


class PyFTPTest(Common, Client):
    layer = PYFTPD

    def test_two_at_once_and_a_given_root(self):
        with tempfile.TemporaryDirectory() as root, PyFTPServer(root=root) as other:
            self.assertNotEqual(self.server.port, other.port)
            self.store(self.connect(other), 'a', b'a')
            self.assertEqual(['a'], os.listdir(root))
        self.assertEqual([], os.listdir(self.server.root))

    def test_says_nothing(self):
        program = (
            'import ftplib, logging\n'
            'from zeit.cds.testing.pyftpd import PyFTPServer\n'
            'with PyFTPServer() as server, ftplib.FTP() as ftp:\n'
            '    ftp.connect(server.host, server.port)\n'
            '    ftp.login(server.user, server.password)\n'
            '    ftp.mkd("a")\n'
            'assert not logging.root.handlers\n'
            'assert not logging.getLogger("pyftpdlib").handlers\n'
        )
        done = subprocess.run(
            [sys.executable, '-c', program],
            env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        self.assertEqual(('', 0), (done.stdout, done.returncode))


class Daemons(Common):
    """What holds for the servers that are processes."""

    def test_sigkill_of_the_test_process_ends_the_server(self):
        program = (
            'import ftplib\n'
            'from zeit.cds.testing.servers import {0}\n'
            'server = {0}().start()\n'
            'ftp = ftplib.FTP()\n'
            'ftp.connect(server.host, server.port)\n'
            'ftp.login(server.user, server.password)\n'
            'print(server.pid, server.root, flush=True)\n'
            'input()\n'
        )
        with subprocess.Popen(
            [sys.executable, '-c', program.format(type(self.server).__name__)],
            env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            self.addCleanup(process.kill)
            line = process.stdout.readline().decode().split()
            supervisor, root = int(line[0]), pathlib.Path(line[1])
            self.assertTrue(root.is_dir())
            pids = processes_below(supervisor)
            self.assertGreaterEqual(len(pids), 3)
            descriptor = os.pidfd_open(supervisor)
            self.addCleanup(os.close, descriptor)
            process.send_signal(signal.SIGKILL)
            process.wait(TIMEOUT)
        self.assertTrue(wait_readable(descriptor))
        self.assertEqual([], [pid for pid in pids if processes_below(pid)])
        self.assertFalse(root.exists())

    def test_extra_lines_reach_the_daemon(self):
        with self.assertRaises(ServerError) as caught:
            type(self.server)(extra=['--no-such-setting=1']).start()
        self.assertRegex(str(caught.exception), 'no-such-setting|unrecognized|Usage|OOPS')

    def test_the_daemons_own_settings_can_be_changed(self):
        settings = {
            VsftpdServer: ['ftpd_banner=changed'],
            ProFTPDServer: ['DisplayConnect /etc/hostname', 'ServerIdent on changed'],
            PureFTPDServer: ['--maxidletime', '1'],
        }[type(self.server)]
        with type(self.server)(extra=settings) as server:
            welcome = self.connect(server).getwelcome()
        self.assertRegex(welcome, 'changed|60 seconds')


def wait_readable(descriptor):
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(TIMEOUT * 1000))


class VsftpdTest(Daemons, Client):
    layer = VSFTPD


class ProFTPDTest(Daemons, Client):
    layer = PROFTPD
    store_onto_existing = '550'
    rename_onto_existing = '550'

    def test_allow_overwrite(self):
        with ProFTPDServer(allow_overwrite=True) as server:
            ftp = self.connect(server)
            for data in (b'old', b'new'):
                self.store(ftp, NAME, data)
            self.store(ftp, 'part', b'newest')
            ftp.rename('part', NAME)
            self.assertEqual(b'newest', (server.root / NAME).read_bytes())

    def test_standalone(self):
        with ProFTPDServer(standalone=True) as server:
            self.assertEqual('/', self.connect(server).pwd())


class PureFTPDTest(Daemons, Client):
    layer = PUREFTPD
    rename_onto_directory = '451'
    # They take seconds: see below.
    test_wrong_password_is_530 = test_unknown_user_is_530 = None


class PureFTPDRefusalTest(Refusals, Client):
    layer = PUREFTPD
    level = 2
