"""Executes docs/zcml.txt."""

import contextlib
import doctest
import pathlib
import sys
import unittest

import zope.component.testing

from zeit.cds.testing import layers


DOCUMENT = pathlib.Path(__file__).parents[4] / 'docs' / 'zcml.txt'
FLAGS = doctest.ELLIPSIS | doctest.REPORT_NDIFF


class Missing(unittest.TestCase):
    @unittest.skip(f'{DOCUMENT.name} comes with a checkout and the sdist, not with the wheel')
    def test_document(self):
        """Nothing to execute."""


def set_up(test):
    zope.component.testing.setUp(test)
    # Underscored: nothing that the reader of the document sees.
    test.globs['_path'] = list(sys.path)
    test.globs['_modules'] = set(sys.modules)


def tear_down(test):
    """Undo what the document did, also if it was left in the middle."""
    zope.component.testing.tearDown(test)
    globs = test.globs
    sys.path[:] = globs['_path']
    for name in {'newspaper', 'replacements', 'plain'} - globs['_modules']:
        sys.modules.pop(name, None)
    with contextlib.ExitStack() as stack:
        if 'temporary' in globs:
            stack.callback(globs['temporary'].cleanup)
        for name in globs.keys() & {'server', 'secured'}:
            stack.callback(globs[name].stop)


def load_tests(loader, tests, pattern):
    if not DOCUMENT.is_file():
        return loader.loadTestsFromTestCase(Missing)
    suite = doctest.DocFileSuite(
        str(DOCUMENT), module_relative=False, optionflags=FLAGS, setUp=set_up, tearDown=tear_down
    )
    suite.layer = layers.QUIET
    return suite


def test_suite():
    """Return the same for zope.testrunner."""
    return load_tests(unittest.defaultTestLoader, None, None)
