"""Which process holds a lock of flock(2), where the system tells: Linux does, see proc(5)."""

import contextlib
import os

from zeit.cds.errors import SpoolBusy
from zeit.cds.text import printable


#: For so many seconds whoever found a lock kept does not wait for that once more; later somebody
#: else may have it, for a moment.
BELIEVED = 60


def busy(path, seconds):
    """Return the `SpoolBusy` that says who has locked what is at `path` for so many seconds.

    What processes of other users have open only root sees.
    """
    pid, hint = _find(path), 'It should be a moment: "fuser -v" on it tells which.'
    who = 'Another process' if pid is None else f'Process {pid}'
    if pid is not None:
        hint = 'It should be a moment: see what that process does.'
        if _is_stopped(pid):
            who += ', which is stopped,'
            hint = f'Let it go on: kill -CONT {pid}; or end it: kill -KILL {pid}'
    return SpoolBusy(f'{who} has held {printable(path)} for more than {seconds} seconds', hint=hint)


def _find(path):
    """Return the number of a process that has locked what is at `path`, None if nothing tells."""
    with contextlib.suppress(OSError):
        wanted = os.stat(path)
        for pid in filter(str.isdigit, os.listdir('/proc')):
            with contextlib.suppress(OSError):
                if any(_has_locked(pid, each, wanted) for each in os.listdir(f'/proc/{pid}/fd')):
                    return int(pid)
    return None


def _has_locked(pid, descriptor, wanted):
    with contextlib.suppress(OSError):
        with open(f'/proc/{pid}/fdinfo/{descriptor}', encoding='ascii', errors='replace') as file:
            if any(line.startswith('lock:') and ' FLOCK ' in line for line in file):
                # Of nothing else: a look at a file on a server that is away would not return.
                return os.path.samestat(os.stat(f'/proc/{pid}/fd/{descriptor}'), wanted)
    return False


def _is_stopped(pid):
    with contextlib.suppress(OSError):
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
            # The name of the program, in parentheses, may have any character.
            return file.read().rpartition(')')[2].split()[0] in 'Tt'
    return False
