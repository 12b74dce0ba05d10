"""One run of one client: how long, how much CPU and memory, how many fsyncs."""

import contextlib
import dataclasses
import os
import pathlib
import re
import select
import subprocess
import sys
import time


#: Counts fsyncs of Python programs.
FSYNCS = pathlib.Path(__file__).with_name('fsyncs.py')

#: Seconds between two looks at the memory of the client.
LOOK = 0.02

#: Characters of what a client complained about that are kept.
COMPLAINT = 300


class Failed(Exception):
    """A client did not do its job; the text says how far it came."""


@dataclasses.dataclass(kw_only=True)
class Run:
    """What was measured: `seconds` from its start to its end, `cpu` seconds of user and system
    together, `peak` memory in bytes (VmHWM of proc(5), which begins anew with the program;
    `ru_maxrss` of getrusage(2) would count what its parent had), `began`: when, in seconds since
    the epoch; `fsyncs` their number, if they were counted; `served`: the CPU of the status page, in
    seconds a second, if it was looked at.
    """

    began: float
    seconds: float
    cpu: float
    peak: int
    fsyncs: int | None = None
    served: float | None = None


def run(client, job, *, namespace, longest, fsync=None):
    """Let `client` do `job` in a network namespace; return the `Run`.

    After `longest` seconds it is given up.  Its fsyncs are counted, and each takes `fsync` seconds
    longer, if that is not None; the client is a Python program then.  Raises `Failed`.
    """
    command, counted = client.command(job), job.work / 'fsyncs'
    if fsync is not None:
        command = [sys.executable, FSYNCS, counted, str(fsync), *command]
    with open(job.work / 'output', 'w+b') as output, open(os.devnull, 'rb') as nothing:
        began, started = time.time(), time.perf_counter()
        process = namespace.run(
            subprocess.Popen,
            command,
            env=client.environment(job),
            cwd=job.work,
            stdin=nothing,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            peak = _watch(process.pid, until=started + longest)
            ended = time.perf_counter()
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if not pid:
                raise Failed(f'{client.name} has not ended after {longest} s: {said(output)}')
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        if process.returncode:
            code = process.returncode
            raise Failed(f'{client.name} has failed, exit code {code}: {said(output)}')
    cpu = usage.ru_utime + usage.ru_stime
    fsyncs = None if fsync is None else int(counted.read_text())
    return Run(began=began, seconds=ended - started, cpu=cpu, peak=peak, fsyncs=fsyncs)


def said(output):
    """Return the end of what a client has written, to complain about it."""
    output.seek(0)
    return output.read().decode(errors='replace').strip()[-COMPLAINT:] or 'it said nothing'


def _watch(pid, *, until):
    """Wait for the end of a process, at most until a moment; return its peak memory in bytes."""
    peak = 0
    descriptor = os.pidfd_open(pid)
    try:
        status = pathlib.Path(f'/proc/{pid}/status')
        while not select.select([descriptor], [], [], LOOK)[0] and time.perf_counter() < until:
            with contextlib.suppress(OSError):
                found = re.search(r'VmHWM:\s*(\d+) kB', status.read_text())
                peak = max(peak, int(found[1]) * 1024 if found else 0)
    finally:
        os.close(descriptor)
    return peak
