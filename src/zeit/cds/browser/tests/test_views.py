"""The page in a Zope with the security policy on: who may see it, who may press its buttons."""

import json
import pathlib
import re
import urllib.parse

import zope.component
import zope.component.interfaces
import zope.interface
from zope.configuration import xmlconfig
from zope.security.management import setSecurityPolicy

from zeit.cds.browser import actions
from zeit.cds.browser.interfaces import ISite
from zeit.cds.browser.tests.case import HOSTILE, Seen
from zeit.cds.browser.tests.zopestack import Policy, Zope
from zeit.cds.cli import snapshot, status_json
from zeit.cds.cli.selection import registered
from zeit.cds.interfaces import IExporter, ISpool, ITarget
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import cms
from zeit.cds.zcml.tests.test_handlers import ZCMLTests


SITE = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:cds="http://namespaces.zeit.de/cds">
  <include package="zope.publisher" />
  <include package="zope.traversing" />
  <include package="zope.browserresource" />
  <include package="zope.password" />
  <include package="zeit.cds.browser" />
  <cds:spool name="articles" path="spool" />
  <utility provides="zeit.cds.interfaces.ITarget" name="partner"
           factory="zeit.cds.testing.memory.MemoryTarget" />
  <cds:exporter name="articles" spool="articles" target="partner" />
  {}
</configure>
"""

TOKEN = 'y' * 43
ALL = ('zope.View', actions.VIEW, *actions.PERMISSIONS)

#: Who is there, and what each may do.
GRANTED = {
    'cms.operator': ALL,
    'cms.editor': ('zope.View', actions.VIEW),
    'cms.stranger': ('zope.View',),
    'anonymous': ('zope.View',),
}


class ZopeCase(ZCMLTests):
    """`zope` answers requests to a site with the page; `operator`, `editor`, `stranger` log in."""

    standins = (cms.SITE,)

    def setUp(self):
        super().setUp()
        self.enterContext(cms.importable(*self.standins))
        (self.folder / 'spool').mkdir()
        self.start()
        self.spool = zope.component.getUtility(ISpool, name='articles')
        self.target = zope.component.getUtility(ITarget, name='partner')
        policy = type('Granting', (Policy,), {'granted': GRANTED})
        self.addCleanup(setSecurityPolicy, setSecurityPolicy(policy))
        self.zope = Zope(self.root(), skin=self.skin())
        for name in ('operator', 'editor', 'stranger'):
            self.zope.registry.definePrincipal(
                f'cms.{name}', name.title(), login=name, password=name.encode()
            )

    def start(self, *more):
        path = self.folder / 'site.zcml'
        path.write_text(SITE.format('\n'.join(more)), 'utf-8')
        xmlconfig.file(str(path))

    def root(self):
        from zope.site.interfaces import IRootFolder

        @zope.interface.implementer(IRootFolder, zope.component.interfaces.ISite)
        class Root:
            __name__ = __parent__ = None

        return Root()

    def skin(self):
        return None

    def park(self, name='a.xml'):
        self.spool.put(name, b'<a/>')
        self.spool.drop(name, 'It was wrong.')

    def press(self, task, *, user='operator', token=TOKEN, cookie=TOKEN, **more):
        """Return the response to a button."""
        form = {'task': task.value, 'csrf_token': token, **more.pop('form', {})}
        return self.zope(
            f'/{task.view}',
            user=user,
            method='POST',
            body=urllib.parse.urlencode(form).encode(),
            **{
                'HTTP_COOKIE': f'zeit-cds={cookie}',
                'HTTP_ORIGIN': 'http://cms.example',
                'HTTP_SEC_FETCH_SITE': 'same-origin',
                **more,
            },
        )


def body(response):
    return response.consumeBody().decode('utf-8')


class ViewTests(ZopeCase):
    def test_who_may_see_it(self):
        for user, status in (('operator', 200), ('editor', 200), ('stranger', 403), ('', 401)):
            for path in ('/@@cds.html', '/@@cds.json'):
                with self.subTest(user, path=path):
                    self.assertEqual(status, self.zope(path, user=user).getStatus())

    def test_what_programs_get_is_the_status_of_the_command_line(self):
        self.spool.put('a.xml', b'<a/>')
        response = self.zope('/@@cds.json', user='editor')
        self.assertEqual('application/json', response.getHeader('Content-Type'))
        (found,) = json.loads(body(response))
        (taken,) = [snapshot.take(each, remote=False) for each in registered()]
        expected = status_json.as_object(taken)
        for each in found, expected:
            each['waiting'].pop('oldest_seconds')
        self.assertEqual(expected, found)

    def test_who_may_press_a_button(self):
        for user, status in (('', 401), ('stranger', 403), ('editor', 403), ('operator', 200)):
            with self.subTest(user):
                self.park()
                task = actions.Task('retry', 'articles', 'a.xml')
                self.assertEqual(status, self.press(task, user=user).getStatus())
                waiting = [each.name for each in self.spool.status().waiting]
                self.assertEqual(['a.xml'] if status == 200 else [], waiting)
                (self.folder / 'spool' / 'parked' / 'a.xml').unlink(missing_ok=True)

    def test_each_button_has_its_permission(self):
        self.spool.put('a.xml', b'<a/>')
        for mine in actions.PERMISSIONS:
            self.grant('cms.operator', ('zope.View', actions.VIEW, mine))
            for name, about in actions.ACTIONS.items():
                with self.subTest(name, mine=mine):
                    status = self.press(actions.Task(name, 'articles', 'a.xml')).getStatus()
                    self.assertEqual(about.permission == mine, status != 403)

    def grant(self, who, permissions):
        policy = type('Granting', (Policy,), {'granted': {**GRANTED, who: permissions}})
        setSecurityPolicy(policy)

    def test_a_button_is_shown_to_who_may_press_it(self):
        self.park()
        for user, number in (('operator', 1), ('editor', 0)):
            page = Seen(body(self.zope('/@@cds.html', user=user, query='find=a.xml')))
            self.assertEqual(number, len(page.values), user)

    def test_nothing_is_done_by_get(self):
        self.park()
        task = actions.Task('retry', 'articles', 'a.xml')
        query = urllib.parse.urlencode({'task': task.value, 'csrf_token': TOKEN})
        for method in ('GET', 'HEAD', 'PUT'):
            response = self.zope(
                '/@@cds-retry',
                user='operator',
                query=query,
                method=method,
                HTTP_COOKIE=f'zeit-cds={TOKEN}',
            )
            self.assertEqual((405, 'POST'), (response.getStatus(), response.getHeader('Allow')))
        self.assertEqual([], self.spool.status().waiting)

    def test_nothing_is_done_for_another_site(self):
        self.park()
        task = actions.Task('retry', 'articles', 'a.xml')
        for forged in (
            {'token': ''},
            {'token': 'z' * 43},
            {'cookie': ''},
            {'token': '', 'cookie': ''},
            {'token': 'short', 'cookie': 'short'},
            {'HTTP_SEC_FETCH_SITE': 'cross-site'},
            {'HTTP_SEC_FETCH_SITE': 'same-site'},
            {'HTTP_SEC_FETCH_SITE': 'none'},
            {'HTTP_SEC_FETCH_SITE': '', 'HTTP_ORIGIN': 'http://evil.example'},
            {'HTTP_SEC_FETCH_SITE': '', 'HTTP_ORIGIN': 'null'},
        ):
            with self.subTest(forged):
                self.assertEqual(403, self.press(task, **forged).getStatus())
                self.assertEqual([], self.spool.status().waiting)
        older = {'HTTP_SEC_FETCH_SITE': '', 'HTTP_ORIGIN': ''}
        self.assertEqual(200, self.press(task, **older).getStatus())

    def test_a_browser_gets_a_token_and_keeps_it(self):
        response = self.zope('/@@cds.html', user='operator')
        cookie = dict(response.getHeaders())['Set-Cookie']
        token = re.match('zeit-cds=([^;]{43});', cookie)[1]
        for attribute in ('HttpOnly', 'SameSite=Lax', 'Path=/'):
            self.assertIn(attribute, cookie)
        self.assertIn(token, body(response))
        again = self.zope('/@@cds.html', user='operator', HTTP_COOKIE=f'zeit-cds={token}')
        self.assertIn(token, body(again))
        # Who may do nothing needs none.
        self.assertNotIn('Set-Cookie', dict(self.zope('/@@cds.html', user='editor').getHeaders()))

    def test_over_https_no_neighbour_can_plant_one(self):
        self.zope.url = 'https://cms.example'
        cookie = dict(self.zope('/@@cds.html', user='operator').getHeaders())['Set-Cookie']
        self.assertTrue(cookie.startswith('__Host-zeit-cds='))
        self.assertIn('Secure', cookie)

    def test_in_the_language_of_the_browser(self):
        for header, word in (('de-DE,de;q=0.9', 'Alles in Ordnung.'), ('fr', 'All is well.')):
            page = Seen(body(self.zope('/@@cds.html', user='editor', HTTP_ACCEPT_LANGUAGE=header)))
            self.assertIn(word, page.text)
            (language,) = [attrs['lang'] for tag, attrs in page.tags if tag == 'html']
            self.assertEqual(header[:2] if header != 'fr' else 'en', language)

    def test_it_is_kept_nowhere(self):
        for path in ('/@@cds.html', '/@@cds.json'):
            response = self.zope(path, user='editor')
            self.assertEqual('no-store', response.getHeader('Cache-Control'))

    def test_styles_and_script_are_files(self):
        page = Seen(body(self.zope('/@@cds.html', user='editor')))
        for tag, attribute in (('link', 'href'), ('script', 'src')):
            (found,) = [attrs[attribute] for name, attrs in page.tags if name == tag]
            response = self.zope(f'/{found.partition("?")[0]}', user='editor')
            self.assertEqual(200, response.getStatus(), found)
        self.assertFalse([attrs for _, attrs in page.tags if 'style' in attrs])

    def test_names_of_any_bytes(self):
        name = b'\xff\xfe <b>.xml'.decode('utf-8', 'surrogateescape')
        (pathlib.Path(self.spool.path) / 'new').mkdir(exist_ok=True)
        (pathlib.Path(self.spool.path) / 'new' / name).write_bytes(b'1')
        self.spool.put(HOSTILE, b'<a/>')
        page = Seen(body(self.zope('/@@cds.html', user='operator')))
        self.assertIn('<script>alert(1)<script>', page.text)
        self.assertEqual(409, self.press(actions.Task('retry', 'articles', name)).getStatus())
        held = actions.Task('hold', 'articles', HOSTILE)
        self.assertEqual(200, self.press(held, form={'confirmed': 'yes'}).getStatus())
        self.assertEqual([HOSTILE], [*self.spool.status().held])

    def test_what_is_wrong_is_told(self):
        for task in ('', 'action=none', 'action=retry&spool=x', 'action=retry&spool=%00&name=a'):
            form = {'task': task, 'csrf_token': TOKEN}
            response = self.press(actions.Task('retry', 'articles', 'a.xml'), form=form)
            self.assertIn(response.getStatus(), (403, 409))

    def test_delivered_after_a_retry(self):
        self.park()
        self.press(actions.Task('retry', 'articles', 'a.xml'))
        zope.component.getUtility(IExporter, name='articles').run_once()
        page = Seen(body(self.zope('/@@cds.html', user='editor')))
        self.assertIn('a.xml', page.text)
        self.assertEqual({'a.xml': b'<a/>'}, self.target.files)


class ElsewhereTests(ZopeCase):
    def start(self):
        super().start('<include package="zeit.cds.browser" file="meta.zcml" />')

    def test_no_spool_is_here_and_no_other_machine_is_known(self):
        (self.folder / 'spool').rmdir()
        page = Seen(body(self.zope('/@@cds.html', user='operator')))
        self.assertIn('The spools are not on this machine.', page.text)
        # It may just as well be a wrong path, or a disk that is not mounted.
        self.assertIn(f'There is no spool at {self.folder / "spool"}', page.text)
        self.assertEqual([], page.values)
        self.assertFalse(zope.component.getUtility(ISite).source.acts)


class PartnerTests(ZopeCase):
    def start(self):
        super().start(
            '<utility provides="zeit.cds.interfaces.ITarget" name="other"',
            ' factory="zeit.cds.browser.tests.test_views.OtherTarget" />',
            '<cds:exporter name="second" spool="articles" target="other" />',
        )

    def run_once(self):
        for name in ('articles', 'second'):
            zope.component.getUtility(IExporter, name=name).run_once()

    def seen(self, user='operator', **query):
        zope.component.getUtility(ISite).source.forget()
        response = self.zope('/@@cds.html', user=user, query=urllib.parse.urlencode(query))
        return Seen(body(response))

    def test_each_partner_has_a_row_below_the_spool(self):
        self.spool.put('a.xml', b'<a/>', content='http://xml.zeit.de/a')
        text = self.seen().text
        self.assertIn('several partners: see below', text)
        # They have no directory before their first run.
        found = self.seen(find='a.xml').text
        self.assertIn('articles → articles', found)
        self.assertIn('articles → second', found)
        self.assertNotIn('cannot be read', found)
        self.assertNotIn('not on this machine', text)
        self.run_once()
        page = self.seen()
        self.assertIn('All is well.', page.text)
        for partner in 'to partner', 'to other':
            self.assertIn(partner, page.text)
        heads = [attrs['id'] for tag, attrs in page.tags if attrs.get('scope') == 'rowgroup']
        self.assertEqual(['spool-0', 'spool-1', 'spool-2'], heads)
        self.assertEqual(2, self.seen(find='a.xml').text.count('delivered'))
        for query in {}, {'find': 'a.xml'}:
            text = self.seen(**query).text
            self.assertIn('second other', text)
            self.assertIn('articles partner', text)

    def test_one_of_them_does_not_get_what_waits(self):
        self.run_once()
        self.spool.put('a.xml', b'<a/>')
        values = [each for each in self.seen(find='a.xml').values if 'withdraw' in each]
        tasks = [actions.parsed(each, permission=actions.WITHDRAW) for each in values]
        (task,) = [each for each in tasks if each.spool.endswith('/second')]
        response = self.press(task, form={'confirmed': 'yes'})
        self.assertEqual(200, response.getStatus(), Seen(body(response)).text)
        self.run_once()
        other = zope.component.getUtility(ITarget, name='other')
        self.assertEqual((['a.xml'], []), ([*self.target.files], [*other.files]))

    def test_nothing_is_withdrawn_before_the_first_run(self):
        self.spool.put('a.xml', b'<a/>')
        spool = str(zope.component.getUtility(IExporter, name='second').spool.path)
        for action, status, text in (
            ('withdraw', 409, 'a.xml cannot be withdrawn before the first run of this partner'),
            ('park', 200, 'a.xml is parked, and not sent.'),
        ):
            response = self.press(actions.Task(action, spool, 'a.xml'), form={'confirmed': 'yes'})
            self.assertEqual(status, response.getStatus())
            self.assertIn(text, Seen(body(response)).text)
        self.run_once()
        other = zope.component.getUtility(ITarget, name='other')
        self.assertEqual((['a.xml'], []), ([*self.target.files], [*other.files]))

    def test_one_of_them_has_parked_a_file(self):
        self.spool.put('a.xml', b'<a/>')
        self.target.files['a.xml'] = b''
        partner = zope.component.getUtility(IExporter, name='second').spool
        self.run_once()
        self.spool.put('b.xml', b'<a/>')
        partner.drop('b.xml', 'Not for them.')
        page = self.seen(find='b.xml')
        (value,) = [each for each in page.values if 'retry' in each]
        task = actions.parsed(value, permission=actions.RETRY)
        self.assertEqual(200, self.press(task).getStatus())
        self.run_once()
        other = zope.component.getUtility(ITarget, name='other')
        self.assertIn('b.xml', other.files)


class OtherTarget(MemoryTarget):
    """That of a second partner."""

    url = 'memory:other'
