"""Carries out a random scenario, and looks after each step whether the promise holds.

The server is the fault server, whose file tree tells of every change.  What is said there is the
`trace`, which a failure prints.
"""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import logging
import os
import pathlib
import signal
import threading
import time
from unittest import mock

from zeit.cds import errors, names
from zeit.cds.ftp import connection
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.spool import Spool
from zeit.cds.system.signals import ending
from zeit.cds.testing import actions, faults, ftpstore
from zeit.cds.tests.importing import Skipping
from zeit.cds.tests.killing import LOCAL, WIRE, Process, arm
from zeit.cds.tests.scenario import target


FOREIGN = b'the partner'
DIRECTORY = '/cds'

#: Seconds.  What waits for nothing has waited so long; a run without faults has patience.
IMPATIENT, PATIENT = 0.25, 10

#: What a run may end with, beside a signal.
CODES = {
    errors.DONE,
    errors.FILES_FAILED,
    errors.UNAVAILABLE,
    errors.LOCK_LEFT_BEHIND,
    errors.COME_BACK_LATER,
    errors.LOGIN_REFUSED,
    errors.CONFIGURATION,
}
ENDED = {-signal.SIGKILL, 128 + signal.SIGTERM}

#: A lock that is sent under its real name.
_BARE = {f'open {DIRECTORY}/{lock}' for lock in names.LOCKS}

#: A run ends so many seconds after its deadline at the latest.
GRACE = 60


class Tree(ftpstore.FileTree):
    """Calls `changed(what)` after each change, with the lock of the tree held."""

    changed = None

    def __init__(self, *args, keeps=False, **kw):
        self._keeps = keeps
        super().__init__(*args, **kw)

    def _tell(self, what):
        if self.changed is not None:
            self.changed(what)

    def put(self, path, content, *, modified=None):
        with self._lock:
            super().put(path, content, modified=modified)
            self._tell(f'put {path}')

    def open(self, path, *, keep):
        with self._lock:
            node = super().open(path, keep=keep)
            self._tell(f'open {path}')
            return node

    def write(self, node, data, *, at):
        with self._lock:
            super().write(node, data, at=at)
            self._tell(f'write {len(data)} bytes')

    def delete(self, path):
        with self._lock:
            before = bytes(self._file(path).content)
            super().delete(path)
            self._tell(f'delete {path}')
            self.deleted(path, before)

    def deleted(self, path, content):
        """A file was deleted."""

    def rename(self, source, target):
        with self._lock:
            if self._keeps and target in self._nodes and not self.stat(source).is_directory:
                raise ftpstore.failure(17, target)
            super().rename(source, target)
            self._tell(f'rename {source} to {target}')


@dataclasses.dataclass(frozen=True)
class Late(actions.Action):
    """The connection ends, and the server executes the command `after` further ones have come."""

    world: object
    after: int
    reset: bool

    def before(self, session, event):
        self.world.postpone(session, event, self.after)
        raise actions.Disconnect(reset=self.reset)


@dataclasses.dataclass(frozen=True)
class Slow(actions.Delay):
    """The server comes to the command when nobody waits for it any more, perhaps."""

    _: dataclasses.KW_ONLY
    world: object

    def before(self, session, event):
        if self.moment == 'before' and self.seconds > IMPATIENT:
            self.world.may_come_late(event)
        super().before(session, event)


class World:
    """One scenario.  `violations` are what was not as promised, `trace` what has happened."""

    def __init__(self, plan, folder):
        self.plan = plan
        self.folder = pathlib.Path(folder)
        (self.folder / 'spool').mkdir(parents=True)
        (self.folder / 'taken').mkdir()
        self.spool = Spool(self.folder / 'spool')
        self.trace = []
        self.violations = []
        self.time = Skipping()
        self.versions = {}  # name -> contents, in their order
        self.known = {}  # content -> name, number
        self.shown = set()  # contents that were whole on the server under their name
        self.newest = {}  # name -> the highest number that stood there
        self.at = {}  # name -> the number that stands there
        self.gone = set()  # contents that somebody took out of new/ again, or replaced
        self.foreign = {}  # path -> content
        self.in_doubt = set()  # contents that were imported by a run that was broken off
        self.torn = set()  # locks that were sent under their real name
        self.late = set()  # paths that the server may begin to overwrite at any time
        self.ghosts = []
        self._moment = time.time() - 360_000
        self._lock = threading.RLock()
        self._pending = []
        self._commands = 0
        self._process = None
        self._kill = None
        tree = Tree(directories=[DIRECTORY], keeps='keeps what exists' in plan.server)
        self.server = faults.FaultServer(
            hook=self._hook,
            data_timeout=1,
            max_connections=2 if 'few connections' in plan.server else None,
        )
        self.server.tree = tree
        tree.changed = self._changed
        tree.deleted = self._deleted
        self.temporary = dict(plan.target).get('temporary', True)

    def say(self, text):
        self.trace.append(text)

    def violated(self, text):
        self.trace.append(f'!!! {text}')
        self.violations.append(text)

    # The scenario

    def play(self):
        """Carry it all out; return what was not as promised, a list of str."""
        with self.server, mock.patch.object(connection, 'QUIT_TIMEOUT', 0.2), self._logging():
            self._permanent_faults()
            for number, run in enumerate(self.plan.runs):
                self.say(f'--- run {number}: {dict(run.options)}, killed: {run.kill}')
                self._run(run)
                self._check()
                if self.violations:
                    return self.violations
            self._end()
        return self.violations

    @contextlib.contextmanager
    def _logging(self):
        logger = logging.getLogger('zeit.cds')
        world = self

        class Handler(logging.Handler):
            def emit(self, record):
                if not record.name.startswith('zeit.cds.testing'):
                    world.say(f'    {record.levelname} {record.getMessage()}')
                    if record.exc_info:
                        world.say(f'    {record.exc_info[1]!r}')

        handler, before = Handler(), (logger.level, logger.propagate)
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.level, logger.propagate = before
            logger.setLevel(before[0])

    def _permanent_faults(self):
        for kind, verb in (('no MLSD', 'MLSD'), ('no EPSV', 'EPSV'), ('no MDTM', 'MDTM')):
            if kind in self.plan.server:
                self.server.fault(verb, faults.Reply('502 Not implemented.'))
        if 'no guard' in self.plan.server:
            self.server.fault('RNFR', faults.Reply('550 Not a file.'), path='*.d')

    def _run(self, run):
        for put in run.puts:
            if not put.at:
                self._put(put)
        with self._lock:
            self._pending = [put for put in run.puts if put.at]
            self._commands = 0
        for fault in run.faults:
            times = None if fault.times >= 1000 else fault.times
            action = self._action(fault)
            self.server.fault(fault.verb, action, nth=fault.nth, times=times)
        self._go(run)
        self.server.wait_closed()
        self.server.clear_faults()
        self._permanent_faults()
        with self._lock:
            left, self._pending = self._pending, []
        for put in left:
            self._put(put)
        self._flush()

    def _go(self, run):
        options = dict(run.options)
        started = time.monotonic()
        before = self.time.clock()
        function = functools.partial(self._once, IMPATIENT, **options)
        try:
            code = function() if run.kill is None else self._killed(function, *run.kill)
            if run.kill is not None:
                # Whoever takes it out of new/ before the next run has come may get it twice.
                self.in_doubt.update(self._imported())
        except Exception as error:  # noqa: BLE001 a run raises nothing of the kind
            self.violated(f'The run raised {error!r}')
            return
        took, passed = time.monotonic() - started, self.time.clock() - before
        self.say(f'    exit code {code}, {took:.2f} s')
        if code not in CODES and (run.kill is None or code not in ENDED):
            self.violated(f'The run ended with {code}')
        if min(took, passed) > options.get('deadline', 3600) + GRACE:
            self.violated(f'The run took {took} s')

    def _once(self, patience, **options):
        goal = target(
            self.server,
            **{
                **dict.fromkeys(('connect_timeout', 'reply_timeout', 'data_timeout'), patience),
                **dict(self.plan.target),
            },
        )
        way = {'clock': self.time.clock, 'wait': self.time.wait}
        if self.plan.direction == 'export':
            return Exporter(self.spool, goal, **way).run_once(Options(**options)).exit_code
        return Importer(self.spool, goal, **way).run_once(ImportOptions(**options)).exit_code

    def _killed(self, function, what, nth):
        log = self.folder / 'log'

        def end():
            signal.raise_signal(signal.SIGTERM)

        def fill():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def live():
            if what == 'local':
                arm(LOCAL, nth, moment='before')
            elif what == 'wire':
                arm(WIRE, nth, moment='after')
            elif what == 'signal':
                arm(LOCAL, nth, moment='after', die=end)
            elif what == 'signal at send':
                arm(WIRE, nth, moment='after', die=end)
            elif what == 'disk':
                arm(LOCAL, nth, moment='before', die=fill)
            try:
                with ending():
                    return function()
            except SystemExit as error:
                return error.code

        self._process = Process(live, log=log)
        self._kill = nth if what == 'command' else None
        code = self._process.run()
        self._kill = None
        if log.exists():
            self.trace += [f'    {line}' for line in log.read_text().splitlines()]
            log.unlink()
        return code

    def _end(self):
        """Two runs without faults leave nothing to do."""
        for path in list(self.foreign):
            self._unlock(path)
        self._unlock_torn()
        codes = []
        for number in range(4):
            if self.plan.direction == 'import':
                self._take_all()
            self.say(f'--- clean run {number}')
            connected = self.server.connected
            try:
                codes.append(self._once(PATIENT))
            except Exception as error:  # noqa: BLE001 the same
                self.violated(f'A clean run raised {error!r}')
                return
            self.server.wait_closed()
            self.say(f'    exit code {codes[-1]}')
            self._check()
            if number == 1:
                self._check_end()
        if codes[1:] != [0, 0, 0]:
            self.violated(f'Clean runs end with {codes}')
        if self.plan.direction == 'export' and self.server.connected != connected:
            self.violated('There is nothing to do, and a connection is made')

    # What happens

    def _put(self, put):
        with self._lock:
            self.say(f'    {put}')
            _HOWS[put.how](self, put.name)

    def _new(self, name):
        versions = self.versions.setdefault(name, [])
        seed = hashlib.sha256(f'{self.plan.seed} {name} {len(versions)}'.encode()).digest()
        size = (100, 2000, 2000, 2000, 100_000)[seed[0] % 5]
        # Mostly of one length, so that a size alone proves nothing.
        head = f'{name}, version {len(versions):04d}. '.encode()
        content = head + (b'x' * size)[: size - len(head)] if size > len(head) else head
        versions.append(content)
        self.known[content] = name, len(versions) - 1
        return content

    def _by_put(self, name):
        self.spool.put(name, self._new(name))

    def _rename(self, name):
        """As the CMS of 2009: a file is written in tmp/, and renamed."""
        for section in ('tmp', 'new'):
            (self.spool.path / section).mkdir(exist_ok=True)
        path = self.spool.path / 'tmp' / 'bare'
        path.write_bytes(self._new(name))
        os.rename(path, self.spool.path / 'new' / name)

    def _batch(self, name):
        with self.spool.batch() as batch:
            batch.put(name, self._new(name))
            batch.prepare()
            batch.commit()

    def _retry(self, name):
        """A person brings back what is parked, between runs."""
        with contextlib.suppress(errors.Error), self.spool.run():
            self.spool.retry(name)

    def _withdraw(self, name):
        aside = self.folder / 'withdrawn'
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.spool.path / 'new' / name, aside)
            self.gone.add(aside.read_bytes())

    def _their_lock(self, name):
        lock = 'read' if self.plan.direction == 'export' else 'write'
        path = f'{DIRECTORY}/{lock}'
        if path in self.foreign:
            self._unlock(path)
        else:
            with self.server.tree._lock:
                if path not in self.server.files:
                    self.foreign[path] = FOREIGN
                    self.server.put(path, FOREIGN)

    def _unlock(self, path):
        with self.server.tree._lock:
            del self.foreign[path]
            self.server.tree.delete(path)

    def _unlock_torn(self):
        """Do what a person does about a lock without a token, see docs/reliability.txt.

        Where names cannot be changed it is sent under its real name; a run that is broken off in
        the middle of that leaves one that nobody can tell from somebody else's.
        """
        tree = self.server.tree
        for path in sorted(self.torn):
            content = self.server.files.get(path)
            if content is not None and not names.token_of(content.decode('latin-1')):
                self.say(f'    a person removes {path}: {content}')
                tree.delete(path)

    def _partner(self, name):
        path = f'{DIRECTORY}/{name}'
        with self.server.tree._lock:
            if path not in self.server.files and not any(g.path == path for g in self.ghosts):
                # No two files of a name are of one second: nothing else would tell them apart.
                self._moment += 60
                self.server.put(path, self._new(name), modified=self._moment)

    def _take(self, name):
        with contextlib.suppress(FileNotFoundError):
            number = len(os.listdir(self.folder / 'taken'))
            os.rename(self.spool.path / 'new' / name, self.folder / 'taken' / str(number))

    def _take_all(self):
        with self._lock, contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.spool.path / 'new'):
                self._take(name)

    # On the server

    def _hook(self, event):
        if event.moment != 'before':
            if event.reply:
                reply = event.reply[:200].decode('utf-8', 'replace').strip()
                self.say(f'  {event.connection} < {reply}')
            return
        with self._lock:
            self._commands += 1
            self.say(f'  {event.connection} > {event.verb} {event.argument}'.rstrip())
            due = [put for put in self._pending if put.at <= self._commands]
            self._pending = [put for put in self._pending if put.at > self._commands]
        for put in due:
            self._put(put)
        self._tick()
        if self._kill is not None:
            self._kill -= 1
            if not self._kill:
                self._kill = None
                self.say('    killed')
                self._process.kill()

    def may_come_late(self, event):
        """Note the path of a STOR behind which a part may stand until the next run."""
        if event.verb == 'STOR' and not self.temporary:
            # Nothing else says so: see docs/reliability.txt.
            self.late.add(event.path)

    def postpone(self, session, event, after):
        """Let a command be executed later."""
        tree, path, source = self.server.tree, event.path, session.rename_source
        self.may_come_late(event)
        does = {
            'DELE': lambda: tree.delete(path),
            'RNTO': lambda: tree.rename(source, path) if source else None,
            'STOR': lambda: tree.open(path, keep=0),
            'MKD': lambda: tree.make_directory(path),
            'RMD': lambda: tree.remove_directory(path),
        }.get(event.verb)
        if does is not None:
            with self._lock:
                self.ghosts.append(_Ghost(after, event.verb, path, does))

    def _tick(self):
        with self._lock:
            for ghost in self.ghosts:
                ghost.left -= 1
            due = [ghost for ghost in self.ghosts if ghost.left <= 0]
            self.ghosts = [ghost for ghost in self.ghosts if ghost.left > 0]
        self._execute(due)

    def _flush(self):
        with self._lock:
            due, self.ghosts = self.ghosts, []
        self._execute(due)

    def _execute(self, ghosts):
        for ghost in ghosts:
            self.say(f'    late: {ghost.verb} {ghost.path}')
            with contextlib.suppress(OSError):
                ghost.does()

    def _action(self, fault):
        kind, value = fault.kind, fault.value
        if kind in ('refuse', 'foreign'):
            return faults.Reply(value)
        if kind == 'lie':
            return faults.Lie(value)
        if kind == 'twice':
            return faults.Twice()
        if kind == 'extra':
            return faults.Extra(value)
        if kind == 'chop':
            return faults.Chop(pause=0)
        if kind == 'linefeed':
            return faults.LineFeed()
        if kind == 'cut':
            return faults.Cut(value[0], reset=value[1])
        if kind == 'late':
            return Late(self, *value)
        if kind == 'silence':
            return faults.Silence(value)
        if kind == 'delay':
            return Slow(seconds=value[0], moment=value[1], world=self)
        if kind == 'cut data':
            return faults.CutData(value[0], reset=value[1], control=value[2])
        if kind == 'stall':
            return faults.StallData(value[0])
        if kind == 'alter':
            return faults.Alter(value[0], extra=b'' if value[1] else b'more')
        if kind == 'no mark':
            return faults.NoMark()
        if kind == 'early':
            return faults.ReplyEarly(value)
        if kind == 'late reply':
            return faults.ReplyLate(0.3)
        if kind == 'port':
            return faults.DataPort(value)
        raise ValueError(kind)

    # What must hold

    def _changed(self, what):
        """Look at every real name; called with the lock of the tree held, after each change."""
        tree = self.server.tree
        if not what.startswith('write '):
            self.say(f'    tree: {what}')
        if what in _BARE:
            self.torn.add(what.removeprefix('open '))
        for path, content in self.foreign.items():
            if path not in tree._nodes or tree._nodes[path].content != content:
                self.violated(f'{what}: the lock {path} of somebody else was touched')
        if self.plan.direction == 'import':
            return
        now = {}
        for path, node in list(tree._nodes.items()):
            name = path.removeprefix(f'{DIRECTORY}/')
            if node.is_directory or names.is_ours(name):
                continue
            content = bytes(node.content)
            of, number = self.known.get(content, ('', -1))
            if of != name:
                if path not in self.late and (self.temporary or not self._is_locked()):
                    size = len(content)
                    self.violated(f'{what}: {name} has {size} bytes that it should not have')
                continue
            now[name] = number
            self.shown.add(content)
            if self.at.get(name) != number and number < self.newest.get(name, -1):
                self.violated(f'{what}: version {number} of {name} came back')
            self.newest[name] = max(number, self.newest.get(name, -1))
        self.at = now

    def _is_locked(self):
        node = self.server.tree._nodes.get(f'{DIRECTORY}/write')
        return node is not None and bool(names.token_of((node.content or b'').decode('latin-1')))

    def _deleted(self, path, content):
        name = path.removeprefix(f'{DIRECTORY}/')
        if self.plan.direction == 'export' or names.is_ours(name) or path in self.foreign:
            return
        if content == FOREIGN:
            return
        if content not in self._imported():
            self.violated(f'{path} was deleted, and is not imported')

    def _imported(self):
        found = []
        for folder in (self.spool.path / 'new', self.spool.path / 'cur', self.folder / 'taken'):
            found += self._section(folder).values()
        return found

    @staticmethod
    def _section(folder):
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(folder):
                with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                    if not name.startswith('.'):
                        found[name] = (folder / name).read_bytes()
        return found

    def _check(self):
        """Look at the spool after a run."""
        path = self.spool.path
        if self.plan.direction == 'export':
            self._check_export(path)
        else:
            self._check_import()

    def _check_export(self, path):
        new, cur = self._section(path / 'new'), self._section(path / 'cur')
        parked = self._section(path / 'parked')
        filing = self._section(path / '.cds' / 'filing')
        here = {*new.values(), *cur.values(), *parked.values(), *filing.values()}
        for name, versions in self.versions.items():
            if versions[-1] not in here and versions[-1] not in self.gone:
                self.violated(f'version {len(versions) - 1} of {name} is lost')
        for name, content in cur.items():
            if content not in self.known:
                self.violated(f'cur/{name} is none of ours')
            elif content not in self.shown:
                self.violated(f'cur/{name} was never on the server')
        for name, content in new.items():
            if self.known.get(content, ('',))[0] != name:
                self.violated(f'new/{name} is something else')

    def _check_import(self):
        remote, here = self.server.files, self._imported()
        for content in here:
            if content not in self.known:
                self.violated(f'something partial was imported: {content[:50]}')
        for name, versions in self.versions.items():
            for number, content in enumerate(versions):
                times = here.count(content)
                if times > 1 + (content in self.in_doubt):
                    self.violated(f'version {number} of {name} was imported {times} times')
                if not times and remote.get(f'{DIRECTORY}/{name}') != content:
                    self.violated(f'version {number} of {name} is lost')

    def _check_end(self):
        """After two clean runs."""
        remote = {path.removeprefix(f'{DIRECTORY}/'): c for path, c in self.server.files.items()}
        directories = [d.removeprefix(f'{DIRECTORY}/') for d in self.server.directories]
        left = [name for name in (*remote, *directories) if names.is_ours(name)]
        if left:
            self.violated(f'Of ours there is left {left}')
        if self.plan.direction == 'import':
            if others := sorted(set(remote) - set(left)):
                self.violated(f'Not imported: {others}')
            return
        path = self.spool.path
        cur, new = {*self._section(path / 'cur').values()}, self._section(path / 'new')
        if new:
            self.violated(f'Still in new/: {sorted(new)}')
        for name, versions in self.versions.items():
            if versions[-1] in cur and remote.get(name) != versions[-1]:
                self.violated(f'{name} is filed, and the server has another version')
        with self.spool.run():
            if tokens := self.spool.journal.open_tokens(target(self.server).url):
                self.violated(f'Open tokens: {tokens}')


@dataclasses.dataclass
class _Ghost:
    left: int
    verb: str
    path: str
    does: object


#: What a `Put` says.
_HOWS = {
    'put': World._by_put,
    'rename': World._rename,
    'batch': World._batch,
    'retry': World._retry,
    'withdraw': World._withdraw,
    'their lock': World._their_lock,
    'partner': World._partner,
    'take': World._take,
}
