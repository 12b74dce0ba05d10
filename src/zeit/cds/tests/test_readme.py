"""Executes README.txt and docs/options.txt: the doctest and every other block in them."""

import configparser
import contextlib
import grp
import importlib.util
import os
import re
import shlex
import stat
import subprocess
import sys
import unittest

from gocept.filestore import filestore

from zeit.cds import errors, main
from zeit.cds.cli import options
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.layers import QUIET
from zeit.cds.tests import docs
from zeit.cds.zcml.handlers import load


README = 'README.txt'

#: Where blocks are, in the order of their execution.
DOCUMENTS = (README, 'docs/options.txt', 'docs/upgrading.txt')

#: How each kind of literal block begins, and the test of `BlocksTest` that executes it.
KINDS = {
    'python3 bootstrap.py': 'test_the_two_commands',
    '$ ': 'test_shell',
    '# install': 'test_spool_for_a_group',
    'machine ': 'test_password',
    '>>> ': 'test_doctests',
    '<configure': 'test_zcml',
    'PATH=': 'test_cron',
    '[buildout]': 'test_buildout',
}

#: Seconds for a process that should need a few.
TIMEOUT = 120


def kind(block):
    """Return how the blocks of this kind begin.  Raises AssertionError for an unknown one."""
    for beginning in KINDS:
        if block.text.startswith(beginning):
            return beginning
    raise AssertionError(f'Line {block.line}: nothing executes this:\n{block.text}')


def configuration(text):
    """Return the parts of a buildout's configuration."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return parser


class ReadmeTest(unittest.TestCase):
    layer = QUIET

    def setUp(self):
        super().setUp()
        texts = [docs.require(self, name) for name in DOCUMENTS]
        self.text = '\n'.join(texts)
        self.all_blocks = [block for text in texts for block in docs.literal_blocks(text)]

    def blocks(self, beginning):
        """Return the texts of the blocks of a kind; there must be some."""
        found = [block for block in self.all_blocks if kind(block) == beginning]
        self.assertTrue(found, f'no block begins with {beginning!r}')
        return found

    def block(self, beginning):
        """Return the text of the only block of a kind."""
        (block,) = self.blocks(beginning)
        return block.text


class StageTest(ReadmeTest):
    def stage(self):
        """Return a stage with a server, and a spool where two articles wait."""
        _, stage = docs.server_and_stage(self.enterContext(contextlib.ExitStack()))
        self.spool = Spool(stage.path('/var/spool/cds'))
        self.publish()
        stage.write('etc/cds.zcml', stage.local(self.block('<configure')))
        return stage

    def publish(self):
        for letter in 'AB':
            self.spool.put(f'{letter.lower()}.xml', f'<article>{letter}</article>'.encode())

    def assert_delivered(self, stage):
        there = {path.name for path in (stage.server.root / docs.DIRECTORY).iterdir()}
        self.assertEqual({'a.xml', 'b.xml'}, there)
        self.assertEqual([], self.spool.status().waiting)


class BlocksTest(StageTest):
    def test_every_block_is_executed(self):
        for beginning in {kind(block) for block in self.all_blocks}:
            self.assertTrue(callable(getattr(self, KINDS[beginning])))
        self.assertEqual(set(KINDS), {kind(block) for block in self.all_blocks})

    def test_doctests(self):
        """They are in the document that `docs.suite` executes."""
        for block in docs.literal_blocks('\n'.join(map(docs.find, DOCUMENTS[1:]))):
            self.assertNotEqual('>>> ', kind(block))

    def test_the_two_commands(self):
        """`.ci/run` executes them; here they are exactly what it looks for, and can work."""
        found = [block.text for block in self.blocks('python3 bootstrap.py')]
        expected = ('python3 bootstrap.py && bin/zeit-cds demo', 'python3 bootstrap.py && bin/test')
        self.assertEqual([f'{command}\n' for command in expected], found)
        config = configuration((docs.TOP / 'buildout.cfg').read_text())
        generated = ' '.join(part.get('scripts', '') for part in config.values()).split()
        self.assertTrue((docs.TOP / 'bootstrap.py').is_file())
        self.assertIn('zeit-cds', generated)
        self.assertIn('test', generated)

    def test_shell(self):
        for name in DOCUMENTS:
            stage = self.stage()
            for block in docs.literal_blocks(docs.find(name)):
                if kind(block) == '$ ':
                    self.execute(block, stage)
            if name == README:
                self.assert_delivered(stage)

    def execute(self, block, stage):
        for command, want in docs.commands(block):
            with self.subTest(command):
                outcome = stage.call(command)
                self.assertEqual((0, ''), (outcome.code, outcome.err))
                want, got = map(docs.without_ages, (want, outcome.out))
                self.assertTrue(docs.matches(want, got), f'{want}\n---\n{got}')

    def test_password(self):
        """Each of the three sources lets in, and the first one of them counts."""
        stage = self.stage()
        command = 'zeit-cds export --spool /var/spool/cds ftpes://zeit@ftp.example.com/in'
        self.assertIn(command.split()[-1], self.text)
        self.assertEqual(errors.CONFIGURATION, stage.call(command).code)
        stage.write('.netrc', self.block('machine '))
        self.assertEqual((0, ''), stage.call(command)[::2])
        os.environ[options.PASSWORD_VARIABLE] = 'wrong'
        self.assertIn(f'``{options.PASSWORD_VARIABLE}``', self.text)
        self.publish()
        self.assertEqual(errors.LOGIN_REFUSED, stage.call(command).code)
        file = ' --password-file /etc/zeit.cds/password'
        self.assertEqual((0, ''), stage.call(command + file)[::2])

    def test_zcml(self):
        stage = self.stage()
        load(stage.path('/etc/zeit.cds/cds.zcml'))
        outcome = stage.call('zeit-cds --zcml /etc/zeit.cds/cds.zcml export')
        self.assertEqual((0, '2 files delivered (40 B), 0 failed\n', ''), outcome)
        self.assert_delivered(stage)

    def test_cron(self):
        stage = self.stage()
        *variables, line = self.block('PATH=').splitlines()
        *schedule, user, command = line.split(None, 6)
        for name, value in (variable.split('=') for variable in variables):
            command = command.replace(f'${name}', value)
        self.assertEqual((['*/5', '*', '*', '*', '*'], 'cds'), (schedule, user))
        # crontab(5): a percent sign ends the command.
        self.assertNotIn('%', command)
        self.assertEqual((0, '', ''), stage.call(command, terminal=False))
        self.assert_delivered(stage)
        log = stage.path('/var/log/zeit.cds/log').read_text()
        self.assertIn('INFO Uploading: a.xml', log)
        # What the text promises: no mail for a lock, but for an error.
        self.publish()
        lock = stage.server.root / docs.DIRECTORY / 'write'
        lock.touch()
        self.assertEqual((errors.COME_BACK_LATER, '', ''), stage.call(command, terminal=False))
        lock.unlink()
        stage.server.pause()
        outcome = stage.call(command, terminal=False)
        self.assertEqual((errors.UNAVAILABLE, 1), (outcome.code, len(outcome.err.splitlines())))

    def test_buildout(self):
        """Its arguments, evaluated as the generated script would do it."""
        stage = self.stage()
        part = configuration(self.block('[buildout]'))['cds-export']
        self.assertEqual('zc.recipe.egg', part['recipe'])
        values = {'main': main}
        source = f'{part["initialization"]}\ncode = main.{main.cds_export.__name__}'
        source += f'({part["arguments"]})'
        exec(stage.local(source), values)
        self.assertEqual(0, values['code'])
        self.assert_delivered(stage)
        self.assertTrue(stage.path('/var/log/zeit.cds/log').is_file())

    def test_spool_for_a_group(self):
        """With the umask that the text names; the CMS comes first."""
        stage = self.stage()
        path = stage.folder / 'group'
        group = grp.getgrgid(os.getgid()).gr_name
        text = self.block('# install').replace('\\\n', '').replace('/var/spool/cds', str(path))
        text = stage.local(text.replace('-o cds ', '').replace('-g cds', f'-g {group}'))
        for command in re.findall('^# (.*)', text, re.MULTILINE):
            subprocess.run(shlex.split(command), check=True, timeout=TIMEOUT)
        self.assertEqual(0o600, stat.S_IMODE(stage.path('/etc/zeit.cds/password').stat().st_mode))
        (umask,) = re.findall(r'umask (\d+)', docs.find(README))
        self.addCleanup(os.umask, os.umask(int(umask, 8)))
        store = filestore.FileStore(str(path))
        store.prepare()
        store.create('a.xml').close()
        self.assertTrue(os.stat(path / 'tmp' / 'a.xml').st_mode & stat.S_IRGRP)
        with Spool(path).run():
            for section in ('.', 'tmp', 'new', 'cur', '.cds'):
                found = os.stat(path / section)
                mode = stat.S_IMODE(found.st_mode)
                self.assertEqual((0o2770, os.getgid()), (mode, found.st_gid), section)


class RealBuildoutTest(StageTest):
    """The buildout of the README, really built, and its script really started."""

    def test_buildout(self):
        developed = docs.TOP / '.venv' / 'develop-eggs'
        if not developed.is_dir() or not importlib.util.find_spec('zc.buildout'):
            self.skipTest('buildout is tried in a checkout that bootstrap.py has set up')
        stage = self.stage()
        server = stage.server
        text = stage.local(self.block('[buildout]'))
        text = text.replace(f"'{docs.HOST}', {docs.PORT}", f"'{server.host}', {server.port}")
        folder = stage.folder / 'buildout'
        folder.mkdir()
        # Without network: what there is already is found in the environment of the tests.
        text = text.replace(
            '[buildout]\n', f'[buildout]\noffline = true\ndevelop-eggs-directory = {developed}\n'
        )
        (folder / 'buildout.cfg').write_text(text)
        program = 'import zc.buildout.buildout as b; b.main()'
        command = [sys.executable, '-c', program, '-U', '-o', '-c', str(folder / 'buildout.cfg')]
        self.run_process(command, folder)
        script = folder / 'bin' / 'cds-export'
        self.assertNotIn(docs.PASSWORD, script.read_text())
        self.run_process([sys.executable, str(script)], folder)
        self.assert_delivered(stage)

    def run_process(self, command, folder):
        process = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        self.assertEqual(0, process.returncode, process.stdout)


def test_suite():
    """Return all tests of this module."""
    load_tests = unittest.defaultTestLoader.loadTestsFromTestCase
    return unittest.TestSuite(
        [
            docs.suite(README),
            *map(load_tests, (BlocksTest, RealBuildoutTest)),
        ]
    )
