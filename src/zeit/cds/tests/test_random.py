"""Random faults on random commands, in both directions: the promise holds; the driver notices."""

import os
import unittest
import unittest.mock

from zeit.cds.lock import leftovers, lock
from zeit.cds.spool import incoming, spool
from zeit.cds.target import ftp_session
from zeit.cds.testing import layers
from zeit.cds.tests import random_faults
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.random_plan import Fault, Plan, Put, Run, plan
from zeit.cds.tests.random_world import World
from zeit.cds.tests.sampling import SEED


class DriverTests(unittest.TestCase):
    """What breaks the promise is found, and said."""

    layer = layers.QUIET

    def violated(self, direction, *runs, **target):
        made = Plan(seed=0, direction=direction, target=tuple(target.items()), runs=runs)
        found, self.trace = random_faults.violations(made)
        return '\n'.join(found)

    def test_a_seed_makes_a_plan_and_each_is_another(self):
        self.assertEqual(plan(7), plan(7))
        self.assertEqual(50, len({str(plan(seed)) for seed in range(50)}))

    def test_a_plan_gets_smaller(self):
        whole = plan(3)
        for smaller in whole.smaller():
            self.assertLess(len(str(smaller)), len(str(whole)))

    def test_what_is_well_is_said_to_be(self):
        puts = Put('put', 'a.xml'), Put('put', 'a.xml', 20), Put('rename', 'b.xml', 30)
        self.assertEqual('', self.violated('export', Run(puts=puts), Run(kill=('command', 30))))
        puts = Put('partner', 'a.xml'), Put('partner', 'b.xml', 10)
        self.assertEqual('', self.violated('import', Run(puts=puts), Run(kill=('command', 30))))

    def test_a_part_is_seen(self):
        faults = (Fault('STOR', 2, 1, 'alter', (50, True, True)),)
        run = Run(puts=(Put('put', 'a.xml'),), faults=faults)
        self.assertEqual('', self.violated('export', run))
        with unittest.mock.patch.object(ftp_session.FTPSession, 'compare', lambda *a, **kw: None):
            self.assertIn('bytes that it should not have', self.violated('export', run))

    def test_a_loss_is_seen(self):
        run = Run(puts=(Put('put', 'a.xml'),))

        def lose(self, entry, source):
            os.unlink(self.path / 'new' / entry.name)

        with unittest.mock.patch.object(spool.Spool, 'done', lose):
            self.assertIn('version 0 of a.xml is lost', self.violated('export', run))

    def test_a_foreign_lock_that_is_touched_is_seen(self):
        run = Run(puts=(Put('put', 'a.xml'), Put('their lock', 'a.xml', 20)))
        self.assertEqual('', self.violated('export', run))
        release = lock.Lock.release

        def sweep(self):
            self._session.delete('read')
            return release(self)

        with unittest.mock.patch.object(lock.Lock, 'release', sweep):
            found = self.violated('export', run)
        self.assertIn('the lock /cds/read of somebody else was touched', found)

    def test_what_is_deleted_before_it_is_imported_is_seen(self):
        run = Run(puts=(Put('partner', 'a.xml'),))
        with unittest.mock.patch.object(incoming.Incoming, 'move', lambda self, name: True):
            self.assertIn('was deleted, and is not imported', self.violated('import', run))

    def test_what_is_left_on_the_server_is_seen(self):
        run = Run(puts=(Put('put', 'a.xml'),), kill=('command', 25))
        self.assertEqual('', self.violated('export', run))

        def look(self, **kw):
            return self._session.names()

        with unittest.mock.patch.object(leftovers.Leftovers, 'remove', look):
            self.assertIn('Of ours there is left', self.violated('export', run))

    def test_an_old_version_that_comes_back_is_seen(self):
        folder = in_memory(self) / 'world'
        world = World(Plan(seed=0, direction='export'), folder)
        versions = [world._new('a.xml') for _ in range(2)]
        for content in reversed(versions):
            world.server.put('/cds/a.xml', content)
        self.assertRegex(world.violations[-1], 'version 0 of a.xml came back')


class RandomTests(unittest.TestCase):
    """Some of the scenarios; `.ci/random-faults` plays ten thousand."""

    level = 2
    layer = layers.QUIET

    def test_scenarios(self):
        for seed in range(150 * SEED, 150 * (SEED + 1)):
            with self.subTest(seed=seed):
                self.assertEqual('', random_faults.report(seed))
