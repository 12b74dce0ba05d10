"""Compares what README.txt states with the code, and tests how documents are compared."""

import re
import unittest

import click

from zeit.cds import cli, directives, errors, options, options_target
from zeit.cds.ftp.settings import Settings
from zeit.cds.plan import ImportOptions, Options
from zeit.cds.testing.layers import QUIET
from zeit.cds.tests import docs


class FactsTest(unittest.TestCase):
    """What the tables and sentences state."""

    layer = QUIET

    def setUp(self):
        super().setUp()
        self.text = docs.require(self, 'README.txt')

    def test_exit_codes(self):
        rows = re.findall(r'^(\d+)  +\S', self.text, re.MULTILINE)
        codes = sorted({*errors.PRECEDENCE, errors.TOO_OLD, 129, 130, 143})
        self.assertEqual(codes, [int(row) for row in rows])
        order = ', '.join(str(code) for code in errors.PRECEDENCE if code)
        self.assertIn(f'the gravest one decides: {order}.', self.text)

    def test_options(self):
        commands = [cli.cli, *cli.cli.commands.values(), *cli.journal.commands.values()]
        known = {name for command in commands
                 for option in command.params if isinstance(option, click.Option)
                 for name in (*option.opts, *option.secondary_opts)}  # fmt: skip
        mentioned = set(re.findall(r'(?<![\w-])--[a-z][a-z-]*', self.text))
        self.assertEqual(set(), mentioned - known)
        # The options of an export are all there, in the one form that is not the default.
        for option in (*options.RUN, *options_target.TARGET):
            parameter = click.command()(option(lambda: None)).params[0]
            names = {*parameter.opts, *parameter.secondary_opts}
            self.assertTrue(names & mentioned, names)

    def test_options_of_an_import(self):
        """What is told is how they differ from those of the export."""
        section = self.text.partition('\nThe other direction\n')[2]
        other = re.search(r'^=+ =+\n(.*?)^=+ =+\n', section, re.MULTILINE | re.DOTALL)[1]
        ours, _, missing = other.partition('\nnot there')
        known, wanted = (
            {p.opts[0]: p for p in cli.cli.commands[name].params if isinstance(p, click.Option)}
            for name in ('export', 'import')
        )
        named = set(re.findall('--[a-z-]+', missing))
        gone = {name.replace('--temporary', '--no-temporary') for name in {*known} - {*wanted}}
        self.assertEqual(gone, named)
        changed = {name for name in wanted if name not in known}
        self.assertEqual({*changed, '--empty'}, set(re.findall('``(--[a-z-]+)', ours)))
        self.assertIn(f'(``{ImportOptions.ignore}``)', ours)

    def test_attributes(self):
        schemas = (
            directives.ISpoolDirective,
            directives.ITargetDirective,
            directives.IExporterDirective,
        )
        found = re.findall(r'``(\w+)="([^"`]+)"``', self.text)
        self.assertTrue(found)
        for name, value in found:
            (field,) = [schema[name] for schema in schemas if name in schema]
            field.bind(None).fromUnicode(value)

    def test_values(self):
        for name in ('connect', 'reply', 'data'):
            seconds = getattr(Settings, f'{name}_timeout')
            self.assertRegex(self.text, rf'``--{name}-timeout SECONDS`` .*\({seconds}\)')

    def test_bounds_of_a_run(self):
        for option, value in (('park-after N', 5), ('deadline SECONDS', 3600)):
            default = getattr(Options, option.split()[0].replace('-', '_'))
            self.assertEqual(value, default)
            self.assertRegex(self.text, rf'``--{option}`` .*\({value}; 0: never\)')
        self.assertIn(f'refused in {Options.park_after} runs', self.text)

    def test_documents(self):
        for name in re.findall(r'``(?:docs/)?(\w+\.txt)``', self.text):
            self.assertTrue((docs.TOP / 'docs' / name).is_file(), name)


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
