"""Executes docs/testing.txt."""

import doctest
import pathlib
import unittest


DOCUMENT = pathlib.Path(__file__).parents[4] / 'docs' / 'testing.txt'
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.REPORT_NDIFF


class Missing(unittest.TestCase):
    @unittest.skip(f'{DOCUMENT.name} comes with a checkout and the sdist, not with the wheel')
    def test_document(self):
        """Nothing to execute."""


def load_tests(loader, tests, pattern):
    if not DOCUMENT.is_file():
        return loader.loadTestsFromTestCase(Missing)
    return doctest.DocFileSuite(str(DOCUMENT), module_relative=False, optionflags=FLAGS)


def test_suite():
    """Return the same for zope.testrunner."""
    return load_tests(unittest.defaultTestLoader, None, None)
