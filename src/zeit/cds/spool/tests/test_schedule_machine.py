"""When files go, in any order: put, corrected, expired, killed; and a clock that is set."""

import pathlib
import tempfile

from hypothesis import stateful
from hypothesis import strategies as st

from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.tests.test_schedule import HOUR, NOON
from zeit.cds.tests.folders import MEMORY
from zeit.cds.tests.killing import BUG
from zeit.cds.tests.sampling import every
from zeit.cds.tests.test_machine import CODES, MemoryWorld, Silent, check


NAMES = 'a', 'b', 'c', 'd'

VERSIONS = {
    'name': st.sampled_from(NAMES),
    'priority': st.sampled_from([0, 0, 0, -1, 5, 9]),
    'begin': st.sampled_from([None, None, -1, 1, 3]),
    'end': st.sampled_from([None, None, 2, 4]),
    'content': st.sampled_from(['', '', 'x']),
}


class Version:
    """What was put: `may` tells whether there was a run that was allowed to send it."""

    may = False

    def __init__(self, name, data, *, priority, begin, end, content):
        self.name, self.data, self.content = name, data, content
        self.priority, self.begin, self.end = priority, begin, end


class ScheduleMachine(stateful.RuleBasedStateMachine):
    """A spool with a clock that is ours, and a server that keeps what was sent."""

    def __init__(self):
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(dir=MEMORY)
        folder = pathlib.Path(self._folder.name)
        (folder / 'spool').mkdir()
        self.now = NOON
        self.spool = Spool(folder / 'spool', clock=lambda: self.now.timestamp())
        self.log = folder / 'log'
        self.world = MemoryWorld(folder)
        self.versions = []
        self.clean = True

    def teardown(self):
        try:
            self.now = max(self.now, NOON) + 48 * HOUR
            for _ in range(2):
                assert self.export().exit_code == 0
            self.holds()
            assert not self.section('new')
            put_away = [path.read_bytes() for path in (self.spool.path / 'withdrawn').glob('*')]
            for name, version in self.latest().items():
                expired = version.end is not None and version.data in put_away
                assert expired or self.world.files.get(name) == version.data, vars(version)
        finally:
            self._folder.cleanup()

    def latest(self):
        return {version.name: version for version in self.versions}

    def section(self, name):
        path = self.spool.path / name
        return {entry.name: entry.read_bytes() for entry in path.iterdir()} if path.exists() else {}

    def allow(self):
        """There is a run at this moment."""
        for version in self.versions:
            begun = version.begin is None or version.begin <= self.now
            goes = version.end is None or self.now <= version.end
            version.may = version.may or (begun and goes)

    def export(self):
        self.allow()
        report = Exporter(self.spool, self.world.target, wait=lambda seconds: None).run_once(
            Options(priority='d=7')
        )
        self.world.calm()
        return report

    def offer(self, name, priority, begin, end, content):
        begin = begin if begin is None else self.now + begin * HOUR
        end = end if end is None else self.now + end * HOUR
        if begin and end and end <= begin:
            end = None
        data = b'%s, version %08d' % (name.encode(), len(self.versions))
        about = {'priority': priority, 'content': content}
        self.spool.put(name, data, not_before=begin, not_after=end, **about)
        self.versions.append(Version(name, data, begin=begin, end=end, **about))

    # What may happen

    @stateful.rule(**VERSIONS)
    def put(self, **about):
        self.offer(**about)

    @stateful.rule(hours=st.sampled_from([1, 1, 2, 5, -1, -3]))
    def the_clock_is_set(self, hours):
        self.now += hours * HOUR

    @stateful.rule()
    def run(self):
        waiting = {data: name for name, data in self.section('new').items()}
        report = self.export()
        assert report.exit_code == 0
        if self.clean:
            self.check_order(report, [v for v in self.versions if v.data in waiting])
        self.clean = True

    def check_order(self, report, waiting):
        """Nothing overtakes what is as urgent; of one content nothing overtakes at all."""
        sent = [v for name in report.delivered for v in waiting if v.name == name]
        numbers = [self.versions.index(version) for version in sent if version.content]
        assert sorted(numbers) == numbers, report.results
        alone = [
            (-(v.priority or (7 if v.name == 'd' else 0)), self.versions.index(v))
            for v in sent
            if not v.content
        ]
        assert sorted(alone) == alone, report.results

    @stateful.rule(nth=st.integers(1, 60), local=st.booleans())
    def killed(self, nth, local):
        def function():
            return self.export().exit_code

        self.allow()
        code = self.world.killed(function, nth, local=local)
        self.world.calm()
        assert code == -9 or code in CODES, self.log.read_text()
        assert code != BUG
        self.clean = self.clean and code >= 0

    @stateful.rule(nth=st.integers(1, 60), hours=st.sampled_from([0, 0, 1, 3, -2]), **VERSIONS)
    def run_and_put_meanwhile(self, nth, hours, **about):
        def meanwhile(_):
            self.offer(**about)
            self.now += hours * HOUR
            self.allow()

        self.world.at(nth, meanwhile)
        assert self.export().exit_code in CODES

    @stateful.precondition(lambda self: self.clean)
    @stateful.rule(name=st.sampled_from(NAMES))
    def another_program_renames_a_file(self, name):
        """It has the times of what waits, and nothing else."""
        waits = self.section('new').get(name)
        before = next((v for v in self.versions if v.data == waits), None)
        begin, end = (None, None) if before is None else (before.begin, before.end)
        data = b'%s, version %08d' % (name.encode(), len(self.versions))
        with self.spool.run():
            pass  # it makes the directories
        (self.spool.path / 'tmp' / name).write_bytes(data)
        (self.spool.path / 'tmp' / name).rename(self.spool.path / 'new' / name)
        about = {'priority': 0, 'content': ''}
        self.versions.append(Version(name, data, begin=begin, end=end, **about))
        self.spool.pending()
        with self.spool.run():
            self.spool.pending()  # it gets its number before another one comes

    # What always holds

    @stateful.invariant()
    def holds(self):
        """Nothing of a version is on the server, under whatever name, that no run might send."""
        for version in self.versions:
            assert version.may or version.data not in self.world.files.values(), vars(version)
        for name, version in self.latest().items():
            kept = [*self.section('new').values(), *self.section('.cds/filing').values()]
            kept += [path.read_bytes() for path in (self.spool.path / 'withdrawn').glob('*')]
            gone = version.data not in kept
            assert not gone or self.world.files.get(name) == version.data, vars(version)


class MachineTests(Silent):
    def test_in_memory(self):
        check(ScheduleMachine, examples=5)


class AllMachineTests(Silent):
    level = 2

    def test_in_memory(self):
        check(ScheduleMachine, examples=1000 // every(20))
