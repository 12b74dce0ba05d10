"""Which files go before others."""

import random
import unittest

from zeit.cds.spool.entries import Entry
from zeit.cds.testing import layers
from zeit.cds.values.priority import URGENCY, Urgency


def entry(name, number, *, priority=0, content=''):
    return Entry(name, 1, 0, (number,), number, content=content, priority=priority)


def ordered(text, *entries):
    return Urgency(text).in_order([each.name for each in entries], entries)


class UrgencyTests(unittest.TestCase):
    layer = layers.QUIET

    def test_the_first_pattern_that_fits(self):
        urgency = Urgency('breaking-[ab]*=10 breaking-*=5 *.old=-1 a=b=2')
        names = 'breaking-a.old', 'breaking-c', 'x.old', 'x', 'a=b', 'Breaking-a'
        self.assertEqual([10, 5, -1, 0, 2, 0], [urgency.of(entry(name, 1)) for name in names])

    def test_what_the_application_says_goes_before_a_pattern(self):
        self.assertEqual(-3, Urgency('a=10').of(entry('a', 1, priority=-3)))

    def test_the_order_otherwise_remains(self):
        files = [entry(name, number) for number, name in enumerate('dcba')]
        self.assertEqual([*'dcba'], ordered(None, *files))
        self.assertEqual([*'badc'], ordered('b=2 a=2 d=1', *files))

    def test_one_content_keeps_its_sequence(self):
        """What is urgent pulls along what is to go before it."""
        first = entry('first', 1, content='x')
        other = entry('other', 2, priority=5)
        urgent = entry('urgent', 3, priority=9, content='x')
        self.assertEqual(['first', 'urgent', 'other'], ordered(None, first, other, urgent))
        late = entry('late', 4, priority=-9, content='x')
        names = ['first', 'urgent', 'other', 'plain', 'late']
        self.assertEqual(names, ordered(None, first, other, urgent, entry('plain', 5), late))

    def test_any_files(self):
        """No content is overtaken by itself, and what is not pulled along stands by its own."""
        for seed in range(200):
            dice = random.Random(seed)
            files = [
                entry(
                    f'{n}',
                    n,
                    priority=dice.choice([0, 0, 5, -5, 7]),
                    content=dice.choice(['', 'x', 'y']),
                )
                for n in range(1, dice.randrange(2, 12))
            ]
            by_name = {each.name: each for each in files}
            found = [by_name[name] for name in Urgency(None).in_order([*by_name], files)]
            self.assertEqual({*files}, {*found})
            for content in 'xy':
                numbers = [each.number for each in found if each.content == content]
                self.assertEqual(sorted(numbers), numbers, seed)
            alone = [(-each.priority, each.number) for each in found if not each.content]
            self.assertEqual(sorted(alone), alone, seed)

    def test_what_it_is_not(self):
        for text in ('', ' ', 'a', 'a=', '=1', 'a=x', 'a=1.5', 'a=99999', 'a = 1', 'a=1 b'):
            with self.subTest(text), self.assertRaisesRegex(ValueError, 'is not patterns with'):
                URGENCY.read(text)
