"""The clients of the model of the lock: the real code, stopped at each command."""

import collections
import contextlib
import dataclasses
import sys

from zeit.cds import names
from zeit.cds.errors import ConnectionLost, Error, PermanentError
from zeit.cds.leftovers import Leftovers
from zeit.cds.lock import Lock
from zeit.cds.lockfiles import LockFiles


REFUSED, LOST = 'refused', 'lost'


def token(spool, run):
    """Return the token of the `run`th run of the exporter number `spool`."""
    return f'cds{spool:08x}{run:08x}'


class _Pause(BaseException):
    """The client waits for a reply that is not known yet."""


class _Session:
    """An `ISession` that knows the first replies, and stops its user at the command after them."""

    connections = 1

    def __init__(self, replies):
        self._replies = collections.deque(replies)
        self.known = set()
        self.waiting = None
        self.place = ()

    def _command(self, *command):
        if self.waiting is None and self._replies:
            verdict, value = self._replies.popleft()
            if verdict == REFUSED:
                raise PermanentError(550, '550 No.')
            if verdict == LOST:
                raise ConnectionLost(104, 'lost')
            return value
        if self.waiting is None:  # what follows is only the program's way out
            self.waiting = command
            self.place = tuple(_frames(sys._getframe(1)))
        raise _Pause

    def names(self, *, inside=''):
        first = self._command('MLSD', inside)
        return set(self._command('MLSD, the end', inside, first))

    def size(self, name):
        return self._command('SIZE', name)

    def modified(self, name):
        return None

    def read(self, name, *, limit=4096):
        content = self._command('RETR', name)
        if content is None:
            if self.size(name) is not None:
                raise PermanentError(550, '550 It may not be read.')
            return None
        return content.encode()

    def sizes(self, *names, more=False):
        found = []  # with a name: what is on the stack only is no part of a `Point`
        for name in names:
            found.append(self.size(name))
        return found

    def store(self, name, data):
        self._command('STOR', name, data.decode())
        self.size(name)

    def exists(self, name):
        return self.size(name) is not None or name in self.names()

    def is_shown(self, present):
        return True

    def tells_sizes(self):
        return True

    def rename(self, old, new):
        self._command('RNFR', old)
        self._command('RNTO', old, new)

    def delete(self, name):
        self._command('DELE', name)

    def make_directory(self, name):
        self._command('MKD', name)

    def remove_directory(self, name):
        self._command('RMD', name)

    def refresh(self):
        pass

    hurry = refresh

    def work(self):
        """Be inside the lock."""
        self._command('work')


class Journal:
    """What of a spool's journal matters for the lock; `open` is a tuple of tokens."""

    def __init__(self, spool, run, left):
        self.open = left
        self._known = {token(spool, number) for number in range(1, run)}
        self._further = (token(spool, number) for number in range(run + 4, run + 8))

    def open_tokens(self, target):
        return self.open

    def tokens(self):
        return self._known

    def knows(self, name):
        return name in self._known

    def where(self, name):
        return ''

    def find(self, table, *, target):
        return []

    def note(self, name):
        self.open += (name,)

    def new_token(self, target):
        name = next(self._further)
        self.note(name)
        return name

    def clean(self, name):
        self.open = tuple(other for other in self.open if other != name)


def exporter(
    session, journal, name, *, lock_class=Lock, leftovers_class=Leftovers, proves=False, **options
):
    """Do what a run of an exporter does with the server, as far as the lock is concerned.

    `proves`: it is the first one on this server.  `options` are those of a `Lock`.
    """
    options = {'wait': lambda seconds: None, 'clock': lambda: 0, **options}
    leftovers = leftovers_class(session, journal=journal, target='', name='write')
    present = leftovers.remove()
    lock_class(session, token='', **options).look(present=present)
    journal.note(name)
    lock = lock_class(session, token=name, **options)
    lock._content = name.encode()
    try:
        if proves:
            lock.prove()
        lock.create()
        session.work()
    except Error:
        failed = True
    else:
        failed = False
    del failed  # nothing depends on it
    if lock.touched:
        lock.release()
    journal.clean(name)


def unguarded(session, journal, name, **options):
    """Do the same with an account that may not make directories."""
    session.make_directory = _refused
    exporter(session, journal, name, **options)


def announcing(session, journal, name, **options):
    """Do the same where it is known that there can be no guard."""
    exporter(session, journal, name, guards=False, **options)


def first(session, journal, name, **options):
    """Do the same where nothing is known."""
    exporter(session, journal, name, proves=True, **options)


def _refused(name):
    raise PermanentError(550, '550 Permission denied.')


def partner(session, journal, name, *, lock=names.READ):
    """Do what the convention wants, and no more: look, create, work, remove."""
    if not session.names().intersection(names.LOCKS):
        session.store(lock, b'partner')
        session.work()
        session.delete(lock)


@dataclasses.dataclass(frozen=True)
class Point:
    """Where a client stands: its command without an answer, None at the end, and its journal."""

    command: tuple | None
    left: tuple


class Client:
    """All that one spool's runs may ever do; `point(number)` tells where that is."""

    def __init__(self, spool, program):
        self._spool = spool
        self._program = program
        self._points = []
        self._histories = []
        self._known = {}
        self._next = {}

    def __len__(self):
        return len(self._points)

    def point(self, number):
        return self._points[number]

    def start(self, run, left):
        """Return the number of the first point of a run, whose journal has the tokens `left`."""
        return self.step(None, (run, left))

    def step(self, number, reply):
        """Return the number of the point that follows on another one by a reply."""
        if (number, reply) not in self._next:
            before = () if number is None else self._histories[number]
            self._next[number, reply] = self._replayed((*before, reply))
        return self._next[number, reply]

    def _replayed(self, history):
        (run, left), *replies = history
        session, journal = _Session(replies), Journal(self._spool, run, left)
        with contextlib.suppress(_Pause, Error):
            self._program(session, journal, token(self._spool, run))
        point = Point(session.waiting, journal.open)
        key = (run, point, session.place)
        if key not in self._known:
            self._known[key] = len(self._points)
            self._points.append(point)
            self._histories.append(history)
        return self._known[key]


def _frames(frame):
    while frame.f_code.co_name != '_replayed':
        values = tuple((name, _frozen(value)) for name, value in frame.f_locals.items())
        yield frame.f_code.co_name, frame.f_lasti, values
        frame = frame.f_back


def _frozen(value):
    """Return something that is equal for values which a program cannot tell apart."""
    if isinstance(value, LockFiles):
        own = vars(value)
        known = own.get('guards')
        return own['_token'], own['_name'], frozenset(own['_left']), own['_state'], known
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return tuple((key, _frozen(inner)) for key, inner in value.items())
    if isinstance(value, str | bytes | int | None):
        return value
    return type(value).__name__
