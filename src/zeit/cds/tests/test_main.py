"""What buildout scripts and old deployments rely on: functions, log lines, exit codes."""

import errno
import inspect
import os
import subprocess
import sys
import unittest
from unittest import mock

from zeit.cds import main
from zeit.cds.errors import FTPOSError
from zeit.cds.ftp.stream import Stream
from zeit.cds.testing.layers import PYFTPD, QUIET, ServerTests
from zeit.cds.tests.maincase import MainCase, closed_port, quiet


class SignatureTest(unittest.TestCase):
    def test_export(self):
        self.assertEqual(
            '(store_dir, hostname, port, user, password, ftp_dir, logfile=None)',
            str(inspect.signature(main.export)),
        )

    def test_called_without_arguments_the_script_explains_itself(self):
        for arguments in ((), ('spool',), ('a', 'b', 21, 'c', 'd', '/', 'log', 'one more')):
            with self.subTest(arguments), quiet() as (out, err):
                self.assertEqual(64, main.cds_export(*arguments))
                self.assertEqual('', out.getvalue())
                self.assertIn('store_dir, hostname, port, user, password, ftp_dir', err.getvalue())


class WithoutLoggingTest(unittest.TestCase):
    """A process of its own: nobody has set up logging."""

    layer = QUIET

    def test_what_is_printed(self):
        """By the function nothing, by the script what failed."""
        no_spool = 'cds-export: There is no spool at /nonexistent. The path is wrong, or a disk '
        no_spool += 'is not mounted. For a new spool create the directory; tmp, new and cur inside '
        no_spool += 'it are created for you.\n'
        for function, code, said in (('export', 0, ''), ('cds_export', 78, no_spool)):
            program = (
                f'import sys; from zeit.cds.main import {function} as f; '
                f'sys.exit(f("/nonexistent", "127.0.0.1", 21, "me", "secret", "/"))'
            )
            with self.subTest(function):
                process = subprocess.run(
                    [sys.executable, '-c', program],
                    env={'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                self.assertEqual(
                    (code, '', said), (process.returncode, process.stdout, process.stderr)
                )


class ExportTest(MainCase, ServerTests, unittest.TestCase):
    layer = PYFTPD

    CONNECTING = 'Connecting to CDS FTP server (host {0.host}, port {0.port}, user test)'

    def connecting(self):
        return self.CONNECTING.format(self.server)

    def test_a_delivery_and_its_log(self):
        self.publish('b', 'a')
        os.utime(self.spool / 'new' / 'b')  # the later change
        with quiet() as (out, err):
            self.assertIsNone(self.call(main.export))
        self.assertEqual(['a', 'b'], self.names('cur'))
        self.assertEqual([], self.names('new'))
        self.assertEqual(['a', 'b'], sorted(os.listdir(self.server.root)))
        self.assertEqual(b'<article/>', (self.server.root / 'a').read_bytes())
        lines = self.log.lines()
        self.assertEqual(
            [
                f'Accessed filestore {self.spool}',
                self.connecting(),
                'Creating lock file: write',
                'Lock file successfully created: write',
                'Uploading: a',
                "Moved from 'new' to 'cur': a",
                'Uploading: b',
                "Moved from 'new' to 'cur': b",
                'Removing lock file: write',
                'Lock file successfully removed: write',
                'Disconnected from CDS FTP server',
                'Exiting with success.',
            ],
            lines,
        )
        self.assertEqual(('', ''), (out.getvalue(), err.getvalue()))

    def test_nothing_to_deliver_and_its_log(self):
        self.assertEqual(0, self.call(main.cds_export))
        self.assertEqual(
            [
                f'Accessed filestore {self.spool}',
                'No new files to export.',
                'Exiting with success.',
            ],
            self.log.lines(),
        )

    def test_a_lock_and_its_log(self):
        self.publish('a')
        for name in ('write', 'read'):
            with self.subTest(name):
                self.log.records.clear()
                (self.server.root / name).write_bytes(b'somebody')
                with quiet() as (_, err):
                    self.assertEqual(75, self.call(main.cds_export))
                self.assertEqual('', err.getvalue())
                self.assertEqual(
                    [
                        f'Accessed filestore {self.spool}',
                        self.connecting(),
                        f"Cannot access CDS FTP server as '{name}' lockfile exists.",
                        'Exiting.',
                    ],
                    self.log.lines(),
                )
                self.assertEqual(b'somebody', (self.server.root / name).read_bytes())
                (self.server.root / name).unlink()
        self.assertEqual(['a'], self.names('new'))

    def test_exit_codes(self):
        self.publish('a')
        for code, changes in (
            (69, {'port': closed_port()}),
            (77, {'password': 'wrong'}),
            (78, {'ftp_dir': '/nonexistent'}),
            (78, {'store_dir': str(self.directory / 'nonexistent')}),
            (78, {'store_dir': None}),
            (78, {'user': 'te\0st'}),
            (78, {'ftp_dir': None}),
            (78, {'password': None}),
            (78, {'password': b'testpw'}),
            (78, {'password': 'testpw\n'}),
            (0, {}),
        ):
            with self.subTest(changes), quiet() as (out, err):
                self.assertEqual(code, self.call(main.cds_export, **changes))
                # Without a log nobody would see it, and cron sends what is said here.
                self.assertEqual('', out.getvalue())
                self.assertRegex(err.getvalue(), r'\Acds-export: .+\n\Z' if code else r'\A\Z')
                self.assertNotIn('testpw', err.getvalue())
        self.assertEqual(['a'], self.names('cur'))

    def test_a_refused_file_is_exit_code_1_and_the_others_go(self):
        self.publish('a', 'write', 'read', 'z')
        with quiet() as (out, err):
            self.assertEqual(1, self.call(main.cds_export))
        first, second = err.getvalue().splitlines()
        self.assertRegex(first, 'cds-export: (read|write): The name')
        self.assertEqual('cds-export: 1 more file failed.', second)
        (self.spool / 'new' / 'read').unlink()
        self.assertEqual(['write'], self.names('new'))
        self.assertEqual(['a', 'z'], self.names('cur'))

    def test_export_is_silent_and_returns_none_whatever_happens(self):
        self.publish('a')
        for changes in (
            {'port': closed_port()},
            {'password': 'wrong'},
            {'ftp_dir': '/nonexistent'},
            {'store_dir': str(self.directory / 'nonexistent')},
            {'hostname': 'host.invalid'},
        ):
            with self.subTest(changes), quiet() as (out, err):
                self.assertIsNone(self.call(main.export, **changes))
                self.assertEqual(('', ''), (out.getvalue(), err.getvalue()))
                self.assertEqual(['a'], self.names('new'))
                self.assertEqual('Exiting with exception:', self.log.lines()[-1])
                self.assertIsNotNone(self.log.records[-1].exc_info)

    def test_with_a_log_file_the_script_is_silent(self):
        gone = str(self.directory / 'nonexistent')
        for logfile, silent in (('cds.log', True), ('nowhere/cds.log', False)):
            with self.subTest(logfile), quiet() as (_, err):
                path = str(self.directory / logfile)
                self.assertEqual(78, self.call(main.cds_export, store_dir=gone, logfile=path))
                self.assertEqual(silent, 'There is no spool' not in err.getvalue(), err.getvalue())

    def test_the_port_may_be_a_text(self):
        self.publish('a')
        self.assertEqual(0, self.call(main.cds_export, port=str(self.server.port)))

    def test_arguments_that_cannot_be_meant(self):
        self.publish('a')
        for changes, said in (
            ({'port': 'abc'}, "cds-export: The port 'abc' is no number from 1 to 65535\n"),
            ({'port': 65536}, 'cds-export: The port 65536 is no number from 1 to 65535\n'),
            ({'port': None}, 'cds-export: The port None is no number from 1 to 65535\n'),
            ({'hostname': ''}, "cds-export: The host '' cannot be the name of a server\n"),
            ({'hostname': None}, 'cds-export: The host None cannot be the name of a server\n'),
            ({'hostname': 'a..b'}, "cds-export: The host 'a..b' cannot be the name of a server\n"),
            (
                {'hostname': 'a\r\nb'},
                "cds-export: The host 'a\\r\\nb' cannot be the name of a server\n",
            ),
            (
                {'hostname': 'ftp://test:testpw@127.0.0.1'},
                'cds-export: The host is a URL, or a part of one, not the name of a server. '
                'Give the name or address alone; port, user and directory are separate '
                'settings, ftpes:// is tls="explicit" and ftps:// tls="implicit".\n',
            ),
            (
                {'hostname': '127.0.0.1:21'},
                "cds-export: The host '127.0.0.1:21' cannot be the name of a server. The port is a "
                'separate setting; an IPv6 address has no brackets.\n',
            ),
        ):
            with self.subTest(changes), quiet() as (out, err):
                self.assertEqual(78, self.call(main.cds_export, **changes))
                self.assertEqual(('', said), (out.getvalue(), err.getvalue()))
                self.assertEqual('Exiting with exception:', self.log.lines()[-1])
            with self.subTest(changes), quiet() as (out, err):
                self.assertIsNone(self.call(main.export, **changes))
                self.assertEqual(('', ''), (out.getvalue(), err.getvalue()))
        self.assertEqual(['a'], self.names('new'))

    def test_the_script_takes_the_names_of_the_arguments(self):
        server = self.server
        code = main.cds_export(
            str(self.spool), server.host, server.port, 'test', password='testpw', ftp_dir='/',
            logfile=str(self.directory / 'cds.log'),
        )  # fmt: skip
        self.assertEqual(0, code)
        self.assertIn('Exiting with success.', (self.directory / 'cds.log').read_text())
        with quiet() as (_, err):
            self.assertEqual(64, main.cds_export(str(self.spool), nonsense=1))
        self.assertIn('store_dir', err.getvalue())


class NoNetworkTest(MainCase, unittest.TestCase):
    layer = QUIET

    def test_an_address_without_network_does_not_hide_what_the_server_said(self):
        refused = ConnectionRefusedError(errno.ECONNREFUSED, 'Connection refused')
        lacking = OSError(errno.EADDRNOTAVAIL, 'Cannot assign requested address')
        for errors, expected in (
            ([refused, lacking], refused),
            ([lacking, refused], refused),
            ([lacking], lacking),
            ([TimeoutError('timed out'), lacking], None),
        ):
            with (
                self.subTest(errors),
                mock.patch('zeit.cds.network.connecting.resolve', return_value=errors),
                mock.patch('zeit.cds.network.connecting.dial', side_effect=errors),
                self.assertRaises(FTPOSError) as caught,
            ):
                Stream.connect('h', 21, connect_timeout=3, timeout=3, activity='testing')
            number = expected.errno if expected else errno.ETIMEDOUT
            self.assertEqual(number, caught.exception.errno)
