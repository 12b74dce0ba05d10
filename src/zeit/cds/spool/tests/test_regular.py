"""What must be a regular file, and is a FIFO: nobody waits for its other end."""

import contextlib
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock

from zeit.cds import credentials, errors
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.system import logs
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget


#: So long a command may take, in seconds; waiting for a FIFO would be for ever.
LONGEST = 60


class FIFOTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def fifo(self, *names):
        path = self.folder.joinpath(*names)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        os.mkfifo(path)
        return path

    def command(self, *args):
        """Run zeit-cds in a process of its own; return (exit code, what it said)."""
        code = 'import sys; from zeit.cds.cli.main import main; sys.exit(main())'
        done = subprocess.run(
            [sys.executable, '-c', code, *map(str, args)],
            capture_output=True,
            text=True,
            timeout=LONGEST,
            env={
                **os.environ,
                'HOME': str(self.folder),
                'PYTHONPATH': os.pathsep.join(sys.path),
            },
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def assert_named(self, path, outcome, code=78):
        """It ends with one clear line that names the file."""
        self.assertEqual(code, outcome[0], outcome)
        self.assertRegex(outcome[1], f'{path}.*It is a FIFO, not a regular file', outcome)
        self.assertNotIn('bug', outcome[1])


class ConfigurationTests(FIFOTests):
    def setUp(self):
        super().setUp()
        (self.folder / 'spool').mkdir()
        (self.folder / 'pw').write_text('secret\n')
        (self.folder / 'pw').chmod(0o600)

    def export(self, *args, url='ftpes://test@127.0.0.1:1/in'):
        return self.command('export', '--spool', self.folder / 'spool', *args, url)

    def test_a_zcml_file(self):
        path = self.fifo('cds.zcml')
        self.assert_named(path, self.command('--zcml', path, 'status'))

    def test_a_zcml_file_that_is_included(self):
        zcml = self.folder / 'cds.zcml'
        for include, name in (
            ('<include file="other.zcml" />', 'other.zcml'),
            ('<include files="*.d/x.zcml" />', 'conf.d/x.zcml'),
            ('<include file="none.zcml" />', 'none.zcml.in'),
        ):
            with self.subTest(include):
                (self.folder / 'conf.d').mkdir(exist_ok=True)
                zcml.write_text(
                    f'<configure xmlns="http://namespaces.zope.org/zope">\n{include}</configure>'
                )
                path = self.fifo(name)
                code, said = self.command('--zcml', zcml, 'status')
                self.assert_named(path, (code, said))
                self.assertIn(f'{zcml}, line 2: ', said)
                path.unlink()

    def test_files_of_tls(self):
        path, password = self.fifo('pem'), ('--password-file', self.folder / 'pw')
        self.assert_named(path, self.export(*password, '--ca-file', path))
        self.assert_named(path, self.export(*password, '--certificate', path))
        certificate = '--certificate', self.folder / 'pw'
        self.assert_named(path, self.export(*password, *certificate, '--key', path))

    def test_netrc(self):
        self.fifo('.netrc')
        self.assert_named('.netrc', self.export())

    def test_a_log_file(self):
        """Everything else goes on."""
        path = self.fifo('log')
        password = ('--password-file', self.folder / 'pw')
        code, said = self.export(*password, '--log-file', path)
        self.assertEqual(0, code, said)
        self.assertRegex(said, f'Cannot write to the log file {path}: .*nobody reads it')

    def test_a_log_file_that_is_read(self):
        path = self.fifo('log')
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        with logs.log_to(path):
            logging.getLogger('zeit.cds').warning('One')
            self.assertIn(b'One', os.read(reader, 1000))


class PasswordTests(FIFOTests):
    def pipe(self, content):
        """Return the path of a pipe with this content, as of a process substitution."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.write(writer, content)
        os.close(writer)
        return f'/dev/fd/{reader}'

    def test_a_pipe_is_read_once(self):
        for content in b'secret', b'secret\n', b'secret\r\nmore\n':
            secret = credentials.SecretFile(self.pipe(content))
            with self.assertNoLogs('zeit.cds.credentials'):
                secret.require_usable()
            self.assertEqual(['secret'] * 2, [secret.reveal(), secret.reveal()])
            self.assertNotIn('secret', repr(vars(secret)))

    def test_an_empty_one(self):
        with self.assertRaisesRegex(errors.ConfigurationError, 'is empty'):
            credentials.SecretFile(self.pipe(b'')).reveal()

    def test_one_whose_writer_comes_later(self):
        path = self.fifo('pw')
        writer = threading.Thread(target=path.write_text, args=['secret\n'])
        writer.start()
        self.addCleanup(writer.join)
        self.assertEqual('secret', credentials.SecretFile(path).reveal())

    def test_one_whose_writer_waits_for_a_reader(self):
        """It writes for the first one that comes, and is gone before a second one could."""
        path, waiting, really = self.fifo('pw'), ['secret\n'], os.open

        def opened(*args, **options):
            descriptor = really(*args, **options)
            if waiting:
                path.write_text(waiting.pop())
            return descriptor

        self.enterContext(unittest.mock.patch.object(os, 'open', opened))
        self.enterContext(unittest.mock.patch.object(credentials, 'PIPE_SECONDS', 1))
        self.assertEqual('secret', credentials.SecretFile(path).reveal())

    def test_nobody_writes(self):
        path = self.fifo('pw')
        with unittest.mock.patch.object(credentials, 'PIPE_SECONDS', 0.01):
            with self.assertRaisesRegex(errors.ConfigurationError, f'{path} .*Nothing came within'):
                credentials.SecretFile(path).reveal()


class SpoolTests(FIFOTests):
    def setUp(self):
        super().setUp()
        self.spool = Spool(self.folder)
        self.spool.put('a', b'1')
        with self.assertLogs('zeit.cds'):
            Exporter(self.spool, MemoryTarget()).run_once(Options())
        self.spool.put('a', b'2')

    def test_a_run(self):
        for name in 'journal/state.jsonl', 'lock':
            with self.subTest(name):
                self.setUp()
                path = self.fifo('.cds', name)
                self.assert_named(path, self.command('adopt', '--spool', self.folder))

    def test_looking(self):
        for name in 'journal/state.jsonl', 'lock':
            for command in ['status'], ['status', '--prometheus'], ['receipt', 'a']:
                with self.subTest(name, command=command):
                    self.setUp()
                    path = self.fifo('.cds', name)
                    command, *further = command
                    code, said = self.command(command, '--spool', self.folder, *further)
                    self.assertNotIn('bug', said)
                    if code:
                        self.assert_named(path, (code, said), code)

    def test_what_a_transaction_has_voted_for(self):
        (self.folder / '.cds' / 'outbox' / 'x').mkdir(parents=True)
        path = self.fifo('.cds', 'outbox', 'x', 'prepared')
        self.assert_named(path, self.command('status', '--spool', self.folder))

    def test_what_is_known_of_a_parked_file(self):
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][0], 'No.')
        path = self.fifo('parked', '.a.parked')
        self.assert_named(path, self.command('status', '--spool', self.folder))
