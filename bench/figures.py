"""Results, and what follows from several of them."""

import collections
import dataclasses
import json
import random
import statistics


#: Samples with replacement that the interval comes from.
RESAMPLES = 2000

#: More rounds than one call makes.
MANY = 10_000

#: Of fewer rounds than this the spread is that of the rounds themselves.
ENOUGH = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """One run of one client, or why it failed (`error`).

    `round_trips` and `fsyncs` are per file, but those of a run with few files are all of them;
    `until_first`: seconds from the start of the program to the STOR of the first article.  `times`
    the CPU, and `growth` of memory, in bytes: see `bench.past`.  `served`: the CPU of the status
    page, in seconds a second.
    """

    row: str
    server: str
    client: str
    turn: int
    seconds: float = 0
    cpu: float = 0
    peak: int = 0
    round_trips: float | None = None
    commands: float | None = None
    per_file: float | None = None
    fsyncs: float | None = None
    until_first: float | None = None
    times: float | None = None
    growth: int | None = None
    served: float | None = None
    error: str = ''


def dump(result):
    """Return a result as a line of JSON."""
    return json.dumps(dataclasses.asdict(result))


def load(lines):
    """Return the results of such lines; rounds of a row that was measured again come after."""
    found, again = [], collections.Counter()
    for line in lines:
        if line.startswith('{"row"'):
            result = Result(**json.loads(line))
            key = result.row, result.server, result.client, result.turn
            turn = result.turn + MANY * again[key]
            again[key] += 1
            found.append(dataclasses.replace(result, turn=turn))
    return found


def select(results, row, server, client=None):
    """Return the good results of a row on a server, for one client if it is named."""
    return [
        r
        for r in results
        if (r.row, r.server) == (row, server) and client in (None, r.client) and not r.error
    ]


def values(results, name):
    """Return what the results have as `name`."""
    return [value for r in results if (value := getattr(r, name)) is not None]


def median(results, name):
    """Return the median of what the results have as `name`, None if that is nothing."""
    found = values(results, name)
    return statistics.median(found) if found else None


def worst(results, name):
    """Return the greatest of what the results have as `name`, None if that is nothing."""
    return max(values(results, name), default=None)


def ratios(results, row, server, *, ours, peer):
    """Return peer's seconds / our seconds for each round in which both arrived."""
    return [theirs / mine for mine, theirs in _pairs(results, row, server, ours, peer)]


def differences(results, row, server, *, goal):
    """Return our seconds - peer's seconds for each round in which both arrived."""
    return [mine - theirs for mine, theirs in _pairs(results, row, server, goal.ours, goal.peer)]


def _pairs(results, row, server, ours, peer):
    mine = {r.turn: r.seconds for r in select(results, row, server, ours)}
    theirs = {r.turn: r.seconds for r in select(results, row, server, peer)}
    return [(mine[turn], theirs[turn]) for turn in sorted(mine.keys() & theirs.keys())]


def interval(values):
    """Return the spread of the median of `values`: the bootstrap interval, 95 %.

    Of few values it is the least and the greatest, of one None.
    """
    if len(values) < ENOUGH:
        return (min(values), max(values)) if len(values) > 1 else None
    chance = random.Random(0)  # the same figures give the same interval
    medians = sorted(
        statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975) - 1]


def fastest(results, row, server, *, except_for):
    """Return the name of the client with the least median of seconds, '' if there is none."""
    names = {r.client for r in select(results, row, server)} - set(except_for)
    return min(
        sorted(names),
        key=lambda name: median(select(results, row, server, name), 'seconds'),
        default='',
    )
