"""Temporary folders for spools, in memory where that is possible.

What survives a kill or an error is not what survives a loss of power, and waiting for the disk is
most of the time of a run.  What is written, in which order, and when it is on the disk is the
subject of `test_durability`, `test_spool` and `test_append_log`, which use the disk.
"""

import os
import pathlib
import tempfile


MEMORY = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None


def in_memory(test):
    """Return the path of a new folder that is removed after the test."""
    return pathlib.Path(test.enterContext(tempfile.TemporaryDirectory(dir=MEMORY)))


def contents(directory):
    """Return what is in a directory: bytes by name, None for a directory.

    A server may still rename or delete there, for a client that is dead: then it is looked at
    anew, as what was seen before and after that does not belong together.
    """
    while True:
        try:
            return {
                entry.name: None if entry.is_dir() else entry.read_bytes()
                for entry in directory.iterdir()
            }
        except FileNotFoundError:
            continue
