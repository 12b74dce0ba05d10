"""docs/sftp.txt, executed."""

import zope.component.testing

from zeit.cds.tests import docs


def _begin(stack):
    zope.component.testing.setUp()
    stack.callback(zope.component.testing.tearDown)


def load_tests(loader, tests, pattern):
    return docs.suite('docs/sftp.txt', set_up=_begin)


def test_suite():
    """Return the same for zope.testrunner."""
    return load_tests(None, None, None)
