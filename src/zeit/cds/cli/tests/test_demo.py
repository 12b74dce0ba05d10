"""`zeit-cds demo`: it shows what it should, and leaves nothing behind."""

import importlib.util
import os
import signal
import threading
import unittest.mock

from zeit.cds.cli import demo
from zeit.cds.cli.tests.test_command_line import PROCESS, CommandLine
from zeit.cds.testing import layers


#: The command; it waits at the line after which it is interrupted.
WAITING = """
import signal, sys
from zeit.cds.cli import demo, main
emit = demo._Log.emit
def wait(handler, record):
    emit(handler, record)
    if record.getMessage() == 'Creating lock file: write':
        signal.pause()
demo._Log.emit = wait
sys.exit(main.main())
"""

ARTICLE = '{urn:uuid:347b85e0-0740-4e52-8f62-3192430b0417}.xml'


class Demonstration(CommandLine):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.temporary = self.folder / 'tmp'
        self.temporary.mkdir()
        self.environ['TMPDIR'] = str(self.temporary)
        self.enterContext(unittest.mock.patch('tempfile.tempdir', str(self.temporary)))

    def tearDown(self):
        self.assertEqual([], os.listdir(self.temporary))
        super().tearDown()

    def test_both_sides_before_and_after(self):
        outcome = self.call('demo')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        before, log, after = (
            outcome.out.index(f'\n{title}\n')
            for title in ('Before', 'The log of the export', 'After')
        )
        article = rf'\d+ B  {ARTICLE}'.replace('{', r'\{')
        self.assertRegex(outcome.out[before:log], rf'(?s)new .*{article}.*cur  empty.*\n +empty')
        self.assertRegex(outcome.out[log:after], '\nCreating lock file: write\n')
        self.assertRegex(outcome.out[log:after], f'\nUploading: {ARTICLE}\n'.replace('{', r'\{'))
        self.assertRegex(
            outcome.out[after:], rf'(?s)new  empty.*cur .*{article}.*Server ftp://.*{article}'
        )
        self.assertIn('3 files delivered; every byte compared.', outcome.out)
        self.assertLessEqual(max(map(len, outcome.out.splitlines())), 80)

    def test_it_is_called_as_it_was_called(self):
        for called, said in (
            ('bin/zeit-cds', 'bin/zeit-cds -vv demo'),
            ('/x/of-a-test', 'zeit-cds -vv demo'),
        ):
            with unittest.mock.patch('sys.argv', [called]):
                self.assertIn(f'\n{said} ', self.call('demo').out)

    def test_what_the_export_did_is_looked_at(self):
        with unittest.mock.patch.object(demo._Demonstration, '_arrived', return_value=b'half'):
            outcome = self.call('demo')
        self.assertEqual(70, outcome.code)
        self.assertNotIn('every byte compared', outcome.out)

    def test_a_failure_is_not_explained_away(self):
        with unittest.mock.patch('zeit.cds.ftp.connection.Connection.open', side_effect=KeyError):
            self.assertEqual(70, self.call('demo').code)

    def test_colours_are_for_terminals(self):
        self.assertNotIn('\x1b', self.call('demo').out)
        self.assertIn('\x1b[', self.call('demo', terminal=True).out)
        self.environ['NO_COLOR'] = '1'
        self.assertNotIn('\x1b', self.call('demo', terminal=True).out)

    def test_without_pyftpdlib(self):
        with unittest.mock.patch.object(importlib.util, 'find_spec', return_value=None):
            self.assert_line(self.call('demo'), 78, r"needs .* pip install 'zeit.cds\[demo\]'")

    def test_verbose(self):
        outcome = self.call('-vv', 'demo')
        self.assertEqual(0, outcome.code)
        self.assertIn('> STOR ', outcome.err)
        self.assertNotIn('Uploading', outcome.out)

    def test_interrupted(self):
        process = self.start('demo', program=[PROCESS[0], '-u', '-c', WAITING])
        timer = threading.Timer(60, process.kill)
        timer.start()
        self.addCleanup(timer.join)
        self.addCleanup(timer.cancel)
        for line in process.stdout:
            if line == 'Creating lock file: write\n':
                process.send_signal(signal.SIGINT)
                break
        self.assertEqual(130, self.finish(process).code)

    def test_the_files_are_realistic(self):
        files = demo.samples()
        self.assertIn(ARTICLE, files)
        self.assertTrue(any(content.startswith(b'\x89PNG') for content in files.values()))
