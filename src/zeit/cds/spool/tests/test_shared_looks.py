"""Several partners share a look, which begins after each of them has asked."""

import array
import contextlib
import threading
import unittest
import unittest.mock

from zeit.cds.spool import entries, shared_looks
from zeit.cds.spool.queue import Files
from zeit.cds.spool.shared_looks import Demand, Found, SharedLooks
from zeit.cds.tests.folders import in_memory


ALL = Demand(set(), None)
LONG = 30


class Broken(Exception):
    pass


class SharedLooksTests(unittest.TestCase):
    def setUp(self):
        self.looks = SharedLooks()
        self.made = []

    def look(self, demands):
        self.made.append([*demands])
        return f'look {len(self.made)}'

    def begin(self, function, *args):
        """Call it in a thread; return that, and the list of what it returns."""
        found = []
        thread = threading.Thread(target=lambda: found.append(function(*args)))
        thread.start()
        self.addCleanup(thread.join)
        return thread, found

    def ask(self, who, look=None):
        return self.begin(self.looks.ask, who, ALL, look or self.look)

    def test_who_is_alone_waits_for_nobody(self):
        with self.looks.coming('A'):
            self.assertEqual('look 1', self.looks.ask('A', ALL, self.look))
        self.assertEqual('look 2', self.looks.ask('A', ALL, self.look))

    def test_one_look_for_all_who_come(self):
        self.enterContext(unittest.mock.patch.object(shared_looks, 'MOMENT', LONG))
        with self.looks.coming('A'), self.looks.coming('B'), self.looks.coming('C'):
            threads = [self.ask('A'), self.ask('B')]
            self.assertEqual([], self.made)
            threads.append(self.ask('C'))
            for thread, _ in threads:
                thread.join()
        self.assertEqual([['look 1']] * 3, [found for _, found in threads])
        self.assertEqual([[ALL] * 3], self.made)

    def test_who_asks_when_a_look_has_begun_gets_another_one(self):
        """What has come since may be missing in that."""
        waiting, goes_on = threading.Event(), threading.Event()

        def slow(demands):
            waiting.set()
            goes_on.wait(LONG)
            return self.look(demands)

        thread, found = self.ask('A', slow)
        self.assertTrue(waiting.wait(LONG))
        self.assertEqual('look 1', self.looks.ask('B', ALL, self.look))
        goes_on.set()
        thread.join()
        self.assertEqual(['look 2'], found)

    def test_who_does_not_ask_is_waited_for_a_moment(self):
        self.enterContext(unittest.mock.patch.object(shared_looks, 'MOMENT', 0.01))
        with self.looks.coming('B'):
            self.assertEqual('look 1', self.looks.ask('A', ALL, self.look))

    def test_who_has_left_is_not_waited_for(self):
        self.enterContext(unittest.mock.patch.object(shared_looks, 'MOMENT', LONG))
        with contextlib.suppress(Broken), self.looks.coming('B'):
            thread, found = self.ask('A')
            raise Broken
        thread.join()
        self.assertEqual(['look 1'], found)

    def test_when_it_fails_others_look_themselves(self):
        def broken(demands):
            raise Broken

        self.looks._next = begun = shared_looks._Look(ALL)
        thread, found = self.ask('B')
        with self.assertRaises(Broken):
            self.looks._begin(begun, broken)
        thread.join()
        self.assertEqual(['look 1'], found)
        self.assertEqual('look 2', self.looks.ask('A', ALL, self.look))

    def test_who_waits_for_too_long_looks_itself(self):
        self.enterContext(unittest.mock.patch.object(shared_looks, 'LONGEST', 0.01))
        self.looks._next = shared_looks._Look(ALL)  # of a thread that was stopped
        self.assertEqual('look 1', self.looks.ask('A', ALL, self.look))

    def test_a_child_does_not_wait_for_a_thread_of_its_parent(self):
        self.looks._next = shared_looks._Look(ALL)
        self.looks._next.process += 1
        self.assertEqual('look 1', self.looks.ask('A', ALL, self.look))


class FoundTests(unittest.TestCase):
    def setUp(self):
        numbers, inodes = array.array('Q', [1, 4]), array.array('Q', [11, 12, 13])
        self.found = Found(['a', 'b', 'c.txt'], numbers, inodes, [], [])

    def of(self, had, wants=None):
        names, numbers = self.found.of(Demand(had, wants))
        return names, [*numbers]

    def test_each_gets_what_it_has_not_had_and_wants(self):
        self.assertEqual((['a', 'b', 'c.txt'], [1, 4]), self.of(set()))
        self.assertEqual((['b', 'c.txt'], [4]), self.of({11}))
        self.assertEqual((['a'], [1]), self.of({12}, lambda name: '.' not in name))

    def test_what_one_changes_the_others_do_not_see(self):
        names, numbers = self.found.of(ALL)
        del names[0], numbers[0]
        self.assertEqual((['a', 'b', 'c.txt'], [1, 4]), self.of(set()))


class InodesTests(unittest.TestCase):
    def test_they_are_those_of_the_names_in_sequence(self):
        folder = in_memory(self)
        for name in 'abcd':
            (folder / name).write_text(name)
        there = {each.name: each for each in entries.scan(folder)[0]}
        versions = [(5, 'a'), (9, 'b'), (2, 'c')]
        found = Files(folder)
        names, numbers = found.in_sequence((n, name, there[name].version) for n, name in versions)
        self.assertEqual((['c', 'a', 'b', 'd'], [2, 5, 9]), (names, [*numbers]))
        self.assertEqual([there[name].version[0] for name in names], [*found.inodes])
