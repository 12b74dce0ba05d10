"""Free ports for servers that cannot be told to take any: nobody gets the same one twice.

A daemon wants a number.  To look for a free one and to tell the daemon takes two steps, and between
them another test run may find the same.  So the numbers lie outside of the range from which the
kernel takes ports for connections (ip(7), `ip_local_port_range`), and each is reserved under a name
that only one process of the machine can have, for as long as the server lives:

- on Linux the abstract Unix socket `zeit.cds.port.N` (unix(7)), which belongs to the same network
  namespace as the port and is gone with the process, however that ends;
- elsewhere a lock (flock(2)) on a file in the directory for temporary files.

Data ports are opened and given up by the hundred, and a client may still connect to one that was
given up: from the kernel the server of another test run could have it by then.  So each server has
some numbers for them that are its own as long.
"""

import errno
import fcntl
import functools
import itertools
import os
import pathlib
import random
import socket
import sys
import tempfile
import time


#: Below are ports of well-known services, and those that people use by hand.
LOWEST = 10_000
#: Numbers for data ports, so many for each server.
DATA, SPAN = range(20_032, 32_768), 64
#: What the kernel does where it does not say: the default of Linux.
EPHEMERAL = range(32768, 61000)
#: So many numbers are tried before we give up: only a few can be taken.
ATTEMPTS = 200


class NoFreePort(Exception):
    """There is no port to be had."""


class Reservation:
    """A port that is ours until `close`; `port` is its number.

    A context manager.  `port`: 0 looks for one that nobody listens on and nobody has reserved.
    A given one is reserved too, or `NoFreePort` is raised if another process has it and does not
    give it back within `patience` seconds.
    """

    def __init__(self, *, host='127.0.0.1', port=0, patience=0):
        self._held = None
        if port:
            self._held = _await(port, patience)
            self.port = port
            return
        for candidate in random.sample(candidates(), ATTEMPTS):
            held = _hold(candidate)
            if held is None:
                continue
            if _is_free(host, candidate):
                self.port = candidate
                self._held = held
                return
            held.close()
        raise NoFreePort(f'None of {ATTEMPTS} ports of {host} is free')

    def __repr__(self):
        return f'<Reservation of port {self.port}{"" if self._held else ", given back"}>'

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @property
    def descriptors(self):
        """The descriptors in this process that belong to it."""
        return {self._held.fileno()} if self._held else set()

    def close(self):
        """Give the port back; may be called again."""
        held, self._held = self._held, None
        if held is not None:
            held.close()


class DataPorts:
    """The numbers for the data ports of one server, a range, until `close`.

    Raises `NoFreePort` if other servers have them all.
    """

    def __init__(self):
        for span in random.sample(spans(), len(spans())):
            self._held = _hold(span.start)
            if self._held is not None:
                self.numbers = span
                self._next = itertools.cycle(random.sample(span, len(span)))
                return
        raise NoFreePort('Other test servers have all numbers for data ports')

    def __repr__(self):
        return f'<DataPorts {self.numbers[0]} to {self.numbers[-1]}>'

    @property
    def descriptors(self):
        """The descriptors in this process that belong to it."""
        return {self._held.fileno()} if self._held else set()

    def bind(self, sock, host):
        """Bind a socket that is going to listen to the number that was not used for longest."""
        # A connection that has ended holds its number for a minute (TIME-WAIT).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for number in itertools.islice(self._next, len(self.numbers)):
            try:
                sock.bind((host, number))
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise NoFreePort(f'None of the data ports {self!r} of {host} is free')

    def close(self):
        """Give the numbers back; may be called again."""
        held, self._held = self._held, None
        if held is not None:
            held.close()


def ephemeral():
    """Return the range of ports that the kernel gives to connections: nobody reserves these."""
    path = pathlib.Path('/proc/sys/net/ipv4/ip_local_port_range')
    if not path.exists():
        return EPHEMERAL
    low, high = map(int, path.read_text().split())
    return range(low, high + 1)


def candidates():
    """Return the port numbers that nobody is given without having asked for them."""
    found = _outside(ephemeral())
    # Somebody may have given the kernel nearly all of them; what is reserved stays reserved.
    return found if len(found) >= ATTEMPTS else range(LOWEST, 65536)


@functools.cache
def _outside(taken):
    # Fifty thousand numbers: it took longer than all else that a server does when it starts.
    return [port for port in range(LOWEST, 65536) if port not in taken and port not in DATA]


def spans():
    """Return the ranges of numbers for data ports, each for one server."""
    found = [range(first, first + SPAN) for first in DATA[::SPAN]]
    taken = ephemeral()
    # As above: if all of them are the kernel's, they are better than nothing.
    return [span for span in found if span[0] not in taken and span[-1] not in taken] or found


def _is_free(host, port):
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError:
        return False
    return True


def _await(port, patience):
    end = time.monotonic() + patience
    while (held := _hold(port)) is None:
        if time.monotonic() >= end:
            raise NoFreePort(f'Port {port} is reserved by another test server')
        time.sleep(0.05)
    return held


def _hold(port):
    """Return what holds the name of a port until it is closed, None if somebody has it."""
    if sys.platform != 'linux':
        return _LockFile.hold(pathlib.Path(tempfile.gettempdir(), f'zeit.cds.port.{port}'))
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f'\0zeit.cds.port.{port}')
    except OSError:
        holder.close()
        return None
    return holder


class _LockFile:
    """A locked file that is removed when it is closed; a process that died leaves it unlocked."""

    def __init__(self, path, descriptor):
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def hold(cls, path):
        """Return the locked file, None if somebody else has it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its holder may have removed it between our two calls: then this is another file.
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return cls(path, descriptor)
        except OSError:
            pass  # locked, or removed
        os.close(descriptor)
        return None

    def fileno(self):
        return self._descriptor

    def close(self):
        """Remove the file while it is locked, then unlock it."""
        try:
            self._path.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)
