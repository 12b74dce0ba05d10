"""A loss of power at any moment of a run: whatever survives, the next one ends it right."""

import hashlib
import itertools
import pathlib
import random
import tempfile
import unittest

from zeit.cds.run.exporter import Exporter
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.folders import MEMORY
from zeit.cds.tests.importing import Skipping
from zeit.cds.tests.powerloss import Disk, PowerOff
from zeit.cds.tests.sampling import SEED


#: Files that wait, and when a version of one of them comes in: behind this file.
NAMES, CORRECTED, BEHIND = 'abcd', 'b', 'publish b'


class PowerLoss:
    """Mixin: a spool and a server, and a run that the power ends at one of its steps.

    Subclasses have `prepare` and `run_once`.
    """

    layer = layers.QUIET

    #: With each of these the power goes once at each so many-th step.
    choices, stride = (1,), 7

    def begin(self, folder):
        """Begin anew in an empty folder."""
        self.folder = pathlib.Path(folder)
        self.path = self.folder / 'spool'
        self.path.mkdir()
        self.target = MemoryTarget()
        self.offered = {name: f'first {name}'.encode() for name in NAMES}
        self.prepare()

    def each(self, check, **options):
        """Let the power go at one step of a run after the other, then `check`."""
        for choice in self.choices:
            off, last = 0, None
            while last is None or off <= last:
                with (
                    self.subTest(off=off, choice=choice),
                    tempfile.TemporaryDirectory(dir=MEMORY) as folder,
                ):
                    self.begin(folder)
                    steps = self.lose(off, choice, **options).steps
                    last = steps if steps < off else last
                    check()
                off += self.stride
            self.assertGreater(off, 40)

    def lose(self, off, choice, **options):
        """Let the power go at a step, if it comes so far; return the `Disk`."""
        shadow = self.folder / 'shadow'
        shadow.mkdir()
        disk, spool = Disk(self.path, shadow=shadow, off=off), Spool(self.path)

        def hook(operation, name):
            disk.step()
            self.happens(operation, name, spool, **options)

        self.target.hook = hook
        try:
            with disk:
                self.run_once(spool)
        except PowerOff:
            pass
        self.target.hook = lambda operation, name: None
        # At each second step nothing survives that need not.
        disk.lose(random.Random(f'{off} {choice}') if off % 2 == choice % 2 else None)
        return disk

    def happens(self, operation, name, spool):
        """Something is asked of the server."""

    def content(self, section):
        """Return what is in a section of the spool: bytes by name."""
        return {path.name: path.read_bytes() for path in (self.path / section).iterdir()}

    def settle(self):
        """Let the next run end what this one has left."""
        report = self.run_once(Spool(self.path))
        self.assertEqual(([], 0), (report.errors, report.exit_code))


class ExportTests(PowerLoss, unittest.TestCase):
    def prepare(self):
        self.uploads = []
        spool = Spool(self.path)
        spool.put('w', b'w')
        self.run_once(spool)
        for name, content in self.offered.items():
            spool.put(name, content)

    def run_once(self, spool):
        # Files that come quickly.
        clock = itertools.count(0, 0.001).__next__
        with self.assertLogs('zeit.cds'):
            return Exporter(spool, self.target, clock=clock).run_once()

    def happens(self, operation, name, spool, *, corrected=False):
        if operation == 'upload':
            self.uploads.append(name)
        if corrected and f'{operation} {name}' == BEHIND:
            spool.put(CORRECTED, b'second')
            self.offered[CORRECTED] = b'second'

    def check(self):
        """The next run brings what is missing; return what had arrived before."""
        arrived = {*self.target.files} & {*self.offered}
        self.settle()
        self.assertEqual(({}, {}), (self.content('new'), self.content('.cds/filing')))
        self.assertEqual({'w', *self.offered}, {*self.target.files})
        return arrived

    def test_what_waits(self):
        def check():
            arrived = self.check()
            self.assertEqual(self.offered, {n: self.target.files[n] for n in self.offered})
            self.assertEqual({'w': b'w', **self.offered}, self.content('cur'))
            for name, content in self.offered.items():
                (receipt,) = remembered.receipts(self.path / '.cds', name)
                sha256 = hashlib.sha256(content).hexdigest()
                self.assertEqual((name, sha256), (receipt['filed_as'], receipt['sha256']))
            # What has arrived is found out, not sent again.
            self.assertEqual([], [name for name in arrived if self.uploads.count(name) > 1])

        self.each(check)

    def test_a_newer_version(self):
        def check():
            self.check()
            there = {name: self.target.files[name] for name in self.offered}
            if there[CORRECTED] == b'second':  # else the power went while it was put
                self.offered[CORRECTED] = b'second'
            self.assertEqual(self.offered, there)
            filed = self.content('cur').values()
            self.assertLessEqual({*self.offered.values()}, {*filed})
            receipts = {each['sha256'] for each in remembered.receipts(self.path / '.cds')}
            self.assertEqual(receipts, {hashlib.sha256(content).hexdigest() for content in filed})

        self.each(check, corrected=True)


class ImportTests(PowerLoss, unittest.TestCase):
    def prepare(self):
        self.target.write('w', b'w', age=3600)
        self.run_once(Spool(self.path))
        for name, content in self.offered.items():
            self.target.write(name, content, age=3600)

    def run_once(self, spool):
        time = Skipping()
        with self.assertLogs('zeit.cds'):
            return Importer(spool, self.target, clock=time.clock, wait=time.wait).run_once()

    def test_what_comes_in(self):
        def check():
            self.settle()
            self.assertEqual({}, self.target.files)
            self.assertEqual({'w': b'w', **self.offered}, self.content('new'))
            self.assertEqual({}, self.content('tmp'))
            for name, content in self.offered.items():
                (receipt,) = remembered.receipts(self.path / '.cds', name)
                self.assertEqual(len(content), receipt['size'])

        self.each(check)


class ExportSeedTests(ExportTests):
    """The same with other choices."""

    level = 2
    choices, stride = range(2 + 3 * SEED, 5 + 3 * SEED), 1


class ImportSeedTests(ImportTests):
    """The same with other choices."""

    level = 2
    choices, stride = range(2 + 3 * SEED, 5 + 3 * SEED), 1
