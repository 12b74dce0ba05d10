"""What a run, and a look, pay for the past, and for being durable: the rows `past` of `bin/bench`.

Runs are those of one process, as `watch` makes them: one article after the other is put, and
exported to a directory in memory.  Each look is made by a process of its own.
"""

import contextlib
import io
import json
import logging
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

from bench.measure import Failed
from zeit.cds.exporter import Exporter
from zeit.cds.spool import Spool
from zeit.cds.testing.memory import MemoryTarget


ROOT = pathlib.Path(__file__).resolve().parents[1]

#: The build of which the first row is the measure, and which fsyncs are compared with.
BEFORE = '38dcf7a'

#: So many runs are measured at each point.
ROUNDS = 100

NAME = '{{urn:uuid:{:036}}}.xml'
ID = 'http://xml.zeit.de/wirtschaft/{:020}'
URL = 'ftp://zeit@ftp.example.com:21/in'
UPLOAD = {'size': 4096, 'sha256': 'f' * 64, 'reply': '226 Transfer complete.'}

#: Each look is tried as often, and the fastest counts: others may be at work.
TRIES = 5

_COUNTED = """
import logging, os, sys
from zeit.cds.exporter import Exporter
from zeit.cds.spool import Spool
from zeit.cds.testing.memory import MemoryTarget
logging.disable()
spool, target, number = Spool(sys.argv[1]), MemoryTarget(), int(sys.argv[2])
spool.put('first.xml', b'1')
Exporter(spool, target).run_once()
for n in range(number):
    spool.put(f'{n}.xml', b'x' * 100)
calls, real = [], os.fsync
os.fsync = lambda descriptor: (calls.append(descriptor), real(descriptor))
assert len(Exporter(spool, target).run_once().delivered) == number
print(len(calls) / number)
"""

#: What the process says in the end: its CPU time, and its peak, which is not that of who made it.
_MEASURED = """
import sys, time
from zeit.cds.cli import main
main()
(peak,) = (line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(time.process_time(), peak, file=sys.stderr)
"""


def measured(row):
    """Yield (client, fields of its `Result`) of a row `past`; raise `Failed`."""
    logging.disable()
    try:
        yield from {'fsyncs': _fsyncs, 'runs': _runs, 'looks': _looks}[row.past](row)
    finally:
        logging.disable(logging.NOTSET)


def _folder():
    return tempfile.TemporaryDirectory(dir='/dev/shm' if os.path.isdir('/dev/shm') else None)


# How often a run synchronises


def _fsyncs(row):
    for client in row.clients:
        with _folder() as folder, contextlib.ExitStack() as stack:
            source = ROOT
            if client != row.clients[0]:
                source = stack.enter_context(_folder())
                unpack(BEFORE, source)
            paths = [os.path.join(source, 'src'), *sys.path]
            done = subprocess.run(
                [sys.executable, '-c', _COUNTED, folder, str(row.files)],
                capture_output=True,
                text=True,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)},
            )
            if done.returncode:
                raise Failed(f'{client}: {done.stderr.strip()[-300:]}')
            yield client, {'fsyncs': float(done.stdout)}


def unpack(commit, folder):
    """Put the sources of a commit into `folder`."""
    command = ['git', '-C', ROOT, 'archive', commit, 'src']
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failed(f'{commit} is not here: {error}') from error
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter='data')


# What a run pays


def _runs(row):
    """Compare what a run needs after a tenth of `row.files` runs and after all of them."""
    with _folder() as folder:
        spool, target, done, points = Spool(folder), MemoryTarget(), 0, []
        for point in row.files // 10, row.files:
            while done < point:
                _run(spool, target)
                done += 1
            found = [_run(spool, target) for _ in range(ROUNDS)]
            done += ROUNDS
            points.append((statistics.median(found), _memory()))
    (before, small), (cpu, memory) = points
    fields = {'cpu': cpu, 'times': cpu / before, 'growth': memory - small, 'peak': memory}
    yield row.clients[0], fields


def _run(spool, target):
    """Put a file, export it; return the CPU seconds of the run."""
    spool.put('a.xml', b'x' * 100)
    before = time.process_time()
    assert Exporter(spool, target).run_once().delivered
    seconds = time.process_time() - before
    for path in (spool.path / 'cur').iterdir():
        path.unlink()
    return seconds


def _memory():
    """Return the memory of this process now, in bytes."""
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize()


# What a look pays


def _looks(row):
    """Look at a spool of `row.files` receipts, and a hundredth as many open uploads."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        _remember(path, row.files)
        tries = TRIES if row.limits else 1
        start, _ = _command('status', '--spool', str(path / 'nowhere'), tries=tries)
        for client in row.clients:
            words = client.split()
            if words[0] == 'receipt':
                words.append((ID if words[-1] == '--id' else NAME).format(0))
            words += ['--spool', folder]
            seconds, peak = _command(*words, tries=tries)
            yield client, {'seconds': max(0, seconds - start), 'cpu': seconds, 'peak': peak}


def _remember(path, receipts):
    spool = Spool(path)
    with spool.run():
        view = spool.journal.at(URL)
        with view.together():
            for number in range(receipts // 100):
                name = NAME.format(number)
                view.note('uploaded', name, temporary=f'{name}.part', sequence=number, **UPLOAD)
        spool.journal.compact()
    months = [f'{year}-{month:02}' for year in (2020, 2021) for month in range(1, 13)]
    each = receipts // len(months) + 1
    for n, month in enumerate(months):
        with open(path / '.cds' / 'history' / f'{month}.jsonl', 'w') as file:
            for number in range(n * each, (n + 1) * each):
                file.write(json.dumps(_receipt(month, number)) + '\n')


def _receipt(month, number):
    name = NAME.format(number)
    at = f'{month}-15T12:00:00.000+00:00'
    about = {'at': at, 'v': 1, 'kind': 'delivered', 'target': URL, 'name': name}
    told = {'content': ID.format(number), 'content_version': '2020-01-15 12:00:00+00:00'}
    return {**about, 'sequence': number, **UPLOAD, 'filed_as': name, **told}


def _command(*words, tries):
    """Return the least CPU seconds that `zeit-cds` needs, and its peak memory in bytes."""
    found = []
    for _ in range(tries):
        process = subprocess.run(
            [sys.executable, '-c', _MEASURED, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
            check=True,
        )
        seconds, peak = process.stderr.split()[-2:]
        found.append((float(seconds), int(peak) * 1024))
    return min(found)
