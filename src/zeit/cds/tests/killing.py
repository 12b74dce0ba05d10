"""What the kill tests have in common: real processes, the places to kill them, what holds after.

The exporter runs in a forked process, and dies of SIGKILL: nothing of it is tidied up by Python.
Where it dies is counted, from the first place on, until a run gets through without being killed:
so a new step in the exporter is one more place, and nobody has to remember it.
"""

import contextlib
import functools
import hashlib
import itertools
import logging
import os
import shutil
import signal
import threading
import traceback
import warnings
import zlib

from zeit.cds.ftp.stream import Stream
from zeit.cds.names import _OURS
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.testing import faults
from zeit.cds.tests import remembered
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.sampling import SEED, every


#: Seconds after which a process of ours ends itself, so that no test waits for ever.
LONGEST = 120

#: The exit code of a process with a bug, and the traceback in its log.
BUG = 70

#: The moves that replace nothing: the last step of the way to `cur/` is one.
MOVES = [(files, '_renameat2')]

#: What the exporter changes on the local disk, step by step.
LOCAL = [
    *((os, name) for name in ('fsync', 'rename', 'replace', 'write', 'pwrite', 'ftruncate')),
    *((os, name) for name in ('link', 'unlink', 'mkdir', 'chmod', 'fchmod')),
    *MOVES,
]

#: Everything that it sends: commands, and pieces of data.
WIRE = [(Stream, 'send')]


class Process:
    """A forked process that runs `function()`; its exit code is what that returns.

    `log` is the file that gets its log and traceback.  A context manager, which ends it.
    """

    def __init__(self, function, *, log):
        self._function = function
        self._log = log
        self._forked = threading.Event()
        self._pid = None

    def __repr__(self):
        return f'<Process {self._pid}>'

    def run(self):
        """Start it, wait for its end; return its exit code, negative for a signal."""
        with warnings.catch_warnings():
            # Python 3.12 warns of a fork beside threads: those of the server hold no lock that
            # the child takes.
            warnings.simplefilter('ignore', DeprecationWarning)
            self._pid = os.fork()
        if not self._pid:
            self._live()
        self._forked.set()
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)

    def _live(self):
        code = BUG
        try:
            signal.alarm(LONGEST)
            handler = logging.FileHandler(self._log)
            logger = logging.getLogger('zeit.cds')
            logger.handlers, logger.propagate = [handler], False
            logger.setLevel(logging.DEBUG)
            code = self._function()
        except BaseException:  # noqa: BLE001 the process ends here, whatever it was
            with open(self._log, 'a') as file:
                traceback.print_exc(file=file)
        finally:
            os._exit(code)

    def kill(self):
        """Kill it, from another thread than the one that waits; it is dead on return."""
        if not self._forked.wait(LONGEST):
            raise TimeoutError('There is no process to be killed')
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)


def die():
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def is_data(stream, data, **kw):
    """Tell whether a call of `Stream.send` is for a data connection; no file here ends in CRLF."""
    return bytes(data[-2:]) != b'\r\n'


def arm(seams, nth, *, moment, die=die, only=lambda *args, **kw: True):
    """Let this process die at the `nth` (from 1) call of one of `seams` (owner, name).

    `only` tells from a call's arguments whether it counts.
    `moment` is 'before' or 'after' the call, or in the middle of it ('half'): then half of what
    it was to write is written.
    """
    calls = itertools.count(1)

    def deadly(original):
        @functools.wraps(original)
        def call(*args, **kw):
            if not only(*args, **kw) or next(calls) != nth:
                return original(*args, **kw)
            try:
                if moment == 'half':
                    target, data, *rest = args
                    original(target, data[: len(data) // 2], *rest, **kw)
                elif moment == 'after':
                    original(*args, **kw)
            finally:
                die()

        return call

    for owner, name in seams:
        setattr(owner, name, deadly(getattr(owner, name)))


class Killer:
    """A hook of the fault server: it kills a process when the `nth` (from 1) command comes.

    `moment`: 'lost' (it is never executed), 'late' (it is executed when its sender is dead), or
    'executed' (and the sender never gets the answer).
    """

    def __init__(self):
        self.process, self._nth, self._moment = None, 0, 'lost'

    def aim(self, process, nth, *, moment):
        """Begin to count."""
        self.process, self._nth, self._moment = process, nth, moment

    def __call__(self, event):
        wanted = 'executed' if self._moment == 'executed' else 'before'
        if self.process is None or event.moment != wanted:
            return
        self._nth -= 1
        if self._nth == 0:
            self.process.kill()
            if self._moment == 'lost':
                event.server.fault('*', faults.Cut(), times=1)


class Killing:
    """Mixin for a TestCase: a spool, a server's directory, runs, and what must hold after them.

    Subclasses have `anew`, `target`, `remote`, `settled`.
    """

    names = ('a.xml', 'b.xml')
    size = 4000
    occupied = ()
    older_size = None  # the same
    direct = False
    settling = 0  # so many runs more until one does not even connect
    stride = every(3)  # only every so many-th place
    wire = WIRE

    def setUp(self):
        super().setUp()
        self.positions = self.resent = self.replaced = 0
        # Each test, and each `everywhere` of a test, has places of its own, the same with a seed.
        self.combination = zlib.crc32(self.id().encode()) + SEED
        self.folder = in_memory(self)

    def anew(self):
        """Provide an empty directory on the server."""
        raise NotImplementedError

    def target(self):
        """Return the target."""
        raise NotImplementedError

    def remote(self):
        """Return what is in the directory on the server: bytes by name, None for a directory."""
        raise NotImplementedError

    def settled(self):
        """Wait until the server has noticed that its client is dead."""

    @property
    def older(self):
        """What an occupied name has: of the same size, so that a size alone proves nothing."""
        return (b'older. ' * self.size)[: self.older_size or self.size]

    def begin(self):
        """Start anew: two files wait."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.log = self.folder / 'log'
        path = self.folder / 'spool'
        path.mkdir()
        self.spool = Spool(path)
        self.offered = {}
        #: The content of what was put, and its version, by SHA-256.
        self.told = {}
        for name in self.names:
            self.put(name, b'first')
        self.anew()

    def put(self, name, word):
        data = (b'%s of %s. ' % (word, name.encode())) * (self.size // 10)
        self.offered[name] = data = data[: self.size]
        told = self.told[hashlib.sha256(data).hexdigest()] = name, word.decode()
        self.spool.put(name, data, content=told[0], content_version=told[1])

    def export(self):
        """One run in this process; return its log."""
        with self.assertLogs('zeit.cds', 'DEBUG') as logs:
            exporter = Exporter(self.spool, self.target(), wait=lambda seconds: None)
            report = exporter.run_once(Options(order='name'))
        log = '\n'.join(record.getMessage() for record in logs.records)
        self.assertEqual(0, report.exit_code, log)
        return log

    def child(self, *arming, **kw):
        """Return a `Process` that exports, armed by `arm(*arming, **kw)`, if given."""

        def run():
            if arming:
                arm(*arming, **kw)
            exporter = Exporter(self.spool, self.target(), wait=lambda seconds: None)
            return exporter.run_once(Options(order='name')).exit_code

        return Process(run, log=self.log)

    def section(self, *names):
        path = self.spool.path.joinpath(*names)
        return {entry.name: entry.read_bytes() for entry in path.iterdir()} if path.exists() else {}

    # The places

    def everywhere(self, kill, *, after, stride=None):
        """Kill at each place: `kill(nth)` returns the exit code; `after` is what comes then.

        `stride`: at every so many-th place, by default those of the class.
        """
        self.combination += 1
        stride = stride or self.stride
        first = 1 + self.combination % stride
        for nth in itertools.count(first, stride):
            with self.subTest(nth=nth):
                self.begin()
                code = kill(nth)
                self.settled()
                if code == -signal.SIGKILL:
                    self.positions += 1
                    self.nothing_lost()
                    after()
            if code != -signal.SIGKILL:
                break
        self.assertEqual(0, code, self.log.read_text())
        self.assertGreater(nth, 3)

    def kill_itself(self, seams, **kw):
        """Return a `kill` for `everywhere`: the process does it, by `arm(seams, nth, **kw)`."""
        return lambda nth: self.child(seams, nth, **kw).run()

    # What holds

    def nothing_lost(self):
        """After a kill: each file is in the spool or complete on the server, none is partial."""
        remote = self.remote()
        waiting = {**self.section('.cds', 'filing'), **self.section('new')}
        for name, data in self.offered.items():
            if name not in waiting:
                self.assertEqual(data, remote.get(name), f'{name} is lost')
            if 'write' not in remote or not self.direct:
                self.assertIn(remote.get(name, data), (data, self.older), f'{name} is partial')

    def converge(self):
        """The second run delivers all, the third does nothing."""
        complete = {n for n, data in self.remote().items() if data == self.offered.get(n)}
        log = self.export()
        self.resent += sum(f'Uploading: {name}' in log for name in complete)
        self.check(self.offered)
        self.rest()

    def correct(self):
        """A correction of the same length came in between: it is delivered, never filed unsent.

        What was delivered before, and on its way to `cur/`, gets there with a receipt.
        """
        remote, filing = self.remote(), self.section('.cds', 'filing')
        replaced = {name: data for name, data in filing.items() if data == remote.get(name)}
        for name in self.names:
            self.put(name, b'newer')
        log = self.export()
        for name in self.names:
            self.assertIn(f'Uploading: {name}', log)
        self.check(self.offered, corrected=True)
        for name, data in replaced.items():
            self.replaced += 1
            self.assertEqual(1, [*self.section('cur').values()].count(data), log)
            receipts = remembered.receipts(self.spool.path / '.cds', name)
            self.assertIn(
                hashlib.sha256(data).hexdigest(), [receipt['sha256'] for receipt in receipts], log
            )
        self.assertEqual({}, self.section('parked'), log)
        self.rest()

    def empty(self):
        """What waited has been taken away: what was left on the server is removed all the same.

        An older file stays, unless the server had begun to overwrite it.
        """
        whole = {name: (self.older, data) for name, data in self.offered.items()}
        for name in self.section('new'):
            (self.spool.path / 'new' / name).unlink()
            if name in self.offered and name not in self.section('.cds', 'filing'):
                del self.offered[name]
        remote = self.remote()
        log = self.export()
        self.clean()
        self.assertEqual({}, self.section('new'))
        left = self.remote()
        self.assertLessEqual(set(left), set(self.names))
        for name, data in left.items():
            self.assertIn(data, whole[name], f'{name} is partial\n{log}')
        for name in self.occupied:
            if not self.direct or remote.get(name) in whole[name]:
                self.assertIn(name, left, log)
        self.rest()

    def check(self, offered, *, corrected=False):
        self.assertEqual(offered, self.remote())
        self.clean()
        self.assertEqual({}, self.section('new'))
        filed = list(self.section('cur').values())
        for name, data in offered.items():
            self.assertEqual(1, filed.count(data), sorted(self.section('cur')))
            receipts = list(remembered.receipts(self.spool.path / '.cds', name))
            self.assertTrue(receipts, f'no receipt of {name}')
            self.assertEqual(len(data), receipts[-1]['size'])
            for each in receipts:
                told = each.get('content'), each.get('content_version')
                self.assertEqual(self.told[each['sha256']], told)
        if not corrected:
            self.assertEqual(len(offered), len(filed), sorted(self.section('cur')))

    def clean(self):
        """Nothing of ours is left."""
        ours = {n for n in self.remote() if n in ('write', 'read') or _OURS.fullmatch(n)}
        self.assertEqual(set(), ours)
        self.assertEqual({}, self.section('.cds', 'filing'))
        for section in ('tmp', 'cur'):
            self.assertFalse([n for n in self.section(section) if n.startswith('.')])

    def rest(self):
        """A further run changes nothing, and does not even connect."""
        for _ in range(self.settling):
            self.export()
        before = self.state()
        self.assertNotIn('Connecting', self.export())
        self.assertEqual(before, self.state())

    def state(self):
        journal = remembered.journal(self.spool.path)
        return self.remote(), self.section('cur'), self.section('new'), journal
