"""What is deleted from `cur/`: only what a person wants, and a receipt says was delivered."""

import datetime
import os
import unittest.mock

from zeit.cds.cli.tests.test_cli_runs import ZcmlCase
from zeit.cds.cli.tests.test_command_line import ServerCase
from zeit.cds.errors import ConfigurationError
from zeit.cds.publish.tests.test_outbox_kill import KillTests
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.tests.test_withdrawal import SteeringCase
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.values.run_options import Keep


DAY = 24 * 60 * 60


class PruneTests(SteeringCase):
    def deliver(self, name='a.xml', *, days=0, data=b'12345', **content):
        """Deliver a file, as many days ago by the clock of the receipts."""
        now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
        self.spool.put(name, data, **content)
        with unittest.mock.patch('zeit.cds.journal.append_log.now', return_value=now):
            self.exporter.run_once()

    def prune(self, *, dry_run=False, **keep):
        spool = Spool(self.spool.path)
        return [each.name for each in spool.prune(Keep(**keep), dry_run=dry_run)]

    def test_by_default_nothing(self):
        self.deliver(days=4000)
        self.assertEqual([], self.spool.prune())
        self.assertEqual(['a.xml'], self.names('cur'))

    def test_what_is_older(self):
        for days in (40, 31, 29, 0):
            self.deliver(f'{days}.xml', days=days)
        self.assertEqual(['40.xml', '31.xml'], self.prune(dry_run=True, keep=30 * DAY))
        self.assertEqual(4, len(self.names('cur')))
        self.assertEqual(['40.xml', '31.xml'], self.prune(keep=30 * DAY))
        self.assertEqual(['0.xml', '29.xml'], self.names('cur'))
        self.assertEqual(['delivered', 'pruned'], self.kinds('40.xml'))
        self.assertEqual([], self.prune(keep=30 * DAY))

    def test_what_is_too_much_the_oldest_first(self):
        for name in ('z.xml', 'b.xml', 'c.xml'):
            self.deliver(name)
        self.assertEqual(['z.xml'], self.prune(keep_bytes=10))
        self.assertEqual(['b.xml', 'c.xml'], self.prune(keep_bytes=0))

    def test_the_time_of_the_receipt_counts_and_not_that_of_the_file(self):
        self.deliver(days=40)
        os.utime(self.spool.path / 'cur' / 'a.xml')
        self.deliver('b.xml')
        os.utime(self.spool.path / 'cur' / 'b.xml', (0, 0))
        self.assertEqual(['a.xml'], self.prune(keep=30 * DAY))

    def test_longer_than_there_are_years(self):
        self.deliver(days=4000)
        self.assertEqual([], self.prune(keep=999_999 * DAY))

    def test_never_what_has_no_receipt(self):
        self.deliver(days=40)
        for name in ('x.xml', 'b.xml'):
            (self.spool.path / 'cur' / name).write_bytes(b'12345')
        (self.spool.path / 'cur' / 'directory').mkdir()
        self.assertEqual(['a.xml'], self.prune(keep=0, keep_bytes=0))
        self.assertEqual(['b.xml', 'directory', 'x.xml'], self.names('cur'))

    def test_nor_what_is_not_what_was_delivered(self):
        for data in b'54321', b'1':
            self.deliver(days=40)
            (name,) = self.names('cur')
            (self.spool.path / 'cur' / name).write_bytes(data)
            with self.assertLogs('zeit.cds', 'WARNING') as logs:
                self.assertEqual([], self.prune(keep=30 * DAY))
            self.assertIn('not what was delivered: cur/a.xml', logs.output[0])
            os.unlink(self.spool.path / 'cur' / name)

    def test_the_newest_receipt_of_a_name_counts(self):
        self.deliver(days=40)
        self.assertEqual(['a.xml'], self.prune(keep=30 * DAY))
        self.deliver()  # the same once more
        self.assertEqual(['a.xml'], self.names('cur'))
        self.assertEqual([], self.prune(keep=30 * DAY))

    def test_nor_what_a_run_or_a_retraction_needs(self):
        self.deliver('a.xml', days=40, content='a')
        self.deliver('b.xml', days=40)
        self.deliver('c.xml', days=40)
        self.spool.retract('a', 'x', until=self.spool.latest(new=True), delete=True)
        with self.spool.run():
            about = {'temporary': 't', 'size': 5, 'sha256': '', 'reply': ''}
            self.spool.journal.at(self.target.url).note('uploaded', 'b.xml', **about)
        self.assertEqual(['c.xml'], self.prune(keep=30 * DAY))
        self.exporter.run_once()
        self.assertEqual(['a.xml', 'b.xml'], self.prune(keep=30 * DAY))

    def test_during_a_run_it_waits_for_nothing(self):
        self.deliver(days=40)
        self.spool.put('b.xml', b'1')
        self.during['upload'] = lambda: self.prune(keep=30 * DAY)
        self.assertEqual({'b.xml': 'delivered'}, self.export())
        self.assertEqual(['b.xml'], self.names('cur'))

    def test_more_than_are_deleted_at_once(self):
        for number in range(5):
            self.deliver(f'{number}.xml', days=40)
        with unittest.mock.patch('zeit.cds.spool.pruning.TOGETHER', 2):
            self.assertEqual(5, len(self.prune(keep=30 * DAY)))

    def test_what_is_pruned_is_not_resent_and_the_error_says_why(self):
        self.deliver(days=40)
        self.prune(keep=30 * DAY)
        with self.assertRaisesRegex(Exception, 'cur/a.xml is gone'):
            self.spool.resend('a.xml')

    def test_before_any_run(self):
        os.mkdir(self.folder / 'fresh')
        self.assertEqual([], Spool(self.folder / 'fresh').prune(Keep(keep=0)))

    def test_a_value_that_makes_no_sense(self):
        with self.assertRaises(ConfigurationError):
            Spool(self.spool.path, keep='30d')


class KilledTests(KillTests):
    """Who prunes is killed at each step: what is deleted has its line, and it can be done again."""

    level = 2

    def test_killed(self):
        seen = set()
        for folder in self.kill('prune'):
            spool = Spool(folder / 'spool')
            gone = not (spool.path / 'cur' / 'a.xml').exists()
            kinds = [each['kind'] for each in remembered.history(spool.path / '.cds')]
            self.assertLessEqual(gone, 'pruned' in kinds)
            again = spool.prune(Keep(keep_bytes=0))
            self.assertEqual([] if gone else ['a.xml'], [each.name for each in again])
            server = MemoryTarget()
            Exporter(spool, server).run_once()
            self.assertEqual({}, server.files)
            seen.add(gone)
        self.assertEqual({True, False}, seen)


class CommandTests(ServerCase):
    def prune(self, *arguments, **options):
        return self.call('prune', '--spool', self.path, *arguments, **options)

    def test_it_says_what_it_does(self):
        self.export()
        outcome = self.prune('--keep-bytes', '5', '--dry-run')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertRegex(outcome.out, r'\Aa.xml \(5 B\), delivered 20.*\n1 file would be deleted')
        self.assertEqual(['a.xml', 'b.xml'], self.names('cur'))
        outcome = self.prune('--keep-bytes', '5')
        self.assertEqual((0, '', ''), (outcome.code, outcome.out, outcome.err))
        self.assertEqual(['b.xml'], self.names('cur'))
        self.assertRegex(self.call('log', '--spool', self.path).out, r'pruned     a.xml \(5 B\)\n')
        outcome = self.prune('--keep', '0s', terminal=True)
        self.assertEqual(f'1 file deleted (5 B) in {self.path}/cur\n', outcome.out)

    def test_wrong_usage(self):
        self.assert_line(self.prune(), 64, 'Nothing is to be deleted. Give --keep or --keep-bytes')
        self.assert_line(self.prune('--keep', '30'), 64, 'is not a time such as 90s')
        self.assert_line(self.prune('x', '--keep', '1d'), 64, 'Names of spools need --zcml')


class ZcmlTests(ZcmlCase):
    def test_as_it_is_configured(self):
        self.call('--zcml', self.file, 'export', 'articles')
        before = self.names('cur')
        self.call('--zcml', self.file, 'prune')
        self.assertEqual(before, self.names('cur'))
        text = self.file.read_text()
        path = f'path="{self.path}"'
        self.assertIn(path, text)
        self.file.write_text(text.replace(path, f'{path} keep_bytes="0"'))
        import zope.component

        zope.component.globalregistry.base.__init__('again')
        outcome = self.call('--zcml', self.file, 'prune', '--dry-run', 'articles')
        self.assertEqual(0, outcome.code, outcome.err)
        self.assertIn(f'{len(before)} file', outcome.out)
