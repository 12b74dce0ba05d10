"""The figures as text."""

import statistics

from bench import figures
from bench.rows import DIGEST, DIRECT, OURS, SAFE


MIB = 1024 * 1024


def row_table(row, server, results):
    """Return the lines for one row on one server, '' at the end; none if nothing was measured."""
    if not any((r.row, r.server) == (row.name, server) for r in results):
        return []
    rounds = len({r.turn for r in figures.select(results, row.name, server)})
    title = f'{server}: {row.title}'
    if not (row.wake or row.past):
        title += f'; {rounds} round{"s" * (rounds != 1)}'
    columns = [column for column in _columns(row) if column.wanted(row, server, results)]
    lines = [title, '-' * len(title)]
    lines.append(f'{"":26}' + ''.join(f'{c.title:>{c.width}}' for c in columns))
    for client in row.clients:
        found = figures.select(results, row.name, server, client)
        errors = [
            r.error
            for r in results
            if (r.row, r.server, r.client) == (row.name, server, client) and r.error
        ]
        if found:
            cells = (c.cell(row, server, results, client) for c in columns)
            lines.append(
                f'{client:26}'
                + ''.join(f'{cell:>{c.width}}' for c, cell in zip(columns, cells, strict=True))
            )
        lines += [f'{client:26}  {error}' for error in dict.fromkeys(errors)]
    lines += goals(row, server, results)
    return [line.rstrip() for line in lines] + ['']


def goals(row, server, results):
    """Return a line for each goal of the row: whether it is reached."""
    lines = []
    for goal in row.goals:
        if server not in goal.servers:
            continue
        peer = goal.peer or figures.fastest(results, row.name, server, except_for=(*OURS, DIGEST))
        found = figures.ratios(results, row.name, server, ours=goal.ours, peer=peer)
        if not found:
            continue
        value = statistics.median(found)
        word = 'reached' if value >= goal.ratio else 'NOT reached'
        lines.append(
            f'{word}: {goal.ours} is {value:.2f} times as fast as {peer}; {goal.ratio:g} wanted'
        )
    for limit in row.limits:
        if server in limit.servers:
            lines += _kept(row, server, results, limit)
    return lines


def _kept(row, server, results, limit):
    """Yield a line for each client that the limit is for: whether it keeps that."""
    for client in row.clients:
        most = figures.worst(figures.select(results, row.name, server, client), limit.field)
        if most is not None and client in limit.clients:
            value = most * limit.factor
            word = 'reached' if value <= limit.most else 'NOT reached'
            yield (
                f'{word}: {client} needs {value:.3g} {limit.unit} at most; '
                f'{limit.most:g} {limit.unit} wanted'
            )


class _Column:
    """One figure of several rounds: the median, or what else `of` makes of them."""

    def __init__(self, title, name, form, *, factor=1, width=9, of=figures.median):
        self.title = title
        self._of = of
        self.width = width
        self._name = name
        self._form = form
        self._factor = factor

    def wanted(self, row, server, results):
        """Tell whether there is anything to show."""
        return figures.median(figures.select(results, row.name, server), self._name) is not None

    def cell(self, row, server, results, client):
        """Return the text for one client."""
        found = self._of(figures.select(results, row.name, server, client), self._name)
        return '' if found is None else format(found * self._factor, self._form)


class _Ratio:
    """How many times as long as one of ours a client needs, with the interval."""

    width = 22

    def __init__(self, ours, title):
        self.title = title
        self._ours = ours

    def wanted(self, row, server, results):
        """Tell whether there is anything to compare."""
        clients = {r.client for r in figures.select(results, row.name, server)}
        return self._ours in clients and bool(clients - set(OURS)) and not row.traced

    def cell(self, row, server, results, client):
        """Return the text for one client."""
        if client == self._ours:
            return '1'
        found = figures.ratios(results, row.name, server, ours=self._ours, peer=client)
        if not found:
            return ''
        spread = figures.interval(found)
        around = f' [{spread[0]:.2f}, {spread[1]:.2f}]' if spread else ''
        return f'{statistics.median(found):.2f}{around}'


_MEMORY = _Column('peak MiB', 'peak', '.1f', factor=1 / MIB, width=10)

_PAST = {
    'fsyncs': [_Column('fsyncs', 'fsyncs', '.2f')],
    'runs': [
        _Column('CPU ms', 'cpu', '.2f', factor=1000),
        _Column('times', 'times', '.2f', width=7),
        _MEMORY,
        _Column('growth MiB', 'growth', '.2f', factor=1 / MIB, width=12),
    ],
    'looks': [
        _Column('CPU ms', 'cpu', '.0f', factor=1000),
        _Column('above its start ms', 'seconds', '.0f', factor=1000, width=20),
        _MEMORY,
    ],
}


def _columns(row):
    if row.past:
        return _PAST[row.past]
    if row.wake:
        return [
            _Column('median s', 'seconds', '.3f', width=10),
            _Column('worst s', 'seconds', '.3f', width=10, of=figures.worst),
        ]
    return [
        _Column('seconds', 'seconds', '.2f'),
        _Ratio(SAFE, '/ zeit.cds'),
        _Ratio(DIRECT, '/ temporary="no"'),
        _Ratio('zeit.cds import', '/ zeit.cds import'),
        _Column('CPU s', 'cpu', '.2f'),
        _Column('peak MiB', 'peak', '.1f', factor=1 / MIB, width=10),
        _Column('trips', 'round_trips', '.1f', width=7),
        _Column('commands', 'commands', '.1f', width=10),
        _Column('ms/file', 'per_file', '.0f', factor=1000),
        _Column('fsyncs', 'fsyncs', '.2f'),
        _Column('first STOR after', 'until_first', '.2f', width=18),
    ]
