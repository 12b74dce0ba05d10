"""What a bandwidth says, at each hour of the day."""

import unittest

from zeit.cds.testing import layers
from zeit.cds.values.bandwidth import BANDWIDTH, Bandwidth


K, M = 1024, 1024 * 1024


class BandwidthTests(unittest.TestCase):
    layer = layers.QUIET

    def test_all_day(self):
        for text, rate in (('2M', 2 * M), ('1.5K', 1536), ('500K', 500 * K), ('1G', K * M)):
            self.assertEqual([rate] * 2, [Bandwidth(text).at(*each) for each in ((0, 0), (23, 59))])

    def test_hours(self):
        for text, expected in (
            ('2M 08:00-20:00', {(7, 59): None, (8, 0): 2 * M, (19, 59): 2 * M, (20, 0): None}),
            ('2M 08:00-20:00, 10M', {(7, 59): 10 * M, (12, 0): 2 * M, (20, 0): 10 * M}),
            ('10M,2M  08:00-20:00', {(7, 59): 10 * M, (12, 0): 2 * M}),
            ('1M 22:00-06:30', {(21, 59): None, (22, 0): M, (0, 0): M, (6, 29): M, (6, 30): None}),
            ('1M 12:00-24:00, 2M 00:00-12:00', {(23, 59): M, (0, 0): 2 * M, (11, 59): 2 * M}),
        ):
            bandwidth = Bandwidth(text)
            with self.subTest(text):
                self.assertEqual(expected, {each: bandwidth.at(*each) for each in expected})

    def test_what_it_is_not(self):
        for text in (
            *('', '2', '0M', '0.0001K', '2MB', '2m', '-2M', 'M', '2M,', '2M;1M', '2M 1M', '²M'),
            *('2M 8-20', '2M 08:00', '2M 08:00-08:00', '2M 24:00-08:00', '2M 08:00-24:01'),
            *('2M 08:60-09:00', '2M, 1M', '2M 08:00-20:00, 1M 19:59-21:00'),
            *('2M 22:00-06:00, 1M 05:00-07:00', '2M 08:00-20:00\n1M'),
        ):
            with self.subTest(text), self.assertRaisesRegex(ValueError, 'is not a rate such as'):
                BANDWIDTH.read(text)
