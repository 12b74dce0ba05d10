"""AsyncSSH, imported without a compiler, and without looking for garbage meanwhile.

It looks for liboqs and nettle as it is imported, by `ctypes.util.find_library`, which calls
ldconfig, gcc and ld where they are, and they write temporary files: a tenth of a run with one small
file.  What liboqs is for, key exchanges that quantum computers do not break, OpenSSL 3.5 brings as
well; of nettle it has UMAC, which `zeit.cds.sftp.ssh` does not ask for.

Nearly all that an import makes stays: looking for garbage takes a tenth of its time, in vain.
"""

import contextlib
import ctypes.util
import gc


#: What AsyncSSH would look for: the names that it tries.
UNUSED = 'oqs', 'liboqs', 'nettle', 'libnettle', 'libnettle-6'


@contextlib.contextmanager
def _found_quickly():
    """A context in which an import does no more than it has to."""
    find, collects = ctypes.util.find_library, gc.isenabled()
    # For others, in other threads, it goes on as it is.
    ctypes.util.find_library = lambda name: None if name in UNUSED else find(name)
    gc.disable()
    try:
        yield
    finally:
        ctypes.util.find_library = find
        if collects:
            gc.enable()


with _found_quickly():
    import asyncssh


__all__ = ['asyncssh']
