"""The figures as text."""

import statistics

from bench import figures
from bench.rows import BEFORE, DIRECT, LOCK, OURS, SFTP, TEMPORARY


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
    """Return a line for each goal and limit of the row: what was measured, is it reached?"""
    lines = []
    for goal in row.goals:
        if server not in goal.servers:
            continue
        ours = (*OURS, SFTP, BEFORE)
        peer = goal.peer or figures.fastest(results, row.name, server, except_for=ours)
        found = figures.ratios(results, row.name, server, ours=goal.ours, peer=peer)
        if goal.more:
            lines += _more(goal, figures.differences(results, row.name, server, goal=goal))
        elif found:
            what, wanted = f'{peer} / {goal.ours}', f'{goal.ratio:.2f} at least'
            lines.append(_goal(what, found, wanted, statistics.median(found) >= goal.ratio))
    for limit in row.limits:
        for client in row.clients:
            if server in limit.servers and client in limit.clients:
                runs = figures.select(results, row.name, server, client)
                if found := figures.values(runs, limit.field):
                    found = [value * limit.factor for value in found]
                    value = statistics.median(found) if limit.typical else max(found)
                    what, wanted = f'{client}: {limit.unit}', f'{limit.most:g} at most'
                    lines.append(_goal(what, found, wanted, value <= limit.most))
    return lines


def _more(goal, found):
    if not found:
        return []
    what, wanted = f'{goal.ours} - {goal.peer}', f'{goal.more:.2f} s at most'
    return [_goal(what, found, wanted, statistics.median(found) <= goal.more)]


def _goal(what, found, wanted, reached):
    spread = figures.interval(found)
    around = f'[{spread[0]:.3g}, {spread[1]:.3g}]' if spread else ''
    word = 'reached' if reached else 'NOT reached'
    return f'{what:48}{statistics.median(found):7.3g} {around:16}{wanted:>14}  {word}'


#: What a column of the matrix is called, and whom it is about.
_SHORT = {
    BEFORE: BEFORE,
    DIRECT: '"no"',
    'lftp': 'lftp',
    TEMPORARY: 'tmp.',
    LOCK: 'lock',
    'lftp, newest': 'lftp*',
    'lftp mirror': 'mirror',
    'rclone': 'rclone',
    'rclone, newest': 'rclone*',
    'ncftpput': 'ncftp',
    'curl': 'curl',
    'ftplib': 'ftplib',
}


def matrix(rows, results):
    """Return lines with the ratios of all peers, one for each row and server.

    Where round trips were counted, their numbers are there.
    """
    titles = ''.join(f'{title:>8}' for title in _SHORT.values())
    lines = [f'{"":25}{"ours":>8}{titles}']
    for row in rows:
        for server in row.servers:
            ours, *others = row.clients
            mine = figures.select(results, row.name, server, ours)
            if not mine or not set(others) & set(_SHORT):
                continue
            name = 'round_trips' if row.traced else 'seconds'
            cells = [f'{figures.median(mine, name):8.2f}']
            for client in _SHORT:
                if row.traced:
                    found = figures.values(figures.select(results, row.name, server, client), name)
                else:
                    found = figures.ratios(results, row.name, server, ours=ours, peer=client)
                cells.append(f'{statistics.median(found):8.2f}' if found else ' ' * 8)
            lines.append(f'{row.name:12}{server:13}{"".join(cells)}'.rstrip())
    return lines


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
    """How many times as long as the first of the row a client needs, with the spread."""

    width = 22

    def __init__(self, row):
        self._ours = row.clients[0]
        self.title = f'/ {self._ours}'

    def wanted(self, row, server, results):
        """Tell whether there is anything to compare."""
        return len({r.client for r in figures.select(results, row.name, server)}) > 1

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
    'runs': [
        _Column('CPU ms', 'cpu', '.2f', factor=1000),
        _Column('times', 'times', '.2f', width=7),
        _MEMORY,
        _Column('growth MiB', 'growth', '.2f', factor=1 / MIB, width=12),
    ],
    'waiting': [
        _Column('CPU s', 'cpu', '.2f'),
        _MEMORY,
        _Column('last first STOR', 'until_first', '.2f', width=17),
    ],
    'partners': [_Column('seconds', 'seconds', '.2f')],
    'starts': [_Column('CPU ms', 'cpu', '.0f', factor=1000)],
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
        _Ratio(row),
        _Column('CPU s', 'cpu', '.2f'),
        _Column('peak MiB', 'peak', '.1f', factor=1 / MIB, width=10),
        _Column('trips', 'round_trips', '.1f', width=7),
        _Column('commands', 'commands', '.1f', width=10),
        _Column('ms/file', 'per_file', '.0f', factor=1000),
        _Column('fsyncs', 'fsyncs', '.2f'),
        _Column('serve CPU %', 'served', '.1f', factor=100, width=13),
        _Column('first STOR after', 'until_first', '.2f', width=18),
    ]
