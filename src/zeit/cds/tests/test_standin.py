"""The stand-in for zeit.cms is there when it is asked for, and gone afterwards."""

import subprocess
import sys
import unittest

import zope.component
import zope.component.testing
from zope.configuration import xmlconfig

from zeit.cds.testing import layers
from zeit.cds.tests import cms


PUBLISH = """\
<configure xmlns="http://namespaces.zope.org/zope">
  <include package="zeit.cms" />
</configure>
"""


class StandinTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)

    def test_content_is_published_and_found_by_its_id(self):
        with cms.importable(cms.CMS):
            xmlconfig.string(PUBLISH)
            from zeit.cms.interfaces import ICMSContent
            from zeit.cms.workflow.interfaces import IPublish, IPublishedEvent
            from zeit.content.article.article import Article

            article, picture, told = Article('a'), Article('b'), []
            article.dependencies = [picture]
            zope.component.provideHandler(
                lambda content, event: told.append((content, event.object, event.master)),
                (ICMSContent, IPublishedEvent),
            )
            IPublish(article).publish()
            self.assertEqual([(article, article, article), (picture, picture, article)], told)
            self.assertIsNot(article, told[0][0])
            self.assertIs(article, ICMSContent('http://xml.zeit.de/a'))
            article.delete()
            self.assertIsNone(ICMSContent('http://xml.zeit.de/a', None))

    def test_settings_are_there_under_both_names(self):
        with cms.importable(cms.CMS, cms.APPSETUP):
            from zope.app.appsetup.product import getProductConfiguration, setProductConfiguration

            import zeit.cms.config

            zeit.cms.config.set('zeit.cds', 'cds-export', '/a')
            self.assertEqual('/a', zeit.cms.config.get('zeit.cds', 'cds-export'))
            self.assertIsNone(zeit.cms.config.get('zeit.cds', 'other'))
            self.assertEqual('b', zeit.cms.config.get('zeit.cds', 'other', 'b'))
            self.assertEqual('/a', zeit.cms.config.required('zeit.cds', 'cds-export'))
            self.assertRaises(KeyError, zeit.cms.config.required, 'zeit.cds', 'other')
            self.assertEqual({'cds-export': '/a'}, zeit.cms.config.package('zeit.cds'))
            setProductConfiguration('zeit.cds', {'cds-export': '/a'})
            self.assertEqual({'cds-export': '/a'}, getProductConfiguration('zeit.cds'))

    def test_afterwards_nothing_is_left(self):
        with cms.importable(cms.CMS, cms.APPSETUP):
            import zope.app.appsetup.product  # noqa: F401

            import zeit.cms.config  # noqa: F401
        for name in ('zeit.cms', 'zope.app.appsetup'):
            with self.assertRaises(ImportError):
                __import__(name)

    def test_in_another_process(self):
        subprocess.run(
            [sys.executable, '-c', 'import zeit.cms.config, zeit.cds'],
            env=cms.environment(cms.CMS),
            check=True,
            timeout=30,
        )
