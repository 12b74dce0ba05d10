"""An export and an import against the same directory start at the same moment: no file is lost.

`ZEIT_CDS_RACES` says how many rounds there are on each server (default 50).
"""

import collections
import contextlib
import json
import logging
import os
import subprocess
import sys
import unittest

from zeit.cds.run.exporter import Exporter
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests.importing import Skipping
from zeit.cds.tests.test_races import PATIENCE, Races, _keep_diary, _target


ROUNDS = int(os.environ.get('ZEIT_CDS_RACES', '50'))

SIDES = (Exporter, Importer)


def race():
    """Be one side in a process of its own: a run for each line of standard input, a path."""
    place, diary, number = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    _keep_diary(diary, number)
    goal = _target(json.loads(place))
    for line in sys.stdin:
        # What an exporter has put there is complete: it has a lock.
        time = Skipping()
        side = SIDES[int(number)](Spool(line.rstrip('\n')), goal, clock=time.clock, wait=time.wait)
        report = side.run_once()
        said = [report.exit_code, report.delivered, [*map(repr, report.errors), *report.failed]]
        print(json.dumps(said), flush=True)


class ImportRaces(Races):
    rounds = ROUNDS
    test_spools_of_their_own = test_one_spool = test_some_may_not_make_directories = None

    @contextlib.contextmanager
    def racer(self, number):
        """The exporter or the importer, a process that ends with its standard input."""
        process = subprocess.Popen(
            [
                sys.executable,
                *('-c', 'from zeit.cds.tests.test_races_import import race; race()'),
                *(json.dumps(self.place(number)), str(self.diary), str(number)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
        )
        with process:
            try:
                yield process
                process.stdin.close()
                self.assertEqual(0, process.wait(PATIENCE))
            finally:
                if process.poll() is None:
                    process.kill()

    def test_an_export_and_an_import(self):
        files = [f'{turn}.xml' for turn in range(self.rounds)]
        out = [self.spool(f'out-{turn}', file) for turn, file in enumerate(files)]
        letters = self.spool('in')
        found = self.race([[str(s.path) for s in out], [str(letters.path)] * self.rounds])
        self.assert_codes(found)
        self.assertLessEqual([code for code, _, _ in found].count(0), self.check_diary())
        goal = _target(self.place(0))
        for spool in out:
            self.assertEqual(0, Exporter(spool, goal).run_once().exit_code)
            self.assertEqual([], os.listdir(spool.path / 'new'))
        self.assertEqual(0, Importer(letters, goal).run_once().exit_code)
        self.assertEqual([], [*self.server.root.iterdir()])
        here = {p.name: p.read_bytes() for p in (letters.path / 'new').iterdir()}
        self.assertEqual({file: f'This is {file}.'.encode('ascii') for file in files}, here)
        self.assertEqual([], os.listdir(letters.path / 'tmp'))
        sent = collections.Counter(name for _, names, _ in found[::2] for name in names)
        self.assertLessEqual(set(sent.values()), {1})


class PyFTPRaces(ImportRaces, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdRaces(ImportRaces, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDRaces(ImportRaces, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDRaces(ImportRaces, unittest.TestCase):
    layer = layers.PUREFTPD
