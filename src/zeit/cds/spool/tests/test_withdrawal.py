"""What is withdrawn does not go, whenever that happens; and what has gone is not withdrawn."""

import contextlib
import io
import itertools
import json
import os
import unittest
import unittest.mock

import zope.component

from zeit.cds.cli import main
from zeit.cds.errors import PermanentError, Withdrawn
from zeit.cds.interfaces import ISpool, IStillWanted
from zeit.cds.monitoring import metrics
from zeit.cds.publish.tests.test_outbox_kill import KillTests
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.driving import DriverCase
from zeit.cds.tests.scenario import Scenario, target


class SteeringCase(DriverCase, unittest.TestCase):
    """What a person does to a spool, also while a run is active."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.during = {}
        self.target.hook = lambda operation, name: self.during.pop(operation, lambda: None)()

    def kinds(self, name='a.xml'):
        private = self.spool.path / '.cds'
        return [each['kind'] for each in remembered.history(private) if each.get('name') == name]

    def export(self):
        with self.assertLogs('zeit.cds', 'INFO') as logs:
            report = self.exporter.run_once()
        self.lines = logs.output
        self.assertEqual(0, report.exit_code, logs.output)
        return {result.name: result.status for result in report.results}


class WithdrawTests(SteeringCase):
    def withdraw(self, name='a.xml'):
        """Withdraw as another process does."""
        return Spool(self.spool.path).withdraw(name, 'retracted')

    def test_what_waits_is_taken_out_and_its_bytes_are_kept(self):
        self.spool.put('a.xml', b'<a/>')
        self.assertTrue(self.withdraw())
        self.assertEqual(([], ['a.xml']), (self.names('new'), self.names('withdrawn')))
        self.assertEqual(b'<a/>', (self.spool.path / 'withdrawn' / 'a.xml').read_bytes())
        self.assertEqual({}, self.export())
        self.assertEqual(['withdrawn'], self.kinds())
        self.assertEqual({}, self.target.files)

    def test_also_what_a_program_has_moved_there(self):
        self.exporter.run_once()
        (self.spool.path / 'new' / 'a.xml').write_bytes(b'<a/>')
        self.assertTrue(self.withdraw())
        self.assertEqual((['a.xml'], {}), (self.names('withdrawn'), self.export()))

    def test_what_does_not_wait(self):
        self.assertFalse(self.withdraw())
        self.spool.put('a.xml', b'<a/>')
        self.exporter.run_once()
        self.assertFalse(self.withdraw())
        self.assertEqual(['delivered'], self.kinds())

    def test_a_second_time(self):
        for _ in range(2):
            self.spool.put('a.xml', b'<a/>')
            self.assertTrue(self.withdraw())
            self.assertFalse(self.withdraw())
        self.assertEqual(2, len(self.names('withdrawn')))
        self.assertEqual({}, self.export())

    def test_what_is_put_later_goes(self):
        self.spool.put('a.xml', b'1')
        self.withdraw()
        self.spool.put('a.xml', b'2')
        self.assertEqual({'a.xml': 'delivered'}, self.export())
        self.assertEqual({'a.xml': b'2'}, self.target.files)

    def test_a_person_brings_it_back(self):
        self.spool.put('a.xml', b'1')
        self.withdraw()
        os.rename(self.spool.path / 'withdrawn' / 'a.xml', self.spool.path / 'new' / 'a.xml')
        self.assertEqual({'a.xml': 'delivered'}, self.export())
        self.spool.put('a.xml', b'2')
        self.withdraw()
        self.exporter.run_once()
        os.rename(self.spool.path / 'withdrawn' / 'a.xml', self.spool.path / 'new' / 'a.xml')
        self.assertEqual({'a.xml': 'delivered'}, self.export())

    def test_while_it_is_sent(self):
        self.spool.put('a.xml', b'<a/>')
        self.spool.put('b.xml', b'<b/>')
        self.during['upload'] = self.withdraw
        self.assertEqual({'a.xml': 'withdrawn', 'b.xml': 'delivered'}, self.export())
        (line,) = [line for line in self.lines if 'Withdrawn, not delivered' in line]
        self.assertIn('a.xml: retracted', line)
        self.assertEqual({'b.xml': b'<b/>'}, self.target.files)
        self.assertEqual((['a.xml'], ['withdrawn']), (self.names('withdrawn'), self.kinds()))

    def test_while_it_is_sent_without_a_digest(self):
        """Only the change of the inode tells that something has happened."""
        self.spool.put('a.xml', b'<a/>')
        with self.spool.run():
            ((entry,), _) = self.spool.pending()
            with self.spool.open(entry) as source:
                source.skip_digest()
                self.withdraw()
                with self.assertRaises(Withdrawn):
                    source.verify()

    def test_before_its_turn(self):
        self.spool.put('a.xml', b'<a/>')
        self.spool.put('b.xml', b'<b/>')
        self.during['upload'] = lambda: self.withdraw('b.xml')
        self.assertEqual({'a.xml': 'delivered', 'b.xml': 'withdrawn'}, self.export())

    def test_while_it_is_sent_and_put_again(self):
        def again():
            self.withdraw()
            self.spool.put('a.xml', b'2')

        self.spool.put('a.xml', b'1')
        self.during['upload'] = again
        with unittest.mock.patch.object(self.target, 'files', Published()) as files:
            self.export()
            self.export()
        self.assertEqual([b'2'], files.published)

    def test_a_version_that_is_replaced_while_it_is_sent(self):
        def correct():
            self.spool.put('a.xml', b'2')
            self.assertTrue(self.withdraw())

        self.spool.put('a.xml', b'1')
        self.during['upload'] = correct
        self.assertEqual({'a.xml': 'withdrawn'}, self.export())
        self.assertEqual(({}, {}), (self.export(), self.target.files))

    def test_when_it_gets_its_name_it_is_too_late(self):
        self.spool.put('a.xml', b'<a/>')
        told = []
        self.during['publish'] = lambda: told.append(self.withdraw())
        self.assertEqual({'a.xml': 'delivered'}, self.export())
        self.assertEqual(([False], ['delivered']), (told, self.kinds()))
        self.assertEqual((['a.xml'], {'a.xml': b'<a/>'}), (self.names('cur'), self.target.files))

    def test_a_file_withdrawn_while_its_name_is_refused_is_withdrawn(self):
        self.spool.put('a.xml', b'<a/>')

        def refuse():
            self.withdraw()
            raise PermanentError(553, '553 No.')

        self.during['publish'] = refuse
        self.exporter.run_once()
        self.assertEqual((['a.xml'], {}), (self.names('withdrawn'), self.target.files))
        self.assertEqual(({}, ['withdrawn']), (self.export(), self.kinds()))

    def test_what_disappears_while_it_is_sent(self):
        self.spool.put('a.xml', b'<a/>')
        self.during['upload'] = (self.spool.path / 'new' / 'a.xml').unlink
        self.assertEqual({'a.xml': 'gone'}, self.export())
        self.assertEqual({}, self.target.files)

    def test_a_file_that_a_strict_run_comes_to(self):
        self.spool.put('a.xml', b'<a/>')
        self.spool.put('b.xml', b'<b/>')
        self.during['upload'] = self.withdraw
        self.assertEqual(['b.xml'], self.exporter.run_once(Options(strict=True)).delivered)

    def test_what_a_killed_run_has_in_doubt(self):
        for delivered in False, True:
            with self.subTest(delivered=delivered):
                self.leave_in_doubt()
                if delivered:
                    self.target.files['a.xml'] = b'<a/>'
                self.assertFalse(self.withdraw())
                self.assertEqual(['a.xml'], self.names('new'))
                expected = 'delivered' if delivered else 'withdrawn'
                self.assertEqual({'a.xml': expected}, self.export())
                self.assertEqual(expected, self.kinds()[-1])
                self.assertEqual([], self.names('new'))

    def leave_in_doubt(self):
        """Leave what a run does that is killed before its answer to RNTO comes."""
        self.spool.put('a.xml', b'<a/>')
        with self.spool.run():
            (entry,) = self.spool.pending()[0]
            with self.spool.open(entry) as source:
                sha256 = source.digest()
            self.spool.journal.at(self.target.url).note(
                'uploaded', 'a.xml', temporary='x', size=4, sha256=sha256, reply='',
                sequence=entry.number, source=[*entry.version],
            )  # fmt: skip

    def ask(self, *answers):
        application = unittest.mock.Mock(**{'wanted.side_effect': answers})
        zope.component.provideAdapter(lambda spool: application, (ISpool,), IStillWanted)
        return application

    def test_the_application_is_asked_before_a_file_goes(self):
        application = self.ask(True, False)
        self.spool.put('a.xml', b'<a/>', content='a')
        self.spool.put('b.xml', b'<b/>')
        self.assertEqual({'a.xml': 'delivered', 'b.xml': 'withdrawn'}, self.export())
        ((entry,), _), _ = application.wanted.call_args_list
        self.assertEqual(('a.xml', 'a'), (entry.name, entry.content))
        self.assertEqual(['withdrawn'], self.kinds('b.xml'))

    def test_a_dry_run_asks_as_well_and_withdraws_nothing(self):
        self.ask(True, False, ValueError('no database'))
        for name in ('a.xml', 'b.xml', 'c.xml'):
            self.spool.put(name, b'<a/>')
        with self.assertLogs('zeit.cds', 'INFO'):
            report = self.exporter.run_once(Options(dry_run=True))
        found = {result.name: result.status for result in report.results}
        self.assertEqual({'a.xml': 'planned', 'b.xml': 'withdrawn', 'c.xml': 'failed'}, found)
        self.assertEqual(['a.xml', 'b.xml', 'c.xml'], self.names('new'))
        self.assertEqual([], self.kinds('b.xml'))

    def test_what_comes_in_while_it_is_asked_is_asked_about_as_well(self):
        def put(entry):
            application.wanted.side_effect = [True]
            self.spool.put('a.xml', b'2')
            return False

        application = self.ask()
        application.wanted.side_effect = put
        self.spool.put('a.xml', b'1')
        self.exporter.run_once()
        self.exporter.run_once()
        self.assertEqual({'a.xml': b'2'}, self.target.files)

    def test_one_that_cannot_tell_keeps_it_for_the_next_run(self):
        self.ask(ValueError('no database'), True)
        self.spool.put('a.xml', b'<a/>')
        with self.assertLogs('zeit.cds', 'ERROR') as logs:
            self.assertEqual(1, self.exporter.run_once().exit_code)
        self.assertIn('no database', logs.output[0])
        self.assertEqual({'a.xml': 'delivered'}, self.export())

    def test_status_receipt_and_metrics_tell(self):
        path = ['--spool', str(self.spool.path)]
        self.spool.put('a.xml', b'<a/>')
        self.withdraw()
        self.assertEqual(1, self.spool.status().withdrawn)
        found = metrics.families([('s', self.spool)], now=0)
        (family,) = [each for each in found if each.name == 'zeit_cds_withdrawn_files_total']
        self.assertEqual([({'spool': 's'}, 1)], family.samples)
        for arguments, expected in (
            (['status', *path], '1 file in withdrawn'),
            (['receipt', *path, 'a.xml'], 'a.xml: withdrawn 1 time'),
            (['receipt', *path, 'a.xml'], 'reason   retracted'),
        ):
            self.assertIn(expected, output(arguments))
        (told,) = json.loads(output(['status', '--json', *path]))
        self.assertEqual(1, told['withdrawn'])
        (told,) = json.loads(output(['receipt', '--json', *path, 'a.xml']))
        self.assertEqual((None, 'retracted'), (told['delivered'], told['reason']))
        self.assertTrue(told['withdrawn'])


def output(arguments):
    """Return what the command says."""
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        main.main(arguments)
    return stream.getvalue()


class Published(dict):
    """The files of a server, which remembers each content that got a real name."""

    def __init__(self):
        super().__init__()
        self.published = []

    def __setitem__(self, name, data):
        if name == 'a.xml':
            self.published.append(data)
        super().__setitem__(name, data)


class AnyCommandTests(Scenario, unittest.TestCase):
    """Withdrawn at some commands of a run; on level 2 at each."""

    options, others, step = {}, (), 4
    armed = None

    def setUp(self):
        super().setUp()
        self.seen = 0

    def hook(self, event):
        if event.moment == 'before' and self.armed is not None:
            if self.seen == self.armed:
                self.answer = Spool(self.path).withdraw('a.xml', 'retracted')
            self.seen += 1

    def check(self):
        """Return what became of the file; it is the same on each side."""
        gone = 'a.xml' in self.remote
        found = {name: self.section(name) for name in ('new', 'cur', 'withdrawn')}
        where = 'cur' if gone else 'withdrawn'
        expected = {'new': [], 'cur': ['b.xml', *self.others], 'withdrawn': []}
        self.assertEqual({**expected, where: sorted([*expected[where], 'a.xml'])}, found)
        self.assertEqual({'b.xml', *self.others} | ({'a.xml'} if gone else set()), {*self.remote})
        kinds = [
            each['kind']
            for each in remembered.history(self.path / '.cds')
            if each.get('name') == 'a.xml'
        ]
        self.assertEqual(['delivered' if gone else 'withdrawn'], kinds)
        return gone

    def test_it_goes_or_not_and_everybody_says_the_same(self):
        outcomes = self.withdraw_at_each()
        if not self.others:
            # First it is early enough, then it is too late.
            self.assertEqual(sorted(outcomes), outcomes)

    def withdraw_at_each(self):
        outcomes = []
        for nth in itertools.count(step=self.step):
            self.prepare()
            self.armed, self.seen, self.answer = nth, 0, None
            self.put('a.xml', 'b.xml', *self.others)
            self.offered.clear()
            self.run_once()
            self.armed = None
            if self.answer is None:
                break
            outcomes.append(self.check())
            self.assertFalse(outcomes[-1] and self.answer)
        self.assertEqual({True, False}, set(outcomes))
        return outcomes

    def run_once(self):
        goal = target(self.server, **self.options)
        with self.assertLogs('zeit.cds', 'DEBUG'):
            report = Exporter(self.spool, goal, wait=lambda seconds: None).run_once(
                Options(order='name')
            )
        self.assertEqual(0, report.exit_code, report.results)
        self.server.wait_closed()


class DirectTests(AnyCommandTests):
    options = {'temporary': False}


class EachCommandTests(AnyCommandTests):
    level = 2
    step = 1


class EachDirectTests(EachCommandTests):
    options = {'temporary': False}


class EachOfSeveralTests(EachCommandTests):
    others = ('c.xml', 'd.xml')
    options = {'connections': 2}

    def run_once(self):
        before = self.server.connected
        super().run_once()
        self.assertEqual(2, self.server.connected - before)


class KilledTests(KillTests):
    """Who withdraws is killed at each step; the next run, or the next one, does the rest."""

    level = 2

    def test_it_does_not_go_if_it_is_written_down(self):
        seen = set()
        for folder in self.kill('withdraw'):
            spool = Spool(folder / 'spool')
            recalled = b'"kind": "recalled"' in b''.join(self.journal(spool))
            waits = bool(self.waiting(folder))
            self.check(spool, goes=waits and not recalled, withdrawn=recalled)
            seen.add((recalled, waits))
        self.assertEqual({(False, False), (False, True), (True, True), (True, False)}, seen)

    def test_withdrawing_again_after_a_kill_withdraws_it(self):
        for folder in self.kill('withdraw'):
            spool = Spool(folder / 'spool')
            if self.waiting(folder):
                spool.withdraw('a.xml', 'once more')
            self.check(spool, goes=False, withdrawn=bool(self.journal(spool)))

    def journal(self, spool):
        path = spool.path / remembered.JOURNAL
        return remembered.journal(spool.path) if path.exists() else []

    def check(self, spool, *, goes, withdrawn):
        server = MemoryTarget()
        Exporter(spool, server).run_once()
        self.assertEqual({'a.xml': b'<a/>'} if goes else {}, server.files)
        history = remembered.history(spool.path / '.cds')
        kinds = {each['kind'] for each in history if each.get('name') == 'a.xml'}
        self.assertLessEqual(kinds, {'delivered' if goes else 'withdrawn'})
        if goes or withdrawn and kinds:
            where = spool.path / ('cur' if goes else 'withdrawn') / 'a.xml'
            self.assertEqual(b'<a/>', where.read_bytes())
