"""docs/operations.txt, executed: a day of an operator, in the order in which it is told."""

import contextlib
import os
import re
import subprocess
import unittest
import unittest.mock

from zeit.cds.testing.layers import QUIET
from zeit.cds.tests import docs


NAME = 'docs/operations.txt'

#: Seconds for a command of the shell.
TIMEOUT = 60


class OperationsTest(unittest.TestCase):
    layer = QUIET
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.text = docs.require(self, NAME)
        stack = self.enterContext(contextlib.ExitStack())
        self.server, self.stage = docs.server_and_stage(stack)
        self.stage.server = self.server
        blocks = docs.literal_blocks(docs.require(self, 'README.txt'))
        (zcml,) = [block.text for block in blocks if block.text.startswith('<configure')]
        self.stage.write('etc/cds.zcml', self.stage.local(zcml))
        path = str(self.stage.path('/etc/zeit.cds/cds.zcml'))
        self.enterContext(unittest.mock.patch.dict(os.environ, {'ZEIT_CDS_ZCML': path}))
        self.code = 0

    def partner(self, name):
        return self.server.root / docs.DIRECTORY / name

    def happens(self, sentence):
        """Let happen what a sentence in bold says that the partner does."""
        match sentence:
            case 'The server of the partner is down.':
                self.server.pause()
            case 'The server is up again.':
                self.server.start()
            case 'The partner has made a directory that is called d.xml.':
                self.partner('d.xml').mkdir()
                (self.partner('d.xml') / 'x').touch()
            case 'The partner has removed the directory.':
                (self.partner('d.xml') / 'x').unlink()
                self.partner('d.xml').rmdir()
            case 'The partner has lost a.xml.':
                self.partner('a.xml').unlink()
            case _:
                self.fail(f'nothing lets this happen: {sentence}')

    def test_as_it_is_told(self):
        lines = self.text.splitlines()
        done = 0
        for block in docs.literal_blocks(self.text):
            before = '\n'.join(lines[done : block.line])
            for sentence in re.findall(r'(?m)^\*\*((?:.|\n)*?\.)\*\*', before):
                self.happens(' '.join(sentence.split()))
            done = block.line
            for command, want in docs.commands(block):
                with self.subTest(command, line=block.line):
                    want, got = map(docs.without_ages, (want, self.execute(command)))
                    self.assertTrue(docs.matches(want, got), f'{want}\n---\n{got}')

    def execute(self, command):
        """Execute a command line; return what a person sees of it."""
        if command == 'echo $?':
            return str(self.code)
        if not command.startswith('zeit-cds '):
            done = subprocess.run(
                ['sh', '-c', self.stage.local(command)],
                capture_output=True, text=True, timeout=TIMEOUT, check=True,
            )  # fmt: skip
            return done.stdout
        command, silent, _ = command.partition(' > /dev/null')
        outcome = self.stage.call(command)
        self.code = outcome.code
        return (outcome.err if silent else outcome.out + outcome.err).rstrip('\n')
