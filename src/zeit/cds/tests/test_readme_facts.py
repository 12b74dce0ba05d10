"""Compares what documents state with the code, and tests how documents are compared."""

import re
import unittest

import click

from zeit.cds import errors
from zeit.cds.cli.commands import group
from zeit.cds.testing.layers import QUIET
from zeit.cds.tests import docs
from zeit.cds.values.run_options import Options
from zeit.cds.zcml import schemas


class FactsTest(unittest.TestCase):
    """What the tables and sentences state."""

    layer = QUIET

    def setUp(self):
        super().setUp()
        self.readme = docs.require(self, 'README.txt')
        self.options = docs.require(self, 'docs/options.txt')
        self.text = '\n'.join((self.readme, self.options, docs.find('docs/troubleshooting.txt')))

    def test_length(self):
        """A person reads all of it, in a terminal of 80 columns."""
        lines = self.readme.splitlines()
        self.assertLessEqual(len(lines), 400)
        self.assertLessEqual(max(map(len, lines)), 79)

    def test_words(self):
        """Of all documents, without tables that programs write, and what a terminal shows."""
        generated = {'servers.txt', 'performance.txt', 'json.txt', 'operations.txt'}
        texts = [path for path in (docs.TOP / 'docs').glob('*.txt') if path.name not in generated]
        # Whole tables, but for their heads and ends: those of options are made of descriptions.
        table = re.compile(r'^=+( =+)+\n.*?(?=^=+( =+)+\n\n)', re.DOTALL | re.MULTILINE)
        texts = [text.read_text('utf-8') for text in (*texts, docs.TOP / 'README.txt')]
        words = [table.sub('', text).split() for text in texts]
        self.assertLess(sum(map(len, words)), 23_500)

    def test_path_of_cron(self):
        """Not the whole `bin` of a clone, which has a `python` and a `test`."""
        (link,) = re.findall(r'``ln -s /\S+/bin/zeit-cds (\S+)``', self.readme)
        (path,) = re.findall(r'^ +PATH=(.*)$', self.readme, re.MULTILINE)
        self.assertEqual([link, '/usr/bin', '/bin'], path.split(':'))

    def test_exit_codes(self):
        rows = re.findall(r'^(\d+)  +\S', self.readme, re.MULTILINE)
        codes = sorted({*errors.PRECEDENCE, errors.TOO_OLD, 129, 130, 143})
        self.assertEqual(codes, [int(row) for row in rows])
        order = ', '.join(str(code) for code in errors.PRECEDENCE if code)
        self.assertIn(f'the first of these counts: {order}.', self.readme)

    def test_options(self):
        commands = {name: group.cli.get_command(None, name) for name in group.NAMES}
        commands = [group.cli, *commands.values(), *commands['journal'].commands.values()]
        known = {name for command in commands
                 for option in command.params if isinstance(option, click.Option)
                 for name in (*option.opts, *option.secondary_opts)}  # fmt: skip
        mentioned = set(re.findall(r'(?<![\w-])--[a-z][a-z-]*', self.text))
        self.assertEqual(set(), mentioned - known)

    def test_attributes(self):
        declared = (
            schemas.ISpoolDirective,
            schemas.ITargetDirective,
            schemas.ISFTPTargetDirective,
            schemas.IExporterDirective,
        )
        found = re.findall(r'``(\w+)="([^"`]+)"``', self.text)
        self.assertTrue(found)
        for name, value in found:
            field, *_ = [schema[name] for schema in declared if name in schema]
            field.bind(None).fromUnicode(value)

    def test_refusals(self):
        self.assertIn(f'refuses in {Options.park_after} runs', self.readme)

    def test_documents(self):
        named = set(re.findall(r'``docs/(\w+\.txt)``', self.readme))
        self.assertEqual({path.name for path in (docs.TOP / 'docs').glob('*.txt')}, named)


class CheckerTest(unittest.TestCase):
    """The comparison that all documents rest on."""

    layer = QUIET

    def test_an_ellipsis_hides_no_line_but_alone_on_one(self):
        for want, got, expected in (
            ('a\nb\n', 'a\nb\n', True),
            ('a\n', 'a\nb\n', False),
            ('a ...\n', 'a b\n', True),
            ('a ...\nc\n', 'a b\nx\nc\n', False),
            ('a\n...\nc\n', 'a\nx\ny\nc\n', True),
            ('a\n...\nc\n', 'a\nc\n', True),
            ('a\n...\nc\n', 'a\nx\n', False),
            ('a  b\n', 'a b\n', False),
            ('', '', True),
            ('', 'a\n', False),
            ('a\n', '', False),
        ):
            with self.subTest(want=want, got=got):
                self.assertEqual(expected, docs.matches(want, got))
