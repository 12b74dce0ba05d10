"""docs/api.txt and docs/architecture.txt: each name is there, and documents use no others."""

import importlib
import pathlib
import re
import unittest

import zeit.cds
from zeit.cds.testing.layers import QUIET
from zeit.cds.tests import cms, docs, test_architecture


PACKAGE = pathlib.Path(zeit.cds.__file__).parent
DOCUMENT = 'docs/api.txt'


def resolve(name):
    """Return what a dotted name stands for. Raises ImportError, AttributeError if nothing does."""
    module, _, attribute = name.rpartition('.')
    return getattr(importlib.import_module(module), attribute)


class NamesTest(unittest.TestCase):
    layer = QUIET

    def setUp(self):
        super().setUp()
        self.enterContext(cms.importable(cms.CMS))
        text = docs.require(self, DOCUMENT)
        self.names = re.findall(r'^    ``(zeit\.cds\.[\w.]+)``$', text, re.MULTILINE)

    def test_each_is_there(self):
        self.assertEqual(sorted({*self.names}), sorted(self.names))
        self.assertIn('zeit.cds.main.export', self.names)
        for name in self.names:
            with self.subTest(name):
                self.assertIsNotNone(resolve(name))

    def test_examples_import_no_others(self):
        statement = re.compile(
            r'^ *(?:>>> |\.\.\. )?from (zeit\.cds[\w.]*) import ([\w, ]+)$', re.MULTILINE
        )
        public = {*self.names, *(name.rpartition('.')[0] for name in self.names)}
        for path in (docs.TOP / 'README.txt', *sorted((docs.TOP / 'docs').glob('*.txt'))):
            found = statement.findall(path.read_text('utf-8'))
            used = {f'{module}.{name}' for module, names in found for name in names.split(', ')}
            with self.subTest(path.name):
                self.assertEqual(set(), used - public)

    def test_what_is_not_there_is_noticed(self):
        for name in ('zeit.cds.main.exprot', 'zeit.cds.mian.export'):
            with self.assertRaises((AttributeError, ImportError)):
                resolve(name)


class MapTest(unittest.TestCase):
    """The parts in docs/architecture.txt."""

    layer = QUIET

    def setUp(self):
        super().setUp()
        self.text = docs.require(self, 'docs/architecture.txt')
        section = self.text.partition('\nThe parts\n')[2].partition('\n\n\n')[0]
        found = re.findall(r'^(?:``)?([a-z ]+?)(?:``)?\n((?:    .*\n?)+)', section, re.MULTILINE)
        self.parts = dict(found)

    def test_it_is_a_map(self):
        self.assertLessEqual(len(self.text.splitlines()), 250)

    def test_each_wing_is_there_in_its_order(self):
        others = ['the top', 'testing']
        wings = [part for part in self.parts if part not in others]
        self.assertEqual([*test_architecture.WINGS], wings)
        self.assertEqual({*wings, *others}, {*self.parts})

    def test_each_module_is_there(self):
        for part, text in self.parts.items():
            folder = PACKAGE if part in ('the top', 'main') else PACKAGE / part
            for name in re.findall(r'``([a-z_]+)``', text):
                with self.subTest(part=part, name=name):
                    paths = folder / f'{name}.py', folder / name / '__init__.py'
                    self.assertTrue(any(path.is_file() for path in paths))
