"""`zeit-cds watch --check`: what is wrong is found without the network."""

import os
import subprocess
import sys

from zeit.cds.cli import selection
from zeit.cds.cli.tests.test_command_line import PROCESS
from zeit.cds.drivers.tests.test_watch import TIMEOUT, WatchCase
from zeit.cds.run.exporter import Exporter
from zeit.cds.testing.memory import MemoryTarget


class CheckTests(WatchCase):
    """One line for each exporter that could not run, and 78."""

    def check(self, *arguments, environ=None):
        command = [*PROCESS, 'watch', '--check', *map(str, arguments)]
        environ = os.environ | {
            'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
            'HOME': str(self.folder),
            **(environ or {}),
        }
        result = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=TIMEOUT
        )
        self.assertEqual('', result.stdout)
        return result.returncode, result.stderr

    def assert_said(self, pattern, *arguments, **options):
        code, said = self.check(*arguments, **options)
        self.assertRegex(said, f'^zeit-cds: {pattern}')
        self.assertEqual((78, 1), (code, len(said.splitlines())), said)

    def test_all_that_can_be_looked_at(self):
        spool, url, missing = self.spool.path, 'ftpes://me@127.0.0.1/in', self.folder / 'missing'
        empty, password = self.folder / 'empty', self.folder / 'password'
        for path, text in ((empty, ''), (password, 'pw\n')):
            path.write_text(text)
            path.chmod(0o600)
        good = ['--spool', spool, '--password-file', password]
        self.assertEqual((0, ''), self.check(*good, url))
        for pattern, arguments in {
            'The password file .*missing cannot': ['--spool', spool, '--password-file', missing],
            'The first line of .*empty is empty': ['--spool', spool, '--password-file', empty],
            'No password: ~/.netrc cannot be read': ['--spool', spool],
            'There is no spool at': ['--password-file', password, '--spool', missing],
            'The file of authorities .*missing cannot': [*good, '--ca-file', missing],
            'The certificate .*missing cannot': [*good, '--certificate', missing],
            'The certificate .*empty cannot': [*good, '--certificate', empty],
            'This machine does not have the address 192': [*good, '--bind-address', '192.0.2.7'],
        }.items():
            with self.subTest(pattern):
                self.assert_said(pattern, *arguments, url)
        variable = {'ZEIT_CDS_PASSWORD': ''}
        self.assert_said(
            'The environment variable ZEIT_CDS_PASSWORD for the password is empty. Set it',
            '--spool', spool, url, environ=variable,
        )  # fmt: skip
        (spool / 'new').rmdir()
        (spool / 'new').write_text('')
        self.assert_said('The spool cannot be used: .*/new: Not a directory. It must', *good, url)

    def test_exporters_of_zcml_that_could_not_run_are_told(self):
        self.write(
            more='<cds:spool name="x" path="/nowhere" />'
            '<cds:exporter name="x" spool="x" target="partner" />'
        )
        self.assert_said('x: There is no spool at /nowhere', '--zcml', self.zcml)
        (self.folder / 'x').mkdir()
        spool = f'<cds:spool name="x" path="{self.folder}/x" />'
        self.write(
            more=f'{spool}<cds:target name="other" directory="/" host="127.0.0.1" user="me" />'
            '<cds:exporter name="x" spool="x" target="other" />'
        )
        self.assert_said('x: No password is configured for me', '--zcml', self.zcml)
        self.write(
            more=f'{spool}<cds:target name="other" directory="/"'
            ' host="127.0.0.1" user="me" password="" />'
            '<cds:exporter name="x" spool="x" target="other" />'
        )
        self.assertEqual((0, ''), self.check('--zcml', self.zcml))

    def test_an_importer_and_an_exporter_of_one_directory_that_no_directive_has_made(self):
        (self.folder / 'x').mkdir()
        module = self.folder / 'made_by_hand.py'
        module.write_text(
            'from zeit.cds.run.exporter import Exporter\n'
            'from zeit.cds.run.importer import Importer\n'
            'from zeit.cds.credentials import Secret\n'
            'from zeit.cds.spool.spool import Spool\n'
            'from zeit.cds.target.target import FTPTarget\n'
            'options = dict(user="me", directory="/in", password=Secret("pw"))\n'
            f'exporter = Exporter(Spool({str(self.spool.path)!r}), '
            'FTPTarget.from_options(host="ftp.example.com", **options))\n'
            f'importer = Importer(Spool({str(self.folder / "x")!r}), '
            'FTPTarget.from_options(host="FTP.example.com.", **options))\n'
        )
        self.zcml.write_text(
            '<configure xmlns="http://namespaces.zope.org/zope">'
            '<utility component="made_by_hand.exporter" name="out" />'
            '<utility component="made_by_hand.importer" name="back" />'
            '</configure>'
        )
        path = os.pathsep.join([str(self.folder), *filter(None, sys.path)])
        code, said = self.check('--zcml', self.zcml, environ={'PYTHONPATH': path})
        self.assertEqual(78, code)
        self.assertRegex(said, "^zeit-cds: out: The importer 'back' has the same directory")
        self.assertRegex(said, "\nzeit-cds: back: The exporter 'out' has the same directory")

    def test_it_changes_nothing(self):
        spool = self.folder / 'fresh'
        spool.mkdir()
        self.assertEqual((0, ''), self.check('--spool', spool, 'ftp://anonymous@127.0.0.1/in'))
        self.assertEqual([], os.listdir(spool))

    def test_somebody_elses_parts_are_not_looked_at(self):
        exporter = Exporter(self.spool, MemoryTarget())
        self.assertEqual(0, selection.require_usable(exporter))
