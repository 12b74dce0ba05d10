"""What is published in zeit.cms reaches vsftpd by each of the drivers."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import zope.component

from zeit.cds.interfaces import IWakeUp
from zeit.cds.testing import layers
from zeit.cds.testing.process import Daemon
from zeit.cds.tests import application, broker, cms
from zeit.cds.thread import ExporterThread


#: Seconds after which a test gives up.
TIMEOUT = 30

BY_CELERY = '<utility factory="zeit.cds.tasks.WakeUp" />'


class DriverTests(layers.ServerTests, unittest.TestCase):
    """Each test is one driver."""

    layer = layers.VSFTPD

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def application(self, **kw):
        """Set the application up in this process."""
        self.zcml = application.write(self.folder, self.server, **kw)
        application.load(self, self.zcml)

    def environ(self, **more):
        return cms.environment(cms.CMS) | more

    def daemon(self, *command, **environ):
        """Start a program that ends with the test."""
        log = self.folder / 'daemon.log'
        daemon = Daemon(['env', *(f'{k}={v}' for k, v in self.environ(**environ).items()), *command], log=log)
        self.addCleanup(daemon.stop)
        daemon.start()
        return daemon

    def wait_until(self, condition, daemon=None):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > deadline or not (daemon is None or daemon.alive):
                self.fail(f'It has not come: {self.remote()} {daemon and daemon.output}')
            time.sleep(0.01)

    def remote(self):
        return sorted(path.name for path in self.server.root.iterdir())

    def filed(self):
        return sorted(path.name for path in (self.folder / 'spool' / 'cur').glob('*'))

    def assert_delivered(self, *names, daemon=None):
        """Wait until these files, and nothing else, are filed; then they are on the server."""
        self.wait_until(lambda: self.filed() == sorted(names) and 'write' not in self.remote(), daemon)
        self.assertEqual(sorted(names), self.remote())
        for name in names:
            self.assertEqual(
                (self.folder / 'spool' / 'cur' / name).read_bytes(),
                (self.server.root / name).read_bytes(),
            )

    def test_command_line(self):
        self.application()
        name = application.publish('a')
        command = [sys.executable, '-m', 'zeit.cds.tests.program', '--zcml', self.zcml, 'export']
        subprocess.run(command, env=self.environ(), check=True, timeout=TIMEOUT)
        self.assert_delivered(name)

    def test_thread(self):
        self.application()
        thread = ExporterThread('articles')
        zope.component.provideUtility(thread, IWakeUp, name='articles')
        self.addCleanup(thread.stop)
        thread.start()
        self.assert_delivered(application.publish('a'))
        self.assertTrue(thread.stop())

    def test_celery(self):
        self.celery(workers=1)
        self.assert_delivered(application.publish('a'), daemon=self.worker)

    def celery(self, *, workers):
        """Set the application up, a broker and a worker."""
        import celery

        redis = broker.require(self)
        app = celery.Celery('publisher', broker=redis.url, set_as_current=True)
        app.set_current()
        self.addCleanup(celery._state._set_current_app, celery._state.default_app)
        self.addCleanup(app.close)
        self.application(more=BY_CELERY)
        self.worker = self.daemon(
            sys.executable,
            *('-m', 'celery', '-A', 'zeit.cds.tests.celeryapp', 'worker', '-l', 'INFO'),
            *('-c', str(workers), '--without-gossip', '--without-mingle', '--without-heartbeat'),
            ZEIT_CDS_TEST_BROKER=redis.url,
            ZEIT_CDS_TEST_ZCML=str(self.zcml),
            C_FORCE_ROOT='1',
        )
        return redis
