"""A spool with a server in memory, and what a browser would see of it."""

import html.parser
import unittest

import zope.component
from zope.i18n.interfaces import ITranslationDomain

from zeit.cds.browser import actions, rendering, source
from zeit.cds.browser.responses import Site, Visitor
from zeit.cds.cli.selection import SelectedSpool
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.folders import in_memory


#: What no text of others may become.
HOSTILE = '<script>alert(1)<script>"\'&\u202e.xml'

TOKEN = 'x' * 43

EVERYTHING = frozenset((actions.VIEW, *actions.PERMISSIONS))


class Seen(html.parser.HTMLParser):
    """What is in a page: `tags` (name, attributes), the `text`, and the `values` of its buttons."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return ' '.join(' '.join(self.texts).split())

    @property
    def values(self):
        return [found['value'] for tag, found in self.tags if tag == 'button' and 'value' in found]


class BrowserCase(unittest.TestCase):
    """`spool` is exported to `target`, which are in a folder and in memory; `site` shows them."""

    def setUp(self):
        path = in_memory(self).resolve() / 'a spool'
        path.mkdir()
        self.spool, self.target = Spool(path), MemoryTarget()
        self.selected = [
            SelectedSpool('articles', self.spool, [('partner', self.target)], exports=True)
        ]
        self.site = Site(source.Local(lambda: self.selected))
        self.visitor = Visitor(who='Otto', allowed=EVERYTHING, cookie=TOKEN)
        rendering.register_translations()
        domain = zope.component.getUtility(ITranslationDomain, name='zeit.cds')
        self.addCleanup(
            zope.component.getGlobalSiteManager().unregisterUtility,
            domain, ITranslationDomain, 'zeit.cds',
        )  # fmt: skip

    def export(self, **options):
        return Exporter(self.spool, self.target).run_once(**options)

    def get(self, visitor=None, **query):
        """Return what `Seen` sees of the page, as it is now."""
        self.site.source.forget()
        answer = self.site.page(query, visitor or self.visitor)
        self.assertEqual(200, answer.status)
        return Seen(answer.body)

    def post(self, value, *, visitor=None, permission=None, **form):
        """Return the `Answer` to a button with this `value`, pressed on a page of ours."""
        if permission is None:
            name = dict(pair.split('=') for pair in value.split('&'))['action']
            permission = actions.ACTIONS[name].permission
        form = {'task': value, 'csrf_token': TOKEN, **form}
        return self.site.act(
            permission, form, visitor or self.visitor, url='https://cms/', site='same-origin'
        )
