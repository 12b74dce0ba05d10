"""Anything in any order, with three partners: a state machine that puts, runs, fails and kills."""

import hashlib
import pathlib
import pickle
import tempfile
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


class Machine(stateful.RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory(dir=MEMORY)
        self.folder = pathlib.Path(self.temporary.name)
        (self.folder / 'spool').mkdir()
        self.spool = Spool(self.folder / 'spool')
        self.targets = {name: self.target(name) for name in PARTNERS}
        self.number, self.put_so_far, self.newest = 0, {}, {}
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

    def everybody(self):
        return [sharing.Terms(name, t.url, WANTED[name]) for name, t in self.targets.items()]

    def partner(self, name):
        (terms,) = [each for each in self.everybody() if each.name == name]
        return Partner(self.spool, terms, everybody=self.everybody)

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
        self.number += 1
        data = f'{name} {self.number}'.encode()
        if by_hand:
            (self.spool.path / 'tmp').mkdir(exist_ok=True)
            (self.spool.path / 'new').mkdir(exist_ok=True)
            (self.spool.path / 'tmp' / 'x').write_bytes(data)
            (self.spool.path / 'tmp' / 'x').rename(self.spool.path / 'new' / name)
        else:
            self.spool.put(name, data)
        self.put_so_far[data] = name
        self.newest[name] = data

    @stateful.rule(name=partners, most=st.sampled_from([None, 1]))
    def run(self, name, most):
        report = self.export(name, max_files=most)
        expected = {0, self.failure[2]} if name == self.failing else {0}
        assert report.exit_code in expected, report.errors

    @stateful.rule(name=st.sampled_from([None, *PARTNERS]), failure=st.sampled_from(FAILURES))
    def fail(self, name, failure):
        self.failing, self.failure = name, failure

    @stateful.rule(name=partners, nth=st.integers(1, 120))
    def kill(self, name, nth):
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

        code = Process(run, log=log).run()
        assert code != BUG, log.read_text()
        for each, files in pickle.loads(state.read_bytes()).items():
            self.targets[each].files.clear()
            self.targets[each].files.update(files)

    # What holds

    def wanted(self, name, partner):
        return sharing.Terms(partner, '', WANTED[partner]).wants(name)

    @stateful.invariant()
    def nothing_newest_is_lost(self):
        waits = {**self.there('new'), **self.there('.cds/filing')}
        filed = {*self.there('cur').values()}
        for data in self.newest.values():
            assert data in {*waits.values()} | filed, data

    @stateful.invariant()
    def only_what_all_have_is_filed(self):
        for data in self.there('cur').values():
            name = self.put_so_far[data]
            for partner in PARTNERS:
                if self.wanted(name, partner) and self.newest[name] == data:
                    assert data in self.given(partner), (data, partner)

    def given(self, partner):
        return {*self.targets[partner].files.values()}

    def converge(self):
        self.failing = None
        for _ in range(3):
            for name in PARTNERS:
                report = self.export(name)
                assert report.exit_code == 0, report.errors
        assert self.there('new') == {}, self.there('new')
        for name in PARTNERS:
            expected = {n: data for n, data in self.newest.items() if self.wanted(n, name)}
            assert self.targets[name].files == expected, (self.targets[name].files, expected)
            for section in 'new', 'cur', 'parked', 'skipped', '.cds/filing':
                assert self.there(section, of=name) == {}, (section, name)
            history = journal.history(self.partner(name).path / PRIVATE)
            receipts = [*history.find(kind='delivered')]
            for each in receipts:
                data = (self.spool.path / 'cur' / each['filed_as']).read_bytes()
                assert each['sha256'] == hashlib.sha256(data).hexdigest()
                assert self.put_so_far[data] == each['name']
            numbers = [each['sequence'] for each in receipts]
            assert len(numbers) == len({*numbers}), numbers
        assert self.there('parked') == self.there('.cds/filing') == {}


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
                derandomize=True,
                suppress_health_check=[*hypothesis.HealthCheck],
            ),
        )
