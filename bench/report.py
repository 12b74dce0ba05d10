"""The results as documentation: tables in docs/performance.txt, plots beside it."""

import hashlib
import os
import platform
import time

from bench import figures, plot, table
from bench.clients import CLIENTS
from bench.rows import ROWS


#: What is between these lines of the text is written here.
BEGIN = '.. The figures begin: bin/bench writes them.\n'
END = '.. The figures end.\n'

#: Groups of rows in the order of the text, and what is said about each.
SECTIONS = {
    'trips': 'Round trips per file',
    'delay': 'Many small files, 20 ms away',
    'tls': 'Many small files, 20 ms away, in TLS',
    'small': 'Many small files, next door',
    'replies': 'Replies that wait for the acknowledgement of the one before',
    'large': 'Large files',
    'import': 'The other direction',
    'wake': 'From publishing to delivered',
    'disk': 'A spool on a disk',
    'past': 'What being durable costs, and the past',
    'memory': 'Memory, and the first file',
}

_MIB = 1024 * 1024


def write(results, directory):
    """Write docs/performance.txt, between its two marks, and the plots."""
    path = directory / 'performance.txt'
    before, rest = path.read_text('utf-8').split(BEGIN)
    after = rest.split(END)[1]
    lines = [*_machine(), *_goals(results), *_tables(results), *_line(results)]
    path.write_text(before + BEGIN + '\n' + '\n'.join(lines) + '\n' + END + after, 'utf-8')
    for name, text in _plots(results).items():
        (directory / f'performance-{name}.svg').write_text(text, 'utf-8')


def _machine():
    versions = {}
    for client in CLIENTS.values():
        word = client.name.split(',')[0]
        versions.setdefault(word, client.version() or 'missing')
    yield f'Measured on {time.strftime("%Y-%m-%d")}: {_system()}, Linux {platform.release()},'
    yield f'{os.cpu_count()} cores, Python {platform.python_version()}. Clients: '
    yield ', '.join(f'{name} {version}' for name, version in versions.items()) + '.'
    yield f'SHA-256 of 1 GiB takes {_digest():.1f} s of CPU here.'
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


def _goals(results):
    yield from _heading('What was to be reached')
    yield ''
    yield '::'
    yield ''
    for row in ROWS:
        for server in row.servers:
            for line in table.goals(row, server, results):
                yield f'  {row.name:9} {server:10} {line}'
    yield ''


def _tables(results):
    for group, title in SECTIONS.items():
        lines = [
            line
            for row in ROWS
            if row.group == group
            for server in row.servers
            for line in table.row_table(row, server, results)
        ]
        if lines:
            yield from _heading(title)
            yield ''
            yield '::'
            yield ''
            yield from (f'  {line}'.rstrip() for line in lines)


def _line(results):
    """Say whether time over the number of files is a straight line."""
    rows = [row for row in ROWS if row.group == 'count']
    lines = []
    for row in rows:
        for server in row.servers:
            cells = []
            for client in row.clients:
                found = figures.select(results, row.name, server, client)
                if seconds := figures.median(found, 'seconds'):
                    peak = figures.median(found, 'peak') / _MIB
                    each = seconds / row.files * 1000
                    cells.append(f'{seconds:10.2f}{each:8.2f}{peak:8.1f}')
            if cells:
                lines.append(f'  {row.files:9,}' + '    '.join(cells))
    if lines:
        yield from _heading('Time over the number of files')
        yield ''
        yield f'{rows[0].servers[0]}, no delay, {rows[0].connections} connections, files of'
        yield f'{rows[0].size} bytes. Beside this page are plots of it, ``performance-files.svg``,'
        yield 'and of time over latency, ``performance-latency.svg``::'
        yield ''
        title = f'{"seconds":>10}{"ms/file":>8}{"MiB":>8}'
        yield f'  {"":9}' + '    '.join(f'{client:>26}' for client in rows[0].clients)
        yield f'  {"files":>9}' + '    '.join([title] * len(rows[0].clients))
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
