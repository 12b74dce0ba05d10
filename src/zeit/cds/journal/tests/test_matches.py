"""All that is found in the history, the oldest first, and not in the memory at once."""

import errno
import tracemalloc
import unittest.mock

from zeit.cds import errors
from zeit.cds.journal import history
from zeit.cds.journal.history import Matches
from zeit.cds.journal.tests.test_history import HistoryTests


class MatchesTests(HistoryTests):
    def numbers(self, **wanted):
        return [entry['sequence'] for entry in Matches(self.history, **wanted)]

    def test_wherever_a_block_begins(self):
        for month in (10, 11):
            with self.clock(2026, month, 1):
                self.fill(*range(3 * month, 3 * month + 3))
                self.fill(7, name='b')
        for block in range(1, 600, 7):
            with unittest.mock.patch.object(history, 'BLOCK', block):
                self.assertEqual([*range(30, 36)], self.numbers(name='a'), block)
                self.assertEqual([33, 34, 35], self.numbers(name='a', since='2026-11'), block)

    def test_how_many_of_which_kind(self):
        self.fill(1, 2)
        self.history.add({'kind': 'parked', 'name': 'a', 'sequence': 3})
        self.history.add({'kind': ['damaged'], 'name': 'a', 'sequence': 4})
        found = Matches(self.history, name='a', kinds=('delivered', 'parked', 'imported'))
        self.assertEqual({'delivered': 2, 'parked': 1}, found.kinds)
        self.assertEqual([1, 2, 3], [entry['sequence'] for entry in found])
        self.assertFalse(Matches(self.history, name='b').kinds)

    def test_what_is_removed_meanwhile(self):
        for month in (10, 11):
            with self.clock(2026, month, 1):
                self.fill(month)
        found = Matches(self.history, name='a')
        (self.path / 'history' / '2026-10.jsonl').unlink()
        self.assertEqual([11], [entry['sequence'] for entry in found])

    def test_what_cannot_be_read_any_more(self):
        self.fill(1)
        found = Matches(self.history, name='a')
        with unittest.mock.patch('os.pread', side_effect=OSError(errno.EIO, 'No')):
            with self.assertRaisesRegex(errors.SpoolError, 'history .*No'):
                list(found)

    def test_a_damaged_line_is_said_once(self):
        self.fill(1)
        with open(self.month(), 'ab') as file:
            file.write(b'{"name": "a\n')
        with self.assertLogs('zeit.cds', 'WARNING') as logs:
            self.assertEqual([1], self.numbers(pattern='a*'))
        self.assertEqual(1, len(logs.output))

    def test_they_take_little_memory(self):
        self.history.add(*({'kind': 'x', 'name': 'a', 'sequence': n} for n in range(10_000)))
        with unittest.mock.patch.object(history, 'BLOCK', 10_000):
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            self.assertEqual(10_000, sum(1 for _ in Matches(self.history, name='a')))
            self.assertLess(tracemalloc.get_traced_memory()[1], 400_000)
