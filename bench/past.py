"""What a run and a look pay for the past, for what waits, and to begin: the rows `past`.

Runs are those of one process, as `watch` makes them: one article after the other is put, and
exported to a directory in memory.  Each look is made by a process of its own.
"""

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

from bench.clients import ZEIT_CDS
from bench.measure import Failed
from bench.rows import ONE_PUT
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool import entries
from zeit.cds.spool.sequence import Numbers
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.memory import MemoryTarget


#: So many runs are measured at each point.
ROUNDS = 100

NAME = '{{urn:uuid:{:036}}}.xml'
ID = 'http://xml.zeit.de/wirtschaft/{:020}'
URL = 'ftp://zeit@ftp.example.com:21/in'
UPLOAD = {'size': 4096, 'sha256': 'f' * 64, 'reply': '226 Transfer complete.'}

#: A start, and a look, is tried as often, and the fastest counts: others may be at work.
STARTS, TRIES = 20, 5

#: What the process says in the end: its CPU time, and its peak, which is not that of who made it.
_MEASURED = """
import sys, time
from zeit.cds.cli.main import main
main()
(peak,) = (line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(time.process_time(), peak, file=sys.stderr)
"""


def measured(row):
    """Yield (client, fields of its `Result`) of a row `past`; raise `Failed`."""
    logging.disable()
    try:
        rows = {'runs': _runs, 'starts': _starts, 'looks': _looks, 'waiting': _waiting}
        yield from rows[row.past](row)
    finally:
        logging.disable(logging.NOTSET)


def _folder():
    return tempfile.TemporaryDirectory(dir='/dev/shm' if os.path.isdir('/dev/shm') else None)


def _environment():
    """Return that of a process with our modules; their bytecode is there from the second on."""
    others = {name: value for name, value in os.environ.items() if not name.startswith('PYTHON')}
    return {**others, 'PYTHONPATH': os.pathsep.join(sys.path)}


# What a run pays


def _runs(row):
    """Compare what a run needs after a tenth of `row.files` runs and after all of them.

    That is done in two spools in turn, so that both have the same machine.
    """
    with _folder() as young, _folder() as old:
        spools = [(Spool(folder), MemoryTarget()) for folder in (young, old)]
        for _ in range(row.files // 10):
            for each in spools:
                _run(*each)
        small = _memory()
        for _ in range(row.files - row.files // 10):
            _run(*spools[1])
        memory = _memory()
        found = [[_run(*each) for each in spools] for _ in range(ROUNDS)]
    before, cpu = map(statistics.median, zip(*found, strict=True))
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


# What a run pays for what waits

#: Sends one file to each of the partners; says when the last of them got it, and the peak memory.
_SENT = """
import sys, threading, time
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.sharing import Terms
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.memory import MemoryTarget
spool, names, began = Spool(sys.argv[1]), sys.argv[2:], []
def hook(operation, name):
    if operation == 'upload':
        began.append(time.time())
targets = {name: MemoryTarget(hook=hook) for name in names or ['']}
for name, target in targets.items():
    target.url = f'memory:{name}'
terms = [Terms(name, targets[name].url) for name in names]
spools = [Partner(spool, each, everybody=lambda: terms) for each in terms] or [spool]
runs = [Exporter(*each).run_once for each in zip(spools, targets.values())]
threads = [threading.Thread(target=run, args=[Options(max_files=1)]) for run in runs]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(began) == len(targets)
(peak,) = (line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(max(began), time.process_time(), peak)
"""


def _waiting(row):
    """Send the first of `row.files` files that were put, of one exporter and of three partners."""
    for client in row.clients:
        with _folder() as folder:
            names = () if client == ONE_PUT else ('a', 'b', 'c')
            _put(folder, row.files)
            began = time.time()
            process = subprocess.run(
                [sys.executable, '-c', _SENT, folder, *names],
                stdout=subprocess.PIPE,
                env=_environment(),
                check=True,
            )
            first, cpu, peak = map(float, process.stdout.split())
        yield client, {'until_first': first - began, 'cpu': cpu, 'peak': int(peak) * 1024}


def _put(folder, number):
    """Do what an application does who puts so many files, but for the fsyncs."""
    for section in 'tmp', 'new', 'cur':
        os.mkdir(os.path.join(folder, section))
    for n in range(number):
        pathlib.Path(folder, 'new', f'article-{n:06}.xml').write_bytes(b'x' * 100)
    with Spool(folder)._visited({}) as visited:
        found = sorted(entries.scan(os.path.join(folder, 'new'))[0], key=entries.by_name)
        versions = enumerate((each.name, each.version) for each in found)
        Numbers(visited).note_all([(*each, {'content': ID.format(n)}) for n, each in versions])


# What it costs to begin

_SITE = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:cds="http://namespaces.zeit.de/cds">
  <cds:spool name="articles" path="{folder}" />
  <cds:target name="partner" host="127.0.0.1" user="zeit" directory="/"
      password_env="ZEIT_CDS_PASSWORD" />
  <cds:exporter name="articles" spool="articles" target="partner" />
</configure>
"""


def _starts(row):
    """Start commands that find nothing to do, and Python that does nothing, in turn."""
    with _folder() as folder:
        for section in 'tmp', 'new', 'cur':
            os.mkdir(os.path.join(folder, section))
        site = pathlib.Path(folder, 'site.zcml')
        site.write_text(_SITE.format(folder=folder))
        words = (
            ['--version'],
            ['export', '--spool', folder, 'ftp://zeit@127.0.0.1//'],
            ['--zcml', site, 'export'],
        )
        commands = {None: [sys.executable, '-c', 'pass']}
        commands |= {c: [ZEIT_CDS, *w] for c, w in zip(row.clients, words, strict=True)}
        found = {client: [] for client in commands}
        for _ in range(STARTS if row.limits else 1):
            for client, command in commands.items():
                found[client].append(_cpu(command))
        for client in row.clients:
            yield client, {'cpu': min(found[client]) - min(found[None])}


def _cpu(command):
    """Return the CPU seconds of a command."""
    # Of Python's settings none: the bytecode is there from the second time on.
    environ = {'PATH': os.environ['PATH'], 'LC_ALL': 'C.UTF-8', 'ZEIT_CDS_PASSWORD': 'secret'}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environ)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f'{command} has failed, exit code {process.returncode}')
    return usage.ru_utime + usage.ru_stime


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
            env=_environment(),
            check=True,
        )
        seconds, peak = process.stderr.split()[-2:]
        found.append((float(seconds), int(peak) * 1024))
    return min(found)
