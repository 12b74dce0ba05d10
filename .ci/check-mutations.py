#!/usr/bin/env python
"""Break the heart of zeit.cds in one way after the other, and see the tests go red.

    bin/python .ci/check-mutations.py [WORD ...]      a word of a title, or the name of a table

Every mutation of `mutations_*.py`, rows of (what, file, exact text, its replacement), is applied
to a copy of src (with words: those whose names contain one of them), and the tests that are named
after the file run there; if it survives these, those beside it; then the quick ones of the heart,
the original document among them; then the slower ones; all until the first is red.  What the
original document must notice is shown to that alone.  The table shows what each mutation turned
red, and how long that took.  The exit code is 1 if one survives, if it no longer fits the code, or
if the tests are red without any.

The original document needs fixed ports.  Where network namespaces can be made (`unshare -n`, as
root), each run has one of its own and several run at a time; elsewhere one by one.
"""

import concurrent.futures
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple


HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent / 'src'
PACKAGE = pathlib.Path('zeit', 'cds')

# Not imported: bin/python does not look into this folder.
_CHOSEN = runpy.run_path(str(HERE / 'mutation_tests.py'))
QUICK, TELLING = _CHOSEN['QUICK'], _CHOSEN['TELLING']
THOROUGH, FURTHER = _CHOSEN['THOROUGH'], _CHOSEN['FURTHER']
TABLES, HEART = _CHOSEN['TABLES'], _CHOSEN['HEART']
LAYERS, ORIGINAL = _CHOSEN['LAYERS'], _CHOSEN['ORIGINAL']

#: Seconds for one run of these tests; the quick ones take about ten, the others forty, if nothing
#: else runs on the machine.
TIMEOUT = 300

# Switches the loopback interface of a new namespace on (netdevice(7): SIOCSIFFLAGS, IFF_UP), then
# becomes the command.
LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack('16sH14x', b'lo', 1))
os.execv(sys.argv[1], sys.argv[1:])
"""

_RED = re.compile(r'^(?:Failure|Error) in test (\w+) \(([\w.]+)\.\w+\.\1\)', re.MULTILINE)
_SUMMARY = re.compile(r'(?:Ran|Total:) (\d+) tests', re.MULTILINE)


class Mutation(NamedTuple):
    """One way to break the code; `contract`: the original document must notice.

    `thorough` are the tests for what survives the quick ones.
    """

    title: str
    path: str
    old: str
    new: str
    contract: bool
    thorough: tuple

    def apply(self, source):
        """Change the copy; return what is wrong with this mutation, or ''."""
        path = source / PACKAGE / self.path
        if not path.exists():
            return f'there is no {self.path}'
        text = path.read_text('utf-8')
        if text.count(self.old) != 1:
            return f'its text is {text.count(self.old)} times in {self.path}, not once'
        path.write_text(text.replace(self.old, self.new), 'utf-8')
        return ''

    @property
    def beside(self):
        """The modules with the tests of its wing: a pattern, in a tuple; none for the contract."""
        wing, _, module = self.path.partition('/')
        return (rf'{wing}\.tests\.test_.*',) if module and not self.contract else ()

    def stages(self):
        """Yield (modules, options of zope.testrunner): the next ones if those before are green."""
        if self.contract:
            module, test = ORIGINAL.split('.')
            yield (module,), ('-t', test)
        else:
            # Those that are named after the file know most of it, and soon.
            yield (rf'test_\w*{pathlib.Path(self.path).stem}\w*',), ('--stop-on-error',)
            if self.beside:
                yield self.beside, ('--stop-on-error',)
            yield QUICK, ('--stop-on-error',)
            yield TELLING, ('--stop-on-error',)
            yield self.thorough, ('--stop-on-error',)


class Run(NamedTuple):
    """What a run of the tests showed: the names of those that went red, and its output."""

    red: list
    output: str
    green: bool


def _mutation(table, row):
    thorough = () if table == 'CONTRACT' else THOROUGH
    thorough += () if table in HEART else FURTHER
    return Mutation(*row, contract=table == 'CONTRACT', thorough=thorough)


def mutations(words):
    """Return the list of `Mutation` of a table or with a title that `words` name; else all."""
    found = []
    for file, table in TABLES.items():
        rows = runpy.run_path(str(HERE / file))[table]
        found += [
            mutation
            for mutation in (_mutation(table, row) for row in rows)
            if not words or table in words or any(word in mutation.title for word in words)
        ]
    return found


def namespaces():
    """Tell whether network namespaces can be made here."""
    if os.geteuid() != 0 or shutil.which('unshare') is None:
        return False
    command = ['unshare', '-n', sys.executable, '-c', LOOPBACK_UP, '/bin/true']
    return subprocess.run(command, capture_output=True, timeout=30).returncode == 0


def environment(source, document):
    """Return the environment of a run: the copy comes before everything that we import from."""
    paths = [str(source), *(p for p in sys.path if p and pathlib.Path(p).resolve() != SOURCE)]
    return {
        **os.environ,
        'CI': 'true',
        'PYTHONDONTWRITEBYTECODE': '1',
        'PYTHONPATH': os.pathsep.join(paths),
        'ZEIT_CDS_ORIGINAL_README': str(document),
    }


def run_tests(source, *, modules, document, isolated, options=(), timeout=TIMEOUT):
    """Run the tests of a copy that are in `modules`, patterns of names; `timeout` in seconds."""
    command = [sys.executable, '-m', 'zeit.cds.testing.runner', '--test-path', str(source)]
    command += ['-s', 'zeit.cds', '--layer', LAYERS, *options]
    for module in modules:
        command += ['-m', rf'\.{module}$']
    if isolated:
        command = ['unshare', '-n', sys.executable, '-c', LOOPBACK_UP, *command]
    try:
        done = subprocess.run(
            command,
            env=environment(source, document),
            cwd=source,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
            errors='backslashreplace',
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b'').decode('utf-8', 'backslashreplace')
        # Not red, but undecided: on a busy machine the tests just take longer.
        return Run(names(output), f'{output}\n(no end in {timeout} s)', False)
    return Run(names(done.stdout), done.stdout, done.returncode == 0)


def names(output):
    """Return the names of the tests that went red, as module.test, each once."""
    found = (f'{module.rpartition(".")[2]}.{test}' for test, module in _RED.findall(output))
    return list(dict.fromkeys(found))


def check(mutation, source, *, document, isolated):
    """Apply a mutation to a copy of `source` and run the tests there.

    Returns (what is wrong or '', names of red tests, seconds).
    """
    started = time.monotonic()
    wrong, red = _check(mutation, source, document=document, isolated=isolated)
    return wrong, red, time.monotonic() - started


def _check(mutation, source, *, document, isolated):
    with tempfile.TemporaryDirectory(prefix='zeit.cds-mutation-') as directory:
        copied = copy(source, directory)
        stale = mutation.apply(copied)
        if stale:
            return f'STALE: {stale}', []
        for modules, options in mutation.stages():
            run = run_tests(
                copied, modules=modules, options=options, document=document, isolated=isolated
            )
            # What has no end in time is undecided: others may know.
            if run.red or not (run.green or '(no end in ' in run.output[-40:]):
                break
    if 'import problems' in run.output or not (run.red or _SUMMARY.search(run.output)):
        return f'BROKEN: the tests did not run:\n{run.output[-2000:]}', run.red
    if not run.red:
        return 'SURVIVED' + ' the original document' * mutation.contract, []
    return '', run.red


def check_all(chosen, source, **options):
    """Check mutations of `source`, which does not change meanwhile; return how many are wrong."""
    failed = 0
    # The original document mostly sleeps.
    workers = (os.cpu_count() or 1) + 2 if options['isolated'] else 1
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        runs = [pool.submit(check, mutation, source, **options) for mutation in chosen]
        for mutation, run in zip(chosen, runs, strict=True):
            wrong, red, seconds = run.result()
            failed += bool(wrong)
            show(mutation, wrong, red, seconds)
    return failed


def copy(source, directory):
    """Copy a folder of sources into a directory, with the documents beside it; return the path.

    There are tests that become another user, who imports what is there.
    """
    os.chmod(directory, 0o755)
    (pathlib.Path(directory) / 'docs').symlink_to(HERE.parent / 'docs')
    return pathlib.Path(
        shutil.copytree(
            source, pathlib.Path(directory) / 'src', ignore=shutil.ignore_patterns('*.egg-info')
        )
    )


def show(mutation, wrong, red, seconds):
    mark = 'NOT ' if wrong else ''
    print(f'{mark + "caught":10} {mutation.title}: {len(red)} red, {seconds:.0f} s')
    if wrong:
        print(f'{"":10}   {wrong}')
    for name in sorted(red, key=lambda name: name != ORIGINAL)[:5]:
        print(f'{"":10}   {name}')
    if len(red) > 5:
        print(f'{"":10}   and {len(red) - 5} more')
    sys.stdout.flush()


def main(words):
    from zeit.cds.tests import original

    started = time.monotonic()
    try:
        document = original.find(os.environ).resolve()
    except original.Unusable as error:
        print(error)
        return 1
    chosen = mutations(words)
    if not chosen:
        print(f'No mutation is called {" or ".join(words)}.')
        return 1
    options = {'document': document, 'isolated': namespaces()}
    with tempfile.TemporaryDirectory(prefix='zeit.cds-mutations-') as directory:
        source = copy(SOURCE, directory)
        thorough = {module for each in chosen for module in (*each.thorough, *each.beside)}
        together = {'options': (f'-j{os.cpu_count() or 1}',), 'timeout': 4 * TIMEOUT}
        modules = (*QUICK, *TELLING, *sorted(thorough))
        run = run_tests(source, modules=modules, **together, **options)
        if not run.green:
            print(f'{run.output}\nThe tests are red already, without any mutation.')
            return 1
        failed = check_all(chosen, source, **options)
    seconds = time.monotonic() - started
    print(f'{len(chosen) - failed} of {len(chosen)} mutations caught, in {seconds:.0f} s')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
