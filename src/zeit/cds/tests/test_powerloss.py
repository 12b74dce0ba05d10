"""A loss of power at any moment of an export: whatever survives, the next run ends it right."""

import hashlib
import itertools
import os
import pathlib
import random
import tempfile
import unittest

from zeit.cds.exporter import Exporter
from zeit.cds.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.folders import MEMORY
from zeit.cds.tests.powerloss import Disk, PowerOff


#: Files that wait, and when a version of one of them comes in: behind this file.
NAMES, CORRECTED, BEHIND = 'abcd', 'b', 'publish b'


class PowerLoss(unittest.TestCase):
    layer = layers.QUIET

    #: With each of these the power goes once at each step.
    choices = (1,)

    def prepare(self):
        """Begin anew, with a spool and a server that have seen a run."""
        self.path = pathlib.Path(self.folder) / 'spool'
        self.path.mkdir()
        self.target = MemoryTarget()
        self.offered = {name: f'first {name}'.encode() for name in NAMES}
        self.uploads = []
        spool = Spool(self.path)
        spool.put('w', b'w')
        self.export(spool)
        for name, content in self.offered.items():
            spool.put(name, content)

    def export(self, spool):
        # Files that come quickly.
        clock = itertools.count(0, 0.001).__next__
        with self.assertLogs('zeit.cds'):
            return Exporter(spool, self.target, clock=clock).run_once()

    def lose(self, off, choice, *, corrected=False):
        """Let the power go at a step, if it comes so far; return the `Disk`."""
        shadow = pathlib.Path(self.folder) / 'shadow'
        shadow.mkdir(exist_ok=True)
        disk, spool = Disk(self.path, shadow=shadow, off=off), Spool(self.path)

        def hook(operation, name):
            disk.step()
            if operation == 'upload':
                self.uploads.append(name)
            if corrected and f'{operation} {name}' == BEHIND:
                spool.put(CORRECTED, b'second')
                self.offered[CORRECTED] = b'second'

        self.target.hook = hook
        try:
            with disk:
                self.export(spool)
        except PowerOff:
            pass
        self.target.hook = lambda operation, name: None
        # At each second step nothing survives that need not.
        disk.lose(random.Random(f'{off} {choice}') if (off or 0) % 2 == choice % 2 else None)
        return disk

    def check(self):
        """The next run brings what is missing, and no more; everything is remembered."""
        arrived = {*self.target.files} & {*self.offered}
        report = self.export(Spool(self.path))
        self.assertEqual(([], 0), (report.errors, report.exit_code))
        self.assertEqual([], os.listdir(self.path / 'new'))
        self.assertEqual([], os.listdir(self.path / '.cds' / 'filing'))
        self.assertEqual({'w', *self.offered}, {*self.target.files})
        return arrived, report


class ExportTests(PowerLoss):
    def each(self, check, **options):
        """Let the power go at each step of a run, then `check`."""
        for choice in self.choices:
            off, last = 0, None
            while last is None or off <= last:
                with (
                    self.subTest(off=off, choice=choice),
                    tempfile.TemporaryDirectory(dir=MEMORY) as self.folder,
                ):
                    self.prepare()
                    steps = self.lose(off, choice, **options).steps
                    last = steps if steps < off else last
                    check()
                off += 1
            self.assertGreater(off, 40)

    def test_what_waits(self):
        def check():
            arrived, report = self.check()
            self.assertEqual(self.offered, {n: self.target.files[n] for n in self.offered})
            filed = {n: (self.path / 'cur' / n).read_bytes() for n in os.listdir(self.path / 'cur')}
            self.assertEqual({'w': b'w', **self.offered}, filed)
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
            filed = [path.read_bytes() for path in (self.path / 'cur').iterdir()]
            self.assertLessEqual({*self.offered.values()}, {*filed})
            receipts = {each['sha256'] for each in remembered.receipts(self.path / '.cds')}
            self.assertEqual(receipts, {hashlib.sha256(content).hexdigest() for content in filed})

        self.each(check, corrected=True)


class SeedTests(ExportTests):
    """The same with other choices."""

    level = 2
    choices = range(2, 5)
