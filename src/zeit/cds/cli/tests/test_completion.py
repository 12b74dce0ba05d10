"""What shells complete."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import unittest
import unittest.mock

import zope.component.testing
from click.shell_completion import ShellComplete

from zeit.cds.cli.commands.group import cli
from zeit.cds.cli.tests.test_command_line import CommandLine
from zeit.cds.spool.spool import Spool
from zeit.cds.tests import docs


ZCML = """\
<configure xmlns="http://namespaces.zeit.de/cds">
  <spool name="articles" path="{first}" />
  <spool name="letters" path="{second}" />
  <target name="partner" directory="/" host="h" user="me" password="" />
  <target name="other" directory="/x" host="h" user="me" password="" />
  <exporter name="out" spool="articles" target="partner" />
  <importer name="in" spool="letters" target="other" />
</configure>
"""


class CompletionCase(CommandLine):
    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        second = self.folder / 'second'
        second.mkdir()
        Spool(second).put('c.xml', b'c')
        path = self.folder / 'cds.zcml'
        path.write_text(ZCML.format(first=self.path, second=second))
        self.environ['ZEIT_CDS_ZCML'] = str(path)


class CompletionTests(CompletionCase):
    def complete(self, *words):
        *words, incomplete = map(str, words)
        with unittest.mock.patch.dict(os.environ, self.environ, clear=True):
            completer = ShellComplete(cli, {}, 'zeit-cds', '_ZEIT_CDS_COMPLETE')
            found = completer.get_completions(words, incomplete)
        return [each.value if each.type == 'plain' else each.type for each in found]

    def test_names_of_the_zcml_file(self):
        for words, found in (
            (('export', ''), ['out']),
            (('import', ''), ['in']),
            (('watch', ''), ['in', 'out']),
            (('check', 'o'), ['out']),
            (('check', 'out', ''), ['in']),
            (('status', ''), ['articles', 'in', 'letters', 'out']),
            (('journal', 'verify', 'a'), ['articles']),
            (('export', '--spool', self.path, ''), []),
        ):
            with self.subTest(words):
                self.assertEqual(found, self.complete(*words))

    def test_the_file_that_is_named(self):
        path, self.environ['ZEIT_CDS_ZCML'] = self.environ['ZEIT_CDS_ZCML'], ''
        self.assertEqual([], self.complete('export', ''))
        self.assertEqual(['out'], self.complete('--zcml', path, 'export', ''))
        self.assertEqual(['out'], self.complete('export', '--zcml', path, ''))
        self.assertEqual([], self.complete('--zcml', '/none', 'export', ''))

    def test_files_of_the_spools(self):
        self.assertEqual(['a.xml', 'b.xml', 'c.xml'], self.complete('receipt', ''))
        self.assertEqual(['b.xml'], self.complete('hold', '--spool', self.path, 'a.xml', ''))
        self.assertEqual([], self.complete('retry', ''))
        (self.path / 'parked').mkdir()
        for name in ('p.xml', '.p.reason', 'p\n.xml'):
            (self.path / 'parked' / name).touch()
        self.assertEqual(['p.xml'], self.complete('retry', ''))

    def test_values_of_options(self):
        self.assertEqual(['arrival', 'name'], self.complete('export', '--order', ''))
        self.assertEqual(['dir'], self.complete('export', '--spool', ''))
        self.assertEqual(['file'], self.complete('--zcml', ''))
        self.assertEqual(['--empty'], self.complete('export', '--em'))
        self.assertIn('resend', self.complete('re'))


class ShellTests(CompletionCase):
    @unittest.skipUnless(shutil.which('bash'), 'needs bash')
    def test_bash(self):
        """As the document says to switch it on."""
        self.assertEqual('out\n', self.bash('zeit-cds export o', 'echo "${COMPREPLY[@]}"'))

    @unittest.skipUnless(shutil.which('bash'), 'needs bash')
    def test_bash_executes_nothing_of_a_name(self):
        name = 'x \'"`$(echo *)&;~#!\u00fc=.xml'
        self.spool.put(name, b'1')
        self.spool.put('xy.xml', b'1')
        shown = self.bash('zeit-cds hold x', 'eval "printf \'%s\\n\' ${COMPREPLY[*]}"')
        self.assertEqual([name, 'xy.xml'], shown.splitlines())

    def bash(self, words, then):
        """Return what `then` prints when the last of the `words` was completed."""
        text = docs.require(self, 'docs/operations.txt')
        (line,) = re.findall(r'``(eval .*=bash_source zeit-cds\)")``', text)
        folder = self.folder / 'bin'
        folder.mkdir()
        program = folder / 'zeit-cds'
        code = 'import sys; from zeit.cds.cli.main import main; sys.exit(main())'
        program.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c '{code}' \"$@\"\n")
        program.chmod(0o755)
        script = f"""
            {line}
            COMP_WORDS=({words}) COMP_CWORD=2 COMPREPLY=()
            _zeit_cds_completion zeit-cds
            {then}
        """
        done = subprocess.run(
            ['bash', '-c', script],
            env={**self.environ, 'PATH': f'{folder}:{os.environ["PATH"]}'},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual((0, ''), (done.returncode, done.stderr), done.stdout)
        return done.stdout
