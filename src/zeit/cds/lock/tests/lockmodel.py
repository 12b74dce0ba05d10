"""A checker for the lock: every interleaving of some exporters, with crashes, cuts, late commands.

The clients are `zeit.cds.lock.lock` and `zeit.cds.lock.leftovers` themselves, not a copy of them.
Each runs over a session that stops it at every FTP command; it is brought back to that point by
running it again with the same replies, since it is deterministic.  Two points are the same if all
frames of the program stand at the same instruction with the same values.  The server is a value, a
frozenset of (path, content), a directory having None for content, and a function on it.

The search is breadth first, so that a violation comes with a shortest way to it.  What is assumed
and what is checked is written down in `docs/lock.txt`.
"""

import collections
import dataclasses
import functools
import itertools

from zeit.cds import names
from zeit.cds.lock.tests import modelserver
from zeit.cds.lock.tests.lockclient import LOST, REFUSED, Client, token


#: Commands whose arguments are all that they touch.
_OF_ONE = ('SIZE', 'STOR', 'RNFR', 'RNTO', 'DELE', 'MKD', 'RMD')


class Violation(AssertionError):
    """The model found what must not be; its text is the way there."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What was explored: how many states, transitions between them, ends."""

    states: int
    transitions: int
    ends: int
    points: int


class Model:
    """Clients (a list of programs) on one server.

    `runs` is how many runs each spool makes (one int for all, or a tuple), `crashes` how many of
    them die in all, `cuts` how often in all a reply is lost to a client that goes on.
    `replaces`: RNTO replaces a file; `merges`: it merges directories.
    `late_removal` gives up the assumption about the removal of a lock.  `check_ends` is for
    exporters only: nothing may be left that other runs cannot put in order.
    """

    def __init__(
        self,
        programs,
        *,
        runs=1,
        crashes=0,
        cuts=0,
        replaces=True,
        merges=False,
        late_removal=False,
        check_ends=True,
        present=(),
    ):
        self.clients = [Client(number, program) for number, program in enumerate(programs, 1)]
        self.partners = frozenset()
        self._runs = (runs,) * len(programs) if isinstance(runs, int) else runs
        self._own = {
            who: tuple(token(who, run) for run in range(1, max(self._runs) + 12))
            for who in range(1, len(programs) + 1)
        }
        self._late_removal = late_removal
        self._check_ends = check_ends
        self._execute = functools.cache(
            functools.partial(modelserver.execute, replaces=replaces, merges=merges)
        )
        self._first = (
            frozenset(present),
            tuple((1, (), client.start(1, ())) for client in self.clients),
            (),
            crashes,
            cuts,
        )
        self._seen = {self._first: None}
        self._healed = set()

    def explore(self, *, limit=5_000_000):
        """Visit every state; return the `Result`.  Raises `Violation`."""
        queue = collections.deque([self._first])
        transitions = ends = 0
        while queue:
            state = queue.popleft()
            ends += self._check(state)
            for label, after in self._successors(state):
                transitions += 1
                after = _without_idle(after)
                if after not in self._seen:
                    self._seen[after] = (state, label)
                    queue.append(after)
            if len(self._seen) > limit:
                raise Violation(f'There are more than {limit} states')
        return Result(len(self._seen), transitions, ends, sum(map(len, self.clients)))

    # What may happen next

    def _successors(self, state):
        server, clients, late, crashes, cuts = state
        alone = self._alone(clients, late)
        for index, (run, left, number) in enumerate(clients):
            if alone is not None and index != alone:
                continue
            who, client = index + 1, self.clients[index]

            def state_with(new, *, server=server, late=late, crashes=crashes, cuts=cuts, at=index):
                others = (*clients[:at], new, *clients[at + 1 :])
                return server, others, late, crashes, cuts

            if number is None:
                if run < self._runs[index]:
                    new = (run + 1, left, client.start(run + 1, left))
                    yield f'{who}: a new run', state_with(new)
                continue
            command = client.point(number).command
            for after, reply in self._answers(server, command, self._own[who]):
                new = self._moved(client, run, number, reply)
                yield f'{who}: {_shown(command)} -> {reply}', state_with(new, server=after)
            behind = client.point(number).behind
            for fate, after, pending in self._fates(server, (command, *behind), late):
                if crashes:
                    dead = (run, client.point(number).left, None)
                    yield (
                        f'{who}: {_shown(command)} {fate}, killed',
                        state_with(dead, server=after, late=pending, crashes=crashes - 1),
                    )
                if cuts and (behind or command[0] in modelserver.CHANGING + ('RNFR',)):
                    new = self._moved(client, run, number, (LOST, None))
                    yield (
                        f'{who}: {_shown(command)} {fate}, no reply',
                        state_with(new, server=after, late=pending, cuts=cuts - 1),
                    )
        for packet in sorted(set(late)):
            rest = list(late)
            rest.remove(packet)
            command, *behind = packet
            after = self._execute(server, command)[0]
            rest = _with(rest, behind)
            yield f'late: {_shown(command)}', (after, clients, rest, crashes, cuts)

    def _alone(self, clients, late):
        """Return a client whose next command has nothing to do with the others, or None.

        Its command names only what carries its own token, so it makes no difference when the
        others go on: they need not go on before it (a persistent set of transitions).
        """
        awaited = {names.token_of(name) for packet in late for each in packet for name in each[1:3]}
        for index, (_, _, number) in enumerate(clients):
            if number is not None:
                verb, *arguments = self.clients[index].point(number).command
                if verb in _OF_ONE and all(map(_is_own, arguments[:2])):
                    if names.token_of(arguments[0]) not in awaited:
                        return index
        return None

    def _moved(self, client, run, number, reply):
        number = client.step(number, reply)
        point = client.point(number)
        return (run, point.left, number) if point.command else (run, point.left, None)

    def _answers(self, server, command, own):
        """Yield (server afterwards, reply); a listing is not the picture of one moment."""
        if command[0] == 'work':
            yield server, ('done', None)
        elif command[0] == 'MLSD':
            after, reply = self._execute(server, command)
            yield after, _of_interest(reply, own)
        elif command[0] == 'MLSD, the end':
            _, inside, first = command
            verdict, value = _of_interest(self._execute(server, ('MLSD', inside))[1], own)
            last = frozenset() if verdict == REFUSED else value
            unsure = sorted(first ^ last)
            for number in range(len(unsure) + 1):
                for some in itertools.combinations(unsure, number):
                    yield server, ('done', (first & last) | frozenset(some))
        else:
            yield self._execute(server, command)

    def _fates(self, server, packet, late):
        """Yield what may become of commands in one packet whose replies nobody sees.

        They are executed in their order, each at any moment; or from one of them on never.
        """
        yield 'is lost', server, late
        packet = [command for command in packet if command[0] in modelserver.CHANGING]
        if not packet:
            return
        command, *behind = packet
        if command[0] == 'DELE' and command[1] in names.LOCKS and not self._late_removal:
            yield 'is executed', self._execute(server, command)[0], _with(late, behind)
        else:
            yield 'is late', server, _with(late, packet)

    # What must be true

    def _check(self, state):
        server, clients, late, *_ = state
        inside = [
            index + 1
            for index, (_, _, number) in enumerate(clients)
            if number is not None
            and index + 1 not in self.partners
            and self.clients[index].point(number).command == ('work',)
        ]
        if len(inside) > 1:
            self._violated(f'{inside} are inside the lock', state)
        if any(number is not None for _, _, number in clients):
            return 0
        if self._check_ends:
            self._check_end(state)
        return 1

    def _check_end(self, state):
        server, clients, late, *_ = state
        key = (server, tuple(left for _, left, _ in clients), late)
        if key in self._healed:
            return
        self._healed.add(key)
        for order in itertools.permutations(range(len(clients))):
            now = server
            runs = [(run + 1, left) for run, left, _ in clients]
            # Who comes first may meet what another one left, and stops.
            for turn in range(3):
                if turn == 2:
                    for command in itertools.chain(*late):
                        now = self._execute(now, command)[0]
                for index in order:
                    now, left, worked = self._undisturbed(now, index, *runs[index])
                    runs[index] = (runs[index][0] + 1, left)
                    if turn and not worked:
                        self._violated(f'{index + 1} cannot lock any more: {sorted(now)}', state)
                if now and turn == 1:
                    self._violated(f'Something stays for ever: {sorted(now)}', state)

    def _undisturbed(self, server, index, run, left):
        client, worked = self.clients[index], False
        number = client.start(run, left)
        while (command := client.point(number).command) is not None:
            worked = worked or command == ('work',)
            server, reply = next(iter(self._answers(server, command, self._own[index + 1])))
            number = client.step(number, reply)
        return server, client.point(number).left, worked

    def _violated(self, what, state):
        way = []
        while self._seen[state] is not None:
            state, label = self._seen[state]
            way.append(label)
        raise Violation('\n'.join([what, *reversed(way)]))


def _without_idle(state):
    """Forget a late command that can do nothing any more: what it names is gone for good."""
    server, clients, late, crashes, cuts = state
    if len(late) == 1 and len(late[0]) == 1:
        ((verb, name, *_),) = late[0]
        if verb in ('RNTO', 'RMD', 'DELE') and _is_own(name) and name not in dict(server):
            return server, clients, (), crashes, cuts
    return state


def _with(late, packet):
    """Return what is late, with a packet of which there may be nothing left."""
    return tuple(sorted((*late, tuple(packet)))) if packet else tuple(late)


def _of_interest(reply, own):
    """Leave out of a listing what belongs to others: nobody looks for it."""
    verdict, value = reply
    if verdict == REFUSED:
        return reply
    return verdict, frozenset(n for n in value if _is_seen(n) or names.token_of(n) in own)


def _is_own(name):
    """Tell whether nobody looks at the name who does not know its token."""
    return names.token_of(name) and not _is_seen(name.partition('/')[0])


def _is_seen(name):
    return name in (*names.LOCKS, names.GUARD) or names.is_announced(name)


def _shown(command):
    return ' '.join(str(word) for word in command if isinstance(word, str))
