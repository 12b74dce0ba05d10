"""A broken configuration is found at every start, and what errors advise can be done as printed."""

import ast
import functools
import os
import pathlib
import re
import tempfile
import unittest

import zope.schema

import zeit.cds
from zeit.cds import errors
from zeit.cds.cli.commands import group
from zeit.cds.credentials import SecretFile
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing.layers import QUIET
from zeit.cds.tests.maincase import closed_port
from zeit.cds.zcml import schemas


PACKAGE = pathlib.Path(zeit.cds.__file__).parent


class StartTests(unittest.TestCase):
    """There is nothing to do, and nobody to connect to."""

    layer = QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.path / 'spool')
        self.spool.path.mkdir()
        self.password = self.path / 'password'
        self.password.write_text('pw\n')
        self.password.chmod(0o600)

    def target(self, **options):
        return FTPTarget.from_options(
            host='127.0.0.1',
            port=closed_port(),
            user='me',
            password=SecretFile(self.password),
            directory='/in',
            **options,
        )

    def run_once(self, target, *, dry_run=False):
        with self.assertLogs('zeit.cds', 'INFO') as logs:
            report = Exporter(self.spool, target).run_once(Options(dry_run=dry_run))
        self.lines = [record.getMessage() for record in logs.records]
        return report.exit_code

    def assert_found(self, target):
        for dry_run in (False, True):
            self.assertEqual(errors.CONFIGURATION, self.run_once(target, dry_run=dry_run))
            # Nobody was talked to, and nothing that is said looks as if.
            self.assertEqual('Exiting with exception:', self.lines[-1])
            self.assertFalse([line for line in self.lines if 'FTP server' in line])

    def test_all_is_well(self):
        self.assertEqual(errors.DONE, self.run_once(self.target()))
        self.assertEqual('No new files to export.', self.lines[-2])

    def test_a_password_file(self):
        self.password.unlink()
        self.assert_found(self.target())
        self.password.write_text('\n')
        self.assert_found(self.target())

    def test_an_account_without_password(self):
        self.assert_found(FTPTarget.from_options(host='h', user='me', directory='/in'))

    def test_files_of_tls(self):
        for option in ('ca_file', 'certificate'):
            self.assert_found(self.target(tls='explicit', **{option: str(self.path / 'missing')}))

    def test_an_address_that_is_not_of_this_machine(self):
        self.assert_found(self.target(bind_address='192.0.2.7'))

    def test_a_spool(self):
        os.rmdir(self.spool.path)
        self.assert_found(self.target())

    def test_with_something_to_deliver_before_the_server_is_asked(self):
        self.spool.put('a', b'a')
        self.password.unlink()
        self.assert_found(self.target())

    def test_an_import(self):
        self.password.unlink()
        with self.assertLogs('zeit.cds', 'ERROR'):
            report = Importer(self.spool, self.target()).run_once(ImportOptions())
        self.assertEqual(errors.CONFIGURATION, report.exit_code)

    def test_warnings_are_said_once_in_a_run(self):
        self.password.chmod(0o644)
        self.spool.put('a', b'a')
        self.assertEqual(
            errors.UNAVAILABLE, self.run_once(self.target(tls='explicit', tls_verify=False))
        )
        for words in ('chmod o-r', 'NOT VERIFIED'):
            self.assertEqual(1, ' '.join(self.lines).count(words), words)


@functools.cache
def texts():
    """Return pairs (module, text) for all that the package may say; not docstrings."""
    found = []
    for path in sorted(PACKAGE.rglob('*.py')):
        if not {'tests', 'testing'} & set(path.parts):
            nodes = list(ast.walk(ast.parse(path.read_text(encoding='utf-8'))))
            bare = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
            found += [
                (path.name, node.value)
                for node in nodes
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
                if id(node) not in bare and not node.value.startswith('<?xml')
            ]
    return tuple(found)


class AdviceTests(unittest.TestCase):
    """Every option, attribute and command that a text of the package names is one that there is."""

    def test_commands(self):
        known = set(group.cli.list_commands(None))
        found = set()
        for module, text in texts():
            for command in re.findall(r'\bzeit-cds (?!gets|is\b)([a-z]+)', text):
                found.add(command)
                self.assertIn(command, known, f'{module}: {text}')
        self.assertIn('unlock', found)

    def test_options(self):
        known = {'--help', '--', '--no-'}
        commands = [group.cli]
        while commands:
            command = commands.pop()
            for option in command.params:
                known.update((*option.opts, *option.secondary_opts))
            if hasattr(command, 'list_commands'):
                commands += [command.get_command(None, n) for n in command.list_commands(None)]
        for module, text in texts():
            for option in re.findall(r'(?<![\w-])--[a-z][a-z-]*', text):
                self.assertIn(option, known, f'{module}: {text}')

    def test_attributes(self):
        declared = (
            schemas.ISpoolDirective,
            schemas.ITargetDirective,
            schemas.ISFTPTargetDirective,
            schemas.IExporterDirective,
            schemas.IImporterDirective,
        )
        known = {name for schema in declared for name in zope.schema.getFieldNames(schema)}
        known |= {'package', 'file', 'factory', 'handler', 'for', 'provides'}  # of Zope
        known |= {'realm', 'charset'}  # of HTTP
        found = set()
        for module, text in texts():
            for attribute in re.findall(r'\b([a-z_]+)="', text):
                found.add(attribute)
                self.assertIn(attribute, known, f'{module}: {text}')
        self.assertLessEqual({'tls', 'exists', 'size_check'}, found)
