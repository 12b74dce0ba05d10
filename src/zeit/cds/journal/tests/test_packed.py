"""A table of packed rows is like a dictionary of them."""

import random
import unittest

from zeit.cds.journal.packed import Packed


class PackedTests(unittest.TestCase):
    def row(self, dice):
        row = {'kind': dice.choice(['put', 'seen']), 'sequence': dice.randrange(9)}
        row['name'] = dice.choice(['a\udce4', 'a', 'b'])
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
            self.assertEqual(key in plain, key in packed)

    def test_what_is_found_is_what_a_look_at_all_finds(self):
        dice, packed, plain = random.Random(2), Packed(), {}
        for _ in range(500):
            key, row = (dice.randrange(30),), self.row(dice)
            is_there = dice.random() < 0.8
            is_changed = is_there and key in plain and dice.random() < 0.5
            for rows in packed, plain:
                if is_changed:
                    rows[key] = {**row, 'name': rows[key]['name']}
                    continue
                rows.pop(key, None)
                if is_there:
                    rows[key] = row
            rows = [*plain.values()]
            for wanted in {'name': 'a'}, {'name': 'b', 'moved': True}, {'content': 'ä'}, {'x': 1}:
                found = [each for each in rows if wanted.items() <= each.items()]
                self.assertEqual(found, packed.find(**wanted))
            self.assertEqual([each for each in rows if 'moved' in each], [*packed.having('moved')])
            values = [[each['name'], each.get('at')] for each in rows]
            self.assertEqual(values, [*packed.columns('name', 'at')])
            self.assertEqual(values[::-1], [*packed.columns('name', 'at', backwards=True)])

    def test_names_are_told_apart_where_they_have_one_group(self):
        packed = Packed()
        for number in range(3 * 4096):
            packed[number,] = {'name': f'a{number}'}
        self.assertEqual([{'name': 'a7'}], packed.find(name='a7'))
        self.assertEqual([], packed.find(name='b'))

    def test_what_cannot_be_packed_leaves_nothing(self):
        packed, deep = Packed(), []
        for _ in range(3000):
            deep = [deep]
        packed[1,] = {'name': 'a'}
        for number in 1, 2:
            with self.assertRaises(ValueError):
                packed[number,] = {'name': 'b', 'x': deep}
        self.assertEqual([], packed.find(name='b'))
        self.assertEqual([{'name': 'a'}], packed.find(name='a'))

    def test_what_is_returned_is_a_copy(self):
        packed = Packed()
        packed[1,] = {'a': [1]}
        packed[1,]['a'].append(2)
        self.assertEqual({'a': [1]}, packed[1,])
