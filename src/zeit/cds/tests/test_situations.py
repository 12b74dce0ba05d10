"""The table of situations: no scenario is missing, and each named test exists."""

import importlib
import pathlib
import re
import unittest

import zeit.cds
from zeit.cds.testing import layers


PACKAGE = pathlib.Path(zeit.cds.__file__).parent
DOCUMENT = pathlib.Path(__file__).with_name('situations.txt')

#: The numbers of each section of the list of scenarios; some numbers were never given.
SCENARIOS = {
    'A': [1, 2, 3, 4, 5, 6, 7, 8, 9],
    'B': [10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22, 23],
    'C': [25, 26, 27, 28, 29, 30, 31, 33, 34, 35, 36, 37, 38, 39],
    'D': [40, 42, 43, 44, 45, 46, 47, 48, 49, 50],
    'E': [51, 52, 53, 54, 55, 56, 57, 58, 59],
    'F': [60, 61, 62, 63, 64, 65, 67, 68, 69, 70, 71],
    'G': [72, 73, 74, 75, 77, 78, 79, 80],
    'H': [81, 82, 83, 85, 87, 88, 91, 92],
    'I': [94, 95, 96, 97, 98, 99, 100, 101, 102],
    'J': [103, 104, 105, 106],
    'K': [108, 109, 110, 111, 112, 113, 114, 115],
}

#: What other issues bring, as a whole or in part.
LATER = {29, 54, 113, 114}


def parse(text):
    """Return the table: {letter: {number: lines below it}}."""
    table, below, numbers = {}, None, None
    for line in text.splitlines():
        if title := re.fullmatch(r'([A-K])\. .*', line):
            numbers = table[title[1]] = {}
        elif numbers is not None and (row := re.fullmatch(r'(\d+)\. \S.*', line)):
            below = numbers.setdefault(int(row[1]), [])
        elif numbers is not None and line.startswith('    '):
            below.append(line.strip())
    return table


def find(name):
    """Import the test `name`, of whichever wing; raises LookupError if there is none."""
    module, cls, *method = name.split('.')
    paths = [*PACKAGE.glob(f'**/tests/{module}.py')]
    if len(paths) != 1:
        raise LookupError(f'{name}: {len(paths)} modules have this name')
    path = '.'.join(paths[0].relative_to(PACKAGE).with_suffix('').parts)
    found = getattr(importlib.import_module(f'zeit.cds.{path}'), cls, None)
    if not (isinstance(found, type) and issubclass(found, unittest.TestCase)):
        raise LookupError(f'{name}: there is no such class of tests')
    names = unittest.defaultTestLoader.getTestCaseNames(found)
    if not names or not set(method) <= set(names):
        raise LookupError(f'{name}: there is no such test')


class TableTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.table = parse(DOCUMENT.read_text('utf-8'))

    def test_no_number_is_missing(self):
        self.assertEqual(SCENARIOS, {letter: [*rows] for letter, rows in self.table.items()})

    def test_each_has_a_test_or_a_reason(self):
        for rows in self.table.values():
            for number, lines in rows.items():
                with self.subTest(number):
                    self.assertTrue(lines)
                    for line in lines:
                        if re.search(r'\blater$', line):
                            self.assertIn(number, LATER)
                        elif line.startswith('not held'):
                            self.assertRegex(line, r'not held: \S{3}')
                        else:
                            find(line)

    def test_the_check_itself(self):
        for name in (
            'test_ledger.NoSuchTests',
            'test_ledger.RuleTests.test_none',
            'test_nothing.RuleTests',
        ):
            with self.assertRaises(LookupError):
                find(name)
        self.assertEqual({'B': {7: ['later']}}, parse('1. no\nB. Title\n\n7. x\n    later\n'))
