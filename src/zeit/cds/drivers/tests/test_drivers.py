"""What is published in zeit.cms reaches vsftpd by each of the drivers."""

import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

import celery
import kombu.pools
import zope.component
from inotify_simple import INotify, flags

from zeit.cds.cli.tests.test_command_line import PROCESS
from zeit.cds.drivers import celery_task
from zeit.cds.drivers.thread import ExporterThread, ImporterThread
from zeit.cds.interfaces import IWakeUp
from zeit.cds.testing import layers
from zeit.cds.testing.process import Daemon
from zeit.cds.testing.quiet import open_descriptors
from zeit.cds.tests import application, broker, cms, diary
from zeit.cds.tests.importing import leave


#: Seconds after which a test gives up.
TIMEOUT = 60

BY_CELERY = '<utility factory="zeit.cds.drivers.celery_task.WakeUp" />'


class ApplicationCase(layers.ServerTests, unittest.TestCase):
    """An application, vsftpd, and what is started in other processes."""

    layer = layers.VSFTPD

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.diary = self.folder / 'diary'

    def application(self, **kw):
        """Set the application up in this process."""
        self.zcml = application.write(self.folder, self.server, **kw)
        application.load(self, self.zcml)

    def environ(self, **more):
        return cms.environment(cms.CMS) | {diary.VARIABLE: str(self.diary)} | more

    def daemon(self, *command, **environ):
        """Start a program that ends with the test."""
        log = self.folder / 'daemon.log'
        daemon = Daemon(
            ['env', *(f'{k}={v}' for k, v in self.environ(**environ).items()), *command], log=log
        )
        self.addCleanup(daemon.stop)
        daemon.start()
        return daemon

    def wait_until(self, condition, daemon=None):
        deadline = time.monotonic() + TIMEOUT
        with INotify() as changes:
            for path in (self.server.root, self.folder / 'spool' / 'cur'):
                changes.add_watch(path, flags.CREATE | flags.MOVED_TO | flags.DELETE)
            while not condition():
                remaining = deadline - time.monotonic()
                if remaining < 0 or not (daemon is None or daemon.alive):
                    self.fail(f'It has not come: {self.remote()} {daemon and daemon.output}')
                changes.read(timeout=1000 * min(1, remaining))

    def remote(self):
        return sorted(path.name for path in self.server.root.iterdir())

    def filed(self):
        return sorted(path.name for path in (self.folder / 'spool' / 'cur').glob('*'))

    def assert_delivered(self, *names, daemon=None):
        """Wait until these files, and nothing else, are filed; then they are on the server."""
        self.wait_until(
            lambda: self.filed() == sorted(names) and 'write' not in self.remote(), daemon
        )
        self.assertEqual(sorted(names), self.remote())
        for name in names:
            self.assertEqual(
                (self.folder / 'spool' / 'cur' / name).read_bytes(),
                (self.server.root / name).read_bytes(),
            )

    def accept_epoll(self):
        """Forgive kombu that it forgets the epoll descriptor of a connection that was closed."""
        found = {number for number, target in open_descriptors() if 'eventpoll' in target}
        layers.QUIET.accept(threads=(), descriptors=found)

    def celery(self, *, workers, more=BY_CELERY):
        """Set the application up, a broker and a worker."""
        redis = broker.require(self)
        app = celery.Celery('publisher', broker=redis.url, set_as_current=True)
        app.set_current()
        self.addCleanup(celery._state._set_current_app, celery._state.default_app)
        self.addCleanup(self.accept_epoll)
        self.addCleanup(kombu.pools.reset)
        self.addCleanup(app.close)
        self.application(more=more)
        self.redis, self.workers = redis, workers
        self.start_worker()

    def start_worker(self):
        self.worker = self.daemon(
            sys.executable,
            *('-m', 'celery', '-A', 'zeit.cds.drivers.tests.celeryapp', 'worker', '-l', 'INFO'),
            *('-c', str(self.workers), '--without-gossip', '--without-mingle'),
            '--without-heartbeat',
            ZEIT_CDS_TEST_BROKER=self.redis.url,
            ZEIT_CDS_TEST_ZCML=str(self.zcml),
            ZEIT_CDS_TEST_KILL=str(self.folder / 'kill'),
            C_FORCE_ROOT='1',
        )


class DriverTests(ApplicationCase):
    """Each test is one driver."""

    def test_command_line(self):
        self.application()
        name = application.publish('a')
        command = [*PROCESS, '--zcml', self.zcml, 'export']
        # As cron would: vsftpd fails now and then, see `zeit.cds.testing.servers`.
        for _ in range(3):
            if not subprocess.run(command, env=self.environ(), timeout=TIMEOUT).returncode:
                break
        self.assert_delivered(name)

    def test_watch(self):
        self.application()
        watch = self.daemon(*PROCESS, '--zcml', str(self.zcml), 'watch', '--interval', '3600')
        self.assert_delivered(application.publish('a'), daemon=watch)
        self.assert_delivered('{urn:uuid:a}.xml', application.publish('b'), daemon=watch)

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


class RetractionTests(ApplicationCase):
    """What is retracted while the server is away does not come, and what has come goes."""

    level = 2

    def check(self, run=None, daemon=None):
        """Publish and retract, before the server ends and after that; `run` where nothing waits."""
        run = run or (lambda: None)
        first = application.publish('a')
        run()
        self.assert_delivered(first, daemon=daemon)
        self.server.pause()
        application.publish('b')
        kept = application.publish('c')
        application.retract('b')
        application.retract('a')
        self.server.start()
        last = application.publish('d')
        run()
        self.wait_until(lambda: self.remote() == sorted([kept, last]), daemon)
        self.wait_until(lambda: self.filed() == sorted([first, kept, last]), daemon)

    def test_command_line(self):
        self.application(more=application.DELETE)
        command = [*PROCESS, '--zcml', self.zcml, 'export']
        self.check(lambda: subprocess.run(command, env=self.environ(), timeout=TIMEOUT))

    def test_watch(self):
        self.application(more=application.DELETE)
        command = [*PROCESS, '--zcml', str(self.zcml), 'watch', '--interval', '3600']
        self.check(daemon=self.daemon(*command))

    def test_thread(self):
        self.application(more=application.DELETE)
        thread = ExporterThread('articles')
        zope.component.provideUtility(thread, IWakeUp, name='articles')
        self.addCleanup(thread.stop)
        thread.start()
        self.check()
        self.assertTrue(thread.stop())

    def test_celery(self):
        self.celery(workers=2, more=BY_CELERY + application.DELETE)
        self.check(daemon=self.worker)


class ImportTests(ApplicationCase):
    """What a partner has left comes in, by each of the drivers that go on."""

    level = 2

    IMPORTER = """
        <cds:spool name="letters" path="letters" />
        <cds:importer name="letters" spool="letters" target="partner" two_way="yes" />
    """

    def setUp(self):
        super().setUp()
        (self.folder / 'letters').mkdir()

    def leave(self, name):
        leave(self.server.root / name, b'<letter/>')

    def assert_imported(self, *names, daemon=None):
        """Wait until these files have come in, and nothing is left on the server."""
        self.wait_until(lambda: not self.remote(), daemon)
        new = self.folder / 'letters' / 'new'
        self.assertEqual(dict.fromkeys(names, b'<letter/>'), {
            path.name: path.read_bytes() for path in new.iterdir()
        })  # fmt: skip

    def test_watch(self):
        self.application(more=self.IMPORTER)
        self.leave('a.xml')
        command = [*PROCESS, '--zcml', str(self.zcml), 'watch', '--interval', '0.2']
        watch = self.daemon(*command, 'letters')
        self.assert_imported('a.xml', daemon=watch)
        self.leave('b.xml')
        self.assert_imported('a.xml', 'b.xml', daemon=watch)

    def test_thread(self):
        self.application(more=self.IMPORTER)
        thread = ImporterThread('letters', interval=0.2)
        self.addCleanup(thread.stop)
        self.leave('a.xml')
        thread.start()
        self.assert_imported('a.xml')
        self.leave('b.xml')
        self.assert_imported('a.xml', 'b.xml')
        self.assertTrue(thread.stop())

    def test_celery(self):
        self.celery(workers=1, more=self.IMPORTER)
        self.leave('a.xml')
        celery_task.import_.delay('letters')
        self.assert_imported('a.xml', daemon=self.worker)


class KilledTests(ApplicationCase):
    """A worker of celery is killed in the middle of an article."""

    level = 2

    def setUp(self):
        super().setUp()
        self.celery(workers=1)

    def kill(self, who, *, publish):
        """Let what delivers next be killed; publish; return the names."""
        (self.folder / 'kill').write_text(who)
        return [application.publish(name) for name in publish]

    def test_one_process_and_its_message_comes_again(self):
        names = self.kill('process', publish='a')
        self.assert_delivered(*names, daemon=self.worker)
        self.assertFalse((self.folder / 'kill').exists())
        self.assertIn('WorkerLostError', self.worker.log.read_text())

    def test_all_of_them_and_the_next_task_heals(self):
        names = self.kill('worker', publish='abc')
        self.wait_until(lambda: not self.worker.alive)
        self.assertFalse((self.folder / 'kill').exists())
        self.assertIn('write', self.remote())
        self.assertEqual([], self.filed())
        self.start_worker()
        self.assert_delivered(*names, application.publish('d'), daemon=self.worker)


    def test_a_message_that_kills_each_time_is_given_up(self):
        names = self.kill('always', publish='a')
        log = self.worker.log.read_text
        self.wait_until(lambda: 'a task that killed its worker' in log(), self.worker)
        self.assertEqual(celery_task.BEGINNINGS, log().count("exited with 'signal 9"), log())
        (self.folder / 'kill').unlink()
        self.assert_delivered(*names, application.publish('b'), daemon=self.worker)


class ManyTests(ApplicationCase):
    """Many publications, several processes, a server that is restarted: level 2."""

    level = 2

    def test_celery(self):
        self.celery(workers=4)
        names = [application.publish(str(number)) for number in range(40)]
        self.wait_until(lambda: len(self.filed()) > 5, self.worker)
        self.server.restart()
        names += [application.publish(str(number)) for number in range(40, 100)]
        self.assert_delivered(*names, daemon=self.worker)
        self.worker.stop()
        runs, _ = diary.check(self, self.diary)
        self.assertGreater(runs, 1)
        # Which of them gets in is chance; but all of them were asked.
        asked = set(re.findall(r'ForkPoolWorker-\d+', self.worker.log.read_text()))
        self.assertEqual(4, len(asked))

    def test_a_wrong_password_is_tried_once_however_much_is_published(self):
        self.celery(workers=4)
        (self.folder / 'password').write_text('wrong')
        names = [application.publish(str(number)) for number in range(30)]
        log = self.worker.log.read_text
        with INotify() as changes:
            changes.add_watch(self.worker.log, flags.MODIFY)
            while len({*re.findall(r'Task zeit.cds.export\[(\S+)\] retry: ', log())}) < 30:
                self.assertTrue(changes.read(timeout=1000 * TIMEOUT), log())
        self.assertEqual(1, log().count('Could not connect to CDS FTP server.'), log())
        # By hand it is tried at once.
        (self.folder / 'password').write_text(self.server.password)
        command = [*PROCESS, '--zcml', self.zcml, 'export']
        subprocess.run(command, env=self.environ(), timeout=TIMEOUT, check=True)
        self.assert_delivered(*names, daemon=self.worker)
        names.append(application.publish('30'))
        self.assert_delivered(*names, daemon=self.worker)
