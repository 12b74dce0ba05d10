"""Who may only read sees all that is committed: during a run, after it, and after a kill."""

import contextlib
import io
import itertools
import json
import os
import pathlib
import re
import signal
import tempfile
import unittest
from unittest import mock

from zeit.cds.cli import main
from zeit.cds.journal import journal
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.folders import MEMORY


NAMES = 'abcde'

#: What changes the disk, step by step.
CALLS = (os, 'write'), (os, 'fsync'), (os, 'rename'), (files, '_renameat2')


def look(path):
    """Return what commands show of a spool: its totals, and the names with receipts."""
    _, metrics = call('status', '--prometheus', '--spool', path)
    _, status = call('status', '--json', '--spool', path)
    (status,) = json.loads(status)
    shown = [call('receipt', '--json', '--spool', path, name) for name in NAMES]
    return {
        'delivered': int(re.search(r'^zeit_cds_delivered_files_total.* (\d+)$', metrics, re.M)[1]),
        'readable': re.search(r'^zeit_cds_spool_readable.* (\d+)$', metrics, re.M)[1],
        'error': status['error'],
        'receipts': [len(json.loads(text)) for code, text in shown if code == 0],
    }


def call(*words):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        code = main.main([*map(str, words)])
    return code, out.getvalue()


class LookTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        if os.geteuid():
            self.skipTest('Only root can be another user')
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(dir=MEMORY)))
        folder.chmod(0o755)
        self.path = folder / 'spool'
        self.path.mkdir()
        self.path.chmod(0o755)
        self.spool = Spool(self.path)
        self.before = 0
        self.export(MemoryTarget())
        look(self.path)  # imports what a user without rights cannot

    def export(self, target):
        for name in NAMES:
            self.spool.put(name, b'1')
        # Files come quickly, and each run begins with a new journal.
        clock = itertools.count(0, 0.001).__next__
        small = mock.patch.dict(journal.Journal.__init__.__kwdefaults__, limit=-(1 << 20))
        with small, self.assertLogs('zeit.cds'):
            return Exporter(self.spool, target, clock=clock).run_once()

    def nobody_looks(self):
        """Return what a user without rights sees."""
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                with open(write, 'w') as file:
                    json.dump(look(self.path), file)
            finally:
                os._exit(0)
        os.close(write)
        with open(read) as file:
            seen = file.read()
        os.waitpid(child, 0)
        return json.loads(seen)

    def committed(self):
        """Return the number of receipts, and of what the journal counts, by the bytes."""
        private = self.path / '.cds'
        receipts = len(remembered.receipts(private))
        lines = (private / 'journal' / 'state.jsonl').read_bytes().splitlines()
        entries = [json.loads(line) for line in lines if line.endswith(b'}')]
        totals = next((each for each in entries if each['kind'] == 'totals'), {'delivered': 0})
        noted = sum(each['kind'] == 'delivered' for each in entries)
        return receipts, totals['delivered'] + noted

    def assert_seen(self):
        receipts, noted = self.committed()
        seen = self.nobody_looks()
        self.assertEqual((None, '1'), (seen['error'], seen['readable']))
        self.assertGreaterEqual(sum(seen['receipts']), receipts)
        self.assertGreaterEqual(seen['delivered'], max(noted, self.before))
        self.before = noted

    def test_during_a_run(self):
        looks = []

        def hook(operation, name):
            if operation in ('upload', 'publish') or name == 'write':
                self.assert_seen()
                looks.append(self.committed())

        self.assertEqual(0, self.export(MemoryTarget(hook=hook)).exit_code)
        self.assertEqual((5, 10), (looks[0][0], looks[-1][0]))

    def test_after_a_clean_end(self):
        self.export(MemoryTarget())
        self.assert_seen()
        self.assertEqual((10, 10), self.committed())

    def test_after_a_kill(self):
        for nth in itertools.count(0, self.stride):
            with self.subTest(nth):
                killed = self.killed(nth)
                self.assert_seen()
            if not killed:
                break
        self.assertGreater(nth, 40)
        receipts, noted = self.committed()
        self.assertGreaterEqual(receipts, noted)

    stride = 13

    def killed(self, nth):
        """Let a run be killed at a step; return whether it came so far."""
        target, child = MemoryTarget(), os.fork()
        if not child:
            left = itertools.count(nth, -1)

            def stepwise(real):
                def step(*args):
                    if not next(left):
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*args)

                return step

            try:
                for module, name in CALLS:
                    setattr(module, name, stepwise(getattr(module, name)))
                self.export(target)
            finally:
                os._exit(0)
        return bool(os.waitpid(child, 0)[1])


class EachStepTests(LookTests):
    level = 2
    stride = 1
