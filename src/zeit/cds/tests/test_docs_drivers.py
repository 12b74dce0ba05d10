"""Executes docs/drivers.txt, and looks at what it quotes."""

import celery._state
import zope.component.testing

from zeit.cds.tests import docs


def on_stage(stack):
    """Leave neither components nor a celery application behind."""
    zope.component.testing.setUp()
    stack.callback(zope.component.testing.tearDown)
    stack.callback(celery._state._set_current_app, celery._state.default_app)


def test_suite():
    """The document."""
    return docs.suite('docs/drivers.txt', set_up=on_stage)
