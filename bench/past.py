"""What a run, and a look, pay for the past: `bin/python bench/past.py [--runs N]`.

One file after the other is put and exported to a directory in memory, in one process, as `watch`
does it.  Shown is, after so many runs, the CPU time of one, the process's memory, the length of
the journal, and how often a run synchronises.  Then the history gets 1,000,000 receipts, and the
journal 10,000 open uploads; each look is made by a process of its own.
"""

import argparse
import json
import logging
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from zeit.cds.exporter import Exporter
from zeit.cds.spool import Spool
from zeit.cds.testing.memory import MemoryTarget


#: So many runs are measured at each point, and so many come before the first one.
ROUNDS, WARM = 100, 200

RECEIPTS, OPEN = 1_000_000, 10_000
NAME = '{{urn:uuid:{:036}}}.xml'
URL = 'ftp://zeit@ftp.example.com:21/in'
UPLOAD = {'size': 4096, 'sha256': 'f' * 64, 'reply': '226 Transfer complete.'}

#: Each tries as often, and the fastest counts: others may be at work.
TRIES = 5

#: What the process says in the end: its CPU time, and its peak, which is not that of who made it.
_MEASURED = """
import sys, time
from zeit.cds.cli import main
main()
(peak,) = (line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(time.process_time(), peak, file=sys.stderr)
"""


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description='What a run, and a look, pay for the past.')
    parser.add_argument('--runs', type=int, default=20_000, help='most runs, default 20,000')
    runs = parser.parse_args().runs
    logging.disable()
    shared = '/dev/shm' if os.path.isdir('/dev/shm') else None
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        _runs(pathlib.Path(folder), runs)
    with tempfile.TemporaryDirectory() as folder:
        _looks(pathlib.Path(folder))


def _runs(path, most):
    spool, target = Spool(path), MemoryTarget()
    done, points = 0, [WARM, *(most // n for n in (10, 2, 1) if most // n > WARM)]
    print('runs before   CPU per run     memory   journal   fsyncs per run')
    for point in points:
        while done < point:
            _run(spool, target)
            done += 1
        seconds = [_run(spool, target) for _ in range(ROUNDS)]
        done += ROUNDS
        length = (path / '.cds' / 'journal' / 'state.jsonl').stat().st_size
        print(
            f'{point:>11,} {statistics.median(seconds) * 1000:>10.2f} ms {_memory():>6.1f} MiB'
            f' {length / 1024:>6.0f} KiB {_fsyncs(spool, target):>12}'
        )


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
    """Return the memory of this process now, in MiB."""
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _fsyncs(spool, target):
    real, calls = os.fsync, []
    os.fsync = lambda descriptor: (calls.append(descriptor), real(descriptor))
    try:
        _run(spool, target)
    finally:
        os.fsync = real
    return len(calls)


def _looks(path):
    spool = Spool(path)
    with spool.run():
        view = spool.journal.at(URL)
        with view.together():
            for number in range(OPEN):
                name = NAME.format(number)
                view.note('uploaded', name, temporary=f'{name}.part', sequence=number, **UPLOAD)
        spool.journal.compact()
    months = [f'{year}-{month:02}' for year in (2020, 2021) for month in range(1, 13)]
    each = RECEIPTS // len(months) + 1
    for n, month in enumerate(months):
        with open(path / '.cds' / 'history' / f'{month}.jsonl', 'w') as file:
            for number in range(n * each, (n + 1) * each):
                file.write(json.dumps(_receipt(month, number)) + '\n')
    size = sum(each.stat().st_size for each in (path / '.cds' / 'history').iterdir())
    print(f'\n{RECEIPTS:,} receipts, {size / 2**20:.0f} MiB; {OPEN:,} open uploads')
    print('look                       CPU  above the start    memory')
    start, _ = _command('status', '--spool', str(path / 'nowhere'))
    for words in (
        ['receipt', '--spool', str(path), NAME.format(0)],
        ['receipt', '--since', '7d', '--spool', str(path), NAME.format(0)],
        ['status', '--spool', str(path)],
        ['status', '--prometheus', '--spool', str(path)],
    ):
        seconds, memory = _command(*words)
        shown = ' '.join(word for word in words[:2] if word != '--spool')
        above = (seconds - start) * 1000
        print(f'{shown:<20} {seconds * 1000:>6.0f} ms {above:>13.0f} ms {memory:>6.1f} MiB')


def _receipt(month, number):
    name = NAME.format(number)
    at = f'{month}-15T12:00:00.000+00:00'
    about = {'at': at, 'v': 1, 'kind': 'delivered', 'target': URL, 'name': name}
    return {**about, 'sequence': number, **UPLOAD, 'filed_as': name}


def _command(*words):
    """Return the least CPU seconds that `zeit-cds` needs, and its memory in MiB."""
    found = []
    for _ in range(TRIES):
        process = subprocess.run(
            [sys.executable, '-c', _MEASURED, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
            check=True,
        )
        seconds, memory = process.stderr.split()[-2:]
        found.append((float(seconds), int(memory) / 1024))
    return min(found)


if __name__ == '__main__':
    main()
