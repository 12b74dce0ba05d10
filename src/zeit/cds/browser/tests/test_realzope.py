"""The page in a real Zope: see `realzope`."""

import os
import pathlib
import subprocess
import unittest

import zeit.cds
from zeit.cds.tests.test_realcms import TIMEOUT, find_python


class RealTests(unittest.TestCase):
    level = 2

    def test_who_may_see_it_and_press_its_buttons(self):
        source = pathlib.Path(zeit.cds.__file__).parents[2]
        result = subprocess.run(
            [find_python(), '-m', 'zeit.cds.browser.tests.realzope'],
            env=os.environ | {'PYTHONPATH': str(source)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        self.assertEqual(0, result.returncode, result.stderr[-3000:])
