"""Routes, and what every answer has, as WSGI has it."""

import io
import logging
import threading
import unittest
import unittest.mock
import wsgiref.util
import wsgiref.validate

from zeit.cds.browser import shared_look
from zeit.cds.credentials import Secret
from zeit.cds.errors import SpoolError
from zeit.cds.testing import layers
from zeit.cds.web import access, metrics_and_health, pages
from zeit.cds.web.routes import HEADERS, Application, Response
from zeit.cds.web.tests.test_access import header


def told(request):
    return Response(body=request.user.encode(), headers=[('X-Own', 'a')])


def fails(request):
    raise SpoolError('It is gone: <b>', hint='Look for it.')


class ApplicationTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.forms = []
        self.routes = {
            '/': {'GET': told},
            '/open': {'GET': told},
            '/form': {'POST': lambda request: self.forms.append(request.form()) or Response()},
            '/fails': {'GET': fails},
            '/bug': {'GET': lambda request: 1 / 0},
        }

    def ask(self, method='GET', path='/', *, site=None, body=b'', **environ):
        """Return status, headers and body."""
        given = {'REQUEST_METHOD': method, 'PATH_INFO': path, 'SCRIPT_NAME': ''}
        given['HTTP_HOST'] = 'localhost:8079'
        given |= {'wsgi.input': io.BytesIO(body), 'CONTENT_LENGTH': str(len(body))} | environ
        given |= {'REMOTE_ADDR': '192.0.2.1', 'QUERY_STRING': environ.get('QUERY_STRING', '')}
        wsgiref.util.setup_testing_defaults(given)
        answered = []

        def start_response(status, headers, exc_info=None):
            answered.append((int(status[:3]), dict(headers)))

        site = site or Application(self.routes, hosts={'localhost'})
        if method in ('GET', 'HEAD', 'POST') and path.startswith('/'):
            site = wsgiref.validate.validator(site)
        result = site(given, start_response)
        found = b''.join(result)
        if hasattr(result, 'close'):
            result.close()
        return *answered[0], found

    def test_every_answer_has_the_headers(self):
        for path in '/', '/none', '/form':
            _, headers, _ = self.ask(path=path)
            self.assertEqual({}, {n: v for n, v in HEADERS if headers.get(n) != v})
        self.assertEqual('a', self.ask()[1]['X-Own'])
        for policy in ('unsafe', 'data:', 'http', '*'):
            self.assertNotIn(policy, dict(HEADERS)['Content-Security-Policy'])

    def test_paths(self):
        for path in (
            *('/none', '//', '/..', '/../etc/passwd', '/open/', '/open/..', '/%2e%2e', '/form/x'),
            *('/\xff\xfe', '/\xc3\xa4', '/@@/zeit.cds/../page.py', '/open\x00', ''),
        ):
            with self.subTest(path):
                self.assertEqual(404, self.ask(path=path)[0])

    def test_methods(self):
        self.assertEqual((200, b''), self.ask('HEAD')[::2])
        for method, path, allowed in (
            *((each, '/', 'GET, HEAD') for each in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE')),
            *((each, '/', 'GET, HEAD') for each in ('get', 'PROPFIND', '', 'A' * 1000)),
            *((each, '/form', 'POST') for each in ('GET', 'HEAD')),
        ):
            with self.subTest(method, path=path):
                status, headers, _ = self.ask(method, path)
                self.assertEqual((405, allowed), (status, headers['Allow']))
        self.assertEqual([], self.forms)

    def test_forms(self):
        kind = {'CONTENT_TYPE': 'application/x-www-form-urlencoded; charset=utf-8'}
        self.assertEqual(200, self.ask('POST', '/form', body=b'a=%C3%A4&b=&a=2', **kind)[0])
        self.assertEqual([{'a': '2', 'b': ''}], self.forms)
        for body, status, more in (
            (b'a=b', 415, {'CONTENT_TYPE': 'text/plain'}),
            (b'a=b', 415, {'CONTENT_TYPE': 'multipart/form-data; boundary=x'}),
            (b'&'.join([b'a=b'] * 1000), 400, kind),
        ):
            self.assertEqual(status, self.ask('POST', '/form', body=body, **more)[0])
        self.assertEqual(1, len(self.forms))

    def test_hosts(self):
        for host, status in (
            *(('localhost', 200), ('LOCALHOST:80', 200), ('127.0.0.1:8079', 200), ('[::1]', 200)),
            *(('evil.example', 421), ('localhost.evil.example', 421), ('', 421), ('[', 421)),
            *(('a@localhost', 421), ('localhost:x', 421), ('<script>', 421), ('\xff', 421)),
        ):
            with self.subTest(host):
                found, _, body = self.ask(HTTP_HOST=host)
                self.assertEqual(status, found, body)
        self.assertEqual(200, self.ask(site=Application(self.routes), HTTP_HOST='any')[0])

    def test_a_password(self):
        site = Application(self.routes, gate=access.Gate(Secret('geheim')), open=('/open',))
        for path in '/', '/none', '/form':
            status, headers, _ = self.ask(path=path, site=site)
            self.assertEqual(401, status)
            self.assertTrue(headers['WWW-Authenticate'].startswith('Basic '))
        self.assertEqual((200, b''), self.ask(path='/open', site=site)[::2])
        right, wrong = (header('me', each).reveal() for each in ('geheim', 'x'))
        self.assertEqual((200, b'me'), self.ask(site=site, HTTP_AUTHORIZATION=right)[::2])
        for _ in range(access.GUESSES):
            with self.assertLogs('zeit.cds.web', 'WARNING'):
                self.assertEqual(401, self.ask(site=site, HTTP_AUTHORIZATION=wrong)[0])
        status, headers, _ = self.ask(site=site, HTTP_AUTHORIZATION=right)
        self.assertEqual(429, status)
        self.assertIn(int(headers['Retry-After']), range(1, access.WINDOW_SECONDS + 1))

    def test_errors(self):
        with self.assertLogs('zeit.cds.web', 'ERROR') as logged:
            status, headers, body = self.ask(path='/fails')
        self.assertEqual((503, b'It is gone: <b>. Look for it.\n'), (status, body))
        self.assertTrue(headers['Content-Type'].startswith('text/plain'))
        with self.assertLogs('zeit.cds.web', 'ERROR') as logged:
            status, _, body = self.ask(path='/bug')
        self.assertEqual((500, b'Internal Server Error\n'), (status, body))
        self.assertEqual(ZeroDivisionError, logged.records[0].exc_info[0])

    def test_no_log_and_no_repr_has_the_password(self):
        site = Application(self.routes, gate=access.Gate(Secret('geheim')))
        given = header('me', 'geheim').reveal()
        with self.assertLogs('zeit.cds.web', 'DEBUG') as logged:
            logging.getLogger('zeit.cds.web').debug('%r', site)
            self.ask(path='/bug', site=site, HTTP_AUTHORIZATION=given)
        self.assertNotIn(given[6:], ''.join(logged.output))

    def test_a_disk_that_hangs_is_ill(self):
        begun, goes_on = threading.Event(), threading.Event()

        now, looked = [0.0], []

        def select():
            looked.append(now[0])
            if len(looked) > 1:
                begun.set()
                goes_on.wait(20)
            return []

        found = metrics_and_health.MetricsAndHealth(select, clock=lambda: now[0])
        site = Application(found.routes)
        for _ in range(2):
            self.assertEqual(200, self.ask(path='/healthz', site=site)[0])
        self.assertEqual(1, len(looked))
        now[0] += shared_look.MIN_SECONDS
        thread = threading.Thread(target=found.health, args=(None,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(goes_on.set)
        self.assertTrue(begun.wait(20))
        with unittest.mock.patch.object(shared_look, 'WAIT_SECONDS', 0):
            fresh = shared_look.MIN_SECONDS
            for age, status in (fresh, 200), (fresh + shared_look.OLD_SECONDS, 503):
                now[0] = age
                self.assertEqual(status, self.ask(path='/healthz', site=site)[0])

    def test_languages(self):
        for given, expected in (
            ('', []),
            ('de', ['de']),
            ('en;q=0.5, de-DE, fr;q=0.9;x=1', ['de-DE', 'fr', 'en']),
            ('de;q=0, en;q=nonsense, *;q=0.1,,;', ['*']),
        ):
            self.assertEqual(expected, pages.preferred(given))
