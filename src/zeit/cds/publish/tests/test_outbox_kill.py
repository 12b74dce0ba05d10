"""SIGKILL at every step of a transaction, and of the run that finds what is left of it."""

import logging
import pathlib
import shutil
import subprocess
import sys
import time
import unittest
import unittest.mock

import zope.component
import zope.component.testing

from zeit.cds.interfaces import ITransactionOutcome
from zeit.cds.monitoring.freshness import (
    IN_DOUBT,
    RETRACTION_IN_DOUBT,
    undelivered,
    unfinished,
)
from zeit.cds.monitoring.metrics import families
from zeit.cds.publish.tests import outboxkill
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests.folders import in_memory


BOTH = {'a.xml': b'<a/>', 'b.xml': b'<b/>'}


class KillTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        self.folder = in_memory(self)
        # What the runs say is not the subject; there are some hundred of them.
        log = logging.getLogger('zeit.cds')
        self.enterContext(unittest.mock.patch.object(log, 'disabled', True))
        for name in ('spool.transactions_in_doubt', 'spool.spool', 'spool.batch'):
            log = logging.getLogger(f'zeit.cds.{name}')
            self.enterContext(unittest.mock.patch.object(log, 'disabled', True))

    def kill(self, scenario, *options, folder='killed'):
        """Play a scenario, killed at each step; yield the folders, one of each step."""
        folder = self.folder / folder
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, '-m', outboxkill.__name__, str(folder), scenario, *options],
            env={'PYTHONPATH': ':'.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        steps = int(done.stdout)
        self.assertGreater(steps, 5)
        for step in range(steps + 1):
            with self.subTest(scenario, step=step, of=steps):
                yield folder / str(step)

    def waiting(self, folder):
        return {path.name: path.read_bytes() for path in (folder / 'spool' / 'new').glob('*.xml')}

    def prepared(self, folder):
        """Return whether the vote was complete."""
        return bool([*(folder / 'spool' / '.cds' / 'outbox').glob('*/prepared')])

    def whole(self, folder):
        """Return whether what is in doubt is all there: an abort must not end in the middle."""
        found = (folder / 'spool' / '.cds' / 'outbox').glob('*/prepared')
        return all(len([*path.parent.glob('[0-9]')]) == 2 for path in found)

    def run_once(self, folder):
        """Make a run; afterwards nothing is left of the transaction."""
        spool = Spool(folder / 'spool')
        with spool.run():
            pass
        left = [path for path in (folder / 'spool' / '.cds' / 'outbox').glob('*')]
        self.assertEqual([], left)
        self.assertEqual([], spool.status().in_doubt)
        self.assertEqual([], [path.name for path in (folder / 'spool' / 'tmp').glob('*')])

    def ask(self):
        zope.component.provideAdapter(outboxkill.Outcome)

    def twin(self, folder):
        """Return a copy: one can be decided by the application, the other one without."""
        return pathlib.Path(shutil.copytree(folder, f'{folder}.twin'))


class TransactionTests(KillTests):
    def test_a_commit(self):
        seen = set()
        for folder in self.kill('commit'):
            committed = (folder / 'application').exists()
            prepared = self.prepared(folder)
            before = self.waiting(folder)
            if not committed:
                self.assertEqual({}, before, 'nothing goes before the transaction is committed')
            doubts = Spool(folder / 'spool').status().in_doubt
            if prepared:
                (doubt,) = doubts
                self.assertEqual(('a.xml', 'b.xml'), doubt.names)
                self.assertEqual('publish a and b', doubt.description)
                self.assertFalse(doubt.committed)
            seen.add((committed, prepared, len(before)))
            twin = self.twin(folder)
            self.run_once(twin)
            self.assertEqual(BOTH if committed or prepared else {}, self.waiting(twin))
            self.ask()
            self.run_once(folder)
            self.assertEqual(BOTH if committed else {}, self.waiting(folder))
            zope.component.getSiteManager().unregisterAdapter(outboxkill.Outcome)
        # All that there is to see was seen: before the vote, in doubt either way, on the way.
        self.assertLessEqual(
            {(False, False, 0), (False, True, 0), (True, True, 0), (True, False, 0)}, seen
        )
        self.assertLessEqual({(True, False, 1), (True, False, 2)}, seen)

    def test_an_abort(self):
        for folder in self.kill('abort'):
            self.assertEqual([], Spool(folder / 'spool').status().in_doubt)
            self.run_once(folder)
            self.assertEqual({}, self.waiting(folder))

    def test_a_veto_after_our_vote(self):
        self.ask()
        for folder in self.kill('veto'):
            self.assertEqual({}, self.waiting(folder))
            self.assertTrue(self.whole(folder))
            self.run_once(folder)
            self.assertEqual({}, self.waiting(folder))

    def test_a_conflict_and_a_second_attempt(self):
        self.ask()
        for folder in self.kill('conflict'):
            self.assertTrue(self.whole(folder))
            self.run_once(folder)
            committed = (folder / 'application').exists()
            self.assertEqual(BOTH if committed else {}, self.waiting(folder))


class RunTests(KillTests):
    """The run that decides is killed as well."""

    level = 2

    def setUp(self):
        super().setUp()
        self.cases = {}
        for folder in self.kill('commit'):
            committed = (folder / 'application').exists()
            self.cases[committed, self.prepared(folder), len(self.waiting(folder))] = folder

    def decide(self, case, expected, *options):
        folder = f'{"-".join(map(str, case))}{"-".join(options)}'
        for killed in self.kill('run', str(self.cases[case]), *options, folder=folder):
            self.assertLessEqual(self.waiting(killed).items(), expected.items())
            self.run_once(killed)
            self.assertEqual(expected, self.waiting(killed))

    def test_it_ends_as_if_nothing_had_happened(self):
        self.decide((False, False, 0), {})
        self.decide((False, True, 0), BOTH)
        self.decide((True, False, 1), BOTH)
        self.ask()
        self.decide((True, True, 0), BOTH, 'ask')
        self.decide((False, True, 0), {}, 'ask')


class DecisionTests(KillTests):
    """What becomes of a transaction in doubt depends on who can be asked."""

    def setUp(self):
        super().setUp()
        self.doubtful = self.folder / 'doubtful'
        (self.doubtful / 'spool').mkdir(parents=True)
        self.spool = Spool(self.doubtful / 'spool')
        # What a kill leaves, as the tests above show: its lock is free.
        with self.spool.batch() as batch:
            for name, data in BOTH.items():
                batch.put(name, data)
            batch.prepare(description='publish a and b')

    def answer(self, answer):
        def adapt(spool):
            return unittest.mock.Mock(committed=answer)

        zope.component.provideAdapter(adapt, (outboxkill.ISpool,), ITransactionOutcome)

    def run_and_stay(self):
        with self.spool.run():
            pass
        self.assertEqual({}, self.waiting(self.doubtful))
        self.assertEqual(1, len(self.spool.status().in_doubt))

    def test_an_application_that_does_not_know_yet_is_asked_again(self):
        answers = [None, None, True]
        self.answer(lambda doubt: answers.pop(0))
        self.run_and_stay()
        self.run_and_stay()
        self.run_once(self.doubtful)
        self.assertEqual(BOTH, self.waiting(self.doubtful))

    def test_an_application_that_fails_is_asked_again(self):
        self.answer(lambda doubt: 1 / 0)
        self.run_and_stay()
        self.answer(lambda doubt: False)
        self.run_once(self.doubtful)
        self.assertEqual({}, self.waiting(self.doubtful))

    def test_until_then_it_is_not_delivered(self):
        found = self.spool.status()
        self.assertEqual(
            [('a.xml', IN_DOUBT), ('b.xml', IN_DOUBT)],
            [(each.name, each.what) for each in undelivered(found)],
        )
        samples = {
            family.name: family.samples for family in families([('s', self.spool)], now=time.time())
        }
        self.assertEqual([({'spool': 's'}, 2)], samples['zeit_cds_in_doubt_files'])

    def test_until_then_a_retraction_is_overdue_as_well(self):
        with self.spool.batch() as batch:
            batch.retract('http://xml.zeit.de/c', 'no more', until=1)
            batch.prepare(asks=True)
        found = unfinished(self.spool.status(), imports=False, exports=True)
        told = [(each.name, each.what) for each in found]
        self.assertIn(('http://xml.zeit.de/c', RETRACTION_IN_DOUBT), told)

    def test_it_is_asked_about_this_transaction(self):
        asked = []
        self.answer(asked.append)
        self.run_and_stay()
        (doubt,) = asked
        self.assertEqual((('a.xml', 'b.xml'), 'publish a and b'), (doubt.names, doubt.description))


class AskingTests(KillTests):
    def test_what_an_application_wanted_to_be_asked_about_waits_for_it(self):
        """The exporter's configuration may lack what the application's has."""
        folder = [
            each
            for each in self.kill('commit', '', 'ask')
            if self.prepared(each) and (each / 'application').exists()
        ][0]
        spool = Spool(folder / 'spool')
        with spool.run():
            pass
        self.assertEqual({}, self.waiting(folder))
        (doubt,) = spool.status().in_doubt
        self.assertTrue(doubt.asks)
        self.ask()
        self.run_once(folder)
        self.assertEqual(BOTH, self.waiting(folder))
