"""Several partners of one spool, over targets in memory: who gets what, and when it is filed."""

import contextlib
import datetime
import json
import os
import pathlib
import signal
import tempfile
import threading
import time
import unittest
import unittest.mock

import zope.component
import zope.interface

from zeit.cds import errors
from zeit.cds.interfaces import IExporter, IPartner, IStillWanted, IWakeUp
from zeit.cds.journal import append_log, journal
from zeit.cds.monitoring import metrics
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool import joining, partner, shared_looks, sharing, short_lock
from zeit.cds.spool.common_spool import CommonSpool
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.runlock import RunLock
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.wake import wake
from zeit.cds.system import files
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.killing import Process
from zeit.cds.values.run_options import Keep


LINK = os.link


class PartnerTests(unittest.TestCase):
    layer = layers.QUIET
    names = 'A', 'B'

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix='a b')))
        self.spool = Spool(self.path)
        self.targets, self.faults = {}, {}
        self.wanted, self.patience = {}, {}
        for name in self.names:
            self.add(name)

    def add(self, name):
        """Let there be a partner of this name."""
        found = MemoryTarget(hook=lambda operation, file: self.hook(name, operation, file))
        found.url = f'memory:{name}'
        self.targets[name] = found

    def hook(self, partner, operation, file):
        action = self.faults.get((partner, operation), self.faults.get((partner, operation, file)))
        if isinstance(action, BaseException):
            raise action
        if action is not None:
            action()

    def everybody(self):
        return [
            sharing.Terms(name, each.url, self.wanted.get(name, '*'), self.patience.get(name))
            for name, each in self.targets.items()
        ]

    def partner(self, name):
        (terms,) = [each for each in self.everybody() if each.name == name]
        return Partner(self.spool, terms, everybody=self.everybody)

    def export(self, name, **options):
        """Let the exporter of one partner run; return its report."""
        return Exporter(self.partner(name), self.targets[name]).run_once(Options(**options))

    def put(self, *names, data=None):
        for name in names:
            self.spool.put(name, name.encode() if data is None else data)

    def there(self, section, *, of=None):
        """Return the contents of a section of the spool, or of a partner, by name."""
        folder = (self.path if of is None else self.partner(of).path) / section
        present = sorted(os.listdir(folder)) if folder.exists() else []
        return {name: (folder / name).read_bytes() for name in present if name[0] != '.'}

    def receipts(self, name):
        found = journal.history(self.partner(name).path / PRIVATE).find(kind='delivered')
        return [*found]


class FilingTests(PartnerTests):
    def test_it_is_filed_when_everybody_has_it(self):
        self.put('a')
        self.assertEqual(['a'], self.export('A').delivered)
        self.assertEqual(({'a': b'a'}, {}), (self.there('new'), self.there('cur')))
        self.assertEqual(['a'], self.export('B').delivered)
        self.assertEqual(({}, {'a': b'a'}), (self.there('new'), self.there('cur')))
        for each in self.targets.values():
            self.assertEqual({'a': b'a'}, each.files)

    def test_nothing_is_sent_twice(self):
        self.put('a', 'b')
        self.export('A')
        self.assertEqual([], self.export('A').delivered)
        self.export('B')
        self.assertEqual([], self.export('A').delivered + self.export('B').delivered)
        self.assertEqual(1, self.targets['B'].opened)

    def test_a_second_version_comes_while_one_has_the_first_and_one_nothing(self):
        self.put('a', data=b'one')
        self.export('A')
        self.put('a', data=b'two')
        self.assertEqual(['a'], self.export('B').delivered)
        self.assertEqual({'a': b'two'}, self.targets['B'].files)
        self.assertEqual({'a': b'one'}, self.targets['A'].files)
        self.assertEqual(['a'], self.export('A').delivered)
        self.assertEqual({'a': b'two'}, self.targets['A'].files)
        self.export('B')
        self.assertEqual({}, self.there('new'))
        self.assertEqual([b'one', b'two'], sorted(self.there('cur').values()))
        self.assertEqual([1, 2], [len(self.receipts(each)) for each in 'BA'])
        for name in 'AB':
            for each in self.receipts(name):
                content = self.there('cur')[each['filed_as']]
                self.assertEqual(len(content), each['size'])

    def test_one_that_fails_keeps_nobody_else(self):
        self.put('a', 'b')
        self.faults['B', 'open'] = errors.ConnectionLost(104, 'The connection is cut')
        self.assertEqual(69, self.export('B').exit_code)
        self.assertEqual(['a', 'b'], self.export('A').delivered)
        self.assertEqual(['a', 'b'], sorted(self.there('new')))
        del self.faults['B', 'open']
        self.assertEqual(['a', 'b'], self.export('B').delivered)
        self.assertEqual(['a', 'b'], sorted(self.there('cur')))

    def test_a_run_of_one_within_a_run_of_the_other(self):
        self.put('a', 'b')
        inner = []

        def run():
            if not inner:
                inner.append(None)
                inner[0] = self.export('B')

        self.faults['A', 'upload'] = run
        outer = self.export('A')
        self.assertEqual((['a', 'b'], ['a', 'b']), (outer.delivered, inner[0].delivered))
        self.assertEqual(({}, ['a', 'b']), (self.there('new'), sorted(self.there('cur'))))

    def test_a_correction_while_it_is_sent(self):
        self.put('a', data=b'one')
        done = []

        def correct():
            if not done:
                done.append(self.put('a', data=b'two!'))

        self.faults['A', 'upload'] = correct
        self.assertEqual(['a', 'a'], self.export('A').delivered)
        self.assertEqual({'a': b'two!'}, self.targets['A'].files)
        self.assertEqual(['a'], self.export('B').delivered)
        self.export('A')
        self.assertEqual(({}, [b'one', b'two!']), (
            self.there('new'), sorted(self.there('cur').values())
        ))

    def test_the_numbers_are_those_of_the_spool(self):
        self.put('a', 'b')
        self.export('A')
        self.put('a', data=b'new')
        self.export('B')
        self.assertEqual([1, 2], sorted(each['sequence'] for each in self.receipts('A')))
        self.assertEqual([2, 3], sorted(each['sequence'] for each in self.receipts('B')))

    def test_files_that_somebody_renames_into_the_spool(self):
        self.put('x')
        self.export('A')
        (self.path / 'tmp' / 'a').write_bytes(b'a')
        (self.path / 'tmp' / 'a').rename(self.path / 'new' / 'a')
        self.export('A')
        self.export('B')
        self.assertEqual(['a', 'x'], sorted(self.there('cur')))
        numbers = [[each['sequence'] for each in self.receipts(name)] for name in 'AB']
        self.assertEqual(*numbers)

    def test_parked_by_one_it_stays_until_a_person_decides(self):
        self.put('a', 'b')
        self.faults['B', 'upload', 'a'] = errors.PermanentError('553', 'No.')
        self.export('A')
        self.export('B', park_after=1)
        self.assertEqual({'a': b'a'}, self.there('parked', of='B'))
        self.assertEqual((['a'], ['b']), (sorted(self.there('new')), sorted(self.there('cur'))))
        self.assertEqual([], self.export('B').delivered)
        self.faults.clear()
        self.partner('B').retry('a')
        self.assertEqual(['a'], self.export('B').delivered)
        self.assertEqual(({}, ['a', 'b']), (self.there('new'), sorted(self.there('cur'))))

    def test_dropped_for_one(self):
        self.put('a')
        self.partner('B').drop('a', 'Not for them.')
        self.assertEqual([], self.export('B').delivered)
        self.export('A')
        self.assertEqual(({}, ['a']), (self.there('new'), sorted(self.there('cur'))))

    def test_withdrawn_for_one(self):
        self.put('a')
        self.assertTrue(self.partner('A').withdraw('a', 'x') or True)
        self.export('A')
        self.assertTrue(self.partner('B').withdraw('a', 'Not for them.'))
        self.assertEqual([], self.export('B').delivered)
        self.export('A')
        self.assertEqual(({}, ['a']), (self.there('new'), sorted(self.there('cur'))))

    def test_withdrawn_for_one_when_its_run_has_seen_an_older_version(self):
        self.put('a', data=b'one')
        running = self.partner('A')
        with running.run():
            (entry,), _ = running.pending()
            self.put('a', data=b'two')
            self.assertTrue(self.partner('A').withdraw('a', 'Not for them.'))
            with self.assertRaises(errors.Withdrawn):
                running.open(entry)
        self.assertEqual({}, self.there('new', of='A'))

    def test_withdrawn_for_one_in_its_run(self):
        self.put('a')
        partner = self.partner('A')
        with partner.run():
            (entry,), _ = partner.pending()
            self.assertTrue(partner.withdraw('a', 'Not for them.'))
            with self.assertRaisesRegex(errors.Withdrawn, 'Not for them.'):
                partner.open(entry)

    def test_withdrawn_for_one_since_its_run_has_taken_it(self):
        self.put('a')
        running = self.partner('A')
        with running.run():
            (entry,), _ = running.pending()
            with running.open(entry):
                pass
            self.assertTrue(self.partner('A').withdraw('a', 'Not for them.'))
            with self.assertRaises(errors.Withdrawn):
                running.open(entry)

    def test_replaced_at_the_very_moment_in_which_it_is_filed(self):
        self.put('a', data=b'one')
        self.export('A')
        take_out = sharing.Sharing._take_out

        def replaced(shared, name, inode):
            self.put('a', data=b'two')
            take_out(shared, name, inode)

        with unittest.mock.patch.object(sharing.Sharing, '_take_out', replaced):
            self.export('B')
        self.assertEqual(({'a': b'two'}, {'a': b'one'}), (self.there('new'), self.there('cur')))
        self.assertEqual(['a', 'a'], self.export('A').delivered + self.export('B').delivered)

    def test_killed_while_it_leaves_the_spool(self):
        self.put('a')
        self.export('A')
        self.export('B')
        os.link(self.path / 'cur' / 'a', self.path / '.cds' / 'filing' / 'a')
        self.put('b')
        self.assertEqual(['b', 'b'], self.export('A').delivered + self.export('B').delivered)
        self.assertEqual([], os.listdir(self.path / '.cds' / 'filing'))

    def test_a_newer_version_comes_while_one_cannot_send_the_first(self):
        self.put('a', data=b'one')
        self.faults['B', 'upload'] = errors.ConnectionLost(104, 'The connection is cut')
        self.export('B')
        self.assertEqual({'a': b'one'}, self.there('new', of='B'))
        self.put('a', data=b'two')
        self.faults.clear()
        self.assertEqual(['a'], self.export('B').delivered)
        self.assertEqual({'a': b'two'}, self.targets['B'].files)

    def test_withdrawn_for_all(self):
        self.put('a')
        self.faults['A', 'upload'] = errors.ConnectionLost(104, 'The connection is cut')
        self.export('A')
        self.assertEqual({'a': b'a'}, self.there('new', of='A'))
        self.assertTrue(self.spool.withdraw('a', 'Wrong.'))
        self.faults.clear()
        self.assertEqual([], self.export('A').delivered + self.export('B').delivered)
        self.assertEqual({}, self.targets['A'].files)

    def test_dropped_for_all_and_brought_back(self):
        self.put('a')
        self.export('A', max_files=1)
        self.put('b')
        self.assertEqual('b', self.spool.drop('b', 'Wait.'))
        self.assertEqual([], self.export('A').delivered)
        self.spool.retry('b')
        self.assertEqual(['b'], self.export('A').delivered)
        self.assertEqual(['a', 'b'], self.export('B').delivered)
        self.assertEqual(['a', 'b'], sorted(self.there('cur')))

    def test_held_for_all_and_released(self):
        self.export('A')
        self.put('a')
        self.spool.hold('a', 'Wait.')
        self.assertEqual([], self.export('A').delivered + self.export('B').delivered)
        self.spool.release('a')
        self.assertEqual(['a', 'a'], self.export('A').delivered + self.export('B').delivered)

    def test_held_before_there_were_several(self):
        self.put('a')
        self.spool.hold('a', 'Wait.')
        self.assertEqual([], self.export('A').delivered + self.export('B').delivered)

    def test_nobody_has_put_anything_yet(self):
        self.assertEqual(0, self.export('A', dry_run=True).exit_code)
        self.assertEqual([], os.listdir(self.path))
        self.put('a.xml')
        self.assertEqual(0, self.export('A').exit_code)
        self.assertEqual(0, self.export('B').exit_code)
        (self.path / 'new').rmdir()
        self.assertEqual(0, self.export('A').exit_code)

    def test_a_rehearsal_leaves_nothing(self):
        self.put('a')
        report = self.export('A', dry_run=True)
        self.assertEqual(['a'], [each.name for each in report.results])
        self.assertEqual(['planned'], [each.status for each in report.results])
        self.assertFalse((self.path / sharing.REGISTRY).exists())

    def test_status(self):
        self.put('a', 'b')
        self.export('A', max_files=1)
        self.assertEqual(['b'], [each.name for each in self.partner('A').status().waiting])
        self.assertEqual(['a', 'b'], [each.name for each in self.partner('B').status().waiting])
        self.assertEqual(['a', 'b'], [each.name for each in self.spool.status().waiting])

    def test_the_age_of_what_one_has_tried_is_that_of_the_file(self):
        self.put('a')
        later, probe = time.time() + 0.001, self.path / 'probe'
        probe.touch()
        while probe.stat().st_ctime <= later:  # the clock of the file system has steps
            probe.touch()
        self.faults['B', 'upload'] = errors.PermanentError(550, 'No.')
        self.export('B')
        self.export('A')
        (found,) = self.partner('B').status().waiting
        self.assertLess(found.waits_since, probe.stat().st_ctime)

    def test_what_waits_for_one_alone_is_what_it_costs(self):
        self.add('C')
        self.wanted['C'] = '*.xml'
        self.put('a', 'b.xml')
        self.export('A')
        self.assertEqual(['a'], [each.name for each in self.partner('B').status().alone])
        self.assertEqual([], self.partner('C').status().alone)
        self.export('C')
        self.assertEqual(['a', 'b.xml'], [each.name for each in self.partner('B').status().alone])
        # Also what it has taken already.
        self.faults['B', 'upload'] = errors.ConnectionLost(104, 'The connection is cut')
        self.export('B')
        self.assertEqual(['a', 'b.xml'], [each.name for each in self.partner('B').status().alone])
        self.faults.clear()
        self.put('b.xml', data=b'newer')
        self.assertEqual(['a'], [each.name for each in self.partner('B').status().alone])
        self.export('B')
        self.assertEqual([], self.partner('B').status().alone)

    def test_metrics_tell_partners_from_their_spool_whatever_they_are_called(self):
        self.put('a')
        self.export('A')
        spools = [('A', self.spool), ('A', self.partner('A')), ('B', self.partner('B'))]
        found = metrics.families(spools, now=0)
        for family in found:
            labels = [tuple(sorted(labels.items())) for labels, _ in family.samples]
            self.assertEqual(len({*labels}), len(labels), family.name)
        (alone,) = [each.samples for each in found if each.name == 'zeit_cds_waiting_alone_bytes']
        self.assertEqual([0, 0, 1], [value for _, value in alone])
        self.assertEqual({'spool': 'B', 'partner': 'B'}, alone[-1][0])


class SharedLookTests(PartnerTests):
    """What happens between the look at what waits and the turn of a file."""

    def after_the_look(self, of, action):
        """Call `action` when a run of the partner `of` has looked."""
        look = CommonSpool.look

        def looked(spool, demands):
            mock.stop()
            found = look(spool, demands)
            action()
            return found

        mock = unittest.mock.patch.object(CommonSpool, 'look', looked)
        mock.start()
        return self.export(of)

    def test_another_one_files_what_this_one_had(self):
        self.put('a')
        self.export('A')
        self.put('b')
        found = []
        report = self.after_the_look('A', lambda: found.append(self.export('B')))
        self.assertEqual(['b'], report.delivered)
        self.assertEqual(['a', 'b'], found[0].delivered)
        self.assertEqual(({}, ['a', 'b']), (self.there('new'), [*self.there('cur')]))
        self.assertEqual([2, 2], [len(self.receipts(name)) for name in self.names])

    def test_another_one_gets_what_this_one_is_about_to_send(self):
        self.put('a')
        report = self.after_the_look('A', lambda: self.export('B'))
        self.assertEqual(['a'], report.delivered)
        self.assertEqual(({}, {'a': b'a'}), (self.there('new'), self.there('cur')))

    def test_a_newer_version_goes(self):
        self.put('a', data=b'one')
        report = self.after_the_look('A', lambda: self.put('a', data=b'two'))
        self.assertEqual(['a'], report.delivered)
        self.assertEqual({'a': b'two'}, self.targets['A'].files)
        self.assertEqual(['a'], self.export('B').delivered)
        self.assertEqual(({}, {'a': b'two'}), (self.there('new'), self.there('cur')))

    def test_what_is_gone_since_is_not_sent(self):
        self.put('a', 'b')
        report = self.after_the_look('A', lambda: self.spool.withdraw('a', 'It was wrong.'))
        self.assertEqual(['b'], report.delivered)

    def test_each_finds_what_it_has_not_had_and_wants(self):
        self.put('a', 'b', 'c')
        self.export('A', max_files=1)
        self.wanted['B'] = 'a b'
        demands = [self.partner(name)._demand() for name in self.names]
        found = CommonSpool(self.spool).look(demands)
        self.assertEqual([['b', 'c'], ['a', 'b']], [found.of(each)[0] for each in demands])
        self.assertEqual([[2, 3], [1, 2]], [[*found.of(each)[1]] for each in demands])
        found = CommonSpool(self.spool).look(demands[1:])
        self.assertEqual((['a', 'b'], ['c']), (found.names, found.unwanted))

    def test_threads_that_begin_together_look_once(self):
        self.put('a')
        self.export('A')
        self.export('B')
        self.put('b')
        partners = [self.partner(name) for name in self.names]
        both = threading.Barrier(2)
        look = unittest.mock.Mock(side_effect=partners[0]._common.look)
        queues = []

        def run(partner):
            partner._common.look = look
            with self.spool.looks.coming(partner):
                both.wait(30)
                queues.append(partner.queue())

        with unittest.mock.patch.object(shared_looks, 'MOMENT', 30):
            threads = [threading.Thread(target=run, args=[each]) for each in partners]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
        self.assertEqual(1, look.call_count)
        self.assertEqual([['b'], ['b']], [each.names for each in queues])


class WantedTests(PartnerTests):
    def test_by_pattern(self):
        self.wanted['B'] = '*.xml *.txt'
        self.put('a.xml', 'b.jpg', 'c.txt')
        self.assertEqual(['a.xml', 'c.txt'], self.export('B').delivered)
        self.assertEqual({}, self.there('cur'))
        self.export('A')
        self.assertEqual(['a.xml', 'b.jpg', 'c.txt'], sorted(self.there('cur')))
        self.assertEqual({}, self.there('new'))

    def test_what_nobody_wants(self):
        self.wanted |= {'A': '*.xml', 'B': '*.xml'}
        self.put('a.jpg', 'b.jpg', 'c.xml')
        with self.assertLogs('zeit.cds', 'WARNING') as logs:
            self.assertEqual(['c.xml'], self.export('A').delivered)
        self.assertEqual(['c.xml'], [*self.there('new')])
        self.assertEqual(['a.jpg', 'b.jpg'], sorted(self.there('cur')))
        (line,) = logs.output
        self.assertIn("Not sent, as no exporter wants it, but moved to 'cur': a.jpg and 1", line)
        with self.assertNoLogs('zeit.cds', 'WARNING'):
            self.export('A')


class JoiningTests(PartnerTests):
    names = ('A',)

    def test_who_was_alone_keeps_what_it_knows(self):
        self.put('a', 'b', data=b'x')
        alone = Exporter(self.spool, self.targets['A'])
        self.assertEqual(['a'], alone.run_once(Options(max_files=1)).delivered)
        self.add('B')
        with self.assertNoLogs('zeit.cds', 'WARNING'):
            self.assertEqual([], self.export('B').delivered)
            self.assertEqual(['b'], self.export('A').delivered)
        self.assertEqual(({}, ['a', 'b']), (self.there('new'), sorted(self.there('cur'))))
        self.assertEqual(['b', 'a'], [each['name'] for each in self.receipts('A')])
        self.put('c')
        self.assertEqual(['c', 'c'], self.export('A').delivered + self.export('B').delivered)

    def test_who_was_killed_alone_cleans_up_as_one_of_several(self):
        self.put('a')

        class Killed(BaseException):
            pass

        self.faults['A', 'publish'] = Killed()
        with self.assertRaises(Killed):
            Exporter(self.spool, self.targets['A']).run_once()
        left = {**self.targets['A'].files}
        self.faults.clear()
        self.targets['A'].files['write'] = b''
        del self.targets['A'].files['write']
        self.add('B')
        self.assertEqual(['a'], self.export('A').delivered)
        self.assertEqual({'a': b'a'}, self.targets['A'].files, left)

    def test_a_third_one_later(self):
        self.put('a')
        self.add('B')
        self.export('A')
        self.export('B')
        self.put('b')
        self.add('C')
        self.export('A')
        self.assertEqual([], self.export('C').delivered)
        self.export('B')
        self.assertEqual(['a', 'b'], sorted(self.there('cur')))
        self.put('c')
        for name in 'ABC':
            self.assertEqual(['c'], self.export(name).delivered)
        self.assertEqual({}, self.there('new'))

    def told(self, name):
        """Return what waits for a partner by its status, by a rehearsal, and for it alone."""
        status, report = self.partner(name).status(), self.export(name, dry_run=True)
        planned = [each.name for each in report.results]
        waiting, alone = ([each.name for each in found] for found in (status.waiting, status.alone))
        self.assertEqual(planned, waiting)
        return waiting, alone

    def test_nothing_of_what_a_later_one_does_not_get_waits_for_it_before_its_first_run(self):
        self.put('a')
        Exporter(self.spool, self.targets['A']).run_once()
        self.put('b')
        self.add('B')
        self.assertEqual((['b'], ['b']), self.told('A'))
        self.assertEqual(([], []), self.told('B'))
        self.assertEqual([], self.export('B').delivered)
        self.put('c')
        self.add('C')
        self.assertEqual(([], []), self.told('C'))
        self.assertEqual((['c'], []), self.told('B'))
        self.assertEqual([], self.export('C').delivered)

    def test_before_the_first_run_of_all_nothing_waits_for_one_alone(self):
        self.add('B')
        self.add('C')
        self.wanted['B'] = self.wanted['C'] = '*.xml'
        self.put('a', 'b.xml')
        self.assertEqual((['a', 'b.xml'], ['a']), self.told('A'))
        self.assertEqual((['b.xml'], []), self.told('B'))

    def test_killed_before_anybody_knows_it_and_released_since(self):
        class Killed(BaseException):
            pass

        self.put('a', 'b')
        self.spool.hold('a', 'Wait.')
        killed = unittest.mock.patch.object(sharing.Sharing, 'register', side_effect=Killed)
        with killed, self.assertRaises(Killed):
            self.export('A')
        self.spool.release('a')
        self.spool.hold('b', 'Wait.')
        self.assertEqual(['a'], self.export('A').delivered)

    def test_an_exporter_of_the_whole_spool_is_refused_then(self):
        self.add('B')
        self.put('a')
        self.export('A')
        with self.assertLogs('zeit.cds', 'ERROR'):
            report = Exporter(self.spool, self.targets['A']).run_once()
        self.assertEqual(78, report.exit_code)
        self.assertIn('A, B', report.error.message)
        self.assertEqual(['a'], sorted(self.there('new')))


class NobodyTests(PartnerTests):
    """What a partner does not get any more keeps nothing in `new/`."""

    def setUp(self):
        super().setUp()
        self.later = 0
        self.spool = Spool(self.path, clock=lambda: time.time() + self.later)
        self.put('z')

    def refuse(self, name):
        """Let a partner try a file, which is refused."""
        self.faults[name, 'upload', 'a'] = errors.PermanentError(550, 'No.')
        self.assertEqual(['a'], [each for each, _ in self.export(name).failed])
        self.faults.clear()

    def expiring(self):
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        self.spool.put('a', b'a', not_after=soon)

    def test_what_has_expired_for_all(self):
        self.expiring()
        self.later = 7200
        self.export('A')
        self.assertEqual(['a', 'z'], sorted(self.there('new')))
        self.export('B')
        self.assertEqual(({}, {'a': b'a'}), (self.there('new'), self.there('withdrawn')))
        self.assertEqual({'z': b'z'}, self.there('cur'))

    def test_what_has_expired_when_some_have_tried_it(self):
        self.expiring()
        for name in 'AB':
            self.refuse(name)
        self.later = 7200
        for name in 'ABA':
            self.export(name)
        self.assertEqual(({}, {'a': b'a'}), (self.there('new'), self.there('withdrawn')))
        self.assertEqual([{}, {}], [self.there('withdrawn', of=name) for name in 'AB'])

    def test_what_is_withdrawn_for_one_that_has_tried_it(self):
        self.put('a')
        self.refuse('B')
        self.assertTrue(self.partner('B').withdraw('a', 'No.'))
        self.export('A')
        self.assertEqual([], self.export('B').delivered)
        self.assertEqual(({}, ['a', 'z']), (self.there('new'), sorted(self.there('cur'))))

    def test_killed_while_it_leaves_the_spool(self):
        for name in 'AB':
            self.export(name)
        self.put('a')
        for name in 'AB':
            self.assertTrue(self.partner(name).withdraw('a', 'No.'))
        os.rename(self.path / 'new' / 'a', self.path / '.cds' / 'filing' / 'a')
        for name in 'BABA':
            self.assertNotIn('a', self.export(name).delivered)
        self.assertEqual(({}, {'a': b'a'}), (self.there('new'), self.there('withdrawn')))

    def test_moved_back_it_is_for_all(self):
        self.put('a')
        self.refuse('B')
        self.assertTrue(self.spool.withdraw('a', 'No.'))
        os.rename(self.path / 'withdrawn' / 'a', self.path / 'new' / 'a')
        self.export('A')
        self.assertEqual(['a'], self.export('B').delivered)
        self.assertEqual({}, self.there('new'))

    def test_moved_back_it_is_for_who_was_not_to_get_it_before(self):
        self.export('A')
        self.put('a')
        self.add('C')
        self.export('A')
        self.assertTrue(self.spool.withdraw('a', 'No.'))
        os.rename(self.path / 'withdrawn' / 'a', self.path / 'new' / 'a')
        self.assertEqual(['a'], self.export('C').delivered)

    def test_moved_back_it_is_another_one_wherever_it_was(self):
        """Its number is another one: a receipt of before does not count."""
        self.put('a')
        for name in 'AB':
            self.export(name)
        self.put('b')
        os.rename(self.path / 'cur' / 'a', self.path / 'new' / 'a')
        for name in 'ABAB':
            self.export(name)
        for name in 'AB':
            numbers = [each['sequence'] for each in self.receipts(name)]
            self.assertEqual(len({*numbers}), len(numbers), numbers)
            self.assertEqual(4, len(numbers))
        self.assertEqual(({}, ['a', 'b', 'z']), (self.there('new'), sorted(self.there('cur'))))

    def test_moved_back_after_it_was_given_up_for_all(self):
        for name in 'AB':
            self.patience[name] = 3600
        self.later = 7200
        self.export('A')
        self.later = 0
        self.patience.clear()
        os.rename(self.path / 'withdrawn' / 'z', self.path / 'new' / 'z')
        self.assertEqual([['z'], ['z']], [self.export(name).delivered for name in 'AB'])


class DroppedTests(PartnerTests):
    """What a person gives up, and sends after all: each partner gets a version once."""

    def refuse(self, name):
        self.faults[name, 'upload', 'a'] = errors.PermanentError(550, 'No.')
        self.assertEqual(['a'], [each for each, _ in self.export(name).failed])
        self.faults.clear()

    def require_once(self):
        """Everybody ends with the file, got once."""
        for _ in range(2):
            for name in 'AB':
                self.export(name)
        for name in 'AB':
            self.assertEqual({'a': b'a'}, self.targets[name].files)
            self.assertEqual(1, len(self.receipts(name)), name)
            self.assertEqual({}, self.there('skipped', of=name))
        self.assertEqual(({}, {'a': b'a'}), (self.there('new'), self.there('cur')))

    def test_for_all_when_one_has_it(self):
        self.put('a')
        self.export('A')
        self.spool.drop('a', 'Wait.')
        self.export('A')
        self.spool.retry('a')
        self.require_once()

    def test_for_all_when_one_has_it_and_nobody_has_looked_since(self):
        self.put('a')
        self.export('A')
        self.spool.drop('a', 'Wait.')
        self.spool.retry('a')
        self.require_once()

    def test_for_all_when_one_has_tried_it(self):
        for first in 'AB':
            with self.subTest(first=first):
                self.setUp()
                self.put('a')
                self.refuse('B')
                self.spool.drop('a', 'Wait.')
                self.export('A')
                brings_back = [self.spool, self.partner('B')]
                for each in brings_back if first == 'A' else reversed(brings_back):
                    each.retry('a')
                    self.export('A')
                    self.export('B')
                self.require_once()

    def test_for_one_that_has_tried_it_twice(self):
        self.put('a')
        self.refuse('B')
        for _ in range(2):
            self.assertEqual('a', self.partner('B').drop('a', 'No.'))
        self.partner('B').retry('a')
        self.require_once()

    def test_until_it_has_it_after_all_it_is_not_filed(self):
        self.put('a')
        self.refuse('B')
        self.partner('B').drop('a', 'No.')
        self.partner('B').retry('a')
        self.export('A')
        self.assertEqual({'a': b'a'}, self.there('new'))
        self.require_once()

    def test_not_if_a_newer_one_was_delivered(self):
        self.put('a', data=b'old')
        self.spool.drop('a', 'Wait.')
        self.put('a')
        for name in 'AB':
            self.export(name)
        with self.assertRaises(errors.FileError):
            self.spool.retry('a')
        self.require_once()

    def test_filed_without_it_before(self):
        self.put('a')
        self.partner('B').drop('a', 'No.')
        self.export('A')
        self.assertEqual({'a': b'a'}, self.there('cur'))
        self.partner('B').retry('a')
        self.require_once()


class LeavingTests(PartnerTests):
    def test_what_waited_for_it_waits_for_nobody_then(self):
        self.put('a', 'b')
        self.export('A')
        self.export('B', max_files=1)
        sharing.Sharing(self.path).leave('B')
        del self.targets['B']
        self.put('c')
        self.export('A')
        self.assertEqual(({}, ['a', 'b', 'c']), (self.there('new'), sorted(self.there('cur'))))

    def test_who_comes_back_gets_nothing_of_that(self):
        self.put('a')
        self.export('A')
        sharing.Sharing(self.path).leave('B')
        self.export('A', max_files=1)
        self.put('b')
        self.assertEqual(['b'], self.export('B').delivered)

    def test_who_comes_back_gets_nothing_that_it_had_tried(self):
        self.put('a', data=b'one')
        self.faults['B', 'upload'] = errors.PermanentError(550, 'No.')
        self.export('B')
        self.faults.clear()
        sharing.Sharing(self.path).leave('B')
        gone = self.targets.pop('B')
        self.put('a', data=b'two')
        self.export('A')
        self.targets['B'] = gone
        self.assertEqual([], self.export('B').delivered)
        history = journal.history(self.partner('B').path / PRIVATE)
        self.assertEqual(['a'], [each['name'] for each in history.find(kind='withdrawn')])
        self.put('a', data=b'three')
        self.export('B')
        self.assertEqual({'a': b'three'}, gone.files)

    def test_its_replaced_versions_are_kept(self):
        self.put('a', data=b'one')
        self.export('B')
        sharing.Sharing(self.path).leave('B')
        gone = self.targets.pop('B')
        self.put('a', data=b'two')
        self.export('A')
        self.export('A')
        self.assertEqual({'a': b'one'}, gone.files)
        self.assertEqual([b'one', b'two'], sorted(self.there('cur').values()))

    def test_not_while_a_run_of_it_is_active(self):
        self.put('a')
        self.export('B')
        with self.partner('B').run(), self.assertRaises(errors.SpoolBusy):
            sharing.Sharing(self.path).leave('B')


class PatienceTests(PartnerTests):
    def setUp(self):
        super().setUp()
        self.later = 0
        self.spool = Spool(self.path, clock=lambda: self.now().timestamp())
        self.enterContext(unittest.mock.patch.object(append_log, 'now', self.now))

    def now(self):
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.later)

    def lose_patience(self):
        """Let it be an hour later, which is too late for one."""
        self.patience['B'] = 1800
        self.later += 3600

    def refuse(self):
        """Let the partner try what waits, and refuse it."""
        self.faults['B', 'upload'] = errors.PermanentError(550, 'No.')
        self.assertGreater(len(self.export('B').failed), 0)
        self.faults.clear()

    def test_what_waits_too_long_for_one_is_given_up(self):
        self.put('a', 'b')
        self.lose_patience()
        self.export('A')
        self.assertEqual(({}, ['a', 'b']), (self.there('new'), sorted(self.there('cur'))))
        self.assertEqual([], self.export('B').delivered)
        history = journal.history(self.partner('B').path / PRIVATE)
        reasons = [each['reason'] for each in history.find(kind='withdrawn')]
        self.assertEqual(2, len(reasons))

    def test_so_many_in_one_run_that_nobody_else_waits_for_long(self):
        self.enterContext(unittest.mock.patch.object(partner, 'AT_ONCE', 2))
        self.put(*'abcde')
        self.lose_patience()
        waiting = []
        for _ in range(4):
            self.export('A')
            waiting.append(len(self.partner('B').status().waiting))
        self.assertEqual([3, 1, 0, 0], waiting)

    def test_also_what_it_refuses_again_and_again(self):
        self.put('a', 'b')
        self.refuse()
        self.lose_patience()
        self.export('A')
        self.export('A')
        self.assertEqual(({}, ['a', 'b']), (self.there('new'), sorted(self.there('cur'))))
        self.assertEqual([], self.partner('B').status().waiting)

    def test_not_what_it_gets_at_that_moment_from_another_run(self):
        self.add('C')
        self.put('a', 'b')

        def late():
            self.faults.clear()
            self.lose_patience()
            self.export('A')
            self.export('A')

        self.faults['B', 'upload', 'a'] = late
        self.export('B')
        history = journal.history(self.partner('B').path / PRIVATE)
        withdrawn = [each['name'] for each in history.find(kind='withdrawn')]
        self.assertEqual(len({*withdrawn}), len(withdrawn))
        self.assertEqual(set(), {*withdrawn} & {*self.targets['B'].files})

    def test_but_not_before(self):
        self.put('a')
        self.patience['B'] = 3600
        self.later = 1800
        self.export('A')
        self.assertEqual(['a'], self.export('B').delivered)

    def test_while_somebody_holds_it_the_clock_does_not_run(self):
        for name in 'a', '':
            with self.subTest(name=name):
                self.put('a', data=b'of ' + name.encode())
                self.spool.hold(name, 'Wait.')
                self.lose_patience()
                self.export('A')
                self.assertEqual(['a'], [*self.there('new')])
                self.spool.release(name)
                self.export('A')
                self.later += 60
                self.export('A')
                self.assertEqual(['a'], self.export('B').delivered)

    def test_also_of_what_it_had_tried_before(self):
        self.put('a')
        self.refuse()
        self.spool.hold('a', 'Wait.')
        self.lose_patience()
        self.export('A')
        self.spool.release('a')
        self.export('A')
        self.assertEqual(['a'], self.export('B').delivered)

    def test_it_begins_anew_when_it_is_released(self):
        self.put('a', 'b')
        self.spool.hold('a', 'Wait.')
        self.lose_patience()
        self.spool.release('a')
        self.export('A')
        self.assertEqual(['a'], [each.name for each in self.partner('B').status().waiting])
        self.lose_patience()
        self.export('A')
        self.assertEqual([], self.partner('B').status().waiting)

    def test_held_at_that_very_moment(self):
        self.put('a')
        self.export('B', dry_run=True)
        skip = Partner._skip

        def held(partner, *arguments, **options):
            self.spool.hold('a', 'Wait.')
            return skip(partner, *arguments, **options)

        self.lose_patience()
        with unittest.mock.patch.object(Partner, '_skip', held):
            self.export('A')
        self.spool.release('a')
        self.assertEqual(['a'], self.export('B').delivered)


class ResendingTests(PartnerTests):
    names = ('A',)

    def setUp(self):
        super().setUp()
        self.put('a', 'b')
        self.export('A')
        self.add('B')
        self.export('B')

    def test_who_comes_later_gets_what_others_have_if_that_is_wanted(self):
        self.partner('B').resend('a')
        self.assertEqual(['a'], self.export('B').delivered)
        self.assertEqual([3], [each['sequence'] for each in self.receipts('B')])
        self.assertEqual([], self.export('A').delivered)
        self.assertEqual([b'a', b'a', b'b'], sorted(self.there('cur').values()))

    def test_what_waits_already_is_not_sent_twice(self):
        self.put('a', data=b'new')
        with self.assertRaises(errors.FileError):
            self.partner('B').resend('a')

    def test_a_spool_with_several_partners_does_not_tell_whom(self):
        with self.assertRaises(errors.FileError):
            self.spool.resend('a')

    def test_what_is_pruned_is_what_partners_have(self):
        self.put('c')
        self.export('A')
        pruned = self.spool.prune(Keep(keep=0))
        self.assertEqual(['a', 'b'], sorted(each.name for each in pruned))
        self.export('B')
        pruned = self.spool.prune(Keep(keep=0))
        self.assertEqual((['c'], {}), ([each.name for each in pruned], self.there('cur')))


class ApplicationTests(PartnerTests):
    """What an application does with a spool, whoever its partners are."""

    def test_who_is_told_what_one_partner_wants(self):
        class ForArchives:
            def __init__(self, partner):
                self.partner = partner

            def wanted(self, entry):
                return self.partner.name == 'A' or entry.content != 'secret'

        zope.component.provideAdapter(ForArchives, (IPartner,), IStillWanted)
        registry = zope.component.getGlobalSiteManager()
        self.addCleanup(registry.unregisterAdapter, ForArchives, (IPartner,), IStillWanted)
        self.spool.put('a', b'a', content='secret')
        self.spool.put('b', b'b', content='news')
        report = self.export('B')
        statuses = {each.name: each.status for each in report.results}
        self.assertEqual({'a': 'withdrawn', 'b': 'delivered'}, statuses)
        self.assertEqual(['a', 'b'], self.export('A').delivered)
        self.assertEqual(({}, ['a', 'b']), (self.there('new'), sorted(self.there('cur'))))
        history = journal.history(self.partner('B').path / PRIVATE)
        self.assertEqual(['a'], [each['name'] for each in history.find(kind='withdrawn')])

    def test_files_of_a_transaction(self):
        with self.spool.batch() as batch:
            batch.put('a', b'a')
            batch.put('b', b'b')
            batch.prepare()
            batch.commit()
        self.assertEqual(['a', 'b'], self.export('A').delivered)
        self.assertEqual(['a', 'b'], self.export('B').delivered)
        self.assertEqual(['a', 'b'], sorted(self.there('cur')))

    def test_a_transaction_in_doubt_is_settled_by_the_run_of_any(self):
        self.put('x')
        self.export('A')
        batch = self.spool.batch()
        batch.put('a', b'a')
        batch.prepare()
        batch.close()  # as the end of its process does
        self.assertEqual(['x', 'a'], self.export('B').delivered)
        self.assertEqual(['a'], self.export('A').delivered)

    def retract(self, content, **options):
        self.spool.retract(content, 'Wrong.', until=self.spool.latest(new=True), **options)

    def test_what_is_retracted_is_deleted_where_it_is_and_not_sent_where_it_is_not(self):
        self.spool.put('a', b'a', content='id')
        self.export('A')
        self.retract('id', delete=True)
        self.export('A')
        self.assertEqual([], self.export('B').delivered)
        self.assertEqual([{}, {}], [each.files for each in self.targets.values()])
        self.assertEqual({'a': b'a'}, self.there('withdrawn'))
        self.export('A')
        self.assertEqual({}, self.there('new'))

    def test_a_notice_goes_to_those_who_have_it(self):
        self.spool.put('a', b'a', content='id')
        self.export('A')
        self.retract('id', notice=('a.gone', b'gone', ''))
        self.assertEqual(['a.gone'], self.export('A').delivered)
        self.assertEqual([], self.export('B').delivered)

    def test_but_not_if_it_is_published_again(self):
        self.spool.put('a', b'a', content='id')
        self.export('A')
        self.retract('id', notice=('a.gone', b'gone', ''))
        self.spool.put('a', b'again', content='id')
        self.assertEqual(['a'], self.export('A').delivered)
        self.assertEqual(['a'], self.export('B').delivered)

    def test_everybody_is_woken(self):
        woken = []
        exporters = [Exporter(self.partner(name), self.targets[name]) for name in 'AB']
        waker = zope.interface.implementer(IWakeUp)(unittest.mock.Mock(wake=woken.append))
        registry = zope.component.getGlobalSiteManager()
        for name, exporter in zip('AB', exporters, strict=True):
            registry.registerUtility(exporter, IExporter, name=name)
            self.addCleanup(registry.unregisterUtility, exporter, IExporter, name=name)
        registry.registerUtility(waker, IWakeUp)
        self.addCleanup(registry.unregisterUtility, waker, IWakeUp)
        wake(self.spool)
        self.assertEqual(['A', 'B'], sorted(woken))


class BuildTests(PartnerTests):
    """Old and new processes on one spool, during an update."""

    def test_an_earlier_build_refuses_the_spool(self):
        self.put('a')
        self.export('A')
        path = self.path / PRIVATE / 'journal' / 'state.jsonl'
        first = json.loads(path.read_text().splitlines()[0])
        # Until then it was 3, and that is all that it knows.
        self.assertEqual(4, first['version'])

    def test_also_when_its_journal_was_made_anew(self):
        self.put('a')
        self.export('A')
        path = self.path / PRIVATE / 'journal' / 'state.jsonl'
        with path.open() as before, unittest.mock.patch.object(append_log, 'LIMIT', 1000):
            for number in range(20):
                self.spool.put('a', b'%d' % number)
            self.assertFalse(os.path.samestat(os.fstat(before.fileno()), path.stat()))
        self.assertEqual(4, json.loads(path.read_text().splitlines()[0])['version'])

    def test_what_the_first_builds_leave_is_refused_by_each(self):
        """They had a file of their runs beside the journal."""
        self.put('a')
        self.export('A')
        (self.path / PRIVATE / 'runs').touch()
        self.put('b')
        for name in self.names:
            report = self.export(name)
            self.assertEqual(78, report.exit_code)
            self.assertIn('another build', report.error.message)
        self.assertEqual({'a': b'a'}, self.targets['A'].files)
        self.assertEqual({}, self.targets['B'].files)

    def test_a_run_of_it_is_waited_for(self):
        self.put('a')
        with (
            unittest.mock.patch.object(joining, 'PATIENCE', 0),
            RunLock(self.path / PRIVATE / 'lock', like=self.made()),
        ):
            report = self.export('A')
        self.assertEqual((75, {}), (report.exit_code, self.targets['A'].files))

    def made(self):
        (self.path / PRIVATE).mkdir(exist_ok=True)
        return self.path


class StoppedTests(PartnerTests):
    """A process is stopped, as by SIGSTOP, while it has what others need for a moment."""

    def setUp(self):
        super().setUp()
        for module in append_log, short_lock, joining:
            for name in {'PATIENCE', 'BRIEFLY'} & {*vars(module)}:
                self.enterContext(unittest.mock.patch.object(module, name, 0.05))
        self.put('x')
        for name in self.names:
            self.export(name)

    def stopped(self, context):
        """Let a process enter a context, and stop there; return its number."""
        child = os.fork()
        if not child:
            try:
                with context:
                    os.kill(os.getpid(), signal.SIGSTOP)
            finally:
                os._exit(0)
        self.addCleanup(self.end, child)
        self.assertTrue(os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]))
        return child

    def end(self, child, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, number)
            os.waitpid(child, 0)

    def rename_into(self, name):
        """Put a file as another program does: no number is given."""
        (self.path / 'tmp' / name).write_bytes(name.encode())
        (self.path / 'tmp' / name).rename(self.path / 'new' / name)

    def test_with_the_journal_of_all(self):
        self.rename_into('a')
        self.stopped(self.spool._visited())
        for name in self.names:
            self.assertEqual(['a'], self.export(name).delivered)
        self.assertEqual(['a', 'x'], sorted(self.there('cur')))

    def test_whoever_cannot_go_on_is_told_of_whom(self):
        child = self.stopped(self.spool._visited())
        with self.assertRaises(errors.SpoolBusy) as caught:
            self.spool.hold('a', 'Wait.')
        self.assertIn(f'Process {child}, which is stopped,', caught.exception.message)
        self.assertIn(f'kill -CONT {child}', caught.exception.hint)

    def test_with_the_lock_of_filing(self):
        self.put('a')
        child = self.stopped(sharing.Sharing(self.path).lock.held())
        with self.assertLogs('zeit.cds', 'WARNING') as caught:
            for name in self.names:
                self.assertEqual(['a'], self.export(name).delivered)
        self.assertIn(f'Process {child}, which is stopped,', caught.output[0])
        self.assertEqual({'a': b'a'}, self.there('new'))
        self.end(child)
        for name in self.names:
            self.assertEqual([], self.export(name).delivered)
        self.assertEqual(({}, ['a', 'x']), (self.there('new'), sorted(self.there('cur'))))

    def test_with_a_run_of_all(self):
        self.stopped(self.spool.run())
        self.put('a')
        os.link(self.path / 'cur' / 'x', self.path / '.cds' / 'filing' / 'x')  # in doubt
        for name in self.names:
            self.assertEqual(['a'], self.export(name).delivered)

    def test_with_the_journal_of_one_that_waits_too_long(self):
        self.put('a')
        self.stopped(self.partner('B')._visited())
        self.patience['B'] = -1
        self.assertEqual(['a'], self.export('A').delivered)

    def test_while_it_lets_another_one_come(self):
        self.stopped(sharing.Sharing(self.path).lock.held())
        self.add('C')
        self.put('a')
        self.assertEqual(['a'], self.export('A').delivered)
        self.assertEqual(75, self.export('C').exit_code)

    def test_when_it_had_chosen_a_name_that_another_version_gets(self):
        """No file takes the place of another one: each is where its receipt says."""
        self.put('a', data=b'one')
        rename = files.rename_exclusively
        inner = []

        def stopped(old, new):
            if new.endswith('partners/A/cur/a'):
                self.put('a', data=b'two')
                with unittest.mock.patch.object(files, 'rename_exclusively', rename):
                    inner.append(self.export('B'))
            rename(old, new)

        with unittest.mock.patch.object(files, 'rename_exclusively', stopped):
            self.export('A')
        self.assertEqual(['a'], inner[0].delivered)
        for name in 'ABAB':
            self.assertEqual(0, self.export(name).exit_code)
        self.assertEqual({}, self.there('new'))
        for name, words in ('A', [b'two', b'one']), ('B', [b'two']):
            found = [each for each in self.receipts(name) if each['name'] == 'a']
            paths = [self.partner(name).filed_at(each['filed_as']) for each in found]
            self.assertEqual(words, [pathlib.Path(path).read_bytes() for path in paths])


class Foreign:
    """Files that may not be linked, as they are of the CMS, and the runs' user may not write them.

    Linux refuses that where fs.protected_hardlinks is set, to whoever is not root.
    """

    def setUp(self):
        super().setUp()
        self.foreign = set()
        #: They are open, so that no other file gets their inodes.
        self.originals = self.enterContext(contextlib.ExitStack())
        self.enterContext(unittest.mock.patch('os.link', self.link))

    def link(self, old, new, **options):
        if os.lstat(old).st_ino in self.foreign:
            raise PermissionError(1, 'Operation not permitted', old)
        LINK(old, new, **options)

    def put_foreign(self, name, data):
        self.spool.put(name, data)
        file = self.originals.enter_context(open(self.path / 'new' / name, 'rb'))
        found = os.fstat(file.fileno())
        self.foreign.add(found.st_ino)
        return found


class ForeignTests(Foreign, PartnerTests):
    def test_they_are_replaced_by_a_copy_once(self):
        before = self.put_foreign('a', b'a')
        self.put('b')
        self.export('A')
        found = (self.path / 'new' / 'a').stat()
        self.assertEqual(before.st_mtime_ns, found.st_mtime_ns)
        self.assertEqual(2, found.st_nlink)
        self.assertEqual(['a', 'b'], self.export('B').delivered)
        self.assertEqual(({}, {'a': b'a', 'b': b'b'}), (self.there('new'), self.there('cur')))
        numbers = [[each['sequence'] for each in self.receipts(name)] for name in 'AB']
        self.assertEqual(*numbers)
        self.assertEqual({}, self.there('tmp'))

    def test_a_correction_at_that_very_moment_is_not_lost(self):
        self.put_foreign('a', b'old')
        exchange = files.exchange

        def corrected(one, other):
            if other == os.path.join(self.path, 'new', 'a') and self.foreign:
                self.foreign.clear()
                (self.path / 'tmp' / 'x').write_bytes(b'new')
                (self.path / 'tmp' / 'x').rename(other)
            return exchange(one, other)

        with unittest.mock.patch.object(files, 'exchange', corrected):
            self.export('A')
        self.assertEqual({'a': b'new'}, self.there('new'))
        self.export('A')
        self.export('B')
        self.assertEqual([{'a': b'new'}] * 2, [each.files for each in self.targets.values()])

    def test_who_comes_later_does_not_get_them(self):
        self.put('x')
        self.export('A')
        self.export('B')
        self.put_foreign('a', b'a')
        self.add('C')
        self.assertEqual([], self.export('C').delivered)
        self.assertEqual(['a', 'a'], self.export('A').delivered + self.export('B').delivered)
        self.assertEqual({}, self.there('new'))

    @unittest.skipIf(os.geteuid(), 'only root can be two users')
    def test_as_the_system_refuses_it(self):
        """Another user wrote the file, with the umask 022: see proc(5) on protected_hardlinks."""
        self.put('a')
        for path in (self.path, *self.path.rglob('*')):
            os.chown(path, 65534, 65534)
        os.chown(self.path / 'new' / 'a', 0, 0)
        before = (self.path / 'new' / 'a').stat()

        def run():
            os.setgid(65534)
            os.setuid(65534)
            return self.export('A').exit_code

        self.assertEqual(0, Process(run, log=self.path / 'log').run())
        found = (self.path / 'new' / 'a').stat()
        self.assertEqual((before.st_mtime_ns, 65534), (found.st_mtime_ns, found.st_uid))
        self.assertEqual(['a'], self.export('B').delivered)

    def test_a_file_system_without_hard_links(self):
        """A copy may be linked as little: that is said, and the file waits."""
        self.put('a')
        refused = PermissionError(1, 'Operation not permitted')
        with unittest.mock.patch('os.link', side_effect=refused):
            report = self.export('A')
        self.assertEqual([], report.delivered)
        self.assertIn('hard links', report.failed[0][1])
        self.assertEqual({'a': b'a'}, self.there('new'))
        self.assertEqual({}, self.there('tmp'))
        self.assertEqual(['a', 'a'], self.export('A').delivered + self.export('B').delivered)
