"""The page in other languages: nothing is forgotten, and what is used is what was translated."""

import ast
import errno
import os
import re
import unittest

from zeit.cds.browser import messages
from zeit.cds.browser.rendering import HERE
from zeit.cds.browser.tests import texts
from zeit.cds.spool import entries


AGAIN = 'call bin/python -m zeit.cds.browser.tests.texts'


class TextTests(unittest.TestCase):
    def test_each_text_is_known_to_translators(self):
        pot = texts.LOCALES / 'zeit.cds.pot'
        self.assertEqual(texts.all_texts(), {*texts.translations(pot)}, AGAIN)

    def test_each_text_has_a_german_one_with_the_same_variables(self):
        found = texts.translations(texts.po('de'))
        self.assertEqual(texts.all_texts(), {*found}, AGAIN)
        for text, translation in found.items():
            with self.subTest(text):
                self.assertTrue(translation)
                self.assertEqual({*_variables(text)}, {*_variables(translation)})

    def test_what_is_used_is_what_was_translated(self):
        for path in texts.LOCALES.glob('*/LC_MESSAGES/*.po'):
            self.assertEqual(texts.compiled(path), path.with_suffix('.mo').read_bytes(), AGAIN)

    def test_templates_are_read_as_they_are_rendered(self):
        found = texts.all_texts()
        for text in 'As of ${time}', 'and ${n} more: search for them above.', 'Waiting':
            self.assertIn(text, found)

    def test_what_is_translated_of_the_core_is_what_it_says(self):
        said = {f'is {words}, not a regular file' for _, words in entries._KINDS}
        for path in HERE.parent.rglob('*.py'):
            if not path.is_relative_to(HERE) and 'tests' not in path.parts:
                said |= {
                    node.value
                    for node in ast.walk(ast.parse(path.read_text('utf-8')))
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                }
        strerror = [os.strerror(number) for number in errno.errorcode]
        self.assertEqual(
            {'is a device, not a regular file'}, {*messages.FIXED} - said - {*strerror}
        )
        for text in messages.FIXED:
            self.assertTrue(messages.said(text).domain)


def _variables(text):
    return re.findall(r'\$\{\w+\}', text)
