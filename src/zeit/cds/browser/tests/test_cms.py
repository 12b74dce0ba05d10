"""The page in zeit.cms: its layout, its menu, a line for each article.

gocept.pagelet and zope.viewlet are real; of zeit.cms there is a stand-in with the same names.
"""

import datetime
import importlib

import zope.component
import zope.interface
from zope.publisher.browser import BrowserView
from zope.viewlet.manager import ViewletManager

from zeit.cds.browser import actions
from zeit.cds.browser.tests.case import HOSTILE, Seen
from zeit.cds.browser.tests.test_views import ZopeCase, body
from zeit.cds.errors import SpoolError
from zeit.cds.interfaces import IExporter
from zeit.cds.tests import cms


ID = 'http://xml.zeit.de/2026/48/a'


class CMSCase(ZopeCase):
    standins = (cms.CMS, cms.SITE)

    def start(self):
        super().start('<include package="zope.viewlet" />')
        from z3c.template.interfaces import ILayoutTemplate

        from zeit.cms.browser.interfaces import ICMSLayer

        zope.component.provideAdapter(
            lambda view, request: lambda view: f'<html><main>{view.render()}</main></html>',
            (zope.interface.Interface, ICMSLayer),
            ILayoutTemplate,
        )

    def skin(self):
        from zeit.cms.browser.interfaces import ICMSSkin

        return ICMSSkin

    def viewlets(self, module, name, request, context=None, view=None):
        """Return what the viewlets of a manager render."""
        interface = getattr(importlib.import_module(module), name)
        context = self.zope.publication.root if context is None else context
        view = BrowserView(context, request) if view is None else view
        manager = ViewletManager('test', interface)(context, request, view)
        manager.update()
        return manager.render()

    def interaction(self, user):
        return self.zope.interaction(user)



class PageTests(CMSCase):
    def test_it_has_the_layout_of_the_cms(self):
        response = self.zope('/@@cds.html', user='editor')
        self.assertEqual('no-store', response.getHeader('Cache-Control'))
        found = body(response)
        self.assertTrue(found.startswith('<html><main>'))
        self.assertEqual(1, found.count('<html'))
        page = Seen(found)
        self.assertIn('All is well.', page.text)
        classes = [attrs.get('class', '').split() for tag, attrs in page.tags if tag == 'table']
        self.assertTrue(classes)
        for each in classes:
            self.assertIn('contentListing', each)
            self.assertNotIn('hasMetadata', each)

    def test_who_may_see_it(self):
        for user, status in (('operator', 200), ('editor', 200), ('stranger', 403), ('', 401)):
            self.assertEqual(status, self.zope('/@@cds.html', user=user).getStatus(), user)

    def test_it_is_only_in_that_layer(self):
        self.zope.skin = None
        self.assertEqual(404, self.zope('/@@cds.html', user='editor').getStatus())
        self.assertEqual(200, self.zope('/@@cds.json', user='editor').getStatus())

    def test_buttons(self):
        self.park()
        task = actions.Task('retry', 'articles', 'a.xml')
        for user, status in (('', 401), ('editor', 403), ('operator', 200)):
            response = self.press(task, user=user)
            self.assertEqual(status, response.getStatus(), user)
        self.assertTrue(body(response).startswith('<html><main>'))
        self.assertEqual(['a.xml'], [each.name for each in self.spool.status().waiting])
        self.assertEqual(405, self.zope('/@@cds-retry', user='operator').getStatus())

    def test_what_is_done_is_done_once(self):
        self.spool.put('a.xml', b'')
        task = actions.Task('hold', 'articles', 'a.xml')
        with self.assertLogs('zeit.cds.browser.actions', 'INFO') as logs:
            self.press(task, form={'confirmed': 'yes'})
        self.assertEqual(1, len(logs.records))

    def test_the_menu(self):
        for user, shown in (('cms.editor', True), ('cms.stranger', False)):
            with self.interaction(user) as request:
                where = 'zeit.cms.browser.interfaces', 'ISecondaryGlobalViews'
                menu = self.viewlets(*where, request)
                self.assertEqual(shown, 'href="http://cms.example/@@cds.html"' in menu, menu)


class ArticleTests(CMSCase):
    def shown(self, unique_id=ID, user='cms.editor'):
        from zeit.content.article.article import Article
        from zeit.content.article.edit.browser.form import StatusForms

        article = Article('2026/48/a', uuid='u', body=b'<article/>')
        article.uniqueId = unique_id
        with self.interaction(user) as request:
            view = StatusForms(article, request)
            where = 'zeit.edit.interfaces', 'IContentViewletManager'
            return Seen(self.viewlets(*where, request, article, view)).text

    def run_once(self):
        zope.component.getUtility(IExporter, name='articles').run_once()

    def test_nothing_is_known(self):
        self.assertEqual('', self.shown())

    def test_it_waits_and_is_delivered(self):
        self.spool.put('a.xml', b'<a/>', content=ID)
        self.spool.put('ab.xml', b'<a/>', content=f'{ID}b')
        self.assertRegex(self.shown(), '^CDS Waits for partner, since [-0-9 :]+ [A-Z]+.$')
        self.run_once()
        self.assertRegex(self.shown(), '^CDS Delivered to partner, [-0-9 :]+ [A-Z]+.$')
        self.spool.put('a.xml', b'<a>2</a>', content=ID)
        self.assertRegex(self.shown(), 'Waits for .* Delivered to ')

    def test_it_is_under_embargo(self):
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=5)
        self.spool.put('a.xml', b'<a/>', content=ID, not_before=end)
        shown = f'{end.astimezone():%Y-%m-%d %H:%M:%S %Z}'
        self.assertEqual(f'CDS Goes to partner when its embargo ends, {shown}.', self.shown())

    def test_it_is_held_withdrawn_or_parked(self):
        self.spool.put('a.xml', b'<a/>', content=ID)
        self.spool.hold('a.xml', HOSTILE)
        self.assertIn('Is held, and not sent to partner. <script>', self.shown())
        self.spool.drop('a.xml', 'no')
        self.assertIn('Was parked by hand', self.shown())
        self.spool.release('a.xml')
        self.spool.put('b.xml', b'<a/>', content=f'{ID}2')
        self.spool.withdraw('b.xml', 'Wrong.')
        self.assertIn('Withdrawn before it was sent to partner', self.shown(f'{ID}2'))

    def test_who_may_not_see_it(self):
        self.spool.put('a.xml', b'<a/>', content=ID)
        self.assertEqual('', self.shown(user='cms.stranger'))

    def test_nobody_is_kept_from_editing(self):
        def status():
            raise SpoolError('It is gone.', hint='')

        self.spool.put('a.xml', b'<a/>', content=ID)
        self.spool.status = status
        self.assertIn('What has become of it cannot be found out. It is gone.', self.shown())
