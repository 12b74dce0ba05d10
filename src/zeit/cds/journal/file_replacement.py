"""How a file that several processes write is replaced by a new one without losing a line.

Whoever holds the lock of the file, by flock(2), writes it, and may replace it.  If that process is
stopped for too long, one other process at a time replaces the file by a copy without having the
lock, and then removes the drafts of all others.  Either process may be stopped at any point, and
continue at any later time.

The one with the lock checks that the file still has the name after its own draft is complete.  If
it is stopped before this check, the check fails; if it is stopped after it, its draft is gone.  The
one without the lock exchanges the two files, and exchanges them again if the file that it gets is
not the one that it has copied.
"""

import errno
import functools
import os

from zeit.cds.system import files


class Replaced(OSError):
    """Another file has taken the place of the one that was to be replaced."""

    def __init__(self):
        super().__init__(errno.ESTALE, 'Another one was put in its place')


def over(old):
    """Return a function like os.rename for a draft, for the process that holds the lock of `old`.

    It raises `Replaced` if another file than `old`, a `Descriptor`, has the name.
    """
    return functools.partial(_give, old, rename=os.rename)


def exchanging(old):
    """Return one for a process without the lock of `old`, which its holder may write meanwhile.

    Where the file system cannot exchange two files, a line that is written just then may be lost.
    """

    def rename(draft, path):
        if not files.exchange(draft, path):
            os.rename(draft, path)
        elif files.is_at(old, draft):
            os.unlink(draft)
        else:
            files.exchange(draft, path)
            raise Replaced

    return functools.partial(_give, old, rename=rename)


def _give(old, draft, path, *, rename):
    if not files.is_at(old, path):
        raise Replaced
    try:
        rename(draft, path)
    except FileNotFoundError as error:  # whoever replaced the file has removed it
        raise Replaced from error
