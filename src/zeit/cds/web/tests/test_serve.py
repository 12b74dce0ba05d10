"""`zeit-cds serve`: the command, as a process and as a call."""

import os
import re
import signal
import sys
import unittest.mock
import urllib.parse

import zope.component.testing

from zeit.cds import errors
from zeit.cds.browser.actions import Task
from zeit.cds.cli.tests.test_command_line import PASSWORD, CommandLine
from zeit.cds.drivers.tests.test_watch import Systemd
from zeit.cds.testing.certificates import Certificates
from zeit.cds.web import serving as serving_module
from zeit.cds.web.serving import application
from zeit.cds.web.tests.serving import Address, serving
from zeit.cds.web.tests.test_access import header
from zeit.cds.zcml import handlers


ZCML = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:cds="http://namespaces.zeit.de/cds">
  <include package="zeit.cds" />
  <cds:spool name="articles" path="{folder}/spool" />
  <cds:target
      name="partner"
      host="127.0.0.1"
      port="{port}"
      user="test"
      password_file="{folder}/password"
      directory="/"
      />
  <cds:exporter name="articles" spool="articles" target="partner" />
</configure>
"""


class ServeCase(CommandLine):
    """A spool with two files, and pages of it."""

    def setUp(self):
        super().setUp()
        self.zcml = self.folder / 'cds.zcml'
        self.configure()
        self.password = self.folder / 'password'
        self.password.touch(mode=0o600)
        self.password.write_text(f'{PASSWORD}\n')
        self.auth = {'Authorization': header('me', PASSWORD).reveal()}

    def configure(self, port=9):
        """Write the ZCML, with the port of the partner's server."""
        self.zcml.write_text(ZCML.format(folder=self.folder, port=port))

    def serve(self, *arguments, listen='127.0.0.1:0', **options):
        """Start it; return the process, and its `Address` when it listens."""
        arguments = '--zcml', self.zcml, 'serve', '--listen', listen, *arguments
        process = self.start(*arguments, **options)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        line = process.stdout.readline()
        if not line:
            self.fail(self.finish(process))
        return process, Address(line.removeprefix('Serving ').split()[0])

    def end(self, process, number=signal.SIGTERM):
        """End it by a signal; return what is left of its output."""
        process.send_signal(number)
        return self.finish(process)


class ProcessTests(ServeCase):
    def test_it_serves_until_it_is_ended(self):
        with Systemd(self.folder) as systemd:
            self.environ |= {'NOTIFY_SOCKET': systemd.path, 'WATCHDOG_USEC': '100000'}
            process, here = self.serve()
            systemd.hear(f'READY=1\nSTATUS=Serving {re.escape(here.url)}')
            systemd.hear('WATCHDOG=1')
            self.assertIn(b'a.xml', here.ask()[2])
            outcome = self.end(process)
            self.assertEqual((143, ''), (outcome.code, outcome.out))
            self.assertIn('Ended by SIGTERM', outcome.err)
            systemd.hear('STOPPING=1')

    def test_encrypted_and_for_others(self):
        certificates = self.enterContext(Certificates())
        pair = certificates.server
        _, here = self.serve(
            *('--certificate', pair.certificate, '--key', pair.key),
            *('--password-file', self.password),
            listen='0.0.0.0:0',
        )
        here.host = '127.0.0.1'
        context = certificates.client_context()
        self.assertEqual(200, here.ask(context=context, headers=self.auth)[0])
        self.assertEqual(401, here.ask(context=context)[0])

    def test_without_the_packages(self):
        program = 'import sys; sys.modules["waitress"] = None; from zeit.cds.cli import main; '
        program = [sys.executable, '-c', f'{program}sys.exit(main.main())']
        outcome = self.finish(self.start('--zcml', self.zcml, 'serve', program=program))
        self.assertEqual(errors.USAGE, outcome.code)
        self.assertEqual(
            "zeit-cds: This needs waitress. pip install 'zeit.cds[web]' brings it.\n", outcome.err
        )

    def test_what_is_not_safe_is_refused(self):
        key = self.folder / 'key'
        for arguments, said in (
            (['--listen', '0.0.0.0:0'], '--certificate'),
            (['--listen', '[::]:0', '--password-file', self.password], '--certificate'),
            (['--listen', '0.0.0.0:0', '--certificate', key], '--password-file'),
            (['--actions'], '--password-file'),
            (['--key', key], '--certificate'),
            (['--listen', 'localhost'], 'a host and a port'),
            (['--listen', 'localhost:99999'], 'a host and a port'),
        ):
            with (
                self.subTest(arguments),
                unittest.mock.patch.object(serving_module, 'Server', side_effect=AssertionError),
            ):
                outcome = self.call('--zcml', self.zcml, 'serve', *arguments)
                self.assertEqual((errors.USAGE, ''), (outcome.code, outcome.out))
                self.assertIn(said, outcome.err)
                self.assertEqual(1, len(outcome.err.splitlines()), outcome.err)
        outcome = self.call('serve')
        self.assertEqual(errors.USAGE, outcome.code)
        for arguments in (
            ['--certificate', key],
            ['--password-file', key],
            ['--listen', '192.0.2.1:1', '--certificate', key, '--password-file', self.password],
        ):
            outcome = self.call('--zcml', self.zcml, 'serve', *arguments)
            self.assertEqual((errors.CONFIGURATION, ''), (outcome.code, outcome.out), arguments)


class ApplicationCase(ServeCase):
    """The application of the same configuration in a thread; a browser may use it."""

    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        handlers.load(str(self.zcml))

    def open(self, **options):
        """Serve it; return its `Address`.  The options are those of `application`."""
        return self.enterContext(serving(application(**options)))


class ApplicationTests(ApplicationCase):
    def test_without_a_password_nothing_can_be_done(self):
        here = self.open()
        status, headers, body = here.ask()
        self.assertEqual((200, 'text/html;charset=utf-8'), (status, headers['Content-Type']))
        self.assertNotIn(b'name="task"', body)
        self.assertEqual(body.partition(b'<time')[0], here.ask(path='/@@cds.html')[2].partition(
            b'<time')[0])  # fmt: skip
        self.assertIn(b'"name": "a.xml"', here.ask(path='/@@cds.json')[2])
        paths = set(re.findall(rb'(?:href|src)="(@@/[^"]+)"', body))
        self.assertTrue(paths)
        for path in paths:
            status, headers, _ = here.ask(path=f'/{path.decode()}')
            self.assertEqual((200, True), (status, 'immutable' in headers['Cache-Control']))
        for path in '/@@cds-retry', '/@@cds-withdraw', '/@@cds-unlock':
            self.assertEqual(404, here.ask('POST', path)[0])
        self.assertEqual(421, here.ask(headers={'Host': 'evil.example'})[0])

    def test_it_speaks_german(self):
        body = self.open().ask(headers={'Accept-Language': 'fr, de-AT;q=0.9, en;q=0.5'})[2]
        self.assertIn(b'<html lang="de"', body)

    def test_metrics_and_health(self):
        here = self.open(max_age=3600)
        status, headers, body = here.ask(path='/metrics')
        self.assertEqual((200, True), (status, 'version=0.0.4' in headers['Content-Type']))
        self.assertIn(b'zeit_cds_waiting_files{spool="articles"} 2\n', body)
        self.assertEqual((200, b'All is well.\n'), here.ask(path='/healthz')[::2])
        status, _, body = self.open(max_age=0).ask(path='/healthz')
        self.assertEqual(503, status)
        self.assertNotIn(b'a.xml', body)
        self.assertEqual(200, self.open().ask(path='/healthz')[0])
        for section in 'new', 'cur':
            directory, other = self.path / section, self.path / 'other'
            directory.mkdir(exist_ok=True)
            directory.rename(other)
            directory.touch()
            here = self.open()
            self.assertEqual(503, here.ask(path='/healthz')[0])
            metrics = here.ask(path='/metrics')[2]
            self.assertIn(b'zeit_cds_spool_readable{spool="articles"} 0', metrics)
            directory.unlink()
            other.rename(directory)

    def test_with_a_password(self):
        here = self.open(password_file=self.password)
        for path in '/', '/metrics', '/@@cds.json', '/none':
            self.assertEqual(401, here.ask(path=path)[0])
        self.assertEqual(200, here.ask(headers=self.auth)[0])
        self.assertEqual(200, here.ask(path='/healthz')[0])
        self.password.write_text('other')
        with self.assertLogs('zeit.cds.web', 'WARNING'):
            self.assertEqual(401, here.ask(headers=self.auth)[0])
        self.password.unlink()
        with self.assertLogs('zeit.cds.web', 'ERROR'):
            status, _, body = here.ask(headers=self.auth)
        self.assertEqual(503, status)
        self.assertNotIn(str(self.password).encode(), body)

    def test_nothing_is_done_by_get_or_for_another_site(self):
        here = self.open(password_file=self.password, actions=True)
        form = {'Content-Type': 'application/x-www-form-urlencoded', **self.auth}
        page = here.ask(headers=self.auth)
        cookie = page[1]['Set-Cookie'].partition(';')[0]
        for attribute in ('HttpOnly', 'SameSite=Lax', 'Path=/'):
            self.assertIn(f'; {attribute}', page[1]['Set-Cookie'])
        token = re.search(rb'name="csrf_token" value="([^"]+)"', page[2])[1].decode()
        task = urllib.parse.quote(Task('park', 'articles', 'a.xml').value)
        body = f'csrf_token={token}&confirmed=yes&task={task}'
        for method, headers, sent, expected in (
            ('GET', {'Cookie': cookie}, body, 405),
            ('POST', {}, body, 403),
            ('POST', {'Cookie': cookie}, f'confirmed=yes&task={task}', 403),
            ('POST', {'Cookie': cookie, 'Origin': 'https://evil.example'}, body, 403),
            ('POST', {'Cookie': cookie, 'Origin': 'http://['}, body, 403),
            ('POST', {'Cookie': cookie, 'Origin': 'null'}, body, 403),
            ('POST', {'Cookie': cookie, 'Sec-Fetch-Site': 'cross-site'}, body, 403),
            ('POST', {'Cookie': cookie, 'Origin': here.url[:-1]}, body, 200),
        ):
            with self.subTest(method, headers=headers):
                self.assertEqual(['a.xml', 'b.xml'], sorted(os.listdir(self.path / 'new')))
                found = here.ask(method, '/@@cds-retry', body=sent, headers=form | headers)
                self.assertEqual(expected, found[0])
            if expected == 200:
                # What was done is seen by all who ask.
                metrics = here.ask(path='/metrics', headers=self.auth)[2]
                self.assertIn(b'zeit_cds_waiting_files{spool="articles"} 1\n', metrics)
            else:
                here.ask(path='/metrics', headers=self.auth)
        self.assertEqual(['b.xml'], os.listdir(self.path / 'new'))
        self.assertIn('a.xml', os.listdir(self.path / 'parked'))
