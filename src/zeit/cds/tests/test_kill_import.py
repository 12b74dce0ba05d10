"""A killed importer, on the fault server: at every command, every byte, every local step.

What must hold: each file is exactly once in `new/` and `cur/`, or still complete on the server.
"""

import os
import shutil
import time
import unittest

from zeit.cds import journal
from zeit.cds.importer import Importer
from zeit.cds.spool import Spool
from zeit.cds.tests.importing import take
from zeit.cds.tests.killing import LOCAL, WIRE, Process, arm
from zeit.cds.tests.test_kill import KillTests


class ImportKillTests(KillTests):
    """The places are those of an export; what comes before and after is another thing."""

    #: How long ago the partner has put the files there, in seconds.
    before = 3600

    def begin(self):
        """Start anew: two files are on the server."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.log = self.folder / 'log'
        path = self.folder / 'spool'
        path.mkdir()
        self.spool = Spool(path)
        self.anew()
        self.offered = []
        for name in self.names:
            self.offer(name, b'first', before=self.before)

    def offer(self, name, word, *, before):
        data = (b'%s of %s. ' % (word, name.encode())) * (self.size // 10)
        self.offered.append(data[: self.size])
        when = time.time() - before
        self.server.put(f'/cds/{name}', data[: self.size], modified=when)

    def importer(self):
        return Importer(self.spool, self.target(), wait=lambda seconds: None)

    def run_import(self):
        """One run in this process; return its log."""
        with self.assertLogs('zeit.cds', 'DEBUG') as logs:
            report = self.importer().run_once()
        log = '\n'.join(record.getMessage() for record in logs.records)
        self.assertEqual(0, report.exit_code, log)
        return log

    def child(self, *arming, **kw):
        def run():
            if arming:
                arm(*arming, **kw)
            return self.importer().run_once().exit_code

        return Process(run, log=self.log)

    def here(self):
        """Return the content of all that has arrived."""
        found = [*self.section('new').items(), *self.section('cur').items()]
        return [data for name, data in found if not name.startswith('.')]

    def nothing_lost(self):
        """After a kill: each file is here once or complete on the server, none is partial."""
        here, remote = self.here(), self.remote()
        for data in self.offered:
            self.assertLessEqual(here.count(data), 1)
            self.assertTrue(data in here or data in remote.values(), 'lost')
        self.assertLessEqual(set(here), set(self.offered), 'something partial')

    def converge(self):
        """The second run imports all, the third nothing."""
        log = self.run_import()
        self.assertEqual(sorted(self.offered), sorted(self.here()), log)
        self.assertEqual({}, self.remote(), log)
        self.assertEqual({}, self.section('tmp'), log)
        for name in self.names:
            receipts = list(journal.receipts(self.spool.path / '.cds', name))
            self.assertTrue(receipts, f'no receipt of {name}')
        log = self.run_import()
        self.assertIn('No new files to import.', log)
        self.assertEqual(sorted(self.offered), sorted(self.here()), log)

    def then_taken(self):
        """zeit.cms has taken what was in `new/` before the next run."""
        take(self.spool.path, *self.section('new'))
        self.converge()

    def then_replaced(self):
        """A partner who minds no lock has put newer files there: they are imported as well."""
        older, arrived = self.offered, self.here()
        self.offered = []
        for name in self.names:
            self.offer(name, b'newer', before=0)
        take(self.spool.path, *self.section('new'))
        self.run_import()  # what was on its way comes first; the newer one waits for its place
        take(self.spool.path, *(n for n in self.section('new') if n not in self.section('cur')))
        for name in self.section('new'):
            os.rename(self.spool.path / 'new' / name, self.spool.path / 'cur' / f'{name}.2')
        self.run_import()
        here = self.here()
        for data in [*self.offered, *arrived]:
            self.assertEqual(1, here.count(data))
        # What was not quite here when it was replaced may have come in all the same.
        self.assertLessEqual(set(here), {*self.offered, *older})
        self.assertEqual(len(here), len(set(here)))
        self.assertEqual({}, self.remote())
        self.assertEqual({}, self.section('tmp'))


class CommandTests(ImportKillTests, unittest.TestCase):
    """Killed by the server, at each command of an import of two files."""

    def test_killed_after_a_command_was_executed(self):
        self.commands('executed', after=self.then_taken)


class StepTests(ImportKillTests, unittest.TestCase):
    """Killed between two steps on the local disk."""

    def test_killed_before_a_local_step(self):
        self.steps('before', after=self.then_taken)


class AllTests(ImportKillTests):
    """All places, and all that may come after."""

    level = 2

    def test_killed_at_a_command_then_a_run(self):
        self.commands('lost', 'late', 'executed', after=self.converge)

    def test_killed_at_a_command_then_the_files_are_taken(self):
        self.commands('lost', 'late', 'executed', after=self.then_taken)

    def test_killed_at_a_command_then_the_files_are_replaced(self):
        self.commands('lost', 'late', 'executed', after=self.then_replaced)

    def test_killed_at_a_local_step_then_the_files_are_taken(self):
        self.steps('before', 'after', after=self.then_taken)

    def test_killed_at_a_local_step_then_the_files_are_replaced(self):
        self.steps('before', 'after', after=self.then_replaced)

    def test_killed_in_the_middle_of_a_write(self):
        for after in (self.converge, self.then_taken, self.then_replaced):
            self.everywhere(self.kill_itself([(os, 'write')], moment='half'), after=after)

    def test_killed_in_the_middle_of_what_it_sends(self):
        for moment in ('before', 'half', 'after'):
            for after in (self.converge, self.then_taken):
                self.everywhere(self.kill_itself(WIRE, moment=moment), after=after)

    def test_killed_twice(self):
        """The healing is killed as well, at each of its commands."""
        self.commands('lost', 'executed', after=self.heal_killed)

    def test_killed_twice_at_local_steps(self):
        self.steps('before', after=self.heal_killed_at_steps)

    def heal_killed_at_steps(self):
        for nth in (8, 5, 3, 2, 1):
            self.child(LOCAL, nth, moment='before').run()
            self.settled()
            self.nothing_lost()
        self.converge()


class AllOldTests(AllTests, unittest.TestCase):
    """Files that were there long before."""


class AllFreshTests(AllTests, unittest.TestCase):
    """Files of this very second: their time proves nothing."""

    before = 0


class AllLargeTests(AllTests, unittest.TestCase):
    """Files that come in several pieces."""

    size = 600_000
