#!/usr/bin/env python
"""Measure exports to real FTP servers on this machine: speed, and memory that must not grow.

    bin/python bench/measure.py [small] [large] [many] [--server NAME] [--directory DIR]

    small   5,000 files of 4 KiB: files per second; seconds and peak memory of the first tenth and
            of all show whether either grows with what was done already
    large   one sparse file of 1 GiB: MB per second, peak memory
    many    100,000 files of 100 bytes wait, one is sent: seconds until its STOR, peak memory

Without a word all three.  Servers are pyftpdlib, in this process, and vsftpd (`.ci/servers` puts it
in place; it needs root); without `--server` both.  Spool and server work in DIR, by default
/dev/shm where that exists, so that no disk is measured; with a DIR on a disk the fsync of each
delivery counts.

Each export is a process of its own.  Its peak memory is VmHWM of proc(5) where there is one, which
begins anew with the program; `ru_maxrss` of getrusage(2) would count what the parent had.
"""

import argparse
import contextlib
import json
import logging
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from zeit.cds.exporter import Exporter, Options
from zeit.cds.settings import Secret
from zeit.cds.spool import Spool
from zeit.cds.target import FTPTarget
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.servers import VsftpdServer


SERVERS = {'pyftpdlib': PyFTPServer, 'vsftpd': VsftpdServer}
MIB = 1024 * 1024

#: Seconds after which an export is given up.
TIMEOUT = 1800


class FirstUpload(logging.Handler):
    """Remembers when the first file was started, in seconds of `time.perf_counter`."""

    def __init__(self):
        super().__init__()
        self.moment = None

    def emit(self, record):
        if self.moment is None and record.msg.startswith('Uploading'):
            self.moment = time.perf_counter()


def export(path, host, port, user, password, max_files):
    """Export in this process; return what was measured, a dictionary."""
    first = FirstUpload()
    logger = logging.getLogger('zeit.cds.exporter')
    logger.addHandler(first)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    target = FTPTarget.from_options(
        host=host, port=int(port), user=user, password=Secret(password), directory='/'
    )
    exporter = Exporter(Spool(path), target)
    before = peak()
    started = time.perf_counter()
    report = exporter.run_once(Options(max_files=int(max_files) or None))
    ended = time.perf_counter()
    return {
        'exit code': report.exit_code,
        'files': len(report.delivered),
        'bytes': sum(result.size for result in report.results),
        'seconds': ended - started,
        'until first': first.moment - started if first.moment else None,
        'before': before,
        'peak': peak(),
    }


def peak():
    """Return the most memory that this process had resident so far, in bytes."""
    with contextlib.suppress(FileNotFoundError):
        for line in pathlib.Path('/proc/self/status').read_text().splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) * 1024
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum if sys.platform == 'darwin' else maximum * 1024


def export_elsewhere(spool, server, *, max_files=0):
    """Export in a process of its own; return what was measured there."""
    words = [spool, server.host, server.port, server.user, server.password, max_files]
    command = [sys.executable, __file__, '--export', *map(str, words)]
    done = subprocess.run(
        command,
        check=True,
        # bin/python has told only itself where the packages are.
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=TIMEOUT,
    )
    found = json.loads(done.stdout)
    if found['exit code']:
        raise SystemExit(f'The export has failed: exit code {found["exit code"]}')
    return found


def fill(spool, number, *, size):
    """Let `number` files of `size` bytes wait; a large one has no blocks on the disk."""
    for section in ('tmp', 'new', 'cur'):
        (spool / section).mkdir(exist_ok=True)
    content = os.urandom(size) if size < MIB else b''
    for n in range(number):
        with open(spool / 'new' / f'{{urn:uuid:{n:032x}}}.xml', 'wb') as file:
            file.write(content)
            file.truncate(size)


def small(spool, server):
    fill(spool, 5000, size=4096)
    tenth = export_elsewhere(spool, server, max_files=500)
    rest = export_elsewhere(spool, server)
    for title, found in (('500 files', tenth), ('4500 files', rest)):
        yield title, found, f'{found["files"] / found["seconds"]:.0f} files/s'


def large(spool, server):
    fill(spool, 1, size=1024 * MIB)
    found = export_elsewhere(spool, server)
    yield '1 GiB', found, f'{found["bytes"] / found["seconds"] / 1e6:.0f} MB/s'


def many(spool, server):
    fill(spool, 100_000, size=100)
    found = export_elsewhere(spool, server, max_files=1)
    yield '1 of 100000', found, f'first STOR after {found["until first"]:.2f} s'


MEASUREMENTS = {'small': small, 'large': large, 'many': many}


def measure(name, kind, directory):
    """Print the lines of one measurement on one server."""
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(tempfile.mkdtemp(prefix='zeit.cds-bench-', dir=directory))
        stack.callback(shutil.rmtree, work)
        # The sessions of a real server belong to another user.
        work.chmod(0o711)
        spool, root = work / 'spool', work / 'root'
        spool.mkdir()
        root.mkdir()
        root.chmod(0o777)
        server = stack.enter_context(SERVERS[kind](root=root))
        for title, found, speed in MEASUREMENTS[name](spool, server):
            grown = (found['peak'] - found['before']) / MIB
            print(
                f'{kind:10} {title:12} {found["seconds"]:7.2f} s  {speed:26} '
                f'peak {found["peak"] / MIB:6.1f} MiB, of which the run {grown:5.1f} MiB',
                flush=True,
            )


def main(arguments):
    if arguments[:1] == ['--export']:
        print(json.dumps(export(*arguments[1:])))
        return 0
    memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('what', nargs='*', metavar='what', help=f'of {", ".join(MEASUREMENTS)}')
    parser.add_argument('--server', choices=SERVERS, action='append')
    parser.add_argument('--directory', default=memory, help='default: %(default)s')
    options = parser.parse_args(arguments)
    if unknown := set(options.what) - set(MEASUREMENTS):
        parser.error(f'unknown: {", ".join(sorted(unknown))}')
    for kind in options.server or SERVERS:
        for name in options.what or MEASUREMENTS:
            measure(name, kind, options.directory)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
