"""Anything in any order: a state machine that produces, corrects, runs, kills, locks and steals."""

import logging
import pathlib
import pickle
import tempfile
import unittest

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st

from zeit.cds import errors
from zeit.cds.names import _OURS
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults, layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.testing.sftpfaults import SFTPFaultServer
from zeit.cds.tests.folders import MEMORY
from zeit.cds.tests.killing import BUG, LOCAL, Process, arm, die
from zeit.cds.tests.oversftp import scripted_target
from zeit.cds.tests.scenario import target


NAMES = ('a.xml', 'b.xml')
FOREIGN = b'partner'

#: What a run may end with here.
CODES = {errors.DONE, errors.FILES_FAILED, errors.UNAVAILABLE, errors.COME_BACK_LATER}

#: After these operations of a session, or verbs of FTP or SFTP, our lock is about to be deleted: a
#: theft between the look and the deletion is what these make impossible to see.
DELETIONS = (
    *('delete', 'DELE', 'RETR', 'read', 'EPSV'),
    *('REMOVE', 'OPEN', 'READ', 'FSTAT', 'CLOSE', 'LSTAT'),
)


class MemoryWorld:
    """A target in memory; the state outlives the process that is killed, as it would a server."""

    def __init__(self, folder):
        self.folder = folder
        self.target = MemoryTarget(hook=self._hook)
        self._act = None
        self._nth = 0

    def close(self):
        """Nothing is held."""

    def _hook(self, operation, name):
        self._nth -= 1
        if self._nth == 0 and self._act is not None:
            self._act(operation)

    def at(self, nth, act):
        """Call `act(what is about to happen)` at the nth (from 1) step of the server."""
        self._nth, self._act = nth, act

    def calm(self):
        self._act = None

    def lose_connection(self):
        raise errors.ConnectionLost(104, 'The connection is cut')

    def restart(self):
        """Its sessions do not outlive a run anyway."""

    @property
    def files(self):
        return dict(self.target.files)

    @property
    def directories(self):
        return list(self.target.directories)

    def put(self, name, data):
        self.target.write(name, data)

    def delete(self, name):
        del self.target.files[name]

    def killed(self, function, nth, *, local):
        """Run `function` in a process; kill it at its `nth` step; return its exit code."""
        state = self.folder / 'state'

        def dump():
            with open(state, 'wb') as file:
                pickle.dump((self.target.files, self.target.directories), file)

        def stop(*_):
            dump()
            die()

        def run():
            if local:
                arm(LOCAL, nth, moment='before', die=stop)
            else:
                self.at(nth, stop)
            code = function()
            dump()
            return code

        code = Process(run, log=self.folder / 'log').run()
        self.target.files, self.target.directories = pickle.loads(state.read_bytes())
        return code


class FaultWorld:
    """The fault server."""

    factory = faults.FaultServer

    def __init__(self, folder):
        self.folder = folder
        self.server = self.factory(directories=['/cds'], hook=self._hook)
        self.server.start()
        self.send_directly(False)
        self._act = None
        self._nth = 0

    def send_directly(self, direct):
        """Work with `temporary="no"`, or without."""
        self.target = target(self.server, temporary=not direct)

    def close(self):
        self.server.stop()

    def _hook(self, event):
        if event.moment == 'before':
            self._nth -= 1
            if self._nth == 0 and self._act is not None:
                self._act(event.verb)

    def at(self, nth, act):
        self._nth, self._act = nth, act

    def calm(self):
        self.server.wait_closed()
        self._act = None
        self.server.clear_faults()

    def lose_connection(self):
        self.server.fault('*', faults.Cut(), times=1)

    def restart(self):
        self.server.restart()

    @property
    def files(self):
        return {path.removeprefix('/cds/'): data for path, data in self.server.files.items()}

    @property
    def directories(self):
        return [path for path in self.server.directories if path != '/cds']

    def put(self, name, data):
        self.server.put(f'/cds/{name}', data)

    def delete(self, name):
        self.server.delete(f'/cds/{name}')

    def killed(self, function, nth, *, local):
        def run():
            if local:
                arm(LOCAL, nth, moment='before')
            return function()

        process = Process(run, log=self.folder / 'log')
        if not local:
            self.at(nth, lambda _: process.kill())
        code = process.run()
        self.calm()
        return code


class SFTPWorld(FaultWorld):
    """The scripted SFTP server."""

    factory = SFTPFaultServer

    def send_directly(self, direct):
        self.target = scripted_target(self.server, temporary=not direct)


class Machine(stateful.RuleBasedStateMachine):
    """What may happen; the invariant of a spool and its server holds after each step."""

    world_factory = None

    def __init__(self):
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(dir=MEMORY)
        folder = pathlib.Path(self._folder.name)
        (folder / 'spool').mkdir()
        self.spool = Spool(folder / 'spool')
        self.log = folder / 'log'
        self.world = self.world_factory(folder)
        self.versions = {name: [] for name in NAMES}
        self.withdrawn = {}
        self.foreign = set()
        self.direct = False
        self.clean = True  # no run was killed since the last one that ended

    def teardown(self):
        try:
            for name in sorted(self.foreign):
                self.world.delete(name)
            self.foreign = set()
            self.undisturbed()
        finally:
            self.world.close()
            self._folder.cleanup()

    def undisturbed(self):
        """One run delivers the rest, a second one does nothing."""
        assert self.export() == 0
        self.clean = True
        self.holds()
        offered = {
            name: versions[-1] if name not in self.withdrawn else self.withdrawn[name]
            for name, versions in self.versions.items()
            if versions and self.withdrawn.get(name, b'') is not None
        }
        assert self.world.files == offered, (self.world.files, offered)
        assert not self.section('new')
        filed = self.section('cur')
        for name in offered.keys() - self.withdrawn.keys():
            assert list(filed.values()).count(offered[name]) == 1, filed
        assert self.export() == 0
        assert (self.world.files, self.section('cur')) == (offered, filed)

    def section(self, *names):
        path = self.spool.path.joinpath(*names)
        return {entry.name: entry.read_bytes() for entry in path.iterdir()} if path.exists() else {}

    def export(self):
        exporter = Exporter(self.spool, self.world.target, wait=lambda seconds: None)
        code = exporter.run_once(Options(order='name')).exit_code
        self.world.calm()
        return code

    def offer(self, name):
        # All versions of all files have one length.
        data = b'%s, version %08d' % (name.encode(), len(self.versions[name]))
        self.versions[name].append(data)
        self.withdrawn.pop(name, None)
        self.spool.put(name, data)

    # What may happen

    @stateful.rule(name=st.sampled_from(NAMES))
    def produce_or_correct(self, name):
        self.offer(name)

    @stateful.rule(name=st.sampled_from(NAMES))
    def take_away(self, name):
        """Somebody takes a file out of new/: what stands on the server stays, if it is whole."""
        if name in self.section('new') and name not in self.section('.cds', 'filing'):
            (self.spool.path / 'new' / name).unlink()
            data = self.world.files.get(name)
            self.withdrawn[name] = data if data in self.versions[name] else None

    @stateful.rule()
    def run(self):
        code = self.export()
        assert code == (errors.COME_BACK_LATER if self.is_locked_out() else 0), code
        self.clean = True

    def is_locked_out(self):
        return bool(self.foreign) and bool(self.section('new'))

    @stateful.rule(nth=st.integers(1, 60), local=st.booleans())
    def killed(self, nth, local):
        def function():
            exporter = Exporter(self.spool, self.world.target, wait=lambda seconds: None)
            return exporter.run_once(Options(order='name')).exit_code

        code = self.world.killed(function, nth, local=local)
        self.world.calm()
        assert code == -9 or code in CODES, self.log.read_text()
        assert code != BUG
        self.clean = code >= 0

    @stateful.rule(nth=st.integers(1, 60), name=st.sampled_from(NAMES))
    def run_and_correct_meanwhile(self, nth, name):
        self.world.at(nth, lambda _: self.offer(name))
        assert self.export() in CODES
        self.clean = True

    @stateful.rule(nth=st.integers(1, 60))
    def run_and_steal_the_lock_meanwhile(self, nth):
        def steal(operation):
            if operation not in DELETIONS and 'write' in self.world.files:
                self.world.put('write', FOREIGN)
                self.foreign.add('write')

        self.world.at(nth, steal)
        assert self.export() in CODES
        self.clean = True

    @stateful.rule(nth=st.integers(1, 60))
    def run_over_a_connection_that_is_lost(self, nth):
        self.world.at(nth, lambda _: self.world.lose_connection())
        code = self.export()
        # It heals itself where it can; in memory there is no second connection.
        assert code in CODES | {errors.LOCK_LEFT_BEHIND}, code
        self.clean = False

    @stateful.rule(name=st.sampled_from(('write', 'read')))
    def a_foreign_lock_comes(self, name):
        if name not in self.world.files:
            self.world.put(name, FOREIGN)
            self.foreign.add(name)

    @stateful.rule()
    def the_foreign_locks_go(self):
        for name in sorted(self.foreign):
            self.world.delete(name)
        self.foreign = set()

    @stateful.rule()
    def the_server_restarts(self):
        self.world.restart()

    # What always holds

    @stateful.invariant()
    def holds(self):
        files = self.world.files
        waiting = {**self.section('.cds', 'filing'), **self.section('new')}
        for name, versions in self.versions.items():
            if not versions:
                continue
            if name in self.withdrawn:
                if self.clean or self.withdrawn[name] is not None:
                    assert files.get(name) == self.withdrawn[name], f'{name} was touched'
                continue
            if versions[-1] not in waiting.values():
                assert files.get(name) == versions[-1], f'{name} is lost'
            if not (self.direct and 'write' in files):
                assert files.get(name, versions[-1]) in versions, f'{name} is partial'
        for name in self.foreign:
            assert files.get(name) == FOREIGN, f'{name} is not ours'
        if self.clean:
            ours = {*files, *self.world.directories} - self.foreign
            assert not {n for n in ours if n in ('write', 'read') or _OURS.fullmatch(n)}, ours


class MemoryMachine(Machine):
    world_factory = MemoryWorld


class FaultMachine(Machine):
    world_factory = FaultWorld

    @stateful.initialize(direct=st.booleans())
    def send_directly(self, direct):
        self.direct = direct
        self.world.send_directly(direct)


class SFTPMachine(FaultMachine):
    world_factory = SFTPWorld


def check(machine, *, examples, steps=12):
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    stateful.run_state_machine_as_test(machine, settings=settings)


class Silent(unittest.TestCase):
    """What the runs say is not looked at here."""

    layer = layers.QUIET

    def setUp(self):
        handler = logging.NullHandler()
        logging.getLogger('zeit.cds').addHandler(handler)
        self.addCleanup(logging.getLogger('zeit.cds').removeHandler, handler)


class MachineTests(Silent):
    def test_in_memory(self):
        check(MemoryMachine, examples=25)


class AllMachineTests(Silent):
    level = 2

    def test_in_memory(self):
        check(MemoryMachine, examples=1000)

    def test_fault_server(self):
        check(FaultMachine, examples=100)

    def test_sftp(self):
        check(SFTPMachine, examples=60)
