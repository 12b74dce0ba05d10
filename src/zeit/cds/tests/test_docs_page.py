"""Executes docs/page.txt."""

import contextlib
import doctest
import types
import unittest

import zope.component.testing
import zope.interface
from zope.security.management import endInteraction, newInteraction

from zeit.cds.testing import layers
from zeit.cds.tests import cms
from zeit.cds.tests.docs import TOP


DOCUMENT = TOP / 'docs' / 'page.txt'


class Missing(unittest.TestCase):
    @unittest.skip(f'{DOCUMENT.name} comes with a checkout and the sdist, not with the wheel')
    def test_document(self):
        """Nothing to execute."""


def set_up(test):
    zope.component.testing.setUp(test)
    test.globs['_resources'] = stack = contextlib.ExitStack()
    stack.enter_context(cms.importable(cms.SITE))
    from zope.site.interfaces import IRootFolder

    test.globs['root'] = types.SimpleNamespace()
    zope.interface.alsoProvides(test.globs['root'], IRootFolder)
    test.globs['principal'] = types.SimpleNamespace(id='otto', title='Otto', groups=())
    newInteraction(types.SimpleNamespace(principal=test.globs['principal'], interaction=None))
    stack.callback(endInteraction)


def tear_down(test):
    """Undo what the document did, also if it was left in the middle."""
    zope.component.testing.tearDown(test)
    with test.globs['_resources'] as stack:
        if 'temporary' in test.globs:
            stack.callback(test.globs['temporary'].cleanup)


def load_tests(loader, tests, pattern):
    if not DOCUMENT.is_file():
        return loader.loadTestsFromTestCase(Missing)
    suite = doctest.DocFileSuite(
        str(DOCUMENT),
        module_relative=False,
        optionflags=doctest.ELLIPSIS | doctest.REPORT_NDIFF,
        setUp=set_up,
        tearDown=tear_down,
    )
    suite.layer = layers.QUIET
    return suite


def test_suite():
    """Return the tests; see zope.testrunner."""
    return load_tests(unittest.defaultTestLoader, None, None)
