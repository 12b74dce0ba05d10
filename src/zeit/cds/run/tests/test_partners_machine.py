"""Anything in any order, with three partners: a state machine that puts, runs, fails and kills.

And that holds, drops, withdraws, lets time pass, lets partners leave and come back, and moves files
by hand.
"""

import contextlib
import datetime
import hashlib
import pathlib
import pickle
import tempfile
import time
import unittest

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st

from zeit.cds import errors
from zeit.cds.journal import journal
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool import sharing
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.folders import MEMORY
from zeit.cds.tests.killing import BUG, LOCAL, Process, arm, die
from zeit.cds.tests.sampling import every


NAMES = 'a.xml', 'b.xml', 'c.jpg'
PARTNERS = 'A', 'B', 'C'
WANTED = {'A': '*', 'B': '*.xml', 'C': '*'}

HOUR = 3600

#: Who gives up what has waited for so many seconds.
PATIENCE = {'B': HOUR, 'C': HOUR}

#: How many steps each example has, and how many examples there are: a thousand in `.ci/long`.
LENGTH, EXAMPLES = 15, 1000 // every(20)

#: How one of them fails: where, by what, and the exit code of its runs.
FAILURES = (
    (('open', 'upload'), lambda: errors.ConnectionLost(104, 'The connection is cut'), 69),
    (('open',), lambda: errors.PermanentError(530, '530 No.', exit_code=77), 77),
    (('upload',), lambda: errors.PermanentError(553, '553 No.'), 1),
)

names = st.sampled_from(NAMES)
partners = st.sampled_from(PARTNERS)
some = st.sampled_from([None, *PARTNERS])
late = st.sampled_from([False, False, True])


class Machine(stateful.RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory(dir=MEMORY)
        self.folder = pathlib.Path(self.temporary.name)
        (self.folder / 'spool').mkdir()
        self.later = 0
        self.spool = Spool(self.folder / 'spool', clock=lambda: time.time() + self.later)
        self.targets = {name: self.target(name) for name in PARTNERS}
        self.present = [*PARTNERS]
        self.number, self.put_so_far, self.newest = 0, {}, {}
        self.expiring, self.held, self.moved = set(), set(), set()
        #: What each need not get: it was taken back, or came too late, or the partner was away.
        self.excused = {name: set() for name in PARTNERS}
        #: What a person has dropped for each: it may be filed without, and is sent after a retry.
        self.dropped = {name: set() for name in PARTNERS}
        self.failing, self.failure = None, FAILURES[0]

    def target(self, name):
        found = MemoryTarget(hook=lambda operation, file: self.hook(name, operation))
        found.url = f'memory:{name}'
        return found

    def hook(self, name, operation):
        if name == self.failing and operation in self.failure[0]:
            raise self.failure[1]()

    def teardown(self):
        try:
            self.converge()
        finally:
            self.temporary.cleanup()

    def terms(self, name):
        return sharing.Terms(name, self.targets[name].url, WANTED[name], PATIENCE.get(name))

    def everybody(self):
        return [self.terms(name) for name in self.present]

    def partner(self, name):
        return Partner(self.spool, self.terms(name), everybody=self.everybody)

    def export(self, name, **options):
        exporter = Exporter(self.partner(name), self.targets[name])
        return exporter.run_once(Options(park_after=0, **options))

    def there(self, section, *, of=None):
        folder = (self.spool.path if of is None else self.partner(of).path) / section
        present = [each for each in folder.iterdir()] if folder.exists() else []
        return {each.name: each.read_bytes() for each in present if each.name[0] != '.'}

    # What happens

    @stateful.rule(name=names, by_hand=st.booleans())
    def put(self, name, by_hand):
        data = self.version(name)
        if by_hand:
            (self.spool.path / 'tmp').mkdir(exist_ok=True)
            (self.spool.path / 'new').mkdir(exist_ok=True)
            (self.spool.path / 'tmp' / 'x').write_bytes(data)
            if self.there('new').get(name) in self.expiring:
                self.expiring.add(data)  # as another program does not know of that time
            (self.spool.path / 'tmp' / 'x').rename(self.spool.path / 'new' / name)
        else:
            self.spool.put(name, data)

    @stateful.rule(name=names)
    def put_for_an_hour(self, name):
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=HOUR)
        data = self.version(name)
        self.expiring.add(data)
        self.spool.put(name, data, not_after=end)

    def version(self, name):
        """Return the content of a new version."""
        self.number += 1
        data = f'{name} {self.number}'.encode()
        self.put_so_far[data] = name
        self.newest[name] = data
        return data

    @stateful.rule(name=partners, most=st.sampled_from([None, 1]), late=late)
    def run(self, name, most, late):
        with self.hours_later(name, late=late):
            report = self.export(name, max_files=most)
        expected = {0, self.failure[2]} if name == self.failing else {0}
        assert report.exit_code in expected, report.errors

    @contextlib.contextmanager
    def hours_later(self, name, *, late):
        """Inside of it a partner may run; `late`: when what waits now has waited for too long."""
        if name not in self.present:
            self.come(name)
        if late:
            self.excused[name] |= self.expiring
            waiting = {data for data in self.put_so_far if self.put_so_far[data] not in self.held}
            for each in PATIENCE:
                self.excused[each] |= waiting
            self.later = 2 * HOUR
        yield
        self.later = 0

    @stateful.rule(name=st.sampled_from([None, *PARTNERS]), failure=st.sampled_from(FAILURES))
    def fail(self, name, failure):
        self.failing, self.failure = name, failure

    @stateful.rule(name=partners, nth=st.integers(1, 120), late=late)
    def kill(self, name, nth, late):
        state, log = self.folder / 'state', self.folder / 'log'

        def dump():
            found = {each: target.files for each, target in self.targets.items()}
            state.write_bytes(pickle.dumps(found))

        def stop():
            dump()
            die()

        def run():
            arm(LOCAL, nth, moment='before', die=stop)
            code = self.export(name).exit_code
            dump()
            return code

        with self.hours_later(name, late=late):
            code = Process(run, log=log).run()
        assert code != BUG, log.read_text()
        for each, files in pickle.loads(state.read_bytes()).items():
            self.targets[each].files.clear()
            self.targets[each].files.update(files)

    # What a person does

    @stateful.rule(name=names)
    def hold(self, name):
        self.spool.hold(name, 'Wait.')
        self.held.add(name)

    @stateful.rule(name=names)
    def release(self, name):
        assert self.spool.release(name) == (name in self.held)
        self.held.discard(name)

    @stateful.rule(name=names, of=some)
    def withdraw(self, name, of):
        for each in PARTNERS if of is None else [of]:
            self.excused[each] |= self.versions(name)
        self.decides(of).withdraw(name, 'Wrong.')

    @stateful.rule(name=names, of=some)
    def drop(self, name, of):
        for each in PARTNERS if of is None else [of]:
            self.dropped[each] |= self.versions(name)
        with contextlib.suppress(errors.SpoolBusy):  # one was killed while it sent that
            self.decides(of).drop(name, 'Later.')

    @stateful.rule(of=some)
    def retry(self, of):
        decides = self.decides(of)
        for stored in self.there('parked', of=of):
            with contextlib.suppress(errors.FileError, errors.SpoolBusy):  # a newer one waits
                decides.retry(stored)

    def decides(self, of):
        if of is None:
            return self.spool
        if of not in self.present:
            self.come(of)
        return self.partner(of)

    @stateful.rule(name=partners)
    def leave_or_come(self, name):
        if name not in self.present:
            self.come(name)
        elif len(self.present) > 1 and name in sharing.known(self.spool.path):
            sharing.Sharing(self.spool.path).leave(name)
            self.present.remove(name)

    def come(self, name):
        """A partner is back: it gets nothing that waits, and some older versions never."""
        self.excused[name] |= {*self.put_so_far}
        self.present.append(name)
        assert self.export(self.present[0]).exit_code in {0, self.failure[2]}

    @stateful.rule(section=st.sampled_from(['cur', 'withdrawn']), place=st.integers(0, 3))
    def move_back(self, section, place):
        found = sorted(self.there(section).items())
        if place < len(found):
            stored, data = found[place]
            name = self.put_so_far[data]
            (self.spool.path / section / stored).rename(self.spool.path / 'new' / name)
            self.newest[name] = data
            self.moved.add(data)
            self.expiring.discard(data)
            if section == 'withdrawn':
                for each in self.present:
                    self.excused[each].discard(data)

    def versions(self, name):
        return {data for data, of in self.put_so_far.items() if of == name}

    # What holds

    def wanted(self, name, partner):
        return self.terms(partner).wants(name)

    @stateful.invariant()
    def nothing_newest_is_lost(self):
        sections = 'new', '.cds/filing', 'cur', 'withdrawn', 'parked'
        there = {data for each in sections for data in self.there(each).values()}
        for data in self.newest.values():
            assert data in there, data

    @stateful.invariant()
    def only_what_all_have_is_filed(self):
        for data in self.there('cur').values():
            name = self.put_so_far[data]
            for partner in self.present:
                is_dropped = data in self.dropped[partner]
                if self.newest[name] == data and self.needs(partner, name) and not is_dropped:
                    assert data in self.given(partner), (data, partner)

    def needs(self, partner, name):
        """Return whether a partner is to get the newest version of a file, whatever happens."""
        is_parked = self.newest[name] in self.there('parked', of=partner).values()
        is_excused = self.newest[name] in self.excused[partner]
        return self.wanted(name, partner) and not is_excused and not is_parked

    def given(self, partner):
        return {*self.targets[partner].files.values()}

    def converge(self):
        self.failing = None
        for name in self.held:
            self.spool.release(name)
        for _ in range(2):
            for name in self.present:
                report = self.export(name)
                assert report.exit_code == 0, report.errors
            for of in (None, *self.present):
                self.retry(of)
        for _ in range(2):
            for name in self.present:
                report = self.export(name)
                assert report.exit_code == 0, report.errors
        assert self.there('new') == {}, self.there('new')
        self.nothing_newest_is_lost()
        for name in self.present:
            self.has_what_it_needs(name)
            for section in 'new', 'cur', 'skipped', '.cds/filing':
                assert self.there(section, of=name) == {}, (section, name)
            self.receipts_are_true(name)
        assert self.there('.cds/filing') == {}

    def has_what_it_needs(self, partner):
        files = self.targets[partner].files
        assert {*files} <= {*NAMES}, files
        for name, data in self.newest.items():
            if self.needs(partner, name):
                assert files.get(name) == data, (partner, files.get(name), data)

    def receipts_are_true(self, partner):
        history = journal.history(self.partner(partner).path / PRIVATE)
        receipts = [*history.find(kind='delivered')]
        moved = {hashlib.sha256(data).hexdigest() for data in self.moved}
        for each in receipts:
            if each['sha256'] not in moved:
                data = (self.spool.path / 'cur' / each['filed_as']).read_bytes()
                assert each['sha256'] == hashlib.sha256(data).hexdigest()
                assert self.put_so_far[data] == each['name']
        numbers = [each['sequence'] for each in receipts]
        assert len(numbers) == len({*numbers}), numbers
        last = {each['name']: each['sha256'] for each in reversed(receipts)}
        files = self.targets[partner].files
        assert last == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


class MachineTests(unittest.TestCase):
    layer = layers.QUIET
    level = 2

    def test_anything_in_any_order(self):
        stateful.run_state_machine_as_test(
            Machine,
            settings=hypothesis.settings(
                max_examples=EXAMPLES,
                stateful_step_count=LENGTH,
                deadline=None,
                report_multiple_bugs=False,
                derandomize=True,
                suppress_health_check=[*hypothesis.HealthCheck],
            ),
        )
