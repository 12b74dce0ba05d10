"""The browser for tests: it runs, obeys, and what is wrong with a page is noticed."""

import unittest
import urllib.parse

from zeit.cds.tests import chromium


PAGE = """\
<!DOCTYPE html><html lang="en"><title>a</title>
<style>@media (prefers-color-scheme: dark) { p { color: rgb(1, 2, 3) } }</style>
<main><h1>a</h1><p>b</p><noscript>none</noscript></main>
"""


class ChromiumTests(chromium.BrowserTests, unittest.TestCase):
    def test_it_can_be_dark_and_narrow_and_without_scripts(self):
        page = self.open_page(color_scheme='dark', viewport={'width': 320, 'height': 200})
        page.set_content(PAGE)
        self.assertEqual(
            ['rgb(1, 2, 3)', 320],
            page.evaluate('[getComputedStyle(document.querySelector("p")).color, innerWidth]'),
        )
        for scripts, text in (True, 'b'), (False, 'none'):
            page = self.open_page(scripts=scripts)
            page.goto(f'data:text/html,{urllib.parse.quote(PAGE)}')
            self.assertTrue(page.locator('main').inner_text().endswith(text))

    def test_barriers_are_found(self):
        page = self.open_page()
        page.set_content(PAGE)
        self.assertEqual([], self.barriers(page))
        page.set_content(PAGE.replace('<p>', '<p><img src="data:,">'))
        ((rule, elements),) = self.barriers(page)
        self.assertEqual(('image-alt', ['<img src="data:,">']), (rule, elements))

    def test_what_the_browser_complains_of_is_kept(self):
        page = self.open_page()
        page.set_content(PAGE + '<script>nothing()</script>')
        self.assertEqual(1, len(self.complaints), self.complaints)
        self.complaints.clear()
