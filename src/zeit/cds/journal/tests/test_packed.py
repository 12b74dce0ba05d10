"""A table of packed rows is like a dictionary of them."""

import random
import unittest

from zeit.cds.journal.packed import Packed


class PackedTests(unittest.TestCase):
    def row(self, dice):
        row = {'kind': dice.choice(['put', 'seen']), 'sequence': dice.randrange(9)}
        row['name'] = 'a\udce4'
        row['version'] = [dice.randrange(10**18), 0, 2**63]
        if dice.random() < 0.5:
            row |= {'content': 'ä', 'moved': dice.random() < 0.5, 'newest': None, 'at': 0.5}
        return row

    def test_the_same_as_a_dictionary(self):
        dice, packed, plain = random.Random(1), Packed(), {}
        for _ in range(2000):
            key, row = (dice.randrange(30),), self.row(dice)
            what = dice.randrange(4)
            for rows in packed, plain:
                if what == 0:
                    rows[key] = row
                elif what == 1:
                    rows.pop(key, None)
                elif what == 2 and key in rows:
                    rows[key] = {**rows[key], 'moved': True}
            self.assertEqual(plain.get(key), packed.get(key))
            self.assertEqual([*plain.items()], [*packed.items()])
            self.assertEqual([*reversed(plain)], [*reversed(packed)])
            self.assertEqual(len(plain), len(packed))

    def test_what_is_returned_is_a_copy(self):
        packed = Packed()
        packed[1,] = {'a': [1]}
        packed[1,]['a'].append(2)
        self.assertEqual({'a': [1]}, packed[1,])
