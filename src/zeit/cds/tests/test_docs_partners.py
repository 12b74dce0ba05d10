"""docs/partners.txt, executed."""

import os
import sys
import unittest.mock

from zeit.cds.tests import docs


def _set_up(stack):
    path = os.pathsep.join(filter(None, sys.path))
    stack.enter_context(unittest.mock.patch.dict(os.environ, {'PYTHONPATH': path}))


def load_tests(loader, tests, pattern):
    return docs.suite('docs/partners.txt', set_up=_set_up)


def test_suite():
    """Return the same for zope.testrunner."""
    return load_tests(None, None, None)
