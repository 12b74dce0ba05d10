"""What is held waits, whenever that is said; and what has gone is not held."""

import datetime
import json
import re
import unittest.mock

from zeit.cds.cli.tests.test_command_line import ServerCase
from zeit.cds.errors import FileError
from zeit.cds.monitoring import freshness, metrics
from zeit.cds.publish.tests.test_outbox_kill import KillTests
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.tests.test_withdrawal import SteeringCase
from zeit.cds.testing.memory import MemoryTarget


class HoldTests(SteeringCase):
    def hold(self, name='a.xml'):
        return Spool(self.spool.path).hold(name, 'Legal.')

    def release(self, name='a.xml'):
        return Spool(self.spool.path).release(name)

    def setUp(self):
        super().setUp()
        for name in ('a.xml', 'b.xml'):
            self.spool.put(name, b'1')

    def test_a_file(self):
        self.assertFalse(self.hold())
        for _ in range(2):
            self.export()
        self.assertEqual(({'b.xml': b'1'}, ['a.xml']), (self.target.files, self.names('new')))
        self.assertTrue(self.release())
        self.assertFalse(self.release())
        self.assertEqual({'a.xml': 'delivered'}, self.export())
        self.assertEqual(['held', 'released', 'delivered'], self.kinds())

    def test_the_report_and_the_log_say_it(self):
        self.hold()
        self.assertEqual({'a.xml': 'held', 'b.xml': 'delivered'}, self.export())
        self.assertIn('Held, not sent: a.xml: Legal.', '\n'.join(self.lines))

    def test_the_whole_spool_and_what_comes_later(self):
        self.hold('')
        self.spool.put('c.xml', b'2')
        self.assertEqual(dict.fromkeys(['a.xml', 'b.xml', 'c.xml'], 'held'), self.export())
        self.hold('c.xml')
        self.release('')
        self.assertEqual(['c.xml'], [n for n, status in self.export().items() if status == 'held'])

    def test_a_new_version_is_held_as_well(self):
        self.hold()
        self.spool.put('a.xml', b'2')
        self.assertEqual('held', self.export()['a.xml'])

    def test_while_it_is_sent(self):
        self.during['upload'] = self.hold
        self.assertEqual({'a.xml': 'held', 'b.xml': 'delivered'}, self.export())
        self.assertEqual(({'b.xml': b'1'}, ['a.xml']), (self.target.files, self.names('new')))

    def test_the_whole_spool_during_a_run(self):
        self.during['upload'] = lambda: self.hold('')
        self.assertEqual({'a.xml': 'held', 'b.xml': 'held'}, self.export())
        self.assertEqual({}, self.target.files)

    def test_while_it_gets_its_name_it_is_too_late(self):
        said = []
        self.target.hook = lambda operation, name: (
            said.append(self.hold()) if (operation, said, 'a.xml' in name) == ('rename', [], True)
            else None
        )
        self.export()
        self.assertEqual([True], said)
        self.assertEqual({'a.xml': b'1', 'b.xml': b'1'}, self.target.files)
        self.spool.put('a.xml', b'2')
        self.assertEqual({'a.xml': 'held'}, self.export())

    def test_what_an_earlier_run_has_delivered_is_not_sent_again(self):
        """It was killed before it was filed: that is found out, held or not."""
        with unittest.mock.patch.object(Spool, 'done', side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                self.exporter.run_once(Options(max_files=1))
        self.hold('')
        sent = []
        self.target.hook = lambda operation, name: sent.append(operation)
        self.assertEqual({'a.xml': 'delivered', 'b.xml': 'held'}, self.export())
        self.assertNotIn('upload', sent)

    def test_what_is_retracted_is_deleted_all_the_same(self):
        self.spool.put('c.xml', b'1', content='c')
        self.export()
        self.hold('')
        self.spool.retract('c', 'x', until=self.spool.latest(new=True), delete=True)
        self.assertEqual({'c.xml': 'retracted'}, self.export())

    def test_it_survives_a_new_journal_and_a_copy(self):
        self.hold()
        with self.spool.run():
            self.spool.journal.compact()
            self.spool.journal._disown()
        self.assertEqual('held', self.export()['a.xml'])

    def test_a_name_that_no_file_has(self):
        with self.assertRaisesRegex(FileError, r'\.\./x cannot be held'):
            self.hold('../x')

    def test_a_dry_run(self):
        self.hold()
        report = self.exporter.run_once(Options(dry_run=True))
        self.assertEqual({'a.xml': 'held', 'b.xml': 'planned'},
                         {result.name: result.status for result in report.results})

    def test_monitoring_knows_and_it_gets_old(self):
        self.hold()
        status = self.spool.status()
        self.assertEqual(['a.xml'], [*status.held])
        found = freshness.undelivered(status)
        self.assertEqual({'a.xml': freshness.HELD, 'b.xml': freshness.WAITING},
                         {each.name: each.what for each in found})
        self.assertEqual((1, 0), self.metrics())
        self.hold('')
        self.assertEqual((2, 1), self.metrics())

    def metrics(self):
        families = metrics.families([('s', self.spool)], now=0)
        found = {family.name: family.samples[0][1] for family in families if family.samples}
        return found['zeit_cds_held_files'], found['zeit_cds_spool_held']


class KilledTests(KillTests):
    """Who holds is killed at each step: it is held if that is written down."""

    level = 2

    def test_killed(self):
        seen = set()
        for folder in self.kill('hold'):
            spool, server = Spool(folder / 'spool'), MemoryTarget()
            held = bool(spool.status().held)
            Exporter(spool, server).run_once()
            self.assertEqual({} if held else {'a.xml': b'<a/>'}, server.files)
            self.assertEqual(held, bool(self.waiting(folder)))
            self.assertEqual(held, spool.release('a.xml'))
            Exporter(spool, server).run_once()
            self.assertEqual({'a.xml': b'<a/>'}, server.files)
            seen.add(held)
        self.assertEqual({True, False}, seen)


class CommandTests(ServerCase):
    def both(self, *arguments, **options):
        return self.call(*arguments, '--spool', self.path, **options)

    def test_hold_and_release(self):
        outcome = self.both('hold', 'a.xml', '--reason', 'Legal\x1b.')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertIn('a.xml for 0 s: Legal\\x1b.', self.both('status').out)
        (found,) = json.loads(self.both('status', '--json').out)
        self.assertEqual(['a.xml'], [each['name'] for each in found['held']])
        self.export()
        self.assertEqual(['a.xml'], self.names('new'))
        self.assertEqual(0, self.both('release', 'a.xml').code)
        self.export()
        self.assertEqual([], self.names('new'))

    def test_all(self):
        self.both('hold', '--all')
        outcome = self.export(terminal=True)
        self.assertEqual((0, '0 files delivered (0 B), 0 failed, 2 held\n'),
                         (outcome.code, outcome.out))
        self.assertIn('the whole spool', self.both('status').out)
        self.assertEqual(0, self.both('release', '--all').code)
        (found,) = json.loads(self.both('status', '--json').out)
        self.assertEqual([], found['held'])

    def test_the_command_that_is_named_releases_all(self):
        texts = self.both('hold', '--all').out, self.both('status').out
        commands = [re.findall('"zeit-cds (release.*?)"', text) for text in texts]
        self.assertEqual(commands[0], commands[1])
        ((command,), _) = commands
        self.assertEqual(0, self.both(*command.split()).code)

    def test_what_is_held_still_is_said(self):
        self.both('hold', 'a.xml')
        self.both('hold', '--all')
        said = self.both('release', '--all').out
        self.assertIn('is released; 1 file held by name still.', said)
        self.both('hold', '--all')
        said = self.both('release', 'a.xml').out
        self.assertIn('is released; but the whole spool is held.', said)

    def test_what_the_next_run_does_not_send_is_said(self):
        moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        self.spool.put('c.xml', b'c', not_before=moment)
        for name, next_ in (
            ('a.xml', 'the next run sends it.'),
            ('c.xml', 'it waits: Embargo until 20'),
            ('none', 'nothing waits now.'),
        ):
            self.both('hold', name)
            self.assertIn(f'is released; {next_}', self.both('release', name).out)

    def test_what_is_not_held(self):
        self.assert_line(self.both('release', 'a.xml'), 1, 'a.xml is not held. "zeit-cds status"')
        self.assert_line(self.both('release', '--all'), 1, 'The whole spool is not held')

    def test_wrong_usage(self):
        for command in ('hold', 'release'):
            self.assert_line(self.both(command), 64, 'Missing argument')
            self.assert_line(self.both(command, 'a', '--all'), 64, 'cannot be combined with names')
            self.assert_line(self.call(command, 'a'), 64, 'No spool given|--zcml')
            nowhere = self.call(command, 'a', '--spool', self.folder / 'no')
            self.assert_line(nowhere, 78, 'There is no spool at')
        self.assert_line(self.both('hold', '../x'), 64, r'\.\./x')
        self.assert_line(self.both('hold', 'a\n'), 1, 'cannot be held')

    def test_a_hold_is_an_alarm_that_says_so(self):
        self.both('hold', '--all')
        outcome = self.both('status', '--max-age', '0s')
        self.assertEqual(2, outcome.code)
        self.assertIn('is held, and has been waiting', outcome.err)
