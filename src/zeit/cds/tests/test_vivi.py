"""What comes with us for zeit.cms: handlers, an adapter for articles, metrics, the object log."""

import contextlib
import datetime
import io
import unittest.mock
from xml.etree import ElementTree

import prometheus_client
import zope.component
from zope.configuration import xmlconfig
from zope.interface.verify import verifyObject
from zope.security.management import endInteraction, newInteraction, queryInteraction

from zeit.cds.cli import main
from zeit.cds.interfaces import IExporter, ISpool, ITarget, IVersionedDeliverable
from zeit.cds.publish.tests.test_publisher import UUID, PublishTests
from zeit.cds.tests import cms
from zeit.cds.zcml.tests.test_handlers import ZCMLTests


DOCUMENT = 'http://namespaces.zeit.de/CMS/document'
BODY = '<article xmlns:py="urn:py"><head/><body py:a="ü"><p>Zins &amp; Kredit</p></body></article>'
EXPORTER = (
    '<cds:spool name="articles" product_config="zeit.content.article/cds-export" />',
    '<utility provides="zeit.cds.interfaces.ITarget" name="agency"'
    ' factory="zeit.cds.testing.memory.MemoryTarget" />',
    '<cds:exporter name="articles" spool="articles" target="agency" />',
)


class SwitchOffTests(PublishTests):
    """A script that publishes thousands of contents goes without us, as without others."""

    def test_publications(self):
        from zeit.cds.vivi import workflow

        self.assertTrue(zope.component.getGlobalSiteManager().unregisterHandler(workflow.published))
        self.publish()
        self.assertEqual({}, self.waiting())

    def test_retractions_and_removals(self):
        from zeit.cds.vivi import workflow
        from zeit.cms.workflow.interfaces import IPublish

        self.publish()
        for handler in workflow.retracted, workflow.removed:
            self.assertTrue(zope.component.getGlobalSiteManager().unregisterHandler(handler))
        IPublish(self.article).retract()
        self.article.delete()
        self.assertEqual([f'{UUID}.xml'], list(self.waiting()))


class ViviTests(ZCMLTests):
    """Started as zeit.cms starts: settings, ZCML, an event."""

    files = ()

    def setUp(self):
        super().setUp()
        self.enterContext(cms.importable(cms.CMS))
        (self.folder / 'spool').mkdir()
        self.start()
        from zeit.content.article.article import Article

        self.spool = zope.component.getUtility(ISpool, name='articles')
        self.article = Article('politik/a', uuid=UUID, body=BODY.encode())

    def start(self):
        from zeit.cms.zope import configure_product_config, load_zcml

        included = [f'<include package="zeit.cds.vivi" file="{name}" />' for name in self.files]
        site = self.write('<include package="zeit.cms" />', *EXPORTER, *included)
        settings = {
            'site_zcml': site,
            'vivi_zeit.content.article_cds-export': str(self.folder / 'spool'),
        }
        configure_product_config(settings)
        load_zcml(settings)

    def publish(self):
        from zeit.cms.workflow.interfaces import IPublish

        IPublish(self.article).publish()

    def waiting(self):
        return [entry.name for entry in self.spool.status().waiting]

    def export(self):
        return zope.component.getUtility(IExporter, name='articles').run_once().delivered


class FileTests(ZCMLTests):
    def test_each_can_be_included_by_itself(self):
        self.enterContext(cms.importable(cms.CMS))
        for name in 'article.zcml', 'metrics.zcml', 'objectlog.zcml':
            with self.subTest(name):
                xmlconfig.string(
                    '<configure xmlns="http://namespaces.zope.org/zope">'
                    f'<include package="zeit.cds.vivi" file="{name}" /></configure>'
                )


class ArticleTests(ViviTests):
    files = ('article.zcml',)

    def delivered(self):
        """Publish and export; return what the partner has, an XML element."""
        self.publish()
        self.assertEqual([f'{UUID}.xml'], self.export())
        files = zope.component.getUtility(ITarget, name='agency').files
        return ElementTree.fromstring(files[f'{UUID}.xml'])

    def adapted(self, **attributes):
        from zeit.cds.vivi.article import Article

        return type('Adapter', (Article,), attributes)(self.article)

    def head(self):
        return [(node.get('name'), node.text) for node in self.delivered().find('head')]

    def test_it_has_its_properties_in_the_head(self):
        self.article.properties['author', DOCUMENT] = 'Zoë <& Co>'
        found = self.delivered()
        self.assertEqual(['head', 'body'], [node.tag for node in found])
        self.assertEqual(
            [
                ('attribute', {'ns': DOCUMENT, 'name': 'author'}, 'Zoë <& Co>'),
                ('attribute', {'ns': DOCUMENT, 'name': 'uuid'}, UUID),
            ],
            [(node.tag, node.attrib, node.text) for node in found.find('head')],
        )
        self.assertEqual('Zins & Kredit', found.findtext('body/p'))
        self.assertEqual({'{urn:py}a': 'ü'}, found.find('body').attrib)

    def test_not_those_that_are_nobodys_business(self):
        from zeit.connector.interfaces import DeleteProperty

        vgwort = 'http://namespaces.zeit.de/CMS/vgwort'
        self.article.properties |= {
            ('getetag', 'DAV:'): '1',
            ('x', 'INTERNAL'): '1',
            ('keywords', 'http://namespaces.zeit.de/CMS/tagging'): '1',
            ('memo', DOCUMENT): 'call him',
            ('private_token', vgwort): 'secret',
            ('public_token', vgwort): 'public',
            ('title', DOCUMENT): DeleteProperty,
        }
        self.assertEqual([('public_token', 'public'), ('uuid', UUID)], self.head())

    def test_instead_of_old_ones(self):
        head = '<head><attribute name="old">x</attribute><a/></head>'
        self.article.body = f'<article><body/>{head}</article>'.encode()
        self.assertEqual([(None, None), ('uuid', UUID)], self.head())

    def test_a_head_that_is_missing(self):
        self.article.body = b'<article><body><head/></body></article>'
        self.assertEqual([('uuid', UUID)], self.head())

    def test_what_is_no_xml_does_not_go(self):
        self.article.properties['title', DOCUMENT] = 'a\x0bb'
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            self.publish()
        self.assertEqual([], self.waiting())
        (failure,) = self.spool.status().unpublished
        self.assertIn('ExpatError', failure.reason)

    def test_nor_what_has_no_uuid(self):
        self.article.uuid = None
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            self.publish()
        self.assertEqual([], self.waiting())

    def test_what_is_opened_is_closed(self):
        from zeit.cds.vivi.article import Article

        data = io.BytesIO(BODY.encode())
        with unittest.mock.patch.object(type(self.article), 'open', lambda article: data):
            Article(self.article).open()
        self.assertTrue(data.closed)

    def test_content_and_version_are_in_the_receipt(self):
        now = datetime.datetime(2026, 11, 30, 8, 5, tzinfo=datetime.UTC)
        with unittest.mock.patch('zeit.cms.workflow.publish.now', return_value=now):
            self.publish()
        (entry,) = self.spool.status().waiting
        self.assertEqual(
            (self.article.uniqueId, '2026-11-30T08:05:00+00:00'),
            (entry.content, entry.content_version),
        )
        self.export()
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            path = str(self.folder / 'spool')
            self.assertEqual(0, main.main(['receipt', '--spool', path, '--id', entry.content]))
        self.assertIn('version  2026-11-30T08:05:00+00:00', out.getvalue())

    def test_not_what_is_not_published_any_more_when_it_is_tried_again(self):
        self.assertFalse(self.adapted().wanted)
        self.article.info.published = True
        self.assertTrue(self.adapted().wanted)

    def test_it_has_what_its_interface_says(self):
        verifyObject(IVersionedDeliverable, self.adapted())

    def test_the_toggle(self):
        from zeit.cms.content.sources import FEATURE_TOGGLES

        FEATURE_TOGGLES.set('disable_publisher_cds')
        self.publish()
        self.assertEqual([], self.waiting())
        FEATURE_TOGGLES.unset('disable_publisher_cds')
        self.publish()
        self.assertEqual([f'{UUID}.xml'], self.waiting())

    def test_the_lists(self):
        import zeit.cms.config

        self.article.info.published = True
        product = type('Product', (), {'id': 'News'})
        for field, value in (
            *(('genre', 'Rezept'), ('template', 'rezept'), ('ressort', 'Rezept')),
            *(('product', product), ('uniqueId', self.article.uniqueId)),
        ):
            key = f'cds-ignore-{field.lower()}s'
            with self.subTest(key):
                setattr(self.article, field, value)
                self.assertTrue(self.adapted().wanted)
                listed = f'other rezept NEWS {self.article.uniqueId}'
                zeit.cms.config.set('zeit.workflow', key, listed)
                self.assertFalse(self.adapted().wanted)
                self.assertTrue(self.adapted(service='agency').wanted)
                zeit.cms.config.set('zeit.workflow', key, 'other')
                self.assertTrue(self.adapted().wanted)

    def test_a_script_that_leaves_services_out(self):
        from zeit.workflow.publish_3rdparty import PublisherData

        self.article.info.published = True
        with unittest.mock.patch.object(PublisherData, 'ignore', ['speechbert', 'cds']):
            self.assertFalse(self.adapted().wanted)
            self.assertTrue(self.adapted(service='agency').wanted)


class MetricsTests(ViviTests):
    files = ('metrics.zcml',)

    def start(self):
        from zeit.cms.interfaces import IPrometheusRegistry

        self.registry = prometheus_client.CollectorRegistry()
        zope.component.provideUtility(self.registry, IPrometheusRegistry)
        super().start()

    def readable(self):
        return self.registry.get_sample_value('zeit_cds_spool_readable', {'spool': 'articles'})

    def test_they_are_in_the_registry(self):
        self.assertEqual(1, self.readable())

    def test_also_if_zcml_is_loaded_again(self):
        super().start()
        self.assertEqual(1, self.readable())

    def test_where_there_is_no_registry(self):
        from zeit.cms.interfaces import IPrometheusRegistry

        zope.component.getGlobalSiteManager().unregisterUtility(self.registry, IPrometheusRegistry)
        super().start()

    def test_it_can_be_left_out(self):
        from zeit.cds.vivi import prometheus

        self.assertTrue(zope.component.getGlobalSiteManager().unregisterHandler(prometheus.register))


class ObjectLogTests(ViviTests):
    files = ('article.zcml', 'objectlog.zcml')

    def setUp(self):
        super().setUp()
        self.addCleanup(endInteraction)
        from zeit.objectlog.interfaces import IObjectLog
        from zeit.objectlog.objectlog import ObjectLog

        self.log = ObjectLog()
        zope.component.provideUtility(self.log, IObjectLog)
        newInteraction()
        self.log.log(self.article, 'Publication scheduled')
        endInteraction()

    def lines(self):
        found = self.log.get_log(self.article)[1:]
        return [(principal, message, message.mapping) for principal, message in found]

    def test_where_there_is_no_interaction(self):
        self.publish()
        self.export()
        self.assertEqual([(None, 'Delivered to ${name}', {'name': 'agency'})], self.lines())
        self.assertIsNone(queryInteraction())

    def test_in_the_interaction_of_somebody(self):
        principal = type('Principal', (), {'id': 'somebody'})
        newInteraction(type('Participation', (), {'principal': principal, 'interaction': None})())
        self.publish()
        self.export()
        self.assertEqual(['somebody'], [line[0] for line in self.lines()])
        self.assertIsNotNone(queryInteraction())

    def test_files_of_no_content_are_not_logged(self):
        self.spool.put('a.xml', b'')
        self.article.vanish()
        self.spool.put('b.xml', b'', content=self.article.uniqueId)
        with self.assertNoLogs('zeit.cds', 'ERROR'):
            self.assertEqual(['a.xml', 'b.xml'], self.export())
        self.assertEqual([], self.lines())

    def test_where_there_is_no_object_log(self):
        from zeit.objectlog.interfaces import IObjectLog

        zope.component.getGlobalSiteManager().unregisterUtility(self.log, IObjectLog)
        self.publish()
        with self.assertNoLogs('zeit.cds', 'ERROR'):
            self.assertEqual([f'{UUID}.xml'], self.export())

    def test_the_first_line_is_not_ours(self):
        from zeit.content.article.article import Article

        self.article = Article('politik/b', uuid='{urn:uuid:b}')
        self.publish()
        self.export()
        self.assertEqual([], self.log.get_log(self.article))

    def test_by_its_name_also_if_it_has_none(self):
        from zeit.cds.vivi.objectlog import _name

        self.assertEqual('T', _name(type('Target', (), {'title': 'T'})))
