"""The page in a real Zope: `python -m zeit.cds.browser.tests.realzope`, in the environment `zope`.

zope.app.wsgi publishes a root folder out of a ZODB, with the security policy, the principals and
the views of errors that Zope has; nothing of it is ours.
"""

import base64
import io
import pathlib
import re
import tempfile
import urllib.parse

import ZODB
import zope.component
import zope.component.hooks
import zope.site.folder
import zope.site.site
from zope.app.exception.browser.unauthorized import Unauthorized
from zope.app.wsgi import WSGIPublisherApplication
from zope.browserpage import namedtemplate
from zope.configuration import xmlconfig

from zeit.cds.browser import actions
from zeit.cds.interfaces import ISpool


SITE = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:cds="http://namespaces.zeit.de/cds"
           xmlns:browser="http://namespaces.zope.org/browser">
  <include package="zope.component" file="meta.zcml" />
  <include package="zope.security" file="meta.zcml" />
  <include package="zope.security" file="permissions.zcml" />
  <include package="zope.securitypolicy" file="meta.zcml" />
  <include package="zope.securitypolicy" />
  <include package="zope.principalregistry" file="meta.zcml" />
  <include package="zope.principalregistry" />
  <include package="zope.password" />
  <include package="zope.authentication" />
  <include package="zope.publisher" file="meta.zcml" />
  <include package="zope.publisher" />
  <include package="zope.browserpage" file="meta.zcml" />
  <include package="zope.traversing" />
  <include package="zope.location" />
  <include package="zope.annotation" />
  <utility component="zope.error.error.globalErrorReportingUtility"
           provides="zope.error.interfaces.IErrorReportingUtility" />
  <include package="zope.container" />
  <include package="zope.site" />
  <include package="zope.app.publication" file="meta.zcml" />
  <include package="zope.app.publication" />
  <include package="zope.browserresource" file="meta.zcml" />
  <include package="zope.browserresource" />
  <browser:page for="zope.security.interfaces.IUnauthorized" name="index.html"
                class="zope.app.exception.browser.unauthorized.Unauthorized"
                permission="zope.Public" />
  <adapter factory="zeit.cds.browser.tests.realzope.plain" name="default" />
  <include package="zeit.cds.browser" />

  <securityPolicy component="zope.securitypolicy.zopepolicy.ZopeSecurityPolicy" />
  <adapter factory="zeit.cds.browser.tests.zopestack.BasicAuth" />
  <browser:defaultView for="*" name="index.html" />

  <unauthenticatedPrincipal id="cms.anonymous" title="Nobody" />
  <principal id="cms.operator" title="Olga" login="operator" password="o" />
  <principal id="cms.editor" title="Edi" login="editor" password="e" />
  <principal id="cms.stranger" title="Sam" login="stranger" password="s" />
  <grant permission="zope.View" principal="cms.anonymous" />
  <grant permission="zeit.cds.ViewStatus" principal="cms.editor" />
  <grant permission="zeit.cds.ViewStatus" principal="cms.operator" />
  <grant permission="zeit.cds.Retry" principal="cms.operator" />
  <grant permission="zeit.cds.Withdraw" principal="cms.operator" />
  <grant permission="zeit.cds.Unlock" principal="cms.operator" />

  <cds:spool name="articles" path="{folder}/spool" />
  <utility provides="zeit.cds.interfaces.ITarget" name="partner"
           factory="zeit.cds.testing.memory.MemoryTarget" />
  <cds:exporter name="articles" spool="articles" target="partner" />
</configure>
"""

#: The one of zope.app.exception has the look of an application.
plain = namedtemplate.NamedTemplateImplementation(lambda view: 'Not allowed.', Unauthorized)

#: What each gets.
PAGE = {'operator': 200, 'editor': 200, 'stranger': 403, '': 401}
BUTTON = {'operator': 200, 'editor': 403, 'stranger': 403, '': 401}


class Browser:
    """Sends requests to a WSGI application as `user`, and keeps its cookies."""

    def __init__(self, application, user):
        self.application, self.user, self.cookies = application, user, {}

    def __call__(self, path, form=None):
        """Return (status, body)."""
        path, _, query = path.partition('?')
        body = b'' if form is None else urllib.parse.urlencode(form).encode()
        environ = {
            'REQUEST_METHOD': 'GET' if form is None else 'POST',
            'PATH_INFO': path,
            'QUERY_STRING': query,
            'SERVER_NAME': 'cms.example',
            'SERVER_PORT': '80',
            'SERVER_PROTOCOL': 'HTTP/1.1',
            'HTTP_HOST': 'cms.example',
            'HTTP_COOKIE': '; '.join(f'{name}={value}' for name, value in self.cookies.items()),
            'CONTENT_LENGTH': str(len(body)),
            'wsgi.input': io.BytesIO(body),
            'wsgi.errors': io.StringIO(),
            'wsgi.url_scheme': 'http',
            'wsgi.version': (1, 0),
        }
        if body:
            environ['CONTENT_TYPE'] = 'application/x-www-form-urlencoded'
        if self.user:
            login = base64.b64encode(f'{self.user}:{self.user[0]}'.encode()).decode()
            environ['HTTP_AUTHORIZATION'] = f'Basic {login}'
        answers = []
        result = self.application(environ, lambda *answer: answers.append(answer))
        body = b''.join(result)
        if hasattr(result, 'close'):
            result.close()
        status, headers = answers[-1][:2]
        for name, value in headers:
            if name == 'Set-Cookie':
                name, value = value.partition(';')[0].split('=', 1)
                self.cookies[name] = value
        return int(status.split()[0]), body.decode('utf-8')


def main(folder):
    """Let four people see the page, and press a button."""
    (folder / 'spool').mkdir()
    site = folder / 'site.zcml'
    site.write_text(SITE.format(folder=folder), 'utf-8')
    xmlconfig.file(str(site))
    database = ZODB.DB(None)
    with database.transaction() as connection:
        root = zope.site.folder.rootFolder()
        root.setSiteManager(zope.site.site.LocalSiteManager(root))
        connection.root()['Application'] = root
    application = WSGIPublisherApplication(database)
    spool = zope.component.getUtility(ISpool, name='articles')

    browsers = {user: Browser(application, user) for user in PAGE}
    spool.put('<b>a.xml', b'<a/>')
    spool.drop('<b>a.xml', 'It was <i>wrong</i>.')
    for path in '/@@cds.html', '/@@cds.json', '/@@cds.html?find=a.xml':
        got = {user: browser(path)[0] for user, browser in browsers.items()}
        assert got == PAGE, (path, got)
    status, body = browsers['operator']('/@@cds.html')
    assert '&lt;i&gt;wrong&lt;/i&gt;' in body, body
    assert '<i>wrong' not in body, body
    style = re.search('href="(@@/zeit.cds/[^"]*)"', body)[1]
    assert browsers['operator'](f'/{style}')[0] == 200, style

    token = re.search('name="csrf_token" value="([^"]*)"', body)[1]
    task = actions.Task('retry', 'articles', '<b>a.xml')
    form = {'task': task.value, 'csrf_token': token}
    for user in '', 'stranger', 'editor':
        browsers[user].cookies |= browsers['operator'].cookies
        status, _ = browsers[user](f'/{task.view}', form)
        assert status == BUTTON[user], (user, status)
    assert browsers['operator'](f'/{task.view}', {**form, 'csrf_token': 'x' * 43})[0] == 403
    assert browsers['operator'](f'/{task.view}')[0] == 405
    assert [*spool.status().waiting] == []
    status, body = browsers['operator'](f'/{task.view}', form)
    assert status == 200, body
    assert [each.name for each in spool.status().waiting] == ['<b>a.xml'], body
    assert 'waits again' in body, body


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as temporary:
        main(pathlib.Path(temporary).resolve())
