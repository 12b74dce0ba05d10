"""AsyncSSH, imported without a compiler, and without looking for garbage meanwhile.

It looks for liboqs and nettle as it is imported, by `ctypes.util.find_library`, which calls
ldconfig, gcc and ld where they are, and they write temporary files: a tenth of a run with one small
file.  What liboqs is for, key exchanges that quantum computers do not break, OpenSSL 3.5 brings as
well; of nettle it has UMAC, which `zeit.cds.sftp.ssh` does not ask for.

Certificates of X.509, which we do not ask for either, it supports where pyOpenSSL is.  It finds out
whether that is so only when it has imported all that cryptography has for them: another tenth.

Nearly all that an import makes stays: looking for garbage takes a tenth of its time, in vain.
"""

import contextlib
import ctypes.util
import gc
import importlib.util
import sys


#: What AsyncSSH would look for: the names that it tries.
UNUSED = 'oqs', 'liboqs', 'nettle', 'libnettle', 'libnettle-6'

#: What it cannot import without pyOpenSSL.
X509 = 'asyncssh.crypto.x509'


@contextlib.contextmanager
def _found_quickly():
    """A context in which an import does no more than it has to."""
    find, collects = ctypes.util.find_library, gc.isenabled()
    # For others, in other threads, it goes on as it is.
    ctypes.util.find_library = lambda name: None if name in UNUSED else find(name)
    gc.disable()
    is_vain = X509 not in sys.modules and importlib.util.find_spec('OpenSSL') is None
    if is_vain:
        sys.modules[X509] = None  # nor can it now, but at once
    try:
        yield
    finally:
        if is_vain:
            sys.modules.pop(X509, None)
        ctypes.util.find_library = find
        if collects:
            gc.enable()


with _found_quickly():
    import asyncssh


__all__ = ['asyncssh']
