"""docs/import.txt, executed."""

from zeit.cds.tests import docs


def load_tests(loader, tests, pattern):
    return docs.suite('docs/import.txt')


def test_suite():
    """Return the same for zope.testrunner."""
    return load_tests(None, None, None)
