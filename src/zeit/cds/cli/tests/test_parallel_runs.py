"""`zeit-cds export --all` with several partners of one spool: they run side by side."""

import json
import signal
import subprocess
import threading
import unittest
import unittest.mock

from zeit.cds.cli import parallel_runs
from zeit.cds.cli.tests.test_command_line import PROCESS, TIMEOUT, CommandLine
from zeit.cds.drivers.tests.test_watch import Stalled
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults, layers


class WaitingTests(unittest.TestCase):
    layer = layers.QUIET

    def test_what_could_not_begin_is_not_waited_for(self):
        refused = unittest.mock.patch.object(threading.Thread, 'start', side_effect=RuntimeError)
        waited = unittest.mock.patch.object(parallel_runs, '_has_ended', return_value=True)
        with waited as waits, self.assertRaises(RuntimeError), parallel_runs.Beside() as beside:
            with refused:
                beside.start('A', lambda interrupted: 0)
        self.assertEqual([], waits.mock_calls)

    def test_what_it_waits_for_at_the_end_is_said(self):
        hangs = threading.Event()
        self.addCleanup(hangs.set)
        self.enterContext(unittest.mock.patch.object(parallel_runs, 'SILENT_SECONDS', 0))
        self.enterContext(unittest.mock.patch.object(parallel_runs, 'END_SECONDS', 0))
        with self.assertLogs('zeit.cds', 'WARNING') as caught, parallel_runs.Beside() as beside:
            beside.start('archive', lambda interrupted: hangs.wait(TIMEOUT))
        self.assertEqual(2, len(caught.records))
        for each in caught.records:
            self.assertIn('archive', each.getMessage())


class BesideTests(CommandLine):
    """The exporter `agency` comes first, by its name, and `images` has a spool of its own."""

    def setUp(self):
        super().setUp()
        (self.folder / 'images').mkdir()
        self.got = {}
        self.servers = {name: self.server(name) for name in ('agency', 'archive', 'images')}
        targets = ''.join(
            f"""
            <target name="{name}" host="{each.host}" port="{each.port}" user="test" directory="/"
                password_env="ZEIT_CDS_PASSWORD" />
            <exporter name="{name}" target="{name}"
                spool="{'images' if name == 'images' else 'articles'}" />"""
            for name, each in self.servers.items()
        )
        self.zcml = self.folder / 'cds.zcml'
        self.zcml.write_text(f"""
            <configure xmlns="http://namespaces.zeit.de/cds">
              <spool name="articles" path="{self.path}" />
              <spool name="images" path="{self.folder}/images" />
              {targets}
            </configure>""")

    def server(self, name):
        """Start a server; `got` has an event for when it has the second file."""
        got = self.got[name] = threading.Event()

        def notice(event):
            if event.verb == 'RNTO' and event.path == '/b.xml' and event.moment == 'executed':
                got.set()

        return self.enterContext(faults.FaultServer(hook=notice))

    def stall(self, name):
        """Let a server not answer while it gets a file, until what this returns is set."""
        stalled = Stalled()
        self.addCleanup(stalled.set)
        self.servers[name].fault('STOR', faults.Delay(stalled, moment='before'), path='*.part')
        return stalled

    def start(self, *arguments):
        process = subprocess.Popen(
            [*PROCESS, '--zcml', self.zcml, 'export', '--all', *arguments],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.enterContext(process)
        self.addCleanup(process.kill)
        return process

    def has(self, name):
        return sorted(self.servers[name].files)

    def test_one_that_hangs_keeps_nobody_else(self):
        stalled = self.stall('agency')
        process = self.start('--json')
        self.assertTrue(self.got['archive'].wait(TIMEOUT))
        self.assertTrue(stalled.begun.wait(TIMEOUT))
        self.assertEqual([], [each for each in self.has('agency') if not each.endswith('write')])
        stalled.set()
        out, err = process.communicate(timeout=TIMEOUT)
        self.assertEqual((0, ''), (process.returncode, err))
        found = json.loads(out)
        self.assertEqual(['agency', 'archive', 'images'], [each['name'] for each in found])
        for each in found[:2]:
            self.assertEqual(['a.xml', 'b.xml'], [file['name'] for file in each['files']])
            self.assertEqual(['/a.xml', '/b.xml'], self.has(each['name']))
        self.assertEqual(['a.xml', 'b.xml'], sorted(p.name for p in (self.path / 'cur').iterdir()))

    def test_each_line_tells_whose_it_is_and_the_worst_exit_code_counts(self):
        for name in 'agency', 'archive':
            self.servers[name].fault('PASS', faults.Reply('530 No.'))
        self.servers['archive'].clear_faults()
        outcome = self.call('--zcml', self.zcml, 'export', '--all')
        self.assertEqual(77, outcome.code, outcome.err)
        (line,) = outcome.err.splitlines()
        self.assertIn('zeit-cds: agency: ', line)
        self.assertEqual(['/a.xml', '/b.xml'], self.has('archive'))

    def test_what_both_say_is_told_of_both(self):
        for name in 'agency', 'archive':
            self.servers[name].fault('PASS', faults.Reply('530 No.'))
        outcome = self.call('--zcml', self.zcml, 'export', '--all')
        self.assertEqual(77, outcome.code)
        self.assertEqual(
            ['agency', 'archive'], sorted(each.split(': ')[1] for each in outcome.err.splitlines())
        )

    def test_ended_by_a_signal_each_removes_its_lock(self):
        stalled = {name: self.stall(name) for name in ('agency', 'archive')}
        process = self.start()
        for each in stalled.values():
            self.assertTrue(each.begun.wait(TIMEOUT))
        process.send_signal(signal.SIGTERM)
        for each in stalled.values():
            each.set()
        _, err = process.communicate(timeout=TIMEOUT)
        self.assertEqual(143, process.returncode, err)
        self.assertIn('Ended by SIGTERM', err)
        for name in stalled:
            self.assertLessEqual({*self.has(name)}, {'/a.xml', '/b.xml'})
            self.assertEqual([], self.servers[name].directories)

    def test_what_one_has_and_one_has_tried_is_withdrawn_once(self):
        self.servers['archive'].fault('STOR', faults.Reply('550 No.'), path='/a.xml*.part')
        self.assertEqual(1, self.call('--zcml', self.zcml, 'export', '--all').code)
        outcome = self.call('--zcml', self.zcml, 'withdraw', 'a.xml', '--reason', 'Wrong.')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertIn('What partners have got by this name is on their servers', outcome.out)

    def test_the_path_of_a_spool_means_all_its_partners(self):
        self.call('--zcml', self.zcml, 'export', '--all')
        outcome = self.call('receipt', '--spool', self.path, 'a.xml')
        self.assertIn('delivered 2 times', outcome.out)
        for server in self.servers.values():
            server.delete('/a.xml') if '/a.xml' in server.files else None
        outcome = self.call('resend', '--spool', self.path, 'a.xml')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.call('--zcml', self.zcml, 'export', '--all')
        for name in 'agency', 'archive':
            self.assertEqual(['/a.xml', '/b.xml'], self.has(name))

    def test_an_older_version_that_is_brought_back_by_the_command_that_was_printed(self):
        self.servers['archive'].fault('STOR', faults.Reply('550 No.'), path='/a.xml*.part')
        outcome = self.call('--zcml', self.zcml, 'export', '--all', '--park-after', '1')
        self.assertIn('retry --spool ', outcome.err)
        self.servers['archive'].clear_faults()
        folder = self.path / '.cds' / 'partners' / 'archive'
        for version in 'newer', 'newest':
            if version == 'newest':
                outcome = self.call('retry', '--older', '--spool', folder, 'a.xml')
                self.assertEqual(0, outcome.code, outcome.err)
            Spool(self.path).put('a.xml', version.encode())
            self.call('--zcml', self.zcml, 'export', '--all')
            self.assertEqual(version.encode(), self.servers['archive'].files['/a.xml'])

    def test_a_dry_run(self):
        outcome = self.call('--zcml', self.zcml, 'export', '--all', '--dry-run')
        self.assertEqual(0, outcome.code, outcome.err)
        lines = sorted(outcome.out.splitlines())
        for name in 'agency', 'archive':
            self.assertEqual(
                [f'{name}: 2 files would be delivered (10 B), 0 failed', f'{name}: a.xml (5 B)',
                 f'{name}: b.xml (5 B)'],
                [each for each in lines if each.startswith(name)],
            )  # fmt: skip
