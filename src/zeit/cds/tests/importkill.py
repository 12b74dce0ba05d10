"""What the kill tests of imports have in common: a partner's files, and what must hold after.

Each file is exactly once in `new/` and `cur/`, or still complete on the server.
"""

import os
import shutil
import time

from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.tests import remembered
from zeit.cds.tests.importing import Skipping, take
from zeit.cds.tests.killing import Killing, Process, arm


class ImportKilling(Killing):
    """Mixin for a TestCase, as `Killing` is; the places are those of an export.

    What comes before and after is another thing.  Subclasses have `plant` as well.
    """

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
        self.plant(name, data[: self.size], modified=time.time() - before)

    def plant(self, name, data, *, modified):
        """Put a file into the directory on the server."""
        raise NotImplementedError

    def importer(self):
        skipping = Skipping()
        return Importer(self.spool, self.target(), clock=skipping.clock, wait=skipping.wait)

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
            receipts = list(remembered.receipts(self.spool.path / '.cds', name))
            self.assertTrue(receipts, f'no receipt of {name}')
        log = self.run_import()
        self.assertIn('No new files to import.', log)
        self.assertEqual(sorted(self.offered), sorted(self.here()), log)

    def then_taken(self):
        """zeit.cms has taken what was in `new/` before the next run."""
        take(self.spool.path, *self.section('new'))
        self.converge()

    def then_cleaned(self):
        """Somebody has cleaned up `tmp/`, as others do, and a backup has linked all there is."""
        backup = self.folder / 'backup'
        shutil.copytree(self.spool.path, backup, copy_function=os.link)
        for name in self.section('tmp'):
            (self.spool.path / 'tmp' / name).unlink()
        self.converge()
        shutil.rmtree(backup)

    def then_linked(self):
        """A backup has linked all there is; `tmp/` is as it was."""
        backup = self.folder / 'backup'
        shutil.copytree(self.spool.path, backup, copy_function=os.link)
        self.converge()
        shutil.rmtree(backup)

    def then_fetched_away(self):
        """An application has moved what was in `new/` out of the spool: rather twice than never."""
        taken = [*self.section('new').values()]
        for name in self.section('new'):
            (self.spool.path / 'new' / name).unlink()
        self.run_import()
        self.assertEqual(set(self.offered), {*taken, *self.here()})
        self.assertEqual(({}, {}), (self.remote(), self.section('tmp')))

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
