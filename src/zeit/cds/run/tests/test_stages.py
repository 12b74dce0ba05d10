"""Of many files that wait, a run knows only those whose turn is near."""

import datetime
import gc
import os
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.journal.journal import versions
from zeit.cds.run import exporter
from zeit.cds.run.tests.test_exporter import ExporterTests
from zeit.cds.run.tests.test_partners import PartnerTests
from zeit.cds.spool.common_spool import Offered
from zeit.cds.spool.entries import Entry
from zeit.cds.spool.spool import Spool
from zeit.cds.values import plan


#: So many files at once, and so many that wait.
AHEAD, FILES = 5, 23


def few(test):
    """Let a run make so few jobs complete at once."""
    for module in plan, exporter:
        test.enterContext(unittest.mock.patch.object(module, 'AHEAD', AHEAD))


def live(*kinds):
    """Return how many objects of these classes there are."""
    gc.collect()
    return sum(type(each) in kinds for each in gc.get_objects())


class StageTests(ExporterTests):
    def setUp(self):
        super().setUp()
        few(self)
        for section in 'tmp', 'new', 'cur':
            (self.path / section).mkdir()
        self.expected = [f'{number:02}' for number in range(FILES)]
        self.most = 0

    def rename_into(self, *names):
        """Let another program put files, which have no number."""
        for name in names:
            (self.path / 'tmp' / name).write_bytes(name.encode())
            os.rename(self.path / 'tmp' / name, self.path / 'new' / name)

    def look(self):
        self.most = max(self.most, live(plan.Job, Entry))

    def numbered(self):
        return [row['name'] for row in self.spool.journal.find('versions')]

    def test_a_file_from_before_1970_keeps_its_number(self):
        self.rename_into('a')
        os.utime(self.path / 'new' / 'a', ns=(0, -(10**9)))
        with self.spool.run():
            self.assertEqual([1], [each.number for each in self.spool.entries(['a'])])
        self.assertEqual([(1, 'a')], [each[:2] for each in versions(self.path / '.cds')])

    def test_the_first_file_goes_before_the_last_one_has_a_number(self):
        self.rename_into(*self.expected)
        first = []
        self.faults['upload'] = lambda: first.append(self.numbered())
        self.assertEqual(self.expected, self.export().delivered)
        self.assertEqual(self.expected[:AHEAD], first[0])

    def test_no_more_is_known_than_of_those_whose_turn_is_near(self):
        self.put(*self.expected)
        self.faults['upload'] = self.look
        self.assertEqual(self.expected, self.export().delivered)
        self.assertLess(self.most, 5 * AHEAD)

    def test_only_what_a_run_may_send_gets_a_number(self):
        self.rename_into(*self.expected)
        self.assertEqual(self.expected[:2], self.export(max_files=2).delivered)
        self.put('after')
        with self.spool.run():
            self.assertIn(self.expected[AHEAD - 1], self.numbered())
            self.assertNotIn(self.expected[3 * AHEAD], self.numbered())
        self.assertEqual(['after'], [*{*self.export().delivered} - {*self.expected}])
        self.assertEqual({*self.expected, 'after'}, {*self.target.files})

    def test_the_urgent_of_all(self):
        self.put(*self.expected)
        self.spool.put('urgent', b'1', priority=5)
        self.rename_into('by its name')
        found = self.export(priority='by*=3').delivered
        self.assertEqual(['urgent', 'by its name', *self.expected], found)

    def test_what_is_urgent_pulls_along_what_was_far_away(self):
        self.put(*self.expected)
        self.spool.put('of x', b'1', content='x')
        self.spool.put('urgent', b'2', content='x', priority=5)
        self.assertEqual(['of x', 'urgent', *self.expected], self.export().delivered)

    def test_what_failed_goes_last(self):
        self.put(*self.expected)
        for name in '17', '01':
            self.faults[f'upload {name}'] = [errors.PermanentError(550, 'No.')]
        self.target.exists = 'replace'
        failed = [name for name, _ in self.export().failed]
        self.assertEqual(['01', '17'], failed)
        self.put(*(each for each in self.expected if each not in failed))
        *others, probe = (each for each in self.expected if each not in failed)
        self.assertEqual([*others, *failed, probe], self.export().delivered)

    def test_in_doubt_the_last_one_of_all_tells(self):
        self.put(*self.expected)
        for name in '00', '01', '02':
            self.faults[f'upload {name}'] = errors.TemporaryError(450, 'No.')
        found = self.export().delivered
        self.assertEqual([self.expected[-1], *self.expected[3:-1]], found)

    def test_what_has_expired_far_away_is_withdrawn_by_each_run(self):
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        self.put(*self.expected)
        self.spool.put('old', b'1', not_after=past)
        report = self.export(max_files=1)
        self.assertEqual(['old'], [each.name for each in report.results
                                   if each.status == 'withdrawn'])  # fmt: skip

    def test_what_an_earlier_run_may_have_delivered_is_looked_for_first(self):
        self.put(*self.expected)
        name = self.expected[-1]
        done = Spool.done

        def stop(spool, entry, source):
            if entry.name == name:
                raise KeyboardInterrupt
            return done(spool, entry, source)

        with unittest.mock.patch.object(Spool, 'done', stop):
            self.assertRaises(KeyboardInterrupt, self.export)
        self.put(*self.expected[:-1])
        found = self.export(order='name', max_files=1).delivered
        self.assertEqual([name, self.expected[0]], found)
        self.assertIn(f'Delivered by an earlier run: {name}', self.log)

    def test_what_comes_meanwhile_is_for_the_next_run(self):
        self.put(*self.expected)
        others = iter(range(1000))
        self.faults['upload'] = lambda: Spool(self.path).put(f'later {next(others)}', b'1')
        self.assertEqual(self.expected, self.export().delivered)

    def test_who_withdraws_does_it_at_any_moment(self):
        self.put(*self.expected)
        names = self.expected[1], self.expected[12]

        def withdraw():
            self.faults.clear()
            for name in names:
                self.assertTrue(Spool(self.path).withdraw(name, 'No.'))

        self.faults['upload'] = withdraw
        report = self.export()
        withdrawn = [each.name for each in report.results if each.status == 'withdrawn']
        self.assertEqual([*names], withdrawn)
        self.assertEqual({*self.expected} - {*names}, {*report.delivered})

    def test_a_dry_run(self):
        self.put(*self.expected)
        report = self.export(dry_run=True)
        self.assertEqual(self.expected, [each.name for each in report.results])


class PartnerStageTests(PartnerTests):
    def setUp(self):
        super().setUp()
        few(self)
        self.expected = [f'{number:02}' for number in range(FILES)]

    def test_the_first_file_goes_before_the_last_one_is_shared_or_numbered(self):
        (self.path / 'new').mkdir()
        for name in self.expected:
            (self.path / 'new' / name).write_bytes(b'1')
        first = []

        def look():
            private = self.path / '.cds' / 'journal' / 'state.jsonl'
            first.append((len(os.listdir(self.partner('A').path / 'new')),
                          private.read_text().count('"seen"'), live(Entry, Offered)))  # fmt: skip

        self.faults['A', 'upload'] = look
        self.assertEqual(self.expected, self.export('A').delivered)
        taken, numbered, known = zip(*first, strict=True)
        self.assertEqual({1}, {*taken})
        self.assertEqual(AHEAD, numbered[0])
        self.assertLess(max(known), 5 * AHEAD)
        self.assertEqual(self.expected, self.export('B').delivered)
        self.assertEqual(self.expected, sorted(self.there('cur')))

    def test_what_is_left_of_an_earlier_run_is_in_its_place(self):
        self.put(*self.expected)
        name = self.expected[15]
        self.faults['A', 'upload', self.expected[16]] = KeyboardInterrupt()
        self.faults['A', 'upload', name] = errors.PermanentError(550, 'No.')
        self.assertRaises(KeyboardInterrupt, self.export, 'A')
        self.faults.clear()
        found = self.export('A').delivered
        self.assertEqual({*self.expected[15:]}, {*found})
        self.put(name, data=b'newer')
        self.assertEqual([*self.expected[:15], *self.expected[16:], name],
                         self.export('B').delivered)  # fmt: skip

    def test_what_was_withdrawn_since_it_was_taken_is_not_taken_again(self):
        self.put('a', 'b')

        def lose():
            self.faults.clear()
            self.assertTrue(self.partner('A').withdraw('a', 'No.'))
            raise errors.ConnectionLost(104, 'Connection reset')

        self.faults['A', 'upload', 'a'] = lose
        report = self.export('A')
        found = {each.name: each.status for each in report.results}
        self.assertEqual({'a': 'withdrawn', 'b': 'delivered'}, found)
        self.assertEqual({'b': b'b'}, self.targets['A'].files)

    def test_who_withdraws_for_all_is_told_so(self):
        self.put(*self.expected)
        names = self.expected[1], self.expected[12]

        def withdraw():
            self.faults.clear()
            for name in names:
                self.assertTrue(self.spool.withdraw(name, 'No.'))

        self.faults['A', 'upload'] = withdraw
        report = self.export('A', strict=True)
        withdrawn = [each.name for each in report.results if each.status == 'withdrawn']
        self.assertEqual(([*names], None), (withdrawn, report.error))
        self.assertEqual({*self.expected} - {*names}, {*report.delivered})
