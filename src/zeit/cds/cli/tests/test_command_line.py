"""The command line: what it says in each case, and its exit codes."""

import contextlib
import dataclasses
import errno
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

from zope.component import _api, globalregistry

from zeit.cds import names
from zeit.cds.cli import main
from zeit.cds.cli.commands import group
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.testing import layers
from zeit.cds.testing.ftpdata import Port


PASSWORD = 'testpw'

#: Seconds for a process that should need one.
TIMEOUT = 60

PROCESS = [sys.executable, '-c', 'import sys; from zeit.cds.cli.main import main; sys.exit(main())']


@dataclasses.dataclass
class Outcome:
    code: int
    out: str
    err: str


class _Terminal(io.StringIO):
    def isatty(self):
        return True


class CommandLine(unittest.TestCase):
    """A spool with two files, and ways to call the command."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.folder = folder
        self.path = folder / 'spool'
        self.path.mkdir()
        self.spool = Spool(self.path)
        for name in ('a.xml', 'b.xml'):
            self.spool.put(name, b'hello')
        self.environ = {
            'HOME': str(folder),
            'PATH': os.environ['PATH'],
            'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
            'ZEIT_CDS_PASSWORD': PASSWORD,
            'ZEIT_CDS_ZCML': '',
        }

    def call(self, *arguments, terminal=False):
        """Call `main` in this process; return an `Outcome`."""
        kind = _Terminal if terminal else io.StringIO
        out, err = kind(), kind()
        with (
            unittest.mock.patch.dict(os.environ, self.environ, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main.main([str(argument) for argument in arguments])
        self.assertNotIn(PASSWORD, out.getvalue() + err.getvalue())
        return Outcome(code, out.getvalue(), err.getvalue())

    def start(self, *arguments, program=PROCESS, **options):
        """Start the command as a process of its own, with pipes."""
        process = subprocess.Popen(
            [*program, *map(str, arguments)],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def finish(self, process):
        out, err = process.communicate(timeout=TIMEOUT)
        self.assertNotIn(PASSWORD, out + err)
        return Outcome(process.returncode, out, err)

    def names(self, section):
        return sorted(os.listdir(self.path / section))

    def assert_line(self, outcome, code, pattern):
        """One line on standard error, nothing on standard output."""
        self.assertRegex(outcome.err, pattern)
        self.assertEqual((code, ''), (outcome.code, outcome.out))
        self.assertEqual(1, len(outcome.err.splitlines()), outcome.err)
        self.assertTrue(outcome.err.startswith('zeit-cds: '), outcome.err)


class Usage(CommandLine):
    def test_help_fits_and_names_defaults(self):
        for command in ([], *([name] for name in group.NAMES), ['journal', 'verify']):
            outcome = self.call(*command, '--help')
            self.assertEqual((0, ''), (outcome.code, outcome.err))
            self.assertLessEqual(max(map(len, outcome.out.splitlines())), 80)
            words = ' '.join(command)
            self.assertRegex(outcome.out, rf'(?m)^ +zeit-cds (.* )?{words}', 'no example')
            listed = re.split(r'^\w[\w ]*:\n', outcome.out, flags=re.MULTILINE)[1:]
            found = re.findall(r'^  -', '\n'.join(listed), re.MULTILINE)
            defaults = ' '.join(outcome.out.split()).count('Default: ')
            # --help and --version have none.
            self.assertEqual(len(found), defaults + 1 + (command == []), outcome.out)

    def test_an_import_has_no_options_of_an_export(self):
        said = self.call('import', '--help').out
        for option in ('no-]temporary', '--exists', '--digest-limit'):
            self.assertNotIn(option, said)
            self.assertIn(option, self.call('export', '--help').out)
        self.assertIn('--[no-]size-check', said)
        self.assertIn('--connections', said)

    def test_version(self):
        self.assertRegex(self.call('--version').out, r'^zeit-cds \d+\.\S+\n$')

    def test_nothing_of_zope_is_imported_for_help(self):
        code = 'import sys, zeit.cds.cli.main as c; c.main(["--help"]); print(sorted(sys.modules))'
        modules = self.finish(self.start(program=[sys.executable, '-c', code])).out
        self.assertIn('click', modules)
        for name in ('zope.interface', 'zope.configuration', 'pyftpdlib'):
            self.assertNotIn(repr(name), modules)

    def test_without_a_command_the_help(self):
        outcome = self.call()
        self.assertEqual((64, ''), (outcome.code, outcome.out))
        self.assertIn('Usage: zeit-cds', outcome.err)

    def test_wrong_usage(self):
        for arguments, pattern in (
            (['exprot'], "No such command 'exprot'"),
            (['journal'], "Missing command. See 'zeit-cds journal --help'"),
            (['export', '--bogus'], "No such option.*See 'zeit-cds export --help'"),
            (['export', '--max-files', '0'], '--max-files'),
            (['export', '--max-files', 'x'], '--max-files'),
            (['export', '--park-after', '-1'], '--park-after'),
            (['export', '--deadline', 'nan'], "--deadline.*'nan' is not a number of seconds"),
            (['export', '--deadline', '-1'], '--deadline'),
            (['export'], 'Nothing to deliver: give --zcml FILE, or --spool'),
            (['export', '--spool', self.path], 'exactly one URL'),
            (['export', '--spool', self.path, 'ftp://u@h/d', 'ftp://u@h/d'], 'exactly one URL'),
            (['export', '--spool', self.path, 'http://h'], 'not the URL'),
            (['export', '--reply-timeout', 'inf', 'ftp://u@h/d'], '--reply-timeout.*86400'),
            (['export', '--data-timeout', 'nan', 'ftp://u@h/d'], '--data-timeout.*nan'),
            (['export', '--connect-timeout', '1e9', 'ftp://u@h/d'], '--connect-timeout.*86400'),
            *(
                (['export', '--spool', self.path, '--encoding', name, 'ftp://u@h/d'], f"'{name}'")
                for name in ('klingon', 'utf-16', 'rot13', 'base64')
            ),
            (['export', '--spool', self.path, '--tls', 'no', 'ftpes://u@h/d'], 'explicit.*for no'),
            (['export', '--spool', self.path, '--tls', 'explicit', 'ftps://u@h/d'], 'implicit TLS'),
            (['export', '--spool', self.path, '--key', 'x', 'ftps://u@h/d'], 'without its cert'),
            (
                [
                    'export',
                    '--spool',
                    self.path,
                    '--tls-minimum=1.3',
                    '--tls-maximum=1.2',
                    'ftps://u@h/d',
                ],
                'below the minimum',
            ),
            (['export', '--spool', self.path, '--ca-file', 'x', 'ftp://u@h/d'], 'ca-file needs'),
            (['export', '--spool', self.path, '--no-tls-verify', 'ftp://u@h/d'], 'verify needs'),
            (['--zcml', 'x', 'export', '--ca-file', 'y'], '--ca-file cannot be combined'),
            (['--zcml', 'x', 'status', '--tls', 'no'], '--tls cannot be combined with --zcml'),
            (['--zcml', 'x', 'export', '--spool', 'y'], '--spool cannot be combined with --zcml'),
            (['--zcml', 'x', 'export', '--no-temporary'], '--temporary cannot be combined'),
            (['--zcml', 'x', 'status', '--password-file', 'y'], '--password-file cannot be'),
            (['export', '--spool', self.path, 'ftp://h:70000/'], 'The port in the URL is not a n'),
            (['export', '--spool', self.path, 'ftp://h:0/'], 'The port in the URL is not a numb'),
            (['export', '--spool', self.path, 'ftp://h:x/'], 'The port in the URL is not a numb'),
            (['status'], 'No spool given'),
            (['export', '--spool', self.path, 'ftp://me@h/a%0d%0aDELE%20b'], 'The path in the URL'),
            (['export', '--spool', self.path, 'ftp://m%0ae@h/'], 'The user in the URL has a contr'),
            (['status', '--remote', '--spool', self.path], '--remote with --spool needs'),
        ):
            with self.subTest(arguments):
                self.assert_line(self.call(*arguments), 64, pattern)

    def test_a_password_in_a_url_is_refused_and_not_repeated(self):
        for url in ('ftp://me:geheim@h/', 'me:geheim@h', 'ftp://me:1/geheim@h/', 'ftp:/u:geheim@h'):
            for arguments in (
                ['-vv', '--log-file', self.folder / 'log', 'export', '--spool', self.path, url],
                ['status', '--remote', '--spool', self.path, url],
                ['--zcml', 'x', 'export', url],
            ):
                outcome = self.call(*arguments)
                self.assertEqual(64, outcome.code)
                self.assertRegex(outcome.err, 'A password does not belong in a URL.*password-f')
                self.assertNotIn('geheim', outcome.err + outcome.out)
        self.assertNotIn('geheim', (self.folder / 'log').read_text())

    def test_a_password_in_a_url_is_never_repeated(self):
        url = 'ftp://me:ge%heim@h/'
        for arguments in (
            [url],
            ['export', '--order', url],
            ['export', '--zcml', url],
            ['--log-file', self.folder / 'log', '-v', 'retry', '--spool', self.path, url],
            ['--log-file', self.folder / 'log', '-v', 'receipt', '--spool', self.path, url],
            ['receipt', '--spool', self.path, 'x' * 190 + url],
            ['retry', '--spool', self.path, '--forget', url],
            ['status', '--spool', url],
        ):
            with self.subTest(arguments):
                outcome = self.call(*arguments)
                self.assertRegex(outcome.err + outcome.out, r':/+me:\*\*\*@h|//m\.\.\.')
                self.assertNotIn('heim', outcome.err + outcome.out)
        self.assertNotIn('heim', (self.folder / 'log').read_text())

    def test_a_system_that_is_not_posix_is_refused(self):
        with unittest.mock.patch.dict(sys.modules, {'fcntl': None}):
            self.assert_line(self.call('demo'), 78, 'POSIX')

    def test_a_bug_of_ours(self):
        arguments = [
            'export',
            '--spool',
            self.path,
            '--log-file',
            self.folder / 'log',
            'ftp://anonymous@localhost/in',
        ]
        with unittest.mock.patch.object(Spool, 'queue', side_effect=KeyError('x\x1b[31m')):
            self.assert_line(self.call(*arguments), 70, r"bug in zeit.cds .*-v .*KeyError: 'x\\x1b")
            self.assertIn('Traceback', (self.folder / 'log').read_text())
            self.assertIn('Traceback', self.call('-v', *arguments).err)


class ServerCase(CommandLine):
    """The same, with a server."""

    layer = layers.PYFTPD

    def setUp(self):
        super().setUp()
        self.server = self.layer.require(self)
        self.url = f'ftp://{self.server.user}@{self.server.host}:{self.server.port}//'

    def use_own_registry(self):
        """Let what ZCML registers be gone after the test."""
        registry = globalregistry.BaseGlobalComponents('test')
        # The second one keeps the first one from its first call on.
        places = (globalregistry, 'base'), (_api, 'base'), (globalregistry, 'globalSiteManager')
        for module, name in places:
            self.enterContext(unittest.mock.patch.object(module, name, registry))

    def export(self, *arguments, url=None, **options):
        return self.call('export', '--spool', self.path, *arguments, url or self.url, **options)


class Failures(ServerCase):
    """What goes wrong is one clear line, with the right exit code, and nothing is lost."""

    def assert_failure(self, code, pattern, *arguments, **options):
        self.assert_line(self.export(*arguments, **options), code, pattern)
        self.assertEqual((['a.xml', 'b.xml'], []), (self.names('new'), self.names('cur')))
        # The same with -v: a traceback, and the same line at the end.
        verbose = self.export('-v', *arguments, **options)
        self.assertEqual(code, verbose.code)
        self.assertIn('Traceback (most recent call last)', verbose.err)
        self.assertRegex(verbose.err.splitlines()[-1], pattern)

    def test_a_port_without_server(self):
        # Taken all the while: another process could get one that is free again.
        with contextlib.closing(Port('127.0.0.1', kind='refused')) as port:
            url = f'ftp://me@127.0.0.1:{port.number}//'
            server = rf'\(host 127.0.0.1, port {port.number}, user me\)'
            refused = f'Could not connect .* {server}: Connection refused. Nothing listens'
            self.assert_failure(69, refused, url=url)

    def test_a_wrong_password(self):
        self.environ['ZEIT_CDS_PASSWORD'] = 'wrong'
        self.assert_failure(77, 'Could not connect .*: 530 .* Check user and password')

    def test_no_password_anywhere(self):
        del self.environ['ZEIT_CDS_PASSWORD']
        self.assert_failure(78, 'No password: ~/.netrc cannot be read.* set ZEIT_CDS_PASSWORD')

    def test_a_missing_password_file(self):
        path = self.folder / 'missing'
        self.assert_failure(78, 'password file .*missing cannot be read', '--password-file', path)

    def test_a_directory_for_a_password_file(self):
        reason = 'password file .* cannot be read: Is a directory'
        self.assert_failure(78, reason, '--password-file', self.folder)

    def test_an_empty_password_file(self):
        path = self.folder / 'password'
        for content in ('', '\n', '\nsecret\n'):
            with self.subTest(content):
                path.write_text(content)
                path.chmod(0o600)
                reason = 'The first line of the password file .* is empty. Put the password there'
                self.assert_failure(78, reason, '--password-file', path)

    def test_an_empty_variable(self):
        self.environ['ZEIT_CDS_PASSWORD'] = ''
        with unittest.mock.patch(f'{__name__}.PASSWORD', 'never-there'):
            self.assert_failure(78, 'variable ZEIT_CDS_PASSWORD for the password is empty. Set it')

    def test_an_address_that_this_machine_does_not_have(self):
        pattern = 'This machine does not have the address 192.0.2.7. See bind_address'
        self.assert_failure(78, pattern, '--bind-address', '192.0.2.7')
        self.assertNotIn('tries again', self.export('--bind-address', '192.0.2.7').err)

    def test_a_file_in_place_of_new(self):
        path = self.folder / 'other'
        path.mkdir()
        (path / 'new').write_text('')
        for arguments in (['status'], ['export', self.url]):
            outcome = self.call(*arguments, '--spool', path)
            self.assertEqual(78, outcome.code)
            self.assertRegex(outcome.out + outcome.err, '/new: Not a directory')
            self.assertRegex(outcome.out + outcome.err, 'It must be a directory: move')
            self.assertNotIn('waiting', outcome.out)

    def test_a_read_only_file_system(self):
        error = OSError(errno.EROFS, 'Read-only file system', str(self.path / 'cur'))
        with unittest.mock.patch('zeit.cds.system.files.draft', side_effect=error):
            self.assert_failure(78, 'The spool cannot be used: .*/cur: Read-only.* is mounted read')

    def test_a_missing_directory(self):
        self.assert_failure(78, '550 .*Check that the directory /in exists', url=self.url + 'in')

    def test_a_missing_spool(self):
        outcome = self.call('export', '--spool', self.folder / 'no', self.url)
        self.assert_line(outcome, 78, 'There is no spool at .*/no. The path is wrong, or')

    def test_a_file_for_a_spool(self):
        (self.folder / 'file').touch()
        for command in ('export', self.url), ('import', self.url), ('status',):
            outcome = self.call(*command, '--spool', self.folder / 'file')
            self.assertEqual(78, outcome.code)
            self.assertRegex(outcome.out + outcome.err, 'no spool at .*/file')
            self.assertRegex(outcome.out + outcome.err, 'It must be a directory: move')

    def test_a_directory_for_a_file_of_tls(self):
        for option in '--ca-file', '--certificate':
            reason = 'cannot be read: Is a directory'
            self.assert_failure(78, reason, '--tls', 'explicit', option, self.folder)

    def test_a_full_disk_before_anything_is_sent(self):
        full = OSError(errno.ENOSPC, 'No space left on device', str(self.path / 'cur'))
        with unittest.mock.patch('zeit.cds.system.files.draft', side_effect=full):
            self.assert_failure(78, 'The spool cannot be used: .*/cur: No space.*Make room there')
        self.assertEqual([], os.listdir(self.server.root))

    def test_a_full_disk_before_the_run_is_noted(self):
        full = OSError(errno.ENOSPC, 'No space left on device')
        with unittest.mock.patch('zeit.cds.spool.runlock.os.pwrite', side_effect=full):
            self.assert_failure(78, 'The spool cannot be used: .*: No space.*Make room there')

    def test_a_full_disk_after_a_file_was_sent(self):
        move = files.move

        def fails(path, directory, name):
            if names.is_probe(name):
                return move(path, directory, name)
            raise OSError(errno.ENOSPC, 'No space left on device', str(self.path / 'cur'))

        with unittest.mock.patch('zeit.cds.system.files.move', fails):
            outcome = self.export()
        self.assertEqual(78, outcome.code)
        first, second = outcome.err.splitlines()
        self.assertRegex(first, 'Not delivered: a.xml: The spool cannot be used: .*No space left')
        self.assertEqual('zeit-cds: 0 files delivered (0 B), 1 failed', second)
        # It is on the server, and will be sent again.
        self.assertEqual(['a.xml'], os.listdir(self.server.root))
        self.assertEqual((0, ''), (self.export().code, self.export().err))
        self.assertEqual(['a.xml', 'b.xml'], self.names('cur'))

    def as_nobody(self, *commands):
        """Call it as a user who may do nothing: root may do everything; return each `Outcome`.

        One process makes all the calls: what it imports takes longer than they do.
        """
        os.chmod(self.folder, 0o755)
        code = (
            'import contextlib, io, json, os, sys\n'
            # Before the user changes: afterwards Python's own files may be out of reach.
            'import locale, xml.sax.expatreader\n'
            'from zeit.cds.cli import console, main, progress_bar, selection\n'
            'from zeit.cds.cli import runs, snapshot, status_json, status_text\n'
            'from zeit.cds.drivers import watch\n'
            'from zeit.cds.cli.commands import group\n'
            'for name in group.NAMES: group.cli.get_command(None, name)\n'
            'from zeit.cds.lock import leftovers, lock\n'
            'from zeit.cds.run import importer\n'
            'from zeit.cds.spool import status\n'
            'from zeit.cds.target import ftp_session, interrupted_upload, target, upload\n'
            'from zeit.cds.zcml import handlers\n'
            'if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n'
            'for command in json.loads(sys.argv[1]):\n'
            '    out, err = io.StringIO(), io.StringIO()\n'
            '    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):\n'
            '        code = main.main(command)\n'
            '    print(json.dumps([code, out.getvalue(), err.getvalue()]))\n'
        )
        words = json.dumps([[str(word) for word in command] for command in commands])
        outcome = self.finish(self.start(words, program=[sys.executable, '-c', code]))
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        return [Outcome(*json.loads(line)) for line in outcome.out.splitlines()]

    def closed(self, path):
        """Let nobody read what is at `path`."""
        self.addCleanup(os.chmod, path, 0o755)
        os.chmod(path, 0o700 if os.geteuid() == 0 else 0)
        return path

    def test_what_cannot_be_read_is_no_wrong_call(self):
        spool = self.folder / 'other'
        spool.mkdir()
        spool.chmod(0o777)
        password, zcml = self.folder / 'password', self.folder / 'cds.zcml'
        for path in (password, zcml):
            path.write_text('secret')
            self.closed(path)
        self.closed(self.path)
        expected = (
            (['export', '--spool', self.path, self.url], 'The spool cannot be used: .*ermission'),
            (['status', '--zcml', zcml], '.*/cds.zcml: Permission denied. Call the command as'),
            (
                ['watch', '--check', '--spool', spool, '--password-file', password, self.url],
                'The password file .* cannot be read: Permission denied',
            ),
            (['status', '--spool', self.path / 'deeper'], 'The spool .*ermission denied'),
            (['receipt', '--spool', self.path / 'deeper', 'a.xml'], '.* read: Permission denied'),
        )
        outcomes = self.as_nobody(*(arguments for arguments, _ in expected))
        for (arguments, pattern), outcome in zip(expected, outcomes, strict=True):
            with self.subTest(arguments):
                self.assertEqual(78, outcome.code, outcome.err)
                self.assertRegex(outcome.err or outcome.out, pattern)

    def test_who_steers_without_permission(self):
        self.spool.hold('b.xml', 'x')
        name = ['--spool', self.path, 'a.xml']
        for closed, commands in (
            (self.path / 'new', (['hold'], ['drop', '--yes'], ['withdraw'], ['retry'])),
            (self.path, (['hold'], ['release'], ['drop', '--yes'], ['withdraw'], ['resend'])),
        ):
            self.closed(closed)
            outcomes = self.as_nobody(*([*command, *name] for command in commands))
            for command, outcome in zip(commands, outcomes, strict=True):
                with self.subTest(command, closed=closed.name):
                    self.assert_line(outcome, 78, 'Permission denied. Check owner and mode')

    def test_a_name_that_no_file_can_have(self):
        name = ['--spool', self.path, 'x' * 300]
        for command in (['drop', '--yes'], ['withdraw'], ['resend'], ['retry']):
            with self.subTest(command):
                self.assert_line(self.call(*command, *name), 1, 'xxx')

    def test_a_spool_without_permission(self):
        self.closed(self.path / 'new')
        (outcome,) = self.as_nobody(['export', '--spool', self.path, self.url])
        os.chmod(self.path / 'new', 0o755)
        self.assert_line(outcome, 78, 'The spool cannot be used: .*Check owner and mode')
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))

    def test_locked(self):
        (self.server.root / 'write').write_text('me\x1b[31m')
        pattern = r"warning: Cannot access .*'write' lockfile exists .*. It says: me\\x1b\[31m"
        self.assert_line(self.export(), 75, pattern)
        outcome = self.export('-q')
        self.assertEqual((75, '', ''), (outcome.code, outcome.out, outcome.err))

    def test_locked_with_the_log(self):
        """The log does not name the holder: the console does."""
        (self.server.root / 'write').write_text('me')
        for option in ('-v', '-vv'):
            lines = self.export(option).err.splitlines()
            self.assertRegex(lines[-1], "^zeit-cds: warning: .*'write' lockfile.* It says: me .*un")

    def test_lines_are_broken_between_words_on_a_terminal(self):
        (self.server.root / 'write').write_text('w' * 100)
        environ = {**self.environ, 'COLUMNS': '60'}
        with unittest.mock.patch.object(self, 'environ', environ):
            outcome = self.export(terminal=True)
        first, *others = outcome.err.splitlines()
        self.assertEqual("zeit-cds: warning: Cannot access CDS FTP server as 'write'", first)
        self.assertIn('  ' + 'w' * 100, others)
        self.assertLessEqual(max(len(line) for line in others if 'ww' not in line), 60)
        joined = ' '.join(line.strip() for line in outcome.err.splitlines())
        self.assertIn(joined, ' '.join(self.export().err.split()).replace('  ', ' '))

    def test_another_run_is_active(self):
        with self.spool.run():
            self.assert_line(self.export(), 75, 'Another run is active on this spool: process')

    def test_a_refused_file(self):
        (self.server.root / 'a.xml').mkdir()
        outcome = self.export()
        self.assertEqual((1, ''), (outcome.code, outcome.out))
        first, second = outcome.err.splitlines()
        self.assertRegex(first, 'zeit-cds: Not delivered: a.xml: 550 ')
        self.assertEqual('zeit-cds: 1 file delivered (5 B), 1 failed', second)
        self.assertEqual((['a.xml'], ['b.xml']), (self.names('new'), self.names('cur')))
        self.assertEqual(1, len(self.export('-q').err.splitlines()))
