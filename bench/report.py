"""The results as documentation: tables in docs/performance.txt, plots beside it."""

import hashlib
import os
import platform
import textwrap
import time

from bench import figures, plot, table
from bench.clients import CLIENTS
from bench.rows import BEFORE, MEMORY, NEWEST, PEERS, ROWS, TEMPORARY


#: What is between these lines of the text is written here.
BEGIN = '.. The figures begin: bin/bench writes them.\n'
END = '.. The figures end.\n'

_MIB = 1024 * 1024


def write(results, directory):
    """Write docs/performance.txt, between its two marks, and the plots."""
    path = directory / 'performance.txt'
    before, rest = path.read_text('utf-8').split(BEGIN)
    after = rest.split(END)[1]
    lines = [*_machine(), *_tables(results)]
    path.write_text(before + BEGIN + '\n' + '\n'.join(lines) + '\n' + END + after, 'utf-8')
    for name, text in _plots(results).items():
        (directory / f'performance-{name}.svg').write_text(text, 'utf-8')


def _machine():
    yield f'Measured on {time.strftime("%Y-%m-%d")}: {_system()}, Linux {platform.release()},'
    yield f'{os.cpu_count()} cores, Python {platform.python_version()}.'
    yield f'{BEFORE} is this package as it was then.'
    versions = (
        f'{name}: {CLIENTS[name].version() or "missing"}'
        for name in (*PEERS, *NEWEST)
        if name != TEMPORARY
    )
    yield from textwrap.wrap('Versions: ' + '; '.join(versions) + '.', 96)
    yield f'SHA-256 of 1 GiB takes {_digest():.1f} s of CPU here. The load was'
    yield f'{os.getloadavg()[2]:.0f} for the last 15 minutes; these measurements make about 2.'
    yield ''


def _system():
    try:
        return platform.freedesktop_os_release()['PRETTY_NAME']
    except (OSError, KeyError):
        return platform.system()


def _digest(size=256 * _MIB):
    """Return the seconds of CPU for the digest of 1 GiB, from that of `size` bytes."""
    block, digest, started = bytes(_MIB), hashlib.sha256(), time.process_time()
    for _ in range(size // _MIB):
        digest.update(block)
    return (time.process_time() - started) * 1024 * _MIB / size


def _tables(results):
    yield from _heading('Beside the others')
    yield ''
    yield 'Seconds of ours, and how many times as long the others need; of ``trips`` and'
    yield '``tls-trips`` the round trips for each file, of ``run-trips`` and'
    yield '``first-trips`` those of a run with one::'
    yield ''
    yield from (f'  {line}' for line in table.matrix(ROWS, results))
    yield ''
    yield from _heading('What was to be reached')
    yield ''
    yield 'What each row is, and the median of what was wanted, with its spread::'
    yield ''
    for row in ROWS:
        lines = [
            f'    {server if server not in MEMORY else "":13}{line}'
            for server in row.servers
            for line in table.goals(row, server, results)
        ]
        if lines:
            yield f'  {row.name}: {row.title}'
            yield from lines
    yield ''


def _heading(title):
    return ['', title, '=' * len(title)]


def _plots(results):
    """Return the plots for which there is something, name and text."""
    found = {}
    for name, group, title, across, logarithmic in (
        ('files', 'count', 'Time over the number of files', 'files of 100 bytes', True),
        ('latency', 'latency', 'Time over the latency', 'round trip time in ms', False),
    ):
        rows = [row for row in ROWS if row.group == group]
        curves = {}
        for client in rows[0].clients:
            points = [
                (row.x, seconds)
                for row in rows
                for server in row.servers
                if (r := figures.select(results, row.name, server, client))
                and (seconds := figures.median(r, 'seconds'))
            ]
            if len(points) > 1:
                curves[client] = points
        if not curves:
            continue
        some = rows[0]
        what = f'{some.servers[0]}, {some.connections} connections'
        if group == 'latency':
            what += f', {some.files} files of {some.size // 1024} KiB'
        xs, ys = zip(*(point for points in curves.values() for point in points), strict=True)
        found[name] = plot.plot(
            f'{title}: {what}',
            curves,
            x=plot.axis(across, xs if logarithmic else [0, *xs], logarithmic=logarithmic),
            y=plot.axis('seconds', ys, logarithmic=logarithmic),
        )
    return found
