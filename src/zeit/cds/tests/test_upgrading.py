"""Executes docs/upgrading.txt."""

import re
import unittest

from zeit.cds.ftp.connection_options import Settings
from zeit.cds.testing.layers import QUIET
from zeit.cds.tests import docs


DOCUMENT = 'docs/upgrading.txt'


class FactsTest(unittest.TestCase):
    layer = QUIET

    def test_time_outs(self):
        text = docs.require(self, DOCUMENT).replace('\n', ' ')
        found = re.findall(r'(\d+) seconds (?:to accept|to reply|for each 256 KiB)', text)
        defaults = Settings.connect_timeout, Settings.reply_timeout, Settings.data_timeout
        self.assertEqual([str(seconds) for seconds in defaults], found)


def test_suite():
    """Return all tests of this module."""
    facts = unittest.defaultTestLoader.loadTestsFromTestCase(FactsTest)
    return unittest.TestSuite([docs.suite(DOCUMENT), facts])
