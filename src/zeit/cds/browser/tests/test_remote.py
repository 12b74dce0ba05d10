"""The spools are on another machine: what the page shows is asked for there."""

import base64
import http.server
import json
import threading
import urllib.parse

from zope.interface.verify import verifyObject

from zeit.cds.browser import source
from zeit.cds.browser.article import lines
from zeit.cds.browser.interfaces import ISite, ISource
from zeit.cds.browser.responses import Site
from zeit.cds.browser.tests.case import HOSTILE, BrowserCase
from zeit.cds.credentials import Secret


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as `zeit-cds serve` does, from `server.site`; or with `server.body`."""

    def do_GET(self):  # noqa: N802
        self.server.asked.append((self.path, self.headers.get('Authorization')))
        query = dict(urllib.parse.parse_qsl(self.path.partition('?')[2]))
        body = self.server.body
        if body is None:
            body = self.server.site.data(query).body.encode()
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header('Location', 'http://127.0.0.1:1/')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


class RemoteCase(BrowserCase):
    def setUp(self):
        super().setUp()
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.site, self.server.asked = self.site, []
        self.server.body, self.server.status = None, 200
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)
        self.url = f'http://127.0.0.1:{self.server.server_port}/'
        self.site = self.remote()

    def remote(self, **options):
        self.now = [0.0]
        return Site(source.Remote(self.url, clock=lambda: self.now[0], **options))

    def look(self, **query):
        self.server.site.source.forget()
        return self.get(**query)


class RemoteTests(RemoteCase):
    def test_it_shows_what_is_there_and_offers_nothing(self):
        self.spool.put('a.xml', b'<a/>')
        self.export()
        self.spool.put(HOSTILE, b'<a/>')
        self.spool.drop(HOSTILE, 'It was a test.')
        for query in {}, {'find': 'script'}:
            page = self.look(**query)
            self.assertIn('<script>alert(1)<script>', page.text)
            self.assertEqual([], page.values)
            self.assertIn(f'{self.url}@@cds.html', page.text)
        self.assertIn('a.xml', self.look().text)

    def test_a_line_for_an_article(self):
        self.spool.put('a.xml', b'<a/>', content='http://xml.zeit.de/a')
        (line,) = lines(self.site.source, 'http://xml.zeit.de/a')
        self.assertEqual('Waits for ${partner}, since ${time}.', line.text)

    def test_a_line_for_an_article_of_another_version(self):
        there = [{'state': 'waiting', 'path': '/spool'}]
        self.site.source.of = lambda content: {'there': there, 'events': []}
        (line,) = lines(self.site.source, 'http://xml.zeit.de/a')
        self.assertTrue(line.bad)
        self.assertIn(self.url, line.said)

    def test_nothing_is_done_from_here(self):
        answer = self.post('action=retry&spool=articles&name=a.xml')
        self.assertEqual(409, answer.status)

    def test_whoever_is_away_is_waited_for_once(self):
        self.server.status, self.server.body = 503, b'[]'
        for _ in range(3):
            page = self.look()
            self.assertIn('cannot be read', page.text)
            self.assertIn('it has answered 503 Service Unavailable', page.text)
        self.assertEqual(1, len(self.server.asked))
        self.server.status, self.server.body = 200, None
        self.now[0] += source.ANSWER_SECONDS
        self.assertNotIn('cannot be read', self.look().text)

    def test_what_is_no_status(self):
        for body in (
            b'', b'{}', b'null', b'[', b'\xff', b'[1]', b'[{}]', b'[{"name": null, "path": 1}]',
            b'[{"name": "a", "path": "b", "error": null, "waiting": 7}]', b'[' * 100000,
        ):  # fmt: skip
            with self.subTest(body[:40]):
                self.site, self.server.body = self.remote(), body
                page = self.look()
                self.assertIn('The status cannot be read.', page.text)

    def test_nobody_is_followed(self):
        self.server.status, self.server.body = 302, b'[]'
        self.assertIn('302', self.look().text)

    def test_who_asks(self):
        self.site = self.remote(credentials=('otto', Secret('gehein')))
        self.look()
        expected = base64.b64encode(b'otto:gehein').decode()
        self.assertEqual(('/@@cds.json?short=1', f'Basic {expected}'), self.server.asked[0])

    def test_addresses(self):
        for url in ('ftp://host/', 'file:///etc/passwd', 'http://', 'http://u:p@host/', 'host'):
            with self.assertRaises(source.SourceError) as caught:
                source.Remote(url)
            self.assertNotIn(':p@', caught.exception.message)
        with self.assertRaisesRegex(source.SourceError, 'readable on its way'):
            source.Remote('http://host/', credentials=('otto', Secret('x')))
        source.Remote('https://host/', credentials=('otto', Secret('x')))

    def test_they_are_what_they_say(self):
        for each in self.site.source, self.server.site.source:
            verifyObject(ISource, each)
        verifyObject(ISite, self.site)

    def test_what_programs_get(self):
        self.spool.put('a.xml', b'<a/>')
        (found,) = json.loads(self.site.data({}).body)
        self.assertEqual('a.xml', found['waiting']['names'][0]['name'])
