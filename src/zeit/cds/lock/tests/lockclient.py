"""The clients of the model of the lock: the real code, stopped at each command."""

import collections
import contextlib
import dataclasses
import sys

from zeit.cds import names
from zeit.cds.errors import ConnectionLost, Error, PermanentError
from zeit.cds.lock.leftovers import Leftovers
from zeit.cds.lock.lock import Lock
from zeit.cds.lock.lock_files import LockFiles


REFUSED, LOST = 'refused', 'lost'


def token(spool, run):
    """Return the token of the `run`th run of the exporter number `spool`."""
    return f'cds{spool:08x}{run:08x}'


class _Pause(BaseException):
    """The client waits for a reply that is not known yet."""


class _Session:
    """An `ISession` that knows the first replies, and stops its user at the command after them."""

    connections = 1

    #: Whether `perform` sends its commands in one packet.
    orderly = False

    #: Whether it tries whether they may be one.
    tries = False

    def __init__(self, replies):
        self._replies = collections.deque(replies)
        self.known = set()
        self.waiting = None
        self.behind = ()
        self.place = ()

    def _command(self, *command, behind=()):
        """`behind`: what was sent in the same packet, and comes after it."""
        if self.waiting is None and self._replies:
            verdict, value = self._replies.popleft()
            if verdict == REFUSED:
                raise PermanentError(550, '550 No.')
            if verdict == LOST:
                self.tries = False
                raise ConnectionLost(104, 'lost')
            return value
        if self.waiting is None:  # what follows is only the program's way out
            self.waiting, self.behind = command, tuple(behind)
            self.place = (self.orderly, self.tries, *_frames(sys._getframe(1)))
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

    def sizes(self, *names, followed=False, rename_follows=''):
        found = []  # with a name: what is on the stack only is no part of a `Point`
        for name in names:
            found.append(self.size(name))
        return found

    def store(self, name, data, *, rename_follows=''):
        self._command('STOR', name, data.decode().split()[0])  # the token, not the time
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

    def perform(self, *commands, followed=True, rename_follows='', trial=False):
        together = self.orderly or (trial and self.tries)
        found = self._executed(commands, together=together)
        if together and found == [None] * len(commands):
            self.orderly = True
        return found

    def _executed(self, commands, *, together):
        if commands[0][0] == 'MKD' and self.make_directory is _refused:
            return [PermanentError(550, '550 Permission denied.')]
        if commands[0][0] == 'RNTO':
            try:
                self._command('RNFR', commands[0][1])
            except PermanentError as error:
                return [error]
        found = []
        for number, command in enumerate(commands):
            try:
                behind = commands[number + 1 :] if together else ()
                found.append(self._performed(command, behind))
            except PermanentError as error:
                found.append(error)
                if not together:
                    break
        return found

    def _performed(self, command, behind):
        if command[0] != 'SIZE':
            return self._command(*command, behind=behind)
        found = []
        for name in command[1:]:
            found.append(self._command('SIZE', name, behind=behind))
        return found

    def reconnect(self):
        pass

    hurry = reconnect

    def work(self):
        """Be inside the lock."""
        self._command('work')


class Journal:
    """What of a spool's journal matters for the lock; `open` is a tuple of tokens."""

    def __init__(self, spool, run, left):
        self.open = left
        self._known = {token(spool, number) for number in range(1, run + 7)}
        self._further = (token(spool, number) for number in range(run + 4, run + 8))

    def open_tokens(self, target):
        return self.open

    def find(self, table, **wanted):
        return [*self._known] if table == 'tokens' else []

    def row(self, table, *key):
        return {'target': ''} if table == 'tokens' and {*key} <= self._known else None

    def note(self, kind, *, token):
        self.open = tuple(other for other in self.open if other != token)
        self.open += (token,) if kind == 'token' else ()

    def new_token(self, target):
        name = next(self._further)
        self.note('token', token=name)
        return name


def exporter(
    session, journal, name, *, lock_class=Lock, leftovers_class=Leftovers, proves=False, **options
):
    """Do what a run of an exporter does with the server, as far as the lock is concerned.

    `proves`: it is the first one on this server.  `options` are those of a `Lock`.
    """
    options = {'wait': lambda seconds: None, 'clock': lambda: 0, **options}
    leftovers = leftovers_class(session, journal=journal, target='', name='write')
    present = leftovers.remove()
    lock_class(session, token='', **options).glance(present, proves=proves)
    journal.note('token', token=name)
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
    journal.note('clean', token=name)


def unguarded(session, journal, name, **options):
    """Do the same with an account that may not make directories."""
    session.make_directory = _refused
    exporter(session, journal, name, **options)


def in_packets(session, journal, name, *, program=exporter, **options):
    """Do the same where the server is known to execute packets in order."""
    session.orderly = True
    program(session, journal, name, **options)


def announcing(session, journal, name, **options):
    """Do the same where it is known that there can be no guard."""
    exporter(session, journal, name, guards=False, **options)


def first(session, journal, name, **options):
    """Do the same where nothing is known."""
    exporter(session, journal, name, proves=True, **options)


def trying(session, journal, name, **options):
    """Do the same, and find out whether the server executes packets in order."""
    session.tries = True
    first(session, journal, name, **options)


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
    """Where a client stands: its command without an answer, None at the end, and its journal.

    `behind` are the commands of the same packet behind that one.
    """

    command: tuple | None
    left: tuple
    behind: tuple = ()


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
        point = Point(session.waiting, journal.open, session.behind)
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
        state = own['_state'], own['unreadable'], known
        return own['_token'], own['_name'], frozenset(own['_left']), state
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return tuple((key, _frozen(inner)) for key, inner in value.items())
    if isinstance(value, str | bytes | int | None):
        return value
    return type(value).__name__
