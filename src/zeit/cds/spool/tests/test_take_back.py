"""What a person drops or withdraws: files that wait, are parked, or were delivered."""

import io
import json
import os
import unittest.mock

from zeit.cds.cli.tests.test_command_line import ServerCase
from zeit.cds.errors import FileError, PermanentError, SpoolBusy
from zeit.cds.journal import journal
from zeit.cds.monitoring import freshness, metrics
from zeit.cds.publish.tests.test_outbox_kill import KillTests
from zeit.cds.run import retract_delivered
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.delivered_files import delivered
from zeit.cds.spool.sequence import Sequence
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.tests.test_withdrawal import SteeringCase
from zeit.cds.system import files
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered


class DropTests(SteeringCase):
    def setUp(self):
        super().setUp()
        for name in ('a.xml', 'b.xml'):
            self.spool.put(name, b'1')

    def drop(self, name='a.xml'):
        """Drop as another process does."""
        return Spool(self.spool.path).drop(name, 'A test.')

    def test_what_waits_is_parked_and_brought_back_by_its_name(self):
        self.assertEqual('a.xml', self.drop())
        self.assertEqual({'b.xml': 'delivered'}, self.export())
        self.assertEqual((['a.xml'], []), (self.shown('parked'), self.names('new')))
        self.assertEqual(b'1', (self.spool.path / 'parked' / 'a.xml').read_bytes())
        self.assertEqual('a.xml', self.spool.retry('a.xml'))
        self.assertEqual({'a.xml': 'delivered'}, self.export())
        self.assertEqual(['given_up', 'resent', 'delivered'], self.kinds())

    def shown(self, section):
        return [name for name in self.names(section) if not name.startswith('.')]

    def test_without_any_run_before(self):
        spool = Spool(self.spool.path.parent / 'other')
        os.mkdir(spool.path)
        spool.put('a.xml', b'1')
        self.assertEqual('a.xml', spool.drop('a.xml', 'x'))
        self.assertEqual([], spool.pending()[0])

    def test_what_is_parked_is_no_alarm_any_more(self):
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][0], 'Refused.')
        self.assertIn(freshness.PARKED, self.alarms())
        self.assertEqual('a.xml', self.drop())
        status = self.spool.status()
        self.assertEqual(([('a.xml', 'A test.')], {'a.xml'}), (status.parked, status.given_up))
        self.assertNotIn(freshness.PARKED, self.alarms())
        self.assertEqual(0, self.parked_files())
        self.assertEqual('a.xml', self.spool.retry('a.xml'))
        self.assertEqual(freshness.WAITING, self.alarms()[0])

    def alarms(self):
        return [each.what for each in freshness.undelivered(self.spool.status())]

    def parked_files(self):
        found = {f.name: f.samples for f in metrics.families([('s', self.spool)], now=0)}
        return found['zeit_cds_parked_files'][0][1]

    def test_what_is_not_there(self):
        self.assertEqual('', self.drop('x.xml'))
        self.export()
        self.assertEqual('', self.drop())

    def test_a_superseded_one_can_be_given_up_and_is_in_nobodys_way(self):
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][0], 'Refused.')
        self.spool.put('a.xml', b'2')
        with self.spool.run():
            newer = next(e for e in self.spool.pending()[0] if e.name == 'a.xml')
            stored = self.spool.park(newer, 'Refused.')
        with self.assertRaisesRegex(FileError, 'a newer a.xml is parked as'):
            self.spool.retry('a.xml')
        self.drop(stored)
        self.assertEqual('a.xml', self.spool.retry('a.xml'))

    def test_while_it_is_sent(self):
        self.during['upload'] = self.drop
        self.assertEqual({'a.xml': 'withdrawn', 'b.xml': 'delivered'}, self.export())
        self.assertEqual(({'b.xml': b'1'}, ['a.xml']), (self.target.files, self.shown('parked')))

    def test_what_is_being_delivered_is_refused(self):
        said = []

        def drop(operation, name):
            if operation == 'rename' and 'a.xml' in name and not said:
                with self.assertRaises(SpoolBusy):
                    self.drop()
                said.append(name)

        self.target.hook = drop
        self.assertEqual('delivered', self.export()['a.xml'])
        self.assertTrue(said)

    def test_somebody_renames_another_one_there_at_this_moment(self):
        original, newer = files.rename_exclusively, self.spool.path / 'tmp' / 'x'
        newer.write_bytes(b'newer')

        def interfere(old, new):
            if newer.exists():
                os.rename(newer, self.spool.path / 'new' / 'a.xml')
            return original(old, new)

        with unittest.mock.patch.object(files, 'rename_exclusively', interfere):
            self.drop()
        self.assertEqual('delivered', self.export()['a.xml'])
        self.assertEqual(b'newer', self.target.files['a.xml'])


class WithdrawDelivered(SteeringCase):
    def setUp(self):
        super().setUp()
        self.spool.put('a.xml', b'1', content='http://xml.zeit.de/a')
        self.export()

    def take_back(self, name='a.xml'):
        receipts = delivered(journal.history(self.spool.path / '.cds'), name=name)
        with Sequence(self.spool.path).visited({'name': [name]}) as visited:
            return retract_delivered.take_back(visited, receipts, 'The wrong one.')

    def outcomes(self):
        found = remembered.history(self.spool.path / '.cds')
        return [each['outcome'] for each in found if each['kind'] == 'retraction']

    def test_it_is_deleted_by_the_next_run(self):
        self.assertEqual([self.target.url], self.take_back())
        self.assertEqual({'a.xml': 'retracted'}, self.export())
        self.assertEqual(({}, ['deleted']), (self.target.files, self.outcomes()))
        found = remembered.history(self.spool.path / '.cds')
        (receipt,) = [each for each in found if each['kind'] == 'retraction']
        self.assertEqual(('The wrong one.', 'http://xml.zeit.de/a'),
                         (receipt.get('reason'), receipt.get('content')))
        self.assertEqual([], self.take_back())

    def test_not_what_is_another_one_by_now(self):
        self.take_back()
        self.target.write('a.xml', b'2')
        self.export()
        self.assertEqual(({'a.xml': b'2'}, ['changed']), (self.target.files, self.outcomes()))

    def test_a_correction_that_waits_goes_after_it(self):
        self.take_back()
        self.spool.put('a.xml', b'2')
        self.export()
        self.assertEqual({'a.xml': b'2'}, self.target.files)

    def test_a_person_changes_his_mind(self):
        self.take_back()
        with Sequence(self.spool.path).visited({}) as visited:
            self.assertTrue(retract_delivered.forget(visited, 'a.xml'))
        self.assertEqual({}, self.export())
        self.assertEqual(({'a.xml': b'1'}, ['forgotten']), (self.target.files, self.outcomes()))

    def test_a_retraction_that_is_forgotten_before_any_run_has_a_receipt(self):
        content = 'http://xml.zeit.de/a'
        self.spool.retract(content, 'x', until=self.spool.latest(new=True), delete=True)
        with Sequence(self.spool.path).visited({}) as visited:
            self.assertTrue(retract_delivered.forget(visited, content))
        self.export()
        self.assertEqual(({'a.xml': b'1'}, ['forgotten']), (self.target.files, self.outcomes()))

    def test_a_server_that_refuses_says_what_to_do_next(self):
        self.take_back()

        def refuse(operation, name):
            if operation == 'delete' and name == 'a.xml':
                raise PermanentError(550, '550 No.')

        self.target.hook = refuse
        report = self.exporter.run_once()
        ((_, reason),) = report.failed
        self.assertIn('zeit-cds retry --forget http://xml.zeit.de/a', reason)
        self.target.hook = lambda operation, name: None
        self.assertEqual({'a.xml': 'retracted'}, self.export())

    def test_nothing_was_delivered(self):
        self.assertEqual([], self.take_back('x.xml'))

    def test_while_a_newer_version_is_being_delivered(self):
        self.spool.put('a.xml', b'2')
        said = []

        def withdraw(operation, name):
            if operation == 'rename' and 'a.xml' in name and not said:
                with self.assertRaises(SpoolBusy):
                    self.take_back()
                said.append(name)

        self.target.hook = withdraw
        self.export()
        self.assertTrue(said)
        self.assertEqual({'a.xml': b'2'}, self.target.files)


class KilledTests(KillTests):
    """Who does it is killed at each step: nothing is lost, and nothing goes twice."""

    level = 2

    def test_drop(self):
        seen = set()
        for folder in self.kill('drop'):
            spool, server = Spool(folder / 'spool'), MemoryTarget()
            for _ in range(2):
                Exporter(spool, server).run_once()
            parked = {name for name, _ in spool.status().parked}
            sent = [*server.files]
            self.assertEqual(['a.xml'], [*parked, *sent], 'it is in one place')
            if parked:
                self.assertEqual(parked, spool.status().given_up)
                self.assertEqual(b'<a/>', (spool.path / 'parked' / 'a.xml').read_bytes())
            seen.add(bool(parked))
        self.assertEqual({True, False}, seen)

    def test_withdraw_what_was_delivered(self):
        seen = set()
        for folder in self.kill('take_back'):
            spool, server = Spool(folder / 'spool'), MemoryTarget()
            server.write('a.xml', b'<a/>')
            waits = bool(spool.status().numbers.retracted)
            for _ in range(2):
                Exporter(spool, server).run_once()
            self.assertEqual([] if waits else ['a.xml'], [*server.files])
            seen.add(waits)
        self.assertEqual({True, False}, seen)


class CommandTests(ServerCase):
    def both(self, *arguments, **options):
        return self.call(*arguments, '--spool', self.path, **options)

    def test_drop(self):
        outcome = self.both('drop', '--yes', 'a.xml', '--reason', 'A test.')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertIn(f'zeit-cds retry --spool {self.path} a.xml', outcome.out)
        self.assertIn('  given up   1 file, dropped by hand', self.both('status').out)
        (found,) = json.loads(self.both('status', '--json').out)
        self.assertEqual([('a.xml', True)], [(p['name'], p['given_up']) for p in found['parked']])
        self.assertIn('dropped    a.xml (5 B)', self.both('log').out)
        self.both('retry', '--all')
        self.assertEqual(['b.xml'], self.names('new'))
        self.both('retry', 'a.xml')
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))

    def test_drop_asks(self):
        self.assert_line(self.both('drop', 'a.xml'), 64, 'no terminal to ask on. Pass --yes')
        for answer, code, new in (('n', 75, ['a.xml', 'b.xml']), ('y', 0, ['b.xml'])):
            answers = io.StringIO(f'{answer}\n')
            answers.isatty = lambda: True
            with unittest.mock.patch('sys.stdin', answers):
                outcome = self.both('drop', 'a.xml', terminal=True)
            self.assertEqual((code, new), (outcome.code, self.names('new')))
            self.assertIn(f'Drop a.xml, which waits in {self.path}? [y/N] ', outcome.out)

    def test_drop_of_nothing(self):
        self.assert_line(self.both('drop', '--yes', 'x'), 1, 'x neither waits nor is parked. It')

    def test_withdraw_what_waits_then_what_was_delivered(self):
        self.export()
        self.spool.put('a.xml', b'newer')
        outcome = self.both('withdraw', 'a.xml')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertIn('The version before it is on the server', outcome.out)
        outcome = self.both('withdraw', 'a.xml', '--reason', 'Wrong.')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertIn('will be deleted on ftp://', outcome.out)
        self.assertIn('retracted', self.both('status').out)
        self.export()
        self.assertEqual(['b.xml'], os.listdir(self.server.root))
        self.assertIn('reason   Wrong.', self.both('receipt', 'a.xml').out)
        self.assert_line(self.both('withdraw', 'a.xml'), 1, 'a.xml neither waits, nor is it on')

    def test_let_it_stay(self):
        self.export()
        self.both('withdraw', 'a.xml')
        self.assertEqual(0, self.both('retry', '--forget', 'a.xml').code)
        self.export()
        self.assertEqual(['a.xml', 'b.xml'], sorted(os.listdir(self.server.root)))

    def test_wrong_usage(self):
        for command in ('drop', 'withdraw'):
            self.assert_line(self.both(command), 64, "Missing argument 'NAME")
            for name in ('../cur/a.xml', 'new/a.xml', '', '..'):
                self.assert_line(self.both(command, name), 64, 'is not the name of a file')

    def test_what_is_no_file(self):
        (self.path / 'new' / 'directory').mkdir()
        for command in (['drop', '--yes'], ['withdraw']):
            self.assert_line(self.both(*command, 'directory'), 1, 'directory neither waits')
