"""The manual page: it is that of this version, and roff has nothing against it."""

import shutil
import subprocess
import unittest

from zeit.cds.cli import manual
from zeit.cds.cli.commands import group
from zeit.cds.testing import layers
from zeit.cds.tests import docs


NAME = 'docs/man/man1/zeit-cds.1'


class ManualTests(unittest.TestCase):
    layer = layers.QUIET
    maxDiff = 2000

    def test_it_is_current(self):
        text = docs.require(self, NAME)
        how = f'Make it anew: bin/python -m zeit.cds.cli.manual >{NAME}'
        self.assertEqual(manual.page().splitlines(), text.splitlines(), how)

    def test_each_command_is_in_it(self):
        text = manual.page()
        for name in group.NAMES:
            self.assertIn(f'.SS zeit\\-cds {name}', text)

    @unittest.skipUnless(shutil.which('groff'), 'needs groff')
    def test_roff_takes_it(self):
        done = subprocess.run(
            ['groff', '-man', '-Tascii', '-ww', '-rLL=80n'],
            input=manual.page(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertTrue('Deliver what waits in a spool.' in done.stdout)
