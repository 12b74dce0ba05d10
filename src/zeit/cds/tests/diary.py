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

    def note(what):
        os.write(descriptor, f'{time.monotonic_ns()} {os.getpid()} {what}\n'.encode())

    @contextlib.contextmanager
    def noted(spool):
        with run(spool):
            note('begin')
            try:
                yield spool
            finally:
                note('end')

    Spool.run = noted


def check(test, path):
    """Check that the runs did not overlap; return (number of runs, set of process ids)."""
    lines = [line.split() for line in path.read_text().splitlines()]
    lines.sort(key=lambda line: int(line[0]))
    for begin, end in zip(lines[::2], lines[1::2], strict=True):
        test.assertEqual((begin[1], 'begin', 'end'), (end[1], begin[2], end[2]), lines)
    return len(lines) // 2, {pid for _, pid, _ in lines}
