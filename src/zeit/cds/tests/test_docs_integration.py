"""Executes docs/integration.txt."""

import contextlib
import doctest
import pathlib
import sys
import unittest

import transaction
import zope.component.testing

from zeit.cds.testing import layers
from zeit.cds.tests import cms


DOCUMENT = pathlib.Path(__file__).parents[4] / 'docs' / 'integration.txt'
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
    test.globs['_cms'] = stack = contextlib.ExitStack()
    stack.enter_context(cms.importable(cms.CMS))


def tear_down(test):
    """Undo what the document did, also if it was left in the middle."""
    zope.component.testing.tearDown(test)
    globs = test.globs
    sys.path[:] = globs['_path']
    for name in {'newspaper'} - globs['_modules']:
        sys.modules.pop(name, None)
    transaction.abort()
    with globs['_cms'] as stack:
        if 'temporary' in globs:
            stack.callback(globs['temporary'].cleanup)
        if 'server' in globs:
            stack.callback(globs['server'].stop)


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
