"""What was delivered is sent once more, if it is what was delivered, and nothing newer is known."""

import datetime
import os
import unittest.mock

from zeit.cds.cli.tests.test_command_line import ServerCase
from zeit.cds.errors import FileError, SpoolBusy
from zeit.cds.publish.tests.test_outbox_kill import KillTests
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.tests.test_withdrawal import SteeringCase
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered


CONTENT = 'http://xml.zeit.de/a'


class ResendTests(SteeringCase):
    def setUp(self):
        super().setUp()
        self.spool.put('a.xml', b'1', content=CONTENT, content_version='7')
        self.export()
        self.target.files.clear()

    def resend(self, name='a.xml'):
        """Do it as another process does."""
        Spool(self.spool.path).resend(name)

    def assert_refused(self, pattern):
        before = self.names('new')
        with self.assertRaisesRegex(FileError, pattern):
            self.resend()
        self.assertEqual((before, []), (self.names('new'), self.names('tmp')))

    def test_it_goes_once_more_and_its_content_is_known(self):
        self.resend()
        self.assertEqual({'a.xml': 'delivered'}, self.export())
        self.assertEqual({'a.xml': b'1'}, self.target.files)
        found = remembered.receipts(self.spool.path / '.cds', 'a.xml')
        self.assertEqual([(CONTENT, '7')] * 2,
                         [(each['content'], each['content_version']) for each in found])
        self.assertLess(found[0]['sequence'], found[1]['sequence'])
        self.assertEqual(['delivered', 'resent', 'delivered'], self.kinds())
        self.assertEqual(2, len(self.names('cur')))

    def test_again_and_again(self):
        for _ in range(3):
            self.resend()
            self.assertEqual({'a.xml': 'delivered'}, self.export())

    def test_the_last_version_counts(self):
        self.spool.put('a.xml', b'22')
        self.export()
        self.resend()
        self.export()
        self.assertEqual({'a.xml': b'22'}, self.target.files)

    def test_what_is_no_more_what_was_delivered(self):
        (self.spool.path / 'cur' / 'a.xml').write_bytes(b'2')
        self.assert_refused('cur/a.xml is not what was delivered')
        os.unlink(self.spool.path / 'cur' / 'a.xml')
        self.assert_refused('a.xml cannot be sent again: cur/a.xml is gone')

    def test_without_a_receipt(self):
        with self.assertRaisesRegex(FileError, 'x.xml was never delivered'):
            self.resend('x.xml')

    def test_what_has_expired_since(self):
        """The next run would withdraw it."""
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        self.spool.put('a.xml', b'2', not_after=end)
        self.export()
        late = Spool(self.spool.path, clock=lambda: end.timestamp() + 1)
        with self.assertRaisesRegex(FileError, 'a.xml is not sent again: Expired'):
            late.resend('a.xml')
        self.assertEqual(([], []), (self.names('new'), self.names('tmp')))
        self.resend()
        self.assertEqual({'a.xml': 'delivered'}, self.export())

    def test_a_newer_version_waits(self):
        self.spool.put('a.xml', b'2')
        self.assert_refused('a.xml is not sent again: it waits already')
        self.export()
        self.assertEqual({'a.xml': b'2'}, self.target.files)

    def test_a_newer_version_is_parked_until_it_is_given_up(self):
        self.spool.put('a.xml', b'2')
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][0], 'Refused.')
        self.assert_refused('a newer version is parked as a.xml')
        self.spool.drop('a.xml', 'x')
        self.resend()

    def test_a_newer_version_is_in_doubt(self):
        with self.spool.batch() as batch:
            batch.put('a.xml', b'2')
            batch.prepare()
            self.assert_refused('may be about to come in')
            batch.abort()
        self.resend()

    def test_it_was_retracted(self):
        for delete in True, False:
            with self.subTest(delete=delete):
                self.spool.retract(
                    CONTENT, 'x', until=self.spool.latest(new=True), delete=delete
                )
                self.assert_refused('a.xml is not sent again: it was retracted since')
                self.exporter.run_once()
                self.assert_refused('a.xml is not sent again: it was retracted since')
                self.spool.put('a.xml', b'1', content=CONTENT)
                self.export()
                self.resend()
                self.export()

    def test_the_partner_was_told_that_it_is_retracted(self):
        self.target.write('a.xml', b'1')
        notice = ('notice.xml', b'<retracted/>', '')
        self.spool.retract(CONTENT, 'x', until=self.spool.latest(new=True), notice=notice)
        self.export()
        self.assert_refused('it was retracted since')
        self.resend('notice.xml')
        self.export()
        self.spool.put('a.xml', b'2', content=CONTENT)
        self.export()
        with self.assertRaisesRegex(FileError, 'tells of a retraction'):
            self.resend('notice.xml')

    def test_while_a_newer_version_is_being_delivered(self):
        self.spool.put('a.xml', b'2')
        said = []

        def resend(operation, name):
            if operation == 'rename' and 'a.xml' in name and not said:
                said.append(name)
                with self.assertRaises(SpoolBusy):
                    self.resend()

        self.target.hook = resend
        self.export()
        self.assertEqual(({'a.xml': b'2'}, 1), (self.target.files, len(said)))

    def test_another_program_renames_something_there_meanwhile(self):
        from zeit.cds.system import files

        original = files.rename_exclusively

        def interfere(old, new):
            if new == str(self.spool.path / 'new' / 'a.xml') and not os.path.exists(new):
                (self.spool.path / 'new' / 'a.xml').write_bytes(b'newer')
            return original(old, new)

        with unittest.mock.patch.object(files, 'rename_exclusively', interfere):
            self.assert_refused_but_for('its name is taken in new/')
        self.export()
        self.assertEqual({'a.xml': b'newer'}, self.target.files)

    def assert_refused_but_for(self, pattern):
        with self.assertRaisesRegex(FileError, pattern):
            self.resend()
        self.assertEqual([], self.names('tmp'))

    def test_a_receipt_without_a_digest(self):
        with unittest.mock.patch.object(Spool, 'history', create=True):
            path = next((self.spool.path / '.cds' / 'history').iterdir())
            digest = remembered.receipts(self.spool.path / '.cds', 'a.xml')[0]['sha256']
            path.write_text(path.read_text().replace(digest, ''))
        with self.assertLogs('zeit.cds', 'WARNING') as logs:
            self.resend()
        self.assertIn('has no SHA-256', logs.output[0])


class KilledTests(KillTests):
    """Who sends it again is killed at each step: the copy goes, or not, and `cur/` keeps it."""

    level = 2

    def test_killed(self):
        seen = set()
        for folder in self.kill('resend'):
            spool, server = Spool(folder / 'spool'), MemoryTarget()
            waits = bool(self.waiting(folder))
            for _ in range(2):
                Exporter(spool, server).run_once()
            self.assertEqual({'a.xml': b'<a/>'} if waits else {}, server.files)
            # After a kill it can be done again.
            spool.resend('a.xml')
            Exporter(spool, server).run_once()
            self.assertEqual({'a.xml': b'<a/>'}, server.files)
            receipts = remembered.receipts(spool.path / '.cds', 'a.xml')
            self.assertEqual(2 + waits, len(receipts))
            seen.add(waits)
        self.assertEqual({True, False}, seen)


class CommandTests(ServerCase):
    def resend(self, *arguments, **options):
        return self.call('resend', '--spool', self.path, *arguments, **options)

    def lose(self):
        for name in os.listdir(self.server.root):
            os.unlink(self.server.root / name)

    def test_the_ways(self):
        self.export()
        names = self.folder / 'names'
        names.write_text('a.xml\n\nb.xml\n')
        for arguments in (['a.xml', 'b.xml'], ['--since', '1h'], ['--from', names]):
            with self.subTest(arguments):
                self.lose()
                outcome = self.resend(*arguments)
                self.assertEqual((0, ''), (outcome.code, outcome.err))
                self.assertIn('a.xml waits once more; the next run sends it.\n', outcome.out)
                self.export()
                self.assertEqual(['a.xml', 'b.xml'], sorted(os.listdir(self.server.root)))
        self.assertIn('resent     a.xml (5 B)', self.call('log', '--spool', self.path).out)

    def test_names_as_windows_writes_them(self):
        self.export()
        names = self.folder / 'names'
        names.write_bytes(b'\xef\xbb\xbfa.xml\r\nb.xml\r\n')
        self.assertEqual('', self.resend('--from', names).err)
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))

    def test_one_is_refused_and_the_others_go(self):
        self.export()
        self.spool.put('a.xml', b'newer')
        outcome = self.resend('--since', '1h')
        self.assertEqual((1, ['a.xml', 'b.xml']), (outcome.code, self.names('new')))
        self.assertIn('a.xml is not sent again: it waits already. The next run', outcome.err)

    def test_nothing(self):
        self.assertEqual('Nothing was delivered since then.\n', self.resend('--since', '1h').out)
        self.assert_line(self.resend('a.xml'), 1, 'a.xml was never delivered')

    def test_wrong_usage(self):
        self.assert_line(self.resend(), 64, "Missing argument 'NAME.*--since or --from")
        self.assert_line(self.resend('a', '--since', '1h'), 64, 'cannot be combined')
        self.assert_line(self.resend('../a.xml'), 64, 'is not the name of a file')
        self.assert_line(self.resend('--from', '/no'), 64, '/no cannot be read: No such file')
