"""A real browser for tests: Debian's Chromium without a display, driven by Playwright.

`.ci/servers` brings both, and axe-core, which looks for what keeps people from using a page.
"""

import importlib
import json
import sys

from zeit.cds.testing import daemon, layers


#: Seconds that a page may take, and anything that a test waits for on it.
TIMEOUT = 20

#: What Chromium may be called, where it is on PATH.
NAMES = ('chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome')

#: It speaks to this machine only: Chromium itself has much to say to its maker.
RESOLVER = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'


def _find_playwright():
    """Make Playwright and axe-core importable.  Raises ServerUnavailable."""
    folder = daemon.servers_directory() / 'playwright'
    if not folder.is_dir():
        raise daemon.ServerUnavailable(f'Playwright is not installed: run {daemon.REMEDY}')
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def _find_chromium():
    """Return the path of the program.  Raises ServerUnavailable."""
    missing = None
    for name in NAMES:
        try:
            return daemon.find_program('chromium', 'usr', 'lib', 'chromium', name)
        except daemon.ServerUnavailable as error:
            missing = missing or error
    raise missing


class Chromium:
    """A layer with a running browser, `browser`; `missing` says why there is none."""

    __bases__ = (layers.QUIET,)
    __module__ = __name__

    def __init__(self, name):
        self.__name__ = name
        self.browser = self.missing = self._playwright = None

    def setUp(self):
        """Start it; see zope.testrunner."""
        try:
            program = _find_chromium()
            _find_playwright()
        except daemon.ServerUnavailable as error:
            self.missing = error
            return
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        try:
            self.browser = self._playwright.chromium.launch(
                executable_path=program, args=[RESOLVER], timeout=1000 * TIMEOUT
            )
        except BaseException:
            self.tearDown()
            raise

    def tearDown(self):
        """End it."""
        browser, self.browser = self.browser, None
        playwright, self._playwright = self._playwright, None
        try:
            if browser is not None:
                browser.close()
        finally:
            if playwright is not None:
                playwright.stop()


CHROMIUM = Chromium('CHROMIUM')


class BrowserTests:
    """Mixin for a TestCase: `open_page` opens a page; whatever the browser complains of, fails."""

    layer = CHROMIUM

    def setUp(self):
        """Find the browser; skips the test if there is none."""
        super().setUp()
        if self.layer.missing is not None:
            raise self.layer.missing
        #: What scripts, the network and the Content Security Policy had to complain of, as texts.
        self.complaints = []
        self.addCleanup(self._require_no_complaints)

    def open_page(self, *, scripts=True, **options):
        """Return a page in a browser of its own; the options are those of `Browser.new_context`.

        `scripts`: whether JavaScript is on.
        """
        context = self.layer.browser.new_context(java_script_enabled=scripts, **options)
        self.addCleanup(context.close)
        context.set_default_timeout(1000 * TIMEOUT)
        page = context.new_page()
        page.on('console', self._console)
        page.on('pageerror', lambda error: self.complaints.append(str(error)))
        return page

    def _console(self, message):
        if message.type in ('error', 'warning'):
            self.complaints.append(message.text)

    def _require_no_complaints(self):
        complaints, self.complaints = self.complaints, []
        self.assertEqual([], complaints)

    def barriers(self, page):
        """Return what axe-core finds on the page: a list of (rule, elements it is about)."""
        from axe_playwright_python.base import AXE_FILE_PATH

        page.evaluate(AXE_FILE_PATH.read_text('utf-8'))
        found = json.loads(page.evaluate('axe.run().then(JSON.stringify)'))
        self.assertTrue(found['passes'], 'axe-core has looked at nothing')
        return [
            (each['id'], [node['html'] for node in each['nodes']]) for each in found['violations']
        ]
