"""AsyncSSH, imported without a compiler.

It looks for liboqs as it is imported, by `ctypes.util.find_library`, which calls gcc and ld where
they are, and they write temporary files: a tenth of a run with one small file.  What liboqs is for,
key exchanges that quantum computers do not break, OpenSSL 3.5 brings as well.
"""

import ctypes.util


def _without_compiler():
    """Return AsyncSSH."""
    find = ctypes.util.find_library
    # For others, in other threads, it goes on as it is.
    ctypes.util.find_library = lambda name: None if name in ('oqs', 'liboqs') else find(name)
    try:
        import asyncssh
    finally:
        ctypes.util.find_library = find
    return asyncssh


asyncssh = _without_compiler()
