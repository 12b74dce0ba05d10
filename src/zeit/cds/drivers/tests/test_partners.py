"""Two partners of one spool, by each of the drivers: one run each, side by side, none is busy."""

import sys

import zope.component

from zeit.cds.drivers.tests.test_drivers import BY_CELERY, TIMEOUT, ApplicationCase
from zeit.cds.drivers.tests.test_watch import Stalled
from zeit.cds.drivers.thread import ExporterThread
from zeit.cds.interfaces import IExchangeFinished, IWakeUp
from zeit.cds.testing import faults
from zeit.cds.tests import application, diary, remembered


#: The partner beside vsftpd: a server that can be told to hang.
OTHER = """
  <cds:target name="other" host="{other.host}" port="{other.port}" user="test"
      password_file="{folder}/other" directory="/" />
  <cds:exporter name="archive" spool="articles" target="other" />
"""


class PartnersCase(ApplicationCase):
    level = 2

    def setUp(self):
        super().setUp()
        self.other = self.enterContext(faults.FaultServer())
        (self.folder / 'other').write_text('testpw')
        (self.folder / 'other').chmod(0o600)
        self.more = OTHER.format(other=self.other, folder=self.folder)

    def stall(self):
        """Let the other server hang while it gets a file, until what this returns is set."""
        stalled = Stalled()
        self.addCleanup(stalled.set)
        self.other.fault('STOR', faults.Delay(stalled, moment='before'), path='*.part', times=1)
        return stalled

    def check(self, daemon=None):
        """One hangs: the other one gets all that comes, and it gets all when it has awoken."""
        stalled = self.stall()
        names = [application.publish('a')]
        self.assertTrue(stalled.begun.wait(TIMEOUT), daemon and daemon.log.read_text())
        for name in 'bcd':
            names.append(application.publish(name))
            self.wait_until(lambda: self.remote() == sorted(names), daemon)
        self.assertEqual([], [each for each in self.other.files if each.endswith('.xml')])
        self.assertEqual([], self.filed())
        stalled.set()
        self.wait_until(lambda: self.filed() == sorted(names), daemon)
        self.assertEqual(sorted(names), self.remote())
        for name in names:
            data = (self.server.root / name).read_bytes()
            self.assertEqual(data, self.other.files[f'/{name}'])
        return names

    def require_quiet(self):
        """Each file went once to each, in runs of one at a time, and none met another one's."""
        for name in 'articles', 'archive':
            history = remembered.history(self.folder / 'spool/.cds/partners' / name / '.cds')
            sent = [each['name'] for each in history if each['kind'] == 'delivered']
            self.assertEqual(len({*sent}), len(sent), name)


class ThreadTests(PartnersCase):
    def test_one_that_hangs_keeps_nobody_else(self):
        self.application(more=self.more)
        codes = []
        zope.component.provideHandler(
            lambda event: codes.append(event.report.exit_code), (IExchangeFinished,)
        )
        threads = [ExporterThread(name) for name in ('articles', 'archive')]
        for each in threads:
            zope.component.provideUtility(each, IWakeUp, name=each.name)
            self.addCleanup(each.stop)
            each.start()
        self.check()
        for each in threads:
            self.assertTrue(each.stop())
        self.require_quiet()
        self.assertEqual({0}, {*codes})


class CeleryTests(PartnersCase):
    """Real workers: what one of them tells nobody is that it is busy with the other partner."""

    def test_one_that_hangs_keeps_nobody_else(self):
        self.celery(workers=2, more=BY_CELERY + self.more)
        self.check(daemon=self.worker)
        self.worker.stop()
        self.require_quiet()
        diary.check(self, self.diary)
        log = self.worker.log.read_text()
        self.assertNotIn('ERROR', log)


class WatchTests(PartnersCase):
    def test_one_that_hangs_keeps_nobody_else(self):
        self.application(more=self.more)
        watch = self.daemon(
            *(sys.executable, '-m', 'zeit.cds'),
            *('--zcml', str(self.zcml), '-v', 'watch', '--interval', '3600'),
        )
        self.check(daemon=watch)
        self.require_quiet()
        self.assertNotIn('Another run is active', watch.log.read_text())
