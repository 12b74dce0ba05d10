"""A diary of runs, kept by several processes: who was inside of a spool's lock, and when."""

import contextlib
import os
import time

from zeit.cds.spool.spool import Spool


#: The environment variable that has the path of the diary.
VARIABLE = 'ZEIT_CDS_TEST_DIARY'


def keep():
    """Let each run of this process, and of its forks, write down when it begins and ends."""
    descriptor = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    run = Spool.run

    def note(what, spool):
        line = f'{time.monotonic_ns()} {os.getpid()} {what} {os.fspath(spool.path)}\n'
        os.write(descriptor, line.encode())

    @contextlib.contextmanager
    def noted(spool, **options):
        with run(spool, **options):
            note('begin', spool)
            try:
                yield spool
            finally:
                note('end', spool)

    Spool.run = noted


def check(test, path):
    """Check that no runs of one spool overlapped; return (number of runs, set of process ids)."""
    lines = sorted((line.split(maxsplit=3) for line in path.read_text().splitlines()), key=_moment)
    for spool in {line[3] for line in lines}:
        own = [line for line in lines if line[3] == spool]
        for begin, end in zip(own[::2], own[1::2], strict=True):
            test.assertEqual((begin[1], 'begin', 'end'), (end[1], begin[2], end[2]), own)
    return len(lines) // 2, {pid for _, pid, *_ in lines}


def _moment(line):
    return int(line[0])
