"""The page of `zeit-cds serve` in a real browser."""

import os
import unittest.mock

from zeit.cds import errors
from zeit.cds.browser import rendering, shared_look
from zeit.cds.cli.tests.test_command_line import PASSWORD
from zeit.cds.testing import faults
from zeit.cds.tests import chromium
from zeit.cds.web.tests.test_serve import ApplicationCase


LAPTOP = {'width': 1280, 'height': 720}
NARROW = {'width': 320, 'height': 640}

#: So large a page may be, in bytes.
LARGEST = 200 * 1024

#: A name of 255 bytes, which would like to be more than that.
HOSTILE = '<img src=x onerror="hacked=1"><script>hacked=1</script>${1+1}&amp;\'"\u202e{{x}}'
HOSTILE += 'x' * (251 - len(HOSTILE.encode())) + '.xml'


class BrowserCase(chromium.BrowserTests, ApplicationCase):
    """The spool of `ServeCase`, and a partner's server; buttons can be pressed."""

    layer = chromium.CHROMIUM
    options = {'actions': True}

    def setUp(self):
        super().setUp()
        self.partner = self.enterContext(faults.FaultServer())
        self.partner.user, self.partner.password = 'test', PASSWORD
        self.configure(self.partner.port)
        # What a run has done just now is to be seen.
        self.enterContext(unittest.mock.patch.multiple(shared_look, MIN_SECONDS=0, SHARE=0))
        self.site = self.open(password_file=self.password, **self.options)

    def export(self, *arguments, code=errors.DONE):
        """Let a run deliver what waits."""
        outcome = self.call('--zcml', self.zcml, '-q', 'export', *arguments)
        self.assertEqual(code, outcome.code, outcome.err)

    def look(self, path='', **options):
        """Return a page of the site in a browser; the options are those of `open_page`."""
        known = {'username': 'me', 'password': PASSWORD}
        page = self.open_page(http_credentials=known, **({'viewport': LAPTOP} | options))
        page.goto(self.site.url + path)
        return page

    def assert_usable(self, page):
        """Nobody is kept out, and nothing is beside the window."""
        self.assertEqual([], self.barriers(page))
        self.assertLessEqual(page.evaluate('document.documentElement.scrollWidth'),
                             page.viewport_size['width'])  # fmt: skip


class LookTests(BrowserCase):
    """What is seen."""

    def test_all_is_well(self):
        self.export()
        for scheme in 'light', 'dark':
            page = self.look(color_scheme=scheme)
            self.assertTrue(page.get_by_text('All is well.').is_visible())
            for name in 'a.xml', 'b.xml':
                self.assertTrue(page.get_by_role('link', name=name).is_visible())
            height = page.evaluate('document.documentElement.scrollHeight')
            self.assertLessEqual(height, LAPTOP['height'], 'it is seen in one look')
            self.assert_usable(page)
        colors = 'getComputedStyle(document.body).backgroundColor'
        self.assertNotEqual(page.evaluate(colors), self.look().evaluate(colors))

    def test_the_partner_is_away(self):
        self.partner.stop()
        self.export(code=errors.UNAVAILABLE)
        for options in {}, {'color_scheme': 'dark'}, {'viewport': NARROW}:
            page = self.look(**options)
            trouble = page.get_by_role('region', name='Somebody has to look after this')
            self.assertIn('Connection refused', trouble.inner_text())
            self.assertLess(trouble.bounding_box()['y'], LAPTOP['height'] / 2, 'trouble is on top')
            self.assert_usable(page)

    def test_a_narrow_window_in_german(self):
        self.export()
        page = self.look(viewport=NARROW, locale='de-DE')
        self.assertEqual('de', page.locator('html').get_attribute('lang'))
        self.assert_usable(page)

    def test_a_hostile_name(self):
        self.assertEqual(255, len(os.fsencode(HOSTILE)))
        self.spool.put(HOSTILE.replace('/', '\N{DIVISION SLASH}')[:240], b'x')
        self.spool.hold('a.xml', HOSTILE)
        for options in {}, {'viewport': NARROW}:
            page = self.look(**options)
            for each in page.locator('details > summary').all():
                each.evaluate('each => { each.parentElement.open = true }')
            self.assertIn('<img src=x onerror="hacked=1"><script>', page.inner_text('main'))
            self.assertEqual('undefined', page.evaluate('typeof hacked'))
            self.assert_usable(page)
            page.get_by_role('link', name='<img src=x').first.click()
            self.assertIn('<img src=x onerror="hacked=1"><script>', page.inner_text('main'))
            self.assertEqual('undefined', page.evaluate('typeof hacked'))
            self.assert_usable(page)

    def test_it_refreshes_by_itself(self):
        with unittest.mock.patch.object(rendering, 'REFRESH_SECONDS', 0.1):
            page = self.look()
            page.locator('#cds-find').fill('half a wo')
            self.export()
            page.get_by_text('All is well.').wait_for()
            page.get_by_role('heading', name='Last deliveries').wait_for()
            page.get_by_role('link', name='a.xml').wait_for()
            self.assertEqual('half a wo', page.locator('#cds-find').input_value())


class LoadTests(BrowserCase):
    """A browser still shows it; what is sent is small already at level 1."""

    level = 2

    def test_ten_thousand_files(self):
        self.assertLess(len(self.site.ask(headers=self.auth)[2]), LARGEST)
        for number in range(10_000):
            (self.path / 'new' / f'{number:05}-{"x" * 200}.xml').touch()
        self.site = self.open(password_file=self.password, **self.options)
        sizes = [len(self.site.ask(path=path, headers=self.auth)[2])
                 for path in ('/', '/?find=xxx', '/@@cds.json?short=1')]  # fmt: skip
        self.assertLess(max(sizes), LARGEST)
        page = self.look()
        self.assertIn('10002', page.inner_text('main'))
        self.assert_usable(page)


class ActTests(BrowserCase):
    """What is done."""

    level = 2

    def park(self):
        """Let the partner refuse a.xml until it is parked."""
        rule = self.partner.fault('STOR', faults.Reply('550 No <b>way</b>.'), path='*a.xml*')
        self.export('--park-after', '1', code=errors.FILES_FAILED)
        self.partner.remove_fault(rule)
        self.assertIn('a.xml', os.listdir(self.path / 'parked'))

    def test_parked_and_retried(self):
        self.park()
        page = self.look()
        self.assertIn('550 No <b>way</b>.', page.inner_text('main'))
        self.assert_usable(page)
        page.get_by_role('button', name='Retry a.xml').first.click()
        self.assertIn('waits again', page.get_by_role('status').inner_text())
        self.assert_usable(page)
        self.assertEqual(['a.xml'], os.listdir(self.path / 'new'))
        self.export()
        self.assertTrue(self.look().get_by_text('All is well.').is_visible())

    def test_without_scripts(self):
        self.park()
        page = self.look(scripts=False)
        page.get_by_label('File or content').fill('a.xm')
        page.get_by_role('button', name='Search').click()
        self.assertIn('550 No', page.locator('main').inner_text())
        page.get_by_role('button', name='Retry a.xml').first.click()
        self.assertIn('waits again', page.get_by_role('status').inner_text())
        self.assertEqual(['a.xml'], os.listdir(self.path / 'new'))

    def test_by_keyboard_only(self):
        self.park()
        page = self.look()
        _tab_to(page, 'id', 'cds-find')
        page.keyboard.type('a.xml')
        page.keyboard.press('Enter')
        page.wait_for_url('**find=a.xml*')
        _tab_to(page, 'textContent', 'Retry a.xml')
        outline = page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
        self.assertNotEqual('none', outline, 'it is seen where one is')
        page.keyboard.press('Enter')
        page.get_by_text('waits again').wait_for()
        self.assertEqual(['a.xml'], os.listdir(self.path / 'new'))

    def test_withdrawn(self):
        self.export()
        page = self.look('?find=a.xml')
        page.get_by_role('button', name='Withdraw').first.click()
        self.assert_usable(page)
        page.get_by_role('textbox').last.fill('It was <wrong>.')
        page.get_by_role('button', name='Withdraw').click()
        self.assertIn('will be deleted', page.get_by_role('status').inner_text())
        self.assertIn('/a.xml', self.partner.files)
        self.export()
        self.assertNotIn('/a.xml', self.partner.files)
        page.goto(f'{self.site.url}?find=a.xml')
        self.assertIn('me: It was <wrong>.', page.inner_text('main'))
        self.assert_usable(page)

    def test_locked_by_somebody(self):
        self.partner.put('/write', b'alice <b>')
        self.export(code=errors.COME_BACK_LATER)
        for options in {}, {'color_scheme': 'dark'}, {'viewport': NARROW}:
            page = self.look(**options)
            self.assert_usable(page)
        page = self.look()
        self.assertIn('the server was locked', page.inner_text('main'))
        page.get_by_role('button', name='Unlock').first.click()
        self.assertIn('alice <b>', page.inner_text('main'))
        self.assertIn('/write', self.partner.files)
        self.assert_usable(page)
        page.get_by_role('button', name='Remove the lock').click()
        self.assertIn('was removed', page.get_by_role('status').inner_text())
        self.assertNotIn('/write', self.partner.files)
        self.export()
        self.assertTrue(self.look().get_by_text('All is well.').is_visible())


def _tab_to(page, attribute, value):
    """Press Tab until what has the focus has this."""
    for _ in range(100):
        page.keyboard.press('Tab')
        if value in str(page.evaluate(f'document.activeElement.{attribute}')):
            return
    raise AssertionError(f'No way leads to {value}')
