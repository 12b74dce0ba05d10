"""A command of somebody else, run without a shell, that cannot hold anybody up."""

import contextlib
import os
import selectors
import signal
import subprocess  # noqa: S404 that is what this module is for
import tempfile
import time
from typing import NamedTuple


#: So many bytes of what a command writes are kept; the rest is read and forgotten.
LIMIT = 4096

#: What a command gets of our environment: nothing that may have a password in it.
ENVIRONMENT = ('PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR')


class Ended(NamedTuple):
    """How a command has ended: its exit code, negative for a signal, None if it took too long.

    `output` is the beginning of what it wrote to standard output and error, bytes.
    """

    exit_code: int | None
    output: bytes


def run(arguments, data, *, seconds):
    """Run the command of these `arguments`, a list; return how it has `Ended`.

    It gets `data` (bytes) on standard input, and a process group of its own.  After so many
    `seconds` that is killed; as long as somebody has its output open, it has not ended.  Raises
    OSError if it cannot be started.
    """
    end = time.monotonic() + seconds
    with tempfile.TemporaryFile() as given:
        given.write(data)
        given.seek(0)
        process = subprocess.Popen(  # noqa: S603 a person has chosen it
            arguments,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
    output = b''
    with process.stdout as pipe:
        try:
            for piece in _pieces(pipe.fileno(), end=end):
                output = (output + piece)[:LIMIT]
            return Ended(process.wait(max(0, end - time.monotonic())), output)
        except (TimeoutError, subprocess.TimeoutExpired):
            return Ended(None, output)
        finally:
            # As long as nobody has asked how it ended, its number is nobody else's.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _environment():
    return {
        name: value
        for name, value in os.environ.items()
        if name in ENVIRONMENT or name.startswith('LC_')
    }


def _pieces(descriptor, *, end):
    """Yield what can be read until there is no more.  Raises TimeoutError at the `end`."""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0, end - time.monotonic())) or time.monotonic() >= end:
                raise TimeoutError
            if not (piece := os.read(descriptor, LIMIT)):
                return
            yield piece
